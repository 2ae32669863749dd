//! Int8 kernels: arithmetic on slices, each op with one signature, in a form that defines it and in faster forms.
//!
//! | module | holds |
//! |---|---|
//! | [`mod@reference`] | the definition of each op, written as its formula |
//! | [`optimized`] | one algorithm over a small inner form: plain Rust for every core, SMLAD for cores with DSP |
//! | [`dsp`] | the instructions that the DSP form is made of; plain Rust elsewhere |
//! | [`packing`] | how the weights lie for each form |
//! | [`variants`] | the table of forms, which the plan chooses from and the tests walk |
//!
//! Inputs are NHWC with N = 1. All forms are equal bit for bit. A kernel trusts its parameters: `Model::parse` has
//! checked them, and a slice that is too short is a panic here, never a wrong access.

pub mod dsp;
pub mod optimized;
pub mod packing;
pub mod reference;
mod shape;
mod stage;
pub mod variants;

pub use shape::{Shape, Window};
pub use stage::OutputStage;

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
    /// `[output][input]`, packed as [`packing`] says.
    pub weights: &'a [i8],
    /// One entry an output.
    pub stage: OutputStage<'a>,
}
