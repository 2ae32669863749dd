//! How weights lie for each form of the kernels.
//!
//! A convolution's weights are a matrix: one row an output channel, one column a tap (kernel row, kernel column, input
//! channel). A dense layer's are one as they are. Every geometry can use every packing but Winograd's.
//!
//! **Portable**: the rows one behind the other.
//!
//! **DSP**: rows in pairs *a*, *b*, byte-interleaved, so that one word carries two taps of two channels:
//!
//! ```text
//! byte   0             1        2             3
//!        a[k] + 128    b[k]     a[k'] + 128   b[k']        halfword = 256·b + a + 128
//! ```
//!
//! With taps `x[k]`, `x[k']` in the halfwords of a second word, SMLAD over such words gives
//! `S₁ = Σ (256·b + a + 128)·x`; SXTB16 with a rotation by 8 leaves `b`, and SMLAD over that gives `S₂ = Σ b·x`. Then
//! `Σ a·x = S₁ − 256·S₂ − 128·Σ x` holds modulo 2³², so it is exact wherever the sum itself fits 32 bits.
//!
//! SXTB16 widens bytes 0 and 2 of a word of inputs, then bytes 1 and 3: of each four taps, the first word holds
//! `k, k + 2`, the second `k + 1, k + 3`. Taps and rows that are missing at the end are zeros.
//!
//! A convolution's row pairs lie one behind the other. A dense layer multiplies two pairs at once, so the words of these
//! alternate by eight taps: four words of the first pair, four of the second, …, then what is left of the first and of the
//! second. A last pair without a partner lies as a convolution's.
//!
//! **DSP, Winograd**: as DSP, but for convolutions, of which it can do some only: see [`winograd`].
//!
//! **DSP, place by place**: as DSP, but a convolution's row pairs lie as a dense layer's.
//!
//! **Fours**: a convolution's weights as they are. A dense layer's rows in fours, column by column, each weight as `w + 128`;
//! rows that are left over stand behind them as they are.
//!
//! **MVE**: each row in tiles of 16 columns, what a vector register holds; zeros fill up the last one. Rows of zeros make
//! the number of rows a multiple of four. A convolution's rows lie in pairs, a dense layer's in fours: the first tile of
//! each row of the group, then the second one of each, and so on.

#[cfg(feature = "std")]
use super::{ConvTranspose2d, Phase};
use super::{Shape, Window};
use crate::model::format::{
    PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD, PACKING_FOURS, PACKING_MVE, PACKING_PORTABLE,
};

pub mod winograd;

/// Words of the DSP packing in one row pair of `taps` columns; a word that would hold missing taps alone is left out.
pub const fn dsp_row_words(taps: usize) -> usize {
    let rest = taps % 4;
    taps / 4 * 2 + if rest < 2 { rest } else { 2 }
}

/// Columns of one tile of the MVE packing.
pub const MVE_TILE: usize = 16;

/// Tiles of the MVE packing in a row of `taps` columns.
pub const fn mve_row_tiles(taps: usize) -> usize {
    taps.div_ceil(MVE_TILE)
}

/// Bytes of a packed matrix of `rows × taps` weights; `None` where the packing is unknown or the size does not fit.
pub const fn weight_bytes(packing: u8, rows: usize, taps: usize) -> Option<usize> {
    match packing {
        PACKING_PORTABLE | PACKING_FOURS => rows.checked_mul(taps),
        PACKING_DSP | PACKING_DSP_WINOGRAD | PACKING_DSP_PLACES => match dsp_row_words(taps).checked_mul(4) {
            Some(row_bytes) => rows.div_ceil(2).checked_mul(row_bytes),
            None => None,
        },
        PACKING_MVE => match rows.div_ceil(4).checked_mul(4 * MVE_TILE) {
            Some(column_bytes) => mve_row_tiles(taps).checked_mul(column_bytes),
            None => None,
        },
        _ => None,
    }
}

/// Bytes of the packed weights of a convolution with `rows` output channels and a fused `pool`; `None` where the packing is
/// unknown or its kernel cannot do the geometry, or the size does not fit.
pub fn conv2d_bytes(packing: u8, rows: usize, input: Shape, window: Window, pool: [usize; 2]) -> Option<usize> {
    match packing {
        PACKING_DSP_WINOGRAD => winograd::bytes(rows, input, window, pool),
        _ => {
            let [height, width] = window.kernel;
            weight_bytes(packing, rows, height.checked_mul(width)?.checked_mul(input.channels)?)
        }
    }
}

/// Packs a convolution's weights.
///
/// `weights_ohwi` has the shape `[output channels, kernel height, kernel width, input channels]` that `shape` says.
///
/// # Panics
/// If the length is not the product of `shape`, or `packing` is unknown or has no place for such a kernel.
#[cfg(feature = "std")]
pub fn conv2d(packing: u8, weights_ohwi: &[i8], shape: [usize; 4]) -> Vec<i8> {
    let [outputs, height, width, inputs] = shape;
    let shape = [outputs, height * width * inputs];
    assert_eq!(weights_ohwi.len(), shape[0] * shape[1], "weights do not have the shape {shape:?}");
    match packing {
        PACKING_DSP_WINOGRAD => {
            assert_eq!([height, width], [3, 3], "Winograd's form is for kernels of 3×3 taps");
            winograd::pack(weights_ohwi, [outputs, inputs])
        }
        PACKING_DSP => row_pairs(weights_ohwi, shape).concat(),
        PACKING_FOURS => dense(PACKING_PORTABLE, weights_ohwi, shape),
        PACKING_MVE => tiles(weights_ohwi, shape, 2),
        _ => dense(packing, weights_ohwi, shape),
    }
}

/// Packs a transposed convolution's weights, phase by phase.
///
/// `weights_ohwi` has the shape `[output channels, kernel height, kernel width, input channels]`; row 0 of the kernel meets the
/// first of the outputs that an input goes into.
///
/// # Panics
/// If the length is not that of `outputs` rows of such kernels, or `packing` has no place for them.
#[cfg(feature = "std")]
pub fn conv_transpose2d(packing: u8, weights_ohwi: &[i8], outputs: usize, inputs: usize, window: Window) -> Vec<i8> {
    phase_weights(weights_ohwi, outputs, inputs, window)
        .into_iter()
        .flat_map(|(weights, shape)| conv2d(packing, &weights, shape))
        .collect()
}

/// The weights of each pair of phases, as those of a convolution, with their shape.
#[cfg(feature = "std")]
pub fn phase_weights<T: Copy>(
    weights_ohwi: &[T],
    outputs: usize,
    inputs: usize,
    window: Window,
) -> Vec<(Vec<T>, [usize; 4])> {
    let [height, width] = window.kernel;
    assert_eq!(weights_ohwi.len(), outputs * height * width * inputs, "weights do not fit {window:?}");
    let phase = |[row, column]: [Phase; 2]| {
        // The last tap comes first: it meets the first input.
        let places = (0..row.taps).rev().flat_map(|i| (0..column.taps).rev().map(move |j| [i, j]));
        let places: Vec<_> =
            places.map(|[i, j]| [row.first + i * row.stride, column.first + j * column.stride]).collect();
        let taps = (0..outputs).flat_map(|output| places.iter().map(move |[i, j]| (output * height + i) * width + j));
        let weights = taps.flat_map(|tap| &weights_ohwi[tap * inputs..][..inputs]).copied().collect();
        (weights, [outputs, row.taps, column.taps, inputs])
    };
    ConvTranspose2d::phases(window).map(phase).collect()
}

/// Packs a dense layer's weights, `[output][input]` of the shape `[outputs, inputs]`.
///
/// # Panics
/// If the length is not the product of the shape, or `packing` is unknown.
#[cfg(feature = "std")]
pub fn dense(packing: u8, weights: &[i8], shape: [usize; 2]) -> Vec<i8> {
    match packing {
        PACKING_PORTABLE => {
            assert_eq!(weights.len(), shape[0] * shape[1], "weights do not have the shape {shape:?}");
            weights.to_vec()
        }
        PACKING_DSP | PACKING_DSP_WINOGRAD | PACKING_DSP_PLACES => {
            let mut packed = Vec::new();
            for pairs in row_pairs(weights, shape).chunks(2) {
                // Four words, which are eight taps, have 16 bytes.
                let whole = pairs[0].len() / 16 * 16;
                for at in (0..whole).step_by(16) {
                    pairs.iter().for_each(|pair| packed.extend(&pair[at..at + 16]));
                }
                pairs.iter().for_each(|pair| packed.extend(&pair[whole..]));
            }
            packed
        }
        PACKING_FOURS => fours(weights, shape),
        PACKING_MVE => tiles(weights, shape, 4),
        _ => panic!("unknown packing {packing}"),
    }
}

/// A matrix's rows in fours, column by column, and those that are left over.
#[cfg(feature = "std")]
fn fours(weights: &[i8], [rows, taps]: [usize; 2]) -> Vec<i8> {
    assert_eq!(weights.len(), rows * taps, "weights do not have the shape {rows} × {taps}");
    let mut packed = Vec::new();
    let fours = weights.chunks_exact(4 * taps);
    let rest = fours.remainder();
    for four in fours {
        packed.extend((0..4 * taps).map(|at| four[at % 4 * taps + at / 4].wrapping_add(-128)));
    }
    packed.extend(rest);
    packed
}

/// The byte-interleaved row pairs of a matrix.
#[cfg(feature = "std")]
fn row_pairs(weights: &[i8], [rows, taps]: [usize; 2]) -> Vec<Vec<i8>> {
    assert_eq!(weights.len(), rows * taps, "weights do not have the shape {rows} × {taps}");
    let at = |row: usize, tap: usize| if row < rows && tap < taps { weights[row * taps + tap] } else { 0 };
    let pair = |pair: usize| {
        let words = (0..dsp_row_words(taps)).flat_map(|word| {
            let first = word / 2 * 4 + word % 2;
            [first, first + 2]
        });
        words.flat_map(|tap| [at(2 * pair, tap).wrapping_add(-128), at(2 * pair + 1, tap)]).collect()
    };
    (0..rows.div_ceil(2)).map(pair).collect()
}

/// The tiles of a matrix, whose rows lie in groups of so many: two or four.
#[cfg(feature = "std")]
fn tiles(weights: &[i8], [rows, columns]: [usize; 2], group: usize) -> Vec<i8> {
    assert_eq!(weights.len(), rows * columns, "weights do not have the shape {rows} × {columns}");
    let at =
        |row: usize, column: usize| if row < rows && column < columns { weights[row * columns + column] } else { 0 };
    let mut packed = Vec::new();
    for first_row in (0..rows.next_multiple_of(4)).step_by(group) {
        for first_column in (0..columns).step_by(MVE_TILE) {
            for row in first_row..first_row + group {
                packed.extend((first_column..first_column + MVE_TILE).map(|column| at(row, column)));
            }
        }
    }
    packed
}
