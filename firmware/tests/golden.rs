//! Kernels against vectors from a separate program over exact fractions, whose inputs are the sequence
//! `x ← (1103515245·x + 12345) mod 2³¹`, each value bits 16 to 23 of `x`, less 128.

use firmware::kernels::variants::{VARIANTS, Variant};
use firmware::kernels::{Conv2d, Dense, OutputStage, Shape, Window, packing, reference};

fn lcg(seed: u32, length: usize) -> Vec<i8> {
    let mut state = seed;
    let step = |_| {
        state = (state.wrapping_mul(1_103_515_245).wrapping_add(12_345)) & 0x7fff_ffff;
        (((state >> 16) % 256) as i32 - 128) as i8
    };
    (0..length).map(step).collect()
}

/// What the reference, or a form for which the weights are packed, gives for `lcg(3, …)`.
fn logits(variant: Option<&Variant>, dense: Dense<'_>) -> Vec<i32> {
    let mut output = vec![77; dense.outputs];
    let input = lcg(3, dense.inputs);
    match variant {
        None => reference::dense_logits(&dense, &input, &mut output, &mut []),
        Some(variant) => {
            let packed = packing::dense(variant.packing, dense.weights, [dense.outputs, dense.inputs]);
            (variant.dense_logits)(&Dense { weights: &packed, ..dense }, &input, &mut output, &mut []);
        }
    }
    output
}

#[test]
fn the_sequence_is_the_same() {
    assert_eq!(lcg(1, 4), [70, -2, 1, -21]);
    assert_eq!(lcg(2, 4), [12, -95, 127, -14]);
}

#[test]
fn conv2d_with_stride_padding_pool_and_relu() {
    let (input, weights) = (lcg(1, 60), lcg(2, 36));
    let stage = OutputStage {
        bias: &[-3000, 1234, 777],
        multipliers: &[3_000_000, 2_500_000, 4_000_001],
        left_shift: 2,
        zero_point: 4,
        output_min: 4,
        output_max: 127,
    };
    let conv = Conv2d {
        input: Shape { height: 5, width: 6, channels: 2 },
        output: Shape { height: 2, width: 4, channels: 3 },
        window: Window { kernel: [3, 2], stride: [1, 2], padding: [1, 1, 0, 1] },
        pool: [2, 1],
        input_zero_point: -7,
        weights: &weights,
        stage,
    };
    let expected = [4, 4, 4, 72, 73, 12, 81, 6, 39, 72, 4, 67, 10, 4, 69, 29, 109, 50, 71, 7, 41, 4, 4, 4];
    let mut output = [77; 24];
    reference::conv2d(&conv, &input, &mut output, &mut []);
    assert_eq!(output, expected);
    for variant in VARIANTS {
        let packed = packing::conv2d(variant.packing, &weights, [3, 3, 2, 2]);
        let mut scratch = vec![0; (variant.conv2d_scratch_bytes)(conv.input, conv.window, conv.pool) / 4];
        output.fill(77);
        (variant.conv2d)(&Conv2d { weights: &packed, ..conv }, &input, &mut output, &mut scratch);
        assert_eq!(output, expected, "{}", variant.name);
    }
}

#[test]
fn dense_activations_and_logits() {
    let weights = lcg(4, 44);
    let stage = OutputStage {
        bias: &[5, -20_000, 40_000, 0],
        multipliers: &[9_000_000, i32::MAX, 1, 123_456_789],
        left_shift: 0,
        zero_point: -3,
        output_min: -128,
        output_max: 127,
    };
    let dense = Dense { inputs: 11, outputs: 4, weights: &weights, stage };
    let mut activations = [77; 4];
    reference::dense(&dense, &lcg(3, 11), &mut activations, &mut []);
    assert_eq!(activations, [23, -128, -3, 127]);
    assert_eq!(logits(None, dense), [26, -4220, 0, 494]);
    for variant in VARIANTS {
        assert_eq!(logits(Some(variant), dense), [26, -4220, 0, 494], "{}", variant.name);
    }
}

/// Ties, signs and extremes: accumulator, left shift, multiplier, logit.
#[test]
fn requantization_rounds_half_up_once() {
    let cases = [
        (1, 0, i32::MAX, 0),
        (1, 1, 1 << 30, 1),
        (-1, 1, 1 << 30, 0),
        (3, 1, 1 << 30, 2),
        (-3, 1, 1 << 30, -1),
        (i32::MAX, 0, i32::MAX, 1_073_741_823),
        (i32::MIN, 0, i32::MAX, -1_073_741_823),
        (i32::MIN, 0, 1, 0),
        (1, 30, 1 << 30, 268_435_456),
        (-5, 0, (1 << 29) + 1, -1),
        (1 << 30, 0, 2, 1),
        (-(1 << 30), 0, 2, 0),
        (-(1 << 30) - 1, 0, 2, -1),
    ];
    for (accumulator, left_shift, multiplier, expected) in cases {
        let stage = OutputStage {
            bias: &[accumulator],
            multipliers: &[multiplier],
            left_shift,
            zero_point: 9,
            output_min: -128,
            output_max: 127,
        };
        // A weight of zero leaves the bias as the accumulator.
        let dense = Dense { inputs: 1, outputs: 1, weights: &[0], stage };
        for variant in [None].into_iter().chain(VARIANTS.iter().map(Some)) {
            let name = variant.map_or("reference", |variant| variant.name);
            assert_eq!(logits(variant, dense), [expected], "{name}: {accumulator} << {left_shift} by {multiplier}");
        }
    }
}
