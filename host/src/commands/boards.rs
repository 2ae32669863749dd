//! `host boards`.

use crate::artifacts::{Artifacts, read};
use crate::device::image::project_folder;
use crate::device::{Board, Firmware, boards};
use crate::export::pack_for;
use anyhow::{Context, Result, ensure};
use serde_json::json;
use std::fmt;

/// List the known boards: which are attached, which can be emulated
#[derive(clap::Args)]
pub struct Arguments {
    /// Build the firmware of every board and check that it fits the board beside the shipped models
    #[arg(long)]
    build: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(arguments: Arguments) -> Result<()> {
    if arguments.build {
        return build();
    }
    if arguments.json {
        println!("{}", json!({ "boards": boards().iter().map(entry).collect::<Vec<_>>() }));
        return Ok(());
    }
    println!("{:<17} {:<10} {:>8} {:>8}  {:<9} attached at", "board", "core", "flash", "RAM", "emulated");
    for board in boards() {
        let attached = board.attached().join(", ");
        println!(
            "{:<17} {:<10} {:>5} KB {:>5} KB  {:<9} {}",
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

/// Models that every board has to have room for; others may be for larger boards.
const FOR_EVERY_BOARD: [&str; 2] = ["mnist-cnn", "imdb-microbit"];

/// What one board's firmware and its largest model take of the board's memory, in bytes.
#[derive(Debug)]
struct Budget {
    board: &'static str,
    firmware: usize,
    /// Flash before the model.
    firmware_room: usize,
    model: usize,
    model_room: usize,
    /// Arena, scratch, buffers and all else that the linker places in RAM.
    statics: usize,
    stack: usize,
    ram: usize,
}

/// Builds every board's firmware and holds it, with each shipped model, against the board's memory.
fn build() -> Result<()> {
    let containers = containers()?;
    println!("{}", Budget::HEADER);
    for board in boards() {
        let firmware = Firmware::build(board)?;
        let packed = containers.iter().map(|(name, container)| {
            let length = pack_for(container, board.core.packing())?.len();
            let counts = FOR_EVERY_BOARD.contains(&name.as_str()) || length <= board.model_bytes();
            Ok((name, if counts { Ok(length) } else { Err(length) }))
        });
        let packed = packed.collect::<Result<Vec<_>>>()?;
        let budget = Budget {
            board: board.name,
            firmware: firmware.flash_bytes as usize,
            firmware_room: (board.flash.start..board.model.start.min(board.flash.end)).len(),
            model: packed.iter().filter_map(|(_, length)| length.ok()).max().unwrap_or(0),
            model_room: board.model_bytes(),
            statics: firmware.static_bytes as usize,
            stack: firmware.stack.len(),
            ram: board.ram.len(),
        };
        println!("{budget}");
        for (name, length) in packed.iter().filter_map(|(name, length)| Some((name, length.err()?))) {
            println!("{:<17} not for it: {name}, {length} bytes", "");
        }
        budget.check()?;
    }
    Ok(())
}

/// The shipped models by their names, packed portably.
fn containers() -> Result<Vec<(String, Vec<u8>)>> {
    let folder = project_folder()?.join("models");
    let models = std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files = models.filter_map(Result::ok).map(|model| {
        let name = model.file_name().to_string_lossy().into_owned();
        let file = Artifacts::new(model.path(), &name).container();
        (name, file)
    });
    files.filter(|(_, file)| file.is_file()).map(|(name, file)| Ok((name, read(&file)?))).collect()
}

impl Budget {
    const HEADER: &str = "board              firmware / room      model / room    statics + stack / RAM  (bytes)";

    /// Fails where a part is larger than its room.
    fn check(&self) -> Result<()> {
        let Self { board, firmware, firmware_room, model, model_room, statics, stack, ram } = self;
        ensure!(
            firmware <= firmware_room,
            "the firmware of {board} takes {firmware} bytes of flash, and {firmware_room} lie before the model"
        );
        ensure!(
            model <= model_room,
            "the largest model takes {model} bytes in the flash of {board}, which has {model_room} for it"
        );
        ensure!(
            statics + STACK_BYTES <= *ram,
            "the statics of {board} take {statics} bytes, with {STACK_BYTES} for the stack more than its RAM of {ram}"
        );
        ensure!(*stack >= STACK_BYTES, "{board} leaves {stack} bytes to the stack, and {STACK_BYTES} are wanted");
        Ok(())
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { board, firmware, firmware_room, model, model_room, statics, stack, ram } = self;
        write!(f, "{board:<17} {firmware:>9} / {firmware_room:<7} {model:>7} / {model_room:<7} ")?;
        write!(f, "{statics:>7} + {stack:<7}/ {ram}")
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const MODEL: usize = 2000;

    /// A firmware that just fits.
    fn fitting() -> Budget {
        Budget {
            board: "toy",
            firmware: 1000,
            firmware_room: 1000,
            model: MODEL,
            model_room: MODEL,
            statics: 4096 - STACK_BYTES,
            stack: STACK_BYTES,
            ram: 4096,
        }
    }

    #[test]
    fn what_just_fits_passes_and_one_byte_more_names_the_part() {
        fitting().check().unwrap();
        let cases = [
            (Budget { firmware: 1001, ..fitting() }, "the firmware of toy takes 1001 bytes of flash, and 1000 lie"),
            (Budget { model: MODEL + 1, ..fitting() }, "the largest model takes 2001 bytes in the flash of toy"),
            (Budget { statics: fitting().statics + 1, ..fitting() }, "the statics of toy take 513 bytes"),
            (Budget { stack: STACK_BYTES - 1, ..fitting() }, "toy leaves 3583 bytes to the stack"),
        ];
        for (budget, sentence) in cases {
            let error = budget.check().unwrap_err().to_string();
            assert!(error.contains(sentence), "{error}");
        }
    }
}
