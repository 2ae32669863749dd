//! From frames to the digit before the camera.
//!
//! ```text
//! Frame ──Finder──▶ the best region ──normalize──▶ 28×28 ──Interpreter──▶ logits ──softmax──▶ Vote ──▶ answer
//! ```

use crate::model::{self, Element};
use crate::plan::Interpreter;
use crate::softmax;
use crate::vision::vote::{Rule, Vote};
use crate::vision::{self, Finder, Frame, SIDE};

/// Classes of a model that are digits, the first ones. What it has beyond them speaks for "no digit".
pub const DIGITS: usize = 10;
/// Most classes of a model.
pub const MOST_CLASSES: usize = 16;

/// Why a model, or a frame, cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The model does not read 28×28 pixels, or has not [`DIGITS`] to [`MOST_CLASSES`] logits.
    ReadsNoDigits,
    /// The frame cannot be looked at.
    Vision(vision::Error),
    /// The model does not run.
    Model(model::Error),
}

impl From<vision::Error> for Error {
    fn from(error: vision::Error) -> Self {
        Self::Vision(error)
    }
}

impl From<model::Error> for Error {
    fn from(error: model::Error) -> Self {
        Self::Model(error)
    }
}

/// A model of digits that looks at frames, and what it has seen so far.
#[derive(Debug)]
pub struct Reader<'m, 'a> {
    interpreter: Interpreter<'m, 'a>,
    finder: Finder<'a>,
    vote: Vote<DIGITS>,
}

impl<'m, 'a> Reader<'m, 'a> {
    /// Joins the parts.
    ///
    /// # Errors
    /// [`Error::ReadsNoDigits`].
    pub fn new(interpreter: Interpreter<'m, 'a>, finder: Finder<'a>, rule: Rule) -> Result<Self, Error> {
        let [input, output] = [interpreter.model().input(), interpreter.model().output()];
        let reads_pixels = input.element == Element::I8 && input.bytes() == SIDE * SIDE;
        let has_logits = output.element == Element::I32 && (4 * DIGITS..=4 * MOST_CLASSES).contains(&output.bytes());
        if !(reads_pixels && has_logits) {
            return Err(Error::ReadsNoDigits);
        }
        Ok(Self { interpreter, finder, vote: Vote::new(rule) })
    }

    /// Looks at a frame and counts its vote. Gives the answer of all frames so far: a digit, or none.
    ///
    /// # Errors
    /// [`Error::Vision`]; the frame has no vote then, in particular none for "no digit".
    pub fn see(&mut self, frame: &Frame<'_>) -> Result<Option<usize>, Error> {
        let probabilities = self.look(frame)?;
        Ok(self.vote.add(&probabilities[..DIGITS]))
    }

    /// The votes so far.
    pub fn vote(&self) -> &Vote<DIGITS> {
        &self.vote
    }

    /// Probabilities of the classes for the digit that there is most to see of, parts of 65,536; zeros without one.
    fn look(&mut self, frame: &Frame<'_>) -> Result<[u32; MOST_CLASSES], Error> {
        let mut probabilities = [0; MOST_CLASSES];
        let digits = self.finder.find(frame)?;
        let Some(region) = digits.best() else { return Ok(probabilities) };
        let pixels = self.interpreter.input_mut().try_into().map_err(|_| Error::ReadsNoDigits)?;
        self.finder.normalize(frame, region, pixels)?;
        self.interpreter.run()?;
        softmax(self.interpreter.output_i32(), self.interpreter.model().output().scale, &mut probabilities);
        Ok(probabilities)
    }
}
