//! Arm MPS2, image AN386: Cortex-M4, emulated by QEMU.

#![no_std]
#![no_main]

use common::mps;
use cortex_m_rt::entry;

/// The FPGA's input and output block.
const FPGAIO: usize = 0x4002_8000;

#[entry]
fn main() -> ! {
    mps::run("mps2-an386", FPGAIO)
}
