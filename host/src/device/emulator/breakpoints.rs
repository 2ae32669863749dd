//! Where the emulated core must stop: at the comparators of the flash patch and breakpoint unit
//! (ARMv7-M ARM, C1.11), at each `BKPT` instruction, at a caught vector.

use super::machine::{LR, Machine};
use std::collections::BTreeSet;
use std::io;
use std::ops::Range;

/// FP_CTRL; the comparators follow 8 bytes behind.
const FP_CTRL: u32 = 0xE000_2000;
const FP_COMP0: u32 = FP_CTRL + 8;
const COMPARATORS: usize = 8;
/// FP_CTRL: revision 2 of the unit, whose comparators hold a whole address.
const REVISION_2: u32 = 1 << 28;
const KEY: u32 = 1 << 1;
const ENABLE: u32 = 1;

/// The unit, and what is set in the machine on its behalf.
pub struct Breakpoints {
    code: Range<u32>,
    is_v6m: bool,
    is_enabled: bool,
    comparators: [u32; COMPARATORS],
    /// Addresses of the `BKPT` instructions in `code`, as of the last scan.
    bkpts: BTreeSet<u32>,
    is_stale: bool,
    inserted: BTreeSet<u32>,
}

impl Breakpoints {
    /// `BKPT` instructions are looked for in `code`.
    pub fn new(code: Range<u32>, is_v6m: bool) -> Self {
        Self {
            code,
            is_v6m,
            is_enabled: false,
            comparators: [0; COMPARATORS],
            bkpts: BTreeSet::new(),
            is_stale: true,
            inserted: BTreeSet::new(),
        }
    }

    /// Value of a register of the unit; `None` where `address` is none.
    pub fn read_unit(&self, address: u32) -> Option<u32> {
        if address == FP_CTRL {
            let revision = if self.is_v6m { 0 } else { REVISION_2 };
            return Some(revision | (COMPARATORS as u32) << 4 | u32::from(self.is_enabled));
        }
        comparator(address).map(|index| self.comparators[index])
    }

    /// Writes a register of the unit; false where `address` is none.
    pub fn write_unit(&mut self, address: u32, value: u32) -> bool {
        if address == FP_CTRL {
            if value & KEY != 0 {
                self.is_enabled = value & ENABLE != 0;
            }
            return true;
        }
        match comparator(address) {
            Some(index) => {
                self.comparators[index] = value;
                true
            }
            None => false,
        }
    }

    /// Notes a write, which may have brought or removed `BKPT` instructions.
    pub fn memory_changed(&mut self, address: u32, length: usize) {
        let end = u64::from(address) + length as u64;
        self.is_stale |= address < self.code.end && end > u64::from(self.code.start);
    }

    /// Notes that any memory may have changed.
    pub fn all_memory_changed(&mut self) {
        self.is_stale = true;
    }

    /// Sets in the stopped `machine` what a core under debug (or not) must stop at, `caught`
    /// (a vector's handler) included.
    pub fn apply(&mut self, machine: &mut impl Machine, debug_enabled: bool, caught: Option<u32>) -> io::Result<()> {
        let wanted = if debug_enabled { self.wanted(machine, caught)? } else { BTreeSet::new() };
        for &address in self.inserted.difference(&wanted) {
            machine.remove_breakpoint(address)?;
        }
        for &address in wanted.difference(&self.inserted) {
            machine.insert_breakpoint(address)?;
        }
        self.inserted = wanted;
        Ok(())
    }

    fn wanted(&mut self, machine: &mut impl Machine, caught: Option<u32>) -> io::Result<BTreeSet<u32>> {
        if self.is_stale {
            self.bkpts = scan(machine, &self.code)?;
            self.is_stale = false;
        }
        let mut wanted = self.bkpts.clone();
        wanted.extend(caught);
        // A flash algorithm, which lies in RAM, is entered with LR at a BKPT.
        let return_address = machine.register(LR)? as u32 & !1;
        if is_bkpt(machine, return_address) {
            wanted.insert(return_address);
        }
        if self.is_enabled {
            wanted.extend(self.comparators.iter().flat_map(|&value| self.addresses(value)));
        }
        Ok(wanted)
    }

    /// The addresses that a comparator stands for: revision 1 matches a word and chooses halves.
    fn addresses(&self, value: u32) -> Vec<u32> {
        if value & ENABLE == 0 {
            return Vec::new();
        }
        if !self.is_v6m {
            return vec![value & !1];
        }
        let word = value & 0x1FFF_FFFC;
        let lower = (value >> 30 & 1 != 0).then_some(word);
        let upper = (value >> 31 != 0).then_some(word | 2);
        lower.into_iter().chain(upper).collect()
    }
}

/// Whether a `BKPT` instruction (0xBExx) stands at `address`.
pub fn is_bkpt(machine: &mut impl Machine, address: u32) -> bool {
    let mut half = [0; 2];
    address < 0xE000_0000 && machine.read_stopped(address & !1, &mut half).is_ok() && half[1] == 0xBE
}

fn comparator(address: u32) -> Option<usize> {
    let index = address.checked_sub(FP_COMP0)? as usize / 4;
    (index < COMPARATORS).then_some(index)
}

/// Breakpoints patch nothing and are by address, so one on a halfword that is data, or the second
/// half of an instruction, is never met.
fn scan(machine: &mut impl Machine, code: &Range<u32>) -> io::Result<BTreeSet<u32>> {
    let mut bytes = vec![0; code.len()];
    machine.read_live(code.start, &mut bytes)?;
    let halves = bytes.chunks_exact(2).zip((code.start..).step_by(2));
    Ok(halves.filter(|(half, _)| half[1] == 0xBE).map(|(_, address)| address).collect())
}
