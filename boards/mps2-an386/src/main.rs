//! Arm MPS2, image AN386: Cortex-M4, emulated by QEMU.

#![no_std]
#![no_main]

use common::{Clock, channels, serve};
use cortex_m::singleton;
use cortex_m_rt::entry;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 16 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 8 * 1024;

/// CMSDK timer 0, which counts down at 25 MHz.
struct Timer;

impl Timer {
    const CTRL: *mut u32 = 0x4000_0000 as *mut u32;
    const VALUE: *mut u32 = 0x4000_0004 as *mut u32;
    const RELOAD: *mut u32 = 0x4000_0008 as *mut u32;

    fn start() -> Self {
        // SAFETY: these are the timer's registers, which nothing else here touches.
        unsafe {
            Self::RELOAD.write_volatile(u32::MAX);
            Self::VALUE.write_volatile(u32::MAX);
            Self::CTRL.write_volatile(1);
        }
        Self
    }
}

impl Clock for Timer {
    fn ticks(&mut self) -> u32 {
        // SAFETY: reading the timer's value has no side effect.
        !unsafe { Self::VALUE.read_volatile() }
    }
}

#[entry]
fn main() -> ! {
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("mps2-an386", Timer::start(), channels, arena, scratch)
}
