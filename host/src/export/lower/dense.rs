//! Fully connected layers.

use super::onnx::Node;
use super::view::View;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Bounds, Float, Kind, Shape};

/// Gemm: `y = alpha · x · B + beta · C`, B constant; weights become `[output][input]` with inputs in memory's order.
pub fn gemm<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    if node.int("transA", 0) != 0 {
        return refuse("it transposes its input", "leave transA at 0");
    }
    let (dimensions, weights) = lowering.constants.floats(node, 1, "weights")?;
    let (alpha, beta) = (node.float("alpha", 1.0), node.float("beta", 1.0));
    let weights: Vec<f32> = weights.into_iter().map(|w| alpha * w).collect();
    let transposed = node.int("transB", 0) != 0;
    let outputs = dimensions.get(usize::from(!transposed)).copied().unwrap_or_default();
    let bias = bias(lowering, node, outputs)?.into_iter().map(|b| beta * b).collect();
    dense(lowering, node, (&dimensions, &weights), transposed, bias)
}

/// MatMul with a constant on the right: a Gemm without bias, which an Add behind it brings.
pub fn mat_mul<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (dimensions, weights) = lowering.constants.floats(node, 1, "right factor")?;
    let outputs = dimensions.get(1).copied().unwrap_or_default();
    dense(lowering, node, (&dimensions, &weights), false, vec![0.0; outputs])
}

fn dense<'m>(
    lowering: &mut Lowering<'m>,
    node: &Node<'m>,
    (dimensions, weights): (&[usize], &[f32]),
    transposed: bool,
    bias: Vec<f32>,
) -> Result<(), Refusal> {
    let Value { tensor, view } = lowering.activation(node)?;
    let shape = lowering.network.tensors[tensor].shape;
    if view.rank() != 2 || view.sides(shape)[0] != 1 {
        return refuse(
            format!("its input has the dimensions {:?}", view.sides(shape)),
            "put a Flatten before it, so that it reads [N, C]",
        );
    }
    let (outputs, inputs) = match *dimensions {
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
    let indices = view.onnx_indices(shape);
    let weight = |o: usize, i: usize| if transposed { weights[o * inputs + i] } else { weights[i * outputs + o] };
    let weights = (0..outputs).flat_map(|o| indices.iter().map(move |&i| weight(o, i))).collect();
    let kind = Kind::Dense { parameters: Float { weights, bias }, bounds: Bounds::NONE };
    lowering.push(node, kind, &[tensor], Shape::vector(outputs), View::channels_first(2))?;
    // Scaled weights have other scales.
    if node.float("alpha", 1.0) == 1.0 {
        lowering.keep_weight_scales(node, outputs);
    }
    Ok(())
}

/// C, broadcast to one number an output.
fn bias(lowering: &Lowering<'_>, node: &Node<'_>, outputs: usize) -> Result<Vec<f32>, Refusal> {
    if node.input(2).is_none() {
        return Ok(vec![0.0; outputs]);
    }
    let (dimensions, values) = lowering.constants.floats(node, 2, "bias")?;
    let rows: usize = dimensions.iter().rev().skip(1).product();
    match values.len() {
        1 => Ok(vec![values[0]; outputs]),
        length if length == outputs && rows == 1 => Ok(values),
        _ => refuse(
            format!("its bias has the dimensions {dimensions:?} for {outputs} outputs"),
            "give it one number an output",
        ),
    }
}
