//! The int8 model for ONNX Runtime: the device's weights, dequantized where they are read. States and gates stay in float,
//! which ONNX's LSTM cannot have otherwise; what an LSTM says is rounded behind it.

use super::{Quantized, Recurrent};
use crate::export::proto::{constant, int, ints, model, node, open};
use crate::export::qdq;
use crate::quantize::lstm::{HIDDEN_SCALE, Lstm};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, TensorProto};

/// An LSTM's weights in ONNX's order of rows, gate after gate.
pub struct Weights {
    /// `[1][4 · units][inputs]`, and what one step of each row stands for.
    pub input: Vec<i8>,
    pub input_scales: Vec<f32>,
    /// `[1][4 · units][units]`, and what one step of each row stands for.
    pub recurrent: Vec<i8>,
    pub recurrent_scales: Vec<f32>,
    /// `[1][8 · units]`, the second half zeros.
    pub bias: Vec<f32>,
}

/// The weights of `lstm`, whose inputs have the scale `input_scale`.
pub fn weights(lstm: &Lstm, inputs: usize, input_scale: f32) -> Weights {
    let gates = lstm.gates.bias.len();
    let (units, width) = (gates / 4, inputs + gates / 4);
    // From the device's order, `4·unit + gate`.
    let order: Vec<usize> = (0..gates).map(|row| row % units * 4 + row / units).collect();
    let columns = |start: usize, end: usize| -> Vec<i8> {
        order.iter().flat_map(|&row| &lstm.gates.weights[row * width + start..row * width + end]).copied().collect()
    };
    let scales = |step: f32| -> Vec<f32> { order.iter().map(|&row| lstm.gates.weight_scales[row] / step).collect() };
    let bias = order.iter().map(|&row| lstm.gates.bias[row] as f32 * lstm.gates.weight_scales[row]);
    Weights {
        input: columns(0, inputs),
        input_scales: scales(input_scale),
        recurrent: columns(inputs, width),
        recurrent_scales: scales(HIDDEN_SCALE),
        bias: bias.chain(std::iter::repeat_n(0.0, gates)).collect(),
    }
}

#[derive(Default)]
struct Writer {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
}

impl Writer {
    /// `{name}` from integers in a file, `scales` one for all or one a row behind the first dimension.
    fn dequantized(&mut self, name: &str, dims: &[usize], integers: &[i8], scales: &[f32]) {
        let inputs = ["int", "scale"].map(|part| format!("{name}.{part}"));
        let sides: &[usize] = if scales.len() == 1 { &[] } else { &[scales.len()] };
        self.constants.push(constant(&inputs[0], dims, integers));
        self.constants.push(constant(&inputs[1], sides, scales));
        let axis = if scales.len() == 1 { Vec::new() } else { vec![int("axis", 1)] };
        self.nodes.push(node("DequantizeLinear", &inputs.each_ref().map(String::as_str), name, axis));
    }

    /// `source`, rounded to `scale`; gives the name.
    fn rounded(&mut self, source: &str, scale: f32) -> String {
        let [scale_name, zero, int8, real] =
            ["scale", "zero_point", "int8", "real"].map(|part| format!("{source}.{part}"));
        self.constants.push(constant(&scale_name, &[], &[scale]));
        self.constants.push(constant(&zero, &[], &[0i8]));
        self.nodes.push(node("QuantizeLinear", &[source, &scale_name, &zero], &int8, Vec::new()));
        self.nodes.push(node("DequantizeLinear", &[&int8, &scale_name, &zero], &real, Vec::new()));
        real
    }
}

/// Input `[N, T]` of int64 tokens or `[N, T, F]` of features, under the float model's name; output as the tail's.
pub fn qdq(recurrent: &Recurrent, quantized: &Quantized) -> ModelProto {
    let mut writer = Writer::default();
    let input = recurrent.entry.tensors[0].name.clone();
    let features = recurrent.entry.tensors[0].shape.channels;
    let tokens = recurrent.embedding.is_some();
    let mut source = match (&recurrent.embedding, &quantized.table) {
        (Some(embedding), Some(table)) => {
            let rows: Vec<i8> = (0..embedding.rows).flat_map(|row| table.row(row)).collect();
            let name = &embedding.name;
            writer.dequantized(&format!("{name}.table"), &[embedding.rows, embedding.width], &rows, &[table.scale]);
            writer.nodes.push(node("Gather", &[&format!("{name}.table"), &input], name, vec![int("axis", 0)]));
            name.clone()
        }
        _ => writer.rounded(&input, quantized.input_scale),
    };
    let steps = format!("{source}.steps");
    writer.nodes.push(node("Transpose", &[&source], &steps, vec![ints("perm", &[1, 0, 2])]));
    source = steps;
    let scales = [quantized.input_scale].into_iter().chain(std::iter::repeat(HIDDEN_SCALE));
    let (last, network) = (recurrent.layers.len() - 1, &quantized.tail.network);
    for ((index, layer), scale) in recurrent.layers.iter().enumerate().zip(scales) {
        let weights = weights(&quantized.layers[index], layer.inputs, scale);
        let [w, r, b, all, state] =
            ["weight", "recurrent", "bias", "all", "last"].map(|part| format!("{}.step.{part}", layer.name));
        let gates = 4 * layer.units;
        writer.dequantized(&w, &[1, gates, layer.inputs], &weights.input, &weights.input_scales);
        writer.dequantized(&r, &[1, gates, layer.units], &weights.recurrent, &weights.recurrent_scales);
        writer.constants.push(constant(&b, &[1, 2 * gates], &weights.bias));
        let mut lstm = node("LSTM", &[&source, &w, &r, &b], &all, vec![int("hidden_size", layer.units as i64)]);
        lstm.output.push(state.clone());
        writer.nodes.push(lstm);
        // [1, N, units] of the last step, or [T, 1, N, units] of all: without the direction.
        let (from, name, direction) = if index == last {
            (&state, qdq::base(&network.tensors[network.input]).to_owned(), 0i64)
        } else {
            (&all, format!("{all}.steps"), 1)
        };
        let axes = constant(&format!("{name}.axes"), &[1], &[direction]);
        writer.nodes.push(node("Squeeze", &[from, &axes.name], &name, Vec::new()));
        writer.constants.push(axes);
        // The tail rounds what it reads.
        source = if index == last { name } else { writer.rounded(&name, HIDDEN_SCALE) };
    }
    let mut tail = qdq::qdq(&quantized.tail).graph.unwrap_or_default();
    let element = if tokens { DataType::Int64 } else { DataType::Float };
    let sides = if tokens { vec!["N".into(), "T".into()] } else { vec!["N".into(), "T".into(), features.to_string()] };
    let sides: Vec<&str> = sides.iter().map(String::as_str).collect();
    tail.input = vec![open(&input, element, &sides)];
    model(GraphProto {
        node: writer.nodes.into_iter().chain(tail.node).collect(),
        initializer: writer.constants.into_iter().chain(tail.initializer).collect(),
        ..tail
    })
}
