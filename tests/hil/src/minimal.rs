//! What operators cost that a program does not use: `boards/minimal` names two of them, and nothing of the others is linked.

use crate::on_target::{file, finish};
use anyhow::{Context, Result, bail, ensure};
use host::device::{Core, image};
use host::export::pack_for;
use host::setup;
use object::{Object, ObjectSection, ObjectSymbol};
use std::process::Command;

/// The program's folder.
const PROGRAM: &str = "minimal";
/// Its core.
const CORE: Core = Core::CortexM4;
/// The model that it runs.
const MODEL: &str = "mnist-cnn";
/// Where its `memory.x` has the model.
const MODEL_ADDRESS: &str = "0x00100000";
/// In names of what only operators need that the program does not name.
const FOREIGN: [&str; 14] = [
    "winograd",
    "place::",
    "depthwise",
    "conv_transpose",
    "add::",
    "multiply::multiply",
    "concat",
    "reference::slice",
    "max_pool",
    "average_pool",
    "lookup",
    "embedding",
    "lstm",
    "SIGMOID",
];

/// Builds the program with its two operators and with all, compares what is linked, and runs the smaller one.
pub fn what_is_not_named_is_not_linked() -> Result<()> {
    let build = |arguments: &[&str]| image::build_for(CORE.target(), PROGRAM, PROGRAM, arguments);
    let [few, all] = [build(&["build"])?, build(&["build", "--features", "every-op"])?];
    let foreign = |elf: &[u8]| -> Result<Vec<String>> {
        let names = symbols(elf)?.into_iter();
        Ok(names.filter(|name| FOREIGN.iter().any(|part| name.contains(part))).collect())
    };
    ensure!(foreign(&few)?.is_empty(), "linked, but not named: {:?}", foreign(&few)?);
    // The names are those of today.
    let linked = symbols(&all)?;
    for part in FOREIGN {
        ensure!(linked.iter().any(|name| name.contains(part)), "no name holds {part:?}, even with all operators");
    }
    let [few_bytes, all_bytes] = [flash_bytes(&few)?, flash_bytes(&all)?];
    println!("{PROGRAM}: {few_bytes} bytes of flash with two operators, {all_bytes} with all");
    ensure!(few_bytes < all_bytes, "two operators take {few_bytes} bytes, all of them {all_bytes}");
    run(&few)
}

/// A drawn stroke is read as a 1.
fn run(elf: &[u8]) -> Result<()> {
    let qemu = setup::qemu()?;
    let path = image::project_folder()?.join("models").join(MODEL).join(format!("{MODEL}.thm"));
    let container = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let [program, model] = [file(elf)?, file(&pack_for(&container, CORE.packing())?)?];
    let mut command = Command::new(qemu);
    command
        .args(["-M", "mps2-an386", "-nodefaults", "-display", "none", "-serial", "null", "-monitor", "none"])
        .args(["-semihosting-config", "enable=on,target=native", "-device"])
        .arg(format!("loader,file={},addr={MODEL_ADDRESS},force-raw=on", model.path().display()))
        .arg("-kernel")
        .arg(program.path());
    let output = finish(command)?;
    let said = String::from_utf8_lossy(&output.stdout);
    match (output.status.success(), said.trim()) {
        (true, "1") => Ok(()),
        _ => bail!("{}: said {said:?}, {}", output.status, String::from_utf8_lossy(&output.stderr).trim()),
    }
}

/// Names of functions and statics, as they were written.
fn symbols(elf: &[u8]) -> Result<Vec<String>> {
    let elf = object::File::parse(elf)?;
    let named = elf.symbols().filter(|symbol| symbol.size() > 0 && symbol.is_definition());
    Ok(named.filter_map(|symbol| Some(addr2line::demangle_auto(symbol.name().ok()?.into(), None).into())).collect())
}

/// Bytes that are programmed.
fn flash_bytes(elf: &[u8]) -> Result<u64> {
    let elf = object::File::parse(elf)?;
    let programmed = [".vector_table", ".text", ".rodata", ".data"];
    let sections = elf.sections().filter(|section| section.name().is_ok_and(|name| programmed.contains(&name)));
    Ok(sections.map(|section| section.size()).sum())
}
