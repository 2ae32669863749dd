//! Frames that a running board looks at.

use super::link::RawReply;
use super::session::Session;
use crate::frames::{Glance, Look, Picture, Seen, hash};
use anyhow::{Result, bail};
use firmware::link::{DATA_BYTES, Reply, Request};
use firmware::vision::Format;

/// Messages that a board gets at once.
const AT_ONCE: usize = 16;

impl Session {
    /// Sends a frame in the camera's place, has the board look for up to `most` digits and read them, and gives what it saw and
    /// the ticks of its clock that it took.
    pub fn look(&mut self, picture: &Picture, most: u8) -> Result<(Look, u32)> {
        self.send(picture)?;
        let replies = self.exchange(&[Request::Look { most }])?;
        let Reply::Look { count, ticks } = self.looked(&replies[0])? else { return Err(self.unexpected("Look")) };
        Ok((self.seen(picture, count)?, ticks))
    }

    /// Sends a frame in the camera's place, which the board sees `times` times. Gives what it saw each time, and the ticks of its
    /// clock that it took.
    pub fn watch(&mut self, picture: &Picture, times: usize) -> Result<Vec<(Glance, u32)>> {
        self.send(picture)?;
        let glance = |number| {
            let replies = self.exchange(&[Request::See { is_first: number == 0 }])?;
            let reply = self.looked(&replies[0])?;
            let Reply::See { count, answer, ticks } = reply else { return Err(self.unexpected("See")) };
            Ok((Glance { look: self.seen(picture, count)?, answer }, ticks))
        };
        (0..times).map(glance).collect()
    }

    fn send(&mut self, picture: &Picture) -> Result<()> {
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
        Ok(())
    }

    fn looked<'r>(&self, reply: &'r RawReply) -> Result<Reply<'r>> {
        match reply.parse()? {
            Reply::Error(error) => bail!("{} cannot look at a frame: {error}", self.board().name),
            reply => Ok(reply),
        }
    }

    /// What the board has read in `count` regions of `picture`.
    fn seen(&mut self, picture: &Picture, count: u8) -> Result<Look> {
        let requests: Vec<_> = (0..count).map(|index| Request::Reading { index }).collect();
        let replies = self.exchange(&requests)?;
        let seen = replies.iter().map(|reply| match reply.parse()? {
            Reply::Reading { place, class, certainty } => Ok(Seen { place, class, certainty }),
            _ => Err(self.unexpected("Reading")),
        });
        let seen = seen.collect::<Result<_>>()?;
        Ok(Look { seen, memory: hash(&self.vision_memory(4 * picture.scratch_words())?) })
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
