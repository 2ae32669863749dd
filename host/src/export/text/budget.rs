//! What a model that reads text costs.

use super::{Sentiment, Table};
use crate::export::Options;
use crate::export::budget::{Budget, CalibrationFacts, Flash, Layer, ModelBudget, Packing, Ram};
use crate::quantize::lstm::{Logit, Lstm};
use crate::quantize::{Int8, Method};
use crate::twin::Twin;
use anyhow::Result;

/// The budget of a token's way through `model`; `packed` holds a container for each packing, the portable one first.
#[allow(clippy::too_many_arguments)]
pub fn budget(
    model: &Sentiment,
    table: &Table,
    lstm: &Lstm,
    head: &Logit,
    largest_cell: f32,
    packed: &[(String, Vec<u8>)],
    options: &Options,
    texts: usize,
) -> Result<Budget> {
    let twin = Twin::new(&packed[0].1)?;
    let vocabulary = twin.model().text().map(|text| text.vocabulary);
    let vocabulary_bytes =
        vocabulary.map_or(0, |words| size_of_val(words.displacements) + size_of_val(words.fingerprints));
    let packing = |(name, container): &(String, Vec<u8>)| {
        let scratch_bytes = Twin::new(container)?.model().scratch_bytes();
        Ok(Packing { name: name.clone(), scratch_bytes, container_bytes: container.len() })
    };
    let weighted = |name: &str, kind: &str, int8: &Int8, outputs: usize, range: [f32; 2], scale: f32| Layer {
        name: name.into(),
        kind: kind.into(),
        output: [1, 1, outputs],
        macs: int8.weights.len(),
        weights_bytes: int8.weights.len(),
        range,
        scale,
        zero_point: 0,
        accumulator: Some(int8.accumulator),
        left_shift: Some(int8.left_shift),
    };
    let reach = 127.0 * table.scale;
    let embedding = Layer {
        name: "embedding".into(),
        kind: table.describe(),
        output: [1, 1, model.dimensions],
        macs: 0,
        weights_bytes: table.bytes(),
        range: [-reach, reach],
        scale: table.scale,
        zero_point: 0,
        accumulator: None,
        left_shift: None,
    };
    let layers = vec![
        embedding,
        weighted("lstm", "lstm", &lstm.gates, model.units, [-largest_cell, largest_cell], lstm.cell_scale()),
        weighted("head", "dense", &head.layer, 1, [0.0; 2], head.scale),
    ];
    let weights_bytes = layers.iter().map(|layer| layer.weights_bytes).sum();
    let rows = lstm.gates.bias.len() + head.layer.bias.len();
    let arena_bytes = twin.model().arena_bytes();
    Ok(Budget {
        model: ModelBudget {
            name: options.name.clone(),
            command: options.command.clone(),
            macs: layers.iter().map(|layer| layer.macs).sum(),
            parameters: model.embedding.len() + lstm.gates.weights.len() + head.layer.weights.len() + rows,
        },
        flash: Flash {
            weights_bytes,
            tables_bytes: rows * 2 * size_of::<i32>() + vocabulary_bytes,
            container_bytes: packed[0].1.len(),
        },
        ram: Ram { arena_bytes, arena_lower_bound_bytes: arena_bytes },
        packings: packed.iter().map(packing).collect::<Result<_>>()?,
        calibration: CalibrationFacts { ranges: Method::MinMax, images: texts },
        layers,
    })
}
