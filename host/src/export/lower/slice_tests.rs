//! Slice, Split and Gather: against tract.

use super::super::proto::{constant, int, ints, node};
use super::super::sketch::Sketch;
use super::branch_tests::refusal;
use super::tests::{agrees, kinds};
use tract_onnx::pb::ModelProto;

/// `sketch` with a Slice behind it, whose lists are inputs, or attributes up to opset 9.
fn sliced(sketch: Sketch, lists: [&[i64]; 4], opset: i64) -> Sketch {
    if opset < 10 {
        let names = ["starts", "ends", "axes", "steps"];
        let attributes = names.iter().zip(lists).filter(|(name, _)| **name != "steps").map(|(name, list)| {
            let mut attribute = ints(name, &[]);
            attribute.ints = list.to_vec();
            attribute
        });
        return sketch.node("Slice", &[], attributes.collect());
    }
    sketch.slice(lists)
}

#[test]
fn slices_of_rows_columns_and_channels() {
    for opset in [8, 9, 13, 18] {
        let sketch = Sketch::new(&[6, 9, 8], 51).node("Conv", &[&[6, 6, 1, 1]], vec![]);
        let steps: &[i64] = if opset < 10 { &[1, 1] } else { &[2, 3] };
        // Rows from the second on, but for the last two; channels from the last but four to what lies beyond the end.
        let sketch = sliced(sketch, [&[1, -5], &[-2, i64::MAX], &[2, 1], steps], opset);
        let sides: &[usize] = if opset < 10 { &[5, 6, 8] } else { &[2, 3, 8] };
        let mut model = sketch.node("Relu", &[], vec![]).finish(sides);
        model.opset_import[0].version = opset;
        // The convolution clamps what is left out, too.
        assert_eq!(kinds(&agrees(&model, &[6, 9, 8])), ["conv2d+relu", "slice"], "{opset}");
    }
    // Of an NHWC net no transpose is left, and what takes everything is nothing.
    let sketch = Sketch::new(&[7, 6, 4], 52).node("Transpose", &[], vec![ints("perm", &[0, 3, 1, 2])]);
    let sketch =
        sketch.node("Conv", &[&[4, 4, 3, 3]], vec![]).node("Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])]);
    let sketch = sliced(sketch, [&[0, 1, 2], &[9, 3, 4], &[1, 2, -1], &[1; 3]], 18);
    let model = sketch.with_ints("Reshape", &[1, 20], vec![]).node("Gemm", &[&[20, 3]], vec![]).finish(&[3]);
    assert_eq!(kinds(&agrees(&model, &[7, 6, 4])), ["conv2d", "slice", "dense"]);
    let vector = Sketch::new(&[6], 53).node("Gemm", &[&[6, 9]], vec![]);
    let model = sliced(vector, [&[2], &[8], &[1], &[2]], 18).node("Gemm", &[&[3, 2]], vec![]).finish(&[2]);
    assert_eq!(kinds(&agrees(&model, &[6])), ["dense", "slice", "dense"]);
}

#[test]
fn what_a_slice_cannot_be() {
    let said = |lists: [&[i64]; 4]| refusal(&sliced(Sketch::new(&[4, 5, 5], 54), lists, 18).finish(&[4, 5, 5]));
    assert!(said([&[-1], &[i64::MIN], &[2], &[-1]]).contains("its step -1 goes backwards; use positive steps"));
    assert!(said([&[3], &[3], &[1], &[1]]).contains("it takes nothing of dimension 1, 4 long"));
    assert!(said([&[1], &[1], &[0], &[1]]).contains("it takes nothing of dimension 0, 1 long"));
    assert!(said([&[0, 0], &[1, 1], &[1, -3], &[1, 1]]).contains("names dimension 1 twice"));
    assert!(said([&[0], &[1, 1], &[1], &[1]]).contains("1 starts, 2 ends, 1 axes and 1 steps"));
    assert!(said([&[0], &[1], &[4], &[1]]).contains("its axis 4 is none of 4 dimensions"));
    let flat = sliced(Sketch::new(&[4, 5, 5], 55).node("Flatten", &[], vec![]), [&[0], &[50], &[1], &[1]], 18);
    assert!(refusal(&flat.finish(&[50])).contains("slice before the dimensions are joined"));
}

/// A model whose channels are split in parts, each of which goes another way.
fn split(opset: i64, parts: [i64; 2]) -> ModelProto {
    let mut sketch = Sketch::new(&[3, 5, 5], 56).node("Conv", &[&[5, 3, 3, 3]], vec![]);
    let mut attributes = vec![int("axis", 1)];
    let mut inputs = vec!["conv0"];
    if opset < 13 {
        attributes.push(ints("split", &parts.map(|part| part as usize)));
    } else {
        sketch.graph.initializer.push(constant("parts", &[2], &parts));
        inputs.push("parts");
    }
    let mut node = node("Split", &inputs, "left", attributes);
    node.output.push("right".into());
    sketch.graph.node.push(node);
    let mut model = sketch
        .node_of("Relu", &["left"], &[], vec![])
        .node_of("Concat", &["right", "relu2"], &[], vec![int("axis", 1)])
        .finish(&[5, 3, 3]);
    model.opset_import[0].version = opset;
    model
}

#[test]
fn a_split_is_a_slice_a_part() {
    for opset in [11, 13] {
        let network = agrees(&split(opset, [2, 3]), &[3, 5, 5]);
        // The right part is not rectified, so that the convolution cannot do it.
        assert_eq!(kinds(&network), ["conv2d", "slice", "slice", "clip", "concat"]);
    }
    let said = refusal(&split(13, [2, 2]));
    assert!(said.contains("it splits 5 values into 2 parts of [2, 2]; let the parts make up the whole"), "{said}");
}

#[test]
fn a_gather_of_places_at_equal_distances_is_a_slice() {
    let gathered = |indices: &[i64], scalar: bool| {
        let mut sketch = Sketch::new(&[5, 9], 57).node("Conv", &[&[4, 5, 2]], vec![]);
        let dims: &[usize] = if scalar { &[] } else { &[indices.len()] };
        sketch.graph.initializer.push(constant("places", dims, indices));
        sketch.node_of("Gather", &["conv0", "places"], &[], vec![int("axis", 2)])
    };
    let last = gathered(&[-1], true).node("Gemm", &[&[4, 3]], vec![]).finish(&[3]);
    assert_eq!(kinds(&agrees(&last, &[5, 9])), ["conv2d", "slice", "dense"]);
    let some = gathered(&[1, 4, 7], false).finish(&[4, 3]);
    assert_eq!(kinds(&agrees(&some, &[5, 9])), ["conv2d", "slice"]);
    let said = |indices: &[i64]| refusal(&gathered(indices, false).finish(&[4, 3]));
    assert!(said(&[1, 4, 5]).contains("it takes the indices [1, 4, 5]; use constant indices at equal distances"));
    assert!(said(&[4, 3, 2]).contains("at equal distances, in ascending order"));
    assert!(said(&[8]).contains("it takes the indices [8] of a dimension of 8"));
}
