//! The container that a board runs.

use super::plan::{ALIGNMENT, Plan};
use crate::quantize::lstm::Lstm;
use crate::quantize::{Affine, Function, Int8, Kind, Network, Op, Quantized, affine};
use anyhow::{Context, Result, ensure};
use firmware::kernels::packing;
use firmware::model::format::{MAX_OPS, PACKING_PORTABLE};
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Preference, Shape, Tensor};

/// `quantized` in a container, packed for every core; `labels` name the answer's values, or are empty.
pub fn container(quantized: &Quantized, plan: &Plan, labels: &[String]) -> Result<Vec<u8>> {
    let network = &quantized.network;
    check_labels(network, labels)?;
    ensure!(
        network.tensors.len() < usize::from(u16::MAX),
        "the model has {} tensors; a container holds up to 65,534",
        network.tensors.len()
    );
    ensure!(
        network.ops.len() <= usize::from(MAX_OPS),
        "the model has {} layers; a container holds up to {MAX_OPS}",
        network.ops.len()
    );
    let tensors = plan.offsets.iter().enumerate();
    let builder = ModelBuilder {
        name: network.name.clone(),
        labels: labels.to_vec(),
        tensors: tensors.map(|(index, &offset)| tensor_of(quantized, index, offset)).collect(),
        ops: network.ops.iter().map(|op| op_spec(op, quantized, &|index| index as u16)).collect::<Result<_>>()?,
        input: network.input as u16,
        output: network.output as u16,
        text: None,
    };
    Ok(builder.finish())
}

/// Checks that there are no labels, or as many as the network's answer has values.
pub(super) fn check_labels<P>(network: &Network<P>, labels: &[String]) -> Result<()> {
    let answers = network.tensors[network.output].shape.elements();
    ensure!(
        labels.is_empty() || labels.len() == answers,
        "the model answers with {answers} values, but there are {} class names; train it on the data that it is exported for",
        labels.len()
    );
    Ok(())
}

/// Tensor `index` of `quantized`, which lies at `offset`.
pub(super) fn tensor_of(quantized: &Quantized, index: usize, offset: usize) -> Tensor {
    let Affine { scale, zero_point } = quantized.affine[index];
    let element = if quantized.network.is_i32(index) { Element::I32 } else { Element::I8 };
    Tensor { offset, shape: quantized.network.tensors[index].shape, element, zero_point, scale }
}

/// What the container says of an op of `quantized`; `place` gives the container's numbers of tensors.
pub(super) fn op_spec(op: &Op<Int8>, quantized: &Quantized, place: &dyn Fn(usize) -> u16) -> Result<OpSpec> {
    let affine = |tensor: usize| quantized.affine[tensor];
    let (input, output) = (affine(op.inputs[0]), affine(op.output));
    let other = |number: usize| op.inputs.get(number).map(|&tensor| place(tensor));
    let parameters = match &op.kind {
        Kind::Conv2d { parameters, window, bounds, pool } => Parameters::Conv2d {
            weights: parameters.weights.clone(),
            output_stage: output_stage(parameters, bounds.int8(output)),
            window: *window,
            pool: *pool,
        },
        Kind::DepthwiseConv2d { parameters, window, bounds } => Parameters::DepthwiseConv2d {
            weights: parameters.weights.clone(),
            output_stage: output_stage(parameters, bounds.int8(output)),
            window: *window,
        },
        Kind::ConvTranspose2d { parameters, window, function } => {
            let [inputs, outputs] =
                [op.inputs[0], op.output].map(|tensor| quantized.network.tensors[tensor].shape.channels);
            let between = function.map(|function| (function, function.input_affine(output)));
            Parameters::ConvTranspose2d {
                weights: packing::conv_transpose2d(PACKING_PORTABLE, &parameters.weights, outputs, inputs, *window),
                output_stage: output_stage(parameters, [i8::MIN, i8::MAX]),
                window: *window,
                zero_point: between.map_or(output, |(_, between)| between).zero_point,
                table: between.map_or_else(Vec::new, |(function, between)| table(function, between, output)),
            }
        }
        Kind::Add { subtract, bounds } => {
            let (multipliers, shift) = affine::sum([input, affine(op.inputs[1])], output, *subtract)
                .with_context(|| format!("layer {}", op.name))?;
            Parameters::Add { other: place(op.inputs[1]), multipliers, shift, bounds: bounds.int8(output) }
        }
        Kind::Multiply { bounds } => {
            let (multiplier, left_shift) =
                affine::product([input, affine(op.inputs[1])], output).with_context(|| format!("layer {}", op.name))?;
            Parameters::Multiply { other: place(op.inputs[1]), multiplier, left_shift, bounds: bounds.int8(output) }
        }
        Kind::Concat { axis } => Parameters::Concat { others: [other(1), other(2)], axis: *axis as u8 },
        Kind::Slice { starts, steps } => Parameters::Slice { starts: *starts, steps: *steps },
        Kind::AveragePool2d { window, padded, bounds } => {
            let places = window.kernel[0] * window.kernel[1];
            let counts = if *padded || window.padding == [0; 4] { places..=places } else { 1..=places };
            let (multipliers, left_shift) = affine::mean(input, output, &counts.collect::<Vec<_>>())
                .with_context(|| format!("layer {}", op.name))?;
            let [output_min, output_max] = bounds.int8(output);
            let output_stage = OutputStageSpec { bias: Vec::new(), multipliers, left_shift, output_min, output_max };
            Parameters::AveragePool2d { window: *window, output_stage }
        }
        Kind::MaxPool2d { window } => Parameters::MaxPool2d { window: *window },
        Kind::Lookup { function } => Parameters::Lookup { table: table(*function, input, output) },
        Kind::Dense { parameters, bounds } => Parameters::Dense {
            weights: parameters.weights.clone(),
            output_stage: output_stage(parameters, bounds.int8(output)),
        },
    };
    Ok(portable_op(place(op.inputs[0]), place(op.output), parameters))
}

/// The function's int8 outputs for the inputs −128 to 127.
fn table(function: Function, input: Affine, output: Affine) -> Vec<i8> {
    (-128..=127).map(|x| output.quantize(function.apply(input.dequantize(x)))).collect()
}

/// From the layer's accumulators to outputs within `bounds`.
pub(super) fn output_stage(parameters: &Int8, [output_min, output_max]: [i8; 2]) -> OutputStageSpec {
    OutputStageSpec {
        bias: parameters.folded_bias.clone(),
        multipliers: parameters.multipliers.clone(),
        left_shift: parameters.left_shift,
        output_min,
        output_max,
    }
}

/// An op in the form that every core runs.
pub fn portable_op(input: u16, output: u16, parameters: Parameters) -> OpSpec {
    OpSpec { input, output, packing: PACKING_PORTABLE, preference: Preference::default(), parameters }
}

/// What the op of `lstm` is made of, whose cell state is tensor `cell`.
pub fn lstm_parameters(lstm: &Lstm, cell: u16) -> Parameters {
    Parameters::Lstm {
        cell,
        weights: lstm.gates.weights.clone(),
        bias: lstm.gates.folded_bias.clone(),
        multipliers: lstm.gates.multipliers.clone(),
        left_shift: lstm.gates.left_shift,
        cell_shift: lstm.cell_shift,
    }
}

/// Vectors one behind the other, none of which shares its place: states have to last.
#[derive(Default)]
pub struct Vectors(pub Vec<Tensor>);

impl Vectors {
    /// The first byte behind the last one.
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |tensor| tensor.end().next_multiple_of(ALIGNMENT))
    }

    /// A vector of `values` values, whose zero point is 0; gives its index.
    pub fn push(&mut self, element: Element, values: usize, scale: f32) -> u16 {
        let shape = Shape { height: 1, width: 1, channels: values };
        self.0.push(Tensor { offset: self.end(), shape, element, zero_point: 0, scale });
        self.0.len() as u16 - 1
    }
}
