//! A serial-wire debug port (SW-DP) with one memory access port (AHB-AP) at index 0, as ADIv5
//! describes them, in front of the core.

use super::core_debug::CoreDebug;
use super::machine::Machine;
use super::rom_table;
use std::io;

/// DPIDR of the SW-DP in a Cortex-M4.
const DPIDR: u32 = 0x2BA0_1477;
/// IDR of the AHB-AP in a Cortex-M4.
const AP_IDR: u32 = 0x2477_0011;
const POWER_UP_REQUESTS: u32 = 0x5000_0000;
const CSW_DEVICE_ENABLED: u32 = 1 << 6;
const CSW_RESET: u32 = 0x2300_0052;

// Registers of the access port.
const CSW: u32 = 0x00;
const TAR: u32 = 0x04;
const DRW: u32 = 0x0C;
const BD0: u32 = 0x10;
const BD3: u32 = 0x1C;
const BASE: u32 = 0xF8;
const IDR: u32 = 0xFC;

/// The two ports and the core behind them.
pub struct Dap<M> {
    core: CoreDebug<M>,
    select: u32,
    control: u32,
    csw: u32,
    tar: u32,
}

impl<M: Machine> Dap<M> {
    /// Ports in their state after power-up.
    pub fn new(core: CoreDebug<M>) -> Self {
        Self { core, select: 0, control: 0, csw: CSW_RESET, tar: 0 }
    }

    /// The core behind the ports.
    pub fn core(&mut self) -> &mut CoreDebug<M> {
        &mut self.core
    }

    /// Reads the debug-port register at `address` (bits 2 and 3).
    pub fn read_dp(&mut self, address: u8) -> u32 {
        match (address & 0xC, self.select & 0xF) {
            (0x0, _) => DPIDR,
            // A request for power is granted at once; the acknowledge bit is the one above.
            (0x4, 0) => self.control & 0x5000_0F00 | (self.control & POWER_UP_REQUESTS) << 1,
            _ => 0,
        }
    }

    /// Writes the debug-port register at `address`.
    pub fn write_dp(&mut self, address: u8, value: u32) {
        match address & 0xC {
            0x4 if self.select & 0xF == 0 => self.control = value,
            0x8 => self.select = value,
            _ => {}
        }
    }

    /// Reads the access-port register at `address` in the selected bank.
    pub fn read_ap(&mut self, address: u8) -> io::Result<u32> {
        if !self.is_ap0() {
            return Ok(0);
        }
        match self.ap_register(address) {
            CSW => Ok(self.csw | CSW_DEVICE_ENABLED),
            TAR => Ok(self.tar),
            DRW => {
                let mut value = [0];
                self.read_data(&mut value)?;
                Ok(value[0])
            }
            register @ BD0..=BD3 => self.core.read_word(self.tar & !0xF | register & 0xC),
            BASE => Ok(rom_table::BASE | 0b11),
            IDR => Ok(AP_IDR),
            _ => Ok(0),
        }
    }

    /// Writes the access-port register at `address` in the selected bank.
    pub fn write_ap(&mut self, address: u8, value: u32) -> io::Result<()> {
        if !self.is_ap0() {
            return Ok(());
        }
        match self.ap_register(address) {
            // Transfers are of 1, 2 or 4 bytes.
            CSW => self.csw = value & !7 | (value & 7).min(2),
            TAR => self.tar = value,
            DRW => self.write_data(&[value])?,
            register @ BD0..=BD3 => self.core.write_word(self.tar & !0xF | register & 0xC, value)?,
            _ => {}
        }
        Ok(())
    }

    /// Whether `address` is the data register of the access port, which has block forms.
    pub fn is_data(&self, address: u8) -> bool {
        self.is_ap0() && self.ap_register(address) == DRW
    }

    /// As many reads of the data register as `values` has places.
    pub fn read_data(&mut self, values: &mut [u32]) -> io::Result<()> {
        let size = self.transfer_bytes();
        // Without increment every read is of the same place, which may be a register that changes.
        let run = if self.increments() { values.len() } else { 1 };
        for group in values.chunks_mut(run.max(1)) {
            let mut bytes = vec![0; group.len() * size];
            self.core.read(self.tar, &mut bytes)?;
            for (value, chunk) in group.iter_mut().zip(bytes.chunks_exact(size)) {
                let mut word = [0; 4];
                word[..size].copy_from_slice(chunk);
                *value = u32::from_le_bytes(word) << self.lane_shift();
                self.advance(size);
            }
        }
        Ok(())
    }

    /// As many writes of the data register as `values` has places.
    pub fn write_data(&mut self, values: &[u32]) -> io::Result<()> {
        let size = self.transfer_bytes();
        let run = if self.increments() { values.len() } else { 1 };
        for group in values.chunks(run.max(1)) {
            let start = self.tar;
            let mut bytes = Vec::with_capacity(group.len() * size);
            for value in group {
                bytes.extend_from_slice(&(value >> self.lane_shift()).to_le_bytes()[..size]);
                self.advance(size);
            }
            self.core.write(start, &bytes)?;
        }
        Ok(())
    }

    fn is_ap0(&self) -> bool {
        self.select >> 24 == 0
    }

    fn ap_register(&self, address: u8) -> u32 {
        self.select & 0xF0 | u32::from(address & 0xC)
    }

    fn transfer_bytes(&self) -> usize {
        1 << (self.csw & 7)
    }

    fn increments(&self) -> bool {
        self.csw >> 4 & 3 != 0
    }

    /// Narrow transfers use the byte lanes that the address selects.
    fn lane_shift(&self) -> u32 {
        self.tar % 4 * 8
    }

    fn advance(&mut self, size: usize) {
        if self.increments() {
            self.tar = self.tar.wrapping_add(size as u32);
        }
    }
}

#[cfg(test)]
#[path = "dap_tests.rs"]
mod tests;
