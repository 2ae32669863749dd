//! Python wheels as a source of native libraries: fetched by the user's own pip, checked, unpacked.

use super::cache::{sha256, stop_if_interrupted};
use super::system::{Packages, System};
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// One exact wheel.
pub struct Wheel {
    /// `name==version`.
    pub requirement: &'static str,
    /// pip's platform tag, e.g. `manylinux_2_28_x86_64`.
    pub platform: &'static str,
    pub sha256: &'static str,
}

const PIP: Packages =
    Packages { name: "Python's pip", debian: "python3-pip", fedora: "python3-pip", arch: "python-pip", mac: "python" };

/// Downloads `wheel` into the folder `work` and unpacks the shared libraries in it, flat, into `into`.
///
/// # Errors
/// No pip and no way to install it; a failed download; a file that is not the one that was asked for.
pub fn libraries(system: &System, wheel: &Wheel, work: &Path, into: &Path) -> Result<()> {
    let path = download(system, wheel, work)?;
    let found = sha256(&path)?;
    if found != wheel.sha256 {
        bail!(
            "{}: the download has SHA-256 {found}, expected {}; nothing was installed",
            wheel.requirement,
            wheel.sha256
        );
    }
    unpack(&path, into).with_context(|| format!("cannot unpack {}", wheel.requirement))
}

fn download(system: &System, wheel: &Wheel, into: &Path) -> Result<PathBuf> {
    let mut pip = pip(system)?;
    // Ctrl-C may have hit only the child that looked for pip.
    stop_if_interrupted()?;
    // The wheels of one fixed Python version, so that the hash does not depend on the user's own.
    pip.args(["download", "--no-deps", "--only-binary=:all:", "--python-version", "3.11", "--implementation", "cp"])
        .args(["--abi", "cp311", "--abi", "none", "--platform", wheel.platform])
        .args(["--disable-pip-version-check", "--dest"])
        .arg(into);
    if !std::io::stderr().is_terminal() {
        pip.arg("--quiet");
    }
    let status = pip.arg(wheel.requirement).status().context("cannot run python3")?;
    stop_if_interrupted()?;
    if !status.success() {
        bail!("`python3 -m pip download {}` failed: see its messages above; is there a network?", wheel.requirement);
    }
    let files = fs::read_dir(into)?.collect::<Result<Vec<_>, _>>()?;
    match files.into_iter().map(|file| file.path()).find(|path| path.extension().is_some_and(|kind| kind == "whl")) {
        Some(path) => Ok(path),
        None => bail!("`python3 -m pip download {}` left no wheel in {}", wheel.requirement, into.display()),
    }
}

/// `python3 -m pip`, which is installed first where that is possible.
fn pip(system: &System) -> Result<Command> {
    if let Some(pip) = working_pip(system) {
        return Ok(pip);
    }
    system.install(&PIP, "to fetch ONNX Runtime's official package")?;
    working_pip(system)
        .context("`python3 -m pip` does not work, although it is installed: try `python3 -m pip --version`")
}

fn working_pip(system: &System) -> Option<Command> {
    // A python3 that comes first in PATH may lack pip while the distribution's, to which the package belongs, has it.
    std::env::split_paths(&system.path).map(|folder| folder.join("python3")).filter(|path| path.is_file()).find_map(
        |python| {
            let mut check = Command::new(&python);
            check.args(["-m", "pip", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            check.status().ok().filter(|status| status.success())?;
            let mut pip = Command::new(python);
            pip.args(["-m", "pip"]).stdin(Stdio::null()).stdout(std::io::stderr());
            Some(pip)
        },
    )
}

fn unpack(wheel: &Path, into: &Path) -> Result<()> {
    let mut archive = zip::ZipArchive::new(File::open(wheel)?)?;
    let mut count = 0;
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.name()?.into_owned();
        // `rsplit` yields at least one item, and a bare file name cannot leave `into`.
        let file = name.rsplit('/').next().unwrap_or_default();
        if is_library(file) {
            std::io::copy(&mut entry, &mut File::create(into.join(file))?)?;
            count += 1;
        }
    }
    if count == 0 {
        bail!("there is no shared library in {}", wheel.display());
    }
    Ok(())
}

/// `lib….so.N` and `lib….dylib`, but not Python's extension modules.
fn is_library(file: &str) -> bool {
    file.starts_with("lib") && (file.ends_with(".dylib") || file.ends_with(".so") || file.contains(".so."))
}

#[cfg(test)]
mod tests {
    use super::super::system::Family;
    use super::super::system::tests::fake;
    use super::*;
    use std::io::Write;

    const WHEEL: Wheel = Wheel { requirement: "thing==1", platform: "any", sha256: "00" };

    #[test]
    fn without_python_the_user_gets_the_command() {
        let folder = tempfile::tempdir().unwrap();
        let system = fake(folder.path(), false, Family::Debian, &[]);
        let error = libraries(&system, &WHEEL, folder.path(), folder.path()).unwrap_err().to_string();
        assert!(error.contains("sudo apt-get install python3-pip"), "{error}");
    }

    #[test]
    fn a_wrong_hash_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        // The last argument but one is the folder of `--dest`.
        let script = r#"case "$*" in *download*) while [ $# -gt 1 ]; do [ "$1" = --dest ] && dest=$2; shift; done; echo wrong > "$dest/thing.whl";; esac"#;
        let system = fake(folder.path(), false, Family::Other, &[("python3", script)]);
        let into = tempfile::tempdir().unwrap();
        let error = libraries(&system, &WHEEL, folder.path(), into.path()).unwrap_err().to_string();
        assert!(error.contains("SHA-256 543df89f") && error.contains("expected 00"), "{error}");
        assert_eq!(fs::read_dir(into.path()).unwrap().count(), 0);
    }

    #[test]
    fn libraries_are_unpacked_flat() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("thing.whl");
        let mut archive = zip::ZipWriter::new(File::create(&wheel).unwrap());
        for name in ["a/b/libthing.so.1.2", "a/module.cpython-311-x86_64-linux-gnu.so", "a/lib.py", "c/libx.dylib"] {
            archive.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(name.as_bytes()).unwrap();
        }
        archive.finish().unwrap();
        let into = tempfile::tempdir().unwrap();
        unpack(&wheel, into.path()).unwrap();
        let mut names: Vec<_> = fs::read_dir(into.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["libthing.so.1.2", "libx.dylib"]);
        assert_eq!(fs::read(into.path().join("libthing.so.1.2")).unwrap(), b"a/b/libthing.so.1.2");
    }
}
