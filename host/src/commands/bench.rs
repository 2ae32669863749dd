//! `host bench`.

use crate::artifacts::read;
use crate::commands::print_json;
use crate::device::{Session, board};
use crate::export::{self, Prefer, pack_for, prefer};
use crate::quantize::{Float, Network};
use crate::recipe;
use crate::twin::Twin;
use anyhow::{Context, Result, anyhow, ensure};
use firmware::model::Parameters;
use serde::Serialize;

/// Count what an inference costs on an emulated board: instructions, RAM and flash
#[derive(clap::Args)]
pub struct Arguments {
    /// Model under models/, or a folder with a recipe
    #[arg(default_value = "mnist-cnn")]
    model: String,
    /// Board
    #[arg(long, default_value = "mps2-an386")]
    on: String,
    /// Pack the model as if it had been exported with this preference
    #[arg(long, value_enum)]
    prefer: Option<Prefer>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Words of the text that is counted.
const TOKENS: usize = 80;
/// What it is made of, five letters a word as in English.
const WORDS: [&str; 8] = ["this", "film", "was", "wonderful", "and", "the", "actors", "great"];

/// The contract of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    macs: usize,
    /// Executed instructions of one inference, exact; of a model of text, of a text of 80 words, from its bytes on.
    instructions: u64,
    arena_bytes: u32,
    scratch_bytes: u32,
    /// Deepest stack since reset, link included.
    stack_bytes: u32,
    flash: Flash,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Flash {
    code: u32,
    model: usize,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    macs: usize,
    instructions: u64,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let report = measure(&arguments)?;
    if arguments.json {
        return print_json(&report);
    }
    println!("{:<24} {:>10} {:>12} {:>6}", "layer", "MACs", "instructions", "ratio");
    let total = Layer { name: "whole".into(), macs: report.macs, instructions: report.instructions };
    for layer in report.layers.iter().chain([&total]) {
        let ratio = match layer.macs {
            0 => "-".to_owned(),
            macs => format!("{:.2}", layer.instructions as f64 / macs as f64),
        };
        println!("{:<24} {:>10} {:>12} {ratio:>6}", layer.name, layer.macs, layer.instructions);
    }
    println!(
        "\nRAM    {} arena + {} scratch + {} stack bytes",
        report.arena_bytes, report.scratch_bytes, report.stack_bytes
    );
    println!("flash  {} firmware + {} model bytes", report.flash.code, report.flash.model);
    Ok(())
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let board = board(&arguments.on)?;
    let found = recipe::find(&arguments.model)?;
    let artifacts = found.artifacts();
    let container = read(&artifacts.container())?;
    let float = read(&artifacts.float_onnx())?;
    let container = match arguments.prefer {
        Some(choice) => prefer::prefer(&container, choice, None)?,
        None => container,
    };
    let packed = pack_for(&container, board.core.packing())?;
    let mut session = Session::open(board, &packed)?;
    let (instructions, layers) = if export::text::is_text(&float)? {
        count_text(&mut session, &container)?
    } else {
        count_network(&mut session, &export::read(&float, &artifacts.name)?)?
    };
    let hello = session.hello()?;
    Ok(Report {
        model: artifacts.name,
        on: board.name.into(),
        macs: layers.iter().map(|layer| layer.macs).sum(),
        instructions,
        arena_bytes: hello.arena_bytes,
        scratch_bytes: hello.scratch_bytes,
        stack_bytes: session.stack_bytes()?,
        flash: Flash { code: session.firmware().flash_bytes, model: packed.len() },
        layers,
    })
}

fn count_network(session: &mut Session, network: &Network<Float>) -> Result<(u64, Vec<Layer>)> {
    // Kernels have no branch that depends on the values, so any input gives the same count.
    let input = vec![0; network.tensors[network.input].shape.elements()];
    let counts = session.count(&input).context("cannot count instructions")?;
    let layers = network.ops.iter().zip(&counts.ops);
    let layers =
        layers.map(|(op, &instructions)| Layer { name: op.name.clone(), macs: network.macs(op), instructions });
    Ok((counts.total, layers.collect()))
}

/// Counts a text of [`TOKENS`] words, from its bytes to the answer.
fn count_text(session: &mut Session, container: &[u8]) -> Result<(u64, Vec<Layer>)> {
    let real = "only an emulated board counts instructions";
    let twin = Twin::new(container)?;
    let model = twin.model();
    let mut layers = Vec::new();
    for index in 0..model.op_count() {
        let op = model.op(index).map_err(|error| anyhow!("op {index}: {error}"))?;
        // What runs once a token, and what runs once an answer.
        let (name, macs, times) = match op.parameters {
            Parameters::Embedding(_) => ("embedding", 0, TOKENS),
            Parameters::Lstm(lstm) => ("lstm", lstm.gates.inputs * lstm.gates.outputs, TOKENS),
            Parameters::Dense(dense) => ("head", dense.inputs * dense.outputs, 1),
            _ => ("other", 0, 1),
        };
        let ticks = session.run(index, 1)?;
        let instructions = session.instructions(ticks).context(real)? * times as u64;
        layers.push(Layer { name: name.into(), macs: macs * times, instructions });
    }
    let text: Vec<&str> = WORDS.iter().copied().cycle().take(TOKENS).collect();
    session.restart_text()?;
    let ticks = session.push_text(text.join(" ").as_bytes())?;
    let (reading, last) = session.answer_text()?;
    ensure!(reading.words as usize == TOKENS, "the board counted {} words instead of {TOKENS}", reading.words);
    let total = u32::try_from(ticks + u64::from(last)).context("the board's clock ran over")?;
    Ok((session.instructions(total).context(real)?, layers))
}
