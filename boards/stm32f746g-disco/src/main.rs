//! ST STM32F746G Discovery: Cortex-M7 at 216 MHz in 320 KB of RAM, with an ST-LINK on board.

#![no_std]
#![no_main]

use common::{CycleCounter, channels, serve};
use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;

mod clock;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 160 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 48 * 1024;

#[entry]
fn main() -> ! {
    embassy_stm32::init(clock::full_clock());
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let mut core = Peripherals::take().unwrap();
    // Not the data cache: the debugger reads and writes the link's buffers behind it.
    core.SCB.enable_icache();
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("stm32f746g-disco", CycleCounter::start(&mut core), channels, arena, scratch)
}
