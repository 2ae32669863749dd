//! `models/<name>/recipe.toml`: what a model is trained on, how it is built and how it learns.

mod adversary;
mod check;
mod fault;
mod load;
mod shapes;
mod source;
#[cfg(test)]
mod tests;

pub use adversary::Adversary;
pub use fault::{Fault, Step};
pub use load::{Found, find};
pub use shapes::Shape;
pub use source::Source;

use crate::graph::{Layer, Pooling};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A whole recipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Folder name under `models/`.
    pub name: String,
    pub data: Data,
    /// The net that is exported.
    pub layers: Vec<Layer>,
    /// Of a generator: what it learns against.
    #[serde(default)]
    pub adversary: Option<Adversary>,
    pub training: Training,
    /// What follows the training proper, one stage after the other.
    #[serde(default)]
    pub stages: Vec<Stage>,
    #[serde(default)]
    pub augmentation: Augmentation,
    /// How texts are read; for sources of texts.
    #[serde(default)]
    pub text: Option<Text>,
}

impl Recipe {
    /// Values a word, where the net has an embedding.
    pub fn embedding_dimensions(&self) -> Option<usize> {
        self.layers.iter().find_map(|layer| match layer {
            Layer::Embedding { dimensions } => Some(*dimensions),
            _ => None,
        })
    }
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
    /// A logit for each class; of two classes, the probability of the second will do.
    #[default]
    Class,
    /// The input again: an autoencoder.
    Input,
    /// One more sample like those: a generator, which draws from latent values.
    Sample,
}

/// How texts are read: token 0 is any word beyond the vocabulary, token k the word of rank k in the training texts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Text {
    /// Number of tokens.
    pub vocabulary: usize,
    /// Tokens of a text that a training step sees.
    pub span: usize,
    /// Which those are, of a longer text.
    #[serde(default)]
    pub part: Part,
    /// The model reads the last so many tokens of a text; absent: all of them.
    #[serde(default)]
    pub window: Option<usize>,
    /// Probability that a token is replaced by token 0 while training.
    #[serde(default)]
    pub word_dropout: f32,
    /// What the embedding starts from.
    #[serde(default)]
    pub vectors: Vectors,
    /// How the device stores the embedding.
    #[serde(default)]
    pub storage: Storage,
}

/// A part of a text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    /// Any, drawn at random.
    #[default]
    Any,
    /// The last one.
    Last,
}

/// What an embedding starts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Vectors {
    /// Noise.
    #[default]
    Random,
    /// Vectors of which words stand near which in the training texts: positive pointwise mutual information, cut to its
    /// largest singular values.
    Ppmi,
}

/// How the device stores an embedding of `dimensions` values a word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Storage {
    /// A byte a value.
    #[default]
    Int8,
    /// Half a byte a value, and a byte a word.
    FourBit,
    /// So many bytes a word, each of which chooses one of 256 parts of a vector (Jégou et al. 2011).
    Codes(usize),
}

impl std::str::FromStr for Storage {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let codes = name.strip_prefix("codes-").and_then(|bytes| bytes.parse().ok()).filter(|bytes| *bytes > 0);
        match (name, codes) {
            ("int8", _) => Ok(Self::Int8),
            ("four-bit", _) => Ok(Self::FourBit),
            (_, Some(bytes)) => Ok(Self::Codes(bytes)),
            _ => Err("expected int8, four-bit or codes-N, N bytes a word".into()),
        }
    }
}

impl std::fmt::Display for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int8 => f.write_str("int8"),
            Self::FourBit => f.write_str("four-bit"),
            Self::Codes(bytes) => write!(f, "codes-{bytes}"),
        }
    }
}

/// A stage of training behind the first: everything stays as it was but for what it names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Stage {
    pub epochs: usize,
    /// Learning rate of the optimizer.
    pub rate: f32,
    /// Tokens of a text that a step sees.
    #[serde(default)]
    pub span: Option<usize>,
    /// Which part of a longer text those are.
    #[serde(default)]
    pub part: Option<Part>,
    /// What the LSTM gives of its states.
    #[serde(default)]
    pub pooling: Option<Pooling>,
    /// Whether the embedding becomes codes before this stage, which then trains the codebooks.
    #[serde(default)]
    pub codes: bool,
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
    /// Ends a stage when its accuracy on the held-back samples has not risen for so many epochs; exported are the weights of
    /// the best epoch.
    #[serde(default)]
    pub early_stopping: Option<usize>,
    /// Divides the logits of the finished net by the temperature at which its probabilities fit the held-back samples best, see
    /// [`temperature`](crate::train::temperature).
    #[serde(default)]
    pub temperature: bool,
    /// Float model to start from: a path from the recipe's folder. Its tensors have the names that this recipe's layers give.
    #[serde(default)]
    pub init: Option<PathBuf>,
    /// With weights to start from: what stands in front of the first dense layer is taken from them, has no batch norm and never
    /// changes; they may come from elsewhere, see [`train`](crate::train). Without: everything is trained.
    #[serde(default)]
    pub freeze: bool,
    /// Each layer learns at the rate times √(2 / fan_in): as if its weights were of variance 1 and multiplied by that in the net
    /// (Karras et al. 2018, equalized learning rate). Adam moves every weight alike, and so a layer of many inputs by far
    /// the most; a generator's last one runs off to black, where a tanh passes no gradient any more.
    #[serde(default)]
    pub equalized: bool,
    /// Largest norm of the gradient of all parameters together; a larger one is scaled down to it (Pascanu et al. 2013).
    #[serde(default)]
    pub clip: Option<f32>,
}

impl Training {
    /// One epoch at a constant rate, with nothing beside loss and optimizer.
    pub fn new(batch: usize, seed: u64, loss: Loss, optimizer: Optimizer) -> Self {
        Self {
            epochs: 1,
            batch,
            seed,
            loss,
            optimizer,
            schedule: Schedule::Constant,
            ema: None,
            early_stopping: None,
            temperature: false,
            init: None,
            freeze: false,
            equalized: false,
            clip: None,
        }
    }
}

impl Optimizer {
    /// The same at another learning rate.
    pub fn at(&self, new: f32) -> Self {
        let mut optimizer = self.clone();
        match &mut optimizer {
            Self::Sgd { rate, .. }
            | Self::Adam { rate, .. }
            | Self::Adamw { rate, .. }
            | Self::Adadelta { rate, .. } => *rate = new,
        }
        optimizer
    }
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
    /// Binary cross-entropy of a sigmoid, mean over batch and outputs: of an autoencoder, or of two classes.
    BinaryCrossEntropy,
    /// Of a GAN: binary cross-entropy of the discriminator, which learns to say `real` for samples and 0 for drawings; the
    /// generator learns to be told 1. Where the adversary tells classes, their softmax cross-entropy is added to both.
    Adversarial {
        /// Below 1, it keeps the discriminator from growing too sure (Salimans et al. 2016).
        #[serde(default = "whole")]
        real: f32,
    },
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
    /// Whole pixels, in both directions: what is cut off on one side comes in black on the other.
    pub crop: usize,
    /// Mirrors half of the images left to right.
    pub flip: bool,
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
    /// Share of the images that stay as they are. What is distorted has been interpolated and is softer than what the net will
    /// see; a net that never sees the sharp ones is unsure of them.
    pub plain: f32,
}

fn whole() -> f32 {
    1.0
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
