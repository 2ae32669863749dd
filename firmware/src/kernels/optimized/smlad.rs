//! The form for cores with the DSP extension: two rows of weights × four patches, two taps an instruction.
//!
//! A block is four words `−128 · Σ x`, one a place, from which the sums of products start, then for each word of a packed row (see [`packing`](crate::kernels::packing)) the matching
//! taps of the four places side by side, widened to halfwords. Both streams are read in order, and the eight sums stay
//! in registers.

use super::{Form, PLACES, Patch};
use crate::kernels::Dense;
use crate::kernels::dsp::{multiply_2x4, multiply_4x1, smlad, sxtb16, sxtb16_ror8};
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
        let exact = |first: i32, second: i32| first.wrapping_sub(second << 8);
        let [e, f, g, h] = second;
        [[exact(a, e), exact(b, f), exact(c, g), exact(d, h)], second]
    }

    /// Two row pairs at a time, so that an input is widened once for four products.
    fn rows(dense: &Dense<'_>, input: &[i8], store: &mut dyn FnMut(usize, &[i32])) {
        let Dense { inputs, outputs, weights, .. } = *dense;
        let (fours, rest) = input[..inputs].as_chunks::<4>();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        let mut offset = 0;
        for four in fours.iter().chain([&last]) {
            let [even, odd] = widen(*four);
            offset = smlad(even, ONES, smlad(odd, ONES, offset));
        }
        let pairs = outputs.div_ceil(2);
        for pair in (0..pairs).step_by(2) {
            // An odd last pair fills up the last two.
            let chosen = [pair, (pair + 1).min(pairs - 1)];
            let sums = two_pairs(chosen.map(|pair| row(weights, inputs, pair)), fours, last);
            let [[a, b], [c, d]] = sums
                .map(|[interleaved, second]| [interleaved.wrapping_sub(second << 8).wrapping_sub(offset << 7), second]);
            store(2 * pair, &[a, b, c, d][..(outputs - 2 * pair).min(4)]);
        }
    }
}

/// Taps `0, 2` and `1, 3` as halfwords.
#[inline(always)]
fn widen(four: [i8; 4]) -> [u32; 2] {
    let word = u32::from_le_bytes(four.map(|tap| tap as u8));
    [sxtb16(word), sxtb16_ror8(word)]
}

/// Row pair number `pair` of a packed matrix, in words.
#[inline(always)]
fn row(weights: &[i8], taps: usize, pair: usize) -> &[[i8; 4]] {
    let words = dsp_row_words(taps);
    &weights.as_chunks::<4>().0[pair * words..][..words]
}

/// `S₁` and `S₂` (see [`packing`](crate::kernels::packing)) of two row pairs over an input of `fours` and an
/// incomplete `last` four.
#[inline(always)]
fn two_pairs(rows: [&[[i8; 4]]; 2], fours: &[[i8; 4]], last: [i8; 4]) -> [[i32; 2]; 2] {
    let mut sums = multiply_4x1(rows.map(|row| row.as_chunks().0), fours);
    for (sums, row) in sums.iter_mut().zip(rows) {
        for (word, taps) in row[2 * fours.len()..].iter().zip(widen(last)) {
            let word = u32::from_le_bytes(word.map(|byte| byte as u8));
            sums[0] = smlad(word, taps, sums[0]);
            sums[1] = smlad(sxtb16_ror8(word), taps, sums[1]);
        }
    }
    sums
}
