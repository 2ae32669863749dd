//! Convolution and max-pool.

use super::onnx::Node;
use super::{Lowering, Refusal, refuse};
use crate::quantize::{Float, Kind, Shape, Window};

/// Conv: weights OIHW → OHWI.
pub fn conv<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape) = lowering.image(node)?;
    if node.int("group", 1) != 1 {
        return refuse(format!("it has {} groups", node.int("group", 1)), "use a convolution over all channels");
    }
    let (dimensions, oihw) = lowering.constants.floats(node, 1, "weights")?;
    let [outputs, channels, height, width] = dimensions[..] else {
        return refuse(format!("its weights have the dimensions {dimensions:?}"), "use a two-dimensional convolution");
    };
    if channels != shape.channels || outputs == 0 {
        return refuse(
            format!("its weights {dimensions:?} do not fit an input of {} channels", shape.channels),
            "export the model again",
        );
    }
    let window = window(node, [height, width], shape)?;
    let bias = match node.input(2) {
        Some(_) => lowering.constants.floats(node, 2, "bias")?.1,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return refuse(format!("its bias has {} numbers for {outputs} channels", bias.len()), "export the model again");
    }
    let output = positions(&window, shape)?;
    let parameters = Float { weights: ohwi(&oihw, channels, height * width), bias };
    let kind = Kind::Conv2d { parameters, window, relu: false, pool: [1, 1] };
    lowering.push(node, kind, input, Shape { channels: outputs, ..output }, false)
}

/// MaxPool.
pub fn max_pool<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape) = lowering.image(node)?;
    if node.outputs().filter(|name| !name.is_empty()).count() > 1 {
        return refuse("it also answers with indices", "use its first output only");
    }
    let window = window(node, node.sizes("kernel_shape", 0)?, shape)?;
    let output = positions(&window, shape)?;
    if node.int("ceil_mode", 0) != 0 {
        let [top, left, bottom, right] = window.padding;
        let rest = [shape.height + top + bottom - window.kernel[0], shape.width + left + right - window.kernel[1]];
        if rest[0] % window.stride[0] != 0 || rest[1] % window.stride[1] != 0 {
            return refuse("ceil_mode adds windows that overhang the border", "use ceil_mode = 0");
        }
    }
    lowering.push(node, Kind::MaxPool2d { window }, input, output, false)
}

/// `[O, I, H·W]` → `[O, H·W, I]`.
fn ohwi(oihw: &[f32], channels: usize, area: usize) -> Vec<f32> {
    let filters = oihw.chunks_exact(channels * area);
    filters.flat_map(|filter| (0..channels * area).map(|i| filter[(i % channels) * area + i / channels])).collect()
}

/// Kernel, strides and pads, with auto_pad resolved for an input of `shape`.
fn window(node: &Node<'_>, kernel: [usize; 2], shape: Shape) -> Result<Window, Refusal> {
    if node.sizes::<2>("dilations", 1)? != [1, 1] {
        return refuse("its kernel is dilated", "use dilations of 1");
    }
    if kernel.iter().any(|side| !(1..=255).contains(side)) {
        return refuse(
            format!("its kernel is {} × {}", kernel[0], kernel[1]),
            "use a kernel from 1 to 255 high and wide",
        );
    }
    let stride = node.sizes::<2>("strides", 1)?;
    if stride.contains(&0) {
        return refuse("its stride is 0", "use strides of at least 1");
    }
    // ONNX: [top, left, bottom, right], as here.
    let padding = match node.string("auto_pad", "NOTSET") {
        "NOTSET" | "" => node.sizes("pads", 0)?,
        "VALID" => [0; 4],
        mode @ ("SAME_UPPER" | "SAME_LOWER") => {
            // So many rows and columns that the output has ceil(input / stride) of them; an odd one goes to the
            // bottom and right, or to the top and left.
            let along = |length: usize, axis: usize| {
                let covered = (length.div_ceil(stride[axis]) - 1) * stride[axis] + kernel[axis];
                let padding = covered.saturating_sub(length);
                (padding / 2, padding - padding / 2)
            };
            let (rows, columns) = (along(shape.height, 0), along(shape.width, 1));
            match mode {
                "SAME_UPPER" => [rows.0, columns.0, rows.1, columns.1],
                _ => [rows.1, columns.1, rows.0, columns.0],
            }
        }
        other => return refuse(format!("auto_pad is {other:?}"), "use explicit pads"),
    };
    Ok(Window { kernel, stride, padding })
}

/// Shape of the output for as many channels as the input has.
fn positions(window: &Window, shape: Shape) -> Result<Shape, Refusal> {
    let Window { kernel, padding, .. } = window;
    window.positions(shape).map_or_else(
        || {
            refuse(
                format!(
                    "its kernel of {} × {} with padding {padding:?} does not fit an input of {} × {}",
                    kernel[0], kernel[1], shape.height, shape.width
                ),
                "use a smaller kernel, or padding smaller than the kernel",
            )
        },
        |[height, width]| Ok(Shape { height, width, channels: shape.channels }),
    )
}
