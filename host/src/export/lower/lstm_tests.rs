//! Sequences: what is an LSTM's on a board, in all the forms in which exporters write it.

use super::super::proto::{constant, float, int, ints, node, open};
use super::super::sequence::{Recurrent, read};
use super::super::sketch::Sketch;
use crate::quantize::float::Evaluator;
use prost::Message;
use tract_onnx::pb::tensor_proto::DataType;
use tract_onnx::pb::{AttributeProto, ModelProto};
use tract_onnx::prelude::*;

const STEPS: usize = 7;
const UNITS: usize = 5;

/// `model` with an input of `element` and of the given sides.
fn taking(mut model: ModelProto, element: DataType, sides: &[&str]) -> ModelProto {
    model.graph.as_mut().unwrap().input = vec![open("input", element, sides)];
    model
}

/// An LSTM of [`UNITS`] over the last value, of `inputs` values a step; its answers are `lstm<n>`, and `<n>.state`.
fn lstm(sketch: Sketch, inputs: usize, attributes: Vec<AttributeProto>) -> Sketch {
    let place = sketch.graph.node.len();
    let weights: [&[usize]; 3] = [&[1, 4 * UNITS, inputs], &[1, 4 * UNITS, UNITS], &[1, 8 * UNITS]];
    let attributes = [int("hidden_size", UNITS as i64)].into_iter().chain(attributes).collect();
    let mut sketch = sketch.node("LSTM", &weights, attributes);
    sketch.graph.node[place].output.push(format!("{place}.state"));
    sketch
}

/// Token by token: an embedding of `[N, T]`, steps first, and an LSTM, whose answers are called `lstm2` and `2.state`.
fn tokens() -> Sketch {
    let sketch = Sketch::new(&[STEPS], 61).node("Transpose", &[], vec![ints("perm", &[1, 0])]);
    lstm(sketch.embedding(9, 4), 4, vec![])
}

fn of_tokens(sketch: Sketch) -> ModelProto {
    taking(sketch.finish(&[3]), DataType::Int64, &["N", "7"])
}

/// The last state of what `tokens` leave behind, as most exporters take it.
fn last(sketch: Sketch, state: &str) -> Sketch {
    sketch.node_of("Squeeze", &[state], &[], vec![ints("axes", &[0])]).node("Gemm", &[&[UNITS, 3], &[3]], vec![])
}

fn lowered(model: &ModelProto) -> Recurrent {
    read(&model.encode_to_vec(), "test").unwrap_or_else(|error| panic!("{error:#}"))
}

/// What is said of `model`.
fn refusal(model: &ModelProto) -> String {
    read(&model.encode_to_vec(), "test").map(|_| ()).map_err(|error| format!("{error:#}")).unwrap_err()
}

/// The model answers as tract does; gives how many LSTMs it has and what stands behind them.
fn agrees(model: &ModelProto) -> (usize, Vec<String>) {
    let recurrent = lowered(model);
    let shape = recurrent.entry.tensors[0].shape;
    let is_tokens = recurrent.embedding.is_some();
    let numbers = Sketch::new(&[1], 62).numbers(shape.elements());
    let sample: Vec<f32> = if is_tokens { numbers.iter().map(|x| (4.5 + 4.5 * x).floor()).collect() } else { numbers };
    let last = recurrent.run(&sample, |_, _| ());
    let tail = &recurrent.tail;
    let ours = &Evaluator::new(tail).run(&last)[tail.output];

    let sides = recurrent.sides();
    let input = Tensor::from_shape(sides, &sample).unwrap();
    let (fact, input) = match is_tokens {
        true => (i64::fact(sides), input.cast_to::<i64>().unwrap().into_owned()),
        false => (f32::fact(sides), input),
    };
    let theirs = tract_onnx::onnx().model_for_proto_model(model).unwrap().with_input_fact(0, fact.into()).unwrap();
    let theirs = theirs.into_typed().unwrap().into_decluttered().unwrap().into_runnable().unwrap();
    let theirs = theirs.run(tvec!(input.into())).unwrap();
    let theirs = theirs[0].view().as_slice::<f32>().unwrap().to_vec();
    assert_eq!(ours.len(), theirs.len());
    for (a, b) in ours.iter().zip(&theirs) {
        assert!((a - b).abs() < 1e-5, "{ours:?}, tract says {theirs:?}");
    }
    (recurrent.layers.len(), tail.ops.iter().map(|op| op.describe()).collect())
}

/// As of opset 11, where axes are attributes.
fn before_13(mut model: ModelProto) -> ModelProto {
    model.opset_import[0].version = 11;
    model
}

#[test]
fn the_last_state_is_found_in_every_form() {
    let dense = (1, vec!["dense".to_owned()]);
    assert_eq!(agrees(&before_13(of_tokens(last(tokens(), "2.state")))), dense);
    // PyTorch takes the last of all steps, the batch before them.
    let batch_first = || {
        let squeezed = tokens().node_of("Squeeze", &["lstm2"], &[], vec![ints("axes", &[1])]);
        squeezed.node("Transpose", &[], vec![ints("perm", &[1, 0, 2])])
    };
    let mut gathered = batch_first();
    gathered.graph.initializer.push(constant("last", &[], &[-1i64]));
    let gathered = gathered.node_of("Gather", &["transpose4", "last"], &[], vec![int("axis", 1)]);
    assert_eq!(agrees(&before_13(of_tokens(gathered.node("Gemm", &[&[UNITS, 3]], vec![])))), dense);
    let sliced = batch_first().slice([&[-1], &[i64::MAX], &[1], &[1]]).with_ints("Reshape", &[-1, 5], vec![]);
    let sliced = sliced.node("Gemm", &[&[UNITS, 6]], vec![]).node("Relu", &[], vec![]);
    let sliced = before_13(of_tokens(sliced.node("Gemm", &[&[6, 3]], vec![]).node("Sigmoid", &[], vec![])));
    assert_eq!(agrees(&sliced), (1, ["dense+relu", "dense", "sigmoid"].map(String::from).to_vec()));
}

#[test]
fn features_and_lstms_one_behind_the_other() {
    let first = |sketch: Sketch| {
        let sketch = lstm(sketch.node("Transpose", &[], vec![ints("perm", &[1, 0, 2])]), 3, vec![]);
        sketch.node("Squeeze", &[], vec![ints("axes", &[1])])
    };
    let two = lstm(first(Sketch::new(&[STEPS, 3], 63)), UNITS, vec![]);
    let model = before_13(last(two, "3.state").finish(&[3]));
    let recurrent = lowered(&model);
    assert_eq!(recurrent.layers.iter().map(|layer| [layer.inputs, layer.units]).collect::<Vec<_>>(), [[3, 5], [5, 5]]);
    assert_eq!((recurrent.sides(), recurrent.steps_first), (&[1, STEPS, 3][..], false));
    assert_eq!(agrees(&model), (2, vec!["dense".to_owned()]));
    // PyTorch's usual order: the steps first, of a batch of one.
    let steps_first = last(lstm(Sketch::new(&[1, 3], 64), 3, vec![]), "0.state").finish(&[3]);
    let model = before_13(taking(steps_first, DataType::Float, &["7", "N", "3"]));
    let recurrent = lowered(&model);
    assert_eq!((recurrent.sides(), recurrent.steps_first), (&[STEPS, 1, 3][..], true));
    assert_eq!(recurrent.entry.input_sides, [1, STEPS, 1, 3], "an array has the number of inputs in front");
    assert_eq!(agrees(&model), (1, vec!["dense".to_owned()]));
}

/// `host/tests/zoo/export.py` made it: the last of both states, tokens first, states of zeros that are worked out.
#[test]
fn what_pytorch_exports() {
    let model = ModelProto::decode(&include_bytes!("../../../tests/zoo/torch-lstm.onnx")[..]).unwrap();
    let recurrent = lowered(&model);
    assert_eq!((recurrent.sides(), recurrent.embedding.as_ref().unwrap().rows), (&[1, 24][..], 50));
    assert_eq!(agrees(&model), (2, ["dense+relu", "dense"].map(String::from).to_vec()));
}

/// A net of features, the LSTM with `attributes`.
fn with(attributes: Vec<AttributeProto>) -> ModelProto {
    let sketch = Sketch::new(&[STEPS, 3], 65).node("Transpose", &[], vec![ints("perm", &[1, 0, 2])]);
    before_13(last(lstm(sketch, 3, attributes), "1.state").finish(&[3]))
}

#[test]
fn what_no_kernel_does_is_refused_with_a_reason() {
    let text = super::super::proto::text;
    assert!(refusal(&with(vec![text("direction", "bidirectional")])).contains("its direction is \"bidirectional\""));
    assert!(refusal(&with(vec![float("clip", 3.0)])).contains("it clips its gates"));
    let mut activations = text("activations", "");
    activations.strings = ["Relu", "Tanh", "Tanh"].map(|name| name.as_bytes().to_vec()).to_vec();
    assert!(refusal(&with(vec![activations])).contains("use Sigmoid, Tanh, Tanh"));
    let input = |index: usize, value: f32| {
        let mut model = with(vec![]);
        let graph = model.graph.as_mut().unwrap();
        graph.initializer.push(constant("more", &[1, 1, UNITS], &[value; UNITS]));
        graph.node[1].input.resize(index, String::new());
        graph.node[1].input.push("more".into());
        model
    };
    assert_eq!(agrees(&input(5, 0.0)).0, 1, "a state of zeros is what it starts with anyway");
    assert!(refusal(&input(5, 0.5)).contains("it starts from a state that is not zero"));
    assert!(refusal(&input(7, 0.5)).contains("it has peepholes"));
    let every_step = tokens().node_of("Relu", &["lstm2"], &[], vec![]).finish(&[STEPS, 1, UNITS]);
    let said = refusal(&taking(every_step, DataType::Int64, &["N", "7"]));
    assert!(said.contains("relu3 (Relu): it reads a value of every step of a sequence; let LSTMs read it"), "{said}");
    let said = refusal(&taking(last(tokens(), "2.state").finish(&[3]), DataType::Int64, &["N", "T"]));
    assert!(said.contains("export it with a fixed number of steps"), "{said}");
    let gru = Sketch::new(&[STEPS, 3], 66).node("GRU", &[&[1, 15, 3], &[1, 15, 5]], vec![]);
    let said = refusal(&gru.finish(&[STEPS, 1, 5]));
    assert!(said.contains("gru0 (GRU): its recurrence has no kernel; use an LSTM in one direction"), "{said}");
    // The state of the first of two LSTMs.
    let two = tokens().node_of("Squeeze", &["lstm2"], &[], vec![ints("axes", &[1])]);
    let mut both = lstm(two, UNITS, vec![]).node_of("Add", &["2.state", "4.state"], &[], vec![]);
    both = both.node("Squeeze", &[], vec![ints("axes", &[0])]);
    let said = refusal(&before_13(of_tokens(both)));
    assert!(said.contains("add5 reads the state of an LSTM behind which another stands"), "{said}");
    let answer = refusal(&before_13(of_tokens(tokens().node_of("Identity", &["2.state"], &[], vec![]))));
    assert!(answer.contains("the model computes nothing behind"), "{answer}");
}

#[test]
fn a_table_belongs_to_the_models_start() {
    let mut sketch = Sketch::new(&[4], 67).node("Gemm", &[&[4, 4]], vec![]);
    sketch.graph.initializer.push(constant("table", &[4, 2], &[0.5f32; 8]));
    let model = sketch.node_of("Gather", &["table", "gemm0"], &[], vec![]).finish(&[4, 2]);
    let said = format!("{:#}", super::lower(&model, "test").unwrap_err());
    assert!(said.contains("by something else than the model's input"), "{said}");
}

/// Keras feeds tokens as real numbers and makes integers of them.
#[test]
fn tokens_may_come_as_real_numbers() {
    let mut model = before_13(of_tokens(last(tokens(), "2.state")));
    let graph = model.graph.as_mut().unwrap();
    graph.node.insert(0, node("Cast", &["input"], "whole", vec![int("to", 6)]));
    graph.node[1].input[0] = "whole".into();
    let model = taking(model, DataType::Float, &["N", "7"]);
    assert_eq!(lowered(&model).embedding.unwrap().rows, 9);
    let mut features = with(vec![]);
    let graph = features.graph.as_mut().unwrap();
    graph.node.insert(0, node("Cast", &["input"], "whole", vec![int("to", 6)]));
    graph.node[1].input[0] = "whole".into();
    assert!(refusal(&features).contains("it reads neither the model's input"), "{}", refusal(&features));
}
