//! The form for a Cortex-M0: a dense layer and an LSTM multiply four rows of weights at a time, which lie column by column,
//! see [`fours`](crate::kernels::fours). Convolutions are those of the [portable](super::portable) form.
//!
//! ```text
//! Σ w·x = Σ (w + 128)·x − 128·Σ x        Σ x is that of all rows
//! ```

use super::portable::{Portable, Words};
use super::{Form, PLACES};
use crate::kernels::Dense;
use crate::kernels::fours::{TURN, multiply, multiply_bytes, multiply_words};
use crate::words;
use zerocopy::IntoBytes;

/// See the module.
pub struct Fours;

/// Fours of rows that are stored together.
const BATCH: usize = 8;

impl Form<1> for Fours {
    type Patch<'b> = Words<'b>;

    fn block_words(taps: usize) -> usize {
        Portable::block_words(taps)
    }

    #[inline(always)]
    fn patch(block: &mut [u32], taps: usize, place: usize) -> Words<'_> {
        Portable::patch(block, taps, place)
    }

    fn group_bytes(taps: usize) -> usize {
        Portable::group_bytes(taps)
    }

    #[inline(always)]
    fn multiply(weights: &[i8], taps: usize, block: &[u32]) -> [[i32; PLACES]; 1] {
        Portable::multiply(weights, taps, block)
    }

    /// Inputs are widened to words as far as there is room.
    fn rows(dense: &Dense<'_>, input: &[i8], widened: &mut [u32], store: &mut dyn FnMut(usize, &[i32])) {
        let Dense { inputs, outputs, weights, .. } = *dense;
        let input = &input[..inputs];
        let reach = widened.len().min(inputs) / TURN * TURN;
        let (near, far) = input.split_at(reach);
        for (word, value) in widened.iter_mut().zip(near) {
            *word = i32::from(*value) as u32;
        }
        let sum = input.iter().fold(0, |sum, value| i32::wrapping_add(sum, (*value).into()));
        let sums = [sum.wrapping_mul(-128); 4];
        let words = words::view(widened[..reach].as_bytes()).unwrap_or_default();
        let mut batch = [[0; 4]; BATCH];
        for (number, weights) in weights.chunks(BATCH * 4 * inputs).enumerate() {
            let fours = weights.chunks_exact(4 * inputs);
            if let Some(last) = batch.get_mut(fours.len()) {
                *last = Portable::four_rows(fours.remainder(), input);
            }
            for (to, weights) in batch.iter_mut().zip(fours) {
                *to = four_rows(weights, words, far, sums);
            }
            let first = BATCH * 4 * number;
            store(first, &batch.as_flattened()[..(outputs - first).min(BATCH * 4)]);
        }
    }

    fn widened_words(inputs: usize) -> usize {
        inputs / TURN * TURN
    }
}

/// Adds `Σ (w + 128)·x` of four rows to `sums`; the inputs are those in `words`, then those in `bytes`.
#[inline(always)]
fn four_rows(weights: &[i8], words: &[[i32; TURN]], bytes: &[i8], sums: [i32; 4]) -> [i32; 4] {
    let (turns, last) = words::view(weights.as_bytes()).unwrap_or_default().as_chunks();
    let sums = multiply_words(turns, words, sums);
    if bytes.is_empty() {
        return sums;
    }
    let (eights, rest) = bytes.as_chunks();
    let sums = multiply_bytes(&turns[words.len()..], eights, sums);
    multiply(last, rest.iter().map(|value| i32::from(*value)), sums)
}
