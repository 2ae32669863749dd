//! Cameras: from a sensor on its wires to a [`Frame`], by the traits of `embedded-hal` alone.
//!
//! ```text
//! board's SPI, I²C, delay ──▶ arducam ──ArduChip's FIFO──▶ FrameSource ──▶ vision
//!                              └ ov2640
//! board's I²C, delay ──▶ ov7670, hm01b0     the pixels come through a port of the board, which is the FrameSource
//! ```
//!
//! | module | knows |
//! |---|---|
//! | `sensor` | how a register of a sensor is read and written |
//! | [`ov2640`], [`ov7670`], [`hm01b0`] | which values in which registers give 160×120 pixels |
//! | [`arducam`] | the chip that keeps a frame until the board has read it over SPI |
//! | [`reader`] | from frames to the digit before the camera: vision, a model, a vote |
//! | [`view`] | frame and digit side by side, for a display |
//!
//! Registers' values are facts about chips and not ours: each table says where they stand, and names a value that only one
//! place knew. A camera that is absent, is another, stops or lies is an [`Error`]: every wait has an end.

pub mod arducam;
pub mod hm01b0;
pub mod ov2640;
pub mod ov7670;
pub mod reader;
mod sensor;
pub mod view;

pub use arducam::{ArduCam, Module};

use crate::vision::{self, Format, Frame};
use embedded_hal::{i2c, spi};
use zerocopy::IntoBytes;

/// Columns and rows that every sensor here is set up for: what vision was made for.
pub const SIZE: [usize; 2] = [160, 120];

/// A camera that takes a frame when it is asked to.
pub trait FrameSource {
    /// Why there is no frame.
    type Error;

    /// Columns and rows of each frame.
    fn size(&self) -> [usize; 2];

    /// How its pixels lie in memory.
    fn format(&self) -> Format;

    /// Waits for a whole frame and puts it at the start of `buffer`, whose length is at least [`frame_words`]; in words,
    /// so that a DMA controller finds it aligned. After an error the buffer may hold part of a frame.
    ///
    /// # Errors
    /// The camera's. None of them is for ever: the next call tries again.
    fn capture<'b>(&mut self, buffer: &'b mut [u32]) -> Result<Frame<'b>, Self::Error>;
}

/// Words that hold a frame: 9,600 at 160×120 in two bytes a pixel.
pub const fn frame_words(size: [usize; 2], format: Format) -> usize {
    frame_bytes(size, format).div_ceil(4)
}

const fn frame_bytes([width, height]: [usize; 2], format: Format) -> usize {
    width * height * format.bytes()
}

/// The frame that a driver has put at the start of `buffer`.
///
/// # Errors
/// [`vision::Error::FrameTruncated`] where it is shorter than [`frame_words`].
pub fn frame_of(buffer: &[u32], [width, height]: [usize; 2], format: Format) -> Result<Frame<'_>, vision::Error> {
    Frame::new(width, height, format, buffer.as_bytes())
}

/// What a sensor with colours sends, two bytes a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Output {
    /// Red, green, blue; the byte with red first.
    Rgb565,
    /// Brightness first, then colour. Digits need the brightness alone, which needs no arithmetic here.
    Yuv422,
}

impl Output {
    /// How vision reads it.
    pub const fn format(self) -> Format {
        match self {
            Self::Rgb565 => Format::Rgb565Be,
            Self::Yuv422 => Format::Yuyv,
        }
    }
}

/// Why a camera gives no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// The sensor does not answer on I²C.
    I2c(i2c::ErrorKind),
    /// The board's SPI failed.
    Spi(spi::ErrorKind),
    /// The ArduChip did not give back what was written to its test register: it is not there, or a wire is bad.
    Echo {
        /// What was written.
        written: u8,
        /// What was read.
        read: u8,
    },
    /// Another sensor answers.
    WrongChip {
        /// Its identity, of both bytes.
        found: u16,
    },
    /// Nothing came in time.
    TimedOut {
        /// How long it was waited for.
        waited_ms: u32,
    },
    /// The FIFO holds something, but not one frame.
    FrameLength {
        /// What it says it holds.
        found_bytes: u32,
        /// What a frame has.
        expected_bytes: u32,
    },
    /// The buffer cannot hold a frame.
    Frame(vision::Error),
}

impl From<vision::Error> for Error {
    fn from(error: vision::Error) -> Self {
        Self::Frame(error)
    }
}
