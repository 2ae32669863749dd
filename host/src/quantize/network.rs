//! What is quantized: operators over NHWC activations, N = 1.

use super::affine::Affine;
use super::bounds::Bounds;
use anyhow::{Result, bail};
use firmware::kernels::ConvTranspose2d;
pub use firmware::kernels::{Shape, Window};

/// One activation.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Unique, for people: the name of the node that makes it.
    pub name: String,
    /// Name of the ONNX value that holds the same numbers; none where fusing left no such value.
    pub value: Option<String>,
    pub shape: Shape,
    /// The axes of `shape` (rows, columns, channels: 0, 1, 2) in the order in which the ONNX value has them, the outermost
    /// first: `[2, 0, 1]` for NCHW.
    pub onnx_order: [usize; 3],
    /// Scale and zero point where a quantized model brings its own; else ranges decide.
    pub affine: Option<Affine>,
}

impl Tensor {
    /// The ONNX value's numbers as this tensor holds them.
    pub fn from_onnx(&self, values: &[f32]) -> Vec<f32> {
        onnx_indices(self.shape, self.onnx_order).into_iter().map(|index| values[index]).collect()
    }

    /// This tensor's numbers in the ONNX value's order.
    pub fn to_onnx(&self, values: &[f32]) -> Vec<f32> {
        let mut onnx = vec![0.0; values.len()];
        onnx_indices(self.shape, self.onnx_order)
            .into_iter()
            .zip(values)
            .for_each(|(index, value)| onnx[index] = *value);
        onnx
    }
}

/// For each value of a tensor of `shape`, the index by which ONNX counts it; `order` is that of [`Tensor::onnx_order`].
pub fn onnx_indices(shape: Shape, order: [usize; 3]) -> Vec<usize> {
    let sides = [shape.height, shape.width, shape.channels];
    let mut steps = [0; 3];
    let mut step = 1;
    for axis in order.into_iter().rev() {
        steps[axis] = step;
        step *= sides[axis];
    }
    let places = (0..shape.height).flat_map(|y| (0..shape.width).map(move |x| y * steps[0] + x * steps[1]));
    places.flat_map(|place| (0..shape.channels).map(move |channel| place + channel * steps[2])).collect()
}

/// Max-pool whose stride equals its window, fused behind a convolution (floor mode); `[1, 1]` is none.
pub type Pool = [usize; 2];

/// What an operator does; `P` is its weights and bias, [`Float`] or [`Int8`](super::Int8).
#[derive(Clone, Debug, PartialEq)]
pub enum Kind<P> {
    /// Convolution, then bounds (ReLU), then max-pool.
    Conv2d { parameters: P, window: Window, bounds: Bounds, pool: Pool },
    /// Convolution of each channel by itself, then bounds; the weights are `[channel][kernel row][kernel column]`.
    DepthwiseConv2d { parameters: P, window: Window, bounds: Bounds },
    /// Transposed convolution, then a function of each value; `window` is that of the convolution that leads back.
    ConvTranspose2d { parameters: P, window: Window, function: Option<Function> },
    /// Sum of its two inputs, the second one times −1 where `subtract`, then bounds.
    Add { subtract: bool, bounds: Bounds },
    /// Product of its two inputs, then bounds; each side of the second is as long as the first's, or 1.
    Multiply { bounds: Bounds },
    /// Two or three activations one behind the other along an axis: 0 for rows, 1 for columns, 2 for channels.
    Concat { axis: usize },
    /// Some rows, columns and channels: the first of each, and how far apart they are, 0 where the first one is repeated.
    Slice { starts: [usize; 3], steps: [usize; 3] },
    /// Mean over the window, then bounds; `padded` tells whether places in the padding count, as zeros.
    AveragePool2d { window: Window, padded: bool, bounds: Bounds },
    /// Max-pool; padded places never win.
    MaxPool2d { window: Window },
    /// A function of each value by itself.
    Lookup { function: Function },
    /// Matrix–vector product over the input flattened in NHWC order, then bounds.
    Dense { parameters: P, bounds: Bounds },
}

/// What a [`Kind::Lookup`] computes; on a device it is a table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Function {
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    /// `x`, in another scale.
    Identity,
    /// The nearest value within bounds, where no layer before can do it.
    Clip(Bounds),
    /// `x · clamp(x/6 + 1/2, 0, 1)`
    HardSwish,
    /// `clamp(alpha · x + beta, 0, 1)`
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    /// `x / (1 + e⁻ˣ)`, also called swish.
    Silu,
    Tanh,
    /// `x` where it is positive, `slope · x` elsewhere; the slope lies between 0 and 1.
    LeakyRelu {
        slope: f32,
    },
}

impl Function {
    /// Its value at `x`.
    pub fn apply(self, x: f32) -> f32 {
        match self {
            Self::Sigmoid => 1.0 / (1.0 + (-x).exp()),
            Self::Identity => x,
            Self::Clip(bounds) => bounds.apply(x),
            Self::HardSwish => x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::HardSigmoid { alpha, beta } => (alpha * x + beta).clamp(0.0, 1.0),
            Self::Silu => x / (1.0 + (-x).exp()),
            Self::Tanh => x.tanh(),
            Self::LeakyRelu { slope } => x.max(slope * x),
        }
    }

    /// Short name, for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sigmoid => "sigmoid",
            Self::Identity => "requantize",
            Self::Clip(_) => "clip",
            Self::HardSwish => "hard_swish",
            Self::HardSigmoid { .. } => "hard_sigmoid",
            Self::Silu => "silu",
            Self::Tanh => "tanh",
            Self::LeakyRelu { .. } => "leaky_relu",
        }
    }

    /// Inputs beyond which the int8 output no longer changes, so that a range need not cover them.
    pub fn useful_inputs(self) -> [f32; 2] {
        match self {
            // Half a step from 0 and from 1: σ(±6.232) = ½ ± (½ − 1/510).
            Self::Sigmoid => [-6.232, 6.232],
            Self::Clip(bounds) => [bounds.min, bounds.max],
            Self::HardSwish => [-3.0, f32::INFINITY],
            Self::HardSigmoid { alpha, beta } if alpha > 0.0 => [-beta / alpha, (1.0 - beta) / alpha],
            // Half a step from the outermost ones that are reached: tanh(±2.768) = ±126.5 · 2/255.
            Self::Tanh => [-2.768, 2.768],
            Self::Identity | Self::Silu | Self::HardSigmoid { .. } | Self::LeakyRelu { .. } => {
                [f32::NEG_INFINITY, f32::INFINITY]
            }
        }
    }

    /// Scale and zero point of its output where they are the same whatever the inputs.
    pub fn output_affine(self) -> Option<Affine> {
        match self {
            // 0 and 1 are hit exactly.
            Self::Sigmoid | Self::HardSigmoid { .. } => Some(Affine::PIXEL),
            Self::Tanh => Some(Affine::over(-1.0, 1.0)),
            Self::Identity | Self::Clip(_) | Self::HardSwish | Self::Silu | Self::LeakyRelu { .. } => None,
        }
    }

    /// Whether a layer can take the function in: then its range before follows from that behind.
    pub fn joins(self) -> bool {
        matches!(self, Self::LeakyRelu { .. } | Self::Tanh | Self::Sigmoid)
    }

    /// Scale and zero point before a function that has joined its layer, for those behind it: what the int8 outputs are made of.
    pub fn input_affine(self, output: Affine) -> Affine {
        match self {
            Self::LeakyRelu { slope } => Affine::over(output.dequantize(-128).min(0.0) / slope, output.dequantize(127)),
            function => {
                let [least, most] = function.useful_inputs();
                Affine::over(least, most)
            }
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
    /// Scales of the weights, one an output channel, where a quantized model brings its own.
    pub weight_scales: Option<Vec<f32>>,
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
    /// Dimensions of ONNX's input, the batch of 1 in front.
    pub input_sides: Vec<usize>,
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

    /// The values of tensor `index` that make a difference: where a table alone reads it, those that the table can tell apart.
    pub fn useful_values(&self, index: usize) -> [f32; 2] {
        let reader = self.ops.iter().find(|op| op.inputs.contains(&index)).map(|op| &op.kind);
        match reader {
            Some(Kind::Lookup { function }) if self.readers(index) == 1 => function.useful_inputs(),
            _ => [f32::NEG_INFINITY, f32::INFINITY],
        }
    }

    /// Whether `op` writes logits: the dense layer without bounds at the end, whose answer stays int32.
    pub fn is_logits(&self, op: &Op<P>) -> bool {
        let is_last =
            op.output == self.output && self.readers(op.output) == 1 && self.tensors[op.output].affine.is_none();
        is_last && matches!(op.kind, Kind::Dense { bounds, .. } if bounds.is_none())
    }

    /// Whether tensor `index` holds int32 logits on a device.
    pub fn is_i32(&self, index: usize) -> bool {
        self.ops.iter().any(|op| op.output == index && self.is_logits(op))
    }

    /// Bytes of tensor `index` on a device.
    pub fn tensor_bytes(&self, index: usize) -> usize {
        self.tensors[index].shape.elements() * if self.is_i32(index) { 4 } else { 1 }
    }

    /// Multiplications of `op` for one input; those of places that only a dropped row or column needs are not counted.
    pub fn macs(&self, op: &Op<P>) -> usize {
        let output = self.output_shape(op);
        let input = self.input_shape(op);
        match &op.kind {
            Kind::Conv2d { window, pool, .. } => {
                output.elements() * pool[0] * pool[1] * window.kernel[0] * window.kernel[1] * input.channels
            }
            Kind::ConvTranspose2d { window, .. } => ConvTranspose2d::macs(input, output, *window) as usize,
            Kind::Dense { .. } => input.elements() * output.elements(),
            Kind::DepthwiseConv2d { window, .. } => output.elements() * window.kernel[0] * window.kernel[1],
            Kind::Multiply { .. } => output.elements(),
            Kind::Add { .. }
            | Kind::Concat { .. }
            | Kind::Slice { .. }
            | Kind::AveragePool2d { .. }
            | Kind::MaxPool2d { .. }
            | Kind::Lookup { .. } => 0,
        }
    }

    /// The same network with other parameters: `convert` gets each op that has some.
    pub fn try_map<Q>(&self, mut convert: impl FnMut(&Op<P>, &P) -> Result<Q>) -> Result<Network<Q>> {
        let mut ops = Vec::with_capacity(self.ops.len());
        for op in &self.ops {
            let kind = match &op.kind {
                Kind::Conv2d { parameters, window, bounds, pool } => {
                    Kind::Conv2d { parameters: convert(op, parameters)?, window: *window, bounds: *bounds, pool: *pool }
                }
                Kind::DepthwiseConv2d { parameters, window, bounds } => {
                    Kind::DepthwiseConv2d { parameters: convert(op, parameters)?, window: *window, bounds: *bounds }
                }
                Kind::ConvTranspose2d { parameters, window, function } => {
                    Kind::ConvTranspose2d { parameters: convert(op, parameters)?, window: *window, function: *function }
                }
                Kind::Add { subtract, bounds } => Kind::Add { subtract: *subtract, bounds: *bounds },
                Kind::Multiply { bounds } => Kind::Multiply { bounds: *bounds },
                Kind::Concat { axis } => Kind::Concat { axis: *axis },
                Kind::Slice { starts, steps } => Kind::Slice { starts: *starts, steps: *steps },
                Kind::AveragePool2d { window, padded, bounds } => {
                    Kind::AveragePool2d { window: *window, padded: *padded, bounds: *bounds }
                }
                Kind::MaxPool2d { window } => Kind::MaxPool2d { window: *window },
                Kind::Lookup { function } => Kind::Lookup { function: *function },
                Kind::Dense { parameters, bounds } => {
                    Kind::Dense { parameters: convert(op, parameters)?, bounds: *bounds }
                }
            };
            let (name, inputs, weight_scales) = (op.name.clone(), op.inputs.clone(), op.weight_scales.clone());
            ops.push(Op { name, kind, inputs, output: op.output, weight_scales });
        }
        let Self { name, tensors, input, output, .. } = self;
        let input_sides = self.input_sides.clone();
        Ok(Network { name: name.clone(), tensors: tensors.clone(), ops, input: *input, input_sides, output: *output })
    }
}

impl<P> Op<P> {
    /// Weights and bias, where the op has some.
    pub fn parameters(&self) -> Option<&P> {
        match &self.kind {
            Kind::Conv2d { parameters, .. }
            | Kind::DepthwiseConv2d { parameters, .. }
            | Kind::ConvTranspose2d { parameters, .. }
            | Kind::Dense { parameters, .. } => Some(parameters),
            Kind::Add { .. }
            | Kind::Multiply { .. }
            | Kind::Concat { .. }
            | Kind::Slice { .. }
            | Kind::AveragePool2d { .. }
            | Kind::MaxPool2d { .. }
            | Kind::Lookup { .. } => None,
        }
    }

    /// As [`Self::parameters`], to change them.
    pub fn parameters_mut(&mut self) -> Option<&mut P> {
        match &mut self.kind {
            Kind::Conv2d { parameters, .. }
            | Kind::DepthwiseConv2d { parameters, .. }
            | Kind::ConvTranspose2d { parameters, .. }
            | Kind::Dense { parameters, .. } => Some(parameters),
            Kind::Add { .. }
            | Kind::Multiply { .. }
            | Kind::Concat { .. }
            | Kind::Slice { .. }
            | Kind::AveragePool2d { .. }
            | Kind::MaxPool2d { .. }
            | Kind::Lookup { .. } => None,
        }
    }

    /// What its output is clamped to; `None` for an op that cannot clamp.
    pub fn bounds_mut(&mut self) -> Option<&mut Bounds> {
        match &mut self.kind {
            Kind::Conv2d { bounds, .. }
            | Kind::DepthwiseConv2d { bounds, .. }
            | Kind::Add { bounds, .. }
            | Kind::Multiply { bounds }
            | Kind::AveragePool2d { bounds, .. }
            | Kind::Dense { bounds, .. } => Some(bounds),
            Kind::ConvTranspose2d { .. }
            | Kind::Concat { .. }
            | Kind::Slice { .. }
            | Kind::MaxPool2d { .. }
            | Kind::Lookup { .. } => None,
        }
    }

    /// Whether it has weights and a bias and nothing follows them, so that a factor and a shift for each channel can join them.
    pub fn is_affine(&self) -> bool {
        match &self.kind {
            Kind::Conv2d { bounds, pool, .. } => bounds.is_none() && *pool == [1, 1],
            Kind::DepthwiseConv2d { bounds, .. } | Kind::Dense { bounds, .. } => bounds.is_none(),
            Kind::ConvTranspose2d { function, .. } => function.is_none(),
            _ => false,
        }
    }

    /// Short name of what it does, e.g. `conv2d+relu+pool`.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Conv2d { bounds, pool, .. } => {
                let pool = if *pool == [1, 1] { "" } else { "+pool" };
                format!("conv2d{}{pool}", bounds.describe())
            }
            Kind::DepthwiseConv2d { bounds, .. } => format!("depthwise_conv2d{}", bounds.describe()),
            Kind::ConvTranspose2d { function, .. } => {
                format!(
                    "conv_transpose2d{}",
                    function.map_or(String::new(), |function| format!("+{}", function.name()))
                )
            }
            Kind::Add { subtract, bounds } => {
                format!("{}{}", if *subtract { "subtract" } else { "add" }, bounds.describe())
            }
            Kind::Multiply { bounds } => format!("multiply{}", bounds.describe()),
            Kind::Concat { .. } => "concat".into(),
            Kind::Slice { .. } => "slice".into(),
            Kind::AveragePool2d { bounds, .. } => format!("average_pool2d{}", bounds.describe()),
            Kind::MaxPool2d { .. } => "max_pool2d".into(),
            Kind::Lookup { function } => function.name().into(),
            Kind::Dense { bounds, .. } => format!("dense{}", bounds.describe()),
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
