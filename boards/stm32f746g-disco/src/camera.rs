//! ST STM32F746G Discovery with an OV7670 on its camera connector P1: reads the digit before the camera and says in the log
//! what it is.
//!
//! | OV7670 | pin, each on P1 |
//! |---|---|
//! | D0 to D7 | PH9, PH10, PH11, PH12, PH14, PD3, PE5, PE6 |
//! | VSYNC, HREF, PCLK | PG9, PA4, PA6 |
//! | SIOC, SIOD | PB8, PB9 |
//! | PWDN | PH13 |
//! | XCLK | the board's clock for cameras, 24 MHz |
//! | RESET | the board's reset |
//!
//! ```sh
//! cargo embed --release && cargo host flash mnist-cnn --on stm32f746g-disco   # a model, by the usual firmware
//! cargo embed --release --features camera --bin stm32f746g-disco-camera rtt
//! ```
//!
//! The display shows what the camera sees, and the digit beside it. Not tried yet.

#![no_std]
#![no_main]

use common::camera::{FINDER_WORDS, Memory, watch};
use common::channels;
use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;
use embassy_stm32::gpio::{Level, Output, Speed};
use embassy_stm32::i2c::{self, I2c};
use embassy_time::Delay;
use embedded_hal::delay::DelayNs;
use firmware::camera::view::{VIEW_WORDS, draw};
use firmware::camera::{self, SIZE, frame_words, ov7670};
use firmware::vision::vote::Rule;

mod clock;
mod dcmi;
mod display;

/// RAM for the activations of a model, and for what an op needs beside them, in bytes.
const ARENA_BYTES: usize = 128 * 1024;
const SCRATCH_BYTES: usize = 48 * 1024;
const OUTPUT: camera::Output = camera::Output::Yuv422;
const FRAME_WORDS: usize = frame_words(SIZE, OUTPUT.format());
const RULE: Rule = Rule::USUAL;
/// From power to the first command, by ST's board support.
const WAKE_MS: u32 = 3;

#[entry]
fn main() -> ! {
    let board = embassy_stm32::init(display::with_its_clock(clock::full_clock()));
    // The log is the channel that it is in every firmware; nobody listens to the link.
    channels!(up: 16, down: 16);
    // Each is taken once, here. Not the data cache: the debugger and the DMA write behind it.
    let mut core = Peripherals::take().unwrap();
    core.SCB.enable_icache();
    let _awake = Output::new(board.PH13, Level::Low, Speed::Low);
    Delay.delay_ms(WAKE_MS);
    let i2c = I2c::new_blocking(board.I2C1, board.PB8, board.PB9, i2c::Config::default());
    if let Err(error) = ov7670::set_up(i2c, &mut Delay, OUTPUT) {
        defmt::panic!("no camera: {}", error);
    }
    let camera = dcmi::Port {
        dcmi: board.DCMI,
        dma: board.DMA2_CH1,
        d0: board.PH9,
        d1: board.PH10,
        d2: board.PH11,
        d3: board.PH12,
        d4: board.PH14,
        d5: board.PD3,
        d6: board.PE5,
        d7: board.PE6,
        vsync: board.PG9,
        href: board.PA4,
        pclk: board.PA6,
        output: OUTPUT,
    };
    let memory = Memory {
        frame: singleton!(: [u32; FRAME_WORDS] = [0; FRAME_WORDS]).unwrap(),
        finder: singleton!(: [u32; FINDER_WORDS] = [0; FINDER_WORDS]).unwrap(),
        arena: singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap(),
        scratch: singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap(),
    };
    let view = display::start(
        display::Pins {
            ltdc: board.LTDC,
            clock: board.PI14,
            hsync: board.PI10,
            vsync: board.PI9,
            data_enable: board.PK7,
            enable: board.PI12,
            backlight: board.PK3,
            blue: (board.PE4, board.PJ13, board.PJ14, board.PJ15, board.PG12, board.PK4, board.PK5, board.PK6),
            green: (board.PJ7, board.PJ8, board.PJ9, board.PJ10, board.PJ11, board.PK0, board.PK1, board.PK2),
            red: (board.PI15, board.PJ0, board.PJ1, board.PJ2, board.PJ3, board.PJ4, board.PJ5, board.PJ6),
        },
        singleton!(: [u32; VIEW_WORDS] = [0; VIEW_WORDS]).unwrap(),
    );
    watch(camera, memory, RULE, |frame, answer| draw(frame, answer, view))
}
