//! Which functions of a linked firmware can panic: those that branch to `core`'s panicking functions.

use anyhow::{Context, Result, ensure};
use host::device::{Board, Firmware, Place};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

/// Parts of the names of `core`'s functions that only panic.
const PANICKING: [&str; 6] = [
    "9panicking",
    "16slice_index_fail",
    "13unwrap_failed",
    "13expect_failed",
    "17len_mismatch_fail",
    "22panic_on_ord_violation",
];

/// Parts of the names of functions that may hold a check which ends in a panic, each with the reason.
const MAY_PANIC: &[(&str, &str)] = &[
    ("8firmware7kernels", "trusts what Model::parse has checked, and keeps the bounds checks"),
    ("firmware..kernels", "the same, in methods of traits"),
    ("11check_holds", "slices the ops up to the index of one of them"),
    ("16conv_transpose2d6decode", "divides by strides, which have been found to be above zero"),
    ("8postcard3ser", "writes integers into arrays of fixed size"),
    ("postcard..ser", "the same"),
    ("10serde_core3ser", "the same"),
    ("6common6answer", "holds what is inlined: reading RTT, undoing COBS, slicing tensors by checked lengths"),
    ("6common5serve", "the same, where it is inlined in turn"),
    ("8firmware6vision6Finder", "cuts a frame's rows and its own memory by lengths that have been checked, and sorts"),
    ("6vision6reader4read", "the same, inlined"),
    ("6vision6reader15Search", "what `read` has shown to the model, where it is not inlined into it"),
    ("4core5slice4sort", "stops where an order contradicts itself, which that of integers does not"),
    ("6common3mps3run", "takes its statics, once, and holds `serve`"),
    ("18__cortex_m_rt_main", "takes its statics, once"),
];

/// Fails where a function that is not listed can panic.
pub fn only_where_known(board: &'static Board, _place: Place) -> Result<()> {
    let firmware = Firmware::build(board)?;
    let callers = callers(&firmware.elf)?;
    ensure!(!callers.is_empty(), "no call of a panicking function was found, though there are some");
    let known = |name: &String| MAY_PANIC.iter().any(|(part, _)| name.contains(part));
    let unknown: Vec<_> = callers.into_iter().filter(|name| !known(name)).collect();
    ensure!(unknown.is_empty(), "functions of {} that can panic: {}", board.name, unknown.join(", "));
    Ok(())
}

/// Names of the functions that branch to a panicking one.
fn callers(elf: &[u8]) -> Result<Vec<String>> {
    let file = object::File::parse(elf)?;
    let is_panicking = |name: &str| PANICKING.iter().any(|part| name.contains(part));
    let mut functions = Vec::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text && symbol.size() > 0) {
        functions.push((symbol.name()?, symbol.address() as u32 & !1, symbol));
    }
    let panicking: Vec<_> =
        functions.iter().filter(|(name, ..)| is_panicking(name)).map(|(_, address, _)| *address).collect();
    let is_data = literals(&file)?;
    let mut callers = Vec::new();
    for (name, start, symbol) in functions.iter().filter(|(name, ..)| !is_panicking(name)) {
        let section = file.section_by_index(symbol.section_index().context("a function lies nowhere")?)?;
        let code = section.data_range((*start).into(), symbol.size())?.context("a function leaves its section")?;
        let halfwords: Vec<_> = code.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let mut index = 0;
        while let Some(&first) = halfwords.get(index) {
            let at = start + 2 * index as u32;
            let is_code = !is_data(at);
            if is_code && target(at, &halfwords[index..]).is_some_and(|to| panicking.contains(&to)) {
                callers.push(name.to_string());
                break;
            }
            // The second half of a long instruction can look like a branch.
            index += if is_code && first >= 0xe800 { 2 } else { 1 };
        }
    }
    Ok(callers)
}

/// Tells whether a literal lies at an address, by the mapping symbols of Arm's ELF: `$t` begins code, `$d` data.
fn literals<'d>(file: &object::File<'d>) -> Result<impl Fn(u32) -> bool + use<'d>> {
    let mark = |symbol: object::Symbol<'d, '_>| match symbol.name().ok()?.get(..2)? {
        kind @ ("$t" | "$d") => Some((symbol.address() as u32, kind == "$d")),
        _ => None,
    };
    let mut marks: Vec<_> = file.symbols().filter_map(mark).collect();
    marks.sort_unstable();
    ensure!(
        marks.iter().any(|(_, is_data)| !is_data),
        "the firmware has no mapping symbols, which tell code from literals"
    );
    Ok(move |at| marks[..marks.partition_point(|(start, _)| *start <= at)].last().is_some_and(|(_, is_data)| *is_data))
}

/// Where the branch at address `at` goes, with or without a return; `None` for another instruction.
fn target(at: u32, code: &[u16]) -> Option<u32> {
    let signed = |value: u32, bits: u32| ((value << (32 - bits)) as i32 >> (32 - bits)) as u32;
    let [first, second] = [*code.first()?, code.get(1).copied().unwrap_or_default()].map(u32::from);
    let offset = if first & 0xf800 == 0xe000 {
        signed((first & 0x7ff) << 1, 12)
    } else if first & 0xf800 == 0xf000 && second & 0x9000 == 0x9000 {
        let sign = first >> 10 & 1;
        // The upper bits of the offset are stored as their difference from the sign.
        let [high, low] = [second >> 13, second >> 11].map(|bit| !(bit ^ sign) & 1);
        signed(sign << 24 | high << 23 | low << 22 | (first & 0x3ff) << 12 | (second & 0x7ff) << 1, 25)
    } else {
        return None;
    };
    Some(at.wrapping_add(4).wrapping_add(offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodings as an assembler gives them.
    #[test]
    fn branches_are_decoded() {
        let at = 0x1000;
        assert_eq!(target(at, &[0xe7fe]), Some(at)); // b .
        assert_eq!(target(at, &[0xf7ff, 0xfffe]), Some(at)); // bl .
        assert_eq!(target(at, &[0xf000, 0xf800]), Some(at + 4)); // bl .+4
        assert_eq!(target(at, &[0xf000, 0xb800]), Some(at + 4)); // b.w .+4
        assert_eq!(target(at, &[0xf001, 0xf800]), Some(at + 0x1004)); // bl .+0x1004
        assert_eq!(target(at, &[0x4770]), None); // bx lr
    }
}
