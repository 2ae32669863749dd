//! Provisioning: what the commands need from outside the repository, found or installed once.
//!
//! ```text
//! onnxruntime · toolchain · qemu · cargo_tools   the parts, each with a look (`part`) and an installing function
//! wheel · system                                 Python wheels; programs and packages of this machine
//! cache                                          the cache folder: locked, filled beside and renamed into place
//! ```

mod cache;
mod cargo_tools;
mod onnxruntime;
mod qemu;
mod system;
mod toolchain;
mod wheel;

pub use cache::{cache_dir, hex, interrupt, provide, sha256};
pub use cargo_tools::{flip_link, probe_tools};
pub use onnxruntime::{cuda_libraries, onnxruntime};
pub use qemu::{qemu, qemu_riscv};
pub use toolchain::{TARGETS, Toolchain, toolchain};

use anyhow::Result;
use cache::stop_if_interrupted;
use system::System;

/// One thing that the commands need.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    /// What needs it.
    pub why: &'static str,
    pub state: State,
}

/// Whether a part is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Where it is.
    Ready(String),
    /// What `host setup` does about it.
    Missing(String),
}

/// What the user wants beyond the basic parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Extras {
    /// ONNX Runtime for CUDA in place of the one for the CPU.
    pub gpu: bool,
    /// The command-line tools of probe-rs.
    pub probe_tools: bool,
}

/// Looks at every part and changes nothing.
pub fn look(extras: Extras) -> Result<Vec<Part>> {
    let system = System::detect();
    let mut parts = vec![onnxruntime::part(extras.gpu)?];
    parts.extend(TARGETS.iter().map(|target| toolchain::part(&system, target)));
    parts.push(cargo_tools::FLIP_LINK.part(&system));
    parts.extend([qemu::ARM, qemu::RISCV].map(|qemu| qemu.part(&system)));
    if extras.probe_tools {
        parts.push(cargo_tools::PROBE_TOOLS.part(&system));
    }
    Ok(parts)
}

/// Installs every part that is missing.
///
/// # Errors
/// The first part that cannot be installed, with the command that the user can give; the parts before it stay.
pub fn install(extras: Extras) -> Result<()> {
    onnxruntime(extras.gpu)?;
    for target in TARGETS {
        stop_if_interrupted()?;
        toolchain(target)?;
    }
    stop_if_interrupted()?;
    flip_link()?;
    for qemu in [qemu::ARM, qemu::RISCV] {
        stop_if_interrupted()?;
        qemu.provide()?;
    }
    if extras.probe_tools {
        stop_if_interrupted()?;
        probe_tools()?;
    }
    Ok(())
}
