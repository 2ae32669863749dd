//! Raspberry Pi Pico 2: RP2350, Cortex-M33 at 150 MHz in 520 KB of RAM; needs a Debug Probe beside it.

#![no_std]
#![no_main]

use common::{CycleCounter, channels, serve};
use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 256 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 64 * 1024;

#[entry]
fn main() -> ! {
    // 150 MHz from the crystal of 12 MHz.
    embassy_rp::init(Default::default());
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let mut core = Peripherals::take().unwrap();
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("rpi-pico2", CycleCounter::start(&mut core), channels, arena, scratch)
}
