//! The model under test: the geometry of the digit CNN, with random weights, so that every kernel
//! works on the sizes that count.

use firmware::kernels::{Shape, Window, packing};
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Preference, Tensor};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Values of the input, 28 × 28 × 1.
pub const INPUT_BYTES: usize = 784;

/// The container, packed as `packing` says; the same `seed` gives the same weights in every packing.
pub fn container(packing: u8, seed: u64) -> Vec<u8> {
    builder(packing, seed).finish()
}

/// The container with a tensor, which no op touches, at 16 MiB in the arena: more than any board has.
pub fn too_large(packing: u8) -> Vec<u8> {
    let mut builder = builder(packing, 1);
    let last = builder.tensors[0];
    builder.tensors.push(Tensor { offset: 16 << 20, ..last });
    builder.finish()
}

/// The container with a first convolution that needs 94 KB of scratch or more, which no board has: its pool takes 21 blocks
/// of four places. Its op and tensor tables lie where those of [`container`] do.
pub fn too_demanding(packing: u8) -> Vec<u8> {
    let mut builder = builder(packing, 1);
    (builder.tensors[0].offset, builder.tensors[0].shape) = (32, Shape { height: 40, width: 44, channels: 1 });
    builder.tensors[1].shape = Shape::vector(32);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let op = conv2d(packing, &mut random, [32, 36, 1], 32, [9, 9]);
    builder.ops[0] = OpSpec { input: 0, output: 1, ..op };
    builder.finish()
}

/// The container with its first op's weights packed in a way that no version knows.
pub fn unknown_packing(packing: u8) -> Vec<u8> {
    let mut builder = builder(packing, 1);
    builder.ops[0].packing = u8::MAX;
    builder.finish()
}

/// Input number `index`: noise over the whole range.
pub fn input(index: u64) -> Vec<i8> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(index);
    (0..INPUT_BYTES).map(|_| random.random()).collect()
}

fn builder(packing: u8, seed: u64) -> ModelBuilder {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let place = |offset, shape, element| Tensor { offset, shape, element, zero_point: -128, scale: 1.0 / 255.0 };
    let square = |side, channels| Shape { height: side, width: side, channels };
    // The second convolution reads the first's output and writes behind it, over the input.
    let tensors = vec![
        place(5408, square(28, 1), Element::I8),
        place(0, square(13, 32), Element::I8),
        place(5408, square(5, 64), Element::I8),
        place(0, Shape::vector(128), Element::I8),
        place(128, Shape::vector(10), Element::I32),
    ];
    let mut ops = vec![
        conv2d(packing, &mut random, [3, 3, 1], 32, [2, 2]),
        conv2d(packing, &mut random, [3, 3, 32], 64, [2, 2]),
        dense(packing, &mut random, 1600, 128),
        dense(packing, &mut random, 128, 10),
    ];
    for (index, op) in (0..).zip(&mut ops) {
        (op.input, op.output) = (index, index + 1);
    }
    let labels = (0..10).map(|digit| digit.to_string()).collect();
    ModelBuilder { name: "random-cnn".into(), labels, tensors, ops, input: 0, output: 4, text: None }
}

/// A convolution with a kernel of height, width and input channels, ReLU and a max-pool.
fn conv2d(
    packing: u8,
    random: &mut Xoshiro256PlusPlus,
    kernel: [usize; 3],
    outputs: usize,
    pool: [usize; 2],
) -> OpSpec {
    let [height, width, inputs] = kernel;
    let weights = weights(random, outputs * height * width * inputs);
    let output_stage = output_stage(random, &weights, outputs);
    let weights = packing::conv2d(packing, &weights, [outputs, height, width, inputs]);
    let window = Window { kernel: [height, width], stride: [1, 1], padding: [0; 4] };
    op(packing, Parameters::Conv2d { weights, output_stage, window, pool })
}

fn dense(packing: u8, random: &mut Xoshiro256PlusPlus, inputs: usize, outputs: usize) -> OpSpec {
    let weights = weights(random, outputs * inputs);
    let output_stage = output_stage(random, &weights, outputs);
    let weights = packing::dense(packing, &weights, [outputs, inputs]);
    op(packing, Parameters::Dense { weights, output_stage })
}

fn op(packing: u8, parameters: Parameters) -> OpSpec {
    OpSpec { input: 0, output: 0, packing, preference: Preference::default(), parameters }
}

fn weights(random: &mut Xoshiro256PlusPlus, count: usize) -> Vec<i8> {
    (0..count).map(|_| random.random_range(-127..=127)).collect()
}

/// Multipliers that spread the accumulators, about `√taps · 73 · 74` wide, over the output's range:
/// some outputs saturate, most do not. `weights` is `[output][tap]`.
fn output_stage(random: &mut Xoshiro256PlusPlus, weights: &[i8], outputs: usize) -> OutputStageSpec {
    const INPUT_ZERO_POINT: i32 = -128;
    let taps = weights.len() / outputs;
    let spread = (taps as f64).sqrt() * 73.0 * 74.0;
    let sum = |row: &[i8]| row.iter().map(|&weight| i32::from(weight)).sum::<i32>();
    let bias = weights.chunks(taps).map(|row| random.random_range(-2000..2000) - INPUT_ZERO_POINT * sum(row)).collect();
    let multipliers =
        (0..outputs).map(|_| (random.random_range(40.0..120.0) / spread * 2f64.powi(32)).round() as i32).collect();
    OutputStageSpec { bias, multipliers, left_shift: 0, output_min: -128, output_max: 127 }
}
