//! Sparse matrices, row by row.

use crate::linear::Dense;
use rayon::prelude::*;

/// A matrix with at most 2¹⁶ columns.
pub struct Sparse {
    /// Where each row starts in `entries`, and where the last one ends.
    starts: Vec<usize>,
    /// Column and value, a row's by ascending column.
    entries: Vec<(u16, f32)>,
}

impl Sparse {
    /// A matrix without rows.
    pub fn new() -> Self {
        Self { starts: vec![0], entries: Vec::new() }
    }

    /// Adds an entry to the row that is being built.
    pub fn push(&mut self, column: u16, value: f32) {
        self.entries.push((column, value));
    }

    /// Ends the row that is being built.
    pub fn end_row(&mut self) {
        self.starts.push(self.entries.len());
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Columns and values of each row.
    pub fn rows(&self) -> impl Iterator<Item = impl Iterator<Item = (u16, f32)>> {
        (0..self.len()).map(|row| self.row(row).iter().copied())
    }

    fn row(&self, row: usize) -> &[(u16, f32)] {
        &self.entries[self.starts[row]..self.starts[row + 1]]
    }

    /// Changes every entry by `value(row, column, old)` and leaves out those for which it gives nothing.
    pub fn map(&self, value: impl Fn(usize, u16, f32) -> Option<f32>) -> Self {
        let mut mapped = Self::new();
        for row in 0..self.len() {
            let entries = self.row(row).iter();
            let kept = entries.filter_map(|&(column, old)| Some((column, value(row, column, old)?)));
            mapped.entries.extend(kept);
            mapped.end_row();
        }
        mapped
    }

    /// The transpose of a square matrix.
    pub fn transpose(&self) -> Self {
        let mut starts = vec![0; self.len() + 1];
        self.entries.iter().for_each(|&(column, _)| starts[usize::from(column) + 1] += 1);
        (0..self.len()).for_each(|row| starts[row + 1] += starts[row]);
        let mut free = starts.clone();
        let mut entries = vec![(0, 0.0); self.entries.len()];
        for row in 0..self.len() {
            for &(column, value) in self.row(row) {
                let place = &mut free[usize::from(column)];
                entries[*place] = (row as u16, value);
                *place += 1;
            }
        }
        Self { starts, entries }
    }

    /// `self + selfᵀ` of a square matrix whose entries all lie on the diagonal or right of it.
    pub fn mirrored(&self) -> Self {
        let below = self.transpose();
        let mut sum = Self::new();
        for row in 0..self.len() {
            let (left, mut right) = (below.row(row), self.row(row));
            sum.entries.extend_from_slice(left);
            if let (Some(last), Some((&(column, value), rest))) = (sum.entries.last_mut(), right.split_first())
                && usize::from(column) == row
            {
                last.1 += value; // what `left` ends with is on the diagonal too
                right = rest;
            }
            sum.entries.extend_from_slice(right);
            sum.end_row();
        }
        sum
    }

    /// `self · factor`
    pub fn times(&self, factor: &Dense) -> Dense {
        let width = factor.width;
        let mut values = vec![0.0; self.len() * width];
        values.par_chunks_exact_mut(width).enumerate().for_each(|(row, sums)| {
            for &(column, value) in self.row(row) {
                let other = &factor.values[usize::from(column) * width..][..width];
                sums.iter_mut().zip(other).for_each(|(sum, other)| *sum += value * other);
            }
        });
        Dense { width, values }
    }
}
