//! Runs a model: which op reads and writes which part of the arena.

use crate::kernels::{optimized, reference};
use crate::model::format::{
    OP_ADD, OP_AVERAGE_POOL2D, OP_CONCAT, OP_CONV_TRANSPOSE2D, OP_CONV2D, OP_DENSE, OP_DEPTHWISE_CONV2D, OP_EMBEDDING,
    OP_LOOKUP, OP_LSTM, OP_MAX_POOL2D, OP_MULTIPLY, OP_SLICE,
};
use crate::model::{Element, Error, Model, Parameters, Tensor, built};
use crate::words;
use core::ops::Range;
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A model with the memory that it runs in.
///
/// ```text
/// input_mut() or set_token() ──▶ run() ──▶ output_i32() or output_i8()
/// ```
///
/// The states of a model that has some start as zeros and last from run to run until [`Interpreter::reset`].
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
        let mut interpreter = Self { model, arena, scratch };
        interpreter.reset()?;
        Ok(interpreter)
    }

    /// Sets the states of every LSTM to zero, as they are at the start.
    ///
    /// # Errors
    /// None for a model from `Model::parse`.
    pub fn reset(&mut self) -> Result<(), Error> {
        for index in 0..self.model.op_count() {
            for state in self.model.op(index)?.states() {
                self.tensor_mut(state, None)?.fill(0);
            }
        }
        Ok(())
    }

    /// The model.
    pub fn model(&self) -> &Model<'m> {
        &self.model
    }

    /// The input's values, NHWC; empty where they are not `i8`. What lies here after a run is whatever the plan put into
    /// the place.
    pub fn input_mut(&mut self) -> &mut [i8] {
        let bytes = self.tensor_mut(self.model.input_index(), Some(Element::I8)).unwrap_or_default();
        <[i8]>::mut_from_bytes(bytes).unwrap_or_default()
    }

    /// The input's bytes, whatever its values are.
    pub fn input_bytes_mut(&mut self) -> &mut [u8] {
        self.tensor_mut(self.model.input_index(), None).unwrap_or_default()
    }

    /// Sets the input of a model that reads tokens; without effect on another.
    pub fn set_token(&mut self, token: i16) {
        if let Ok([place]) = self.tensor_i16_mut(self.model.input_index()) {
            *place = token;
        }
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
        let scratch = &mut *self.scratch;
        let overlap = Error::InputOverwritten { op: index };
        if let (Parameters::Lstm(lstm), Some(cell), true) = (&op.parameters, op.cell, built(OP_LSTM)) {
            let cell = self.model.tensor(cell)?;
            let [input, cell, hidden] = split(self.arena, [&from, &cell, &to]).ok_or(overlap)?;
            (op.variant.lstm)(lstm, words::as_i8(input), words::as_i16_mut(cell), words::as_i8_mut(hidden), scratch);
            return Ok(());
        }
        let (apart, output) = Apart::of(self.arena, &to).ok_or(overlap)?;
        let input = apart.values(&from).ok_or(overlap)?;
        let other = |number: usize| -> Result<&[i8], Error> {
            let Some(index) = op.others[number] else { return Ok(&[]) };
            apart.values(&self.model.tensor(index)?).ok_or(overlap)
        };
        match (&op.parameters, to.element) {
            (Parameters::Conv2d(conv), _) if built(OP_CONV2D) => {
                (op.variant.conv2d)(conv, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::DepthwiseConv2d(conv), _) if built(OP_DEPTHWISE_CONV2D) => {
                optimized::depthwise_conv2d(conv, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::ConvTranspose2d(conv), _) if built(OP_CONV_TRANSPOSE2D) => {
                optimized::conv_transpose2d(op.variant, conv, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::Add(add), _) if built(OP_ADD) => {
                optimized::add(add, [input, other(0)?], words::as_i8_mut(output))
            }
            (Parameters::Multiply(multiply), _) if built(OP_MULTIPLY) => {
                optimized::multiply(multiply, [input, other(0)?], words::as_i8_mut(output))
            }
            (Parameters::Concat(concat), _) if built(OP_CONCAT) => {
                reference::concat(concat, [input, other(0)?, other(1)?], words::as_i8_mut(output));
            }
            (Parameters::Slice(slice), _) if built(OP_SLICE) => {
                reference::slice(slice, input, words::as_i8_mut(output))
            }
            (Parameters::MaxPool2d(pool), _) if built(OP_MAX_POOL2D) => {
                optimized::max_pool2d(pool, input, words::as_i8_mut(output))
            }
            (Parameters::AveragePool2d(pool), _) if built(OP_AVERAGE_POOL2D) => {
                optimized::average_pool2d(pool, input, words::as_i8_mut(output))
            }
            (Parameters::Lookup(lookup), _) if built(OP_LOOKUP) => {
                (op.variant.lookup)(lookup, input, words::as_i8_mut(output))
            }
            (Parameters::Dense(dense), Element::I8) if built(OP_DENSE) => {
                (op.variant.dense)(dense, input, words::as_i8_mut(output), scratch);
            }
            (Parameters::Dense(dense), _) if built(OP_DENSE) => {
                (op.variant.dense_logits)(dense, input, words::as_i32_mut(output), scratch);
            }
            (Parameters::Embedding(embedding), _) if built(OP_EMBEDDING) => {
                let token = input.first_chunk().map_or(0, |bytes| i16::from_le_bytes(bytes.map(|byte| byte as u8)));
                reference::embedding(embedding, token, words::as_i8_mut(output));
            }
            // An LSTM has been run above; what this build does not have, the parser has refused.
            _ => (),
        }
        Ok(())
    }

    /// The bytes of tensor number `index` as they lie in the arena.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_bytes(&self, index: u16) -> Result<&[u8], Error> {
        let place = self.place(index, None)?;
        self.arena.as_bytes().get(place).ok_or(Error::TensorOutOfBounds { tensor: index })
    }

    /// Values of tensor number `index`; empty where it does not hold `i8`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i8(&self, index: u16) -> Result<&[i8], Error> {
        self.values(index, Element::I8)
    }

    /// Values of tensor number `index`; empty where it does not hold `i32`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i32(&self, index: u16) -> Result<&[i32], Error> {
        self.values(index, Element::I32)
    }

    /// Values of tensor number `index`; empty where it does not hold `i16`.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i16(&self, index: u16) -> Result<&[i16], Error> {
        self.values(index, Element::I16)
    }

    /// As [`Interpreter::tensor_i16`], to write.
    ///
    /// # Errors
    /// [`Error::NoSuchTensor`].
    pub fn tensor_i16_mut(&mut self, index: u16) -> Result<&mut [i16], Error> {
        let bytes = self.tensor_mut(index, Some(Element::I16))?;
        Ok(<[i16]>::mut_from_bytes(bytes).unwrap_or_default())
    }

    fn values<T: FromBytes + Immutable>(&self, index: u16, element: Element) -> Result<&[T], Error> {
        let bytes = self.arena.as_bytes().get(self.place(index, Some(element))?);
        Ok(bytes.and_then(words::view).unwrap_or_default())
    }

    fn tensor_mut(&mut self, index: u16, element: Option<Element>) -> Result<&mut [u8], Error> {
        let place = self.place(index, element)?;
        self.arena.as_mut_bytes().get_mut(place).ok_or(Error::TensorOutOfBounds { tensor: index })
    }

    /// Bytes of the arena that hold a tensor; none where it holds other values than those asked for.
    fn place(&self, index: u16, element: Option<Element>) -> Result<Range<usize>, Error> {
        let tensor = self.model.tensor(index)?;
        let is_wanted = element.is_none_or(|element| element == tensor.element);
        Ok(if is_wanted { tensor.offset..tensor.end() } else { 0..0 })
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

/// The words of tensors; `None` where two of them overlap or one lies outside.
///
/// Tensors start on whole words, so that those of two are apart where their bytes are.
fn split<'w, const N: usize>(arena: &'w mut [u32], tensors: [&Tensor; N]) -> Option<[&'w mut [u32]; N]> {
    arena.get_disjoint_mut(tensors.map(|tensor| tensor.offset / 4..tensor.end().div_ceil(4))).ok()
}

/// The arena without one tensor: what is read while that is written.
struct Apart<'w> {
    before: &'w [u32],
    behind: &'w [u32],
    /// Where `behind` starts, in words.
    end: usize,
}

impl<'w> Apart<'w> {
    /// Takes `output` out; `None` where it lies outside.
    fn of(arena: &'w mut [u32], output: &Tensor) -> Option<(Self, &'w mut [u32])> {
        let end = output.end().div_ceil(4);
        let (before, rest) = arena.split_at_mut_checked(output.offset / 4)?;
        let (output, behind) = rest.split_at_mut_checked(end.checked_sub(before.len())?)?;
        Some((Self { before, behind, end }, output))
    }

    /// The bytes of a tensor; `None` where it shares some with the one taken out.
    fn values(&self, tensor: &Tensor) -> Option<&'w [i8]> {
        let words = match (tensor.offset / 4).checked_sub(self.end) {
            Some(start) => self.behind.get(start..),
            None => self.before.get(tensor.offset / 4..),
        };
        words::as_i8(words?).get(..tensor.bytes())
    }
}
