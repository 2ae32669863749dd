//! A trial for each board and case.
//!
//! Emulated boards always run. Real ones run when `HIL_BOARDS` names them with their probes, as in
//! `HIL_BOARDS=microbit=0d28:0204`; several are separated by commas.

use hil::cases::{ANY, Case, EMULATED};
use hil::on_target;
use host::device::{Board, Place, boards};
use libtest_mimic::{Arguments, Trial};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for board in boards() {
        if board.machine.is_some() {
            trials.extend(ANY.iter().chain(EMULATED).map(|case| trial(board, Place::Emulated, "emulated", case)));
            if on_target::BOARDS.contains(&board.name) {
                trials.push(trial(board, Place::Emulated, "emulated", &("tests-on-the-core-pass", on_target::run)));
            }
        }
        if board.usb.is_some() {
            trials.extend(real(board));
        }
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
    Trial::test(format!("{}/{name}", board.name), move || {
        case(board, place).map_err(|error| format!("{error:#}").into())
    })
    .with_kind(kind)
}
