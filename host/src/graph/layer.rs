//! The layers of a recipe.

use serde::{Deserialize, Serialize};

/// One layer of a network, as a recipe writes it, e.g. `{ type = "conv2d", filters = 32, kernel = 3, activation = "relu" }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Layer {
    /// Square-kernel 2-D convolution over NCHW activations; weights OIHW in the float graph.
    Conv2d {
        /// Output channels.
        filters: usize,
        /// Height and width of the kernel.
        kernel: usize,
        #[serde(default = "one")]
        stride: usize,
        #[serde(default)]
        padding: Padding,
        #[serde(default)]
        activation: Activation,
    },
    /// Max-pool with stride = size, rounding down.
    MaxPool2d { size: usize },
    /// Everything but the batch in one dimension.
    Flatten,
    /// Fully connected.
    Dense {
        units: usize,
        #[serde(default)]
        activation: Activation,
    },
    /// Dropout while training (inverted: kept values are divided by `1 − rate`).
    Dropout { rate: f32 },
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
}

fn one() -> usize {
    1
}
