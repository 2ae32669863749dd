//! Comparing steps with PyTorch's.

// Each test file uses its part of this.
#![allow(dead_code)]

use host::graph::{Batch, Graph, Network, gradients, loss};
use host::runtime::Inference;
use std::collections::HashMap;

/// Relative to the largest value of each tensor.
const TOLERANCE: f32 = 1e-4;

/// Values by name.
pub type Tensors = HashMap<String, Vec<f32>>;

/// `tensors` in the network's order.
pub fn ordered(network: &Network, tensors: &Tensors) -> Vec<Vec<f32>> {
    network.parameters().iter().map(|parameter| tensors[&parameter.name].clone()).collect()
}

/// One row a label, with a one in its place.
pub fn one_hot(labels: &[usize], classes: usize) -> Vec<f32> {
    let mut targets = vec![0.0; labels.len() * classes];
    for (row, &label) in targets.chunks_exact_mut(classes).zip(labels) {
        row[label] = 1.0;
    }
    targets
}

pub fn assert_close(name: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0, "{name}: nothing to compare");
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "{name}[{index}]: {a}, PyTorch {b}, largest {largest}");
    }
}

/// Compares the gradients of the cross-entropy at `start` with `expected`; `batch` (images, targets, masks) comes with its shapes.
pub fn compare_gradients(
    network: &Network,
    start: &[Vec<f32>],
    batch: &[(Vec<usize>, Vec<f32>)],
    smoothing: f32,
    expected: &Tensors,
) {
    let mut graph = Graph::new();
    let parameters = network.parameters().iter().zip(start);
    let parameters = parameters.map(|(parameter, data)| (parameter.name.clone(), parameter.shape.clone(), data));
    let batch = batch.iter().enumerate().map(|(index, (shape, data))| (format!("batch {index}"), shape.clone(), data));
    let given: Vec<_> = parameters.chain(batch).collect();
    let values: Vec<_> = given.iter().map(|(name, shape, _)| graph.input(name, shape).unwrap()).collect();
    let (parameters, batch) = values.split_at(network.parameters().len());
    let logits = network.forward_training(&mut graph, batch[0], parameters, &batch[2..]).unwrap().outputs;
    let loss = loss::cross_entropy(&mut graph, logits, batch[1], smoothing).unwrap();
    let all = network.parameters().iter().zip(parameters);
    let trained: Vec<_> = all.filter(|(parameter, _)| parameter.role.is_trained()).collect();
    let of: Vec<_> = trained.iter().map(|(_, value)| **value).collect();
    for ((parameter, _), gradient) in trained.iter().zip(gradients(&mut graph, loss, &of).unwrap()) {
        graph.output(&format!("gradient of {}", parameter.name), gradient).unwrap();
    }
    let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    let live: Vec<_> = given.iter().filter(|(name, ..)| trained_or_batch(network, name)).collect();
    let inputs: Vec<_> = live.iter().map(|(n, shape, data)| (n.as_str(), shape.as_slice(), data.as_slice())).collect();
    let outputs = model.run(&inputs).unwrap();
    assert_eq!(outputs.len(), expected.len());
    for ((parameter, _), output) in trained.iter().zip(outputs) {
        assert_close(&output.0, &output.2, &expected[&parameter.name]);
    }
}

/// Running means play no part in a gradient, and are no inputs of its graph.
fn trained_or_batch(network: &Network, name: &str) -> bool {
    network.parameters().iter().all(|parameter| parameter.name != name || parameter.role.is_trained())
}
