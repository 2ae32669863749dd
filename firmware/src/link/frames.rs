//! Frames that the host sends in place of a camera, and what the model reads in them.

use super::device::range;
use super::{DATA_BYTES, ErrorCode, Reply};
use crate::camera::reader::Reader;
use crate::plan::Interpreter;
use crate::vision::vote::Rule;
use crate::vision::{self, Finder, Format, Frame, Readings, scratch_words};
use zerocopy::IntoBytes;

/// One frame, and the memory to look at it.
#[derive(Debug)]
pub(super) struct Desk<'d> {
    /// The frame's bytes; from the next whole word on, the scratch.
    memory: &'d mut [u32],
    frame: Option<Sheet>,
    readings: Readings,
    /// Has seen the frames before.
    reader: Reader,
}

/// What kind of frame lies there.
#[derive(Clone, Copy, Debug)]
struct Sheet {
    width: usize,
    height: usize,
    format: Format,
}

impl Sheet {
    fn bytes(self) -> usize {
        self.width * self.height * self.format.bytes()
    }
}

impl<'d> Desk<'d> {
    pub fn new(memory: &'d mut [u32]) -> Self {
        Self { memory, frame: None, readings: Readings::default(), reader: Reader::new(Rule::USUAL) }
    }

    /// Begins a frame, all zeros.
    pub fn begin(&mut self, size: [u16; 2], format: Format) -> Result<Reply<'static>, ErrorCode> {
        let [width, height] = size.map(usize::from);
        let sheet = Sheet { width, height, format };
        let longest = vision::MAX_FRAME_SIDE;
        let fits = |available| sheet.bytes().div_ceil(4) + scratch_words(width, height) <= available;
        if width == 0 || height == 0 || width > longest || height > longest || !fits(self.memory.len()) {
            return Err(ErrorCode::OutOfRange);
        }
        self.memory.fill(0);
        self.readings = Readings::default();
        self.frame = Some(sheet);
        Ok(Reply::Done { ticks: 0 })
    }

    /// Bytes of the frame from `offset` on.
    pub fn write(&mut self, offset: u32, data: &[u8]) -> Result<Reply<'static>, ErrorCode> {
        let length = self.frame.map_or(0, Sheet::bytes);
        let frame = self.memory.as_mut_bytes().get_mut(..length);
        let place = frame.and_then(|frame| frame.get_mut(range(offset, data.len())));
        place.ok_or(ErrorCode::OutOfRange)?.copy_from_slice(data);
        Ok(Reply::Done { ticks: 0 })
    }

    /// Looks at the frame and reads up to `most` digits.
    pub fn look(
        &mut self,
        interpreter: &mut Interpreter<'_, '_>,
        most: u8,
        mut ticks: impl FnMut() -> u32,
    ) -> Result<Reply<'static>, ErrorCode> {
        let (frame, mut finder, _) = self.lay_out()?;
        let start = ticks();
        let readings = vision::read(&frame, &mut finder, interpreter, most.into());
        let ticks = ticks().wrapping_sub(start);
        self.readings = readings.map_err(refused)?;
        // There are at most `MAX_DIGITS`.
        Ok(Reply::Look { count: self.readings.as_slice().len() as u8, ticks })
    }

    /// Looks at the frame as a camera's reader does, once. Those before are forgotten where it is the first.
    // What it holds of readings and of a new reader is not for the stack of other requests.
    #[inline(never)]
    pub fn see(
        &mut self,
        interpreter: &mut Interpreter<'_, '_>,
        is_first: bool,
        mut ticks: impl FnMut() -> u32,
    ) -> Result<Reply<'static>, ErrorCode> {
        self.readings = Readings::default();
        let (frame, mut finder, reader) = self.lay_out()?;
        if is_first {
            *reader = Reader::new(Rule::USUAL);
        }
        let start = ticks();
        let answer = reader.see(&frame, &mut finder, interpreter);
        let ticks = ticks().wrapping_sub(start);
        let answer = answer.map_err(refused)?.map(|digit| digit as u8);
        if let Some(reading) = reader.reading().copied() {
            self.readings.push(reading);
        }
        Ok(Reply::See { count: self.readings.as_slice().len() as u8, answer, ticks })
    }

    /// What was read at place `index`, from left to right.
    pub fn reading(&self, index: u8) -> Result<Reply<'static>, ErrorCode> {
        let reading = self.readings.as_slice().get(usize::from(index)).ok_or(ErrorCode::OutOfRange)?;
        let vision::Region { left, top, right, bottom, .. } = reading.region;
        Ok(Reply::Reading { place: [left, top, right, bottom], class: reading.class, certainty: reading.certainty })
    }

    /// Bytes of the scratch as the last look left it: ink, the chosen digit, the paper.
    pub fn scratch(&mut self, offset: u32, length: u16) -> Result<Reply<'_>, ErrorCode> {
        let start = self.frame.map_or(0, Sheet::bytes).div_ceil(4);
        let scratch = self.memory.get(start..).unwrap_or_default();
        let data = scratch.as_bytes().get(range(offset, length.into())).filter(|data| data.len() <= DATA_BYTES);
        Ok(Reply::Data(data.ok_or(ErrorCode::OutOfRange)?))
    }

    fn lay_out(&mut self) -> Result<(Frame<'_>, Finder<'_>, &mut Reader), ErrorCode> {
        let sheet = self.frame.ok_or(ErrorCode::NoFrame)?;
        let Sheet { width, height, format } = sheet;
        let (frame, scratch) = self.memory.split_at_mut(sheet.bytes().div_ceil(4).min(self.memory.len()));
        let frame = Frame::new(width, height, format, frame.as_bytes()).map_err(|_| ErrorCode::OutOfRange)?;
        Ok((frame, Finder::new(scratch), &mut self.reader))
    }
}

fn refused(error: vision::Error) -> ErrorCode {
    match error {
        vision::Error::ForeignModel => ErrorCode::NoDigits,
        _ => ErrorCode::OutOfRange,
    }
}
