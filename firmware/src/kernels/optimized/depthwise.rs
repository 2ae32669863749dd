//! Depthwise convolution, four channels at a time.
//!
//! A word of the input holds one place of four channels, but SMLAD wants two places of one channel. So each row of the
//! input is turned round once: into four *lines* of halfwords, one a channel, padding included. Of these as many as the
//! kernel has rows are kept, in a ring. Kernel rows are widened to halfwords as well, once for all places, and filled up
//! to whole words with a weight of zero.

use super::first_four;
use crate::kernels::dsp::{lines_3x3, products};
use crate::kernels::{DepthwiseConv2d, Shape, Window};
use crate::words;
use core::ops::Range;

/// Channels that are turned round together.
const LANES: usize = 4;

/// Lengths in halfwords.
#[derive(Clone, Copy)]
struct Lengths {
    /// A kernel row, even.
    kernel_row: usize,
    /// A line: a row of the padded input, and one more that a kernel row of odd width may read beyond.
    line: usize,
}

impl Lengths {
    fn of(input: Shape, window: Window) -> Self {
        let [_, left, _, right] = window.padding;
        let kernel_row = window.kernel[1].next_multiple_of(2);
        Self { kernel_row, line: (left + input.width + right + 1).next_multiple_of(2) }
    }

    /// The weights of all lanes.
    fn weights(self, window: Window) -> usize {
        LANES * window.kernel[0] * self.kernel_row
    }
}

/// Bytes of scratch that the convolution needs; saturates where they do not fit.
pub fn depthwise_scratch_bytes(input: Shape, window: Window) -> usize {
    let lengths = Lengths::of(input, window);
    let lines = (LANES * window.kernel[0]).saturating_mul(lengths.line);
    let sums = (input.width + 2 * window.kernel[1]).saturating_mul(size_of::<i32>());
    lines.saturating_add(lengths.weights(window)).saturating_mul(size_of::<i16>()).saturating_add(sums)
}

/// See the module; `scratch` holds [`depthwise_scratch_bytes`].
pub fn depthwise_conv2d(conv: &DepthwiseConv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let Shape { height, width, channels } = conv.output;
    let [kernel_height, _] = conv.window.kernel;
    let lengths = Lengths::of(conv.input, conv.window);
    let (sums, scratch) = scratch.split_at_mut(width);
    let sums = words::as_i32_mut(sums);
    let (weights, lines) = words::as_i16_mut(scratch).split_at_mut(lengths.weights(conv.window));
    for first in (0..channels).step_by(LANES) {
        let lanes = first..channels.min(first + LANES);
        widen_weights(conv, lanes.clone(), lengths, weights);
        // Rows of the padded input that have been turned round, and where in the ring the first one of a window is.
        let [mut ready, mut oldest] = [0, 0];
        for y in 0..height {
            let top = y * conv.window.stride[0];
            for row in ready.max(top)..top + kernel_height {
                let slot = wrapped(oldest + row - top, kernel_height);
                turn(conv, input, [row, first], lengths, &mut lines[slot * LANES * lengths.line..]);
            }
            ready = top + kernel_height;
            for (lane, channel) in lanes.clone().enumerate() {
                let line = |ky: usize| &lines[(wrapped(oldest + ky, kernel_height) * LANES + lane) * lengths.line..];
                let kernel = kernel_height * lengths.kernel_row;
                add_up(conv, line, &weights[lane * kernel..][..kernel], lengths, sums);
                let [bias, multiplier] = [conv.stage.bias[channel], conv.stage.multipliers[channel]];
                let outputs = output[y * width * channels + channel..].iter_mut().step_by(channels);
                for (output, sum) in outputs.zip(&*sums) {
                    *output = conv.stage.activation(*sum, bias, multiplier);
                }
            }
            // A stride beyond the kernel keeps no row, so that any place will do for the first one.
            if conv.window.stride[0] < kernel_height {
                oldest = wrapped(oldest + conv.window.stride[0], kernel_height);
            }
        }
    }
}

/// A place in a ring of `length`, at most one turn too far. Does not divide, for cores that cannot.
fn wrapped(place: usize, length: usize) -> usize {
    if place < length { place } else { place - length }
}

/// `sums[x] = Σ w[ky,kx] · line(ky)[x · stride + kx]`.
#[inline(always)]
fn add_up<'l>(
    conv: &DepthwiseConv2d<'_>,
    line: impl Fn(usize) -> &'l [i16],
    weights: &[i16],
    lengths: Lengths,
    sums: &mut [i32],
) {
    let stride = conv.window.stride[1];
    if let (3, 4, 1 | 2, Some(weights)) = (conv.window.kernel[0], lengths.kernel_row, stride, weights.first_chunk()) {
        return lines_3x3([line(0), line(1), line(2)], weights, stride, sums);
    }
    sums.fill(0);
    for (ky, weights) in weights.chunks_exact(lengths.kernel_row).enumerate() {
        let line = line(ky);
        for (x, sum) in sums.iter_mut().enumerate() {
            *sum = sum.wrapping_add(products(&line[x * stride..], weights));
        }
    }
}

/// The weights of the channels in `lanes`, one channel's behind the other's.
fn widen_weights(conv: &DepthwiseConv2d<'_>, lanes: Range<usize>, lengths: Lengths, weights: &mut [i16]) {
    let [kernel_height, kernel_width] = conv.window.kernel;
    let rows = conv.weights[lanes.start * kernel_height * kernel_width..].chunks_exact(kernel_width);
    let places = weights.chunks_exact_mut(lengths.kernel_row).take(lanes.len() * kernel_height);
    for (places, row) in places.zip(rows) {
        places.fill(0);
        places.iter_mut().zip(row).for_each(|(place, weight)| *place = (*weight).into());
    }
}

/// Turns row `row` of the padded input round: the channels from `first` on become the first lines of `lines`.
// Stands apart, for the registers of its loop.
#[inline(never)]
fn turn(conv: &DepthwiseConv2d<'_>, input: &[i8], [row, first]: [usize; 2], lengths: Lengths, lines: &mut [i16]) {
    let Shape { height, width, channels } = conv.input;
    let [top, left, ..] = conv.window.padding;
    let inside = row.checked_sub(top).filter(|row| *row < height);
    let padding = i16::from(conv.input_zero_point);
    let Some(row) = inside else { return lines[..LANES * lengths.line].fill(padding) };
    let mut lines = lines.chunks_exact_mut(lengths.line).map(|line| {
        let (before, values) = line.split_at_mut(left);
        let (values, behind) = values.split_at_mut(width);
        before.fill(padding);
        behind.fill(padding);
        values
    });
    let [Some(a), Some(b), Some(c), Some(d)] = [(); LANES].map(|()| lines.next()) else { return };
    let places = input[row * width * channels + first..].chunks(channels);
    for ((((place, a), b), c), d) in places.zip(a).zip(b).zip(c).zip(d) {
        [*a, *b, *c, *d] = first_four(place).map(i16::from);
    }
}
