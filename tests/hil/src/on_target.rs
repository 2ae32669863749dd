//! The tests of `boards/on-target`, in QEMU alone: each is a run of one ELF file that is told by semihosting which
//! test to run, and whose exit status is the answer. On a board, `probe-rs run` does the same.

use anyhow::{Context, Result, bail, ensure};
use host::device::{Board, Core, Place, image};
use host::setup;
use object::{Object, ObjectSection, ObjectSymbol};
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Boards with room for the tests, in cores that differ in their kernels.
pub const BOARDS: [&str; 3] = ["mps2-an386", "mps3-an547", "microbit"];

/// Longest time for one test; each takes well below a second.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the tests for `board` and runs each in an emulator of its own.
pub fn run(board: &'static Board, _place: Place) -> Result<()> {
    let machine = board.machine.as_ref().with_context(|| format!("{} cannot be emulated", board.name))?;
    let qemu = setup::qemu()?;
    let features: &[&str] = if board.core == Core::CortexM55 { &["--features", "mve"] } else { &[] };
    let elf = image::build(board, "on-target", &[&["test", "--no-run"], features].concat())?;
    let tests = tests(&elf)?;
    ensure!(!tests.is_empty(), "the ELF file for {} holds no test", board.name);
    let file = file(&elf)?;
    let mut failures = String::new();
    for Test { name, address } in tests {
        let mut command = Command::new(&qemu);
        command
            .args(["-M", machine.name, "-nodefaults", "-display", "none", "-serial", "null", "-monitor", "none"])
            .args(machine.arguments)
            .arg("-semihosting-config")
            .arg(format!("enable=on,target=native,arg=run_addr,arg={address}"))
            .arg("-kernel")
            .arg(file.path());
        let output = finish(command).with_context(|| format!("{name} on {}", board.name))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            failures += &format!("\n{name}: {}, {}", output.status, said.trim());
        }
    }
    ensure!(failures.is_empty(), "on {}:{failures}", board.name);
    Ok(())
}

/// A file that QEMU can read.
pub fn file(content: &[u8]) -> Result<NamedTempFile> {
    let mut file = NamedTempFile::new()?;
    file.write_all(content)?;
    Ok(file)
}

/// Runs a command that says little to its end, or ends it after [`PATIENCE`].
pub fn finish(mut command: Command) -> Result<Output> {
    let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().context("cannot start the emulator")?;
    let start = Instant::now();
    while child.try_wait()?.is_none() {
        if start.elapsed() > PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("no end after {} seconds", PATIENCE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    Ok(child.wait_with_output()?)
}

/// A test in an ELF file.
struct Test {
    name: String,
    address: u32,
}

/// embedded-test notes each test in a section that is not loaded: the symbol's name is JSON, and the first word at it
/// is the address to call.
fn tests(elf: &[u8]) -> Result<Vec<Test>> {
    let file = object::File::parse(elf)?;
    let section = file.section_by_name(".embedded_test").context("the ELF file has no section of tests")?;
    let data = section.data()?;
    let mut tests = Vec::new();
    for symbol in file.symbols() {
        let Ok(description) = symbol.name().map(serde_json::from_str::<serde_json::Value>) else { continue };
        let Some(name) = description.ok().and_then(|description| Some(description["name"].as_str()?.to_owned())) else {
            continue;
        };
        let offset = symbol.address().wrapping_sub(section.address()) as usize;
        let word = data.get(offset..).and_then(|data| data.first_chunk()).context("a test lies outside its section")?;
        tests.push(Test { name, address: u32::from_le_bytes(*word) });
    }
    Ok(tests)
}
