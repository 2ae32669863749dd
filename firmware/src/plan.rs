//! Runs a model: which op reads and writes which part of the arena.

use crate::kernels::{optimized, reference};
use crate::model::{Element, Error, Model, Parameters, Tensor};
use crate::words;
use zerocopy::IntoBytes;

/// A model with the memory that it runs in.
///
/// ```text
/// input_mut() ──▶ run() ──▶ output_i32() or output_i8()
/// ```
#[derive(Debug)]
pub struct Interpreter<'m, 'a> {
    model: Model<'m>,
    arena: &'a mut [u32],
    scratch: &'a mut [u32],
}

impl<'m, 'a> Interpreter<'m, 'a> {
    /// Joins a model with an arena and a scratch, each at least as long as the model says.
    ///
    /// # Errors
    /// [`Error::ArenaTooSmall`] and [`Error::ScratchTooSmall`].
    pub fn new(model: Model<'m>, arena: &'a mut [u32], scratch: &'a mut [u32]) -> Result<Self, Error> {
        let [needed_bytes, available_bytes] = [model.arena_bytes(), size_of_val(arena)].map(|bytes| bytes as u32);
        if needed_bytes > available_bytes {
            return Err(Error::ArenaTooSmall { needed_bytes, available_bytes });
        }
        let [needed_bytes, available_bytes] = [model.scratch_bytes(), size_of_val(scratch)].map(|bytes| bytes as u32);
        if needed_bytes > available_bytes {
            return Err(Error::ScratchTooSmall { needed_bytes, available_bytes });
        }
        Ok(Self { model, arena, scratch })
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The input's values, NHWC. What lies here after a run is whatever the plan put into the place.
    pub fn input_mut(&mut self) -> &mut [i8] {
        let tensor = self.model.input();
        words::as_i8_mut(self.arena).get_mut(tensor.offset..tensor.end()).unwrap_or_default()
    }

    /// Runs every op.
    ///
    /// # Errors
    /// None for a model from `Model::parse`.
    pub fn run(&mut self) -> Result<(), Error> {
        (0..self.model.op_count()).try_for_each(|index| self.run_op(index))
    }

    /// Runs op number `index` on what its input tensor holds now.
    ///
    /// # Errors
    /// [`Error::NoSuchOp`].
    pub fn run_op(&mut self, index: u16) -> Result<(), Error> {
        let op = self.model.op(index)?;
        let [from, to] = [self.model.tensor(op.input)?, self.model.tensor(op.output)?];
        let (input, output) = split(self.arena, &from, &to).ok_or(Error::InputOverwritten { op: index })?;
        let input = &words::as_i8(input)[..from.bytes()];
        let scratch = &mut *self.scratch;
        match (op.parameters, to.element) {
            (Parameters::Conv2d(conv), _) => {
                (op.variant.conv2d)(&conv, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::MaxPool2d(pool), _) => optimized::max_pool2d(&pool, input, words::as_i8_mut(output)),
            (Parameters::Lookup(lookup), _) => reference::lookup(&lookup, input, words::as_i8_mut(output)),
            (Parameters::Dense(dense), Element::I8) => {
                (op.variant.dense)(&dense, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::Dense(dense), Element::I32) => {
                (op.variant.dense_logits)(&dense, input, words::as_i32_mut(output), scratch);
            }
        }
        Ok(())
    }

    /// The bytes of tensor number `index` as they lie in the arena.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_bytes(&self, index: u16) -> Result<&[u8], Error> {
        let tensor = self.model.tensor(index)?;
        let bytes = self.arena.as_bytes().get(tensor.offset..tensor.end());
        bytes.ok_or(Error::TensorOutOfBounds { tensor: index })
    }

    /// Values of tensor number `index`; empty where it does not hold `i8`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i8(&self, index: u16) -> Result<&[i8], Error> {
        let bytes = self.tensor_bytes(index)?;
        let is_i8 = self.model.tensor(index)?.element == Element::I8;
        Ok(if is_i8 { words::view(bytes).unwrap_or_default() } else { &[] })
    }

    /// Values of tensor number `index`; empty where it does not hold `i32`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i32(&self, index: u16) -> Result<&[i32], Error> {
        let bytes = self.tensor_bytes(index)?;
        let is_i32 = self.model.tensor(index)?.element == Element::I32;
        Ok(if is_i32 { words::view(bytes).unwrap_or_default() } else { &[] })
    }

    /// The answer of a model with an `i8` output; empty otherwise.
    pub fn output_i8(&self) -> &[i8] {
        self.tensor_i8(self.model.output_index()).unwrap_or_default()
    }

    /// The answer of a model with an `i32` output, its logits; empty otherwise.
    pub fn output_i32(&self) -> &[i32] {
        self.tensor_i32(self.model.output_index()).unwrap_or_default()
    }
}

/// The words of two tensors, the first to read, the second to write; `None` where they overlap or lie outside.
///
/// Tensors start on whole words, so that those of two are apart where their bytes are.
fn split<'w>(arena: &'w mut [u32], from: &Tensor, to: &Tensor) -> Option<(&'w [u32], &'w mut [u32])> {
    let [from, to] = [from, to].map(|tensor| tensor.offset / 4..tensor.end().div_ceil(4));
    if from.end <= to.start {
        let (low, high) = arena.split_at_mut_checked(to.start)?;
        Some((low.get(from)?, high.get_mut(..to.len())?))
    } else if to.end <= from.start {
        let (low, high) = arena.split_at_mut_checked(from.start)?;
        Some((high.get(..from.len())?, low.get_mut(to)?))
    } else {
        None
    }
}
