//! A generative adversarial network (Goodfellow et al. 2014): a generator draws from latent values, and a discriminator learns
//! to tell its drawings from the data, which is what the generator learns to prevent.
//!
//! ```text
//! latents ──▶ generator's step, discriminator frozen ──▶ next generator
//!                              │ fakes
//! data ─────▶ discriminator's step ──▶ next discriminator
//! ```
//!
//! The two steps alternate over one set of parameters: the generator's reads the discriminator's where they are. What the
//! generator has drawn in its step, the discriminator learns from, so that the generator runs once a step; the drawings are one
//! update old then, and the dearest forward pass is saved.
//!
//! With classes, the first latent values say what to draw, the discriminator has a logit for each class beside the one for real
//! or drawn, and both nets learn by the sum of two losses: the discriminator to tell the classes of the data, the generator to
//! draw what is told for the class that it was given (Odena et al. 2017; there, the discriminator also learns from the classes
//! of drawings, which early on look like none).

mod latents;
mod samples;
mod steps;
#[cfg(test)]
mod tests;

pub use latents::{Latents, Prior};
pub use samples::{draw, pixels, save, save_samples};

use super::batches::Batch;
use super::learner::{Learner, Net};
use super::step::StateTensor;
use super::stepper::{Measured, captured_if_possible, initial_state};
use super::weights::discriminators;
use crate::graph::{Input, Mask, Network};
use crate::recipe::{Adversary, Training};
use crate::runtime::{Device, Provider};
use anyhow::{Result, bail, ensure};
use std::iter;

/// A generator and its adversary.
pub struct Pair {
    generator: Net,
    discriminator: Net,
    /// The discriminator's network, and the seed of its weights.
    judge: Network,
    seed: u64,
}

impl Pair {
    /// Steps for `generator` against the discriminator of `adversary`, which judges images of `shape` [channels, height, width].
    ///
    /// # Errors
    /// If the two do not fit together, or ONNX Runtime fails.
    pub fn new(
        generator: &Network,
        adversary: &Adversary,
        shape: [usize; 3],
        training: &Training,
        device: Device,
    ) -> Result<Self> {
        let judge = Network::new(&adversary.layers, Input::Image(shape))?;
        let build = |launch| {
            let steps = steps::build(generator, &judge, shape, training, adversary.rate())?;
            let [generator, discriminator] = steps.map(|step| Net::of(step, &[], device, 0, launch));
            let (mut generator, mut discriminator) = (generator?, discriminator?);
            generator.stepper.read_parameters(&discriminator.stepper, &discriminator.step)?;
            generator.stepper.give(steps::FAKES, &mut discriminator.stepper, &discriminator.step)?;
            Ok(Pair { generator, discriminator, judge: judge.clone(), seed: training.seed })
        };
        captured_if_possible(build, |pair| vec![&mut pair.generator.stepper, &mut pair.discriminator.stepper])
    }
}

impl Learner for Pair {
    fn provider(&self) -> Provider {
        self.generator.provider()
    }

    fn masks(&self) -> &[Mask] {
        self.judge.masks()
    }

    fn nodes(&self) -> usize {
        self.generator.nodes() + self.discriminator.nodes()
    }

    /// The generator's, then the discriminator's.
    fn tensors(&self) -> Vec<StateTensor> {
        [self.generator.tensors(), self.discriminator.tensors()].concat()
    }

    fn state(&self) -> Result<Vec<Vec<f32>>> {
        Ok([self.generator.state()?, self.discriminator.state()?].concat())
    }

    fn set_state(&mut self, state: &[Vec<f32>]) -> Result<()> {
        let (generator, discriminator) = state.split_at(self.generator.step.state.len());
        self.generator.set_state(generator)?;
        self.discriminator.set_state(discriminator)
    }

    fn initial_state(&self, parameters: &[Vec<f32>]) -> Vec<Vec<f32>> {
        // Behind those of the generator, so that no two tensors start alike.
        let drawn = discriminators(&self.judge, self.seed, parameters.len() as u64);
        [self.generator.initial_state(parameters), initial_state(&self.discriminator.step, &drawn)].concat()
    }

    fn exported(&self) -> Result<Vec<Vec<f32>>> {
        self.generator.exported()
    }

    /// The generator's step on the batch's latent values, then the discriminator's on its images and what the generator drew.
    fn step(&mut self, batch: &Batch, number: u64, factor: f64) -> Result<Measured> {
        let [images, latents, others @ ..] = batch.as_slice() else {
            bail!("a GAN's batch has images and latent values")
        };
        let (count, labels) = (self.judge.masks().len(), usize::from(steps::classes(&self.judge) > 0));
        ensure!(others.len() == count + labels, "a GAN's batch has {count} masks and {labels} tensors of labels");
        let scalars = self.generator.step.scalar_values(number, factor);
        // The rows of the drawn images. Labels are of the real ones, and for the discriminator alone.
        let halves = others[..count].iter().map(|mask| &mask[mask.len() / 2..]);
        let given: Vec<&[f32]> = iter::once(latents.as_slice()).chain(halves).collect();
        let deceiving = self.generator.stepper.run(&given, &scalars)?;
        let scalars = self.discriminator.step.scalar_values(number, factor);
        let given: Vec<&[f32]> = iter::once(images).chain(others).map(Vec::as_slice).collect();
        let telling = self.discriminator.stepper.run(&given, &scalars)?;
        // A discriminator that diverges ends the run as well.
        let loss = if telling.loss.is_finite() { deceiving.loss } else { telling.loss };
        Ok(Measured { loss, measure: telling.measure })
    }

    fn rate(&self) -> f64 {
        self.generator.rate()
    }
}
