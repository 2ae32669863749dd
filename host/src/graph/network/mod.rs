//! From a recipe's layers to graph nodes.
//!
//! | module | holds |
//! |---|---|
//! | here | what a network is; parameters, masks |
//! | `layers` | one layer checked against what flows into it |
//! | `inference` | the float model: one ONNX operator a layer or activation |
//! | `training` | the forward pass of a step, in the form whose backward pass is fastest |
//! | `sequence` | embedding and LSTM in both forms |

mod inference;
mod layers;
mod sequence;
mod training;

pub use training::Forward;

use super::builder::{Graph, Value};
use super::layer::{Activation, LEAK, Layer, Pooling};
use super::ops::Conv2d;
use anyhow::{Context, Result, bail};

/// Rows of a codebook: one byte chooses.
pub const CODES: usize = 256;

/// What a network reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// [channels, height, width]; values in 0…1, or in −1…1 for a discriminator.
    Image([usize; 3]),
    /// So many values, drawn from a normal distribution.
    Latent(usize),
    /// Numbers below `vocabulary`; a training step reads `span` of them, in front of which −1 stands where a text is shorter.
    Tokens { vocabulary: usize, span: usize },
}

/// A network whose shapes fit together.
#[derive(Clone, Debug)]
pub struct Network {
    input: Input,
    outputs: usize,
    /// What follows the last layer.
    last: Activation,
    stages: Vec<Stage>,
    parameters: Vec<Parameter>,
    masks: Vec<Mask>,
}

/// A trained tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Layer and role: `conv1.weight`, `dense2.bias`.
    pub name: String,
    /// Convolution weights [O, C, h, w], those of a transposed one [C, O, h, w], dense weights [out, in], biases [out], all of a
    /// batch norm [O]; an embedding [vocabulary, dimensions] or its
    /// codebooks [256 · bytes, dimensions / bytes]; of an LSTM, weights [4H, D], recurrent weights [4H, H] and bias [4H].
    pub shape: Vec<usize>,
    pub role: Role,
}

/// What a parameter does, which decides how it starts and whether it decays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    Weight {
        /// Values that flow into one output.
        fan_in: usize,
        /// Outputs that one value flows into.
        fan_out: usize,
        /// What follows.
        activation: Activation,
    },
    Bias,
    /// Factors of a batch norm.
    Scale,
    /// Running mean of what a batch norm got to see: a parameter that is measured, not trained.
    Mean,
    /// Running variance of the same.
    Variance,
    /// A row a token.
    Embedding,
    /// From the state of `units` values back to the gates.
    Recurrent {
        units: usize,
    },
    /// Biases of an LSTM's gates.
    Gates {
        units: usize,
    },
}

impl Role {
    /// Whether weight decay applies: to weights, not to biases.
    pub fn decays(self) -> bool {
        matches!(self, Role::Weight { .. } | Role::Embedding | Role::Recurrent { .. })
    }

    /// Whether the optimizer changes it; the others are running means of what [`Forward::statistics`] says.
    pub fn is_trained(self) -> bool {
        !matches!(self, Role::Mean | Role::Variance)
    }
}

/// A dropout mask that a training graph reads: 0 where a value is dropped, `1 / (1 − rate)` elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Mask {
    pub name: String,
    /// Without the batch.
    pub shape: Vec<usize>,
    pub rate: f32,
    /// Whether all samples of a batch share one, rather than have one each.
    pub shared: bool,
}

/// What convolutions and dense layers have alike.
#[derive(Clone, Debug)]
struct Weighted {
    name: String,
    /// Index of the weights. Behind them follow the bias or, with `norm`, a batch norm's scale, shift, mean and variance.
    weights: usize,
    norm: bool,
    activation: Activation,
}

/// A layer with everything worked out.
#[derive(Clone, Debug)]
enum Stage {
    Conv {
        layer: Weighted,
        conv: Conv2d,
        kernel: usize,
        channels: usize,
    },
    /// `conv` is the convolution that leads back.
    ConvTranspose {
        layer: Weighted,
        conv: Conv2d,
    },
    Dense {
        layer: Weighted,
    },
    /// A vector as an image: channels, height, width.
    Reshape([usize; 3]),
    Pool {
        name: String,
        size: usize,
    },
    /// Mean over all places, then a vector.
    Average {
        name: String,
    },
    Flatten,
    Dropout {
        mask: usize,
    },
    Embedding(Embedding),
    Lstm(Lstm),
}

#[derive(Clone, Debug)]
struct Embedding {
    name: String,
    dimensions: usize,
    /// Index of the table or of the codebooks.
    weights: usize,
    /// Of an embedding by codes: [vocabulary][bytes].
    codes: Option<Vec<u8>>,
    /// Codes a word; 0 without.
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Lstm {
    name: String,
    units: usize,
    /// Index of the weights; recurrent weights and bias follow.
    weights: usize,
    /// Mask on the state that each step reads.
    state_mask: Option<usize>,
    /// Mask on the recurrent weights.
    weight_mask: Option<usize>,
    pooling: Pooling,
}

/// What flows from one layer to the next.
#[derive(Clone, Copy, Debug)]
enum Flow {
    /// Channels, height, width.
    Image([usize; 3]),
    Vector(usize),
    Tokens,
    /// Of so many values a step.
    Sequence(usize),
}

impl Network {
    /// Works out all shapes.
    ///
    /// # Errors
    /// Names the layer whose shape cannot be.
    pub fn new(layers: &[Layer], input: Input) -> Result<Self> {
        Self::with_codes(layers, input, None)
    }

    /// As [`new`](Self::new); with `codes` [vocabulary][bytes], the embedding's rows are made of rows of codebooks, and it is
    /// those that are trained.
    ///
    /// # Errors
    /// Names the layer whose shape cannot be.
    pub fn with_codes(layers: &[Layer], input: Input, codes: Option<&[u8]>) -> Result<Self> {
        let mut network = Network {
            input,
            outputs: 0,
            last: Activation::Linear,
            stages: Vec::new(),
            parameters: Vec::new(),
            masks: Vec::new(),
        };
        let mut flow = match input {
            Input::Image(shape) => Flow::Image(shape),
            Input::Latent(values) => Flow::Vector(values),
            Input::Tokens { .. } => Flow::Tokens,
        };
        for (index, layer) in layers.iter().enumerate() {
            let at = || format!("layer {} ({})", index + 1, layer.kind());
            flow = network.add(layer, flow, codes).with_context(at)?;
        }
        network.outputs = match (flow, input) {
            (Flow::Vector(outputs), _) => outputs,
            // A generator draws.
            (Flow::Image(shape), Input::Latent(_)) => shape.iter().product(),
            _ => bail!("the last layer gives no vector; end with a dense layer"),
        };
        if let Some(Stage::Dense { layer }) = network.stages.last_mut() {
            network.last = std::mem::take(&mut layer.activation);
        }
        Ok(network)
    }

    /// What the network reads.
    pub fn input(&self) -> Input {
        self.input
    }

    /// Number of values that the last layer gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The parameters, in the order in which both forms of the forward pass want them.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The dropout masks, in the order in which [`forward_training`](Self::forward_training) wants them.
    pub fn masks(&self) -> &[Mask] {
        &self.masks
    }

    /// Name of what [`inference`](Self::inference) gives.
    pub fn output_name(&self) -> &'static str {
        match (self.input, self.last) {
            (Input::Latent(_), _) => "output",
            (_, Activation::Linear) => "logits",
            _ => "output",
        }
    }
}

/// Layers that have one form.
fn simple(graph: &mut Graph, stage: &Stage, x: Value) -> Result<Value> {
    match stage {
        Stage::Pool { name, size } => {
            graph.scope(name);
            graph.max_pool2d(x, *size)
        }
        Stage::Average { name } => {
            graph.scope(name);
            let y = graph.global_average_pool(x)?;
            graph.flatten(y)
        }
        Stage::Flatten => {
            graph.scope("");
            graph.flatten(x)
        }
        Stage::Reshape(shape) => {
            graph.scope("");
            graph.unflatten(x, *shape)
        }
        Stage::Conv { .. }
        | Stage::ConvTranspose { .. }
        | Stage::Dense { .. }
        | Stage::Dropout { .. }
        | Stage::Embedding(_)
        | Stage::Lstm(_) => {
            unreachable!("both forms of the forward pass handle these")
        }
    }
}

fn activate(graph: &mut Graph, x: Value, activation: Activation) -> Result<Value> {
    match activation {
        Activation::Linear => Ok(x),
        Activation::Relu => graph.relu(x),
        Activation::Sigmoid => graph.sigmoid(x),
        Activation::Tanh => graph.tanh(x),
        Activation::LeakyRelu => graph.leaky_relu(x, LEAK),
    }
}
