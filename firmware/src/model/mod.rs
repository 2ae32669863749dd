//! The `.thm` container: [`format`](mod@format) says how it lies in flash, [`Model::parse`] checks it once and gives
//! typed views.
//!
//! # Adding an operator
//! 1. its record and number in [`format`](mod@format);
//! 2. its parameter struct and kernels in [`crate::kernels`], with a place in the table of variants;
//! 3. `ops/<op>.rs`: from the record to the parameter struct, with every check, and an arm in `ops/mod.rs`;
//! 4. an arm in `plan.rs`, which hands slices to the kernel;
//! 5. a feature in `Cargo.toml` and `ops/built.rs`, by which both arms are guarded, so that a firmware without it does not
//!    carry its kernels;
//! 6. its specification in [`writer`].
//!
//! An op that keeps a state from run to run names its tensors in `Op::states`; the check that nothing else touches them
//! and the reset follow from that.

mod error;
pub mod format;
mod ops;
mod parse;
mod sections;
mod tensor;
mod text;
#[cfg(feature = "std")]
pub mod writer;

pub use crate::kernels::Shape;
pub use error::Error;
pub(crate) use ops::built;
pub use ops::{Op, Parameters, Preference};
pub use tensor::{Element, Tensor};
pub use text::Text;

use format::{OpRecord, TensorRecord};

/// A container whose every part has been checked: a view of its bytes.
#[derive(Clone, Copy, Debug)]
pub struct Model<'m> {
    bytes: &'m [u8],
    tensors: &'m [TensorRecord],
    ops: &'m [OpRecord],
    name: &'m str,
    labels: &'m str,
    crc32: u32,
    input: (u16, Tensor),
    output: (u16, Tensor),
    text: Option<Text<'m>>,
    arena_bytes: usize,
    scratch_bytes: usize,
}

impl<'m> Model<'m> {
    /// Name of the model.
    pub fn name(&self) -> &'m str {
        self.name
    }

    /// Class labels in the order of the output's values; none where the model does not classify.
    pub fn labels(&self) -> impl Iterator<Item = &'m str> + use<'m> {
        self.labels.split_terminator('\0')
    }

    /// CRC-32 of the container, as in its header.
    pub fn crc32(&self) -> u32 {
        self.crc32
    }

    /// Length of the container in bytes.
    pub fn length_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes that the tensors need together, a multiple of 4.
    pub fn arena_bytes(&self) -> usize {
        self.arena_bytes
    }

    /// Bytes that the most demanding op needs beside the arena, a multiple of 4.
    pub fn scratch_bytes(&self) -> usize {
        self.scratch_bytes
    }

    /// Number of tensors.
    pub fn tensor_count(&self) -> u16 {
        self.tensors.len() as u16
    }

    /// Tensor number `index`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor(&self, index: u16) -> Result<Tensor, Error> {
        Tensor::decode(self.tensors, index, self.arena_bytes)
    }

    /// All tensors in order.
    pub fn tensors(&self) -> impl Iterator<Item = Tensor> + '_ {
        (0..self.tensor_count()).filter_map(|index| self.tensor(index).ok())
    }

    /// Number of ops.
    pub fn op_count(&self) -> u16 {
        self.ops.len() as u16
    }

    /// Op number `index`, with its parameters.
    ///
    /// # Errors
    /// [`Error::NoSuchOp`]; the rest has been checked.
    pub fn op(&self, index: u16) -> Result<Op<'m>, Error> {
        Op::decode(self, index)
    }

    /// Index of the tensor that the application fills.
    pub fn input_index(&self) -> u16 {
        self.input.0
    }

    /// The tensor that the application fills; its values are `i8`, or `i16` where it is a token.
    pub fn input(&self) -> Tensor {
        self.input.1
    }

    /// Index of the tensor that holds the answer.
    pub fn output_index(&self) -> u16 {
        self.output.0
    }

    /// The tensor that holds the answer.
    pub fn output(&self) -> Tensor {
        self.output.1
    }

    /// How the model reads text; `None` where it does not.
    pub fn text(&self) -> Option<Text<'m>> {
        self.text
    }
}
