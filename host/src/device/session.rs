//! A board that runs the firmware and answers: [`Session`].

use super::board::{Board, Place};
use super::emulator::{Emulator, MachineSpec};
use super::flash::{self, Image};
use super::image::Firmware;
use super::link::{Link, NoReply, RawReply};
use crate::setup;
use anyhow::{Context, Result, anyhow, bail};
use firmware::link::{DATA_BYTES, PROTOCOL, Reply, Request};
use firmware::model::{Element, Model};
use probe_rs::config::Registry;
use probe_rs::probe::{DebugProbeSelector, Probe, list::Lister};
use probe_rs::rtt::{Rtt, ScanRegion};
use probe_rs::{MemoryInterface, Permissions};
use std::time::Duration;
use zerocopy::IntoBytes;

const HALT_TIMEOUT: Duration = Duration::from_secs(2);
/// What cortex-m-rt fills the stack with before `main`.
const STACK_PAINT: u32 = 0xCCCC_CCCC;

/// A board with firmware and model in flash, running, and the link to it.
///
/// An emulated board ends with its session.
pub struct Session {
    board: &'static Board,
    place: Place,
    firmware: Firmware,
    probe: probe_rs::Session,
    link: Link,
    emulator: Option<u32>,
    input_bytes: usize,
    pub(super) output: TensorPlace,
    op_count: u16,
}

/// Where the answer is.
#[derive(Clone, Copy)]
pub(super) struct TensorPlace {
    pub index: u16,
    pub bytes: usize,
    pub element: Element,
}

/// What one inference gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The output tensor's bytes: `i8` values, or `i32` values in little-endian order.
    pub output: Vec<u8>,
    /// Ticks of the board's clock that the ops took.
    pub ticks: u32,
}

/// Who answers, see [`firmware::link::Hello`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    pub board: String,
    pub model: String,
    pub model_crc32: u32,
    pub arena_bytes: u32,
    pub scratch_bytes: u32,
    /// Why the device refused the model.
    pub model_error: Option<firmware::model::Error>,
}

impl Session {
    /// Builds the firmware of `board`, starts the emulator where none is attached, programs
    /// firmware and `container` (packed for the board's core), and starts it.
    ///
    /// Fails when the device refuses the model.
    pub fn open(board: &'static Board, container: &[u8]) -> Result<Self> {
        Self::open_at(board, board.place()?, container)
    }

    /// As [`Session::open`], at a place of the caller's choice.
    pub fn open_at(board: &'static Board, place: Place, container: &[u8]) -> Result<Self> {
        let mut session = Self::open_with(board, place, container, Firmware::build(board)?)?;
        session.check_model()?;
        Ok(session)
    }

    /// As [`Session::open_at`], with a firmware that has been built already; leaves it to the caller to ask whether
    /// the device takes the model.
    pub fn open_with(board: &'static Board, place: Place, container: &[u8], firmware: Firmware) -> Result<Self> {
        Self::program(board, place, container, firmware, true, &[])
    }

    /// As [`Session::open`], on an emulator of its own that is started with `more` arguments.
    pub fn open_emulated(board: &'static Board, container: &[u8], more: &[String]) -> Result<Self> {
        let mut session = Self::program(board, Place::Emulated, container, Firmware::build(board)?, true, more)?;
        session.check_model()?;
        Ok(session)
    }

    /// Fails, with the device's reason, when it refuses the model.
    pub fn check_model(&mut self) -> Result<()> {
        match self.hello()?.model_error {
            Some(error) => bail!("{} refuses the model: {error}", self.board.name),
            None => Ok(()),
        }
    }

    /// Replaces the model on a board that runs the firmware already; the device may refuse it, as
    /// [`Session::hello`] tells.
    pub fn swap_model(board: &'static Board, place: Place, container: &[u8]) -> Result<Self> {
        let firmware = Firmware::build(board)?;
        Self::program(board, place, container, firmware, false, &[])
    }

    fn program(
        board: &'static Board,
        place: Place,
        container: &[u8],
        firmware: Firmware,
        with_firmware: bool,
        more: &[String],
    ) -> Result<Self> {
        flash::check_size(board, container)?;
        let (mut probe, emulator) = attach(board, &place, more)?;
        let elf = with_firmware.then_some(firmware.elf.as_slice());
        flash::program(&mut probe, board, Image { firmware: elf, model: Some(container) })?;
        let link = start(&mut probe, &firmware).with_context(|| format!("{} does not start", board.name))?;
        let (input_bytes, output, op_count) = (0, TensorPlace { index: 0, bytes: 0, element: Element::I8 }, 0);
        let mut session = Self { board, place, firmware, probe, link, emulator, input_bytes, output, op_count };
        session.learn(container);
        Ok(session)
    }

    /// Notes the places in a container; one that does not parse has none, and the device refuses it.
    fn learn(&mut self, container: &[u8]) {
        // Containers are read in place, as words.
        let mut aligned = vec![0u128; container.len().div_ceil(16)];
        let bytes = aligned.as_mut_bytes();
        bytes[..container.len()].copy_from_slice(container);
        let Ok(model) = Model::parse(bytes) else { return };
        self.input_bytes = model.input().bytes();
        let output = model.output();
        self.output = TensorPlace { index: model.output_index(), bytes: output.bytes(), element: output.element };
        self.op_count = model.op_count();
    }

    /// The board.
    pub fn board(&self) -> &'static Board {
        self.board
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The firmware that it runs.
    pub fn firmware(&self) -> &Firmware {
        &self.firmware
    }

    /// Process id of the emulator of an emulated board.
    pub fn emulator_process_id(&self) -> Option<u32> {
        self.emulator
    }

    /// Number of the model's ops.
    pub fn op_count(&self) -> u16 {
        self.op_count
    }

    /// Executed instructions for `ticks` of an emulated board's clock; `None` on a real board,
    /// whose clock counts time.
    pub fn instructions(&self, ticks: u32) -> Option<u64> {
        (self.place == Place::Emulated).then(|| self.board.instructions(ticks))
    }

    /// Asks who is there.
    pub fn hello(&mut self) -> Result<Hello> {
        let replies = self.exchange(&[Request::Hello])?;
        let Reply::Hello(hello) = replies[0].parse()? else { return Err(self.unexpected("Hello")) };
        if hello.protocol != PROTOCOL {
            bail!("{} speaks version {} of the link, not {PROTOCOL}", self.board.name, hello.protocol);
        }
        Ok(Hello {
            board: hello.board.to_owned(),
            model: hello.model.to_owned(),
            model_crc32: hello.model_crc32,
            arena_bytes: hello.arena_bytes,
            scratch_bytes: hello.scratch_bytes,
            model_error: hello.model_error,
        })
    }

    /// Runs the whole model on `input` (the input tensor, NHWC) and gives the output tensor.
    pub fn infer(&mut self, input: &[i8]) -> Result<Answer> {
        self.check_input(input)?;
        let bytes = as_bytes(input);
        let mut requests = writes(&bytes);
        let run = requests.len();
        requests.push(Request::Run { first: 0, count: self.op_count });
        requests.extend(reads(self.output.index, self.output.bytes));
        let replies = self.exchange(&requests)?;
        let mut ticks = 0;
        for (index, reply) in replies[..=run].iter().enumerate() {
            let done = self.done(reply, &requests[index])?;
            ticks = if index == run { done } else { ticks };
        }
        Ok(Answer { output: self.collect(&replies[run + 1..], self.output.bytes)?, ticks })
    }

    /// Writes the whole input tensor.
    pub fn write_input(&mut self, input: &[i8]) -> Result<()> {
        self.check_input(input)?;
        let bytes = as_bytes(input);
        let requests = writes(&bytes);
        let replies = self.exchange(&requests)?;
        replies.iter().zip(&requests).try_for_each(|(reply, request)| self.done(reply, request).map(drop))
    }

    /// Runs the ops `first..first + count` and gives the ticks that they took.
    pub fn run(&mut self, first: u16, count: u16) -> Result<u32> {
        let request = Request::Run { first, count };
        let replies = self.exchange(&[request])?;
        self.done(&replies[0], &request)
    }

    /// Reads the first `bytes` bytes of a tensor.
    pub fn read(&mut self, tensor: u16, bytes: usize) -> Result<Vec<u8>> {
        let requests: Vec<_> = reads(tensor, bytes).collect();
        let replies = self.exchange(&requests)?;
        self.collect(&replies, bytes)
    }

    /// Sends arbitrary bytes over the link and gives the device's first reply to them.
    pub fn send_raw(&mut self, bytes: &[u8]) -> Result<RawReply> {
        let mut core = self.probe.core(0)?;
        let bytes = bytes.iter().copied().collect();
        let reply = self.link.exchange_raw(&mut core, bytes, 1, |_| "arbitrary bytes")?.pop();
        reply.context("one reply was waited for")
    }

    /// Sends bytes over the link that the device does not answer, such as the first part of a frame.
    pub fn send_unanswered(&mut self, bytes: &[u8]) -> Result<()> {
        let mut core = self.probe.core(0)?;
        let bytes = bytes.iter().copied().collect();
        self.link.exchange_raw(&mut core, bytes, 0, |_| "arbitrary bytes").map(drop)
    }

    /// Replaces the model alone and starts the firmware anew; the device may refuse the model, as
    /// [`Session::hello`] tells.
    pub fn replace_model(&mut self, container: &[u8]) -> Result<()> {
        flash::program(&mut self.probe, self.board, Image { firmware: None, model: Some(container) })?;
        self.link = start(&mut self.probe, &self.firmware)?;
        self.learn(container);
        Ok(())
    }

    /// Most bytes of stack used since the start: how far the paint has been overwritten.
    pub fn stack_bytes(&mut self) -> Result<u32> {
        let stack = self.firmware.stack.clone();
        let mut words = vec![0; stack.len() / 4];
        self.probe.core(0)?.read_32(stack.start.into(), &mut words).context("cannot read the stack")?;
        let untouched = words.iter().take_while(|&&word| word == STACK_PAINT).count();
        Ok((words.len() - untouched) as u32 * 4)
    }

    /// What the firmware has logged since it started, as defmt encodes it; nothing where it has no log.
    pub fn log(&mut self) -> Result<Vec<u8>> {
        self.link.log(&mut self.probe.core(0)?)
    }

    /// The core, for a look beyond the link.
    pub fn core(&mut self) -> Result<probe_rs::Core<'_>> {
        Ok(self.probe.core(0)?)
    }

    fn check_input(&self, input: &[i8]) -> Result<()> {
        if input.len() != self.input_bytes {
            bail!("the model takes {} input bytes, not {}", self.input_bytes, input.len());
        }
        Ok(())
    }

    pub(super) fn exchange(&mut self, requests: &[Request<'_>]) -> Result<Vec<RawReply>> {
        let mut core = self.probe.core(0)?;
        match self.link.exchange(&mut core, requests) {
            Ok(replies) => Ok(replies),
            Err(error) => {
                let state = if error.is::<NoReply>() {
                    format!(": {}", state(&mut core, &self.firmware))
                } else {
                    String::new()
                };
                Err(error.context(format!("{} failed{state}", self.board.name)))
            }
        }
    }

    pub(super) fn done(&self, reply: &RawReply, request: &Request<'_>) -> Result<u32> {
        match reply.parse()? {
            Reply::Done { ticks } => Ok(ticks),
            Reply::Error(error) => bail!("{} answers {request:?}: {error}", self.board.name),
            _ => Err(self.unexpected("Done")),
        }
    }

    pub(super) fn collect(&self, replies: &[RawReply], bytes: usize) -> Result<Vec<u8>> {
        let mut tensor = Vec::with_capacity(bytes);
        for reply in replies {
            match reply.parse()? {
                Reply::Data(data) => tensor.extend_from_slice(data),
                Reply::Error(error) => bail!("{} answers a Read: {error}", self.board.name),
                _ => return Err(self.unexpected("Data")),
            }
        }
        Ok(tensor)
    }

    pub(super) fn unexpected(&self, wanted: &str) -> anyhow::Error {
        anyhow!("{} answered something else than {wanted}: its firmware is of another version", self.board.name)
    }
}

/// Takes the probe at `place`, or starts an emulator with `more` arguments and takes its.
pub fn attach(board: &Board, place: &Place, more: &[String]) -> Result<(probe_rs::Session, Option<u32>)> {
    let (probe, emulator) = open_probe(board, place, more)?;
    let mut registry = Registry::from_builtin_families();
    if let Some(description) = board.chip_description {
        registry.add_target_family_from_yaml(description).context("the chip description cannot be read")?;
    }
    let session = probe
        .attach_with_registry(board.chip, Permissions::default(), &registry)
        .with_context(|| format!("cannot attach to {}", board.name))?;
    Ok((session, emulator))
}

fn open_probe(board: &Board, place: &Place, more: &[String]) -> Result<(Probe, Option<u32>)> {
    match place {
        Place::Emulated => {
            let spec = board.machine.as_ref().with_context(|| format!("{} cannot be emulated", board.name))?;
            // Of this tool's firmware it is known that the model is no code. Among a model's bytes are hundreds that look like
            // breakpoints, and QEMU goes through all of them for each instruction of a page that has one.
            let code = spec.code.start..spec.code.end.min(board.model.start);
            let emulator = Emulator::start(&setup::qemu()?, &MachineSpec { code, ..*spec }, more)?;
            let process_id = emulator.process_id();
            Ok((emulator.into_probe(), process_id))
        }
        Place::Attached(selector) => {
            let selector: DebugProbeSelector =
                selector.parse().with_context(|| format!("{selector} is no probe: write VID:PID or VID:PID:serial"))?;
            let probe =
                Lister::new().open(selector.clone()).with_context(|| format!("cannot open the probe {selector}"))?;
            Ok((probe, None))
        }
    }
}

/// Resets the board and waits for its link.
fn start(probe: &mut probe_rs::Session, firmware: &Firmware) -> Result<Link> {
    let mut core = probe.core(0)?;
    core.reset_and_halt(HALT_TIMEOUT)?;
    // RAM outlives a reset, and so would the channels of the run before.
    Rtt::clear_control_block(&mut core, &ScanRegion::Exact(firmware.rtt_address))?;
    core.run()?;
    Link::attach(&mut core, firmware.rtt_address).with_context(|| state(&mut core, firmware))
}

/// What the core does, as one phrase for an error.
fn state(core: &mut probe_rs::Core<'_>, firmware: &Firmware) -> String {
    let status = match core.status() {
        Ok(status) => format!("{status:?}"),
        Err(error) => return format!("the core's state cannot be read ({error})"),
    };
    match core.halt(HALT_TIMEOUT) {
        Ok(information) => {
            let pc = information.pc as u32;
            let function = firmware.function(pc).map(|name| format!(" in {name}")).unwrap_or_default();
            let _ = core.run();
            format!("the core was {status} at {pc:#010x}{function}")
        }
        Err(error) => format!("the core was {status} and does not halt ({error})"),
    }
}

fn writes(bytes: &[u8]) -> Vec<Request<'_>> {
    let chunks = bytes.chunks(DATA_BYTES).enumerate();
    chunks.map(|(index, data)| Request::Write { offset: (index * DATA_BYTES) as u32, data }).collect()
}

pub(super) fn reads<'a>(tensor: u16, bytes: usize) -> impl Iterator<Item = Request<'a>> {
    (0..bytes).step_by(DATA_BYTES).map(move |offset| Request::Read {
        tensor,
        offset: offset as u32,
        length: DATA_BYTES.min(bytes - offset) as u16,
    })
}

fn as_bytes(values: &[i8]) -> Vec<u8> {
    values.iter().map(|&value| value as u8).collect()
}
