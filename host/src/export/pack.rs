//! Weights laid out for the core that runs them.

use super::prefer::{self, Prefer, prefer};
use crate::twin::Twin;
use anyhow::{Result, anyhow, ensure};
use firmware::kernels::{ConvTranspose2d, Embedding, EmbeddingTable, OutputStage, Phase, packing};
use firmware::model::format::{NO_TENSOR, PACKING_DSP, PACKING_FOURS, PACKING_MVE, PACKING_PORTABLE};
use firmware::model::writer::{EmbeddingSpec, ModelBuilder, OpSpec, OutputStageSpec, Parameters, TextSpec};
use firmware::model::{Op, Parameters as Parsed, Preference};
use firmware::text::VocabularySpec;

/// Every packing of a core, with its name in reports; the portable one first.
const PACKINGS: [(&str, u8); 4] =
    [("portable", PACKING_PORTABLE), ("fours", PACKING_FOURS), ("dsp", PACKING_DSP), ("mve", PACKING_MVE)];

/// The portable `container`, packed as `packing` says: weights laid out anew, scratch computed anew. An op that prefers
/// another form of that packing gets it.
pub fn pack_for(container: &[u8], packing: u8) -> Result<Vec<u8>> {
    ensure!(PACKINGS.iter().any(|(_, known)| *known == packing), "there is no packing {packing}");
    rebuilt(container, |_, op| Form {
        packing: prefer::form(op, packing, op.preference),
        // The choice has been made.
        preference: Preference::default(),
    })
}

/// The container for each packing of a core, and for each preference that makes a difference there, with their names.
pub fn packings(container: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
    let mut all = Vec::new();
    for (name, packing) in PACKINGS {
        let packed = |choice| pack_for(&prefer(container, choice, None)?, packing);
        let flash = packed(Prefer::Flash)?;
        all.push((name.to_owned(), flash.clone()));
        for choice in [Prefer::Speed, Prefer::Ram] {
            let other = packed(choice)?;
            if other != flash {
                all.push((format!("{name}-{choice}"), other));
            }
        }
    }
    Ok(all)
}

/// How an op's weights lie, and what counts when they are packed for a core.
pub(super) struct Form {
    pub packing: u8,
    pub preference: Preference,
}

/// The portable `container` with each op in the form that `form` says for it and its index.
pub(super) fn rebuilt(container: &[u8], form: impl Fn(usize, &Op<'_>) -> Form) -> Result<Vec<u8>> {
    let twin = Twin::new(container)?;
    let model = twin.model();
    let ops = (0..model.op_count()).map(|index| {
        let op = model.op(index).map_err(|error| anyhow!("op {index}: {error}"))?;
        ensure!(op.variant.packing == PACKING_PORTABLE, "model {} is packed for a core already", model.name());
        Ok(repacked(&op, form(index.into(), &op)))
    });
    let builder = ModelBuilder {
        name: model.name().into(),
        labels: model.labels().map(String::from).collect(),
        tensors: model.tensors().collect(),
        ops: ops.collect::<Result<_>>()?,
        input: model.input_index(),
        output: model.output_index(),
        text: model.text().map(|text| TextSpec {
            vocabulary: VocabularySpec {
                seed: text.vocabulary.seed,
                displacements: text.vocabulary.displacements.to_vec(),
                fingerprints: text.vocabulary.fingerprints.to_vec(),
            },
            window: text.window,
        }),
    };
    let packed = builder.finish();
    // Nothing leaves here that a board would refuse.
    Twin::new(&packed)?;
    Ok(packed)
}

fn repacked(op: &Op<'_>, Form { packing, preference }: Form) -> OpSpec {
    let parameters = match &op.parameters {
        Parsed::Conv2d(conv) => {
            let [height, width] = conv.window.kernel;
            let shape = [conv.output.channels, height, width, conv.input.channels];
            Parameters::Conv2d {
                weights: packing::conv2d(packing, conv.weights, shape),
                output_stage: output_stage(&conv.stage),
                window: conv.window,
                pool: conv.pool,
            }
        }
        Parsed::MaxPool2d(pool) => Parameters::MaxPool2d { window: pool.window },
        Parsed::DepthwiseConv2d(conv) => Parameters::DepthwiseConv2d {
            weights: conv.weights.to_vec(),
            output_stage: output_stage(&conv.stage),
            window: conv.window,
        },
        Parsed::ConvTranspose2d(conv) => Parameters::ConvTranspose2d {
            weights: phases(conv, packing),
            output_stage: output_stage(&conv.stage),
            window: conv.window,
            zero_point: conv.stage.zero_point,
            table: conv.table.map_or_else(Vec::new, |table| table.to_vec()),
        },
        Parsed::Add(add) => Parameters::Add {
            other: op.others[0].unwrap_or(NO_TENSOR),
            multipliers: add.multipliers,
            shift: add.shift,
            bounds: [add.output_min, add.output_max],
        },
        Parsed::Multiply(multiply) => Parameters::Multiply {
            other: op.others[0].unwrap_or(NO_TENSOR),
            multiplier: multiply.multiplier,
            left_shift: multiply.left_shift,
            bounds: [multiply.output_min, multiply.output_max],
        },
        Parsed::Concat(concat) => Parameters::Concat { others: op.others, axis: concat.axis as u8 },
        Parsed::Slice(slice) => Parameters::Slice { starts: slice.starts, steps: slice.steps },
        Parsed::AveragePool2d(pool) => {
            Parameters::AveragePool2d { window: pool.window, output_stage: output_stage(&pool.stage) }
        }
        Parsed::Lookup(lookup) => Parameters::Lookup { table: lookup.table.to_vec() },
        Parsed::Dense(dense) => Parameters::Dense {
            weights: packing::dense(packing, dense.weights, [dense.outputs, dense.inputs]),
            output_stage: output_stage(&dense.stage),
        },
        Parsed::Embedding(embedding) => Parameters::Embedding { rows: embedding.rows, table: table(embedding) },
        Parsed::Lstm(lstm) => Parameters::Lstm {
            cell: op.cell.unwrap_or(NO_TENSOR),
            weights: packing::dense(packing, lstm.gates.weights, [lstm.gates.outputs, lstm.gates.inputs]),
            bias: lstm.gates.stage.bias.to_vec(),
            multipliers: lstm.gates.stage.multipliers.to_vec(),
            left_shift: lstm.gates.stage.left_shift,
            cell_shift: lstm.cell_shift,
        },
    };
    OpSpec { input: op.input, output: op.output, packing, preference, parameters }
}

/// The portable weights of each phase, packed.
fn phases(conv: &ConvTranspose2d<'_>, packing: u8) -> Vec<i8> {
    let (inputs, outputs) = (conv.input.channels, conv.output.channels);
    let mut rest = conv.weights;
    let pack = |[row, column]: [Phase; 2]| {
        let (weights, behind) = rest.split_at(outputs * row.taps * column.taps * inputs);
        rest = behind;
        packing::conv2d(packing, weights, [outputs, row.taps, column.taps, inputs])
    };
    ConvTranspose2d::phases(conv.window).flat_map(pack).collect()
}

fn table(embedding: &Embedding<'_>) -> EmbeddingSpec {
    match embedding.table {
        EmbeddingTable::I8(values) => EmbeddingSpec::I8(values.to_vec()),
        EmbeddingTable::I4 { nibbles, multipliers } => {
            EmbeddingSpec::I4 { nibbles: nibbles.to_vec(), multipliers: multipliers.to_vec() }
        }
        EmbeddingTable::Codes { codes, codebooks, codes_per_row } => EmbeddingSpec::Codes {
            codes: codes.to_vec(),
            codebooks: codebooks.to_vec(),
            // The container holds it in 16 bits.
            codes_per_row: codes_per_row as u16,
        },
    }
}

fn output_stage(stage: &OutputStage<'_>) -> OutputStageSpec {
    OutputStageSpec {
        bias: stage.bias.to_vec(),
        multipliers: stage.multipliers.to_vec(),
        left_shift: stage.left_shift,
        output_min: stage.output_min,
        output_max: stage.output_max,
    }
}
