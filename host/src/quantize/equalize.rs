//! Cross-layer equalisation (Nagel, van Baalen, Blankevoort, Welling 2019): channels of one tensor are brought to one size.
//!
//! Where f is positively homogeneous, as ReLU, pools and leaky ReLU are, `B·f(A·x + a) = (B·S)·f(S⁻¹·A·x + S⁻¹·a)` for every
//! diagonal `S > 0`: channel c between the layers is divided by `s[c]`. Weights of A have a scale a row, so that nothing is
//! lost or won there; but all channels between share one scale, in which a small one is a few steps, and so do the columns of
//! a row of B. With `r[c]` the largest value of channel c and `w[c]` the largest share of a row of B that column c has,
//!
//! ```text
//! s[c] = √(r[c] / w[c])        r[c] / s[c] = w[c] · s[c] = √(r[c] · w[c])
//! ```
//!
//! A depthwise B has a scale a channel, so that there `s[c] = r[c]`.

use super::bounds::Bounds;
use super::float::Evaluator;
use super::network::{Float, Function, Kind, Network, Op};
use rayon::prelude::*;

/// What each channel of a tensor has been divided by; `None` for a tensor that is as it was. In the order of
/// [`Network::tensors`].
pub type Divisors = Vec<Option<Vec<f32>>>;

/// A layer, the tensors behind it, the last of which another layer reads, and that layer.
struct Pair {
    first: usize,
    between: Vec<usize>,
    second: usize,
}

/// Divides channels between layers, and multiplies the weights that read them, by what they reach on the first `count` of
/// `inputs`.
pub fn equalize(network: &mut Network<Float>, inputs: &(dyn Fn(usize) -> Vec<f32> + Sync), count: usize) -> Divisors {
    let pairs: Vec<Pair> = (0..network.ops.len()).filter_map(|first| pair(network, first)).collect();
    let reached = reached(network, inputs, count, &pairs);
    let mut divisors = vec![None; network.tensors.len()];
    for (Pair { first, between, second }, reached) in pairs.into_iter().zip(reached) {
        let shares = shares(&network.ops[second], reached.len());
        let divisor: Vec<f32> = reached.iter().zip(shares).map(|(&reached, share)| divisor(reached, share)).collect();
        divide(&mut network.ops[first], &divisor);
        multiply(&mut network.ops[second], &divisor);
        between.into_iter().for_each(|tensor| divisors[tensor] = Some(divisor.clone()));
    }
    divisors
}

/// The pair that layer `first` begins.
fn pair(network: &Network<Float>, first: usize) -> Option<Pair> {
    let op = &network.ops[first];
    let (mut tensor, is_homogeneous) = (op.output, homogeneous(op));
    // A dense layer that gives an image has a row for each place.
    let rows = op.parameters().filter(|_| op.weight_scales.is_none())?.bias.len();
    let mut between = Vec::new();
    if !is_homogeneous || rows != network.tensors[tensor].shape.channels {
        return None;
    }
    loop {
        if network.readers(tensor) != 1 || network.output == tensor || network.tensors[tensor].affine.is_some() {
            return None;
        }
        between.push(tensor);
        let reader = network.ops.iter().position(|op| op.inputs.contains(&tensor))?;
        let op = &network.ops[reader];
        if op.parameters().is_some() {
            return op.weight_scales.is_none().then_some(Pair { first, between, second: reader });
        }
        if op.inputs.len() != 1 || !homogeneous(op) {
            return None;
        }
        tensor = op.output;
    }
}

/// Whether the op makes `s · y` of `s · x` for every `s > 0`, its weights and bias taken for part of x, each channel by itself.
fn homogeneous(op: &Op<Float>) -> bool {
    let plain = |bounds: Bounds| bounds.is_none() || bounds == Bounds::RELU;
    let keeps = |function: Function| match function {
        Function::Identity | Function::LeakyRelu { .. } => true,
        Function::Clip(bounds) => plain(bounds),
        _ => false,
    };
    match op.kind {
        Kind::Conv2d { bounds, .. }
        | Kind::DepthwiseConv2d { bounds, .. }
        | Kind::Dense { bounds, .. }
        | Kind::AveragePool2d { bounds, .. } => plain(bounds),
        Kind::ConvTranspose2d { function, .. } => function.is_none_or(keeps),
        Kind::Lookup { function } => keeps(function),
        Kind::MaxPool2d { .. } => true,
        Kind::Slice { starts, steps } => starts[2] == 0 && steps[2] == 1,
        Kind::Add { .. } | Kind::Multiply { .. } | Kind::Concat { .. } => false,
    }
}

/// The largest value, sign apart, of each channel behind the first layer of each pair.
fn reached(
    network: &Network<Float>,
    inputs: &(dyn Fn(usize) -> Vec<f32> + Sync),
    count: usize,
    pairs: &[Pair],
) -> Vec<Vec<f32>> {
    let evaluator = Evaluator::new(network);
    let of_one = |index: usize| -> Vec<Vec<f32>> {
        let tensors = evaluator.run(&inputs(index));
        let largest = |pair: &Pair| {
            let tensor = pair.between[0];
            let mut largest = vec![0.0_f32; network.tensors[tensor].shape.channels];
            for place in tensors[tensor].chunks_exact(largest.len()) {
                largest.iter_mut().zip(place).for_each(|(largest, value)| *largest = largest.max(value.abs()));
            }
            largest
        };
        pairs.iter().map(largest).collect()
    };
    let union = |mut a: Vec<Vec<f32>>, b: Vec<Vec<f32>>| {
        a.iter_mut().flatten().zip(b.iter().flatten()).for_each(|(a, b)| *a = a.max(*b));
        a
    };
    (0..count).into_par_iter().map(of_one).reduce_with(union).unwrap_or_default()
}

/// For each of `channels`, the largest share that its weights have of the largest of their row; `None` where a row has one
/// channel's weights alone.
fn shares(op: &Op<Float>, channels: usize) -> Vec<Option<f32>> {
    let mut shares = vec![None; channels];
    let Some(Float { weights, bias }) = op.parameters().filter(|_| !matches!(op.kind, Kind::DepthwiseConv2d { .. }))
    else {
        return shares;
    };
    shares.fill(Some(0.0_f32));
    for row in weights.chunks_exact(weights.len() / bias.len()) {
        let largest = row.iter().fold(f32::MIN_POSITIVE, |largest, weight| largest.max(weight.abs()));
        for place in row.chunks_exact(channels) {
            let places = shares.iter_mut().zip(place);
            places.for_each(|(share, weight)| *share = share.map(|share| share.max(weight.abs() / largest)));
        }
    }
    shares
}

/// What a channel that reaches `reached` is divided by; one that is always zero, or that nothing reads, stays as it is.
fn divisor(reached: f32, share: Option<f32>) -> f32 {
    let divisor = share.map_or(reached, |share| (reached / share).sqrt());
    if divisor.is_normal() { divisor } else { 1.0 }
}

fn divide(op: &mut Op<Float>, divisor: &[f32]) {
    let Some(Float { weights, bias }) = op.parameters_mut() else { return };
    let row = weights.len() / bias.len();
    for ((weights, bias), divisor) in weights.chunks_exact_mut(row).zip(bias).zip(divisor) {
        weights.iter_mut().for_each(|weight| *weight /= divisor);
        *bias /= divisor;
    }
}

/// The weights that read channel c times `factors[c]`; channels are the innermost columns, or the rows of a depthwise layer.
fn multiply(op: &mut Op<Float>, factors: &[f32]) {
    let is_depthwise = matches!(op.kind, Kind::DepthwiseConv2d { .. });
    let Some(Float { weights, bias }) = op.parameters_mut() else { return };
    let taps = if is_depthwise { weights.len() / bias.len() } else { 1 };
    for place in weights.chunks_exact_mut(taps * factors.len()) {
        let channels = place.chunks_exact_mut(taps).zip(factors);
        channels.for_each(|(weights, factor)| weights.iter_mut().for_each(|weight| *weight *= factor));
    }
}
