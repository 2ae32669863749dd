//! The form for cores with Helium: 16 columns an instruction, see [`mve`](crate::kernels::mve).
//!
//! A block is the four patches one behind the other, each filled up to whole tiles of 16 values; whatever fills them up is
//! multiplied with zeros. Convolutions multiply two rows of weights with them at a time, dense layers and LSTMs four rows
//! with their one vector.

use super::conv2d::{next, pool_channels};
use super::gather::{gather, runs, starts_inside};
use super::portable::Words;
use super::{Form, PLACES};
use crate::kernels::dsp::Runs;
use crate::kernels::mve::{self, FourStage, Rows, Tile, multiply_2x4, multiply_4x1, pool_4x4};
use crate::kernels::packing::mve_row_tiles;
use crate::kernels::variants::{Variant, row};
use crate::kernels::{Conv2d, Dense, Lookup, Lstm, OutputStage, Shape};
use crate::model::built;
use crate::model::format::{OP_CONV2D, OP_LOOKUP, OP_LSTM, PACKING_MVE};
use crate::words;

/// The table's row.
pub const VARIANT: Variant = Variant {
    conv2d: if built(OP_CONV2D) { conv2d } else { |_, _, _, _| () },
    lookup: if built(OP_LOOKUP) { lookup } else { |_, _, _| () },
    lstm: if built(OP_LSTM) { lstm } else { |_, _, _, _, _| () },
    lstm_scratch_bytes: if built(OP_LSTM) { lstm_scratch_bytes } else { |_, _| 0 },
    ..row::<Helium, 2>("mve", PACKING_MVE)
};

/// See the module.
pub struct Helium;

/// Fours of rows of a dense layer whose sums wait for their requantization together.
const FOURS: usize = 16;

impl Form<2> for Helium {
    type Patch<'b> = Words<'b>;

    fn block_words(taps: usize) -> usize {
        mve_row_tiles(taps).saturating_mul(PLACES * size_of::<Tile>() / 4)
    }

    #[inline(always)]
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Words<'_> {
        let words = Self::block_words(taps) / PLACES;
        Words(block[place * words..][..words].iter_mut())
    }

    /// All four places at once where none reaches into the padding.
    #[inline(never)]
    fn gather(conv: &Conv2d<'_>, input: &[i8], places: [[usize; 2]; PLACES], block: &mut [u32]) {
        let Some(starts) = starts_inside(conv, places) else {
            for (number, place) in places.into_iter().enumerate() {
                gather(conv, input, place, Self::patch(block, conv.taps(), number));
            }
            return;
        };
        let [count, length, step] = runs(conv);
        copy(input, starts, Runs { count, length, step }, block);
    }

    /// Fours of rows are requantized where their sums are made, if the window is one block.
    #[inline(always)]
    fn pool_window(conv: &Conv2d<'_>, blocks: &[u32], output: &mut [i8]) {
        let channels = output.len();
        let mut done = 0;
        if blocks.len() == Self::block_words(conv.taps()) {
            pool_fours(conv, blocks, output);
            done = channels / 4 * 4;
        }
        if done < channels {
            pool_channels::<Self, 2>(conv, blocks, done, output);
        }
    }

    fn group_bytes(taps: usize) -> usize {
        2 * size_of::<Tile>() * mve_row_tiles(taps)
    }

    #[inline(always)]
    fn multiply(weights: &[i8], _taps: usize, block: &[u32]) -> [[i32; PLACES]; 2] {
        multiply_2x4(weights.as_chunks().0.as_chunks().0, patches(block))
    }

    #[inline(always)]
    fn activations(stage: &OutputStage<'_>, first: usize, sums: &[i32], outputs: &mut [i8]) {
        mve::activations(rows(stage, first), stage.zero_point, sums, outputs);
        bound(stage, outputs);
    }

    #[inline(always)]
    fn logits(stage: &OutputStage<'_>, first: usize, sums: &[i32], outputs: &mut [i32]) {
        let outputs = &mut outputs[..sums.len()];
        outputs.copy_from_slice(sums);
        mve::logits(rows(stage, first), outputs);
    }

    fn rows(dense: &Dense<'_>, input: &[i8], _widened: &mut [u32], store: &mut dyn FnMut(usize, &[i32])) {
        let (inputs, rest) = input[..dense.inputs].as_chunks();
        // The last tile has a place of its own, where zeros can fill it up.
        let (inputs, last) = match inputs.split_last() {
            Some((last, inputs)) if rest.is_empty() => (inputs, *last),
            _ => (inputs, filled_up(rest)),
        };
        sums_of_fours(dense, inputs, &last, |first, sums| {
            let rows = (dense.outputs - first).min(4 * FOURS);
            store(first, &sums.as_flattened()[..rows.min(4 * sums.len())]);
        });
    }

    fn widened_words(_inputs: usize) -> usize {
        0
    }
}

/// Convolution; `scratch` holds what [`scratch_bytes`](super::scratch_bytes) says.
///
/// Where nothing reaches into padding and a pool's window is one block, its places move on together from window to window,
/// so where they start is found once.
fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let places = conv.pool[0] * conv.pool[1];
    if conv.window.padding != [0; 4] || !(2..=PLACES).contains(&places) {
        return super::conv2d::<Helium, 2>(conv, input, output, scratch);
    }
    let [count, length, step] = runs(conv);
    // Values from a place to the one below it and to the one beside it, then the same of windows.
    let [down, right] = [conv.window.stride[0] * step, conv.window.stride[1] * conv.input.channels];
    let mut place = [0, 0];
    let starts = [(); PLACES].map(|()| {
        let start = place[0] * down + place[1] * right;
        place = next(place, conv.pool);
        start
    });
    let [down, right] = [conv.pool[0] * down, conv.pool[1] * right];
    let Shape { height, width, channels } = conv.output;
    let block = &mut scratch[..Helium::block_words(conv.taps())];
    let mut window = [0, 0];
    for output in output[..height * width * channels].chunks_exact_mut(channels) {
        let corner = window[0] * down + window[1] * right;
        copy(input, starts.map(|start| start + corner), Runs { count, length, step }, block);
        Helium::pool_window(conv, block, output);
        window = next(window, [height, width]);
    }
}

/// Copies the runs from each of `starts` on to a block.
#[inline(always)]
fn copy(input: &[i8], starts: [usize; PLACES], runs: Runs, block: &mut [u32]) {
    let block = words::as_i8_mut(block);
    match block.as_chunks_mut().0.as_chunks_mut().0 {
        [tiles] if mve::fits_tile(runs) => mve::gather_tiles(input, starts, runs, tiles),
        _ => mve::copy_patches(input, starts, runs, block, block.len() / PLACES),
    }
}

/// Lookup, 16 values at once.
fn lookup(lookup: &Lookup<'_>, input: &[i8], output: &mut [i8]) {
    mve::lookup(lookup.table, input, output);
}

/// Bytes of scratch that an LSTM needs: input and old hidden state one behind the other, in whole tiles. Saturates where
/// they do not fit.
fn lstm_scratch_bytes(inputs: usize, units: usize) -> usize {
    mve_row_tiles(inputs.saturating_add(units)).saturating_mul(size_of::<Tile>())
}

/// One step of an LSTM; `scratch` holds [`lstm_scratch_bytes`].
fn lstm(lstm: &Lstm<'_>, input: &[i8], cell: &mut [i16], hidden: &mut [i8], scratch: &mut [u32]) {
    lstm.join(input, hidden, scratch);
    let tiles = words::as_i8(scratch).as_chunks().0;
    let Some((last, inputs)) = tiles[..mve_row_tiles(lstm.gates.inputs)].split_last() else { return };
    let stage = &lstm.gates.stage;
    sums_of_fours(&lstm.gates, inputs, last, |first, sums| {
        mve::logits(rows(stage, first), sums.as_flattened_mut());
        mve::step_units(sums, &mut cell[first / 4..], &mut hidden[first / 4..], lstm.cell_shift);
    });
}

/// Hands `Σ w·x` of the rows of a dense layer, in fours and several of them at once, to `store`, with the number of the first.
/// Rows of zeros fill up the last four.
#[inline(always)]
fn sums_of_fours(dense: &Dense<'_>, inputs: &[Tile], last: &Tile, mut store: impl FnMut(usize, &mut [[i32; 4]])) {
    let four_tiles = inputs.len() + 1;
    let weights = dense.weights.as_chunks().0.as_chunks().0.chunks(FOURS * four_tiles);
    for (first, weights) in (0..dense.outputs).step_by(4 * FOURS).zip(weights) {
        let mut sums = [[0; 4]; FOURS];
        let sums = &mut sums[..weights.len() / four_tiles];
        multiply_4x1(inputs, last, weights, sums);
        store(first, sums);
    }
}

/// Outputs of all channels but the last ones that are no four, for a pool window that is one block.
///
/// Stands apart from its caller, whose registers the loops need.
#[inline(never)]
fn pool_fours(conv: &Conv2d<'_>, block: &[u32], output: &mut [i8]) {
    let OutputStage { bias, multipliers, left_shift, zero_point, .. } = conv.stage;
    let stage = FourStage { bias: bias.as_chunks().0, multipliers: multipliers.as_chunks().0, left_shift, zero_point };
    pool_4x4(patches(block), conv.weights.as_chunks().0.as_chunks().0, stage, output.as_chunks_mut().0);
    bound(&conv.stage, output);
}

/// The patches of a block.
#[inline(always)]
fn patches(block: &[u32]) -> [&[Tile]; PLACES] {
    let tiles = words::as_i8(block).as_chunks().0;
    let patch_tiles = tiles.len() / PLACES;
    [0, 1, 2, 3].map(|place| &tiles[place * patch_tiles..][..patch_tiles])
}

/// The stage of the rows from `first` on.
#[inline(always)]
fn rows<'a>(stage: &OutputStage<'a>, first: usize) -> Rows<'a> {
    Rows { bias: &stage.bias[first..], multipliers: &stage.multipliers[first..], left_shift: stage.left_shift }
}

/// Brings outputs, which are saturated to 8 bits already, between bounds that are narrower.
#[inline(always)]
fn bound(stage: &OutputStage<'_>, outputs: &mut [i8]) {
    if [stage.output_min, stage.output_max] != [i8::MIN, i8::MAX] {
        for output in outputs {
            *output = (*output).max(stage.output_min).min(stage.output_max);
        }
    }
}

/// A tile that begins with `values`.
fn filled_up(values: &[i8]) -> Tile {
    let mut tile = [0; size_of::<Tile>()];
    tile[..values.len()].copy_from_slice(values);
    tile
}
