//! A plugin for QEMU's translator that counts executed Thumb instructions by class, for `host bench`.
//!
//! `-plugin FILE,clock=ADDRESS,record=PATH`: each time that the core has read the word at `ADDRESS`, the board's clock,
//! a line is added to the file at `PATH`: what the core has executed since its start, as a [`Tally`](instructions::Tally).
//! The difference of two lines is thus what the device's two readings of its clock are apart, and needs no marks in
//! the firmware.

mod qemu;

use instructions::{Class, Instruction, Watcher, decode, is_wide};
use qemu::{Id, Translation};
use std::fs::File;
use std::io::Write;
use std::sync::Mutex;

/// What the plugin was told, and what it has counted.
struct Counter {
    clock: u64,
    record: File,
    watcher: Watcher,
}

/// Set once, before the core runs; QEMU's threads come here one at a time, as the boards have one core.
static COUNTER: Mutex<Option<Counter>> = Mutex::new(None);

/// An instruction where it lies.
struct Placed {
    instruction: Instruction,
    address: u64,
    bytes: u64,
}

fn install(id: Id, arguments: &[String]) -> Result<(), String> {
    let argument = |name: &str| {
        let found = arguments.iter().find_map(|argument| argument.strip_prefix(name)?.strip_prefix('='));
        found.ok_or(format!("the plugin needs {name}=…"))
    };
    let clock = argument("clock")?;
    let clock = clock.parse().map_err(|_| format!("clock={clock} is no number"))?;
    let path = argument("record")?;
    let record = File::options().append(true).open(path).map_err(|error| format!("cannot open {path}: {error}"))?;
    with_counter(|counter| *counter = Some(Counter { clock, record, watcher: Watcher::default() }));
    qemu::on_translation(id);
    Ok(())
}

/// QEMU has translated some instructions: has each of them, and each reading of memory that may be one of the clock,
/// reported when it is executed.
fn translated(mut block: Translation<'_>) {
    for index in 0..block.len() {
        let mut place = block.instruction(index);
        let code = place.code();
        let (first, second) = (half(code, 0), half(code, 2));
        let instruction = decode(first, second);
        let bytes = if is_wide(first) { 4 } else { 2 };
        let address = place.address();
        place.on_execution(Placed { instruction, address, bytes });
        if instruction.class == Class::Load {
            place.on_reading();
        }
    }
}

/// The halfword at `offset`; 0 behind the end.
fn half(code: &[u8], offset: usize) -> u16 {
    code.get(offset..offset + 2).map_or(0, |bytes| u16::from_le_bytes([bytes[0], bytes[1]]))
}

fn executed(placed: &Placed) {
    with_counter(|counter| {
        if let Some(counter) = counter {
            counter.watcher.execute(&placed.instruction, placed.address, placed.bytes);
        }
    });
}

/// The core has read memory at `address`.
fn has_read(address: u64) {
    with_counter(|counter| {
        if let Some(counter) = counter.as_mut().filter(|counter| counter.clock == address) {
            // A line that is missing is noticed by whoever reads the file.
            let _ = counter.record.write_all(format!("{}\n", counter.watcher.tally()).as_bytes());
        }
    });
}

fn with_counter(f: impl FnOnce(&mut Option<Counter>)) {
    // Nothing panics while it holds the lock; were it so, the counts would still be whole.
    f(&mut COUNTER.lock().unwrap_or_else(|poisoned| poisoned.into_inner()));
}
