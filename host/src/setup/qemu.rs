//! QEMU, which emulates boards.

use super::system::{Packages, System};
use super::{Part, State};
use anyhow::{Context, Result};
use std::path::PathBuf;

/// One of QEMU's programs.
pub struct Qemu {
    packages: Packages,
    why: &'static str,
}

/// Arm, for the boards.
pub const ARM: Qemu = Qemu {
    packages: Packages {
        name: "qemu-system-arm",
        debian: "qemu-system-arm",
        fedora: "qemu-system-arm",
        arch: "qemu-system-arm",
        mac: "qemu",
    },
    why: "to emulate boards",
};

/// RISC-V with 32 bits, for the trial that runs the kernels there.
pub const RISCV: Qemu = Qemu {
    packages: Packages {
        name: "qemu-system-riscv32",
        debian: "qemu-system-misc",
        fedora: "qemu-system-riscv",
        arch: "qemu-system-riscv",
        mac: "qemu",
    },
    why: "to test on RISC-V",
};

/// Path of `qemu-system-arm`, as [`Qemu::provide`] finds it.
///
/// # Errors
/// Those of [`Qemu::provide`].
pub fn qemu() -> Result<PathBuf> {
    ARM.provide()
}

/// Path of `qemu-system-riscv32`, as [`Qemu::provide`] finds it.
///
/// # Errors
/// Those of [`Qemu::provide`].
pub fn qemu_riscv() -> Result<PathBuf> {
    RISCV.provide()
}

impl Qemu {
    /// Path of the program, which is installed first where that is possible.
    ///
    /// # Errors
    /// It is missing and cannot be installed by the tool: the sentence holds the command to give.
    pub fn provide(&self) -> Result<PathBuf> {
        let system = System::detect();
        let program = self.packages.name;
        if let Some(path) = system.find(program) {
            return Ok(path);
        }
        system.install(&self.packages, self.why)?;
        system.find(program).with_context(|| format!("{program} is not in PATH, although it was installed"))
    }

    /// Looks whether the program is there.
    pub fn part(&self, system: &System) -> Part {
        let state = match system.find(self.packages.name) {
            Some(path) => State::Ready(path.display().to_string()),
            None => State::Missing(system.plan(&self.packages)),
        };
        Part { name: self.packages.name.to_owned(), why: self.why, state }
    }
}
