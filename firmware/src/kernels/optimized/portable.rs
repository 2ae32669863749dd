//! The form for cores without SIMD (Cortex-M0, RISC-V) and for the host, whose compiler vectorizes it.
//!
//! Patches lie one behind the other. Four of them are multiplied with one row of weights; a dense layer turns this
//! round and multiplies its input with four rows.

use super::{Form, PLACES, Patch};
use crate::kernels::Dense;
use crate::kernels::dsp::products_1x4;
use crate::words;

/// See the module.
pub struct Portable;

/// A patch's words.
pub struct Words<'b>(pub(super) core::slice::IterMut<'b, u32>);

impl Patch for Words<'_> {
    #[inline(always)]
    fn push(&mut self, four: u32) {
        if let Some(word) = self.0.next() {
            *word = four;
        }
    }

    fn finish(self) {}
}

impl Form<1> for Portable {
    type Patch<'b> = Words<'b>;

    fn block_words(taps: usize) -> usize {
        taps.div_ceil(4).saturating_mul(PLACES)
    }

    #[inline(always)]
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Words<'_> {
        let words = taps.div_ceil(4);
        Words(block[place * words..][..words].iter_mut())
    }

    fn group_bytes(taps: usize) -> usize {
        taps
    }

    #[inline(always)]
    fn multiply(weights: &[i8], taps: usize, block: &[u32]) -> [[i32; PLACES]; 1] {
        let patch_bytes = taps.next_multiple_of(4);
        let block = words::as_i8(block);
        let patch = |place: usize| &block[place * patch_bytes..][..taps];
        [products_1x4(weights, [patch(0), patch(1), patch(2), patch(3)])]
    }

    /// Four rows at a time.
    fn rows(dense: &Dense<'_>, input: &[i8], _widened: &mut [u32], store: &mut dyn FnMut(usize, &[i32])) {
        let Dense { inputs, outputs, weights, .. } = *dense;
        for (four, rows) in weights.chunks(4 * inputs).enumerate() {
            let first = 4 * four;
            store(first, &Self::four_rows(rows, &input[..inputs])[..(outputs - first).min(4)]);
        }
    }

    fn widened_words(_inputs: usize) -> usize {
        0
    }
}

impl Portable {
    /// `Σ w·x` of up to four rows, which lie one behind the other; the last one fills up the four. Zeros for no row.
    #[inline(never)]
    pub(super) fn four_rows(rows: &[i8], input: &[i8]) -> [i32; 4] {
        let Some(last) = rows.len().checked_sub(input.len()) else { return [0; 4] };
        let row = |number: usize| &rows[(number * input.len()).min(last)..][..input.len()];
        products_1x4(input, [row(0), row(1), row(2), row(3)])
    }
}
