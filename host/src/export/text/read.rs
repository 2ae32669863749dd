//! From ONNX to the three layers.

use super::super::lower::Refusal;
use super::super::lower::onnx::{Constants, Node};
use crate::quantize::Float as Dense;
use crate::quantize::lstm::Float;
use anyhow::{Context, Result, anyhow, ensure};
use prost::Message;
use tract_onnx::pb::{GraphProto, ModelProto};

/// The operators of a model that reads text, in the order in which they run.
const OPERATORS: [&str; 7] = ["Transpose", "Gather", "LSTM", "Transpose", "Flatten", "Gemm", "Sigmoid"];

/// An embedding, an LSTM whose last state counts, and one logit.
pub struct Sentiment {
    /// Rows of the embedding.
    pub vocabulary: usize,
    /// Values of a row.
    pub dimensions: usize,
    /// Values of the state.
    pub units: usize,
    /// [vocabulary][dimensions]
    pub embedding: Vec<f32>,
    /// [4 · units][dimensions], gates in the order input, output, forget, cell.
    pub input: Vec<f32>,
    /// [4 · units][units]
    pub recurrent: Vec<f32>,
    /// [4 · units]
    pub bias: Vec<f32>,
    /// One output over the state.
    pub head: Dense,
}

impl Sentiment {
    /// The row of a token.
    pub fn row(&self, token: u16) -> &[f32] {
        &self.embedding[usize::from(token) * self.dimensions..][..self.dimensions]
    }

    /// The recurrence in plain loops.
    pub fn float(&self) -> Float {
        Float::new(&self.input, &self.recurrent, &self.bias)
    }

    /// The float logit of a state.
    pub fn logit(&self, hidden: &[f32]) -> f32 {
        self.head.bias[0] + self.head.weights.iter().zip(hidden).map(|(w, h)| w * h).sum::<f32>()
    }
}

/// Whether the serialized ONNX model `onnx` has an LSTM, as each that reads text or takes another sequence.
pub fn has_lstm(onnx: &[u8]) -> Result<bool> {
    let graph = graph(onnx)?;
    Ok(graph.node.iter().any(|node| node.op_type == "LSTM"))
}

fn graph(onnx: &[u8]) -> Result<GraphProto> {
    let model = ModelProto::decode(onnx).context("the file is no ONNX model, or a broken one; export it again")?;
    model.graph.context("the ONNX file holds no graph; export the model again")
}

/// Reads the serialized ONNX model `onnx`.
///
/// # Errors
/// Operators other than those that `host train` writes for a text classifier; weights that are missing, of wrong sizes or no
/// finite numbers.
pub fn read(onnx: &[u8]) -> Result<Sentiment> {
    let graph = graph(onnx)?;
    let nodes: Vec<Node<'_>> = graph.node.iter().enumerate().map(|(index, node)| Node::new(node, index)).collect();
    let operators: Vec<&str> = nodes.iter().map(Node::op).collect();
    ensure!(
        operators == OPERATORS,
        "the model consists of {}; models of text that run on a board consist of {}",
        operators.join(", "),
        OPERATORS.join(", ")
    );
    let constants = Constants::of(&graph)?;
    let floats = |node: usize, input: usize, what: &str| {
        let node = &nodes[node];
        let read = constants.floats(node, input, what);
        read.map_err(|Refusal { reason, remedy }| anyhow!("{}: {reason}; {remedy}", node.name()))
    };
    let (table, embedding) = floats(1, 0, "table")?;
    let [(w, input), (r, recurrent), (_, mut bias)] =
        [floats(2, 1, "weights")?, floats(2, 2, "recurrent weights")?, floats(2, 3, "biases")?];
    let (head, weights) = floats(5, 1, "weights")?;
    let (_, head_bias) = floats(5, 2, "bias")?;
    let (&[vocabulary, dimensions], &[1, _, width], &[1, gates, units], &[1, state]) =
        (&table[..], &w[..], &r[..], &head[..])
    else {
        anyhow::bail!("the weights have the sizes {table:?}, {w:?}, {r:?}, {head:?}, which make no text classifier")
    };
    let fits = width == dimensions && gates == 4 * units && state == units && bias.len() == 8 * units;
    ensure!(fits && head_bias.len() == 1, "the weights have sizes that do not fit together; train the model again");
    // ONNX has one bias for the input and one for the state.
    let second = bias.split_off(4 * units);
    bias.iter_mut().zip(second).for_each(|(bias, second)| *bias += second);
    let all = [&embedding, &input, &recurrent, &bias, &weights, &head_bias];
    ensure!(all.iter().all(|values| values.iter().all(|value| value.is_finite())), "a weight is no finite number");
    let head = Dense { weights, bias: head_bias };
    Ok(Sentiment { vocabulary, dimensions, units, embedding, input, recurrent, bias, head })
}
