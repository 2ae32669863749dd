//! Where branches meet: sums, products, concatenations; and constants that are added or multiplied.

use super::onnx::Node;
use super::view::Axis;
use super::{Lowering, Refusal, Value, lstm, refuse, scale};
use crate::quantize::{Bounds, Function, Kind, Shape};

/// Add and Sub: of two activations, of which one may have a single row, column or channel where the other has many, or of one
/// and a number a channel.
pub fn sum<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, subtract: bool) -> Result<(), Refusal> {
    let sign = if subtract { -1.0 } else { 1.0 };
    match [0, 1].map(|index| lowering.is_constant(node, index)) {
        [false, false] => {}
        [false, true] => {
            let value = lowering.activation(node)?;
            let shift = scale::numbers(lowering, node, 1, &value)?.into_iter().map(|c| sign * c).collect::<Vec<_>>();
            return scale::per_channel(lowering, node, value, &vec![1.0; shift.len()], &shift);
        }
        _ => {
            let value = lowering.activation_at(node, 1)?;
            let shift = scale::numbers(lowering, node, 0, &value)?;
            return scale::per_channel(lowering, node, value, &vec![sign; shift.len()], &shift);
        }
    }
    let (mut a, mut b) = pair(lowering, node)?;
    if spreads(lowering, &b, &a) {
        b = spread(lowering, node, b, &a)?;
    } else if spreads(lowering, &a, &b) {
        a = spread(lowering, node, a, &b)?;
    }
    let shape = lowering.shape(&a);
    if lowering.shape(&b) != shape || !a.view.is(&b.view, shape) {
        let sides = [&a, &b].map(|value| value.view.sides(lowering.shape(value)));
        return refuse(
            format!("its inputs have the dimensions {:?} and {:?}, or another order", sides[0], sides[1]),
            "add values of the same dimensions, values of which a dimension is 1 where it differs, or a number a channel",
        );
    }
    let view = if a.view.rank() >= b.view.rank() { a.view } else { b.view };
    lowering.push(node, Kind::Add { subtract, bounds: Bounds::NONE }, &[a.tensor, b.tensor], shape, view)
}

/// Whether `value` has fewer values than `whole`, and broadcasting repeats them.
fn spreads(lowering: &Lowering<'_>, value: &Value, whole: &Value) -> bool {
    let [own, shape] = [value, whole].map(|value| lowering.shape(value));
    own != shape && value.view.broadcasts_to(own, &whole.view, shape)
}

/// `value` with its rows, columns or channels repeated, so that it has as many as `whole`, by a copy.
fn spread<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, value: Value, whole: &Value) -> Result<Value, Refusal> {
    let shape = lowering.shape(whole);
    let sides = |shape: Shape| [shape.height, shape.width, shape.channels];
    let (own, all) = (sides(lowering.shape(&value)), sides(shape));
    let steps = std::array::from_fn(|axis| usize::from(own[axis] == all[axis]));
    let name = format!("{}.spread", node.name());
    let tensor = lowering.append(name, Kind::Slice { starts: [0; 3], steps }, &[value.tensor], shape)?;
    Ok(Value { tensor, view: whole.view.clone() })
}

/// Mul and Div: by a number a channel; Mul of two activations, of which `x · sigmoid(x)` and `x · hard_sigmoid(x)` are tables.
pub fn product<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, divide: bool) -> Result<(), Refusal> {
    let constant = match [0, 1].map(|index| lowering.is_constant(node, index)) {
        [false, false] if !divide => return gated(lowering, node),
        [false, true] => 1,
        [true, false] if !divide => 0,
        _ => return refuse("it divides by an activation", "multiply by constants only"),
    };
    let value = lowering.activation_at(node, 1 - constant)?;
    let numbers = scale::numbers(lowering, node, constant, &value)?;
    let factors: Vec<f32> = numbers.into_iter().map(|c| if divide { 1.0 / c } else { c }).collect();
    scale::per_channel(lowering, node, value, &factors, &vec![0.0; factors.len()])
}

/// A product with a gate of the value itself becomes one table; any other is one of two activations.
fn gated<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (a, b) = pair(lowering, node)?;
    let shape = lowering.shape(&a);
    let are_alike = lowering.shape(&b) == shape && a.view.is(&b.view, shape);
    for (value, gate) in [(&a, &b), (&b, &a)].into_iter().filter(|_| are_alike) {
        let maker = lowering.network.ops.iter().position(|op| op.output == gate.tensor && op.inputs[0] == value.tensor);
        let Some(index) = maker else { continue };
        let function = match lowering.network.ops[index].kind {
            Kind::Lookup { function: Function::Sigmoid } => Function::Silu,
            Kind::Lookup { function: Function::HardSigmoid { alpha, beta } }
                if (alpha - 1.0 / 6.0).abs() < 1e-6 && beta == 0.5 =>
            {
                Function::HardSwish
            }
            _ => continue,
        };
        if lowering.readers[gate.tensor] == 1 {
            // The table answers with the product at once.
            lowering.network.ops[index].kind = Kind::Lookup { function };
            lowering.becomes(node, gate.tensor, gate.view.clone());
            return Ok(());
        }
        return lowering.push(node, Kind::Lookup { function }, &[value.tensor], shape, value.view.clone());
    }
    for (value, factor) in [(&a, &b), (&b, &a)] {
        let [shape, factor_shape] = [value, factor].map(|value| lowering.shape(value));
        if factor.view.broadcasts_to(factor_shape, &value.view, shape) {
            let kind = Kind::Multiply { bounds: Bounds::NONE };
            return lowering.push(node, kind, &[value.tensor, factor.tensor], shape, value.view.clone());
        }
    }
    let sides = [&a, &b].map(|value| value.view.sides(lowering.shape(value)));
    refuse(
        format!("its inputs have the dimensions {:?} and {:?}, or another order", sides[0], sides[1]),
        "multiply by values of the same dimensions, or by some of which a dimension is 1 where it differs",
    )
}

/// Concat: by threes, as a device's op takes up to three.
pub fn concat<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let count = node.inputs().count();
    let values = (0..count).map(|index| lowering.activation_at(node, index)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = values.first().cloned() else { return refuse("it has no inputs", "export the model again") };
    if count == 1 {
        return lowering.alias(node, |view, _| Ok(view));
    }
    let index = first.view.index(node.int("axis", 1))?;
    if lstm::states(lowering, node, index, &values)? {
        return Ok(());
    }
    // The axis that differs, or that is longer than 1 anywhere; else one along which none of them has more than one value.
    let axes: Vec<_> = values.iter().map(|value| value.view.axis(index, lowering.shape(value))).collect();
    let found = axes.iter().flatten().flatten().next().copied();
    let Some((axis, view)) =
        found.map(|axis| (axis, first.view.clone())).or(first.view.free_axis(index, lowering.shape(&first)))
    else {
        return refuse(
            "its inputs have rows, columns and channels, and would be joined along another dimension",
            "concatenate along one of these",
        );
    };
    let is_one = axes.iter().all(|found| matches!(found, Some(None)) || *found == Some(Some(axis)));
    let sides = |value: &Value| {
        let mut sides = [Axis::Row, Axis::Column, Axis::Channel].map(|axis| axis.side(lowering.shape(value)));
        sides[axis as usize] = 0;
        sides
    };
    let alike = |value: &Value| value.view.rank() == first.view.rank() && sides(value) == sides(&first);
    if !is_one || !values.iter().all(alike) {
        return refuse(
            "its inputs do not lie side by side along one axis of rows, columns or channels",
            "concatenate values that differ in one dimension, before they are flattened",
        );
    }
    // A quantized model has given them all one meaning, or else copies take one.
    let given = |value: &Value| lowering.network.tensors[value.tensor].affine;
    let is_common = given(&first).is_some() && values.iter().all(|value| given(value) == given(&first));
    let mut parts = values.into_iter().enumerate();
    let mut joined = Vec::new();
    loop {
        while joined.len() < 3 {
            let Some((number, value)) = parts.next() else { break };
            joined.push(if is_common { value.tensor } else { lowering.rescalable(node, number, value.tensor)? });
        }
        let mut shape = lowering.network.tensors[joined[0]].shape;
        let along = |tensor: &usize| axis.side(lowering.network.tensors[*tensor].shape);
        let total = joined.iter().map(along).sum();
        match axis {
            Axis::Row => shape.height = total,
            Axis::Column => shape.width = total,
            Axis::Channel => shape.channels = total,
        }
        let kind = Kind::Concat { axis: axis as usize };
        if parts.len() == 0 {
            return lowering.push(node, kind, &joined, shape, view);
        }
        let name = format!("{}.first{}", node.name(), count - parts.len());
        joined = vec![lowering.append(name, kind, &joined, shape)?];
    }
}

fn pair<'m>(lowering: &Lowering<'m>, node: &Node<'m>) -> Result<(Value, Value), Refusal> {
    Ok((lowering.activation_at(node, 0)?, lowering.activation_at(node, 1)?))
}
