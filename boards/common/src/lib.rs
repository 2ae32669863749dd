//! What every board's firmware shares.
//!
//! ```text
//! host ─ RTT ─ channels! ─ serve ─ firmware::link::Device ─ Model in model_region ─ kernels
//!                                        └ ticks of a Clock
//! ```
//!
//! A board adds where its memory is (`memory.x`), a clock, and how much RAM a model may take.

#![no_std]

use core::panic::PanicInfo;
use firmware::link::Device;
use firmware::model::Model;
use firmware::plan::Interpreter;
use rtt_target::{DownChannel, UpChannel};

#[cfg(feature = "cycle-counter")]
mod cycle_counter;
#[cfg(feature = "cycle-counter")]
pub use cycle_counter::CycleCounter;

/// A clock that counts up at a fixed rate.
pub trait Clock {
    /// Ticks since some moment, wrapping at 2³².
    fn ticks(&mut self) -> u32;
}

/// The two RTT channels of the link.
pub struct Channels {
    /// Replies to the host.
    pub up: UpChannel,
    /// Requests from the host.
    pub down: DownChannel,
}

/// Creates the [`Channels`] with buffers of so many bytes: `channels!(up: 256, down: 512)`. Once a program.
/// With the feature `defmt` there is a third one, for the log.
#[cfg(not(feature = "defmt"))]
#[macro_export]
macro_rules! channels {
    (up: $up:literal, down: $down:literal) => {{
        let channels = rtt_target::rtt_init! {
            up: { 0: { size: $up, mode: rtt_target::ChannelMode::BlockIfFull, name: "link" } }
            down: { 0: { size: $down, name: "link" } }
        };
        $crate::Channels { up: channels.up.0, down: channels.down.0 }
    }};
}

/// Creates the [`Channels`] with buffers of so many bytes: `channels!(up: 256, down: 512)`, and a third one for
/// the log, which loses messages rather than wait for a reader. Once a program.
#[cfg(feature = "defmt")]
#[macro_export]
macro_rules! channels {
    (up: $up:literal, down: $down:literal) => {{
        let channels = rtt_target::rtt_init! {
            up: {
                0: { size: $up, mode: rtt_target::ChannelMode::BlockIfFull, name: "link" }
                1: { size: 1024, mode: rtt_target::ChannelMode::NoBlockSkip, name: "defmt" }
            }
            down: { 0: { size: $down, name: "link" } }
        };
        rtt_target::set_defmt_channel(channels.up.1);
        $crate::Channels { up: channels.up.0, down: channels.down.0 }
    }};
}

#[cfg(feature = "camera")]
pub mod camera;
#[cfg(feature = "mps")]
pub mod mps;

/// The part of flash that holds a model, as `memory.x` says.
pub fn model_region() -> &'static [u8] {
    unsafe extern "C" {
        static _model_start: u8;
        static _model_end: u8;
    }
    let (start, end) = (&raw const _model_start, &raw const _model_end);
    // SAFETY: the linker script puts both symbols around flash that nothing else is linked into and
    // that is written only while a debugger has halted the core.
    unsafe { core::slice::from_raw_parts(start, end.addr() - start.addr()) }
}

/// Answers the host about the model in flash, for ever. A model that is damaged, or needs more than
/// `arena` and `scratch`, is refused with the reason whenever the host asks.
pub fn serve(board: &str, clock: impl Clock, channels: Channels, arena: &mut [u32], scratch: &mut [u32]) -> ! {
    answer(Device::new(board, load(board, arena, scratch)), clock, channels)
}

/// As [`serve`], with memory for frames that the host sends in a camera's place; see
/// [`Device::with_frames`](firmware::link::Device::with_frames) for how much.
#[cfg(feature = "frames")]
pub fn serve_frames(
    board: &str,
    clock: impl Clock,
    channels: Channels,
    [arena, scratch, frames]: [&mut [u32]; 3],
) -> ! {
    answer(Device::new(board, load(board, arena, scratch)).with_frames(frames), clock, channels)
}

fn load<'a>(
    _board: &str,
    arena: &'a mut [u32],
    scratch: &'a mut [u32],
) -> Result<Interpreter<'static, 'a>, firmware::model::Error> {
    let model = Model::parse(model_region()).and_then(|model| Interpreter::new(model, arena, scratch));
    #[cfg(feature = "defmt")]
    match &model {
        Ok(interpreter) => defmt::info!("{=str}: model {=str}", _board, interpreter.model().name()),
        Err(error) => defmt::error!("{=str}: model refused: {}", _board, error),
    }
    model
}

fn answer(mut device: Device<'_>, mut clock: impl Clock, mut channels: Channels) -> ! {
    let mut received = [0; 64];
    loop {
        let count = channels.down.read(&mut received);
        for &byte in &received[..count] {
            if let Some(reply) = device.push(byte, || clock.ticks()) {
                channels.up.write(reply);
            }
        }
    }
}

/// Stays where a debugger finds the core and its backtrace tells why; without a log, a message would
/// cost more flash than the small boards have.
#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    #[cfg(feature = "defmt")]
    defmt::error!("{}", defmt::Display2Format(_info));
    loop {
        cortex_m::asm::nop();
    }
}
