//! What a run measured, epoch by epoch, and the judgement of a model on held-back images.

use crate::dataset::Images;
use crate::runtime::Inference;
use crate::scores::{cross_entropy, first_max};
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
            let row: Vec<f64> = row.iter().map(|&logit| f64::from(logit)).collect();
            loss += cross_entropy(&row, label);
            correct += usize::from(first_max(&row) == label);
        }
        start = end;
    }
    let count = n.max(1) as f64;
    Ok(Score { n, loss: loss / count, accuracy: correct as f64 / count })
}
