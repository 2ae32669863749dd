//! A machine without QEMU for the tests of the debug model: memory, registers, and a core that
//! "executes" by moving its program counter from halfword to halfword.

use super::machine::{Machine, PC, XPSR};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

/// Address of the HardFault handler in the fake's vector table.
pub const HARD_FAULT: u32 = 0x200;
/// Where the fake starts from reset.
pub const RESET: u32 = 0x100;

/// The machine; its fields tell the tests what happened.
pub struct Fake {
    pub memory: BTreeMap<u32, u8>,
    pub registers: [u64; 64],
    pub breakpoints: BTreeSet<u32>,
    pub is_running: bool,
    pub resets: u32,
    pub steps: u32,
    /// A running core ends up here, if nothing stops it before.
    pub runs_until: u32,
    interrupted: bool,
}

impl Fake {
    /// A Cortex-M4 with a vector table and `program` at [`RESET`].
    pub fn new(program: &[u16]) -> Self {
        let mut fake = Self {
            memory: BTreeMap::new(),
            registers: [0; 64],
            breakpoints: BTreeSet::new(),
            is_running: false,
            resets: 0,
            steps: 0,
            runs_until: 0x1000,
            interrupted: false,
        };
        fake.poke(0xE000_ED00, 0x410F_C241);
        fake.poke(4, RESET | 1);
        fake.poke(12, HARD_FAULT | 1);
        for (address, half) in (RESET..).step_by(2).zip(program) {
            fake.memory.extend((address..).zip(half.to_le_bytes()));
        }
        fake.registers[PC as usize] = RESET.into();
        fake.registers[XPSR as usize] = 1 << 24;
        fake
    }

    /// Writes a word.
    pub fn poke(&mut self, address: u32, value: u32) {
        self.memory.extend((address..).zip(value.to_le_bytes()));
    }

    fn assert_stopped(&self) {
        assert!(!self.is_running, "the stub must be left alone while the core runs");
    }

    fn get(&self, address: u32, data: &mut [u8]) {
        for (place, byte) in (address..).zip(data) {
            *byte = self.memory.get(&place).copied().unwrap_or(0);
        }
    }
}

impl Machine for Fake {
    fn register(&mut self, number: u32) -> io::Result<u64> {
        self.assert_stopped();
        Ok(self.registers[number as usize])
    }
    fn set_register(&mut self, number: u32, value: u64, _: usize) -> io::Result<()> {
        self.assert_stopped();
        self.registers[number as usize] = value;
        Ok(())
    }
    fn read_stopped(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        self.assert_stopped();
        self.get(address, data);
        Ok(())
    }
    fn write_stopped(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.assert_stopped();
        self.memory.extend((address..).zip(data.iter().copied()));
        Ok(())
    }
    fn read_live(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        self.get(address, data);
        Ok(())
    }
    fn write_live(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        self.memory.extend((address..).zip(data.iter().copied()));
        Ok(())
    }
    fn read_word_live(&mut self, address: u32) -> io::Result<u32> {
        let mut word = [0; 4];
        self.get(address, &mut word);
        Ok(u32::from_le_bytes(word))
    }
    fn write_word_live(&mut self, address: u32, value: u32) -> io::Result<()> {
        self.poke(address, value);
        Ok(())
    }
    fn insert_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.assert_stopped();
        assert!(self.breakpoints.insert(address), "set twice: {address:#x}");
        Ok(())
    }
    fn remove_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.assert_stopped();
        assert!(self.breakpoints.remove(&address), "was not set: {address:#x}");
        Ok(())
    }
    fn reset(&mut self) -> io::Result<()> {
        self.assert_stopped();
        self.resets += 1;
        self.registers[PC as usize] = RESET.into();
        Ok(())
    }
    fn resume(&mut self) -> io::Result<()> {
        self.assert_stopped();
        self.is_running = true;
        Ok(())
    }
    fn step(&mut self) -> io::Result<()> {
        self.assert_stopped();
        self.steps += 1;
        // `mrs r0, msp` and `mrs r0, msp_ns`, the instructions that the tests have injected.
        let pc = self.registers[PC as usize] as u32;
        let mut instruction = [0; 4];
        self.get(pc, &mut instruction);
        match instruction {
            [0xEF, 0xF3, 8, 0x80] => self.registers[0] = 0x2000_4000,
            [0xEF, 0xF3, 0x88, 0x80] => self.registers[0] = 0x2000_8000,
            _ => {}
        }
        self.registers[PC as usize] += 2;
        Ok(())
    }
    fn interrupt(&mut self) -> io::Result<()> {
        self.interrupted = true;
        Ok(())
    }
    fn wait_for_stop(&mut self, _: Duration) -> io::Result<Option<bool>> {
        if !self.is_running {
            return Ok(Some(true));
        }
        let pc = self.registers[PC as usize] as u32;
        let next = self.breakpoints.range(pc + 1..=self.runs_until).next().copied();
        if let Some(address) = next {
            self.registers[PC as usize] = address.into();
        } else if std::mem::take(&mut self.interrupted) {
            self.registers[PC as usize] = self.runs_until.into();
        } else {
            return Ok(None);
        }
        self.is_running = false;
        Ok(Some(next.is_some()))
    }
}
