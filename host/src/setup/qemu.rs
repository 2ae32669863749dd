//! QEMU for Arm, which emulates boards.

use super::system::{Packages, System};
use super::{Part, State};
use anyhow::{Context, Result};
use std::path::PathBuf;

const PROGRAM: &str = "qemu-system-arm";
const WHY: &str = "to emulate boards";
const QEMU: Packages = Packages {
    name: PROGRAM,
    debian: "qemu-system-arm",
    fedora: "qemu-system-arm",
    arch: "qemu-system-arm",
    mac: "qemu",
};

/// Path of `qemu-system-arm`, which is installed first where that is possible.
///
/// # Errors
/// It is missing and cannot be installed by the tool: the sentence holds the command to give.
pub fn qemu() -> Result<PathBuf> {
    let system = System::detect();
    if let Some(path) = system.find(PROGRAM) {
        return Ok(path);
    }
    system.install(&QEMU, WHY)?;
    system.find(PROGRAM).with_context(|| format!("{PROGRAM} is not in PATH, although it was installed"))
}

/// Looks whether QEMU is there.
pub fn part(system: &System) -> Part {
    let state = match system.find(PROGRAM) {
        Some(path) => State::Ready(path.display().to_string()),
        None => State::Missing(system.plan(&QEMU)),
    };
    Part { name: PROGRAM.to_owned(), why: WHY, state }
}
