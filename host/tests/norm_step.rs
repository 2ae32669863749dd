//! Holds training steps with batch norm and mean over all places against PyTorch (see `vectors/norm_step.py`).

mod common;

use common::{Tensors, assert_close, compare_gradients, one_hot, ordered};
use host::graph::{Activation, Input, Layer, Network, Padding};
use host::recipe::{Loss, Optimizer, Training};
use host::runtime::{Device, Inference, Launch};
use host::train::{Step, Stepper, exported, initial, initial_state};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    batch: usize,
    height: usize,
    width: usize,
    filters: [usize; 2],
    classes: usize,
    rate: f32,
    images: Vec<f32>,
    labels: Vec<usize>,
    start: Tensors,
    gradients: Tensors,
    losses: Vec<f32>,
    parameters: Tensors,
    statistics: Tensors,
}

impl Vectors {
    fn load() -> Self {
        serde_json::from_str(include_str!("vectors/norm_step.json")).unwrap()
    }

    /// What the net starts from, in its order; running means as they start.
    fn start(&self, network: &Network) -> Vec<Vec<f32>> {
        let mut start = initial(network, 0);
        for (parameter, values) in network.parameters().iter().zip(&mut start) {
            if let Some(given) = self.start.get(&parameter.name) {
                values.clone_from(given);
            }
        }
        start
    }
}

/// Two convolutions with batch norm, the first one pooled, the mean over all places, and a dense layer.
fn network(filters: [usize; 2], classes: usize, image: [usize; 3]) -> Network {
    let conv = |filters| Layer::Conv2d {
        filters,
        kernel: 3,
        stride: 1,
        padding: Padding::Same,
        batch_norm: true,
        activation: Activation::Relu,
    };
    let layers = [
        conv(filters[0]),
        Layer::MaxPool2d { size: 2 },
        conv(filters[1]),
        Layer::GlobalAveragePool,
        Layer::Dense { units: classes, batch_norm: false, activation: Activation::Linear },
    ];
    Network::new(&layers, Input::Image(image)).unwrap()
}

fn training(batch: usize, optimizer: Optimizer) -> Training {
    Training::new(batch, 0, Loss::CrossEntropy { label_smoothing: 0.0 }, optimizer)
}

#[test]
fn gradients_equal_pytorchs() {
    let vectors = Vectors::load();
    let shape = [3, vectors.height, vectors.width];
    let network = network(vectors.filters, vectors.classes, shape);
    let batch = [
        ([[vectors.batch].as_slice(), &shape].concat(), vectors.images.clone()),
        (vec![vectors.batch, vectors.classes], one_hot(&vectors.labels, vectors.classes)),
    ];
    compare_gradients(&network, &vectors.start(&network), &batch, 0.0, &vectors.gradients);
}

#[test]
fn steps_and_running_means_equal_pytorchs() {
    let vectors = Vectors::load();
    let network = network(vectors.filters, vectors.classes, [3, vectors.height, vectors.width]);
    let step =
        Step::new(&network, &training(vectors.batch, Optimizer::Sgd { rate: vectors.rate, momentum: 0.9 }), false)
            .unwrap();
    let mut stepper = Stepper::new(&step, Device::Cpu, 0, Launch::Plain).unwrap();
    stepper.set_state(&initial_state(&step, &vectors.start(&network))).unwrap();
    let batch = [vectors.images.clone(), one_hot(&vectors.labels, vectors.classes)];
    for (index, loss) in vectors.losses.iter().enumerate() {
        let measured = stepper.run(&batch, &step.scalar_values(index as u64 + 1, 1.0)).unwrap();
        assert_close(&format!("loss of step {}", index + 1), &[measured.loss], &[*loss]);
    }
    let expected = vectors.parameters.into_iter().chain(vectors.statistics).collect();
    let expected = ordered(&network, &expected);
    let state = stepper.state().unwrap();
    for ((parameter, ours), theirs) in network.parameters().iter().zip(exported(&step, &state)).zip(&expected) {
        assert_close(&parameter.name, ours, theirs);
    }
}

/// 64 images of noise with arbitrary labels can only be learnt by heart. The float model, which normalizes by the running
/// means, has to know them too.
#[test]
fn sixty_four_images_are_learnt_by_heart() {
    learns_by_heart(&network([16, 32], 10, [3, 8, 8]), [3, 8, 8]);
}

/// The same with norms behind a dense layer and a transposed convolution.
#[test]
fn sixty_four_images_are_learnt_by_heart_by_a_net_that_spreads_them() {
    let dense = |units, batch_norm, activation| Layer::Dense { units, batch_norm, activation };
    let layers = [
        Layer::Flatten,
        dense(72, true, Activation::LeakyRelu),
        Layer::Reshape { height: 3, width: 3, channels: 8 },
        Layer::ConvTranspose2d {
            filters: 12,
            kernel: 4,
            stride: 2,
            padding: Padding::Same,
            batch_norm: true,
            activation: Activation::LeakyRelu,
        },
        Layer::Flatten,
        dense(10, false, Activation::Linear),
    ];
    learns_by_heart(&Network::new(&layers, Input::Image([3, 8, 8])).unwrap(), [3, 8, 8]);
}

fn learns_by_heart(network: &Network, image: [usize; 3]) {
    let (images, classes) = (64, 10);
    let optimizer = Optimizer::Adam { rate: 0.01, beta1: 0.9, beta2: 0.99, epsilon: 1e-7 };
    let step = Step::new(network, &training(images, optimizer), false).unwrap();
    let mut stepper = Stepper::new(&step, Device::Cpu, 0, Launch::Plain).unwrap();
    stepper.set_state(&initial_state(&step, &initial(network, 1))).unwrap();
    let noise =
        |index: usize| ((index as u32).wrapping_mul(2_654_435_761).rotate_left(13) >> 8) as f32 / (1 << 24) as f32;
    let pixels: Vec<f32> = (0..images * image.iter().product::<usize>()).map(noise).collect();
    let labels: Vec<usize> = (0..images).map(|index| index * 7 % classes).collect();
    let batch = [pixels, one_hot(&labels, classes)];
    let mut right = 0.0;
    for number in 1..=500 {
        // At the end so slowly that the running means catch up.
        let factor = if number <= 250 { 1.0 } else { 1e-3 };
        right = stepper.run(&batch, &step.scalar_values(number, factor)).unwrap().measure;
    }
    assert_eq!(right, images as f32);

    let state = stepper.state().unwrap();
    let mut model = Inference::from_bytes(&network.inference(&exported(&step, &state)).unwrap()).unwrap();
    let shape = [[images].as_slice(), &image].concat();
    let logits = model.run(&[("input", &shape, &batch[0])]).unwrap().remove(0).2;
    for (row, label) in logits.chunks_exact(classes).zip(labels) {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert_eq!(row[label], largest, "{row:?}, expected {label}");
    }
}
