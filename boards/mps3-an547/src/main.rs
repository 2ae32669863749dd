//! Arm MPS3, image AN547: Cortex-M55, emulated by QEMU.

#![no_std]
#![no_main]

use common::mps;
use cortex_m_rt::entry;

/// The FPGA's input and output block at its secure address.
const FPGAIO: usize = 0x5930_2000;

#[entry]
fn main() -> ! {
    mps::run("mps3-an547", FPGAIO)
}
