use super::super::fake::{Fake, HARD_FAULT, RESET};
use super::*;

const NOP: u16 = 0xBF00;
const BKPT: u16 = 0xBE00;
const HALT: u32 = DHCSR_KEY << 16 | C_DEBUGEN | C_HALT;
const STEP: u32 = DHCSR_KEY << 16 | C_DEBUGEN | C_STEP;
const RUN: u32 = DHCSR_KEY << 16 | C_DEBUGEN;

fn core(program: &[u16]) -> CoreDebug<Fake> {
    CoreDebug::new(Fake::new(program), 0..0x1000).unwrap()
}

fn pc(core: &mut CoreDebug<Fake>) -> u32 {
    core.write_word(DCRSR, 15).unwrap();
    core.read_word(DCRDR).unwrap()
}

fn is_halted(core: &mut CoreDebug<Fake>) -> bool {
    core.read_word(DHCSR).unwrap() & S_HALT != 0
}

#[test]
fn a_core_under_debug_runs_halts_and_says_why() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, RUN).unwrap();
    assert!(!is_halted(&mut core));
    core.write_word(DHCSR, HALT).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(core.read_word(DFSR).unwrap(), DFSR_HALTED);
    core.write_word(DFSR, DFSR_HALTED).unwrap();
    assert_eq!(core.read_word(DFSR).unwrap(), 0);
}

#[test]
fn a_write_without_the_key_changes_nothing() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, C_DEBUGEN).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(core.read_word(DHCSR).unwrap() & C_DEBUGEN, 0);
    core.write_word(AIRCR, SYSRESETREQ).unwrap();
    assert_eq!(core.machine.resets, 0);
}

#[test]
fn each_step_executes_one_instruction() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, HALT).unwrap();
    for done in 1..=3 {
        core.write_word(DHCSR, STEP).unwrap();
        assert_eq!(pc(&mut core), RESET + 2 * done);
    }
    assert_eq!(core.machine.steps, 3);
}

#[test]
fn bkpt_halts_a_core_under_debug_and_is_not_passed_by_running_on() {
    let mut core = core(&[NOP, NOP, BKPT, NOP]);
    core.write_word(DHCSR, RUN).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(pc(&mut core), RESET + 4);
    assert_eq!(core.read_word(DFSR).unwrap(), DFSR_BKPT);
    core.write_word(DHCSR, RUN).unwrap();
    assert!(is_halted(&mut core), "silicon executes BKPT again, and halts again");
}

#[test]
fn bkpt_written_after_the_first_run_is_found() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, RUN).unwrap();
    core.write_word(DHCSR, HALT).unwrap();
    core.machine.registers[PC as usize] = RESET.into();
    core.write(RESET + 6, &BKPT.to_le_bytes()).unwrap();
    core.write_word(DHCSR, RUN).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(pc(&mut core), RESET + 6);
}

#[test]
fn comparators_stop_the_core_only_while_the_unit_is_enabled() {
    const FP_CTRL: u32 = 0xE000_2000;
    let mut core = core(&[NOP; 16]);
    assert_eq!(core.read_word(FP_CTRL).unwrap() >> 4 & 0xF, 8);
    core.write_word(FP_CTRL + 8, (RESET + 8) | 1).unwrap();
    core.write_word(DHCSR, RUN).unwrap();
    assert!(!is_halted(&mut core));
    core.write_word(DHCSR, HALT).unwrap();
    core.machine.registers[PC as usize] = RESET.into();
    core.write_word(FP_CTRL, 0b11).unwrap();
    core.write_word(DHCSR, RUN).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(pc(&mut core), RESET + 8);
}

#[test]
fn the_hard_fault_vector_is_caught_on_demand() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DEMCR, VC_HARDERR).unwrap();
    core.write_word(DHCSR, RUN).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(pc(&mut core), HARD_FAULT);
    assert_eq!(core.read_word(DFSR).unwrap(), DFSR_VCATCH);
}

#[test]
fn reset_runs_on_or_is_caught_and_is_reported_once() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, HALT).unwrap();
    core.write_word(AIRCR, AIRCR_KEY << 16 | SYSRESETREQ).unwrap();
    let status = core.read_word(DHCSR).unwrap();
    assert!(status & S_RESET_ST != 0 && status & S_HALT == 0);
    assert_eq!(core.read_word(DHCSR).unwrap() & S_RESET_ST, 0);
    core.write_word(DEMCR, VC_CORERESET).unwrap();
    core.write_word(AIRCR, AIRCR_KEY << 16 | SYSRESETREQ).unwrap();
    assert!(is_halted(&mut core));
    assert_eq!(pc(&mut core), RESET);
    assert_eq!(core.machine.resets, 2);
}

#[test]
fn a_core_that_would_lock_up_is_called_running_but_never_resumed() {
    let mut core = core(&[NOP; 8]);
    core.machine.registers[XPSR as usize] = 0;
    core.write_word(DHCSR, RUN).unwrap();
    assert!(!is_halted(&mut core));
    assert!(!core.machine.is_running);
    core.write_word(DHCSR, HALT).unwrap();
    assert!(is_halted(&mut core));
}

#[test]
fn a_special_register_is_read_by_an_injected_instruction_that_leaves_no_trace() {
    let mut core = core(&[NOP; 8]);
    core.machine.registers[0] = 77;
    core.write_word(DHCSR, HALT).unwrap();
    core.write_word(DCRSR, 17).unwrap();
    assert_eq!(core.read_word(DCRDR).unwrap(), 0x2000_4000);
    assert_eq!(core.machine.registers[0], 77);
    assert_eq!(pc(&mut core), RESET);
    assert_eq!(core.machine.memory[&RESET], NOP as u8);
}

#[test]
fn the_stack_pointers_of_both_security_states_are_read() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, HALT).unwrap();
    for (selector, expected) in [(26, 0x2000_4000), (24, 0x2000_8000), (99, 0)] {
        core.write_word(DCRSR, selector).unwrap();
        assert_eq!(core.read_word(DCRDR).unwrap(), expected, "selector {selector}");
    }
}

#[test]
fn registers_are_not_touched_while_the_core_runs() {
    let mut core = core(&[NOP; 8]);
    core.write_word(DHCSR, RUN).unwrap();
    core.write_word(DCRSR, 15).unwrap(); // the fake panics if this reaches it
}

#[test]
fn the_rom_table_leads_to_the_system_control_space() {
    let mut core = core(&[NOP]);
    let entry = core.read_word(rom_table::BASE).unwrap();
    assert_eq!(rom_table::BASE.wrapping_add(entry & !0xFFF), 0xE000_E000);
    let class = core.read_word(rom_table::BASE + 0xFF4).unwrap() >> 4;
    assert_eq!(class, 1);
}
