//! A debug probe for boards that exist only in QEMU.
//!
//! A real probe drives the two wires of a serial-wire debug port (SW-DP). Behind the port lies a
//! memory access port (AHB-AP), and through that a debugger reads and writes the chip's memory,
//! where the debug registers of the core lie too: it halts the core, reads its registers and sets
//! breakpoints by writing to addresses. QEMU has no such port, only a socket for GDB and one for
//! its test protocol. The modules here put the port in front of them, so that probe-rs flashes an
//! emulated board and talks to it exactly as it does with a real one:
//!
//! ```text
//! probe-rs ─ probe ─ dap (SW-DP, AHB-AP) ─ core_debug (DHCSR, DCRSR, FPB …) ─ machine ┬ gdb    run control, registers
//!            glasgow ┘  (stock tools, over a socket)                                  ├ qtest  memory while the core runs
//!                                                                                     └ qemu   the process
//! ```

mod breakpoints;
mod core_debug;
mod dap;
#[cfg(test)]
mod fake;
mod gdb;
mod glasgow;
mod machine;
mod probe;
mod qemu;
mod qtest;
mod registers;
mod rom_table;
pub mod server;
mod socket;

use anyhow::{Context, Result};
use core_debug::CoreDebug;
use dap::Dap;
use machine::QemuMachine;
use probe::EmulatorProbe;
use std::ops::Range;
use std::path::Path;

pub use qemu::INSTRUCTION_NS;

/// How to emulate a board.
#[derive(Debug)]
pub struct MachineSpec {
    /// QEMU's name of the machine.
    pub name: &'static str,
    /// Further arguments of QEMU.
    pub arguments: &'static [&'static str],
    /// Where a program can lie; one that is not this tool's firmware may take the model's region too.
    pub code: Range<u32>,
    /// The word that the firmware reads as its clock.
    pub clock: u32,
}

/// An emulated board that has been started, before a debugger takes it.
pub struct Emulator {
    dap: Dap<QemuMachine>,
    process_id: Option<u32>,
}

impl Emulator {
    /// Starts `qemu` with the core halted at reset, and with `more` arguments than the machine's own. The process
    /// ends when the probe is dropped or this process ends.
    pub fn start(qemu: &Path, spec: &MachineSpec, more: &[String]) -> Result<Self> {
        let machine = QemuMachine::start(qemu, spec, more)?;
        let process_id = machine.process_id();
        let core = CoreDebug::new(machine, spec.code.clone())
            .with_context(|| format!("the emulated machine {} does not answer", spec.name))?;
        Ok(Self { dap: Dap::new(core), process_id })
    }

    /// Process id of the emulator.
    pub fn process_id(&self) -> Option<u32> {
        self.process_id
    }

    /// Whether the emulator has ended.
    pub fn has_ended(&mut self) -> bool {
        self.dap.core().machine().has_ended()
    }

    /// A probe on the board's debug port.
    pub fn into_probe(self) -> probe_rs::probe::Probe {
        probe_rs::probe::Probe::from_specific_probe(Box::new(EmulatorProbe::new(self.dap)))
    }
}
