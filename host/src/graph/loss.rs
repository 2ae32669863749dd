//! Losses, each the mean over the batch as a scalar, and the count of right answers.

use super::builder::{Element, Graph, Value};
use anyhow::{Result, ensure};

/// Softmax cross-entropy of `logits` [N, K] with `targets` [N, K], each of whose rows sums to 1.
///
/// `smoothing` ε mixes the targets with the uniform distribution: `(1 − ε) t + ε / K` (Szegedy et al. 2016).
pub fn cross_entropy(graph: &mut Graph, logits: Value, targets: Value, smoothing: f32) -> Result<Value> {
    let [batch, classes] = same_shape(graph, logits, targets)?;
    let log_probabilities = graph.log_softmax(logits)?;
    let targets = if smoothing == 0.0 {
        targets
    } else {
        let kept = graph.scale(targets, 1.0 - smoothing)?;
        let uniform = graph.scalar(smoothing / classes as f32);
        graph.add(kept, uniform)?
    };
    let weighted = graph.mul(log_probabilities, targets)?;
    let sum = graph.reduce_sum(weighted, &[0, 1], false)?;
    graph.scale(sum, -1.0 / batch as f32)
}

/// Binary cross-entropy of the sigmoid of `logits` [N, K] with `targets` [N, K] in 0…1, mean over all N·K.
pub fn binary_cross_entropy(graph: &mut Graph, logits: Value, targets: Value) -> Result<Value> {
    same_shape(graph, logits, targets)?;
    // −t ln σ(x) − (1 − t) ln(1 − σ(x)) = ln(1 + eˣ) − t x, which neither overflows nor takes the logarithm of 0.
    let both = graph.softplus(logits)?;
    let hit = graph.mul(logits, targets)?;
    let difference = graph.sub(both, hit)?;
    graph.reduce_mean(difference, &[0, 1], false)
}

/// Mean of the squared differences of `outputs` [N, K] and `targets` [N, K], over all N·K.
pub fn mean_squared_error(graph: &mut Graph, outputs: Value, targets: Value) -> Result<Value> {
    same_shape(graph, outputs, targets)?;
    let difference = graph.sub(outputs, targets)?;
    let square = graph.mul(difference, difference)?;
    graph.reduce_mean(square, &[0, 1], false)
}

/// How many rows of `logits` [N, K] have their maximum where `targets` [N, K] has it, as an `f32` scalar.
pub fn correct(graph: &mut Graph, logits: Value, targets: Value) -> Result<Value> {
    same_shape(graph, logits, targets)?;
    let answer = graph.arg_max(logits)?;
    let truth = graph.arg_max(targets)?;
    let hits = graph.equal(answer, truth)?;
    let hits = graph.cast(hits, Element::F32)?;
    graph.reduce_sum(hits, &[0], false)
}

/// How many of `logits` [N, 1] are positive where `targets` [N, 1] are above a half and negative elsewhere, as an `f32` scalar.
pub fn correct_sides(graph: &mut Graph, logits: Value, targets: Value) -> Result<Value> {
    same_shape(graph, logits, targets)?;
    let (zero, half) = (graph.scalar(0.0), graph.scalar(0.5));
    let mut side = |value, middle| {
        let above = graph.greater(value, middle)?;
        graph.cast(above, Element::F32)
    };
    let (answer, truth) = (side(logits, zero)?, side(targets, half)?);
    let hits = graph.equal(answer, truth)?;
    let hits = graph.cast(hits, Element::F32)?;
    graph.reduce_sum(hits, &[0, 1], false)
}

fn same_shape(graph: &Graph, outputs: Value, targets: Value) -> Result<[usize; 2]> {
    let shape = graph.dimensions(outputs, "what a loss judges")?;
    let wanted = graph.shape(targets);
    ensure!(wanted == shape, "the network gives {shape:?}, the targets are {wanted:?}");
    Ok(shape)
}
