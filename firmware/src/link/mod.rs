//! Messages between host and board, and the device's side of them.
//!
//! A message is a postcard value, COBS-encoded, ended by `0x00`, at most [`FRAME_BYTES`] long in all. The host asks, the
//! device answers each frame with one reply. What cannot be read is answered with [`ErrorCode`]; the next `0x00` starts
//! afresh.

mod device;
#[cfg(feature = "frames")]
mod frames;

pub use device::Device;

use crate::model;
#[cfg(feature = "frames")]
use crate::vision::Format;
use serde::{Deserialize, Serialize};

/// Version of these messages, sent in [`Hello`].
pub const PROTOCOL: u16 = 3;

/// Longest encoded frame in bytes, the ending `0x00` included.
pub const FRAME_BYTES: usize = 512;

/// Most bytes that one [`Request::Write`] or [`Reply::Data`] carries: what is left of a frame beside COBS's overhead
/// (one byte for each 254, one more at its start, the ending zero) and the message's own fields.
pub const DATA_BYTES: usize = 480;

/// What the host asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request<'a> {
    /// Who is there? Answered by [`Reply::Hello`].
    Hello,
    /// Bytes into the input tensor from `offset` on (a token is little-endian). Answered by [`Reply::Done`] with 0 ticks.
    Write {
        /// Bytes from the start of the input tensor.
        offset: u32,
        /// At most [`DATA_BYTES`].
        #[serde(borrow)]
        data: &'a [u8],
    },
    /// Run the ops `first..first + count`. Answered by [`Reply::Done`].
    Run {
        /// Index of the first op.
        first: u16,
        /// Number of ops.
        count: u16,
    },
    /// Bytes of a tensor, `i32` values little-endian. Answered by [`Reply::Data`].
    Read {
        /// Index of the tensor.
        tensor: u16,
        /// Bytes from the start of the tensor.
        offset: u32,
        /// Number of bytes, at most [`DATA_BYTES`].
        length: u16,
    },
    /// The states of every LSTM to zero, the text to its start. Answered by [`Reply::Done`] with 0 ticks.
    Reset,
    /// More of a text; where it is cut does not matter. Answered by [`Reply::Done`].
    Text {
        /// At most [`DATA_BYTES`], of any encoding.
        #[serde(borrow)]
        data: &'a [u8],
    },
    /// End the last word and bring the output up to date with the text. Answered by [`Reply::Text`].
    Answer,
    /// Begin a frame, all zeros, in place of a camera's. Answered by [`Reply::Done`] with 0 ticks.
    #[cfg(feature = "frames")]
    Frame {
        /// Pixels a row.
        width: u16,
        /// Rows.
        height: u16,
        /// What its bytes mean.
        format: Format,
    },
    /// Bytes into the frame from `offset` on. Answered by [`Reply::Done`] with 0 ticks.
    #[cfg(feature = "frames")]
    Pixels {
        /// Bytes from the start of the frame.
        offset: u32,
        /// At most [`DATA_BYTES`].
        #[serde(borrow)]
        data: &'a [u8],
    },
    /// Look for digits in the frame and read them. Answered by [`Reply::Look`].
    #[cfg(feature = "frames")]
    Look {
        /// How many to read at most: those with the most ink.
        most: u8,
    },
    /// Look at the frame as [`Reader`](crate::camera::reader::Reader) does at the next one of a camera. Answered by
    /// [`Reply::See`].
    #[cfg(feature = "frames")]
    See {
        /// Whether it is the camera's first.
        is_first: bool,
    },
    /// What was read. Answered by [`Reply::Reading`].
    #[cfg(feature = "frames")]
    Reading {
        /// Place among what was read, from left to right.
        index: u8,
    },
    /// Bytes of the memory that [`vision`](crate::vision) worked in, as the last [`Request::Look`] or
    /// [`Request::See`] left it. Answered by
    /// [`Reply::Data`].
    #[cfg(feature = "frames")]
    Scratch {
        /// Bytes from the start of the memory.
        offset: u32,
        /// Number of bytes, at most [`DATA_BYTES`].
        length: u16,
    },
}

/// What the device answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply<'a> {
    /// Who is there.
    #[serde(borrow)]
    Hello(Hello<'a>),
    /// Done.
    Done {
        /// Ticks of the board's clock that the ops took.
        ticks: u32,
    },
    /// The bytes asked for.
    Data(&'a [u8]),
    /// Nothing was done.
    Error(ErrorCode),
    /// The output is that of the text so far.
    Text {
        /// Words of the text.
        words: u32,
        /// Those among them that the model does not know.
        unknown: u32,
        /// Ticks of the board's clock that the answer took, beside those of the [`Request::Text`]s.
        ticks: u32,
    },
    /// The frame has been looked at.
    #[cfg(feature = "frames")]
    Look {
        /// How many regions have been read.
        count: u8,
        /// Ticks of the board's clock from the frame to the last answer.
        ticks: u32,
    },
    /// The frame has been looked at once.
    #[cfg(feature = "frames")]
    See {
        /// How many regions have been read: one or none.
        count: u8,
        /// The digit that is the answer of all frames so far.
        answer: Option<u8>,
        /// Ticks of the board's clock from the frame to the answer.
        ticks: u32,
    },
    /// What was read in a region.
    #[cfg(feature = "frames")]
    Reading {
        /// First column, first row, column behind the last, row below the last.
        place: [u16; 4],
        /// The most probable class.
        class: u16,
        /// How certain it is, in 1/65,536.
        certainty: u32,
    },
}

/// The device and the model in its flash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello<'a> {
    /// [`PROTOCOL`].
    pub protocol: u16,
    /// Name of the board.
    pub board: &'a str,
    /// Name of the model; empty where it was refused.
    pub model: &'a str,
    /// The model's CRC-32; 0 where it was refused.
    pub model_crc32: u32,
    /// Bytes of the arena that the model uses; 0 where it was refused.
    pub arena_bytes: u32,
    /// Bytes of scratch that the model uses; 0 where it was refused.
    pub scratch_bytes: u32,
    /// Why the model was refused.
    pub model_error: Option<model::Error>,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum ErrorCode {
    /// The frame is no COBS-encoded request.
    Malformed,
    /// The frame is longer than [`FRAME_BYTES`].
    TooLong,
    /// There is no usable model; [`Hello::model_error`] says why.
    NoModel,
    /// An index, offset or length lies outside the model.
    OutOfRange,
    /// The model does not read text.
    NoText,
    /// The device has no memory for frames, or none has been sent.
    NoFrame,
    /// The model does not read digits of 28×28 pixels.
    NoDigits,
}

impl core::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            ErrorCode::Malformed => "the device could not read the request",
            ErrorCode::TooLong => "the request is longer than a frame may be",
            ErrorCode::NoModel => "the device has no usable model",
            ErrorCode::OutOfRange => "the request names a place outside the model",
            ErrorCode::NoText => "the device's model does not read text",
            ErrorCode::NoFrame => "the device has no memory for frames, or none has been sent",
            ErrorCode::NoDigits => "the device's model does not read digits of 28×28 pixels",
        })
    }
}

impl core::error::Error for ErrorCode {}
