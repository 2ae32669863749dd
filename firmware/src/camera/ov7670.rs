//! OmniVision OV7670: 640×480 pixels, of which it sends every fourth of every fourth row: [`SIZE`].
//!
//! For a clock of 24 MHz on the pin XCLK. The pixels come in parallel: PCLK rises in the middle of each byte, HREF is high
//! in a row, VSYNC between frames. Each value stands in Espressif's `esp32-camera` (`sensors/ov7670.c`) and in Linux
//! (`drivers/media/i2c/ov7670.c`), or in one of them and in a driver that its line names.

use super::sensor::Sensor;
use super::{Error, Output};
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

#[cfg(doc)]
use super::SIZE;

/// Address on the bus, of seven bits.
pub const ADDRESS: u8 = 0x21;
const KNOWN: [u16; 1] = [0x7673];
/// Identity, the higher byte first.
const IDENTITY: [u8; 2] = [0x0A, 0x0B];
/// After a reset, as in esp32-camera; the data sheet asks for 1 ms, as Adafruit quotes it.
const RESET_MS: u32 = 10;
/// After each write: without a pause the sensor locks up now and then, says Adafruit's driver.
const PAUSE_MS: u32 = 1;
/// Until the registers have taken effect, by the data sheet as Adafruit quotes it.
const SETTLE_MS: u32 = 300;

const VREF: u8 = 0x03;
const COM1: u8 = 0x04;
const COM3: u8 = 0x0C;
const COM4: u8 = 0x0D;
const CLKRC: u8 = 0x11;
const COM7: u8 = 0x12;
const COM8: u8 = 0x13;
const COM10: u8 = 0x15;
const HSTART: u8 = 0x17;
const HSTOP: u8 = 0x18;
const VSTART: u8 = 0x19;
const VSTOP: u8 = 0x1A;
const HREF: u8 = 0x32;
const TSLB: u8 = 0x3A;
const COM11: u8 = 0x3B;
const COM13: u8 = 0x3D;
const COM14: u8 = 0x3E;
const COM15: u8 = 0x40;
const AWBC1: u8 = 0x43;
const AWBC2: u8 = 0x44;
const AWBC3: u8 = 0x45;
const AWBC4: u8 = 0x46;
const AWBC5: u8 = 0x47;
const AWBC6: u8 = 0x48;
const MTX1: u8 = 0x4F;
const MTX2: u8 = 0x50;
const MTX3: u8 = 0x51;
const MTX4: u8 = 0x52;
const MTX5: u8 = 0x53;
const MTX6: u8 = 0x54;
const DBLV: u8 = 0x6B;
const AWBCTR3: u8 = 0x6C;
const AWBCTR2: u8 = 0x6D;
const AWBCTR1: u8 = 0x6E;
const AWBCTR0: u8 = 0x6F;
const SCALING_XSC: u8 = 0x70;
const SCALING_YSC: u8 = 0x71;
const SCALING_DCWCTR: u8 = 0x72;
const SCALING_PCLK_DIV: u8 = 0x73;
const RGB444: u8 = 0x8C;
const SCALING_PCLK_DELAY: u8 = 0xA2;

/// The bit of [`COM7`] that resets all registers.
const RESET_ALL: u8 = 0x80;

/// Clock, exposure, white balance.
#[rustfmt::skip]
const READ: &[(u8, u8)] = &[
    (CLKRC, 0x01),          // XCLK / 2, with the multiplier off: 15 frames a second (also Adafruit's formula)
    (DBLV, 0x0A),
    (TSLB, 0x04),           // the window is set by hand; with COM13: brightness first, then blue
    (COM10, 0x00),          // the signals as above, which is also what a reset leaves
    (COM4, 0x40), (0xB0, 0x84), // reserved; without them colours are wrong
    (COM11, 0x12),          // finds out whether lamps flicker at 50 or 60 Hz
    (AWBC1, 0x0A), (AWBC2, 0xF0), (AWBC3, 0x34), (AWBC4, 0x58), (AWBC5, 0x28), (AWBC6, 0x3A),
    (AWBCTR3, 0x0A), (AWBCTR2, 0x55), (AWBCTR1, 0x11), (AWBCTR0, 0x9F), // the last as in Linux and Adafruit's
    (COM8, 0xE7),           // exposure, gain, white balance by itself; steps of the lamps' flicker as in Linux
    (COM1, 0x00),           // no codes among the pixels
];

/// Every fourth pixel and row. Window as in LiveOV7670 and ov7670-no-ram-arduino-uno; Adafruit's begins 6 columns later.
#[rustfmt::skip]
const SCALE: &[(u8, u8)] = &[
    (COM3, 0x04),           // scaling on
    (COM14, 0x1A),          // by hand, PCLK / 4
    (SCALING_XSC, 0x3A), (SCALING_YSC, 0x35), // no zoom, no test picture
    (SCALING_DCWCTR, 0x22), // / 4 along, / 4 down
    (SCALING_PCLK_DIV, 0xF2), // the scaler's clock / 4
    (SCALING_PCLK_DELAY, 0x02),
    (HSTART, 0x16), (HSTOP, 0x04), (HREF, 0xA4), // columns from 180 on; they wrap at 784, to 36
    (VSTART, 0x02), (VSTOP, 0x7A), (VREF, 0x0A), // rows from 10 to 490
];

// In both, COM13 as in esp32-camera: colours fade where light does, no gamma.

#[rustfmt::skip]
const RGB565: &[(u8, u8)] = &[
    (COM7, 0x04), (RGB444, 0x00), (COM15, 0xD0), // 0 to 255, red first
    (MTX1, 0xB3), (MTX2, 0xB3), (MTX3, 0x00), (MTX4, 0x3D), (MTX5, 0xA7), (MTX6, 0xE4), (COM13, 0x40),
];

#[rustfmt::skip]
const YUV422: &[(u8, u8)] = &[
    (COM7, 0x00), (RGB444, 0x00), (COM15, 0xC0), // 0 to 255
    (MTX1, 0x80), (MTX2, 0x80), (MTX3, 0x00), (MTX4, 0x22), (MTX5, 0x5E), (MTX6, 0x80), (COM13, 0x40),
];

/// Looks whether the sensor is one, resets it and makes it send [`SIZE`] pixels, frame after frame.
///
/// # Errors
/// [`Error::WrongChip`] and [`Error::I2c`].
pub fn set_up(bus: impl I2c, delay: &mut impl DelayNs, output: Output) -> Result<(), Error> {
    let mut sensor = Sensor::new(bus, ADDRESS);
    sensor.identify(IDENTITY, &KNOWN)?;
    sensor.write(COM7, RESET_ALL)?;
    delay.delay_ms(RESET_MS);
    let format = match output {
        Output::Rgb565 => RGB565,
        Output::Yuv422 => YUV422,
    };
    for (register, value) in [format, READ, SCALE].into_iter().flatten() {
        sensor.write(*register, *value)?;
        delay.delay_ms(PAUSE_MS);
    }
    delay.delay_ms(SETTLE_MS);
    Ok(())
}
