//! From logits to an answer, in integers.

/// Index of the largest value, the first one where several are; 0 for none.
pub fn argmax<T: PartialOrd>(values: &[T]) -> usize {
    // `Iterator::max_by_key` would give the last one.
    let mut best = 0;
    for (index, value) in values.iter().enumerate() {
        if values.get(best).is_some_and(|most| value > most) {
            best = index;
        }
    }
    best
}

/// Probabilities in 1/65,536: `p[i] = exp(scale · x[i]) / Σⱼ exp(scale · x[j])`, each within 2/65,536 of exact.
///
/// `scale` is that of the logits' tensor. Fills as many places as the shorter slice has.
pub fn softmax(logits: &[i32], scale: f32, probabilities: &mut [u32]) {
    let max = logits.iter().copied().max().unwrap_or(0);
    let exponent = Exponent::new(scale);
    let mut sum = 0u64;
    for (probability, logit) in probabilities.iter_mut().zip(logits) {
        *probability = exponent.exp_q30(max.abs_diff(*logit));
        sum += u64::from(*probability);
    }
    for probability in probabilities.iter_mut().take(logits.len()) {
        // The largest logit adds 2³⁰, so the sum is not 0 where there is a value.
        *probability = (((u64::from(*probability) << 16) + sum / 2) / sum.max(1)) as u32;
    }
}

/// `scale · log₂ e` as `multiplier · 2^shift`.
struct Exponent {
    multiplier: u32,
    shift: i32,
}

impl Exponent {
    /// Takes the number apart by its bits, so that no floating-point code is linked.
    fn new(scale: f32) -> Self {
        const LOG2_E_Q16: u64 = 94_548;
        let bits = scale.to_bits();
        let mantissa = u64::from(bits & 0x007f_ffff | 0x0080_0000);
        // 24 bits times 17 bits, of which the upper 32 are kept.
        let multiplier = ((mantissa * LOG2_E_Q16) >> 9) as u32;
        Self { multiplier, shift: (bits >> 23 & 0xff) as i32 - 150 - 16 + 9 }
    }

    /// `exp(−scale · distance)` in 1/2³⁰.
    fn exp_q30(&self, distance: u32) -> u32 {
        let product = u128::from(distance) * u128::from(self.multiplier);
        let shift = self.shift + 30;
        // `2^−power`, whole part and fraction apart. Beyond 2⁻³¹ nothing is left.
        let power_q30 = if shift >= 0 { product << shift.min(63) } else { product >> (-shift).min(127) };
        if power_q30 >= 31 << 30 {
            return 0;
        }
        exp2_fraction_q30(power_q30 as u64 & ((1 << 30) - 1)) >> (power_q30 >> 30)
    }
}

/// `2^−f` for `f` in 0..1, both in 1/2³⁰, from the series of `exp(−f · ln 2)`; within 2⁻²⁰.
fn exp2_fraction_q30(fraction: u64) -> u32 {
    const LN_2_Q30: u64 = 744_261_118;
    const ONE: i64 = 1 << 30;
    let x = ((fraction * LN_2_Q30) >> 30) as i64;
    // Horner: 1 − x·(1 − x/2·(1 − x/3·(…))).
    let mut sum = ONE;
    for divisor in (1..=8).rev() {
        sum = ONE - ((x * sum) >> 30) / divisor;
    }
    sum as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn first_maximum_wins() {
        assert_eq!(argmax(&[1, 7, 7, -3]), 1);
        assert_eq!(argmax(&[i32::MIN, i32::MIN]), 0);
        assert_eq!(argmax::<i32>(&[]), 0);
    }

    proptest! {
        #[test]
        fn softmax_is_near_exact(
            logits in prop::collection::vec(any::<i32>(), 1..20),
            shrink in 0u32..31,
            exponent in -30i32..2,
        ) {
            let logits: Vec<i32> = logits.iter().map(|logit| logit >> shrink).collect();
            let scale = 1.37 * (exponent as f32).exp2();
            let max = f64::from(*logits.iter().max().unwrap());
            let exact: Vec<f64> = logits.iter().map(|l| ((f64::from(*l) - max) * f64::from(scale)).exp()).collect();
            let sum: f64 = exact.iter().sum();
            let mut probabilities = vec![0; logits.len()];
            softmax(&logits, scale, &mut probabilities);
            for (probability, exact) in probabilities.iter().zip(&exact) {
                let difference = f64::from(*probability) - exact / sum * 65_536.0;
                prop_assert!(difference.abs() <= 2.0, "{difference} for {logits:?} at scale {scale}");
            }
        }
    }

    #[test]
    fn strange_scales_do_not_panic() {
        for scale in [0.0, f32::MIN_POSITIVE, f32::MAX, f32::INFINITY, f32::NAN] {
            let mut probabilities = [0; 2];
            softmax(&[i32::MIN, i32::MAX], scale, &mut probabilities);
        }
    }
}
