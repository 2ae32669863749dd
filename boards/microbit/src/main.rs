//! BBC micro:bit v1: Cortex-M0 in 16 KB of RAM, real or emulated by QEMU.

#![no_std]
#![no_main]

use common::{Clock, channels, serve};
use cortex_m::singleton;
use cortex_m_rt::entry;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 7168;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 3584;

/// TIMER0 of the nRF51, which counts up at 16 MHz.
struct Timer;

impl Timer {
    const START: *mut u32 = 0x4000_8000 as *mut u32;
    const CAPTURE0: *mut u32 = 0x4000_8040 as *mut u32;
    const BITMODE: *mut u32 = 0x4000_8508 as *mut u32;
    const PRESCALER: *mut u32 = 0x4000_8510 as *mut u32;
    const CC0: *mut u32 = 0x4000_8540 as *mut u32;

    fn start() -> Self {
        const BITS_32: u32 = 3;
        // SAFETY: these are the timer's registers, which nothing else here touches.
        unsafe {
            Self::BITMODE.write_volatile(BITS_32);
            Self::PRESCALER.write_volatile(0);
            Self::START.write_volatile(1);
        }
        Self
    }
}

impl Clock for Timer {
    fn ticks(&mut self) -> u32 {
        // SAFETY: capturing copies the count into a register that is used for nothing else.
        unsafe {
            Self::CAPTURE0.write_volatile(1);
            Self::CC0.read_volatile()
        }
    }
}

#[entry]
fn main() -> ! {
    let channels = channels!(up: 256, down: 512);
    // Each is taken once, here.
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("microbit", Timer::start(), channels, arena, scratch)
}
