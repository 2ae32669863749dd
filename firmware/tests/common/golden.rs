//! Cases whose answers come from a separate program over exact fractions. Their values are the sequence
//! `x ← (1103515245·x + 12345) mod 2³¹`, each value bits 16 to 23 of `x`, less 128.
//!
//! The tests on the target (`boards/on-target`) use them too, so nothing here needs `std`.
#![allow(dead_code, reason = "each user takes a part")]

use firmware::kernels::{Conv2d, Dense, OutputStage, Shape, Window};

pub fn lcg<const N: usize>(seed: u32) -> [i8; N] {
    let mut state = seed;
    core::array::from_fn(|_| {
        state = (state.wrapping_mul(1_103_515_245).wrapping_add(12_345)) & 0x7fff_ffff;
        (((state >> 16) % 256) as i32 - 128) as i8
    })
}

/// Output channels, kernel height, kernel width, input channels.
pub const CONV2D_SHAPE: [usize; 4] = [3, 3, 2, 2];

pub fn conv2d_input() -> [i8; 60] {
    lcg(1)
}

pub fn conv2d_weights() -> [i8; 36] {
    lcg(2)
}

/// With stride, padding, pool and ReLU.
pub fn conv2d(weights: &[i8]) -> Conv2d<'_> {
    Conv2d {
        input: Shape { height: 5, width: 6, channels: 2 },
        output: Shape { height: 2, width: 4, channels: 3 },
        window: Window { kernel: [3, 2], stride: [1, 2], padding: [1, 1, 0, 1] },
        pool: [2, 1],
        input_zero_point: -7,
        weights,
        stage: OutputStage {
            bias: &[-3000, 1234, 777],
            multipliers: &[3_000_000, 2_500_000, 4_000_001],
            left_shift: 2,
            zero_point: 4,
            output_min: 4,
            output_max: 127,
        },
    }
}

pub const CONV2D_OUTPUT: [i8; 24] =
    [4, 4, 4, 72, 73, 12, 81, 6, 39, 72, 4, 67, 10, 4, 69, 29, 109, 50, 71, 7, 41, 4, 4, 4];

/// Outputs, inputs.
pub const DENSE_SHAPE: [usize; 2] = [4, 11];

pub fn dense_input() -> [i8; 11] {
    lcg(3)
}

pub fn dense_weights() -> [i8; 44] {
    lcg(4)
}

pub fn dense(weights: &[i8]) -> Dense<'_> {
    let stage = OutputStage {
        bias: &[5, -20_000, 40_000, 0],
        multipliers: &[9_000_000, i32::MAX, 1, 123_456_789],
        left_shift: 0,
        zero_point: -3,
        output_min: -128,
        output_max: 127,
    };
    Dense { inputs: 11, outputs: 4, weights, stage }
}

pub const DENSE_ACTIVATIONS: [i8; 4] = [23, -128, -3, 127];
pub const DENSE_LOGITS: [i32; 4] = [26, -4220, 0, 494];
