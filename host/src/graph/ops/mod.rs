//! The operators, each in one place: shape rule, ONNX form and gradient rule in one `impl Operator`, and beside it the
//! [`Graph`] method that adds it.
//!
//! To add an operator: write a struct with its attributes in the file of its kind, implement [`Operator`] for it (leave
//! `gradient` out if it has none), give `Graph` a method that applies it, and add a line to `host/tests/gradients.rs`,
//! which holds every rule against finite differences. Choose forms that ONNX Runtime runs on CUDA at opset 18 (see
//! [`OPSET`](super::model::OPSET)).
//!
//! | file | operators |
//! |---|---|
//! | `arithmetic` | Add, Sub, Mul, Div with broadcast; Expand |
//! | `pointwise` | Relu, LeakyRelu, Clip, Exp, Log, Sqrt, Sigmoid, Tanh, Softplus, Neg, LogSoftmax |
//! | `discrete` | Greater, Equal, Cast, ArgMax: no gradient |
//! | `layout` | Reshape, Flatten, Unflatten, Transpose, Slice, Flip, Concat, Pad |
//! | `blocks` | SpaceToDepth, DepthToSpace |
//! | `reduce` | ReduceSum, ReduceMean, ReduceMax |
//! | `linear` | MatMul, Gemm |
//! | `gather` | Gather, and ScatterND that adds |
//! | `scan` | Scan: a loop over a sequence, with a graph as its body; no gradient by itself |
//! | `lstm` | the recurrence of an LSTM as a Scan, with its gradient; ONNX's own LSTM, without |
//! | `conv` | Conv2d |
//! | `conv_transpose` | ConvTranspose2d, and the input gradient of Conv2d, which is the same |
//! | `patches` | Conv2d of small images, as one product |
//! | `norm` | BatchNormalization, and batch norm as training has it |
//! | `pool` | MaxPool2d, AveragePool2d, GlobalAveragePool, Upsample2d |

mod arithmetic;
mod blocks;
mod conv;
mod conv_transpose;
mod discrete;
mod gather;
mod layout;
mod linear;
mod lstm;
mod norm;
mod patches;
mod pointwise;
mod pool;
mod reduce;
mod scan;

pub use conv::Conv2d;
pub use layout::Range;
pub use scan::Scan;

use super::builder::{Element, Graph, Node, Type, Value};
use super::model::Attribute;
use anyhow::{Result, bail, ensure};
use std::fmt::Debug;

/// One ONNX operator with one output.
pub trait Operator: Debug {
    /// ONNX's `op_type`.
    fn name(&self) -> &'static str;

    /// The output's type; an error (one clause, without the operator's name) if the inputs do not fit.
    fn infer(&self, inputs: &[&Type]) -> Result<Type>;

    /// ONNX attributes.
    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        Vec::new()
    }

    /// Integer inputs (axes, shapes, pads) that ONNX wants behind the tensors; `None` skips an optional one.
    fn operands(&self, _inputs: &[&Type]) -> Vec<Option<Vec<i64>>> {
        Vec::new()
    }

    /// Types of what the operator computes beside its output, for its gradient rule to read.
    fn kept(&self, _inputs: &[&Type]) -> Vec<Type> {
        Vec::new()
    }

    /// How many of ONNX's outputs come before the one that is wanted.
    fn outputs_before(&self) -> usize {
        0
    }

    /// The loop that the operator is, if it is one.
    fn scan(&self) -> Option<&Scan> {
        None
    }

    /// Adds the nodes that compute ∂loss/∂input for every input of `node`, given `dy` = ∂loss/∂output. Rules need not ask
    /// which of them are wanted: nodes that lead nowhere are not written.
    fn gradient(&self, _graph: &mut Graph, _node: &Node, _dy: Value) -> Result<Vec<Value>> {
        bail!("{} has no gradient", self.name())
    }
}

/// The types of exactly `N` inputs, which must be `f32`.
fn floats<'a, const N: usize>(inputs: &[&'a Type]) -> Result<[&'a Type; N]> {
    let Ok(inputs) = <[&Type; N]>::try_from(inputs) else { bail!("takes {N} inputs, got {}", inputs.len()) };
    for input in inputs {
        ensure!(input.element == Element::F32, "takes f32, got {:?}", input.element);
    }
    Ok(inputs)
}

/// `axes` as ONNX writes lists.
fn list(axes: &[usize]) -> Vec<i64> {
    axes.iter().map(|&axis| axis as i64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_without_a_rule_says_so() {
        let mut graph = Graph::new();
        let x = graph.input("x", &[3]).unwrap();
        let zero = graph.scalar(0.0);
        let mask = graph.greater(x, zero).unwrap();
        let mask = graph.cast(mask, Element::F32).unwrap();
        let loss = graph.reduce_sum(mask, &[0], false).unwrap();
        let message = super::super::gradients(&mut graph, loss, &[x]).unwrap_err().to_string();
        assert_eq!(message, "Cast has no gradient");
    }
}
