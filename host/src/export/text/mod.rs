//! Models that read text: embedding, LSTM, one logit.
//!
//! ```text
//! .onnx ──read──▶ Sentiment ──quantize::lstm──▶ int8 ──container──▶ .thm, with the vocabulary in it
//!                                                 └──qdq──▶ .int8.onnx
//! ```
//!
//! A chain of three layers, unlike the graphs that `lower` takes apart, and run once a token rather than once a sample; what
//! is written in the end has the same forms.

mod budget;
mod container;
mod qdq;
mod read;
mod table;

pub use read::{Sentiment, has_lstm, read};
pub use table::Table;

use super::golden::Golden;
use super::{Exported, Options, pack};
use crate::dataset::{Texts, tokens};
use crate::quantize::lstm::{self, Float};
use crate::recipe::Text;
use anyhow::{Result, ensure};
use prost::Message;
use rayon::prelude::*;

/// Texts that the range of the cell state is taken from, at most: it hardly changes with more of them.
const CALIBRATION: usize = 200;

/// Quantizes the serialized ONNX model `onnx`, which reads texts as `text` says, by the words of `ranking`, the most frequent
/// first; calibrated on some of `texts`, which must be training texts.
pub fn export(onnx: &[u8], texts: &Texts, ranking: &[String], text: &Text, options: &Options) -> Result<Exported> {
    let model = read(onnx)?;
    ensure!(
        model.vocabulary == text.vocabulary,
        "the model knows {} tokens, the recipe says {}; train it again",
        model.vocabulary,
        text.vocabulary
    );
    ensure!(!texts.is_empty() && options.calibration > 0, "there are no texts to calibrate on");
    let float = model.float();
    let count = options.calibration.min(CALIBRATION).min(texts.len());
    let seen = (0..count)
        .into_par_iter()
        .map(|index| largest_cell(&model, &float, &texts.ranks[index * texts.len() / count], text))
        .reduce(|| 0.0, f32::max);
    let table = Table::new([model.vocabulary, model.dimensions], &model.embedding, text.storage);
    let quantized = lstm::quantize(&float, table.scale, seen)?;
    let head = lstm::logit(&model.head)?;
    let container = container::container(&model, &table, &quantized, &head, ranking, text, options)?;
    let packed = pack::packings(&container)?;
    Ok(Exported {
        float_onnx: onnx.to_vec(),
        int8_onnx: qdq::qdq(&model, &table, &quantized, &head, &options.name).encode_to_vec(),
        golden: Golden::of_text(&container)?,
        budget: budget::budget(&model, &table, &quantized, &head, seen, &packed, options, count)?,
        container,
    })
}

/// The largest value, sign apart, that the cell state takes on a text.
fn largest_cell(model: &Sentiment, float: &Float, ranks: &[u32], text: &Text) -> f32 {
    let mut state = float.start();
    let mut largest = 0.0_f32;
    for token in tokens(ranks, text.vocabulary, text.window) {
        float.step(&mut state, model.row(token));
        largest = state.cell.iter().fold(largest, |largest, value| largest.max(value.abs()));
    }
    largest
}
