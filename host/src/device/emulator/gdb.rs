//! A client for QEMU's GDB stub: run control, registers and breakpoints.
//!
//! Whatever arrives at the stub while the core runs stops it, so commands are sent only to a
//! stopped core; [`Gdb::resume`] and [`Gdb::interrupt`] change between the two.

use super::socket::Socket;
use std::io;
use std::path::Path;
use std::time::Duration;

/// How long the stub may take to answer one command.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of memory in one packet; the stub's limit is 4096 characters.
const CHUNK: usize = 1024;

/// The connection.
pub struct Gdb {
    socket: Socket,
}

impl Gdb {
    /// Connects and stops the machine.
    pub fn connect(path: &Path, has_ended: &dyn Fn() -> bool) -> io::Result<Self> {
        let mut gdb = Self { socket: Socket::connect(path, has_ended)? };
        gdb.command("qSupported:multiprocess+;hwbreak+;swbreak+")?;
        // Reading the description switches QEMU to its numbering: xPSR is 25, FPSCR is 42.
        gdb.command("qXfer:features:read:target.xml:0,ffb")?;
        gdb.command("?")?;
        Ok(gdb)
    }

    /// Sends one packet without waiting for its answer.
    fn send(&mut self, packet: &str) -> io::Result<()> {
        let sum = packet.bytes().fold(0u8, u8::wrapping_add);
        self.socket.write(format!("${packet}#{sum:02x}").as_bytes())
    }

    /// Waits for one packet and acknowledges it; `None` when `timeout` has passed.
    fn receive(&mut self, timeout: Duration) -> io::Result<Option<String>> {
        let Some(packet) = self.socket.read_frame(timeout, split_packet)? else { return Ok(None) };
        self.socket.write(b"+")?;
        Ok(Some(packet))
    }

    fn command(&mut self, packet: &str) -> io::Result<String> {
        self.send(packet)?;
        self.receive(ANSWER_TIMEOUT)?.ok_or_else(|| {
            io::Error::new(io::ErrorKind::TimedOut, format!("no answer to the GDB command {packet:.40}"))
        })
    }

    fn expect_ok(&mut self, packet: &str) -> io::Result<()> {
        match self.command(packet)?.as_str() {
            "OK" => Ok(()),
            answer => Err(io::Error::other(format!("the GDB stub answered {answer} to {packet:.40}"))),
        }
    }

    /// Reads a core register by QEMU's number.
    pub fn register(&mut self, number: u32) -> io::Result<u64> {
        let answer = self.command(&format!("p{number:x}"))?;
        let bytes = decode_hex(&answer)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte)))
    }

    /// Writes a core register of `bytes` bytes.
    pub fn set_register(&mut self, number: u32, value: u64, bytes: usize) -> io::Result<()> {
        self.expect_ok(&format!("P{number:x}={}", encode_hex(&value.to_le_bytes()[..bytes])))
    }

    /// Reads memory as the core sees it.
    pub fn read(&mut self, address: u32, data: &mut [u8]) -> io::Result<()> {
        for (index, chunk) in data.chunks_mut(CHUNK).enumerate() {
            let start = address as usize + index * CHUNK;
            let bytes = decode_hex(&self.command(&format!("m{start:x},{:x}", chunk.len()))?)?;
            if bytes.len() != chunk.len() {
                return Err(io::Error::other(format!("the GDB stub cannot read {start:#010x}")));
            }
            chunk.copy_from_slice(&bytes);
        }
        Ok(())
    }

    /// Writes RAM or ROM; QEMU silently drops what is meant for a peripheral.
    pub fn write(&mut self, address: u32, data: &[u8]) -> io::Result<()> {
        for (index, chunk) in data.chunks(CHUNK).enumerate() {
            let start = address as usize + index * CHUNK;
            self.expect_ok(&format!("M{start:x},{:x}:{}", chunk.len(), encode_hex(chunk)))?;
        }
        Ok(())
    }

    /// Sets a breakpoint; QEMU keeps it by address and patches no memory.
    pub fn insert_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.expect_ok(&format!("Z1,{address:x},2"))
    }

    /// Removes a breakpoint.
    pub fn remove_breakpoint(&mut self, address: u32) -> io::Result<()> {
        self.expect_ok(&format!("z1,{address:x},2"))
    }

    /// Resets the machine, which stays stopped.
    pub fn reset(&mut self) -> io::Result<()> {
        self.expect_ok(&format!("qRcmd,{}", encode_hex(b"system_reset")))
    }

    /// Lets the core run.
    pub fn resume(&mut self) -> io::Result<()> {
        self.send("c")
    }

    /// Starts one step; [`Gdb::wait_for_stop`] tells when it is done.
    pub fn step(&mut self) -> io::Result<()> {
        self.send("s")
    }

    /// Asks a running core to stop; [`Gdb::wait_for_stop`] tells when it has.
    pub fn interrupt(&mut self) -> io::Result<()> {
        self.socket.write(&[3])
    }

    /// Waits until the core stops; `None` when it still runs after `timeout`, else whether it
    /// stopped at a breakpoint or after a step (SIGTRAP).
    pub fn wait_for_stop(&mut self, timeout: Duration) -> io::Result<Option<bool>> {
        match self.receive(timeout)? {
            None => Ok(None),
            Some(reply) if reply.starts_with(['W', 'X']) => {
                Err(io::Error::new(io::ErrorKind::BrokenPipe, "the emulator has ended"))
            }
            Some(reply) => Ok(Some(reply.starts_with("T05"))),
        }
    }
}

/// Takes the first whole packet, `$…#xx`, off the front of `buffer`.
fn split_packet(buffer: &mut Vec<u8>) -> Option<String> {
    let start = buffer.iter().position(|&byte| byte == b'$')?;
    let end = start + buffer[start..].iter().position(|&byte| byte == b'#')?;
    if buffer.len() < end + 3 {
        return None;
    }
    let packet = String::from_utf8_lossy(&buffer[start + 1..end]).into_owned();
    buffer.drain(..end + 3);
    Some(packet)
}

/// Lower-case hexadecimal, two digits a byte.
pub fn encode_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|&byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// The bytes that `text` spells.
pub fn decode_hex(text: &str) -> io::Result<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    text.as_bytes()
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => Some((digit(high)? << 4 | digit(low)?) as u8),
            _ => None,
        })
        .collect::<Option<_>>()
        .ok_or_else(|| io::Error::other(format!("the emulator answered {text:.40} where hexadecimal digits belong")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_taken_one_by_one_and_only_when_whole() {
        let mut buffer = b"+$T05thread:01;#07+$OK#9".to_vec();
        assert_eq!(split_packet(&mut buffer).as_deref(), Some("T05thread:01;"));
        assert_eq!(split_packet(&mut buffer), None);
        buffer.push(b'a');
        assert_eq!(split_packet(&mut buffer).as_deref(), Some("OK"));
        assert!(buffer.is_empty());
    }

    #[test]
    fn hexadecimal_round_trips_and_refuses_other_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(decode_hex(&encode_hex(&bytes)).unwrap(), bytes);
        assert!(decode_hex("E14").is_err());
        assert!(decode_hex("zz").is_err());
    }
}
