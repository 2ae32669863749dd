//! Views of word-aligned memory as the values that lie in it.
//!
//! Each conversion of whole words fits by its types; the empty slice stands for the case that cannot be.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The bytes of `words` as `i8`.
pub fn as_i8(words: &[u32]) -> &[i8] {
    view(words.as_bytes()).unwrap_or_default()
}

/// The bytes of `words` as `i8`.
pub fn as_i8_mut(words: &mut [u32]) -> &mut [i8] {
    <[i8]>::mut_from_bytes(words.as_mut_bytes()).unwrap_or_default()
}

/// `words` as `i32`.
pub fn as_i32_mut(words: &mut [u32]) -> &mut [i32] {
    <[i32]>::mut_from_bytes(words.as_mut_bytes()).unwrap_or_default()
}

/// The bytes of `words` as `i16`.
pub fn as_i16_mut(words: &mut [u32]) -> &mut [i16] {
    <[i16]>::mut_from_bytes(words.as_mut_bytes()).unwrap_or_default()
}

/// `bytes` as values of type `T`; `None` where length or alignment is wrong.
pub fn view<T: FromBytes + Immutable>(bytes: &[u8]) -> Option<&[T]> {
    <[T]>::ref_from_bytes(bytes).ok()
}
