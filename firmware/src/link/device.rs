//! The device's side: bytes in, replies out.

use super::{DATA_BYTES, ErrorCode, FRAME_BYTES, Hello, PROTOCOL, Reply, Request};
use crate::model;
use crate::plan::Interpreter;
use crate::text::Reader;

#[cfg(feature = "frames")]
use super::frames::Desk;
use postcard::ser_flavors::{Cobs, Flavor, Slice};

/// Answers requests with the model that a board holds.
///
/// Knows no transport: [`Device::push`] takes what arrives byte by byte and hands out whole frames to send.
pub struct Device<'d> {
    board: &'d str,
    model: Result<Interpreter<'d, 'd>, model::Error>,
    inputs: Inputs<'d>,
    /// A frame without its ending zero.
    received: [u8; FRAME_BYTES - 1],
    /// Bytes of the frame so far; more than `received` holds where it is too long.
    length: usize,
    reply: [u8; FRAME_BYTES],
}

/// What a model may read beside tensors.
struct Inputs<'d> {
    /// Where the model reads text.
    reader: Option<Reader<'d>>,
    /// Where there is memory for a camera's frames.
    #[cfg(feature = "frames")]
    desk: Option<Desk<'d>>,
}

impl<'d> Device<'d> {
    /// A device of the board named `board`; `model` is ready to run or says why it was refused.
    pub fn new(board: &'d str, model: Result<Interpreter<'d, 'd>, model::Error>) -> Self {
        let reader = model.as_ref().ok().and_then(|interpreter| Reader::new(interpreter.model()));
        Self {
            board,
            model,
            inputs: Inputs {
                reader,
                #[cfg(feature = "frames")]
                desk: None,
            },
            received: [0; FRAME_BYTES - 1],
            length: 0,
            reply: [0; FRAME_BYTES],
        }
    }

    /// With memory for a camera's frame and for [`vision`](crate::vision): together
    /// `⌈width · height · bytes a pixel / 4⌉ + vision::scratch_words(width, height)` words.
    #[cfg(feature = "frames")]
    pub fn with_frames(mut self, memory: &'d mut [u32]) -> Self {
        self.inputs.desk = Some(Desk::new(memory));
        self
    }

    /// Takes one byte. At the end of a frame, does what it asks and returns the encoded reply; `ticks` reads the
    /// board's clock, which counts up.
    ///
    /// Zeros without a frame before them are no frame: a host may send one to end what a host before it left.
    pub fn push(&mut self, byte: u8, ticks: impl FnMut() -> u32) -> Option<&[u8]> {
        if byte != 0 {
            if let Some(place) = self.received.get_mut(self.length) {
                *place = byte;
            }
            self.length = (self.length + 1).min(FRAME_BYTES);
            return None;
        }
        let length = core::mem::take(&mut self.length);
        let reply = match self.received.get_mut(..length) {
            Some([]) => return None,
            None => Reply::Error(ErrorCode::TooLong),
            Some(frame) => match decode(frame) {
                Some(request) => {
                    answer(self.board, &mut self.model, &mut self.inputs, request, ticks).unwrap_or_else(Reply::Error)
                }
                None => Reply::Error(ErrorCode::Malformed),
            },
        };
        encode(&reply, &mut self.reply)
    }
}

/// A request and nothing behind it.
fn decode(frame: &mut [u8]) -> Option<Request<'_>> {
    let length = cobs::decode_in_place(frame).ok()?;
    let (request, rest) = postcard::take_from_bytes(&frame[..length]).ok()?;
    rest.is_empty().then_some(request)
}

fn encode<'r>(reply: &Reply<'_>, buffer: &'r mut [u8]) -> Option<&'r [u8]> {
    // Names are cut and data is limited, so that every reply fits.
    let flavor = Cobs::try_new(Slice::new(buffer)).ok()?;
    postcard::serialize_with_flavor(reply, Apart(flavor)).ok().map(|frame| &*frame)
}

/// A flavor of postcard's that takes each byte by a call: one copy of what that does, where there would be twenty.
struct Apart<F>(F);

impl<F: Flavor> Flavor for Apart<F> {
    type Output = F::Output;

    #[inline(never)]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.try_push(byte)
    }

    fn finalize(self) -> postcard::Result<F::Output> {
        self.0.finalize()
    }
}

fn hello<'r>(board: &'r str, model: &'r Result<Interpreter<'_, '_>, model::Error>) -> Hello<'r> {
    let hello = Hello {
        protocol: PROTOCOL,
        board: cut(board),
        model: "",
        model_crc32: 0,
        arena_bytes: 0,
        scratch_bytes: 0,
        model_error: None,
    };
    match model {
        Err(error) => Hello { model_error: Some(*error), ..hello },
        Ok(interpreter) => {
            let model = interpreter.model();
            Hello {
                model: cut(model.name()),
                model_crc32: model.crc32(),
                arena_bytes: model.arena_bytes() as u32,
                scratch_bytes: model.scratch_bytes() as u32,
                ..hello
            }
        }
    }
}

/// A name's first 128 bytes.
fn cut(name: &str) -> &str {
    &name[..name.floor_char_boundary(128)]
}

fn answer<'r>(
    board: &'r str,
    model: &'r mut Result<Interpreter<'_, '_>, model::Error>,
    inputs: &'r mut Inputs<'_>,
    request: Request<'_>,
    ticks: impl FnMut() -> u32,
) -> Result<Reply<'r>, ErrorCode> {
    let interpreter = match (request, model) {
        (Request::Hello, model) => return Ok(Reply::Hello(hello(board, model))),
        (_, Err(_)) => return Err(ErrorCode::NoModel),
        (_, Ok(interpreter)) => interpreter,
    };
    let reader = inputs.reader.as_mut();
    match request {
        // Has been answered above.
        Request::Hello => Err(ErrorCode::Malformed),
        Request::Write { offset, data } => write(interpreter, offset, data),
        Request::Run { first, count } => run(interpreter, first, count, ticks),
        Request::Read { tensor, offset, length } => read(interpreter, tensor, offset, length),
        Request::Reset => reset(interpreter, reader),
        Request::Text { data } => read_text(interpreter, reader, data, ticks),
        Request::Answer => answer_text(interpreter, reader, ticks),
        #[cfg(feature = "frames")]
        request => {
            let desk = inputs.desk.as_mut().ok_or(ErrorCode::NoFrame)?;
            match request {
                Request::Frame { width, height, format } => desk.begin([width, height], format),
                Request::Pixels { offset, data } => desk.write(offset, data),
                Request::Look { most } => desk.look(interpreter, most, ticks),
                Request::See { is_first } => desk.see(interpreter, is_first, ticks),
                Request::Reading { index } => desk.reading(index),
                Request::Scratch { offset, length } => desk.scratch(offset, length),
                // Have been answered above.
                _ => Err(ErrorCode::Malformed),
            }
        }
    }
}

fn write<'r>(interpreter: &mut Interpreter<'_, '_>, offset: u32, data: &[u8]) -> Result<Reply<'r>, ErrorCode> {
    let input = interpreter.input_bytes_mut();
    input.get_mut(range(offset, data.len())).ok_or(ErrorCode::OutOfRange)?.copy_from_slice(data);
    Ok(Reply::Done { ticks: 0 })
}

fn run<'r>(
    interpreter: &mut Interpreter<'_, '_>,
    first: u16,
    count: u16,
    mut ticks: impl FnMut() -> u32,
) -> Result<Reply<'r>, ErrorCode> {
    let end = first.checked_add(count).filter(|end| *end <= interpreter.model().op_count());
    let end = end.ok_or(ErrorCode::OutOfRange)?;
    let start = ticks();
    (first..end).try_for_each(|op| interpreter.run_op(op)).map_err(|_| ErrorCode::OutOfRange)?;
    Ok(Reply::Done { ticks: ticks().wrapping_sub(start) })
}

fn read<'r>(
    interpreter: &'r Interpreter<'_, '_>,
    tensor: u16,
    offset: u32,
    length: u16,
) -> Result<Reply<'r>, ErrorCode> {
    let bytes = interpreter.tensor_bytes(tensor).map_err(|_| ErrorCode::OutOfRange)?;
    let data = bytes.get(range(offset, length.into())).filter(|data| data.len() <= DATA_BYTES);
    Ok(Reply::Data(data.ok_or(ErrorCode::OutOfRange)?))
}

fn reset<'r>(interpreter: &mut Interpreter<'_, '_>, reader: Option<&mut Reader<'_>>) -> Result<Reply<'r>, ErrorCode> {
    match reader {
        Some(reader) => reader.restart(interpreter),
        None => interpreter.reset(),
    }
    .map_err(|_| ErrorCode::OutOfRange)?;
    Ok(Reply::Done { ticks: 0 })
}

fn read_text<'r>(
    interpreter: &mut Interpreter<'_, '_>,
    reader: Option<&mut Reader<'_>>,
    data: &[u8],
    mut ticks: impl FnMut() -> u32,
) -> Result<Reply<'r>, ErrorCode> {
    let reader = reader.ok_or(ErrorCode::NoText)?;
    let start = ticks();
    reader.push(interpreter, data).map_err(|_| ErrorCode::OutOfRange)?;
    Ok(Reply::Done { ticks: ticks().wrapping_sub(start) })
}

fn answer_text<'r>(
    interpreter: &mut Interpreter<'_, '_>,
    reader: Option<&mut Reader<'_>>,
    mut ticks: impl FnMut() -> u32,
) -> Result<Reply<'r>, ErrorCode> {
    let reader = reader.ok_or(ErrorCode::NoText)?;
    let start = ticks();
    reader.answer(interpreter).map_err(|_| ErrorCode::OutOfRange)?;
    let ticks = ticks().wrapping_sub(start);
    Ok(Reply::Text { words: reader.words(), unknown: reader.unknown(), ticks })
}

/// `length` bytes from `offset` on, as the host asks for them.
pub(super) fn range(offset: u32, length: usize) -> core::ops::Range<usize> {
    let start = offset as usize;
    start..start.saturating_add(length)
}
