//! [`TextRecord`]: what makes a model one that reads text.

use super::format::{Header, NO_TENSOR, TextRecord};
use super::sections::{self, Order};
use super::{Element, Error, Model, Parameters, Shape};
use crate::text::Vocabulary;

/// How a model reads text.
#[derive(Clone, Copy, Debug)]
pub struct Text<'m> {
    /// From words to tokens.
    pub vocabulary: Vocabulary<'m>,
    /// Index of the tensor that holds the last tokens, where a text counts with these alone.
    pub window: Option<u16>,
    /// Index of the first op behind the last LSTM: from there on, nothing depends on more than the states.
    pub head: u16,
}

impl<'m> Model<'m> {
    /// Reads the text section and checks all of it but its place in the file.
    pub(super) fn decode_text(&self, header: &Header) -> Result<Option<Text<'m>>, Error> {
        if header.text.length.get() == 0 {
            return Ok(None);
        }
        let record: &TextRecord = sections::record(self.bytes, header.text)?;
        if record.reserved.get() != 0 {
            return Err(Error::ReservedNotZero);
        }
        let [words, buckets] = [record.words.get(), record.buckets.get()];
        // Tokens are positive 16-bit integers, buckets are chosen by 16 bits.
        if !(1..=i16::MAX as u32).contains(&words) || !(1..=u16::MAX.into()).contains(&buckets) {
            return Err(Error::Vocabulary);
        }
        let vocabulary = Vocabulary {
            seed: record.seed.get(),
            displacements: sections::exactly(self.bytes, record.displacements, buckets as usize)?,
            fingerprints: sections::exactly(self.bytes, record.fingerprints, words as usize)?,
        };
        let window = Some(record.window.get()).filter(|window| *window != NO_TENSOR);
        if let Some(window) = window {
            self.check_window(window)?;
        }
        Ok(Some(Text { vocabulary, window, head: self.check_chain(words)? }))
    }

    /// What the vocabulary spans follows what the ops span.
    pub(super) fn check_text_sections(&self, header: &Header, order: &mut Order) -> Result<(), Error> {
        if self.text.is_some() {
            let record: &TextRecord = sections::record(self.bytes, header.text)?;
            order.next(record.displacements)?;
            order.next(record.fingerprints)?;
        }
        Ok(())
    }

    /// The ops are a chain from the input to the output: an embedding with `words + 1` rows first, then at least one
    /// LSTM. Gives the index of the first op behind the last one.
    fn check_chain(&self, words: u32) -> Result<u16, Error> {
        let mut head = None;
        let mut last = self.input_index();
        for index in 0..self.op_count() {
            let op = self.op(index)?;
            match op.parameters {
                Parameters::Embedding(embedding) if index == 0 && embedding.rows != words as usize + 1 => {
                    return Err(Error::VocabularySize { words, rows: embedding.rows as u32 });
                }
                Parameters::Embedding(_) if index == 0 => (),
                _ if index == 0 => return Err(Error::NotForText),
                Parameters::Lstm(_) => head = Some(index + 1),
                _ => (),
            }
            if op.inputs().ne([last]) {
                return Err(Error::NotForText);
            }
            last = op.output;
        }
        head.filter(|_| last == self.output_index()).ok_or(Error::NotForText)
    }

    /// A vector of `i16` that no op knows and no other tensor overlaps.
    fn check_window(&self, window: u16) -> Result<(), Error> {
        let tensor = self.tensor(window)?;
        if tensor.element != Element::I16 || tensor.shape != Shape::vector(tensor.shape.channels) {
            return Err(Error::TensorMalformed { tensor: window });
        }
        self.check_apart(window)?;
        let mut used = [self.input_index(), self.output_index()].contains(&window);
        for index in 0..self.op_count() {
            let op = self.op(index)?;
            used |= op.inputs().chain([op.output]).chain(op.cell).any(|tensor| tensor == window);
        }
        if used { Err(Error::StateShared { tensor: window }) } else { Ok(()) }
    }
}
