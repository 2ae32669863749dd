//! One answer from many frames, so that what is shown does not flicker.
//!
//! Each frame gives a probability for each class; what is missing to one (all of it, where no digit was found) speaks for
//! "no digit". The belief in a class is the mean of its probabilities with weights that decay from frame to frame:
//!
//! ```text
//! belief ← belief + (probability − belief) / 2^decay
//! ```
//!
//! What is missing to one in the sum of beliefs is the belief in "no digit". From the beliefs comes a candidate, by two
//! thresholds, and from candidates the answer:
//!
//! 1. A class whose belief is `appear` or more is the candidate. Where there is none, the class shown now remains it while
//!    its belief is `stay` or more. Else "no digit" is.
//! 2. A candidate that differs from the answer replaces it once it has been the candidate in `frames` frames in a row.
//!
//! With `appear` above one half no two classes compete, and what changes from frame to frame is no candidate `frames` times in a
//! row. A class that comes for good is shown after `frames − 1` frames more than its belief takes to `appear`: after 5 with
//! the usual rule and a net that is sure.

use super::SURE;

/// Fractional bits of a belief beyond those of a probability: decay rounds, and must not stop short.
const EXTRA_BITS: u32 = 8;
const ONE: u32 = 1 << 16;

/// How quickly an answer comes and goes. Thresholds are parts of 65,536.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// A new frame counts for one in `2^decay`, at most one in 2^16.
    pub decay: u32,
    /// Least belief in a class for it to be shown; above 32,768.
    pub appear: u32,
    /// Least belief in the class shown for it to remain; below `appear`.
    pub stay: u32,
    /// Frames in a row that something else has to be the candidate.
    pub frames: u32,
}

impl Rule {
    /// For 7 to 30 frames a second.
    pub const USUAL: Self = Self { decay: 2, appear: SURE, stay: ONE / 4, frames: 3 };
}

/// The votes of all frames so far, for `CLASSES` classes.
#[derive(Clone, Debug)]
pub struct Vote<const CLASSES: usize> {
    rule: Rule,
    /// In 1/2²⁴.
    beliefs: [u32; CLASSES],
    answer: Option<usize>,
    candidate: Option<usize>,
    /// Frames in a row that have had `candidate`.
    run: u32,
}

impl<const CLASSES: usize> Vote<CLASSES> {
    /// Before the first frame the answer is "no digit", and so is the belief.
    pub const fn new(rule: Rule) -> Self {
        Self { rule, beliefs: [0; CLASSES], answer: None, candidate: None, run: 0 }
    }

    /// Takes the probabilities of a frame, parts of 65,536, from [`crate::softmax`]; classes that are missing at the end
    /// have none, and without a digit in the frame that is all of them. Gives the answer: a class, or none.
    pub fn add(&mut self, probabilities: &[u32]) -> Option<usize> {
        let decay = self.rule.decay.min(16);
        let probabilities = probabilities.iter().copied().chain(core::iter::repeat(0));
        for (belief, probability) in self.beliefs.iter_mut().zip(probabilities) {
            // At most 2²⁴ as before: the difference of the first two grows with the belief.
            *belief = *belief - (*belief >> decay) + ((probability.min(ONE) << EXTRA_BITS) >> decay);
        }
        let candidate = self.candidate();
        self.run = if candidate == self.candidate { self.run.saturating_add(1) } else { 1 };
        self.candidate = candidate;
        if self.run >= self.rule.frames {
            self.answer = candidate;
        }
        self.answer
    }

    /// The answer after the last frame.
    pub const fn answer(&self) -> Option<usize> {
        self.answer
    }

    /// Belief in a class, parts of 65,536; 0 in one that there is not.
    pub fn belief(&self, class: usize) -> u32 {
        self.beliefs.get(class).map_or(0, |belief| belief >> EXTRA_BITS)
    }

    fn candidate(&self) -> Option<usize> {
        let leader = (0..CLASSES).max_by_key(|class| (self.belief(*class), core::cmp::Reverse(*class)));
        let appears = leader.filter(|class| self.belief(*class) >= self.rule.appear);
        appears.or_else(|| self.answer.filter(|class| self.belief(*class) >= self.rule.stay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type Votes = Vote<10>;

    /// A frame whose net is as sure as a net gets of `class`.
    fn sure(class: usize) -> [u32; 10] {
        core::array::from_fn(|index| if index == class { ONE } else { 0 })
    }

    /// Answers after each frame.
    fn answers<'f>(votes: &mut Votes, frames: impl IntoIterator<Item = &'f [u32]>) -> Vec<Option<usize>> {
        frames.into_iter().map(|frame| votes.add(frame)).collect()
    }

    /// The same frame, `count` times.
    fn repeat(votes: &mut Votes, frame: &[u32], count: usize) -> Vec<Option<usize>> {
        answers(votes, std::iter::repeat_n(frame, count))
    }

    fn showing(class: usize) -> Votes {
        let mut votes = Votes::new(Rule::USUAL);
        assert_eq!(repeat(&mut votes, &sure(class), 30).last(), Some(&Some(class)));
        votes
    }

    #[test]
    fn what_is_steady_appears_after_five_frames_and_remains() {
        let mut votes = Votes::new(Rule::USUAL);
        // 1 − (3/4)³ is the first to reach 0.55, and it takes two frames more.
        let shown = repeat(&mut votes, &sure(3), 1_000);
        assert_eq!(shown.iter().position(|answer| answer.is_some()), Some(4));
        assert!(shown[4..].iter().all(|answer| *answer == Some(3)));
        assert_eq!(votes.belief(3), ONE);
    }

    #[test]
    fn one_frame_that_flickers_changes_nothing() {
        let mut votes = showing(3);
        for strange in [&sure(5)[..], &[], &[ONE / 10; 10]] {
            let three = sure(3);
            let frames = [strange, &three, &three, &three, &three].repeat(20);
            assert!(answers(&mut votes, frames).iter().all(|answer| *answer == Some(3)), "{strange:?}");
        }
    }

    #[test]
    fn another_digit_takes_over_without_a_gap_between() {
        let mut votes = showing(3);
        let shown = repeat(&mut votes, &sure(8), 20);
        let change = shown.iter().position(|answer| *answer == Some(8)).unwrap();
        assert_eq!(change, 4);
        assert!(shown[..change].iter().all(|answer| *answer == Some(3)));
        assert!(shown[change..].iter().all(|answer| *answer == Some(8)));
    }

    #[test]
    fn a_short_gap_is_bridged_and_a_long_one_is_no_digit() {
        let mut votes = showing(3);
        assert!(repeat(&mut votes, &[], 4).iter().all(|answer| *answer == Some(3)));
        assert!(repeat(&mut votes, &sure(3), 10).iter().all(|answer| *answer == Some(3)));
        // (3/4)^5 is the first below 1/4, and it takes two frames more.
        let shown = repeat(&mut votes, &[], 20);
        assert_eq!(shown.iter().position(Option::is_none), Some(6));
        assert!(shown[6..].iter().all(Option::is_none));
    }

    #[test]
    fn two_digits_in_turn_show_neither_and_do_not_replace_one() {
        for votes in [Votes::new(Rule::USUAL), showing(3)] {
            let before = votes.answer();
            let mut votes = votes;
            let frames = [sure(3), sure(5)].repeat(500);
            let shown = answers(&mut votes, frames.iter().map(|frame| &frame[..]));
            assert!(shown.iter().all(|answer| *answer == before), "{before:?}");
        }
    }

    #[test]
    fn a_net_that_is_unsure_shows_nothing_and_lets_go_of_what_was() {
        let unsure: [u32; 10] = [20_000, 20_000, 20_000, 5_536, 0, 0, 0, 0, 0, 0];
        let mut votes = Votes::new(Rule::USUAL);
        assert!(repeat(&mut votes, &unsure, 100).iter().all(Option::is_none));
        let mut votes = showing(7);
        assert_eq!(repeat(&mut votes, &unsure, 20).last(), Some(&None));
    }

    #[test]
    fn a_run_that_is_broken_starts_again() {
        let rule = Rule { decay: 0, appear: 40_000, stay: 20_000, frames: 3 };
        let mut votes = Votes::new(rule);
        let frames = [sure(1), sure(1), sure(2), sure(1), sure(1), sure(1)];
        let shown = answers(&mut votes, frames.iter().map(|frame| &frame[..]));
        assert_eq!(shown, [None, None, None, None, None, Some(1)]);
    }

    proptest! {
        #[test]
        fn beliefs_follow_the_formula_and_nothing_overflows(
            frames in prop::collection::vec(prop::collection::vec(any::<u32>(), 0..14), 1..60),
            shrink in 0u32..32,
            rule in (0u32..40, any::<u32>(), any::<u32>(), 0u32..5),
        ) {
            let (decay, appear, stay, least) = rule;
            let mut votes = Votes::new(Rule { decay, appear, stay, frames: least });
            let mut exact = [0.0; 10];
            for frame in &frames {
                let frame: Vec<u32> = frame.iter().map(|value| value >> shrink).collect();
                let answer = votes.add(&frame);
                prop_assert!(answer.is_none_or(|class| class < 10));
                for (class, exact) in exact.iter_mut().enumerate() {
                    let probability = f64::from(frame.get(class).copied().unwrap_or(0).min(ONE));
                    *exact += (probability - *exact) / f64::from(1 << decay.min(16));
                    prop_assert!((f64::from(votes.belief(class)) - *exact).abs() < 257.0);
                }
            }
        }

        #[test]
        fn beliefs_are_within_one_part_at_the_usual_decay(
            frames in prop::collection::vec(prop::collection::vec(0u32..=ONE, 10), 1..60),
        ) {
            let mut votes = Votes::new(Rule::USUAL);
            let mut exact = [0.0; 10];
            for frame in &frames {
                votes.add(frame);
                for (class, exact) in exact.iter_mut().enumerate() {
                    *exact += (f64::from(frame[class]) - *exact) / 4.0;
                    let difference = *exact - f64::from(votes.belief(class));
                    prop_assert!((-0.1..=1.1).contains(&difference), "{difference}");
                }
            }
        }
    }
}
