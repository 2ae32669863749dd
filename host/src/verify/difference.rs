//! How far two sets of numbers lie apart.

use serde::Serialize;

/// Sums over pairs of a reference value and another.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    signal: f64,
    other: f64,
    product: f64,
    noise: f64,
    largest: f64,
    count: usize,
}

/// How far a layer's values lie from their reference.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Difference {
    /// Values compared.
    pub count: usize,
    /// Signal-to-quantization-noise ratio, `10·log₁₀(Σ reference² / Σ (other − reference)²)`; infinite (null in JSON) where all
    /// are equal.
    pub sqnr_db: f64,
    /// Largest |other − reference|.
    pub max_abs: f64,
    /// Cosine of the angle between the two, 1 for the same direction; 1 where both are zero.
    pub cosine: f64,
}

impl Sums {
    /// Takes in `other` beside `reference`, pair by pair.
    pub fn add(&mut self, reference: &[f32], other: &[f32]) {
        for (&reference, &other) in reference.iter().zip(other) {
            let (reference, other) = (f64::from(reference), f64::from(other));
            self.signal += reference * reference;
            self.other += other * other;
            self.product += reference * other;
            self.noise += (other - reference).powi(2);
            self.largest = self.largest.max((other - reference).abs());
        }
        self.count += reference.len().min(other.len());
    }

    /// What the sums say.
    pub fn difference(&self) -> Difference {
        let sqnr_db = if self.noise == 0.0 { f64::INFINITY } else { 10.0 * (self.signal / self.noise).log10() };
        let length = (self.signal * self.other).sqrt();
        let cosine = if length > 0.0 { self.product / length } else { f64::from(u8::from(self.noise == 0.0)) };
        Difference { count: self.count, sqnr_db, max_abs: self.largest, cosine }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let mut sums = Sums::default();
        sums.add(&[3.0, 4.0], &[3.0, 4.5]);
        let difference = sums.difference();
        assert_eq!(difference.count, 2);
        assert!((difference.sqnr_db - 20.0).abs() < 1e-12, "25 / 0.25 is 20 dB: {}", difference.sqnr_db);
        assert_eq!(difference.max_abs, 0.5);
        assert!((difference.cosine - 27.0 / (25f64 * 29.25).sqrt()).abs() < 1e-12);
    }

    #[test]
    fn equal_and_opposite() {
        let difference = |other: &[f32]| {
            let mut sums = Sums::default();
            sums.add(&[1.0, 2.0], other);
            sums.difference()
        };
        assert_eq!(difference(&[1.0, 2.0]).sqnr_db, f64::INFINITY);
        assert!((difference(&[-1.0, -2.0]).cosine + 1.0).abs() < 1e-12);
        assert_eq!(difference(&[0.0, 0.0]).cosine, 0.0);
    }
}
