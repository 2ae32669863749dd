//! From encoding to class, after the tables of the Armv7-M and Armv8-M Architecture Reference Manuals ("The Thumb
//! Instruction Set Encoding"). Encodings that no core here executes fall where their neighbours do.

use crate::{Class, Instruction};

const SP: u16 = 13;
const PC: u16 = 15;

/// Whether an instruction that begins with this halfword has a second one.
pub const fn is_wide(first: u16) -> bool {
    first >= 0xE800
}

/// The instruction that begins with `first`; `second` counts where that [`is_wide`].
pub const fn decode(first: u16, second: u16) -> Instruction {
    if is_wide(first) { wide(first, second) } else { narrow(first) }
}

/// `count` bits of `word` from bit `low` on.
const fn bits(word: u16, low: u32, count: u32) -> u16 {
    (word >> low) & ((1 << count) - 1)
}

const fn bit(word: u16, index: u32) -> bool {
    bits(word, index, 1) == 1
}

/// An instruction of 16 bits.
const fn narrow(code: u16) -> Instruction {
    match code >> 12 {
        0x0..=0x3 => Instruction::of(Class::Alu),
        0x4 => match bits(code, 8, 4) {
            0x3 if bits(code, 6, 2) == 1 => Instruction::of(Class::Multiply),
            0x0..=0x6 => Instruction::of(Class::Alu),
            0x7 => Instruction::of(if bit(code, 7) { Class::Call } else { Class::Branch }),
            _ => Instruction::load(bits(code, 8, 3), 1 << PC),
        },
        0x5 => {
            let address = 1 << bits(code, 3, 3) | 1 << bits(code, 6, 3);
            if bits(code, 9, 3) < 3 { indexed_store(address) } else { Instruction::load(bits(code, 0, 3), address) }
        }
        0x6..=0x8 => single(bit(code, 11), bits(code, 0, 3), 1 << bits(code, 3, 3)),
        0x9 => single(bit(code, 11), bits(code, 8, 3), 1 << SP),
        0xA => Instruction::of(Class::Alu),
        0xB => miscellaneous(code),
        0xC => multiple(bit(code, 11), bits(code, 0, 8).count_ones()),
        0xD if bits(code, 9, 3) == 7 => Instruction::of(Class::Other), // UDF, SVC
        _ => Instruction::of(Class::Branch),
    }
}

/// 1011 …: what found no other place among 16 bits.
const fn miscellaneous(code: u16) -> Instruction {
    match bits(code, 8, 4) {
        0x1 | 0x3 | 0x9 | 0xB => Instruction::of(Class::Branch), // CBZ, CBNZ
        0x4 | 0x5 | 0xC | 0xD => multiple(bit(code, 11), bits(code, 0, 9).count_ones()), // PUSH, POP
        0x6 | 0xE | 0xF => Instruction::of(Class::Other),        // CPS, BKPT, IT and hints
        _ => Instruction::of(Class::Alu),                        // stack pointer, extensions, REV
    }
}

const fn single(is_load: bool, register: u16, address: u16) -> Instruction {
    if is_load { Instruction::load(register, address) } else { Instruction::store(address) }
}

/// A store to a sum of registers, which may be one register twice.
const fn indexed_store(address: u16) -> Instruction {
    Instruction { class: Class::StoreIndexed, ..Instruction::store(address) }
}

const fn multiple(is_load: bool, words: u32) -> Instruction {
    Instruction::moving(if is_load { Class::LoadMultiple } else { Class::StoreMultiple }, words)
}

/// An instruction of 32 bits.
const fn wide(first: u16, second: u16) -> Instruction {
    // Bit 12 tells 111x; bits 11 and 10 the rest of the main groups.
    match (bit(first, 12), bits(first, 10, 2)) {
        (_, 0b11) => coprocessor(first, second),
        (false, 0b10) if bit(first, 9) => Instruction::of(Class::Alu), // with a shifted register
        (false, _) if bit(first, 6) => pair_or_exclusive(first, second),
        (false, _) => multiple(bit(first, 4), second.count_ones()),
        (true, 0b00 | 0b01) if bit(second, 15) => control(first, second),
        (true, 0b00 | 0b01) => Instruction::of(Class::Alu), // with a constant
        (true, _) => single_or_register(first, second),
    }
}

/// 1110100xx1xxxxxx: LDRD and STRD, exclusive and ordered accesses, table branches.
const fn pair_or_exclusive(first: u16, second: u16) -> Instruction {
    let (is_load, base) = (bit(first, 4), 1 << bits(first, 0, 4));
    let is_pair = bit(first, 8) || bit(first, 5);
    let is_table = bit(first, 7) && bits(second, 5, 3) == 0 && is_load;
    match (is_pair, is_table) {
        (true, _) => multiple(is_load, 2),
        (false, true) => Instruction::load(PC, base | 1 << bits(second, 0, 4)),
        (false, false) => single(is_load, bits(second, 12, 4), base),
    }
}

/// 11110… 1…: branches, low-overhead loops, system registers and hints.
const fn control(first: u16, second: u16) -> Instruction {
    Instruction::of(match (bit(second, 14), bit(second, 12)) {
        (true, true) => Class::Call,
        (true, false) => Class::Loop,
        (false, true) => Class::Branch,
        (false, false) if bits(first, 7, 3) == 7 => Class::Other,
        (false, false) => Class::Branch,
    })
}

/// 111110…: loads and stores of one register, data processing between registers, products.
const fn single_or_register(first: u16, second: u16) -> Instruction {
    let base = bits(first, 0, 4);
    if !bit(first, 9) {
        let is_indexed = !bit(first, 7) && bits(second, 6, 6) == 0 && base != PC;
        let address = 1 << base | if is_indexed { 1 << bits(second, 0, 4) } else { 0 };
        return match (bit(first, 4), is_indexed) {
            (true, _) => Instruction::load(bits(second, 12, 4), address),
            (false, true) => indexed_store(address),
            (false, false) => Instruction::store(address),
        };
    }
    Instruction::of(match (bits(first, 7, 2), bits(first, 4, 3)) {
        (0b10, 0) => Class::Multiply,
        (0b10, _) => Class::DspMultiply,
        (0b11, 1 | 3) if bits(second, 4, 4) == 0xF => Class::Divide,
        (0b11, _) => Class::LongMultiply,
        _ => Class::Alu,
    })
}

/// 111x11…: the floating-point unit (coprocessors 10 and 11), Helium, and whatever else a core may have.
const fn coprocessor(first: u16, second: u16) -> Instruction {
    let (number, is_memory, is_load) = (bits(second, 8, 4), !bit(first, 9), bit(first, 4));
    let is_vector = bits(first, 8, 4) == 0xF || number >= 14 || (bit(first, 12) && number != 10 && number != 11);
    let is_move = bits(first, 5, 7) == 0b110_0010; // two core registers and two of the unit's
    let class = match (is_vector, is_memory && !is_move, is_load) {
        (true, true, true) => Class::VectorLoad,
        (true, true, false) => Class::VectorStore,
        (true, false, _) => Class::Vector,
        (false, true, true) => Class::FloatLoad,
        (false, true, false) => Class::FloatStore,
        (false, false, _) => Class::Float,
    };
    if !is_vector && number != 10 && number != 11 {
        return Instruction::of(Class::Other);
    }
    match class {
        Class::FloatLoad | Class::FloatStore => {
            let is_one = bit(first, 8) && !bit(first, 5);
            let words = if is_one { number as u32 - 9 } else { bits(second, 0, 8) as u32 };
            Instruction::moving(class, words)
        }
        class => Instruction::of(class),
    }
}
