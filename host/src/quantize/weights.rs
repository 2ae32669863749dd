//! Int8 weights, int32 biases and multipliers, with the proof that no accumulator overflows.

use super::affine::{Affine, left_shift, multiplier};
use super::calibrate::Calibration;
use super::network::{Float, Kind, Network, Op, Window};
use anyhow::{Context, Result, ensure};
use firmware::kernels::packing;

/// Parameters of a convolution or dense layer in int8.
#[derive(Clone, Debug, PartialEq)]
pub struct Int8 {
    /// OHWI, or `[output][input]`; symmetric, in `-127..=127`.
    pub weights: Vec<i8>,
    /// Real value of one step of the weights, one an output channel.
    pub weight_scales: Vec<f32>,
    /// `round(bias / (input scale · weight scale))`, one an output channel.
    pub bias: Vec<i32>,
    /// `bias[o] − zero_point · Σᵢ w[o,i]`: what accumulators start from, the input's zero point folded in; of a transposed
    /// convolution, for each phase.
    pub folded_bias: Vec<i32>,
    /// `round(scale[o] · 2^(32 − left_shift))`, one an output channel.
    pub multipliers: Vec<i32>,
    /// Bits that accumulators are shifted left before the multiplication.
    pub left_shift: u8,
    /// Smallest and largest accumulator that any int8 input can lead to.
    pub accumulator: [i64; 2],
}

/// An int8 network: everything that the container, the QDQ model and the budget are written from.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    pub network: Network<Int8>,
    /// Scale and zero point, in the order of [`Network::tensors`].
    pub affine: Vec<Affine>,
}

/// No |bias| is finer than 1/2²⁴ of itself: a channel whose weights are so small that its bias would fill the
/// accumulator takes a coarser scale instead.
const BIAS_STEPS: f64 = (1u32 << 24) as f64;

/// Turns `network` into int8 with the ranges of `calibration`.
///
/// Fails where a weight is no finite number, and where an accumulator could overflow.
pub fn quantize(network: &Network<Float>, calibration: &Calibration) -> Result<Quantized> {
    network.check_finite()?;
    let mut affine = calibration.affine.clone();
    let quantized = network.try_map(|op, parameters| {
        let layer = if network.is_logits(op) {
            let (layer, scale) = logits(parameters, affine[op.inputs[0]], op.weight_scales.as_deref())?;
            affine[op.output] = Affine { scale, zero_point: 0 };
            layer
        } else {
            hidden(op, parameters, network.input_shape(op).channels, affine[op.inputs[0]], affine[op.output])?
        };
        Ok(layer)
    })?;
    Ok(Quantized { network: quantized, affine })
}

/// A layer whose output is int8; `channels` flow in.
fn hidden(op: &Op<Float>, parameters: &Float, channels: usize, input: Affine, output: Affine) -> Result<Int8> {
    let mut layer =
        accumulating(parameters, input, op.weight_scales.as_deref()).with_context(|| format!("layer {}", op.name))?;
    let mut output = output;
    if let Kind::ConvTranspose2d { window, function, .. } = &op.kind {
        by_phase(&mut layer, channels, *window, input).with_context(|| format!("layer {}", op.name))?;
        output = function.map_or(output, |function| function.input_affine(output));
    }
    let scales: Vec<f64> = layer.real_scales(input).map(|scale| scale / f64::from(output.scale)).collect();
    layer.left_shift = left_shift(&scales);
    let headroom = layer.headroom();
    ensure!(
        layer.left_shift <= headroom,
        "layer {}: its output range is so narrow that accumulators, up to {} long, would have to be shifted left by {} bits, \
         where {headroom} are free; calibrate on more varied inputs or with --ranges min-max",
        op.name,
        layer.longest_accumulator(),
        layer.left_shift
    );
    layer.multipliers = multipliers(&scales, layer.left_shift).with_context(|| format!("layer {}", op.name))?;
    Ok(layer)
}

/// Each phase of a transposed convolution has a part of the kernel, and so its own bounds and zero points to fold: `folded_bias`
/// becomes one an output channel for each phase.
fn by_phase(layer: &mut Int8, channels: usize, window: Window, input: Affine) -> Result<()> {
    let phases = packing::phase_weights(&layer.weights, layer.bias.len(), channels, window);
    layer.folded_bias.clear();
    layer.accumulator = [i64::MAX, i64::MIN];
    for (weights, [_, height, width, _]) in phases {
        for (channel, row) in weights.chunks_exact(height * width * channels).enumerate() {
            let (folded, [low, high]) = folded_start(layer.bias[channel].into(), row, input.zero_point, channel)?;
            layer.folded_bias.push(folded);
            layer.accumulator = [layer.accumulator[0].min(low), layer.accumulator[1].max(high)];
        }
    }
    Ok(())
}

/// The last layer and the scale of its int32 answers, which keep all the resolution that the proven bound leaves:
/// accumulators are shifted left as far as they can be, and the largest multiplier lies just below 2³¹.
pub(super) fn logits(parameters: &Float, input: Affine, scales: Option<&[f32]>) -> Result<(Int8, f32)> {
    let mut layer = accumulating(parameters, input, scales).context("the last layer")?;
    layer.left_shift = layer.headroom();
    let largest = layer.real_scales(input).fold(0.0, f64::max);
    let unit = f64::from(32 - i32::from(layer.left_shift)).exp2();
    // Rounded to f32 the scale may be a little too small for the largest multiplier: one step up is enough.
    let mut scale = (largest * unit / f64::from(i32::MAX)) as f32;
    if multiplier(largest / f64::from(scale), layer.left_shift).is_err() {
        scale = scale.next_up();
    }
    let scales: Vec<f64> = layer.real_scales(input).map(|real| real / f64::from(scale)).collect();
    layer.multipliers = multipliers(&scales, layer.left_shift).context("the last layer")?;
    Ok((layer, scale))
}

pub(super) fn multipliers(scales: &[f64], left_shift: u8) -> Result<Vec<i32>> {
    scales.iter().map(|&scale| multiplier(scale, left_shift)).collect()
}

/// Everything up to the accumulator; left shift and multipliers are still to come. `scales` are the weights', where they are
/// given, and then −128 is a weight like others.
pub(super) fn accumulating(Float { weights, bias }: &Float, input: Affine, scales: Option<&[f32]>) -> Result<Int8> {
    let outputs = bias.len();
    let rows = || weights.chunks_exact(weights.len() / outputs);
    let weight_scales = scales.map_or_else(|| weight_scales(rows(), bias, input.scale), <[f32]>::to_vec);
    let least = if scales.is_some() { -128.0 } else { -127.0 };
    let mut layer = Int8 {
        weights: Vec::with_capacity(weights.len()),
        bias: Vec::with_capacity(outputs),
        folded_bias: Vec::with_capacity(outputs),
        multipliers: Vec::new(),
        left_shift: 0,
        accumulator: [i64::MAX, i64::MIN],
        weight_scales,
    };
    for (channel, row) in rows().enumerate() {
        let scale = f64::from(layer.weight_scales[channel]);
        let start = layer.weights.len();
        layer.weights.extend(row.iter().map(|&w| (f64::from(w) / scale).round_ties_even().clamp(least, 127.0) as i8));
        let row = &layer.weights[start..];
        let real_bias = (f64::from(bias[channel]) / (f64::from(input.scale) * scale)).round_ties_even() as i64;
        let (folded, [low, high]) = folded_start(real_bias, row, input.zero_point, channel)?;
        layer.bias.push(real_bias as i32);
        layer.folded_bias.push(folded);
        layer.accumulator = [layer.accumulator[0].min(low), layer.accumulator[1].max(high)];
    }
    Ok(layer)
}

/// What an accumulator starts from, the input's zero point folded in, and its bounds.
fn folded_start(bias: i64, row: &[i8], zero_point: i8, channel: usize) -> Result<(i32, [i64; 2])> {
    // A bias far beyond what a step can count has been cast to the end of 64 bits.
    let folded = bias.saturating_sub(i64::from(zero_point) * row.iter().map(|&w| i64::from(w)).sum::<i64>());
    // Whatever the order of additions, no partial sum is longer than this.
    let partial = folded.saturating_abs().saturating_add(row.iter().map(|&w| i64::from(w).abs() * 128).sum::<i64>());
    ensure!(
        partial <= i64::from(i32::MAX),
        "output channel {channel}: its accumulator can reach {partial}, past int32; make the layer narrower or split it"
    );
    Ok((folded as i32, accumulator_bound(folded, row)))
}

/// Smallest and largest of `bias + Σᵢ w[i]·x[i]` over all x in `-128..=127`.
fn accumulator_bound(bias: i64, weights: &[i8]) -> [i64; 2] {
    weights.iter().fold([bias; 2], |[low, high], &w| {
        let (a, b) = (i64::from(w) * -128, i64::from(w) * 127);
        [low + a.min(b), high + a.max(b)]
    })
}

/// `max|w| / 127` a channel. A channel of nothing but zeros takes the layer's largest scale, or 1 if all are so.
fn weight_scales<'a>(rows: impl Iterator<Item = &'a [f32]>, bias: &[f32], input_scale: f32) -> Vec<f32> {
    let mut scales: Vec<f32> = rows
        .zip(bias)
        .map(|(row, bias)| {
            let largest = row.iter().fold(0f32, |largest, w| largest.max(w.abs()));
            let for_bias = f64::from(bias.abs()) / (f64::from(input_scale) * BIAS_STEPS);
            (largest / 127.0).max(for_bias as f32)
        })
        .collect();
    let largest = scales.iter().copied().fold(0f32, f32::max);
    let dead = if largest < f32::MIN_POSITIVE { 1.0 } else { largest };
    scales.iter_mut().filter(|scale| **scale < f32::MIN_POSITIVE).for_each(|scale| *scale = dead);
    scales
}

impl Int8 {
    /// Real value of one step of the accumulator, an output channel each.
    fn real_scales(&self, input: Affine) -> impl Iterator<Item = f64> {
        self.weight_scales.iter().map(move |&scale| f64::from(input.scale) * f64::from(scale))
    }

    /// The longest accumulator that any input leads to.
    pub fn longest_accumulator(&self) -> u64 {
        self.accumulator[0].unsigned_abs().max(self.accumulator[1].unsigned_abs())
    }

    /// Bits by which every accumulator can be shifted left within int32.
    pub(super) fn headroom(&self) -> u8 {
        let bits_used = 64 - self.longest_accumulator().leading_zeros();
        (31 - bits_used) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layer(weights: Vec<f32>, bias: Vec<f32>) -> Int8 {
        accumulating(&Float { weights, bias }, Affine { scale: 0.02, zero_point: -5 }, None).unwrap()
    }

    #[test]
    fn weights_are_symmetric_per_channel() {
        let layer = layer(vec![0.5, -1.0, 0.25, 0.0, 4.0, -2.0], vec![0.0, 0.0]);
        assert_eq!(layer.weights, [64, -127, 32, 0, 127, -64]);
        assert_eq!(layer.weight_scales, [1.0 / 127.0, 4.0 / 127.0]);
        // −(−5) · Σw
        assert_eq!(layer.folded_bias, [5 * (64 - 127 + 32), 5 * (127 - 64)]);
    }

    #[test]
    fn a_dead_channel_and_a_channel_of_bias_alone() {
        let layer = layer(vec![0.0, 0.0, 1.0, 2.0, 1e-30, 1e-30], vec![0.0, 1.0, 3.0]);
        assert_eq!(layer.weight_scales[0], layer.weight_scales[1].max(layer.weight_scales[2]));
        assert_eq!(layer.weights[4..], [0, 0]);
        let back = f64::from(layer.bias[2]) * 0.02f32 as f64 * f64::from(layer.weight_scales[2]);
        assert!((back - 3.0).abs() < 1e-5, "{back}");
    }

    #[test]
    fn an_accumulator_that_can_overflow_is_refused() {
        let huge = Float { weights: vec![1.0; 140_000], bias: vec![0.0] };
        let error = accumulating(&huge, Affine::PIXEL, None).unwrap_err().to_string();
        assert!(error.contains("past int32"), "{error}");
    }

    proptest! {
        #[test]
        fn bounds_hold_and_are_reached(weights in prop::collection::vec(-127i8..=127, 1..40), bias in -1000i64..1000) {
            let [low, high] = accumulator_bound(bias, &weights);
            let sum = |pick: &dyn Fn(i64) -> i64| bias + weights.iter().map(|&w| i64::from(w) * pick(w.into())).sum::<i64>();
            prop_assert_eq!(high, sum(&|w| if w > 0 { 127 } else { -128 }));
            prop_assert_eq!(low, sum(&|w| if w > 0 { -128 } else { 127 }));
        }

        #[test]
        fn logits_use_the_whole_headroom(weights in prop::collection::vec(-1f32..1.0, 12), bias in prop::collection::vec(-1f32..1.0, 3)) {
            prop_assume!(weights.iter().any(|w| w.abs() > 0.01));
            let (layer, scale) = logits(&Float { weights, bias }, Affine::PIXEL, None).unwrap();
            let shifted = layer.longest_accumulator() << layer.left_shift;
            prop_assert!(shifted < 1 << 31 && shifted * 2 >= 1 << 31);
            let largest = *layer.multipliers.iter().max().unwrap();
            prop_assert!(largest > i32::MAX - 1024, "{}", largest);
            prop_assert!(scale > 0.0);
        }
    }
}
