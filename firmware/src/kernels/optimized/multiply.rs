//! Product of two activations.

use crate::kernels::{Multiply, dsp};

/// Row by row, place by place; what the second one has once is read again and again.
// Stands apart, so that a firmware without it can be told from one with it.
#[inline(never)]
pub fn multiply(multiply: &Multiply, [a, b]: [&[i8]; 2], output: &mut [i8]) {
    let Multiply { shape, other, zero_points, multiplier, left_shift, .. } = *multiply;
    let [zero_a, zero_b, zero_point] = [zero_points[0], zero_points[1], multiply.zero_point].map(i32::from);
    let [min, max] = [multiply.output_min, multiply.output_max].map(i32::from);
    // How far apart the values are that b has for neighbouring rows and columns.
    let step = |side: usize, inner: usize| if side == 1 { 0 } else { inner };
    let row_step = step(other.height, other.width * other.channels);
    let column_step = step(other.width, other.channels);
    let mut places = a.chunks_exact(shape.channels).zip(output.chunks_exact_mut(shape.channels));
    for row in 0..shape.height {
        for (column, (a, output)) in places.by_ref().take(shape.width).enumerate() {
            let factors = &b[row * row_step + column * column_step..][..other.channels];
            for ((output, a), factor) in output.iter_mut().zip(a).zip(factors.iter().cycle()) {
                // At most 255² · 2¹⁵.
                let product = (i32::from(*a) - zero_a) * (i32::from(*factor) - zero_b);
                let value = dsp::smmulr(product << left_shift, multiplier) + zero_point;
                *output = value.max(min).min(max) as i8;
            }
        }
    }
}
