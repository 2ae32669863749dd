//! What a row of logits says.

/// Index of the largest value; the first of equals.
pub fn first_max<T: PartialOrd>(row: &[T]) -> usize {
    (1..row.len()).fold(0, |best, i| if row[i] > row[best] { i } else { best })
}

/// `exp(xᵢ − max) / Σⱼ exp(xⱼ − max)`.
pub fn softmax(row: &[f64]) -> Vec<f64> {
    let max = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exps: Vec<f64> = row.iter().map(|v| (v - max).exp()).collect();
    let sum: f64 = exps.iter().sum();
    exps.iter().map(|e| e / sum).collect()
}

/// `ln Σ exp z − z[label]`, nats, shifted by the maximum.
pub fn cross_entropy(row: &[f64], label: usize) -> f64 {
    let max = row[first_max(row)];
    let sum: f64 = row.iter().map(|z| (z - max).exp()).sum();
    sum.ln() + max - row[label]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_equal_logits_wins() {
        assert_eq!(first_max(&[1.0, 3.0, 3.0, 2.0]), 1);
    }

    #[test]
    fn softmax_survives_large_logits() {
        let p = softmax(&[1000.0, 1000.0, 0.0]);
        assert!((p[0] - 0.5).abs() < 1e-12 && p[2] == 0.0);
    }

    #[test]
    fn cross_entropy_of_equal_logits_is_the_logarithm_of_their_number() {
        assert!((cross_entropy(&[1000.0; 8], 3) - 8f64.ln()).abs() < 1e-12);
    }
}
