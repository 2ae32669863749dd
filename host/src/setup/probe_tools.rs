//! The command-line tools of probe-rs: `probe-rs`, `cargo embed`, `cargo flash`.

use super::system::System;
use super::{Part, State};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// The version of the probe-rs library that the tool itself links.
const REQUIREMENT: &str = "probe-rs-tools@0.32.0";
const WHY: &str = "for `cargo embed` and `probe-rs`";

/// Path of `probe-rs`, which is built and installed by cargo first if need be (some minutes).
pub fn probe_tools() -> Result<PathBuf> {
    let system = System::detect();
    if let Some(path) = system.find("probe-rs") {
        return Ok(path);
    }
    eprintln!("installing {REQUIREMENT}, {WHY}: cargo install --locked, some minutes");
    let status = system.command("cargo")?.args(["install", "--locked", REQUIREMENT]).status()?;
    if !status.success() {
        bail!("`cargo install --locked {REQUIREMENT}` failed: see its messages above");
    }
    system.find("probe-rs").context("probe-rs was installed but is not in PATH: add cargo's bin folder to it")
}

/// Looks whether the tools are there.
pub fn part(system: &System) -> Part {
    let state = match system.find("probe-rs") {
        Some(path) => State::Ready(path.display().to_string()),
        None => State::Missing(format!("cargo install --locked {REQUIREMENT}")),
    };
    Part { name: "probe-rs-tools".to_owned(), why: WHY, state }
}
