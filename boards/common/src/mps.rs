//! What Arm's MPS boards share, whatever core stands in their FPGA: its input and output block, whose counter is the
//! clock, and room enough that all of them give a model the same memory.

use crate::{Clock, serve_frames};
use cortex_m::singleton;
use firmware::vision::scratch_words;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 128 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 56 * 1024;

/// The largest frame that the host may send, pixels of two bytes, and what it takes to read digits in it.
const FRAME: [usize; 2] = [160, 120];
const FRAME_WORDS: usize = FRAME[0] * FRAME[1] / 2 + scratch_words(FRAME[0], FRAME[1]);

/// The counter of the FPGA's input and output block, which counts up; QEMU gives it 25 MHz on the boards without
/// TrustZone and 20 MHz on those with it.
struct Counter {
    value: *const u32,
}

impl Counter {
    const VALUE: usize = 0x18;
    const PRESCALE: usize = 0x1C;

    fn start(fpgaio: usize) -> Self {
        let prescale = (fpgaio + Self::PRESCALE) as *mut u32;
        // SAFETY: this is a register of the block, which nothing else here touches.
        unsafe { prescale.write_volatile(0) };
        Self { value: (fpgaio + Self::VALUE) as *const u32 }
    }
}

impl Clock for Counter {
    fn ticks(&mut self) -> u32 {
        // SAFETY: reading the counter has no side effect.
        unsafe { self.value.read_volatile() }
    }
}

/// Answers the host on the board named `board`, whose input and output block lies at `fpgaio`, for ever. Once a program.
pub fn run(board: &str, fpgaio: usize) -> ! {
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    let frames = singleton!(: [u32; FRAME_WORDS] = [0; FRAME_WORDS]).unwrap();
    serve_frames(board, Counter::start(fpgaio), channels, [arena, scratch, frames])
}
