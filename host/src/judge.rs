//! How good drawings are, by the eyes of a classifier that was trained on the real thing.

use crate::dataset::Images;
use crate::linear::{Dense, eigen, gram};
use crate::runtime::Inference;
use crate::scores::{first_max, softmax};
use anyhow::{Context, Result, ensure};
use prost::Message;
use serde::Serialize;
use tract_onnx::pb::{ModelProto, ValueInfoProto};

/// Probability from which a drawing counts as sure.
const SURE: f64 = 0.9;

/// A classifier that also tells what its last layer reads.
pub struct Judge {
    model: Inference,
}

/// What a judge sees in pictures.
pub struct Seen {
    /// Probabilities of the classes, a row each.
    pub probabilities: Vec<Vec<f64>>,
    /// What the last layer reads, a row each.
    pub features: Dense,
}

/// How a set of drawings was judged.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    pub n: usize,
    /// Share of the drawings that one class has a probability above 0.9 for.
    pub sure: f64,
    /// Share of the drawings that each class is the most probable for.
    pub classes: Vec<f64>,
}

impl Judge {
    /// A classifier [N, C, H, W] → logits whose last node is a Gemm.
    ///
    /// # Errors
    /// If the file is no such model.
    pub fn new(onnx: &[u8]) -> Result<Self> {
        let mut model = ModelProto::decode(onnx).context("the judge is no ONNX model")?;
        let graph = model.graph.as_mut().context("the judge's file holds no graph")?;
        let last =
            graph.node.last().filter(|node| node.op_type == "Gemm").context("the judge ends in no dense layer")?;
        let features = last.input.first().cloned().unwrap_or_default();
        graph.output.push(ValueInfoProto { name: features, ..Default::default() });
        Ok(Self { model: Inference::from_bytes(&model.encode_to_vec())? })
    }

    /// Looks at every one of `images`.
    pub fn look(&mut self, images: &Images) -> Result<Seen> {
        const BATCH: usize = 250;
        let mut seen = Seen { probabilities: Vec::new(), features: Dense { width: 0, values: Vec::new() } };
        for start in (0..images.len()).step_by(BATCH) {
            let range = start..images.len().min(start + BATCH);
            let shape = [range.len(), images.channels, images.height, images.width];
            let outputs = self.model.run(&[("input", &shape, &images.nchw(range))])?;
            let [(_, classes, logits), (_, width, features)] = &outputs[..] else {
                anyhow::bail!("the judge gave {} outputs, not logits and features", outputs.len())
            };
            ensure!(classes.len() == 2 && width.len() == 2, "the judge's last layer reads no vector");
            let rows = logits.chunks_exact(classes[1]);
            seen.probabilities.extend(rows.map(|row| softmax(&row.iter().map(|&z| z.into()).collect::<Vec<f64>>())));
            seen.features.width = width[1];
            seen.features.values.extend(features);
        }
        Ok(seen)
    }
}

impl Seen {
    /// How sure the judge is, and of what.
    pub fn verdict(&self) -> Verdict {
        let n = self.probabilities.len();
        let classes = self.probabilities.first().map_or(0, Vec::len);
        let mut counts = vec![0; classes];
        let mut sure = 0;
        for row in &self.probabilities {
            let class = first_max(row);
            counts[class] += 1;
            sure += usize::from(row[class] > SURE);
        }
        let share = |count: usize| count as f64 / n.max(1) as f64;
        Verdict { n, sure: share(sure), classes: counts.into_iter().map(share).collect() }
    }

    /// Share of the pictures whose most probable class is what `class` says of their number.
    pub fn agreement(&self, class: impl Fn(usize) -> Option<usize>) -> f64 {
        let rows = self.probabilities.iter().enumerate();
        let agreed = rows.filter(|(sample, row)| class(*sample) == Some(first_max(row))).count();
        agreed as f64 / self.probabilities.len().max(1) as f64
    }
}

/// Fréchet distance of the normal distributions with the means and covariances of two sets of features (Heusel et al. 2017):
/// `|μ − ν|² + tr(A + B − 2·(A·B)^½)`, where the last trace is that of `(A^½·B·A^½)^½`.
pub fn frechet_distance(a: &Dense, b: &Dense) -> f64 {
    let size = a.width;
    let [(mean, covariance), (other_mean, other)] = [moments(a), moments(b)];
    let distance: f64 = mean.iter().zip(&other_mean).map(|(a, b)| (a - b).powi(2)).sum();
    let trace = |matrix: &[f64]| matrix.iter().step_by(size + 1).sum::<f64>();
    let traces = trace(&covariance) + trace(&other);
    let (values, vectors) = eigen(covariance, size);
    let root = |row: usize, column: usize| {
        let terms = (0..size).map(|k| vectors[row * size + k] * values[k].max(0.0).sqrt() * vectors[column * size + k]);
        terms.sum::<f64>()
    };
    let root: Vec<f64> = (0..size * size).map(|index| root(index / size, index % size)).collect();
    let product = times(&times(&root, &other, size), &root, size);
    let (values, _) = eigen(product, size);
    distance + traces - 2.0 * values.iter().map(|value| value.max(0.0).sqrt()).sum::<f64>()
}

/// Mean and covariance of the rows.
fn moments(rows: &Dense) -> (Vec<f64>, Vec<f64>) {
    let (n, size) = (rows.values.len() / rows.width, rows.width);
    let mut mean = vec![0.0; size];
    rows.rows()
        .for_each(|row| mean.iter_mut().zip(row).for_each(|(mean, &value)| *mean += f64::from(value) / n as f64));
    let centred = Dense { width: size, values: rows.values.clone() };
    let centred = centred.map_columns(|column, value| value - mean[column] as f32);
    (mean, gram(&centred).into_iter().map(|sum| sum / (n - 1) as f64).collect())
}

/// The product of two square matrices.
fn times(a: &[f64], b: &[f64], size: usize) -> Vec<f64> {
    let at = |row: usize, column: usize| (0..size).map(|k| a[row * size + k] * b[k * size + column]).sum();
    (0..size * size).map(|index| at(index / size, index % size)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Corners of a box around `centre`, whose sides are `sides`: the covariance is diagonal.
    fn corners(centre: [f32; 3], sides: [f32; 3]) -> Dense {
        let corner =
            |bits: usize| (0..3).map(move |axis| centre[axis] + sides[axis] * ((bits >> axis & 1) as f32 - 0.5));
        Dense { width: 3, values: (0..8).flat_map(corner).collect() }
    }

    #[test]
    fn the_distance_of_boxes_is_that_of_their_centres_and_sides() {
        let (a, b) = (corners([0.0; 3], [2.0, 4.0, 6.0]), corners([1.0, 2.0, -2.0], [4.0, 4.0, 2.0]));
        assert!(frechet_distance(&a, &a).abs() < 1e-9);
        // Standard deviations are side/2 · √(8/7): (2 − 1)² + 0 + (1 − 3)² = 5 times 8/7; the centres lie 9 apart.
        let expected = 9.0 + 5.0 * 8.0 / 7.0;
        assert!((frechet_distance(&a, &b) - expected).abs() < 1e-6, "{}", frechet_distance(&a, &b));
    }

    #[test]
    fn a_verdict_counts_what_is_sure_and_the_classes() {
        let probabilities = vec![vec![0.95, 0.05], vec![0.2, 0.8], vec![0.9, 0.1]];
        let seen = Seen { probabilities, features: Dense { width: 1, values: Vec::new() } };
        let verdict = seen.verdict();
        assert_eq!((verdict.n, verdict.sure), (3, 1.0 / 3.0));
        assert_eq!(verdict.classes, [2.0 / 3.0, 1.0 / 3.0]);
        assert_eq!(seen.agreement(|sample| Some(sample % 2)), 1.0);
        assert_eq!(seen.agreement(|_| Some(1)), 1.0 / 3.0);
    }
}
