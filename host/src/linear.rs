//! Tall dense matrices of a few hundred columns, and the eigenvectors of small symmetric ones.

use rayon::prelude::*;

/// Rows that one thread sums up at a time; fixed, so that sums do not depend on the number of threads.
const BLOCK: usize = 256;

/// Row by row.
pub struct Dense {
    pub width: usize,
    pub values: Vec<f32>,
}

impl Dense {
    pub fn rows(&self) -> impl Iterator<Item = &[f32]> {
        self.values.chunks_exact(self.width)
    }

    /// Changes every value by `value(column, old)`.
    pub fn map_columns(mut self, value: impl Fn(usize, f32) -> f32) -> Self {
        for row in self.values.chunks_exact_mut(self.width) {
            row.iter_mut().enumerate().for_each(|(column, old)| *old = value(column, *old));
        }
        self
    }

    /// `self · factor`, whose first `count` columns are kept; columns that `factor` lacks are 0. `factor` is square.
    pub fn times(&self, factor: &[f64], count: usize) -> Self {
        let mut values = vec![0.0; self.values.len() / self.width * count];
        let rows = self.values.par_chunks_exact(self.width);
        values.par_chunks_exact_mut(count).zip(rows).for_each(|(output, row)| {
            let mut sums = vec![0.0; self.width];
            for (&value, factor) in row.iter().zip(factor.chunks_exact(self.width)) {
                sums.iter_mut().zip(factor).for_each(|(sum, factor)| *sum += f64::from(value) * factor);
            }
            output.iter_mut().zip(sums).for_each(|(output, sum)| *output = sum as f32);
        });
        Self { width: count, values }
    }
}

/// `matrixᵀ · matrix`
pub fn gram(matrix: &Dense) -> Vec<f64> {
    let width = matrix.width;
    let blocks: Vec<Vec<f64>> = matrix
        .values
        .par_chunks(BLOCK * width)
        .map(|block| {
            let mut sums = vec![0.0; width * width];
            for row in block.chunks_exact(width) {
                let row: Vec<f64> = row.iter().map(|&value| value.into()).collect();
                for (sums, &value) in sums.chunks_exact_mut(width).zip(&row) {
                    sums.iter_mut().zip(&row).for_each(|(sum, other)| *sum += value * other);
                }
            }
            sums
        })
        .collect();
    let mut total = vec![0.0; width * width];
    blocks.iter().for_each(|block| total.iter_mut().zip(block).for_each(|(total, sum)| *total += sum));
    total
}

/// Columns that span what those of `matrix` span and are orthonormal; 0 in place of those that depend on others.
///
/// With `matrixᵀ·matrix = V·Λ·Vᵀ` they are `matrix·V·Λ^−½`. Small eigenvalues suffer from squaring, hence twice.
pub fn orthonormal(matrix: &Dense) -> Dense {
    let once = |matrix: &Dense| {
        let width = matrix.width;
        let (values, mut vectors) = eigen(gram(matrix), width);
        let largest = values.first().copied().unwrap_or(0.0);
        for row in vectors.chunks_exact_mut(width) {
            for (vector, &value) in row.iter_mut().zip(&values) {
                *vector *= if value > 1e-12 * largest { value.sqrt().recip() } else { 0.0 };
            }
        }
        matrix.times(&vectors, width)
    };
    once(&once(matrix))
}

/// Eigenvalues of a symmetric matrix, the largest first, and its eigenvectors as columns in the same order, by Jacobi's
/// method (Golub & Van Loan, "Matrix Computations", §8.5).
pub fn eigen(mut matrix: Vec<f64>, size: usize) -> (Vec<f64>, Vec<f64>) {
    const SWEEPS: usize = 30;
    let mut vectors = vec![0.0; size * size];
    (0..size).for_each(|i| vectors[i * size + i] = 1.0);
    let norm: f64 = matrix.iter().map(|value| value * value).sum();
    for _ in 0..SWEEPS {
        let mut off = 0.0;
        for p in 0..size {
            for q in p + 1..size {
                let [app, apq, aqq] = [(p, p), (p, q), (q, q)].map(|(row, column)| matrix[row * size + column]);
                off += apq * apq;
                if apq == 0.0 {
                    continue;
                }
                let tau = (aqq - app) / (2.0 * apq);
                let tangent = tau.signum() / (tau.abs() + tau.hypot(1.0));
                let cosine = tangent.hypot(1.0).recip();
                let rotation = (cosine, tangent * cosine);
                rotate_rows(&mut matrix, size, p, q, rotation);
                rotate_columns(&mut matrix, size, p, q, rotation);
                rotate_rows(&mut vectors, size, p, q, rotation);
            }
        }
        if off <= 1e-24 * norm {
            break;
        }
    }
    let mut order: Vec<usize> = (0..size).collect();
    order.sort_by(|&a, &b| matrix[b * size + b].total_cmp(&matrix[a * size + a]));
    let values = order.iter().map(|&i| matrix[i * size + i]).collect();
    // `vectors` holds them as rows.
    let columns = (0..size * size).map(|place| vectors[order[place % size] * size + place / size]).collect();
    (values, columns)
}

fn rotate_rows(matrix: &mut [f64], size: usize, p: usize, q: usize, (cosine, sine): (f64, f64)) {
    let (upper, lower) = matrix.split_at_mut(q * size);
    for (a, b) in upper[p * size..][..size].iter_mut().zip(&mut lower[..size]) {
        (*a, *b) = (cosine * *a - sine * *b, sine * *a + cosine * *b);
    }
}

fn rotate_columns(matrix: &mut [f64], size: usize, p: usize, q: usize, (cosine, sine): (f64, f64)) {
    for row in matrix.chunks_exact_mut(size) {
        (row[p], row[q]) = (cosine * row[p] - sine * row[q], sine * row[p] + cosine * row[q]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers that look random.
    fn noise(count: usize) -> Vec<f32> {
        (0..count).map(|i| ((i * i * 7 + i * 13) % 101) as f32 / 50.0 - 1.0).collect()
    }

    #[test]
    fn eigenvectors_are_scaled_by_eigenvalues() {
        let size = 12;
        let matrix = gram(&Dense { width: size, values: noise(size * 40) });
        let (values, vectors) = eigen(matrix.clone(), size);
        assert!(values.is_sorted_by(|a, b| a >= b), "{values:?}");
        for (index, value) in values.iter().enumerate() {
            let vector: Vec<f64> = (0..size).map(|row| vectors[row * size + index]).collect();
            assert!((vector.iter().map(|x| x * x).sum::<f64>() - 1.0).abs() < 1e-12);
            for (row, x) in matrix.chunks_exact(size).zip(&vector) {
                let product: f64 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
                assert!((product - value * x).abs() < 1e-9, "{product} is not {value} · {x}");
            }
        }
    }

    #[test]
    fn columns_become_orthonormal_and_dependent_ones_vanish() {
        let mut values = noise(600 * 4);
        // The last column is the sum of the others.
        values.chunks_exact_mut(4).for_each(|row| row[3] = row[..3].iter().sum());
        let product = gram(&orthonormal(&Dense { width: 4, values }));
        for (place, value) in product.iter().enumerate() {
            let expected = if place % 5 == 0 && place < 15 { 1.0 } else { 0.0 };
            assert!((value - expected).abs() < 1e-5, "{product:?}");
        }
    }
}
