//! Tests that run on the core itself: kernels against golden vectors, the container's check, the interpreter
//! and the link, compiled and linked as the firmware is.
//!
//! On an emulated board they are trials of `cargo test --release -p hil`. On any board with a probe, real or served by
//! `host probe serve` (the README tells how), from this folder, with the board's target and probe-rs's name of its chip:
//!
//! ```sh
//! export CARGO_TARGET_THUMBV7EM_NONE_EABIHF_RUNNER="probe-rs run --chip nRF52840_xxAA"
//! BOARD=nrf52840-dk cargo test --release --target thumbv7em-none-eabihf
//! ```
//!
//! `build.rs` computes what they compare with; this crate holds it.

#![no_std]

use firmware::model::format::{
    PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD, PACKING_FOURS, PACKING_MVE, PACKING_PORTABLE,
};

/// Aligned as a container has to be.
#[repr(C, align(16))]
struct Aligned<T: ?Sized>(T);

macro_rules! aligned {
    ($name:literal, $packing:literal) => {{
        static BYTES: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".", $packing)));
        &BYTES.0
    }};
}

/// What one packing is tested with.
#[derive(Clone, Copy, Debug)]
pub struct Vectors {
    /// Weights of the golden convolution; none where the packing cannot hold them.
    pub conv2d: &'static [u8],
    /// Weights of the golden dense layer.
    pub dense: &'static [u8],
    /// A small model that has every op.
    pub container: &'static [u8],
    /// What its ops write, one behind the other.
    pub trace: &'static [u8],
    /// Small models that read text, one for each form of embedding, and their logits after each byte of [`TEXT`].
    pub texts: [[&'static [u8]; 2]; 3],
}

/// What the text models read; `build.rs` has read the same.
pub const TEXT: &[u8] = b"The film: it's NOT good, zebra. Don't, the caf\xc3\xa9 was bad!";

macro_rules! vectors {
    ($packing:literal) => {
        Some(Vectors {
            conv2d: aligned!("conv2d", $packing),
            dense: aligned!("dense", $packing),
            container: aligned!("container", $packing),
            trace: aligned!("trace", $packing),
            texts: [
                [aligned!("text0", $packing), aligned!("answers0", $packing)],
                [aligned!("text1", $packing), aligned!("answers1", $packing)],
                [aligned!("text2", $packing), aligned!("answers2", $packing)],
            ],
        })
    };
}

/// The vectors of a packing; `None` for an unknown one.
pub fn vectors(packing: u8) -> Option<Vectors> {
    match packing {
        PACKING_PORTABLE => vectors!("0"),
        PACKING_DSP => vectors!("1"),
        PACKING_DSP_WINOGRAD => vectors!("2"),
        PACKING_MVE => vectors!("3"),
        PACKING_DSP_PLACES => vectors!("4"),
        PACKING_FOURS => vectors!("5"),
        _ => None,
    }
}
