//! Convolution: gathers patches, walks the channels over them, pools and requantizes.

use super::{Form, PLACES};
use crate::kernels::{Conv2d, Shape, Window};

/// Channels whose sums wait for their requantization together, which is a tight loop of its own.
const BATCH: usize = 16;

/// Bytes of scratch that a convolution needs in the form `F`; saturates where they do not fit.
pub fn scratch_bytes<F: Form<N>, const N: usize>(input: Shape, window: Window, pool: [usize; 2]) -> usize {
    let taps = window.kernel[0].saturating_mul(window.kernel[1]).saturating_mul(input.channels);
    let blocks = pool[0].saturating_mul(pool[1]).div_ceil(PLACES);
    blocks.saturating_mul(F::block_words(taps)).saturating_mul(4)
}

/// Convolution in the form `F`; `scratch` holds [`scratch_bytes`].
#[inline(always)]
pub fn conv2d<F: Form<N>, const N: usize>(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    if conv.pool == [1, 1] {
        unpooled::<F, N>(conv, input, output, scratch);
    } else {
        pooled::<F, N>(conv, input, output, scratch);
    }
}

/// One pool window at a time: its places fill the blocks, their maximum is requantized.
#[inline(always)]
fn pooled<F: Form<N>, const N: usize>(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let taps = conv.taps();
    let Shape { height, width, channels } = conv.output;
    let [pool_height, pool_width] = conv.pool;
    let blocks = &mut scratch[..(pool_height * pool_width).div_ceil(PLACES) * F::block_words(taps)];
    let mut corner = [0, 0];
    for output in output[..height * width * channels].chunks_exact_mut(channels) {
        let mut place = [0, 0];
        for block in blocks.chunks_exact_mut(F::block_words(taps)) {
            let places =
                four(&mut place, conv.pool).map(|[y, x]| [corner[0] * pool_height + y, corner[1] * pool_width + x]);
            F::gather(conv, input, places, block);
        }
        corner = next(corner, [height, width]);
        F::pool_window(conv, blocks, output);
    }
}

/// Outputs of a pool window for the channels from `first` on, a multiple of `N`: largest sums in batches, requantized.
#[inline(always)]
pub(super) fn pool_channels<F: Form<N>, const N: usize>(
    conv: &Conv2d<'_>,
    blocks: &[u32],
    first: usize,
    output: &mut [i8],
) {
    let taps = conv.taps();
    let weights = conv.weights[first / N * F::group_bytes(taps)..].chunks(F::group_bytes(taps) * (BATCH / N));
    for (number, (output, weights)) in output[first..].chunks_mut(BATCH).zip(weights).enumerate() {
        let mut best = [i32::MIN; BATCH];
        for block in blocks.chunks_exact(F::block_words(taps)) {
            raise::<F, N>(best.as_chunks_mut().0, weights, taps, block);
        }
        F::activations(&conv.stage, first + number * BATCH, &best, output);
    }
}

/// Raises each row's value in `best` to the largest of its sums over the places of a block.
///
/// Stands apart from its caller, whose registers this loop needs.
#[inline(never)]
fn raise<F: Form<N>, const N: usize>(best: &mut [[i32; N]], weights: &[i8], taps: usize, block: &[u32]) {
    for (best, weights) in best.iter_mut().zip(weights.chunks_exact(F::group_bytes(taps))) {
        for (best, [a, b, c, d]) in best.iter_mut().zip(F::multiply(weights, taps, block)) {
            *best = (*best).max(a.max(b).max(c.max(d)));
        }
    }
}

/// Four places at a time, each with outputs of its own.
#[inline(always)]
fn unpooled<F: Form<N>, const N: usize>(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let taps = conv.taps();
    let Shape { height, width, channels } = conv.output;
    let block = &mut scratch[..F::block_words(taps)];
    let mut place = [0, 0];
    for output in output[..height * width * channels].chunks_mut(PLACES * channels) {
        let places = four(&mut place, [height, width]);
        F::gather(conv, input, places, block);
        let mut groups = conv.weights.chunks_exact(F::group_bytes(taps));
        for first in (0..channels).step_by(BATCH) {
            let mut sums = [[0; BATCH]; PLACES];
            for (offset, weights) in (0..BATCH).step_by(N).zip(groups.by_ref()) {
                for (channel, places) in (offset..).zip(F::multiply(weights, taps, block)) {
                    for (sums, sum) in sums.iter_mut().zip(places) {
                        sums[channel] = sum;
                    }
                }
            }
            for (sums, output) in sums.iter().zip(output.chunks_exact_mut(channels)) {
                let end = channels.min(first + BATCH);
                F::activations(&conv.stage, first, sums, &mut output[first..end]);
            }
        }
    }
}

/// Four places from `place` on, which moves on behind them.
// Once, though it is called from two places.
#[inline(never)]
fn four(place: &mut [usize; 2], map: [usize; 2]) -> [[usize; 2]; PLACES] {
    [(); PLACES].map(|()| core::mem::replace(place, next(*place, map)))
}

/// The place behind `[y, x]` in a map of `[height, width]`, row by row; the last one stays. Counts instead of dividing,
/// for cores that cannot.
#[inline(always)]
pub(super) fn next([y, x]: [usize; 2], [height, width]: [usize; 2]) -> [usize; 2] {
    if x + 1 < width {
        [y, x + 1]
    } else if y + 1 < height {
        [y + 1, 0]
    } else {
        [y, x]
    }
}
