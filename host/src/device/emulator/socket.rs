//! A unix socket on which every wait has an end and the emulator's death is an error at once.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// A connected socket and what has been read from it but not yet asked for.
pub struct Socket {
    stream: UnixStream,
    buffer: Vec<u8>,
    /// What the stream is set to, to save the system call.
    read_timeout: Option<Duration>,
}

impl Socket {
    /// Connects to a socket that the emulator is about to create; gives up when `has_ended`.
    pub fn connect(path: &Path, has_ended: &dyn Fn() -> bool) -> io::Result<Self> {
        let deadline = Instant::now() + CONNECT_TIMEOUT;
        loop {
            match UnixStream::connect(path) {
                Ok(stream) => {
                    stream.set_write_timeout(Some(WRITE_TIMEOUT))?;
                    return Ok(Self { stream, buffer: Vec::new(), read_timeout: None });
                }
                Err(_) if has_ended() => return Err(ended()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Sends all of `data`.
    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.stream.write_all(data).map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => ended(),
            _ => error,
        })
    }

    /// Reads until `split` takes a frame off the front of what has arrived; `None` when `timeout`
    /// has passed without one (zero: look, but do not wait).
    pub fn read_frame<T>(
        &mut self,
        timeout: Duration,
        split: impl Fn(&mut Vec<u8>) -> Option<T>,
    ) -> io::Result<Option<T>> {
        let deadline = Instant::now() + timeout;
        loop {
            if let Some(frame) = split(&mut self.buffer) {
                return Ok(Some(frame));
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if !self.read_some(left)? && left.is_zero() {
                return Ok(None);
            }
        }
    }

    /// Whether anything was read.
    fn read_some(&mut self, timeout: Duration) -> io::Result<bool> {
        let mut chunk = [0; 16 * 1024];
        let result = if timeout.is_zero() {
            self.stream.set_nonblocking(true)?;
            let result = self.stream.read(&mut chunk);
            self.stream.set_nonblocking(false)?;
            result
        } else {
            // Whole seconds, so that the setting seldom changes; the caller's deadline is checked there.
            let timeout = if timeout > Duration::from_secs(1) { Duration::from_secs(1) } else { timeout };
            if self.read_timeout != Some(timeout) {
                self.stream.set_read_timeout(Some(timeout))?;
                self.read_timeout = Some(timeout);
            }
            self.stream.read(&mut chunk)
        };
        match result {
            Ok(0) => Err(ended()),
            Ok(length) => {
                self.buffer.extend_from_slice(&chunk[..length]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => Ok(false),
                io::ErrorKind::ConnectionReset => Err(ended()),
                _ => Err(error),
            },
        }
    }
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the emulator has ended")
}
