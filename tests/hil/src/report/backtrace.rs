//! Who called whom in a stopped core: frames by `.debug_frame`, names and lines by the debug information.

use addr2line::gimli::{
    self, BaseAddresses, CfaRule, CieOrFde, DebugFrame, Dwarf, EndianSlice, FrameDescriptionEntry, LittleEndian,
    Register, RegisterRule, UnwindContext, UnwindSection,
};
use anyhow::{Context, Result, bail};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::fmt::Write;

type Slice<'a> = EndianSlice<'a, LittleEndian>;

/// Most frames of a backtrace.
const FRAMES: usize = 32;
const SP: usize = 13;
const LR: usize = 14;
const PC: usize = 15;

/// A return address from here on tells the core to leave an exception handler.
const EXCEPTION_RETURN: u32 = 0xFFFF_FF00;
/// Bits of such an address: the frame is on the process stack; it has no floating-point registers.
const ON_PROCESS_STACK: u32 = 1 << 2;
const WITHOUT_FLOATS: u32 = 1 << 4;
/// Bit of the xPSR in an exception's frame: a word was left free below it to align the stack.
const ALIGNED: u32 = 1 << 9;

/// The backtrace of a core with these `registers` (r0 to r15), a line each function, inlined ones included.
pub fn of(
    elf: &[u8],
    mut registers: [u32; 16],
    process_stack: u32,
    mut read: impl FnMut(u32) -> Result<u32>,
) -> Result<String> {
    let symbols = Symbols::parse(elf)?;
    let mut text = String::new();
    // The instruction of a frame: its own PC, or the call before its return address.
    let mut place = registers[PC] & !1;
    for _ in 0..FRAMES {
        symbols.describe(place, &mut text)?;
        let before = registers;
        symbols.unwind(place, &mut registers, &mut read)?;
        let mut target = registers[LR];
        place = (target & !1).wrapping_sub(2);
        if target >= EXCEPTION_RETURN {
            if target == u32::MAX {
                return Ok(text); // what LR holds at reset
            }
            text += "  -- exception --\n";
            registers[SP] = if target & ON_PROCESS_STACK != 0 { process_stack } else { registers[SP] };
            leave_exception(&mut registers, target, &mut read).context("the exception's frame cannot be read")?;
            target = registers[PC];
            place = target & !1;
        }
        registers[PC] = target & !1;
        if registers == before {
            return Ok(text);
        }
    }
    Ok(text + "  …\n")
}

/// Takes back what the core has pushed on entry to an exception.
fn leave_exception(registers: &mut [u32; 16], target: u32, read: &mut impl FnMut(u32) -> Result<u32>) -> Result<()> {
    let frame = registers[SP];
    for (word, register) in (0..).zip([0, 1, 2, 3, 12, LR, PC]) {
        registers[register] = read(frame.wrapping_add(word * 4))?;
    }
    let xpsr = read(frame.wrapping_add(28))?;
    let floats = if target & WITHOUT_FLOATS != 0 { 0 } else { 72 };
    let padding = if xpsr & ALIGNED != 0 { 4 } else { 0 };
    registers[SP] = frame.wrapping_add(32 + floats + padding);
    Ok(())
}

/// What an ELF file knows about its code.
struct Symbols<'a> {
    file: object::File<'a>,
    lines: addr2line::Context<Slice<'a>>,
    frames: DebugFrame<Slice<'a>>,
}

impl<'a> Symbols<'a> {
    fn parse(elf: &'a [u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let section = |name| file.section_by_name(name).and_then(|section| section.data().ok()).unwrap_or_default();
        let load = |id: gimli::SectionId| Ok::<_, gimli::Error>(Slice::new(section(id.name()), LittleEndian));
        let lines = addr2line::Context::from_dwarf(Dwarf::load(load)?)?;
        let mut frames = DebugFrame::new(section(".debug_frame"), LittleEndian);
        frames.set_address_size(4);
        Ok(Self { lines, frames, file })
    }

    /// Adds a line for the function at `place`, and one for each that it is inlined into.
    ///
    /// The symbol table has the last word: functions that the linker has dropped are in the debug information still, at
    /// address 0, where other code lies.
    fn describe(&self, place: u32, text: &mut String) -> Result<()> {
        let Some(symbol) = self.function(place) else {
            writeln!(text, "  {place:#010x}  ?")?;
            return Ok(());
        };
        let mut lines = String::new();
        let mut outermost = String::new();
        let mut frames = self.lines.find_frames(place.into()).skip_all_loads()?;
        while let Some(frame) = frames.next()? {
            let Some(function) = frame.function else { continue };
            outermost = function.raw_name()?.into_owned();
            write!(lines, "  {place:#010x}  {}", function.demangle()?)?;
            if let Some(location) = frame.location
                && let (Some(file), Some(line)) = (location.file, location.line)
            {
                write!(lines, ", {file}:{line}")?;
            }
            lines.push('\n');
        }
        let name = symbol.name()?;
        if outermost == name {
            text.push_str(&lines);
        } else {
            writeln!(text, "  {place:#010x}  {}", addr2line::demangle_auto(name.into(), None))?;
        }
        Ok(())
    }

    /// The function at `place`.
    fn function(&self, place: u32) -> Option<object::Symbol<'a, '_>> {
        let mut code = self.file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text);
        code.find(|symbol| {
            let start = symbol.address() & !1;
            (start..start + symbol.size()).contains(&place.into())
        })
    }

    /// Where the unwinding rules of the function at `place` are; none for assembly.
    fn rules(&self, place: u32) -> Result<Option<FrameDescriptionEntry<Slice<'a>>>> {
        let Some(symbol) = self.function(place) else { return Ok(None) };
        let bases = BaseAddresses::default();
        let mut entries = self.frames.entries(&bases);
        while let Some(entry) = entries.next()? {
            if let CieOrFde::Fde(partial) = entry {
                let entry = partial.parse(DebugFrame::cie_from_offset)?;
                if entry.initial_address() == symbol.address() & !1 && entry.contains(place.into()) {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// Turns the registers at `place` into the caller's, whose PC is then in LR. A function without unwinding rules is
    /// taken for one that keeps its return address in LR.
    fn unwind(&self, place: u32, registers: &mut [u32; 16], read: &mut impl FnMut(u32) -> Result<u32>) -> Result<()> {
        let Some(rules) = self.rules(place)? else { return Ok(()) };
        let (mut context, bases) = (UnwindContext::new(), BaseAddresses::default());
        let row = rules.unwind_info_for_address(&self.frames, &bases, &mut context, place.into())?;
        let CfaRule::RegisterAndOffset { register, offset } = row.cfa() else { bail!("an unwinding rule is unknown") };
        let base = registers.get(usize::from(register.0)).context("an unwinding rule names no core register")?;
        let frame = base.wrapping_add(*offset as u32);
        let old = *registers;
        for (number, value) in (0..).zip(registers.iter_mut()) {
            match row.register(Register(number)) {
                Some(RegisterRule::Offset(offset)) => *value = read(frame.wrapping_add(offset as u32))?,
                Some(RegisterRule::ValOffset(offset)) => *value = frame.wrapping_add(offset as u32),
                Some(RegisterRule::Register(Register(other))) => {
                    *value = *old.get(usize::from(other)).context("an unwinding rule names no core register")?;
                }
                _ => {}
            }
        }
        registers[SP] = frame;
        Ok(())
    }
}
