//! Reverse-mode differentiation.
//!
//! Each operator's rule stands beside the operator, in [`Operator::gradient`](super::ops::Operator::gradient); here is
//! only the sweep that chains the rules.

use super::builder::{Graph, Value};
use anyhow::{Context, Result, ensure};
use std::collections::{HashMap, HashSet};

/// Adds to `graph` the nodes that compute ∂`loss`/∂v for each v of `parameters`, and returns those gradients in the same
/// order, each with its parameter's shape.
///
/// # Errors
/// If `loss` is no scalar, if it does not depend on a parameter, or if an operator on the way has no gradient.
pub fn gradients(graph: &mut Graph, loss: Value, parameters: &[Value]) -> Result<Vec<Value>> {
    ensure!(graph.shape(loss).is_empty(), "a loss is a scalar, this one has the shape {:?}", graph.shape(loss));
    let active = dependents(graph, parameters);
    let mut adjoints: HashMap<Value, Value> = HashMap::new();
    let one = graph.scalar(1.0);
    adjoints.insert(loss, one);
    // The rules append nodes to the graph; only those of the forward pass are to be swept.
    for index in (0..graph.nodes.len()).rev() {
        let node = graph.nodes[index].clone();
        let Some(&adjoint) = adjoints.get(&node.output) else { continue };
        if !node.inputs.iter().any(|input| active.contains(input)) {
            continue;
        }
        if node.composed {
            // The nodes that compute the value are not to be swept, too.
            adjoints.remove(&node.output);
        }
        let contributions = node.op.gradient(graph, &node, adjoint)?;
        for (&input, contribution) in node.inputs.iter().zip(contributions) {
            if !active.contains(&input) {
                continue;
            }
            ensure!(
                graph.ty(contribution) == graph.ty(input),
                "the gradient rule of {} gives {:?} for an input of {:?}",
                node.op.name(),
                graph.ty(contribution),
                graph.ty(input)
            );
            let sum = match adjoints.get(&input) {
                Some(&other) => graph.add(other, contribution)?,
                None => contribution,
            };
            adjoints.insert(input, sum);
        }
    }
    let gradient = |value: &Value| {
        let name = &graph.entries[value.0].name;
        adjoints.get(value).copied().with_context(|| format!("the loss does not depend on {name}"))
    };
    parameters.iter().map(gradient).collect()
}

/// The parameters and everything computed from them.
fn dependents(graph: &Graph, parameters: &[Value]) -> HashSet<Value> {
    let mut active: HashSet<Value> = parameters.iter().copied().collect();
    for node in &graph.nodes {
        if node.inputs.iter().any(|input| active.contains(input)) {
            active.insert(node.output);
        }
    }
    active
}
