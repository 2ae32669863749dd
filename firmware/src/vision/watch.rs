//! A digit that is followed from frame to frame, with one look at each.

use super::paper::Care;
use super::reader::{LIKELY, MAX_CLASSES, Reading, SETTLED, USUAL_REGIONS, VIEWS, probabilities_of, suits, surest};
use super::{Digits, Error, Finder, Frame, Polarity, Region, SIDE};
use crate::plan::Interpreter;

/// Where to look for a digit in the next frame.
///
/// [`super::read`] takes as many looks at a frame as it needs. Before a camera the next frame shows mostly the same, and a
/// frame's time is short: so the looks come one by one, each at a new frame, and the one that has shown a digit is repeated.
/// A frame costs the search for dark and for light ink, or that for one of them and one run of the net.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// The ink that is looked for; without, it is not known yet which.
    ink: Option<(Polarity, Care)>,
    /// What to look for where that shows no digit.
    others: [Option<(Polarity, Care)>; 2],
    /// Regions that are no digits.
    dismissed: [Region; USUAL_REGIONS],
    dismissed_count: usize,
    /// What the net said of the last views of what it is unsure of, in 1/65,536.
    views: [[u32; MAX_CLASSES]; VIEWS],
    views_count: usize,
    /// The view that comes next.
    view: usize,
    /// Whether `ink` has shown a digit.
    follows: bool,
}

impl Watch {
    /// Looks at the next frame and reads one region: the one with the most ink of those that have not been dismissed. There is
    /// none where there is no such region, and in a frame that has only told whether paper is darker than ink.
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`]; [`Error::ForeignModel`] where the model does not [suit](suits).
    // As of `read`: its lists are not for the stack of a caller that does other work too.
    #[inline(never)]
    pub fn see(
        &mut self,
        frame: &Frame<'_>,
        finder: &mut Finder<'_>,
        interpreter: &mut Interpreter<'_, '_>,
    ) -> Result<Option<Reading>, Error> {
        if !suits(interpreter.model()) {
            return Err(Error::ForeignModel);
        }
        let Some((polarity, care)) = self.ink else {
            self.begin(&finder.find(frame)?);
            return Ok(None);
        };
        let digits = finder.find_ink(frame, polarity, care)?;
        let Some(region) = self.candidate(&digits) else {
            self.move_on();
            return Ok(None);
        };
        let mut pixels = [0; SIDE * SIDE];
        finder.normalize(frame, &region, &mut pixels)?;
        let probabilities = probabilities_of(interpreter, &pixels, self.view.checked_sub(1))?;
        let reading = self.weigh(region, &probabilities);
        // Until all views of what is unsure have been seen, nothing follows from it.
        if self.view == 0 {
            self.judge(&digits, &reading);
        }
        Ok(Some(reading))
    }

    /// What the net says of the region as it is, where it is sure of that; else the mean of the last views.
    fn weigh(&mut self, region: Region, probabilities: &[u32; MAX_CLASSES]) -> Reading {
        let (class, certainty) = surest(probabilities);
        if self.view == 0 && certainty >= SETTLED {
            self.views_count = 0;
            return Reading { region, class, certainty };
        }
        if let Some(place) = self.views.get_mut(self.view) {
            *place = *probabilities;
        }
        self.view = (self.view + 1) % VIEWS;
        self.views_count = (self.views_count + 1).min(VIEWS);
        let mut sums = [0; MAX_CLASSES];
        for view in self.views.iter().take(self.views_count) {
            sums.iter_mut().zip(view).for_each(|(sum, probability)| *sum += probability);
        }
        let (class, certainty) = surest(&sums.map(|sum| sum / self.views_count.max(1) as u32));
        Reading { region, class, certainty }
    }

    /// What to look for from now on, where `digits` tell which of paper and ink is the darker.
    fn begin(&mut self, digits: &Digits) {
        let polarity = digits.polarity;
        self.ink = Some((polarity, if digits.is_empty() { Care::Close } else { Care::Usual }));
        let closer = (!digits.is_empty()).then_some((polarity, Care::Close));
        let inverse = digits.is_doubtful().then_some((polarity.other(), Care::Usual));
        self.others = [closer, inverse];
    }

    /// The next region to read. The largest piece of one comes last: what has been joined to it may be dirt, or of a box.
    fn candidate(&self, digits: &Digits) -> Option<Region> {
        let is_new = |region: &Region| !self.dismissed.iter().any(|dismissed| dismissed.is_like(region));
        let whole = digits.iter().copied().filter(is_new).max_by_key(|region| region.edges);
        let has_pieces = !matches!(self.ink, Some((_, Care::Close)));
        let piece = || digits.iter().filter_map(Region::largest_piece).find(is_new);
        whole.or_else(|| has_pieces.then(piece).flatten())
    }

    /// Follows what has been read, or looks elsewhere in the next frame.
    fn judge(&mut self, digits: &Digits, reading: &Reading) {
        if reading.digit(LIKELY).is_some() {
            self.follows = true;
        } else {
            self.dismiss(digits, reading.region);
        }
    }

    fn dismiss(&mut self, digits: &Digits, region: Region) {
        self.views_count = 0;
        if let Some(place) = self.dismissed.get_mut(self.dismissed_count) {
            *place = region;
            self.dismissed_count += 1;
        }
        if self.dismissed_count == USUAL_REGIONS {
            *self = Self::default();
        } else if self.follows || self.candidate(digits).is_none() {
            self.move_on();
        }
    }

    /// Looks for other ink from now on; for any, where a digit has been lost or nothing else is to be tried.
    fn move_on(&mut self) {
        match self.others.iter_mut().find_map(Option::take) {
            Some(ink) if !self.follows => (self.ink, self.view, self.views_count) = (Some(ink), 0, 0),
            _ => *self = Self::default(),
        }
    }
}
