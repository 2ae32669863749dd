//! Holds the training step of a small CNN against PyTorch (see `vectors/cnn_step.py`).

mod common;

use common::{Tensors, assert_close, compare_gradients, one_hot, ordered};
use host::graph::{Activation, Batch, Graph, Input, Layer, Network, Padding, Role};
use host::recipe::{Loss, Optimizer, Training};
use host::runtime::{Device, Inference, Launch};
use host::train::{Step, Stepper, initial_state};
use serde::Deserialize;
use std::collections::HashMap;

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
            batch_norm: false,
            activation: Activation::Relu,
        };
        let layers = [
            conv(self.filters[0]),
            Layer::MaxPool2d { size: 2 },
            conv(self.filters[1]),
            Layer::MaxPool2d { size: 2 },
            Layer::Flatten,
            Layer::Dense { units: self.units, batch_norm: false, activation: Activation::Relu },
            Layer::Dropout { rate: 0.3 },
            Layer::Dense { units: self.classes, batch_norm: false, activation: Activation::Linear },
        ];
        Network::new(&layers, Input::Image([1, self.height, self.width])).unwrap()
    }

    /// Images, targets, mask.
    fn batch(&self) -> Vec<Vec<f32>> {
        vec![self.images.clone(), one_hot(&self.labels, self.classes), self.mask.clone()]
    }
}

#[test]
fn gradients_equal_pytorchs() {
    let vectors = Vectors::load();
    let network = vectors.network();
    let start = ordered(&network, &vectors.start);
    let shapes = [
        vec![vectors.batch, 1, vectors.height, vectors.width],
        vec![vectors.batch, vectors.classes],
        vec![vectors.batch, vectors.units],
    ];
    let batch: Vec<_> = shapes.into_iter().zip(vectors.batch()).collect();
    compare_gradients(&network, &start, &batch, vectors.smoothing, &vectors.gradients);
}

fn training(vectors: &Vectors, optimizer: Optimizer) -> Training {
    let loss = Loss::CrossEntropy { label_smoothing: vectors.smoothing };
    Training { ema: Some(0.5), ..Training::new(vectors.batch, 0, loss, optimizer) }
}

/// Runs PyTorch's steps with `optimizer` and compares losses and resulting parameters.
fn compare(name: &str, optimizer: Optimizer) {
    let vectors = Vectors::load();
    let network = vectors.network();
    let training = training(&vectors, optimizer);
    let step = Step::new(&network, &training, false).unwrap();
    let mut stepper = Stepper::new(&step, Device::Cpu, 0, Launch::Plain).unwrap();
    let start = ordered(&network, &vectors.start);
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
    let theirs = ordered(&network, &theirs.parameters);
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
    let start = ordered(&network, &vectors.start);
    let plain = network.inference(&start.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    let shape = [vectors.batch, 1, vectors.height, vectors.width];
    let logits = Inference::from_bytes(&plain).unwrap().run(&[("input", &shape, &vectors.images)]).unwrap().remove(0).2;

    let mut graph = Graph::new();
    let x = graph.input("x", &shape).unwrap();
    let parameters = network.parameters().iter().zip(&start);
    let parameters: Vec<_> = parameters.map(|(p, data)| graph.constant(&p.shape, data)).collect();
    let mask = graph.constant(&[vectors.batch, vectors.units], &vec![1.0; vectors.batch * vectors.units]);
    let y = network.forward_training(&mut graph, x, &parameters, &[mask]).unwrap().outputs;
    graph.output("logits", y).unwrap();
    let mut training = Inference::from_bytes(&graph.to_bytes(Batch::Fixed)).unwrap();
    assert_close("logits", &training.run(&[("x", &shape, &vectors.images)]).unwrap()[0].2, &logits);
}

/// By SGD a step goes as far as the gradient times the rate, and so an equalized one times √(2 / fan_in) of its layer.
#[test]
fn an_equalized_step_is_shorter_where_many_values_flow_into_one() {
    let vectors = Vectors::load();
    let network = vectors.network();
    let stepped = |equalized| {
        // Far, so that what is lost by rounding does not count.
        let optimizer = Optimizer::Sgd { rate: 100.0 * vectors.rate, momentum: 0.0 };
        let training = Training { equalized, ..training(&vectors, optimizer) };
        let step = Step::new(&network, &training, false).unwrap();
        let mut stepper = Stepper::new(&step, Device::Cpu, 0, Launch::Plain).unwrap();
        stepper.set_state(&initial_state(&step, &ordered(&network, &vectors.start))).unwrap();
        stepper.run(&vectors.batch(), &step.scalar_values(1, 1.0)).unwrap();
        stepper.state().unwrap()
    };
    let (plain, equalized) = (stepped(false), stepped(true));
    let start = ordered(&network, &vectors.start);
    let mut pace = 1.0;
    for (index, parameter) in network.parameters().iter().enumerate() {
        if let Role::Weight { fan_in, .. } = parameter.role {
            pace = (2.0 / fan_in as f32).sqrt();
        }
        let moved = |state: &[Vec<f32>], by: f32| -> Vec<f32> {
            state[index].iter().zip(&start[index]).map(|(new, old)| (new - old) * by).collect()
        };
        assert_close(&parameter.name, &moved(&equalized, 1.0), &moved(&plain, pace));
    }
}
