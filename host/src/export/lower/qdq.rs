//! Models that are quantized already, in QDQ form: their own scales are kept.
//!
//! A QuantizeLinear behind an activation gives its tensor scale and zero point; the DequantizeLinear behind it changes
//! nothing. Where the tensor has others already (a max-pool's are those of its input), a table puts the values into the
//! new ones. Weights are dequantized here, and their layer remembers the scales.

use super::super::proto::constant;
use super::onnx::Node;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Affine, Function, Kind};

/// QuantizeLinear.
pub fn quantize<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let affine = affine(lowering, node)?;
    let Value { tensor, view } = lowering.activation(node)?;
    if give(lowering, tensor, affine) {
        return lowering.alias(node, |view, _| Ok(view));
    }
    let shape = lowering.network.tensors[tensor].shape;
    lowering.push(node, Kind::Lookup { function: Function::Identity }, &[tensor], shape, view)?;
    let copy = lowering.network.tensors.len() - 1;
    lowering.network.tensors[copy].affine = Some(affine);
    Ok(())
}

/// DequantizeLinear: of an activation, or of a constant.
pub fn dequantize<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    if !lowering.is_constant(node, 0) {
        let affine = affine(lowering, node)?;
        let Value { tensor, .. } = lowering.activation(node)?;
        if lowering.network.tensors[tensor].affine != Some(affine) {
            return refuse("its scale is not that of the QuantizeLinear before it", "export the model again");
        }
        return lowering.alias(node, |view, _| Ok(view));
    }
    let (dimensions, integers) = lowering.constants.integers(node, 0)?;
    let scales = lowering.constants.floats(node, 1, "scale")?.1;
    let zeros = match node.input(2) {
        Some(_) => lowering.constants.integers(node, 2)?.1,
        None => vec![0; scales.len()],
    };
    let axis = usize::try_from(node.int("axis", 1)).unwrap_or(usize::MAX);
    let channels = if scales.len() == 1 { 1 } else { dimensions.get(axis).copied().unwrap_or_default() };
    if scales.is_empty() || channels != scales.len() || zeros.len() != scales.len() {
        return refuse(
            format!("it has {} scales and {} zero points for the dimensions {dimensions:?}", scales.len(), zeros.len()),
            "quantize the model again, in whole or along one axis",
        );
    }
    let inner: usize = if channels == 1 { 1 } else { dimensions[axis + 1..].iter().product() };
    let channel = |index: usize| index / inner % channels;
    let values = integers.iter().enumerate().map(|(index, integer)| {
        let (scale, zero) = (scales[channel(index)], zeros[channel(index)]);
        scale * integer.wrapping_sub(zero) as f32
    });
    let values: Vec<f32> = values.collect();
    // What fits a device's weights: eight bits, symmetric, in steps that can be divided by.
    let is_symmetric =
        zeros.iter().all(|&zero| zero == 0) && scales.iter().all(|scale| scale.is_normal() && *scale > 0.0);
    if is_symmetric && integers.iter().all(|&integer| i8::try_from(integer).is_ok()) {
        lowering.weight_scales.insert(node.output(), scales);
    }
    lowering.constants.insert(node.output(), constant("", &dimensions, &values));
    Ok(())
}

/// Scale and zero point of an activation; those of uint8 are 128 more than those of int8.
fn affine(lowering: &Lowering<'_>, node: &Node<'_>) -> Result<Affine, Refusal> {
    let scales = lowering.constants.floats(node, 1, "scale")?.1;
    let zero = match node.input(2) {
        Some(_) => lowering.constants.integers(node, 2)?.1,
        None => vec![0],
    };
    let unsigned = node.input(2).is_none() || lowering.constants.is_unsigned(node, 2);
    match (&scales[..], &zero[..]) {
        (&[scale], &[zero]) if scale.is_finite() && scale > 0.0 => {
            i8::try_from(if unsigned { zero.saturating_sub(128) } else { zero }).map_or_else(
                |_| refuse(format!("its zero point is {zero}"), "quantize activations to int8 or uint8"),
                |zero_point| Ok(Affine { scale, zero_point }),
            )
        }
        _ => refuse(
            format!("it has {} scales for an activation", scales.len()),
            "quantize activations with one positive scale a tensor",
        ),
    }
}

/// Gives `tensor` scale and zero point, and with it what a max-pool, a slice or a concatenation makes it of; `false`, and nothing is
/// changed, where one of them has others.
fn give(lowering: &mut Lowering<'_>, tensor: usize, affine: Affine) -> bool {
    let mut all = vec![tensor];
    let mut next = 0;
    while let Some(&tensor) = all.get(next) {
        let known = lowering.network.tensors[tensor].affine;
        let is_fixed = known.is_some_and(|known| known != affine);
        let maker = lowering.network.ops.iter().find(|op| op.output == tensor);
        match maker.map(|op| &op.kind) {
            _ if is_fixed => return false,
            Some(Kind::MaxPool2d { .. } | Kind::Slice { .. } | Kind::Concat { .. }) => {
                // Each once: a chain of concatenations of a value with itself has 2ⁿ ways back.
                let inputs = maker.iter().flat_map(|op| &op.inputs).copied();
                inputs.for_each(|input| {
                    if !all.contains(&input) {
                        all.push(input)
                    }
                });
            }
            _ => {}
        }
        next += 1;
    }
    all.into_iter().for_each(|tensor| lowering.network.tensors[tensor].affine = Some(affine));
    true
}
