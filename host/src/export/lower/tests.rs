use super::super::fuse::fuse;
use super::super::proto::{constant, float, int, ints, node, text};
use super::super::sketch::Sketch;
use super::super::testing::tract;
use super::lower;
use crate::quantize::float::Evaluator;
use crate::quantize::{Float, Network};
use tract_onnx::pb::ModelProto;

/// What each op of a network does.
pub(super) fn kinds(network: &Network<Float>) -> Vec<String> {
    network.ops.iter().map(|op| op.describe()).collect()
}

/// The lowered and the fused form of `model` answer as tract does; gives the fused form.
pub(super) fn agrees(model: &ModelProto, sides: &[usize]) -> Network<Float> {
    let lowered = lower(model, "test").unwrap_or_else(|error| panic!("{error:#}"));
    let input = Sketch::new(sides, 99).numbers(sides.iter().product());
    let expected = tract(model, sides, &input);
    let fused = fuse(lowered.clone());
    for network in [&lowered, &fused] {
        let answers = &Evaluator::new(network).run(&network.tensors[network.input].from_onnx(&input))[network.output];
        let expected = network.tensors[network.output].from_onnx(&expected);
        assert_eq!(answers.len(), expected.len());
        for (index, (a, b)) in answers.iter().zip(&expected).enumerate() {
            assert!((a - b).abs() <= 1e-4 * b.abs().max(1.0), "value {index}: {a}, tract says {b}");
        }
    }
    fused
}

#[test]
fn the_digit_net_becomes_four_layers() {
    let model = Sketch::new(&[1, 28, 28], 1)
        .node("Conv", &[&[8, 1, 3, 3], &[8]], vec![])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Conv", &[&[6, 8, 3, 3], &[6]], vec![])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])])
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[12, 150], &[12]], vec![int("transB", 1)])
        .node("Relu", &[], vec![])
        .node("Gemm", &[&[10, 12], &[10]], vec![int("transB", 1)])
        .finish(&[10]);
    let network = agrees(&model, &[1, 28, 28]);
    let layers: Vec<String> = network.ops.iter().map(|op| op.describe()).collect();
    assert_eq!(layers, ["conv2d+relu+pool", "conv2d+relu+pool", "dense+relu", "dense"]);
    assert_eq!(network.input_sides, [1, 1, 28, 28]);
    let values: Vec<_> = network.tensors.iter().map(|tensor| tensor.value.as_deref().unwrap()).collect();
    assert_eq!(values, ["input", "maxpool2", "maxpool5", "relu8", "gemm9"]);
}

#[test]
fn odd_shapes_strides_and_pads() {
    let model = Sketch::new(&[3, 11, 7], 2)
        .node("Conv", &[&[5, 3, 3, 2]], vec![ints("strides", &[2, 1]), ints("pads", &[1, 0, 2, 1])])
        .node("Conv", &[&[4, 5, 3, 3], &[4]], vec![ints("pads", &[1, 1, 1, 1]), ints("strides", &[2, 2])])
        .finish(&[4, 3, 4]);
    let network = agrees(&model, &[3, 11, 7]);
    assert_eq!(network.ops.len(), 2);
}

#[test]
fn auto_pad_is_resolved() {
    for mode in ["SAME_UPPER", "SAME_LOWER", "VALID"] {
        let model = Sketch::new(&[2, 9, 8], 3)
            .node("Conv", &[&[3, 2, 4, 3]], vec![text("auto_pad", mode), ints("strides", &[2, 3])])
            .finish(&[3, 1, 1]);
        agrees(&model, &[2, 9, 8]);
    }
}

#[test]
fn a_pool_that_overlaps_stays_alone_and_relu_moves_before_it() {
    let model = Sketch::new(&[2, 10, 9], 4)
        .node("Conv", &[&[3, 2, 3, 3], &[3]], vec![])
        .node(
            "MaxPool",
            &[],
            vec![ints("kernel_shape", &[3, 3]), ints("strides", &[2, 2]), ints("pads", &[1, 1, 1, 1])],
        )
        .node("Relu", &[], vec![])
        .finish(&[3, 4, 4]);
    let network = agrees(&model, &[2, 10, 9]);
    let layers: Vec<String> = network.ops.iter().map(|op| op.describe()).collect();
    assert_eq!(layers, ["conv2d+relu", "max_pool2d"]);
    // Rectified before the pool: no ONNX value holds that.
    assert_eq!(network.tensors[1].value, None);
    assert_eq!(network.tensors[2].value.as_deref(), Some("relu2"));
}

#[test]
fn gemm_forms() {
    let scaled = vec![float("alpha", 0.5), float("beta", 2.0)];
    let model = Sketch::new(&[4, 3, 2], 5)
        .node("Flatten", &[], vec![int("axis", 1)])
        .node("Gemm", &[&[24, 7], &[1, 7]], scaled)
        .node("Relu", &[], vec![])
        .node("Gemm", &[&[7, 5], &[1]], vec![])
        .finish(&[5]);
    agrees(&model, &[4, 3, 2]);
}

#[test]
fn a_vector_as_input_and_a_reshape_that_flattens() {
    let dense = Sketch::new(&[6], 6).node("Gemm", &[&[6, 3]], vec![]).finish(&[3]);
    agrees(&dense, &[6]);
    let mut model =
        Sketch::new(&[2, 3, 3], 7).node("Reshape", &[&[2]], vec![]).node("Gemm", &[&[18, 3]], vec![]).finish(&[3]);
    model.graph.as_mut().unwrap().initializer[0] = constant("reshape0.constant0", &[2], &[-1i64, 18]);
    agrees(&model, &[2, 3, 3]);
}

fn refusal(model: &ModelProto) -> String {
    format!("{:#}", lower(model, "test").unwrap_err())
}

#[test]
fn everything_unsupported_is_named_at_once() {
    let model = Sketch::new(&[2, 8, 8], 8)
        .node("Conv", &[&[2, 2, 300, 3]], vec![])
        .node("Softsign", &[], vec![])
        .finish(&[2, 6, 6]);
    let mut model = model;
    let graph = model.graph.as_mut().unwrap();
    graph.node.push(node("Erf", &["input"], "other", vec![]));
    let message = refusal(&model);
    assert!(message.starts_with("2 nodes do not run"), "{message}");
    assert!(message.contains("conv0 (Conv): its kernel is 300 × 3; "), "{message}");
    assert!(message.contains("other (Erf): this operator is not supported; "), "{message}");
    // What only follows from the first is not said.
    assert!(!message.contains("Softsign"), "{message}");
}

#[test]
fn relu_is_a_table_where_its_input_is_needed_as_it_is() {
    let model = Sketch::new(&[1, 4, 4], 9)
        .node("Conv", &[&[2, 1, 3, 3]], vec![])
        .node("Relu", &[], vec![])
        .node_of("Add", &["conv0", "relu1"], &[], vec![])
        .finish(&[2, 2, 2]);
    assert_eq!(kinds(&agrees(&model, &[1, 4, 4])), ["conv2d", "clip", "add"]);
}

#[test]
fn broken_models_get_their_own_sentences() {
    let conv = |dims: &[usize]| Sketch::new(&[1, 4, 4], 10).node("Conv", &[dims], vec![]).finish(&[1, 1, 1]);
    assert!(refusal(&conv(&[1, 1, 5, 5])).contains("does not fit an input of 4 × 4"));
    assert!(refusal(&conv(&[1, 3, 3, 3])).contains("do not fit an input of 1 channels"));
    let edited = |edit: &dyn Fn(&mut ModelProto)| {
        let mut model = conv(&[1, 1, 3, 3]);
        edit(&mut model);
        refusal(&model)
    };
    let nan = edited(&|model| {
        model.graph.as_mut().unwrap().initializer[0] = constant("conv0.constant0", &[1, 1, 3, 3], &[f32::NAN; 9]);
    });
    assert!(nan.contains("weight 0 is NaN"), "{nan}");
    let short = edited(&|model| model.graph.as_mut().unwrap().initializer[0].raw_data.truncate(8));
    assert!(short.contains("holds 2 numbers for the dimensions [1, 1, 3, 3]"), "{short}");
    let huge = edited(&|model| model.graph.as_mut().unwrap().initializer[0].dims = vec![i64::MAX; 4]);
    assert!(huge.contains("whose product overflows 64 bits"), "{huge}");
    let cycle = edited(&|model| model.graph.as_mut().unwrap().node[0].input[0] = "conv0".into());
    assert!(cycle.contains("the graph has a cycle: conv0 (Conv) reads \"conv0\""), "{cycle}");
    let unmade = edited(&|model| model.graph.as_mut().unwrap().output[0].name = "nothing".into());
    assert!(unmade.contains("made by none of its nodes"), "{unmade}");
    let old = edited(&|model| model.opset_import[0].version = 6);
    assert!(old.contains("opset 6"), "{old}");
    let no_graph = edited(&|model| model.graph = None);
    assert!(no_graph.contains("holds no graph"), "{no_graph}");
}
