//! One QEMU process: started halted, with the two sockets that the debug model needs, and ended
//! with whoever started it.

use super::MachineSpec;
use anyhow::{Context, Result};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// Nanoseconds of virtual time that QEMU gives each executed instruction: `-icount shift=7`.
///
/// At least twice the tick of every board's timer, so that a difference of two timer readings,
/// which is off by less than one tick, rounds to the exact number of instructions.
pub const INSTRUCTION_NS: u32 = 1 << INSTRUCTION_SHIFT;
const INSTRUCTION_SHIFT: u32 = 7;

/// Starts the real command in the background; once standard input closes, which happens when the
/// parent drops it, exits or is killed, ends the command and removes the folder of its sockets.
/// Standard error is handed to the command alone, so that its end of file means that the command
/// has ended. What a terminal sends to stop the parent is no reason to leave the folder behind.
const WATCHDOG: &str = r#"folder=$1; shift; trap '' INT HUP TERM; exec 3<&0; "$@" 3<&- </dev/null & emulator=$!
exec 2>/dev/null; read -r _ <&3; kill -9 "$emulator"; wait "$emulator"; rm -r "$folder""#;

/// A running emulator; dropping it ends the process and removes its folder.
pub struct Qemu {
    watchdog: Child,
    folder: PathBuf,
    log: Arc<Mutex<String>>,
    log_reader: JoinHandle<()>,
}

impl Qemu {
    /// Starts `program` (a `qemu-system-arm`) with the core halted at reset, and with `more` arguments than the
    /// machine's own. The sockets lie in a new folder that only this user can enter.
    pub fn start(program: &Path, machine: &MachineSpec, more: &[String]) -> Result<Self> {
        let folder = private_folder().context("cannot create a folder for the emulator's sockets")?;
        let socket = |name: &str| format!("unix:{},server=on,wait=off", folder.join(name).display());
        let spawned = Command::new("/bin/sh")
            .args(["-c", WATCHDOG, "emulator"])
            .arg(&folder)
            .arg(program)
            .args(["-M", machine.name, "-S", "-nodefaults", "-display", "none", "-serial", "null", "-monitor", "none"])
            .args(["-icount", &format!("shift={INSTRUCTION_SHIFT},align=off,sleep=off")])
            .args(["-gdb", &socket("gdb"), "-qtest", &socket("qtest"), "-qtest-log", "none"])
            .arg("-pidfile")
            .arg(folder.join("pid"))
            .args(machine.arguments)
            .args(more)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut watchdog = match spawned {
            Ok(child) => child,
            Err(error) => {
                let _ = std::fs::remove_dir_all(&folder);
                return Err(error).with_context(|| format!("cannot start the emulator {}", program.display()));
            }
        };
        let log = Arc::new(Mutex::new(String::new()));
        // `stderr` was piped just above.
        let stderr = watchdog.stderr.take().expect("stderr is piped");
        let log_reader = std::thread::spawn({
            let log = Arc::clone(&log);
            move || keep_log(BufReader::new(stderr), &log)
        });
        Ok(Self { watchdog, folder, log, log_reader })
    }

    /// Socket of the GDB stub.
    pub fn gdb_socket(&self) -> PathBuf {
        self.folder.join("gdb")
    }

    /// Socket of the qtest protocol.
    pub fn qtest_socket(&self) -> PathBuf {
        self.folder.join("qtest")
    }

    /// Process id of the emulator itself, once it has written it.
    pub fn process_id(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("pid")).ok()?.trim().parse().ok()
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.log_reader.is_finished()
    }

    /// The last lines that the emulator wrote on standard error.
    pub fn last_words(&self) -> String {
        self.log.lock().map(|log| log.trim().to_owned()).unwrap_or_default()
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Keeps the last 2,000 bytes or so of what the emulator says.
fn keep_log(stderr: impl BufRead, log: &Mutex<String>) {
    for line in stderr.lines().map_while(Result::ok) {
        if let Ok(mut log) = log.lock() {
            if log.len() > 2000 {
                log.clear();
            }
            log.push_str(&line);
            log.push('\n');
        }
    }
}

fn private_folder() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("thimble-{}-{number}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn the_folder_goes_even_when_nothing_is_dropped() {
        let spec = MachineSpec { name: "none", arguments: &[], code: 0..0, clock: 0 };
        let mut qemu = Qemu::start(Path::new("/bin/true"), &spec, &[]).unwrap();
        let folder = qemu.folder.clone();
        assert!(folder.is_dir());
        // What the end of this process would close.
        drop(qemu.watchdog.stdin.take());
        std::mem::forget(qemu);
        let deadline = Instant::now() + Duration::from_secs(10);
        while folder.exists() {
            assert!(Instant::now() < deadline, "{} is left behind", folder.display());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
