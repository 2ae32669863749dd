//! Models that compute with integers, written with real operators in QDQ form, which is what is lowered.
//!
//! A quantized operator (QLinearConv and its like, ONNX's own and ONNX Runtime's) becomes the real one, with a DequantizeLinear in
//! front of each input and a QuantizeLinear behind. An input of 8-bit integers becomes a real one that is quantized first,
//! an output of such integers one that is dequantized at last: a device works on the integers in between all the same.

use super::proto::{int, node};
use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto, type_proto};

/// Where a quantized operator has what. Each operand is followed by its scale and zero point, and so is the output's scale by
/// its zero point.
struct Form {
    /// The real operator.
    op: &'static str,
    operands: Vec<usize>,
    /// 32-bit integers in units of both operands' scales.
    bias: Option<usize>,
    output_scale: usize,
    /// Axis of the second operand that its scales go along.
    axis: i64,
}

impl Form {
    fn of(node: &NodeProto) -> Option<Self> {
        let form = |op, operands: &[usize], output_scale| {
            Some(Self { op, operands: operands.to_vec(), bias: None, output_scale, axis: 1 })
        };
        match node.op_type.as_str() {
            "QLinearConv" => Some(Self { bias: Some(8), axis: 0, ..form("Conv", &[0, 3], 6)? }),
            "QGemm" => {
                let transposed = node.attribute.iter().any(|attribute| attribute.name == "transB" && attribute.i != 0);
                Some(Self { bias: Some(6), axis: i64::from(!transposed), ..form("Gemm", &[0, 3], 7)? })
            }
            "QLinearMatMul" => form("MatMul", &[0, 3], 6),
            "QLinearAdd" => form("Add", &[0, 3], 6),
            "QLinearMul" => form("Mul", &[0, 3], 6),
            "QLinearSigmoid" => form("Sigmoid", &[0], 3),
            "QLinearLeakyRelu" => form("LeakyRelu", &[0], 3),
            "QLinearSoftmax" => form("Softmax", &[0], 3),
            "QLinearAveragePool" => form("AveragePool", &[0], 3),
            "QLinearGlobalAveragePool" => form("GlobalAveragePool", &[0], 3),
            "QLinearConcat" => form("Concat", &(2..node.input.len()).step_by(3).collect::<Vec<_>>(), 0),
            _ => None,
        }
    }
}

/// Rewrites `model` as the module says; one without integers stays as it is.
pub fn expand(model: &mut ModelProto) {
    let Some(graph) = &mut model.graph else { return };
    real_input(graph);
    let mut scales = Scales::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    for node in std::mem::take(&mut graph.node) {
        let expanded = match Form::of(&node) {
            Some(form) => in_real_numbers(&node, &form),
            None => largest_of_integers(&node, &scales).unwrap_or_else(|| vec![node]),
        };
        expanded.iter().for_each(|node| follow(node, &mut scales));
        nodes.extend(expanded);
    }
    graph.node = nodes;
    real_output(graph, &scales);
}

/// What integers stand for: by their value's name, the names of scale and zero point.
type Scales = HashMap<String, Vec<String>>;

/// Takes down what the output of `node` stands for, if it is integers.
fn follow(node: &NodeProto, scales: &mut Scales) {
    let ([input, rest @ ..], [output, ..]) = (&node.input[..], &node.output[..]) else { return };
    let own = match node.op_type.as_str() {
        "QuantizeLinear" => Some(rest.to_vec()),
        "Flatten" | "Reshape" | "Transpose" | "Squeeze" | "Unsqueeze" | "Identity" => scales.get(input).cloned(),
        _ => None,
    };
    own.map(|own| scales.insert(output.clone(), own));
}

/// A max-pool of integers as one of the real numbers that they stand for.
fn largest_of_integers(node: &NodeProto, scales: &Scales) -> Option<Vec<NodeProto>> {
    let ([input], [output]) = (&node.input[..], &node.output[..]) else { return None };
    let scales = scales.get(input).filter(|_| ["MaxPool", "GlobalMaxPool"].contains(&node.op_type.as_str()))?;
    let [operand, real] = [format!("{output}/operand0"), format!("{output}/real")];
    Some(vec![
        scaled("DequantizeLinear", input, scales, &operand),
        NodeProto { input: vec![operand], output: vec![real.clone()], ..node.clone() },
        scaled("QuantizeLinear", &real, scales, output),
    ])
}

/// A QuantizeLinear or DequantizeLinear by `scales`.
fn scaled(op: &str, input: &str, scales: &[String], output: &str) -> NodeProto {
    let reads: Vec<&str> = [input].into_iter().chain(scales.iter().map(String::as_str)).collect();
    node(op, &reads, output, Vec::new())
}

fn in_real_numbers(quantized: &NodeProto, form: &Form) -> Vec<NodeProto> {
    let output = quantized.output.first().map_or("", String::as_str);
    let given = |index: usize| quantized.input.get(index).map(String::as_str).filter(|name| !name.is_empty());
    let input = |index: usize| given(index).unwrap_or_default();
    let (mut nodes, mut operands) = (Vec::new(), Vec::new());
    for (place, &index) in form.operands.iter().enumerate() {
        let real = format!("{output}/operand{place}");
        // Only weights have several scales; of one scale the axis does not matter.
        let axis = if place == 1 && form.axis != 1 { vec![int("axis", form.axis)] } else { Vec::new() };
        let reads = [input(index), input(index + 1), input(index + 2)];
        nodes.push(node("DequantizeLinear", &reads, &real, axis));
        operands.push(real);
    }
    if let Some(bias) = form.bias.and_then(given) {
        let (scale, real) = (format!("{output}/bias scale"), format!("{output}/bias"));
        nodes.push(node("Mul", &[input(1), input(4)], &scale, Vec::new()));
        nodes.push(node("DequantizeLinear", &[bias, &scale], &real, vec![int("axis", 0)]));
        operands.push(real);
    }
    // ONNX Runtime's Gemm may leave its output real.
    let quantizes = given(form.output_scale).is_some();
    let real = if quantizes { format!("{output}/real") } else { output.to_owned() };
    let operands: Vec<&str> = operands.iter().map(String::as_str).collect();
    // ONNX Runtime's own attribute of pools, which is 0: channels come first.
    let attributes = quantized.attribute.iter().filter(|attribute| attribute.name != "channels_last");
    let attributes: Vec<AttributeProto> = attributes.cloned().collect();
    nodes.push(NodeProto { name: quantized.name.clone(), ..node(form.op, &operands, &real, attributes) });
    if quantizes {
        let reads = [real.as_str(), input(form.output_scale), input(form.output_scale + 1)];
        nodes.push(node("QuantizeLinear", &reads, output, Vec::new()));
    }
    nodes
}

/// An input of integers that is dequantized, the same way wherever it is read.
fn real_input(graph: &mut GraphProto) {
    for input in graph.input.iter_mut().filter(|input| is_integer(input)) {
        let Some(scales) = scales_of_readers(&graph.node, &input.name) else { continue };
        let quantized = format!("{}/quantized", input.name);
        let quantize = scaled("QuantizeLinear", &input.name, &scales, &quantized);
        let names = graph.node.iter_mut().flat_map(|node| &mut node.input).filter(|name| **name == input.name);
        names.for_each(|name| name.clone_from(&quantized));
        graph.node.insert(0, quantize);
        make_real(input);
    }
}

/// Names of the scale and zero point by which all of `nodes` that read `value` take it; none where they do not agree.
fn scales_of_readers(nodes: &[NodeProto], value: &str) -> Option<Vec<String>> {
    let mut found = None;
    for node in nodes {
        for place in (0..node.input.len()).filter(|&place| node.input[place] == value) {
            let is_operand = match Form::of(node) {
                Some(form) => form.operands.contains(&place),
                None => node.op_type == "DequantizeLinear" && place == 0,
            };
            let scales = node.input[place + 1..].iter().take(2).cloned().collect();
            if !is_operand || found.as_ref().is_some_and(|found| *found != scales) {
                return None;
            }
            found = Some(scales);
        }
    }
    found
}

/// An output of integers.
fn real_output(graph: &mut GraphProto, scales: &Scales) {
    for output in graph.output.iter_mut().filter(|output| is_integer(output)) {
        let Some(scales) = scales.get(&output.name) else { continue };
        let real = format!("{}/answer", output.name);
        graph.node.push(scaled("DequantizeLinear", &output.name, scales, &real));
        output.name = real;
        make_real(output);
    }
}

fn is_integer(value: &ValueInfoProto) -> bool {
    let integers = [DataType::Uint8 as i32, DataType::Int8 as i32];
    matches!(&value.r#type, Some(ty) if matches!(&ty.value,
        Some(type_proto::Value::TensorType(tensor)) if integers.contains(&tensor.elem_type)))
}

fn make_real(value: &mut ValueInfoProto) {
    let ty = value.r#type.as_mut().and_then(|ty| ty.value.as_mut());
    if let Some(type_proto::Value::TensorType(tensor)) = ty {
        tensor.elem_type = DataType::Float as i32;
    }
}

#[cfg(test)]
mod tests {
    use super::super::lower::lower;
    use super::*;
    use crate::runtime::Inference;
    use prost::Message;

    /// `host/tests/zoo/quantize.py` made it, with ONNX Runtime's quantizer.
    const QUANTIZED: &[u8] = include_bytes!("../../tests/zoo/qoperator.onnx");

    #[test]
    fn what_onnx_runtime_quantizes_computes_the_same_in_qdq_form() {
        let mut model = ModelProto::decode(QUANTIZED).unwrap();
        let input = model.graph.as_ref().unwrap().input[0].name.clone();
        expand(&mut model);
        let network = lower(&model, "test").unwrap();
        let kinds: Vec<String> = network.ops.iter().map(|op| op.describe()).collect();
        assert_eq!(kinds, ["conv2d", "max_pool2d", "conv2d", "add", "leaky_relu", "average_pool2d", "dense"]);
        let scales = network.ops.iter().filter_map(|op| op.weight_scales.as_ref().map(Vec::len));
        assert_eq!(scales.collect::<Vec<_>>(), [8, 8, 5], "weights keep their scales, one a channel");
        assert!(network.tensors.iter().all(|tensor| tensor.affine.is_some()), "every layer has its own scale");

        let [from, to] = [network.input, network.output].map(|index| network.tensors[index].affine.unwrap());
        let mut original = Inference::from_bytes(QUANTIZED).unwrap();
        let mut expanded = Inference::from_bytes(&model.encode_to_vec()).unwrap();
        for seed in 0..20_usize {
            let integers: Vec<u8> =
                (0..128).map(|index| ((index + seed) * (index + 7 * seed + 3) * 31 % 251) as u8).collect();
            let reals: Vec<f32> = integers.iter().map(|&value| from.dequantize(i32::from(value) - 128)).collect();
            let theirs = &original.run(&[(&input, &[1, 2, 8, 8], &integers)]).unwrap()[0].2;
            let ours = &expanded.run(&[(&input, &[1, 2, 8, 8], &reals)]).unwrap()[0].2;
            for (ours, theirs) in ours.iter().zip(theirs) {
                let theirs = to.dequantize(*theirs as i32 - 128);
                // Where a sum lies between two integers, ONNX Runtime's kernels round either way.
                assert!(
                    (ours - theirs).abs() <= 1.01 * to.scale,
                    "{ours} instead of {theirs}, in steps of {}",
                    to.scale
                );
            }
        }
    }

    #[test]
    fn a_model_of_real_numbers_stays_as_it_is() {
        let model = ModelProto::decode(&include_bytes!("../../tests/zoo/torch-18.onnx")[..]).unwrap();
        let mut expanded = model.clone();
        expand(&mut expanded);
        assert_eq!(expanded, model);
    }

    #[test]
    fn an_integer_input_that_is_read_in_two_ways_stays() {
        let mut graph = ModelProto::decode(QUANTIZED).unwrap().graph.unwrap();
        let input = graph.input[0].name.clone();
        graph.node.push(node("Identity", &[&input], "copy", Vec::new()));
        real_input(&mut graph);
        assert!(is_integer(&graph.input[0]));
    }
}
