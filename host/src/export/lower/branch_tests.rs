//! Operators of nets with branches, of other layouts, of one dimension: each against tract.

use super::super::proto::{float, int, ints, text};
use super::super::sketch::Sketch;
use super::lower;
use super::tests::{agrees, kinds};
use prost::Message;
use tract_onnx::pb::ModelProto;

pub(super) fn refusal(model: &ModelProto) -> String {
    format!("{:#}", lower(model, "test").unwrap_err())
}

#[test]
fn a_residual_block_with_batch_norm() {
    let pads = || vec![ints("pads", &[1, 1, 1, 1])];
    let model = Sketch::new(&[3, 8, 8], 31)
        .node("Conv", &[&[4, 3, 3, 3]], pads())
        .batch_normalization(4)
        .node("Relu", &[], vec![])
        .node("Conv", &[&[6, 4, 3, 3]], vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])])
        .batch_normalization(6)
        .node_of("Conv", &["relu2"], &[&[6, 4, 1, 1], &[6]], vec![ints("strides", &[2, 2])])
        .node_of("Add", &["batchnormalization4", "conv5"], &[], vec![])
        .node("Relu", &[], vec![])
        .node("GlobalAveragePool", &[], vec![])
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[10, 6], &[10]], vec![int("transB", 1)])
        .node("Softmax", &[], vec![])
        .finish(&[10]);
    // Softmax stays on the host, so that the answers differ by it; their shape is what is looked at here.
    let lowered = lower(&model, "test").unwrap();
    let expected = ["conv2d+relu", "conv2d", "conv2d", "add+relu", "average_pool2d", "dense"];
    assert_eq!(kinds(&lowered), expected);
    let mut without = model.clone();
    let graph = without.graph.as_mut().unwrap();
    graph.node.pop();
    graph.output[0].name = "gemm10".into();
    agrees(&without, &[3, 8, 8]);
}

/// `host/tests/zoo/export.py` made them: shapes and pads are arithmetic on constants there.
#[test]
fn what_pytorch_exports() {
    let files =
        [&include_bytes!("../../../tests/zoo/torch-13.onnx")[..], include_bytes!("../../../tests/zoo/torch-18.onnx")];
    for file in files {
        let network = agrees(&ModelProto::decode(file).unwrap(), &[3, 12, 12]);
        let expected = [
            "conv2d+relu6",
            "depthwise_conv2d",
            "silu",
            "conv2d",
            "conv2d",
            "add",
            "hard_swish",
            "average_pool2d",
            "dense+relu",
            "average_pool2d",
            "concat",
            "dense",
        ];
        assert_eq!(kinds(&network), expected);
    }
}

#[test]
fn groups_and_dilation() {
    let depthwise = Sketch::new(&[6, 9, 8], 32)
        .node(
            "Conv",
            &[&[6, 1, 3, 3], &[6]],
            vec![int("group", 6), ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 1])],
        )
        .batch_normalization(6)
        .node("Clip", &[], vec![float("min", 0.0), float("max", 6.0)])
        .finish(&[6, 5, 8]);
    // Clip has had inputs since opset 11.
    let mut depthwise = depthwise;
    depthwise.opset_import[0].version = 10;
    assert_eq!(kinds(&agrees(&depthwise, &[6, 9, 8])), ["depthwise_conv2d+relu6"]);
    let grouped = Sketch::new(&[6, 7, 7], 33)
        .node("Conv", &[&[4, 3, 3, 3]], vec![int("group", 2)])
        .node("Conv", &[&[8, 1, 2, 2]], vec![int("group", 4)])
        .node("Conv", &[&[3, 8, 2, 2]], vec![ints("dilations", &[2, 1])])
        .finish(&[3, 2, 3]);
    assert_eq!(kinds(&agrees(&grouped, &[6, 7, 7])), ["conv2d"; 3]);
}

#[test]
fn pools_of_every_kind() {
    let window = |side: usize, stride: usize, pad: usize| {
        vec![ints("kernel_shape", &[side; 2]), ints("strides", &[stride; 2]), ints("pads", &[pad; 4])]
    };
    for counted in [0, 1] {
        let mut attributes = window(3, 2, 1);
        attributes.push(int("count_include_pad", counted));
        let model = Sketch::new(&[2, 9, 8], 34).node("AveragePool", &[], attributes).finish(&[2, 5, 4]);
        assert_eq!(kinds(&agrees(&model, &[2, 9, 8])), ["average_pool2d"]);
    }
    let mut attributes = window(3, 2, 0);
    attributes.push(int("ceil_mode", 1));
    let overhanging = Sketch::new(&[2, 8, 8], 35)
        .node("MaxPool", &[], attributes)
        .node("GlobalMaxPool", &[], vec![])
        .finish(&[2, 1, 1]);
    assert_eq!(kinds(&agrees(&overhanging, &[2, 8, 8])), ["max_pool2d", "max_pool2d"]);
    let mean = Sketch::new(&[4, 5, 6], 36)
        .with_ints("ReduceMean", &[-1, 2], vec![int("keepdims", 0)])
        .node("Gemm", &[&[4, 3]], vec![])
        .finish(&[3]);
    assert_eq!(kinds(&agrees(&mean, &[4, 5, 6])), ["average_pool2d", "dense"]);
    let channels = Sketch::new(&[4, 5, 6], 36).with_ints("ReduceMean", &[1], vec![]).finish(&[1, 5, 6]);
    assert!(refusal(&channels).contains("mean over channels"), "{}", refusal(&channels));
}

#[test]
fn an_nhwc_net_has_no_transposes_left() {
    let model = Sketch::new(&[7, 6, 3], 37)
        .node("Transpose", &[], vec![ints("perm", &[0, 3, 1, 2])])
        .node("Conv", &[&[4, 3, 3, 3], &[4]], vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])])
        .node("Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])])
        .node("Add", &[&[4]], vec![])
        .node("Relu", &[], vec![])
        .with_ints("Reshape", &[-1, 48], vec![])
        .node("MatMul", &[&[48, 5]], vec![])
        .node("Add", &[&[5]], vec![])
        .finish(&[5]);
    let network = agrees(&model, &[7, 6, 3]);
    assert_eq!(kinds(&network), ["conv2d+relu", "dense"]);
    assert_eq!(network.input_sides, [1, 7, 6, 3]);
}

#[test]
fn sequences_are_images_of_one_row() {
    let model = Sketch::new(&[5, 20], 38)
        .node("Conv", &[&[8, 5, 3], &[8]], vec![ints("pads", &[1, 1])])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], vec![ints("kernel_shape", &[2]), ints("strides", &[2])])
        .node("Conv", &[&[8, 1, 5]], vec![int("group", 8), ints("dilations", &[2])])
        .node("GlobalAveragePool", &[], vec![])
        .with_ints("Squeeze", &[2], vec![])
        .node("Gemm", &[&[8, 3]], vec![])
        .finish(&[3]);
    let network = agrees(&model, &[5, 20]);
    assert_eq!(kinds(&network), ["conv2d+relu+pool", "depthwise_conv2d", "average_pool2d", "dense"]);
    // Channels last, as recurrent data come.
    let last = Sketch::new(&[12, 4], 39)
        .node("Transpose", &[], vec![ints("perm", &[0, 2, 1])])
        .node("Conv", &[&[3, 4, 4]], vec![])
        .finish(&[3, 9]);
    assert_eq!(agrees(&last, &[12, 4]).input_sides, [1, 12, 4]);
}

#[test]
fn branches_are_joined() {
    let model = Sketch::new(&[3, 6, 6], 40)
        .node("Conv", &[&[4, 3, 1, 1]], vec![])
        .node_of("Conv", &["conv0"], &[&[5, 4, 3, 3]], vec![ints("pads", &[1, 1, 1, 1])])
        .node_of("MaxPool", &["input"], &[], vec![ints("kernel_shape", &[3, 3]), ints("pads", &[1, 1, 1, 1])])
        .node_of("Sigmoid", &["conv1"], &[], vec![])
        .node_of("Concat", &["conv0", "sigmoid3", "maxpool2", "conv1"], &[], vec![int("axis", 1)])
        .node_of("Sub", &["concat4", "concat4"], &[], vec![])
        .node_of("Concat", &["sub5", "concat4"], &[], vec![int("axis", 2)])
        .finish(&[17, 12, 6]);
    let network = agrees(&model, &[3, 6, 6]);
    // The input's scale and the sigmoid's are given, so that copies of both take the concatenation's.
    let expected = [
        "conv2d",
        "conv2d",
        "max_pool2d",
        "sigmoid",
        "requantize",
        "requantize",
        "concat",
        "concat",
        "subtract",
        "concat",
    ];
    assert_eq!(kinds(&network), expected);
}

#[test]
fn gates_and_numbers_a_channel() {
    let silu = Sketch::new(&[2, 4, 4], 41)
        .node("Mul", &[&[2, 1, 1]], vec![])
        .node("Conv", &[&[3, 2, 3, 3], &[3]], vec![])
        .node("Sigmoid", &[], vec![])
        .node_of("Mul", &["sigmoid2", "conv1"], &[], vec![])
        .node("HardSwish", &[], vec![])
        .node_of("HardSigmoid", &["hardswish4"], &[], vec![float("alpha", 1.0 / 6.0), float("beta", 0.5)])
        .node_of("Mul", &["hardswish4", "hardsigmoid5"], &[], vec![])
        .node("Div", &[&[1]], vec![])
        .finish(&[3, 2, 2]);
    let expected = ["depthwise_conv2d", "conv2d", "silu", "hard_swish", "hard_swish", "depthwise_conv2d"];
    assert_eq!(kinds(&agrees(&silu, &[2, 4, 4])), expected);
}

#[test]
fn products_of_two_activations() {
    let product = Sketch::new(&[2, 4, 4], 42)
        .node("Conv", &[&[2, 2, 1, 1]], vec![])
        .node_of("Mul", &["input", "conv0"], &[], vec![])
        .node("Relu", &[], vec![])
        .finish(&[2, 4, 4]);
    assert_eq!(kinds(&agrees(&product, &[2, 4, 4])), ["conv2d", "multiply+relu"]);
    // Squeeze-and-excitation: one factor a channel, which comes first here.
    let excited = Sketch::new(&[3, 5, 6], 45)
        .node("Conv", &[&[8, 3, 1, 1]], vec![])
        .node("GlobalAveragePool", &[], vec![])
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[8, 2]], vec![])
        .node("Relu", &[], vec![])
        .node("Gemm", &[&[2, 8]], vec![])
        .node("Sigmoid", &[], vec![])
        .with_ints("Unsqueeze", &[2, 3], vec![])
        .node_of("Mul", &["unsqueeze7", "conv0"], &[], vec![])
        .finish(&[8, 5, 6]);
    let expected = ["conv2d", "average_pool2d", "dense+relu", "dense", "sigmoid", "multiply"];
    assert_eq!(kinds(&agrees(&excited, &[3, 5, 6])), expected);
    // One factor a place, a column, a row: spatial attention.
    for (kernel, stride) in [([1, 1], [1, 1]), ([5, 1], [1, 1]), ([1, 6], [1, 1])] {
        let attention = Sketch::new(&[3, 5, 6], 46)
            .node("Conv", &[&[1, 3, kernel[0], kernel[1]]], vec![ints("strides", &stride)])
            .node_of("Mul", &["input", "conv0"], &[], vec![])
            .finish(&[3, 5, 6]);
        assert_eq!(kinds(&agrees(&attention, &[3, 5, 6])), ["conv2d", "multiply"]);
    }
    // A sum repeats what it adds.
    for (kernel, inputs) in [([1, 1], ["conv0", "input"]), ([5, 1], ["input", "conv0"]), ([5, 6], ["conv0", "input"])] {
        let sum = Sketch::new(&[3, 5, 6], 48)
            .node("Conv", &[&[1, 3, kernel[0], kernel[1]]], vec![])
            .node_of("Sub", &inputs, &[], vec![])
            .finish(&[3, 5, 6]);
        assert_eq!(kinds(&agrees(&sum, &[3, 5, 6])), ["conv2d", "slice", "subtract"]);
    }
    let apart = Sketch::new(&[3, 5, 6], 47)
        .node("Conv", &[&[1, 3, 1, 1]], vec![])
        .node_of("GlobalAveragePool", &["input"], &[], vec![])
        .node_of("Mul", &["conv0", "globalaveragepool1"], &[], vec![])
        .finish(&[3, 5, 6]);
    let said = refusal(&apart);
    assert!(said.contains("the dimensions [1, 1, 5, 6] and [1, 3, 1, 1]"), "{said}");
}

#[test]
fn padding_joins_the_convolution_behind_it() {
    let padded = |op: &str, constants: &[&[usize]]| {
        Sketch::new(&[2, 5, 5], 43)
            .with_ints("Pad", &[0, 0, 0, 1, 0, 0, 1, 0], vec![])
            .node(op, constants, vec![])
            .finish(&[2, 4, 4])
    };
    let network = agrees(&padded("Conv", &[&[2, 2, 3, 3]]), &[2, 5, 5]);
    assert_eq!(kinds(&network), ["conv2d"]);
    assert!(refusal(&padded("Relu", &[])).contains("something else than a convolution reads it"));
}

#[test]
fn an_arg_max_stands_at_the_end_or_nowhere() {
    let sketch = || {
        let gemm = Sketch::new(&[6], 35).node("Gemm", &[&[4, 6], &[4]], vec![int("transB", 1)]);
        gemm.node("ArgMax", &[], vec![int("axis", 1)])
    };
    let lowered = lower(&sketch().finish(&[1]), "test").unwrap();
    assert_eq!(kinds(&lowered), ["dense"]);
    assert_eq!(lowered.tensors[lowered.output].shape.channels, 4, "the device gives the values");
    let inside = refusal(&sketch().node("Relu", &[], vec![]).finish(&[1]));
    assert!(inside.contains("argmax1 (ArgMax): it stands inside the model"), "{inside}");
}

#[test]
fn a_dimension_of_one_grows_along_an_axis_of_its_own() {
    let vector = || {
        Sketch::new(&[6], 44)
            .node("Gemm", &[&[6, 4]], vec![])
            .with_ints("Unsqueeze", &[1], vec![])
            .node_of("Sigmoid", &["unsqueeze1"], &[], vec![])
            .node_of("Concat", &["unsqueeze1", "sigmoid2"], &[], vec![int("axis", 1)])
    };
    let model = vector().node("Transpose", &[], vec![ints("perm", &[0, 2, 1])]);
    let model = model.with_ints("Reshape", &[1, 8], vec![]).node("Gemm", &[&[8, 3]], vec![]).finish(&[3]);
    assert_eq!(kinds(&agrees(&model, &[6])), ["dense", "sigmoid", "requantize", "concat", "dense"]);
}
