//! Executed instructions by class, counted by a plugin inside the emulator, and the cycles that they would take.
//!
//! The plugin (`host/plugin`) adds a line to a file each time the firmware has read its clock. The device reads its
//! clock when it begins what it was asked for and when it is done, so two lines enclose exactly what the ticks in its
//! answer count, and the classes of a request sum up to [`Session::instructions`](super::Session::instructions).

use super::board::Board;
use super::image::project_folder;
use anyhow::{Context, Result, bail, ensure};
use instructions::{Class, Count, Tally};
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::NamedTempFile;

/// Counts by class on one emulated board.
pub struct ClassCounter {
    plugin: PathBuf,
    clock: u32,
    record: NamedTempFile,
}

impl ClassCounter {
    /// A counter for `board`; builds the plugin, which takes no time when nothing has changed.
    ///
    /// # Errors
    /// The board cannot be emulated; the plugin does not build.
    pub fn new(board: &Board) -> Result<Self> {
        let machine = board.machine.as_ref().with_context(|| format!("{} cannot be emulated", board.name))?;
        let record = NamedTempFile::new().context("cannot create a file for the emulator's counts")?;
        Ok(Self { plugin: build_plugin()?, clock: machine.clock, record })
    }

    /// What makes an emulator count, for [`Session::open_emulated`](super::Session::open_emulated).
    pub fn arguments(&self) -> [String; 2] {
        let path = |path: &Path| path.display().to_string().replace(',', ",,"); // as QEMU has commas escaped
        let (plugin, record) = (path(&self.plugin), path(self.record.path()));
        ["-plugin".into(), format!("{plugin},clock={},record={record}", self.clock)]
    }

    /// What the core executed between the two readings of its clock, for each request so far that has ticks.
    ///
    /// # Errors
    /// The record cannot be read, or it ends within a request.
    pub fn requests(&self) -> Result<Vec<Tally>> {
        let text = std::fs::read_to_string(self.record.path()).context("cannot read the emulator's counts")?;
        let readings = text.lines().map(|line| line.parse().context("the emulator's counts are damaged"));
        let readings = readings.collect::<Result<Vec<Tally>>>()?;
        ensure!(readings.len().is_multiple_of(2), "the firmware has read its clock an odd number of times");
        Ok(readings.chunks_exact(2).map(|pair| pair[1] - pair[0]).collect())
    }
}

/// Builds the plugin for this machine and gives its path.
fn build_plugin() -> Result<PathBuf> {
    let project = project_folder()?;
    let output = Command::new("cargo")
        .args(["build", "--release", "--package", "plugin", "--quiet", "--message-format=json-render-diagnostics"])
        // Its own folder, since a cargo that waits for this program may hold the lock of the usual one.
        .args([Path::new("--target-dir"), &project.join("target/plugin")])
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(&project)
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        bail!("host/plugin does not build: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut libraries = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_plugin = message["target"]["kind"][0] == "cdylib";
        message["filenames"][0].as_str().filter(|_| is_plugin).map(PathBuf::from)
    });
    libraries.next_back().context("cargo names no library of host/plugin")
}

/// Cycles to refill the pipeline behind a jump; the manual says 1 to 3.
const REFILL: u64 = 2;
/// Cycles of a division; the manual says 2 to 12, by the operands.
const DIVISION: u64 = 7;

/// The cycles that a Cortex-M4 would take for `tally` from memory without wait states, by the table of instructions
/// in its Technical Reference Manual (r0p1, 3.3.1) and the notes on loads and stores behind it; `None` where an
/// instruction is one that it does not have.
///
/// | class | cycles |
/// |---|---|
/// | ALU, products of every kind, branch, call, others | 1 |
/// | division | [`DIVISION`] |
/// | load, indexed store | 2; 1 right behind a load that its address does not wait for |
/// | store | 1 |
/// | several words, floating-point loads and stores | 1 + words |
/// | floating-point arithmetic | 1 |
/// | every jump, whatever makes it | [`REFILL`] more |
///
/// A model, never compared with silicon. It leaves out wait states of flash, the bus that literals and data share,
/// the stall of an address that the instruction before has computed, IT instructions folded into their neighbours,
/// and how a jump's target lies; divisions and floating-point products (VMLA, VDIV) have one price each, which
/// the kernels have no use for.
pub fn cortex_m4_cycles(tally: &Tally) -> Option<u64> {
    tally.present().map(|(class, count)| cycles_of(class, count)).sum()
}

fn cycles_of(class: Class, count: Count) -> Option<u64> {
    let Count { executed, words, taken, pipelined } = count;
    let straight = match class {
        Class::Alu | Class::Multiply | Class::DspMultiply | Class::LongMultiply => executed,
        Class::Store | Class::Branch | Class::Call | Class::Float | Class::Other => executed,
        Class::Divide => DIVISION * executed,
        Class::Load | Class::StoreIndexed => 2 * executed - pipelined,
        Class::LoadMultiple | Class::StoreMultiple | Class::FloatLoad | Class::FloatStore => executed + words,
        Class::Vector | Class::VectorLoad | Class::VectorStore | Class::Loop => return None,
    };
    Some(straight + REFILL * taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use instructions::{Watcher, decode};

    /// Cycles of a way through instructions of 16 bits, each with its address.
    fn cycles(way: &[(u16, u64)]) -> Option<u64> {
        let mut watcher = Watcher::default();
        way.iter().for_each(|&(code, address)| watcher.execute(&decode(code, 0), address, 2));
        cortex_m4_cycles(watcher.tally())
    }

    #[test]
    fn cycles_are_those_of_the_manual() {
        const MOVS: u16 = 0x2001;
        const LDR_R2_R6: u16 = 0x6872;
        const LDR_R5_SP: u16 = 0x9D02;
        const STR_SP: u16 = 0x9001;
        const PUSH_THREE: u16 = 0xB530;
        const BEQ: u16 = 0xD002;
        assert_eq!(cycles(&[(MOVS, 0), (MOVS, 2)]), Some(2));
        assert_eq!(cycles(&[(LDR_R2_R6, 0), (LDR_R5_SP, 2), (STR_SP, 4)]), Some(2 + 1 + 1));
        assert_eq!(cycles(&[(PUSH_THREE, 0)]), Some(1 + 3));
        assert_eq!(cycles(&[(BEQ, 0), (MOVS, 2)]), Some(1 + 1), "not taken");
        assert_eq!(cycles(&[(BEQ, 0), (MOVS, 8)]), Some(1 + REFILL + 1), "taken");
    }

    #[test]
    fn what_a_cortex_m4_cannot_execute_has_no_cycles() {
        let mut watcher = Watcher::default();
        watcher.execute(&decode(0xF01F, 0xC009), 0, 4); // letp
        assert_eq!(cortex_m4_cycles(watcher.tally()), None);
    }
}
