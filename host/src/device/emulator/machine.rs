//! What the debug model needs of an emulated machine: [`Machine`], and QEMU as one.

use super::MachineSpec;
use super::gdb::Gdb;
use super::qemu::Qemu;
use super::qtest::Qtest;
use anyhow::{Context, Result};
use std::io;
use std::path::Path;
use std::time::Duration;

/// QEMU's number of r14, the link register.
pub const LR: u32 = 14;
/// QEMU's number of r15, the program counter.
pub const PC: u32 = 15;
/// QEMU's number of the program status register.
pub const XPSR: u32 = 25;
/// QEMU's number of d0, the first double-precision register.
pub const D0: u32 = 26;
/// QEMU's number of the floating-point status register.
pub const FPSCR: u32 = 42;

/// A machine with one Cortex-M core that runs or is stopped.
///
/// The methods called `*_stopped`, and those for registers and breakpoints, want a stopped core.
pub trait Machine: Send {
    /// Reads a register by QEMU's number.
    fn register(&mut self, number: u32) -> io::Result<u64>;
    /// Writes a register of `bytes` bytes.
    fn set_register(&mut self, number: u32, value: u64, bytes: usize) -> io::Result<()>;
    /// Reads memory as the core sees it in its present security state.
    fn read_stopped(&mut self, address: u32, data: &mut [u8]) -> io::Result<()>;
    /// Writes memory, read-only memory included; has no effect on peripherals.
    fn write_stopped(&mut self, address: u32, data: &[u8]) -> io::Result<()>;
    /// Reads memory over the bus, whether the core runs or not.
    fn read_live(&mut self, address: u32, data: &mut [u8]) -> io::Result<()>;
    /// Writes memory over the bus, whether the core runs or not.
    fn write_live(&mut self, address: u32, data: &[u8]) -> io::Result<()>;
    /// Reads an aligned word over the bus with one access.
    fn read_word_live(&mut self, address: u32) -> io::Result<u32>;
    /// Writes an aligned word over the bus with one access.
    fn write_word_live(&mut self, address: u32, value: u32) -> io::Result<()>;
    /// Sets a breakpoint by address.
    fn insert_breakpoint(&mut self, address: u32) -> io::Result<()>;
    /// Removes a breakpoint.
    fn remove_breakpoint(&mut self, address: u32) -> io::Result<()>;
    /// Resets the machine, which stays stopped.
    fn reset(&mut self) -> io::Result<()>;
    /// Lets the core run.
    fn resume(&mut self) -> io::Result<()>;
    /// Starts one step.
    fn step(&mut self) -> io::Result<()>;
    /// Asks a running core to stop.
    fn interrupt(&mut self) -> io::Result<()>;
    /// Waits until the core stops; `None` when it still runs after `timeout`, else whether the
    /// reason was a breakpoint or a finished step.
    fn wait_for_stop(&mut self, timeout: Duration) -> io::Result<Option<bool>>;
}

/// A QEMU process and the two connections to it.
pub struct QemuMachine {
    gdb: Gdb,
    qtest: Qtest,
    /// Dropped last: ends the process.
    process: Qemu,
}

impl QemuMachine {
    /// Starts `program` with `more` arguments and connects; the core is stopped at reset.
    pub fn start(program: &Path, spec: &MachineSpec, more: &[String]) -> Result<Self> {
        let process = Qemu::start(program, spec, more)?;
        let has_ended = || process.has_ended();
        let connections = Gdb::connect(&process.gdb_socket(), &has_ended)
            .and_then(|gdb| Ok((gdb, Qtest::connect(&process.qtest_socket(), &has_ended)?)));
        let (gdb, qtest) = connections
            .with_context(|| format!("the emulated machine {} did not start: {}", spec.name, process.last_words()))?;
        Ok(Self { gdb, qtest, process })
    }

    /// Whether the emulator has ended.
    pub fn has_ended(&self) -> bool {
        self.process.has_ended()
    }

    /// Process id of the emulator.
    pub fn process_id(&self) -> Option<u32> {
        self.process.process_id()
    }
}

impl Machine for QemuMachine {
    fn register(&mut self, number: u32) -> io::Result<u64> {
        self.gdb.register(number)
    }
    fn set_register(&mut self, number: u32, value: u64, bytes: usize) -> io::Result<()> {
        self.gdb.set_register(number, value, bytes)
    }
    fn read_stopped(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        self.gdb.read(address, data)
    }
    fn write_stopped(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.gdb.write(address, data)
    }
    fn read_live(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        self.qtest.read(address, data)
    }
    fn write_live(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.qtest.write(address, data)
    }
    fn read_word_live(&mut self, address: u32) -> io::Result<u32> {
        self.qtest.read_word(address)
    }
    fn write_word_live(&mut self, address: u32, value: u32) -> io::Result<()> {
        self.qtest.write_word(address, value)
    }
    fn insert_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.gdb.insert_breakpoint(address)
    }
    fn remove_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.gdb.remove_breakpoint(address)
    }
    fn reset(&mut self) -> io::Result<()> {
        self.gdb.reset()
    }
    fn resume(&mut self) -> io::Result<()> {
        self.gdb.resume()
    }
    fn step(&mut self) -> io::Result<()> {
        self.gdb.step()
    }
    fn interrupt(&mut self) -> io::Result<()> {
        self.gdb.interrupt()
    }
    fn wait_for_stop(&mut self, timeout: Duration) -> io::Result<Option<bool>> {
        self.gdb.wait_for_stop(timeout)
    }
}
