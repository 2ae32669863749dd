//! Lays out a container: the host's counterpart of `Model::parse`.
//!
//! [`ModelBuilder`] holds a model as plain vectors. [`ModelBuilder::finish`] writes records, alignment and CRC, and
//! computes what follows from the rest: `arena_bytes` from the tensors, `scratch_bytes` from the ops. It judges nothing:
//! what is wrong with a model is said by `Model::parse`, which the exporter runs over every container that it writes.

mod layout;

use super::format::{CRC32, Header, MAGIC, OpRecord, TextRecord, VERSION};
use super::{Preference, Tensor};
use crate::kernels::{ConvTranspose2d, Window, optimized, variants};
use crate::text::VocabularySpec;
use layout::{Layout, op_record, record_bytes, tensor_record};
use zerocopy::{FromZeros, IntoBytes};

/// A model on its way into a container.
#[derive(Clone, Debug, Default)]
pub struct ModelBuilder {
    /// Name of the model.
    pub name: String,
    /// Class labels in order; empty where the model does not classify.
    pub labels: Vec<String>,
    /// Activations with their places in the arena.
    pub tensors: Vec<Tensor>,
    /// The ops in the order in which they run.
    pub ops: Vec<OpSpec>,
    /// Index of the tensor that the application fills.
    pub input: u16,
    /// Index of the tensor that holds the answer.
    pub output: u16,
    /// How the model reads text; `None` where it does not.
    pub text: Option<TextSpec>,
}

/// See [`TextRecord`].
#[derive(Clone, Debug)]
pub struct TextSpec {
    /// From words to tokens.
    pub vocabulary: VocabularySpec,
    /// Index of the tensor that holds the last tokens, where a text counts with these alone.
    pub window: Option<u16>,
}

/// One op: the tensors that it joins, and its parameters.
#[derive(Clone, Debug)]
pub struct OpSpec {
    /// Index of the tensor read.
    pub input: u16,
    /// Index of the tensor written.
    pub output: u16,
    /// One of [`super::format`]'s `PACKING_…`; the weights must lie as it says.
    pub packing: u8,
    /// What counts most when the weights are packed for a core.
    pub preference: Preference,
    /// What the op computes.
    pub parameters: Parameters,
}

/// Parameters of an op, with its weights.
#[derive(Clone, Debug)]
pub enum Parameters {
    /// Convolution with fused ReLU (through the output's bounds) and max-pool.
    Conv2d {
        /// `i8`, packed from OHWI.
        weights: Vec<i8>,
        /// From accumulators to outputs.
        output_stage: OutputStageSpec,
        /// Kernel, stride, padding.
        window: Window,
        /// Window and stride of the fused max-pool; `[1, 1]` for none.
        pool: [usize; 2],
    },
    /// Convolution of each channel by itself.
    DepthwiseConv2d {
        /// `i8`, `[channel][kernel row][kernel column]`.
        weights: Vec<i8>,
        /// From accumulators to outputs.
        output_stage: OutputStageSpec,
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Transposed convolution.
    ConvTranspose2d {
        /// `i8`, packed phase by phase, see [`ConvTranspose2d`].
        weights: Vec<i8>,
        /// From accumulators to outputs; of biases, an entry an output channel for each phase.
        output_stage: OutputStageSpec,
        /// Kernel, stride, and what is cut off.
        window: Window,
        /// The integer that stands for 0.0 before the table.
        zero_point: i8,
        /// 256 values through which each output goes; empty: outputs stay as they are.
        table: Vec<i8>,
    },
    /// Sum of two activations.
    Add {
        /// Index of the second tensor read.
        other: u16,
        /// `round(scale · 2^shift / output scale)` of each input.
        multipliers: [i32; 2],
        /// 0 to 30.
        shift: u8,
        /// Lower and upper bound of the output.
        bounds: [i8; 2],
    },
    /// Product of two activations.
    Multiply {
        /// Index of the second tensor read, each side of which is as long as the first's, or 1.
        other: u16,
        /// In `0..2³¹`.
        multiplier: i32,
        /// 0 to 15.
        left_shift: u8,
        /// Lower and upper bound of the output.
        bounds: [i8; 2],
    },
    /// Two or three activations one behind the other.
    Concat {
        /// Indices of the second and, perhaps, the third tensor read.
        others: [Option<u16>; 2],
        /// 0 for rows, 1 for columns, 2 for channels.
        axis: u8,
    },
    /// Some of an activation's rows, columns and channels.
    Slice {
        /// The first row, column and channel.
        starts: [usize; 3],
        /// How far apart they are; 0 where the first one is repeated.
        steps: [usize; 3],
    },
    /// Max-pool on its own.
    MaxPool2d {
        /// Kernel, stride, padding.
        window: Window,
    },
    /// Mean of the values under a window.
    AveragePool2d {
        /// Kernel, stride, padding.
        window: Window,
        /// From sums to outputs, without biases; one multiplier, or `kernel height · kernel width`.
        output_stage: OutputStageSpec,
    },
    /// Matrix–vector product.
    Dense {
        /// `i8`, packed from `[output][input]`.
        weights: Vec<i8>,
        /// From accumulators to outputs.
        output_stage: OutputStageSpec,
    },
    /// A function of each value by itself.
    Lookup {
        /// 256 outputs, for the inputs −128 to 127.
        table: Vec<i8>,
    },
    /// Row of a table that a token chooses.
    Embedding {
        /// Number of rows; row 0 stands for tokens that have none.
        rows: usize,
        /// The rows.
        table: EmbeddingSpec,
    },
    /// One step of an LSTM; the op's output is its hidden state.
    Lstm {
        /// Index of the tensor that holds the cell state.
        cell: u16,
        /// `i8`, packed from `[4·j + gate][x‖h]`.
        weights: Vec<i8>,
        /// One per row.
        bias: Vec<i32>,
        /// One per row, in `0..2³¹`.
        multipliers: Vec<i32>,
        /// 0 to 31.
        left_shift: u8,
        /// 8 to 15.
        cell_shift: u8,
    },
}

/// The three forms of an embedding's rows, see [`EmbeddingRecord`].
#[derive(Clone, Debug)]
pub enum EmbeddingSpec {
    /// `[rows][D]`.
    I8(Vec<i8>),
    /// Two values a byte.
    I4 {
        /// `[rows][⌈D/2⌉]`, the first value in the low nibble.
        nibbles: Vec<u8>,
        /// `[rows]`, in 1/8.
        multipliers: Vec<u8>,
    },
    /// Parts from codebooks.
    Codes {
        /// `[rows][codes_per_row]`.
        codes: Vec<u8>,
        /// `[codes_per_row][256][D / codes_per_row]`.
        codebooks: Vec<i8>,
        /// A divisor of `D`.
        codes_per_row: u16,
    },
}

/// See [`OutputStageRecord`].
#[derive(Clone, Debug, Default)]
pub struct OutputStageSpec {
    /// One per output channel, the input's zero point folded in.
    pub bias: Vec<i32>,
    /// One per output channel, in `0..2³¹`.
    pub multipliers: Vec<i32>,
    /// 0 to 31.
    pub left_shift: u8,
    /// Lower bound of the output.
    pub output_min: i8,
    /// Upper bound of the output.
    pub output_max: i8,
}

impl ModelBuilder {
    /// Bytes that the tensors take together, a multiple of 4.
    pub fn arena_bytes(&self) -> usize {
        self.tensors.iter().map(Tensor::end).max().unwrap_or(0).next_multiple_of(4)
    }

    /// Bytes that the most demanding op needs beside the arena, a multiple of 4.
    pub fn scratch_bytes(&self) -> usize {
        self.ops.iter().map(|op| self.op_scratch_bytes(op)).max().unwrap_or(0)
    }

    /// An op that names a missing tensor or an unknown packing counts nothing here and is refused by the parser.
    fn op_scratch_bytes(&self, op: &OpSpec) -> usize {
        let (Some(input), Some(variant)) = (self.tensors.get(usize::from(op.input)), variants::variant(op.packing))
        else {
            return 0;
        };
        match &op.parameters {
            Parameters::Conv2d { window, pool, .. } => (variant.conv2d_scratch_bytes)(input.shape, *window, *pool),
            Parameters::ConvTranspose2d { window, .. } => {
                // Of a window that cannot be, nothing can be said.
                let output = ConvTranspose2d::output_shape(input.shape, *window, self.channels(op.output));
                let needed = |output| optimized::conv_transpose2d_scratch_bytes(variant, input.shape, output, *window);
                output.map_or(0, needed)
            }
            Parameters::DepthwiseConv2d { window, .. } => optimized::depthwise_scratch_bytes(input.shape, *window),
            Parameters::Lstm { .. } => (variant.lstm_scratch_bytes)(input.shape.channels, self.channels(op.output)),
            Parameters::Dense { .. }
            | Parameters::Add { .. }
            | Parameters::Multiply { .. }
            | Parameters::Concat { .. }
            | Parameters::Slice { .. }
            | Parameters::MaxPool2d { .. }
            | Parameters::AveragePool2d { .. }
            | Parameters::Lookup { .. }
            | Parameters::Embedding { .. } => 0,
        }
    }

    /// Channels of tensor number `index`; none of one that is missing.
    fn channels(&self, index: u16) -> usize {
        self.tensors.get(usize::from(index)).map_or(0, |tensor| tensor.shape.channels)
    }

    /// The container's bytes.
    pub fn finish(&self) -> Vec<u8> {
        let mut file = Layout { bytes: vec![0; size_of::<Header>()] };
        let tensors: Vec<_> = self.tensors.iter().map(tensor_record).collect();
        let tensors = file.append(tensors.as_bytes());
        // The records come before what they span, so their places are taken now and filled at the end.
        let ops = file.append(&vec![0; self.ops.len() * size_of::<OpRecord>()]);
        let parameters: Vec<_> =
            self.ops.iter().map(|op| file.append(&vec![0; record_bytes(&op.parameters)])).collect();
        let name = file.append(self.name.as_bytes());
        let labels: String = self.labels.iter().flat_map(|label| [label, "\0"]).collect();
        let labels = file.append(labels.as_bytes());
        let text = file.append(&vec![0; if self.text.is_some() { size_of::<TextRecord>() } else { 0 }]);
        let mut records = Vec::new();
        for (op, span) in self.ops.iter().zip(&parameters) {
            let (kind, record) = file.append_parameters(&op.parameters);
            file.fill(*span, &record);
            records.push(op_record(op, kind, *span));
        }
        file.fill(ops, records.as_bytes());
        if let Some(spec) = &self.text {
            let record = file.append_text(spec);
            file.fill(text, record.as_bytes());
        }
        let mut header = Header {
            magic: MAGIC,
            version: VERSION.into(),
            tensor_count: (self.tensors.len() as u16).into(),
            op_count: (self.ops.len() as u16).into(),
            input: self.input.into(),
            output: self.output.into(),
            length: (file.bytes.len() as u32).into(),
            tensors,
            ops,
            name,
            labels,
            text,
            arena_bytes: (self.arena_bytes() as u32).into(),
            scratch_bytes: (self.scratch_bytes() as u32).into(),
            ..Header::new_zeroed()
        };
        file.bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        header.crc32 = crc32(&file.bytes).into();
        file.bytes[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        file.bytes
    }
}

/// The CRC that belongs into the header of the container `bytes` (at least 8 bytes), whatever stands there now.
pub fn crc32(bytes: &[u8]) -> u32 {
    let crc = crc::Crc::<u32>::new(&CRC32);
    let mut digest = crc.digest();
    digest.update(&bytes[..4]);
    digest.update(&bytes[8..]);
    digest.finalize()
}
