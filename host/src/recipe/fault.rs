//! Mistakes in a recipe, and where they stand.

use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step from a table or array to what it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Key(&'static str),
    Item(usize),
}

/// A value that is well formed but makes no sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Way to the value, e.g. `training`, `batch`.
    pub way: Vec<Step>,
    /// What it is and what was expected.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// Line and column of byte `offset`, both from 1; columns count characters.
pub fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

/// Where the value at the end of `way` stands in `text`; the last value on the way that exists, if it does not.
pub fn locate(text: &str, way: &[Step]) -> Option<usize> {
    let document = DeTable::parse(text).ok()?;
    let mut span = document.span();
    let mut value: Option<&Spanned<DeValue<'_>>> = None;
    for step in way {
        let next = match (step, value.map(Spanned::get_ref)) {
            (Step::Key(key), None) => document.get_ref().get_key_value(*key),
            (Step::Key(key), Some(DeValue::Table(table))) => table.get_key_value(*key),
            (Step::Item(index), Some(DeValue::Array(items))) => {
                let Some(item) = items.get(*index) else { break };
                (value, span) = (Some(item), item.span());
                continue;
            }
            _ => None,
        };
        let Some((key, found)) = next else { break };
        (value, span) = (Some(found), key.span());
    }
    Some(span.start)
}

/// The key called `name` in the table at `range` of `text`, since serde reports a wrong key of a layer or an optimizer
/// only by the table that holds it. Of a table with a header of its own, `range` is the header.
pub fn find_key(text: &str, range: Range<usize>, name: &str) -> Option<usize> {
    let has_header = text.get(range.clone())?.starts_with('[');
    let end = if has_header {
        text[range.end..].find("\n[").map_or(text.len(), |length| range.end + length)
    } else {
        range.end
    };
    let table = &text[range.start..end];
    let is_word = |character: char| character.is_alphanumeric() || character == '-' || character == '_';
    table.match_indices(name).map(|(offset, _)| offset).find_map(|offset| {
        let (before, after) = (&table[..offset], &table[offset + name.len()..]);
        let whole = !before.ends_with(is_word) && after.trim_start().starts_with('=');
        whole.then_some(range.start + offset)
    })
}
