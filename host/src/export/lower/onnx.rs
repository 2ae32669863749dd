//! Views of ONNX's protobuf messages: names, attributes, constants.

use super::super::proto::constant;
use super::{Refusal, refuse};
use anyhow::{Context, Result, bail, ensure};
use prost::Message;
use std::borrow::Cow;
use std::collections::HashMap;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{
    AttributeProto, GraphProto, NodeProto, TensorProto, TensorShapeProto, ValueInfoProto,
    tensor_shape_proto::{Dimension, dimension},
    type_proto,
};

/// A node, with names that people can use.
pub struct Node<'m> {
    pub proto: &'m NodeProto,
    /// Place in the graph.
    index: usize,
}

impl<'m> Node<'m> {
    pub fn new(proto: &'m NodeProto, index: usize) -> Self {
        Self { proto, index }
    }

    /// The node's name; where it has none, its output's or its number.
    pub fn name(&self) -> String {
        let candidates = [&self.proto.name, self.proto.output.first().unwrap_or(&self.proto.name)];
        candidates.iter().find(|name| !name.is_empty()).map_or(format!("node {}", self.index), |name| name.to_string())
    }

    pub fn op(&self) -> &'m str {
        &self.proto.op_type
    }

    /// Operator set; empty for ONNX's own.
    pub fn domain(&self) -> &'m str {
        if self.proto.domain == "ai.onnx" { "" } else { &self.proto.domain }
    }

    pub fn inputs(&self) -> impl Iterator<Item = &'m str> {
        self.proto.input.iter().map(String::as_str)
    }

    pub fn outputs(&self) -> impl Iterator<Item = &'m str> {
        self.proto.output.iter().map(String::as_str)
    }

    /// Name of input `index`; `None` where an optional one is left out.
    pub fn input(&self, index: usize) -> Option<&'m str> {
        self.inputs().nth(index).filter(|name| !name.is_empty())
    }

    /// Name of the first output.
    pub fn output(&self) -> &'m str {
        self.outputs().next().unwrap_or_default()
    }

    fn attribute(&self, name: &str) -> Option<&'m AttributeProto> {
        self.proto.attribute.iter().find(|attribute| attribute.name == name)
    }

    pub fn int(&self, name: &str, default: i64) -> i64 {
        self.attribute(name).map_or(default, |attribute| attribute.i)
    }

    pub fn float(&self, name: &str, default: f32) -> f32 {
        self.attribute(name).map_or(default, |attribute| attribute.f)
    }

    pub fn string(&self, name: &str, default: &'static str) -> &'m str {
        self.attribute(name).map_or(default, |attribute| std::str::from_utf8(&attribute.s).unwrap_or_default())
    }

    /// A list of texts; empty where the attribute is absent.
    pub fn strings(&self, name: &str) -> Vec<&'m str> {
        let strings = self.attribute(name).map_or(&[][..], |attribute| &attribute.strings);
        strings.iter().map(|text| std::str::from_utf8(text).unwrap_or_default()).collect()
    }

    /// A list of integers; `None` where the attribute is absent.
    pub fn ints(&self, name: &str) -> Option<Vec<i64>> {
        self.attribute(name).map(|attribute| attribute.ints.clone())
    }

    /// A size for rows and one for columns of an input of `rank` dimensions; a sequence has one row, whose size is 1.
    /// `default` where the attribute is absent.
    pub fn spatial(&self, name: &str, rank: usize, default: usize) -> Result<[usize; 2], Refusal> {
        if rank == 3 { self.sizes(name, default).map(|[size]| [1, size]) } else { self.sizes(name, default) }
    }

    /// Padding at the top, left, bottom and right, which is ONNX's order too.
    pub fn pads(&self, rank: usize) -> Result<[usize; 4], Refusal> {
        if rank == 3 { self.sizes("pads", 0).map(|[left, right]| [0, left, 0, right]) } else { self.sizes("pads", 0) }
    }

    /// `N` sizes of at most 255, as the container stores them; `default` for each where the attribute is absent.
    fn sizes<const N: usize>(&self, name: &str, default: usize) -> Result<[usize; N], Refusal> {
        let Some(attribute) = self.attribute(name) else { return Ok([default; N]) };
        let sizes: Option<Vec<usize>> =
            attribute.ints.iter().map(|&size| u8::try_from(size).ok().map(usize::from)).collect();
        sizes.and_then(|sizes| sizes.try_into().ok()).map_or_else(
            || refuse(format!("{name} is {:?}", attribute.ints), format!("give {N} sizes from 0 to 255")),
            Ok,
        )
    }
}

/// Initialisers and the values of Constant nodes, by name.
pub struct Constants<'m>(HashMap<&'m str, Cow<'m, TensorProto>>);

impl<'m> Constants<'m> {
    pub fn of(graph: &'m GraphProto) -> Result<Self> {
        ensure!(graph.sparse_initializer.is_empty(), "the model has sparse initialisers; export it with dense ones");
        let initialisers = graph.initializer.iter().map(|tensor| (tensor.name.as_str(), Cow::Borrowed(tensor)));
        let nodes = graph.node.iter().filter(|node| node.op_type == "Constant");
        let nodes = nodes.filter_map(|node| {
            let value = node.attribute.iter().find_map(|attribute| match attribute.name.as_str() {
                "value" => attribute.t.as_ref().map(Cow::Borrowed),
                "value_float" => Some(Cow::Owned(constant("", &[], &[attribute.f]))),
                "value_floats" => Some(Cow::Owned(constant("", &[attribute.floats.len()], &attribute.floats))),
                "value_int" => Some(Cow::Owned(constant("", &[], &[attribute.i]))),
                "value_ints" => Some(Cow::Owned(constant("", &[attribute.ints.len()], &attribute.ints))),
                _ => None,
            })?;
            Some((node.output.first()?.as_str(), value))
        });
        Ok(Self(initialisers.chain(nodes).collect()))
    }

    /// How many numbers they hold together, as far as a file of their size can.
    pub fn numbers(&self) -> usize {
        self.0.values().map(|tensor| tensor.encoded_len()).sum()
    }

    /// Takes in a constant that has been worked out.
    pub fn insert(&mut self, name: &'m str, value: TensorProto) {
        self.0.insert(name, Cow::Owned(value));
    }

    /// The constant `name`, under that name.
    pub fn get(&self, name: &str) -> Option<TensorProto> {
        self.0.get(name).map(|tensor| TensorProto { name: name.into(), ..TensorProto::clone(tensor) })
    }

    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Dimensions and numbers of the constant that `node` reads as input `index`, which it calls `what`.
    pub fn floats(&self, node: &Node<'_>, index: usize, what: &str) -> Result<(Vec<usize>, Vec<f32>), Refusal> {
        let tensor = self.tensor(node, index, what)?;
        let read = || -> Result<(Vec<usize>, Vec<f32>)> {
            let dimensions = dimensions(tensor)?;
            ensure!(tensor.data_type == DataType::Float as i32, "is not of type float32");
            let values = if tensor.raw_data.is_empty() {
                tensor.float_data.clone()
            } else {
                tensor.raw_data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
            };
            check_length(&dimensions, values.len())?;
            Ok((dimensions, values))
        };
        read()
            .or_else(|error| refuse(format!("its {what} {} {error}", tensor.name), "export the model again in float32"))
    }

    /// Dimensions and integers of the constant that `node` reads as input `index`, of any type of up to 32 bits.
    pub fn integers(&self, node: &Node<'_>, index: usize) -> Result<(Vec<usize>, Vec<i32>), Refusal> {
        let tensor = self.tensor(node, index, "constant")?;
        let read = || -> Result<(Vec<usize>, Vec<i32>)> {
            let dimensions = dimensions(tensor)?;
            let raw = &tensor.raw_data;
            let values: Vec<i32> = match DataType::try_from(tensor.data_type) {
                _ if raw.is_empty() => tensor.int32_data.clone(),
                Ok(DataType::Int8) => raw.iter().map(|&byte| i32::from(byte as i8)).collect(),
                Ok(DataType::Uint8) => raw.iter().map(|&byte| byte.into()).collect(),
                Ok(DataType::Int32) => raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes)).collect(),
                _ => bail!("is not of type int8, uint8 or int32"),
            };
            check_length(&dimensions, values.len())?;
            Ok((dimensions, values))
        };
        read().or_else(|error| refuse(format!("its constant {} {error}", tensor.name), "quantize to int8 or uint8"))
    }

    /// Whether the constant that `node` reads as input `index` is of type uint8.
    pub fn is_unsigned(&self, node: &Node<'_>, index: usize) -> bool {
        let tensor = node.input(index).and_then(|name| self.0.get(name));
        tensor.is_some_and(|tensor| tensor.data_type == DataType::Uint8 as i32)
    }

    /// Integers of the constant that `node` reads as input `index`, int64 or int32.
    pub fn ints(&self, node: &Node<'_>, index: usize, what: &str) -> Result<Vec<i64>, Refusal> {
        let tensor = self.tensor(node, index, what)?;
        let raw = &tensor.raw_data;
        match DataType::try_from(tensor.data_type) {
            Ok(DataType::Int64) if raw.is_empty() => Ok(tensor.int64_data.clone()),
            Ok(DataType::Int64) => Ok(raw.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect()),
            Ok(DataType::Int32) if raw.is_empty() => Ok(tensor.int32_data.iter().map(|&value| value.into()).collect()),
            Ok(DataType::Int32) => {
                Ok(raw.as_chunks().0.iter().map(|&bytes| i32::from_le_bytes(bytes).into()).collect())
            }
            _ => refuse(format!("its {what} {} is not of type int64 or int32", tensor.name), "export the model again"),
        }
    }

    /// Number of dimensions of the constant that `node` reads as input `index`; 0 where there is none.
    pub fn rank(&self, node: &Node<'_>, index: usize) -> usize {
        node.input(index).and_then(|name| self.0.get(name)).map_or(0, |tensor| tensor.dims.len())
    }

    fn tensor(&self, node: &Node<'_>, index: usize, what: &str) -> Result<&TensorProto, Refusal> {
        let name = node.input(index).unwrap_or_default();
        self.0.get(name).map(|tensor| &**tensor).map_or_else(
            || {
                refuse(
                    format!("its {what} {name:?} is no constant"),
                    "store the model's weights in the file as initialisers",
                )
            },
            Ok,
        )
    }
}

fn dimensions(tensor: &TensorProto) -> Result<Vec<usize>> {
    ensure!(
        tensor.data_location.unwrap_or(0) == 0 && tensor.external_data.is_empty(),
        "lies in another file, which is not read"
    );
    let dimensions: Result<Vec<_>, _> = tensor.dims.iter().map(|&d| usize::try_from(d)).collect();
    dimensions.with_context(|| format!("has the dimensions {:?}", tensor.dims))
}

/// No side may be 0: beside it, another could be of any length without a number in the file.
fn check_length(dimensions: &[usize], length: usize) -> Result<()> {
    let elements = dimensions.iter().try_fold(1usize, |product, &d| product.checked_mul(d));
    let elements =
        elements.with_context(|| format!("has the dimensions {dimensions:?}, whose product overflows 64 bits"))?;
    ensure!(elements > 0, "has the dimensions {dimensions:?}, of which one is 0");
    ensure!(elements == length, "holds {length} numbers for the dimensions {dimensions:?}");
    Ok(())
}

/// The type of an input's values, and its dimensions.
fn form(input: &ValueInfoProto) -> Result<(Option<DataType>, &TensorShapeProto)> {
    let name = &input.name;
    let Some(type_proto::Value::TensorType(tensor)) = input.r#type.as_ref().and_then(|t| t.value.as_ref()) else {
        bail!("input {name} has no tensor type; export the model with shapes");
    };
    let shape = tensor.shape.as_ref();
    let shape = shape.with_context(|| format!("input {name} has no shape; export the model with one"))?;
    Ok((DataType::try_from(tensor.elem_type).ok(), shape))
}

/// The dimensions of an input of tokens or features; `None` for one that is open.
pub fn sequence_sides(input: &ValueInfoProto) -> Result<Vec<Option<usize>>> {
    let (element, shape) = form(input)?;
    ensure!(
        matches!(element, Some(DataType::Float | DataType::Int32 | DataType::Int64)),
        "input {} is of none of the types float32, int64 and int32; export the model with one of them",
        input.name
    );
    let side = |dimension: &Dimension| match dimension.value {
        Some(dimension::Value::DimValue(side)) => usize::try_from(side).ok(),
        _ => None,
    };
    Ok(shape.dim.iter().map(side).collect())
}

/// The dimensions of an input behind the batch.
pub fn sides(input: &ValueInfoProto) -> Result<Vec<usize>> {
    let name = &input.name;
    let (element, shape) = form(input)?;
    ensure!(element == Some(DataType::Float), "input {name} is not of type float32; export a float model");
    let sides = shape.dim.iter().enumerate().skip(1).map(|(index, dimension)| match &dimension.value {
        Some(dimension::Value::DimValue(side)) => {
            usize::try_from(*side).with_context(|| format!("input {name} has a dimension of {side}"))
        }
        open => {
            let called = match open {
                Some(dimension::Value::DimParam(called)) => format!(", {called:?},"),
                _ => String::new(),
            };
            bail!(
                "input {name}: its dimension {index}{called} is open, as only the batch's, dimension 0, may be; \
                 export the model with fixed sizes"
            )
        }
    });
    sides.collect()
}
