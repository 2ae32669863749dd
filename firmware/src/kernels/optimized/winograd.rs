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
use crate::kernels::dsp::{multiply_4x2, sadd16, ssub16, sxtb16, sxtb16_ror8};
use crate::kernels::packing::dsp_row_words;
use crate::kernels::packing::winograd::{POSITIONS, ROWS};
use crate::kernels::{Conv2d, Shape, Window};
use crate::words;
use core::array::from_fn;

/// Tiles that are multiplied together.
const TILES: usize = 2;
/// Sums of the products of [`ROWS`] rows with [`TILES`] tiles, in this order, at each position.
type Sums = [[i32; ROWS * TILES]; POSITIONS];
/// One value for each position of a tile.
type Tile<T> = [[T; 4]; 4];

/// Bytes of scratch that the convolution needs; saturates where they do not fit.
pub fn scratch_bytes(input: Shape, _window: Window, _pool: [usize; 2]) -> usize {
    dsp_row_words(input.channels).saturating_mul(POSITIONS * TILES * 4).saturating_add(size_of::<Sums>())
}

/// Convolution; `scratch` holds [`scratch_bytes`].
pub fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let words = dsp_row_words(conv.input.channels);
    let (sums, inputs) = scratch.split_at_mut(size_of::<Sums>() / 4);
    let (inputs, _) = inputs[..POSITIONS * TILES * words].as_chunks_mut();
    let Some(sums) = words::as_i32_mut(sums).as_chunks_mut().0.first_chunk_mut() else { return };
    let Shape { height, width, .. } = conv.output;
    let map = if conv.pool == [1, 1] { [height.div_ceil(2), width.div_ceil(2)] } else { [height, width] };
    let mut tile = [0, 0];
    for _ in 0..(map[0] * map[1]).div_ceil(TILES) {
        // An odd last tile is computed twice.
        let tiles = [tile, next(tile, map)];
        for (number, tile) in tiles.into_iter().enumerate() {
            transform(conv, input, tile, number, inputs);
        }
        let groups = conv.weights.as_chunks().0.chunks_exact(POSITIONS * words);
        for (channel, weights) in (0..).step_by(ROWS).zip(groups) {
            multiply_4x2(weights, inputs, sums);
            store(conv, sums, channel, tiles, output);
        }
        tile = next(tiles[1], map);
    }
}

/// Puts `Bᵀ · x · B` of all channels of a tile into column `number` of `inputs`, `[position][pair of channels][tile]`.
#[inline(never)]
fn transform(conv: &Conv2d<'_>, input: &[i8], [y, x]: [usize; 2], number: usize, inputs: &mut [[u32; TILES]]) {
    let Shape { height, width, channels } = conv.input;
    let [top, left, ..] = conv.window.padding;
    let starts: Tile<_> = from_fn(|row| {
        from_fn(|column| {
            let place = ((2 * y + row).checked_sub(top)?, (2 * x + column).checked_sub(left)?);
            (place.0 < height && place.1 < width).then_some((place.0 * width + place.1) * channels)
        })
    });
    let words = dsp_row_words(channels);
    for word in (0..words).step_by(2) {
        let four = |start: Option<usize>| match start {
            Some(start) => four_from(&input[start + 2 * word..]),
            None => [conv.input_zero_point; 4],
        };
        let fours = starts.map(|row| row.map(|start| u32::from_le_bytes(four(start).map(|value| value as u8))));
        let even = transformed(fours.map(|row| row.map(sxtb16)));
        let odd = transformed(fours.map(|row| row.map(sxtb16_ror8)));
        let positions = inputs.chunks_exact_mut(words).zip(even.as_flattened().iter().zip(odd.as_flattened()));
        for (inputs, (even, odd)) in positions {
            inputs[word][number] = *even;
            if let Some(inputs) = inputs.get_mut(word + 1) {
                inputs[number] = *odd;
            }
        }
    }
}

/// The first four values, or zeros for those that are missing. Where a place has fewer channels, those behind belong to the
/// next place: the weights that they meet are zeros.
#[inline(always)]
fn four_from(values: &[i8]) -> [i8; 4] {
    values.first_chunk().copied().unwrap_or_else(|| from_fn(|index| values.get(index).copied().unwrap_or_default()))
}

/// `Bᵀ · x · B`, of two channels in the halfwords.
#[inline(always)]
fn transformed(x: Tile<u32>) -> Tile<u32> {
    let rows = |[a, b, c, d]: [u32; 4]| [ssub16(a, c), sadd16(b, c), ssub16(c, b), ssub16(d, b)];
    let wide = x.map(rows);
    let columns: Tile<u32> = from_fn(|x| rows(wide.map(|row| row[x])));
    from_fn(|y| columns.map(|column| column[y]))
}

/// `4·y` of column `lane` of `sums`: `Aᵀ · m · A`, row by row.
#[inline(always)]
fn outputs(sums: &Sums, lane: usize) -> [i32; 4] {
    let rows = |[a, b, c, d]: [i32; 4]| {
        [a.wrapping_add(b).wrapping_add(c), b.wrapping_sub(c).wrapping_add(d)]
    };
    let columns: [[i32; 2]; 4] = from_fn(|x| rows(from_fn(|y| sums[4 * y + x][lane])));
    let [[a, b], [c, d]] = from_fn(|y| rows(columns.map(|column| column[y])));
    [a, b, c, d]
}

/// Requantizes the outputs of [`ROWS`] channels, from `first` on, at two tiles.
#[inline(never)]
fn store(conv: &Conv2d<'_>, sums: &Sums, first: usize, tiles: [[usize; 2]; TILES], output: &mut [i8]) {
    let Shape { height, width, channels } = conv.output;
    for (row, channel) in (first..channels.min(first + ROWS)).enumerate() {
        let (bias, multiplier) = (conv.stage.bias[channel], conv.stage.multipliers[channel]);
        let mut put = |[y, x]: [usize; 2], sum: i32| {
            output[(y * width + x) * channels + channel] = conv.stage.activation(sum >> 2, bias, multiplier);
        };
        for (number, [y, x]) in tiles.into_iter().enumerate() {
            let sums = outputs(sums, row * TILES + number);
            if conv.pool != [1, 1] {
                let [a, b, c, d] = sums;
                put([y, x], a.max(b).max(c.max(d)));
                continue;
            }
            for (place, sum) in sums.into_iter().enumerate() {
                let [y, x] = [2 * y + place / 2, 2 * x + place % 2];
                if y < height && x < width {
                    put([y, x], sum);
                }
            }
        }
    }
}
