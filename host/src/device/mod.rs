//! Boards, real and emulated: what they are, how they are programmed and how they answer.
//!
//! | module | knows |
//! |---|---|
//! | [`board`] | the table of boards |
//! | [`image`] | the firmware of a board: built, sized |
//! | [`flash`] | programming through probe-rs |
//! | [`session`] | a running board: inferences, single ops, tensors; texts in `text` |
//! | [`classes`] | what an emulated core executed, by class, and the cycles that a Cortex-M4 would take |
//! | [`emulator`] | a debug probe for boards that exist only in QEMU |
//!
//! Both kinds of board are reached through probe-rs, so what works on one works on the other.

pub mod board;
pub mod classes;
mod count;
pub mod emulator;
pub mod flash;
mod frames;
pub mod image;
mod link;
pub mod session;
mod text;

pub use board::{Board, Core, Place, board, boards};
pub use count::Counts;
pub use image::Firmware;
pub use session::{Answer, Hello, Session};
