//! The file as bytes: its sections in order, and each op's record over what it spans.

use super::{EmbeddingSpec, OpSpec, OutputStageSpec, Parameters, TextSpec};
use crate::kernels::Shape;
use crate::model::Tensor;
use crate::model::format::{
    ALIGNMENT, AddRecord, AveragePool2dRecord, ConcatRecord, Conv2dRecord, ConvTranspose2dRecord, DenseRecord,
    DepthwiseConv2dRecord, EMBEDDING_CODES, EMBEDDING_I4, EMBEDDING_I8, EmbeddingRecord, LookupRecord, LstmRecord,
    MaxPool2dRecord, MultiplyRecord, NO_TENSOR, OP_ADD, OP_AVERAGE_POOL2D, OP_CONCAT, OP_CONV_TRANSPOSE2D, OP_CONV2D,
    OP_DENSE, OP_DEPTHWISE_CONV2D, OP_EMBEDDING, OP_LOOKUP, OP_LSTM, OP_MAX_POOL2D, OP_MULTIPLY, OP_SLICE, OpRecord,
    OutputStageRecord, SliceRecord, Span, TensorRecord, TextRecord,
};
use crate::text::VocabularySpec;
use zerocopy::IntoBytes;

/// The file as far as it is written.
pub struct Layout {
    pub bytes: Vec<u8>,
}

impl Layout {
    /// Appends an aligned section. An empty one takes no place: its span is all zeros.
    pub fn append(&mut self, section: &[u8]) -> Span {
        if section.is_empty() {
            return Span::default();
        }
        self.bytes.resize(self.bytes.len().next_multiple_of(ALIGNMENT), 0);
        let span = Span { offset: (self.bytes.len() as u32).into(), length: (section.len() as u32).into() };
        self.bytes.extend_from_slice(section);
        span
    }

    pub fn fill(&mut self, span: Span, section: &[u8]) {
        let start = span.offset.get() as usize;
        self.bytes[start..start + section.len()].copy_from_slice(section);
    }

    /// Appends what the parameters span; returns the op's kind and its record.
    pub fn append_parameters(&mut self, parameters: &Parameters) -> (u8, Vec<u8>) {
        match parameters {
            Parameters::Conv2d { weights, output_stage, window, pool } => {
                let record = Conv2dRecord {
                    weights: self.append(weights.as_bytes()),
                    output_stage: self.append_output_stage(output_stage),
                    window: (*window).into(),
                    pool: pool.map(|n| n as u8),
                    ..Default::default()
                };
                (OP_CONV2D, record.as_bytes().to_vec())
            }
            Parameters::DepthwiseConv2d { weights, output_stage, window } => {
                let record = DepthwiseConv2dRecord {
                    weights: self.append(weights.as_bytes()),
                    output_stage: self.append_output_stage(output_stage),
                    window: (*window).into(),
                    ..Default::default()
                };
                (OP_DEPTHWISE_CONV2D, record.as_bytes().to_vec())
            }
            Parameters::ConvTranspose2d { weights, output_stage, window, zero_point, table } => {
                let record = ConvTranspose2dRecord {
                    weights: self.append([weights.as_slice(), table].concat().as_bytes()),
                    output_stage: self.append_output_stage(output_stage),
                    window: (*window).into(),
                    has_table: u8::from(!table.is_empty()),
                    zero_point: *zero_point,
                    ..Default::default()
                };
                (OP_CONV_TRANSPOSE2D, record.as_bytes().to_vec())
            }
            Parameters::Add { multipliers, shift, bounds: [output_min, output_max], .. } => {
                let record = AddRecord {
                    multipliers: multipliers.map(Into::into),
                    shift: *shift,
                    output_min: *output_min,
                    output_max: *output_max,
                    ..Default::default()
                };
                (OP_ADD, record.as_bytes().to_vec())
            }
            Parameters::Multiply { multiplier, left_shift, bounds: [output_min, output_max], .. } => {
                let record = MultiplyRecord {
                    multiplier: (*multiplier).into(),
                    left_shift: *left_shift,
                    output_min: *output_min,
                    output_max: *output_max,
                    ..Default::default()
                };
                (OP_MULTIPLY, record.as_bytes().to_vec())
            }
            Parameters::Concat { axis, .. } => {
                (OP_CONCAT, ConcatRecord { axis: *axis, ..Default::default() }.as_bytes().to_vec())
            }
            Parameters::Slice { starts, steps } => {
                let [starts, steps] = [starts, steps].map(|sides| sides.map(|side| (side as u16).into()));
                (OP_SLICE, SliceRecord { starts, steps, ..Default::default() }.as_bytes().to_vec())
            }
            Parameters::MaxPool2d { window } => {
                let record = MaxPool2dRecord { window: (*window).into(), ..Default::default() };
                (OP_MAX_POOL2D, record.as_bytes().to_vec())
            }
            Parameters::AveragePool2d { window, output_stage } => {
                let record = AveragePool2dRecord {
                    output_stage: self.append_output_stage(output_stage),
                    window: (*window).into(),
                    ..Default::default()
                };
                (OP_AVERAGE_POOL2D, record.as_bytes().to_vec())
            }
            Parameters::Dense { weights, output_stage } => {
                let record = DenseRecord {
                    weights: self.append(weights.as_bytes()),
                    output_stage: self.append_output_stage(output_stage),
                };
                (OP_DENSE, record.as_bytes().to_vec())
            }
            Parameters::Lookup { table } => {
                let record = LookupRecord { table: self.append(table.as_bytes()), ..Default::default() };
                (OP_LOOKUP, record.as_bytes().to_vec())
            }
            Parameters::Embedding { rows, table } => {
                (OP_EMBEDDING, self.append_embedding(*rows, table).as_bytes().to_vec())
            }
            Parameters::Lstm { weights, bias, multipliers, left_shift, cell_shift, .. } => {
                let record = LstmRecord {
                    weights: self.append(weights.as_bytes()),
                    bias: self.append(bias.as_bytes()),
                    multipliers: self.append(multipliers.as_bytes()),
                    left_shift: *left_shift,
                    cell_shift: *cell_shift,
                    ..Default::default()
                };
                (OP_LSTM, record.as_bytes().to_vec())
            }
        }
    }

    /// Appends the table and what belongs to it.
    fn append_embedding(&mut self, rows: usize, table: &EmbeddingSpec) -> EmbeddingRecord {
        let rows = (rows as u32).into();
        match table {
            EmbeddingSpec::I8(values) => {
                let table = self.append(values.as_bytes());
                EmbeddingRecord { table, rows, form: EMBEDDING_I8, ..Default::default() }
            }
            EmbeddingSpec::I4 { nibbles, multipliers } => {
                let [table, extra] = [self.append(nibbles), self.append(multipliers)];
                EmbeddingRecord { table, extra, rows, form: EMBEDDING_I4, ..Default::default() }
            }
            EmbeddingSpec::Codes { codes, codebooks, codes_per_row } => {
                let [table, extra] = [self.append(codes), self.append(codebooks.as_bytes())];
                let codes_per_row = (*codes_per_row).into();
                EmbeddingRecord { table, extra, rows, form: EMBEDDING_CODES, codes_per_row, ..Default::default() }
            }
        }
    }

    pub fn append_text(&mut self, text: &TextSpec) -> TextRecord {
        let VocabularySpec { seed, displacements, fingerprints } = &text.vocabulary;
        TextRecord {
            words: (fingerprints.len() as u32).into(),
            seed: (*seed).into(),
            buckets: (displacements.len() as u32).into(),
            displacements: self.append(displacements.as_bytes()),
            fingerprints: self.append(fingerprints.as_bytes()),
            window: text.window.unwrap_or(NO_TENSOR).into(),
            ..Default::default()
        }
    }

    fn append_output_stage(&mut self, stage: &OutputStageSpec) -> OutputStageRecord {
        OutputStageRecord {
            bias: self.append(stage.bias.as_bytes()),
            multipliers: self.append(stage.multipliers.as_bytes()),
            left_shift: stage.left_shift,
            output_min: stage.output_min,
            output_max: stage.output_max,
            ..Default::default()
        }
    }
}

pub fn record_bytes(parameters: &Parameters) -> usize {
    match parameters {
        Parameters::Conv2d { .. } => size_of::<Conv2dRecord>(),
        Parameters::DepthwiseConv2d { .. } => size_of::<DepthwiseConv2dRecord>(),
        Parameters::ConvTranspose2d { .. } => size_of::<ConvTranspose2dRecord>(),
        Parameters::Add { .. } => size_of::<AddRecord>(),
        Parameters::Multiply { .. } => size_of::<MultiplyRecord>(),
        Parameters::Concat { .. } => size_of::<ConcatRecord>(),
        Parameters::Slice { .. } => size_of::<SliceRecord>(),
        Parameters::MaxPool2d { .. } => size_of::<MaxPool2dRecord>(),
        Parameters::AveragePool2d { .. } => size_of::<AveragePool2dRecord>(),
        Parameters::Dense { .. } => size_of::<DenseRecord>(),
        Parameters::Lookup { .. } => size_of::<LookupRecord>(),
        Parameters::Embedding { .. } => size_of::<EmbeddingRecord>(),
        Parameters::Lstm { .. } => size_of::<LstmRecord>(),
    }
}

pub fn tensor_record(tensor: &Tensor) -> TensorRecord {
    let Shape { height, width, channels } = tensor.shape;
    TensorRecord {
        offset: (tensor.offset as u32).into(),
        shape: [height, width, channels].map(|side| (side as u16).into()),
        element: tensor.element.code(),
        zero_point: tensor.zero_point,
        scale: tensor.scale.into(),
        ..Default::default()
    }
}

pub fn op_record(op: &OpSpec, kind: u8, parameters: Span) -> OpRecord {
    let [second, third] = match op.parameters {
        Parameters::Lstm { cell, .. } => [Some(cell), None],
        Parameters::Add { other, .. } | Parameters::Multiply { other, .. } => [Some(other), None],
        Parameters::Concat { others, .. } => others,
        _ => [None; 2],
    };
    OpRecord {
        kind,
        packing: op.packing,
        preference: op.preference.code(),
        inputs: [op.input, second.unwrap_or(NO_TENSOR), third.unwrap_or(NO_TENSOR)].map(Into::into),
        output: op.output.into(),
        parameters,
        ..Default::default()
    }
}
