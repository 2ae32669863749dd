//! Writes the seeds of the importer's fuzzer, nets of a few hundred bytes that show all operators: `cargo run --release --package
//! host --example seeds -- tests/fuzz/corpus/importer`.

use anyhow::{Context, Result};
use host::export::proto::{constant, float, int, ints, open, text};
use host::export::sketch::Sketch;
use prost::Message;
use std::fs;
use std::path::Path;
use tract_onnx::pb::ModelProto;
use tract_onnx::pb::tensor_proto::DataType;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("name a folder to write into")?;
    let seeds = [
        ("plain", plain()),
        ("branches", branches()),
        ("gates", gates()),
        ("generator", generator()),
        ("sequence", sequence()),
        ("channels-last", channels_last()),
        ("quantized", quantized()),
        ("qoperator", ModelProto::decode(&include_bytes!("../tests/zoo/qoperator.onnx")[..])?),
        ("folded", folded()),
        ("sliced", sliced()),
        ("lstm", lstm()),
    ];
    for (name, model) in seeds {
        fs::write(Path::new(&folder).join(name).with_extension("onnx"), model.encode_to_vec())?;
    }
    // Eight bytes are a seed of a drawn graph.
    fs::write(Path::new(&folder).join("drawn"), 1u64.to_le_bytes())?;
    Ok(())
}

fn plain() -> ModelProto {
    let pool = vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])];
    Sketch::new(&[1, 6, 6], 1)
        .node("Conv", &[&[2, 1, 3, 3], &[2]], vec![ints("pads", &[1, 1, 1, 1])])
        .batch_normalization(2)
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], pool)
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[3, 18], &[3]], vec![int("transB", 1)])
        .node("Softmax", &[], vec![])
        .finish(&[3])
}

fn branches() -> ModelProto {
    Sketch::new(&[2, 5, 5], 2)
        .with_ints("Pad", &[0, 0, 1, 1, 0, 0, 1, 1], vec![])
        .node("Conv", &[&[2, 2, 3, 3]], vec![])
        .node_of("Conv", &["conv1"], &[&[2, 1, 2, 2]], vec![int("group", 2), ints("dilations", &[2, 2])])
        .node_of("AveragePool", &["conv1"], &[], vec![ints("kernel_shape", &[3, 3]), int("ceil_mode", 1)])
        .node_of("Add", &["conv2", "averagepool3"], &[], vec![])
        .node_of("Concat", &["add4", "conv2", "averagepool3", "add4"], &[], vec![int("axis", 1)])
        .with_ints("ReduceMean", &[2, 3], vec![])
        .finish(&[8, 1, 1])
}

fn gates() -> ModelProto {
    Sketch::new(&[2, 3, 3], 3)
        .node("Mul", &[&[2, 1, 1]], vec![])
        .node("Conv", &[&[2, 2, 1, 1]], vec![text("auto_pad", "SAME_UPPER")])
        .node("Sigmoid", &[], vec![])
        .node_of("Mul", &["sigmoid2", "conv1"], &[], vec![])
        .node("HardSwish", &[], vec![])
        .node("LeakyRelu", &[], vec![float("alpha", 0.1)])
        .node("Clip", &[], vec![])
        .node("GlobalMaxPool", &[], vec![])
        .finish(&[2, 1, 1])
}

fn generator() -> ModelProto {
    Sketch::new(&[3], 4)
        .node("Gemm", &[&[3, 8], &[8]], vec![])
        .with_ints("Reshape", &[0, 2, 2, 2], vec![])
        .batch_normalization(2)
        .node("ConvTranspose", &[&[2, 1, 3, 3], &[1]], vec![ints("strides", &[2, 2])])
        .node("Tanh", &[], vec![])
        .finish(&[1, 5, 5])
}

fn sequence() -> ModelProto {
    Sketch::new(&[2, 8], 5)
        .node("Conv", &[&[3, 2, 3], &[3]], vec![ints("pads", &[1, 1])])
        .node("GlobalAveragePool", &[], vec![])
        .with_ints("Squeeze", &[2], vec![])
        .node("MatMul", &[&[3, 2]], vec![])
        .node("Add", &[&[2]], vec![])
        .finish(&[2])
}

fn channels_last() -> ModelProto {
    Sketch::new(&[4, 4, 2], 6)
        .node("Transpose", &[], vec![ints("perm", &[0, 3, 1, 2])])
        .node("Conv", &[&[2, 2, 1, 1]], vec![])
        .node("Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])])
        .with_ints("Reshape", &[-1, 32], vec![])
        .node("MatMul", &[&[32, 2]], vec![])
        .finish(&[2])
}

/// Weights and an activation in QDQ form.
fn quantized() -> ModelProto {
    let mut sketch = Sketch::new(&[2], 7);
    let constants = [constant("scale", &[], &[0.02f32]), constant("weight scale", &[2], &[0.01f32, 0.02])];
    sketch.graph.initializer.extend(constants);
    sketch.graph.initializer.push(constant("zero", &[], &[3i8]));
    sketch.graph.initializer.push(constant("weights", &[2, 2], &[1i8, -100, 127, 5]));
    sketch
        .node_of("QuantizeLinear", &["input", "scale", "zero"], &[], vec![])
        .node_of("DequantizeLinear", &["quantizelinear0", "scale", "zero"], &[], vec![])
        .node_of("DequantizeLinear", &["weights", "weight scale"], &[], vec![int("axis", 1)])
        .node_of("Gemm", &["dequantizelinear1", "dequantizelinear2"], &[], vec![])
        .finish(&[2])
}

/// A slice, and an index of what is left.
fn sliced() -> ModelProto {
    let mut sketch = Sketch::new(&[3, 4, 4], 9).node("Conv", &[&[4, 3, 1, 1]], vec![]);
    sketch.graph.initializer.push(constant("last", &[], &[-1i64]));
    sketch
        .slice([&[1, 0], &[3, 4], &[1, 2], &[1, 2]])
        .node_of("Gather", &["slice1", "last"], &[], vec![int("axis", 3)])
        .node("Split", &[], vec![int("axis", 2)])
        .finish(&[2, 2])
}

/// Tokens, two LSTMs, the last state of the second.
fn lstm() -> ModelProto {
    let sketch = Sketch::new(&[3], 10).node("Transpose", &[], vec![ints("perm", &[1, 0])]).embedding(4, 2);
    let sketch = sketch.lstm(2, 2).with_ints("Squeeze", &[1], vec![]).lstm(2, 1);
    let sketch = sketch.node_of("Concat", &["lstm4.last"], &[], vec![int("axis", 0)]);
    let mut model = sketch.with_ints("Squeeze", &[0], vec![]).node("Gemm", &[&[1, 2]], vec![]).finish(&[2]);
    if let Some(graph) = &mut model.graph {
        graph.input = vec![open("input", DataType::Int64, &["N", "3"])];
    }
    model
}

/// A shape that is worked out of the input's.
fn folded() -> ModelProto {
    let mut sketch = Sketch::new(&[2, 3, 3], 8);
    sketch.graph.initializer.push(constant("first", &[1], &[0i64]));
    sketch.graph.initializer.push(constant("rest", &[1], &[-1i64]));
    sketch
        .node_of("Shape", &["input"], &[], vec![])
        .node_of("Gather", &["shape0", "first"], &[], vec![])
        .node_of("Concat", &["gather1", "rest"], &[], vec![int("axis", 0)])
        .node_of("Reshape", &["input", "concat2"], &[], vec![])
        .node("Gemm", &[&[18, 2]], vec![])
        .finish(&[2])
}
