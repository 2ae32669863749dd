//! What a run measured, epoch by epoch, and the judgement of a model on held-back images.

use crate::dataset::Images;
use crate::runtime::Inference;
use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// From 1.
    pub epoch: usize,
    /// Steps done at its end.
    pub step: u64,
    /// While training: with augmentation, dropout and the loss's smoothing, of the weights under way.
    pub train: Score,
    /// Of the weights to export on the held-back images as they are; absent if none are held back.
    pub validation: Option<Score>,
    /// Learning rate of the last step.
    pub rate: f64,
    /// Training speed, without validation.
    pub images_per_second: f64,
}

/// How well a set of images was classified.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Number of images.
    pub n: usize,
    /// Mean softmax cross-entropy, nats.
    pub loss: f64,
    /// Share of right answers, 0…1.
    pub accuracy: f64,
}

/// Images judged at a time.
const CHUNK: usize = 250;

/// Runs a float classifier (input `input` [N, C, H, W] in 0…1, output `logits` [N, K]) over the images of `range`.
pub fn judge(model: &mut Inference, images: &Images, range: Range<usize>) -> Result<Score> {
    let (mut loss, mut correct) = (0.0, 0);
    let n = range.len();
    let mut start = range.start;
    while start < range.end {
        let end = (start + CHUNK).min(range.end);
        let shape = [end - start, images.channels, images.height, images.width];
        let outputs = model.run(&[("input", &shape, &images.nchw(start..end))])?;
        let (_, shape, logits) =
            outputs.iter().find(|output| output.0 == "logits").context("the model has no logits")?;
        let classes = *shape.last().context("the logits are a scalar")?;
        ensure!(logits.len() == (end - start) * classes, "the model gives {shape:?} for {} images", end - start);
        for (row, label) in logits.chunks_exact(classes).zip(&images.labels[start..end]) {
            let label = usize::from(*label);
            ensure!(label < classes, "a label is {label}, there are {classes} classes");
            loss += cross_entropy(row, label);
            correct += usize::from(first_maximum(row) == label);
        }
        start = end;
    }
    let count = n.max(1) as f64;
    Ok(Score { n, loss: loss / count, accuracy: correct as f64 / count })
}

/// `ln Σ exp z − z[label]`, in f64 and shifted by the maximum.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let maximum = f64::from(logits[first_maximum(logits)]);
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - maximum).exp()).sum();
    sum.ln() + maximum - f64::from(logits[label])
}

fn first_maximum(values: &[f32]) -> usize {
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = index;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() {
        assert!((cross_entropy(&[1000.0; 8], 3) - 8f64.ln()).abs() < 1e-12);
    }
}
