//! A basis for an embedding in which the error of a word counts as much as it changes the gates of the LSTM behind it.
//!
//! Product quantization makes the squared error of the table small. What matters is the error of `W·x`, the gates' input, and
//! both can change their basis together: with `y = T·x` and `W' = W·T⁻¹`, `W'·y = W·x`. The columns of this `W'` are orthogonal
//! and of one length, so that an error of `y` is as long as the error of the gates that it makes; those directions of the
//! words that no gate listens to are short, and take no bits away from the others.
//!
//! ```text
//! WᵀW = V S² Vᵀ      y = S Vᵀ x      cov y = R Λ Rᵀ      z = Rᵀ y       T = Rᵀ S Vᵀ     W' = W V S⁻¹ R
//! ```
//!
//! The values of `z` come with the most telling first. They are dealt to the parts, so that each part, and so each codebook,
//! has as much to tell (Ge et al. 2013, "Optimized product quantization"), and in each part are turned so that all its values
//! are alike, as dropout and int8 want them: a rotation inside a part changes no distance there.

use crate::linear::{Dense, eigen, gram};
use std::f64::consts::PI;

/// Changes the basis of `table` `[rows][dimensions]`, whose rows count `importance[row]` times, and of `weights`
/// `[gates][dimensions]`, for `parts` parts; all products of a row of each stay the same, but for rounding. The mean square of
/// the table stays, too.
///
/// # Panics
/// If lengths do not fit together, or `parts` does not divide `dimensions`.
pub fn change(table: &mut [f32], weights: &mut [f32], dimensions: usize, importance: &[f32], parts: usize) {
    assert_eq!(table.len(), dimensions * importance.len());
    assert!(weights.len().is_multiple_of(dimensions) && dimensions.is_multiple_of(parts));
    let dense = |values: &[f32]| Dense { width: dimensions, values: values.to_vec() };
    let (squares, v) = eigen(gram(&dense(weights)), dimensions);
    // A direction that next to no gate listens to is given up, in both.
    let largest = squares.first().copied().unwrap_or(0.0);
    let scales: Vec<f64> = squares.iter().map(|&s| if s > 1e-10 * largest { s.sqrt() } else { 0.0 }).collect();
    let scaled = |scale: fn(f64) -> f64| -> Vec<f64> {
        let columns = v.iter().zip(scales.iter().cycle());
        columns.map(|(v, &s)| if s > 0.0 { v * scale(s) } else { 0.0 }).collect()
    };
    let heard = dense(table).times(&scaled(|s| s), dimensions);
    let mean = mean(&heard, importance);
    let rows = heard.rows().zip(importance);
    let spread = |(row, count): (&[f32], &f32)| -> Vec<f32> {
        row.iter().zip(&mean).map(|(value, mean)| (value - mean) * count.sqrt()).collect()
    };
    let weighted = rows.flat_map(spread).collect();
    let (_, r) = eigen(gram(&Dense { width: dimensions, values: weighted }), dimensions);
    let new_table = heard.times(&r, dimensions).values;
    let new_weights = dense(weights).times(&scaled(f64::recip), dimensions).times(&r, dimensions).values;

    let square = |values: &[f32]| values.iter().map(|&value| f64::from(value).powi(2)).sum::<f64>();
    let factor = (square(table) / square(&new_table).max(f64::MIN_POSITIVE)).sqrt();
    let place = |values: &[f32], factor: f64, to: &mut [f32]| {
        for (from, to) in values.chunks_exact(dimensions).zip(to.chunks_exact_mut(dimensions)) {
            place(from, parts, factor, to);
        }
    };
    place(&new_table, factor, table);
    place(&new_weights, factor.recip(), weights);
}

/// Mean of the rows, each of which counts `importance[row]` times.
fn mean(table: &Dense, importance: &[f32]) -> Vec<f32> {
    let total: f64 = importance.iter().map(|&count| f64::from(count)).sum();
    let mut sums = vec![0.0; table.width];
    for (row, &count) in table.rows().zip(importance) {
        sums.iter_mut().zip(row).for_each(|(sum, value)| *sum += f64::from(value * count));
    }
    sums.into_iter().map(|sum| (sum / total) as f32).collect()
}

/// Deals values to parts and turns each part, by the orthonormal cosine transform.
fn place(values: &[f32], parts: usize, factor: f64, to: &mut [f32]) {
    let width = values.len() / parts;
    for (part, to) in to.chunks_exact_mut(width).enumerate() {
        for (turned, to) in to.iter_mut().enumerate() {
            let sum: f64 =
                (0..width).map(|rank| f64::from(values[dealt(rank, part, parts)]) * cosine(rank, turned, width)).sum();
            *to = (factor * sum) as f32;
        }
    }
}

/// Which value becomes number `rank` of a part: there and back again, so that no part always comes first.
fn dealt(rank: usize, part: usize, parts: usize) -> usize {
    rank * parts + if rank.is_multiple_of(2) { part } else { parts - 1 - part }
}

fn cosine(wave: usize, place: usize, width: usize) -> f64 {
    let norm = if wave == 0 { 1.0 } else { 2.0 } / width as f64;
    norm.sqrt() * (PI * (2 * place + 1) as f64 * wave as f64 / (2 * width) as f64).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::product_quantize;
    use rand::{RngExt, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus as Generator;

    const DIMENSIONS: usize = 16;
    const ROWS: usize = 3000;
    const GATES: usize = 40;

    /// A table and weights; the gates listen to a few directions more than to the others.
    fn net() -> (Vec<f32>, Vec<f32>) {
        let mut random = Generator::seed_from_u64(1);
        let mut noise = |count: usize| (0..count).map(|_| random.random_range(-1.0..1.0f32)).collect::<Vec<_>>();
        let (table, mut weights, directions) =
            (noise(ROWS * DIMENSIONS), noise(GATES * DIMENSIONS), noise(3 * DIMENSIONS));
        let loads = noise(3 * GATES);
        for (gate, weights) in weights.chunks_exact_mut(DIMENSIONS).enumerate() {
            for (index, weight) in weights.iter_mut().enumerate() {
                let heard: f32 = (0..3).map(|k| loads[3 * gate + k] * directions[k * DIMENSIONS + index]).sum();
                *weight = 0.1 * *weight + heard;
            }
        }
        (table, weights)
    }

    fn gates(table: &[f32], weights: &[f32]) -> Vec<f64> {
        let rows = table.chunks_exact(DIMENSIONS);
        let product = |row: &[f32], gate: &[f32]| row.iter().zip(gate).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        rows.flat_map(|row| weights.chunks_exact(DIMENSIONS).map(move |gate| product(row, gate))).collect()
    }

    fn error(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / a.iter().map(|a| a * a).sum::<f64>()
    }

    #[test]
    fn gates_hear_the_same_and_codes_hurt_them_less() {
        let (table, weights) = net();
        let importance: Vec<f32> = (0..ROWS).map(|row| 1.0 + (row % 7) as f32).collect();
        let (mut new_table, mut new_weights) = (table.clone(), weights.clone());
        change(&mut new_table, &mut new_weights, DIMENSIONS, &importance, 4);
        let before = gates(&table, &weights);
        let same = error(&before, &gates(&new_table, &new_weights));
        assert!(same < 1e-9, "{same}");
        let square = |values: &[f32]| values.iter().map(|value| value * value).sum::<f32>();
        assert!((square(&new_table) / square(&table) - 1.0).abs() < 1e-3);
        let coded = |table: &[f32], weights: &[f32]| {
            let codes = product_quantize(table, ROWS, DIMENSIONS, 4, &importance, 1);
            error(&before, &gates(&codes.table(), weights))
        };
        let (plain, better) = (coded(&table, &weights), coded(&new_table, &new_weights));
        assert!(better < 0.5 * plain, "{better} of {plain}");
    }

    #[test]
    fn each_value_is_dealt_once_and_turns_keep_lengths() {
        let mut places: Vec<usize> = (0..4).flat_map(|rank| (0..3).map(move |part| dealt(rank, part, 3))).collect();
        places.sort();
        assert_eq!(places, (0..12).collect::<Vec<_>>());
        for (a, b) in (0..5).flat_map(|a| (0..5).map(move |b| (a, b))) {
            let product: f64 = (0..5).map(|place| cosine(a, place, 5) * cosine(b, place, 5)).sum();
            assert!((product - f64::from(u8::from(a == b))).abs() < 1e-12);
        }
    }
}
