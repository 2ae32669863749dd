//! The data sets that a recipe may name.

use crate::dataset::camera;
use serde::{Deserialize, Serialize};

/// A data set that the tool knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// LeCun's handwritten digits, 60,000 + 10,000.
    Mnist,
    /// Digits that the tool draws itself.
    Strokes,
    /// What a simulated camera and the firmware's vision make of MNIST's digits, and of what is none.
    Camera,
    /// Colour photographs of ten kinds of things, 50,000 + 10,000 (Krizhevsky 2009).
    Cifar10,
    /// Film reviews, 25,000 + 25,000 (Maas et al. 2011).
    Imdb,
}

impl Source {
    /// As a recipe writes it; also the name of its folder below a folder of data sets.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mnist => "mnist",
            Self::Strokes => "strokes",
            Self::Camera => "camera",
            Self::Cifar10 => "cifar10",
            Self::Imdb => "imdb",
        }
    }

    /// Height, width and channels of a sample; `None` for texts.
    pub fn image(self) -> Option<[usize; 3]> {
        match self {
            Self::Mnist | Self::Strokes | Self::Camera => Some([28, 28, 1]),
            Self::Cifar10 => Some([32, 32, 3]),
            Self::Imdb => None,
        }
    }

    /// Name of each class.
    pub fn classes(self) -> Vec<String> {
        match self {
            Self::Mnist | Self::Strokes => (0..10).map(|digit| digit.to_string()).collect(),
            Self::Camera => {
                let digits = Self::Mnist.classes().into_iter();
                digits.chain(["no digit".to_owned()]).collect()
            }
            Self::Cifar10 => ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
                .map(str::to_owned)
                .to_vec(),
            Self::Imdb => ["negative", "positive"].map(str::to_owned).to_vec(),
        }
    }

    /// Samples in the training set, those for validation included.
    pub fn train_samples(self) -> usize {
        match self {
            Self::Mnist => 60_000,
            Self::Strokes => 30_000,
            Self::Camera => camera::train_samples(Self::Mnist.train_samples()),
            Self::Cifar10 => 50_000,
            Self::Imdb => 25_000,
        }
    }

    /// Samples in the test set.
    pub fn test_samples(self) -> usize {
        match self {
            Self::Mnist => 10_000,
            Self::Strokes => 5_000,
            Self::Camera => camera::test_samples(Self::Mnist.test_samples()),
            Self::Cifar10 => 10_000,
            Self::Imdb => 25_000,
        }
    }
}
