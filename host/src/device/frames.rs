//! Frames that a running board looks at.

use super::session::Session;
use crate::frames::{Look, Picture, Seen, hash};
use anyhow::{Result, bail};
use firmware::link::{DATA_BYTES, Reply, Request};
use firmware::vision::Format;

/// Messages that a board gets at once.
const AT_ONCE: usize = 16;

impl Session {
    /// Sends a frame in the camera's place, has the board look for up to `most` digits and read them, and gives what it saw and
    /// the ticks of its clock that it took.
    pub fn look(&mut self, picture: &Picture, most: u8) -> Result<(Look, u32)> {
        // The firmware takes no longer sides, nor does it accept those that the casts would cut.
        let [width, height] = [picture.width, picture.height].map(|side| u16::try_from(side).unwrap_or(u16::MAX));
        let begin = Request::Frame { width, height, format: Format::Grey };
        let replies = self.exchange(&[begin])?;
        self.done(&replies[0], &begin)?;
        let pieces = picture.grey.chunks(DATA_BYTES).enumerate();
        let pixels = pieces.map(|(piece, data)| Request::Pixels { offset: (piece * DATA_BYTES) as u32, data });
        let pixels: Vec<_> = pixels.collect();
        for some in pixels.chunks(AT_ONCE) {
            for (reply, request) in self.exchange(some)?.iter().zip(some) {
                self.done(reply, request)?;
            }
        }
        let replies = self.exchange(&[Request::Look { most }])?;
        let (count, ticks) = match replies[0].parse()? {
            Reply::Look { count, ticks } => (count, ticks),
            Reply::Error(error) => bail!("{} cannot look at a frame: {error}", self.board().name),
            _ => return Err(self.unexpected("Look")),
        };
        let requests: Vec<_> = (0..count).map(|index| Request::Reading { index }).collect();
        let replies = self.exchange(&requests)?;
        let seen = replies.iter().map(|reply| match reply.parse()? {
            Reply::Reading { place, class, certainty } => Ok(Seen { place, class, certainty }),
            _ => Err(self.unexpected("Reading")),
        });
        let seen = seen.collect::<Result<_>>()?;
        Ok((Look { seen, memory: hash(&self.vision_memory(4 * picture.scratch_words())?) }, ticks))
    }

    fn vision_memory(&mut self, bytes: usize) -> Result<Vec<u8>> {
        let requests = (0..bytes)
            .step_by(DATA_BYTES)
            .map(|offset| Request::Scratch { offset: offset as u32, length: DATA_BYTES.min(bytes - offset) as u16 });
        let requests: Vec<_> = requests.collect();
        let mut memory = Vec::with_capacity(bytes);
        for some in requests.chunks(AT_ONCE) {
            let replies = self.exchange(some)?;
            memory.extend(self.collect(&replies, some.len() * DATA_BYTES)?);
        }
        Ok(memory)
    }
}
