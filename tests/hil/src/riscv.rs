//! RISC-V in QEMU alone: `boards/riscv-virt` runs the kernels' exact vectors and a model's golden ones, and its exit status
//! is the answer.

use crate::on_target::{file, finish};
use anyhow::{Context, Result, ensure};
use host::device::image;
use host::export::golden::Golden;
use host::setup;
use std::process::Command;
use tempfile::NamedTempFile;

/// The board's folder.
const BOARD: &str = "riscv-virt";
/// The compiler's name of its core.
const TARGET: &str = "riscv32imc-unknown-none-elf";
/// The model that runs.
const MODEL: &str = "mnist-cnn";
/// Where the board's `memory.x` has the model.
const MODEL_ADDRESS: &str = "0x80100000";
/// Where it has the vectors.
const VECTORS_ADDRESS: &str = "0x80200000";

/// Runs the program and says how many instructions an inference takes.
pub fn a_model_equals_its_golden_vectors() -> Result<()> {
    let qemu = setup::qemu_riscv()?;
    let elf = file(&image::build_for(TARGET, BOARD, BOARD, &["build"])?)?;
    let folder = image::project_folder()?.join("models").join(MODEL);
    let read = |name: String| std::fs::read(folder.join(&name)).with_context(|| format!("cannot read {name}"));
    let model = file(&read(format!("{MODEL}.thm"))?)?;
    let golden: Golden = serde_json::from_slice(&read(format!("{MODEL}.golden.json"))?)?;
    let vectors = file(&packed(&golden)?)?;
    let loaded = |file: &NamedTempFile, address: &str| {
        format!("loader,file={},addr={address},force-raw=on", file.path().display())
    };
    let mut command = Command::new(qemu);
    command
        .args(["-M", "virt", "-bios", "none", "-nodefaults", "-display", "none", "-serial", "null", "-monitor", "none"])
        .args(["-icount", "shift=0", "-semihosting-config", "enable=on,target=native", "-device"])
        .args([&loaded(&model, MODEL_ADDRESS), "-device", &loaded(&vectors, VECTORS_ADDRESS), "-kernel"])
        .arg(elf.path());
    let output = finish(command).with_context(|| format!("{MODEL} on {BOARD}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}, {}", output.status, said.trim());
    let counts = String::from_utf8_lossy(&output.stdout);
    let counts: Vec<u32> = counts.lines().map(str::parse).collect::<Result<_, _>>().context("a count is no number")?;
    ensure!(counts.len() == golden.vectors.len(), "{} of {} vectors ran", counts.len(), golden.vectors.len());
    println!("{BOARD}: {MODEL} takes {counts:?} instructions");
    Ok(())
}

/// What the program reads: the number of vectors, then each input and its logits.
fn packed(golden: &Golden) -> Result<Vec<u8>> {
    let mut bytes = (golden.vectors.len() as u32).to_le_bytes().to_vec();
    for vector in &golden.vectors {
        bytes.extend(vector.input().context("an input is no hexadecimal number")?.iter().map(|value| *value as u8));
        bytes.extend(vector.output.iter().flat_map(|logit| logit.to_le_bytes()));
    }
    Ok(bytes)
}
