//! What a failed trial tells beside its error: the board's log and where its core is.
//!
//! Both are bounded: so many lines and frames, and no read of a board's memory waits for long.

mod backtrace;
mod log;

use host::device::Session;
use probe_rs::MemoryInterface;
use probe_rs::RegisterId;
use std::time::Duration;

const HALT_TIMEOUT: Duration = Duration::from_secs(2);
const PSP: RegisterId = RegisterId(18);

/// The log since the firmware's start and the backtrace of the core, which is halted for that and stays so. What
/// cannot be had is told in its place.
pub fn report(session: &mut Session) -> String {
    let told = |text: anyhow::Result<String>| text.unwrap_or_else(|error| format!("  none: {error:#}\n"));
    let log = told(session.log().and_then(|bytes| log::decode(&session.firmware().elf, &bytes)));
    let backtrace = told(backtrace(session));
    format!("log:\n{log}backtrace:\n{backtrace}")
}

fn backtrace(session: &mut Session) -> anyhow::Result<String> {
    let elf = session.firmware().elf.clone();
    let mut core = session.core()?;
    core.halt(HALT_TIMEOUT)?;
    let mut registers = [0; 16];
    for (number, value) in (0..).zip(&mut registers) {
        *value = core.read_core_reg(RegisterId(number))?;
    }
    let process_stack = core.read_core_reg(PSP)?;
    backtrace::of(&elf, registers, process_stack, |address| Ok(core.read_word_32(address.into())?))
}
