//! From frames to the digit before the camera.
//!
//! ```text
//! Frame ──vision::Watch──▶ a digit ──Vote──▶ answer
//! ```

use crate::plan::Interpreter;
use crate::vision::vote::{Rule, Vote};
use crate::vision::{DIGITS, Error, Finder, Frame, Reading, Watch};

/// What has been seen in a camera's frames so far.
#[derive(Clone, Debug)]
pub struct Reader {
    watch: Watch,
    vote: Vote<DIGITS>,
    reading: Option<Reading>,
}

impl Reader {
    /// Has seen nothing.
    pub fn new(rule: Rule) -> Self {
        Self { watch: Watch::default(), vote: Vote::new(rule), reading: None }
    }

    /// Looks at a frame and counts its vote. Gives the answer of all frames so far: a digit, or none.
    ///
    /// # Errors
    /// Those of [`Watch::see`]; the frame has no vote then, in particular none for "no digit".
    pub fn see(
        &mut self,
        frame: &Frame<'_>,
        finder: &mut Finder<'_>,
        interpreter: &mut Interpreter<'_, '_>,
    ) -> Result<Option<usize>, Error> {
        self.reading = None;
        self.reading = self.watch.see(frame, finder, interpreter)?;
        let mut certainties = [0; DIGITS];
        if let Some(reading) = self.reading
            && let Some(place) = certainties.get_mut(usize::from(reading.class))
        {
            *place = reading.certainty;
        }
        Ok(self.vote.add(&certainties))
    }

    /// What was read in the last frame, be it a digit or not.
    pub const fn reading(&self) -> Option<&Reading> {
        self.reading.as_ref()
    }

    /// The votes so far.
    pub const fn vote(&self) -> &Vote<DIGITS> {
        &self.vote
    }
}
