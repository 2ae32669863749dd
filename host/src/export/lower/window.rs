//! Kernel, strides and padding of convolutions and pools.

use super::onnx::Node;
use super::{Refusal, refuse};
use crate::quantize::{Shape, Window};

/// The window of `kernel` with the node's strides and pads, auto_pad resolved for an input of `shape`.
pub fn window(node: &Node<'_>, kernel: [usize; 2], shape: Shape, rank: usize) -> Result<Window, Refusal> {
    if kernel.iter().any(|side| !(1..=255).contains(side)) {
        return refuse(
            format!("its kernel is {} × {}", kernel[0], kernel[1]),
            "use a kernel from 1 to 255 high and wide",
        );
    }
    let stride = node.spatial("strides", rank, 1)?;
    if stride.contains(&0) {
        return refuse("its stride is 0", "use strides of at least 1");
    }
    let padding = match node.string("auto_pad", "NOTSET") {
        "NOTSET" | "" => node.pads(rank)?,
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
pub fn positions(window: &Window, shape: Shape) -> Result<Shape, Refusal> {
    let Window { kernel, padding, .. } = window;
    let fits = padding.iter().all(|side| *side <= 255);
    window.positions(shape).filter(|_| fits).map_or_else(
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
