//! A model that takes a sequence, compared step by step, and the layers behind its last state at the end.

use super::board::Deviation;
use super::difference::Sums;
use super::{Activations, Difference, Layer, compare};
use crate::device::Session;
use crate::export::inputs::Inputs;
use crate::export::sequence::Recurrent;
use crate::quantize::Affine;
use crate::quantize::float::Evaluator;
use crate::runtime::Inference;
use crate::twin::{Twin, integers};
use anyhow::{Context, Result, anyhow, bail};
use firmware::model::Tensor as Stored;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{ModelProto, ValueInfoProto, type_proto};
use tract_onnx::prelude::*;

/// What is compared, and on what.
pub struct Sequences<'a> {
    pub recurrent: &'a Recurrent,
    pub inputs: &'a Inputs,
}

/// What the twin gave.
pub struct OfTwin {
    /// Each layer against the float model: those of a step over all steps, the others at the end of each sequence.
    pub layers: Vec<Layer>,
    /// The answers, as real numbers.
    pub answers: Vec<Vec<f32>>,
}

impl Sequences<'_> {
    fn steps(&self, twin: &Twin, index: usize) -> Vec<Vec<i8>> {
        self.recurrent.steps(self.inputs.float(index), twin.model().input().scale)
    }

    /// The twin against the float model.
    pub fn twin(&self, twin: &mut Twin) -> Result<OfTwin> {
        let (recurrent, tail) = (self.recurrent, &self.recurrent.tail);
        let evaluator = Evaluator::new(tail);
        let first = usize::from(recurrent.embedding.is_some());
        let mut sums = vec![Sums::default(); 1 + 2 * recurrent.layers.len()];
        let (mut float, mut int8): (Vec<Activations>, Vec<Activations>) = (Vec::new(), Vec::new());
        let tensors: Vec<Stored> = twin.model().tensors().collect();
        let real = |index: usize, bytes: &[u8]| -> Vec<f32> {
            let Stored { scale, zero_point, element, .. } = tensors[index];
            let affine = Affine { scale, zero_point };
            integers(bytes, element).into_iter().map(|value| affine.dequantize(value)).collect()
        };
        for index in 0..self.inputs.len() {
            let sample = self.inputs.float(index);
            let mut reference = Vec::new();
            let last = recurrent.run(sample, |vector, states| {
                let states = states.iter().flat_map(|state| [state.cell.clone(), state.hidden.clone()]);
                reference.push([vector.to_vec()].into_iter().chain(states).collect::<Vec<_>>());
            });
            let mut written: Activations = vec![None; tensors.len()];
            let steps = self.steps(twin, index);
            twin.steps(&steps, |step, tensor, interpreter| {
                let bytes = |tensor: usize| interpreter.tensor_bytes(tensor as u16).map_err(|error| anyhow!("{error}"));
                let place = usize::from(tensor);
                written[place] = Some(real(place, bytes(place)?));
                if interpreter.model().op(interpreter.model().op_count() - 1).is_ok_and(|op| op.output == tensor) {
                    for (number, (sums, reference)) in sums.iter_mut().zip(&reference[step]).enumerate() {
                        sums.add(reference, &real(first + number, bytes(first + number)?));
                    }
                }
                Ok(())
            })?;
            float.push(evaluator.run(&last).into_iter().map(Some).collect());
            let behind = tensors.len() + 1 - tail.tensors.len();
            // The tail's input is the last state, and stands among the states.
            let own = |tensor: usize| behind + tensor - usize::from(tensor > tail.input);
            let shown = |tensor| if tensor == tail.input { None } else { written[own(tensor)].clone() };
            int8.push((0..tail.tensors.len()).map(shown).collect());
        }
        let answers = int8.iter().map(|layers| layers[tail.output].clone().unwrap_or_default()).collect();
        let read = recurrent.embedding.as_ref().map_or("input", |table| table.name.as_str());
        let states = recurrent.layers.iter().flat_map(|layer| [format!("{} cell", layer.name), layer.name.clone()]);
        let steps = [read.to_owned()].into_iter().chain(states).zip(sums);
        let steps = steps.map(|(name, sums)| Layer { name, difference: sums.difference() });
        let behind = compare(tail, float.len(), |index| Ok(float[index].clone()), |index| Ok(int8[index].clone()))?;
        Ok(OfTwin { layers: steps.chain(behind).collect(), answers })
    }

    /// The answers of the float model `onnx` in ONNX Runtime.
    pub fn onnx_runtime(&self, onnx: &[u8]) -> Result<Vec<Vec<f32>>> {
        self.answers_of(&self.shortened(onnx)?, self.recurrent.sides())
    }

    /// Those of the int8 model, which is written with the batch first.
    pub fn int8(&self, onnx: &[u8]) -> Result<Vec<Vec<f32>>> {
        let mut sides = self.recurrent.sides().to_vec();
        if self.recurrent.steps_first {
            sides.swap(0, 1);
        }
        self.answers_of(&ModelProto::decode(onnx).context("the ONNX file is broken; export the model again")?, &sides)
    }

    fn answers_of(&self, model: &ModelProto, sides: &[usize]) -> Result<Vec<Vec<f32>>> {
        let mut inference = Inference::from_bytes(&model.encode_to_vec())?;
        let (name, element) = input(model)?;
        let mut answer = |sample: &[f32]| -> Result<Vec<f32>> {
            let outputs = match element {
                DataType::Int64 => {
                    let tokens: Vec<i64> = sample.iter().map(|&token| token as i64).collect();
                    inference.run(&[(name, sides, &tokens)])?
                }
                DataType::Int32 => {
                    let tokens: Vec<i32> = sample.iter().map(|&token| token as i32).collect();
                    inference.run(&[(name, sides, &tokens)])?
                }
                _ => inference.run(&[(name, sides, sample)])?,
            };
            Ok(outputs.into_iter().next().context("the model has no output")?.2)
        };
        (0..self.inputs.len()).map(|index| answer(self.inputs.float(index))).collect()
    }

    /// Those of the float model in tract.
    pub fn tract(&self, onnx: &[u8]) -> Result<Vec<Vec<f32>>> {
        let model = self.shortened(onnx)?;
        let element = input(&model)?.1;
        let sides = self.recurrent.sides();
        let fact = match element {
            DataType::Int64 => i64::fact(sides),
            DataType::Int32 => i32::fact(sides),
            _ => f32::fact(sides),
        };
        let model = tract_onnx::onnx().model_for_proto_model(&model)?.with_input_fact(0, fact.into())?;
        let model = model.into_typed()?.into_decluttered()?.into_runnable()?;
        let answer = |index: usize| -> Result<Vec<f32>> {
            let sample = self.inputs.float(index);
            let tensor = Tensor::from_shape(sides, sample)?;
            let tensor = match element {
                DataType::Int64 => tensor.cast_to::<i64>()?.into_owned(),
                DataType::Int32 => tensor.cast_to::<i32>()?.into_owned(),
                _ => tensor,
            };
            let answers = model.run(tvec!(tensor.into()))?;
            Ok(answers.first().context("the model has no output")?.view().as_slice::<f32>()?.to_vec())
        };
        (0..self.inputs.len()).map(answer).collect()
    }

    /// The float model, which ends where a board ends: before a Softmax or an ArgMax.
    fn shortened(&self, onnx: &[u8]) -> Result<ModelProto> {
        let mut model = ModelProto::decode(onnx).context("the ONNX file is broken; export the model again")?;
        let tail = &self.recurrent.tail;
        if let (Some(graph), Some(value)) = (&mut model.graph, &tail.tensors[tail.output].value) {
            graph.output = vec![ValueInfoProto { name: value.clone(), ..Default::default() }];
        }
        Ok(model)
    }

    /// Runs op after op of step after step on the board of `session`, which has to give what `twin` does.
    ///
    /// # Errors
    /// The first step and layer that differ, and what keeps the board from running.
    pub fn board(&self, session: &mut Session, twin: &mut Twin) -> Result<()> {
        let (board, names) = (session.board().name, self.recurrent.names().collect::<Vec<_>>());
        let tensors: Vec<Stored> = twin.model().tensors().collect();
        for sample in 0..self.inputs.len() {
            session.restart_text()?;
            let steps = self.steps(twin, sample);
            let mut op = 0;
            twin.steps(&steps, |step, tensor, interpreter| {
                if op == 0 {
                    session.write_input(&steps[step])?;
                }
                session.run(op, 1)?;
                let expected = interpreter.tensor_bytes(tensor).map_err(|error| anyhow!("{error}"))?;
                let seen = session.read(tensor, expected.len())?;
                if let Some(deviation) = Deviation::of(&tensors[usize::from(tensor)], &seen, expected) {
                    let layer = names[usize::from(op)];
                    bail!("{board} first differs from the twin at sample {sample}, step {step}, op {op} ({layer}), {deviation}");
                }
                op = (op + 1) % interpreter.model().op_count();
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// How far all of `other` lie from `reference`.
pub fn difference(reference: &[Vec<f32>], other: &[Vec<f32>]) -> Difference {
    let mut sums = Sums::default();
    reference.iter().zip(other).for_each(|(reference, other)| sums.add(reference, other));
    sums.difference()
}

/// Name and type of the model's input.
fn input(model: &ModelProto) -> Result<(&str, DataType)> {
    let graph = model.graph.as_ref().context("the ONNX file holds no graph; export the model again")?;
    let is_constant = |name: &str| graph.initializer.iter().any(|constant| constant.name == name);
    let input = graph.input.iter().find(|input| !is_constant(&input.name)).context("the model has no input")?;
    let element = match input.r#type.as_ref().and_then(|kind| kind.value.as_ref()) {
        Some(type_proto::Value::TensorType(tensor)) => tensor.elem_type,
        None => 0,
    };
    Ok((&input.name, DataType::try_from(element).unwrap_or(DataType::Float)))
}
