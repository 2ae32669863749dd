//! Which range each activation takes, and how much of it to keep.

use super::affine::Affine;
use super::float::Evaluator;
use super::network::{Float, Kind, Network};
use anyhow::{Result, ensure};
use rayon::prelude::*;
use serde::Serialize;

/// How the range that an activation's 256 steps cover is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// The smallest and largest value seen.
    MinMax,
    /// All but one value in 20,000 at either end.
    Percentile,
    /// The range with the least mean squared error of rounding and clipping.
    Mse,
}

impl std::fmt::Display for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Method::MinMax => "min-max",
            Method::Percentile => "percentile",
            Method::Mse => "mse",
        })
    }
}

/// Fraction of values that [`Method::Percentile`] clips at either end.
const CLIPPED: f64 = 1.0 / 20_000.0;
/// Bins of a histogram over the whole range seen.
const BINS: usize = 4096;

/// What calibration found for each tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Scale and zero point, in the order of [`Network::tensors`]; for logits, those of an int8 tensor, which go unused.
    pub affine: Vec<Affine>,
    /// Smallest and largest value seen.
    pub seen: Vec<[f32; 2]>,
}

/// Runs `network` over `inputs` (NHWC, each as long as the network's input) and chooses a range for every tensor
/// by `method`; the input itself keeps `input_affine`.
pub fn calibrate(
    network: &Network<Float>,
    inputs: &(dyn Fn(usize) -> Vec<f32> + Sync),
    count: usize,
    input_affine: Option<Affine>,
    method: Method,
) -> Result<Calibration> {
    ensure!(count > 0, "calibration needs at least one input");
    let evaluator = Evaluator::new(network);
    let seen = (0..count)
        .into_par_iter()
        .map(|index| evaluator.run(&inputs(index)).iter().map(|values| extent(values)).collect::<Vec<_>>())
        .reduce_with(|mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = [a[0].min(b[0]), a[1].max(b[1])]);
            a
        })
        .unwrap_or_default();
    for (tensor, [min, max]) in network.tensors.iter().zip(&seen) {
        ensure!(
            min.is_finite() && max.is_finite(),
            "layer {}: its output ranges over [{min}, {max}] on the calibration inputs, which no int8 covers; check the model's weights",
            tensor.name
        );
    }
    let mut ranges = match method {
        Method::MinMax => seen.clone(),
        Method::Percentile | Method::Mse => {
            let histograms = histograms(&evaluator, inputs, count, &seen);
            let choose = if method == Method::Percentile { Histogram::percentile } else { Histogram::least_error };
            histograms.iter().map(choose).collect()
        }
    };
    for (index, [min, max]) in ranges.iter_mut().enumerate() {
        // Steps spent on what a table cannot tell apart are lost.
        let [least, most] = network.useful_values(index);
        (*min, *max) = (min.max(least), max.min(most));
    }
    unite(network, &mut ranges);
    let mut affine: Vec<Affine> = ranges.iter().map(|&[min, max]| Affine::over(min, max)).collect();
    if let Some(input_affine) = input_affine {
        affine[network.input] = input_affine;
    }
    for (affine, tensor) in affine.iter_mut().zip(&network.tensors) {
        *affine = tensor.affine.unwrap_or(*affine);
    }
    for op in &network.ops {
        // A max-pool and a slice only select: what they write means what they read. A concatenation has one meaning with its inputs.
        match op.kind {
            Kind::MaxPool2d { .. } | Kind::Slice { .. } | Kind::Concat { .. } => {
                affine[op.output] = affine[op.inputs[0]]
            }
            Kind::Lookup { function } | Kind::ConvTranspose2d { function: Some(function), .. } => {
                let given = network.tensors[op.output].affine.or(function.output_affine());
                affine[op.output] = given.unwrap_or(affine[op.output]);
            }
            _ => {}
        }
    }
    Ok(Calibration { affine, seen })
}

/// Tensors that are joined by concatenations, or by max-pools and slices on the way to one, have one range: the union of theirs.
fn unite(network: &Network<Float>, ranges: &mut [[f32; 2]]) {
    let joins = |kind: &Kind<Float>| matches!(kind, Kind::Concat { .. } | Kind::MaxPool2d { .. } | Kind::Slice { .. });
    let joining: Vec<_> = network.ops.iter().filter(|op| joins(&op.kind)).collect();
    let mut changed = joining.iter().any(|op| matches!(op.kind, Kind::Concat { .. }));
    while std::mem::take(&mut changed) {
        for op in &joining {
            let tensors = || op.inputs.iter().chain([&op.output]);
            let union = tensors().fold([f32::INFINITY, f32::NEG_INFINITY], |[min, max], &tensor| {
                [ranges[tensor][0].min(min), ranges[tensor][1].max(max)]
            });
            for &tensor in tensors() {
                changed |= ranges[tensor] != union;
                ranges[tensor] = union;
            }
        }
    }
}

/// Smallest and largest of `values`; NaN if there is one.
fn extent(values: &[f32]) -> [f32; 2] {
    values.iter().fold([f32::INFINITY, f32::NEG_INFINITY], |[min, max], &v| {
        if v.is_nan() || min.is_nan() { [f32::NAN; 2] } else { [min.min(v), max.max(v)] }
    })
}

fn histograms(
    evaluator: &Evaluator<'_>,
    inputs: &(dyn Fn(usize) -> Vec<f32> + Sync),
    count: usize,
    seen: &[[f32; 2]],
) -> Vec<Histogram> {
    let empty = || seen.iter().map(|&range| Histogram::new(range)).collect::<Vec<_>>();
    (0..count)
        .into_par_iter()
        .fold(empty, |mut histograms, index| {
            for (histogram, values) in histograms.iter_mut().zip(evaluator.run(&inputs(index))) {
                values.iter().for_each(|&value| histogram.add(value));
            }
            histograms
        })
        .reduce(empty, |mut a, b| {
            a.iter_mut().zip(b).for_each(|(a, b)| a.counts.iter_mut().zip(b.counts).for_each(|(a, b)| *a += b));
            a
        })
}

/// How often values fell into each of [`BINS`] equal parts of `[min, max]`.
struct Histogram {
    min: f64,
    max: f64,
    counts: Vec<u64>,
}

impl Histogram {
    fn new([min, max]: [f32; 2]) -> Self {
        Self { min: min.into(), max: max.into(), counts: vec![0; BINS] }
    }

    fn bin_width(&self) -> f64 {
        (self.max - self.min) / BINS as f64
    }

    fn add(&mut self, value: f32) {
        // A constant tensor has bins of no width: 0/0 casts to bin 0.
        let bin = ((f64::from(value) - self.min) / self.bin_width()) as usize;
        self.counts[bin.min(BINS - 1)] += 1;
    }

    fn percentile(&self) -> [f32; 2] {
        let clipped = (self.counts.iter().sum::<u64>() as f64 * CLIPPED) as u64;
        // Bins that hold the clipped values, from one end.
        let skip = |counts: &mut dyn Iterator<Item = &u64>| {
            let mut sum = 0;
            counts
                .take_while(|&&count| {
                    sum += count;
                    sum <= clipped
                })
                .count() as f64
        };
        let low = self.min + skip(&mut self.counts.iter()) * self.bin_width();
        let high = self.max - skip(&mut self.counts.iter().rev()) * self.bin_width();
        [low as f32, high as f32]
    }

    fn least_error(&self) -> [f32; 2] {
        // Both ends shrink together, in steps of one percent.
        let candidates = (1..=100).rev().map(|percent| {
            let factor = f64::from(percent) / 100.0;
            [(self.min * factor) as f32, (self.max * factor) as f32]
        });
        let errors = candidates.map(|range| (self.squared_error(Affine::over(range[0], range[1])), range));
        // The first minimum wins: the widest of equally good ranges.
        errors.min_by(|a, b| a.0.total_cmp(&b.0)).map_or([self.min as f32, self.max as f32], |(_, range)| range)
    }

    /// Sum over all values of (value − what int8 makes of it)², each value taken for the middle of its bin.
    fn squared_error(&self, affine: Affine) -> f64 {
        let error = |(bin, &count): (usize, &u64)| {
            let value = self.min + (bin as f64 + 0.5) * self.bin_width();
            let back = affine.dequantize(affine.quantize(value as f32).into());
            count as f64 * (f64::from(back) - value).powi(2)
        };
        self.counts.iter().enumerate().map(error).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(values: &[f32]) -> Histogram {
        let mut histogram = Histogram::new(extent(values));
        values.iter().for_each(|&value| histogram.add(value));
        histogram
    }

    /// 0 to 1 in 100,000 steps, and one outlier.
    fn with_outlier() -> Vec<f32> {
        (0..100_000).map(|i| i as f32 / 100_000.0).chain([8.0]).collect()
    }

    #[test]
    fn percentile_drops_an_outlier_and_keeps_the_rest() {
        let [low, high] = histogram(&with_outlier()).percentile();
        assert!((0.0..0.01).contains(&low), "{low}");
        assert!((0.99..1.01).contains(&high), "{high}");
    }

    #[test]
    fn least_error_is_no_worse_than_the_whole_range() {
        let histogram = histogram(&with_outlier());
        let [low, high] = histogram.least_error();
        let (chosen, whole) = (Affine::over(low, high), Affine::over(0.0, 8.0));
        assert!(high < 8.0);
        assert!(histogram.squared_error(chosen) < histogram.squared_error(whole));
    }

    #[test]
    fn a_constant_tensor_has_a_range() {
        let histogram = histogram(&[0.0; 5]);
        assert_eq!(histogram.percentile(), [0.0, 0.0]);
        assert_eq!(histogram.least_error(), [0.0, 0.0]);
    }

    #[test]
    fn nan_is_seen() {
        assert!(extent(&[1.0, f32::NAN, 2.0])[0].is_nan());
    }
}
