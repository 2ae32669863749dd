//! The CoreSight ROM table (ADIv5, part D) by which a debugger finds the units of the core, and the
//! identification registers of the units that the emulator itself has not got.

/// Where the table lies.
pub const BASE: u32 = 0xE00F_F000;
const SCS: u32 = 0xE000_E000;
const FPB: u32 = 0xE000_2000;
const PRESENT: u32 = 0b11;

/// CIDR0 to 3 of a ROM table (class 1) and of a generic component (class 14).
const CIDR_TABLE: [u32; 4] = [0x0D, 0x10, 0x05, 0xB1];
const CIDR_GENERIC: [u32; 4] = [0x0D, 0xE0, 0x05, 0xB1];
/// PIDR4 to 7 and 0 to 3, in address order: Arm's designer code and the unit's part number.
const PIDR_TABLE_V7M: [u32; 8] = [4, 0, 0, 0, 0xC4, 0xB4, 0x0B, 0];
const PIDR_TABLE_V6M: [u32; 8] = [4, 0, 0, 0, 0x71, 0xB4, 0x0B, 0];
const PIDR_FPB_V7M: [u32; 8] = [4, 0, 0, 0, 0x03, 0xB0, 0x2B, 0];
const PIDR_FPB_V6M: [u32; 8] = [4, 0, 0, 0, 0x0B, 0xB0, 0x0B, 0];

/// The word at `address`; `None` where this module has nothing to say.
pub fn read(address: u32, is_v6m: bool) -> Option<u32> {
    let offset = address & 0xFFF;
    match address & !0xFFF {
        BASE => Some(match offset {
            0x000 => SCS.wrapping_sub(BASE) | PRESENT,
            0x004 => FPB.wrapping_sub(BASE) | PRESENT,
            _ => {
                identification(offset, if is_v6m { &PIDR_TABLE_V6M } else { &PIDR_TABLE_V7M }, &CIDR_TABLE).unwrap_or(0)
            }
        }),
        FPB => identification(offset, if is_v6m { &PIDR_FPB_V6M } else { &PIDR_FPB_V7M }, &CIDR_GENERIC),
        _ => None,
    }
}

fn identification(offset: u32, pidr: &[u32; 8], cidr: &[u32; 4]) -> Option<u32> {
    let index = (offset.checked_sub(0xFD0)? / 4) as usize;
    pidr.iter().chain(cidr).nth(index).copied()
}
