//! Max-pool on its own.

use crate::kernels::{MaxPool2d, Shape};

/// Walks the channels innermost, as they lie in memory; padded places never win.
pub fn max_pool2d(pool: &MaxPool2d, input: &[i8], output: &mut [i8]) {
    let Shape { width, channels, .. } = pool.input;
    let outputs = output.chunks_exact_mut(channels).take(pool.output.height * pool.output.width);
    for (index, output) in outputs.enumerate() {
        let place = [index / pool.output.width, index % pool.output.width];
        let [rows, columns] = pool.window.seen(pool.input, place);
        output.fill(i8::MIN);
        for row in rows {
            let inputs = &input[(row * width + columns.start) * channels..];
            for input in inputs.chunks_exact(channels).take(columns.len()) {
                for (output, input) in output.iter_mut().zip(input) {
                    *output = (*output).max(*input);
                }
            }
        }
    }
}
