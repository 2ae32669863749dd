//! Fully connected layers.

use super::onnx::Node;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Float, Kind, Shape};

/// Gemm: `y = alpha · x · B + beta · C`, B constant; weights become `[output][input]` with inputs in NHWC order.
pub fn gemm<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let Value { tensor, flat } = lowering.activation(node)?;
    let shape = lowering.network.tensors[tensor].shape;
    if !flat || node.int("transA", 0) != 0 {
        return refuse("its input is no [N, C] matrix", "put a Flatten before it and leave transA at 0");
    }
    let (dimensions, mut weights) = lowering.constants.floats(node, 1, "weights")?;
    let transposed = node.int("transB", 0) != 0;
    let (outputs, inputs) = match dimensions[..] {
        [outputs, inputs] if transposed => (outputs, inputs),
        [inputs, outputs] => (outputs, inputs),
        _ => return refuse(format!("its weights have the dimensions {dimensions:?}"), "give it a matrix"),
    };
    if inputs != shape.elements() || outputs == 0 {
        return refuse(
            format!("its weights take {inputs} inputs, but it gets {}", shape.elements()),
            "export the model again with the input size that it is used with",
        );
    }
    if !transposed {
        weights = (0..weights.len()).map(|i| weights[(i % inputs) * outputs + i / inputs]).collect();
    }
    let alpha = node.float("alpha", 1.0);
    let weights = weights.chunks_exact(inputs).flat_map(|row| nhwc(row, shape)).map(|w| alpha * w).collect();
    let bias = bias(lowering, node, outputs)?;
    let kind = Kind::Dense { parameters: Float { weights, bias }, relu: false };
    lowering.push(node, kind, tensor, Shape::vector(outputs), true)
}

/// `beta · C`, broadcast to one number an output.
fn bias(lowering: &Lowering<'_>, node: &Node<'_>, outputs: usize) -> Result<Vec<f32>, Refusal> {
    if node.input(2).is_none() {
        return Ok(vec![0.0; outputs]);
    }
    let (dimensions, values) = lowering.constants.floats(node, 2, "bias")?;
    let rows: usize = dimensions.iter().rev().skip(1).product();
    let values = match values.len() {
        1 => vec![values[0]; outputs],
        length if length == outputs && rows == 1 => values,
        _ => {
            return refuse(
                format!("its bias has the dimensions {dimensions:?} for {outputs} outputs"),
                "give it one number an output",
            );
        }
    };
    let beta = node.float("beta", 1.0);
    Ok(values.iter().map(|b| beta * b).collect())
}

/// A row of weights over inputs in NCHW order, in the order in which an NHWC tensor of `shape` holds them.
fn nhwc(row: &[f32], shape: Shape) -> impl Iterator<Item = f32> {
    let area = shape.height * shape.width;
    (0..row.len()).map(move |i| row[(i % shape.channels) * area + i / shape.channels])
}
