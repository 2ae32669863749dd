//! What a model costs: flash, RAM and operations, as `budget.toml` and as a table.

use super::plan::Plan;
use crate::quantize::calibrate::Method;
use crate::quantize::{Calibration, Int8, Op, Quantized};
use crate::twin::Twin;
use anyhow::{Context, Result};
use serde::Serialize;
use std::fmt::Write;
use toml_edit::DocumentMut;

/// The part of `budget.toml` that export writes; other sections, e.g. measured figures, stay as they are.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    pub model: ModelBudget,
    pub flash: Flash,
    pub ram: Ram,
    pub packings: Vec<Packing>,
    pub calibration: CalibrationFacts,
    pub layers: Vec<Layer>,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ModelBudget {
    pub name: String,
    /// Writes this file again.
    pub command: String,
    /// Multiplications for one input.
    pub macs: usize,
    /// Weights and biases.
    pub parameters: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Flash {
    pub weights_bytes: usize,
    /// Biases and multipliers.
    pub tables_bytes: usize,
    /// The whole container, packed portably.
    pub container_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ram {
    pub arena_bytes: usize,
    /// No plan of the same order of layers takes less.
    pub arena_lower_bound_bytes: usize,
}

/// What depends on how the weights are packed, and so on the core.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Packing {
    pub name: String,
    /// Needed beside the arena.
    pub scratch_bytes: usize,
    /// The whole container in flash.
    pub container_bytes: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CalibrationFacts {
    pub ranges: Method,
    /// Training images used.
    pub images: usize,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    pub name: String,
    pub kind: String,
    /// Height, width, channels.
    pub output: [usize; 3],
    pub macs: usize,
    pub weights_bytes: usize,
    /// Smallest and largest value of the output on the calibration images.
    pub range: [f32; 2],
    pub scale: f32,
    pub zero_point: i8,
    /// Smallest and largest accumulator that any input can lead to (proved, not measured).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accumulator: Option<[i64; 2]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub left_shift: Option<u8>,
}

impl Budget {
    /// The budget of `quantized`; `packed` holds a container for each packing, with the packing's name, the
    /// portable one first.
    pub fn new(
        quantized: &Quantized,
        calibration: &Calibration,
        plan: &Plan,
        packed: &[(String, Vec<u8>)],
        command: String,
        calibrated: CalibrationFacts,
    ) -> Result<Self> {
        let network = &quantized.network;
        let parameters = || network.ops.iter().filter_map(Op::parameters);
        let packing = |(name, container): &(String, Vec<u8>)| {
            let scratch_bytes = Twin::new(container)?.model().scratch_bytes();
            Ok(Packing { name: name.clone(), scratch_bytes, container_bytes: container.len() })
        };
        let weights_bytes = parameters().map(|int8| int8.weights.len()).sum();
        let outputs: usize = parameters().map(|int8| int8.bias.len()).sum();
        let layer = |op: &Op<Int8>| {
            let shape = network.output_shape(op);
            let int8 = op.parameters();
            Layer {
                name: op.name.clone(),
                kind: op.describe(),
                output: [shape.height, shape.width, shape.channels],
                macs: network.macs(op),
                weights_bytes: int8.map_or(0, |int8| int8.weights.len()),
                range: calibration.seen[op.output],
                scale: quantized.affine[op.output].scale,
                zero_point: quantized.affine[op.output].zero_point,
                accumulator: int8.map(|int8| int8.accumulator),
                left_shift: int8.map(|int8| int8.left_shift),
            }
        };
        Ok(Self {
            model: ModelBudget {
                name: network.name.clone(),
                command,
                macs: network.ops.iter().map(|op| network.macs(op)).sum(),
                parameters: weights_bytes + outputs,
            },
            flash: Flash {
                weights_bytes,
                tables_bytes: outputs * 2 * size_of::<i32>(),
                container_bytes: packed[0].1.len(),
            },
            ram: Ram { arena_bytes: plan.arena_bytes, arena_lower_bound_bytes: plan.lower_bound_bytes },
            packings: packed.iter().map(packing).collect::<Result<_>>()?,
            calibration: calibrated,
            layers: network.ops.iter().map(layer).collect(),
        })
    }

    /// This budget as TOML, followed by the sections of `existing` (a `budget.toml`, or nothing) that are not export's.
    pub fn merge_into(&self, existing: &str) -> Result<String> {
        let mut rest: DocumentMut = existing.parse().context("budget.toml is no TOML; delete it and export again")?;
        let own = toml_edit::ser::to_string_pretty(self)?;
        for (name, _) in own.parse::<DocumentMut>()?.iter() {
            rest.remove(name);
        }
        // As text: put into one document, sections would keep the places that they had in theirs.
        Ok(format!("{own}{rest}"))
    }

    /// The table that `host export` prints.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let mut line = |columns: [&str; 6]| {
            let [name, kind, output, macs, weights, accumulator] = columns;
            _ = writeln!(text, "{name:<24} {kind:<18} {output:>12} {macs:>10} {weights:>9} {accumulator:>12}");
        };
        line(["layer", "kind", "output", "MACs", "weights", "accumulator"]);
        for layer in &self.layers {
            let [height, width, channels] = layer.output;
            let longest = layer.accumulator.map(|[low, high]| low.abs().max(high));
            line([
                &layer.name,
                &layer.kind,
                &format!("{height}×{width}×{channels}"),
                &layer.macs.to_string(),
                &layer.weights_bytes.to_string(),
                &longest.map_or("-".into(), |longest| format!("≤ {longest}")),
            ]);
        }
        let Ram { arena_bytes, arena_lower_bound_bytes } = self.ram;
        let Flash { weights_bytes, tables_bytes, .. } = self.flash;
        _ = writeln!(text, "\nMACs    {}", self.model.macs);
        _ = writeln!(text, "weights {weights_bytes} bytes, biases and multipliers {tables_bytes} bytes");
        _ = writeln!(text, "arena   {arena_bytes} bytes (lower bound {arena_lower_bound_bytes})");
        for Packing { name, scratch_bytes, container_bytes } in &self.packings {
            _ = writeln!(text, "packing {name}: flash {container_bytes} bytes, scratch {scratch_bytes} bytes");
        }
        text
    }
}
