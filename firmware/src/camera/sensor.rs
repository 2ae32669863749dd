//! Registers of a sensor, over I²C.

use super::Error;
use core::marker::PhantomData;
use embedded_hal::i2c::I2c;

/// How a sensor numbers its registers.
pub trait Register: Copy + Into<u16> {
    /// Bytes of a number on the wire, the higher first.
    const BYTES: usize;
    /// Whether a register is read in one go, with a second start in its middle. OmniVision's bus (SCCB) knows no second
    /// start: there a read is two transfers.
    const HAS_REPEATED_START: bool;
}

impl Register for u8 {
    const BYTES: usize = 1;
    const HAS_REPEATED_START: bool = false;
}

impl Register for u16 {
    const BYTES: usize = 2;
    const HAS_REPEATED_START: bool = true;
}

/// A sensor at its address (of seven bits), with registers numbered by `R`.
pub struct Sensor<I, R> {
    bus: I,
    address: u8,
    register: PhantomData<R>,
}

impl<I: I2c, R: Register> Sensor<I, R> {
    pub fn new(bus: I, address: u8) -> Self {
        Self { bus, address, register: PhantomData }
    }

    pub fn write(&mut self, register: R, value: u8) -> Result<(), Error> {
        let [high, low] = register.into().to_be_bytes();
        self.bus.write(self.address, &[high, low, value][2 - R::BYTES..]).map_err(of_bus)
    }

    /// Writes register by register, in order.
    pub fn write_all(&mut self, values: &[(R, u8)]) -> Result<(), Error> {
        values.iter().try_for_each(|(register, value)| self.write(*register, *value))
    }

    pub fn read(&mut self, register: R) -> Result<u8, Error> {
        let number = register.into().to_be_bytes();
        let number = &number[2 - R::BYTES..];
        let mut value = [0];
        if R::HAS_REPEATED_START {
            self.bus.write_read(self.address, number, &mut value).map_err(of_bus)?;
        } else {
            self.bus.write(self.address, number).map_err(of_bus)?;
            self.bus.read(self.address, &mut value).map_err(of_bus)?;
        }
        Ok(value[0])
    }

    /// Checks that the identity in two registers, the higher byte first, is one of those known.
    pub fn identify(&mut self, registers: [R; 2], known: &[u16]) -> Result<(), Error> {
        let [high, low] = [self.read(registers[0])?, self.read(registers[1])?];
        let found = u16::from_be_bytes([high, low]);
        if known.contains(&found) { Ok(()) } else { Err(Error::WrongChip { found }) }
    }
}

fn of_bus(error: impl embedded_hal::i2c::Error) -> Error {
    Error::I2c(error.kind())
}
