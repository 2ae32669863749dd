//! Word vectors from the training texts alone: which words stand near which, as positive pointwise mutual information,
//! reduced to few dimensions by a truncated singular value decomposition. Levy, Goldberg & Dagan 2015 ("Improving
//! distributional similarity with lessons learned from word embeddings") found such vectors as good as word2vec's.
//!
//! ```text
//! samples ──count──▶ n[i, j] ──information──▶ M = PPMI (sparse) ──svd──▶ U·Σ^½
//! ```
//!
//! All sums are taken in an order that does not depend on the number of threads, so neither do the vectors.

mod sparse;

use crate::linear::{Dense, eigen, gram, orthonormal};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;
use sparse::Sparse;

/// Words up to this distance apart are near; a pair at distance d counts as `WINDOW + 1 − d`, in effect what word2vec
/// does by drawing the window's width.
const WINDOW: usize = 10;
/// Exponent of the context's probability: without it rare contexts get too much information (Levy et al. 2015).
const SMOOTHING: f64 = 0.75;
/// Columns beyond the wanted ones and rounds of iteration, by which the random subspace comes to hold the leading
/// singular vectors (Halko, Martinsson & Tropp 2011, "Finding structure with randomness", §4.5).
const OVERSAMPLING: usize = 16;
const ITERATIONS: usize = 3;

/// A vector for each of `vocabulary` words, `[vocabulary][dimensions]`, from `samples`, each the tokens of a text.
///
/// Token 0 is an unknown word: it keeps its place in the text, but has no neighbours. Its vector and those of words
/// that have none are 0; over all others the values' mean square is 1. Where there are fewer than `dimensions`
/// singular values, the remaining columns are 0.
///
/// # Panics
/// If a token is not below `vocabulary`, or `vocabulary` or `dimensions` is 0.
pub fn word_vectors(samples: &[&[u16]], vocabulary: usize, dimensions: usize, seed: u64) -> Vec<f32> {
    let counts = count(samples, vocabulary);
    let information = information(&counts);
    drop(counts);
    let (left, values) = svd(&information, dimensions, seed);
    let mut vectors = left.map_columns(|column, value| value * values[column].sqrt());
    let squares = |row: &[f32]| row.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
    let norms: Vec<f64> = vectors.rows().map(squares).filter(|&norm| norm > 0.0).collect();
    let factor = (norms.len() as f64 * dimensions as f64 / norms.iter().sum::<f64>()).sqrt() as f32;
    if factor.is_finite() {
        vectors = vectors.map_columns(|_, value| value * factor);
    }
    vectors.values
}

/// How often words stand near each other: symmetric.
fn count(samples: &[&[u16]], vocabulary: usize) -> Sparse {
    // Lower word, higher word and weight, packed so that sorting brings equal pairs together.
    let pairs = |sample: &&[u16]| {
        let mut pairs = Vec::with_capacity(WINDOW * sample.len());
        for (place, &word) in sample.iter().enumerate() {
            assert!(usize::from(word) < vocabulary, "the token {word} is not below {vocabulary}");
            let near = (1..=WINDOW).zip(&sample[place + 1..]);
            pairs.extend(near.filter(|&(_, &near)| word != 0 && near != 0).map(|(distance, &near)| {
                let (low, high) = (word.min(near), word.max(near));
                u64::from(low) << 24 | u64::from(high) << 8 | (WINDOW + 1 - distance) as u64
            }));
        }
        pairs
    };
    let mut pairs: Vec<u64> = samples.par_iter().flat_map_iter(pairs).collect();
    pairs.par_sort_unstable();
    let mut upper = Sparse::new();
    let mut groups = pairs.chunk_by(|a, b| a >> 8 == b >> 8).peekable();
    for row in 0..vocabulary {
        while let Some(group) = groups.next_if(|group| (group[0] >> 24) as usize == row) {
            let weight: u64 = group.iter().map(|pair| pair & 0xFF).sum();
            upper.push((group[0] >> 8) as u16, weight as f32);
        }
        upper.end_row();
    }
    upper.mirrored()
}

/// `max(0, ln(p[i, j] / (p[i] · p'[j])))`, p' ∝ p^[`SMOOTHING`].
fn information(counts: &Sparse) -> Sparse {
    let sums: Vec<f64> = counts.rows().map(|row| row.map(|(_, count)| f64::from(count)).sum()).collect();
    let smoothed: f64 = sums.iter().map(|sum| sum.powf(SMOOTHING)).sum();
    // The total is in both p[i, j] and p[i] and cancels.
    let rows: Vec<f64> = sums.iter().map(|sum| smoothed.ln() - sum.ln()).collect();
    let columns: Vec<f64> = sums.iter().map(|sum| SMOOTHING * sum.ln()).collect();
    let value = |row: usize, column: u16, count: f32| f64::from(count).ln() + rows[row] - columns[usize::from(column)];
    counts.map(|row, column, count| Some(value(row, column, count) as f32).filter(|&value| value > 0.0))
}

/// The `count` leading left singular vectors, as columns, and singular values of a square matrix.
fn svd(matrix: &Sparse, count: usize, seed: u64) -> (Dense, Vec<f32>) {
    let transposed = matrix.transpose();
    let size = matrix.len();
    let width = (count + OVERSAMPLING).min(size);
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let random = (0..size * width).map(|_| if generator.random() { 1.0 } else { -1.0 }).collect();
    let mut basis = orthonormal(&matrix.times(&Dense { width, values: random }));
    for _ in 0..ITERATIONS {
        basis = orthonormal(&matrix.times(&transposed.times(&basis)));
    }
    // With B = basisᵀ·M, the left singular vectors of B are the eigenvectors of B·Bᵀ.
    let (squares, vectors) = eigen(gram(&transposed.times(&basis)), width);
    let largest = squares.first().copied().unwrap_or(0.0);
    let mut values: Vec<f32> =
        squares.iter().map(|&square| if square > 1e-10 * largest { square.sqrt() as f32 } else { 0.0 }).collect();
    values.resize(count, 0.0);
    (basis.times(&vectors, count), values)
}

#[cfg(test)]
mod tests;
