//! Runs training steps on demand, for `step_vs_pytorch.py`: reads a number of steps a line, runs that many on fixed data,
//! answers with the seconds that they took. Its first line of output says how many nodes the step has. `THREADS`: how many of
//! ONNX Runtime's threads a node may use; unset, one a core.

use host::graph::{Activation, Input, Layer, Network, Padding};
use host::recipe::{Loss, Optimizer, Schedule, Training};
use host::runtime::Device;
use host::train::{Step, Stepper, initial, initial_state};
use std::io::{BufRead, Write};
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let conv = |filters| Layer::Conv2d {
        filters,
        kernel: 3,
        stride: 1,
        padding: Padding::Valid,
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
    let training = Training {
        epochs: 1,
        batch: 128,
        seed: 1,
        loss: Loss::CrossEntropy { label_smoothing: 0.0 },
        optimizer: Optimizer::Adam { rate: 1e-3, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 },
        schedule: Schedule::Constant,
        ema: None,
        early_stopping: None,
        init: None,
        clip: None,
    };
    let network = Network::new(&layers, Input::Image([1, 28, 28]))?;
    let step = Step::new(&network, &training, false)?;
    let threads = std::env::var("THREADS").ok().map_or(Ok(0), |threads| threads.parse())?;
    let mut stepper = Stepper::new(&step, Device::Cpu, threads)?;
    stepper.set_state(&initial_state(&step, &initial(&network, training.seed)))?;
    // Noise inside a black border: what counts for time is where the zeros and ties are.
    let inside = |position: usize| (4..24).contains(&(position / 28)) && (4..24).contains(&(position % 28));
    let pixel = |index: usize| if inside(index % 784) { (index * 7919 % 256) as f32 / 255.0 } else { 0.0 };
    let images = (0..128 * 784).map(pixel).collect();
    let targets = (0..1280).map(|index| f32::from(index % 10 == (index / 10) % 10)).collect();
    let batch = [images, targets];
    let mut done = 0;
    println!("{} nodes", step.nodes);
    for line in std::io::stdin().lock().lines() {
        let count: u64 = line?.trim().parse()?;
        let start = Instant::now();
        for _ in 0..count {
            done += 1;
            stepper.run(&batch, &step.scalar_values(done, 1.0))?;
        }
        println!("{}", start.elapsed().as_secs_f64());
        std::io::stdout().flush()?;
    }
    Ok(())
}
