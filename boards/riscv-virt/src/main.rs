//! RISC-V (RV32IMC) under QEMU, machine `virt`: runs the kernels' exact vectors, then the golden vectors of the model that QEMU
//! has put into memory, says how many instructions each takes, and ends with an exit status, all by semihosting. There is no
//! probe for this machine, so the link and its commands are for other boards.
//!
//! The trial `riscv-virt/a-model-equals-its-golden-vectors` of `cargo test --release -p hil` builds and runs it.

#![no_std]
#![no_main]

#[path = "../../../firmware/tests/common/golden.rs"]
mod golden;

use core::arch::asm;
use core::panic::PanicInfo;
use firmware::kernels::variants::variant;
use firmware::model::Model;
use firmware::model::format::PACKING_PORTABLE;
use firmware::plan::Interpreter;
use riscv_rt::entry;
use semihosting::{eprintln, println, process};

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 16 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 8 * 1024;

/// Says what failed.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(1)
}

#[entry]
fn main() -> ! {
    kernels_equal_exact_arithmetic();
    model_equals_its_vectors();
    process::exit(0)
}

/// The vectors of `firmware/tests/common/golden.rs`, in the form for cores without DSP.
fn kernels_equal_exact_arithmetic() {
    let form = variant(PACKING_PORTABLE).expect("every build has the portable form");
    let weights = golden::conv2d_weights();
    let (mut output, mut scratch) = ([77; 24], [0; 64]);
    (form.conv2d)(&golden::conv2d(&weights), &golden::conv2d_input(), &mut output, &mut scratch);
    assert_eq!(output, golden::CONV2D_OUTPUT);
    let (weights, input) = (golden::dense_weights(), golden::dense_input());
    let (mut activations, mut logits) = ([77; 4], [77; 4]);
    (form.dense)(&golden::dense(&weights), &input, &mut activations, &mut []);
    (form.dense_logits)(&golden::dense(&weights), &input, &mut logits, &mut []);
    assert_eq!((activations, logits), (golden::DENSE_ACTIVATIONS, golden::DENSE_LOGITS));
}

/// The vectors that follow their number, 32 bits long: the input's bytes, then the logits.
fn model_equals_its_vectors() {
    let (mut arena, mut scratch) = ([0; ARENA_BYTES / 4], [0; SCRATCH_BYTES / 4]);
    let model = Model::parse(region(&raw const _model_start, &raw const _model_end)).expect("the model is sound");
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).expect("the model fits");
    let (count, vectors) = region(&raw const _vectors_start, &raw const _vectors_end).split_first_chunk().unwrap();
    let input_bytes = interpreter.input_mut().len();
    let logit_bytes = size_of_val(interpreter.output_i32());
    let count = u32::from_le_bytes(*count) as usize;
    assert!(count > 0 && logit_bytes > 0);
    for (number, vector) in vectors.chunks_exact(input_bytes + logit_bytes).enumerate().take(count) {
        let (input, expected) = vector.split_at(input_bytes);
        for (place, byte) in interpreter.input_mut().iter_mut().zip(input) {
            *place = *byte as i8;
        }
        let start = executed_instructions();
        interpreter.run().expect("a model that has been parsed runs");
        let instructions = executed_instructions().wrapping_sub(start);
        let expected = expected.as_chunks().0.iter().map(|bytes| i32::from_le_bytes(*bytes));
        assert!(interpreter.output_i32().iter().copied().eq(expected), "vector {number} gives other logits");
        println!("{instructions}");
    }
}

unsafe extern "C" {
    static _model_start: u8;
    static _model_end: u8;
    static _vectors_start: u8;
    static _vectors_end: u8;
}

/// Memory between two symbols of `memory.x`.
fn region(start: *const u8, end: *const u8) -> &'static [u8] {
    // SAFETY: the linker script puts each pair of symbols round memory that nothing is linked into, and which QEMU has filled
    // before the core started.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Instructions since the start, modulo 2³²; exact where QEMU counts them (`-icount`).
fn executed_instructions() -> u32 {
    let count;
    // SAFETY: reads a counter, which has no effect.
    unsafe { asm!("rdinstret {}", out(reg) count, options(nomem, nostack, preserves_flags)) };
    count
}
