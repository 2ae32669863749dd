//! How sure a classifier may be.
//!
//! A net's probabilities need not say how often it is right: label smoothing and distorted images make it say 95 % where it is right
//! 99 times of 100, many epochs on too few images the other way round. One number mends most of it (Guo et al. 2017, "On
//! calibration of modern neural networks"): all logits are divided by a temperature, which changes no answer. It goes into the
//! weights of the last layer, so that a board has nothing to compute for it.

use crate::dataset::Samples;
use crate::recipe::Target;
use crate::scores::Score;

/// The temperature is sought between one over this and this.
const LIMIT: f64 = 20.0;

/// Sections by the golden ratio: the interval ends 10⁻⁴ of itself wide.
const STEPS: usize = 20;

/// The temperature, 1/20 to 20, by which to divide `rows` of two or more logits, those of the samples from `first` on, for the
/// smallest cross-entropy with their labels.
pub fn fit(rows: &[Vec<f64>], samples: &Samples, first: usize) -> f64 {
    // The cross-entropy is convex in one over the temperature, and so has one minimum in its logarithm, too.
    let loss = |logarithm: f64| {
        let temperature = logarithm.exp();
        let divided = |row: &Vec<f64>| row.iter().map(|logit| logit / temperature).collect();
        Score::judge(Target::Class, &rows.iter().map(divided).collect::<Vec<_>>(), samples, first).loss
    };
    golden_section(loss, -LIMIT.ln(), LIMIT.ln()).exp()
}

/// Where `f`, which falls and then rises between `low` and `high`, is smallest (Kiefer 1953).
fn golden_section(f: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    let ratio = (5.0_f64.sqrt() - 1.0) / 2.0;
    let inner = |low: f64, high: f64| [high - ratio * (high - low), low + ratio * (high - low)];
    let [mut left, mut right] = inner(low, high);
    let [mut at_left, mut at_right] = [f(left), f(right)];
    for _ in 0..STEPS {
        if at_left < at_right {
            high = right;
            (right, at_right) = (left, at_left);
            left = inner(low, high)[0];
            at_left = f(left);
        } else {
            low = left;
            (left, at_left) = (right, at_right);
            right = inner(low, high)[1];
            at_right = f(right);
        }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Vectors;

    /// Of every ten samples with the logits (`gap`, 0), nine are of the first class.
    fn nine_of_ten(gap: f64, count: usize) -> (Vec<Vec<f64>>, Samples) {
        let labels: Vec<u8> = (0..count).map(|sample| u8::from(sample % 10 == 3)).collect();
        (vec![vec![gap, 0.0]; count], Samples::Vectors(Vectors { size: 1, values: vec![0.0; count], labels }))
    }

    #[test]
    fn a_net_that_is_right_nine_times_of_ten_comes_to_say_so() {
        // The odds 9 : 1 are a gap of ln 9.
        for gap in [0.5, 9_f64.ln(), 10.0] {
            let (rows, samples) = nine_of_ten(gap, 100);
            let fitted = fit(&rows, &samples, 0);
            assert!((fitted * 9_f64.ln() / gap - 1.0).abs() < 1e-3, "{gap}: {fitted}");
        }
    }

    #[test]
    fn a_net_that_is_always_right_stays_within_the_limit() {
        let (rows, samples) = nine_of_ten(1.0, 3);
        let fitted = fit(&rows, &samples, 0);
        assert!((1.0 / LIMIT..1.1 / LIMIT).contains(&fitted), "{fitted}");
    }

    #[test]
    fn only_samples_from_the_first_on_count() {
        // Of samples 12 to 14, the middle one is of the second class: the odds are 2 : 1. Samples 0 to 2 are all of the first.
        let (rows, samples) = nine_of_ten(1.0, 40);
        let fitted = fit(&rows[..3], &samples, 12);
        assert!((fitted * 2_f64.ln() - 1.0).abs() < 1e-3, "{fitted}");
    }
}
