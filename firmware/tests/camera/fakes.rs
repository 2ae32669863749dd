//! Chips as a driver sees them.

use embedded_hal::delay::DelayNs;
use embedded_hal::{i2c, spi};
use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;

/// Counts how long was waited, in nanoseconds.
#[derive(Clone, Default)]
pub struct Clock(Rc<Cell<u64>>);

impl Clock {
    pub fn ms(&self) -> u64 {
        self.0.get() / 1_000_000
    }
}

impl DelayNs for Clock {
    fn delay_ns(&mut self, ns: u32) {
        self.0.set(self.0.get() + u64::from(ns));
    }
}

/// A sensor: registers, and what a reset does to them.
pub struct Sensor {
    pub address: u8,
    /// By bank and number.
    pub registers: HashMap<(u8, u16), u8>,
    pub identity: HashMap<u16, u8>,
    /// Bytes of a register's number.
    pub number_bytes: usize,
    /// Register that chooses a bank.
    pub bank_register: Option<u16>,
    /// Register and value that reset all others.
    pub reset: (u16, u8),
    /// Transfers that work; all after them are not acknowledged.
    pub transfers_left: usize,
    bank: u8,
    number: u16,
}

impl Sensor {
    pub fn ov2640(identity: [u8; 2]) -> Self {
        Self {
            address: 0x30,
            identity: [0x0A, 0x0B].into_iter().zip(identity).collect(),
            number_bytes: 1,
            bank_register: Some(0xFF),
            reset: (0x12, 0x80),
            registers: HashMap::new(),
            transfers_left: usize::MAX,
            bank: 0,
            number: 0,
        }
    }

    pub fn ov7670() -> Self {
        let identity = [(0x0A, 0x76), (0x0B, 0x73)].into();
        Self { address: 0x21, identity, bank_register: None, ..Self::ov2640([0; 2]) }
    }

    pub fn hm01b0() -> Self {
        let identity = [(0x0000, 0x01), (0x0001, 0xB0)].into();
        Self { address: 0x24, identity, number_bytes: 2, reset: (0x0103, 0x01), ..Self::ov7670() }
    }

    /// What was last written to a register of a bank.
    pub fn value(&self, bank: u8, number: u16) -> Option<u8> {
        self.registers.get(&(bank, number)).copied()
    }

    fn write(&mut self, value: u8) {
        if self.bank_register == Some(self.number) {
            self.bank = value;
        } else if self.reset == (self.number, value) {
            self.registers.clear();
        } else {
            self.registers.insert((self.bank, self.number), value);
        }
    }
}

impl i2c::ErrorType for Sensor {
    type Error = i2c::ErrorKind;
}

impl i2c::I2c for Sensor {
    fn transaction(&mut self, address: u8, operations: &mut [i2c::Operation<'_>]) -> Result<(), i2c::ErrorKind> {
        if address != self.address || self.transfers_left == 0 {
            return Err(i2c::ErrorKind::NoAcknowledge(i2c::NoAcknowledgeSource::Address));
        }
        self.transfers_left -= 1;
        for operation in operations {
            match operation {
                i2c::Operation::Write(bytes) => {
                    let (number, values) = bytes.split_at(self.number_bytes);
                    self.number = number.iter().fold(0, |number, byte| number << 8 | u16::from(*byte));
                    values.iter().for_each(|value| self.write(*value));
                }
                i2c::Operation::Read(bytes) => {
                    let stored = self.registers.get(&(self.bank, self.number));
                    bytes.fill(*self.identity.get(&self.number).or(stored).unwrap_or(&0));
                }
            }
        }
        Ok(())
    }
}

/// An ArduChip with a frame that it has captured, or is about to.
pub struct ArduChip {
    /// What it says that it holds.
    pub length: u32,
    /// What it holds; zeros follow.
    pub fifo: Vec<u8>,
    /// Times that it says it is not done yet.
    pub polls: u32,
    /// Transactions that work.
    pub transactions_left: usize,
    /// Whether a burst begins with a byte of garbage, which has to be dropped.
    pub begins_late: bool,
    registers: [u8; 128],
    place: usize,
}

impl ArduChip {
    pub fn new(length: u32, fifo: Vec<u8>) -> Self {
        let (polls, transactions_left, begins_late) = (0, usize::MAX, false);
        Self { length, fifo, polls, transactions_left, begins_late, registers: [0; 128], place: 0 }
    }

    fn read(&mut self, register: u8, bytes: &mut [u8]) {
        if register == 0x3C {
            let frame = self.fifo.iter().copied().skip(self.place).chain(std::iter::repeat(0));
            bytes.iter_mut().zip(frame).for_each(|(byte, value)| *byte = value);
            self.place += bytes.len();
            return;
        }
        bytes.fill(match register {
            0x41 if self.polls > 0 => {
                self.polls -= 1;
                0
            }
            0x41 => 0x08,
            // The highest bit of the length is another register's.
            0x42..=0x44 => (self.length | 0x80_0000).to_le_bytes()[usize::from(register - 0x42)],
            _ => self.registers[usize::from(register)],
        });
    }
}

impl spi::ErrorType for ArduChip {
    type Error = spi::ErrorKind;
}

impl spi::SpiDevice for ArduChip {
    fn transaction(&mut self, operations: &mut [spi::Operation<'_, u8>]) -> Result<(), spi::ErrorKind> {
        self.transactions_left = self.transactions_left.checked_sub(1).ok_or(spi::ErrorKind::Overrun)?;
        match operations {
            [spi::Operation::Write([command, value])] => {
                assert!(*command >= 0x80, "a write without its bit");
                self.registers[usize::from(command & 0x7F)] = *value;
            }
            [spi::Operation::Write([register]), spi::Operation::Read(bytes)] => self.read(*register, bytes),
            [spi::Operation::Write([0x3C, _]), spi::Operation::Read(bytes)] if self.begins_late => {
                self.read(0x3C, bytes)
            }
            _ => panic!("the chip knows no such command: {operations:?}"),
        }
        Ok(())
    }
}
