//! Pools and means.

use super::onnx::Node;
use super::view::{Axis, View};
use super::window::{positions, window};
use super::{Lowering, Refusal, refuse};
use crate::quantize::{Bounds, Float, Kind, Shape, Window};

/// MaxPool.
pub fn max_pool<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    if node.outputs().filter(|name| !name.is_empty()).count() > 1 {
        return refuse("it also answers with indices", "use its first output only");
    }
    pool(lowering, node, |window| Kind::MaxPool2d { window })
}

/// AveragePool.
pub fn average_pool<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let padded = node.int("count_include_pad", 0) != 0;
    pool(lowering, node, |window| Kind::AveragePool2d { window, padded, bounds: Bounds::NONE })
}

fn pool<'m>(
    lowering: &mut Lowering<'m>,
    node: &Node<'m>,
    kind: impl FnOnce(Window) -> Kind<Float>,
) -> Result<(), Refusal> {
    let (input, shape, rank) = lowering.image(node)?;
    if node.spatial("dilations", rank, 1)? != [1, 1] {
        return refuse("its window is dilated", "use dilations of 1");
    }
    let mut window = window(node, node.spatial("kernel_shape", rank, 1)?, shape, rank)?;
    if node.int("ceil_mode", 0) != 0 {
        overhang(&mut window, shape)?;
    }
    let output = positions(&window, shape)?;
    lowering.push(node, kind(window), &[input], output, View::channels_first(rank))
}

/// ceil_mode: a last window that overhangs the border sees padding, of which no pool takes notice.
fn overhang(window: &mut Window, shape: Shape) -> Result<(), Refusal> {
    for (axis, length) in [shape.height, shape.width].into_iter().enumerate() {
        let [before, behind] = [window.padding[axis], window.padding[axis + 2]];
        let Some(rest) = (length + before + behind).checked_sub(window.kernel[axis]) else { continue };
        let more = (window.stride[axis] - rest % window.stride[axis]) % window.stride[axis];
        // A window that would start in the padding behind is none.
        let starts_inside = rest + more < length + before;
        if more == 0 || !starts_inside {
            continue;
        }
        if behind + more >= window.kernel[axis] {
            return refuse("its last windows overhang the border by more than a window", "use ceil_mode = 0");
        }
        window.padding[axis + 2] += more;
    }
    Ok(())
}

/// GlobalAveragePool.
pub fn global_average<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape, rank) = lowering.image(node)?;
    let kind = Kind::AveragePool2d { window: whole(shape)?, padded: false, bounds: Bounds::NONE };
    lowering.push(node, kind, &[input], Shape::vector(shape.channels), View::channels_first(rank))
}

/// GlobalMaxPool.
pub fn global_max<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape, rank) = lowering.image(node)?;
    let kind = Kind::MaxPool2d { window: whole(shape)? };
    lowering.push(node, kind, &[input], Shape::vector(shape.channels), View::channels_first(rank))
}

/// ReduceMean over rows, columns or both.
pub fn reduce_mean<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let value = lowering.activation(node)?;
    let shape = lowering.shape(&value);
    // An attribute up to opset 17, an input since.
    let axes = match node.input(1) {
        Some(_) => lowering.constants.ints(node, 1, "axes")?,
        None => node.ints("axes").unwrap_or_else(|| (0..value.view.rank() as i64).collect()),
    };
    let mut window = Window { kernel: [1, 1], stride: [1, 1], padding: [0; 4] };
    let mut output = shape;
    let mut dimensions = Vec::new();
    for axis in axes {
        let index = value.view.index(axis)?;
        match value.view.axis(index, shape) {
            Some(None) => {}
            Some(Some(Axis::Row)) => (window.kernel[0], output.height) = (shape.height, 1),
            Some(Some(Axis::Column)) => (window.kernel[1], output.width) = (shape.width, 1),
            _ => return refuse("it takes the mean over channels", "take means over rows and columns only"),
        }
        dimensions.push(index);
    }
    if window.kernel.iter().any(|side| *side > 255) {
        return refuse("it takes the mean of more than 255 rows or columns", "pool in two steps");
    }
    let view = if node.int("keepdims", 1) == 0 { value.view.without(&dimensions) } else { value.view.clone() };
    lowering.push(
        node,
        Kind::AveragePool2d { window, padded: false, bounds: Bounds::NONE },
        &[value.tensor],
        output,
        view,
    )
}

/// A window over all of the input.
fn whole(shape: Shape) -> Result<Window, Refusal> {
    if shape.height > 255 || shape.width > 255 {
        return refuse(
            format!("its input is {} × {}", shape.height, shape.width),
            "pool at most 255 rows and columns at once",
        );
    }
    Ok(Window { kernel: [shape.height, shape.width], stride: [1, 1], padding: [0; 4] })
}
