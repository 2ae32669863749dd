//! What is written in assembly for cores with the M-profile vector extension, Helium (Cortex-M55), each with a body in plain
//! Rust for other cores.
//!
//! A vector register has 16 bytes. VMLADAVA.S8 multiplies 16 weights with 16 inputs and adds the products to a core
//! register, which has to be an even one: there are eight, and they hold the sums. What stands behind the last column of a
//! row does not matter, since the weights there are zeros.
//!
//! Loops stand whole, as in [`dsp`](super::dsp). Where a loop's length varies, either it is unrolled and entered in the
//! middle (all instructions in it take four bytes, which gives the place of entry), or it is tail-predicated: DLSTP and
//! WLSTP count elements, and the last turn leaves the lanes alone that lie behind them, in memory too.
//!
//! Vector registers need no care beyond what the compiler is told about them. An interrupt that comes meanwhile finds the
//! state of predication and loop tails in FPSCR and VPR, which the core saves with the lower half of the registers, lazily
//! where that is on; a handler that uses the upper half saves it like any function; a low-overhead loop goes on by LR and
//! its last instruction alone. cortex-m-rt has enabled the unit, whose switch is that of floating point (CPACR), before
//! `main`.
#![allow(unsafe_code)]

mod conv2d;
mod dense;
mod lstm;
mod patches;
mod stage;

pub use conv2d::{FourStage, multiply_2x4, pool_4x4};
pub use dense::multiply_4x1;
pub use lstm::step_units;
pub use patches::{copy_patches, fits_tile, gather_tiles};
pub use stage::{Rows, activations, logits, lookup};

use super::packing::MVE_TILE;

/// What a vector register holds: 16 columns of a row of weights, or the inputs that they are multiplied with.
pub type Tile = [i8; MVE_TILE];

/// `sum + Σ weights·inputs`, what VMLADAVA.S8 does.
#[cfg(not(mve))]
fn vmladava(sum: i32, weights: &Tile, inputs: &Tile) -> i32 {
    let products = weights.iter().zip(inputs).map(|(weight, input)| i32::from(*weight) * i32::from(*input));
    sum.wrapping_add(products.sum())
}

/// `((accumulator << left_shift) · multiplier + 2³¹) >> 32`, by VSHL and VRMULH.
#[cfg(not(mve))]
fn scaled(accumulator: i32, left_shift: u8, multiplier: i32) -> i32 {
    let shifted = accumulator.wrapping_shl(left_shift.into());
    ((i64::from(shifted) * i64::from(multiplier) + (1 << 31)) >> 32) as i32
}
