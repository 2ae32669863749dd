//! A trial for each board and case, and those of programs that no probe reaches.
//!
//! Emulated boards always run. Real ones run when `HIL_BOARDS` names them with their probes, as in
//! `HIL_BOARDS=microbit=0d28:0204`; several are separated by commas.
//!
//! `HIL_REPEAT=200` runs each trial so many times in a row and tells how many failed.

use hil::cases::{ANY, CHOSEN, Case, EMULATED};
use hil::{minimal, riscv};
use host::device::{Board, Place, boards};
use libtest_mimic::{Arguments, Failed, Trial};

/// A trial of its own, with its name.
type Program = (&'static str, fn() -> anyhow::Result<()>);

/// Programs that run in QEMU alone.
const PROGRAMS: &[Program] = &[
    ("riscv-virt/a-model-equals-its-golden-vectors", riscv::a_model_equals_its_golden_vectors),
    ("minimal/what-is-not-named-is-not-linked", minimal::what_is_not_named_is_not_linked),
];

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for board in boards() {
        if board.machine.is_some() {
            trials.extend(ANY.iter().chain(EMULATED).map(|case| trial(board, Place::Emulated, "emulated", case)));
            let chosen = CHOSEN.iter().filter(|(names, _)| names.contains(&board.name));
            trials.extend(chosen.map(|(_, case)| trial(board, Place::Emulated, "emulated", case)));
        }
        if board.usb.is_some() {
            trials.extend(real(board));
        }
    }
    for (name, run) in PROGRAMS {
        let run = move || run().map_err(|error| format!("{error:#}"));
        trials.push(Trial::test(*name, move || repeat(run).map_err(Failed::from)).with_kind("emulated"));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

/// The trials of a real board; ignored, with the reason in their names, where it is not configured.
fn real(board: &'static Board) -> Vec<Trial> {
    let configured = std::env::var("HIL_BOARDS").unwrap_or_default();
    let probe = configured.split(',').find_map(|entry| entry.trim().strip_prefix(board.name)?.strip_prefix('='));
    let place = Place::Attached(probe.unwrap_or_default().to_owned());
    let kind = if probe.is_some() { "real" } else { "real, ignored: HIL_BOARDS does not name it" };
    let trials = ANY.iter().map(|case| trial(board, place.clone(), kind, case).with_ignored_flag(probe.is_none()));
    trials.collect()
}

fn trial(board: &'static Board, place: Place, kind: &str, &(name, case): &Case) -> Trial {
    let run = move || case.run(board, place.clone()).map_err(|error| format!("{error:#}"));
    Trial::test(format!("{}/{name}", board.name), move || repeat(run).map_err(Failed::from)).with_kind(kind)
}

/// Runs a trial as often as `HIL_REPEAT` says; the error tells of the first failure and how many there were.
fn repeat(run: impl Fn() -> Result<(), String>) -> Result<(), String> {
    let Ok(times) = std::env::var("HIL_REPEAT") else { return run() };
    let times: usize = times.parse().map_err(|_| format!("HIL_REPEAT is {times}, not a number"))?;
    let failures: Vec<_> = (1..=times).filter_map(|round| Some((round, run().err()?))).collect();
    match failures.first() {
        None => Ok(()),
        Some((round, error)) => {
            Err(format!("{} of {times} rounds failed, round {round} first: {error}", failures.len()))
        }
    }
}
