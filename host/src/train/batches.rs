//! Batches, prepared in a thread of their own while the step before runs.

use super::gan::Prior;
use super::seed::{Purpose, generator, mix};
use super::spans::Spans;
use crate::dataset::{Images, Samples, Vectors, augment::Augmenter};
use crate::graph::Mask;
use crate::recipe::{Recipe, Target};
use anyhow::{Context, Result};
use rand::{Rng, seq::SliceRandom};
use std::sync::mpsc::{Receiver, SyncSender};

/// The tensors of one batch, as [`Step::batch`](super::step::Step::batch) orders them: inputs, targets, masks; of a GAN, inputs,
/// latent values, masks and, if it draws by classes, labels [N, classes].
pub type Batch = Vec<Vec<f32>>;

/// Makes the batch of any step; what it makes depends on the recipe's seed and the step alone.
pub struct Batches<'a> {
    recipe: &'a Recipe,
    inputs: Inputs<'a>,
    labels: &'a [u8],
    /// Training samples: the first ones.
    samples: usize,
    /// Values that the net gives for a sample.
    outputs: usize,
    /// What a generator learns to draw from.
    prior: Option<Prior>,
    masks: &'a [Mask],
}

/// Where inputs come from.
enum Inputs<'a> {
    Images(&'a Images, Augmenter),
    Texts(Spans<'a>),
    Vectors(&'a Vectors),
}

impl<'a> Batches<'a> {
    /// Batches of the first `samples` of `data`, with dropout masks for `masks`.
    ///
    /// # Errors
    /// Texts, and a recipe that does not say how they are read; drawings, and one without an adversary.
    pub fn new(
        recipe: &'a Recipe,
        data: &'a Samples,
        samples: usize,
        outputs: usize,
        masks: &'a [Mask],
    ) -> Result<Self> {
        let inputs = match data {
            Samples::Images(images) => {
                Inputs::Images(images, Augmenter::new(&recipe.augmentation, images.height, images.width))
            }
            Samples::Texts(texts) => {
                let text = recipe.text.as_ref().context("the recipe has no [text], and the data are texts")?;
                Inputs::Texts(Spans::new(texts, text))
            }
            Samples::Vectors(vectors) => Inputs::Vectors(vectors),
        };
        // All of it, however little a trained one is to draw from.
        let prior = (recipe.data.target == Target::Sample).then(|| recipe.prior()).transpose()?;
        let prior = prior.map(|prior| Prior { spread: 1.0, ..prior });
        Ok(Batches { recipe, inputs, labels: data.labels(), samples, outputs, prior, masks })
    }

    /// Steps an epoch; the samples that fill no batch are dropped (others in each epoch, since the order differs).
    pub fn steps_per_epoch(&self) -> u64 {
        (self.samples / self.recipe.training.batch) as u64
    }

    /// Steps of the whole run.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch() * self.recipe.training.epochs as u64
    }

    /// Sends the batches of the steps from `first` (from 0) on, until all are sent or nobody listens. Batches that come back
    /// through `used` are filled anew instead of allocating.
    pub fn produce(&self, first: u64, send: SyncSender<Batch>, used: Receiver<Batch>) {
        let mut order = Vec::new();
        for step in first..self.steps() {
            let (epoch, position) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
            if position == 0 || order.is_empty() {
                order = self.order(epoch);
            }
            let mut batch = used.try_recv().unwrap_or_default();
            let start = position as usize * self.recipe.training.batch;
            self.fill(step, &order[start..start + self.recipe.training.batch], &mut batch);
            if send.send(batch).is_err() {
                return;
            }
        }
    }

    /// All training samples in the order of an epoch.
    fn order(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.samples).collect();
        order.shuffle(&mut generator(self.recipe.training.seed, Purpose::Order, epoch));
        order
    }

    fn fill(&self, step: u64, samples: &[usize], batch: &mut Batch) {
        let seed = self.recipe.training.seed;
        let classes = self.prior.map_or(0, |prior| prior.classes);
        batch.resize(2 + self.masks.len() + usize::from(classes > 0), Vec::new());
        match &self.inputs {
            Inputs::Images(images, augmenter) => {
                batch[0].resize(samples.len() * images.size(), 0.0);
                let augmentation = &self.recipe.augmentation;
                let finishing = step as f64 >= self.steps() as f64 * (1.0 - f64::from(augmentation.finish));
                let strength = if finishing { augmentation.finish_strength } else { 1.0 };
                let draw = mix(seed, Purpose::Augmentation, step);
                augmenter.batch(images, samples, draw, strength, !finishing, &mut batch[0]);
            }
            Inputs::Texts(spans) => {
                spans.batch(samples, &mut generator(seed, Purpose::Augmentation, step), &mut batch[0]);
            }
            Inputs::Vectors(vectors) => {
                batch[0].clear();
                samples.iter().for_each(|&sample| batch[0].extend(vectors.get(sample)));
            }
        }
        let (inputs, targets) = batch.split_at_mut(1);
        self.targets(step, samples, &inputs[0], &mut targets[0]);
        for (index, mask) in self.masks.iter().enumerate() {
            // A discriminator reads as many drawn images as real ones.
            let images = samples.len() * if self.prior.is_some() { 2 } else { 1 };
            let size = if mask.shared { 1 } else { images } * mask.shape.iter().product::<usize>();
            batch[2 + index].resize(size, 0.0);
            let counter = step * self.masks.len() as u64 + index as u64;
            dropout(&mut batch[2 + index], mask.rate, &mut generator(seed, Purpose::Dropout, counter));
        }
        if classes > 0 {
            self.one_hot(samples, classes, &mut batch[2 + self.masks.len()]);
        }
    }

    /// A row a sample of `classes` values, 1 for its own and 0 for the others.
    fn one_hot(&self, samples: &[usize], classes: usize, rows: &mut Vec<f32>) {
        rows.clear();
        rows.resize(samples.len() * classes, 0.0);
        for (row, &sample) in rows.chunks_exact_mut(classes).zip(samples) {
            row[usize::from(self.labels[sample])] = 1.0;
        }
    }

    fn targets(&self, step: u64, samples: &[usize], inputs: &[f32], targets: &mut Vec<f32>) {
        targets.clear();
        match self.recipe.data.target {
            // The probability of the second of two classes.
            Target::Class if self.outputs == 1 => {
                targets.extend(samples.iter().map(|&sample| f32::from(self.labels[sample])));
            }
            Target::Class => self.one_hot(samples, self.outputs, targets),
            Target::Input => targets.extend_from_slice(inputs),
            // What a generator draws from.
            Target::Sample => {
                let prior = self.prior.expect("it is there for this target, see new");
                targets.resize(samples.len() * prior.length, 0.0);
                let mut random = generator(self.recipe.training.seed, Purpose::Latents, step);
                prior.fill(targets, step * samples.len() as u64, &mut random);
            }
        }
    }
}

/// Fills a mask: 0 with probability `rate`, else `1 / (1 − rate)`, so that the expected activation stays.
fn dropout(mask: &mut [f32], rate: f32, generator: &mut impl Rng) {
    let kept = 1.0 / (1.0 - rate);
    // Of 2³² equally likely numbers, those below the threshold drop. The cast saturates only for rates next to 1.
    let threshold = (f64::from(rate) * 2f64.powi(32)) as u32;
    for pair in mask.chunks_mut(2) {
        let bits = generator.next_u64();
        for (value, half) in pair.iter_mut().zip([bits as u32, (bits >> 32) as u32]) {
            *value = if half < threshold { 0.0 } else { kept };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dropout_drops_its_share_and_keeps_the_mean() {
        let mut mask = vec![0.0; 100_001];
        dropout(&mut mask, 0.3, &mut generator(1, Purpose::Dropout, 0));
        let dropped = mask.iter().filter(|&&value| value == 0.0).count() as f64 / mask.len() as f64;
        assert!((dropped - 0.3).abs() < 0.005, "{dropped}");
        let mean = mask.iter().map(|&value| f64::from(value)).sum::<f64>() / mask.len() as f64;
        assert!((mean - 1.0).abs() < 0.01, "{mean}");
    }
}
