//! Transposed convolution.

use super::onnx::Node;
use super::view::View;
use super::window::window;
use super::{Lowering, Refusal, refuse};
use crate::quantize::{Float, Kind};
use firmware::kernels::ConvTranspose2d;

/// ConvTranspose over images: weights IOHW → OHWI.
pub fn conv_transpose<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape, rank) = lowering.image(node)?;
    let (dimensions, iohw) = lowering.constants.floats(node, 1, "weights")?;
    let [channels, outputs, height, width] = dimensions[..] else {
        return refuse(format!("its weights have the dimensions {dimensions:?}"), "use one over two dimensions");
    };
    if node.int("group", 1) != 1 || channels != shape.channels || outputs == 0 {
        return refuse(
            format!("its weights {dimensions:?} do not fit {} channels in one group", shape.channels),
            "use a transposed convolution over all channels",
        );
    }
    let is_plain =
        |name: &str, usual: i64| node.ints(name).is_none_or(|values| values.iter().all(|&value| value == usual));
    if rank != 4 || !is_plain("dilations", 1) || !is_plain("output_padding", 0) || node.ints("output_shape").is_some() {
        return refuse(
            "it is dilated, or its output is given a size",
            "use dilations of 1, no output_padding and explicit pads",
        );
    }
    if !matches!(node.string("auto_pad", "NOTSET"), "NOTSET" | "" | "VALID") {
        return refuse("it pads by itself", "use explicit pads");
    }
    let window = window(node, [height, width], shape, rank)?;
    let bias = match node.input(2) {
        Some(_) => lowering.constants.floats(node, 2, "bias")?.1,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return refuse(format!("its bias has {} numbers for {outputs} channels", bias.len()), "export the model again");
    }
    let Some(output) = ConvTranspose2d::output_shape(shape, window, outputs) else {
        return refuse(
            format!(
                "its kernel of {height} × {width} has the strides {:?} and the pads {:?}",
                window.stride, window.padding
            ),
            "use a kernel at least as large as the stride, and pads of at most what it is larger",
        );
    };
    let area = height * width;
    let taps = (0..outputs).flat_map(|o| (0..area).map(move |place| o * area + place));
    let weights =
        taps.flat_map(|tap| (0..channels).map(move |i| i * outputs * area + tap)).map(|index| iohw[index]).collect();
    let kind = Kind::ConvTranspose2d { parameters: Float { weights, bias }, window, function: None };
    lowering.push(node, kind, &[input], output, View::channels_first(rank))
}
