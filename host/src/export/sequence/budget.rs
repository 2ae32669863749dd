//! What a step of a model costs that takes a sequence.

use super::{Quantized, Recurrent};
use crate::export::Options;
use crate::export::budget::{Budget, CalibrationFacts, Layer};
use crate::export::plan::Plan;
use crate::twin::Twin;
use anyhow::Result;

/// The tail's budget with the steps in front; `packed` holds a container for each packing, the portable one first.
pub fn budget(
    recurrent: &Recurrent,
    quantized: &Quantized,
    plan: &Plan,
    packed: &[(String, Vec<u8>)],
    options: &Options,
) -> Result<Budget> {
    let calibrated = CalibrationFacts { ranges: options.ranges, images: options.calibration };
    let command = options.command.clone();
    let mut budget = Budget::new(&quantized.tail, &quantized.calibration, plan, packed, command, calibrated)?;
    let lstms = recurrent.layers.iter().zip(&quantized.layers).zip(&quantized.cells);
    let lstms = lstms.map(|((layer, lstm), &cell)| Layer {
        name: layer.name.clone(),
        kind: "lstm".into(),
        output: [1, 1, layer.units],
        macs: lstm.gates.weights.len(),
        weights_bytes: lstm.gates.weights.len(),
        range: [-cell, cell],
        scale: lstm.cell_scale(),
        zero_point: 0,
        accumulator: Some(lstm.gates.accumulator),
        left_shift: Some(lstm.gates.left_shift),
    });
    let embedding = recurrent.embedding.as_ref().zip(quantized.table.as_ref()).map(|(embedding, table)| Layer {
        name: embedding.name.clone(),
        kind: table.describe(),
        output: [1, 1, embedding.width],
        macs: 0,
        weights_bytes: table.bytes(),
        range: [-127.0 * table.scale, 127.0 * table.scale],
        scale: table.scale,
        zero_point: 0,
        accumulator: None,
        left_shift: None,
    });
    budget.layers = embedding.into_iter().chain(lstms).chain(budget.layers).collect();
    let rows: usize = quantized.layers.iter().map(|lstm| lstm.gates.bias.len()).sum();
    let weights: usize = quantized.layers.iter().map(|lstm| lstm.gates.weights.len()).sum();
    let values = recurrent.embedding.as_ref().map_or(0, |embedding| embedding.values.len());
    budget.model.macs += weights;
    budget.model.parameters += weights + rows + values;
    budget.flash.weights_bytes = budget.layers.iter().map(|layer| layer.weights_bytes).sum();
    budget.flash.tables_bytes += rows * 2 * size_of::<i32>();
    // States, input and vector come before the tail's tensors, and have to last.
    let arena_bytes = Twin::new(&packed[0].1)?.model().arena_bytes();
    budget.ram.arena_lower_bound_bytes += arena_bytes - budget.ram.arena_bytes;
    budget.ram.arena_bytes = arena_bytes;
    Ok(budget)
}
