//! A client for QEMU's qtest protocol, which works beside the translating accelerator: it reads and
//! writes RAM, peripherals and the private peripheral bus through the core's own address space while
//! the core runs, as an AHB-AP does on silicon.

use super::gdb::{decode_hex, encode_hex};
use super::socket::Socket;
use std::io;
use std::path::Path;
use std::time::Duration;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const READ_CHUNK: usize = 64 * 1024;
const WRITE_CHUNK: usize = 16 * 1024;

/// The connection.
pub struct Qtest {
    socket: Socket,
}

impl Qtest {
    /// Connects.
    pub fn connect(path: &Path, has_ended: &dyn Fn() -> bool) -> io::Result<Self> {
        Ok(Self { socket: Socket::connect(path, has_ended)? })
    }

    /// Sends a line and gives what stands behind the `OK` of its answer.
    fn command(&mut self, line: &str) -> io::Result<String> {
        self.socket.write(line.as_bytes())?;
        let answer = self.socket.read_frame(ANSWER_TIMEOUT, split_line)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer to the qtest command {line:.40}"))
        })?;
        match answer.strip_prefix("OK") {
            Some(rest) => Ok(rest.trim().trim_start_matches("0x").to_owned()),
            None => Err(io::Error::other(format!("qtest answered {answer:.40} to {line:.40}"))),
        }
    }

    /// Reads an aligned word with one bus access.
    pub fn read_word(&mut self, address: u32) -> io::Result<u32> {
        let answer = self.command(&format!("readl {address:#x}\n"))?;
        // The value is printed as 64 bits.
        u64::from_str_radix(&answer, 16).map(|value| value as u32).map_err(io::Error::other)
    }

    /// Writes an aligned word with one bus access.
    pub fn write_word(&mut self, address: u32, value: u32) -> io::Result<()> {
        self.command(&format!("writel {address:#x} {value:#x}\n")).map(drop)
    }

    /// Reads bytes.
    pub fn read(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        for (index, chunk) in data.chunks_mut(READ_CHUNK).enumerate() {
            let start = address as usize + index * READ_CHUNK;
            let bytes = decode_hex(&self.command(&format!("read {start:#x} {:#x}\n", chunk.len()))?)?;
            if bytes.len() != chunk.len() {
                return Err(io::Error::other(format!("qtest read {} bytes of {}", bytes.len(), chunk.len())));
            }
            chunk.copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Writes bytes.
    pub fn write(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        for (index, chunk) in data.chunks(WRITE_CHUNK).enumerate() {
            let start = address as usize + index * WRITE_CHUNK;
            self.command(&format!("write {start:#x} {:#x} 0x{}\n", chunk.len(), encode_hex(chunk)))?;
        }
        Ok(())
    }
}

/// Takes the first line off the front of `buffer`, leaving out interrupt reports and log lines.
fn split_line(buffer: &mut Vec<u8>) -> Option<String> {
    loop {
        let end = buffer.iter().position(|&byte| byte == b'\n')?;
        let line = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..=end);
        if !line.starts_with("IRQ ") && !line.starts_with('[') {
            return Some(line);
        }
    }
}
