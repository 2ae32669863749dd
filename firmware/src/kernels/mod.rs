//! Int8 kernels: arithmetic on slices, each op with one signature, in a form that defines it and in faster forms.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@reference`] | the definition of each op, written as its formula |
//! | [`gates`] | from the accumulators of an LSTM's gates to its states |
//! | [`optimized`] | one algorithm over a small inner form: plain Rust for every core, four rows at a time for a Cortex-M0, SMLAD for cores with DSP, VMLADAVA for those with Helium |
//! | [`dsp`] | the instructions that the DSP form is made of; plain Rust elsewhere |
//! | [`fours`] | the loops that the Cortex-M0's form is made of; plain Rust elsewhere |
//! | [`mve`] | the loops that the Helium form is made of; plain Rust elsewhere |
//! | [`packing`] | how the weights lie for each form |
//! | [`variants`] | the table of forms, which the plan chooses from and the tests walk |
//!
//! Inputs are NHWC with N = 1. All forms are equal bit for bit. A kernel trusts its parameters: `Model::parse` has
//! checked them, and a slice that is too short is a panic here, never a wrong access.

pub mod dsp;
pub mod fours;
pub mod gates;
pub mod mve;
pub mod optimized;
pub mod packing;
pub mod reference;
mod shape;
mod stage;
pub mod variants;

pub use shape::{Shape, Window};
pub use stage::OutputStage;

use crate::words;

/// 2-D convolution with fused ReLU (through the output's bounds) and floor-mode max-pool.
///
/// Outputs of the convolution that lie outside every pool window are never computed.
#[derive(Clone, Copy, Debug)]
pub struct Conv2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output, behind the pool.
    pub output: Shape,
    /// Kernel, stride and padding; padded places hold `input_zero_point`.
    pub window: Window,
    /// Height and width of the pool's window, which is also its stride; `[1, 1]` for none.
    pub pool: [usize; 2],
    /// Value of padded places.
    pub input_zero_point: i8,
    /// OHWI, packed as [`packing`] says.
    pub weights: &'a [i8],
    /// One entry an output channel.
    pub stage: OutputStage<'a>,
}

impl Conv2d<'_> {
    /// Inputs that one output of the convolution sums over: `kernel height · kernel width · input channels`.
    pub fn taps(&self) -> usize {
        self.window.kernel[0] * self.window.kernel[1] * self.input.channels
    }
}

/// 2-D convolution that keeps channels apart: output channel `c` sees input channel `c` alone.
#[derive(Clone, Copy, Debug)]
pub struct DepthwiseConv2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output, of as many channels.
    pub output: Shape,
    /// Kernel, stride and padding; padded places hold `input_zero_point`.
    pub window: Window,
    /// Value of padded places.
    pub input_zero_point: i8,
    /// `[channel][kernel row][kernel column]`, in every packing.
    pub weights: &'a [i8],
    /// One entry a channel.
    pub stage: OutputStage<'a>,
}

/// Transposed 2-D convolution: `y[o] = table[requantize(bias[phase, o] + Σ w[k, o, c] · x[i, c])]` over the kernel's places `k` and
/// the input's places `i` with `stride · i + k = place + padding`; places outside the input hold `input_zero_point`.
#[derive(Clone, Copy, Debug)]
pub struct ConvTranspose2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Kernel, stride, and what is cut off at each side: those of the convolution from the output to the input.
    pub window: Window,
    /// Value of places outside the input.
    pub input_zero_point: i8,
    /// For each pair of [phases](Phase) OHWI with the taps in the order of the inputs, packed as a convolution's.
    pub weights: &'a [i8],
    /// One entry an output channel; of biases, so many for each pair of phases.
    pub stage: OutputStage<'a>,
    /// Through which each output goes.
    pub table: Option<&'a [i8; 256]>,
}

impl<'a> ConvTranspose2d<'a> {
    /// The phases of rows and columns, in the order of the weights.
    pub fn phases(window: Window) -> impl Iterator<Item = [Phase; 2]> {
        let [vertical, horizontal] = window.stride;
        (0..vertical * horizontal)
            .map(move |number| [Phase::rows(window, number / horizontal), Phase::columns(window, number % horizontal)])
    }

    /// Multiply–accumulates, those with places outside the input counted.
    pub fn macs(input: Shape, output: Shape, window: Window) -> u64 {
        let places = |[row, column]: [Phase; 2]| {
            let rows = row.outputs(output.height) * row.taps;
            (rows * column.outputs(output.width) * column.taps) as u64
        };
        Self::phases(window).map(places).sum::<u64>() * (input.channels * output.channels) as u64
    }

    /// Shape of the output for so many channels; `None` where the window cannot be.
    pub fn output_shape(input: Shape, window: Window, channels: usize) -> Option<Shape> {
        let Window { kernel, stride, padding: [top, left, bottom, right] } = window;
        let side = |input: usize, axis: usize, before: usize, behind: usize| {
            let most = kernel[axis].checked_sub(stride[axis])?;
            if stride[axis] == 0 || before > most || behind > most {
                return None;
            }
            let whole = input.checked_sub(1)?.checked_mul(stride[axis])?.checked_add(kernel[axis])?;
            whole.checked_sub(before + behind).filter(|side| *side > 0)
        };
        Some(Shape { height: side(input.height, 0, top, bottom)?, width: side(input.width, 1, left, right)?, channels })
    }

    /// Biases and the rest of the stage for pair number `number` of phases.
    fn phase_stage(&self, number: usize) -> OutputStage<'a> {
        let channels = self.output.channels;
        OutputStage { bias: &self.stage.bias[number * channels..][..channels], ..self.stage }
    }
}

/// One phase of a transposed convolution in one direction: the outputs `number`, `number + stride`, … The `q`-th of them sees the
/// inputs from `q − lead` on, one for each tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Phase {
    /// Which of the outputs up to the stride is the first.
    pub number: usize,
    /// Outputs from one to the next.
    pub stride: usize,
    /// Row or column of the kernel that meets the last input seen; each tap before lies a stride further.
    pub first: usize,
    /// How many there are.
    pub taps: usize,
    /// Inputs in front of number `q` that output `q` sees.
    pub lead: usize,
}

impl Phase {
    fn rows(window: Window, number: usize) -> Self {
        Self::new(number, window.stride[0], window.kernel[0], window.padding[0])
    }

    fn columns(window: Window, number: usize) -> Self {
        Self::new(number, window.stride[1], window.kernel[1], window.padding[1])
    }

    /// With at most `kernel − stride` places cut off in front, every output has a tap for the input that it stands on.
    const fn new(number: usize, stride: usize, kernel: usize, cut: usize) -> Self {
        let first = (number + cut) % stride;
        let taps = (kernel - first).div_ceil(stride);
        Self { number, stride, first, taps, lead: taps - 1 - (number + cut) / stride }
    }

    /// How many of `side` outputs are of this phase.
    pub const fn outputs(&self, side: usize) -> usize {
        side.saturating_sub(self.number).div_ceil(self.stride)
    }
}

/// Sum of two activations, each with a scale of its own:
/// `y = clamp((a·multipliers[0] + b·multipliers[1] + offset) >> shift)`, which cannot overflow for any `a` and `b`.
#[derive(Clone, Copy, Debug)]
pub struct Add {
    /// `round(scale · 2^shift / output scale)` of each input; a negative one subtracts.
    pub multipliers: [i32; 2],
    /// The integers that stand for 0.0 in the inputs.
    pub zero_points: [i8; 2],
    /// The integer that stands for 0.0 in the output.
    pub zero_point: i8,
    /// Bits behind the point of the sum, 0 to 30.
    pub shift: u8,
    /// Lower bound of the output.
    pub output_min: i8,
    /// Upper bound of the output, not below the lower one.
    pub output_max: i8,
}

impl Add {
    /// What a sum starts from, modulo 2³²: the output's zero point, a half, and the inputs' zero points taken away.
    fn offset(&self) -> i32 {
        self.exact_offset() as i32
    }

    fn exact_offset(&self) -> i64 {
        let [m, n] = self.multipliers.map(i64::from);
        let [a, b] = self.zero_points.map(i64::from);
        (i64::from(self.zero_point) << self.shift) + (1 << self.shift >> 1) - a * m - b * n
    }

    /// Whether every sum fits 32 bits.
    pub fn fits(&self) -> bool {
        let ends = self.multipliers.map(|m| [-128, 127].map(|value| value * i64::from(m)));
        let reach = |end: fn(i64, i64) -> i64| ends.into_iter().map(|[a, b]| end(a, b)).sum::<i64>();
        [reach(i64::min), reach(i64::max)].into_iter().all(|sum| i32::try_from(sum + self.exact_offset()).is_ok())
    }
}

/// Product of two activations, each side of the second as long as the first's, or 1.
#[derive(Clone, Copy, Debug)]
pub struct Multiply {
    /// Shape of the first one, and of the output.
    pub shape: Shape,
    /// Shape of the second one.
    pub other: Shape,
    /// The integers that stand for 0.0 in both.
    pub zero_points: [i8; 2],
    /// From products to outputs, in `0..2³¹`, see [`OutputStage`].
    pub multiplier: i32,
    /// Bits that a product is shifted left before the multiplication, 0 to 15.
    pub left_shift: u8,
    /// The integer that stands for 0.0 in the output.
    pub zero_point: i8,
    /// Lower bound of the output.
    pub output_min: i8,
    /// Upper bound of the output, not below the lower one.
    pub output_max: i8,
}

impl Multiply {
    /// Whether the second one has a value for each of the first's.
    pub fn reaches(&self) -> bool {
        let [own, other] = [self.shape, self.other].map(|shape| [shape.height, shape.width, shape.channels]);
        own.into_iter().zip(other).all(|(own, other)| other == own || other == 1)
    }
}

/// Activations one behind the other along an axis: for each of `count` places, a run of values of each input.
#[derive(Clone, Copy, Debug)]
pub struct Concat {
    /// Places in front of the axis.
    pub count: usize,
    /// The axis: 0 for rows, 1 for columns, 2 for channels; no kernel reads it.
    pub axis: usize,
    /// Values that each input has a place, at least one; zero where there is no third.
    pub runs: [usize; 3],
}

/// Some of an activation's rows, columns and channels.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// The first row, column and channel.
    pub starts: [usize; 3],
    /// How far apart rows, columns and channels are; 0 where the first one is repeated.
    pub steps: [usize; 3],
}

impl Slice {
    /// Whether the last row, column and channel are the input's, none of whose sides is zero.
    pub fn is_inside(&self) -> bool {
        let [from, to] = [self.input, self.output].map(|shape| [shape.height, shape.width, shape.channels]);
        // None is above 65,535, so that products fit 32 bits.
        (0..3).all(|axis| to[axis] > 0 && self.starts[axis] + (to[axis] - 1) * self.steps[axis] < from[axis])
    }
}

/// Max-pool on its own; padded places never win.
#[derive(Clone, Copy, Debug)]
pub struct MaxPool2d {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Kernel, stride and padding.
    pub window: Window,
}

/// Mean of the values under a window, requantized once: `stage` makes the output of `Σ (x − input_zero_point)` over the
/// places inside the input.
#[derive(Clone, Copy, Debug)]
pub struct AveragePool2d<'a> {
    /// Shape of the input.
    pub input: Shape,
    /// Shape of the output.
    pub output: Shape,
    /// Kernel, stride and padding; padded places add nothing.
    pub window: Window,
    /// The integer that stands for 0.0 in the input.
    pub input_zero_point: i8,
    /// Without biases; one multiplier, or one for each number of places that a window can have.
    pub stage: OutputStage<'a>,
}

impl AveragePool2d<'_> {
    /// The multiplier of a window with `places` places inside the input, at least one.
    fn multiplier(&self, places: usize) -> i32 {
        match *self.stage.multipliers {
            [multiplier] => multiplier,
            ref multipliers => multipliers[places - 1],
        }
    }
}

/// A function of each value by itself: sigmoid, tanh and whatever else 256 answers can say.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// Outputs for the inputs −128 to 127.
    pub table: &'a [i8; 256],
}

/// Matrix–vector product: `outputs × inputs` weights, one entry of the stage an output.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// Length of the input.
    pub inputs: usize,
    /// Length of the output.
    pub outputs: usize,
    /// `[output][input]`, packed as [`packing`] says; a core with DSP wants them at a multiple of four bytes.
    pub weights: &'a [i8],
    /// One entry an output.
    pub stage: OutputStage<'a>,
}

impl Dense<'_> {
    /// Multiply–accumulates.
    pub fn macs(&self) -> u64 {
        self.inputs as u64 * self.outputs as u64
    }
}

/// Row of a table that a token number chooses; row 0 for a token that has none.
#[derive(Clone, Copy, Debug)]
pub struct Embedding<'a> {
    /// Number of rows, at least 1.
    pub rows: usize,
    /// Values a row.
    pub width: usize,
    /// The rows.
    pub table: EmbeddingTable<'a>,
}

/// How the rows of an [`Embedding`] lie.
#[derive(Clone, Copy, Debug)]
pub enum EmbeddingTable<'a> {
    /// `[rows][width]`: the values themselves.
    I8(&'a [i8]),
    /// Values in −8..=7, two a byte, and a multiplier a row: `clamp((q · m + 4) >> 3, −128, 127)`.
    I4 {
        /// `[rows][⌈width / 2⌉]`, the first value in the low nibble.
        nibbles: &'a [u8],
        /// `[rows]`.
        multipliers: &'a [u8],
    },
    /// A row's parts stand in codebooks, 256 entries in each.
    Codes {
        /// `[rows][codes_per_row]`.
        codes: &'a [u8],
        /// `[codes_per_row][256][width / codes_per_row]`.
        codebooks: &'a [i8],
        /// A divisor of the width.
        codes_per_row: usize,
    },
}

/// One step of an LSTM, see [`gates`].
#[derive(Clone, Copy, Debug)]
pub struct Lstm<'a> {
    /// Length of each state.
    pub units: usize,
    /// All gates as one dense layer of `4 · units` logits over the input and the hidden state, one behind the other.
    /// Row `4·j + g` is gate `g` of unit `j`: input, output, forget, cell candidate.
    pub gates: Dense<'a>,
    /// The cell state is in units of `2^−cell_shift`, 8 to 15.
    pub cell_shift: u8,
}

impl Lstm<'_> {
    /// Length of the input.
    pub fn inputs(&self) -> usize {
        self.gates.inputs - self.units
    }

    /// Puts input and old hidden state one behind the other, where the new one can be written without harm to gates
    /// that are still to be computed. Gives them and what is left of the scratch.
    fn join<'s>(&self, input: &[i8], hidden: &[i8], scratch: &'s mut [u32]) -> (&'s [i8], &'s mut [u32]) {
        let (joined, rest) = scratch.split_at_mut(self.gates.inputs.div_ceil(4));
        let joined = &mut words::as_i8_mut(joined)[..self.gates.inputs];
        let (x, h) = joined.split_at_mut(self.gates.inputs - self.units);
        x.copy_from_slice(&input[..x.len()]);
        h.copy_from_slice(&hidden[..h.len()]);
        (joined, rest)
    }
}
