//! Writing a [`Graph`] as an ONNX model.

use super::builder::{Element, Entry, Graph, Node, Origin, Type, Value};
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
        let (nodes, values) = self.live();
        let (names, copies) = self.output_names();
        let name = |value: Value| names.get(&value).cloned().unwrap_or_else(|| self.entries[value.0].name.clone());
        let with = |origin: fn(&Origin) -> bool| {
            let all = (0..self.entries.len()).map(Value);
            all.filter(move |value| origin(&self.entries[value.0].origin) && values.contains(value))
        };
        let inputs = with.clone()(|origin| *origin == Origin::Input);
        let constants = with(|origin| matches!(origin, Origin::Constant(_)));
        let mut node: Vec<NodeProto> = nodes.into_iter().map(|node| node_proto(node, &name)).collect();
        node.extend(copies.into_iter().map(|(output, value)| NodeProto {
            input: vec![name(value)],
            output: vec![output.clone()],
            name: output,
            op_type: "Identity".into(),
            ..Default::default()
        }));
        let graph = GraphProto {
            name: "thimble".into(),
            node,
            initializer: constants.map(|value| tensor_proto(&self.entries[value.0])).collect(),
            input: inputs.map(|value| value_info(&self.entries[value.0].name, self.ty(value), batch)).collect(),
            output: self.outputs.iter().map(|(name, value)| value_info(name, self.ty(*value), batch)).collect(),
            ..Default::default()
        };
        ModelProto {
            ir_version: IR_VERSION,
            opset_import: vec![OperatorSetIdProto { domain: String::new(), version: OPSET }],
            producer_name: "thimble".into(),
            producer_version: env!("CARGO_PKG_VERSION").into(),
            graph: Some(graph),
            ..Default::default()
        }
    }

    /// Nodes that the outputs need, in order, and all values on the way.
    fn live(&self) -> (Vec<&Node>, HashSet<Value>) {
        let mut values: HashSet<Value> = self.outputs.iter().map(|(_, value)| *value).collect();
        let mut nodes = Vec::new();
        for node in self.nodes.iter().rev() {
            if values.contains(&node.output) {
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

fn node_proto(node: &Node, name: &impl Fn(Value) -> String) -> NodeProto {
    let operands = node.operands.iter().map(|operand| operand.map(name).unwrap_or_default());
    NodeProto {
        input: node.inputs.iter().map(|&input| name(input)).chain(operands).collect(),
        output: vec![name(node.output)],
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

fn tensor_proto(entry: &Entry) -> TensorProto {
    let Origin::Constant(bytes) = &entry.origin else { unreachable!("only constants are stored") };
    TensorProto {
        name: entry.name.clone(),
        dims: entry.ty.shape.iter().map(|&size| size as i64).collect(),
        data_type: data_type(entry.ty.element) as i32,
        raw_data: bytes.clone(),
        ..Default::default()
    }
}

fn value_info(name: &str, ty: &Type, batch: Batch) -> ValueInfoProto {
    let dimension = |(axis, &size): (usize, &usize)| Dimension {
        value: Some(match (axis, batch) {
            (0, Batch::Symbolic) => dimension::Value::DimParam("N".into()),
            _ => dimension::Value::DimValue(size as i64),
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
