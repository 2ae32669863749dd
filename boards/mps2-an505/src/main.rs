//! Arm MPS2, image AN505: Cortex-M33, emulated by QEMU.

#![no_std]
#![no_main]

use common::mps;
use cortex_m_rt::entry;

/// The FPGA's input and output block at its secure address.
const FPGAIO: usize = 0x5030_2000;

#[entry]
fn main() -> ! {
    mps::run("mps2-an505", FPGAIO)
}
