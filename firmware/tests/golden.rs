//! Kernels against the vectors of `common/golden.rs`.

#[path = "common/golden.rs"]
mod golden;

use firmware::kernels::variants::{VARIANTS, Variant};
use firmware::kernels::{Dense, OutputStage, packing, reference};
use golden::{CONV2D_OUTPUT, CONV2D_SHAPE, DENSE_ACTIVATIONS, DENSE_LOGITS, lcg};

/// What the reference, or a form for which the weights are packed, gives for the sequence from 3.
fn logits(variant: Option<&Variant>, dense: Dense<'_>) -> Vec<i32> {
    let mut output = vec![77; dense.outputs];
    let input = &golden::dense_input()[..dense.inputs];
    match variant {
        None => reference::dense_logits(&dense, input, &mut output, &mut []),
        Some(variant) => {
            let packed = packing::dense(variant.packing, dense.weights, [dense.outputs, dense.inputs]);
            (variant.dense_logits)(&Dense { weights: &packed, ..dense }, input, &mut output, &mut []);
        }
    }
    output
}

#[test]
fn the_sequence_is_the_same() {
    assert_eq!(lcg(1), [70, -2, 1, -21]);
    assert_eq!(lcg(2), [12, -95, 127, -14]);
}

#[test]
fn conv2d_with_stride_padding_pool_and_relu() {
    let (input, weights) = (golden::conv2d_input(), golden::conv2d_weights());
    let conv = golden::conv2d(&weights);
    let mut output = [77; 24];
    reference::conv2d(&conv, &input, &mut output, &mut []);
    assert_eq!(output, CONV2D_OUTPUT);
    // Winograd's form is for another geometry.
    let fits =
        |packing| packing::conv2d_bytes(packing, conv.output.channels, conv.input, conv.window, conv.pool).is_some();
    for variant in VARIANTS.iter().filter(|variant| fits(variant.packing)) {
        let packed = packing::conv2d(variant.packing, &weights, CONV2D_SHAPE);
        let mut scratch = vec![0; (variant.conv2d_scratch_bytes)(conv.input, conv.window, conv.pool) / 4];
        output.fill(77);
        (variant.conv2d)(&golden::conv2d(&packed), &input, &mut output, &mut scratch);
        assert_eq!(output, CONV2D_OUTPUT, "{}", variant.name);
    }
}

#[test]
fn dense_activations_and_logits() {
    let weights = golden::dense_weights();
    let dense = golden::dense(&weights);
    let mut activations = [77; 4];
    reference::dense(&dense, &golden::dense_input(), &mut activations, &mut []);
    assert_eq!(activations, DENSE_ACTIVATIONS);
    assert_eq!(logits(None, dense), DENSE_LOGITS);
    for variant in VARIANTS {
        assert_eq!(logits(Some(variant), dense), DENSE_LOGITS, "{}", variant.name);
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
