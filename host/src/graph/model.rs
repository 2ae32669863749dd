//! Writing a [`Graph`] as an ONNX model.

use super::builder::{Element, Entry, Graph, Node, Origin, Type, Value};
use super::ops::Scan;
use super::unroll;
use prost::Message;
use std::collections::{HashMap, HashSet};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, attribute_proto::AttributeType, tensor_proto::DataType, tensor_shape_proto::Dimension,
    tensor_shape_proto::dimension, type_proto,
};

/// ONNX operator set written. Not newer: CUDA kernels with open-ended ranges match only their exact version, and from
/// opset 22 on MaxPool, Dropout and others would fall back to the CPU.
pub const OPSET: i64 = 18;

/// ONNX file format version, the one that came with [`OPSET`].
const IR_VERSION: i64 = 8;

/// An operator's attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    Int(i64),
    Float(f32),
    Ints(Vec<i64>),
    String(&'static str),
}

/// How the first dimension of inputs and outputs is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Batch {
    /// As built.
    Fixed,
    /// As the symbol `N`. No node of the graph may depend on the size of the batch, e.g. by a reshape.
    Symbolic,
}

impl Graph {
    /// The model, serialized. Nodes that no output needs are left out.
    pub fn to_bytes(&self, batch: Batch) -> Vec<u8> {
        self.model(batch).encode_to_vec()
    }

    /// Number of nodes that the outputs need.
    pub fn node_count(&self) -> usize {
        self.live().0.len()
    }

    fn model(&self, batch: Batch) -> ModelProto {
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "thimble".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(self.graph_proto(batch, &Names::default())),
            ..Default::default()
        }
    }

    /// The graph; of a loop's body, what `outer` holds comes from the graph around it and is no input.
    fn graph_proto(&self, batch: Batch, outer: &Names) -> GraphProto {
        let written = self.nodes_proto(outer);
        let value_info = |name: String, value: Value| {
            let symbols = self.symbols.iter().filter(|(of, ..)| *of == value).map(|(_, axis, symbol)| (*axis, *symbol));
            let batch = (batch == Batch::Symbolic).then_some((0, "N"));
            value_info(&name, self.ty(value), &symbols.chain(batch).collect::<Vec<_>>())
        };
        let all = (0..self.entries.len()).map(Value).filter(|value| written.values.contains(value));
        let of = |origin: fn(&Origin) -> bool| all.clone().filter(move |value| origin(&self.entries[value.0].origin));
        // A body has all its inputs, read or not: its loop counts them.
        let inputs = self.inputs().into_iter().filter(|value| outer.is_body() || written.values.contains(value));
        let inputs = inputs.filter(|value| !outer.values.contains_key(value));
        let constants = of(|origin| matches!(origin, Origin::Constant(_)));
        let name = |value: Value| written.name(self, outer, value);
        GraphProto {
            name: format!("{}thimble", outer.prefix),
            initializer: constants
                .map(|value| tensor_proto(name(value), &self.entries[value.0]))
                .chain((self.unrolled && !outer.is_body()).then(axis_zero))
                .collect(),
            input: inputs.map(|value| value_info(name(value), value)).collect(),
            output: self
                .outputs
                .iter()
                .map(|(name, value)| value_info(format!("{}{name}", outer.prefix), *value))
                .collect(),
            node: written.nodes,
            ..Default::default()
        }
    }

    /// The nodes that the outputs need, with names.
    pub(super) fn nodes_proto(&self, outer: &Names) -> Written {
        let (nodes, values) = self.live();
        let (names, copies) = self.output_names();
        let names = names.into_iter().map(|(value, name)| (value, format!("{}{name}", outer.prefix))).collect();
        let mut written = Written { nodes: Vec::new(), values, names };
        for node in nodes {
            let protos = match node.op.scan() {
                Some(scan) if self.unrolled => unroll::unrolled(self, node, scan, &written, outer),
                Some(scan) => vec![looped(self, node, scan, &written, outer)],
                None => vec![node_proto(node, &|value| written.name(self, outer, value))],
            };
            written.nodes.extend(protos.into_iter().flat_map(narrow));
        }
        for (output, value) in copies {
            let output = format!("{}{output}", outer.prefix);
            written.nodes.push(identity(written.name(self, outer, value), output));
        }
        written
    }

    /// Nodes that the outputs need, in order, and all values on the way.
    fn live(&self) -> (Vec<&Node>, HashSet<Value>) {
        let mut values: HashSet<Value> = self.outputs.iter().map(|(_, value)| *value).collect();
        let mut nodes = Vec::new();
        for node in self.nodes.iter().rev().filter(|node| !node.composed) {
            if values.contains(&node.output) || node.kept.iter().any(|kept| values.contains(kept)) {
                values.extend(node.inputs.iter().chain(node.operands.iter().flatten()));
                nodes.push(node);
            }
        }
        nodes.reverse();
        (nodes, values)
    }

    /// Values that take the name of the output that they are, and the outputs that need a copy, since they are an input, a
    /// constant or a second name.
    fn output_names(&self) -> (HashMap<Value, String>, Vec<(String, Value)>) {
        let mut names = HashMap::new();
        let mut copies = Vec::new();
        for (name, value) in &self.outputs {
            if self.entries[value.0].origin == Origin::Node && !names.contains_key(value) {
                names.insert(*value, name.clone());
            } else {
                copies.push((name.clone(), *value));
            }
        }
        (names, copies)
    }
}

/// Names in a loop's body: a prefix that no other body has, and the values that the graph around it gives.
#[derive(Default)]
pub(super) struct Names {
    pub prefix: String,
    pub values: HashMap<Value, String>,
}

impl Names {
    fn is_body(&self) -> bool {
        !self.prefix.is_empty()
    }
}

/// Nodes as they are written, all values that they and the outputs read, and the names of those that are outputs.
pub(super) struct Written {
    pub nodes: Vec<NodeProto>,
    pub values: HashSet<Value>,
    names: HashMap<Value, String>,
}

impl Written {
    pub fn name(&self, graph: &Graph, outer: &Names, value: Value) -> String {
        let given = self.names.get(&value).or_else(|| outer.values.get(&value)).cloned();
        given.unwrap_or_else(|| format!("{}{}", outer.prefix, graph.entries[value.0].name))
    }
}

/// A node with a body, as ONNX's Scan.
fn looped(graph: &Graph, node: &Node, scan: &Scan, written: &Written, outer: &Names) -> NodeProto {
    let name = |value| written.name(graph, outer, value);
    let mut proto = node_proto(node, &name);
    // What stays the same is read by name, from within the body.
    let captured = proto.input.split_off(scan.states + scan.sequences);
    let values = scan.body.inputs().into_iter().skip(scan.states + scan.sequences).zip(captured).collect();
    let inner = Names { prefix: format!("{}/", proto.name), values };
    proto.attribute.push(AttributeProto {
        name: "body".into(),
        r#type: AttributeType::Graph as i32,
        g: Some(scan.body.graph_proto(Batch::Fixed, &inner)),
        ..Default::default()
    });
    proto
}

/// Name of the [`axis_zero`] that unrolled loops read.
pub(super) const ZERO: &str = "axis zero";

fn axis_zero() -> TensorProto {
    let raw_data = 0_i64.to_le_bytes().to_vec();
    TensorProto { name: ZERO.into(), dims: vec![1], data_type: DataType::Int64 as i32, raw_data, ..Default::default() }
}

/// Most parts that one node joins: ONNX Runtime cannot capture a CUDA graph of more.
const JOINED: usize = 32;

/// A Concat of many parts as one of groups of them; any other node as it is.
fn narrow(node: NodeProto) -> Vec<NodeProto> {
    if node.op_type != "Concat" || node.input.len() <= JOINED {
        return vec![node];
    }
    // Groups may be too many themselves; the number of parts tells the levels' names apart.
    let name = |index| format!("{}/{} parts/{index}", node.name, node.input.len());
    let group = |(index, parts): (usize, &[String])| {
        let (name, output) = (name(index), vec![name(index)]);
        NodeProto { name, input: parts.to_vec(), output, ..node.clone() }
    };
    let mut nodes: Vec<NodeProto> = node.input.chunks(JOINED).enumerate().map(group).collect();
    let groups = nodes.iter().map(|node| node.name.clone()).collect();
    nodes.extend(narrow(NodeProto { input: groups, ..node }));
    nodes
}

/// A node that goes along the first axis.
pub(super) fn with_axis(mut node: NodeProto) -> NodeProto {
    node.attribute.push(attribute_proto("axis", Attribute::Int(0)));
    node
}

pub(super) fn plain(op: &str, input: Vec<String>, output: Vec<String>) -> NodeProto {
    NodeProto { name: output[0].clone(), input, output, op_type: op.into(), ..Default::default() }
}

fn identity(from: String, to: String) -> NodeProto {
    plain("Identity", vec![from], vec![to])
}

fn node_proto(node: &Node, name: &impl Fn(Value) -> String) -> NodeProto {
    let operands = node.operands.iter().map(|operand| operand.map(name).unwrap_or_default());
    let before = (0..node.op.outputs_before()).map(|index| format!("{}/before{index}", name(node.output)));
    let outputs = [node.output].into_iter().chain(node.kept.iter().copied()).map(name);
    NodeProto {
        input: node.inputs.iter().map(|&input| name(input)).chain(operands).collect(),
        output: before.chain(outputs).collect(),
        name: name(node.output),
        op_type: node.op.name().into(),
        attribute: node.op.attributes().into_iter().map(|(name, value)| attribute_proto(name, value)).collect(),
        ..Default::default()
    }
}

fn attribute_proto(name: &str, value: Attribute) -> AttributeProto {
    let mut proto = AttributeProto { name: name.into(), ..Default::default() };
    proto.r#type = match value {
        Attribute::Int(value) => {
            proto.i = value;
            AttributeType::Int
        }
        Attribute::Float(value) => {
            proto.f = value;
            AttributeType::Float
        }
        Attribute::Ints(values) => {
            proto.ints = values;
            AttributeType::Ints
        }
        Attribute::String(text) => {
            proto.s = text.into();
            AttributeType::String
        }
    } as i32;
    proto
}

/// ONNX's number for an element type.
pub(super) fn data_type(element: Element) -> DataType {
    match element {
        Element::F32 => DataType::Float,
        Element::I64 => DataType::Int64,
        Element::Bool => DataType::Bool,
    }
}

pub(super) fn tensor_proto(name: String, entry: &Entry) -> TensorProto {
    let Origin::Constant(bytes) = &entry.origin else { unreachable!("only constants are stored") };
    TensorProto {
        name,
        dims: entry.ty.shape.iter().map(|&size| size as i64).collect(),
        data_type: data_type(entry.ty.element) as i32,
        raw_data: bytes.clone(),
        ..Default::default()
    }
}

fn value_info(name: &str, ty: &Type, symbols: &[(usize, &str)]) -> ValueInfoProto {
    let dimension = |(axis, &size): (usize, &usize)| Dimension {
        value: Some(match symbols.iter().find(|(of, _)| *of == axis) {
            Some((_, symbol)) => dimension::Value::DimParam((*symbol).into()),
            None => dimension::Value::DimValue(size as i64),
        }),
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: ty.shape.iter().enumerate().map(dimension).collect() };
    let tensor = type_proto::Tensor { elem_type: data_type(ty.element) as i32, shape: Some(shape) };
    ValueInfoProto {
        name: name.into(),
        r#type: Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Inference;
    use prost::Message;

    #[test]
    fn a_join_of_many_parts_is_written_as_joins_of_few() {
        // So many that their groups are too many as well.
        let count = JOINED * JOINED + 1;
        let mut graph = Graph::new();
        let x = graph.input("x", &[1, 2]).unwrap();
        let y = graph.scale(x, -1.0).unwrap();
        let parts: Vec<Value> = (0..count).map(|index| if index % 3 == 0 { y } else { x }).collect();
        let joined = graph.concat(&parts, 1).unwrap();
        graph.output("joined", joined).unwrap();
        let bytes = graph.to_bytes(Batch::Fixed);
        let nodes = tract_onnx::pb::ModelProto::decode(bytes.as_slice()).unwrap().graph.unwrap().node;
        assert!(nodes.iter().all(|node| node.input.len() <= JOINED));
        let answer =
            Inference::from_bytes(&bytes).unwrap().run(&[("x", &[1, 2], &[1.0_f32, 2.0])]).unwrap().remove(0).2;
        let expected = (0..count).flat_map(|index| if index % 3 == 0 { [-1.0, -2.0] } else { [1.0, 2.0] });
        assert_eq!(answer, expected.collect::<Vec<f32>>());
    }
}
