//! The definition of each op: plain loops that read as the formula. Weights lie in the portable packing.

use super::gates;
use super::{
    Add, AveragePool2d, Concat, Conv2d, ConvTranspose2d, Dense, DepthwiseConv2d, Embedding, EmbeddingTable, Lookup,
    Lstm, MaxPool2d, Multiply, OutputStage, Shape, Slice,
};

/// `y[o,y,x] = max over the pool's window of requantize(bias[o] + Σ w[o,ky,kx,c] · x[…])`.
///
/// The input's zero point is folded into the bias, so padded places count with `input_zero_point`. `scratch` is unused.
pub fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], _scratch: &mut [u32]) {
    let shape = conv.output;
    for y in 0..shape.height {
        for x in 0..shape.width {
            for channel in 0..shape.channels {
                let window = (0..conv.pool[0]).flat_map(|py| (0..conv.pool[1]).map(move |px| (py, px)));
                let values = window.map(|(py, px)| {
                    let sum = convolve(conv, input, channel, y * conv.pool[0] + py, x * conv.pool[1] + px);
                    activation(&conv.stage, channel, sum)
                });
                output[(y * shape.width + x) * shape.channels + channel] = values.max().unwrap_or(i8::MIN);
            }
        }
    }
}

/// `y[y,x,c] = requantize(bias[c] + Σ w[c,ky,kx] · x[y · stride + ky − top, x · stride + kx − left, c])`; padded places
/// count with `input_zero_point`. `scratch` is unused.
pub fn depthwise_conv2d(conv: &DepthwiseConv2d<'_>, input: &[i8], output: &mut [i8], _scratch: &mut [u32]) {
    let Shape { height, width, channels } = conv.output;
    let [kernel_height, kernel_width] = conv.window.kernel;
    let [top, left, ..] = conv.window.padding;
    for (index, output) in output.iter_mut().enumerate().take(height * width * channels) {
        let [y, x, channel] = [index / channels / width, index / channels % width, index % channels];
        let mut sum = 0i32;
        for ky in 0..kernel_height {
            for kx in 0..kernel_width {
                let row = (y * conv.window.stride[0] + ky).checked_sub(top).filter(|row| *row < conv.input.height);
                let column = (x * conv.window.stride[1] + kx).checked_sub(left).filter(|at| *at < conv.input.width);
                let value = match (row, column) {
                    (Some(row), Some(column)) => input[(row * conv.input.width + column) * channels + channel],
                    _ => conv.input_zero_point,
                };
                let weight = conv.weights[(channel * kernel_height + ky) * kernel_width + kx];
                sum = sum.wrapping_add(i32::from(weight) * i32::from(value));
            }
        }
        *output = activation(&conv.stage, channel, sum);
    }
}

/// `y[i] = clamp(zero_point + round(((a[i] − zₐ)·m + (b[i] − z_b)·n) / 2^shift))`, halves rounded up.
pub fn add(add: &Add, [a, b]: [&[i8]; 2], output: &mut [i8]) {
    let [m, n] = add.multipliers.map(i64::from);
    for ((output, a), b) in output.iter_mut().zip(a).zip(b) {
        let sum =
            (i64::from(*a) - i64::from(add.zero_points[0])) * m + (i64::from(*b) - i64::from(add.zero_points[1])) * n;
        let rounded = (2 * sum + (1 << add.shift)) >> (add.shift + 1);
        let value = i64::from(add.zero_point) + rounded;
        *output = value.clamp(add.output_min.into(), add.output_max.into()) as i8;
    }
}

/// `y[y,x,c] = clamp(zero_point + ((((a[y,x,c] − zₐ)·(b[y,x,c] − z_b) << left_shift)·m + 2³¹) >> 32))`; of a row, column or channel
/// that b has alone, every y, x or c is that one.
pub fn multiply(multiply: &Multiply, [a, b]: [&[i8]; 2], output: &mut [i8]) {
    let (Shape { height, width, channels }, other) = (multiply.shape, multiply.other);
    let [zero_a, zero_b] = multiply.zero_points.map(i64::from);
    for (index, output) in output.iter_mut().enumerate().take(height * width * channels) {
        let [y, x, channel] = [index / channels / width, index / channels % width, index % channels];
        let [y, x, channel] = [y.min(other.height - 1), x.min(other.width - 1), channel.min(other.channels - 1)];
        let factor = b[(y * other.width + x) * other.channels + channel];
        let product = (i64::from(a[index]) - zero_a) * (i64::from(factor) - zero_b);
        let rounded = ((product << multiply.left_shift) * i64::from(multiply.multiplier) + (1 << 31)) >> 32;
        let value = i64::from(multiply.zero_point) + rounded;
        *output = value.clamp(multiply.output_min.into(), multiply.output_max.into()) as i8;
    }
}

/// For each place, the runs of the inputs one behind the other; there is no faster form.
pub fn concat(concat: &Concat, inputs: [&[i8]; 3], output: &mut [i8]) {
    let outputs = output.chunks_exact_mut(concat.runs.iter().sum());
    for (place, output) in outputs.enumerate().take(concat.count) {
        let mut rest = output;
        for (input, run) in inputs.into_iter().zip(concat.runs) {
            let (values, behind) = rest.split_at_mut(run);
            values.copy_from_slice(&input[place * run..][..run]);
            rest = behind;
        }
    }
}

/// `y[r, k, c] = x[starts + [r, k, c] · steps]`; whole runs of places or channels are copied at once, and there is no faster form.
pub fn slice(slice: &Slice, input: &[i8], output: &mut [i8]) {
    let Slice { input: from, output: to, starts: [top, left, first], steps: [down, right, step] } = *slice;
    let whole_places = right == 1 && step == 1 && from.channels == to.channels;
    for (row, output) in output.chunks_exact_mut(to.width * to.channels).enumerate() {
        let row = (top + row * down) * from.width + left;
        if whole_places {
            output.copy_from_slice(&input[row * from.channels..][..output.len()]);
            continue;
        }
        for (column, output) in output.chunks_exact_mut(to.channels).enumerate() {
            let place = &input[(row + column * right) * from.channels + first..];
            match step {
                0 => output.fill(place[0]),
                1 => output.copy_from_slice(&place[..output.len()]),
                _ => output.iter_mut().zip(place.iter().step_by(step)).for_each(|(output, value)| *output = *value),
            }
        }
    }
}

/// `Σ w[channel,ky,kx,c] · x[y · stride + ky − top, x · stride + kx − left, c]`.
fn convolve(conv: &Conv2d<'_>, input: &[i8], channel: usize, y: usize, x: usize) -> i32 {
    let [kernel_height, kernel_width] = conv.window.kernel;
    let channels = conv.input.channels;
    let mut sum = 0i32;
    for ky in 0..kernel_height {
        for kx in 0..kernel_width {
            for c in 0..channels {
                let weight = conv.weights[((channel * kernel_height + ky) * kernel_width + kx) * channels + c];
                let value = padded(conv, input, y * conv.window.stride[0] + ky, x * conv.window.stride[1] + kx, c);
                sum = sum.wrapping_add(i32::from(weight) * i32::from(value));
            }
        }
    }
    sum
}

/// Value at a place counted from the corner of the padded input.
fn padded(conv: &Conv2d<'_>, input: &[i8], y: usize, x: usize, channel: usize) -> i8 {
    let [top, left, ..] = conv.window.padding;
    match (y.checked_sub(top), x.checked_sub(left)) {
        (Some(y), Some(x)) if y < conv.input.height && x < conv.input.width => {
            input[(y * conv.input.width + x) * conv.input.channels + channel]
        }
        _ => conv.input_zero_point,
    }
}

/// `y[y,x,o] = table[requantize(bias[phase,o] + Σ w[phase,o,t,u,c] · x[y / stride − lead + t, x / stride − lead + u, c])]`.
///
/// `scratch` is unused.
pub fn conv_transpose2d(conv: &ConvTranspose2d<'_>, input: &[i8], output: &mut [i8], _scratch: &mut [u32]) {
    let Shape { height, width, channels } = conv.output;
    let mut weights = conv.weights;
    for (number, [row, column]) in ConvTranspose2d::phases(conv.window).enumerate() {
        let taps = row.taps * column.taps * conv.input.channels;
        let stage = conv.phase_stage(number);
        for y in (row.number..height).step_by(row.stride) {
            for x in (column.number..width).step_by(column.stride) {
                for channel in 0..channels {
                    let mut sum = 0i32;
                    for (tap, weight) in weights[channel * taps..][..taps].iter().enumerate() {
                        let (place, c) = (tap / conv.input.channels, tap % conv.input.channels);
                        // Both count from `lead` places before the input.
                        let seen = [y / row.stride + place / column.taps, x / column.stride + place % column.taps];
                        let value = match (seen[0].checked_sub(row.lead), seen[1].checked_sub(column.lead)) {
                            (Some(y), Some(x)) if y < conv.input.height && x < conv.input.width => {
                                input[(y * conv.input.width + x) * conv.input.channels + c]
                            }
                            _ => conv.input_zero_point,
                        };
                        sum = sum.wrapping_add(i32::from(*weight) * i32::from(value));
                    }
                    let value = activation(&stage, channel, sum);
                    let value = conv.table.map_or(value, |table| table[usize::from(value as u8 ^ 0x80)]);
                    output[(y * width + x) * channels + channel] = value;
                }
            }
        }
        weights = &weights[channels * taps..];
    }
}

/// `y[y,x,c] = max over the window of x`; padded places never win.
pub fn max_pool2d(pool: &MaxPool2d, input: &[i8], output: &mut [i8]) {
    let [top, left, ..] = pool.window.padding;
    let channels = pool.input.channels;
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            for channel in 0..channels {
                let mut best = i8::MIN;
                for row in (0..pool.window.kernel[0]).map(|ky| y * pool.window.stride[0] + ky) {
                    for column in (0..pool.window.kernel[1]).map(|kx| x * pool.window.stride[1] + kx) {
                        let inside = (top..top + pool.input.height).contains(&row)
                            && (left..left + pool.input.width).contains(&column);
                        if inside {
                            let place = (row - top) * pool.input.width + column - left;
                            best = best.max(input[place * channels + channel]);
                        }
                    }
                }
                output[(y * pool.output.width + x) * channels + channel] = best;
            }
        }
    }
}

/// `y[y,x,c] = clamp(zero_point + (((Σ (x − zₓ) << left_shift) · multiplier + 2³¹) >> 32))`, summed over the places of the
/// window inside the input, which choose the multiplier where there is more than one.
pub fn average_pool2d(pool: &AveragePool2d<'_>, input: &[i8], output: &mut [i8]) {
    let Shape { height, width, channels } = pool.input;
    let [top, left, ..] = pool.window.padding;
    for y in 0..pool.output.height {
        for x in 0..pool.output.width {
            for channel in 0..channels {
                let [mut sum, mut places] = [0, 0];
                for row in (0..pool.window.kernel[0]).map(|ky| y * pool.window.stride[0] + ky) {
                    for column in (0..pool.window.kernel[1]).map(|kx| x * pool.window.stride[1] + kx) {
                        if (top..top + height).contains(&row) && (left..left + width).contains(&column) {
                            let place = (row - top) * width + column - left;
                            sum += i32::from(input[place * channels + channel]) - i32::from(pool.input_zero_point);
                            places += 1;
                        }
                    }
                }
                let value = i32::from(pool.stage.zero_point)
                    + requantized(sum, pool.stage.left_shift, pool.multiplier(places as usize));
                output[(y * pool.output.width + x) * channels + channel] =
                    value.clamp(pool.stage.output_min.into(), pool.stage.output_max.into()) as i8;
            }
        }
    }
}

/// `y[i] = table[x[i] + 128]`; where no load gathers, there is no faster form.
pub fn lookup(lookup: &Lookup<'_>, input: &[i8], output: &mut [i8]) {
    for (output, input) in output.iter_mut().zip(input) {
        // Flipping the top bit adds 128 to what an i8 holds.
        *output = lookup.table[usize::from(*input as u8 ^ 0x80)];
    }
}

/// `y[o] = requantize(bias[o] + Σᵢ w[o,i] · x[i])`.
pub fn dense(dense: &Dense<'_>, input: &[i8], output: &mut [i8], _scratch: &mut [u32]) {
    for (channel, value) in output.iter_mut().enumerate().take(dense.outputs) {
        *value = activation(&dense.stage, channel, product(dense, input, channel));
    }
}

/// As [`dense`], with neither zero point nor clamp.
pub fn dense_logits(dense: &Dense<'_>, input: &[i8], output: &mut [i32], _scratch: &mut [u32]) {
    for (channel, value) in output.iter_mut().enumerate().take(dense.outputs) {
        *value = scaled(&dense.stage, channel, product(dense, input, channel));
    }
}

/// Row number `token` of the table, or row 0 where there is no such row; there is no faster form.
pub fn embedding(embedding: &Embedding<'_>, token: i16, output: &mut [i8]) {
    let row = usize::try_from(token).ok().filter(|row| *row < embedding.rows).unwrap_or(0);
    let output = &mut output[..embedding.width];
    match embedding.table {
        EmbeddingTable::I8(values) => output.copy_from_slice(&values[row * embedding.width..][..embedding.width]),
        EmbeddingTable::I4 { nibbles, multipliers } => {
            let multiplier = i32::from(multipliers[row]);
            let row_bytes = embedding.width.div_ceil(2);
            for (pair, byte) in output.chunks_mut(2).zip(&nibbles[row * row_bytes..]) {
                // The low nibble, then the high one, each sign-extended.
                for (value, q) in pair.iter_mut().zip([(*byte << 4) as i8 >> 4, *byte as i8 >> 4]) {
                    *value = ((i32::from(q) * multiplier + 4) >> 3).clamp(-128, 127) as i8;
                }
            }
        }
        EmbeddingTable::Codes { codes, codebooks, codes_per_row } => {
            let codes = &codes[row * codes_per_row..][..codes_per_row];
            let part = embedding.width / codes_per_row;
            for ((output, code), codebook) in
                output.chunks_exact_mut(part).zip(codes).zip(codebooks.chunks_exact(256 * part))
            {
                output.copy_from_slice(&codebook[usize::from(*code) * part..][..part]);
            }
        }
    }
}

/// Gate `g` of unit `j` is logit `4·j + g` of the dense layer over `[x‖h]`; [`gates::step`] makes states of them.
pub fn lstm(lstm: &Lstm<'_>, input: &[i8], cell: &mut [i16], hidden: &mut [i8], scratch: &mut [u32]) {
    let (joined, _) = lstm.join(input, hidden, scratch);
    for (unit, (cell, hidden)) in cell.iter_mut().zip(hidden).enumerate().take(lstm.units) {
        let logits = [0, 1, 2, 3].map(|gate| {
            let row = 4 * unit + gate;
            scaled(&lstm.gates.stage, row, product(&lstm.gates, joined, row))
        });
        *hidden = gates::step(logits, cell, lstm.cell_shift);
    }
}

fn product(dense: &Dense<'_>, input: &[i8], channel: usize) -> i32 {
    let row = &dense.weights[channel * dense.inputs..][..dense.inputs];
    let products = row.iter().zip(input).map(|(weight, value)| i32::from(*weight) * i32::from(*value));
    products.fold(0, i32::wrapping_add)
}

/// `clamp(zero_point + scaled, output_min, output_max)`.
fn activation(stage: &OutputStage<'_>, channel: usize, sum: i32) -> i8 {
    let value = i32::from(stage.zero_point) + scaled(stage, channel, sum);
    value.clamp(stage.output_min.into(), stage.output_max.into()) as i8
}

/// `(((sum + bias) << left_shift) · multiplier + 2³¹) >> 32`.
fn scaled(stage: &OutputStage<'_>, channel: usize, sum: i32) -> i32 {
    requantized(sum.wrapping_add(stage.bias[channel]), stage.left_shift, stage.multipliers[channel])
}

/// `((accumulator << left_shift) · multiplier + 2³¹) >> 32`.
fn requantized(accumulator: i32, left_shift: u8, multiplier: i32) -> i32 {
    let shifted = accumulator.wrapping_shl(left_shift.into());
    ((i64::from(shifted) * i64::from(multiplier) + (1 << 31)) >> 32) as i32
}
