//! The protocol of the Glasgow Interface Explorer's `probe-rs` applet, which stock probe-rs tools
//! speak over a socket: `--probe 20b7:9db1:unix:PATH`.
//!
//! Packets are COBS-framed; their first byte says for whom they are, and the bytes for one endpoint
//! form one stream, whatever packets they came in:
//!
//! | endpoint | requests |
//! |---|---|
//! | 0, root | identification, clock, reset line |
//! | 1, SWD | transfers (one register each) and line sequences |

use super::dap::Dap;
use super::machine::Machine;
use std::io;

const ROOT: u8 = 0;
const SWD: u8 = 1;

const IDENTIFY: u8 = 0x00;
const GET_REFERENCE_CLOCK: u8 = 0x10;
const GET_DIVISOR: u8 = 0x11;
const SET_DIVISOR: u8 = 0x12;
const ASSERT_RESET: u8 = 0x20;
const CLEAR_RESET: u8 = 0x21;
const REFERENCE_CLOCK_HZ: u32 = 48_000_000;

/// Bits of a transfer request; bits 2 and 3 are the register's address.
const TRANSFER_AP: u8 = 1;
const TRANSFER_READ: u8 = 1 << 1;
/// Set in a request for a line sequence, which four bytes follow.
const SEQUENCE: u8 = 0x20;
/// The debug port's register that gives the value of the access port's last read.
const RDBUFF: u8 = 0xC;

const ACK_DATA: u8 = 0x01;
const ACK_NO_DATA: u8 = 0x11;
const ACK_FAULT: u8 = 0x14;

/// One client's conversation.
#[derive(Default)]
pub struct Conversation {
    /// Bytes of a packet that is not whole yet.
    incoming: Vec<u8>,
    root: Vec<u8>,
    swd: Vec<u8>,
    divisor: u16,
    /// Reads of the access port are posted: each gives the value of the one before.
    posted: u32,
}

impl Conversation {
    /// Takes what the client has sent and gives what to send back. A machine that fails answers
    /// FAULT: a client that saw its connection close would wait for ever.
    pub fn receive<M: Machine>(&mut self, bytes: &[u8], dap: &mut Dap<M>) -> Vec<u8> {
        self.incoming.extend_from_slice(bytes);
        while let Some(end) = self.incoming.iter().position(|&byte| byte == 0) {
            let mut packet: Vec<u8> = self.incoming.drain(..=end).collect();
            packet.pop();
            let length = cobs::decode_in_place(&mut packet).unwrap_or(0);
            match packet[..length].split_first() {
                Some((&ROOT, data)) => self.root.extend_from_slice(data),
                Some((&SWD, data)) => self.swd.extend_from_slice(data),
                _ => {}
            }
        }
        let mut answer = frame(ROOT, &self.answer_root(dap));
        answer.extend(frame(SWD, &self.answer_swd(dap)));
        answer
    }

    fn answer_root<M: Machine>(&mut self, dap: &mut Dap<M>) -> Vec<u8> {
        let mut answer = Vec::new();
        let mut rest = self.root.as_slice();
        while let Some((&request, behind)) = rest.split_first() {
            rest = behind;
            match request {
                IDENTIFY => answer.extend_from_slice(b"probe-rs,v01"),
                GET_REFERENCE_CLOCK => answer.extend(REFERENCE_CLOCK_HZ.to_le_bytes()),
                GET_DIVISOR => answer.extend(self.divisor.to_le_bytes()),
                SET_DIVISOR => {
                    let Some((divisor, behind)) = rest.split_first_chunk() else {
                        self.root = [&[SET_DIVISOR], rest].concat();
                        return answer;
                    };
                    self.divisor = u16::from_le_bytes(*divisor);
                    rest = behind;
                }
                // No reply tells of a failure here; the transfers that follow will.
                ASSERT_RESET => drop(dap.core().assert_reset()),
                CLEAR_RESET => drop(dap.core().release_reset()),
                _ => {}
            }
        }
        self.root.clear();
        answer
    }

    fn answer_swd<M: Machine>(&mut self, dap: &mut Dap<M>) -> Vec<u8> {
        let mut answer = Vec::new();
        let swd = std::mem::take(&mut self.swd);
        let mut rest = swd.as_slice();
        while let Some(&request) = rest.first() {
            let used = if request & SEQUENCE != 0 {
                // The line reset and the switch from JTAG to SWD: the port is always ready.
                if rest.len() < 5 { 0 } else { 5 }
            } else if request & TRANSFER_READ != 0 {
                self.read(request, rest, dap, &mut answer)
            } else {
                write(request, rest, dap, &mut answer)
            };
            if used == 0 {
                break;
            }
            rest = &rest[used..];
        }
        self.swd = rest.to_vec();
        answer
    }

    /// Answers the run of equal reads at the front of `requests` and gives its length.
    fn read<M: Machine>(&mut self, request: u8, requests: &[u8], dap: &mut Dap<M>, answer: &mut Vec<u8>) -> usize {
        let address = request & 0xC;
        if request & TRANSFER_AP == 0 {
            let value = if address == RDBUFF { self.posted } else { dap.read_dp(address) };
            acknowledge(answer, Ok(value));
            return 1;
        }
        if !dap.is_data(address) {
            let value = dap.read_ap(address).map(|value| std::mem::replace(&mut self.posted, value));
            acknowledge(answer, value);
            return 1;
        }
        let run = requests.iter().take_while(|&&other| other == request).count();
        let mut values = vec![0; run];
        let result = dap.read_data(&mut values);
        for value in values {
            let previous = std::mem::replace(&mut self.posted, value);
            acknowledge(answer, if result.is_ok() { Ok(previous) } else { Err(io::ErrorKind::Other.into()) });
        }
        run
    }
}

/// Answers the run of writes to one register at the front of `requests` and gives its length in
/// bytes; 0 when the first is not whole yet.
fn write<M: Machine>(request: u8, requests: &[u8], dap: &mut Dap<M>, answer: &mut Vec<u8>) -> usize {
    let address = request & 0xC;
    let is_data = request & TRANSFER_AP != 0 && dap.is_data(address);
    let whole = requests.chunks_exact(5).take_while(|chunk| chunk[0] == request);
    let mut values: Vec<u32> =
        whole.map(|chunk| u32::from_le_bytes([chunk[1], chunk[2], chunk[3], chunk[4]])).collect();
    if !is_data {
        values.truncate(1);
    }
    let Some(&first) = values.first() else { return 0 };
    let result = if is_data {
        dap.write_data(&values)
    } else if request & TRANSFER_AP != 0 {
        dap.write_ap(address, first)
    } else {
        dap.write_dp(address, first);
        Ok(())
    };
    let acknowledgement = if result.is_ok() { ACK_NO_DATA } else { ACK_FAULT };
    answer.extend(std::iter::repeat_n(acknowledgement, values.len()));
    values.len() * 5
}

fn acknowledge(answer: &mut Vec<u8>, value: io::Result<u32>) {
    match value {
        Ok(value) => {
            answer.push(ACK_DATA);
            answer.extend(value.to_le_bytes());
        }
        Err(_) => answer.push(ACK_FAULT),
    }
}

fn frame(endpoint: u8, data: &[u8]) -> Vec<u8> {
    if data.is_empty() {
        return Vec::new();
    }
    let mut packet = cobs::encode_vec(&[&[endpoint], data].concat());
    packet.push(0);
    packet
}

#[cfg(test)]
mod tests {
    use super::super::core_debug::CoreDebug;
    use super::super::fake::Fake;
    use super::*;

    fn ask(conversation: &mut Conversation, dap: &mut Dap<Fake>, endpoint: u8, data: &[u8]) -> Vec<u8> {
        let mut answer = conversation.receive(&frame(endpoint, data), dap);
        if answer.is_empty() {
            return answer;
        }
        answer.pop();
        let length = cobs::decode_in_place(&mut answer).unwrap();
        assert_eq!(answer[0], endpoint);
        answer[1..length].to_vec()
    }

    fn dap() -> Dap<Fake> {
        Dap::new(CoreDebug::new(Fake::new(&[0xBF00; 4]), 0..0x1000).unwrap())
    }

    #[test]
    fn the_probe_identifies_itself_even_when_bytes_come_one_by_one() {
        let (mut conversation, mut dap) = (Conversation::default(), dap());
        let mut answer = Vec::new();
        for byte in frame(ROOT, &[IDENTIFY, SET_DIVISOR, 7, 0, GET_DIVISOR]) {
            answer.extend(conversation.receive(&[byte], &mut dap));
        }
        assert_eq!(answer, frame(ROOT, b"probe-rs,v01\x07\x00"));
    }

    #[test]
    fn reads_of_memory_are_posted() {
        let (mut conversation, mut dap) = (Conversation::default(), dap());
        let write = |address: u8, value: u32| [&[TRANSFER_AP | address][..], &value.to_le_bytes()].concat();
        let requests = [write(0x0, 2 | 1 << 4), write(0x4, 0x2000_0000), write(0xC, 11), write(0xC, 22)].concat();
        assert_eq!(ask(&mut conversation, &mut dap, SWD, &requests), [ACK_NO_DATA; 4]);
        let read = TRANSFER_AP | TRANSFER_READ | 0xC;
        let requests = [write(0x4, 0x2000_0000), vec![read, read, TRANSFER_READ | RDBUFF]].concat();
        let answer = ask(&mut conversation, &mut dap, SWD, &requests);
        let values: Vec<u8> = answer[1..].chunks(5).map(|chunk| chunk[1]).collect();
        assert_eq!(values, [0, 11, 22]);
    }

    #[test]
    fn a_write_that_is_cut_is_answered_once_it_is_whole() {
        let (mut conversation, mut dap) = (Conversation::default(), dap());
        assert!(ask(&mut conversation, &mut dap, SWD, &[TRANSFER_AP | 0x4, 0, 0]).is_empty());
        assert_eq!(ask(&mut conversation, &mut dap, SWD, &[0, 0x20]), [ACK_NO_DATA]);
        assert_eq!(dap.read_ap(0x4).unwrap(), 0x2000_0000);
    }
}
