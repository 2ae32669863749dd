//! A generator from ONNX to the board's packings: a small one of the shape of the digits'.

use super::proto::{float, ints};
use super::sketch::Sketch;
use super::testing::tract;
use super::{Exported, Options, Prefer, export_on, pack_for, read};
use crate::quantize::float::Evaluator;
use crate::quantize::{Float, Method, Network};
use crate::train::gan::{Latents, Prior};
use crate::twin::Twin;
use crate::verify;
use firmware::model::format::{PACKING_DSP, PACKING_MVE};
use prost::Message;
use tract_onnx::pb::ModelProto;

/// `6 ── dense ──▶ 2×3×5 ── 4×4, stride 2 ──▶ 4×6×7 ── 3×3, stride 2 ──▶ 9×13×4 ── 3×3 ──▶ 7×11×1`.
fn generator() -> ModelProto {
    let leaky = || vec![float("alpha", 0.2)];
    let spread = |pads: &[usize; 4]| vec![ints("strides", &[2, 2]), ints("pads", pads)];
    Sketch::new(&[6], 71)
        .node("Gemm", &[&[6, 30], &[30]], vec![])
        .node("LeakyRelu", &[], leaky())
        .with_ints("Reshape", &[0, 5, 2, 3], vec![])
        .node("ConvTranspose", &[&[5, 7, 4, 4], &[7]], spread(&[1, 1, 1, 1]))
        .node("LeakyRelu", &[], leaky())
        .node("ConvTranspose", &[&[7, 4, 3, 3]], spread(&[0, 0, 0, 0]))
        .node("Conv", &[&[1, 4, 3, 3], &[1]], vec![])
        .node("Tanh", &[], vec![])
        .finish(&[1, 7, 11])
}

fn latents() -> Latents {
    Latents::draw(9, 24, Prior { length: 6, spread: 1.0, classes: 0 }, None)
}

fn exported() -> Exported {
    let options = Options {
        name: "test".into(),
        labels: Vec::new(),
        ranges: Method::MinMax,
        equalize: false,
        correct_bias: false,
        calibration: 24,
        prefer: Prefer::default(),
        flash_budget: None,
        command: "host export test".into(),
    };
    export_on(&generator().encode_to_vec(), &latents().inputs(), &options).unwrap()
}

#[test]
fn a_generator_is_lowered_to_what_tract_computes() {
    let network = read(&generator().encode_to_vec(), "test").unwrap();
    let kinds: Vec<String> = network.ops.iter().map(|op| op.describe()).collect();
    let expected = ["dense", "leaky_relu", "conv_transpose2d+leaky_relu", "conv_transpose2d", "conv2d", "tanh"];
    assert_eq!(kinds, expected);
    agrees(&generator(), &network);
}

#[test]
fn a_generators_batch_norms_join_its_weights() {
    let leaky = || vec![float("alpha", 0.2)];
    let spread = || vec![ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])];
    let model = Sketch::new(&[6], 72)
        .node("Gemm", &[&[6, 30]], vec![])
        .batch_normalization(30)
        .node("LeakyRelu", &[], leaky())
        .with_ints("Reshape", &[0, 5, 2, 3], vec![])
        .node("ConvTranspose", &[&[5, 7, 4, 4]], spread())
        .batch_normalization(7)
        .node("LeakyRelu", &[], leaky())
        .node("Conv", &[&[1, 7, 3, 3], &[1]], vec![])
        .finish(&[1, 2, 4]);
    let network = read(&model.encode_to_vec(), "test").unwrap();
    let kinds: Vec<String> = network.ops.iter().map(|op| op.describe()).collect();
    assert_eq!(kinds, ["dense", "leaky_relu", "conv_transpose2d+leaky_relu", "conv2d"]);
    agrees(&model, &network);
}

/// Holds the network against tract.
fn agrees(model: &ModelProto, network: &Network<Float>) {
    let evaluator = Evaluator::new(network);
    for index in 0..4 {
        let input = latents().real(index);
        let ours = evaluator.run(&input).swap_remove(network.output);
        let theirs = tract(model, &[6], &input);
        assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-4), "{ours:?} {theirs:?}");
    }
}

#[test]
fn the_twin_is_near_the_float_model_and_a_step_from_onnx_runtime() {
    let (exported, latents) = (exported(), latents());
    let network = read(&exported.float_onnx, "test").unwrap();
    let evaluator = Evaluator::new(&network);
    let mut twin = Twin::new(&exported.container).unwrap();
    let float = |index: usize| Ok(evaluator.run(&latents.real(index)).into_iter().map(Some).collect());
    let layers = verify::compare(&network, 24, float, |index| verify::twin(&mut twin, latents.int8(index)));
    // With these weights the last convolution reaches ±50, of which tanh tells ±2.8 apart: a step of its input is a good part of
    // that. ONNX Runtime, which rounds the same input, is the judge of both.
    for layer in layers.unwrap().iter().filter(|layer| !["conv6", "tanh7"].contains(&layer.name.as_str())) {
        assert!(layer.difference.sqnr_db > 30.0, "{layer:?}");
    }
    let mut runtime = verify::OnnxRuntime::int8(&exported.int8_onnx, &network).unwrap();
    let steps: Vec<f32> = twin.model().tensors().map(|tensor| tensor.scale).collect();
    for index in 0..24 {
        let ours = verify::twin(&mut twin, latents.int8(index)).unwrap();
        let theirs = runtime.run(&latents.real(index)).unwrap();
        for (layer, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
            let (ours, theirs) = (ours.as_ref().unwrap(), theirs.as_ref().unwrap());
            let apart = ours.iter().zip(theirs).map(|(a, b)| ((a - b) / steps[layer]).abs()).fold(0.0, f32::max);
            // A step before a function may be more than one behind it: up to 2.8 where the tangent is steepest.
            let limit = if layer + 1 == steps.len() { 4.0 } else { 2.01 };
            assert!(apart < limit, "latents {index}, layer {layer}: {apart} steps apart");
        }
    }
}

#[test]
fn every_packing_draws_the_same() {
    let portable = exported().container;
    let mut twin = Twin::new(&portable).unwrap();
    for packing in [PACKING_DSP, PACKING_MVE] {
        let mut other = Twin::new(&pack_for(&portable, packing).unwrap()).unwrap();
        for index in 0..8 {
            let latents = latents();
            twin.run(latents.int8(index)).unwrap();
            other.run(latents.int8(index)).unwrap();
            assert_eq!(twin.answer(), other.answer());
        }
    }
}
