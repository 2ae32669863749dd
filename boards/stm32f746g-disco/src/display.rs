//! The board's display, a Rocktech RK043FN48H of 480×272 pixels, on the chip's controller (LTDC), which reads the picture
//! from RAM by itself, again and again.
//!
//! Pins, clock and timing are those of ST's board support (`stm32746g_discovery_lcd`, `rk043fn48h.h`).

use embassy_futures::block_on;
use embassy_stm32::gpio::{AfType, Flex, Level, Output, OutputType, Speed};
use embassy_stm32::ltdc::{
    self, Ltdc, LtdcConfiguration, LtdcLayer, LtdcLayerConfig, PixelFormat, PolarityActive, PolarityEdge, RgbColor,
};
use embassy_stm32::peripherals::*;
use embassy_stm32::rcc::{Pll, PllMul, PllPreDiv, PllRDiv};
use embassy_stm32::{Config, Peri, bind_interrupts};
use firmware::camera::view::{VIEW, VIEW_WORDS};

/// Columns and rows of the panel.
const PANEL: [u16; 2] = [480, 272];
/// The function of LTDC_DE on PK7.
const DATA_ENABLE_FUNCTION: u8 = 14;

bind_interrupts!(struct Interrupts {
    LTDC => ltdc::InterruptHandler<LTDC>;
});

type Pin<P> = Peri<'static, P>;
/// From the lowest bit of a colour to the highest.
type Color<A, B, C, D, E, F, G, H> = (Pin<A>, Pin<B>, Pin<C>, Pin<D>, Pin<E>, Pin<F>, Pin<G>, Pin<H>);

/// The controller and its pins.
pub struct Pins {
    pub ltdc: Pin<LTDC>,
    pub clock: Pin<PI14>,
    pub hsync: Pin<PI10>,
    pub vsync: Pin<PI9>,
    pub data_enable: Pin<PK7>,
    pub enable: Pin<PI12>,
    pub backlight: Pin<PK3>,
    pub blue: Color<PE4, PJ13, PJ14, PJ15, PG12, PK4, PK5, PK6>,
    pub green: Color<PJ7, PJ8, PJ9, PJ10, PJ11, PK0, PK1, PK2>,
    pub red: Color<PI15, PJ0, PJ1, PJ2, PJ3, PJ4, PJ5, PJ6>,
}

/// Adds the pixels' clock: 1 MHz · 135 / 7, which the controller halves to 9.6 MHz.
pub fn with_its_clock(mut config: Config) -> Config {
    let rcc = &mut config.rcc;
    rcc.pllsai = Some(Pll {
        // Shared with the first PLL.
        prediv: rcc.pll.as_ref().map_or(PllPreDiv::DIV25, |pll| pll.prediv),
        mul: PllMul::MUL135,
        divp: None,
        divq: None,
        divr: Some(PllRDiv::DIV7),
    });
    config
}

/// Shows `view`, grey levels of [`VIEW`], in the middle of the panel from now on, and gives it back to be drawn on.
pub fn start(pins: Pins, view: &'static mut [u32; VIEW_WORDS]) -> &'static mut [u32; VIEW_WORDS] {
    let (b0, b1, b2, b3, b4, b5, b6, b7) = pins.blue;
    let (g0, g1, g2, g3, g4, g5, g6, g7) = pins.green;
    let (r0, r1, r2, r3, r4, r5, r6, r7) = pins.red;
    // The driver does not know this pin.
    let mut data_enable = Flex::new(pins.data_enable);
    data_enable.set_as_af_unchecked(DATA_ENABLE_FUNCTION, AfType::output(OutputType::PushPull, Speed::VeryHigh));
    let mut ltdc = Ltdc::new_with_pins(
        pins.ltdc, Interrupts, pins.clock, pins.hsync, pins.vsync, b0, b1, b2, b3, b4, b5, b6, b7, g0, g1, g2, g3, g4,
        g5, g6, g7, r0, r1, r2, r3, r4, r5, r6, r7,
    );
    ltdc.init(&LtdcConfiguration {
        active_width: PANEL[0],
        active_height: PANEL[1],
        h_back_porch: 13,
        h_front_porch: 32,
        v_back_porch: 2,
        v_front_porch: 2,
        h_sync: 41,
        v_sync: 10,
        h_sync_polarity: PolarityActive::ActiveLow,
        v_sync_polarity: PolarityActive::ActiveLow,
        data_enable_polarity: PolarityActive::ActiveLow,
        pixel_clock_polarity: PolarityEdge::FallingEdge,
    });
    let [left, top] = [0, 1].map(|axis| (PANEL[axis] - VIEW[axis] as u16) / 2);
    let greys: [RgbColor; 256] =
        core::array::from_fn(|level| RgbColor { red: level as u8, green: level as u8, blue: level as u8 });
    ltdc.init_layer(
        &LtdcLayerConfig {
            layer: LtdcLayer::Layer1,
            pixel_format: PixelFormat::L8,
            window_x0: left,
            window_x1: left + VIEW[0] as u16,
            window_y0: top,
            window_y1: top + VIEW[1] as u16,
        },
        Some(&greys),
    );
    if block_on(ltdc.set_buffer(LtdcLayer::Layer1, view.as_ptr().cast())).is_err() {
        defmt::warn!("the display's controller could not read the picture");
    }
    // Both stay on, and the controller goes on without its driver.
    core::mem::forget((data_enable, ltdc));
    core::mem::forget([
        Output::new(pins.enable, Level::High, Speed::Low),
        Output::new(pins.backlight, Level::High, Speed::Low),
    ]);
    view
}
