//! A loop, written as its steps one behind the other.

use super::builder::{Graph, Node, Origin, Type};
use super::model::{Names, Written, ZERO, plain, tensor_proto, with_axis};
use super::ops::Scan;
use tract_onnx::pb::{AttributeProto, NodeProto, attribute_proto::AttributeType};

/// The nodes of `node`, which is the loop `scan`: sequences cut into steps, the body's nodes once a step, outputs joined.
pub(super) fn unrolled(graph: &Graph, node: &Node, scan: &Scan, written: &Written, outer: &Names) -> Vec<NodeProto> {
    let name = |value| written.name(graph, outer, value);
    let stem = name(node.output);
    let types: Vec<&Type> = node.inputs.iter().map(|&input| graph.ty(input)).collect();
    // Shapes were checked when the node was added.
    let steps = scan.steps(&types).unwrap_or(0);
    let inputs: Vec<String> = node.inputs.iter().map(|&input| name(input)).collect();
    let mut protos = Vec::new();
    // The pieces keep their first dimension; a squeeze drops it where they are read.
    for (index, sequence) in inputs.iter().enumerate().skip(scan.states).take(scan.sequences) {
        let pieces = (0..steps).map(|step| format!("{stem}/in{index}/{step}")).collect();
        protos.push(with_axis(plain("Split", vec![sequence.clone()], pieces)));
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

/// One step of the loop called `stem`, from `states`.
fn step(scan: &Scan, stem: &str, number: usize, inputs: &[String], states: &[String]) -> Vec<NodeProto> {
    let prefix = format!("{stem}/{number}/");
    let mut protos = Vec::new();
    let mut inner = Names { prefix: prefix.clone(), ..Names::default() };
    for (index, value) in scan.body.inputs().into_iter().enumerate() {
        let given = if index < scan.states {
            states[index].clone()
        } else if index < scan.states + scan.sequences {
            let flat = format!("{prefix}in{index}");
            let piece = format!("{stem}/in{index}/{number}");
            protos.push(plain("Squeeze", vec![piece, ZERO.into()], vec![flat.clone()]));
            flat
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
            let mut constant = plain("Constant", Vec::new(), vec![name.clone()]);
            constant.attribute.push(AttributeProto {
                name: "value".into(),
                r#type: AttributeType::Tensor as i32,
                t: Some(tensor_proto(name, entry)),
                ..Default::default()
            });
            protos.push(constant);
        }
    }
    protos.extend(body.nodes);
    for (output, _) in scan.body.outputs.iter().skip(scan.states) {
        let (from, to) = (format!("{prefix}{output}"), format!("{prefix}{output}/1"));
        protos.push(plain("Unsqueeze", vec![from, ZERO.into()], vec![to]));
    }
    protos
}
