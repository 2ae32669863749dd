//! Winograd's packing: kernels of 3×3 taps, transformed to 4×4 positions.
//!
//! For each four output channels, for each position `(i, j)`, for each pair of input channels, four words, one an output
//! channel, with a signed halfword for each input channel of the pair. Input channels are paired as taps are in the DSP
//! packing: of each four, `c, c + 2`, then `c + 1, c + 3`. Channels that are missing at the end are zeros.

use crate::kernels::{Shape, Window};

/// Positions of a transformed kernel, row by row.
pub const POSITIONS: usize = 16;
/// Output channels whose weights lie side by side.
pub const ROWS: usize = 4;

/// Most input channels: `4 · 9 · channels · 128 · 128`, four times the longest sum of products, stays below 2³¹.
pub const MAX_CHANNELS: usize = 3640;

/// Pairs of input channels.
pub const fn pairs(channels: usize) -> usize {
    channels.div_ceil(4).saturating_mul(2)
}

/// Bytes of the packed weights of `rows` output channels; `None` where the form cannot do the geometry or the size does not
/// fit.
pub(super) fn bytes(rows: usize, input: Shape, window: Window, pool: [usize; 2]) -> Option<usize> {
    let fits = window.kernel == [3, 3]
        && window.stride == [1, 1]
        && matches!(pool, [1, 1] | [2, 2])
        && input.channels <= MAX_CHANNELS;
    let row_bytes = pairs(input.channels).checked_mul(POSITIONS * 4)?;
    if fits { rows.checked_next_multiple_of(ROWS)?.checked_mul(row_bytes) } else { None }
}

/// Transforms and packs `weights_ohwi` of the shape `[outputs, 3, 3, inputs]`.
#[cfg(feature = "std")]
pub(super) fn pack(weights_ohwi: &[i8], [outputs, inputs]: [usize; 2]) -> Vec<i8> {
    let at = |output: usize, input: usize| {
        let tap =
            |tap: usize| weights_ohwi.get((output * 9 + tap) * inputs + input).map_or(0, |weight| (*weight).into());
        let is_there = output < outputs && input < inputs;
        transform(core::array::from_fn(|y| core::array::from_fn(|x| if is_there { tap(3 * y + x) } else { 0 })))
    };
    let mut packed = Vec::new();
    for first in (0..outputs).step_by(ROWS) {
        for position in 0..POSITIONS {
            for pair in 0..pairs(inputs) {
                let channel = pair / 2 * 4 + pair % 2;
                for row in first..first + ROWS {
                    for channel in [channel, channel + 2] {
                        packed
                            .extend(at(row, channel)[position / 4][position % 4].to_le_bytes().map(|byte| byte as i8));
                    }
                }
            }
        }
    }
    packed
}

/// `(2G) · w · (2G)ᵀ`, at most 9 · 128 long.
#[cfg(feature = "std")]
fn transform(kernel: [[i16; 3]; 3]) -> [[i16; 4]; 4] {
    let rows = |[a, b, c]: [i16; 3]| [2 * a, a + b + c, a - b + c, 2 * c];
    let wide: [[i16; 4]; 3] = kernel.map(rows);
    let columns: [[i16; 4]; 4] = core::array::from_fn(|x| rows([wide[0][x], wide[1][x], wide[2][x]]));
    core::array::from_fn(|y| core::array::from_fn(|x| columns[x][y]))
}
