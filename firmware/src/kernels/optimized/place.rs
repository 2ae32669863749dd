//! Convolution place by place, for cores with DSP and little RAM: each place is a dense layer over its patch, so that scratch
//! holds one patch in place of four.

use super::Form;
use super::conv2d::next;
use super::gather::gather;
use super::portable::Words;
use super::smlad::Smlad;
use crate::kernels::{Conv2d, Dense, Shape, Window};
use crate::words;

/// Bytes of scratch that the convolution needs; saturates where they do not fit.
pub fn scratch_bytes(input: Shape, window: Window, _pool: [usize; 2]) -> usize {
    let taps = window.kernel[0].saturating_mul(window.kernel[1]).saturating_mul(input.channels);
    taps.div_ceil(4).saturating_add(Smlad::widened_words(taps)).saturating_mul(4)
}

/// Convolution, with weights packed as a dense layer's; `scratch` holds [`scratch_bytes`].
pub fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let Shape { height, width, channels } = conv.output;
    let layer = Dense { inputs: conv.taps(), outputs: channels, weights: conv.weights, stage: conv.stage };
    let (patch, widened) = scratch.split_at_mut(layer.inputs.div_ceil(4));
    let mut corner = [0, 0];
    for output in output[..height * width * channels].chunks_exact_mut(channels) {
        output.fill(i8::MIN);
        let mut offset = [0, 0];
        for _ in 0..conv.pool[0] * conv.pool[1] {
            let place = [0, 1].map(|axis| corner[axis] * conv.pool[axis] + offset[axis]);
            gather(conv, input, place, Words::new(patch));
            Smlad::rows(&layer, words::as_i8(patch), widened, &mut |first, sums| {
                let mut values = [i8::MIN; 4];
                conv.stage.activations(first, sums, &mut values);
                for (output, value) in output[first..].iter_mut().zip(values) {
                    *output = (*output).max(value);
                }
            });
            offset = next(offset, conv.pool);
        }
        corner = next(corner, [height, width]);
    }
}
