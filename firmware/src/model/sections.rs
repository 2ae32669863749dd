//! From spans to slices, with every bound checked.

use super::Error;
use super::format::{ALIGNMENT, Span};
use crate::words;
use zerocopy::{FromBytes, Immutable};

/// What `span` covers; nothing where it is empty.
// One copy of it for all types of values.
#[inline(never)]
fn covered(bytes: &[u8], span: Span) -> Result<&[u8], Error> {
    let [offset, length] = [span.offset.get(), span.length.get()];
    if length == 0 {
        return Ok(&[]);
    }
    let error = Error::Section { offset };
    let end = (offset as usize).checked_add(length as usize).ok_or(error)?;
    if !(offset as usize).is_multiple_of(ALIGNMENT) {
        return Err(error);
    }
    bytes.get(offset as usize..end).ok_or(error)
}

/// What `span` covers, as values of type `T`; nothing where it is empty.
pub(super) fn view<T: FromBytes + Immutable>(bytes: &[u8], span: Span) -> Result<&[T], Error> {
    let covered = covered(bytes, span)?;
    // An empty slice lies anywhere, aligned or not.
    if covered.is_empty() { Ok(&[]) } else { words::view(covered).ok_or(Error::Section { offset: span.offset.get() }) }
}

/// As [`view`], of exactly `length` values.
pub(super) fn exactly<T: FromBytes + Immutable>(bytes: &[u8], span: Span, length: usize) -> Result<&[T], Error> {
    let values: &[T] = view(bytes, span)?;
    if values.len() != length {
        return Err(Error::Section { offset: span.offset.get() });
    }
    Ok(values)
}

/// The one value that `span` covers.
pub(super) fn record<T: FromBytes + Immutable>(bytes: &[u8], span: Span) -> Result<&T, Error> {
    exactly(bytes, span, 1)?.first().ok_or(Error::Section { offset: span.offset.get() })
}

/// Walks sections in the order of the file and refuses those that do not follow the one before.
///
/// Sections in order cannot overlap, which needs no memory of those before.
pub(super) struct Order {
    end: usize,
}

impl Order {
    /// From byte `end` of the file on.
    pub(super) fn after(end: usize) -> Self {
        Self { end }
    }

    /// First byte behind the sections so far.
    pub(super) fn end(&self) -> usize {
        self.end
    }

    /// Takes the next section. An empty one takes no place, and its offset must be 0.
    pub(super) fn next(&mut self, span: Span) -> Result<(), Error> {
        let [offset, length] = [span.offset.get() as usize, span.length.get() as usize];
        let in_order = if length == 0 { offset == 0 } else { offset >= self.end };
        if !in_order {
            return Err(Error::Section { offset: span.offset.get() });
        }
        self.end = self.end.max(offset.checked_add(length).ok_or(Error::Section { offset: span.offset.get() })?);
        Ok(())
    }
}
