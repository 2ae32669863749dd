//! Models from elsewhere that take a sequence: tokens or features, LSTMs, and layers that read the last state.
//!
//! ```text
//! .onnx ──lower──▶ Recurrent ─┬─ steps ──quantize::lstm──▶ int8 ─┬─container──▶ .thm, one run of which is one step
//!                             └─ tail ───quantize::quantize──────┴─qdq──▶ .int8.onnx
//! ```
//!
//! The tail is a network like any other, whose input is the last LSTM's state. Unlike those of [`super::text`], these models
//! have no vocabulary: a board is given the tokens.

mod budget;
mod container;
mod qdq;
#[cfg(test)]
mod tests;

pub use super::lower::Recurrent;
pub use qdq::weights;

use super::golden::Golden;
use super::inputs::Inputs;
use super::text::Table;
use super::{Exported, Options, lower, order, pack, plan, prefer};
use crate::quantize::lstm::{self, HIDDEN_SCALE, Lstm, State};
use crate::quantize::{self, Affine, Calibration, calibrate};
use crate::recipe::Storage;
use anyhow::{Context, Result, ensure};
use prost::Message;
use rayon::prelude::*;
use tract_onnx::pb::ModelProto;

/// The model in the serialized ONNX model `onnx`, its tail fused and in the order in which a board runs it.
pub fn read(onnx: &[u8], name: &str) -> Result<Recurrent> {
    let model = ModelProto::decode(onnx).context("the file is no ONNX model, or a broken one; export it again")?;
    let mut recurrent = lower::recurrent(&model, name)?;
    order::reorder(&mut recurrent.tail);
    Ok(recurrent)
}

impl Recurrent {
    /// What the first LSTM reads at each step of `sample`.
    pub fn vectors<'a>(&'a self, sample: &'a [f32]) -> impl Iterator<Item = &'a [f32]> {
        let features = self.entry.tensors[0].shape.channels;
        sample.chunks_exact(features).map(move |step| match &self.embedding {
            Some(table) => &table.values[step[0] as usize * table.width..][..table.width],
            None => step,
        })
    }

    /// Goes through `sample` and shows, for each step, what the first LSTM reads and what all have in mind afterwards. Gives the
    /// last LSTM's state at the end.
    pub fn run(&self, sample: &[f32], mut see: impl FnMut(&[f32], &[State])) -> Vec<f32> {
        let mut states: Vec<State> = self.layers.iter().map(|layer| layer.float.start()).collect();
        for vector in self.vectors(sample) {
            let mut input = vector.to_vec();
            for (layer, state) in self.layers.iter().zip(&mut states) {
                layer.float.step(state, &input);
                input.clone_from(&state.hidden);
            }
            see(vector, &states);
        }
        states.pop().map(|state| state.hidden).unwrap_or_default()
    }

    /// `sample` as a board takes it, step by step: bytes of a token, or of features in steps of `scale`.
    pub fn steps(&self, sample: &[f32], scale: f32) -> Vec<Vec<i8>> {
        let affine = Affine { scale, zero_point: 0 };
        let features = self.entry.tensors[0].shape.channels;
        let step = |step: &[f32]| match self.embedding {
            Some(_) => (step[0] as i16).to_le_bytes().map(|byte| byte as i8).to_vec(),
            None => step.iter().map(|&value| affine.quantize(value)).collect(),
        };
        sample.chunks_exact(features).map(step).collect()
    }

    /// Names of the container's ops.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let embedding = self.embedding.iter().map(|table| table.name.as_str());
        let lstms = self.layers.iter().map(|layer| layer.name.as_str());
        embedding.chain(lstms).chain(self.tail.ops.iter().map(|op| op.name.as_str()))
    }

    /// Dimensions of ONNX's input, the batch of 1 among them.
    pub fn sides(&self) -> &[usize] {
        &self.entry.input_sides[usize::from(self.steps_first)..]
    }

    /// Checks that tokens are tokens.
    ///
    /// # Errors
    /// One that has no row in the embedding.
    pub fn check(&self, inputs: &Inputs) -> Result<()> {
        let Some(table) = &self.embedding else { return Ok(()) };
        let values = (0..inputs.len()).flat_map(|index| inputs.float(index));
        let mut strange = values.filter(|&&value| value.fract() != 0.0 || value < 0.0 || value >= table.rows as f32);
        ensure!(
            strange.next().is_none(),
            "an input holds what is no token of the model, whose embedding {} has the rows 0 to {}; \
             give it the indices that it was trained on",
            table.name,
            table.rows - 1
        );
        Ok(())
    }

    /// Inputs of noise: tokens, or features in 0…1.
    pub fn noise(&self, count: usize) -> Inputs {
        let noise = Inputs::noise(&self.entry, count);
        match &self.embedding {
            Some(table) => noise.map(|value| (value * table.rows as f32).floor()),
            None => noise,
        }
    }
}

/// A [`Recurrent`] in int8.
pub struct Quantized {
    /// Real value of one step of what the first LSTM reads.
    pub input_scale: f32,
    pub table: Option<Table>,
    pub layers: Vec<Lstm>,
    /// The largest value, sign apart, that each LSTM's cell state took.
    pub cells: Vec<f32>,
    pub tail: quantize::Quantized,
    pub calibration: Calibration,
}

/// What calibration notes of one input: the largest value that the first LSTM read, and of each cell state, signs apart; and
/// the last state.
struct Seen {
    input: f32,
    cells: Vec<f32>,
    last: Vec<f32>,
}

fn seen(recurrent: &Recurrent, sample: &[f32]) -> Seen {
    let mut seen = Seen { input: 0.0, cells: vec![0.0; recurrent.layers.len()], last: Vec::new() };
    let largest = |start: f32, values: &[f32]| values.iter().fold(start, |largest, value| largest.max(value.abs()));
    seen.last = recurrent.run(sample, |vector, states| {
        seen.input = largest(seen.input, vector);
        seen.cells.iter_mut().zip(states).for_each(|(cell, state)| *cell = largest(*cell, &state.cell));
    });
    seen
}

/// Quantizes the serialized ONNX model `onnx`, which is `recurrent`, calibrated on as many of `inputs` as the options say; an
/// embedding is stored as `storage` says.
pub fn export(
    onnx: &[u8],
    recurrent: &Recurrent,
    inputs: &Inputs,
    storage: Storage,
    options: &Options,
) -> Result<Exported> {
    recurrent.check(inputs)?;
    let count = options.calibration;
    ensure!(count > 0, "calibration needs at least one input");
    let seen: Vec<Seen> =
        (0..count).into_par_iter().map(|index| seen(recurrent, inputs.float(index * inputs.len() / count))).collect();
    let quantized = quantize(recurrent, &seen, storage, options)?;
    let mut blocks = plan::blocks(&quantized.tail);
    // The last state lies with the other states.
    blocks[recurrent.tail.input].bytes = 0;
    let plan = plan::plan(&blocks);
    let container = container::container(recurrent, &quantized, &plan, options)?;
    let container = prefer::prefer(&container, options.prefer, options.flash_budget)?;
    let packed = pack::packings(&container)?;
    Ok(Exported {
        float_onnx: onnx.to_vec(),
        int8_onnx: qdq::qdq(recurrent, &quantized).encode_to_vec(),
        golden: Golden::new(&container)?,
        budget: budget::budget(recurrent, &quantized, &plan, &packed, options)?,
        container,
    })
}

fn quantize(recurrent: &Recurrent, seen: &[Seen], storage: Storage, options: &Options) -> Result<Quantized> {
    let table = recurrent.embedding.as_ref().map(|table| Table::new([table.rows, table.width], &table.values, storage));
    let largest = seen.iter().fold(f32::MIN_POSITIVE, |largest, seen| largest.max(seen.input));
    let input_scale = table.as_ref().map_or(largest / 127.0, |table| table.scale);
    let cells: Vec<f32> = (0..recurrent.layers.len())
        .map(|layer| seen.iter().fold(0.0, |max, seen| seen.cells[layer].max(max)))
        .collect();
    let scales = [input_scale].into_iter().chain(std::iter::repeat(HIDDEN_SCALE));
    let layers = recurrent.layers.iter().zip(&cells).zip(scales);
    let layers = layers.map(|((layer, &cell), scale)| {
        ensure!(
            cell.is_finite(),
            "layer {}: its cell state grows without bounds; check the model's weights",
            layer.name
        );
        lstm::quantize(&layer.float, scale, cell).with_context(|| format!("layer {}", layer.name))
    });
    let layers = layers.collect::<Result<Vec<_>>>()?;
    let last = |index: usize| seen[index].last.clone();
    let hidden = Affine { scale: HIDDEN_SCALE, zero_point: 0 };
    let calibration = calibrate::calibrate(&recurrent.tail, &last, seen.len(), Some(hidden), options.ranges)?;
    let tail = quantize::quantize(&recurrent.tail, &calibration)?;
    Ok(Quantized { input_scale, table, layers, cells, tail, calibration })
}
