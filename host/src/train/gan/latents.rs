//! What a generator draws from.

use crate::dataset::Images;
use crate::export::inputs::Inputs;
use crate::quantize::Affine;
use crate::recipe::Recipe;
use crate::train::seed::{Purpose, generator};
use anyhow::{Context, Result};
use rand::Rng;
use rand_distr::{Distribution, StandardNormal};

/// What a generator draws from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Values of one sample.
    pub length: usize,
    /// Standard deviation of the normal distribution that they come from.
    pub spread: f32,
    /// So many of the first values say which class to draw instead: [`CHOSEN`](Self::CHOSEN) for that one, 0 for the others.
    pub classes: usize,
}

impl Prior {
    /// What stands for the class to draw: large beside a normal value, so that it is not lost among them, and small enough for
    /// [`Latents`].
    pub const CHOSEN: f32 = 2.0;

    /// Fills `samples`, one after the other, whose numbers are `first` and those behind it. Classes take turns.
    pub fn fill(&self, samples: &mut [f32], first: u64, random: &mut impl Rng) {
        for (number, sample) in (first..).zip(samples.chunks_exact_mut(self.length)) {
            sample.fill_with(|| self.spread * Distribution::<f32>::sample(&StandardNormal, random));
            if let Some(class) = self.turn(number) {
                self.choose(sample, class);
            }
        }
    }

    /// The class whose turn it is in sample `number`.
    pub fn turn(&self, number: u64) -> Option<usize> {
        number.checked_rem(self.classes as u64).map(|class| class as usize)
    }

    /// Has `sample` draw `class`.
    pub fn choose(&self, sample: &mut [f32], class: usize) {
        for (index, value) in sample[..self.classes].iter_mut().enumerate() {
            *value = if index == class { Self::CHOSEN } else { 0.0 };
        }
    }
}

/// Latent values as a device reads them: those of a [`Prior`] in steps of 1/32 up to 4.
pub struct Latents {
    /// Values of one sample.
    length: usize,
    values: Vec<i8>,
}

impl Latents {
    /// What the integers stand for.
    pub const AFFINE: Affine = Affine { scale: 1.0 / 32.0, zero_point: 0 };

    /// `count` samples from `prior`, which depend on `seed` alone; the first ones do not depend on how many follow. All draw
    /// `class`, or each class in turn.
    pub fn draw(seed: u64, count: usize, prior: Prior, class: Option<usize>) -> Self {
        let mut values = vec![0.0; count * prior.length];
        prior.fill(&mut values, 0, &mut generator(seed, Purpose::Samples, 0));
        if let Some(class) = class {
            values.chunks_exact_mut(prior.length).for_each(|sample| prior.choose(sample, class));
        }
        Self { length: prior.length, values: values.into_iter().map(|value| Self::AFFINE.quantize(value)).collect() }
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
    /// What the recipe's generator draws from once it is trained.
    ///
    /// # Errors
    /// A recipe without an adversary, whose net is no generator.
    pub fn prior(&self) -> Result<Prior> {
        let adversary = self.adversary.as_ref().with_context(|| format!("{} draws nothing", self.name))?;
        let classes = adversary.drawn_classes(self.data.source);
        Ok(Prior { length: adversary.latent, spread: adversary.spread(), classes })
    }

    /// `count` samples of latent values for the recipe's generator, the classes in turn.
    ///
    /// # Errors
    /// Those of [`prior`](Self::prior).
    pub fn latents(&self, seed: u64, count: usize) -> Result<Latents> {
        Ok(Latents::draw(seed, count, self.prior()?, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Prior = Prior { length: 100, spread: 0.5, classes: 0 };

    #[test]
    fn values_are_normal_and_the_first_samples_stay() {
        let latents = Latents::draw(3, 500, PLAIN, None);
        let all: Vec<f64> = (0..500).flat_map(|index| latents.real(index)).map(f64::from).collect();
        let mean = all.iter().sum::<f64>() / all.len() as f64;
        let variance = all.iter().map(|value| value * value).sum::<f64>() / all.len() as f64;
        assert!(mean.abs() < 0.01 && (variance - 0.25).abs() < 0.01, "{mean} {variance}");
        assert_eq!(Latents::draw(3, 2, PLAIN, None).int8(1), latents.int8(1));
        assert_ne!(latents.int8(0), latents.int8(1));
        assert_eq!(latents.images().int8(7), latents.int8(7));
    }

    #[test]
    fn classes_take_turns_unless_one_is_chosen_and_leave_the_other_values_alone() {
        let prior = Prior { classes: 3, ..PLAIN };
        let [turns, chosen] = [None, Some(2)].map(|class| Latents::draw(3, 5, prior, class));
        let plain = Latents::draw(3, 5, PLAIN, None);
        for index in 0..5 {
            for (latents, class) in [(&turns, index % 3), (&chosen, 2)] {
                let sample = latents.real(index);
                let expected: Vec<f32> = (0..3).map(|of| if of == class { Prior::CHOSEN } else { 0.0 }).collect();
                assert_eq!(sample[..3], expected);
                assert_eq!(sample[3..], plain.real(index)[3..]);
            }
        }
        // A later batch goes on with the turns.
        let mut samples = [0.0; 200];
        prior.fill(&mut samples, 7, &mut generator(1, Purpose::Latents, 0));
        assert_eq!([samples[1], samples[102]], [Prior::CHOSEN; 2]);
    }
}
