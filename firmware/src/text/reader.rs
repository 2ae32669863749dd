//! The text so far, beside the interpreter that runs the model.

use super::Vocabulary;
use super::tokens::WordHash;
use crate::model::{Error, Model, Text};
use crate::plan::Interpreter;
use core::ops::Range;

/// Reads a text piece by piece: each word that ends takes the model one step on.
///
/// ```text
/// restart() ──▶ push(bytes) … push(bytes) ──▶ answer() ──▶ the interpreter's output
/// ```
///
/// Where the text is cut into pieces does not matter. A model with a window of `W` tokens answers for the last `W` words
/// as if there had been no others: the words wait in the window until the answer is asked for, so that those that leave it
/// unread cost nothing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'m> {
    text: Text<'m>,
    word: WordHash,
    words: u32,
    unknown: u32,
    /// Place of the next token in the window.
    place: usize,
    /// Words that the model has read, of a model with a window.
    read: u32,
}

impl<'m> Reader<'m> {
    /// At the start of a text; `None` for a model that does not read any.
    pub fn new(model: &Model<'m>) -> Option<Self> {
        let text = model.text()?;
        Some(Self { text, word: WordHash::new(text.vocabulary.seed), words: 0, unknown: 0, place: 0, read: 0 })
    }

    /// The model's words.
    pub fn vocabulary(&self) -> Vocabulary<'m> {
        self.text.vocabulary
    }

    /// Words that have ended so far.
    pub fn words(&self) -> u32 {
        self.words
    }

    /// Those among them that the vocabulary lacks.
    pub fn unknown(&self) -> u32 {
        self.unknown
    }

    /// Forgets the text: states and counts are zero. Takes the interpreter of the model that the reader was made for, as
    /// everything here.
    ///
    /// # Errors
    /// None for that interpreter.
    pub fn restart(&mut self, interpreter: &mut Interpreter<'_, '_>) -> Result<(), Error> {
        let word = WordHash::new(self.text.vocabulary.seed);
        *self = Self { text: self.text, word, words: 0, unknown: 0, place: 0, read: 0 };
        interpreter.reset()
    }

    /// Reads on. Any bytes are a text: none is refused.
    ///
    /// # Errors
    /// As [`Reader::restart`].
    pub fn push(&mut self, interpreter: &mut Interpreter<'_, '_>, bytes: &[u8]) -> Result<(), Error> {
        for byte in bytes {
            if let Some(hash) = self.word.push(*byte) {
                self.take(interpreter, hash)?;
            }
        }
        Ok(())
    }

    /// Ends a pending word and brings the interpreter's output up to date; a text without words is answered by what the
    /// ops behind the last LSTM make of its zero state. The text may go on afterwards.
    ///
    /// # Errors
    /// As [`Reader::restart`].
    pub fn answer(&mut self, interpreter: &mut Interpreter<'_, '_>) -> Result<(), Error> {
        if let Some(hash) = self.word.finish() {
            self.take(interpreter, hash)?;
        }
        if let Some(window) = self.text.window.filter(|_| self.read != self.words) {
            let length = interpreter.tensor_i16(window)?.len();
            if self.words as usize > length {
                // The oldest token stands where the next one will.
                interpreter.reset()?;
                self.steps(interpreter, window, self.place..length)?;
                self.steps(interpreter, window, 0..self.place)?;
            } else {
                self.steps(interpreter, window, self.read as usize..self.words as usize)?;
            }
            self.read = self.words;
        }
        (self.text.head..interpreter.model().op_count()).try_for_each(|op| interpreter.run_op(op))
    }

    /// One word more.
    fn take(&mut self, interpreter: &mut Interpreter<'_, '_>, hash: u32) -> Result<(), Error> {
        let token = self.text.vocabulary.token_of(hash);
        self.words = self.words.saturating_add(1);
        self.unknown = self.unknown.saturating_add((token == 0).into());
        if let Some(window) = self.text.window {
            let places = interpreter.tensor_i16_mut(window)?;
            if let Some(place) = places.get_mut(self.place) {
                *place = token;
            }
            self.place = if self.place + 1 < places.len() { self.place + 1 } else { 0 };
            return Ok(());
        }
        self.step(interpreter, token)
    }

    /// A step for each token in `places` of the window.
    fn steps(&self, interpreter: &mut Interpreter<'_, '_>, window: u16, places: Range<usize>) -> Result<(), Error> {
        for place in places {
            let token = interpreter.tensor_i16(window)?.get(place).copied();
            self.step(interpreter, token.unwrap_or_default())?;
        }
        Ok(())
    }

    /// Runs the ops up to the last LSTM.
    fn step(&self, interpreter: &mut Interpreter<'_, '_>, token: i16) -> Result<(), Error> {
        interpreter.set_token(token);
        (0..self.text.head).try_for_each(|op| interpreter.run_op(op))
    }
}
