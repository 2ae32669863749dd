//! Core registers by DCRSR's selectors (ARMv7-M ARM, C1.6.3) on a stopped [`Machine`].

use super::machine::{D0, FPSCR, Machine, PC, XPSR};
use std::io;
use std::time::Duration;

/// `SYSm` numbers of the `MRS` and `MSR` instructions.
const SYSM_MSP: u8 = 8;
const SYSM_PSP: u8 = 9;
const SYSM_MSPLIM: u8 = 10;
const SYSM_PSPLIM: u8 = 11;
/// PRIMASK, BASEPRI, FAULTMASK, CONTROL: bytes 0 to 3 of selector 20. The cores of ARMv6-M have the
/// first and the last.
const SYSM_MASKS: [u8; 4] = [16, 17, 19, 20];
/// The same numbers with this bit name the non-secure registers, in the secure state of ARMv8-M.
const SYSM_NON_SECURE: u8 = 0x80;
const THUMB: u64 = 1 << 24;
const STEP_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads the register that `selector` names; unknown ones read as 0.
pub fn read(machine: &mut impl Machine, selector: u32, is_v6m: bool) -> io::Result<u32> {
    match selector {
        0..=15 => machine.register(selector).map(|value| value as u32),
        16 => machine.register(XPSR).map(|value| value as u32),
        20 => {
            let mut value = 0;
            for (byte, sysm) in masks(is_v6m) {
                value |= (special(machine, sysm)? & 0xFF) << (8 * byte);
            }
            Ok(value)
        }
        33 => machine.register(FPSCR).map(|value| value as u32),
        64..=95 => {
            let pair = machine.register(D0 + (selector - 64) / 2)?;
            Ok((pair >> (selector % 2 * 32)) as u32)
        }
        _ => stack_pointer(selector).map_or(Ok(0), |sysm| special(machine, sysm)),
    }
}

/// Writes the register that `selector` names; writes to unknown ones are ignored.
pub fn write(machine: &mut impl Machine, selector: u32, value: u32, is_v6m: bool) -> io::Result<()> {
    match selector {
        0..=15 => machine.set_register(selector, value.into(), 4),
        16 => machine.set_register(XPSR, value.into(), 4),
        20 => masks(is_v6m).try_for_each(|(byte, sysm)| set_special(machine, sysm, value >> (8 * byte) & 0xFF)),
        33 => machine.set_register(FPSCR, value.into(), 4),
        64..=95 => {
            let (number, shift) = (D0 + (selector - 64) / 2, selector % 2 * 32);
            let other_half = machine.register(number)? & !(0xFFFF_FFFF << shift);
            machine.set_register(number, other_half | u64::from(value) << shift, 8)
        }
        _ => stack_pointer(selector).map_or(Ok(()), |sysm| set_special(machine, sysm, value)),
    }
}

/// `SYSm` of a stack pointer or its limit: 17 and 18 are those of the present security state, the rest those of
/// ARMv8-M, whose cores are in the secure state here (ARMv8-M ARM, DCRSR).
fn stack_pointer(selector: u32) -> Option<u8> {
    Some(match selector {
        17 | 26 => SYSM_MSP,
        18 | 27 => SYSM_PSP,
        24 => SYSM_NON_SECURE | SYSM_MSP,
        25 => SYSM_NON_SECURE | SYSM_PSP,
        28 => SYSM_MSPLIM,
        29 => SYSM_PSPLIM,
        30 => SYSM_NON_SECURE | SYSM_MSPLIM,
        31 => SYSM_NON_SECURE | SYSM_PSPLIM,
        _ => return None,
    })
}

fn masks(is_v6m: bool) -> impl Iterator<Item = (usize, u8)> {
    SYSM_MASKS.into_iter().enumerate().filter(move |&(_, sysm)| !is_v6m || sysm == 16 || sysm == 20)
}

// QEMU 7.2's stub does not know the special registers, so the core is made to read them itself.

fn special(machine: &mut impl Machine, sysm: u8) -> io::Result<u32> {
    execute(machine, [0xEF, 0xF3, sysm, 0x80], 0) // mrs r0, <sysm>
}

fn set_special(machine: &mut impl Machine, sysm: u8, value: u32) -> io::Result<()> {
    execute(machine, [0x80, 0xF3, sysm, 0x88], value).map(drop) // msr <sysm>, r0
}

/// Executes one 32-bit instruction at the PC with `r0` set, gives r0, and puts everything else back.
/// Gives 0 where the core cannot execute.
fn execute(machine: &mut impl Machine, instruction: [u8; 4], r0: u32) -> io::Result<u32> {
    let (pc, old_r0) = (machine.register(PC)?, machine.register(0)?);
    if machine.register(XPSR)? & THUMB == 0 {
        return Ok(0);
    }
    let (mut old, mut written) = ([0; 4], [0; 4]);
    machine.read_stopped(pc as u32, &mut old)?;
    machine.write_stopped(pc as u32, &instruction)?;
    machine.read_stopped(pc as u32, &mut written)?;
    let mut result = 0;
    if written == instruction {
        machine.set_register(0, r0.into(), 4)?;
        machine.step()?;
        if machine.wait_for_stop(STEP_TIMEOUT)?.is_none() {
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the emulated core does not finish a step"));
        }
        result = machine.register(0)? as u32;
    }
    machine.write_stopped(pc as u32, &old)?;
    machine.set_register(0, old_r0, 4)?;
    machine.set_register(PC, pc, 4)?;
    Ok(result)
}
