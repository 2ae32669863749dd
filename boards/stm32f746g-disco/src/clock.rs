//! The board's clocks.

use embassy_stm32::Config;
use embassy_stm32::rcc::{
    AHBPrescaler, APBPrescaler, Hse, HseMode, Pll, PllMul, PllPDiv, PllPreDiv, PllSource, Sysclk,
};
use embassy_stm32::time::Hertz;

/// 216 MHz, the most that the chip may have, from the board's crystal of 25 MHz.
pub fn full_clock() -> Config {
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
