//! What a trained generator draws from.

use crate::dataset::Images;
use crate::export::inputs::Inputs;
use crate::quantize::Affine;
use crate::recipe::Recipe;
use crate::train::seed::{Purpose, generator};
use anyhow::{Context, Result};
use rand_distr::{Distribution, StandardNormal};

/// Latent values as a device reads them: what is drawn from the normal distribution, in steps of 1/32 up to 4.
pub struct Latents {
    /// Values of one sample.
    length: usize,
    values: Vec<i8>,
}

impl Latents {
    /// What the integers stand for.
    pub const AFFINE: Affine = Affine { scale: 1.0 / 32.0, zero_point: 0 };

    /// `count` samples of `length` values each with the standard deviation `spread`, which depend on `seed` alone; the first ones do
    /// not depend on how many follow.
    pub fn draw(seed: u64, count: usize, length: usize, spread: f32) -> Self {
        let random = generator(seed, Purpose::Samples, 0);
        let normal = Distribution::<f32>::sample_iter(StandardNormal, random);
        let values = normal.take(count * length).map(|value| Self::AFFINE.quantize(spread * value)).collect();
        Self { length, values }
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.values.len() / self.length
    }

    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Sample number `index` as a device reads it.
    pub fn int8(&self, index: usize) -> &[i8] {
        &self.values[index * self.length..][..self.length]
    }

    /// Sample number `index` as the float model reads it.
    pub fn real(&self, index: usize) -> Vec<f32> {
        self.int8(index).iter().map(|&value| Self::AFFINE.dequantize(value.into())).collect()
    }

    /// All samples as the float model reads them.
    pub fn inputs(&self) -> Inputs {
        Inputs::of((0..self.len()).map(|index| self.real(index)).collect(), Self::AFFINE)
    }

    /// All samples as images of one place, whose pixels stand for the same integers as an image's do.
    pub fn images(&self) -> Images {
        // Flipping the top bit adds 128 to what an i8 holds.
        let pixels = self.values.iter().map(|&value| value as u8 ^ 0x80).collect();
        Images { height: 1, width: 1, channels: self.length, pixels, labels: vec![0; self.len()] }
    }
}

impl Recipe {
    /// `count` samples of latent values for the recipe's generator.
    ///
    /// # Errors
    /// A recipe without an adversary, whose net is no generator.
    pub fn latents(&self, seed: u64, count: usize) -> Result<Latents> {
        let adversary = self.adversary.as_ref().with_context(|| format!("{} draws nothing", self.name))?;
        Ok(Latents::draw(seed, count, adversary.latent, adversary.spread()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_normal_and_the_first_samples_stay() {
        let latents = Latents::draw(3, 500, 100, 0.5);
        let all: Vec<f64> = (0..500).flat_map(|index| latents.real(index)).map(f64::from).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|value| value * value).sum::<f64>() / all.len() as f64;
        assert!(mean.abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
        assert_eq!(Latents::draw(3, 2, 100, 0.5).int8(1), latents.int8(1));
        assert_ne!(latents.int8(0), latents.int8(1));
        assert_eq!(latents.images().int8(7), latents.int8(7));
    }
}
