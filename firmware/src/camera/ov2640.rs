//! OmniVision OV2640: two megapixels, scaled down to [`SIZE`] by its own signal processor.
//!
//! ```text
//! 1600×1200 pixels ──sensor──▶ 800×600 ──divide by 4──▶ 200×150 ──zoom──▶ 160×120
//! ```
//!
//! Its registers lie in two banks. Names are the data sheet's, as drivers quote it; those without one are reserved there. Each
//! value below stands both in ArduCAM's library for Arduino (`ov2640_regs.h`: the tables for JPEG and 160×120) and in
//! Espressif's `esp32-camera` (`ov2640_settings.h`), or in one of them and in Linux (`drivers/media/i2c/ov2640.c`).

use super::sensor::Sensor;
use super::{Error, Output, SIZE};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

/// Address on the bus, of seven bits.
pub const ADDRESS: u8 = 0x30;
/// Versions that have been sold.
const KNOWN: [u16; 2] = [0x2641, 0x2642];
/// In the bank of the sensor: identity, the higher byte first.
const IDENTITY: [u8; 2] = [0x0A, 0x0B];
/// After a reset, as in ArduCAM's library; Linux waits 5 ms.
const RESET_MS: u32 = 100;

/// Chooses the bank that all other registers are in; in both.
pub const BANK: u8 = 0xFF;
/// The signal processor's bank.
pub const PROCESSOR: u8 = 0x00;
/// The sensor's bank.
pub const SENSOR: u8 = 0x01;

/// What the sensor itself sends: the mode SVGA, twice as fast as all pixels.
const READ_OUT: [usize; 2] = [800, 600];

// Registers of the sensor's bank.
const COM1: u8 = 0x03;
const REG04: u8 = 0x04;
const COM2: u8 = 0x09;
const CLKRC: u8 = 0x11;
const COM7: u8 = 0x12;
const COM8: u8 = 0x13;
const COM9: u8 = 0x14;
const HSTART: u8 = 0x17;
const HEND: u8 = 0x18;
const VSTART: u8 = 0x19;
const VEND: u8 = 0x1A;
const AEW: u8 = 0x24;
const AEB: u8 = 0x25;
const VV: u8 = 0x26;
const REG32: u8 = 0x32;
const BD50: u8 = 0x4F;
const BD60: u8 = 0x50;
const HISTO_LOW: u8 = 0x61;
const HISTO_HIGH: u8 = 0x62;

// Registers of the signal processor's bank.
const R_BYPASS: u8 = 0x05;
const CTRLI: u8 = 0x50;
const HSIZE: u8 = 0x51;
const VSIZE: u8 = 0x52;
const XOFFL: u8 = 0x53;
const YOFFL: u8 = 0x54;
const VHYX: u8 = 0x55;
const TEST: u8 = 0x57;
const ZMOW: u8 = 0x5A;
const ZMOH: u8 = 0x5B;
const ZMHH: u8 = 0x5C;
const BPADDR: u8 = 0x7C;
const BPDATA: u8 = 0x7D;
const CTRL2: u8 = 0x86;
const CTRL3: u8 = 0x87;
const SIZEL: u8 = 0x8C;
const HSIZE8: u8 = 0xC0;
const VSIZE8: u8 = 0xC1;
const CTRL0: u8 = 0xC2;
const R_DVP_SP: u8 = 0xD3;
const IMAGE_MODE: u8 = 0xDA;
const RESET: u8 = 0xE0;
const MC_BIST: u8 = 0xF9;

/// The bit of [`COM7`] that resets all registers.
const RESET_ALL: u8 = 0x80;

/// What the sensor does.
#[rustfmt::skip]
const READ: &[(u8, u8)] = &[
    (BANK, PROCESSOR), (0x2C, 0xFF), (0x2E, 0xDF),
    (BANK, SENSOR), (0x3C, 0x32),
    (CLKRC, 0x00),                  // the module's clock, undivided
    (COM2, 0x02),                   // pins driven three times as strongly
    (REG04, 0x28),                  // neither mirrored nor upside down
    (COM8, 0xE5),                   // exposure and gain by itself, in steps of the lamps' flicker
    (COM9, 0x48),                   // gain of 8 at most
    (0x2C, 0x0C), (0x33, 0x78), (0x3A, 0x33), (0x3B, 0xFB), (0x3E, 0x00), (0x43, 0x11), (0x16, 0x10),
    (0x39, 0x92), (0x35, 0xDA), (0x22, 0x1A), (0x37, 0xC3), (0x23, 0x00), (0x34, 0xC0), (0x06, 0x88), (0x07, 0xC0),
    (0x0D, 0x87), (0x0E, 0x41), (0x42, 0x03), (0x4C, 0x00), (0x4A, 0x81), (0x21, 0x99),
    (AEW, 0x40), (AEB, 0x38),       // brightness that exposure aims at, upper and lower end
    (VV, 0x82),                     // beyond these it moves in large steps
    (0x5C, 0x00), (0x63, 0x00),
    (HISTO_LOW, 0x70), (HISTO_HIGH, 0x80),
    (0x7C, 0x05), (0x20, 0x80), (0x28, 0x30), (0x6C, 0x00), (0x6D, 0x00), (0x6E, 0x00), (0x70, 0x02), (0x71, 0x94),
    (0x73, 0xC1), (0x3D, 0x38),
    (COM7, 0x40),                   // SVGA: READ_OUT
    (COM1, 0x0A),                   // lowest bits of the window's first and last row
    (HSTART, 0x11), (HEND, 0x43), (VSTART, 0x00), (VEND, 0x4B),
    (REG32, 0x09),                  // lowest bits of its first and last column
    (BD50, 0xCA), (BD60, 0xA8),     // rows that a flicker of 50 and of 60 Hz lasts
    (0x5A, 0x23),
    (BANK, PROCESSOR), (0xE5, 0x7F),
    (MC_BIST, 0xC0),                // its microcontroller stays in reset
];

/// How the signal processor makes colours: curves, matrix, white balance.
#[rustfmt::skip]
const PROCESS: &[(u8, u8)] = &[
    (0x41, 0x24),
    (RESET, 0x14),                  // while this is written: the JPEG coder and the output
    (0x76, 0xFF), (0x33, 0xA0), (0x42, 0x20), (0x43, 0x18), (0x4C, 0x00),
    (CTRL3, 0xD0),                  // dead pixels, black and white ones, are mended
    (0x88, 0x3F), (0xD7, 0x03), (0xD9, 0x10), (R_DVP_SP, 0x82), (0xC8, 0x08), (0xC9, 0x80),
    (BPADDR, 0x00), (BPDATA, 0x00), // no special effect
    (BPADDR, 0x03), (BPDATA, 0x48), (BPDATA, 0x48), // saturation
    (BPADDR, 0x08), (BPDATA, 0x20), (BPDATA, 0x10), (BPDATA, 0x0E),
    (0x90, 0x00),                   // gamma, point by point
    (0x91, 0x0E), (0x91, 0x1A), (0x91, 0x31), (0x91, 0x5A), (0x91, 0x69), (0x91, 0x75), (0x91, 0x7E), (0x91, 0x88),
    (0x91, 0x8F), (0x91, 0x96), (0x91, 0xA3), (0x91, 0xAF), (0x91, 0xC4), (0x91, 0xD7), (0x91, 0xE8), (0x91, 0x20),
    (0x92, 0x00),
    (0x93, 0x06), (0x93, 0xE3), (0x93, 0x05), (0x93, 0x05), (0x93, 0x00), (0x93, 0x04), (0x93, 0x00), (0x93, 0x00),
    (0x93, 0x00), (0x93, 0x00), (0x93, 0x00), (0x93, 0x00), (0x93, 0x00),
    (0x96, 0x00),
    (0x97, 0x08), (0x97, 0x19), (0x97, 0x02), (0x97, 0x0C), (0x97, 0x24), (0x97, 0x30), (0x97, 0x28), (0x97, 0x26),
    (0x97, 0x02), (0x97, 0x98), (0x97, 0x80), (0x97, 0x00), (0x97, 0x00),
    (0xA4, 0x00), (0xA8, 0x00),
    (0xC5, 0x11), (0xC6, 0x51), (0xBF, 0x80), (0xC7, 0x10), // white balance
    (0xB6, 0x66), (0xB8, 0xA5), (0xB7, 0x64), (0xB9, 0x7C), (0xB3, 0xAF), (0xB4, 0x97), (0xB5, 0xFF), (0xB0, 0xC5),
    (0xB1, 0x94), (0xB2, 0x0F), (0xC4, 0x5C),
    (0x7F, 0x00), (0xE5, 0x1F), (0xE1, 0x77), (0xDD, 0x7F),
    (CTRL0, 0x0E),                  // YUV 4:2:2 and RGB are made
];

/// From what the sensor sends to [`SIZE`].
#[rustfmt::skip]
const SCALE: &[(u8, u8)] = &[
    (BANK, PROCESSOR),
    (RESET, 0x04),                  // while this is written: the output
    (HSIZE8, (READ_OUT[0] / 8) as u8), (VSIZE8, (READ_OUT[1] / 8) as u8), (SIZEL, 0x00),
    (CTRL2, 0x3D),                  // scaling, effects, colours' matrix
    (CTRLI, 0x92),                  // divide by 2² along and down
    (HSIZE, (READ_OUT[0] / 4) as u8), (VSIZE, (READ_OUT[1] / 4) as u8),
    (XOFFL, 0x00), (YOFFL, 0x00), (VHYX, 0x00), (TEST, 0x00),
    (ZMOW, (SIZE[0] / 4) as u8), (ZMOH, (SIZE[1] / 4) as u8), (ZMHH, 0x00),
    (R_DVP_SP, 0x04),               // pixels at a quarter of the processor's clock
    (RESET, 0x00),
];

/// Red first, as the byte with the higher bits is.
#[rustfmt::skip]
const RGB565: &[(u8, u8)] =
    &[(BANK, PROCESSOR), (RESET, 0x04), (IMAGE_MODE, 0x08), (0xD7, 0x03), (RESET, 0x00), (R_BYPASS, 0x00)];

/// Brightness first.
#[rustfmt::skip]
const YUV422: &[(u8, u8)] = &[
    (BANK, PROCESSOR), (RESET, 0x04), (IMAGE_MODE, 0x00), (0xD7, 0x03), (0x33, 0xA0), (0xE5, 0x1F), (0xE1, 0x67),
    (RESET, 0x00), (R_BYPASS, 0x00),
];

/// Looks whether the sensor is one, resets it and makes it send [`SIZE`] pixels, frame after frame.
///
/// # Errors
/// [`Error::WrongChip`] and [`Error::I2c`].
pub fn set_up(bus: impl I2c, delay: &mut impl DelayNs, output: Output) -> Result<(), Error> {
    let mut sensor = Sensor::new(bus, ADDRESS);
    sensor.write(BANK, SENSOR)?;
    sensor.identify(IDENTITY, &KNOWN)?;
    sensor.write(COM7, RESET_ALL)?;
    delay.delay_ms(RESET_MS);
    sensor.write_all(READ)?;
    sensor.write_all(PROCESS)?;
    sensor.write_all(SCALE)?;
    sensor.write_all(match output {
        Output::Rgb565 => RGB565,
        Output::Yuv422 => YUV422,
    })
}
