//! Average-pool: four channels at a time, as halfwords of two words, which any core adds two at once.

use super::first_four;
use crate::kernels::{AveragePool2d, Shape};

/// Places whose values fit a halfword when added: `257 · 255 < 2¹⁶`.
const RUN: usize = 257;
/// Makes of four bytes from −128 to 127 four from 0 to 255, which are 128 more.
const BIAS: u32 = 0x8080_8080;

/// Walks the output places and, at each, the channels by fours.
pub fn average_pool2d(pool: &AveragePool2d<'_>, input: &[i8], output: &mut [i8]) {
    let Shape { width, channels, .. } = pool.input;
    let outputs = output.chunks_exact_mut(channels).take(pool.output.height * pool.output.width);
    for (index, output) in outputs.enumerate() {
        let place = [index / pool.output.width, index % pool.output.width];
        let [rows, columns] = pool.window.seen(pool.input, place);
        let count = rows.len() * columns.len();
        let multiplier = pool.multiplier(count);
        let bias = count as i32 * -(128 + i32::from(pool.input_zero_point));
        let corner = (rows.start * width + columns.start) * channels;
        for (first, output) in (0..channels).step_by(4).zip(output.chunks_mut(4)) {
            let lines = input[corner + first..].chunks(width * channels).take(rows.len());
            let sums = sums(lines, columns.len(), channels);
            for (output, sum) in output.iter_mut().zip(sums) {
                *output = pool.stage.activation(sum as i32, bias, multiplier);
            }
        }
    }
}

/// Sums of `x + 128` of the first four channels over the first `columns` places of each line.
fn sums<'i>(lines: impl Iterator<Item = &'i [i8]>, columns: usize, channels: usize) -> [u32; 4] {
    let mut sums = [0; 4];
    for line in lines {
        let mut places = line.chunks(channels).take(columns);
        while places.len() != 0 {
            let [mut even, mut odd] = [0u32; 2];
            for place in places.by_ref().take(RUN) {
                let four = u32::from_le_bytes(first_four(place).map(|value| value as u8)) ^ BIAS;
                even += four & 0x00ff_00ff;
                odd += four >> 8 & 0x00ff_00ff;
            }
            let halves = [even & 0xffff, odd & 0xffff, even >> 16, odd >> 16];
            sums.iter_mut().zip(halves).for_each(|(sum, half)| *sum += half);
        }
    }
    sums
}
