//! Graphs that once led to a panic, to memory or time without end, or to another net than the file's.

use super::super::proto::{constant, int, ints};
use super::super::sketch::Sketch;
use super::super::trial::attempt;
use super::lower;
use super::tests::agrees;
use prost::Message;
use tract_onnx::pb::ModelProto;

fn refused(model: &ModelProto, because: &str) {
    let error = format!("{:#}", lower(model, "test").unwrap_err());
    assert!(error.contains(because), "{error}");
}

fn conv(weights: &[usize], attributes: Vec<tract_onnx::pb::AttributeProto>) -> ModelProto {
    Sketch::new(&[4, 6, 6], 90).node("Conv", &[weights], attributes).finish(&[1])
}

#[test]
fn convolutions_whose_sizes_make_no_sense() {
    refused(&conv(&[2, 4, 2, 2], vec![ints("dilations", &[0, 1])]), "its dilation is 0");
    refused(&conv(&[2, 4, 0, 2], vec![]), "of which one is 0");
    refused(&conv(&[2, 4, 1, 1], vec![int("group", 1 << 62)]), "do not fit an input of 4 channels");
}

/// 60,000 channels in 30,000 groups would be 3.6 · 10⁹ weights, all but 120,000 of them zeros.
#[test]
fn zeros_that_no_board_holds() {
    let model = Sketch::new(&[60_000, 1, 1], 91)
        .node("Conv", &[&[60_000, 2, 1, 1]], vec![int("group", 30_000)])
        .finish(&[60_000, 1, 1]);
    refused(&model, "its 120000 weights become 3600000000");
    let model = Sketch::new(&[60_000, 60_000, 60_000], 92).node("Relu", &[], vec![]).finish(&[1]);
    refused(&model, "more than any board holds");
}

/// Sides of a matrix without numbers, which a bias would be made for.
#[test]
fn a_matrix_of_nothing() {
    for op in ["MatMul", "Gemm"] {
        let mut model = Sketch::new(&[4], 93).node(op, &[&[4, 0]], vec![]).finish(&[1]);
        model.graph.as_mut().unwrap().initializer[0].dims = vec![0, 1 << 60];
        refused(&model, "of which one is 0");
    }
}

#[test]
fn constants_that_grow() {
    let mut sketch = Sketch::new(&[4], 94);
    sketch.graph.initializer.push(constant("shape", &[2], &[1i64 << 30, 1 << 30]));
    let model = sketch.node_of("ConstantOfShape", &["shape"], &[], vec![]).finish(&[1]);
    refused(&model, "they are too many numbers in all");
    let mut sketch = Sketch::new(&[4], 95);
    sketch.graph.initializer.push(constant("c", &[16], &[0i64; 16]));
    let mut last = "c".to_owned();
    for _ in 0..40 {
        sketch = sketch.node_of("Concat", &[&last, &last], &[], vec![int("axis", 0)]);
        last = sketch.last().to_owned();
    }
    refused(&sketch.finish(&[1]), "they are too many numbers in all");
    let model = Sketch::new(&[4], 96).node_of("If", &[], &[&[1]], vec![]).finish(&[1]);
    refused(&model, "If of constants is not supported");
}

/// Each pair of nodes doubles a side and halves it again: there are 2⁴⁰ ways from the answer back to the input.
#[test]
fn a_scale_goes_back_through_every_node_once() {
    let mut sketch = Sketch::new(&[1, 2, 2], 97);
    for _ in 0..40 {
        let last = sketch.last().to_owned();
        sketch = sketch.node_of("Concat", &[&last, &last], &[], vec![int("axis", 2)]).node(
            "MaxPool",
            &[],
            vec![ints("kernel_shape", &[2, 1]), ints("strides", &[2, 1])],
        );
    }
    let last = sketch.last().to_owned();
    sketch.graph.initializer.push(constant("scale", &[], &[0.1f32]));
    let model = sketch.node_of("QuantizeLinear", &[&last, "scale"], &[], vec![]).finish(&[1, 2, 2]);
    attempt(&model.encode_to_vec()).unwrap();
}

#[test]
fn dimensions_without_end() {
    let model = Sketch::new(&[4], 98).with_ints("Unsqueeze", &(2..5000).collect::<Vec<_>>(), vec![]).finish(&[4]);
    refused(&model, "its axes are");
}

/// Weights without scales, and a bias that no step counts.
#[test]
fn scales_that_are_none() {
    let mut sketch = Sketch::new(&[2], 99);
    let graph = &mut sketch.graph.initializer;
    graph.push(constant("w", &[2, 2], &[1i8, 2, 3, 4]));
    graph.push(constant::<f32>("scales", &[0], &[]));
    let model = sketch.node_of("DequantizeLinear", &["w", "scales"], &[], vec![int("axis", 7)]).finish(&[2]);
    refused(&model, "of which one is 0");
    let mut sketch = Sketch::new(&[2], 100);
    let graph = &mut sketch.graph.initializer;
    graph.push(constant("w", &[2, 2], &[1i8, 2, 3, 4]));
    graph.push(constant("scale", &[], &[2e-38f32]));
    graph.push(constant("bias", &[2], &[3e38f32, -3e38]));
    let model = sketch
        .node_of("DequantizeLinear", &["w", "scale"], &[], vec![])
        .node_of("Gemm", &["input", "dequantizelinear0", "bias"], &[], vec![])
        .finish(&[2]);
    let error = format!("{:#}", attempt(&model.encode_to_vec()).unwrap_err());
    assert!(error.contains("past int32"), "{error}");
}

/// The gate's dimensions are swapped: the product is none that one table answers with.
#[test]
fn a_gate_in_another_order_is_no_gate() {
    let model = Sketch::new(&[2, 3, 3], 101)
        .node("Sigmoid", &[], vec![])
        .node("Transpose", &[], vec![ints("perm", &[0, 1, 3, 2])])
        .node_of("Mul", &["input", "transpose1"], &[], vec![])
        .finish(&[2, 3, 3]);
    refused(&model, "or another order");
}

/// A dense layer that gives an image has more rows than channels, each of which is scaled.
#[test]
fn batch_norm_behind_a_vector_that_became_an_image() {
    let model = Sketch::new(&[3], 102)
        .node("Gemm", &[&[3, 12], &[12]], vec![])
        .with_ints("Reshape", &[0, 2, 2, 3], vec![])
        .batch_normalization(2)
        .node("Conv", &[&[1, 2, 1, 1]], vec![])
        .finish(&[1, 2, 3]);
    agrees(&model, &[3]);
}
