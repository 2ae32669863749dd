//! The layers of a recipe.

use serde::{Deserialize, Serialize};

/// One layer of a network, as a recipe writes it, e.g. `{ type = "conv2d", filters = 32, kernel = 3, activation = "relu" }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// Square-kernel 2-D convolution over NCHW activations; weights OIHW in the float graph.
    #[serde(rename_all = "kebab-case")]
    Conv2d {
        /// Output channels.
        filters: usize,
        /// Height and width of the kernel.
        kernel: usize,
        #[serde(default = "one")]
        stride: usize,
        #[serde(default)]
        padding: Padding,
        /// Whether batch norm stands between the convolution, which then has no bias, and the activation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        batch_norm: bool,
        #[serde(default)]
        activation: Activation,
    },
    /// Transposed convolution with a square kernel, at least as large as the stride; weights [in, out, h, w] in the float graph.
    /// `Same` gives `stride` times as many rows and columns.
    #[serde(rename = "conv-transpose2d", rename_all = "kebab-case")]
    ConvTranspose2d {
        /// Output channels.
        filters: usize,
        /// Height and width of the kernel.
        kernel: usize,
        #[serde(default = "one")]
        stride: usize,
        #[serde(default)]
        padding: Padding,
        /// Whether batch norm stands between the convolution, which then has no bias, and the activation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        batch_norm: bool,
        #[serde(default)]
        activation: Activation,
    },
    /// Max-pool with stride = size, rounding down.
    MaxPool2d { size: usize },
    /// Mean of each channel over all places, as a vector.
    GlobalAveragePool,
    /// Everything but the batch in one dimension.
    Flatten,
    /// A vector as an image, whose values it holds channel by channel: the opposite of flatten.
    Reshape { height: usize, width: usize, channels: usize },
    /// Fully connected.
    #[serde(rename_all = "kebab-case")]
    Dense {
        units: usize,
        /// Whether batch norm, of each unit, stands between the weights, which then have no bias, and the activation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        batch_norm: bool,
        #[serde(default)]
        activation: Activation,
    },
    /// Dropout while training (inverted: kept values are divided by `1 − rate`); in a sequence the same at every step.
    Dropout { rate: f32 },
    /// A vector for each token.
    Embedding { dimensions: usize },
    /// LSTM over a sequence, from zeros.
    #[serde(rename_all = "kebab-case")]
    Lstm {
        units: usize,
        /// Dropout on the state that each step reads, the same at every step.
        #[serde(default)]
        recurrent_dropout: f32,
        /// Dropout on the recurrent weights, the same for all samples of a batch (Wan et al. 2013).
        #[serde(default)]
        drop_connect: f32,
        #[serde(default)]
        pooling: Pooling,
    },
}

/// What an LSTM gives of its states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pooling {
    /// The last one.
    #[default]
    Last,
    /// Their mean.
    Mean,
}

impl Layer {
    /// As a recipe writes its type.
    pub fn kind(&self) -> &'static str {
        match self {
            Layer::Conv2d { .. } => "conv2d",
            Layer::MaxPool2d { .. } => "max-pool2d",
            Layer::ConvTranspose2d { .. } => "conv-transpose2d",
            Layer::GlobalAveragePool => "global-average-pool",
            Layer::Flatten => "flatten",
            Layer::Reshape { .. } => "reshape",
            Layer::Dense { .. } => "dense",
            Layer::Dropout { .. } => "dropout",
            Layer::Embedding { .. } => "embedding",
            Layer::Lstm { .. } => "lstm",
        }
    }
}

/// How a convolution treats the border.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Padding {
    /// No padding: the output shrinks.
    #[default]
    Valid,
    /// Zeros, so that the output has `ceil(input / stride)` rows and columns.
    Same,
}

/// Non-linearity behind a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activation {
    #[default]
    Linear,
    Relu,
    /// `1 / (1 + e⁻ˣ)`
    Sigmoid,
    Tanh,
    /// `x` where it is positive, 0.2 · x elsewhere.
    LeakyRelu,
}

/// Slope of [`Activation::LeakyRelu`] where its input is negative.
pub const LEAK: f32 = 0.2;

fn one() -> usize {
    1
}
