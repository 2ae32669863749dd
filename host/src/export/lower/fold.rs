//! Nodes whose inputs are all constants: tract computes them here and now.
//!
//! Exporters leave such arithmetic behind for shapes and pads, e.g. a Concat of one dimension and −1 that a Reshape reads.

use super::super::proto::{constant, model};
use anyhow::{Context, Result, anyhow, bail, ensure};
use std::panic::{self, AssertUnwindSafe};
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use tract_onnx::prelude::*;

/// How many numbers `node` makes of the constants `inputs`, at most.
///
/// # Errors
/// An operator that is none of those that exporters leave behind: its answer could be of any length.
pub fn limit(node: &NodeProto, inputs: &[TensorProto]) -> Result<usize> {
    let dimensions = |tensor: &TensorProto| -> Result<Vec<usize>> {
        tensor.dims.iter().map(|&side| usize::try_from(side).context("a dimension is negative")).collect()
    };
    let numbers = |sides: &[usize]| sides.iter().fold(1usize, |product, &side| product.saturating_mul(side));
    let sides = inputs.iter().map(dimensions).collect::<Result<Vec<_>>>()?;
    let total = sides.iter().fold(1usize, |sum, sides| sum.saturating_add(numbers(sides)));
    // Sides line up at the end; each is the longest of its place.
    let broadcast = || {
        let rank = sides.iter().map(Vec::len).max().unwrap_or_default();
        let side = |place: usize| sides.iter().filter_map(|sides| sides.iter().rev().nth(place)).max().copied();
        numbers(&(0..rank).filter_map(side).collect::<Vec<_>>())
    };
    // A shape that is an input: the largest that its numbers give.
    let given = |index: usize| -> Result<usize> {
        let shape = inputs.get(index).context("a shape is missing")?;
        let sides = integers(shape)?.into_iter().map(|side| usize::try_from(side).unwrap_or(1)).collect::<Vec<_>>();
        Ok(numbers(&sides))
    };
    Ok(match node.op_type.as_str() {
        "Abs" | "Cast" | "Ceil" | "Concat" | "Exp" | "Flatten" | "Floor" | "Identity" | "Neg" | "Not"
        | "Reciprocal" | "ReduceMax" | "ReduceMean" | "ReduceMin" | "ReduceProd" | "ReduceSum" | "Reshape"
        | "Round" | "Shape" | "Size" | "Slice" | "Split" | "Sqrt" | "Squeeze" | "Transpose" | "Unsqueeze" => total,
        "Add" | "And" | "Div" | "Equal" | "Greater" | "Less" | "Max" | "Min" | "Mod" | "Mul" | "Or" | "Pow" | "Sub"
        | "Where" => broadcast(),
        "Gather" => {
            check_indices(node, inputs, &sides)?;
            sides.iter().fold(1, |product, sides| numbers(sides).saturating_mul(product))
        }
        "MatMul" => sides.iter().fold(1, |product, sides| numbers(sides).saturating_mul(product)),
        "ConstantOfShape" => given(0)?,
        "Expand" | "Tile" => given(1)?.saturating_mul(total),
        other => bail!("{other} of constants is not supported"),
    })
}

/// tract does not look whether indices lie inside what they choose from.
fn check_indices(node: &NodeProto, inputs: &[TensorProto], sides: &[Vec<usize>]) -> Result<()> {
    let ([_, indices], [values, _]) = (inputs, sides) else { bail!("it has not two inputs") };
    let axis = node.attribute.iter().find(|attribute| attribute.name == "axis").map_or(0, |attribute| attribute.i);
    let axis = if axis < 0 { axis + values.len() as i64 } else { axis };
    let length = usize::try_from(axis).ok().and_then(|axis| values.get(axis)).context("its axis is none")?;
    let length = i64::try_from(*length)?;
    let outside = integers(indices)?.into_iter().find(|index| !(-length..length).contains(index));
    outside.map_or(Ok(()), |index| bail!("there is no value {index} of {length}"))
}

fn integers(tensor: &TensorProto) -> Result<Vec<i64>> {
    ensure!(tensor.data_type == DataType::Int64 as i32, "shapes and indices must be of type int64");
    let raw = tensor.raw_data.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes));
    Ok(tensor.int64_data.iter().copied().chain(raw).collect())
}

/// What `node` makes of the constants `inputs`, which stand under the names that it reads them by.
pub fn fold(node: &NodeProto, inputs: Vec<TensorProto>, opset: i64) -> Result<Vec<TensorProto>> {
    let names = node.output.iter().filter(|name| !name.is_empty());
    let output = names.map(|name| ValueInfoProto { name: name.clone(), ..Default::default() }).collect();
    let graph = GraphProto {
        name: "constant".into(),
        node: vec![node.clone()],
        initializer: inputs,
        output,
        ..Default::default()
    };
    let mut model = model(graph);
    model.opset_import[0].version = opset;
    // tract panics on some nodes that are malformed.
    let run = || tract_onnx::onnx().model_for_proto_model(&model)?.into_typed()?.into_runnable()?.run(tvec!());
    let answers = panic::catch_unwind(AssertUnwindSafe(run)).map_err(|_| anyhow!("the node is malformed"))??;
    let named = node.output.iter().filter(|name| !name.is_empty()).zip(&answers);
    named.map(|(name, answer)| proto(name, answer)).collect()
}

fn proto(name: &str, value: &Tensor) -> Result<TensorProto> {
    let floats = value.datum_type() == f32::datum_type();
    let dims = value.shape();
    if floats {
        return Ok(constant(name, dims, value.view().as_slice::<f32>()?));
    }
    // Dimensions are symbolic numbers in tract; none is open here.
    let Ok(integers) = value.cast_to::<i64>() else { bail!("they are {:?}", value.datum_type()) };
    Ok(constant(name, dims, integers.view().as_slice::<i64>().context("they are no numbers")?))
}
