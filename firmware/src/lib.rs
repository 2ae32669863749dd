//! Int8 inference in kilobytes: `no_std`, no heap, no floating point in a kernel.
//!
//! ```text
//! bytes ──model──▶ Model (checked once) ──plan──▶ kernels on slices of one arena ──▶ logits
//! ```
//!
//! | module | knows |
//! |---|---|
//! | [`model`] | the `.thm` container: its records ([`model::format`]) and the one check that makes later access infallible |
//! | [`kernels`] | arithmetic on slices: a reference form that defines each operator and optimised forms equal to it bit for bit |
//! | [`plan`] | which op reads and writes which part of the arena; joins the two, without arithmetic of its own |
//! | [`text`] | from the bytes of a text to the tokens of a model, and its state from word to word |
//! | [`camera`] | sensors, and the chip between one of them and the board: from wires to a frame |
//! | [`vision`] | from a camera's frame to the input of a net that reads digits |
//! | [`softmax`], [`argmax`] | from logits to an answer |
//! | [`link`] | messages between host and board, and the device's side of them |
//!
//! Compiled for the host, the same crate is the *twin*: what it computes is what a board computes.

#![cfg_attr(not(feature = "std"), no_std)]
#![deny(unsafe_code)]
#![warn(missing_docs)]

#[cfg(target_endian = "big")]
compile_error!("the container is little-endian and is read in place");

mod answer;
pub mod camera;
pub mod kernels;
pub mod link;
pub mod model;
pub mod plan;
pub mod text;
pub mod vision;
mod words;

pub use answer::{argmax, softmax};
