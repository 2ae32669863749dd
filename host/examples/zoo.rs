//! Writes small ONNX models with random weights, and inputs for each, into a folder: `cargo run --example zoo -- DIR`.
//!
//! The four of MLPerf Tiny have their published shapes; the others each show what import has to cope with. `tests/import.sh`
//! exports, verifies and counts them.

use anyhow::{Context, Result};
use host::export::proto::{constant, int, ints, node, text};
use host::export::sketch::Sketch;
use npyz::WriterBuilder;
use prost::Message;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fs::{self, File};
use std::path::Path;
use tract_onnx::pb::ModelProto;

/// Inputs a model.
const INPUTS: usize = 50;

/// A model, the sides of its input, and the opset that it is written in.
type Zoo = (&'static str, ModelProto, &'static [usize], i64);

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).context("name a folder to write into")?;
    fs::create_dir_all(&folder)?;
    let zoo: [Zoo; 16] = [
        ("resnet8", resnet8(), &[3, 32, 32], 18),
        ("ds-cnn", ds_cnn(), &[1, 49, 10], 18),
        ("mobilenet-v1-025", mobilenet(), &[3, 96, 96], 18),
        ("autoencoder-640", autoencoder(640, 128, 8), &[640], 18),
        ("plain", plain(), &[1, 20, 20], 8),
        ("residual", residual(), &[3, 16, 16], 13),
        ("separable", separable(), &[3, 24, 24], 18),
        ("dense-autoencoder", autoencoder(100, 32, 6), &[100], 22),
        ("sequence", sequence(), &[6, 64], 14),
        ("channels-last", channels_last(), &[16, 16, 3], 22),
        ("shuffled", shuffled(), &[3, 20, 20], 13),
        ("excited", excited(), &[3, 18, 18], 18),
        ("lstm-features", lstm_features(), &[32, 8], 14),
        // Tokens, by PyTorch: host/tests/zoo/export.py.
        ("lstm-tokens", ModelProto::decode(&include_bytes!("../tests/zoo/torch-lstm.onnx")[..])?, &[24], 14),
        // Quantized by ONNX Runtime: host/tests/zoo/quantize.py.
        ("qoperator", ModelProto::decode(&include_bytes!("../tests/zoo/qoperator.onnx")[..])?, &[2, 8, 8], 13),
        ("qdq", ModelProto::decode(&include_bytes!("../tests/zoo/qdq.onnx")[..])?, &[2, 8, 8], 13),
    ];
    for (name, mut model, sides, opset) in zoo {
        model.opset_import[0].version = opset;
        let path = Path::new(&folder).join(name);
        fs::write(path.with_extension("onnx"), model.encode_to_vec())?;
        let rows = if name == "lstm-tokens" { 50 } else { 0 };
        write_inputs(&path.with_extension("npy"), sides, rows)?;
    }
    Ok(())
}

/// Inputs that differ in more than noise: each is a slow wave over its values, with noise on it; whole numbers below `rows`,
/// where that is not 0.
fn write_inputs(path: &Path, sides: &[usize], rows: u8) -> Result<()> {
    let shape: Vec<u64> = [INPUTS].iter().chain(sides).map(|&side| side as u64).collect();
    let length: usize = sides.iter().product();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(7);
    let mut file = File::create(path)?;
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut file).begin_nd()?;
    for _ in 0..INPUTS {
        let [waves, phase, level] = [(0.5, 9.0), (0.0, 6.3), (0.2, 0.8)].map(|(a, b)| random.random_range(a..b));
        for index in 0..length {
            let wave: f32 = (waves * index as f32 / length as f32 * 6.3 + phase).sin();
            let value = level + 0.3 * wave + random.random_range(-0.1..0.1f32);
            writer.push(&if rows == 0 { value } else { (value.clamp(0.0, 0.99) * f32::from(rows)).floor() })?;
        }
    }
    Ok(writer.finish()?)
}

/// A convolution with batch norm.
trait Layers: Sized {
    fn conv(self, from: &str, weights: [usize; 4], stride: usize, group: usize) -> Self;
    fn conv_relu(self, weights: [usize; 4], stride: usize, group: usize) -> Self;
}

impl Layers for Sketch {
    fn conv(self, from: &str, weights: [usize; 4], stride: usize, group: usize) -> Self {
        let channels = weights[0];
        let attributes =
            vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[stride; 2]), int("group", group as i64)];
        self.node_of("Conv", &[from], &[&weights], attributes).batch_normalization(channels)
    }

    fn conv_relu(self, weights: [usize; 4], stride: usize, group: usize) -> Self {
        let from = self.last().to_owned();
        self.conv(&from, weights, stride, group).node("Relu", &[], vec![])
    }
}

/// Two 3×3 convolutions beside the identity, or beside a 1×1 convolution where the shape changes.
fn block(sketch: Sketch, from: usize, to: usize, stride: usize) -> Sketch {
    let input = sketch.last().to_owned();
    let sketch = sketch.conv_relu([to, from, 3, 3], stride, 1);
    let middle = sketch.last().to_owned();
    let mut sketch = sketch.conv(&middle, [to, to, 3, 3], 1, 1);
    let long = sketch.last().to_owned();
    let mut short = input.clone();
    if stride != 1 || from != to {
        sketch = sketch.conv(&input, [to, from, 1, 1], stride, 1);
        short = sketch.last().to_owned();
    }
    sketch.node_of("Add", &[&long, &short], &[], vec![]).node("Relu", &[], vec![])
}

fn head(sketch: Sketch, channels: usize, classes: usize) -> ModelProto {
    sketch
        .node("GlobalAveragePool", &[], vec![])
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[classes, channels], &[classes]], vec![int("transB", 1)])
        .finish(&[classes])
}

fn resnet8() -> ModelProto {
    let sketch = Sketch::initialized(&[3, 32, 32], 1).conv_relu([16, 3, 3, 3], 1, 1);
    head(block(block(block(sketch, 16, 16, 1), 16, 32, 2), 32, 64, 2), 64, 10)
}

fn ds_cnn() -> ModelProto {
    let mut sketch = Sketch::initialized(&[1, 49, 10], 2).conv_relu([64, 1, 10, 4], 2, 1);
    for _ in 0..4 {
        sketch = sketch.conv_relu([64, 1, 3, 3], 1, 64).conv_relu([64, 64, 1, 1], 1, 1);
    }
    head(sketch, 64, 12)
}

fn mobilenet() -> ModelProto {
    let mut sketch = Sketch::initialized(&[3, 96, 96], 3).conv_relu([8, 3, 3, 3], 2, 1);
    let mut from = 8;
    let blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)];
    let blocks = blocks.into_iter().chain([(128, 1); 5]).chain([(256, 2), (256, 1)]);
    for (to, stride) in blocks {
        sketch = sketch.conv_relu([from, 1, 3, 3], stride, from).conv_relu([to, from, 1, 1], 1, 1);
        from = to;
    }
    head(sketch, 256, 2)
}

fn autoencoder(inputs: usize, wide: usize, narrow: usize) -> ModelProto {
    let mut sketch = Sketch::initialized(&[inputs], 4);
    let mut from = inputs;
    for to in [wide, wide, wide, wide, narrow, wide, wide, wide, wide] {
        sketch = sketch.node("Gemm", &[&[to, from], &[to]], vec![int("transB", 1)]).batch_normalization(to).node(
            "Relu",
            &[],
            vec![],
        );
        from = to;
    }
    sketch.node("Gemm", &[&[inputs, from], &[inputs]], vec![int("transB", 1)]).finish(&[inputs])
}

fn pool2() -> Vec<tract_onnx::pb::AttributeProto> {
    vec![ints("kernel_shape", &[2, 2]), ints("strides", &[2, 2])]
}

fn plain() -> ModelProto {
    Sketch::initialized(&[1, 20, 20], 5)
        .node("Conv", &[&[8, 1, 3, 3], &[8]], vec![])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], pool2())
        .node("Conv", &[&[12, 8, 3, 3], &[12]], vec![])
        .node("Sigmoid", &[], vec![])
        .node("AveragePool", &[], pool2())
        .node("Flatten", &[], vec![])
        .node("Gemm", &[&[108, 10], &[10]], vec![])
        .node("Softmax", &[], vec![])
        .finish(&[10])
}

fn residual() -> ModelProto {
    let sketch = Sketch::initialized(&[3, 16, 16], 6).conv_relu([8, 3, 3, 3], 1, 1);
    head(block(block(sketch, 8, 8, 1), 8, 16, 2), 16, 6)
}

/// Inverted residuals with gates, of which one branch is cut in two and joined again.
fn separable() -> ModelProto {
    let sketch = Sketch::initialized(&[3, 24, 24], 7).conv_relu([8, 3, 3, 3], 2, 1);
    let input = sketch.last().to_owned();
    let sketch = sketch.conv(&input, [24, 8, 1, 1], 1, 1).node("HardSwish", &[], vec![]);
    let wide = sketch.last().to_owned();
    let sketch = sketch.conv(&wide, [24, 1, 5, 5], 1, 24);
    let gated = sketch.last().to_owned();
    let sketch = sketch.node("Sigmoid", &[], vec![]);
    let gate = sketch.last().to_owned();
    let sketch = sketch.node_of("Mul", &[&gated, &gate], &[], vec![]);
    let silu = sketch.last().to_owned();
    let sketch = sketch.conv(&silu, [8, 24, 1, 1], 1, 1);
    let narrow = sketch.last().to_owned();
    let sketch = sketch.node_of("Add", &[&narrow, &input], &[], vec![]);
    let sum = sketch.last().to_owned();
    let sketch = sketch.node_of("Concat", &[&sum, &input], &[], vec![int("axis", 1)]);
    head(sketch.conv_relu([16, 16, 1, 1], 1, 1), 16, 5)
}

/// A block whose channels are weighed by what all places say together, and whose places by what all channels say; what all
/// places say is added to each.
fn excited() -> ModelProto {
    let sketch = Sketch::initialized(&[3, 18, 18], 13).conv_relu([12, 3, 3, 3], 2, 1);
    let all = sketch.last().to_owned();
    let sketch = sketch.node("GlobalAveragePool", &[], vec![]);
    let mean = sketch.last().to_owned();
    let sketch = sketch
        .node("Conv", &[&[4, 12, 1, 1], &[4]], vec![])
        .node("Relu", &[], vec![])
        .node("Conv", &[&[12, 4, 1, 1], &[12]], vec![])
        .node("Sigmoid", &[], vec![]);
    let gate = sketch.last().to_owned();
    let sketch = sketch.node_of("Mul", &[&all, &gate], &[], vec![]);
    let weighed = sketch.last().to_owned();
    let sketch = sketch.node("Conv", &[&[1, 12, 1, 1], &[1]], vec![]).node("Sigmoid", &[], vec![]);
    let places = sketch.last().to_owned();
    let sketch = sketch.node_of("Mul", &[&places, &weighed], &[], vec![]);
    let both = sketch.last().to_owned();
    let sketch = sketch.node_of("Add", &[&both, &mean], &[], vec![]);
    head(sketch.conv_relu([16, 12, 3, 3], 2, 1), 16, 5)
}

/// The middle of a picture; then half of the channels go through a block and the other half past it (Ma et al. 2018).
fn shuffled() -> ModelProto {
    let mut sketch = Sketch::initialized(&[3, 20, 20], 11).slice([&[2, 2], &[-2, -2], &[2, 3], &[1, 1]]).conv_relu(
        [16, 3, 3, 3],
        2,
        1,
    );
    let whole = sketch.last().to_owned();
    sketch.graph.initializer.push(constant("halves", &[2], &[8i64, 8]));
    let mut split = node("Split", &[&whole, "halves"], "past", vec![int("axis", 1)]);
    split.output.push("through".into());
    sketch.graph.node.push(split);
    let sketch = sketch.conv("through", [8, 8, 1, 1], 1, 1).node("Relu", &[], vec![]);
    let narrow = sketch.last().to_owned();
    let sketch = sketch.conv(&narrow, [8, 1, 3, 3], 1, 8).conv_relu([8, 8, 1, 1], 1, 1);
    let through = sketch.last().to_owned();
    let sketch = sketch.node_of("Concat", &["past", &through], &[], vec![int("axis", 1)]);
    // Every other channel, row and column.
    let sketch = sketch.slice([&[1, 0, 0], &[16, 8, 8], &[1, 2, 3], &[2, 2, 2]]);
    head(sketch, 8, 5)
}

fn sequence() -> ModelProto {
    Sketch::initialized(&[6, 64], 8)
        .node("Conv", &[&[16, 6, 5], &[16]], vec![ints("pads", &[2, 2])])
        .node("Relu", &[], vec![])
        .node("MaxPool", &[], vec![ints("kernel_shape", &[2]), ints("strides", &[2])])
        .node("Conv", &[&[16, 1, 3]], vec![int("group", 16), ints("dilations", &[2]), ints("pads", &[2, 2])])
        .batch_normalization(16)
        .node("HardSwish", &[], vec![])
        .node("GlobalAveragePool", &[], vec![])
        .with_ints("Squeeze", &[2], vec![])
        .node("Gemm", &[&[4, 16], &[4]], vec![int("transB", 1)])
        .finish(&[4])
}

/// Two LSTMs over features, and the second's last state.
fn lstm_features() -> ModelProto {
    Sketch::initialized(&[32, 8], 12)
        .node("Transpose", &[], vec![ints("perm", &[1, 0, 2])])
        .lstm(8, 24)
        .with_ints("Squeeze", &[1], vec![])
        .lstm(24, 16)
        .with_ints("Squeeze", &[1], vec![])
        .slice([&[-1], &[i64::MAX], &[0], &[1]])
        .with_ints("Reshape", &[1, 16], vec![])
        .node("Gemm", &[&[16, 5], &[5]], vec![])
        .node("Softmax", &[], vec![])
        .finish(&[5])
}

/// As TensorFlow's converter writes them.
fn channels_last() -> ModelProto {
    Sketch::initialized(&[16, 16, 3], 9)
        .node("Transpose", &[], vec![ints("perm", &[0, 3, 1, 2])])
        .node("Conv", &[&[12, 3, 3, 3], &[12]], vec![text("auto_pad", "SAME_UPPER"), ints("strides", &[2, 2])])
        .node("Relu", &[], vec![])
        .node("Conv", &[&[12, 1, 3, 3], &[12]], vec![int("group", 12), text("auto_pad", "SAME_LOWER")])
        .node("Relu", &[], vec![])
        .node("Transpose", &[], vec![ints("perm", &[0, 2, 3, 1])])
        .with_ints("Reshape", &[-1, 768], vec![])
        .node("MatMul", &[&[768, 7]], vec![])
        .node("Add", &[&[7]], vec![])
        .finish(&[7])
}
