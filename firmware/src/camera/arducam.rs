//! ArduCAM Mini 2MP and 2MP Plus: an OV2640 whose frame an ArduChip keeps in a FIFO until it has been read over SPI.
//!
//! SPI in mode 0, at 8 MHz at most. A command is the number of a register, with its highest bit set to write; the value
//! follows. The registers are those of the maker's page on the ArduChip and of his library for Arduino.

use super::{Error, FrameSource, Output, SIZE, frame_bytes, frame_of, ov2640};
use crate::vision::{Format, Frame};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;
use embedded_hal::spi::{Operation, SpiDevice};
use zerocopy::IntoBytes;

/// Holds whatever is written to it.
const TEST: u8 = 0x00;
/// Frames a capture, less one.
const FRAMES: u8 = 0x01;
/// See [`CLEAR`] and [`START`].
const FIFO: u8 = 0x04;
/// See [`RESET`].
const CONTROL: u8 = 0x07;
/// Gives byte after byte of the frame, as long as the chip is selected.
const BURST_READ: u8 = 0x3C;
/// See [`DONE`].
const STATUS: u8 = 0x41;
/// Bytes in the FIFO, in three registers from the lowest byte on; 23 bits count.
const LENGTH: [u8; 3] = [0x42, 0x43, 0x44];

/// Set to write a register.
const WRITE: u8 = 0x80;
/// In [`FIFO`]: forget that a capture is done, and what it left.
const CLEAR: u8 = 0x01;
/// In [`FIFO`]: capture from the next start of a frame to the start after it.
const START: u8 = 0x02;
/// In [`CONTROL`]: hold the chip in reset.
const RESET: u8 = 0x80;
/// In [`STATUS`]: a capture is done.
const DONE: u8 = 0x08;
const LENGTH_MASK: u32 = 0x7F_FFFF;

/// How long the chip is held in reset, and left alone afterwards: the maker's examples.
const RESET_MS: u32 = 100;
/// Longest wait for a frame. One that has just begun is not taken, and a dark room makes the sensor slow.
const TIMEOUT_MS: u32 = 1_000;
const POLL_MS: u32 = 1;
/// Bytes a burst, 1 ms at 8 MHz: nobody else on the bus waits longer.
const BURST_BYTES: usize = 1_024;
/// What may lie behind a frame: less than one more row, since a frame with more or longer rows is another picture.
const MOST_TRAILING_BYTES: u32 = (SIZE[0] * 2 - 1) as u32;

/// Which of them: their ArduChips begin a burst differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Module {
    /// Mini 2MP as it was sold first: with a byte of garbage.
    Mini2Mp,
    /// Mini 2MP Plus: at once.
    Mini2MpPlus,
}

impl Module {
    /// What starts a burst; while a byte is written behind the command, one that was read is dropped.
    const fn burst_command(self) -> &'static [u8] {
        match self {
            Self::Mini2Mp => &[BURST_READ, 0],
            Self::Mini2MpPlus => &[BURST_READ],
        }
    }
}

/// The camera.
pub struct ArduCam<S, D> {
    chip: ArduChip<S>,
    delay: D,
    module: Module,
    output: Output,
}

impl<S: SpiDevice, D: DelayNs> ArduCam<S, D> {
    /// Resets the camera and sets it up for [`SIZE`] pixels. I²C is needed for that alone.
    ///
    /// # Errors
    /// [`Error::Echo`] without an ArduChip, [`Error::WrongChip`] and [`Error::I2c`] without an OV2640, [`Error::Spi`].
    pub fn new(spi: S, i2c: impl I2c, mut delay: D, module: Module, output: Output) -> Result<Self, Error> {
        let mut chip = ArduChip { spi };
        chip.write(CONTROL, RESET)?;
        delay.delay_ms(RESET_MS);
        chip.write(CONTROL, 0)?;
        delay.delay_ms(RESET_MS);
        chip.test()?;
        chip.write(FRAMES, 0)?;
        ov2640::set_up(i2c, &mut delay, output)?;
        Ok(Self { chip, delay, module, output })
    }

    /// Waits until a capture is done; that, too, ends.
    fn wait(&mut self) -> Result<(), Error> {
        for _ in 0..TIMEOUT_MS / POLL_MS {
            if self.chip.read(STATUS)? & DONE != 0 {
                return Ok(());
            }
            self.delay.delay_ms(POLL_MS);
        }
        Err(Error::TimedOut { waited_ms: TIMEOUT_MS })
    }
}

impl<S: SpiDevice, D: DelayNs> FrameSource for ArduCam<S, D> {
    type Error = Error;

    fn size(&self) -> [usize; 2] {
        SIZE
    }

    fn format(&self) -> Format {
        self.output.format()
    }

    /// # Errors
    /// [`Error::TimedOut`], [`Error::FrameLength`], [`Error::Spi`], [`Error::Frame`].
    fn capture<'b>(&mut self, buffer: &'b mut [u32]) -> Result<Frame<'b>, Error> {
        let (size, format) = (self.size(), self.format());
        // Refuses a buffer that is too short.
        frame_of(buffer, size, format)?;
        let bytes = &mut buffer.as_mut_bytes()[..frame_bytes(size, format)];
        self.chip.write(FIFO, CLEAR)?;
        self.chip.write(FIFO, START)?;
        self.wait()?;
        let (found_bytes, expected_bytes) = (self.chip.length()?, bytes.len() as u32);
        // Too few bytes are seen on real chips now and then; all of them would be read as a frame with a seam.
        if !(expected_bytes..=expected_bytes + MOST_TRAILING_BYTES).contains(&found_bytes) {
            return Err(Error::FrameLength { found_bytes, expected_bytes });
        }
        let command = self.module.burst_command();
        bytes.chunks_mut(BURST_BYTES).try_for_each(|chunk| self.chip.burst(command, chunk))?;
        Ok(frame_of(buffer, size, format)?)
    }
}

struct ArduChip<S> {
    spi: S,
}

impl<S: SpiDevice> ArduChip<S> {
    fn write(&mut self, register: u8, value: u8) -> Result<(), Error> {
        self.spi.write(&[register | WRITE, value]).map_err(of_spi)
    }

    fn read(&mut self, register: u8) -> Result<u8, Error> {
        let mut value = [0];
        self.spi.transaction(&mut [Operation::Write(&[register]), Operation::Read(&mut value)]).map_err(of_spi)?;
        Ok(value[0])
    }

    /// Writes each bit once as 0 and once as 1; no wire that is loose or stuck gives both back.
    fn test(&mut self) -> Result<(), Error> {
        [0x55, 0xAA].into_iter().try_for_each(|written| {
            self.write(TEST, written)?;
            let read = self.read(TEST)?;
            if read == written { Ok(()) } else { Err(Error::Echo { written, read }) }
        })
    }

    fn length(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        for (byte, register) in bytes.iter_mut().zip(LENGTH) {
            *byte = self.read(register)?;
        }
        Ok(u32::from_le_bytes(bytes) & LENGTH_MASK)
    }

    /// Reads on where the burst before ended.
    fn burst(&mut self, command: &[u8], bytes: &mut [u8]) -> Result<(), Error> {
        self.spi.transaction(&mut [Operation::Write(command), Operation::Read(bytes)]).map_err(of_spi)
    }
}

fn of_spi(error: impl embedded_hal::spi::Error) -> Error {
    Error::Spi(error.kind())
}
