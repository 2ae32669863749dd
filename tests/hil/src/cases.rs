//! What every board is put through. A case opens its own session, so that none depends on another.

use crate::report::report;
use crate::{on_target, panics, sights, subject, texts};
use anyhow::{Context, Result, anyhow, bail, ensure};
use firmware::link::{ErrorCode, Reply};
use firmware::model::format::{Header, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD, PACKING_PORTABLE};
use host::device::emulator::server::Server;
use host::device::{Board, Firmware, Place, Session};
use host::setup;
use host::twin::Twin;
use probe_rs::{MemoryInterface, RegisterId};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::mem::offset_of;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Of the subject's weights.
pub const SEED: u64 = 1;

/// A case and its name.
pub type Case = (&'static str, Run);

/// What a case does.
#[derive(Clone, Copy)]
pub enum Run {
    /// Talks to a board that runs the firmware with the [`subject`]; when that fails, the board is asked for a report.
    Session(fn(&mut Session) -> Result<()>),
    /// Takes a board at a place as it likes.
    Board(fn(&'static Board, Place) -> Result<()>),
}

use Run::{Board as OnBoard, Session as InSession};

/// Cases for boards of both kinds.
pub const ANY: &[Case] = &[
    ("layers-equal-the-twin", InSession(layers_equal_the_twin)),
    ("inferences-equal-the-twin", InSession(inferences_equal_the_twin)),
    ("texts-equal-the-twin", InSession(texts::texts_equal_the_twin)),
    ("unusable-models-are-refused-with-the-reason", InSession(unusable_models_are_refused_with_the_reason)),
    ("noise-on-the-link-is-answered", InSession(noise_on_the_link_is_answered)),
    ("half-a-message-does-not-outlive-a-flash", InSession(half_a_message_does_not_outlive_a_flash)),
    ("the-stack-has-room", InSession(the_stack_has_room)),
];

/// Cases for emulated boards alone.
pub const EMULATED: &[Case] = &[
    ("instruction-counts-repeat", InSession(instruction_counts_repeat)),
    ("a-killed-emulator-is-an-error", OnBoard(a_killed_emulator_is_an_error)),
    ("two-run-side-by-side", OnBoard(two_run_side_by_side)),
    ("stock-tools-find-the-served-probe", OnBoard(stock_tools_find_the_served_probe)),
    ("panics-only-where-known", OnBoard(panics::only_where_known)),
];

/// Cases of some emulated boards: the boards and the case.
pub const CHOSEN: &[(&[&str], Case)] = &[
    (&["mps2-an386", "mps3-an547"], ("a-panic-is-reported", OnBoard(a_panic_is_reported))),
    (&["mps2-an505", "microbit"], ("a-fault-is-reported", OnBoard(a_fault_is_reported))),
    (&["mps2-an386", "mps3-an547"], ("frames-equal-the-twin", InSession(sights::frames_equal_the_twin))),
    (&on_target::BOARDS, ("tests-on-the-core-pass", OnBoard(on_target::run))),
    (
        &["mps2-an386", "mps2-an500", "mps2-an505"],
        ("other-forms-equal-the-twin", InSession(other_forms_equal_the_twin)),
    ),
];

impl Run {
    /// Runs the case; the error of one in a session ends with the board's report.
    pub fn run(self, board: &'static Board, place: Place) -> Result<()> {
        match self {
            InSession(case) => in_session(board, place, case),
            OnBoard(case) => case(board, place),
        }
    }
}

fn in_session(board: &'static Board, place: Place, case: impl FnOnce(&mut Session) -> Result<()>) -> Result<()> {
    let mut session = open(board, place)?;
    let outcome = session.check_model().and_then(|()| case(&mut session));
    outcome.map_err(|error| anyhow!("{error:#}\n{}", report(&mut session)))
}

fn open(board: &'static Board, place: Place) -> Result<Session> {
    let container = subject::container(board.core.packing(), SEED);
    Session::open_with(board, place, &container, Firmware::build_with_log(board)?)
}

/// What the twin's ops write, byte for byte: the subject's tensors behind the input, in the order of its ops.
fn outputs(container: &[u8], input: &[i8]) -> Result<Vec<Vec<u8>>> {
    Ok(Twin::new(container)?.trace(input)?.split_off(1))
}

fn layers_equal_the_twin(session: &mut Session) -> Result<()> {
    let portable = subject::container(PACKING_PORTABLE, SEED);
    for image in 0..3 {
        let input = subject::input(image);
        session.write_input(&input)?;
        for (op, expected) in (0..).zip(outputs(&portable, &input)?) {
            session.run(op, 1)?;
            let seen = session.read(op + 1, expected.len())?;
            let differs = seen.iter().zip(&expected).position(|(a, b)| a != b);
            if let Some(index) = differs {
                bail!("image {image}, op {op}: byte {index} is {}, not {}", seen[index], expected[index]);
            }
            ensure!(seen.len() == expected.len(), "image {image}, op {op}: {} bytes", seen.len());
        }
    }
    Ok(())
}

/// What `--prefer speed` and `--prefer ram` choose.
fn other_forms_equal_the_twin(session: &mut Session) -> Result<()> {
    for packing in [PACKING_DSP_WINOGRAD, PACKING_DSP_PLACES] {
        session.replace_model(&subject::container(packing, SEED))?;
        layers_equal_the_twin(session).with_context(|| format!("packing {packing}"))?;
    }
    Ok(())
}

fn inferences_equal_the_twin(session: &mut Session) -> Result<()> {
    let portable = subject::container(PACKING_PORTABLE, SEED);
    for image in 0..20 {
        let input = subject::input(image);
        let expected = outputs(&portable, &input)?.pop().context("the model has no op")?;
        ensure!(session.infer(&input)?.output == expected, "image {image}");
    }
    Ok(())
}

fn unusable_models_are_refused_with_the_reason(session: &mut Session) -> Result<()> {
    let packing = session.board().core.packing();
    let good = subject::container(packing, SEED);
    let (mut damaged, mut future) = (good.clone(), good.clone());
    damaged[good.len() / 2] ^= 1;
    future[offset_of!(Header, version)] = 2;
    for (container, reason) in [
        (damaged, "the model is damaged"),
        (future, "the model has version 2, this build reads version 1"),
        (subject::too_large(packing), "the model needs an arena of 16778000 bytes"),
        (subject::unknown_packing(packing), "op 0 has weights that this core has no kernel for"),
        (vec![0xFF; 16], "not a model"),
    ] {
        session.replace_model(&container)?;
        let error = session.hello()?.model_error.with_context(|| format!("taken, although {reason}"))?.to_string();
        ensure!(error.contains(reason), "refused because \"{error}\", not because \"{reason}\"");
        ensure!(session.run(0, 1).is_err(), "the device ran, although {reason}");
    }
    session.replace_model(&good)?;
    let hello = session.hello()?;
    ensure!(hello.model_error.is_none() && hello.model == "random-cnn", "a good model is refused: {hello:?}");
    session.infer(&subject::input(0)).map(drop)
}

fn noise_on_the_link_is_answered(session: &mut Session) -> Result<()> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(3);
    for length in [1, 20, 600, 2000] {
        let mut noise: Vec<u8> = (0..length).map(|_| random.random_range(1..=255)).collect();
        noise.push(0);
        let reply = session.send_raw(&noise)?;
        let wanted = if length >= 512 { ErrorCode::TooLong } else { ErrorCode::Malformed };
        ensure!(reply.parse()? == Reply::Error(wanted), "{length} bytes: {:?}", reply.parse()?);
        // A second reply to the noise would be taken for the answer to this.
        session.hello()?;
    }
    ensure!(session.run(3, 2).is_err(), "the device ran an op that the model has not got");
    session.infer(&subject::input(0)).map(drop)
}

fn half_a_message_does_not_outlive_a_flash(session: &mut Session) -> Result<()> {
    let (portable, input) = (subject::container(PACKING_PORTABLE, SEED + 1), subject::input(0));
    // The start of a frame that would be 250 bytes long.
    session.send_unanswered(&[250, 1, 2, 3])?;
    session.replace_model(&subject::container(session.board().core.packing(), SEED + 1))?;
    let expected = outputs(&portable, &input)?.pop().context("the model has no op")?;
    ensure!(session.infer(&input)?.output == expected, "the new model's answer is not the twin's");
    Ok(())
}

fn the_stack_has_room(session: &mut Session) -> Result<()> {
    session.infer(&subject::input(0))?;
    let (used, room) = (session.stack_bytes()?, session.firmware().stack.len() as u32);
    ensure!(used > 64, "{used} bytes of stack cannot be true");
    ensure!(used + 256 <= room, "{used} of {room} bytes of stack are used");
    Ok(())
}

fn instruction_counts_repeat(session: &mut Session) -> Result<()> {
    let input = subject::input(0);
    let first = session.count(&input)?;
    for _ in 0..3 {
        ensure!(session.count(&input)? == first, "{:?} after {first:?}", session.count(&input)?);
    }
    let sum: u64 = first.ops.iter().sum();
    ensure!(first.ops.iter().all(|&count| count > 1000), "{first:?}");
    ensure!(first.total.abs_diff(sum) < 2000, "the ops' counts do not add up: {first:?}");
    Ok(())
}

fn a_killed_emulator_is_an_error(board: &'static Board, place: Place) -> Result<()> {
    let mut session = open(board, place.clone())?;
    let process = session.emulator_process_id().context("the emulator has no process id")?;
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        std::process::Command::new("kill").args(["-9", &process.to_string()]).status()
    });
    let input = subject::input(0);
    let start = Instant::now();
    let error = loop {
        if let Err(error) = session.infer(&input) {
            break format!("{error:#}");
        }
        ensure!(start.elapsed() < Duration::from_secs(10), "the killed emulator still answers");
    };
    ensure!(killer.join().is_ok_and(|status| status.is_ok()), "the emulator could not be killed");
    ensure!(start.elapsed() < Duration::from_secs(10), "the error took {:?}", start.elapsed());
    ensure!(error.contains(board.name) && error.contains("ended"), "not clear: {error}");
    drop(session);
    open(board, place)?.infer(&input).map(drop)
}

fn two_run_side_by_side(board: &'static Board, place: Place) -> Result<()> {
    let input = subject::input(0);
    let answer = || open(board, place.clone())?.infer(&input);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let threads = [scope.spawn(answer), scope.spawn(answer)];
        threads.map(|thread| thread.join().unwrap_or_else(|_| bail!("a session panicked"))).into()
    });
    let [first, second] = answers.as_slice() else { bail!("two answers were asked for") };
    match (first, second) {
        (Ok(first), Ok(second)) => ensure!(first.output == second.output, "the two disagree"),
        (Err(error), _) | (_, Err(error)) => bail!("{error:#}"),
    }
    Ok(())
}

/// Through the socket of `host probe serve` and probe-rs's own driver for it, as stock tools come.
fn stock_tools_find_the_served_probe(board: &'static Board, _: Place) -> Result<()> {
    let machine = board.machine.as_ref().context("the board cannot be emulated")?;
    let path = std::env::temp_dir().join(format!("hil-{}-{}.sock", board.name, std::process::id()));
    let (server, qemu) = (Server::bind(&path)?, setup::qemu()?);
    let stop = AtomicBool::new(false);
    let place = Place::Attached(format!("20b7:9db1:unix:{}", path.display()));
    std::thread::scope(|scope| {
        let stopped = &stop;
        let served = scope.spawn(move || server.serve(&qemu, machine, stopped));
        let seen = (0..2).try_for_each(|_| in_session(board, place.clone(), inferences_equal_the_twin));
        stop.store(true, Ordering::Relaxed);
        // Wakes the server; one that has ended already tells why.
        let _ = UnixStream::connect(&path);
        served.join().map_err(|_| anyhow!("the server panicked"))??;
        seen
    })
}

/// A trial fails because the firmware panics, as it does where its model changes behind its back.
fn a_panic_is_reported(board: &'static Board, place: Place) -> Result<()> {
    let outcome = in_session(board, place, |session| {
        // The flash of an emulated MPS board is RAM.
        session.core()?.write_8(board.model.start.into(), &subject::too_demanding(board.core.packing()))?;
        session.infer(&subject::input(0)).map(drop)
    });
    let model = format!("INFO  {}: model random-cnn", board.name);
    told(outcome, &[&model, "ERROR panicked at", "firmware::kernels", "common::serve"])
}

/// A trial fails because the core calls an undefined instruction.
fn a_fault_is_reported(board: &'static Board, place: Place) -> Result<()> {
    let outcome = in_session(board, place, |session| {
        const LR: RegisterId = RegisterId(14);
        const PC: RegisterId = RegisterId(15);
        const UNDEFINED: [u8; 2] = [0, 0xDE];
        let address = session.firmware().stack.start;
        let mut core = session.core()?;
        let caller = core.halt(Duration::from_secs(2))?.pc as u32;
        core.write_8(address.into(), &UNDEFINED)?;
        core.write_core_reg(LR, caller | 1)?;
        core.write_core_reg(PC, address)?;
        core.run()?;
        drop(core);
        session.hello().map(drop)
    });
    told(outcome, &["HardFault", "-- exception --", "common::serve"])
}

/// Fails where the error that a trial was to end with lacks one of `parts`.
fn told(outcome: Result<()>, parts: &[&str]) -> Result<()> {
    let error = format!("{:#}", outcome.err().context("the trial passed")?);
    let missing: Vec<_> = parts.iter().filter(|part| !error.contains(**part)).collect();
    ensure!(missing.is_empty(), "the error does not tell {missing:?}: {error}");
    ensure!(error.lines().count() < 60, "the error is long: {error}");
    Ok(())
}
