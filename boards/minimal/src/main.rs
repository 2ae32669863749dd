//! The least firmware that runs a model: no link, no log, and of the operators only those that `Cargo.toml` names. The model
//! lies in its own flash, packed for the core, where QEMU or a probe has put it.
//!
//! The trial `minimal/what-is-not-named-is-not-linked` of `cargo test --release -p hil` builds and runs it.

#![no_std]
#![no_main]

use core::panic::PanicInfo;
use cortex_m_rt::entry;
use firmware::argmax;
use firmware::model::Model;
use firmware::plan::Interpreter;
use semihosting::{eprintln, println, process};

#[entry]
fn main() -> ! {
    let (mut arena, mut scratch) = ([0; 7168 / 4], [0; 3072 / 4]);
    let model = Model::parse(flash()).expect("the model is sound");
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).expect("the model fits");
    // A stroke down the middle of 28×28 pixels, which are -128 where there is none.
    for (place, pixel) in interpreter.input_mut().iter_mut().enumerate() {
        *pixel = if (13..15).contains(&(place % 28)) && (5..23).contains(&(place / 28)) { 127 } else { -128 };
    }
    interpreter.run().expect("a model that has been parsed runs");
    let class = argmax(interpreter.output_i32());
    println!("{}", model.labels().nth(class).unwrap_or("?"));
    process::exit(0)
}

/// The model's flash, which `memory.x` sets apart.
fn flash() -> &'static [u8] {
    unsafe extern "C" {
        static _model_start: u8;
        static _model_end: u8;
    }
    let (start, end) = (&raw const _model_start, &raw const _model_end);
    // SAFETY: nothing is linked into the region between these addresses, and nothing writes there while the program runs.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    eprintln!("{info}");
    process::exit(1)
}
