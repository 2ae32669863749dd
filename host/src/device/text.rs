//! Texts that a running board reads.

use super::session::{Session, reads};
use crate::twin::{Reading, integers};
use anyhow::{Result, bail};
use firmware::link::{Reply, Request};

/// Bytes of a text that a board gets at once: some ten words, which a slow core reads in less than a second.
const TEXT_BYTES: usize = 64;

impl Session {
    /// Sends a text from its start, lets the board read it word by word, and gives its answer.
    pub fn read_text(&mut self, text: &[u8]) -> Result<Reading> {
        self.restart_text()?;
        self.push_text(text)?;
        self.answer_text().map(|(reading, _)| reading)
    }

    /// Lets the board forget the text so far.
    pub fn restart_text(&mut self) -> Result<()> {
        let replies = self.exchange(&[Request::Reset])?;
        self.done(&replies[0], &Request::Reset).map(drop)
    }

    /// Lets the board read on, part by part; gives the ticks of its clock that each part took.
    pub fn push_text(&mut self, text: &[u8]) -> Result<Vec<u32>> {
        let mut ticks = Vec::new();
        // The board answers a request when it has read it: not too many at once, or its answer would come too late.
        for part in text.chunks(TEXT_BYTES) {
            let request = Request::Text { data: part };
            let replies = self.exchange(&[request])?;
            ticks.push(self.done(&replies[0], &request)?);
        }
        Ok(ticks)
    }

    /// The board's answer to the text so far, and the ticks that it took beside those of the words before.
    pub fn answer_text(&mut self) -> Result<(Reading, u32)> {
        let reads = reads(self.output.index, self.output.bytes);
        let requests: Vec<_> = [Request::Answer].into_iter().chain(reads).collect();
        let replies = self.exchange(&requests)?;
        let (words, unknown, ticks) = match replies[0].parse()? {
            Reply::Text { words, unknown, ticks } => (words, unknown, ticks),
            Reply::Error(error) => bail!("{} answers {:?}: {error}", self.board().name, Request::Answer),
            _ => return Err(self.unexpected("Text")),
        };
        let output = integers(&self.collect(&replies[1..], self.output.bytes)?, self.output.element);
        Ok((Reading { words, unknown, output }, ticks))
    }
}
