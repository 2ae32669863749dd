//! Runs training steps on demand, for `step_vs_pytorch.py`: reads a number of steps a line, runs that many on fixed data,
//! answers with the seconds that they took. Its first line of output says how many nodes the step has. `NET`: `cnn`, `lstm`,
//! `lstm-plain` (without dropout) or `vgg16` (the recipe's layers without dropout). `DEVICE`: `cuda`; unset, the CPU. `THREADS`:
//! how many of ONNX Runtime's threads a node may use; unset, one a core.

use anyhow::{Result, bail};
use host::graph::{Activation, Input, Layer, Network, Padding, Pooling};
use host::recipe::{Loss, Optimizer, Recipe, Schedule, Training};
use host::runtime::{Device, prefers_cuda};
use host::train::{Step, Stepper, initial, initial_state};
use std::io::{BufRead, Write};
use std::path::Path;
use std::time::Instant;

const VOCABULARY: usize = 20_000;
/// Words of a text.
const SPAN: usize = 80;

fn main() -> Result<()> {
    let net = std::env::var("NET").unwrap_or_else(|_| "cnn".into());
    let (network, batch) = match net.as_str() {
        "cnn" => (cnn()?, 128),
        "lstm" => (lstm(0.2)?, 64),
        "lstm-plain" => (lstm(0.0)?, 64),
        "vgg16" => (vgg16()?, 128),
        other => bail!("NET is {other}: cnn, lstm, lstm-plain and vgg16 are known"),
    };
    let loss = match network.outputs() {
        1 => Loss::BinaryCrossEntropy,
        _ => Loss::CrossEntropy { label_smoothing: 0.0 },
    };
    let training = Training {
        epochs: 1,
        batch,
        seed: 1,
        loss,
        optimizer: Optimizer::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        schedule: Schedule::Constant,
        ema: None,
        early_stopping: None,
        init: None,
        freeze: false,
        clip: None,
    };
    let device = match std::env::var("DEVICE").as_deref() {
        Ok("cuda") => Device::Cuda,
        _ => Device::Cpu,
    };
    let step = Step::new(&network, &training, prefers_cuda(device))?;
    let threads = std::env::var("THREADS").ok().map_or(Ok(0), |threads| threads.parse())?;
    let mut stepper = Stepper::new(&step, device, threads)?;
    stepper.set_state(&initial_state(&step, &initial(&network, training.seed)))?;
    let data = data(&network, batch);
    let mut done = 0;
    println!("{} nodes", step.nodes);
    for line in std::io::stdin().lock().lines() {
        let count: u64 = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..count {
            done += 1;
            stepper.run(&data, &step.scalar_values(done, 1.0))?;
        }
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
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
        Layer::Dense { units: 128, activation: Activation::Relu },
        Layer::Dense { units: 10, activation: Activation::Linear },
    ];
    Network::new(&layers, Input::Image([1, 28, 28]))
}

fn vgg16() -> Result<Network> {
    let recipe = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/cifar10-vgg16/recipe.toml");
    let mut layers = Recipe::load(&recipe)?.layers;
    layers.retain(|layer| !matches!(layer, Layer::Dropout { .. }));
    Network::new(&layers, Input::Image([3, 32, 32]))
}

/// Embedding of 128 values, LSTM of 128 units, one probability; dropout on the input and on the state by `rate`.
fn lstm(rate: f32) -> Result<Network> {
    let recurrence = Layer::Lstm { units: 128, recurrent_dropout: rate, drop_connect: 0.0, pooling: Pooling::Last };
    let mut layers = vec![Layer::Embedding { dimensions: 128 }];
    layers.extend((rate > 0.0).then_some(Layer::Dropout { rate }));
    layers.extend([recurrence, Layer::Dense { units: 1, activation: Activation::Sigmoid }]);
    Network::new(&layers, Input::Tokens { vocabulary: VOCABULARY, span: SPAN })
}

/// Inputs, targets and masks of one batch.
fn data(network: &Network, batch: usize) -> Vec<Vec<f32>> {
    let inputs = match network.input() {
        // Noise inside a black border: what counts for time is where the zeros and ties are.
        Input::Image([channels, height, width]) => {
            let inside = |at: usize| (4..24).contains(&(at / width)) && (4..24).contains(&(at % width));
            let pixel = |at: usize| if inside(at % (height * width)) { (at * 7919 % 256) as f32 / 255.0 } else { 0.0 };
            (0..batch * channels * height * width).map(pixel).collect()
        }
        Input::Latent(values) => (0..batch * values).map(|at| (at * 7919 % 256) as f32 / 64.0 - 2.0).collect(),
        Input::Tokens { vocabulary, span } => (0..span * batch).map(|at| (at * 7919 % vocabulary) as f32).collect(),
    };
    let outputs = network.outputs();
    let target = |at: usize| f32::from(at % outputs.max(2) == at / outputs % outputs.max(2));
    let targets = (0..batch * outputs).map(target).collect();
    let mask =
        |size: usize, rate: f32| (0..size).map(|at| if at % 5 == 0 { 0.0 } else { 1.0 / (1.0 - rate) }).collect();
    let masks = network.masks().iter().map(|m| mask(batch * m.shape.iter().product::<usize>(), m.rate));
    [inputs, targets].into_iter().chain(masks).collect()
}
