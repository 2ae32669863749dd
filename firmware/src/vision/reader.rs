//! From frames to digits that have been read.

use super::{Error, Finder, Frame, MAX_DIGITS, Region, SIDE};
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

/// What a net says of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Reading {
    /// Where it stands.
    pub region: Region,
    /// The most probable class.
    pub class: u16,
    /// How certain it is, in 1/65,536: the mean of its probability and that of its kind, digits or others. A digit that the
    /// net takes for one of two is still a digit; what could be something else than a digit is none.
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

    fn push(&mut self, reading: Reading) {
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

/// [Searches](search) a frame for digits, up to `most` regions, as the model reads them.
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
    search(frame, finder, most.min(MAX_DIGITS), |finder, region| {
        let (class, certainty) = read_region(frame, region, finder, interpreter)?;
        let reading = Reading { region: *region, class, certainty };
        readings.push(reading);
        Ok(reading.digit(LIKELY).is_some())
    })?;
    Ok(readings)
}

fn read_region(
    frame: &Frame<'_>,
    region: &Region,
    finder: &mut Finder<'_>,
    interpreter: &mut Interpreter<'_, '_>,
) -> Result<(u16, u32), Error> {
    let pixels = interpreter.input_mut().first_chunk_mut().ok_or(Error::ForeignModel)?;
    finder.normalize(frame, region, pixels)?;
    // A parsed model runs.
    interpreter.run().map_err(|_| Error::ForeignModel)?;
    let logits = interpreter.output_i32();
    let mut probabilities = [0; MAX_CLASSES];
    softmax(logits, interpreter.model().output().scale, &mut probabilities);
    let class = argmax(logits);
    Ok((class as u16, certainty(&probabilities, class)))
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
