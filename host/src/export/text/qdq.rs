//! The int8 model for ONNX Runtime: the device's weights, dequantized where they are read. State and gates stay in float,
//! which ONNX's LSTM cannot have otherwise.

use super::{Sentiment, Table};
use crate::export::proto::{constant, int, ints, model as model_proto, node};
use crate::quantize::Int8;
use crate::quantize::lstm::{HIDDEN_SCALE, Logit, Lstm};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{GraphProto, ModelProto, TensorShapeProto, TypeProto, ValueInfoProto, type_proto};

/// Input `tokens` [N, T], output `output` [N, 1]: the probability of the second class.
pub fn qdq(model: &Sentiment, table: &Table, lstm: &Lstm, head: &Logit, name: &str) -> ModelProto {
    let Sentiment { vocabulary, dimensions, units, .. } = *model;
    let rows: Vec<i8> = (0..vocabulary).flat_map(|row| table.row(row)).collect();
    let gates = 4 * units;
    // From the device's order of rows, `4·unit + gate`, to ONNX's, gate after gate.
    let order: Vec<usize> = (0..gates).map(|row| row % units * 4 + row / units).collect();
    let width = dimensions + units;
    let columns = |start: usize, end: usize| -> Vec<i8> {
        order.iter().flat_map(|&row| &lstm.gates.weights[row * width + start..row * width + end]).copied().collect()
    };
    let scales = |step: f32| -> Vec<f32> { order.iter().map(|&row| lstm.gates.weight_scales[row] / step).collect() };
    let bias = order.iter().map(|&row| lstm.gates.bias[row] as f32 * lstm.gates.weight_scales[row]);
    let bias: Vec<f32> = bias.chain(std::iter::repeat_n(0.0, gates)).collect();
    let Int8 { weights, weight_scales, bias: head_bias, .. } = &head.layer;
    let head_bias: Vec<f32> =
        head_bias.iter().zip(weight_scales).map(|(&bias, scale)| bias as f32 * scale * HIDDEN_SCALE).collect();
    let initializer = vec![
        constant("embedding.int", &[vocabulary, dimensions], &rows),
        constant("embedding.scale", &[], &[table.scale]),
        constant("lstm.weight.int", &[1, gates, dimensions], &columns(0, dimensions)),
        constant("lstm.weight.scale", &[gates], &scales(table.scale)),
        constant("lstm.recurrent.int", &[1, gates, units], &columns(dimensions, width)),
        constant("lstm.recurrent.scale", &[gates], &scales(HIDDEN_SCALE)),
        constant("lstm.bias", &[1, 2 * gates], &bias),
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

/// An input or output whose sizes are the given symbols; an empty one is 1.
fn open(name: &str, element: DataType, symbols: &[&str]) -> ValueInfoProto {
    let dimension = |symbol: &&str| Dimension {
        value: Some(match *symbol {
            "" => dimension::Value::DimValue(1),
            symbol => dimension::Value::DimParam(symbol.into()),
        }),
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: symbols.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: element as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() });
    ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}
