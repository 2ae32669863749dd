//! Max-pool on its own.

use crate::kernels::{MaxPool2d, Shape};

/// Walks the channels innermost, as they lie in memory; padded places never win.
pub fn max_pool2d(pool: &MaxPool2d, input: &[i8], output: &mut [i8]) {
    let Shape { height, width, channels } = pool.input;
    let [top, left, ..] = pool.window.padding;
    let outputs = output.chunks_exact_mut(channels).take(pool.output.height * pool.output.width);
    for (index, output) in outputs.enumerate() {
        let row = index / pool.output.width * pool.window.stride[0];
        let column = index % pool.output.width * pool.window.stride[1];
        // Rows and columns of the padded input, without those that are padding.
        let rows = row.max(top)..(row + pool.window.kernel[0]).min(top + height);
        let columns = column.max(left)..(column + pool.window.kernel[1]).min(left + width);
        output.fill(i8::MIN);
        for row in rows {
            let inputs = &input[((row - top) * width + columns.start - left) * channels..];
            for input in inputs.chunks_exact(channels).take(columns.len()) {
                for (output, input) in output.iter_mut().zip(input) {
                    *output = (*output).max(*input);
                }
            }
        }
    }
}
