//! The nets whose steps are timed and compared, with fixed data.

use anyhow::{Context, Result, bail};
use host::graph::{Activation, Input, Layer, Mask, Network, Padding, Pooling};
use host::recipe::{Loss, Optimizer, Recipe, Training};
use host::runtime::Device;
use host::train::{Learner, Net, Pair, initial};
use std::path::Path;

const VOCABULARY: usize = 20_000;
/// Words of a text.
const SPAN: usize = 80;

/// A net at its start, ready for its first step.
pub struct Case {
    pub learner: Box<dyn Learner>,
    /// Inputs, targets and masks.
    pub batch: Vec<Vec<f32>>,
}

/// One of the nets, on `device`: `cnn`, `lstm`, `lstm-plain` (without dropout), `autoencoder`, `gan`, `vgg16` (the last three the
/// recipes' layers, `vgg16` without dropout). `threads`: how many of ONNX Runtime's a node may use; 0 for one a core.
pub fn case(name: &str, device: Device, threads: usize) -> Result<Case> {
    match name {
        "cnn" => net(cnn()?, 128, device, threads),
        "lstm" => net(lstm(0.2)?, 64, device, threads),
        "lstm-plain" => net(lstm(0.0)?, 64, device, threads),
        "autoencoder" => {
            net(Network::new(&recipe("mnist-autoencoder")?.layers, Input::Image([1, 28, 28]))?, 128, device, threads)
        }
        "vgg16" => {
            let mut layers = recipe("cifar10-vgg16")?.layers;
            layers.retain(|layer| !matches!(layer, Layer::Dropout { .. }));
            net(Network::new(&layers, Input::Image([3, 32, 32]))?, 128, device, threads)
        }
        "gan" => gan(device),
        other => bail!("{other} is none of cnn, lstm, lstm-plain, autoencoder, gan, vgg16"),
    }
}

fn net(network: Network, batch: usize, device: Device, threads: usize) -> Result<Case> {
    // An autoencoder and the probability of one of two classes learn alike.
    let loss = match network.outputs() {
        10 => Loss::CrossEntropy { label_smoothing: 0.0 },
        _ => Loss::BinaryCrossEntropy,
    };
    let learner = Net::with_threads(&network, &training(batch, loss), device, threads)?;
    let data = data(&network, batch);
    started(Box::new(learner), &network, data)
}

fn gan(device: Device) -> Result<Case> {
    let recipe = recipe("mnist-gan")?;
    let prior = recipe.prior()?;
    let adversary = recipe.adversary.context("a GAN has an adversary")?;
    let network = Network::new(&recipe.layers, Input::Latent(adversary.latent))?;
    let training = training(128, recipe.training.loss);
    let pair = Pair::new(&network, &adversary, [1, 28, 28], &training, device)?;
    let mut latents = data(&network, 128).swap_remove(0);
    latents.chunks_exact_mut(prior.length).enumerate().for_each(|(i, sample)| prior.choose(sample, i % prior.classes));
    let mut batch = vec![image(128, [1, 28, 28]), latents];
    batch.extend(masks(pair.masks(), 2 * 128));
    batch.push(targets(128, prior.classes));
    started(Box::new(pair), &network, batch)
}

fn started(mut learner: Box<dyn Learner>, network: &Network, batch: Vec<Vec<f32>>) -> Result<Case> {
    let state = learner.initial_state(&initial(network, 1));
    learner.set_state(&state)?;
    Ok(Case { learner, batch })
}

fn training(batch: usize, loss: Loss) -> Training {
    let optimizer = Optimizer::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
    Training::new(batch, 1, loss, optimizer)
}

fn recipe(model: &str) -> Result<Recipe> {
    Recipe::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../models").join(model).join("recipe.toml"))
}

fn cnn() -> Result<Network> {
    let conv = |filters| Layer::Conv2d {
        filters,
        kernel: 3,
        stride: 1,
        padding: Padding::Valid,
        batch_norm: false,
        activation: Activation::Relu,
    };
    let layers = [
        conv(32),
        Layer::MaxPool2d { size: 2 },
        conv(64),
        Layer::MaxPool2d { size: 2 },
        Layer::Flatten,
        Layer::Dense { units: 128, batch_norm: false, activation: Activation::Relu },
        Layer::Dense { units: 10, batch_norm: false, activation: Activation::Linear },
    ];
    Network::new(&layers, Input::Image([1, 28, 28]))
}

/// Embedding of 128 values, LSTM of 128 units, one probability; dropout on the input and on the state by `rate`.
fn lstm(rate: f32) -> Result<Network> {
    let recurrence = Layer::Lstm { units: 128, recurrent_dropout: rate, drop_connect: 0.0, pooling: Pooling::Last };
    let mut layers = vec![Layer::Embedding { dimensions: 128 }];
    layers.extend((rate > 0.0).then_some(Layer::Dropout { rate }));
    layers.extend([recurrence, Layer::Dense { units: 1, batch_norm: false, activation: Activation::Sigmoid }]);
    Network::new(&layers, Input::Tokens { vocabulary: VOCABULARY, span: SPAN })
}

/// Inputs, targets and masks of one batch.
fn data(network: &Network, batch: usize) -> Vec<Vec<f32>> {
    let inputs = match network.input() {
        Input::Image(shape) => image(batch, shape),
        Input::Latent(values) => (0..batch * values).map(|at| (at * 7919 % 256) as f32 / 64.0 - 2.0).collect(),
        Input::Tokens { vocabulary, span } => (0..span * batch).map(|at| (at * 7919 % vocabulary) as f32).collect(),
    };
    let outputs = network.outputs();
    let targets = if network.input() == Input::Image([1, 28, 28]) && outputs == 28 * 28 {
        inputs.clone()
    } else {
        targets(batch, outputs)
    };
    [inputs, targets].into_iter().chain(masks(network.masks(), batch)).collect()
}

/// Targets of `outputs` values a row: the classes in turn, or of two classes the probability of the second.
fn targets(batch: usize, outputs: usize) -> Vec<f32> {
    let target = |at: usize| match outputs {
        1 => (at % 2) as f32,
        _ => f32::from(at % outputs == at / outputs % outputs),
    };
    (0..batch * outputs).map(target).collect()
}

/// `masks` for `rows` samples.
fn masks(masks: &[Mask], rows: usize) -> impl Iterator<Item = Vec<f32>> {
    let mask =
        |size: usize, rate: f32| (0..size).map(|at| if at % 5 == 0 { 0.0 } else { 1.0 / (1.0 - rate) }).collect();
    masks.iter().map(move |each| mask(rows * each.shape.iter().product::<usize>(), each.rate))
}

/// Noise inside a black border: what counts for time is where the zeros and ties are.
fn image(batch: usize, [channels, height, width]: [usize; 3]) -> Vec<f32> {
    let inside = |at: usize| (4..24).contains(&(at / width)) && (4..24).contains(&(at % width));
    let pixel = |at: usize| if inside(at % (height * width)) { (at * 7919 % 256) as f32 / 255.0 } else { 0.0 };
    (0..batch * channels * height * width).map(pixel).collect()
}
