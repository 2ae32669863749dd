//! `host bench`.

use crate::artifacts::read;
use crate::commands::print_json;
use crate::device::{Session, board};
use crate::export::{self, pack_for};
use crate::recipe;
use anyhow::{Context, Result};
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
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// The contract of `--json`.
#[derive(Debug, Serialize)]
struct Report {
    model: String,
    on: String,
    macs: usize,
    /// Executed instructions of one inference, exact.
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
    let network = export::read(&float, &artifacts.name)?;
    let packed = pack_for(&container, board.core.packing())?;
    let mut session = Session::open(board, &packed)?;
    // Kernels have no branch that depends on the values, so any input gives the same count.
    let input = vec![0; network.tensors[network.input].shape.elements()];
    let counts = session.count(&input).context("cannot count instructions")?;
    let hello = session.hello()?;
    let layers = network.ops.iter().zip(&counts.ops);
    Ok(Report {
        model: artifacts.name,
        on: board.name.into(),
        macs: network.ops.iter().map(|op| network.macs(op)).sum(),
        instructions: counts.total,
        arena_bytes: hello.arena_bytes,
        scratch_bytes: hello.scratch_bytes,
        stack_bytes: session.stack_bytes()?,
        flash: Flash { code: session.firmware().flash_bytes, model: packed.len() },
        layers: layers
            .map(|(op, &instructions)| Layer { name: op.name.clone(), macs: network.macs(op), instructions })
            .collect(),
    })
}
