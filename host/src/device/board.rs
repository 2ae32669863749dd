//! The boards that the tool knows. A new one is an entry in [`BOARDS`] and a folder under `boards/`.

use super::emulator::MachineSpec;
use anyhow::{Result, bail};
use firmware::model::format;
use std::ops::Range;

/// A processor core, as far as it decides which code and which weight packing run on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Core {
    CortexM0,
    CortexM4,
    CortexM7,
    CortexM33,
    CortexM55,
}

impl Core {
    /// The packing of weights for its kernels, one of [`format`]'s `PACKING_…`; an op may prefer another form of it.
    pub fn packing(self) -> u8 {
        match self {
            Core::CortexM0 => format::PACKING_FOURS,
            Core::CortexM4 | Core::CortexM7 | Core::CortexM33 => format::PACKING_DSP,
            Core::CortexM55 => format::PACKING_MVE,
        }
    }

    /// The compiler's name for the core.
    pub fn target(self) -> &'static str {
        match self {
            Core::CortexM0 => "thumbv6m-none-eabi",
            Core::CortexM4 | Core::CortexM7 => "thumbv7em-none-eabihf",
            Core::CortexM33 | Core::CortexM55 => "thumbv8m.main-none-eabihf",
        }
    }

    /// The vendor's name.
    pub fn name(self) -> &'static str {
        match self {
            Core::CortexM0 => "Cortex-M0",
            Core::CortexM4 => "Cortex-M4",
            Core::CortexM7 => "Cortex-M7",
            Core::CortexM33 => "Cortex-M33",
            Core::CortexM55 => "Cortex-M55",
        }
    }
}

/// One board: what it is, where things lie in its memory and how it is reached.
#[derive(Debug)]
pub struct Board {
    /// Name in commands, also of its folder under `boards/`.
    pub name: &'static str,
    pub core: Core,
    /// probe-rs's name of the chip.
    pub chip: &'static str,
    /// A chip description where probe-rs has none, as YAML.
    pub chip_description: Option<&'static str>,
    pub flash: Range<u32>,
    pub ram: Range<u32>,
    /// What holds the model: a part of flash, or memory outside the chip.
    pub model: Range<u32>,
    /// Frequency of the clock whose ticks the device reports.
    pub clock_hz: u32,
    /// How to emulate it, where QEMU can.
    pub machine: Option<MachineSpec>,
    /// Its firmware has the feature `defmt`, a log: flash has room for it beside the model.
    pub has_log: bool,
    /// What its firmware sets aside for a model.
    pub memory: Memory,
    /// Its firmware has the operators of larger image nets.
    pub has_image_ops: bool,
    /// USB vendor and product ids of the probe that sits on the board, where the board exists.
    pub usb: Option<(u16, u16)>,
}

/// What a firmware sets aside for a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub arena_bytes: usize,
    pub scratch_bytes: usize,
}

impl Memory {
    const fn kilobytes(arena: usize, scratch: usize) -> Self {
        Self { arena_bytes: arena << 10, scratch_bytes: scratch << 10 }
    }

    /// Of the MPS boards, which share their program.
    const MPS: Self = Self::kilobytes(128, 56);
}

/// Arm's MPS boards.
const MPS: &str = include_str!("chips/mps.yaml");

/// Every board.
pub static BOARDS: &[Board] = &[
    Board {
        name: "mps2-an386",
        core: Core::CortexM4,
        chip: "mps2-an386",
        chip_description: Some(MPS),
        flash: 0..0x0040_0000,
        ram: 0x2000_0000..0x2040_0000,
        model: 0x0010_0000..0x0030_0000,
        clock_hz: 25_000_000,
        machine: Some(MachineSpec { name: "mps2-an386", arguments: &[], code: 0..0x0010_0000, clock: 0x4002_8018 }),
        has_log: true,
        memory: Memory::MPS,
        has_image_ops: true,
        usb: None,
    },
    Board {
        name: "mps2-an500",
        core: Core::CortexM7,
        chip: "mps2-an500",
        chip_description: Some(MPS),
        flash: 0..0x0040_0000,
        ram: 0x2000_0000..0x2040_0000,
        model: 0x6000_0000..0x6100_0000,
        clock_hz: 25_000_000,
        machine: Some(MachineSpec { name: "mps2-an500", arguments: &[], code: 0..0x0010_0000, clock: 0x4002_8018 }),
        has_log: true,
        memory: Memory::MPS,
        has_image_ops: true,
        usb: None,
    },
    Board {
        name: "mps2-an505",
        core: Core::CortexM33,
        chip: "mps2-an505",
        chip_description: Some(MPS),
        flash: 0x1000_0000..0x1040_0000,
        ram: 0x3800_0000..0x3840_0000,
        model: 0x1010_0000..0x1030_0000,
        clock_hz: 20_000_000,
        machine: Some(MachineSpec {
            name: "mps2-an505",
            arguments: &[],
            code: 0x1000_0000..0x1010_0000,
            clock: 0x5030_2018,
        }),
        has_log: true,
        memory: Memory::MPS,
        has_image_ops: true,
        usb: None,
    },
    Board {
        name: "mps3-an547",
        core: Core::CortexM55,
        chip: "mps3-an547",
        chip_description: Some(MPS),
        flash: 0..0x0008_0000,
        ram: 0x2000_0000..0x2008_0000,
        model: 0x1100_0000..0x1120_0000,
        clock_hz: 20_000_000,
        machine: Some(MachineSpec { name: "mps3-an547", arguments: &[], code: 0..0x0008_0000, clock: 0x5930_2018 }),
        has_log: true,
        memory: Memory::MPS,
        has_image_ops: true,
        usb: None,
    },
    Board {
        name: "mps2-m0",
        core: Core::CortexM0,
        chip: "mps2-m0",
        chip_description: Some(MPS),
        flash: 0..0x0040_0000,
        ram: 0x2000_0000..0x2040_0000,
        model: 0x0010_0000..0x0030_0000,
        clock_hz: 25_000_000,
        machine: Some(MachineSpec { name: "mps2-an385", arguments: &[], code: 0..0x0010_0000, clock: 0x4002_8018 }),
        has_log: true,
        memory: Memory::MPS,
        has_image_ops: true,
        usb: None,
    },
    Board {
        name: "microbit",
        core: Core::CortexM0,
        chip: "nRF51822_xxAA",
        chip_description: None,
        flash: 0..0x0004_0000,
        ram: 0x2000_0000..0x2000_4000,
        model: 0x0000_8800..0x0004_0000,
        clock_hz: 16_000_000,
        machine: Some(MachineSpec { name: "microbit", arguments: &[], code: 0..0x0004_0000, clock: 0x4000_8540 }),
        has_log: false,
        memory: Memory { arena_bytes: 7168, scratch_bytes: 3584 },
        has_image_ops: false,
        usb: Some((0x0D28, 0x0204)),
    },
    Board {
        name: "nrf52840-dk",
        core: Core::CortexM4,
        chip: "nRF52840_xxAA",
        chip_description: None,
        flash: 0..0x0010_0000,
        ram: 0x2000_0000..0x2004_0000,
        model: 0x0004_0000..0x0010_0000,
        clock_hz: 64_000_000,
        machine: None,
        has_log: true,
        memory: Memory::kilobytes(128, 32),
        has_image_ops: true,
        usb: Some((0x1366, 0x1051)),
    },
    Board {
        name: "stm32f746g-disco",
        core: Core::CortexM7,
        chip: "STM32F746NGHx",
        chip_description: None,
        flash: 0x0800_0000..0x0810_0000,
        ram: 0x2000_0000..0x2005_0000,
        model: 0x0804_0000..0x0810_0000,
        clock_hz: 216_000_000,
        machine: None,
        has_log: true,
        memory: Memory::kilobytes(160, 48),
        has_image_ops: true,
        usb: Some((0x0483, 0x374B)),
    },
    Board {
        name: "rpi-pico2",
        core: Core::CortexM33,
        chip: "RP235x",
        chip_description: None,
        flash: 0x1000_0000..0x1040_0000,
        ram: 0x2000_0000..0x2008_2000,
        model: 0x1010_0000..0x1040_0000,
        clock_hz: 150_000_000,
        machine: None,
        has_log: true,
        memory: Memory::kilobytes(256, 64),
        has_image_ops: true,
        usb: Some((0x2E8A, 0x000C)),
    },
];

/// Every board.
pub fn boards() -> &'static [Board] {
    BOARDS
}

/// The board called `name`.
pub fn board(name: &str) -> Result<&'static Board> {
    if let Some(board) = BOARDS.iter().find(|board| board.name == name) {
        return Ok(board);
    }
    let known: Vec<_> = BOARDS.iter().map(|board| board.name).collect();
    bail!("there is no board {name}; known boards: {}", known.join(", "))
}

/// Where a board is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In QEMU.
    Emulated,
    /// At the probe with this selector (`VID:PID[:serial]`).
    Attached(String),
}

impl Board {
    /// Bytes of the largest model.
    pub fn model_bytes(&self) -> usize {
        self.model.len()
    }

    /// The attached board, else the emulated one.
    pub fn place(&self) -> Result<Place> {
        if let Some(selector) = self.attached().into_iter().next() {
            return Ok(Place::Attached(selector));
        }
        if self.machine.is_none() {
            bail!("no {} is attached, and it cannot be emulated: connect one by USB", self.name);
        }
        Ok(Place::Emulated)
    }

    /// Whether a session would emulate the board, since none is attached.
    pub fn is_emulated(&self) -> bool {
        self.place().is_ok_and(|place| place == Place::Emulated)
    }

    /// Selectors of the attached probes that sit on such a board.
    pub fn attached(&self) -> Vec<String> {
        let Some(ids) = self.usb else { return Vec::new() };
        probe_rs::probe::list::Lister::new()
            .list_all()
            .into_iter()
            .filter(|probe| (probe.vendor_id, probe.product_id) == ids)
            .map(|probe| match &probe.serial_number {
                Some(serial) => format!("{:04x}:{:04x}:{serial}", probe.vendor_id, probe.product_id),
                None => format!("{:04x}:{:04x}", probe.vendor_id, probe.product_id),
            })
            .collect()
    }

    /// Executed instructions in `ticks` of the emulated board's clock; exact, because an instruction
    /// lasts at least two ticks.
    pub fn instructions(&self, ticks: u32) -> u64 {
        let clock = u64::from(self.clock_hz) * u64::from(super::emulator::INSTRUCTION_NS);
        (u64::from(ticks) * 1_000_000_000 + clock / 2) / clock
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regions_lie_in_flash_or_apart() {
        for board in BOARDS {
            let (flash, ram, model) = (&board.flash, &board.ram, &board.model);
            let is_inside = flash.start <= model.start && model.end <= flash.end;
            let is_apart = |other: &Range<u32>| model.end <= other.start || other.end <= model.start;
            assert!(is_inside || is_apart(flash) && is_apart(ram), "{}", board.name);
            assert!(board.model.start.is_multiple_of(format::ALIGNMENT as u32), "{}", board.name);
            if let Some(machine) = &board.machine {
                assert!(
                    board.flash.start <= machine.code.start && machine.code.end <= board.flash.end,
                    "{}",
                    board.name
                );
            }
        }
    }

    #[test]
    fn ticks_off_by_less_than_one_give_the_exact_instructions() {
        for board in BOARDS.iter().filter(|board| board.machine.is_some()) {
            for instructions in [0u64, 1, 2, 3, 999, 1_000_003, 3_000_001] {
                let nanoseconds = instructions * u64::from(super::super::emulator::INSTRUCTION_NS);
                let floor = (nanoseconds * u64::from(board.clock_hz) / 1_000_000_000) as u32;
                let exact = (nanoseconds * u64::from(board.clock_hz)).is_multiple_of(1_000_000_000);
                let readings = if exact { vec![floor] } else { vec![floor, floor + 1] };
                for ticks in readings {
                    assert_eq!(board.instructions(ticks), instructions, "{} at {ticks} ticks", board.name);
                }
            }
        }
    }

    /// The linker puts the model's symbols where the table says that flashing puts the model.
    #[test]
    fn the_table_agrees_with_the_boards_memory_x() {
        for board in BOARDS {
            let path = format!("{}/../boards/{}/memory.x", env!("CARGO_MANIFEST_DIR"), board.name);
            let text = std::fs::read_to_string(&path).unwrap();
            let line = text.lines().find(|line| line.trim_start().starts_with("MODEL")).unwrap();
            let field = |name: &str| {
                let behind = line.split(name).nth(1).unwrap().trim_start_matches([' ', '=']);
                behind.split([',', ' ', '\n']).next().unwrap().to_owned()
            };
            let (origin, length) = (field("ORIGIN"), field("LENGTH"));
            let start = u32::from_str_radix(origin.trim_start_matches("0x"), 16).unwrap();
            let unit = if length.ends_with('M') { 1 << 20 } else { 1 << 10 };
            let bytes = length.trim_end_matches(['K', 'M']).parse::<u32>().unwrap() * unit;
            assert_eq!(start..start + bytes, board.model, "{}", board.name);
        }
    }

    /// What the boards' programs and manifests say of themselves.
    #[test]
    fn the_table_agrees_with_the_boards_programs() {
        let read = |path: String| std::fs::read_to_string(format!("{}/../boards/{path}", env!("CARGO_MANIFEST_DIR")));
        for board in BOARDS {
            let own = read(format!("{}/src/main.rs", board.name)).unwrap();
            let program = if own.contains("ARENA_BYTES") { own } else { read("common/src/mps.rs".into()).unwrap() };
            let constant = |name: &str| -> usize {
                let behind = program.split(&format!("const {name}: usize = ")).nth(1).unwrap();
                behind
                    .split(';')
                    .next()
                    .unwrap()
                    .split('*')
                    .map(|factor| factor.trim().parse::<usize>().unwrap())
                    .product()
            };
            let memory = Memory { arena_bytes: constant("ARENA_BYTES"), scratch_bytes: constant("SCRATCH_BYTES") };
            assert_eq!(memory, board.memory, "{}", board.name);
            let manifest = read(format!("{}/Cargo.toml", board.name)).unwrap();
            assert_eq!(manifest.contains("image-ops"), board.has_image_ops, "{}", board.name);
        }
    }

    #[test]
    fn an_unknown_board_is_answered_with_the_known_ones() {
        let error = board("teapot").unwrap_err().to_string();
        assert!(error.contains("teapot") && error.contains("mps2-an386") && error.contains("microbit"), "{error}");
    }
}
