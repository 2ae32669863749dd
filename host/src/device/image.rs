//! A board's firmware: built from `boards/`, and what its ELF file says about it.

use super::board::Board;
use crate::setup::{self, Toolchain};
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SectionFlags, elf};
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A firmware file and the places in it that the host needs.
pub struct Firmware {
    /// The ELF file.
    pub elf: Vec<u8>,
    /// Bytes in flash: code, constants and initial values.
    pub flash_bytes: u32,
    /// Name and bytes of each section in flash.
    pub flash_sections: Vec<(String, u32)>,
    /// Bytes of RAM that statics take: arena, scratch and buffers.
    pub static_bytes: u32,
    /// RAM left to the stack; the core starts at its end.
    pub stack: Range<u32>,
    /// The RTT control block.
    pub rtt_address: u64,
    /// Start, end and name of each function.
    functions: Vec<(Range<u32>, String)>,
}

impl Firmware {
    /// Builds the firmware of `board`, which takes no time when nothing has changed.
    pub fn build(board: &Board) -> Result<Self> {
        Self::of(board, build(board, board.name, &["build"])?)
    }

    /// As [`Firmware::build`], but the firmware logs through defmt where the board has room for that.
    pub fn build_with_log(board: &Board) -> Result<Self> {
        match board.has_log {
            true => Self::of(board, build(board, board.name, &["build", "--features", "defmt"])?),
            false => Self::build(board),
        }
    }

    fn of(board: &Board, elf: Vec<u8>) -> Result<Self> {
        Self::parse(elf).with_context(|| format!("the firmware of {} cannot be used", board.name))
    }

    /// Reads what the host needs out of an ELF file that `boards/common` is part of.
    pub fn parse(elf: Vec<u8>) -> Result<Self> {
        let file = object::File::parse(&*elf).context("it is no ELF file")?;
        let symbol = |name: &str| {
            let found = file.symbols().find(|symbol| symbol.name() == Ok(name));
            found.map(|symbol| symbol.address() as u32).with_context(|| format!("it has no symbol {name}"))
        };
        let stack = symbol("_stack_end")?..symbol("_stack_start")?;
        let rtt_address = symbol("_SEGGER_RTT")?.into();
        let flash_bytes = file.segments().map(|segment| segment.file_range().1 as u32).sum();
        let has = |flags, wanted| matches!(flags, SectionFlags::Elf { sh_flags } if sh_flags & wanted == wanted);
        let is_allocated = |flags| has(flags, u64::from(elf::SHF_ALLOC));
        let is_in_ram = |flags| has(flags, u64::from(elf::SHF_ALLOC | elf::SHF_WRITE));
        let static_bytes =
            file.sections().filter(|section| is_in_ram(section.flags())).map(|section| section.size() as u32).sum();
        let flash_sections = file
            .sections()
            .filter(|section| section.file_range().is_some() && is_allocated(section.flags()) && section.size() > 0)
            .filter_map(|section| Some((section.name().ok()?.to_owned(), section.size() as u32)))
            .collect();
        let mut functions: Vec<_> = file
            .symbols()
            .filter(|symbol| symbol.kind() == object::SymbolKind::Text && symbol.size() > 0)
            .filter_map(|symbol| {
                let start = symbol.address() as u32 & !1;
                Some((start..start + symbol.size() as u32, symbol.name().ok()?.to_owned()))
            })
            .collect();
        functions.sort_by_key(|(range, _)| range.start);
        Ok(Self { flash_bytes, flash_sections, static_bytes, stack, rtt_address, functions, elf })
    }

    /// The function that `address` lies in.
    pub fn function(&self, address: u32) -> Option<&str> {
        self.functions.iter().find(|(range, _)| range.contains(&address)).map(|(_, name)| name.as_str())
    }
}

/// Runs `cargo COMMAND --release` in the folder `package` of `boards/`, for `board`, and gives the ELF file that results.
pub fn build(board: &Board, package: &str, command: &[&str]) -> Result<Vec<u8>> {
    // The folder of a board that exists names this linker; Debian's Rust has its own, which outranks it.
    if board.usb.is_some() && matches!(setup::toolchain(board.core.target())?, Toolchain::Installed { .. }) {
        setup::flip_link()?;
    }
    build_for(board.core.target(), board.name, package, command)
}

/// As [`build`], for the compiler's name of a core and the name of a board.
pub fn build_for(target: &str, board: &str, package: &str, command: &[&str]) -> Result<Vec<u8>> {
    let boards = project_folder()?.join("boards");
    let target_folder = boards.join("target");
    let toolchain = setup::toolchain(target)?;
    // Builds with other features or for another board end up at the same path: one at a time, until it is read.
    let _lock = lock(&target_folder)?;
    let output = toolchain
        .cargo()
        .args(command)
        .args(["--release", "--quiet", "--message-format=json-render-diagnostics"])
        .args(["--target", target, "--target-dir"])
        .arg(&target_folder)
        // For the tests that run on the core, which are linked for any board.
        .env("BOARD", board)
        // Meant for this machine, where it has been set.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .current_dir(boards.join(package))
        .output()
        .context("cannot start cargo")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("boards/{package} does not build for {board}: {}", said.trim());
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut executables = messages.lines().filter_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    let path = executables.next_back().with_context(|| format!("cargo names no executable of boards/{package}"))?;
    std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
}

/// Held until dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join("host.lock");
    let context = || format!("cannot lock {}", path.display());
    std::fs::create_dir_all(folder).with_context(context)?;
    let file = File::options().create(true).append(true).open(&path).with_context(context)?;
    file.lock().with_context(context)?;
    Ok(file)
}

/// The folder that holds `boards/`: above the current folder, else that of this tool's sources.
pub fn project_folder() -> Result<PathBuf> {
    let here = std::env::current_dir().context("the current folder cannot be read")?;
    let beside_sources = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf);
    let mut candidates = here.ancestors().map(Path::to_path_buf).chain(beside_sources);
    let found = candidates.find(|folder| folder.join("boards/Cargo.toml").is_file());
    found.context("there is no folder boards/ with the firmware sources here: run this inside the project")
}
