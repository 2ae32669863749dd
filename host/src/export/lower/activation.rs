//! Activations: bounds, which join the layer before them, and functions that become a table.

use super::onnx::Node;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Bounds, Function, Kind};

/// Sigmoid and the like: a table of 256 answers.
pub fn lookup<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, function: Function) -> Result<(), Refusal> {
    let Value { tensor, view } = lowering.activation(node)?;
    let shape = lowering.network.tensors[tensor].shape;
    lowering.push(node, Kind::Lookup { function }, &[tensor], shape, view)
}

/// LeakyRelu, whose slope lies between 0 and 1.
pub fn leaky_relu<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let slope = node.float("alpha", 0.01);
    if !(slope > 0.0 && slope < 1.0) {
        return refuse(format!("its slope alpha is {slope}"), "use a slope above 0 and below 1");
    }
    lookup(lowering, node, Function::LeakyRelu { slope })
}

/// Clip: attributes up to opset 10, inputs since.
pub fn clip<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let end = |index: usize, name: &str, default: f32| match node.input(index) {
        Some(_) => Ok(lowering.constants.floats(node, index, name)?.1.first().copied().unwrap_or(default)),
        None => Ok(node.float(name, default)),
    };
    let bounds = Bounds { min: end(1, "min", f32::NEG_INFINITY)?, max: end(2, "max", f32::INFINITY)? };
    // Old exporters write the largest float for no bound.
    let bounds = Bounds {
        min: if bounds.min <= f32::MIN { f32::NEG_INFINITY } else { bounds.min },
        max: if bounds.max >= f32::MAX { f32::INFINITY } else { bounds.max },
    };
    if bounds.min > bounds.max || bounds.min.is_nan() || bounds.max.is_nan() {
        return refuse(format!("it clips to [{}, {}]", bounds.min, bounds.max), "give it a range");
    }
    if bounds.is_none() { lowering.alias(node, |view, _| Ok(view)) } else { clamp(lowering, node, bounds) }
}

/// Relu and Clip: the layer before clamps. Through a max-pool the two change places, which changes no number: both are
/// monotone, so max(relu(x)) = relu(max(x)). A slice only leaves values out. Where no layer can do it, or where another node reads the value as it is, it is
/// a table.
pub fn clamp<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, bounds: Bounds) -> Result<(), Refusal> {
    let Value { tensor, view } = lowering.activation(node)?;
    let mut through = vec![tensor];
    let layer = loop {
        let current = through[through.len() - 1];
        let maker = lowering.network.ops.iter().position(|op| op.output == current);
        // What is quantized before it is clamped has to be rounded before, too.
        let is_shared = lowering.readers[current] > 1 || lowering.network.tensors[current].affine.is_some();
        let Some(index) = maker.filter(|_| !is_shared) else {
            return lookup(lowering, node, Function::Clip(bounds));
        };
        let op = &mut lowering.network.ops[index];
        if op.bounds_mut().is_some() {
            break index;
        }
        match op.kind {
            Kind::MaxPool2d { .. } | Kind::Slice { .. } => through.push(op.inputs[0]),
            _ => return lookup(lowering, node, Function::Clip(bounds)),
        }
    };
    if let Some(old) = lowering.network.ops[layer].bounds_mut() {
        *old = old.then(bounds);
    }
    // What lies before the pool or the slice is clamped now, which no ONNX value is.
    through.iter().for_each(|&tensor| lowering.network.tensors[tensor].value = None);
    lowering.becomes(node, tensor, view);
    Ok(())
}
