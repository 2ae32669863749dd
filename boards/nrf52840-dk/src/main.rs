//! Nordic nRF52840 DK: Cortex-M4F at 64 MHz in 256 KB of RAM, with a J-Link on board.

#![no_std]
#![no_main]

use common::{CycleCounter, channels, serve};
use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;
use embassy_nrf::config::{Config, HfclkSource};

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 128 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 32 * 1024;

#[entry]
fn main() -> ! {
    let mut config = Config::default();
    // The core always has 64 MHz; the crystal makes them exact.
    config.hfclk_source = HfclkSource::ExternalXtal;
    embassy_nrf::init(config);
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let mut core = Peripherals::take().unwrap();
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("nrf52840-dk", CycleCounter::start(&mut core), channels, arena, scratch)
}
