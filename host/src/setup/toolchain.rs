//! Rust for Cortex-M, and for RISC-V: the user's own toolchain with a target added, else Debian's packages, which compile
//! `core` from its source.

use super::system::{Packages, System};
use super::{Part, State};
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The targets of the boards: Cortex-M0; M4 and M7 with FPU; M33 and M55 with FPU; RISC-V.
pub const TARGETS: [&str; 4] =
    ["thumbv6m-none-eabi", "thumbv7em-none-eabihf", "thumbv8m.main-none-eabihf", "riscv32imc-unknown-none-elf"];

const WHY: &str = "to build firmware";

/// Debian's `rustc-web` is a recent Rust beside the distribution's old one.
const DEBIAN_RUST: Packages = Packages {
    name: "Rust with the source of `core`",
    debian: "rustc-web cargo-web rust-web-src lld",
    fedora: "rustup",
    arch: "rustup",
    mac: "rustup",
};
const DEBIAN_CORE: &str = "/usr/lib/rustlib/src/rust/library/core/Cargo.toml";

/// A Rust toolchain that builds for one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The compiler has the target's `core`.
    Installed { cargo: PathBuf },
    /// `core` is compiled with the firmware.
    FromSource {
        cargo: PathBuf,
        rustc: PathBuf,
        /// Name of cargo's variable, e.g. `CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER`, and LLVM's linker.
        linker: (String, PathBuf),
    },
}

impl Toolchain {
    /// A `cargo` that waits for `build --target …`; the caller sets the folder and the output streams.
    pub fn cargo(&self) -> Command {
        match self {
            Self::Installed { cargo } => Command::new(cargo),
            Self::FromSource { cargo, rustc, linker: (variable, linker) } => {
                let mut command = Command::new(cargo);
                command
                    .args(["-Z", "build-std=core,compiler_builtins"])
                    .env("RUSTC", rustc)
                    // Stable, but building `core` is not yet: this lets it.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env(variable, linker);
                command
            }
        }
    }
}

/// A toolchain for `target`, one of [`TARGETS`], which is installed first if need be.
///
/// # Errors
/// Another target; there is no Rust with rustup, and the tool cannot install Debian's: the sentence says what to do.
pub fn toolchain(target: &str) -> Result<Toolchain> {
    provision(&System::detect(), target)
}

/// Looks whether a toolchain for `target` is there.
pub fn part(system: &System, target: &str) -> Part {
    let state = match find(system, target) {
        Some(Toolchain::Installed { .. }) => State::Ready("in the installed Rust".to_owned()),
        Some(Toolchain::FromSource { cargo, .. }) => State::Ready(format!("compiled by {}", cargo.display())),
        None if system.find("rustup").is_some() => State::Missing(format!("rustup target add {target}")),
        None => State::Missing(system.plan(&DEBIAN_RUST)),
    };
    Part { name: target.to_owned(), why: WHY, state }
}

fn provision(system: &System, target: &str) -> Result<Toolchain> {
    if !TARGETS.contains(&target) {
        // Refused here, since rustup's failure would bring in a whole second Rust.
        bail!("firmware cannot be built for `{target}`: known targets are {}", TARGETS.join(", "));
    }
    if let Some(toolchain) = find(system, target) {
        return Ok(toolchain);
    }
    if system.find("rustup").is_some() {
        eprintln!("installing {target}, {WHY}: rustup target add {target}");
        let added = system.command("rustup")?.args(["target", "add", target]).status();
        if added.context("cannot run rustup")?.success()
            && let Some(toolchain) = installed(system, target)
        {
            return Ok(toolchain);
        }
        eprintln!("rustup could not add {target}; trying the distribution's Rust");
    }
    system.install(&DEBIAN_RUST, WHY)?;
    match from_source(system, target) {
        Some(toolchain) => Ok(toolchain),
        None => bail!("{} is installed but lacks a part: {DEBIAN_CORE} or a linker", DEBIAN_RUST.debian),
    }
}

fn find(system: &System, target: &str) -> Option<Toolchain> {
    installed(system, target).or_else(|| from_source(system, target))
}

fn installed(system: &System, target: &str) -> Option<Toolchain> {
    let folder = ask(&system.find("rustc")?, &["--print", "target-libdir", "--target", target])?;
    let has_core = std::fs::read_dir(folder).ok()?.filter_map(Result::ok).any(|file| {
        let name = file.file_name();
        let name = name.to_string_lossy();
        name.starts_with("libcore-") && name.ends_with(".rlib")
    });
    let cargo = system.find("cargo")?;
    has_core.then_some(Toolchain::Installed { cargo })
}

fn from_source(system: &System, target: &str) -> Option<Toolchain> {
    let program = |name| Some(Path::new("/usr/bin").join(name)).filter(|path| path.is_file());
    let (cargo, rustc) = (program("cargo")?, program("rustc")?);
    Path::new(DEBIAN_CORE).is_file().then_some(())?;
    let variable = format!("CARGO_TARGET_{}_LINKER", target.to_uppercase().replace(['-', '.'], "_"));
    Some(Toolchain::FromSource { cargo, rustc, linker: (variable, lld(system)?) })
}

/// LLVM's linker: its own package, else the one inside a toolchain of rustup.
fn lld(system: &System) -> Option<PathBuf> {
    system.find("ld.lld").or_else(|| {
        let rustc = system.find("rustc")?;
        let sysroot = PathBuf::from(ask(&rustc, &["--print", "sysroot"])?);
        let mut targets = std::fs::read_dir(sysroot.join("lib/rustlib")).ok()?.filter_map(Result::ok);
        targets.find_map(|target| Some(target.path().join("bin/rust-lld")).filter(|path| path.is_file()))
    })
}

/// First line of what a compiler prints; none if it fails.
fn ask(program: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.lines().next().map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::super::system::Family;
    use super::super::system::tests::fake;
    use super::*;

    const TARGET: &str = "thumbv7em-none-eabihf";

    /// A `rustc` whose library folder is `lib` beside it, and a `rustup` that puts `core` there.
    const RUSTC: (&str, &str) = ("rustc", r#"[ "$2" = target-libdir ] && echo "$(dirname $0)/lib""#);
    const RUSTUP: (&str, &str) = ("rustup", r#"mkdir $(dirname $0)/lib && touch $(dirname $0)/lib/libcore-1.rlib"#);

    #[test]
    fn rustup_adds_the_target_once() {
        let folder = tempfile::tempdir().unwrap();
        let system = fake(folder.path(), false, Family::Debian, &[RUSTC, RUSTUP, ("cargo", "")]);
        let expected = Toolchain::Installed { cargo: folder.path().join("cargo") };
        assert_eq!(provision(&system, TARGET).unwrap(), expected);
        assert_eq!(provision(&system, TARGET).unwrap(), expected); // the fake rustup would fail now
    }

    #[test]
    fn where_rustup_fails_the_user_gets_the_command() {
        if from_source(&System::detect(), TARGET).is_some() {
            return eprintln!("skipped: this machine has Debian's Rust");
        }
        let folder = tempfile::tempdir().unwrap();
        let system = fake(folder.path(), false, Family::Debian, &[RUSTC, ("rustup", "exit 1"), ("cargo", "")]);
        let error = provision(&system, TARGET).unwrap_err().to_string();
        assert!(error.contains("sudo apt-get install rustc-web cargo-web rust-web-src lld"), "{error}");
    }

    #[test]
    fn an_unknown_target_installs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let programs = [RUSTC, RUSTUP, ("cargo", ""), ("apt-get", "touch $0.ran")];
        let system = fake(folder.path(), true, Family::Debian, &programs);
        let error = provision(&system, "thumbv9-none").unwrap_err().to_string();
        assert!(error.contains("`thumbv9-none`: known targets are thumbv6m-none-eabi"), "{error}");
        assert!(!folder.path().join("lib").exists() && !folder.path().join("apt-get.ran").exists());
    }

    #[test]
    fn building_core_names_compiler_and_linker() {
        let toolchain = Toolchain::FromSource {
            cargo: "/usr/bin/cargo".into(),
            rustc: "/usr/bin/rustc".into(),
            linker: ("CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER".to_owned(), "/usr/bin/ld.lld".into()),
        };
        let command = toolchain.cargo();
        assert_eq!(command.get_args().collect::<Vec<_>>(), ["-Z", "build-std=core,compiler_builtins"]);
        let variables: Vec<_> = command.get_envs().map(|(name, _)| name.to_str().unwrap()).collect();
        assert_eq!(variables, ["CARGO_TARGET_THUMBV6M_NONE_EABI_LINKER", "RUSTC", "RUSTC_BOOTSTRAP"]);
    }
}
