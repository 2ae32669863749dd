//! Writes ONNX's protobuf messages: nodes, constants, inputs and outputs.

use tract_onnx::pb::attribute_proto::AttributeType;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::tensor_shape_proto::{Dimension, dimension};
use tract_onnx::pb::{
    AttributeProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto, TensorShapeProto, TypeProto,
    ValueInfoProto, type_proto,
};
use zerocopy::{Immutable, IntoBytes};

/// Types that a constant can hold.
pub trait Element: IntoBytes + Immutable {
    /// ONNX's number for the type.
    const TYPE: DataType;
}

impl Element for f32 {
    const TYPE: DataType = DataType::Float;
}

impl Element for i8 {
    const TYPE: DataType = DataType::Int8;
}

impl Element for i32 {
    const TYPE: DataType = DataType::Int32;
}

impl Element for i64 {
    const TYPE: DataType = DataType::Int64;
}

/// A constant; `values` in row-major order, as many as `dims` say.
pub fn constant<T: Element>(name: &str, dims: &[usize], values: &[T]) -> TensorProto {
    TensorProto {
        name: name.into(),
        dims: dims.iter().map(|&d| d as i64).collect(),
        data_type: T::TYPE as i32,
        // The crate builds for little-endian machines alone, whose bytes are ONNX's.
        raw_data: values.as_bytes().to_vec(),
        ..Default::default()
    }
}

/// A node with one output, which also names it.
pub fn node(op: &str, inputs: &[&str], output: &str, attribute: Vec<AttributeProto>) -> NodeProto {
    NodeProto {
        name: output.into(),
        op_type: op.into(),
        input: inputs.iter().map(|&input| input.into()).collect(),
        output: vec![output.into()],
        attribute,
        ..Default::default()
    }
}

/// An integer attribute.
pub fn int(name: &str, value: i64) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Int as i32, i: value, ..Default::default() }
}

/// A real attribute.
pub fn float(name: &str, value: f32) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::Float as i32, f: value, ..Default::default() }
}

/// A text.
pub fn text(name: &str, value: &str) -> AttributeProto {
    AttributeProto { name: name.into(), r#type: AttributeType::String as i32, s: value.into(), ..Default::default() }
}

/// A list of integers.
pub fn ints(name: &str, values: &[usize]) -> AttributeProto {
    let ints = values.iter().map(|&value| value as i64).collect();
    AttributeProto { name: name.into(), r#type: AttributeType::Ints as i32, ints, ..Default::default() }
}

/// A float32 input or output `[N, sides…]`, N free.
pub fn batched(name: &str, sides: &[usize]) -> ValueInfoProto {
    let sides: Vec<String> = ["N".into()].into_iter().chain(sides.iter().map(usize::to_string)).collect();
    open(name, DataType::Float, &sides.iter().map(String::as_str).collect::<Vec<_>>())
}

/// An input or output whose sizes are the given numbers and symbols; an empty one is 1.
pub fn open(name: &str, element: DataType, symbols: &[&str]) -> ValueInfoProto {
    let dimension = |symbol: &&str| Dimension {
        value: Some(match *symbol {
            "" => dimension::Value::DimValue(1),
            symbol => match symbol.parse() {
                Ok(side) => dimension::Value::DimValue(side),
                Err(_) => dimension::Value::DimParam(symbol.into()),
            },
        }),
        ..Default::default()
    };
    let shape = Some(TensorShapeProto { dim: symbols.iter().map(dimension).collect() });
    let tensor = type_proto::Tensor { elem_type: element as i32, shape };
    let r#type = Some(TypeProto { value: Some(type_proto::Value::TensorType(tensor)), ..Default::default() });
    ValueInfoProto { name: name.into(), r#type, ..Default::default() }
}

/// A model of opset 18 around `graph`.
pub fn model(graph: GraphProto) -> ModelProto {
    ModelProto {
        ir_version: 8,
        producer_name: "thimble".into(),
        producer_version: env!("CARGO_PKG_VERSION").into(),
        opset_import: vec![OperatorSetIdProto { version: 18, ..Default::default() }],
        graph: Some(graph),
        ..Default::default()
    }
}
