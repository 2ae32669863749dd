//! What is quantized: operators over NHWC activations, N = 1.

use super::affine::Affine;
use anyhow::{Result, bail};
pub use firmware::kernels::{Shape, Window};

/// One activation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    /// Unique, for people: the name of the node that makes it.
    pub name: String,
    /// Name of the ONNX value that holds the same numbers (NCHW there, NHWC here); none where fusing left no such value.
    pub value: Option<String>,
    pub shape: Shape,
}

/// Max-pool whose stride equals its window, fused behind a convolution (floor mode); `[1, 1]` is none.
pub type Pool = [usize; 2];

/// What an operator does; `P` is its weights and bias, [`Float`] or [`Int8`](super::Int8).
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<P> {
    /// Convolution, then ReLU, then max-pool.
    Conv2d { parameters: P, window: Window, relu: bool, pool: Pool },
    /// Max-pool; padded places never win.
    MaxPool2d { window: Window },
    /// A function of each value by itself.
    Lookup { function: Function },
    /// Matrix–vector product over the input flattened in NHWC order, then ReLU.
    Dense { parameters: P, relu: bool },
}

/// What a [`Kind::Lookup`] computes; on a device it is a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
}

impl Function {
    /// Its value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
        }
    }

    /// As ONNX calls it.
    pub fn onnx(self) -> &'static str {
        match self {
            Self::Sigmoid => "Sigmoid",
        }
    }

    /// Inputs beyond which the int8 output no longer changes, so that a range need not cover them.
    pub fn useful_inputs(self) -> [f32; 2] {
        match self {
            // Half a step from 0 and from 1: σ(±6.232) = ½ ± (½ − 1/510).
            Self::Sigmoid => [-6.232, 6.232],
        }
    }

    /// Scale and zero point of its output, whatever the inputs.
    pub fn output_affine(self) -> Affine {
        match self {
            // 0 and 1 are hit exactly.
            Self::Sigmoid => Affine::PIXEL,
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Op<P> {
    /// Name of the ONNX node that it came from.
    pub name: String,
    pub kind: Kind<P>,
    /// Indices into [`Network::tensors`].
    pub inputs: Vec<usize>,
    /// Index into [`Network::tensors`].
    pub output: usize,
}

/// Weights and bias of a convolution or dense layer, in float.
#[derive(Clone, Debug, PartialEq)]
pub struct Float {
    /// OHWI, or `[output][input]`.
    pub weights: Vec<f32>,
    /// One an output channel.
    pub bias: Vec<f32>,
}

/// A network whose operators stand in the order in which they run.
#[derive(Clone, Debug, PartialEq)]
pub struct Network<P> {
    pub name: String,
    pub tensors: Vec<Tensor>,
    pub ops: Vec<Op<P>>,
    /// Index of the tensor that the application fills.
    pub input: usize,
    /// Index of the tensor that holds the answer.
    pub output: usize,
}

impl<P> Network<P> {
    /// Shape of what `op` reads first.
    pub fn input_shape(&self, op: &Op<P>) -> Shape {
        self.tensors[op.inputs[0]].shape
    }

    /// Shape of what `op` writes.
    pub fn output_shape(&self, op: &Op<P>) -> Shape {
        self.tensors[op.output].shape
    }

    /// How often tensor `index` is read; the network's answer counts as read once more.
    pub fn readers(&self, index: usize) -> usize {
        let inputs = self.ops.iter().flat_map(|op| &op.inputs).filter(|&&input| input == index).count();
        inputs + usize::from(self.output == index)
    }

    /// Whether `op` writes logits: the dense layer without ReLU at the end, whose answer stays int32.
    pub fn is_logits(&self, op: &Op<P>) -> bool {
        op.output == self.output && matches!(op.kind, Kind::Dense { relu: false, .. })
    }

    /// Multiplications of `op` for one input; those of places that only a dropped row or column needs are not counted.
    pub fn macs(&self, op: &Op<P>) -> usize {
        let output = self.output_shape(op);
        let input = self.input_shape(op);
        match &op.kind {
            Kind::Conv2d { window, pool, .. } => {
                output.elements() * pool[0] * pool[1] * window.kernel[0] * window.kernel[1] * input.channels
            }
            Kind::Dense { .. } => input.elements() * output.elements(),
            Kind::MaxPool2d { .. } | Kind::Lookup { .. } => 0,
        }
    }

    /// The same network with other parameters: `convert` gets each op that has some.
    pub fn try_map<Q>(&self, mut convert: impl FnMut(&Op<P>, &P) -> Result<Q>) -> Result<Network<Q>> {
        let mut ops = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            let kind = match &op.kind {
                Kind::Conv2d { parameters, window, relu, pool } => {
                    Kind::Conv2d { parameters: convert(op, parameters)?, window: *window, relu: *relu, pool: *pool }
                }
                Kind::MaxPool2d { window } => Kind::MaxPool2d { window: *window },
                Kind::Lookup { function } => Kind::Lookup { function: *function },
                Kind::Dense { parameters, relu } => Kind::Dense { parameters: convert(op, parameters)?, relu: *relu },
            };
            ops.push(Op { name: op.name.clone(), kind, inputs: op.inputs.clone(), output: op.output });
        }
        let Self { name, tensors, input, output, .. } = self;
        Ok(Network { name: name.clone(), tensors: tensors.clone(), ops, input: *input, output: *output })
    }
}

impl<P> Op<P> {
    /// Weights and bias, where the op has some.
    pub fn parameters(&self) -> Option<&P> {
        match &self.kind {
            Kind::Conv2d { parameters, .. } | Kind::Dense { parameters, .. } => Some(parameters),
            Kind::MaxPool2d { .. } | Kind::Lookup { .. } => None,
        }
    }

    /// Short name of what it does, e.g. `conv2d+relu+pool`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Conv2d { relu, pool, .. } => {
                let relu = if *relu { "+relu" } else { "" };
                let pool = if *pool == [1, 1] { "" } else { "+pool" };
                format!("conv2d{relu}{pool}")
            }
            Kind::MaxPool2d { .. } => "max_pool2d".into(),
            Kind::Lookup { function } => function.onnx().to_lowercase(),
            Kind::Dense { relu: true, .. } => "dense+relu".into(),
            Kind::Dense { relu: false, .. } => "dense".into(),
        }
    }
}

impl Network<Float> {
    /// Checks that every weight and bias is a finite number.
    pub fn check_finite(&self) -> Result<()> {
        for op in &self.ops {
            let Some(Float { weights, bias }) = op.parameters() else { continue };
            for (what, values) in [("weight", weights), ("bias", bias)] {
                if let Some(index) = values.iter().position(|v| !v.is_finite()) {
                    bail!(
                        "layer {}: {what} {index} is {}; train again from a checkpoint before the loss went wrong",
                        op.name,
                        values[index]
                    );
                }
            }
        }
        Ok(())
    }
}
