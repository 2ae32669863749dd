//! Hardware in the loop: each board, real or emulated, against the twin.
//!
//! | module | is |
//! |---|---|
//! | [`subject`] | a small model with random weights, in the shape of the digit CNN |
//! | [`texts`] | a model that reads text, and its case |
//! | [`sights`] | frames in a camera's place |
//! | [`cases`] | what every board is put through |
//! | [`on_target`] | the tests that run on the core itself |
//! | [`minimal`] | what operators cost that a program does not use |
//! | [`panics`] | which functions of the firmware can panic |
//! | [`riscv`] | a core that no probe reaches |
//! | [`report`] | what a failed trial tells of its board: log and backtrace |
//!
//! `tests/hil.rs` makes a trial of each board and case.

pub mod cases;
pub mod minimal;
pub mod on_target;
pub mod panics;
pub mod report;
pub mod riscv;
pub mod sights;
pub mod subject;
pub mod texts;
