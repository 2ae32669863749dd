//! An emulated board behind a unix socket, for stock probe-rs tools.

use super::glasgow::Conversation;
use super::{Emulator, MachineSpec};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

/// A listening socket, removed when it is dropped.
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
}

impl Server {
    /// Listens at `path`; a socket that nobody listens at any more is replaced.
    pub fn bind(path: &Path) -> Result<Self> {
        if path.exists() {
            if UnixStream::connect(path).is_ok() {
                bail!("{} is in use: another probe is served there", path.display());
            }
            std::fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
        let listener = UnixListener::bind(path).with_context(|| format!("cannot listen at {}", path.display()))?;
        Ok(Self { listener, path: path.to_path_buf() })
    }

    /// Serves one client after the other, until one comes when `stop` is set. All see the same board; one whose emulator has
    /// ended is started afresh for the next client.
    pub fn serve(&self, qemu: &Path, spec: &MachineSpec, stop: &AtomicBool) -> Result<()> {
        let mut emulator = Emulator::start(qemu, spec, &[])?;
        for stream in self.listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let stream = stream.context("a client could not connect")?;
            if emulator.has_ended() {
                emulator = Emulator::start(qemu, spec, &[])?;
            }
            // A client that leaves in the middle is no reason to stop.
            let _ = converse(stream, &mut emulator);
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn converse(mut stream: UnixStream, emulator: &mut Emulator) -> std::io::Result<()> {
    let mut conversation = Conversation::default();
    let mut bytes = vec![0; 64 * 1024];
    loop {
        let count = stream.read(&mut bytes)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&conversation.receive(&bytes[..count], &mut emulator.dap))?;
    }
}
