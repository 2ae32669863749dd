//! Code for a Cortex-M0 on an Arm MPS2, emulated by QEMU: its image AN385 has a Cortex-M3, which executes such code as it
//! stands. So models that no emulated Cortex-M0 has the memory for can be measured all the same.

#![no_std]
#![no_main]

use common::mps;
use cortex_m_rt::entry;

/// The FPGA's input and output block.
const FPGAIO: usize = 0x4002_8000;

#[entry]
fn main() -> ! {
    mps::run("mps2-m0", FPGAIO)
}
