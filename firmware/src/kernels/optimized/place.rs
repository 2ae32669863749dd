//! Convolution place by place, for cores with DSP and little RAM: each place is a dense layer over its patch, so that scratch
//! holds one patch in place of four.

use super::gather::gather;
use super::smlad::{Halfwords, Inputs};
use crate::kernels::{Conv2d, Dense, Shape, Window};

/// Bytes of scratch that the convolution needs; saturates where they do not fit.
pub fn scratch_bytes(input: Shape, window: Window, _pool: [usize; 2]) -> usize {
    let taps = window.kernel[0].saturating_mul(window.kernel[1]).saturating_mul(input.channels);
    Inputs::patch_words(taps).saturating_add(1).saturating_mul(4)
}

/// Convolution, with weights packed as a dense layer's; `scratch` holds [`scratch_bytes`].
pub fn conv2d(conv: &Conv2d<'_>, input: &[i8], output: &mut [i8], scratch: &mut [u32]) {
    let Shape { height, width, channels } = conv.output;
    let layer = Dense { inputs: conv.taps(), outputs: channels, weights: conv.weights, stage: conv.stage };
    let Some(([offset], words)) = scratch[..=Inputs::patch_words(layer.inputs)].split_first_chunk_mut() else { return };
    // What a patch leaves out at its end is zero.
    words.fill(0);
    let places = (0..height).flat_map(|y| (0..width).map(move |x| [y, x]));
    for (output, [y, x]) in output.chunks_exact_mut(channels).zip(places) {
        output.fill(i8::MIN);
        let [height, width] = conv.pool;
        for place in (0..height * width).map(|index| [y * height + index / width, x * width + index % width]) {
            gather(conv, input, place, Halfwords::new(offset, words));
            Inputs::of_patch(*offset, words).times_rows(&layer, &mut |first, sums| {
                let mut values = [i8::MIN; 4];
                conv.stage.activations(first, sums, &mut values);
                for (output, value) in output[first..].iter_mut().zip(values) {
                    *output = (*output).max(value);
                }
            });
        }
    }
}
