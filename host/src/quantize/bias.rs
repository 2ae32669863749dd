//! Bias correction (Nagel, van Baalen, Blankevoort, Welling 2019): what rounding adds to each output on average is taken off
//! its bias.
//!
//! A layer computes `W̃·x̃ + b` in place of `W·x + b`. Errors of single weights have no mean over a layer, but those of one output
//! have one over the inputs: `b ← b + E[W·x − W̃·x̃]`, the expectation over the calibration inputs and, of a convolution, over
//! all places, borders included. `x̃` is the float model's x, rounded and clipped as the layer's input is.

use super::affine::Affine;
use super::float::Evaluator;
use super::network::{Float, Network, Op};
use super::weights::Quantized;
use anyhow::Result;
use rayon::prelude::*;

/// Corrects the biases of `network`, which `quantized` was made of, by the first `count` of `inputs`; to be quantized again.
pub fn correct(
    network: &mut Network<Float>,
    quantized: &Quantized,
    inputs: &(dyn Fn(usize) -> Vec<f32> + Sync),
    count: usize,
) -> Result<()> {
    let float = |_: &Op<_>, int8: &super::Int8| {
        let row = int8.weights.len() / int8.weight_scales.len();
        let scales = int8.weight_scales.iter().flat_map(|&scale| std::iter::repeat_n(scale, row));
        let weights = int8.weights.iter().zip(scales).map(|(&weight, scale)| f32::from(weight) * scale).collect();
        Ok(Float { weights, bias: vec![0.0; int8.bias.len()] })
    };
    let rounded = quantized.network.try_map(float)?;
    let exact = network
        .try_map(|_, Float { weights, bias }| Ok(Float { weights: weights.clone(), bias: vec![0.0; bias.len()] }))?;
    let (evaluator, exact, rounded) = (Evaluator::new(network), Evaluator::new(&exact), Evaluator::new(&rounded));
    let of_one = |index: usize| -> Vec<Vec<f64>> {
        let tensors = evaluator.run(&inputs(index));
        let mean = |(number, op): (usize, &Op<Float>)| {
            let Some(Float { bias, .. }) = op.parameters() else { return Vec::new() };
            let input = &tensors[op.inputs[0]];
            let seen = as_integers(input, quantized.affine[op.inputs[0]]);
            mean_difference(&exact.sums(number, input), &rounded.sums(number, &seen), bias.len())
        };
        network.ops.iter().enumerate().map(mean).collect()
    };
    let means: Vec<Vec<Vec<f64>>> = (0..count).into_par_iter().map(of_one).collect();
    for (number, op) in network.ops.iter_mut().enumerate() {
        let Some(Float { bias, .. }) = op.parameters_mut() else { continue };
        for (output, bias) in bias.iter_mut().enumerate() {
            let sum: f64 = means.iter().map(|means| means[number][output]).sum();
            *bias += (sum / count as f64) as f32;
        }
    }
    Ok(())
}

/// What the values are once they have been rounded and clipped.
fn as_integers(values: &[f32], affine: Affine) -> Vec<f32> {
    values.iter().map(|&value| affine.dequantize(affine.quantize(value).into())).collect()
}

/// Mean of `a − b` for each of `outputs`, which come one behind the other, place by place.
fn mean_difference(a: &[f32], b: &[f32], outputs: usize) -> Vec<f64> {
    let mut means = vec![0.0; outputs];
    let places = (a.len() / outputs) as f64;
    for (a, b) in a.chunks_exact(outputs).zip(b.chunks_exact(outputs)) {
        means.iter_mut().zip(a.iter().zip(b)).for_each(|(mean, (a, b))| *mean += f64::from(a - b) / places);
    }
    means
}
