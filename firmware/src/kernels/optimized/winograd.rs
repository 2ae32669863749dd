//! Winograd's convolution, F(2×2, 3×3) (Lavin and Gray 2016), for kernels of 3×3 taps with stride 1, on cores with DSP.
//!
//! A tile of 4×4 inputs `x` gives 2×2 outputs `y` with 16 products a channel in place of 36:
//!
//! ```text
//! 4·y = Aᵀ · [Σ over channels (2G · w · 2Gᵀ) ⊙ (Bᵀ · x · B)] · A
//!
//!       2  0  0           1  0 −1  0           1  1  1  0
//! 2G =  1  1  1     Bᵀ =  0  1  1  0     Aᵀ =  0  1 −1  1
//!       1 −1  1           0 −1  1  0
//!       0  0  2           0 −1  0  1
//! ```
//!
//! All of it is integer: 2G makes the transformed weights whole, at most 9·128 long, transformed inputs are at most 4·128,
//! so both fit halfwords. Sums may wrap modulo 2³², since `4·y` comes out right wherever it fits 32 bits itself, which
//! [`MAX_CHANNELS`](crate::kernels::packing::winograd::MAX_CHANNELS) sees to. The factor 4 is shifted out at the end, behind
//! the maximum of a pool's window, which is just a tile's outputs.
//!
//! Two tiles at a time keep the transformed inputs short: 64 bytes an input channel, beside 512 bytes of sums.

use super::conv2d::next;
use super::gather::start_inside;
use crate::kernels::dsp::{Steps, Sums, combine, multiply_4x2, transform};
use crate::kernels::packing::winograd::{POSITIONS, ROWS, pairs};
use crate::kernels::{Conv2d, Shape, Window};
use crate::words;
use core::array::from_fn;

/// Tiles that are multiplied together.
const TILES: usize = 2;
/// Rows and columns of a tile's outputs.
const SIDE: usize = 2;

/// Bytes of scratch that the convolution needs; saturates where they do not fit.
pub fn scratch_bytes(input: Shape, _window: Window, _pool: [usize; 2]) -> usize {
    pairs(input.channels).saturating_mul(POSITIONS * TILES * 4).saturating_add(size_of::<Sums>())
}

/// Convolution; `scratch` holds [`scratch_bytes`].
pub fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let (sums, inputs) = scratch.split_at_mut(size_of::<Sums>() / 4);
    let Some(sums) = words::as_i32_mut(sums).as_chunks_mut().0.first_chunk_mut() else { return };
    let length = POSITIONS * pairs(conv.input.channels);
    let inputs = &mut inputs.as_chunks_mut().0[..length];
    let pool = conv.pool != [1, 1];
    let map = [conv.output.height, conv.output.width].map(|side| if pool { side } else { side.div_ceil(SIDE) });
    let mut tile = [0, 0];
    for _ in 0..(map[0] * map[1]).div_ceil(TILES) {
        // An odd last tile is computed twice.
        let tiles = [tile, next(tile, map)];
        for (number, tile) in tiles.into_iter().enumerate() {
            gather(conv, input, tile, number, inputs);
        }
        for (first, weights) in (0..).step_by(ROWS).zip(conv.weights.as_chunks().0.chunks_exact(length)) {
            multiply_4x2(weights, inputs, sums);
            combine(sums, pool);
            store(conv, sums, first, tiles, output);
        }
        tile = next(tiles[1], map);
    }
}

/// Transforms all channels of a tile.
#[inline(never)]
fn gather(conv: &Conv2d<'_>, input: &[i8], [y, x]: [usize; 2], number: usize, inputs: &mut [[u32; TILES]]) {
    let Shape { width, channels, .. } = conv.input;
    let place = [SIDE * y, SIDE * x];
    let fours = pairs(channels) / 2;
    // The places under the last output of the tile are inside, if the first one's are.
    let is_inside = [place, place.map(|side| side + 1)].map(|place| start_inside(conv, place));
    if let ([Some(start), Some(_)], true) = (is_inside, channels.is_multiple_of(4)) {
        return transform(&input[start..], Steps { row: width * channels, column: channels }, fours, inputs, 0, number);
    }
    for four in 0..fours {
        let mut tile = [[0; 4]; POSITIONS];
        for (index, values) in tile.iter_mut().enumerate() {
            *values = four_at(conv, input, [place[0] + index / 4, place[1] + index % 4], 4 * four);
        }
        transform(tile.as_flattened(), Steps { row: 16, column: 4 }, 1, inputs, 2 * four, number);
    }
}

/// Four channels from `first` on, at a place counted from the corner of the padded input. Where a place has fewer, those behind
/// them belong to the next one, or are zeros: the weights that they meet are zeros.
// Stands apart: a loop over it would be unrolled.
#[inline(never)]
fn four_at(conv: &Conv2d<'_>, input: &[i8], [y, x]: [usize; 2], first: usize) -> [i8; 4] {
    let Shape { height, width, channels } = conv.input;
    let [top, left, ..] = conv.window.padding;
    if y < top || x < left || y >= top + height || x >= left + width {
        return [conv.input_zero_point; 4];
    }
    let values = &input[((y - top) * width + x - left) * channels + first..];
    values.first_chunk().copied().unwrap_or_else(|| from_fn(|index| values.get(index).copied().unwrap_or_default()))
}

/// Requantizes the outputs of [`ROWS`] channels, from `first` on, at the tiles' places.
#[inline(never)]
fn store(conv: &Conv2d<'_>, sums: &Sums, first: usize, tiles: [[usize; 2]; TILES], output: &mut [i8]) {
    let Shape { height, width, channels } = conv.output;
    let side = if conv.pool == [1, 1] { SIDE } else { 1 };
    for (number, [y, x]) in tiles.into_iter().enumerate() {
        for (offset, sums) in sums[..side * side].iter().enumerate() {
            let [y, x] = [side * y + offset / SIDE, side * x + offset % SIDE];
            if y < height && x < width {
                let place = (y * width + x) * channels;
                let output = &mut output[place + first..place + channels.min(first + ROWS)];
                conv.stage.activations(first, &sums[number * ROWS..], output);
            }
        }
    }
}
