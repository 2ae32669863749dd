//! `host bench`.

mod compare;

use crate::artifacts::{self, read};
use crate::commands::print_json;
use crate::device::classes::{ClassCounter, cortex_m4_cycles};
use crate::device::{Board, Session, board};
use crate::export::sequence::Recurrent;
use crate::export::{self, Prefer, pack_for, prefer};
use crate::quantize::{Float, Network};
use crate::twin::Twin;
use anyhow::{Context, Result, anyhow, ensure};
use firmware::model::Parameters;
use instructions::Tally;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Count what an inference costs on an emulated board: instructions and their classes, RAM and flash
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
    /// Fail where a figure is more than 2 % above the one measured before, which this `budget.toml` holds
    #[arg(long, value_name = "FILE")]
    compare: Option<PathBuf>,
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
    /// Cycles that a Cortex-M4 would take for them, by [`cortex_m4_cycles`]; none where it could not execute them, or
    /// the emulator takes no plugin.
    cycles_m4_model: Option<u64>,
    /// The instructions by class, exact.
    classes: Option<BTreeMap<&'static str, u64>>,
    arena_bytes: u32,
    scratch_bytes: u32,
    /// Deepest stack since reset, link included.
    stack_bytes: u32,
    flash: Flash,
    layers: Vec<Layer>,
}

#[derive(Debug, Serialize)]
struct Flash {
    /// The whole firmware, gaps between its sections included.
    code: u32,
    model: usize,
    /// Of the firmware.
    sections: BTreeMap<String, u32>,
}

#[derive(Debug, Serialize)]
struct Layer {
    name: String,
    macs: usize,
    instructions: u64,
    cycles_m4_model: Option<u64>,
    classes: Option<BTreeMap<&'static str, u64>>,
}

impl Layer {
    /// A layer whose classes are not known yet.
    fn new(name: String, macs: usize, instructions: u64) -> Self {
        Self { name, macs, instructions, cycles_m4_model: None, classes: None }
    }
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    let report = measure(&arguments)?;
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&report);
    }
    match &arguments.compare {
        Some(path) => compare::check(&report, path, arguments.prefer.unwrap_or_default()),
        None => Ok(()),
    }
}

fn print(report: &Report) {
    let known = |cycles: Option<u64>| cycles.map_or("-".to_owned(), |cycles| cycles.to_string());
    let line = |name: &str, macs: usize, instructions: u64, cycles: Option<u64>| {
        let ratio = if macs == 0 { "-".into() } else { format!("{:.2}", instructions as f64 / macs as f64) };
        println!("{name:<24} {macs:>10} {instructions:>12} {ratio:>6} {:>14}", known(cycles));
    };
    println!("{:<24} {:>10} {:>12} {:>6} {:>14}", "layer", "MACs", "instructions", "ratio", "M4 cycles, est.");
    for layer in &report.layers {
        line(&layer.name, layer.macs, layer.instructions, layer.cycles_m4_model);
    }
    line("whole", report.macs, report.instructions, report.cycles_m4_model);
    if let Some(classes) = &report.classes {
        println!("\n{:<24} {:>10} {:>12}", "class", "", "instructions");
        for (class, instructions) in classes {
            println!("{class:<24} {:>10} {instructions:>12}", "");
        }
    }
    let Report { arena_bytes, scratch_bytes, stack_bytes, flash, .. } = report;
    println!("\nRAM    {arena_bytes} arena + {scratch_bytes} scratch + {stack_bytes} stack bytes");
    let sections: Vec<_> = flash.sections.iter().map(|(name, bytes)| format!("{name} {bytes}")).collect();
    println!("flash  {} firmware ({}) + {} model bytes", flash.code, sections.join(", "), flash.model);
}

fn measure(arguments: &Arguments) -> Result<Report> {
    let board = board(&arguments.on)?;
    let artifacts = artifacts::find(&arguments.model)?;
    let container = read(&artifacts.container())?;
    let float = read(&artifacts.float_onnx())?;
    let container = match arguments.prefer {
        Some(choice) => prefer::prefer(&container, choice, None)?,
        None => container,
    };
    let packed = pack_for(&container, board.core.packing())?;
    let (mut session, counter) = open(board, &packed)?;
    let has_lstm = export::text::has_lstm(&float)?;
    let is_text = has_lstm && Twin::new(&container)?.model().text().is_some();
    let (instructions, mut layers) = if is_text {
        count_text(&mut session, &container)?
    } else if has_lstm {
        count_step(&mut session, &container, &export::sequence::read(&float, &artifacts.name)?)?
    } else {
        count_network(&mut session, &export::read(&float, &artifacts.name)?)?
    };
    let whole =
        counter.map(|counter| classify(&counter.requests()?, instructions, &mut layers, is_text)).transpose()?;
    let hello = session.hello()?;
    let firmware = session.firmware();
    let sections = firmware.flash_sections.iter().cloned().collect();
    let flash = Flash { code: firmware.flash_bytes, model: packed.len(), sections };
    Ok(Report {
        model: artifacts.name,
        on: board.name.into(),
        macs: layers.iter().map(|layer| layer.macs).sum(),
        instructions,
        cycles_m4_model: whole.as_ref().and_then(cortex_m4_cycles),
        classes: whole.as_ref().map(by_name),
        arena_bytes: hello.arena_bytes,
        scratch_bytes: hello.scratch_bytes,
        stack_bytes: session.stack_bytes()?,
        flash,
        layers,
    })
}

/// Starts the board, with a counter of classes where the emulator takes one; says on stderr why, where it does not.
fn open(board: &'static Board, packed: &[u8]) -> Result<(Session, Option<ClassCounter>)> {
    let counted = ClassCounter::new(board).and_then(|counter| {
        let session = Session::open_emulated(board, packed, &counter.arguments())?;
        Ok((session, Some(counter)))
    });
    counted.or_else(|reason| {
        let session = Session::open(board, packed)?;
        eprintln!("no classes and no cycles: {reason:#}");
        Ok((session, None))
    })
}

/// Gives each layer the classes of its instructions; returns those of the whole.
///
/// # Errors
/// They do not sum up to the instructions that the board's clock has counted.
fn classify(requests: &[Tally], instructions: u64, layers: &mut [Layer], is_text: bool) -> Result<Tally> {
    // The order of the requests: of a network the whole, then op by op; of a text op by op, then the text in parts.
    let (ops, parts) = match is_text {
        true => requests.split_at_checked(layers.len()),
        false => requests.split_at_checked(1).map(|(whole, ops)| (ops, whole)),
    }
    .filter(|(ops, _)| ops.len() == layers.len())
    .context("the emulator counted other requests than were made")?;
    for (layer, op) in layers.iter_mut().zip(ops) {
        // A layer of a text ran once and stands for what it takes for all words.
        let tally = *op * layer.instructions.checked_div(op.executed()).unwrap_or(1);
        check_sum(&layer.name, &tally, layer.instructions)?;
        (layer.cycles_m4_model, layer.classes) = (cortex_m4_cycles(&tally), Some(by_name(&tally)));
    }
    let whole = parts.iter().fold(Tally::default(), |mut sum, part| {
        sum += *part;
        sum
    });
    check_sum("the whole", &whole, instructions)?;
    Ok(whole)
}

fn check_sum(name: &str, tally: &Tally, instructions: u64) -> Result<()> {
    let executed = tally.executed();
    ensure!(executed == instructions, "{name}: {executed} instructions by class, {instructions} by the board's clock");
    Ok(())
}

fn by_name(tally: &Tally) -> BTreeMap<&'static str, u64> {
    tally.present().map(|(class, count)| (class.name(), count.executed)).collect()
}

fn count_network(session: &mut Session, network: &Network<Float>) -> Result<(u64, Vec<Layer>)> {
    // Kernels have no branch that depends on the values, so any input gives the same count.
    let input = vec![0; network.tensors[network.input].shape.elements()];
    let counts = session.count(&input).context("cannot count instructions")?;
    let layers = network.ops.iter().zip(&counts.ops);
    let layers = layers.map(|(op, &instructions)| Layer::new(op.name.clone(), network.macs(op), instructions));
    Ok((counts.total, layers.collect()))
}

/// Counts one step of a model that takes a sequence.
fn count_step(session: &mut Session, container: &[u8], recurrent: &Recurrent) -> Result<(u64, Vec<Layer>)> {
    let twin = Twin::new(container)?;
    let counts = session.count(&vec![0; twin.model().input().bytes()]).context("cannot count instructions")?;
    let ops = (0..twin.model().op_count())
        .map(|index| twin.model().op(index).map_err(|error| anyhow!("op {index}: {error}")));
    let layers = ops.zip(recurrent.names()).zip(&counts.ops);
    let layers =
        layers.map(|((op, name), &instructions)| Ok(Layer::new(name.into(), op?.macs() as usize, instructions)));
    Ok((counts.total, layers.collect::<Result<_>>()?))
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
        layers.push(Layer::new(name.into(), macs * times, instructions));
    }
    let text: Vec<&str> = WORDS.iter().copied().cycle().take(TOKENS).collect();
    session.restart_text()?;
    let mut ticks = session.push_text(text.join(" ").as_bytes())?;
    let (reading, last) = session.answer_text()?;
    ensure!(reading.words as usize == TOKENS, "the board counted {} words instead of {TOKENS}", reading.words);
    ticks.push(last);
    // Ticks of one request are exact in instructions; of several together they would not be.
    let parts = ticks.into_iter().map(|ticks| session.instructions(ticks).context(real));
    Ok((parts.sum::<Result<u64>>()?, layers))
}
