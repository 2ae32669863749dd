//! `models/<name>/recipe.toml`: what a model is trained on, how it is built and how it learns.

mod check;
mod fault;
mod load;
#[cfg(test)]
mod tests;

pub use check::Shape;
pub use fault::{Fault, Step};
pub use load::{Found, find};

use crate::graph::Layer;
use serde::{Deserialize, Serialize};

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Folder name under `models/`.
    pub name: String,
    pub data: Data,
    pub layers: Vec<Layer>,
    pub training: Training,
    #[serde(default)]
    pub augmentation: Augmentation,
}

/// Where the samples come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Data {
    pub source: Source,
    /// Samples held back from the end of the training set, to choose by.
    pub validation: usize,
    #[serde(default)]
    pub target: Target,
}

/// What the last layer is to give.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// A logit for each class.
    #[default]
    Class,
    /// The input again: an autoencoder.
    Input,
}

/// A data set that the tool knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// LeCun's handwritten digits, 60,000 + 10,000.
    Mnist,
    /// Digits that the tool draws itself.
    Strokes,
}

impl Source {
    /// As a recipe writes it; also the name of its folder below a folder of data sets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Strokes => "strokes",
        }
    }

    /// Height and width of a sample, pixels.
    pub fn image_size(self) -> [usize; 2] {
        match self {
            Self::Mnist | Self::Strokes => [28, 28],
        }
    }

    /// Channels of a sample.
    pub fn channels(self) -> usize {
        match self {
            Self::Mnist | Self::Strokes => 1,
        }
    }

    /// Name of each class.
    pub fn classes(self) -> Vec<String> {
        match self {
            Self::Mnist | Self::Strokes => (0..10).map(|digit| digit.to_string()).collect(),
        }
    }

    /// Samples in the training set, those for validation included.
    pub fn train_samples(self) -> usize {
        match self {
            Self::Mnist => 60_000,
            Self::Strokes => 30_000,
        }
    }

    /// Samples in the test set.
    pub fn test_samples(self) -> usize {
        match self {
            Self::Mnist => 10_000,
            Self::Strokes => 5_000,
        }
    }
}

/// How the model learns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Training {
    pub epochs: usize,
    /// Samples a step; the last, smaller batch of an epoch is dropped.
    pub batch: usize,
    /// Seeds initialisation, order, augmentation and dropout.
    pub seed: u64,
    pub loss: Loss,
    pub optimizer: Optimizer,
    #[serde(default)]
    pub schedule: Schedule,
    /// Decay of the exponential moving average of the weights, which is what gets exported; absent: the last weights.
    #[serde(default)]
    pub ema: Option<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Loss {
    /// Softmax cross-entropy, mean over the batch.
    CrossEntropy {
        /// ε: the target is `1 − ε + ε/K` for the class and `ε/K` elsewhere.
        #[serde(default)]
        label_smoothing: f32,
    },
    /// Binary cross-entropy of a sigmoid, mean over batch and outputs.
    BinaryCrossEntropy,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Optimizer {
    Sgd {
        rate: f32,
        #[serde(default)]
        momentum: f32,
    },
    /// Kingma & Ba 2015.
    Adam {
        rate: f32,
        #[serde(default = "beta1")]
        beta1: f32,
        #[serde(default = "beta2")]
        beta2: f32,
        #[serde(default = "epsilon")]
        epsilon: f32,
    },
    /// Loshchilov & Hutter 2019: weight decay apart from the gradient, for weights but not for biases.
    Adamw {
        rate: f32,
        #[serde(default = "beta1")]
        beta1: f32,
        #[serde(default = "beta2")]
        beta2: f32,
        #[serde(default = "epsilon")]
        epsilon: f32,
        decay: f32,
    },
    /// Zeiler 2012.
    Adadelta {
        rate: f32,
        #[serde(default = "rho")]
        rho: f32,
        #[serde(default = "epsilon")]
        epsilon: f32,
    },
}

/// Factor on the optimizer's rate over the steps of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum Schedule {
    #[default]
    Constant,
    /// Linear from 0 over the first `warm_up` (a fraction of all steps), then half a cosine to 0.
    Cosine {
        #[serde(default)]
        warm_up: f32,
    },
}

/// Random distortion of the training images; each bound is symmetric, each value drawn uniformly.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Augmentation {
    /// Degrees.
    pub rotation: f32,
    /// Pixels, in both directions.
    pub shift: f32,
    /// Relative: 0.12 scales by 0.88 to 1.12.
    pub scale: f32,
    /// Tangent of the angle.
    pub shear: f32,
    /// Largest displacement of the elastic distortion, pixels.
    pub elastic: f32,
    /// Probability that a random rectangle is erased.
    pub erasing: f32,
    /// Fraction of the run, at its end, with gentler distortion.
    pub finish: f32,
    /// Factor on every bound in that last part, where nothing is erased either.
    pub finish_strength: f32,
}

fn beta1() -> f32 {
    0.9
}

fn beta2() -> f32 {
    0.999
}

fn epsilon() -> f32 {
    1e-7
}

fn rho() -> f32 {
    0.95
}
