//! Nodes that only see the same numbers in another shape.

use super::onnx::Node;
use super::{Lowering, Refusal, Value, refuse};

/// Flatten: `[N, C, H, W]` → `[N, C·H·W]`.
pub fn flatten<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    if node.int("axis", 1) != 1 {
        return refuse(
            format!("its axis is {}", node.int("axis", 1)),
            "flatten everything but the batch, with axis = 1",
        );
    }
    lowering.alias(node, |value| Value { flat: true, ..value })
}

/// Reshape, where it flattens: to `[N, C·H·W]`.
pub fn reshape<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let value = lowering.activation(node)?;
    let elements = lowering.network.tensors[value.tensor].shape.elements();
    let shape = lowering.constants.ints(node, 1, "shape")?;
    let flattens = match shape[..] {
        [_, length] if usize::try_from(length) == Ok(elements) => true,
        [batch, -1] => batch == 0 || batch == 1,
        _ => false,
    };
    if !flattens {
        return refuse(format!("it reshapes to {shape:?}"), "only flattening, to [N, C·H·W], is supported");
    }
    lowering.alias(node, |value| Value { flat: true, ..value })
}
