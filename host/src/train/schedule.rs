//! The learning rate over the steps of a run.

use crate::recipe::Schedule;
use std::f64::consts::PI;

/// Factor on the rate at `step` (from 1) of `total`.
///
/// The cosine starts when warm-up ends and would reach 0 one step after the last, so that no step is wasted on a rate of 0.
pub fn factor(schedule: &Schedule, step: u64, total: u64) -> f64 {
    match *schedule {
        Schedule::Constant => 1.0,
        Schedule::Cosine { warm_up } => {
            let (step, total) = (step as f64, total as f64);
            let warm = (f64::from(warm_up) * total).round();
            if step <= warm { step / warm } else { 0.5 * (1.0 + (PI * (step - warm) / (total - warm + 1.0)).cos()) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_to_one_at_the_end_of_warm_up_and_falls_towards_zero() {
        let at = |step| factor(&Schedule::Cosine { warm_up: 0.1 }, step, 100);
        assert_eq!(at(1), 0.1);
        assert_eq!(at(10), 1.0);
        assert!((10..100).all(|step| at(step + 1) < at(step)));
        assert!(at(100) > 0.0 && at(100) < 0.001, "{}", at(100));
    }

    #[test]
    fn without_warm_up_the_first_step_is_nearly_whole() {
        assert!(factor(&Schedule::Cosine { warm_up: 0.0 }, 1, 1000) > 0.999);
        assert_eq!(factor(&Schedule::Constant, 7, 9), 1.0);
    }
}
