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

/// How accumulators become outputs:
/// `y = clamp(zero_point + (((acc << left_shift) · multiplier[o] + 2³¹) >> 32), output_min, output_max)`.
/// An `i32` output has neither zero point nor clamp. (24 bytes)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct OutputStageRecord {
    /// `i32` per output channel, with the input's zero point folded in:
    /// `bias[o] − zero_point · Σᵢ w[o,i]`.
    pub bias: Span,
    /// `i32` per output channel: `round(scale[o] · 2^(32 − left_shift))`, in `0..2³¹`.
    pub multipliers: Span,
    /// Bits that accumulators are shifted left before the multiplication, 0 to 31; the exporter
    /// proves that nothing overflows.
    pub left_shift: u8,
    /// Lower bound of the output, e.g. the zero point after a ReLU.
    pub output_min: i8,
    /// Upper bound of the output.
    pub output_max: i8,
    /// Zero.
    pub reserved: [u8; 5],
}

/// 2-D convolution (56 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conv2dRecord {
    /// Weights, `i8`, packed as [`OpRecord::packing`] says.
    pub weights: Span,
    /// From accumulators to outputs.
    pub output_stage: OutputStageRecord,
    /// Height and width of the kernel.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Padding at the top, left, bottom and right; filled with the input's zero point.
    pub padding: [u8; 4],
    /// Window and stride of the max-pool fused behind the convolution (floor mode); `[1, 1]` for none.
    pub pool: [u8; 2],
    /// Zero.
    pub reserved: [u8; 14],
}

/// Matrix–vector product (32 bytes); an `i32` output makes it the logits layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DenseRecord {
    /// Weights, `i8`, packed as [`OpRecord::packing`] says.
    pub weights: Span,
    /// From accumulators to outputs.
    pub output_stage: OutputStageRecord,
}

/// Max-pool on its own (16 bytes); input and output share scale and zero point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MaxPool2dRecord {
    /// Height and width of the window.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Padding at the top, left, bottom and right; padded places never win.
    pub padding: [u8; 4],
    /// Zero.
    pub reserved: [u8; 8],
}

/// Mean of the values under a window (40 bytes): `y = clamp(zero_point + requantize(Σ (x − input zero point)))` over the
/// places inside the input, of which a window has `n`; its multiplier is the only one, or number `n − 1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AveragePool2dRecord {
    /// From sums to outputs, without biases. `multipliers` holds one entry where all windows are divided by the same
    /// number, or else one for each number of places, `kernel height · kernel width` of them.
    pub output_stage: OutputStageRecord,
    /// Height and width of the window.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Padding at the top, left, bottom and right; padded places add nothing to a sum.
    pub padding: [u8; 4],
    /// Zero.
    pub reserved: [u8; 8],
}

/// Convolution of each channel by itself (48 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct DepthwiseConv2dRecord {
    /// Weights, `i8`, `[channel][kernel row][kernel column]` in every packing.
    pub weights: Span,
    /// From accumulators to outputs.
    pub output_stage: OutputStageRecord,
    /// Height and width of the kernel.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Padding at the top, left, bottom and right; filled with the input's zero point.
    pub padding: [u8; 4],
    /// Zero.
    pub reserved: [u8; 8],
}

/// Transposed 2-D convolution (56 bytes): output row `y` is the sum over the kernel rows `k` of those input rows `i` for which
/// `stride · i + k = y + top`, and so for the columns. Which kernel rows those are depends on `y mod stride` alone, the phase
/// of `y`. The phases are convolutions without stride, whose weights and biases lie one behind the other, those of phase
/// `[0, 0]` first, `[0, 1]` second and so on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConvTranspose2dRecord {
    /// Weights, `i8`, for each phase packed like those of a convolution, as [`OpRecord::packing`] says; the taps in the order of
    /// the inputs, which is the opposite of the kernel's. Behind them the table, where there is one.
    pub weights: Span,
    /// From accumulators to outputs; `bias` holds an entry an output channel for each phase, as phases have other weights to fold
    /// the zero point with.
    pub output_stage: OutputStageRecord,
    /// Height and width of the kernel, at least the stride.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Rows and columns cut off at the top, left, bottom and right, at most `kernel − stride`.
    pub padding: [u8; 4],
    /// 1 where each output goes through a table of 256 values at the end, as in [`LookupRecord`]; or 0.
    pub has_table: u8,
    /// The integer that stands for 0.0 before the table; without one, that of the output.
    pub zero_point: i8,
    /// Zero.
    pub reserved: [u8; 14],
}

/// Sum of two activations of one shape (16 bytes):
/// `y = clamp((a·multipliers[0] + b·multipliers[1] + offset) >> shift)`, where the offset holds the zero points and a half;
/// no sum leaves 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct AddRecord {
    /// `round(scale · 2^shift / output scale)` of each input.
    pub multipliers: [I32; 2],
    /// 0 to 30.
    pub shift: u8,
    /// Lower bound of the output.
    pub output_min: i8,
    /// Upper bound of the output.
    pub output_max: i8,
    /// Zero.
    pub reserved: [u8; 5],
}

/// Two or three activations one behind the other (16 bytes); all share scale and zero point with the output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct ConcatRecord {
    /// 0 for rows, 1 for columns, 2 for channels.
    pub axis: u8,
    /// Zero.
    pub reserved: [u8; 15],
}

/// A function of each value by itself, as a table (16 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LookupRecord {
    /// 256 values, `i8`: the outputs for the inputs −128 to 127.
    pub table: Span,
    /// Zero.
    pub reserved: [u8; 8],
}

/// Row of a table that a token number chooses (32 bytes). Reads an `i16` tensor `[1, 1, 1]`, writes an `i8` vector of
/// `D` values with zero point 0. A token that has no row reads row 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct EmbeddingRecord {
    /// One entry a row, as `form` says.
    pub table: Span,
    /// What the entries are multiplied with or stand for, as `form` says.
    pub extra: Span,
    /// Number of rows, at least 1.
    pub rows: U32,
    /// One of `EMBEDDING_…`.
    pub form: u8,
    /// Zero.
    pub reserved: u8,
    /// Codes a row, a divisor of `D`; zero in the other forms.
    pub codes_per_row: U16,
    /// Zero.
    pub reserved2: [U32; 2],
}

/// `table`: `i8 [rows][D]`, the values themselves; `extra`: none.
pub const EMBEDDING_I8: u8 = 0;
/// `table`: `u8 [rows][⌈D/2⌉]`, two values `q` from −8 to 7 in each byte, the first in the low nibble; `extra`:
/// `u8 [rows]`, the multipliers `m`: `x[i] = clamp((q[i] · m + 4) >> 3, −128, 127)`.
pub const EMBEDDING_I4: u8 = 1;
/// `table`: `u8 [rows][M]`, the codes; `extra`: `i8 [M][256][D/M]`, the codebooks: part `p` of a row is entry
/// `code[p]` of codebook `p`.
pub const EMBEDDING_CODES: u8 = 2;

/// One step of an LSTM (32 bytes). Reads `x` (`i8`, `D` values, zero point 0), reads and writes the cell state `c`
/// (the second input: `i16`, `H` values, scale `2^−cell_shift`) and the hidden state `h` (the output: `i8`, `H` values,
/// zero point 0, scale 1/128). `kernels::gates` has the arithmetic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct LstmRecord {
    /// `i8`, packed as [`OpRecord::packing`] says, like those of a dense layer of `4·H` outputs over `D + H` inputs,
    /// `x` then `h`. Row `4·j + g` is gate `g` of unit `j`; the gates are input, output, forget, cell candidate.
    pub weights: Span,
    /// `i32` per row.
    pub bias: Span,
    /// `i32` per row, in `0..2³¹`: to units of 1/128, those of the cell candidate to 1/256.
    pub multipliers: Span,
    /// Bits that accumulators are shifted left before the multiplication, 0 to 31.
    pub left_shift: u8,
    /// 8 to 15.
    pub cell_shift: u8,
    /// Zero.
    pub reserved: [u8; 6],
}

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

/// [`Conv2dRecord`], with ReLU and max-pool fused.
pub const OP_CONV2D: u8 = 1;
/// [`MaxPool2dRecord`].
pub const OP_MAX_POOL2D: u8 = 2;
/// [`DenseRecord`], with ReLU fused; reads and writes images as vectors in NHWC order.
pub const OP_DENSE: u8 = 3;
/// [`LookupRecord`].
pub const OP_LOOKUP: u8 = 4;
/// [`EmbeddingRecord`].
pub const OP_EMBEDDING: u8 = 5;
/// [`LstmRecord`].
pub const OP_LSTM: u8 = 6;
/// [`AveragePool2dRecord`].
pub const OP_AVERAGE_POOL2D: u8 = 7;
/// [`DepthwiseConv2dRecord`].
pub const OP_DEPTHWISE_CONV2D: u8 = 8;
/// [`AddRecord`].
pub const OP_ADD: u8 = 9;
/// [`ConcatRecord`].
pub const OP_CONCAT: u8 = 10;
/// [`ConvTranspose2dRecord`].
pub const OP_CONV_TRANSPOSE2D: u8 = 11;

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
const _: () = assert!(size_of::<OutputStageRecord>() == 24);
const _: () = assert!(size_of::<Conv2dRecord>() == 56);
const _: () = assert!(size_of::<DenseRecord>() == 32);
const _: () = assert!(size_of::<MaxPool2dRecord>() == 16);
const _: () = assert!(size_of::<AveragePool2dRecord>() == 40);
const _: () = assert!(size_of::<DepthwiseConv2dRecord>() == 48);
const _: () = assert!(size_of::<ConvTranspose2dRecord>() == 56);
const _: () = assert!(size_of::<AddRecord>() == 16);
const _: () = assert!(size_of::<ConcatRecord>() == 16);
const _: () = assert!(size_of::<LookupRecord>() == 16);
const _: () = assert!(size_of::<EmbeddingRecord>() == 32);
const _: () = assert!(size_of::<LstmRecord>() == 32);
const _: () = assert!(size_of::<TextRecord>() == 32);
