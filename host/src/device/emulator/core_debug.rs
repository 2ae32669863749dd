//! The debug registers of a Cortex-M (ARMv7-M ARM, part C1), in front of a [`Machine`]: run control
//! through DHCSR, core registers through DCRSR and DCRDR, vector catch through DEMCR, breakpoints
//! through the flash patch unit, reset through AIRCR. A debugger sees the memory map of a real chip:
//! what is not a debug register goes to the machine.
//!
//! Where QEMU and silicon differ:
//! - On `BKPT` a core under debug halts, while QEMU faults: a breakpoint stands on each such
//!   instruction (`breakpoints.rs`).
//! - A core that locks up makes QEMU abort: it is *parked*, that is, called running and left stopped.

use super::breakpoints::{Breakpoints, is_bkpt};
use super::machine::{Machine, PC, XPSR};
use super::registers;
use super::rom_table;
use std::io;
use std::ops::Range;
use std::time::Duration;

const AIRCR: u32 = 0xE000_ED0C;
const VTOR: u32 = 0xE000_ED08;
const CPUID: u32 = 0xE000_ED00;
const DFSR: u32 = 0xE000_ED30;
const DHCSR: u32 = 0xE000_EDF0;
const DCRSR: u32 = 0xE000_EDF4;
const DCRDR: u32 = 0xE000_EDF8;
const DEMCR: u32 = 0xE000_EDFC;

const DHCSR_KEY: u32 = 0xA05F;
const C_DEBUGEN: u32 = 1;
const C_HALT: u32 = 1 << 1;
const C_STEP: u32 = 1 << 2;
const C_MASKINTS: u32 = 1 << 3;
const S_REGRDY: u32 = 1 << 16;
const S_HALT: u32 = 1 << 17;
const S_RESET_ST: u32 = 1 << 25;

const AIRCR_KEY: u32 = 0x05FA;
const SYSRESETREQ: u32 = 1 << 2;
const VC_CORERESET: u32 = 1;
const VC_HARDERR: u32 = 1 << 10;

const DFSR_HALTED: u32 = 1;
const DFSR_BKPT: u32 = 1 << 1;
const DFSR_VCATCH: u32 = 1 << 3;

/// Bit of xPSR that says the core executes Thumb; without it, a Cortex-M locks up.
const THUMB: u64 = 1 << 24;
/// Above this no code runs, but a return address of the form 0xFFFFFFF1 can stand in the PC.
const CODE_END: u32 = 0xE000_0000;

const STOP_TIMEOUT: Duration = Duration::from_secs(5);
const STEP_TIMEOUT: Duration = Duration::from_millis(200);

/// The core as a debugger sees it.
pub struct CoreDebug<M> {
    machine: M,
    breakpoints: Breakpoints,
    cpuid: u32,
    is_v6m: bool,
    is_running: bool,
    /// Called running, but stopped in the emulator: it would lock up.
    is_parked: bool,
    was_reset: bool,
    debug_enabled: bool,
    mask_interrupts: bool,
    dfsr: u32,
    dcrdr: u32,
    demcr: u32,
}

impl<M: Machine> CoreDebug<M> {
    /// Takes a stopped machine whose program can lie in `code`.
    pub fn new(mut machine: M, code: Range<u32>) -> io::Result<Self> {
        let mut id = [0; 4];
        machine.read_stopped(CPUID, &mut id)?;
        let cpuid = u32::from_le_bytes(id);
        // Cortex-M0 and M0+.
        let is_v6m = matches!(cpuid >> 4 & 0xFFF, 0xC20 | 0xC60);
        Ok(Self {
            machine,
            breakpoints: Breakpoints::new(code, is_v6m),
            cpuid,
            is_v6m,
            is_running: false,
            is_parked: false,
            was_reset: false,
            debug_enabled: false,
            mask_interrupts: false,
            dfsr: 0,
            dcrdr: 0,
            demcr: 0,
        })
    }

    /// The machine behind the model.
    pub fn machine(&self) -> &M {
        &self.machine
    }

    /// Reads bytes; debug registers and the private bus are read by whole words.
    pub fn read(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        if address >> 28 != 0xE && (data.len() != 4 || !address.is_multiple_of(4)) {
            return self.machine.read_live(address, data);
        }
        let mut position = address;
        let mut rest = data;
        while !rest.is_empty() {
            let word = self.read_word(position & !3)?.to_le_bytes();
            let offset = (position % 4) as usize;
            let count = rest.len().min(4 - offset);
            let (now, later) = rest.split_at_mut(count);
            now.copy_from_slice(&word[offset..offset + count]);
            rest = later;
            position = position.wrapping_add(count as u32);
        }
        Ok(())
    }

    /// Writes bytes; on the private bus only whole words.
    pub fn write(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        if address >> 28 != 0xE && (data.len() != 4 || !address.is_multiple_of(4)) {
            self.breakpoints.memory_changed(address, data.len());
            return self.machine.write_live(address, data);
        }
        let mut position = address;
        for word in data.chunks_exact(4) {
            self.write_word(position, u32::from_le_bytes([word[0], word[1], word[2], word[3]]))?;
            position = position.wrapping_add(4);
        }
        Ok(())
    }

    /// Reads an aligned word.
    pub fn read_word(&mut self, address: u32) -> io::Result<u32> {
        if let Some(value) = self.breakpoints.read_unit(address) {
            return Ok(value);
        }
        if let Some(value) = rom_table::read(address, self.cpuid) {
            return Ok(value);
        }
        match address {
            DHCSR => self.read_dhcsr(),
            DCRSR => Ok(0),
            DCRDR => Ok(self.dcrdr),
            DEMCR => Ok(self.demcr),
            DFSR => Ok(self.dfsr),
            // The stub reads in the core's own security state, qtest as non-secure.
            _ if address >> 28 == 0xE && (!self.is_running || self.is_parked) => self.read_word_stopped(address),
            _ => self.machine.read_word_live(address),
        }
    }

    /// Writes an aligned word.
    pub fn write_word(&mut self, address: u32, value: u32) -> io::Result<()> {
        if self.breakpoints.write_unit(address, value) {
            return Ok(());
        }
        match address {
            DHCSR if value >> 16 == DHCSR_KEY => self.write_dhcsr(value),
            DHCSR => Ok(()),
            DCRSR => self.write_dcrsr(value),
            DCRDR => {
                self.dcrdr = value;
                Ok(())
            }
            DEMCR => {
                self.demcr = value;
                Ok(())
            }
            DFSR => {
                self.dfsr &= !value;
                Ok(())
            }
            AIRCR if value >> 16 == AIRCR_KEY && value & SYSRESETREQ != 0 => self.reset(),
            _ => {
                self.breakpoints.memory_changed(address, 4);
                self.machine.write_word_live(address, value)
            }
        }
    }

    /// Resets the core, which then runs unless reset is to be caught.
    pub fn reset(&mut self) -> io::Result<()> {
        self.assert_reset()?;
        self.release_reset()
    }

    /// Resets the core and keeps it from running.
    pub fn assert_reset(&mut self) -> io::Result<()> {
        if self.is_running {
            self.halt()?;
        }
        self.machine.reset()?;
        self.breakpoints.all_memory_changed();
        self.dfsr = 0;
        Ok(())
    }

    /// Lets the core run from reset, or halts it there when DEMCR asks for that.
    pub fn release_reset(&mut self) -> io::Result<()> {
        self.was_reset = true;
        if self.debug_enabled && self.demcr & VC_CORERESET != 0 {
            self.dfsr |= DFSR_VCATCH;
            return Ok(());
        }
        self.resume()
    }

    fn read_word_stopped(&mut self, address: u32) -> io::Result<u32> {
        let mut word = [0; 4];
        self.machine.read_stopped(address, &mut word)?;
        Ok(u32::from_le_bytes(word))
    }

    fn read_dhcsr(&mut self) -> io::Result<u32> {
        self.poll()?;
        let mut value = S_REGRDY;
        value |= if self.debug_enabled { C_DEBUGEN } else { 0 };
        value |= if self.mask_interrupts { C_MASKINTS } else { 0 };
        value |= if self.is_running { 0 } else { S_HALT | C_HALT };
        value |= if std::mem::take(&mut self.was_reset) { S_RESET_ST } else { 0 };
        Ok(value)
    }

    fn write_dhcsr(&mut self, value: u32) -> io::Result<()> {
        self.poll()?;
        self.debug_enabled = value & C_DEBUGEN != 0;
        self.mask_interrupts = value & C_MASKINTS != 0;
        let (halt, step) = (value & C_HALT != 0, value & C_STEP != 0);
        match (self.is_running, self.debug_enabled) {
            (true, true) if halt => self.halt(),
            (false, true) if !halt && step => self.step(),
            (false, true) if halt => Ok(()),
            (false, _) => self.resume(),
            (true, _) => Ok(()),
        }
    }

    fn write_dcrsr(&mut self, value: u32) -> io::Result<()> {
        if self.is_running {
            return Ok(());
        }
        const REGWNR: u32 = 1 << 16;
        let selector = value & 0x7F;
        if value & REGWNR != 0 {
            registers::write(&mut self.machine, selector, self.dcrdr, self.is_v6m)
        } else {
            self.dcrdr = registers::read(&mut self.machine, selector, self.is_v6m)?;
            Ok(())
        }
    }

    fn halt(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.is_parked) {
            self.is_running = false;
            self.dfsr |= DFSR_HALTED;
            return Ok(());
        }
        self.machine.interrupt()?;
        let trapped = self
            .machine
            .wait_for_stop(STOP_TIMEOUT)?
            .ok_or_else(|| io::Error::new(io::ErrorKind::TimedOut, "the emulated core does not stop"))?;
        self.stopped(trapped, DFSR_HALTED)
    }

    fn step(&mut self) -> io::Result<()> {
        let pc = self.machine.register(PC)? as u32;
        if is_bkpt(&mut self.machine, pc) {
            self.dfsr |= DFSR_BKPT;
            return Ok(());
        }
        if self.would_lock_up(pc)? {
            self.dfsr |= DFSR_HALTED;
            return Ok(());
        }
        self.machine.step()?;
        self.is_running = true;
        match self.machine.wait_for_stop(STEP_TIMEOUT)? {
            Some(_) => {
                self.is_running = false;
                self.dfsr |= DFSR_HALTED;
                Ok(())
            }
            // The step went into a wait for an interrupt.
            None => self.halt(),
        }
    }

    fn resume(&mut self) -> io::Result<()> {
        let pc = self.machine.register(PC)? as u32;
        let at_bkpt = is_bkpt(&mut self.machine, pc);
        if self.debug_enabled && at_bkpt {
            self.dfsr |= DFSR_BKPT;
            return Ok(());
        }
        // Without a debugger, BKPT is a fault, and a fault without a handler is a lock-up.
        let cannot_fault = !self.debug_enabled && (at_bkpt || self.hard_fault_handler()?.is_none());
        self.is_running = true;
        if cannot_fault || self.would_lock_up(pc)? {
            self.is_parked = true;
            return Ok(());
        }
        let caught = if self.demcr & VC_HARDERR != 0 { self.hard_fault_handler()? } else { None };
        self.breakpoints.apply(&mut self.machine, self.debug_enabled, caught)?;
        self.machine.resume()
    }

    fn would_lock_up(&mut self, pc: u32) -> io::Result<bool> {
        Ok(pc >= CODE_END || self.machine.register(XPSR)? & THUMB == 0)
    }

    /// Address of the HardFault handler, if the vector table holds a plausible one.
    fn hard_fault_handler(&mut self) -> io::Result<Option<u32>> {
        let table = self.read_word_stopped(VTOR)?;
        let handler = self.read_word_stopped(table.wrapping_add(12)).unwrap_or(0);
        Ok((handler & 1 != 0 && handler < CODE_END).then_some(handler & !1))
    }

    /// Notices that a running core has stopped by itself.
    fn poll(&mut self) -> io::Result<()> {
        if self.is_running
            && !self.is_parked
            && let Some(trapped) = self.machine.wait_for_stop(Duration::ZERO)?
        {
            self.stopped(trapped, DFSR_BKPT)?;
        }
        Ok(())
    }

    /// Notes why the core stopped.
    fn stopped(&mut self, trapped: bool, otherwise: u32) -> io::Result<()> {
        self.is_running = false;
        if !trapped {
            self.dfsr |= otherwise;
            return Ok(());
        }
        let pc = self.machine.register(PC)? as u32;
        let caught =
            self.demcr & VC_HARDERR != 0 && !is_bkpt(&mut self.machine, pc) && self.hard_fault_handler()? == Some(pc);
        self.dfsr |= if caught { DFSR_VCATCH } else { DFSR_BKPT };
        Ok(())
    }
}

#[cfg(test)]
#[path = "core_debug_tests.rs"]
mod tests;
