//! What CUDA computes is what the CPU does: a few steps of every kind of net, on both. Needs an NVIDIA card and
//! `host setup --gpu`: `cargo test --release -p host --test cuda -- --ignored` (`tests/gpu.sh` runs it).

#[path = "../benches/nets/mod.rs"]
mod nets;

use host::runtime::Device;
use host::train::Kind;

/// How far the first gradients may differ, of a tensor's largest value: sums of floats depend on their order.
const GRADIENTS: f32 = 1e-3;
/// How far the losses may differ, of themselves. Adam's first steps are about the sign of each gradient, also where it is noise.
const LOSSES: f32 = 1e-2;

/// On Adam's usual rate of 0.001: steps so small that what they go wrong by does not grow from one to the next.
const FACTOR: f64 = 0.1;

/// Losses of six steps, of which a CUDA graph replays the last four, and the mean gradients behind the first, by name.
fn steps(net: &str, device: Device) -> (Vec<f32>, Vec<(String, Vec<f32>)>) {
    let nets::Case { mut learner, batch } = nets::case(net, device, 0).unwrap();
    let mut losses = vec![learner.step(&batch, 1, FACTOR).unwrap().loss];
    let tensors = learner.tensors().into_iter().zip(learner.state().unwrap());
    let means = tensors.filter(|(tensor, _)| tensor.kind == Kind::Slot && tensor.name.ends_with(".mean"));
    let means = means.map(|(tensor, values)| (tensor.name, values)).collect();
    losses.extend((2..=6).map(|number| learner.step(&batch, number, FACTOR).unwrap().loss));
    (losses, means)
}

#[test]
#[ignore = "needs an NVIDIA card and `host setup --gpu`"]
fn steps_on_cuda_are_the_cpus() {
    for net in ["cnn", "lstm", "lstm-plain", "autoencoder", "gan", "vgg16"] {
        // First, since the first device decides which library the process loads.
        let (losses, means) = steps(net, Device::Cuda);
        let (expected, expected_means) = steps(net, Device::Cpu);
        println!("{net}: losses {losses:?}, the CPU's {expected:?}");
        for (ours, theirs) in losses.iter().zip(&expected) {
            assert!((ours - theirs).abs() <= LOSSES * theirs.abs(), "{net}: {losses:?}, the CPU's {expected:?}");
        }
        assert!(!means.is_empty(), "{net}: Adam keeps means");
        for ((name, ours), (_, theirs)) in means.iter().zip(&expected_means) {
            let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
            let furthest = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0_f32, f32::max);
            println!("  {name}: at most {largest:.2e}, differs by {:.1e} of that", furthest / largest);
            assert!(
                furthest <= GRADIENTS * largest,
                "{net}: {name} differs by {furthest:e}, its largest is {largest:e}"
            );
        }
    }
}
