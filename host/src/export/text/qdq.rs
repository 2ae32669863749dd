//! The int8 model for ONNX Runtime: the device's weights, dequantized where they are read. State and gates stay in float,
//! which ONNX's LSTM cannot have otherwise.

use super::{Sentiment, Table};
use crate::export::proto::{constant, int, ints, model as model_proto, node, open};
use crate::export::sequence;
use crate::quantize::Int8;
use crate::quantize::lstm::{HIDDEN_SCALE, Logit, Lstm};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto};

/// Input `tokens` [N, T], output `output` [N, 1]: the probability of the second class.
pub fn qdq(model: &Sentiment, table: &Table, lstm: &Lstm, head: &Logit, name: &str) -> ModelProto {
    let Sentiment { vocabulary, dimensions, units, .. } = *model;
    let rows: Vec<i8> = (0..vocabulary).flat_map(|row| table.row(row)).collect();
    let gates = 4 * units;
    let lstm = sequence::weights(lstm, dimensions, table.scale);
    let Int8 { weights, weight_scales, bias: head_bias, .. } = &head.layer;
    let head_bias: Vec<f32> =
        head_bias.iter().zip(weight_scales).map(|(&bias, scale)| bias as f32 * scale * HIDDEN_SCALE).collect();
    let initializer = vec![
        constant("embedding.int", &[vocabulary, dimensions], &rows),
        constant("embedding.scale", &[], &[table.scale]),
        constant("lstm.weight.int", &[1, gates, dimensions], &lstm.input),
        constant("lstm.weight.scale", &[gates], &lstm.input_scales),
        constant("lstm.recurrent.int", &[1, gates, units], &lstm.recurrent),
        constant("lstm.recurrent.scale", &[gates], &lstm.recurrent_scales),
        constant("lstm.bias", &[1, 2 * gates], &lstm.bias),
        constant("head.weight.int", &[1, units], weights),
        constant("head.weight.scale", &[1], weight_scales),
        constant("head.bias", &[1], &head_bias),
    ];
    let dequantize = |name: &str, axis: Option<i64>| {
        let inputs = [&format!("{name}.int")[..], &format!("{name}.scale")];
        node("DequantizeLinear", &inputs, name, axis.map(|axis| int("axis", axis)).into_iter().collect())
    };
    let mut recurrence = node(
        "LSTM",
        &["vectors", "lstm.weight", "lstm.recurrent", "lstm.bias"],
        "",
        vec![int("hidden_size", units as i64)],
    );
    recurrence.output.push("state".into());
    let nodes = vec![
        node("Transpose", &["tokens"], "steps", vec![ints("perm", &[1, 0])]),
        node("Gather", &["embedding.int", "steps"], "vectors.int", vec![int("axis", 0)]),
        node("DequantizeLinear", &["vectors.int", "embedding.scale"], "vectors", Vec::new()),
        dequantize("lstm.weight", Some(1)),
        dequantize("lstm.recurrent", Some(1)),
        recurrence,
        node("Transpose", &["state"], "state.first", vec![ints("perm", &[1, 0, 2])]),
        node("Flatten", &["state.first"], "state.flat", vec![int("axis", 1)]),
        dequantize("head.weight", Some(0)),
        node("Gemm", &["state.flat", "head.weight", "head.bias"], "logit", vec![int("transB", 1)]),
        node("Sigmoid", &["logit"], "output", Vec::new()),
    ];
    model_proto(GraphProto {
        name: name.into(),
        input: vec![open("tokens", DataType::Int64, &["N", "T"])],
        output: vec![open("output", DataType::Float, &["N", ""])],
        node: nodes,
        initializer,
        ..Default::default()
    })
}
