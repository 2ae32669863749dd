//! Convolution.

use super::onnx::Node;
use super::view::View;
use super::window::{positions, window};
use super::{Lowering, MOST_VALUES, Refusal, refuse};
use crate::quantize::{Bounds, Float, Kind, Shape};

/// Conv: weights OIHW (or OIL, for sequences) → OHWI, or OHW where channels stay apart.
///
/// A device has kernels for one group and for as many groups as channels. Other groups become weights of zero between
/// the groups, a dilated kernel becomes one with zeros between its taps: as exact, with more multiplications.
pub fn conv<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let (input, shape, rank) = lowering.image(node)?;
    let (dimensions, oihw) = lowering.constants.floats(node, 1, "weights")?;
    let (outputs, channels, kernel) = match dimensions[..] {
        [outputs, channels, height, width] if rank == 4 => (outputs, channels, [height, width]),
        [outputs, channels, length] if rank == 3 => (outputs, channels, [1, length]),
        _ => {
            return refuse(
                format!("its weights have the dimensions {dimensions:?} for an input of {rank}"),
                "use a convolution over one or two dimensions",
            );
        }
    };
    let groups = usize::try_from(node.int("group", 1)).unwrap_or_default();
    if channels.checked_mul(groups) != Some(shape.channels) || !outputs.is_multiple_of(groups) {
        return refuse(
            format!("its weights {dimensions:?} in {groups} groups do not fit an input of {} channels", shape.channels),
            "export the model again",
        );
    }
    let dilation = node.spatial("dilations", rank, 1)?;
    if dilation.contains(&0) {
        return refuse("its dilation is 0", "use dilations of at least 1");
    }
    // No side of the weights is 0.
    let dilated = [0, 1].map(|axis| (kernel[axis] - 1).saturating_mul(dilation[axis]).saturating_add(1));
    let mut window = window(node, dilated, shape, rank)?;
    // A Pad before it.
    let pending = lowering.take_padding(node);
    window.padding.iter_mut().zip(pending).for_each(|(padding, more)| *padding += more);
    let bias = match node.input(2) {
        Some(_) => lowering.constants.floats(node, 2, "bias")?.1,
        None => vec![0.0; outputs],
    };
    if bias.len() != outputs {
        return refuse(format!("its bias has {} numbers for {outputs} channels", bias.len()), "export the model again");
    }
    let output = Shape { channels: outputs, ..positions(&window, shape)? };
    check_filled(outputs * dilated[0] * dilated[1], shape.channels, oihw.len())?;
    let tap = |o: usize, i: usize, [y, x]: [usize; 2]| {
        let is_tap = y % dilation[0] == 0 && x % dilation[1] == 0;
        let place = (y / dilation[0]) * kernel[1] + x / dilation[1];
        if is_tap { oihw[(o * channels + i) * kernel[0] * kernel[1] + place] } else { 0.0 }
    };
    let places = || (0..dilated[0]).flat_map(|y| (0..dilated[1]).map(move |x| [y, x]));
    let kind = if groups == shape.channels && outputs == groups && groups > 1 {
        let weights = (0..outputs).flat_map(|o| places().map(move |place| (o, place)));
        let weights = weights.map(|(o, place)| tap(o, 0, place)).collect();
        Kind::DepthwiseConv2d { parameters: Float { weights, bias }, window, bounds: Bounds::NONE }
    } else {
        let mut weights = Vec::with_capacity(outputs * dilated[0] * dilated[1] * shape.channels);
        for o in 0..outputs {
            let own = o / (outputs / groups) * channels;
            for place in places() {
                let weight = |i: usize| i.checked_sub(own).filter(|&i| i < channels).map_or(0.0, |i| tap(o, i, place));
                weights.extend((0..shape.channels).map(weight));
            }
        }
        Kind::Conv2d { parameters: Float { weights, bias }, window, bounds: Bounds::NONE, pool: [1, 1] }
    };
    lowering.push(node, kind, &[input], output, View::channels_first(rank))?;
    lowering.keep_weight_scales(node, outputs);
    Ok(())
}

/// Zeros between groups and taps may make more of the weights than a file holds, but not more than any board does.
fn check_filled(taps: usize, channels: usize, stored: usize) -> Result<(), Refusal> {
    let filled = taps.saturating_mul(channels);
    if filled > stored.max(MOST_VALUES) {
        return refuse(
            format!("with zeros between its groups and taps, its {stored} weights become {filled}"),
            "use one group, or as many groups as channels, and less dilation",
        );
    }
    Ok(())
}
