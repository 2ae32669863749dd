//! Numbers that belong to channels: they join the weights of the layer before, or become a 1×1 depthwise convolution.

use super::onnx::Node;
use super::view::Axis;
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::{Bounds, Float, Kind, Window};

/// BatchNormalization as it is in use: `scale · (x − mean) / √(var + ε) + B`.
pub fn batch_normalization<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    if node.int("training_mode", 0) != 0 {
        return refuse("it is in training mode", "export the model for inference, e.g. after model.eval()");
    }
    let value = lowering.activation(node)?;
    let channels = lowering.shape(&value).channels;
    let read = |index, name| lowering.constants.floats(node, index, name).map(|(_, values)| values);
    let [gamma, beta, mean, variance] = [read(1, "scale")?, read(2, "bias")?, read(3, "mean")?, read(4, "variance")?];
    if [&gamma, &beta, &mean, &variance].iter().any(|values| values.len() != channels) {
        return refuse(format!("it has not one number for each of {channels} channels"), "export the model again");
    }
    let epsilon = node.float("epsilon", 1e-5);
    let factors: Vec<f32> = gamma.iter().zip(&variance).map(|(g, v)| g / (v + epsilon).sqrt()).collect();
    let shifts: Vec<f32> = beta.iter().zip(&mean).zip(&factors).map(|((b, m), f)| b - m * f).collect();
    per_channel(lowering, node, value, &factors, &shifts)
}

/// The constant that `node` reads as input `index`, as one number for each channel of `value`.
pub fn numbers<'m>(lowering: &Lowering<'m>, node: &Node<'m>, index: usize, value: &Value) -> Result<Vec<f32>, Refusal> {
    let (dimensions, numbers) = lowering.constants.floats(node, index, "constant")?;
    let shape = lowering.shape(value);
    if numbers.len() == 1 {
        return Ok(vec![numbers[0]; shape.channels]);
    }
    // Broadcasting lines dimensions up at the end.
    let behind = dimensions.iter().rev().position(|&side| side > 1).unwrap_or(0);
    let dimension = value.view.rank().checked_sub(behind + 1);
    let is_channel = dimension.is_some_and(|dimension| {
        let axis = value.view.axis(dimension, shape);
        axis == Some(Some(Axis::Channel)) && numbers.len() == shape.channels
    });
    if !is_channel {
        return refuse(format!("its constant has the dimensions {dimensions:?}"), "use one number, or one a channel");
    }
    Ok(numbers)
}

/// `y = factor[c] · x + shift[c]`.
pub fn per_channel<'m>(
    lowering: &mut Lowering<'m>,
    node: &Node<'m>,
    Value { tensor, view }: Value,
    factors: &[f32],
    shifts: &[f32],
) -> Result<(), Refusal> {
    if lowering.readers[tensor] == 1
        && lowering.network.tensors[tensor].affine.is_none()
        && let Some(op) = lowering.network.ops.iter_mut().find(|op| op.output == tensor)
        && op.is_affine()
    {
        op.weight_scales = None;
        let Some(Float { weights, bias }) = op.parameters_mut() else { unreachable!("looked at just before") };
        let row = weights.len() / bias.len();
        // A dense layer that gives an image has a row for each place and channel, the channels innermost.
        let rows = weights.chunks_exact_mut(row).zip(bias).zip(factors.iter().zip(shifts).cycle());
        for ((weights, bias), (factor, shift)) in rows {
            weights.iter_mut().for_each(|weight| *weight *= factor);
            *bias = factor * *bias + shift;
        }
        lowering.becomes(node, tensor, view);
        return Ok(());
    }
    let shape = lowering.network.tensors[tensor].shape;
    let kind = Kind::DepthwiseConv2d {
        parameters: Float { weights: factors.to_vec(), bias: shifts.to_vec() },
        window: Window { kernel: [1, 1], stride: [1, 1], padding: [0; 4] },
        bounds: Bounds::NONE,
    };
    lowering.push(node, kind, &[tensor], shape, view)
}
