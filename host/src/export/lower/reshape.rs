//! Nodes that only see the same numbers in other dimensions.

use super::onnx::Node;
use super::view::View;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::network::onnx_indices;
use crate::quantize::{Float, Kind, Shape};

/// Flatten.
pub fn flatten<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let axis = node.int("axis", 1);
    lowering.alias(node, |view, _| {
        let axis = if axis == view.rank() as i64 { view.rank() } else { view.index(axis)? };
        Ok(view.flattened(axis))
    })
}

/// Reshape: 0 copies a dimension, −1 takes what is left.
pub fn reshape<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let wanted = lowering.constants.ints(node, 1, "shape")?;
    if let [_, sides @ ..] = &wanted[..]
        && let Ok(&sides) = <&[i64; 3]>::try_from(sides)
    {
        vector_to_image(lowering, node, sides)?;
    }
    let allows_zero = node.int("allowzero", 0) != 0;
    lowering.alias(node, |view, shape| {
        let old = view.sides(shape);
        let elements = shape.elements();
        let mut sides = Vec::with_capacity(wanted.len());
        for (index, &side) in wanted.iter().enumerate() {
            sides.push(match side {
                0 if !allows_zero => old.get(index).copied().unwrap_or_default(),
                side => usize::try_from(side).unwrap_or(1),
            });
        }
        let Some(known) = sides.iter().try_fold(1usize, |product, &side| product.checked_mul(side)) else {
            return refuse(
                format!("it reshapes to {wanted:?}, whose product overflows 64 bits"),
                "export the model again",
            );
        };
        // The batch, which is 1 here, may have been written out.
        if wanted.first().is_some_and(|&batch| batch > 1) && Some(known) == sides[0].checked_mul(elements) {
            sides[0] = 1;
        }
        if let Some(open) = wanted.iter().position(|&side| side == -1) {
            sides[open] = elements.checked_div(known).unwrap_or_default();
        }
        view.reshaped(&sides, shape).map_or_else(
            || {
                refuse(
                    format!("it reshapes {old:?} to {wanted:?}, which no view of the same memory is"),
                    "let it join or part whole dimensions",
                )
            },
            Ok,
        )
    })
}

/// A vector that a dense layer gives, and that is to become an image [C, H, W]: the layer gives the image as memory has it, its rows
/// in another order. Leaves anything else as it is.
fn vector_to_image(lowering: &mut Lowering<'_>, node: &Node<'_>, sides: [i64; 3]) -> Result<(), Refusal> {
    let Value { tensor, .. } = lowering.activation(node)?;
    let vector = lowering.network.tensors[tensor].shape;
    let [Ok(channels), Ok(height), Ok(width)] = sides.map(usize::try_from) else { return Ok(()) };
    let shape = Shape { height, width, channels };
    if vector.height * vector.width != 1 || shape.elements() != vector.elements() || height * width == 1 {
        return Ok(());
    }
    // What stands between changes each value by itself.
    let mut chain = vec![tensor];
    let layer = loop {
        let current = chain[chain.len() - 1];
        let maker = lowering.network.ops.iter().position(|op| op.output == current);
        let Some(maker) = maker.filter(|_| lowering.readers[current] == 1) else { return Ok(()) };
        match lowering.network.ops[maker].kind {
            Kind::Dense { .. } => break maker,
            Kind::Lookup { .. } => chain.push(lowering.network.ops[maker].inputs[0]),
            _ => return Ok(()),
        }
    };
    let rows = onnx_indices(shape, [2, 0, 1]);
    if let Some(Float { weights, bias }) = lowering.network.ops[layer].parameters_mut() {
        let columns = weights.len() / bias.len();
        *weights = rows.iter().flat_map(|&row| weights[row * columns..][..columns].to_vec()).collect();
        *bias = rows.iter().map(|&row| bias[row]).collect();
    }
    for tensor in chain {
        let place = &mut lowering.network.tensors[tensor];
        (place.shape, place.onnx_order) = (shape, [2, 0, 1]);
    }
    if let Some(Some(value)) = node.input(0).and_then(|name| lowering.values.get_mut(name)) {
        value.view = View::channels_first(4).flattened(1);
    }
    Ok(())
}

/// Transpose: moves nothing until somebody needs another order in memory.
pub fn transpose<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let order = node.ints("perm");
    lowering.alias(node, |view, _| {
        let order = order.unwrap_or_else(|| (0..view.rank() as i64).rev().collect());
        let indices = order.iter().map(|&axis| view.index(axis)).collect::<Result<Vec<_>, _>>()?;
        view.transposed(&indices).map_or_else(
            || refuse(format!("perm is {order:?} for {} dimensions", view.rank()), "export the model again"),
            Ok,
        )
    })
}

/// Squeeze: dimensions of 1 go.
pub fn squeeze<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let axes = axes(lowering, node)?;
    lowering.alias(node, |view, shape| {
        let sides = view.sides(shape);
        let indices = match axes {
            Some(axes) => axes.iter().map(|&axis| view.index(axis)).collect::<Result<Vec<_>, _>>()?,
            None => (0..sides.len()).filter(|&index| sides[index] == 1).collect(),
        };
        if let Some(long) = indices.iter().find(|&&index| sides[index] != 1) {
            return refuse(format!("its dimension {long} has {} values", sides[*long]), "squeeze dimensions of 1");
        }
        Ok(view.without(&indices))
    })
}

/// Unsqueeze: dimensions of 1 come in.
pub fn unsqueeze<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let axes = axes(lowering, node)?.unwrap_or_default();
    lowering.alias(node, |view, _| {
        let rank = (view.rank() + axes.len()) as i64;
        let indices = axes.iter().map(|&axis| usize::try_from(if axis < 0 { axis + rank } else { axis }));
        let mut indices = indices.collect::<Result<Vec<_>, _>>().unwrap_or_default();
        indices.sort_unstable();
        let wider: Option<View> = if indices.is_empty() { None } else { view.with(&indices) };
        wider.map_or_else(|| refuse(format!("its axes are {axes:?}"), "export the model again"), Ok)
    })
}

/// Axes, which are an attribute up to opset 12 and an input since.
fn axes(lowering: &Lowering<'_>, node: &Node<'_>) -> Result<Option<Vec<i64>>, Refusal> {
    match node.input(1) {
        Some(_) => lowering.constants.ints(node, 1, "axes").map(Some),
        None => Ok(node.ints("axes")),
    }
}

/// Pad with zeros, which the convolution behind it takes over.
pub fn pad<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let remedy = "pad rows and columns with zeros, right before a convolution";
    if node.string("mode", "constant") != "constant" {
        return refuse(format!("its mode is {:?}", node.string("mode", "constant")), remedy);
    }
    let pads = match node.input(1) {
        Some(_) => lowering.constants.ints(node, 1, "pads")?,
        None => node.ints("pads").unwrap_or_default(),
    };
    let value = match node.input(2) {
        Some(_) => lowering.constants.floats(node, 2, "value")?.1.first().copied().unwrap_or_default(),
        None => node.float("value", 0.0),
    };
    let padding: Option<Vec<usize>> = pads.iter().map(|&pad| usize::try_from(pad).ok()).collect();
    let is_zeros = value == 0.0 && node.input(3).is_none();
    // A container counts padding in 8 bits.
    let Some(padding) = padding.filter(|padding| is_zeros && padding.iter().all(|&side| side <= 255)) else {
        return refuse(format!("it pads by {pads:?} with {value}"), remedy);
    };
    let padding = match padding[..] {
        [0, 0, top, left, 0, 0, bottom, right] => [top, left, bottom, right],
        [0, 0, left, 0, 0, right] => [0, left, 0, right],
        _ => return refuse(format!("it pads by {pads:?}"), remedy),
    };
    let (_, _, _) = lowering.image(node)?;
    if !lowering.only_convolutions_read(node.output()) {
        return refuse("something else than a convolution reads it", remedy);
    }
    let before = lowering.take_padding(node);
    lowering.padding.insert(node.output(), std::array::from_fn(|side| before[side] + padding[side]));
    lowering.alias(node, |view, _| Ok(view))
}
