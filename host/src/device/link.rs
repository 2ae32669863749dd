//! The host's end of the link: requests and replies ([`firmware::link`]) over the two RTT channels
//! of a running board.

use anyhow::{Context, Result, bail};
use firmware::link::{FRAME_BYTES, Reply, Request};
use probe_rs::Core;
use probe_rs::rtt::Rtt;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Index of the RTT channels, up and down, that carry the link.
const CHANNEL: usize = 0;
/// Index of the channel up that carries the log, in a firmware that has one.
const LOG_CHANNEL: usize = 1;
/// How long a board may take for its next reply.
pub const REPLY_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a board may take from reset until it has set up its channels.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// Pauses between looks at a board that is busy, doubling from the first to the last: short
/// against an inference, long against the cost of a look.
const PAUSES: (Duration, Duration) = (Duration::from_micros(20), Duration::from_micros(400));

/// The channels and what has arrived of the next reply.
pub struct Link {
    rtt: Rtt,
    received: Vec<u8>,
}

/// No reply came in time.
#[derive(Debug, thiserror::Error)]
#[error("no reply to {request} within {} s", REPLY_TIMEOUT.as_secs())]
pub struct NoReply {
    request: &'static str,
}

/// A decoded frame; [`RawReply::parse`] gives what it says.
pub struct RawReply {
    bytes: Vec<u8>,
}

impl RawReply {
    /// The message.
    pub fn parse(&self) -> Result<Reply<'_>> {
        postcard::from_bytes(&self.bytes)
            .context("the device's reply makes no sense: its firmware is of another version")
    }
}

impl Link {
    /// Waits until the running firmware has set up its channels, whose control block is at `address`.
    pub fn attach(core: &mut Core<'_>, address: u64) -> Result<Self> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            match Rtt::attach_at(core, address) {
                Ok(rtt) => return Ok(Self { rtt, received: Vec::new() }),
                Err(probe_rs::rtt::Error::ControlBlockNotFound) if Instant::now() < deadline => {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Err(error) => return Err(error).context("the firmware has not opened its link"),
            }
        }
    }

    /// Sends all of `requests` at once and gives their replies in the same order.
    pub fn exchange(&mut self, core: &mut Core<'_>, requests: &[Request<'_>]) -> Result<Vec<RawReply>> {
        let mut frames = VecDeque::new();
        for request in requests {
            frames.extend(encode(request)?);
        }
        self.exchange_raw(core, frames, requests.len(), |index| requests.get(index).map_or("a request", name))
    }

    /// Sends all of the bytes, which need be no frames, and waits for `count` replies; `name` says what a reply
    /// that does not come would have answered.
    pub fn exchange_raw(
        &mut self,
        core: &mut Core<'_>,
        mut outgoing: VecDeque<u8>,
        count: usize,
        name: impl Fn(usize) -> &'static str,
    ) -> Result<Vec<RawReply>> {
        let mut replies = Vec::with_capacity(count);
        let (mut deadline, mut pause) = (Instant::now() + REPLY_TIMEOUT, PAUSES.0);
        while replies.len() < count || !outgoing.is_empty() {
            let sent = self.send(core, &mut outgoing)?;
            let received = self.receive(core, &mut replies)?;
            if sent || received {
                deadline = Instant::now() + REPLY_TIMEOUT;
                pause = PAUSES.0;
            } else if Instant::now() > deadline {
                return Err(NoReply { request: name(replies.len()) }.into());
            } else {
                std::thread::sleep(pause);
                pause = (pause * 2).min(PAUSES.1);
            }
        }
        Ok(replies)
    }

    /// What the board has logged since it started or since the last call. What its buffer had no room for is lost.
    pub fn log(&mut self, core: &mut Core<'_>) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let Some(channel) = self.rtt.up_channel(LOG_CHANNEL) else { return Ok(bytes) };
        // Twice the channel's buffer, whose content can be in two pieces: a board that logs for ever has an end here.
        for _ in 0..2 {
            let mut chunk = vec![0; channel.buffer_size()];
            let count = channel.read(core, &mut chunk)?;
            bytes.extend_from_slice(&chunk[..count]);
        }
        Ok(bytes)
    }

    /// Sends what fits the board's buffer; whether anything did.
    fn send(&mut self, core: &mut Core<'_>, outgoing: &mut VecDeque<u8>) -> Result<bool> {
        if outgoing.is_empty() {
            return Ok(false);
        }
        let channel = self.rtt.down_channel(CHANNEL).context("the firmware has no link channel")?;
        let count = channel.write(core, outgoing.make_contiguous())?;
        outgoing.drain(..count);
        Ok(count > 0)
    }

    /// Takes what the board has sent; whether there was anything.
    fn receive(&mut self, core: &mut Core<'_>, replies: &mut Vec<RawReply>) -> Result<bool> {
        let channel = self.rtt.up_channel(CHANNEL).context("the firmware has no link channel")?;
        let mut chunk = [0; 2 * FRAME_BYTES];
        let count = channel.read(core, &mut chunk)?;
        for &byte in &chunk[..count] {
            if byte != 0 {
                self.received.push(byte);
                continue;
            }
            let mut frame = std::mem::take(&mut self.received);
            let length = match cobs::decode_in_place(&mut frame) {
                Ok(length) => length,
                Err(_) => bail!("the device sent a frame that is damaged"),
            };
            frame.truncate(length);
            replies.push(RawReply { bytes: frame });
        }
        Ok(count > 0)
    }
}

fn encode(request: &Request<'_>) -> Result<Vec<u8>> {
    let mut frame = postcard::to_allocvec_cobs(request).context("a request cannot be encoded")?;
    if frame.len() > FRAME_BYTES {
        bail!("a request of {} bytes is longer than a frame of {FRAME_BYTES}", frame.len());
    }
    frame.shrink_to_fit();
    Ok(frame)
}

fn name(request: &Request<'_>) -> &'static str {
    match request {
        Request::Hello => "Hello",
        Request::Write { .. } => "Write",
        Request::Run { .. } => "Run",
        Request::Read { .. } => "Read",
        Request::Reset => "Reset",
        Request::Text { .. } => "Text",
        Request::Answer => "Answer",
        Request::Frame { .. } => "Frame",
        Request::Pixels { .. } => "Pixels",
        Request::Look { .. } => "Look",
        Request::See { .. } => "See",
        Request::Reading { .. } => "Reading",
        Request::Scratch { .. } => "Scratch",
    }
}
