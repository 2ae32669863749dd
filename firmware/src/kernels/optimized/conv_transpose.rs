//! Transposed convolution: each phase is a convolution without stride, by the form that the weights are packed for, of one row of
//! outputs at a time; then the row's places are put where they belong, a stride apart.

use crate::kernels::variants::Variant;
use crate::kernels::{Conv2d, ConvTranspose2d, Lookup, Phase, Shape, Window, packing};
use crate::words;

/// Bytes of scratch that a transposed convolution from `input` to `output` needs in the form `variant`: a row of outputs, and what
/// the convolutions of its phases need; saturates where they do not fit.
pub fn conv_transpose2d_scratch_bytes(variant: &Variant, input: Shape, output: Shape, window: Window) -> usize {
    let phases = ConvTranspose2d::phases(window);
    let needed = phases.map(|[row, column]| {
        let input = Shape { height: row.taps, ..input };
        (variant.conv2d_scratch_bytes)(input, phase_window(row, column, [0; 4]), [1, 1])
    });
    needed.max().unwrap_or(0).saturating_add(row_words(output, window).saturating_mul(4))
}

/// Transposed convolution in the form `variant`; `scratch` holds [`conv_transpose2d_scratch_bytes`].
pub fn conv_transpose2d(
    variant: &Variant,
    conv: &ConvTranspose2d<'_>,
    input: &[i8],
    output: &mut [i8],
    scratch: &mut [u32],
) {
    let (places, scratch) = scratch.split_at_mut(row_words(conv.output, conv.window));
    let places = words::as_i8_mut(places);
    let Shape { height, width, channels } = conv.output;
    let mut weights = conv.weights;
    for (number, [row, column]) in ConvTranspose2d::phases(conv.window).enumerate() {
        let taps = row.taps * column.taps * conv.input.channels;
        // Sizes that do not fit have been refused.
        let Some((part, rest)) =
            packing::weight_bytes(variant.packing, channels, taps).and_then(|n| weights.split_at_checked(n))
        else {
            return;
        };
        weights = rest;
        let places = &mut places[..column.outputs(width) * channels];
        for (q, y) in (row.number..height).step_by(row.stride).enumerate() {
            let (start, view) = of_row(conv, [row, column], number, part, q);
            (variant.conv2d)(&view, &input[start..], places, scratch);
            let line = &mut output[y * width * channels..][..width * channels];
            put(conv, column, places, line);
        }
    }
}

/// Output row `q` of a phase as a convolution, and where the inputs that it sees start.
fn of_row<'a>(
    conv: &ConvTranspose2d<'a>,
    [row, column]: [Phase; 2],
    number: usize,
    weights: &'a [i8],
    q: usize,
) -> (usize, Conv2d<'a>) {
    let Shape { height, width, channels } = conv.input;
    let (top, first) = (row.lead.saturating_sub(q), q.saturating_sub(row.lead));
    let seen = (row.taps - top).min(height - first);
    let outputs = column.outputs(conv.output.width);
    let right = (outputs + column.taps - 1).saturating_sub(column.lead + width);
    let window = phase_window(row, column, [top, column.lead, row.taps - top - seen, right]);
    let view = Conv2d {
        input: Shape { height: seen, width, channels },
        output: Shape { height: 1, width: outputs, channels: conv.output.channels },
        window,
        pool: [1, 1],
        input_zero_point: conv.input_zero_point,
        weights,
        stage: conv.phase_stage(number),
    };
    (first * width * channels, view)
}

/// Puts the outputs of a phase's row into the line of all outputs.
fn put(conv: &ConvTranspose2d<'_>, column: Phase, places: &[i8], line: &mut [i8]) {
    let channels = conv.output.channels;
    let targets = line.chunks_exact_mut(channels).skip(column.number).step_by(column.stride);
    for (target, place) in targets.zip(places.chunks_exact(channels)) {
        match conv.table {
            Some(table) => crate::kernels::reference::lookup(&Lookup { table }, place, target),
            None => target.copy_from_slice(place),
        }
    }
}

fn phase_window(row: Phase, column: Phase, padding: [usize; 4]) -> Window {
    Window { kernel: [row.taps, column.taps], stride: [1, 1], padding }
}

/// Words that hold a row of the outputs of one phase.
fn row_words(output: Shape, window: Window) -> usize {
    output.width.div_ceil(window.stride[1]).saturating_mul(output.channels).div_ceil(4)
}
