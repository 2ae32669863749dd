use super::budget::Budget;
use super::prefer::prefer;
use super::proto::{int, ints};
use super::sketch::Sketch;
use super::testing::options;
use super::write::write;
use super::{Exported, Options, Prefer, export, pack_for, read};
use crate::artifacts::Artifacts;
use crate::dataset::Images;
use crate::quantize::Method;
use crate::quantize::float::Evaluator;
use crate::twin::{self, Twin};
use crate::verify;
use firmware::model::Parameters;
use firmware::model::format::{PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD, PACKING_PORTABLE};
use prost::Message;
use std::fs;
use tract_onnx::pb::ModelProto;

/// Images of noise, each with its own share of ink.
fn images(count: usize, [height, width, channels]: [usize; 3]) -> Images {
    let length = height * width * channels;
    let mut sketch = Sketch::new(&[1], 77);
    let pixel = |(i, x): (usize, f32)| {
        let share = (i / length % 10) as f32 / 10.0;
        if x.abs() < share { 0 } else { (x.abs() * 255.0) as u8 }
    };
    let pixels = sketch.numbers(count * length).into_iter().enumerate().map(pixel).collect();
    Images { height, width, channels, pixels, labels: vec![0; count] }
}

fn pool2() -> Vec<tract_onnx::pb::AttributeProto> {
    vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]
}

fn digit_net() -> ModelProto {
    Sketch::new(&[1, 28, 28], 21)
        .node("Conv", &[&[32, 1, 3, 3], &[32]], vec![])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], pool2())
        .node("Conv", &[&[64, 32, 3, 3], &[64]], vec![])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], pool2())
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[128, 1600], &[128]], vec![int("transB", 1)])
        .node("Relu", &[], vec![])
        .node("Gemm", &[&[10, 128], &[10]], vec![int("transB", 1)])
        .finish(&[10])
}

/// Strided and padded, an overlapping pool, negative activations, an int8 answer.
fn odd_net() -> ModelProto {
    Sketch::new(&[3, 13, 11], 22)
        .node("Conv", &[&[5, 3, 3, 2]], vec![ints("strides", &[2, 1]), ints("pads", &[1, 0, 2, 1])])
        .node(
            "MaxPool",
            &[],
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])],
        )
        .node("Conv", &[&[7, 5, 1, 3], &[7]], vec![ints("pads", &[0, 1, 0, 1])])
        .finish(&[7, 4, 6])
}

/// A residual block, depthwise convolutions, means, branches side by side, a gate, some rows and channels of a value.
fn branched_net() -> ModelProto {
    let padded = || ints("pads", &[1, 1, 1, 1]);
    Sketch::new(&[3, 12, 12], 25)
        .node("Conv", &[&[8, 3, 3, 3], &[8]], vec![padded()])
        .node("Relu", &[], vec![])
        .node("Conv", &[&[8, 1, 3, 3], &[8]], vec![padded(), int("group", 8)])
        .node("HardSwish", &[], vec![])
        .node_of("Add", &["hardswish3", "relu1"], &[], vec![])
        .node("Relu", &[], vec![])
        .node_of("Conv", &["relu5"], &[&[6, 8, 1, 1], &[6]], vec![])
        .node_of("Concat", &["conv6", "relu5"], &[], vec![int("axis", 1)])
        .slice([&[1, 0, 2], &[12, 12, 13], &[2, 3, 1], &[1, 1, 2]])
        .node("AveragePool", &[], vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), padded()])
        .node("Conv", &[&[6, 1, 3, 3], &[6]], vec![int("group", 6), ints("strides", &[2, 2])])
        .node("GlobalAveragePool", &[], vec![])
        .node("Sigmoid", &[], vec![])
        .node_of("Mul", &["sigmoid12", "conv10"], &[], vec![])
        .node("GlobalAveragePool", &[], vec![])
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[5, 6], &[5]], vec![int("transB", 1)])
        .finish(&[5])
}

/// Each model with the shape of its images and the number of classes.
fn models() -> [(ModelProto, [usize; 3], usize); 3] {
    [(digit_net(), [28, 28, 1], 10), (odd_net(), [13, 11, 3], 0), (branched_net(), [12, 12, 3], 5)]
}

fn exported(model: &ModelProto, shape: [usize; 3], labels: usize) -> Exported {
    export(&model.encode_to_vec(), &images(24, shape), &options(labels)).unwrap()
}

#[test]
fn the_digit_net_has_the_budget_that_its_geometry_gives() {
    let exported = exported(&digit_net(), [28, 28, 1], 10);
    let budget = &exported.budget;
    assert_eq!(budget.ram.arena_bytes, 7008);
    assert_eq!(budget.ram.arena_lower_bound_bytes, 7008);
    assert_eq!(budget.flash.weights_bytes, 288 + 18_432 + 204_800 + 1_280);
    assert_eq!(budget.model.parameters, 225_034);
    let macs: Vec<usize> = budget.layers.iter().map(|layer| layer.macs).collect();
    assert_eq!(macs, [26 * 26 * 32 * 9, 10 * 10 * 64 * 9 * 32, 204_800, 1_280]);
    assert_eq!(budget.flash.container_bytes, exported.container.len());
    assert!(exported.golden.to_json().unwrap().len() < 200_000);
}

#[test]
fn a_sigmoid_becomes_a_table_whose_steps_are_all_of_use() {
    let model = Sketch::new(&[1, 20, 20], 23)
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[36, 400], &[36]], vec![int("transB", 1)])
        .node("Sigmoid", &[], vec![])
        .finish(&[36]);
    let exported = exported(&model, [20, 20, 1], 0);
    let mut twin = Twin::new(&exported.container).unwrap();
    let Parameters::Lookup(lookup) = twin.model().op(1).unwrap().parameters else { panic!("no table") };
    // Rounding the zero point may keep the last step from either end.
    let (first, last) = (lookup.table[0], lookup.table[255]);
    assert!(lookup.table.is_sorted() && first <= -127 && last >= 126, "{lookup:?}");
    // Wherever the sigmoid is steep, each step of the input is one of the output; where it is flat, several share one.
    let distinct = lookup.table.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(distinct > 90, "{distinct} steps");

    let (images, network) = (images(24, [20, 20, 1]), read(&exported.float_onnx, "test").unwrap());
    let evaluator = Evaluator::new(&network);
    let float = |index: usize| Ok(evaluator.run(&images.nhwc(index)).into_iter().map(Some).collect());
    let layers = verify::compare(&network, 24, float, |index| verify::twin(&mut twin, &images.int8(index))).unwrap();
    assert!(layers[2].difference.sqnr_db > 30.0, "{:?}", layers[2]);
}

#[test]
fn every_layer_of_the_twin_is_near_the_float_model() {
    for (model, shape, labels) in models() {
        let images = images(24, shape);
        for ranges in [Method::MinMax, Method::Percentile, Method::Mse] {
            let options = Options { ranges, ..options(labels) };
            let exported = export(&model.encode_to_vec(), &images, &options).unwrap();
            let network = read(&exported.float_onnx, "test").unwrap();
            let evaluator = Evaluator::new(&network);
            let mut twin = Twin::new(&exported.container).unwrap();
            let float = |index: usize| {
                let input: Vec<f32> = images.nhwc(index);
                Ok(evaluator.run(&input).into_iter().map(Some).collect())
            };
            let layers = verify::compare(&network, 24, float, |index| verify::twin(&mut twin, &images.int8(index)));
            for layer in layers.unwrap() {
                // Where small values share a scale with large ones, they have fewer steps.
                let least = if labels == 5 { 25.0 } else { 36.0 };
                assert!(layer.difference.sqnr_db > least, "{ranges}: {layer:?}");
            }
        }
    }
}

#[test]
fn onnx_runtime_agrees_with_the_twin_to_a_step() {
    for (model, shape, labels) in models() {
        let images = images(20, shape);
        let exported = exported(&model, shape, labels);
        let network = read(&exported.float_onnx, "test").unwrap();
        let mut runtime = verify::OnnxRuntime::int8(&exported.int8_onnx, &network).unwrap();
        let mut twin = Twin::new(&exported.container).unwrap();
        let steps: Vec<f32> = twin.model().tensors().map(|tensor| tensor.scale).collect();
        for index in 0..20 {
            let input = images.int8(index);
            let real: Vec<f32> = input.iter().map(|&v| (f32::from(v) + 128.0) / 255.0).collect();
            let (ours, theirs) = (verify::twin(&mut twin, &input).unwrap(), runtime.run(&real).unwrap());
            for (layer, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                let (ours, theirs) = (ours.as_ref().unwrap(), theirs.as_ref().unwrap());
                let steps_apart = ours.iter().zip(theirs).map(|(a, b)| ((a - b) / steps[layer]).abs());
                // Steps of the logits are far finer than those of the layer before.
                let limit = if labels > 0 && layer + 1 == steps.len() { f32::INFINITY } else { 1.01 };
                let worst = steps_apart.fold(0.0, f32::max);
                assert!(worst <= limit, "image {index}, layer {layer}: {worst} steps apart");
            }
            if labels > 0 {
                let class = |values: &Vec<f32>| (0..labels).max_by(|&a, &b| values[a].total_cmp(&values[b])).unwrap();
                let answer = |layers: &verify::Activations| class(layers.last().unwrap().as_ref().unwrap());
                assert_eq!(answer(&ours), answer(&theirs), "image {index}");
            }
        }
    }
}

#[test]
fn onnx_runtime_confirms_the_float_layers() {
    for (model, shape, _) in models() {
        let bytes = model.encode_to_vec();
        let network = read(&bytes, "test").unwrap();
        let evaluator = Evaluator::new(&network);
        let mut runtime = verify::OnnxRuntime::float(&bytes, &network).unwrap();
        let input: Vec<f32> = images(1, shape).pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
        let own = |_| Ok(evaluator.run(&input).into_iter().map(Some).collect());
        let layers = verify::compare(&network, 1, own, |_| runtime.run(&input)).unwrap();
        assert_eq!(layers.len(), network.tensors.len());
        for layer in layers {
            assert!(layer.difference.sqnr_db > 100.0, "{layer:?}");
        }
    }
}

#[test]
fn every_packing_gives_the_same_bits() {
    for (model, shape, labels) in models() {
        let images = images(10, shape);
        let portable = exported(&model, shape, labels).container;
        let dsp = pack_for(&portable, PACKING_DSP).unwrap();
        assert_ne!(portable, dsp);
        let (mut a, mut b) = (Twin::new(&portable).unwrap(), Twin::new(&dsp).unwrap());
        for index in 0..10 {
            let input = images.int8(index);
            assert_eq!(a.trace(&input).unwrap(), b.trace(&input).unwrap(), "image {index}");
        }
        assert_eq!(twin::evaluate(&portable, &images).unwrap(), twin::evaluate(&dsp, &images).unwrap());
    }
}

/// The packings of a container's ops on a core with DSP, and what it takes of flash and scratch there.
fn on_dsp(container: &[u8]) -> (Vec<u8>, usize, usize) {
    let packed = pack_for(container, PACKING_DSP).unwrap();
    let twin = Twin::new(&packed).unwrap();
    let model = twin.model();
    let packings = (0..model.op_count()).map(|index| model.op(index).unwrap().variant.packing).collect();
    (packings, packed.len(), model.scratch_bytes())
}

#[test]
fn preferences_choose_the_forms_of_convolutions() {
    let portable = exported(&digit_net(), [28, 28, 1], 10).container;
    let choose = |choice, budget| prefer(&portable, choice, budget).unwrap();
    let [flash, speed, ram] = [Prefer::Flash, Prefer::Speed, Prefer::Ram].map(|choice| choose(choice, None));
    // Flash is the default; a choice takes nothing from the container itself, and can be made anew.
    assert_eq!(flash, portable);
    assert_eq!([speed.len(), ram.len()], [portable.len(); 2]);
    assert_eq!(prefer(&speed, Prefer::Flash, None).unwrap(), portable);
    let (packings, ordinary_bytes, ordinary_scratch) = on_dsp(&flash);
    assert_eq!(packings, [PACKING_DSP; 4]);
    // Winograd's form does not pay for the one channel of the first layer.
    let (packings, bytes, _) = on_dsp(&speed);
    assert_eq!(packings, [PACKING_DSP, PACKING_DSP_WINOGRAD, PACKING_DSP, PACKING_DSP]);
    assert_eq!(bytes - ordinary_bytes, 64 * 32 * (16 * 2 - 9));
    // Slower forms where they lower the scratch of the whole model.
    let (packings, bytes, scratch) = on_dsp(&ram);
    assert_eq!(packings, [PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP, PACKING_DSP]);
    assert_eq!(bytes, ordinary_bytes);
    assert!(scratch * 3 < ordinary_scratch, "{scratch} of {ordinary_scratch}");
    // A core without DSP has one form only.
    assert_eq!(pack_for(&speed, PACKING_PORTABLE).unwrap(), portable);

    let grown = ordinary_bytes + 64 * 32 * (16 * 2 - 9);
    assert_eq!(choose(Prefer::Speed, Some(grown)), speed);
    assert_eq!(choose(Prefer::Speed, Some(grown - 1)), flash);
    assert_eq!(choose(Prefer::Speed, Some(0)), flash);

    let images = images(3, [28, 28, 1]);
    let [mut twin, mut speed, mut ram] = [(flash, PACKING_PORTABLE), (speed, PACKING_DSP), (ram, PACKING_DSP)]
        .map(|(container, packing)| Twin::new(&pack_for(&container, packing).unwrap()).unwrap());
    for input in (0..3).map(|index| images.int8(index)) {
        let expected = twin.trace(&input).unwrap();
        assert_eq!(speed.trace(&input).unwrap(), expected);
        assert_eq!(ram.trace(&input).unwrap(), expected);
    }
}

#[test]
fn the_budget_lists_what_each_preference_costs() {
    let names = |budget: &Budget| budget.packings.iter().map(|packing| packing.name.clone()).collect::<Vec<_>>();
    let digits = exported(&digit_net(), [28, 28, 1], 10).budget;
    assert_eq!(names(&digits), ["portable", "fours", "dsp", "dsp-speed", "dsp-ram", "mve"]);
    // Winograd's form can do none of its convolutions.
    let odd = exported(&odd_net(), [13, 11, 3], 0).budget;
    assert_eq!(names(&odd), ["portable", "fours", "dsp", "dsp-ram", "mve"]);
}

#[test]
fn the_same_model_and_images_give_the_same_bytes() {
    let (a, b) = (exported(&odd_net(), [13, 11, 3], 0), exported(&odd_net(), [13, 11, 3], 0));
    assert_eq!((a.container, a.int8_onnx, a.golden, a.budget), (b.container, b.int8_onnx, b.golden, b.budget));
}

/// The int8 model that export writes for ONNX Runtime, read back, is the same container: its scales are kept exactly.
#[test]
fn a_quantized_model_keeps_its_scales() {
    for (model, shape, labels) in models() {
        let first = exported(&model, shape, labels);
        // Other inputs to calibrate on, which must not matter.
        let second =
            export(&first.int8_onnx, &images(9, shape), &Options { calibration: 3, ..options(labels) }).unwrap();
        let [mut first, mut second] = [first, second].map(|exported| Twin::new(&exported.container).unwrap());
        let meaning = |twin: &Twin| twin.model().tensors().map(|t| (t.scale, t.zero_point)).collect::<Vec<_>>();
        assert_eq!(meaning(&first), meaning(&second));
        for index in 0..4 {
            let input = images(4, shape).int8(index);
            assert_eq!(first.trace(&input).unwrap(), second.trace(&input).unwrap());
        }
    }
}

#[test]
fn golden_vectors_are_what_the_twin_computes() {
    let exported = exported(&odd_net(), [13, 11, 3], 0);
    let mut twin = Twin::new(&exported.container).unwrap();
    assert_eq!(exported.golden.model_crc32, twin.model().crc32());
    for vector in &exported.golden.vectors {
        twin.run(&vector.input().unwrap()).unwrap();
        assert_eq!(twin.answer(), vector.output, "{}", vector.name);
    }
}

#[test]
fn artifacts_are_written_whole_and_foreign_sections_stay() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(dir.path().join("test"), "test");
    let exported = exported(&odd_net(), [13, 11, 3], 0);
    write(&exported, &artifacts, &[]).unwrap();
    let with_foreign = fs::read_to_string(artifacts.budget()).unwrap() + "\n[accuracy]\nint8 = 0.996\n";
    fs::write(artifacts.budget(), with_foreign).unwrap();
    let paths = write(&exported, &artifacts, &[("test.cortex-m4.thm".into(), vec![1, 2, 3])]).unwrap();
    assert_eq!(paths.len(), 7);
    assert_eq!(fs::read_dir(&artifacts.dir).unwrap().count(), 7);
    let constants = fs::read_to_string(artifacts.constants()).unwrap();
    assert!(constants.contains("pub const INPUT_SHAPE: [usize; 3] = [13, 11, 3];"), "{constants}");
    let budget: toml::Table = fs::read_to_string(artifacts.budget()).unwrap().parse().unwrap();
    assert_eq!(budget["accuracy"]["int8"].as_float(), Some(0.996));
    assert_eq!(budget["layers"].as_array().unwrap().len(), 3);
    assert_eq!(fs::read(artifacts.container()).unwrap(), exported.container);
}

#[test]
fn a_failure_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::new(dir.path(), "test");
    fs::write(artifacts.budget(), "not = [toml").unwrap();
    let error = write(&exported(&odd_net(), [13, 11, 3], 0), &artifacts, &[]).unwrap_err();
    assert!(error.to_string().contains("is no TOML"), "{error:#}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn wrong_inputs_are_refused_with_a_sentence() {
    let onnx = odd_net().encode_to_vec();
    let refusal =
        |onnx: &[u8], images: &Images, options: &Options| format!("{:#}", export(onnx, images, options).unwrap_err());
    let fitting = images(24, [13, 11, 3]);
    assert!(refusal(b"nonsense", &fitting, &options(0)).contains("no ONNX model"));
    assert!(refusal(&onnx, &images(24, [28, 28, 1]), &options(0)).contains("images of 13 × 11 × 3"));
    assert!(refusal(&onnx, &fitting, &Options { calibration: 25, ..options(0) }).contains("from 1 to 24"));
    assert!(refusal(&onnx, &fitting, &Options { calibration: 0, ..options(0) }).contains("from 1 to 24"));
    assert!(refusal(&onnx, &fitting, &options(3)).contains("3 class names"));
    assert!(pack_for(b"nonsense", PACKING_DSP).is_err());
}
