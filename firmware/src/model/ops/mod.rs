//! From op records to the kernels' parameters: one file an operator, which holds all of its checks.

mod add;
mod average_pool2d;
mod built;
mod concat;
mod conv2d;
mod conv_transpose2d;
mod dense;
mod depthwise_conv2d;
mod embedding;
mod lookup;
mod lstm;
mod max_pool2d;
mod multiply;
mod output_stage;
mod slice;

use super::format::{
    NO_TENSOR, OP_ADD, OP_AVERAGE_POOL2D, OP_CONCAT, OP_CONV_TRANSPOSE2D, OP_CONV2D, OP_DENSE, OP_DEPTHWISE_CONV2D,
    OP_EMBEDDING, OP_LOOKUP, OP_LSTM, OP_MAX_POOL2D, OP_MULTIPLY, OP_SLICE, OpRecord, PREFER_FLASH, PREFER_RAM,
    PREFER_SPEED, Span,
};
pub(crate) use built::built;

use super::{Element, Error, Model, Tensor};
use crate::kernels::variants::{Variant, variant};
use crate::kernels::{
    Add, AveragePool2d, Concat, Conv2d, ConvTranspose2d, Dense, DepthwiseConv2d, Embedding, Lookup, Lstm, MaxPool2d,
    Multiply, Slice,
};

/// One step of a model.
#[derive(Clone, Copy)]
pub struct Op<'m> {
    /// Index of the tensor read first.
    pub input: u16,
    /// Indices of further activations read: a second one by a sum or a product, a second and perhaps a third one by a concatenation.
    pub others: [Option<u16>; 2],
    /// Index of the tensor written; an LSTM's hidden state, which it also reads.
    pub output: u16,
    /// Index of an LSTM's cell state.
    pub cell: Option<u16>,
    /// The kernels that the weights are packed for.
    pub variant: &'static Variant,
    /// What counts most when they are packed for a core.
    pub preference: Preference,
    /// What the op computes.
    pub parameters: Parameters<'m>,
    /// Bytes of scratch that it needs, a multiple of 4.
    pub scratch_bytes: usize,
    /// What the parameters span, in the order of the file.
    pub(super) data: [Span; 3],
}

/// What counts most when an op's weights are packed for a core, which may have kernels of more than one form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preference {
    /// A short model.
    #[default]
    Flash,
    /// A quick inference.
    Speed,
    /// Little scratch.
    Ram,
}

impl Preference {
    fn from_code(code: u8) -> Option<Self> {
        match code {
            PREFER_FLASH => Some(Self::Flash),
            PREFER_SPEED => Some(Self::Speed),
            PREFER_RAM => Some(Self::Ram),
            _ => None,
        }
    }

    /// One of `PREFER_…`.
    pub fn code(self) -> u8 {
        match self {
            Self::Flash => PREFER_FLASH,
            Self::Speed => PREFER_SPEED,
            Self::Ram => PREFER_RAM,
        }
    }
}

/// What an op computes.
#[derive(Clone, Copy, Debug)]
pub enum Parameters<'m> {
    /// Convolution with fused ReLU and max-pool.
    Conv2d(Conv2d<'m>),
    /// Convolution of each channel by itself.
    DepthwiseConv2d(DepthwiseConv2d<'m>),
    /// Transposed convolution.
    ConvTranspose2d(ConvTranspose2d<'m>),
    /// Sum of two activations.
    Add(Add),
    /// Product of two activations.
    Multiply(Multiply),
    /// Activations one behind the other.
    Concat(Concat),
    /// Some of an activation's rows, columns and channels.
    Slice(Slice),
    /// Max-pool on its own.
    MaxPool2d(MaxPool2d),
    /// Mean of the values under a window.
    AveragePool2d(AveragePool2d<'m>),
    /// Matrix–vector product.
    Dense(Dense<'m>),
    /// A function of each value by itself.
    Lookup(Lookup<'m>),
    /// Row of a table.
    Embedding(Embedding<'m>),
    /// One step of an LSTM.
    Lstm(Lstm<'m>),
}

/// What an operator's file reads from.
struct Context<'m> {
    bytes: &'m [u8],
    /// Index of the op, for errors.
    op: u16,
    record: &'m OpRecord,
    variant: &'static Variant,
    input: Tensor,
    output: Tensor,
}

/// What an operator's file gives.
struct Decoded<'m> {
    parameters: Parameters<'m>,
    data: [Span; 3],
    scratch_bytes: usize,
}

impl<'m> Op<'m> {
    pub(super) fn decode(model: &Model<'m>, index: u16) -> Result<Self, Error> {
        let record = model.ops.get(usize::from(index)).ok_or(Error::NoSuchOp { op: index })?;
        let [input, second, third] = record.inputs.map(|index| index.get());
        let output = record.output.get();
        let cell = (record.kind == OP_LSTM).then_some(second);
        let [takes_second, takes_third] =
            [matches!(record.kind, OP_ADD | OP_MULTIPLY | OP_CONCAT), record.kind == OP_CONCAT];
        let other = |takes: bool, tensor: u16| Some(tensor).filter(|_| takes && tensor != NO_TENSOR);
        let others = [other(takes_second, second), other(takes_third, third)];
        let unread = |takes: bool, tensor: u16| !takes && tensor != NO_TENSOR;
        if unread(takes_second || cell.is_some(), second) || unread(takes_third, third) {
            return Err(Error::Parameters { op: index });
        }
        if record.reserved != 0 || record.reserved2.get() != 0 {
            return Err(Error::ReservedNotZero);
        }
        let variant = variant(record.packing).ok_or(Error::UnknownPacking { op: index })?;
        let preference = Preference::from_code(record.preference).ok_or(out_of_range(index))?;
        let context = Context {
            bytes: model.bytes,
            op: index,
            record,
            variant,
            input: model.tensor(input)?,
            output: model.tensor(output)?,
        };
        let Decoded { parameters, data, scratch_bytes } = match record.kind {
            OP_CONV2D if built(OP_CONV2D) => conv2d::decode(&context)?,
            OP_DEPTHWISE_CONV2D if built(OP_DEPTHWISE_CONV2D) => depthwise_conv2d::decode(&context)?,
            OP_CONV_TRANSPOSE2D if built(OP_CONV_TRANSPOSE2D) => conv_transpose2d::decode(&context)?,
            OP_ADD if built(OP_ADD) => add::decode(&context, model.tensor(second)?)?,
            OP_MULTIPLY if built(OP_MULTIPLY) => multiply::decode(&context, model.tensor(second)?)?,
            OP_CONCAT if built(OP_CONCAT) => concat::decode(&context, model, others)?,
            OP_SLICE if built(OP_SLICE) => slice::decode(&context)?,
            OP_MAX_POOL2D if built(OP_MAX_POOL2D) => max_pool2d::decode(&context)?,
            OP_AVERAGE_POOL2D if built(OP_AVERAGE_POOL2D) => average_pool2d::decode(&context)?,
            OP_DENSE if built(OP_DENSE) => dense::decode(&context)?,
            OP_LOOKUP if built(OP_LOOKUP) => lookup::decode(&context)?,
            OP_EMBEDDING if built(OP_EMBEDDING) => embedding::decode(&context)?,
            OP_LSTM if built(OP_LSTM) => lstm::decode(&context, model.tensor(second)?)?,
            _ => return Err(Error::UnknownOp { op: index }),
        };
        Ok(Op { input, others, output, cell, variant, preference, parameters, scratch_bytes, data })
    }

    /// What is checked once and not whenever the op runs: that no multiplier is negative.
    pub(super) fn check_values(&self, index: u16) -> Result<(), Error> {
        let stage = match self.parameters {
            Parameters::Conv2d(conv) => conv.stage,
            Parameters::DepthwiseConv2d(conv) => conv.stage,
            Parameters::ConvTranspose2d(conv) => conv.stage,
            Parameters::AveragePool2d(pool) => pool.stage,
            Parameters::Dense(dense) | Parameters::Lstm(Lstm { gates: dense, .. }) => dense.stage,
            _ => return Ok(()),
        };
        if stage.multipliers.iter().any(|multiplier| *multiplier < 0) { Err(out_of_range(index)) } else { Ok(()) }
    }

    /// Multiply–accumulates that the op asks for, places that a floor-mode pool drops not counted.
    pub fn macs(&self) -> u64 {
        match self.parameters {
            Parameters::Conv2d(conv) => {
                let pooled = conv.pool[0] * conv.pool[1];
                conv.output.elements() as u64 * pooled as u64 * conv.taps() as u64
            }
            Parameters::Dense(dense) => dense.macs(),
            Parameters::Lstm(lstm) => lstm.gates.macs(),
            Parameters::DepthwiseConv2d(conv) => {
                conv.output.elements() as u64 * (conv.window.kernel[0] * conv.window.kernel[1]) as u64
            }
            Parameters::ConvTranspose2d(conv) => ConvTranspose2d::macs(conv.input, conv.output, conv.window),
            Parameters::Multiply(multiply) => multiply.shape.elements() as u64,
            Parameters::Add(_)
            | Parameters::Concat(_)
            | Parameters::Slice(_)
            | Parameters::MaxPool2d(_)
            | Parameters::AveragePool2d(_)
            | Parameters::Lookup(_)
            | Parameters::Embedding(_) => 0,
        }
    }

    /// Indices of all activations that it reads; states are not among them.
    pub fn inputs(&self) -> impl Iterator<Item = u16> + use<> {
        [Some(self.input)].into_iter().chain(self.others).flatten()
    }

    /// Indices of the tensors whose values last from run to run; none for an op without states.
    pub fn states(&self) -> impl Iterator<Item = u16> + use<> {
        let hidden = self.cell.map(|_| self.output);
        [self.cell, hidden].into_iter().flatten()
    }
}

impl Context<'_> {
    fn require(&self, holds: bool, error: fn(u16) -> Error) -> Result<(), Error> {
        if holds { Ok(()) } else { Err(error(self.op)) }
    }
}

/// Whether the integers of both, `i8`, mean the same numbers, so that they may be copied.
fn same_meaning(a: Tensor, b: Tensor) -> bool {
    a.element == Element::I8
        && b.element == Element::I8
        && a.zero_point == b.zero_point
        && a.scale.to_bits() == b.scale.to_bits()
}

fn shape_mismatch(op: u16) -> Error {
    Error::ShapeMismatch { op }
}

fn out_of_range(op: u16) -> Error {
    Error::Parameters { op }
}
