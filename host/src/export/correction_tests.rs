//! Equalisation and bias correction, on a net of layers of every kind.

use super::proto::{float, int, ints};
use super::sketch::Sketch;
use crate::quantize::calibrate::{Method, calibrate};
use crate::quantize::equalize::equalize;
use crate::quantize::float::Evaluator;
use crate::quantize::{Affine, Float, Network, Quantized, bias, quantize};
use prost::Message;

/// Samples of an input.
const COUNT: usize = 8;

/// Layers of every kind, with channels of very different sizes: all that stand between two layers but those behind the sum.
fn net() -> Network<Float> {
    let pads = || ints("pads", &[1, 1, 1, 1]);
    let window = |side: usize| vec![ints("kernel_shape", &[side, side]), ints("strides", &[side, side])];
    let model = Sketch::new(&[3, 16, 16], 91)
        .node("Conv", &[&[8, 3, 3, 3], &[8]], vec![pads()])
        .batch_normalization(8)
        .node("Relu", &[], vec![])
        .node("Conv", &[&[8, 1, 3, 3], &[8]], vec![pads(), int("group", 8)])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], window(2))
        .node("ConvTranspose", &[&[8, 6, 2, 2], &[6]], vec![ints("strides", &[2, 2])])
        .node("LeakyRelu", &[], vec![float("alpha", 0.2)])
        .node("Conv", &[&[6, 6, 3, 3], &[6]], vec![])
        .node_of("Relu", &["conv8"], &[], vec![])
        .node_of("Add", &["relu9", "conv8"], &[], vec![])
        .node("AveragePool", &[], window(7))
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[24, 10], &[10]], vec![])
        .node("Relu", &[], vec![])
        .node("Gemm", &[&[10, 4], &[4]], vec![])
        .finish(&[4]);
    let mut network = super::read(&model.encode_to_vec(), "test").unwrap();
    for op in &mut network.ops {
        let Some(Float { weights, bias }) = op.parameters_mut() else { continue };
        let row = weights.len() / bias.len();
        for (output, (weights, bias)) in weights.chunks_exact_mut(row).zip(bias).enumerate() {
            let size = [1.0, 0.05, 0.2, 0.01][output % 4];
            weights.iter_mut().for_each(|weight| *weight *= size);
            *bias *= size;
        }
    }
    network
}

fn inputs(index: usize) -> Vec<f32> {
    Sketch::new(&[1], index as u64).numbers(3 * 16 * 16)
}

/// The squared error of the answers, relative to their squares, with the weights of `quantized` and the biases of `biases`.
fn error(network: &Network<Float>, quantized: &Quantized, biases: &Network<Float>) -> f64 {
    let mut rounded = quantized
        .network
        .try_map(|_, int8| {
            let row = int8.weights.len() / int8.bias.len();
            let weights = int8.weights.iter().enumerate();
            let weights = weights.map(|(index, &weight)| f32::from(weight) * int8.weight_scales[index / row]);
            Ok(Float { weights: weights.collect(), bias: Vec::new() })
        })
        .unwrap();
    for (op, float) in rounded.ops.iter_mut().zip(&biases.ops) {
        if let (Some(to), Some(from)) = (op.parameters_mut(), float.parameters()) {
            to.bias.clone_from(&from.bias);
        }
    }
    let (exact, rounded) = (Evaluator::new(network), Evaluator::new(&rounded));
    let (mut sum, mut total) = (0.0, 0.0);
    for index in 0..COUNT {
        let [exact, rounded] = [&exact, &rounded].map(|net| net.run(&inputs(index))[network.output].clone());
        sum += exact.iter().zip(&rounded).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        total += exact.iter().map(|a| f64::from(*a).powi(2)).sum::<f64>();
    }
    sum / total
}

#[test]
fn the_function_stays_and_channels_come_nearer_to_one_another() {
    let before = net();
    let mut after = before.clone();
    let divisors = equalize(&mut after, &inputs, COUNT);
    let named: Vec<&str> = divisors
        .iter()
        .zip(&before.tensors)
        .filter(|(d, _)| d.is_some())
        .map(|(_, tensor)| tensor.name.as_str())
        .collect();
    // Not what is added up, nor the pool behind it, nor the answer.
    assert_eq!(named, ["conv0", "conv3", "maxpool5", "convtranspose6", "gemm13"]);
    let runs = [&before, &after].map(|network| Evaluator::new(network).run(&inputs(3)));
    for (tensor, divisors) in divisors.iter().enumerate() {
        let largest = runs[0][tensor].iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        let divisors = divisors.clone().unwrap_or(vec![1.0]);
        for ((a, b), divisor) in runs[0][tensor].iter().zip(&runs[1][tensor]).zip(divisors.iter().cycle()) {
            assert!((a - b * divisor).abs() < 1e-5 * largest, "tensor {tensor}: {a}, now {b} times {divisor}");
        }
    }
    // A depthwise layer reads the first: there, all channels reach the same.
    let channels = before.tensors[before.ops[0].output].shape.channels;
    let mut reached = vec![0.0_f32; channels];
    for index in 0..COUNT {
        let values = Evaluator::new(&after).run(&inputs(index));
        values[after.ops[0].output]
            .iter()
            .enumerate()
            .for_each(|(i, v)| reached[i % channels] = v.abs().max(reached[i % channels]));
    }
    assert!(reached.iter().all(|reached| (reached - 1.0).abs() < 1e-4), "{reached:?}");
}

#[test]
fn corrected_biases_take_off_what_rounding_adds() {
    let network = net();
    let calibration = calibrate(&network, &inputs, COUNT, Some(Affine::over(-1.0, 1.0)), Method::MinMax).unwrap();
    // Weights that are all rounded down make errors with a mean.
    let mut quantized = quantize(&network, &calibration).unwrap();
    for int8 in quantized.network.ops.iter_mut().filter_map(|op| op.parameters_mut()) {
        int8.weights.iter_mut().for_each(|weight| *weight &= !3);
    }
    let mut corrected = network.clone();
    bias::correct(&mut corrected, &quantized, &inputs, COUNT).unwrap();
    let [before, after] = [&network, &corrected].map(|biases| error(&network, &quantized, biases));
    assert!(after < 0.25 * before, "{after} after, {before} before");
}
