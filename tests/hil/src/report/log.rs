//! The log of a firmware: frames of defmt, whose texts are in the ELF file alone, told as lines.
//!
//! defmt's own decoder would do as well, but switches serde_json to another form of numbers for the whole build.

use anyhow::{Context, Result, bail, ensure};
use defmt_parser::{DisplayHint, Fragment, ParserMode, Type};
use object::{Object, ObjectSection, ObjectSymbol};
use std::collections::BTreeMap;

/// Most lines of a log, the last ones.
const LINES: usize = 40;
/// Most characters of a line.
const CHARACTERS: usize = 400;

/// Lines for the `frames` that a firmware has written.
pub fn decode(elf: &[u8], frames: &[u8]) -> Result<String> {
    let texts = Texts::parse(elf)?;
    let frames: Vec<_> = frames.split(|&byte| byte == 0).filter(|frame| !frame.is_empty()).collect();
    if frames.is_empty() {
        return Ok("  (empty)\n".to_owned());
    }
    let line = |frame: &&[u8]| {
        let line = texts.line(frame).unwrap_or_else(|error| format!("(a frame of {} bytes: {error:#})", frame.len()));
        format!("  {}\n", line.chars().take(CHARACTERS).collect::<String>())
    };
    Ok(frames[frames.len().saturating_sub(LINES)..].iter().map(line).collect())
}

/// The texts of a firmware by their numbers in frames: the addresses of symbols, whose names are JSON.
struct Texts {
    /// Tag, such as `defmt_info`, and format string.
    texts: BTreeMap<u16, (String, String)>,
    timestamp: Option<String>,
}

impl Texts {
    fn parse(elf: &[u8]) -> Result<Self> {
        let file = object::File::parse(elf)?;
        let section = file.section_by_name(".defmt").context("the firmware has no log")?;
        let mut parsed = Self { texts: BTreeMap::new(), timestamp: None };
        let mut encoding = None;
        for symbol in file.symbols() {
            let name = symbol.name().unwrap_or_default();
            encoding = encoding.or(name.strip_prefix("_defmt_encoding_ = "));
            if symbol.section_index() != Some(section.index()) {
                continue;
            }
            let Ok(description) = serde_json::from_str::<serde_json::Value>(name) else { continue };
            let field = |name: &str| description[name].as_str().unwrap_or_default().to_owned();
            match field("tag").as_str() {
                "defmt_timestamp" => parsed.timestamp = Some(field("data")),
                tag => drop(parsed.texts.insert(symbol.address() as u16, (tag.to_owned(), field("data")))),
            }
        }
        ensure!(encoding == Some("rzcobs"), "the log's encoding is {}, not rzcobs", encoding.unwrap_or("unknown"));
        Ok(parsed)
    }

    fn line(&self, frame: &[u8]) -> Result<String> {
        let bytes = decode_rzcobs(frame).context("it is damaged")?;
        let mut values = Values { texts: &self.texts, bytes: &bytes };
        let (tag, format) = values.entry()?;
        let time = self.timestamp.as_ref().map(|format| values.text(format)).transpose()?;
        let level = tag.trim_start_matches("defmt_").to_uppercase();
        Ok(format!("{}{level:5} {}", time.map(|time| time + " ").unwrap_or_default(), values.text(format)?))
    }
}

/// What is left of a frame.
struct Values<'a> {
    texts: &'a BTreeMap<u16, (String, String)>,
    bytes: &'a [u8],
}

/// One argument.
enum Value {
    Unsigned(u128),
    Signed(i128),
    Text(String),
}

impl<'a> Values<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(count).context("it ends too early")?;
        self.bytes = rest;
        Ok(taken)
    }

    fn unsigned(&mut self, bytes: usize) -> Result<u128> {
        Ok(self.take(bytes)?.iter().rev().fold(0, |value, &byte| value << 8 | u128::from(byte)))
    }

    fn signed(&mut self, bytes: usize) -> Result<i128> {
        let shift = 128 - 8 * bytes;
        Ok((self.unsigned(bytes)? << shift) as i128 >> shift)
    }

    /// Tag and format string of the number that comes next.
    fn entry(&mut self) -> Result<(&'a str, &'a str)> {
        let number = self.unsigned(2)? as u16;
        let (tag, format) = self.texts.get(&number).with_context(|| format!("the firmware has no text {number}"))?;
        Ok((tag, format))
    }

    /// Fills `format` with the arguments that come next: in the order of their indices, whatever the text's order.
    fn text(&mut self, format: &str) -> Result<String> {
        let fragments = defmt_parser::parse(format, ParserMode::ForwardsCompatible)?;
        let parameters = fragments.iter().filter_map(|fragment| match fragment {
            Fragment::Parameter(parameter) => Some((parameter.index, parameter.ty.clone())),
            Fragment::Literal(_) => None,
        });
        let mut values = BTreeMap::new();
        for (index, kind) in parameters.collect::<BTreeMap<_, _>>() {
            values.insert(index, self.value(kind)?);
        }
        let part = |fragment: &Fragment<'_>| match fragment {
            Fragment::Literal(text) => text.to_string(),
            Fragment::Parameter(parameter) => show(&values[&parameter.index], parameter.hint.as_ref()),
        };
        Ok(fragments.iter().map(part).collect())
    }

    fn value(&mut self, kind: Type) -> Result<Value> {
        Ok(match kind {
            Type::U8 => Value::Unsigned(self.unsigned(1)?),
            Type::U16 => Value::Unsigned(self.unsigned(2)?),
            Type::U32 | Type::Usize => Value::Unsigned(self.unsigned(4)?),
            Type::U64 => Value::Unsigned(self.unsigned(8)?),
            Type::U128 => Value::Unsigned(self.unsigned(16)?),
            Type::I8 => Value::Signed(self.signed(1)?),
            Type::I16 => Value::Signed(self.signed(2)?),
            Type::I32 | Type::Isize => Value::Signed(self.signed(4)?),
            Type::I64 => Value::Signed(self.signed(8)?),
            Type::I128 => Value::Signed(self.signed(16)?),
            kind => Value::Text(self.value_as_text(kind)?),
        })
    }

    fn value_as_text(&mut self, kind: Type) -> Result<String> {
        Ok(match kind {
            Type::F32 => f32::from_bits(self.unsigned(4)? as u32).to_string(),
            Type::F64 => f64::from_bits(self.unsigned(8)? as u64).to_string(),
            Type::Bool => (self.unsigned(1)? != 0).to_string(),
            Type::Char => char::from_u32(self.unsigned(4)? as u32).unwrap_or('\u{fffd}').to_string(),
            Type::IStr => self.entry()?.1.to_owned(),
            Type::Str => {
                let bytes = self.unsigned(4)? as usize;
                String::from_utf8_lossy(self.take(bytes)?).into_owned()
            }
            // Text that the device itself has formatted ends with a byte that is never part of UTF-8.
            Type::Debug | Type::Display => {
                let end = self.bytes.iter().position(|&byte| byte == 0xFF).context("it ends too early")?;
                let text = String::from_utf8_lossy(self.take(end)?).into_owned();
                self.take(1)?;
                text
            }
            Type::U8Slice => {
                let bytes = self.unsigned(4)? as usize;
                format!("{:?}", self.take(bytes)?)
            }
            Type::U8Array(bytes) => format!("{:?}", self.take(bytes)?),
            Type::Format => {
                let format = self.entry()?.1;
                self.variant(format)?
            }
            Type::FormatSlice => {
                let count = self.unsigned(4)? as usize;
                self.list(count)?
            }
            Type::FormatArray(count) => self.list(count)?,
            kind => bail!("a value of the kind {kind:?} is not decoded here"),
        })
    }

    /// A text with arguments; of an enum's, `A|B({})|C`, the variant whose number comes next.
    fn variant(&mut self, format: &str) -> Result<String> {
        let variants: Vec<_> = format.split('|').collect();
        let number = match variants.len() - 1 {
            0 => 0,
            last => self.unsigned(if last <= 0xFF { 1 } else { 2 })? as usize,
        };
        self.text(variants.get(number).context("an enum has no such variant")?)
    }

    fn list(&mut self, count: usize) -> Result<String> {
        let format = self.entry()?.1;
        let elements = (0..count).map(|_| self.variant(format)).collect::<Result<Vec<_>>>()?;
        Ok(format!("[{}]", elements.join(", ")))
    }
}

fn show(value: &Value, hint: Option<&DisplayHint>) -> String {
    match (value, hint) {
        (Value::Unsigned(value), Some(DisplayHint::Hexadecimal { .. })) => format!("{value:#x}"),
        (Value::Unsigned(value), Some(DisplayHint::Binary { .. })) => format!("{value:#b}"),
        (Value::Unsigned(value), _) => value.to_string(),
        (Value::Signed(value), _) => value.to_string(),
        (Value::Text(text), _) => text.clone(),
    }
}

/// Undoes rzCOBS, which is read from its end: a byte says how the bytes before it are to be taken.
fn decode_rzcobs(frame: &[u8]) -> Option<Vec<u8>> {
    let mut decoded = Vec::new();
    let mut bytes = frame.iter().rev();
    while let Some(&code) = bytes.next() {
        match code {
            0 => return None,
            // A bit for each of seven bytes: set where it is a zero.
            0x01..=0x7F => {
                for bit in (0..7).rev() {
                    decoded.push(if code >> bit & 1 != 0 { 0 } else { *bytes.next()? });
                }
            }
            // So many bytes, behind which there was a zero.
            0x80..=0xFE => {
                decoded.push(0);
                for _ in 0..(code & 0x7F) + 7 {
                    decoded.push(*bytes.next()?);
                }
            }
            0xFF => {
                for _ in 0..134 {
                    decoded.push(*bytes.next()?);
                }
            }
        }
    }
    decoded.reverse();
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> BTreeMap<u16, (String, String)> {
        let entry = |text: &str| ("defmt_info".to_owned(), text.to_owned());
        [
            (1, entry("{=str} at {=u16:x}, {0=str}: {}")),
            (2, entry("Big|Small {{ by: {=i8} }}|None")),
            (3, entry("x{=[?]}")),
        ]
        .into()
    }

    fn line(bytes: &[u8]) -> Result<String> {
        let texts = table();
        let mut values = Values { texts: &texts, bytes };
        let (_, format) = values.entry()?;
        values.text(format)
    }

    #[test]
    fn arguments_fill_the_text() {
        let bytes = [&[1, 0, 2, 0, 0, 0][..], b"ab", &[0x34, 0x12, 2, 0, 1, 0xFE]].concat();
        assert_eq!(line(&bytes).unwrap(), "ab at 0x1234, ab: Small { by: -2 }");
        assert_eq!(line(&[3, 0, 2, 0, 0, 0, 2, 0, 0, 2]).unwrap(), "x[Big, None]");
    }

    #[test]
    fn what_cannot_be_decoded_is_an_error() {
        for bytes in [&[][..], &[9, 0], &[1, 0, 200, 0, 0, 0], &[3, 0, 1, 0, 0, 0, 2, 0, 7]] {
            assert!(line(bytes).is_err(), "{bytes:?}");
        }
    }

    /// Examples of <https://github.com/Dirbaio/rzcobs>.
    #[test]
    fn rzcobs_is_undone() {
        assert_eq!(decode_rzcobs(&[1, 2, 3, 4, 5, 6, 7, 0x80]).unwrap(), [1, 2, 3, 4, 5, 6, 7, 0]);
        assert_eq!(decode_rzcobs(&[1, 0x7E]).unwrap(), [1, 0, 0, 0, 0, 0, 0]);
        assert_eq!(decode_rzcobs(&[0x80]), None);
    }
}
