//! Rows of a table in four bits a value and a multiplier a row.

use rayon::prelude::*;

/// The integer that the device makes of four bits, −8 to 7: `clamp((q·multiplier + 4) >> 3, −128, 127)`.
pub fn expand(q: i8, multiplier: u8) -> i8 {
    ((i32::from(q) * i32::from(multiplier) + 4) >> 3).clamp(-128, 127) as i8
}

/// Bits and multipliers for which [`expand`] comes nearest to `table / scale`, `[rows][dimensions]`, by the squared
/// error of each row. The bits are `[rows][⌈dimensions / 2⌉]` bytes with the first value in the low half, in two's
/// complement; the multipliers are one a row.
///
/// # Panics
/// If `table` is not `rows · dimensions` long, or `dimensions` is 0.
pub fn four_bit_rows(table: &[f32], rows: usize, dimensions: usize, scale: f32) -> (Vec<u8>, Vec<u8>) {
    assert_eq!(table.len(), rows * dimensions);
    let row = |row: &[f32]| {
        let targets: Vec<f32> = row.iter().map(|value| value / scale).collect();
        let multiplier = best_multiplier(&targets);
        let bits: Vec<u8> = targets.iter().map(|&target| nearest(target, multiplier).0 as u8 & 0xF).collect();
        let bytes: Vec<u8> = bits.chunks(2).map(|pair| pair[0] | pair.get(1).map_or(0, |high| high << 4)).collect();
        (bytes, multiplier)
    };
    let (bytes, multipliers): (Vec<Vec<u8>>, Vec<u8>) = table.par_chunks_exact(dimensions).map(row).unzip();
    (bytes.concat(), multipliers)
}

/// The multiplier with the least error; of several the smallest.
fn best_multiplier(targets: &[f32]) -> u8 {
    let mut best = (0, f64::INFINITY);
    for multiplier in 0..=u8::MAX {
        let mut error = 0.0;
        for &target in targets {
            error += f64::from(nearest(target, multiplier).1).powi(2);
            if error >= best.1 {
                break;
            }
        }
        if error < best.1 {
            best = (multiplier, error);
        }
    }
    best.0
}

/// The four bits that come nearest to `target`, and what is missing.
fn nearest(target: f32, multiplier: u8) -> (i8, f32) {
    let miss = |q: i8| (q, (target - f32::from(expand(q, multiplier))).abs());
    // `expand` never decreases with q, so that it is one of the two between which the target lies before rounding.
    let below = (target * 8.0 / f32::from(multiplier.max(1))).floor().clamp(-8.0, 7.0) as i8;
    let (low, high) = (miss(below), miss((below + 1).min(7)));
    if high.1 < low.1 { high } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The values of the device's formula, read back from the bytes.
    fn integers(bytes: &[u8], multipliers: &[u8], dimensions: usize) -> Vec<i32> {
        let rows = bytes.chunks_exact(dimensions.div_ceil(2)).zip(multipliers);
        let values = |(row, &multiplier): (&[u8], &u8)| {
            let q = |i: usize| i32::from(row[i / 2] >> (4 * (i % 2)) & 0xF);
            let signed = |i: usize| if q(i) > 7 { q(i) - 16 } else { q(i) };
            let value = |i: usize| ((signed(i) * i32::from(multiplier) + 4) >> 3).clamp(-128, 127);
            (0..dimensions).map(value).collect::<Vec<_>>()
        };
        rows.flat_map(values).collect()
    }

    proptest! {
        /// No choice of multiplier and bits comes nearer.
        #[test]
        fn rows_are_the_nearest_that_there_are(row in proptest::collection::vec(-150f32..150.0, 1..6), shrink in 0.01f32..1.0) {
            let row: Vec<f32> = row.iter().map(|value| value * shrink).collect();
            let (bytes, multipliers) = four_bit_rows(&row, 1, row.len(), 1.0);
            prop_assert_eq!(bytes.len(), row.len().div_ceil(2));
            let square = |x: f32, integer: i32| f64::from(x - integer as f32).powi(2);
            let error: f64 = row.iter().zip(integers(&bytes, &multipliers, row.len())).map(|(&x, y)| square(x, y)).sum();
            let least = (0..=255).map(|multiplier| {
                let best = |x: f32| (-8..8).map(move |q: i32| square(x, ((q * multiplier + 4) >> 3).clamp(-128, 127)));
                row.iter().map(|&x| best(x).fold(f64::INFINITY, f64::min)).sum::<f64>()
            });
            let least = least.fold(f64::INFINITY, f64::min);
            prop_assert!(error <= least + 1e-4, "{} but {} is possible", error, least);
        }
    }

    #[test]
    fn rows_have_multipliers_of_their_own() {
        let table = [0.1, -0.8, 0.7, 0.01, -0.02, 0.04, 0.0, 0.0, 0.0];
        let (bytes, multipliers) = four_bit_rows(&table, 3, 3, 0.01);
        assert_eq!(bytes.len(), 6);
        assert_eq!(integers(&bytes, &multipliers, 3), [10, -80, 70, 1, -2, 4, 0, 0, 0]);
        // The unused half of the last byte is 0.
        assert!(bytes.iter().skip(1).step_by(2).all(|byte| byte >> 4 == 0));
    }

    #[test]
    fn what_is_too_large_saturates() {
        let (bytes, multipliers) = four_bit_rows(&[500.0, -500.0], 1, 2, 1.0);
        assert_eq!(integers(&bytes, &multipliers, 2), [127, -128]);
        assert_eq!(expand(-8, 255), -128);
        assert_eq!(expand(7, 255), 127);
        assert_eq!((expand(1, 4), expand(-1, 4), expand(1, 3)), (1, 0, 0), "half up");
    }
}
