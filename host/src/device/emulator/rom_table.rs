//! The CoreSight ROM table (ADIv5, part D) by which a debugger finds the units of the core, and the
//! identification registers of the units, which the emulator itself has not got or not right.

/// Where the table lies.
pub const BASE: u32 = 0xE00F_F000;
const SCS: u32 = 0xE000_E000;
const FPB: u32 = 0xE000_2000;
const PRESENT: u32 = 0b11;

// Classes of components.
const TABLE: u32 = 1;
const CORESIGHT: u32 = 9;
const GENERIC: u32 = 14;

/// DEVARCH of Arm's debug architecture for ARMv8-M and of its breakpoint unit, version 2.
const ARCHITECTURE_SCS: u32 = 0x4770_2A04;
const ARCHITECTURE_FPB: u32 = 0x4770_1A03;
/// Offset of the registers that are the same in all: PIDR4 to 7, PIDR0 to 3, CIDR0 to 3.
const IDENTIFICATION: u32 = 0xFD0;
const DEVARCH: u32 = 0xFBC;

/// The identity of one unit.
struct Unit {
    part: u32,
    class: u32,
    /// Of a CoreSight component.
    architecture: u32,
}

/// The word at `address` of the core that CPUID says; `None` where this module has nothing to say.
pub fn read(address: u32, cpuid: u32) -> Option<u32> {
    let core = cpuid >> 4 & 0xFFF;
    // The units of ARMv8-M carry the core's own number, those before numbers of their own.
    let (table, fpb, is_v8m) = match core {
        0xC20 | 0xC60 => (0x471, 0x00B, false),
        0xC27 => (0x4C8, 0x00E, false),
        0xC20..=0xC2F => (0x4C4, 0x003, false),
        _ => (core, core, true),
    };
    let offset = address & 0xFFF;
    let unit = |part, architecture| match is_v8m {
        true => Unit { part, class: CORESIGHT, architecture },
        false => Unit { part, class: GENERIC, architecture: 0 },
    };
    match address & !0xFFF {
        BASE => Some(match offset {
            0x000 => SCS.wrapping_sub(BASE) | PRESENT,
            0x004 => FPB.wrapping_sub(BASE) | PRESENT,
            _ => Unit { part: table, class: TABLE, architecture: 0 }.register(offset).unwrap_or(0),
        }),
        FPB => unit(fpb, ARCHITECTURE_FPB).register(offset),
        SCS if is_v8m => unit(core, ARCHITECTURE_SCS).register(offset),
        _ => None,
    }
}

impl Unit {
    fn register(&self, offset: u32) -> Option<u32> {
        if offset == DEVARCH && self.class == CORESIGHT {
            return Some(self.architecture);
        }
        // Arm's designer code stands around the part's number.
        let registers = [4, 0, 0, 0, self.part & 0xFF, 0xB0 | self.part >> 8, 0x0B, 0].into_iter().chain([
            0x0D,
            self.class << 4,
            0x05,
            0xB1,
        ]);
        registers.zip((IDENTIFICATION..).step_by(4)).find(|&(_, at)| at == offset).map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CPUID as QEMU's cores have it, and the part that the table names.
    #[test]
    fn each_core_has_a_table_of_its_own() {
        for (cpuid, part) in [
            (0x410C_C200, 0x471),
            (0x410F_C241, 0x4C4),
            (0x411F_C272, 0x4C8),
            (0x410F_D213, 0xD21),
            (0x410F_D221, 0xD22),
        ] {
            let byte = |offset| read(BASE + offset, cpuid).unwrap();
            assert_eq!(byte(0xFE0) | (byte(0xFE4) & 0xF) << 8, part, "{cpuid:#x}");
            assert_eq!(byte(0xFF4) >> 4, TABLE);
        }
    }

    #[test]
    fn armv8m_names_its_architecture() {
        assert_eq!(read(SCS + DEVARCH, 0x410F_D213), Some(ARCHITECTURE_SCS));
        assert_eq!(read(SCS + DEVARCH, 0x410F_C241), None);
    }
}
