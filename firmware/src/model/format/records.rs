//! What an op is given beside its tensors: a record for each kind.

use super::{I32, Span, U16, U32};
use crate::kernels::Window;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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

/// A window that is moved over an image (8 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct WindowRecord {
    /// Height and width.
    pub kernel: [u8; 2],
    /// Vertical and horizontal step.
    pub stride: [u8; 2],
    /// Padding at the top, left, bottom and right.
    pub padding: [u8; 4],
}

impl From<Window> for WindowRecord {
    fn from(window: Window) -> Self {
        let Window { kernel, stride, padding } = window;
        Self { kernel: kernel.map(|n| n as u8), stride: stride.map(|n| n as u8), padding: padding.map(|n| n as u8) }
    }
}

impl From<WindowRecord> for Window {
    fn from(record: WindowRecord) -> Self {
        let WindowRecord { kernel, stride, padding } = record;
        Self { kernel: kernel.map(usize::from), stride: stride.map(usize::from), padding: padding.map(usize::from) }
    }
}

/// 2-D convolution (56 bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Conv2dRecord {
    /// Weights, `i8`, packed as [`OpRecord::packing`] says.
    pub weights: Span,
    /// From accumulators to outputs.
    pub output_stage: OutputStageRecord,
    /// Of the kernel; padding is filled with the input's zero point.
    pub window: WindowRecord,
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
    /// Where the maximum is taken; padded places never win.
    pub window: WindowRecord,
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
    /// Where the mean is taken; padded places add nothing to a sum.
    pub window: WindowRecord,
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
    /// Of the kernel; padding is filled with the input's zero point.
    pub window: WindowRecord,
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
    /// Of the kernel, which is at least the stride; `padding` is what is cut off, at most `kernel − stride`.
    pub window: WindowRecord,
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

/// Product of two activations (16 bytes), each side of the second as long as the first's or 1, which counts for all of them:
/// `y = clamp(zero_point + ((((a − zₐ)·(b − z_b) << left_shift) · multiplier + 2³¹) >> 32))`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct MultiplyRecord {
    /// `round(2^(32 − left_shift) · scaleₐ · scale_b / output scale)`, in `0..2³¹`.
    pub multiplier: I32,
    /// 0 to 15: no product is longer than 255².
    pub left_shift: u8,
    /// Lower bound of the output.
    pub output_min: i8,
    /// Upper bound of the output.
    pub output_max: i8,
    /// Zero.
    pub reserved: [u8; 9],
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

/// Some of an activation's rows, columns and channels (16 bytes): output row `y` is input row `starts[0] + y · steps[0]`, and so
/// for columns and channels. Input and output share scale and zero point.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct SliceRecord {
    /// The first row, column and channel.
    pub starts: [U16; 3],
    /// How far apart rows, columns and channels are; 0 where the first one is repeated.
    pub steps: [U16; 3],
    /// Zero.
    pub reserved: [u8; 4],
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
/// [`SliceRecord`].
pub const OP_SLICE: u8 = 12;
/// [`MultiplyRecord`].
pub const OP_MULTIPLY: u8 = 13;

const _: () = assert!(size_of::<OutputStageRecord>() == 24);
const _: () = assert!(size_of::<Conv2dRecord>() == 56);
const _: () = assert!(size_of::<DenseRecord>() == 32);
const _: () = assert!(size_of::<MaxPool2dRecord>() == 16);
const _: () = assert!(size_of::<AveragePool2dRecord>() == 40);
const _: () = assert!(size_of::<DepthwiseConv2dRecord>() == 48);
const _: () = assert!(size_of::<ConvTranspose2dRecord>() == 56);
const _: () = assert!(size_of::<AddRecord>() == 16);
const _: () = assert!(size_of::<MultiplyRecord>() == 16);
const _: () = assert!(size_of::<ConcatRecord>() == 16);
const _: () = assert!(size_of::<SliceRecord>() == 16);
const _: () = assert!(size_of::<LookupRecord>() == 16);
const _: () = assert!(size_of::<EmbeddingRecord>() == 32);
const _: () = assert!(size_of::<LstmRecord>() == 32);
