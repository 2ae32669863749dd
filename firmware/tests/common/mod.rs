//! A small model that has every op.
#![allow(dead_code, reason = "each test file uses a part")]

use firmware::kernels::{Shape, Window, packing};
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Tensor};

/// A deterministic sequence of bytes.
pub fn bytes(seed: u32, length: usize) -> Vec<i8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state >> 11) as i8
    };
    (0..length).map(step).collect()
}

pub fn tensor(offset: usize, shape: [usize; 3], element: Element) -> Tensor {
    let [height, width, channels] = shape;
    Tensor { offset, shape: Shape { height, width, channels }, element, zero_point: -5, scale: 0.25 }
}

pub fn stage(channels: usize) -> OutputStageSpec {
    OutputStageSpec {
        bias: bytes(9, channels).into_iter().map(|bias| i32::from(bias) * 8).collect(),
        multipliers: (0..channels as i32).map(|channel| 1_000_000 + 77_777 * channel).collect(),
        left_shift: 3,
        output_min: -100,
        output_max: 120,
    }
}

/// `7×6×2 ── conv 3×3, pool 2 ──▶ 3×3×5 ── max-pool 2, stride 1 ──▶ 2×2×5 ── dense ──▶ 6 ── dense ──▶ 3 logits`.
pub fn model(packing: u8) -> ModelBuilder {
    let op = |input, output, parameters| OpSpec { input, output, packing, parameters };
    let conv = Parameters::Conv2d {
        weights: packing::conv2d(packing, &bytes(1, 90), [5, 3, 3, 2]),
        output_stage: stage(5),
        window: Window { kernel: [3, 3], stride: [1, 1], padding: [0, 1, 1, 1] },
        pool: [2, 2],
    };
    let pool = Parameters::MaxPool2d { window: Window { kernel: [2, 2], stride: [1, 1], padding: [0; 4] } };
    let hidden =
        Parameters::Dense { weights: packing::dense(packing, &bytes(2, 120), [6, 20]), output_stage: stage(6) };
    let logits = Parameters::Dense { weights: packing::dense(packing, &bytes(3, 18), [3, 6]), output_stage: stage(3) };
    ModelBuilder {
        name: "tiny".into(),
        labels: ["one", "two", "drei"].map(String::from).to_vec(),
        tensors: vec![
            tensor(0, [7, 6, 2], Element::I8),
            tensor(84, [3, 3, 5], Element::I8),
            tensor(0, [2, 2, 5], Element::I8),
            tensor(20, [1, 1, 6], Element::I8),
            tensor(0, [1, 1, 3], Element::I32),
        ],
        ops: vec![op(0, 1, conv), op(1, 2, pool), op(2, 3, hidden), op(3, 4, logits)],
        input: 0,
        output: 4,
        text: None,
    }
}
