//! This machine: its programs, its packages, and whether the tool may install some.

use anyhow::{Context, Result, bail};
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// What installing depends on; tests make their own.
pub struct System {
    /// May install packages for the whole machine.
    pub root: bool,
    pub family: Family,
    /// Folders with programs, as in `$PATH`.
    pub path: OsString,
}

/// Kind of package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Debian,
    Fedora,
    Arch,
    Mac,
    Other,
}

/// What the distributions call one thing.
pub struct Packages {
    /// What it is, for the user.
    pub name: &'static str,
    pub debian: &'static str,
    pub fedora: &'static str,
    pub arch: &'static str,
    pub mac: &'static str,
}

impl System {
    pub fn detect() -> Self {
        Self { root: is_root(), family: family(), path: env::var_os("PATH").unwrap_or_default() }
    }

    /// Absolute path of a program.
    pub fn find(&self, program: &str) -> Option<PathBuf> {
        env::split_paths(&self.path).map(|folder| folder.join(program)).find(|path| path.is_file())
    }

    /// `program` with its standard output on our standard error, since ours may carry JSON.
    ///
    /// # Errors
    /// The program is not there.
    pub fn command(&self, program: &str) -> Result<Command> {
        let Some(path) = self.find(program) else { bail!("`{program}` is not installed") };
        let mut command = Command::new(path);
        command.stdin(Stdio::null()).stdout(std::io::stderr());
        Ok(command)
    }

    /// What [`Self::install`] would do.
    pub fn plan(&self, packages: &Packages) -> String {
        match self.family {
            Family::Debian if self.root => install_command(Family::Debian, packages),
            Family::Other => {
                let all = [Family::Debian, Family::Fedora, Family::Arch, Family::Mac];
                let all = all.map(|family| format!("`{}` ({family:?})", install_command(family, packages)));
                format!("please run what fits: {}", all.join(", "))
            }
            Family::Mac => format!("please run `{}`", install_command(Family::Mac, packages)),
            family => format!("please run `sudo {}`", install_command(family, packages)),
        }
    }

    /// Installs packages as root on Debian or Ubuntu, having said so.
    ///
    /// # Errors
    /// On other machines, with the command for the user to give; a failing `apt-get`.
    pub fn install(&self, packages: &Packages, why: &str) -> Result<()> {
        if !self.root || self.family != Family::Debian {
            bail!("{} is missing, {why}: {}", packages.name, self.plan(packages));
        }
        eprintln!("installing {}, {why}: {}", packages.name, self.plan(packages));
        // The lists may be absent (containers) or old: fetch them once the first try fails.
        let names = packages.debian.split(' ');
        let install = ["install", "--yes", "--no-install-recommends"].into_iter().chain(names).collect::<Vec<_>>();
        if self.apt_get(&install)? || (self.apt_get(&["update"])? && self.apt_get(&install)?) {
            return Ok(());
        }
        bail!("`{}` failed: see its messages above", self.plan(packages))
    }

    fn apt_get(&self, arguments: &[&str]) -> Result<bool> {
        let mut command = self.command("apt-get")?;
        command.env("DEBIAN_FRONTEND", "noninteractive").arg("--quiet").args(arguments);
        Ok(command.status().context("cannot run apt-get")?.success())
    }
}

fn install_command(family: Family, packages: &Packages) -> String {
    match family {
        Family::Debian | Family::Other => format!("apt-get install {}", packages.debian),
        Family::Fedora => format!("dnf install {}", packages.fedora),
        Family::Arch => format!("pacman -S {}", packages.arch),
        Family::Mac => format!("brew install {}", packages.mac),
    }
}

fn family() -> Family {
    if cfg!(target_os = "macos") {
        return Family::Mac;
    }
    family_of(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())
}

/// From the text of `/etc/os-release`.
fn family_of(os_release: &str) -> Family {
    let ids = os_release.lines().filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")));
    for id in ids.flat_map(|ids| ids.trim_matches('"').split(' ')) {
        match id {
            "debian" | "ubuntu" => return Family::Debian,
            "fedora" | "rhel" => return Family::Fedora,
            "arch" => return Family::Arch,
            _ => {}
        }
    }
    Family::Other
}

#[cfg(target_os = "linux")]
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

#[cfg(not(target_os = "linux"))]
fn is_root() -> bool {
    false // packages are installed by the tool on Debian and Ubuntu only
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::path::Path;

    /// A machine whose only programs are shell scripts in `folder`.
    pub fn fake(folder: &Path, root: bool, family: Family, programs: &[(&str, &str)]) -> System {
        use std::os::unix::fs::PermissionsExt;
        for (name, script) in programs {
            let path = folder.join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        System { root, family, path: folder.into() }
    }

    const TOOL: Packages =
        Packages { name: "the tool", debian: "tool-deb", fedora: "tool-rpm", arch: "tool-arch", mac: "tool-mac" };

    #[test]
    fn without_root_the_user_gets_the_command() {
        let folder = tempfile::tempdir().unwrap();
        for (family, command) in [
            (Family::Debian, "sudo apt-get install tool-deb"),
            (Family::Fedora, "sudo dnf install tool-rpm"),
            (Family::Arch, "sudo pacman -S tool-arch"),
            (Family::Mac, "`brew install tool-mac"),
            (Family::Other, "`pacman -S tool-arch` (Arch)"),
        ] {
            let system = fake(folder.path(), false, family, &[("apt-get", "touch $0.ran")]);
            let error = system.install(&TOOL, "to test").unwrap_err().to_string();
            assert!(error.contains(command) && error.contains("to test"), "{error}");
        }
        assert!(!folder.path().join("apt-get.ran").exists());
    }

    #[test]
    fn root_on_debian_installs_and_fetches_the_lists_when_needed() {
        let folder = tempfile::tempdir().unwrap();
        let script = r#"echo "$@" >> $0.log; case "$*" in *update*) : > $0.lists;; *) [ -e $0.lists ];; esac"#;
        let system = fake(folder.path(), true, Family::Debian, &[("apt-get", script)]);
        system.install(&TOOL, "to test").unwrap();
        let log = std::fs::read_to_string(folder.path().join("apt-get.log")).unwrap();
        let install = "--quiet install --yes --no-install-recommends tool-deb";
        assert_eq!(log.lines().collect::<Vec<_>>(), [install, "--quiet update", install]);
    }

    #[test]
    fn a_failing_apt_get_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let system = fake(folder.path(), true, Family::Debian, &[("apt-get", "exit 100")]);
        let error = system.install(&TOOL, "to test").unwrap_err().to_string();
        assert!(error.contains("`apt-get install tool-deb` failed"), "{error}");
    }

    #[test]
    fn distributions_are_recognised() {
        assert_eq!(family_of("NAME=x\nID=debian\n"), Family::Debian);
        assert_eq!(family_of("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"), Family::Debian);
        assert_eq!(family_of("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\"\n"), Family::Fedora);
        assert_eq!(family_of("ID=manjaro\nID_LIKE=arch\n"), Family::Arch);
        assert_eq!(family_of("ID=nixos\n"), Family::Other);
    }
}
