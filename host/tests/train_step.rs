//! Holds the training step of a small CNN against PyTorch (see `vectors/cnn_step.py`).

use host::graph::{Activation, Batch, Graph, Input, Layer, Network, Padding, gradients, loss};
use host::recipe::{Loss, Optimizer, Schedule, Training};
use host::runtime::{Device, Inference};
use host::train::{Step, Stepper, initial_state};
use serde::Deserialize;
use std::collections::HashMap;

/// Relative to the largest value of each tensor.
const TOLERANCE: f32 = 1e-4;

type Tensors = HashMap<String, Vec<f32>>;

#[derive(Deserialize)]
struct Vectors {
    batch: usize,
    height: usize,
    width: usize,
    filters: [usize; 2],
    units: usize,
    classes: usize,
    smoothing: f32,
    rate: f32,
    images: Vec<f32>,
    labels: Vec<usize>,
    mask: Vec<f32>,
    start: Tensors,
    gradients: Tensors,
    runs: HashMap<String, Run>,
}

#[derive(Deserialize)]
struct Run {
    losses: Vec<f32>,
    parameters: Tensors,
}

impl Vectors {
    fn load() -> Self {
        serde_json::from_str(include_str!("vectors/cnn_step.json")).unwrap()
    }

    fn network(&self) -> Network {
        let conv = |filters| Layer::Conv2d {
            filters,
            kernel: 3,
            stride: 1,
            padding: Padding::Same,
            activation: Activation::Relu,
        };
        let layers = [
            conv(self.filters[0]),
            Layer::MaxPool2d { size: 2 },
            conv(self.filters[1]),
            Layer::MaxPool2d { size: 2 },
            Layer::Flatten,
            Layer::Dense { units: self.units, activation: Activation::Relu },
            Layer::Dropout { rate: 0.3 },
            Layer::Dense { units: self.classes, activation: Activation::Linear },
        ];
        Network::new(&layers, Input::Image([1, self.height, self.width])).unwrap()
    }

    /// Images, targets, mask.
    fn batch(&self) -> Vec<Vec<f32>> {
        let mut targets = vec![0.0; self.batch * self.classes];
        for (row, &label) in targets.chunks_exact_mut(self.classes).zip(&self.labels) {
            row[label] = 1.0;
        }
        vec![self.images.clone(), targets, self.mask.clone()]
    }

    /// `tensors` in the network's order.
    fn ordered(network: &Network, tensors: &Tensors) -> Vec<Vec<f32>> {
        network.parameters().iter().map(|parameter| tensors[&parameter.name].clone()).collect()
    }
}

fn assert_close(name: &str, ours: &[f32], theirs: &[f32]) {
    assert_eq!(ours.len(), theirs.len(), "{name}");
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0, "{name}: nothing to compare");
    for (index, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((a - b).abs() <= TOLERANCE * largest, "{name}[{index}]: {a}, PyTorch {b}, largest {largest}");
    }
}

#[test]
fn gradients_equal_pytorchs() {
    let vectors = Vectors::load();
    let network = vectors.network();
    let mut graph = Graph::new();
    let mut given: Vec<(String, Vec<usize>, Vec<f32>)> = Vec::new();
    for (parameter, data) in network.parameters().iter().zip(Vectors::ordered(&network, &vectors.start)) {
        given.push((parameter.name.clone(), parameter.shape.clone(), data));
    }
    let shapes = [
        vec![vectors.batch, 1, vectors.height, vectors.width],
        vec![vectors.batch, vectors.classes],
        vec![vectors.batch, vectors.units],
    ];
    for ((name, shape), data) in ["images", "targets", "mask"].into_iter().zip(shapes).zip(vectors.batch()) {
        given.push((name.to_owned(), shape, data));
    }
    let values: Vec<_> = given.iter().map(|(name, shape, _)| graph.input(name, shape).unwrap()).collect();
    let (parameters, batch) = values.split_at(network.parameters().len());
    let logits = network.forward_training(&mut graph, batch[0], parameters, &batch[2..]).unwrap();
    let loss = loss::cross_entropy(&mut graph, logits, batch[1], vectors.smoothing).unwrap();
    for (parameter, gradient) in network.parameters().iter().zip(gradients(&mut graph, loss, parameters).unwrap()) {
        graph.output(&format!("gradient of {}", parameter.name), gradient).unwrap();
    }
    let mut model = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    let inputs: Vec<_> = given.iter().map(|(n, shape, data)| (n.as_str(), shape.as_slice(), data.as_slice())).collect();
    let outputs = model.run(&inputs).unwrap();
    for (parameter, output) in network.parameters().iter().zip(outputs) {
        assert_close(&output.0, &output.2, &vectors.gradients[&parameter.name]);
    }
}

/// Runs PyTorch's steps with `optimizer` and compares losses and resulting parameters.
fn compare(name: &str, optimizer: Optimizer) {
    let vectors = Vectors::load();
    let network = vectors.network();
    let training = Training {
        epochs: 1,
        batch: vectors.batch,
        seed: 0,
        loss: Loss::CrossEntropy { label_smoothing: vectors.smoothing },
        optimizer,
        schedule: Schedule::Constant,
        ema: Some(0.5),
        early_stopping: None,
        init: None,
        clip: None,
    };
    let step = Step::new(&network, &training, false).unwrap();
    let mut stepper = Stepper::new(&step, Device::Cpu, 0).unwrap();
    let start = Vectors::ordered(&network, &vectors.start);
    stepper.set_state(&initial_state(&step, &start)).unwrap();
    let theirs = &vectors.runs[name];
    let mut averages = start;
    for (index, loss) in theirs.losses.iter().enumerate() {
        let scalars = step.scalar_values(index as u64 + 1, 1.0);
        let measured = stepper.run(&vectors.batch(), &scalars).unwrap();
        assert_close(&format!("{name}: loss of step {}", index + 1), &[measured.loss], &[*loss]);
        let state = stepper.state().unwrap();
        let rest = scalars.last().unwrap();
        for (average, value) in averages.iter_mut().zip(&state).flat_map(|(a, v)| a.iter_mut().zip(v)) {
            *average += rest * (value - *average);
        }
    }
    let state = stepper.state().unwrap();
    let theirs = Vectors::ordered(&network, &theirs.parameters);
    for ((parameter, ours), theirs) in network.parameters().iter().zip(&state).zip(&theirs) {
        assert_close(&format!("{name}: {}", parameter.name), ours, theirs);
    }
    for (ours, expected) in host::train::exported(&step, &state).iter().zip(&averages) {
        assert_close(&format!("{name}: moving average"), ours, expected);
    }
}

#[test]
fn sgd_with_momentum_steps_as_pytorch() {
    compare("sgd", Optimizer::Sgd { rate: Vectors::load().rate, momentum: 0.9 });
}

#[test]
fn adam_steps_as_pytorch() {
    compare("adam", Optimizer::Adam { rate: Vectors::load().rate, beta1: 0.9, beta2: 0.99, epsilon: 1e-5 });
}

#[test]
fn adamw_steps_as_pytorch() {
    let rate = Vectors::load().rate;
    compare("adamw", Optimizer::Adamw { rate, beta1: 0.9, beta2: 0.99, epsilon: 1e-5, decay: 0.02 });
}

#[test]
fn adadelta_steps_as_pytorch() {
    compare("adadelta", Optimizer::Adadelta { rate: Vectors::load().rate, rho: 0.95, epsilon: 1e-5 });
}

#[test]
fn both_forward_forms_agree_with_each_other() {
    let vectors = Vectors::load();
    let network = vectors.network();
    let start = Vectors::ordered(&network, &vectors.start);
    let plain = network.inference(&start.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let shape = [vectors.batch, 1, vectors.height, vectors.width];
    let logits = Inference::from_bytes(&plain).unwrap().run(&[("input", &shape, &vectors.images)]).unwrap().remove(0).2;

    let mut graph = Graph::new();
    let x = graph.input("x", &shape).unwrap();
    let parameters = network.parameters().iter().zip(&start);
    let parameters: Vec<_> = parameters.map(|(p, data)| graph.constant(&p.shape, data)).collect();
    let mask = graph.constant(&[vectors.batch, vectors.units], &vec![1.0; vectors.batch * vectors.units]);
    let y = network.forward_training(&mut graph, x, &parameters, &[mask]).unwrap();
    graph.output("logits", y).unwrap();
    let mut training = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    assert_close("logits", &training.run(&[("x", &shape, &vectors.images)]).unwrap()[0].2, &logits);
}
