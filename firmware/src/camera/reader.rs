//! From frames to the digit before the camera.
//!
//! ```text
//! Frame ──vision::read──▶ the surest digit ──Vote──▶ answer
//! ```

use crate::plan::Interpreter;
use crate::vision::vote::{Rule, Vote};
use crate::vision::{self, DIGITS, Error, Finder, Frame};

/// A model of digits that looks at frames, and what it has seen so far.
#[derive(Debug)]
pub struct Reader<'m, 'a> {
    interpreter: Interpreter<'m, 'a>,
    finder: Finder<'a>,
    vote: Vote<DIGITS>,
    most: usize,
}

impl<'m, 'a> Reader<'m, 'a> {
    /// Joins the parts; of each frame, up to `most` regions are read.
    ///
    /// # Errors
    /// [`Error::ForeignModel`].
    pub fn new(interpreter: Interpreter<'m, 'a>, finder: Finder<'a>, rule: Rule, most: usize) -> Result<Self, Error> {
        if !vision::suits(interpreter.model()) {
            return Err(Error::ForeignModel);
        }
        Ok(Self { interpreter, finder, vote: Vote::new(rule), most })
    }

    /// Looks at a frame and counts its vote. Gives the answer of all frames so far: a digit, or none.
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`]; the frame has no vote then, in particular none for "no digit".
    pub fn see(&mut self, frame: &Frame<'_>) -> Result<Option<usize>, Error> {
        let certainties = self.look(frame)?;
        Ok(self.vote.add(&certainties))
    }

    /// The votes so far.
    pub fn vote(&self) -> &Vote<DIGITS> {
        &self.vote
    }

    /// Certainty of the digit that is surest, in its class; zeros without one.
    fn look(&mut self, frame: &Frame<'_>) -> Result<[u32; DIGITS], Error> {
        let mut certainties = [0; DIGITS];
        let readings = vision::read(frame, &mut self.finder, &mut self.interpreter, self.most)?;
        if let Some(reading) = readings.best(0)
            && let Some(place) = certainties.get_mut(usize::from(reading.class))
        {
            *place = reading.certainty;
        }
        Ok(certainties)
    }
}
