//! Data sets: loaded from disk, downloaded, or drawn by the tool itself.

pub mod augment;
pub mod camera;
mod cifar10;
mod download;
mod idx;
pub mod imdb;
mod mnist;
pub mod strokes;
mod texts;
mod vectors;
pub mod word_vectors;

pub use texts::{Texts, token, tokens};
pub use vectors::Vectors;

use crate::recipe::Source;
use crate::setup;
use anyhow::{Result, bail};
use sha2::{Digest, Sha256};
use std::ops::Range;
use std::path::Path;

/// Seed of the drawn digits: every run trains on the same drawings.
const STROKES_SEED: u64 = 1;

/// Labelled images of one size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    pub height: usize,
    pub width: usize,
    pub channels: usize,
    /// NHWC, one byte a value, `N · height · width · channels` of them.
    pub pixels: Vec<u8>,
    /// One class index an image.
    pub labels: Vec<u8>,
}

/// Samples of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Samples {
    Images(Images),
    Texts(Texts),
    Vectors(Vectors),
}

/// What a recipe's `source` names.
#[derive(Clone, Debug)]
pub struct Dataset {
    pub train: Samples,
    pub test: Samples,
    /// Name of each class, e.g. `"0"` … `"9"`.
    pub classes: Vec<String>,
    /// Of texts: the words of the training texts by their frequency, the most frequent first.
    pub words: Vec<String>,
}

/// Loads the data of `source`: from the folder `data`, else from `$HOST_DATA/<name>`, else from the cache, where it is
/// downloaded first; drawn digits come from nowhere.
///
/// # Errors
/// A folder for drawn digits; files that are missing or damaged; a failed download. The sentence names the file.
pub fn load(source: Source, data: Option<&Path>) -> Result<Dataset> {
    match (source, data) {
        (Source::Mnist, data) => mnist::load(data),
        (Source::Cifar10, data) => cifar10::load(data),
        (Source::Imdb, data) => imdb::load(data),
        (Source::Camera, data) => {
            let mnist = mnist::load(data)?;
            camera::load(mnist.train.images()?, mnist.test.images()?)
        }
        (Source::Strokes, None) => Ok(strokes::dataset(source.train_samples(), source.test_samples(), STROKES_SEED)),
        (Source::Strokes, Some(folder)) => {
            bail!(
                "`strokes` are drawn by the tool itself and cannot be read from {}: leave --data out",
                folder.display()
            )
        }
    }
}

impl Dataset {
    /// A data set of images.
    pub fn of_images(train: Images, test: Images, classes: Vec<String>) -> Self {
        Dataset { train: Samples::Images(train), test: Samples::Images(test), classes, words: Vec::new() }
    }
}

impl Samples {
    /// Number of samples.
    pub fn len(&self) -> usize {
        self.labels().len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels().is_empty()
    }

    /// One class index a sample.
    pub fn labels(&self) -> &[u8] {
        match self {
            Self::Images(images) => &images.labels,
            Self::Texts(texts) => &texts.labels,
            Self::Vectors(vectors) => &vectors.labels,
        }
    }

    /// The first `count` samples; all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        match self {
            Self::Images(images) => Self::Images(images.first(count)),
            Self::Texts(texts) => Self::Texts(texts.first(count)),
            Self::Vectors(vectors) => Self::Vectors(vectors.first(count)),
        }
    }

    /// The images, or an error if these are texts.
    pub fn images(&self) -> Result<&Images> {
        match self {
            Self::Images(images) => Ok(images),
            Self::Texts(_) => bail!("this takes images, but the model's data are texts"),
            Self::Vectors(_) => bail!("this takes images, but the data are vectors made of them"),
        }
    }

    /// The texts, or an error if these are images.
    pub fn texts(&self) -> Result<&Texts> {
        match self {
            Self::Texts(texts) => Ok(texts),
            Self::Images(_) | Self::Vectors(_) => bail!("this takes texts, but the model's data are images"),
        }
    }

    /// SHA-256 of everything, hexadecimal.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        match self {
            Self::Images(images) => hash.update(&images.pixels),
            Self::Texts(texts) => texts.texts.iter().for_each(|text| {
                hash.update(text.len().to_le_bytes());
                hash.update(text);
            }),
            Self::Vectors(vectors) => vectors.values.iter().for_each(|value| hash.update(value.to_le_bytes())),
        }
        hash.update(self.labels());
        setup::hex(&hash.finalize())
    }
}

impl Images {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Values of one image.
    pub fn size(&self) -> usize {
        self.height * self.width * self.channels
    }

    /// The first `count` images; all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.len());
        Self { pixels: self.pixels[..count * self.size()].to_vec(), labels: self.labels[..count].to_vec(), ..*self }
    }

    /// Input of the float net for the images in `range`: NCHW, `pixel / 255`.
    ///
    /// # Panics
    /// If `range` reaches beyond the images.
    pub fn nchw(&self, range: Range<usize>) -> Vec<f32> {
        let size = self.size();
        let mut values = Vec::with_capacity(range.len() * size);
        for image in self.pixels[range.start * size..range.end * size].chunks_exact(size) {
            for channel in 0..self.channels {
                values.extend(image.iter().skip(channel).step_by(self.channels).map(|&pixel| f32::from(pixel) / 255.0));
            }
        }
        values
    }

    /// One image as real numbers: NHWC, `pixel / 255`.
    ///
    /// # Panics
    /// If there is no such image.
    pub fn nhwc(&self, index: usize) -> Vec<f32> {
        let pixels = &self.pixels[index * self.size()..][..self.size()];
        pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect()
    }

    /// Input of the int8 net for one image: NHWC, `pixel − 128` (scale 1/255, zero point −128).
    ///
    /// # Panics
    /// If there is no such image.
    pub fn int8(&self, index: usize) -> Vec<i8> {
        let pixels = &self.pixels[index * self.size()..][..self.size()];
        // Flipping the top bit subtracts 128 in two's complement.
        pixels.iter().map(|&pixel| (pixel ^ 0x80) as i8).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        Images {
            height: 1,
            width: 2,
            channels: 3,
            pixels: vec![0, 51, 255, 102, 128, 1, 9, 9, 9, 9, 9, 9],
            labels: vec![4, 7],
        }
    }

    #[test]
    fn the_float_net_gets_channels_first() {
        let values = images().nchw(0..1);
        assert_eq!(values, [0.0, 102.0 / 255.0, 51.0 / 255.0, 128.0 / 255.0, 1.0, 1.0 / 255.0]);
        assert_eq!(images().nchw(1..2), [9.0 / 255.0; 6]);
        assert_eq!(images().nchw(0..2).len(), 12);
    }

    #[test]
    fn the_int8_net_gets_pixels_less_128() {
        assert_eq!(images().int8(0), [-128, -77, 127, -26, 0, -127]);
        assert_eq!(images().int8(1), [-119; 6]);
    }

    #[test]
    fn first_takes_at_most_what_is_there() {
        assert_eq!(images().first(9), images());
        let first = images().first(1);
        assert_eq!((first.len(), first.pixels.as_slice()), (1, &images().pixels[..6]));
    }

    #[test]
    fn drawn_digits_are_what_the_recipe_promises_and_come_from_no_folder() {
        let dataset = strokes::dataset(10, 10, STROKES_SEED);
        let images = dataset.train.images().unwrap();
        assert_eq!(Some([images.height, images.width, images.channels]), Source::Strokes.image());
        assert_eq!(dataset.classes, Source::Strokes.classes());
        let error = load(Source::Strokes, Some(Path::new("x"))).unwrap_err().to_string();
        assert!(error.contains("leave --data out"), "{error}");
    }
}
