//! ST STM32F746G Discovery: Cortex-M7 at 216 MHz in 320 KB of RAM, with an ST-LINK on board.

#![no_std]
#![no_main]

use common::{CycleCounter, channels, serve};
use cortex_m::{Peripherals, singleton};
use cortex_m_rt::entry;
use embassy_stm32::Config;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk,
};
use embassy_stm32::time::Hertz;

/// RAM for the activations of a model, in bytes.
const ARENA_BYTES: usize = 160 * 1024;
/// RAM for what an op needs beside them, in bytes.
const SCRATCH_BYTES: usize = 48 * 1024;

#[entry]
fn main() -> ! {
    embassy_stm32::init(full_clock());
    let channels = channels!(up: 1024, down: 2048);
    // Each is taken once, here.
    let mut core = Peripherals::take().unwrap();
    // Not the data cache: the debugger reads and writes the link's buffers behind it.
    core.SCB.enable_icache();
    let arena = singleton!(: [u32; ARENA_BYTES / 4] = [0; ARENA_BYTES / 4]).unwrap();
    let scratch = singleton!(: [u32; SCRATCH_BYTES / 4] = [0; SCRATCH_BYTES / 4]).unwrap();
    serve("stm32f746g-disco", CycleCounter::start(&mut core), channels, arena, scratch)
}

/// 216 MHz, the most that the chip may have, from the board's crystal of 25 MHz.
fn full_clock() -> Config {
    let mut config = Config::default();
    let rcc = &mut config.rcc;
    rcc.hse = Some(Hse { freq: Hertz::mhz(25), mode: HseMode::Oscillator });
    rcc.pll_src = PllSource::HSE;
    rcc.pll =
        Some(Pll { prediv: PllPreDiv::DIV25, mul: PllMul::MUL432, divp: Some(PllPDiv::DIV2), divq: None, divr: None });
    rcc.sys = Sysclk::PLL1_P;
    rcc.ahb_pre = AHBPrescaler::DIV1;
    rcc.apb1_pre = APBPrescaler::DIV4;
    rcc.apb2_pre = APBPrescaler::DIV2;
    config
}
