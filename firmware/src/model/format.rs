//! Byte layout of a `.thm` container, version 1. The host writes these records, the device reads
//! them in place.
//!
//! Little-endian; the file and every section start on a multiple of [`ALIGNMENT`] bytes, so that
//! records and `i32` arrays are read where they lie. Offsets count bytes from the start of the file.
//!
//! ```text
//! Header · TensorRecord[tensor_count] · OpRecord[op_count] · parameter records · name · labels · TextRecord
//!     · weights, biases, multipliers, tables · displacements · fingerprints
//! ```

mod records;

pub use records::*;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// First four bytes of every container.
pub const MAGIC: [u8; 4] = *b"THML";
/// The only version that this crate reads.
pub const VERSION: u16 = 1;
/// Alignment of the file in flash and of every section in it, in bytes.
pub const ALIGNMENT: usize = 16;

/// Ops that a model may have: the check that each tensor holds its values looks back from every op, so that its time goes with
/// their square.
pub const MAX_OPS: u16 = 1024;

/// CRC-32 (ISO-HDLC, as in zip) over the whole file but the four bytes of [`Header::crc32`].
pub const CRC32: crc::Algorithm<u32> = crc::CRC_32_ISO_HDLC;

macro_rules! number {
    ($name:ident holds $value:ident as $bits:ident) => {
        #[doc = concat!("`", stringify!($value), "` as it lies in a record: little-endian, aligned like the value.")]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
        #[repr(transparent)]
        pub struct $name($bits);

        impl $name {
            /// The value.
            pub const fn get(self) -> $value {
                $value::from_le_bytes(self.0.to_ne_bytes())
            }
        }

        impl From<$value> for $name {
            fn from(value: $value) -> Self {
                Self($bits::from_ne_bytes(value.to_le_bytes()))
            }
        }
    };
}

number!(U16 holds u16 as u16);
number!(U32 holds u32 as u32);
number!(I32 holds i32 as u32);
number!(F32 holds f32 as u32);

/// A range of bytes in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Span {
    /// Bytes from the start of the file.
    pub offset: U32,
    /// Length in bytes; 0 stands for "none".
    pub length: U32,
}

/// The first 80 bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Header {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// [`CRC32`] over bytes `0..4` and `8..length`.
    pub crc32: U32,
    /// [`VERSION`].
    pub version: U16,
    /// Number of [`TensorRecord`]s.
    pub tensor_count: U16,
    /// Number of [`OpRecord`]s, which run in the order in which they stand.
    pub op_count: U16,
    /// Index of the tensor that the application fills.
    pub input: U16,
    /// Index of the tensor that holds the answer.
    pub output: U16,
    /// Zero.
    pub reserved: U16,
    /// Length of the file in bytes.
    pub length: U32,
    /// The tensor records.
    pub tensors: Span,
    /// The op records.
    pub ops: Span,
    /// Name of the model, UTF-8.
    pub name: Span,
    /// Class labels, UTF-8, each ended by a NUL; empty where the model does not classify.
    pub labels: Span,
    /// Bytes that the tensors need together, a multiple of 4.
    pub arena_bytes: U32,
    /// Bytes that the most demanding op needs beside the arena, a multiple of 4.
    pub scratch_bytes: U32,
    /// The [`TextRecord`]; none where the model does not read text.
    pub text: Span,
    /// Zero.
    pub reserved2: [U32; 2],
}

/// One activation: where it lies in the arena, its shape and its meaning (32 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TensorRecord {
    /// Bytes from the start of the arena, a multiple of 4.
    pub offset: U32,
    /// Height, width, channels (NHWC with N = 1); a vector is `[1, 1, n]`.
    pub shape: [U16; 3],
    /// [`ELEMENT_I8`], [`ELEMENT_I32`] or [`ELEMENT_I16`].
    pub element: u8,
    /// The integer that stands for 0.0.
    pub zero_point: i8,
    /// `real = scale · (integer − zero_point)`; for the host, no kernel reads it.
    pub scale: F32,
    /// Zero.
    pub reserved: [U32; 4],
}

/// `i8` activation.
pub const ELEMENT_I8: u8 = 0;
/// `i32` values that keep the accumulator's resolution: logits.
pub const ELEMENT_I32: u8 = 1;
/// `i16` values: the cell state of an LSTM, token numbers (0 to 32,767).
pub const ELEMENT_I16: u8 = 2;

/// One step of the plan (24 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OpRecord {
    /// One of `OP_…`; says which record `parameters` spans.
    pub kind: u8,
    /// How the weights are packed, which also names the kernel: one of `PACKING_…`.
    pub packing: u8,
    /// What counts most when the host packs the weights for a core, one of `PREFER_…`; no kernel reads it.
    pub preference: u8,
    /// Zero.
    pub reserved: u8,
    /// Indices of the tensors read; [`NO_TENSOR`] where there is none.
    pub inputs: [U16; 3],
    /// Index of the tensor written.
    pub output: U16,
    /// The op's parameter record.
    pub parameters: Span,
    /// Zero.
    pub reserved2: U32,
}

/// A short model: the default.
pub const PREFER_FLASH: u8 = 0;
/// A quick inference, where that pays.
pub const PREFER_SPEED: u8 = 1;
/// Little scratch.
pub const PREFER_RAM: u8 = 2;

/// Absent input of an op.
pub const NO_TENSOR: u16 = u16::MAX;

/// What turns text into tokens (32 bytes): a minimal perfect hash over the words, see `text`. The model's first op is
/// an embedding with `words + 1` rows, its others form a chain with at least one LSTM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct TextRecord {
    /// Number of words, 1 to 32,767.
    pub words: U32,
    /// Start of every word's hash.
    pub seed: U32,
    /// Number of buckets, 1 to 65,535.
    pub buckets: U32,
    /// `u16` a bucket.
    pub displacements: Span,
    /// `u16` a word.
    pub fingerprints: Span,
    /// Index of an `i16` vector that nothing else touches: a text longer than it has places counts with its last
    /// tokens alone. [`NO_TENSOR`] where all of a text counts.
    pub window: U16,
    /// Zero.
    pub reserved: U16,
}

/// Weights as they are: OHWI for a convolution, `[output][input]` for a dense layer. Every core.
pub const PACKING_PORTABLE: u8 = 0;
/// Weights for cores with the DSP extension (Cortex-M4, M7, M33), see `kernels::packing`.
pub const PACKING_DSP: u8 = 1;
/// As [`PACKING_DSP`], but for convolutions 3×3 with stride 1, whose weights are transformed: quicker, and 3.6 times as long.
pub const PACKING_DSP_WINOGRAD: u8 = 2;
/// Weights for cores with the M-profile vector extension, Helium (Cortex-M55), see `kernels::packing`.
pub const PACKING_MVE: u8 = 3;
/// As [`PACKING_DSP`], but a convolution's weights lie as a dense layer's: slower, with less scratch.
pub const PACKING_DSP_PLACES: u8 = 4;
/// Weights for a Cortex-M0, see `kernels::packing`.
pub const PACKING_FOURS: u8 = 5;

const _: () = assert!(size_of::<Header>() == 80);
const _: () = assert!(size_of::<TensorRecord>() == 32);
const _: () = assert!(size_of::<OpRecord>() == 24);
const _: () = assert!(size_of::<TextRecord>() == 32);
