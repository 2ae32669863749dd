//! Activations: ReLU, which joins the layer before it, and those that become a table.

use super::onnx::Node;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Function, Kind};

/// Sigmoid and the like: a table of 256 answers.
pub fn lookup<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>, function: Function) -> Result<(), Refusal> {
    let Value { tensor, flat } = lowering.activation(node)?;
    let shape = lowering.network.tensors[tensor].shape;
    lowering.push(node, Kind::Lookup { function }, tensor, shape, flat)
}

/// Relu: the convolution or dense layer before it clamps. Through a max-pool the two change places, which
/// changes no number: both are monotone, so max(relu(x)) = relu(max(x)).
pub fn relu<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let Value { tensor, flat } = lowering.activation(node)?;
    let mut through = vec![tensor];
    let layer = loop {
        let current = through[through.len() - 1];
        let Some(index) = lowering.network.ops.iter().position(|op| op.output == current) else {
            return refuse("it stands at the model's input", "remove it: the input is never negative");
        };
        match lowering.network.ops[index].kind {
            Kind::Conv2d { .. } | Kind::Dense { .. } => break index,
            Kind::MaxPool2d { .. } => through.push(lowering.network.ops[index].inputs[0]),
            Kind::Lookup { .. } => {
                return refuse(
                    "it stands behind another activation",
                    "let it follow a convolution, a dense layer or a pool",
                );
            }
        }
    };
    let names = through.iter().filter_map(|&tensor| lowering.network.tensors[tensor].value.as_deref());
    let shared = names.chain(node.input(0)).find(|name| lowering.uses.get(name).is_some_and(|&uses| uses > 1));
    if let Some(shared) = shared {
        return refuse(
            format!("it needs {shared} rectified, which another node reads as it is"),
            "let every reader take the Relu's output",
        );
    }
    if let Kind::Conv2d { relu, .. } | Kind::Dense { relu, .. } = &mut lowering.network.ops[layer].kind {
        *relu = true;
    }
    // What lies before the pool is rectified now, which no ONNX value is.
    through.iter().for_each(|&tensor| lowering.network.tensors[tensor].value = None);
    lowering.network.tensors[tensor].value = Some(node.output().into());
    lowering.values.insert(node.output(), Some(Value { tensor, flat }));
    Ok(())
}
