//! The form for cores with the DSP extension: two rows of weights × four patches, two taps an instruction.
//!
//! A block is four words `−128 · Σ x`, one a place, from which the sums of products start, then for each word of a packed
//! row (see [`packing`](crate::kernels::packing)) the matching taps of the four places side by side, widened to halfwords.
//! Both streams are read in order, and the eight sums stay in registers.

use super::conv2d::pool_channels;
use super::gather::{gather, runs, starts_inside};
use super::{Form, PLACES, Patch};
use crate::kernels::dsp::{
    LINE, ONES, PairStage, Runs, copy_lines, multiply_2x4, multiply_4x1, multiply_4x1_widened, pool_2x4, smlad, sxtb16,
    sxtb16_ror8, widen_lines,
};
use crate::kernels::packing::dsp_row_words;
use crate::kernels::{Conv2d, Dense, OutputStage};

/// See the module.
pub struct Smlad;

/// The words of a patch, which may alternate with those of others.
pub struct Halfwords<'b> {
    /// What the products start from: `−128 · Σ x`.
    offset: &'b mut u32,
    words: &'b mut [u32],
    /// From one word to the next.
    step: usize,
    sum: i32,
}

impl<'b> Halfwords<'b> {
    /// A patch whose words lie side by side.
    pub fn new(offset: &'b mut u32, words: &'b mut [u32]) -> Self {
        Self { offset, words, step: 1, sum: 0 }
    }
}

impl Patch for Halfwords<'_> {
    #[inline(always)]
    fn push(&mut self, four: u32) {
        let [even, odd] = [sxtb16(four), sxtb16_ror8(four)];
        // A word of zeros that is left out adds nothing.
        self.sum = smlad(odd, ONES, smlad(even, ONES, self.sum));
        for word in [even, odd] {
            let words = core::mem::take(&mut self.words);
            if let Some(place) = words.first_mut() {
                *place = word;
            }
            self.words = words.get_mut(self.step..).unwrap_or_default();
        }
    }

    #[inline(always)]
    fn finish(self) {
        *self.offset = (self.sum << 7).wrapping_neg() as u32;
    }
}

impl Form<2> for Smlad {
    type Patch<'b> = Halfwords<'b>;

    fn block_words(taps: usize) -> usize {
        dsp_row_words(taps).saturating_add(1).saturating_mul(PLACES)
    }

    #[inline(always)]
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Halfwords<'_> {
        let (offsets, words) = block[..Self::block_words(taps)].split_at_mut(PLACES);
        Halfwords { offset: &mut offsets[place], words: &mut words[place..], step: PLACES, sum: 0 }
    }

    /// All four places at once where none reaches into the padding and the patch is short or made of whole fours.
    #[inline(never)]
    fn gather(conv: &Conv2d<'_>, input: &[i8], places: [[usize; 2]; PLACES], block: &mut [u32]) {
        if !gather_four(conv, input, places, block) {
            for (number, place) in places.into_iter().enumerate() {
                gather(conv, input, place, Self::patch(block, conv.taps(), number));
            }
        }
    }

    /// A window of one block is requantized where its sums are made.
    #[inline(always)]
    fn pool_window(conv: &Conv2d<'_>, blocks: &[u32], output: &mut [i8]) {
        let channels = output.len();
        let mut done = 0;
        if blocks.len() == Self::block_words(conv.taps()) {
            pool_pairs(conv, blocks, output);
            done = channels / 2 * 2;
        }
        if done < channels {
            pool_channels::<Self, 2>(conv, blocks, done, output);
        }
    }

    fn group_bytes(taps: usize) -> usize {
        dsp_row_words(taps) * 4
    }

    // Once, though it is called from two places.
    #[inline(never)]
    fn multiply(weights: &[i8], _taps: usize, block: &[u32]) -> [[i32; PLACES]; 2] {
        let Some((offsets, words)) = block.split_first_chunk() else { return [[0; PLACES]; 2] };
        let offsets = offsets.map(|offset| offset as i32);
        let [[a, b, c, d], second] = multiply_2x4(offsets, weights.as_chunks().0, words.as_chunks().0);
        let [e, f, g, h] = second;
        [[exact(a, e), exact(b, f), exact(c, g), exact(d, h)], second]
    }

    fn rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], store: &mut dyn FnMut(usize, &[i32])) {
        Inputs::new(&input[..dense.inputs], widened).times_rows(dense, store);
    }

    fn widened_words(inputs: usize) -> usize {
        inputs / 4 * 2
    }

    #[inline(always)]
    fn fours_of_rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], mut store: impl FnMut([i32; 4])) {
        let inputs = Inputs::new(&input[..dense.inputs], widened);
        for pairs in dense.weights.as_chunks().0.chunks_exact(2 * dsp_row_words(dense.inputs)) {
            store(inputs.times_pairs(pairs));
        }
    }
}

/// Inputs of a dense layer, the first ones widened for all rows at once, as many as there is room for.
pub struct Inputs<'i> {
    widened: &'i [[u32; 4]],
    eights: &'i [[i8; 8]],
    /// The incomplete eight behind the last one, filled up with zeros, widened.
    last: [u32; 4],
    /// What each sum of products starts from: `−128 · Σ x`.
    offset: i32,
}

impl<'i> Inputs<'i> {
    #[inline(never)]
    fn new(input: &'i [i8], room: &'i mut [u32]) -> Self {
        let (eights, rest) = input.as_chunks();
        let (widened, _) = room.as_chunks_mut();
        let widened_count = widened.len().min(eights.len());
        let mut sum = 0;
        for (index, eight) in eights.iter().enumerate() {
            let words = widen_eight(eight);
            sum = words.iter().fold(sum, |sum, word| smlad(*word, ONES, sum));
            if let Some(place) = widened.get_mut(index) {
                *place = words;
            }
        }
        let mut last = [0; 8];
        for (place, value) in last.iter_mut().zip(rest) {
            *place = *value;
        }
        let last = widen_eight(&last);
        sum = last.iter().fold(sum, |sum, word| smlad(*word, ONES, sum));
        Self {
            widened: &widened[..widened_count],
            eights: &eights[widened_count..],
            last,
            offset: (sum << 7).wrapping_neg(),
        }
    }

    /// Words of a patch that can be the inputs: its whole eights, and one more.
    pub fn patch_words(taps: usize) -> usize {
        (taps / 8 + 1).saturating_mul(4)
    }

    /// A patch's words, as many as [`Inputs::patch_words`] says, and the offset before them.
    pub fn of_patch(offset: u32, words: &'i [u32]) -> Self {
        let eights = words.as_chunks().0;
        let (last, widened) = eights.split_last().unwrap_or((&[0; 4], &[]));
        Self { widened, eights: &[], last: *last, offset: offset as i32 }
    }

    /// See [`Form::rows`].
    #[inline(never)]
    pub fn times_rows(&self, dense: &Dense<'_>, store: &mut dyn FnMut(usize, &[i32])) {
        let words = dsp_row_words(dense.inputs);
        for (first, pairs) in (0..dense.outputs).step_by(4).zip(dense.weights.as_chunks().0.chunks(2 * words)) {
            let sums = if pairs.len() == words { self.times_pair(pairs) } else { self.times_pairs(pairs) };
            store(first, &sums[..(dense.outputs - first).min(4)]);
        }
    }

    /// Sums of the four rows of two pairs.
    #[inline(always)]
    fn times_pairs(&self, pairs: &[[i8; 4]]) -> [i32; 4] {
        let blocks = pairs.as_chunks::<4>().0.as_chunks::<2>().0;
        let mut sums = multiply_4x1_widened([[self.offset, 0]; 2], blocks, self.widened);
        if !self.eights.is_empty() {
            sums = self.times_narrow(sums, blocks);
        }
        let done = 8 * (self.widened.len() + self.eights.len());
        if done < pairs.len() {
            let (one, two) = pairs[done..].split_at((pairs.len() - done) / 2);
            sums = [add(sums[0], one, self.last), add(sums[1], two, self.last)];
        }
        let [[a, b], [c, d]] = sums;
        [exact(a, b), b, exact(c, d), d]
    }

    /// Adds the products with the inputs that are not widened. Stands apart, since the op of most rows has none.
    #[inline(never)]
    fn times_narrow(&self, sums: [[i32; 2]; 2], blocks: &[[[[i8; 4]; 4]; 2]]) -> [[i32; 2]; 2] {
        multiply_4x1(sums, &blocks[self.widened.len()..], self.eights)
    }

    /// Sums of the two rows of a pair, and twice nothing.
    fn times_pair(&self, pair: &[[i8; 4]]) -> [i32; 4] {
        let (blocks, _) = pair.as_chunks::<4>();
        let mut sums = [self.offset, 0];
        for (words, eight) in blocks.iter().zip(self.widened) {
            sums = add(sums, words, *eight);
        }
        for (words, eight) in blocks.iter().skip(self.widened.len()).zip(self.eights) {
            sums = add(sums, words, widen_eight(eight));
        }
        let done = self.widened.len() + self.eights.len();
        let [a, b] = add(sums, &pair[4 * done..], self.last);
        [exact(a, b), b, 0, 0]
    }
}

/// Outputs of all channels but an odd last one, for a pool window that is one block.
///
/// Stands apart from its caller, whose registers the loop needs.
#[inline(never)]
fn pool_pairs(conv: &Conv2d<'_>, block: &[u32], output: &mut [i8]) {
    let OutputStage { bias, multipliers, left_shift, zero_point, output_min, output_max } = conv.stage;
    let (bias, multipliers) = (bias.as_chunks().0, multipliers.as_chunks().0);
    let stage = PairStage { bias, multipliers, left_shift, zero_point };
    pool_2x4(block.as_chunks().0, conv.weights.as_chunks().0, stage, output.as_chunks_mut().0);
    // Saturated already.
    if [output_min, output_max] != [i8::MIN, i8::MAX] {
        for output in output {
            *output = (*output).max(output_min).min(output_max);
        }
    }
}

/// Widens the inputs under four places into a block; `false` where it has not done so.
///
/// Runs of whole fours are widened from where they lie. Others, of a short patch, are copied one behind the other first:
/// by fours, of which the last one may reach behind the run.
#[inline(never)]
fn gather_four(conv: &Conv2d<'_>, input: &[i8], places: [[usize; 2]; PLACES], block: &mut [u32]) -> bool {
    let Some(starts) = starts_inside(conv, places) else { return false };
    let [count, length, step] = runs(conv);
    let runs = Runs { count, length, step };
    let taps = count * length;
    let Some((offsets, words)) = block.as_chunks_mut::<PLACES>().0.split_first_mut() else { return false };
    let (pairs, rest) = words.as_chunks_mut();
    let sums = if length.is_multiple_of(4) {
        widen_lines(input, starts, runs, pairs)
    } else {
        let behind = starts.into_iter().fold(0, usize::max) + (count - 1) * step + length.next_multiple_of(4);
        if taps > LINE - 3 || behind > input.len() {
            return false;
        }
        let mut lines = [[0; LINE]; PLACES];
        copy_lines(input, starts, runs, &mut lines);
        let whole = Runs { count: 1, length: 4 * pairs.len(), step: 0 };
        let mut sums = widen_lines(lines.as_flattened(), [0, LINE, 2 * LINE, 3 * LINE], whole, pairs);
        // A last word whose partner would hold missing taps alone.
        if let [word] = rest {
            for ((word, sum), line) in word.iter_mut().zip(&mut sums).zip(&lines) {
                let [even, _] = widen(line.as_chunks().0.get(taps / 4).copied().unwrap_or_default());
                *word = even;
                *sum = smlad(even, ONES, *sum);
            }
        }
        sums
    };
    *offsets = sums.map(|sum| (sum << 7).wrapping_neg() as u32);
    true
}

/// `Σ a·x` of `S₁ − 128·Σ x` and `S₂`, see [`packing`](crate::kernels::packing).
#[inline(always)]
fn exact(first: i32, second: i32) -> i32 {
    first.wrapping_sub(second << 8)
}

/// Taps `0, 2`, `1, 3`, `4, 6` and `5, 7` as halfwords.
#[inline(always)]
fn widen_eight(&[a, b, c, d, e, f, g, h]: &[i8; 8]) -> [u32; 4] {
    let [[one, two], [three, four]] = [widen([a, b, c, d]), widen([e, f, g, h])];
    [one, two, three, four]
}

/// Taps `0, 2` and `1, 3` as halfwords.
#[inline(always)]
fn widen(four: [i8; 4]) -> [u32; 2] {
    let word = u32::from_le_bytes(four.map(|tap| tap as u8));
    [sxtb16(word), sxtb16_ror8(word)]
}

/// Adds the products of a row pair's words with the taps to `S₁` and `S₂`, see [`packing`](crate::kernels::packing).
// Once, though it is called from many places, none of them in the loops that count.
#[inline(never)]
fn add([mut first, mut second]: [i32; 2], words: &[[i8; 4]], taps: [u32; 4]) -> [i32; 2] {
    for (word, taps) in words.iter().zip(taps) {
        let word = u32::from_le_bytes(word.map(|byte| byte as u8));
        first = smlad(word, taps, first);
        second = smlad(sxtb16_ror8(word), taps, second);
    }
    [first, second]
}
