//! The form for cores with the DSP extension: two rows of weights × four patches, two taps an instruction.
//!
//! A block is four words `−128 · Σ x`, one a place, from which the sums of products start, then for each word of a packed row (see [`packing`](crate::kernels::packing)) the matching
//! taps of the four places side by side, widened to halfwords. Both streams are read in order, and the eight sums stay
//! in registers.

use super::{Form, PLACES, Patch};
use crate::kernels::Dense;
use crate::kernels::dsp::{multiply_2x4, multiply_4x1, multiply_4x1_widened, smlad, sxtb16, sxtb16_ror8};
use crate::kernels::packing::dsp_row_words;

/// One in each halfword: SMLAD with it adds the halfwords up.
const ONES: u32 = 0x0001_0001;

/// See the module.
pub struct Smlad;

/// A patch's places in a block: this place's word of every four.
pub struct Places<'b> {
    /// What the products start from: `−128 · Σ x`.
    offset: &'b mut u32,
    words: &'b mut [u32],
    sum: i32,
}

impl Patch for Places<'_> {
    #[inline(always)]
    fn push(&mut self, four: u32) {
        let [even, odd] = [sxtb16(four), sxtb16_ror8(four)];
        // A word of zeros that is left out adds nothing.
        self.sum = smlad(odd, ONES, smlad(even, ONES, self.sum));
        match core::mem::take(&mut self.words) {
            [even_place, _, _, _, odd_place, _, _, _, rest @ ..] => {
                [*even_place, *odd_place] = [even, odd];
                self.words = rest;
            }
            [even_place, _, _, _, odd_place, ..] => [*even_place, *odd_place] = [even, odd],
            [even_place, ..] => *even_place = even,
            [] => (),
        }
    }

    #[inline(always)]
    fn finish(self) {
        *self.offset = (self.sum << 7).wrapping_neg() as u32;
    }
}

impl Form<2> for Smlad {
    type Patch<'b> = Places<'b>;

    fn block_words(taps: usize) -> usize {
        dsp_row_words(taps).saturating_add(1).saturating_mul(PLACES)
    }

    #[inline(always)]
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Places<'_> {
        let (offsets, words) = block[..Self::block_words(taps)].split_at_mut(PLACES);
        Places { offset: &mut offsets[place], words: &mut words[place..], sum: 0 }
    }

    fn group_bytes(taps: usize) -> usize {
        dsp_row_words(taps) * 4
    }

    #[inline(always)]
    fn multiply(weights: &[i8], _taps: usize, block: &[u32]) -> [[i32; PLACES]; 2] {
        let Some((offsets, words)) = block.split_first_chunk() else { return [[0; PLACES]; 2] };
        let offsets = offsets.map(|offset| offset as i32);
        let [[a, b, c, d], second] = multiply_2x4(offsets, weights.as_chunks().0, words.as_chunks().0);
        let [e, f, g, h] = second;
        [[exact(a, e), exact(b, f), exact(c, g), exact(d, h)], second]
    }

    /// Two row pairs at a time, so that an input is widened once for four products.
    fn rows(dense: &Dense<'_>, input: &[i8], store: &mut dyn FnMut(usize, &[i32])) {
        let Dense { inputs, outputs, weights, .. } = *dense;
        let (fours, rest) = input[..inputs].as_chunks::<4>();
        let last = widen_last(rest);
        let taps = fours.iter().map(|four| widen(*four)).chain([last]);
        let offset = taps.fold(0, |sum, taps| smlad(taps[0], ONES, smlad(taps[1], ONES, sum))) << 7;
        let words = dsp_row_words(inputs);
        for (first, pairs) in (0..outputs).step_by(4).zip(weights.as_chunks().0.chunks(2 * words)) {
            // An odd last pair fills up the last two.
            let (one, two) = pairs.split_at_checked(words).unwrap_or_default();
            let pairs = [one, if two.is_empty() { one } else { two }];
            let mut sums = multiply_4x1(pairs.map(|row| row.as_chunks().0), fours);
            if !rest.is_empty() {
                sums = add_last(sums, pairs, 2 * fours.len(), last);
            }
            let [[a, b], [c, d]] = sums.map(|[first, second]| [exact(first.wrapping_sub(offset), second), second]);
            store(first, &[a, b, c, d][..(outputs - first).min(4)]);
        }
    }

    fn widened_words(inputs: usize) -> usize {
        inputs / 4 * 2
    }

    /// The inputs are widened once for all rows.
    #[inline(always)]
    fn fours_of_rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], mut store: impl FnMut([i32; 4])) {
        let Dense { inputs, weights, .. } = *dense;
        let (fours, rest) = input[..inputs].as_chunks::<4>();
        let last = widen_last(rest);
        let widened = &mut widened.as_chunks_mut().0[..fours.len()];
        let mut offset = smlad(last[0], ONES, smlad(last[1], ONES, 0));
        for (place, four) in widened.iter_mut().zip(fours) {
            *place = widen(*four);
            offset = smlad(place[0], ONES, smlad(place[1], ONES, offset));
        }
        let offset = (offset << 7).wrapping_neg();
        let words = dsp_row_words(inputs);
        for pairs in weights.as_chunks().0.chunks_exact(2 * words) {
            let mut sums = multiply_4x1_widened(offset, pairs, widened);
            if !rest.is_empty() {
                let (one, two) = pairs.split_at(words);
                sums = add_last(sums, [one, two], 2 * fours.len(), last);
            }
            let [[a, b], [c, d]] = sums;
            store([exact(a, b), b, exact(c, d), d]);
        }
    }
}

/// `Σ a·x` of `S₁ − 128·Σ x` and `S₂`, see [`packing`](crate::kernels::packing).
#[inline(always)]
fn exact(first: i32, second: i32) -> i32 {
    first.wrapping_sub(second << 8)
}

/// The incomplete four behind the last one, filled up with zeros.
#[inline(always)]
fn widen_last(rest: &[i8]) -> [u32; 2] {
    let mut last = [0; 4];
    for (place, value) in last.iter_mut().zip(rest) {
        *place = *value;
    }
    widen(last)
}

/// Taps `0, 2` and `1, 3` as halfwords.
#[inline(always)]
fn widen(four: [i8; 4]) -> [u32; 2] {
    let word = u32::from_le_bytes(four.map(|tap| tap as u8));
    [sxtb16(word), sxtb16_ror8(word)]
}

/// Adds the products of an incomplete last four, whose words are those from number `done` on, to `S₁` and `S₂` (see
/// [`packing`](crate::kernels::packing)) of two row pairs.
fn add_last(mut sums: [[i32; 2]; 2], pairs: [&[[i8; 4]]; 2], done: usize, last: [u32; 2]) -> [[i32; 2]; 2] {
    for (sums, row) in sums.iter_mut().zip(pairs) {
        for (word, taps) in row.iter().skip(done).zip(last) {
            let word = u32::from_le_bytes(word.map(|byte| byte as u8));
            sums[0] = smlad(word, taps, sums[0]);
            sums[1] = smlad(sxtb16_ror8(word), taps, sums[1]);
        }
    }
    sums
}
