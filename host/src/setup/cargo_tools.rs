//! Programs that cargo builds and installs: the command-line tools of probe-rs, and flip-link.

use super::system::System;
use super::{Part, State};
use anyhow::{Context, Result, bail};
use std::path::PathBuf;

/// A program from crates.io.
pub struct Tool {
    program: &'static str,
    /// Package and version.
    requirement: &'static str,
    why: &'static str,
    /// How long it takes to build.
    takes: &'static str,
}

/// `probe-rs`, `cargo embed` and `cargo flash`, of the version of the library that this tool links.
pub const PROBE_TOOLS: Tool = Tool {
    program: "probe-rs",
    requirement: "probe-rs-tools@0.32.0",
    why: "for `cargo embed` and `probe-rs`",
    takes: "some minutes",
};

/// The linker of boards that exist: it puts the stack below the statics, so that an overflow faults.
pub const FLIP_LINK: Tool =
    Tool { program: "flip-link", requirement: "flip-link@0.1.12", why: "to link firmware", takes: "half a minute" };

/// Path of `probe-rs`, which is built and installed by cargo first if need be.
pub fn probe_tools() -> Result<PathBuf> {
    PROBE_TOOLS.provide(&System::detect())
}

/// Path of `flip-link`, which is built and installed by cargo first if need be.
pub fn flip_link() -> Result<PathBuf> {
    FLIP_LINK.provide(&System::detect())
}

impl Tool {
    fn provide(&self, system: &System) -> Result<PathBuf> {
        let Self { program, requirement, why, takes } = self;
        if let Some(path) = system.find(program) {
            return Ok(path);
        }
        eprintln!("installing {requirement}, {why}: cargo install --locked, {takes}");
        let status = system.command("cargo")?.args(["install", "--locked", requirement]).status()?;
        if !status.success() {
            bail!("`cargo install --locked {requirement}` failed: see its messages above");
        }
        let found = system.find(program);
        found.with_context(|| format!("{program} was installed but is not in PATH: add cargo's bin folder to it"))
    }

    /// Looks whether the program is there.
    pub fn part(&self, system: &System) -> Part {
        let state = match system.find(self.program) {
            Some(path) => State::Ready(path.display().to_string()),
            None => State::Missing(format!("cargo install --locked {}", self.requirement)),
        };
        let (name, _version) = self.requirement.split_once('@').unwrap_or((self.requirement, ""));
        Part { name: name.to_owned(), why: self.why, state }
    }
}

#[cfg(test)]
mod tests {
    use super::super::system::Family;
    use super::super::system::tests::fake;
    use super::*;

    #[test]
    fn cargo_installs_a_tool_once() {
        let folder = tempfile::tempdir().unwrap();
        let cargo = ("cargo", r#"[ "$*" = "install --locked flip-link@0.1.12" ] && touch $(dirname $0)/flip-link"#);
        let system = fake(folder.path(), false, Family::Debian, &[cargo]);
        assert_eq!(FLIP_LINK.part(&system).state, State::Missing("cargo install --locked flip-link@0.1.12".to_owned()));
        let expected = folder.path().join("flip-link");
        assert_eq!(FLIP_LINK.provide(&system).unwrap(), expected);
        std::fs::remove_file(folder.path().join("cargo")).unwrap();
        assert_eq!(FLIP_LINK.provide(&system).unwrap(), expected);
    }

    #[test]
    fn a_tool_outside_path_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let system = fake(folder.path(), false, Family::Debian, &[("cargo", "")]);
        let error = FLIP_LINK.provide(&system).unwrap_err().to_string();
        assert!(error.contains("flip-link was installed but is not in PATH"), "{error}");
    }
}
