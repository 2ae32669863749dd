//! Models that take a sequence: an embedding perhaps, LSTMs one behind the other, and the layers that read the last state.
//!
//! A board runs such a model step by step, its states stay in between. So what each step holds is no tensor of the network:
//! the value of all steps is an image of one row here, with a step a column, which [`View`] follows through every
//! Transpose and Squeeze as it does elsewhere; nothing but an LSTM may read it. The network begins with the last state.

use super::onnx::Node;
use super::view::{Axis, View};
use super::{Lowering, Refusal, Value, refuse};
use crate::quantize::lstm::Float;
use crate::quantize::{Network, Shape};
use anyhow::{Result, anyhow, bail, ensure};
use tract_onnx::pb::ModelProto;

/// A table of vectors, one a token.
pub struct Embedding {
    pub name: String,
    pub rows: usize,
    pub width: usize,
    /// `[rows][width]`
    pub values: Vec<f32>,
}

/// One LSTM.
pub struct Layer {
    pub name: String,
    pub inputs: usize,
    pub units: usize,
    pub float: Float,
}

/// A model that takes a sequence.
pub struct Recurrent {
    /// The input alone: a row with a column for each step and a channel for each feature; a token is one feature.
    pub entry: Network<crate::quantize::Float>,
    /// Whether ONNX's input has the steps before the batch.
    pub steps_first: bool,
    /// What the tokens stand for; none where features are fed.
    pub embedding: Option<Embedding>,
    /// At least one, the first step's reader first.
    pub layers: Vec<Layer>,
    /// What the last step's state of the last LSTM goes through.
    pub tail: Network<crate::quantize::Float>,
}

/// What lowering notes of a sequence.
#[derive(Default)]
pub struct Steps {
    /// Tensors that hold a value for each step.
    pub tensors: Vec<usize>,
    pub embedding: Option<Embedding>,
    /// What each LSTM says at all steps, and at the last.
    states: Vec<[usize; 2]>,
    layers: Vec<Layer>,
    /// A value that several last states make up, a row each.
    stacked: Option<(usize, Vec<usize>)>,
    /// Whether the input has been cut to whole numbers, as tokens may be.
    pub whole_numbers: bool,
}

/// Rows of an embedding at most: tokens are 0 to 32,767.
const MOST_ROWS: usize = 1 << 15;

/// Lowers a model with an LSTM in it; `name` becomes the networks'.
///
/// # Errors
/// As [`super::lower`].
pub fn recurrent(model: &ModelProto, name: &str) -> Result<Recurrent> {
    // Exporters put the batch first or the steps; the LSTM knows.
    let (layers, batch_first) = attempt(model, name, false);
    if batch_first.is_ok() {
        return batch_first;
    }
    let (other_layers, steps_first) = attempt(model, name, true);
    if other_layers > layers { steps_first } else { batch_first }
}

/// How many LSTMs can be lowered with the input in that order, and what comes of it.
fn attempt(model: &ModelProto, name: &str, steps_first: bool) -> (usize, Result<Recurrent>) {
    let started = Lowering::of(model, name).and_then(|(mut lowering, output)| {
        lowering.sequence(steps_first)?;
        Ok((lowering, output))
    });
    let (mut lowering, output) = match started {
        Ok(started) => started,
        Err(error) => return (0, Err(error)),
    };
    let nodes = lowering.nodes();
    (lowering.steps.layers.len(), nodes.and_then(|()| finish(lowering, output, steps_first)))
}

impl Lowering<'_> {
    /// Takes the graph's input for a sequence: `[N, T]`, `[N, T, F]`, or with the steps T before the batch N.
    fn sequence(&mut self, steps_first: bool) -> Result<()> {
        let input = self.graph_input()?;
        let sides = super::onnx::sequence_sides(input)?;
        let features = if let [_, _, features] = sides[..] { features } else { Some(1) };
        ensure!(
            (2..=3).contains(&sides.len()),
            "input {} has {} dimensions; a model with an LSTM takes [N, T] tokens or [N, T, F] features",
            input.name,
            sides.len()
        );
        let place = usize::from(!steps_first);
        let (Some(steps), Some(features), None | Some(1)) = (sides[place], features, sides[1 - place]) else {
            bail!(
                "input {}: the model takes {:?} values, of which only the batch may be open, and is 1 on a board; \
                 export it with a fixed number of steps and features, which a board takes one step at a time, any number",
                input.name,
                sides
            )
        };
        let shape = Shape { height: 1, width: steps, channels: features };
        let mut groups: Vec<&[Axis]> = vec![&[], &[Axis::Column], &[Axis::Channel]];
        groups.truncate(sides.len());
        if steps_first {
            groups.swap(0, 1);
        }
        // An array of inputs has their number in front of ONNX's dimensions, or in the batch's place.
        let own = groups.iter().map(|group| group.first().map_or(1, |axis| axis.side(shape)));
        self.network.input_sides = (0..usize::from(steps_first)).map(|_| 1).chain(own).collect();
        let tensor = self.tensor(input.name.clone(), shape);
        let tensor = tensor.map_err(|refusal| anyhow!("input {}: {}", input.name, refusal.reason))?;
        self.network.tensors[tensor].value = Some(input.name.clone());
        self.network.tensors[tensor].onnx_order = [0, 1, 2];
        self.readers[tensor] = self.uses.get(input.name.as_str()).copied().unwrap_or_default();
        self.steps.tensors.push(tensor);
        self.values.insert(&input.name, Some(Value { tensor, view: View::new(&groups) }));
        Ok(())
    }
}

/// Gather of a table's rows by the tokens that the model takes.
pub fn embedding<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let is_input = |value: &Value| value.tensor == lowering.network.input && !lowering.steps.tensors.is_empty();
    let tokens = lowering.activation_at(node, 1).ok().filter(is_input);
    let shape = tokens.as_ref().map(|value| lowering.shape(value)).filter(|shape| shape.channels == 1);
    let (Some(tokens), Some(shape), None) = (tokens, shape, &lowering.steps.embedding) else {
        return refuse(
            "it looks rows of a table up, by something else than the model's input or a second time",
            "give the model one input of tokens, of which one embedding makes the vectors that an LSTM reads",
        );
    };
    let (dimensions, values) = lowering.constants.floats(node, 0, "table")?;
    let (&[rows, width], 0) = (&dimensions[..], node.int("axis", 0)) else {
        return refuse(format!("its table has the dimensions {dimensions:?}"), "give it a matrix and the axis 0");
    };
    if values.iter().any(|value| !value.is_finite()) {
        return refuse("one of its values is no finite number", "train again from before the loss went wrong");
    }
    if rows > MOST_ROWS {
        return refuse(format!("its table has {rows} rows"), format!("a board's embedding has up to {MOST_ROWS}"));
    }
    let tensor = lowering.tensor(node.name(), Shape { channels: width, ..shape })?;
    lowering.steps.tensors.push(tensor);
    lowering.steps.embedding = Some(Embedding { name: node.name(), rows, width, values });
    lowering.answer(node.output(), tensor, tokens.view.with_axis(Axis::Channel));
    Ok(())
}

/// Whether `node` makes int32 or int64 of the model's input, which changes nothing of tokens.
pub fn cuts_to_whole_numbers<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> bool {
    let is_input = lowering.activation(node).is_ok_and(|value| lowering.steps.tensors.first() == Some(&value.tensor));
    let cuts = is_input && matches!(node.int("to", 0), 6 | 7);
    lowering.steps.whole_numbers |= cuts;
    cuts
}

/// LSTM.
pub fn lstm<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    check_form(lowering, node)?;
    let value = lowering.activation(node)?;
    let shape = lowering.shape(&value);
    let batch_first = node.int("layout", 0) == 1;
    let column: &[Axis] = &[Axis::Column];
    let [first, second]: [&[Axis]; 2] = if batch_first { [&[], column] } else { [column, &[]] };
    if value.view.rank() != 3 || !value.view.is(&View::new(&[first, second, &[Axis::Channel]]), shape) {
        return refuse(
            format!("it reads the dimensions {:?}, which are not steps, batch and features", value.view.sides(shape)),
            "give it the model's input, an embedding's vectors, or what the LSTM before it says at each step",
        );
    }
    let before = lowering.steps.states.last().map(|states| states[0]);
    let start = lowering.steps.tensors.get(usize::from(lowering.steps.embedding.is_some())).copied();
    let cut_features = lowering.steps.whole_numbers && lowering.steps.embedding.is_none();
    if cut_features || Some(value.tensor) != before.or(start) {
        return refuse(
            "it reads neither the model's input, nor its embedding, nor what the LSTM before it says at each step",
            "put the LSTMs one behind the other, at the model's start",
        );
    }
    let (units, float) = weights(lowering, node, shape.channels)?;
    let whole = Shape { channels: units, ..shape };
    let last = lowering.tensor(format!("{}.state", node.name()), Shape::vector(units))?;
    // Of a single step, the last is all there is.
    let all = if shape.width == 1 { last } else { lowering.tensor(node.name(), whole)? };
    lowering.steps.states.push([all, last]);
    if all != last {
        lowering.steps.tensors.push(all);
    }
    lowering.steps.layers.push(Layer { name: node.name(), inputs: shape.channels, units, float });
    let channel: &[Axis] = &[Axis::Channel];
    let views: [&[&[Axis]]; 2] = if batch_first {
        [&[&[], column, &[], channel], &[&[], &[], channel]]
    } else {
        [&[column, &[], &[], channel], &[&[], &[], channel]]
    };
    for ((name, tensor), view) in node.outputs().zip([all, last]).zip(views) {
        if !name.is_empty() {
            lowering.answer(name, tensor, View::new(view));
        }
    }
    Ok(())
}

/// Refuses what no kernel does: other directions and activations, peepholes, states to start from.
fn check_form<'m>(lowering: &Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let direction = node.string("direction", "forward");
    if direction != "forward" {
        return refuse(
            format!("its direction is {direction:?}"),
            "use one direction, forward: a board reads step by step",
        );
    }
    let activations = node.strings("activations");
    let usual = ["sigmoid", "tanh", "tanh"];
    if !activations.is_empty() && !activations.iter().map(|name| name.to_lowercase()).eq(usual) {
        return refuse(format!("its activations are {activations:?}"), "use Sigmoid, Tanh, Tanh");
    }
    if node.float("clip", f32::INFINITY) != f32::INFINITY || node.int("input_forget", 0) != 0 {
        return refuse("it clips its gates, or couples two of them", "use an LSTM without clip and input_forget");
    }
    if node.input(7).is_some() {
        return refuse("it has peepholes", "use an LSTM without them");
    }
    if node.outputs().nth(2).is_some_and(|name| lowering.uses.contains_key(name)) {
        return refuse("something reads its cell state", "use its hidden state, Y or Y_h, alone");
    }
    if node.input(4).is_some() {
        let steps = lowering.activation(node).map(|value| lowering.shape(&value).width as i64)?;
        if lowering.constants.ints(node, 4, "lengths")?.iter().any(|&length| length != steps) {
            return refuse("it reads less than its whole input", "leave sequence_lens out");
        }
    }
    for index in [5, 6].into_iter().filter(|&index| node.input(index).is_some()) {
        if lowering.constants.floats(node, index, "first state")?.1.iter().any(|&value| value != 0.0) {
            return refuse("it starts from a state that is not zero", "let it start from zeros");
        }
    }
    Ok(())
}

/// Units and recurrence of `node`, which reads vectors of `inputs` values.
fn weights<'m>(lowering: &Lowering<'m>, node: &Node<'m>, inputs: usize) -> Result<(usize, Float), Refusal> {
    let (w, input) = lowering.constants.floats(node, 1, "weights")?;
    let (r, recurrent) = lowering.constants.floats(node, 2, "recurrent weights")?;
    let units = r.last().copied().unwrap_or_default();
    // ONNX has one bias for the input and one for the state.
    let (b, biases) = match node.input(3) {
        Some(_) => lowering.constants.floats(node, 3, "biases")?,
        None => (vec![1, 8 * units], vec![0.0; 8 * units]),
    };
    if w[..] != [1, 4 * units, inputs] || r[..] != [1, 4 * units, units] || b[..] != [1, 8 * units] {
        return refuse(
            format!("its weights have the dimensions {w:?}, {r:?} and {b:?} for {inputs} inputs"),
            "export the model again",
        );
    }
    let all = [&input, &recurrent, &biases];
    if all.iter().any(|values| values.iter().any(|value| !value.is_finite())) {
        return refuse("one of its weights is no finite number", "train again from before the loss went wrong");
    }
    let (first, second) = biases.split_at(4 * units);
    let bias: Vec<f32> = first.iter().zip(second).map(|(a, b)| a + b).collect();
    Ok((units, Float::new(&input, &recurrent, &bias)))
}

/// Concat of the last states of several LSTMs, as PyTorch writes it, of which one is taken later: `true`, and `node` answers
/// with a row for each.
pub fn states<'m>(
    lowering: &mut Lowering<'m>,
    node: &Node<'m>,
    dimension: usize,
    values: &[Value],
) -> Result<bool, Refusal> {
    let all: Vec<usize> = values.iter().map(|value| value.tensor).collect();
    let are_states = all.iter().all(|tensor| lowering.steps.states.iter().any(|[_, last]| last == tensor));
    let shape = lowering.shape(&values[0]);
    let view = values[0].view.free_axis(dimension, shape).filter(|(axis, _)| *axis == Axis::Row);
    let alike = values.iter().all(|value| lowering.shape(value) == shape && value.view == values[0].view);
    let Some((_, view)) = view.filter(|_| are_states && alike && lowering.steps.stacked.is_none()) else {
        return Ok(false);
    };
    let tensor = lowering.tensor(node.name(), Shape { height: all.len(), ..shape })?;
    lowering.steps.tensors.push(tensor);
    lowering.steps.stacked = Some((tensor, all));
    lowering.answer(node.output(), tensor, view);
    Ok(true)
}

/// The last state that a slice of the tensor `from` leaves, from `row` and `column` on and of `shape`; `None` where it leaves
/// something else.
pub fn last_state(lowering: &Lowering<'_>, from: usize, [row, column]: [usize; 2], shape: Shape) -> Option<usize> {
    let state = |tensor: &usize| (lowering.network.tensors[*tensor].shape == shape).then_some(*tensor);
    if let Some((_, states)) = lowering.steps.stacked.as_ref().filter(|(stacked, _)| *stacked == from) {
        return states.get(row).and_then(state);
    }
    let &[_, last] = lowering.steps.states.iter().find(|[all, _]| *all == from)?;
    state(&last).filter(|_| column + 1 == lowering.network.tensors[from].shape.width)
}

/// Parts the steps from what follows the last of them.
fn finish(mut lowering: Lowering<'_>, output: &str, steps_first: bool) -> Result<Recurrent> {
    let steps = std::mem::take(&mut lowering.steps);
    let Some(&[_, state]) = steps.states.last() else {
        bail!("the model has no LSTM that its input reaches; export it again");
    };
    let mut gone: Vec<usize> = steps.tensors.iter().chain(steps.states.iter().flatten()).copied().collect();
    gone.sort_unstable();
    gone.dedup();
    let quantized = gone.iter().find(|&&tensor| lowering.network.tensors[tensor].affine.is_some());
    ensure!(
        quantized.is_none(),
        "the model's LSTM reads or gives integers; export the float model, and it is quantized here"
    );
    gone.retain(|&tensor| tensor != state);
    let reads = |op: &crate::quantize::Op<_>| op.inputs.iter().any(|input| gone.contains(input));
    if let Some(op) = lowering.network.ops.iter().find(|op| reads(op)) {
        bail!("{} reads the state of an LSTM behind which another stands; let it read that of the last one", op.name);
    }
    let entry = Network {
        tensors: vec![lowering.network.tensors[lowering.network.input].clone()],
        ops: Vec::new(),
        input: 0,
        output: 0,
        ..lowering.network.clone()
    };
    ensure!(!lowering.network.ops.is_empty(), "the model computes nothing behind its LSTM; let a Gemm follow");
    lowering.network.input = state;
    let mut tail = lowering.finish(output)?;
    ensure!(!gone.contains(&tail.output), "the model answers with every step of its LSTM; let it answer with the last");
    tail.input_sides = vec![1, tail.tensors[state].shape.channels];
    gone.into_iter().rev().for_each(|tensor| super::super::fuse::remove_tensor(&mut tail, tensor));
    let tail = super::super::fuse::fuse(tail);
    Ok(Recurrent { entry, steps_first, embedding: steps.embedding, layers: steps.layers, tail })
}
