//! A digit that is followed from frame to frame, with one look at each.

use super::paper::Care;
use super::reader::{Reading, SURE, USUAL_REGIONS, Views, suits};
use super::{Digits, Error, Finder, Frame, Polarity, Region, SIDE};
use crate::plan::Interpreter;

/// Where to look for a digit in the next frame.
///
/// [`super::read`] takes as many looks at a frame as it needs. Before a camera the next frame shows mostly the same, and a
/// frame's time is short: so the looks come one by one, each at a new frame, and what has been a digit is followed as it moves.
/// A frame costs the search for dark and for light ink, or that for one of them and one run of the net.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    /// The ink that is looked for; without, it is not known yet which.
    ink: Option<(Polarity, Care)>,
    /// What to look for where that shows no digit.
    others: [Option<(Polarity, Care)>; 2],
    /// What was read in the last frame, where it is to be read again.
    region: Option<Region>,
    /// Whether that has been a digit.
    follows: bool,
    /// Regions that are no digits.
    dismissed: [Region; USUAL_REGIONS],
    dismissed_count: usize,
    views: Views,
}

impl Watch {
    /// Looks at the next frame and reads one region: the one of the last frame, until it is known what it is; else the one with
    /// the most ink of those that have not been dismissed. There is none where there is no such region, and in a frame that has
    /// only told whether paper is darker than ink.
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
        let Some(region) = self.choose(&digits) else {
            self.move_on();
            return Ok(None);
        };
        let mut pixels = [0; SIDE * SIDE];
        finder.normalize(frame, &region, &mut pixels)?;
        let (class, certainty) = self.views.look(interpreter, &pixels)?;
        let reading = Reading { region, class, certainty };
        // Until all views of what is unsure have been seen, nothing follows from it.
        if self.views.are_complete() {
            self.judge(&digits, &reading);
        }
        Ok(Some(reading))
    }

    /// What to look for from now on, where `digits` tell which of paper and ink is the darker.
    fn begin(&mut self, digits: &Digits) {
        let polarity = digits.polarity;
        self.ink = Some((polarity, if digits.is_empty() { Care::Close } else { Care::Usual }));
        let closer = (!digits.is_empty()).then_some((polarity, Care::Close));
        let inverse = digits.is_doubtful().then_some((polarity.other(), Care::Usual));
        self.others = [closer, inverse];
    }

    /// The region to read in this frame. What has been dismissed is known again where it has moved, as is what was read last; if
    /// that was a digit, nothing else is read in its place.
    fn choose(&mut self, digits: &Digits) -> Option<Region> {
        let last = self.region.and_then(|last| self.regions(digits).find(|region| last.is_moved(region)));
        if last.is_none() {
            self.views = Views::default();
        }
        self.region = match last {
            None if self.follows => None,
            None => self.candidate(digits),
            last => last,
        };
        for dismissed in &mut self.dismissed {
            let moved = digits.iter().copied().chain(pieces(digits)).find(|region| dismissed.is_moved(region));
            *dismissed = moved.unwrap_or(*dismissed);
        }
        self.region
    }

    /// The one with the most ink of those that have not been dismissed. The largest piece of one comes last: what has been
    /// joined to it may be dirt, or of a box.
    fn candidate(&self, digits: &Digits) -> Option<Region> {
        let is_new = |region: &Region| !self.dismissed.iter().any(|dismissed| dismissed.is_moved(region));
        let whole = digits.iter().copied().filter(is_new).max_by_key(|region| region.edges);
        whole.or_else(|| self.regions(digits).find(is_new))
    }

    /// All that may be read: regions, and the largest pieces of those with several, but not in a closer look.
    fn regions<'d>(&self, digits: &'d Digits) -> impl Iterator<Item = Region> + use<'d> {
        let has_pieces = !matches!(self.ink, Some((_, Care::Close)));
        digits.iter().copied().chain(pieces(digits).filter(move |_| has_pieces))
    }

    /// Follows what has been read, or looks elsewhere in the next frame.
    fn judge(&mut self, digits: &Digits, reading: &Reading) {
        if reading.digit(SURE).is_some() {
            self.follows = true;
        } else if self.follows {
            *self = Self::default();
        } else {
            self.dismiss(digits, reading.region);
        }
    }

    fn dismiss(&mut self, digits: &Digits, region: Region) {
        (self.region, self.views) = (None, Views::default());
        if let Some(place) = self.dismissed.get_mut(self.dismissed_count) {
            *place = region;
            self.dismissed_count += 1;
        }
        if self.dismissed_count == USUAL_REGIONS {
            *self = Self::default();
        } else if self.candidate(digits).is_none() {
            self.move_on();
        }
    }

    /// Looks for other ink from now on; for any, where a digit has been lost or nothing else is to be tried.
    fn move_on(&mut self) {
        match self.others.iter_mut().find_map(Option::take) {
            Some(ink) if !self.follows => self.ink = Some(ink),
            _ => *self = Self::default(),
        }
    }
}

/// The largest piece of each that has several.
fn pieces(digits: &Digits) -> impl Iterator<Item = Region> {
    digits.iter().filter_map(Region::largest_piece)
}
