//! What a row of outputs says, and how well a set of them does.

use crate::dataset::Samples;
use crate::recipe::Target;
use serde::{Deserialize, Serialize};

/// How well a model did on a set of samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Number of samples.
    pub n: usize,
    /// Samples classified rightly; of a classifier.
    pub correct: Option<usize>,
    /// Share of right answers, 0…1; of a classifier, or of a GAN's discriminator.
    pub accuracy: Option<f64>,
    /// Mean squared error over all values; of an autoencoder.
    pub mse: Option<f64>,
    /// Mean loss, nats: softmax cross-entropy a sample, or binary cross-entropy a value; of a GAN, the generator's.
    pub loss: f64,
}

impl Score {
    /// From sums over `n` samples: of their losses, and of right answers or, of an autoencoder, of mean squared errors.
    pub fn of(target: Target, n: usize, loss: f64, measure: f64) -> Self {
        let mean = |sum: f64| sum / n.max(1) as f64;
        let (loss, classifies) = (mean(loss), target != Target::Input);
        let (correct, accuracy) = (classifies.then_some(measure as usize), classifies.then_some(mean(measure)));
        Score { n, correct, accuracy, mse: (!classifies).then_some(mean(measure)), loss }
    }

    /// Judges the outputs for the samples from `first` on: logits, or the probability of the second of two classes, or a
    /// reconstruction.
    pub fn judge(target: Target, rows: &[Vec<f64>], samples: &Samples, first: usize) -> Self {
        let (mut loss, mut measure) = (0.0, 0.0);
        for (index, row) in (first..).zip(rows) {
            match (target, samples) {
                (Target::Input, Samples::Images(images)) => {
                    let pixels = images.nchw(index..index + 1);
                    loss += mean(row, &pixels, binary_cross_entropy);
                    measure += mean(row, &pixels, |output, pixel| (output - pixel).powi(2));
                }
                _ => {
                    let label = usize::from(samples.labels()[index]);
                    loss += match row[..] {
                        [probability] => binary_cross_entropy(probability, label as f64),
                        _ => cross_entropy(row, label),
                    };
                    measure += f64::from(u8::from(class(row) == label));
                }
            }
        }
        Self::of(target, rows.len(), loss, measure)
    }
}

impl std::fmt::Display for Score {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "loss {:.4}", self.loss)?;
        self.accuracy.map_or(Ok(()), |accuracy| write!(f, ", accuracy {:.2} %", 100.0 * accuracy))?;
        self.mse.map_or(Ok(()), |mse| write!(f, ", mean squared error {mse:.5}"))
    }
}

fn mean(row: &[f64], pixels: &[f32], of: fn(f64, f64) -> f64) -> f64 {
    row.iter().zip(pixels).map(|(&output, &pixel)| of(output, pixel.into())).sum::<f64>() / row.len() as f64
}

/// `−t ln p − (1 − t) ln(1 − p)`, nats, with p kept 10⁻⁷ away from 0 and 1, as Keras does.
fn binary_cross_entropy(output: f64, target: f64) -> f64 {
    let p = output.clamp(1e-7, 1.0 - 1e-7);
    -target * p.ln() - (1.0 - target) * (1.0 - p).ln()
}

/// The class that a row of outputs names: that of the largest logit, or of two that which is more probable.
pub fn class(row: &[f64]) -> usize {
    match row {
        [probability] => usize::from(*probability > 0.5),
        _ => first_max(row),
    }
}

/// Index of the largest value; the first of equals.
pub fn first_max<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// `exp(xᵢ − max) / Σⱼ exp(xⱼ − max)`.
pub fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|v| (v - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

/// `ln Σ exp z − z[label]`, nats, shifted by the maximum.
pub fn cross_entropy(row: &[f64], label: usize) -> f64 {
    let max = row[first_max(row)];
    let sum: f64 = row.iter().map(|z| (z - max).exp()).sum();
    sum.ln() + max - row[label]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Images;

    #[test]
    fn an_autoencoder_is_judged_by_its_values() {
        let images = Images { height: 1, width: 2, channels: 1, pixels: vec![0, 255], labels: vec![7] };
        let images = Samples::Images(images);
        let score = Score::judge(Target::Input, &[vec![0.5, 1.0]], &images, 0);
        assert_eq!((score.n, score.accuracy, score.mse), (1, None, Some(0.125)));
        assert!((score.loss - 2f64.ln() / 2.0).abs() < 1e-6, "{score}");
    }

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(first_max(&[1.0, 3.0, 3.0, 2.0]), 1);
    }

    #[test]
    fn softmax_survives_large_logits() {
        let p = softmax(&[1000.0, 1000.0, 0.0]);
        assert!((p[0] - 0.5).abs() < 1e-12 && p[2] == 0.0);
    }

    #[test]
    fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() {
        assert!((cross_entropy(&[1000.0; 8], 3) - 8f64.ln()).abs() < 1e-12);
    }
}
