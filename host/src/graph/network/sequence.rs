//! Embedding and LSTM.
//!
//! While training, a batch of texts lies time-major, [T, N, …]: each step of the recurrence is one block of memory. Texts that
//! are shorter than T have −1 *in front*. There, the input of the recurrence is made zero, biases included, so that the cell's
//! candidate is tanh(0) = 0 and the state stays zero until the first word: as if the text had begun there. That needs nothing
//! inside the loop.

use super::{CODES, Embedding, Lstm};
use crate::graph::builder::{Element, Graph, Value};
use crate::graph::layer::Pooling;
use crate::graph::ops::Range;
use anyhow::{Context, Result};

/// A batch of texts in a training graph.
pub(super) struct Texts {
    /// Integers [T, N]; 0 where there is no token.
    pub tokens: Value,
    /// 1 where there is a token, 0 elsewhere [T, N].
    present: Value,
}

impl Texts {
    /// From `tokens` [T, N] as reals, −1 for none.
    pub fn new(graph: &mut Graph, tokens: Value) -> Result<Self> {
        let half = graph.scalar(-0.5);
        let present = graph.greater(tokens, half)?;
        let present = graph.cast(present, Element::F32)?;
        let tokens = graph.mul(tokens, present)?;
        Ok(Texts { tokens: graph.cast(tokens, Element::I64)?, present })
    }

    pub fn of(texts: Option<&Self>) -> Result<&Self> {
        texts.context("this layer takes a text")
    }

    /// [`present`](Self::present) as [T, N, 1].
    fn column(&self, graph: &mut Graph) -> Result<Value> {
        let shape = [graph.shape(self.present), &[1]].concat();
        graph.reshape(self.present, &shape)
    }
}

impl Embedding {
    /// Vectors [T, N, D] of a batch; zeros where there is no token.
    pub fn train(&self, graph: &mut Graph, texts: &Texts, parameters: &[Value]) -> Result<Value> {
        graph.scope(&self.name);
        let table = parameters[self.weights];
        let [steps, batch] = graph.dimensions(texts.tokens, "a batch of texts")?;
        let x = match &self.codes {
            None => graph.gather(table, texts.tokens)?,
            Some(codes) => {
                let bytes = self.bytes;
                let rows: Vec<i64> = rows(codes, bytes).map(|row| row as i64).collect();
                let rows = graph.integer_constant(&[codes.len() / bytes, bytes], &rows);
                let rows = graph.gather(rows, texts.tokens)?;
                let parts = graph.gather(table, rows)?;
                graph.reshape(parts, &[steps, batch, self.dimensions])?
            }
        };
        let present = texts.column(graph)?;
        graph.mul(x, present)
    }

    /// Vectors [T, N, D] of `tokens` [N, T].
    pub fn infer(&self, graph: &mut Graph, tokens: Value, parameters: &[Value]) -> Result<Value> {
        graph.scope(&self.name);
        let tokens = graph.transpose(tokens, &[1, 0])?;
        graph.gather(parameters[self.weights], tokens)
    }

    /// The float model holds a plain table.
    pub fn stored(&self, index: usize, data: &[f32]) -> Option<(String, Vec<usize>, Vec<f32>)> {
        let codes = self.codes.as_ref().filter(|_| index == self.weights)?;
        // Codebooks [256 · bytes, D / bytes] hold 256 · D values, whatever the bytes: those are told by the vocabulary.
        let (bytes, part) = (self.bytes, self.dimensions / self.bytes);
        let table: Vec<f32> = rows(codes, bytes).flat_map(|row| &data[row * part..][..part]).copied().collect();
        Some((format!("{}.weight", self.name), vec![codes.len() / bytes, self.dimensions], table))
    }
}

/// Rows of the codebooks [256 · bytes] that make each word, in order.
fn rows(codes: &[u8], bytes: usize) -> impl Iterator<Item = usize> + '_ {
    codes.iter().enumerate().map(move |(place, &code)| place % bytes * CODES + usize::from(code))
}

impl Lstm {
    /// The pooled states [N, H] over `x` [T, N, D].
    pub fn train(
        &self,
        graph: &mut Graph,
        texts: &Texts,
        x: Value,
        parameters: &[Value],
        masks: &[Value],
    ) -> Result<Value> {
        graph.scope(&self.name);
        let [steps, batch, width] = graph.dimensions(x, "a sequence")?;
        let [weights, mut recurrent, bias] = [0, 1, 2].map(|offset| parameters[self.weights + offset]);
        // The bias is the weight of one more input, which is 1 where there is a token.
        let x = graph.reshape(x, &[steps * batch, width])?;
        let present = graph.reshape(texts.present, &[steps * batch, 1])?;
        let x = graph.concat(&[x, present], 1)?;
        let bias = graph.reshape(bias, &[4 * self.units, 1])?;
        let weights = graph.concat(&[weights, bias], 1)?;
        let z = graph.gemm(x, weights, None, false, true)?;
        let z = graph.reshape(z, &[steps, batch, 4 * self.units])?;
        if let Some(mask) = self.weight_mask {
            recurrent = graph.mul(recurrent, masks[mask])?;
        }
        let states = graph.lstm(z, recurrent, self.state_mask.map(|mask| masks[mask]))?;
        match self.pooling {
            Pooling::Last => {
                let last = Range { axis: 0, start: steps - 1, end: steps, step: 1 };
                let last = graph.slice(states, &[last])?;
                graph.reshape(last, &[batch, self.units])
            }
            Pooling::Mean => {
                // States before the first token are zeros.
                let sum = graph.reduce_sum(states, &[0], false)?;
                let count = graph.reduce_sum(texts.present, &[0], false)?;
                let count = graph.reshape(count, &[batch, 1])?;
                graph.div(sum, count)
            }
        }
    }

    /// The pooled states [N, H] over `x` [T, N, D].
    pub fn infer(&self, graph: &mut Graph, x: Value, parameters: &[Value]) -> Result<Value> {
        graph.scope(&self.name);
        let [w, r, b] = [0, 1, 2].map(|offset| parameters[self.weights + offset]);
        let states = match self.pooling {
            Pooling::Last => graph.onnx_lstm(x, w, r, b)?,
            Pooling::Mean => {
                let all = graph.onnx_lstm_states(x, w, r, b)?;
                graph.reduce_mean(all, &[0], false)?
            }
        };
        // [1, N, H] to [N, H], without naming N.
        let states = graph.transpose(states, &[1, 0, 2])?;
        graph.flatten(states)
    }

    /// As ONNX's operator wants them: with the number of directions in front, and a second bias, of zeros.
    pub fn stored(&self, index: usize, data: &[f32]) -> Option<(String, Vec<usize>, Vec<f32>)> {
        let gates = 4 * self.units;
        let (suffix, shape, data) = match index.checked_sub(self.weights)? {
            0 => ("weight", vec![1, gates, data.len() / gates], data.to_vec()),
            1 => ("recurrent", vec![1, gates, self.units], data.to_vec()),
            2 => ("bias", vec![1, 2 * gates], [data, &vec![0.0; gates]].concat()),
            _ => return None,
        };
        Some((format!("{}.{suffix}", self.name), shape, data))
    }
}
