//! Nordic nRF52840 DK with an ArduCAM Mini 2MP Plus: reads the digit before the camera and says in the log what it is.
//!
//! | ArduCAM | pin | Arduino header |
//! |---|---|---|
//! | CS | P1.12 | D10 |
//! | MOSI | P1.13 | D11 |
//! | MISO | P1.14 | D12 |
//! | SCK | P1.15 | D13 |
//! | SDA | P0.26 | SDA |
//! | SCL | P0.27 | SCL |
//! | VCC, GND | 5V, GND | 5V, GND |
//!
//! Not tried yet. The DK's pins work at 3.0 V: look at what MISO gives before it is connected. Nordic keeps those from D10 on
//! for slow signals, for the radio's sake, which is off here.
//!
//! ```sh
//! cargo embed --release && cargo host flash mnist-cnn --on nrf52840-dk     # a model, by the usual firmware
//! cargo embed --release --features camera --bin nrf52840-dk-camera rtt
//! ```

#![no_std]
#![no_main]

use common::camera::{FINDER_WORDS, Memory, watch};
use common::channels;
use cortex_m::singleton;
use cortex_m_rt::entry;
use embassy_nrf::config::{Config, HfclkSource};
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_nrf::{bind_interrupts, peripherals, spim, twim};
use embassy_time::Delay;
use embedded_hal_bus::spi::ExclusiveDevice;
use firmware::camera::{self, ArduCam, Module, SIZE, frame_words};
use firmware::vision::vote::Rule;

/// RAM for the activations of a model, and for what an op needs beside them, in bytes.
const ARENA_BYTES: usize = 64 * 1024;
const SCRATCH_BYTES: usize = 32 * 1024;
const OUTPUT: camera::Output = camera::Output::Yuv422;
const FRAME_WORDS: usize = frame_words(SIZE, OUTPUT.format());
/// A new frame counts half, since there are but a few a second.
const RULE: Rule = Rule { decay: 1, ..Rule::USUAL };

bind_interrupts!(struct Interrupts {
    SPI2 => spim::InterruptHandler<peripherals::SPI2>;
    TWISPI0 => twim::InterruptHandler<peripherals::TWISPI0>;
});

#[entry]
fn main() -> ! {
    let mut config = Config::default();
    config.hfclk_source = HfclkSource::ExternalXtal;
    let board = embassy_nrf::init(config);
    // The log is the channel that it is in every firmware; nobody listens to the link.
    channels!(up: 16, down: 16);
    let mut spi = spim::Config::default();
    spi.frequency = spim::Frequency::M8;
    let spi = spim::Spim::new(board.SPI2, Interrupts, board.P1_15, board.P1_14, board.P1_13, spi);
    let select = Output::new(board.P1_12, Level::High, OutputDrive::Standard);
    let Ok(spi) = ExclusiveDevice::new(spi, select, Delay);
    // A register and its value, on their way from flash.
    let copy = singleton!(: [u8; 4] = [0; 4]).unwrap();
    let i2c = twim::Twim::new(board.TWISPI0, Interrupts, board.P0_26, board.P0_27, twim::Config::default(), copy);
    let camera = match ArduCam::new(spi, i2c, Delay, Module::Mini2MpPlus, OUTPUT) {
        Ok(camera) => camera,
        Err(error) => defmt::panic!("no camera: {}", error),
    };
    // Each is taken once, here.
    let memory = Memory {
        frame: singleton!(: [u32; FRAME_WORDS] = [0; FRAME_WORDS]).unwrap(),
        finder: singleton!(: [u32; FINDER_WORDS] = [0; FINDER_WORDS]).unwrap(),
        arena: singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap(),
        scratch: singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap(),
    };
    watch(camera, memory, RULE, |_, _| ())
}
