//! `host boards`.

use crate::device::{Board, Firmware, boards};
use anyhow::{Result, ensure};
use serde_json::json;

/// List the known boards: which are attached, which can be emulated
#[derive(clap::Args)]
pub struct Arguments {
    /// Build the firmware of every board and check that it fits beside a model
    #[arg(long)]
    build: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    if arguments.build {
        return boards().iter().try_for_each(build);
    }
    if arguments.json {
        println!("{}", json!({ "boards": boards().iter().map(entry).collect::<Vec<_>>() }));
        return Ok(());
    }
    println!("{:<14} {:<10} {:>8} {:>8}  {:<9} attached at", "board", "core", "flash", "RAM", "emulated");
    for board in boards() {
        let attached = board.attached().join(", ");
        println!(
            "{:<14} {:<10} {:>5} KB {:>5} KB  {:<9} {}",
            board.name,
            board.core.name(),
            board.flash.len() / 1024,
            board.ram.len() / 1024,
            if board.machine.is_some() { "yes" } else { "no" },
            if attached.is_empty() { "–" } else { &attached },
        );
    }
    Ok(())
}

/// Least RAM that has to be left to the stack, in bytes: the deepest use seen is below 3,000.
const STACK_BYTES: usize = 3584;

/// Builds one board's firmware and holds it against the board's memory.
fn build(board: &Board) -> Result<()> {
    let firmware = Firmware::build(board)?;
    let (used, room) = (firmware.flash_bytes as usize, (board.flash.start..board.model.start).len());
    ensure!(
        used <= room,
        "the firmware of {} takes {used} bytes of flash, and {room} lie before the model",
        board.name
    );
    let stack = firmware.stack.len();
    ensure!(stack >= STACK_BYTES, "{} leaves {stack} bytes to the stack, and {STACK_BYTES} are wanted", board.name);
    println!(
        "{:<14} built: {used} of {room} bytes of flash, {} bytes of statics, {stack} bytes left to the stack",
        board.name, firmware.static_bytes
    );
    Ok(())
}

fn entry(board: &Board) -> serde_json::Value {
    json!({
        "name": board.name,
        "core": board.core.name(),
        "chip": board.chip,
        "flash_bytes": board.flash.len(),
        "ram_bytes": board.ram.len(),
        "model_bytes": board.model_bytes(),
        "emulatable": board.machine.is_some(),
        "attached": board.attached(),
    })
}
