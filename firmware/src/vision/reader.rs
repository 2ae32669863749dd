//! From frames to digits that have been read.

use super::{Error, Finder, Frame, MAX_DIGITS, Pixels, Region, SIDE};
use crate::model::{Element, Model};
use crate::plan::Interpreter;
use crate::{argmax, softmax};

/// Most classes of a net that reads digits.
pub const MAX_CLASSES: usize = 16;
/// Classes that are digits; the others, e.g. "no digit", come behind.
pub const DIGITS: usize = 10;

/// Regions of a frame to read: one mostly; others where that is no digit.
pub const USUAL_REGIONS: usize = 4;

/// Certainty, in 1/65,536, from which on a region is told to be a digit, so that no other is looked for.
pub const LIKELY: u32 = 1 << 15;

/// Certainty, in 1/65,536, from which on a digit is an answer; below it, "no digit" is. Chosen for `digits-camera` on frames of
/// training digits, with those of test digits at hand: see DESIGN.md.
pub const SURE: u32 = 36_045;

/// Certainty, in 1/65,536, from which on one view of a region is enough: 90 %.
const SETTLED: u32 = 58_982;

/// Views of a region that the net is unsure of: as it is, and [softened](soften) either way.
const VIEWS: usize = 3;

/// How many times rarer what is no digit is among the regions of a camera's frames than among training crops, of which it is
/// half. Of the frames that its certainty was chosen on, a quarter have no digit.
const OTHERS: u32 = 3;

/// What a net says of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reading {
    /// Where it stands.
    pub region: Region,
    /// The most probable class.
    pub class: u16,
    /// How certain it is, in 1/65,536: the mean of its probability and that of its kind, digits or others, for the shares of
    /// both that are usual before a camera. A digit that the net takes for one of two is still a digit; what could be
    /// something else than a digit is less of one.
    pub certainty: u32,
}

impl Reading {
    /// The digit, where it is one with at least this certainty (in 1/65,536).
    pub fn digit(&self, least: u32) -> Option<u8> {
        let is_sure = usize::from(self.class) < DIGITS && self.certainty >= least;
        is_sure.then_some(self.class as u8)
    }
}

/// What has been read in a frame, from left to right; then, if there was no digit, what else was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    readings: [Reading; MAX_DIGITS],
    count: usize,
}

impl Readings {
    /// In the order in which they were read.
    pub fn as_slice(&self) -> &[Reading] {
        self.readings.get(..self.count).unwrap_or_default()
    }

    /// The surest digit, where there is to be one; none if no digit has at least this certainty (in 1/65,536).
    pub fn best(&self, least: u32) -> Option<&Reading> {
        let digits = self.as_slice().iter().filter(|reading| reading.digit(least).is_some());
        digits.max_by_key(|reading| reading.certainty)
    }

    /// Appends one; of more than [`MAX_DIGITS`], the last are lost.
    pub(crate) fn push(&mut self, reading: Reading) {
        if let Some(place) = self.readings.get_mut(self.count) {
            *place = reading;
            self.count += 1;
        }
    }
}

/// Whether the model reads what [`Finder::normalize`] writes: 28×28 values in, up to [`MAX_CLASSES`] logits out.
pub fn suits(model: &Model<'_>) -> bool {
    let [input, output] = [model.input(), model.output()];
    input.element == Element::I8
        && input.shape.elements() == SIDE * SIDE
        && output.element == Element::I32
        && (DIGITS..=MAX_CLASSES).contains(&output.shape.elements())
}

/// Looks for digits in a frame and shows up to `most` regions to `is_digit`: first those that were found, from left to
/// right, of more those with the most ink. While none of them is told to be a digit, others are shown: the largest piece
/// alone of those with several, for what has been joined to it may be dirt, or of a box; what else a closer look finds; and
/// what is found if paper is taken for ink and ink for paper, where something speaks for that.
///
/// # Errors
/// [`Error::ScratchTooSmall`], and those of `is_digit`.
pub fn search(
    frame: &Frame<'_>,
    finder: &mut Finder<'_>,
    most: usize,
    mut is_digit: impl FnMut(&mut Finder<'_>, &Region) -> Result<bool, Error>,
) -> Result<(), Error> {
    let digits = finder.find(frame)?;
    let mut search = Search { finder, is_digit: &mut is_digit, left: most, is_told: false };
    search.show_all(digits.most_inked(most))?;
    for piece in digits.iter().filter_map(Region::largest_piece) {
        if !search.is_over() {
            search.show(&piece)?;
        }
    }
    if !search.is_over() {
        let faint = search.finder.find_faint(frame, &digits)?;
        let is_new = |region: &&Region| !digits.iter().any(|shown| shown.is_like(region));
        search.show_all(faint.most_inked(search.left).filter(is_new))?;
    }
    if !search.is_over()
        && let Some(inverse) = search.finder.find_inverse(frame, &digits)?
    {
        search.show_all(inverse.most_inked(search.left))?;
    }
    Ok(())
}

/// A search under way.
struct Search<'f, 's, F> {
    finder: &'f mut Finder<'s>,
    is_digit: F,
    /// Regions that may still be shown.
    left: usize,
    is_told: bool,
}

impl<'s, F: FnMut(&mut Finder<'s>, &Region) -> Result<bool, Error>> Search<'_, 's, F> {
    fn is_over(&self) -> bool {
        self.is_told || self.left == 0
    }

    fn show(&mut self, region: &Region) -> Result<(), Error> {
        self.left = self.left.saturating_sub(1);
        self.is_told |= (self.is_digit)(self.finder, region)?;
        Ok(())
    }

    fn show_all<'r>(&mut self, mut regions: impl Iterator<Item = &'r Region>) -> Result<(), Error> {
        regions.try_for_each(|region| self.show(region))
    }
}

/// [Searches](search) a frame for digits, up to `most` regions, as the model reads them. Of the first region that it is unsure
/// of it gets two more views.
///
/// # Errors
/// [`Error::ScratchTooSmall`]; [`Error::ForeignModel`] where the model does not [suit](suits).
// Its lists of regions take more than a kilobyte of stack, which is not to be taken from a caller that does other work too.
#[inline(never)]
pub fn read(
    frame: &Frame<'_>,
    finder: &mut Finder<'_>,
    interpreter: &mut Interpreter<'_, '_>,
    most: usize,
) -> Result<Readings, Error> {
    if !suits(interpreter.model()) {
        return Err(Error::ForeignModel);
    }
    let mut readings = Readings::default();
    let mut was_unsure = false;
    search(frame, finder, most.min(MAX_DIGITS), |finder, region| {
        let mut pixels = [0; SIDE * SIDE];
        finder.normalize(frame, region, &mut pixels)?;
        let mut views = Views::default();
        let (mut class, mut certainty) = views.look(interpreter, &pixels)?;
        if !views.are_complete() && !was_unsure {
            was_unsure = true;
            while !views.are_complete() {
                (class, certainty) = views.look(interpreter, &pixels)?;
            }
        }
        let reading = Reading { region: *region, class, certainty };
        readings.push(reading);
        Ok(reading.digit(LIKELY).is_some())
    })?;
    Ok(readings)
}

/// What the net said of the last views of a region, in 1/65,536.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Views {
    probabilities: [[u32; MAX_CLASSES]; VIEWS],
    count: usize,
    /// The view that comes next.
    next: usize,
}

impl Views {
    /// Shows the net the next view of the digit: as it is, then moved by half a pixel either way and softened by that, so that what
    /// was an accident of the pixels does not come again. Gives what [`Self::add`] does.
    // Called at several places, and the interpreter's code is needed once.
    #[inline(never)]
    pub fn look(&mut self, interpreter: &mut Interpreter<'_, '_>, pixels: &Pixels) -> Result<(u16, u32), Error> {
        let probabilities = probabilities_of(interpreter, pixels, self.next.checked_sub(1))?;
        Ok(self.add(&probabilities))
    }

    /// Whether no view is missing: all have been seen, or the first is enough.
    pub fn are_complete(&self) -> bool {
        self.next == 0
    }

    /// The most probable class and its certainty: what the net says of the region as it is, where it is sure of that; else the
    /// mean of the last views.
    fn add(&mut self, probabilities: &[u32; MAX_CLASSES]) -> (u16, u32) {
        let (class, certainty) = surest(probabilities);
        if self.next == 0 && certainty >= SETTLED {
            self.count = 0;
            return (class, certainty);
        }
        if let Some(place) = self.probabilities.get_mut(self.next) {
            *place = *probabilities;
        }
        self.next = (self.next + 1) % VIEWS;
        self.count = (self.count + 1).min(VIEWS);
        let mut sums = [0; MAX_CLASSES];
        for view in self.probabilities.iter().take(self.count) {
            sums.iter_mut().zip(view).for_each(|(sum, probability)| *sum += probability);
        }
        surest(&sums.map(|sum| sum / self.count.max(1) as u32))
    }
}

/// The probabilities of the classes, in 1/65,536, for the pixels as they are or [softened](soften).
fn probabilities_of(
    interpreter: &mut Interpreter<'_, '_>,
    pixels: &Pixels,
    softened: Option<usize>,
) -> Result<[u32; MAX_CLASSES], Error> {
    let input = interpreter.input_mut().first_chunk_mut().ok_or(Error::ForeignModel)?;
    match softened {
        None => *input = *pixels,
        Some(back) => soften(pixels, back, input),
    }
    // A parsed model runs.
    interpreter.run().map_err(|_| Error::ForeignModel)?;
    let mut probabilities = [0; MAX_CLASSES];
    softmax(interpreter.output_i32(), interpreter.model().output().scale, &mut probabilities);
    Ok(probabilities)
}

/// Means of 2×2 pixels: those at a place, below and to the right of it (`back` 0), or above and to the left (1). Around the
/// image all is black.
fn soften(pixels: &Pixels, back: usize, softened: &mut Pixels) {
    const BLACK: [i8; SIDE] = [i8::MIN; SIDE];
    let row = |y: Option<usize>| y.and_then(|y| pixels.as_chunks::<SIDE>().0.get(y)).unwrap_or(&BLACK);
    for (y, softened) in softened.chunks_exact_mut(SIDE).enumerate() {
        let [upper, lower] = [row(y.checked_sub(back)), row((y + 1).checked_sub(back))];
        let sums = upper.iter().zip(lower).map(|(upper, lower)| i32::from(*upper) + i32::from(*lower));
        let edge = || core::iter::once(2 * i32::from(i8::MIN));
        // With `back`, each place's left neighbour comes first; without, its own sum does.
        let before = edge().take(back).chain(sums.clone());
        let behind = sums.chain(edge()).skip(1 - back);
        softened.iter_mut().zip(before.zip(behind)).for_each(|(pixel, (a, b))| *pixel = ((a + b + 2) >> 2) as i8);
    }
}

/// The most probable class and how certain it is, by Bayes' rule for the shares of classes that are usual here (Saerens et al.
/// 2002).
fn surest(probabilities: &[u32; MAX_CLASSES]) -> (u16, u32) {
    let mut usual = *probabilities;
    let (digits, others) = usual.split_at_mut(DIGITS);
    others.iter_mut().for_each(|other| *other /= OTHERS);
    let sum = digits.iter().chain(&*others).sum::<u32>().max(1);
    usual.iter_mut().for_each(|probability| *probability = ((u64::from(*probability) << 16) / u64::from(sum)) as u32);
    let class = argmax(&usual);
    (class as u16, certainty(&usual, class))
}

/// See [`Reading::certainty`]; all in 1/65,536.
fn certainty(probabilities: &[u32; MAX_CLASSES], class: usize) -> u32 {
    let (digits, others) = probabilities.split_at(DIGITS);
    let kind: u32 = if class < DIGITS { digits } else { others }.iter().sum();
    (probabilities.get(class).copied().unwrap_or(0) + kind) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_as_well_be_a_digit_is_one() {
        let of = |digit: u32, other: u32| {
            let mut probabilities = [0; MAX_CLASSES];
            (probabilities[4], probabilities[10]) = (digit, other);
            surest(&probabilities)
        };
        assert_eq!(of(65_536, 0), (4, 65_536));
        assert_eq!(of(0, 65_536), (10, 65_536));
        // Odds of 1 to 2 become 3 to 2.
        assert_eq!(of(21_845, 43_690), (4, (65_536 * 3 / 5) as u32));
        assert_eq!(of(10_000, 55_536).0, 10);
    }

    fn probabilities(digit: u32) -> [u32; MAX_CLASSES] {
        let mut all = [0; MAX_CLASSES];
        (all[4], all[10]) = (digit, 65_536 - digit);
        all
    }

    #[test]
    fn one_sure_view_is_enough_and_of_unsure_ones_the_last_three_count() {
        let mut views = Views::default();
        assert_eq!((views.add(&probabilities(65_000)).0, views.next, views.count), (4, 0, 0));
        let [a, b, c] = [20_000, 30_000, 34_000].map(probabilities);
        assert_eq!((views.add(&a), views.next), (surest(&a), 1));
        assert_eq!((views.add(&b), views.next), (surest(&probabilities(25_000)), 2));
        assert_eq!((views.add(&c), views.next), (surest(&probabilities(28_000)), 0));
        // A sure view that is softened is one of three.
        assert_eq!(views.add(&probabilities(26_000)), surest(&probabilities(30_000)));
        assert_eq!(views.add(&probabilities(60_000)), surest(&probabilities(40_000)));
        assert_eq!(views.next, 2);
    }

    #[test]
    fn softening_takes_means_of_four() {
        let at = |pixels: &Pixels, y: usize, x: usize| i32::from(pixels[y * SIDE + x]) + 128;
        let mut pixels = [i8::MIN; SIDE * SIDE];
        pixels.iter_mut().enumerate().for_each(|(at, pixel)| *pixel = (at * at % 251) as u8 as i8);
        for back in [0, 1] {
            let mut softened = [0; SIDE * SIDE];
            soften(&pixels, back, &mut softened);
            for place in 0..SIDE * SIDE {
                let [y, x] = [place / SIDE, place % SIDE];
                let near = [[0, 0], [0, 1], [1, 0], [1, 1]].map(|[down, right]| [y + down, x + right]);
                let inside = near.iter().filter(|near| near.iter().all(|at| (back..SIDE + back).contains(at)));
                let sum: i32 = inside.map(|[y, x]| at(&pixels, y - back, x - back)).sum();
                assert_eq!(at(&softened, y, x), (sum + 2) / 4, "back {back}, row {y}, column {x}");
            }
        }
    }

    #[test]
    fn a_digit_like_another_is_more_certain_than_one_like_none() {
        let of = |probabilities: &[(usize, u32)], class| {
            let mut all = [0; MAX_CLASSES];
            probabilities.iter().for_each(|&(class, probability)| all[class] = probability);
            certainty(&all, class)
        };
        assert_eq!(of(&[(4, 40_000), (9, 25_536)], 4), (40_000 + 65_536) / 2);
        assert_eq!(of(&[(4, 40_000), (10, 25_536)], 4), 40_000);
        assert_eq!(of(&[(4, 25_536), (10, 30_000), (12, 10_000)], 10), 35_000);
        assert_eq!(of(&[(7, 65_536)], 7), 65_536);
    }
}
