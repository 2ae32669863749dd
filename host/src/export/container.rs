//! The container that a board runs.

use super::plan::Plan;
use crate::quantize::{Affine, Function, Int8, Kind, Op, Quantized};
use anyhow::{Result, ensure};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Preference, Tensor};

/// `quantized` in a container, packed for every core; `labels` name the answer's values, or are empty.
pub fn container(quantized: &Quantized, plan: &Plan, labels: &[String]) -> Result<Vec<u8>> {
    let network = &quantized.network;
    let answers = network.tensors[network.output].shape.elements();
    ensure!(
        labels.is_empty() || labels.len() == answers,
        "the model answers with {answers} values, but there are {} class names; train it on the data that it is exported for",
        labels.len()
    );
    ensure!(
        network.tensors.len() < usize::from(u16::MAX),
        "the model has {} tensors; a container holds up to 65,534",
        network.tensors.len()
    );
    let tensor = |(index, tensor): (usize, &crate::quantize::Tensor)| {
        let Affine { scale, zero_point } = quantized.affine[index];
        let element = if quantized.is_i32(index) { Element::I32 } else { Element::I8 };
        Tensor { offset: plan.offsets[index], shape: tensor.shape, element, zero_point, scale }
    };
    let builder = ModelBuilder {
        name: network.name.clone(),
        labels: labels.to_vec(),
        tensors: network.tensors.iter().enumerate().map(tensor).collect(),
        ops: network.ops.iter().map(|op| op_spec(op, quantized)).collect(),
        input: network.input as u16,
        output: network.output as u16,
        text: None,
    };
    Ok(builder.finish())
}

fn op_spec(op: &Op<Int8>, quantized: &Quantized) -> OpSpec {
    let zero_point = quantized.affine[op.output].zero_point;
    let parameters = match &op.kind {
        Kind::Conv2d { parameters, window, relu, pool } => Parameters::Conv2d {
            weights: parameters.weights.clone(),
            output_stage: output_stage(parameters, *relu, zero_point),
            window: *window,
            pool: *pool,
        },
        Kind::MaxPool2d { window } => Parameters::MaxPool2d { window: *window },
        Kind::Lookup { function } => {
            let [input, output] = [op.inputs[0], op.output].map(|index| quantized.affine[index]);
            Parameters::Lookup { table: table(*function, input, output) }
        }
        Kind::Dense { parameters, relu } => Parameters::Dense {
            weights: parameters.weights.clone(),
            output_stage: output_stage(parameters, *relu, zero_point),
        },
    };
    OpSpec {
        input: op.inputs[0] as u16,
        output: op.output as u16,
        packing: PACKING_PORTABLE,
        preference: Preference::default(),
        parameters,
    }
}

/// The function's int8 outputs for the inputs −128 to 127.
fn table(function: Function, input: Affine, output: Affine) -> Vec<i8> {
    (-128..=127).map(|x| output.quantize(function.apply(input.dequantize(x)))).collect()
}

pub(super) fn output_stage(parameters: &Int8, relu: bool, zero_point: i8) -> OutputStageSpec {
    OutputStageSpec {
        bias: parameters.folded_bias.clone(),
        multipliers: parameters.multipliers.clone(),
        left_shift: parameters.left_shift,
        output_min: if relu { zero_point } else { i8::MIN },
        output_max: i8::MAX,
    }
}
