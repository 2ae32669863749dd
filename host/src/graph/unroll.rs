//! A loop, written as its steps one behind the other.

use super::builder::{Graph, Node, Origin, Type};
use super::model::{Names, Written, ZERO, plain, tensor_proto, with_axis};
use super::ops::Scan;
use tract_onnx::pb::{AttributeProto, NodeProto, TensorProto, attribute_proto::AttributeType, tensor_proto::DataType};

/// The nodes of `node`, which is the loop `scan`: sequences cut into steps, the body's nodes once a step, outputs joined.
pub(super) fn unrolled(graph: &Graph, node: &Node, scan: &Scan, written: &Written, outer: &Names) -> Vec<NodeProto> {
    let name = |value| written.name(graph, outer, value);
    let stem = name(node.output);
    let types: Vec<&Type> = node.inputs.iter().map(|&input| graph.ty(input)).collect();
    // Shapes were checked when the node was added.
    let steps = scan.steps(&types).unwrap_or(0);
    let inputs: Vec<String> = node.inputs.iter().map(|&input| name(input)).collect();
    let mut protos = Vec::new();
    // Not one Split: like a Concat, it cannot be captured on CUDA with many pieces, and a Gather drops the first dimension too.
    protos.extend((0..steps).map(|step| constant(format!("{stem}/at {step}"), &(step as i64).to_le_bytes())));
    for (index, sequence) in inputs.iter().enumerate().skip(scan.states).take(scan.sequences) {
        let piece = |step| {
            let read = vec![sequence.clone(), format!("{stem}/at {step}")];
            plain("Gather", read, vec![format!("{stem}/in{index}/{step}")])
        };
        protos.extend((0..steps).map(piece));
    }
    let mut states = inputs[..scan.states].to_vec();
    for turn in 0..steps {
        let number = if scan.reverse { steps - 1 - turn } else { turn };
        protos.extend(step(scan, &stem, number, &inputs, &states));
        let next = scan.body.outputs.iter().take(scan.states);
        states = next.map(|(output, _)| format!("{stem}/{number}/{output}")).collect();
    }
    let stacked = scan.body.outputs.iter().skip(scan.states);
    for ((output, _), &value) in stacked.zip([node.output].iter().chain(&node.kept)) {
        let parts = (0..steps).map(|step| format!("{stem}/{step}/{output}/1")).collect();
        protos.push(with_axis(plain("Concat", parts, vec![name(value)])));
    }
    protos
}

/// A node that gives a 64-bit integer.
fn constant(name: String, value: &[u8; 8]) -> NodeProto {
    let tensor = TensorProto { data_type: DataType::Int64 as i32, raw_data: value.to_vec(), ..Default::default() };
    with_value(plain("Constant", Vec::new(), vec![name]), tensor)
}

fn with_value(mut node: NodeProto, tensor: TensorProto) -> NodeProto {
    node.attribute.push(AttributeProto {
        name: "value".into(),
        r#type: AttributeType::Tensor as i32,
        t: Some(tensor),
        ..Default::default()
    });
    node
}

/// One step of the loop called `stem`, from `states`.
fn step(scan: &Scan, stem: &str, number: usize, inputs: &[String], states: &[String]) -> Vec<NodeProto> {
    let prefix = format!("{stem}/{number}/");
    let mut protos = Vec::new();
    let mut inner = Names { prefix: prefix.clone(), ..Names::default() };
    for (index, value) in scan.body.inputs().into_iter().enumerate() {
        let given = if index < scan.states {
            states[index].clone()
        } else if index < scan.states + scan.sequences {
            format!("{stem}/in{index}/{number}")
        } else {
            inputs[index].clone()
        };
        inner.values.insert(value, given);
    }
    let body = scan.body.nodes_proto(&inner);
    let mut constants: Vec<_> = body.values.iter().copied().collect();
    constants.sort_unstable();
    for value in constants {
        let entry = &scan.body.entries[value.0];
        if matches!(entry.origin, Origin::Constant(_)) {
            let name = body.name(&scan.body, &inner, value);
            let constant = plain("Constant", Vec::new(), vec![name.clone()]);
            protos.push(with_value(constant, tensor_proto(name, entry)));
        }
    }
    protos.extend(body.nodes);
    for (output, _) in scan.body.outputs.iter().skip(scan.states) {
        let (from, to) = (format!("{prefix}{output}"), format!("{prefix}{output}/1"));
        protos.push(plain("Unsqueeze", vec![from, ZERO.into()], vec![to]));
    }
    protos
}
