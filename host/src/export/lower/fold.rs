//! Nodes whose inputs are all constants: tract computes them here and now.
//!
//! Exporters leave such arithmetic behind for shapes and pads, e.g. a Concat of one dimension and −1 that a Reshape reads.

use super::super::proto::{constant, model};
use anyhow::{Context, Result, bail};
use tract_onnx::pb::{GraphProto, NodeProto, TensorProto, ValueInfoProto};
use tract_onnx::prelude::*;

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
    let answers = tract_onnx::onnx().model_for_proto_model(&model)?.into_typed()?.into_runnable()?.run(tvec!())?;
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
