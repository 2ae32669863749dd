//! Himax HM01B0: 324×244 pixels without colour, added up two by two.
//!
//! It sends 162×122 pixels of eight bits, of which a board drops the outermost ones to have [`super::SIZE`]. Each value
//! stands in OpenMV's driver (`drivers/sensors/hm01b0.c`) and in Himax's own script as SparkFun prints it
//! (`hm01b0_raw8_qvga_8bits_lsb_5fps.h`), or in one of them and in the `HM01B0` crate for RP2040, or is
//! said to stand in one alone.

use super::Error;
use super::sensor::Sensor;
use embedded_hal::delay::DelayNs;
use embedded_hal::i2c::I2c;

/// Address on the bus, of seven bits.
pub const ADDRESS: u8 = 0x24;
/// Columns and rows that it sends.
pub const SENT: [usize; 2] = [162, 122];
const KNOWN: [u16; 1] = [0x01B0];
const IDENTITY: [u16; 2] = [0x0000, 0x0001];

const MODE_SELECT: u16 = 0x0100;
const IMG_ORIENTATION: u16 = 0x0101;
const SW_RESET: u16 = 0x0103;
const GRP_PARAM_HOLD: u16 = 0x0104;
const FRAME_LEN_LINES_H: u16 = 0x0340;
const FRAME_LEN_LINES_L: u16 = 0x0341;
const LINE_LEN_PCK_H: u16 = 0x0342;
const LINE_LEN_PCK_L: u16 = 0x0343;
const READOUT_X: u16 = 0x0383;
const READOUT_Y: u16 = 0x0387;
const BINNING_MODE: u16 = 0x0390;
const BLC_CFG: u16 = 0x1000;
const BLC_TGT: u16 = 0x1003;
const BLI_EN: u16 = 0x1006;
const BLC2_TGT: u16 = 0x1007;
const DPC_CTRL: u16 = 0x1008;
const SINGLE_THR_HOT: u16 = 0x100B;
const SINGLE_THR_COLD: u16 = 0x100C;
const STATISTIC_CTRL: u16 = 0x2000;
const AE_CTRL: u16 = 0x2100;
const MAX_INTG_H: u16 = 0x2105;
const MAX_INTG_L: u16 = 0x2106;
const QVGA_WIN_EN: u16 = 0x3010;
const BIT_CONTROL: u16 = 0x3059;
const OSC_CLK_DIV: u16 = 0x3060;
const ANA_REGISTER_17: u16 = 0x3067;

const STANDBY: u8 = 0x00;
const STREAMING: u8 = 0x01;

/// Rows a frame, those between two frames included: OpenMV's; 128 in the crate, 122 of them with pixels.
const FRAME_LINES: u16 = 132;
/// Clocks a row, those between two rows included.
const LINE_CLOCKS: u16 = 376;
/// Longest exposure: the frame less two rows.
const MAX_EXPOSURE: u16 = FRAME_LINES - 2;

/// After a reset, and how often it is asked for until the sensor stands by.
const RESET_MS: u32 = 10;
const RESETS: u32 = 10;

#[rustfmt::skip]
const SET_UP: &[(u16, u8)] = &[
    (BLC_TGT, 0x08), (BLC2_TGT, 0x08), // black is 8
    (0x3044, 0x0A), (0x3045, 0x00), (0x3047, 0x0A), (0x3050, 0xC0), (0x3051, 0x42), (0x3052, 0x50), (0x3053, 0x00),
    (0x3054, 0x03), (0x3055, 0xF7), (0x3056, 0xF8), (0x3057, 0x29), (0x3058, 0x1F), (0x3064, 0x00), (0x3065, 0x04),
    (BLC_CFG, 0x43),            // black is found by itself
    (0x0350, 0x7F),             // digital gain allowed
    (BLI_EN, 0x01), (0x1009, 0xA0), (0x100A, 0x60),
    (DPC_CTRL, 0x01), (SINGLE_THR_HOT, 0x90), (SINGLE_THR_COLD, 0x40), // dead pixels are mended, as by OpenMV alone
    (STATISTIC_CTRL, 0x07),     // brightness is measured
    (0x2003, 0x00), (0x2004, 0x1C), (0x2007, 0x00), (0x2008, 0x58), (0x200B, 0x00), (0x200C, 0x7A), (0x200F, 0x00),
    (0x2010, 0xB8),             // where
    (AE_CTRL, 0x01),            // exposure by itself
    (MAX_INTG_H, (MAX_EXPOSURE >> 8) as u8), (MAX_INTG_L, MAX_EXPOSURE as u8),
    (READOUT_X, 0x03), (READOUT_Y, 0x03), (BINNING_MODE, 0x03), // two by two, along and down
    (QVGA_WIN_EN, 0x01),        // 244 rows of 324
    (FRAME_LEN_LINES_H, (FRAME_LINES >> 8) as u8), (FRAME_LEN_LINES_L, FRAME_LINES as u8),
    (LINE_LEN_PCK_H, (LINE_CLOCKS >> 8) as u8), (LINE_LEN_PCK_L, LINE_CLOCKS as u8),
    (BIT_CONTROL, 0x02),        // eight bits side by side
    (ANA_REGISTER_17, 0x00),    // clocked by MCLK, not by itself (OpenMV and uw-x/insect-robot-cam)
    (OSC_CLK_DIV, 0x08),        // MCLK / 8: 60 frames a second at 24 MHz
];

/// Looks whether the sensor is one, resets it and makes it send [`SENT`] pixels, frame after frame.
///
/// # Errors
/// [`Error::WrongChip`], [`Error::I2c`]; [`Error::TimedOut`] where it never stands by after a reset.
pub fn set_up(bus: impl I2c, delay: &mut impl DelayNs) -> Result<(), Error> {
    let mut sensor = Sensor::new(bus, ADDRESS);
    sensor.identify(IDENTITY, &KNOWN)?;
    reset(&mut sensor, delay)?;
    sensor.write_all(SET_UP)?;
    sensor.write(IMG_ORIENTATION, 0x00)?;
    // What was written counts from the next frame on.
    sensor.write(GRP_PARAM_HOLD, 0x01)?;
    sensor.write(MODE_SELECT, STREAMING)
}

fn reset<I: I2c>(sensor: &mut Sensor<I, u16>, delay: &mut impl DelayNs) -> Result<(), Error> {
    for _ in 0..RESETS {
        sensor.write(SW_RESET, 0x01)?;
        delay.delay_ms(RESET_MS);
        if sensor.read(MODE_SELECT)? == STANDBY {
            return Ok(());
        }
    }
    Err(Error::TimedOut { waited_ms: RESETS * RESET_MS })
}
