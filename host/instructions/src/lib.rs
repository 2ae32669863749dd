//! Thumb instructions by what they cost: a class for each encoding, and counts of those that a core executed.
//!
//! ```text
//! decode   halfwords → Instruction (its class and what of it changes its cost)
//! tally    executed instructions → Tally, a line of text between the plugin that counts and the host that reads
//! ```

#![deny(unsafe_code)]

mod decode;
mod tally;
#[cfg(test)]
mod tests;

pub use decode::{decode, is_wide};
pub use tally::{Count, Malformed, Tally, Watcher};

/// What kind of work an instruction is. Instructions of one class cost the same by the rules of Arm's manuals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Moves, additions, comparisons, logic, shifts, bit fields, extensions, saturation, and the same on two
    /// halfwords or four bytes at once.
    Alu,
    /// 32 bits of a product: MUL, MLA, MLS.
    Multiply,
    /// Products of the DSP extension with a result of 32 bits: halves, two halves at once, most significant words.
    DspMultiply,
    /// Products of 64 bits, those of halves among them.
    LongMultiply,
    /// SDIV and UDIV.
    Divide,
    /// One register; TBB and TBH as well, which jump to where they load from a table.
    Load,
    /// One register, at an address that needs no sum of registers.
    Store,
    /// One register, at the sum of two.
    StoreIndexed,
    /// Several registers: LDM, LDRD, POP.
    LoadMultiple,
    /// Several registers: STM, STRD, PUSH.
    StoreMultiple,
    /// B, BX, CBZ, CBNZ, taken or not; returns by BX among them.
    Branch,
    /// BL and BLX.
    Call,
    /// Arithmetic and moves of the floating-point unit.
    Float,
    /// Loads of floating-point registers, in words.
    FloatLoad,
    /// Stores of floating-point registers, in words.
    FloatStore,
    /// Helium's arithmetic.
    Vector,
    /// Helium's loads.
    VectorLoad,
    /// Helium's stores.
    VectorStore,
    /// Loops and predicates of Armv8.1-M: DLS, WLS, LE, LETP, VCTP.
    Loop,
    /// IT, NOP, hints, barriers, system registers, coprocessors.
    Other,
}

impl Class {
    /// Every class, each at the index that it has as a number.
    pub const ALL: [Self; 20] = [
        Self::Alu,
        Self::Multiply,
        Self::DspMultiply,
        Self::LongMultiply,
        Self::Divide,
        Self::Load,
        Self::Store,
        Self::StoreIndexed,
        Self::LoadMultiple,
        Self::StoreMultiple,
        Self::Branch,
        Self::Call,
        Self::Float,
        Self::FloatLoad,
        Self::FloatStore,
        Self::Vector,
        Self::VectorLoad,
        Self::VectorStore,
        Self::Loop,
        Self::Other,
    ];

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Alu => "alu",
            Self::Multiply => "multiply",
            Self::DspMultiply => "dsp_multiply",
            Self::LongMultiply => "long_multiply",
            Self::Divide => "divide",
            Self::Load => "load",
            Self::Store => "store",
            Self::StoreIndexed => "store_indexed",
            Self::LoadMultiple => "load_multiple",
            Self::StoreMultiple => "store_multiple",
            Self::Branch => "branch",
            Self::Call => "call",
            Self::Float => "float",
            Self::FloatLoad => "float_load",
            Self::FloatStore => "float_store",
            Self::Vector => "vector",
            Self::VectorLoad => "vector_load",
            Self::VectorStore => "vector_store",
            Self::Loop => "loop",
            Self::Other => "other",
        }
    }
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub class: Class,
    /// Words that it loads or stores, where its class is one of several registers or of floating-point ones; else 0.
    pub words: u8,
    /// The register that a [`Class::Load`] fills.
    pub loaded: Option<u8>,
    /// The registers that the address of a single load or store is made of, a bit each.
    pub address: u16,
}

impl Instruction {
    /// An instruction of which nothing but the class matters.
    const fn of(class: Class) -> Self {
        Self { class, words: 0, loaded: None, address: 0 }
    }

    /// One that moves so many words.
    const fn moving(class: Class, words: u32) -> Self {
        Self { words: words as u8, ..Self::of(class) }
    }

    /// A load of register `loaded` from an address made of the registers `address`.
    const fn load(loaded: u16, address: u16) -> Self {
        Self { loaded: Some(loaded as u8), address, ..Self::of(Class::Load) }
    }

    /// A store to an address made of the registers `address`.
    const fn store(address: u16) -> Self {
        let class = if address.count_ones() > 1 { Class::StoreIndexed } else { Class::Store };
        Self { address, ..Self::of(class) }
    }
}
