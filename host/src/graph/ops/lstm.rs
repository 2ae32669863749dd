//! The recurrence of an LSTM (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).
//!
//! Gates stand in ONNX's order: input, output, forget, cell. With `z` = `W x + b`, worked out before for all steps at once,
//!
//! ```text
//! [i o f] = σ(z + R h)    g = tanh(z + R h)    c' = f c + i g    h' = o tanh(c')
//! ```
//!
//! The loop holds only what depends on the step before. Its gradient is a second loop, from the end to the start, whose
//! factors are worked out before for all steps as well: going back over one step costs one product and five small nodes.

use super::scan::Scan;
use super::{Operator, Range, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

/// The forward loop. Inputs: h₀ and c₀ [N, H], z [T, N, 4H], R [4H, H] and, with dropout, a mask [N, H] on h; output: h of all
/// steps [T, N, H]. Keeps c, tanh(c), σ(…) and g of all steps.
#[derive(Debug)]
struct Lstm(Scan);

/// ONNX's own operator, for inference: x [T, N, D], W [1, 4H, D], R [1, 4H, H], b [1, 8H]; the last h [1, N, H] or all
/// [T, 1, N, H].
#[derive(Debug)]
struct OnnxLstm {
    units: usize,
    all: bool,
}

impl Operator for Lstm {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        self.0.infer(inputs)
    }

    fn kept(&self, inputs: &[&Type]) -> Vec<Type> {
        self.0.kept(inputs)
    }

    fn outputs_before(&self) -> usize {
        self.0.outputs_before()
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        self.0.attributes()
    }

    fn scan(&self) -> Option<&Scan> {
        Some(&self.0)
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let &[h0, c0, z, recurrent, ref mask @ ..] = &node.inputs[..] else {
            unreachable!("checked when it was added")
        };
        let [steps, batch, units] = graph.dimensions(node.output, "a sequence of states")?;
        let (factors, to_cell, forget) = factors(graph, node, c0)?;
        let body = backward_body(batch, units, !mask.is_empty())?;
        let scan = Scan { body, states: 2, sequences: 4, reverse: true };
        let inputs = [&[h0, c0, dy, factors, to_cell, forget, recurrent], mask].concat();
        // The initial states are zeros, which is also what the gradient starts from.
        let dz = graph.apply(scan, &inputs)?;

        let mut before = shifted(graph, node.output, h0)?;
        if let &[mask] = mask {
            let mask = graph.reshape(mask, &[1, batch, units])?;
            before = graph.mul(before, mask)?;
        }
        let before = graph.reshape(before, &[steps * batch, units])?;
        let rows = graph.reshape(dz, &[steps * batch, 4 * units])?;
        let dr = graph.gemm(rows, before, None, true, false)?;
        debug_assert_eq!(graph.shape(z), graph.shape(dz));
        Ok([vec![h0, c0, dz, dr], mask.to_vec()].concat())
    }
}

/// What multiplies on the way back, for all steps: ∂gates [T, N, 4H] by the gradient of the cell (of the state, for the
/// output gate), ∂c/∂h [T, N, H], and the forget gate [T, N, H].
fn factors(graph: &mut Graph, node: &Node, c0: Value) -> Result<(Value, Value, Value)> {
    let &[c, tanh_c, s, g] = &node.kept[..] else { unreachable!("the body has four outputs beside h") };
    let units = graph.shape(g)[2];
    let [i, o, f] = [0, 1, 2].map(|gate| Range { axis: 2, start: gate * units, end: (gate + 1) * units, step: 1 });
    let [i, o, f] = [graph.slice(s, &[i])?, graph.slice(s, &[o])?, graph.slice(s, &[f])?];
    let one = graph.scalar(1.0);
    // σ' = σ − σ², and what each gate is multiplied with in c' and h'.
    let square = graph.mul(s, s)?;
    let slope = graph.sub(s, square)?;
    let before = shifted(graph, c, c0)?;
    let partners = graph.concat(&[g, tanh_c, before], 2)?;
    let sigmoids = graph.mul(partners, slope)?;
    let complement = |graph: &mut Graph, x| {
        let square = graph.mul(x, x)?;
        graph.sub(one, square)
    };
    let slope = complement(graph, g)?;
    let candidate = graph.mul(i, slope)?;
    let slope = complement(graph, tanh_c)?;
    let to_cell = graph.mul(o, slope)?;
    Ok((graph.concat(&[sigmoids, candidate], 2)?, to_cell, f))
}

/// The sequence one step later: `first` [N, H], then all of `sequence` [T, N, H] but its end.
fn shifted(graph: &mut Graph, sequence: Value, first: Value) -> Result<Value> {
    let [steps, batch, units] = graph.dimensions(sequence, "a sequence of states")?;
    let first = graph.reshape(first, &[1, batch, units])?;
    if steps == 1 {
        return Ok(first);
    }
    let rest = graph.slice(sequence, &[Range { axis: 0, start: 0, end: steps - 1, step: 1 }])?;
    graph.concat(&[first, rest], 0)
}

fn forward_body(batch: usize, units: usize, masked: bool) -> Result<Graph> {
    let mut body = Graph::new();
    let [h, c] = [body.input("h", &[batch, units])?, body.input("c", &[batch, units])?];
    let z = body.input("z", &[batch, 4 * units])?;
    let recurrent = body.input("R", &[4 * units, units])?;
    let seen = if masked {
        let mask = body.input("mask", &[batch, units])?;
        body.mul(h, mask)?
    } else {
        h
    };
    let sum = body.gemm(seen, recurrent, Some(z), false, true)?;
    let columns = |start: usize, end: usize| [Range { axis: 1, start: start * units, end: end * units, step: 1 }];
    let s = body.slice(sum, &columns(0, 3))?;
    let s = body.sigmoid(s)?;
    let g = body.slice(sum, &columns(3, 4))?;
    let g = body.tanh(g)?;
    let [i, o, f] = [body.slice(s, &columns(0, 1))?, body.slice(s, &columns(1, 2))?, body.slice(s, &columns(2, 3))?];
    let (kept, new) = (body.mul(f, c)?, body.mul(i, g)?);
    let c = body.add(kept, new)?;
    let tanh_c = body.tanh(c)?;
    let h = body.mul(o, tanh_c)?;
    for (name, value) in
        [("next.h", h), ("next.c", c), ("all.h", h), ("all.c", c), ("all.tanh", tanh_c), ("all.s", s), ("all.g", g)]
    {
        body.output(name, value)?;
    }
    Ok(body)
}

fn backward_body(batch: usize, units: usize, masked: bool) -> Result<Graph> {
    let mut body = Graph::new();
    let mut state = |name: &str| body.input(name, &[batch, units]);
    let [dh, dc, dy] = [state("dh")?, state("dc")?, state("dy")?];
    let factors = body.input("factors", &[batch, 4 * units])?;
    let [to_cell, forget] = [body.input("to_cell", &[batch, units])?, body.input("forget", &[batch, units])?];
    let recurrent = body.input("R", &[4 * units, units])?;
    let mask = if masked { Some(body.input("mask", &[batch, units])?) } else { None };
    let dh = body.add(dh, dy)?;
    let through = body.mul(dh, to_cell)?;
    let dc = body.add(through, dc)?;
    let each = body.concat(&[dc, dh, dc, dc], 1)?;
    let dz = body.mul(each, factors)?;
    let mut before = body.gemm(dz, recurrent, None, false, false)?;
    if let Some(mask) = mask {
        before = body.mul(before, mask)?;
    }
    let cell = body.mul(dc, forget)?;
    for (name, value) in [("next.dh", before), ("next.dc", cell), ("all.dz", dz)] {
        body.output(name, value)?;
    }
    Ok(body)
}

impl Operator for OnnxLstm {
    fn name(&self) -> &'static str {
        "LSTM"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x, w, r, b] = floats(inputs)?;
        let [steps, batch, width] = dimensions(x, "a sequence")?;
        let fits = w.shape == [1, 4 * self.units, width]
            && r.shape == [1, 4 * self.units, self.units]
            && b.shape == [1, 8 * self.units];
        ensure!(fits, "takes W [1, 4H, D], R [1, 4H, H] and b [1, 8H]");
        Ok(if self.all { Type::f32(&[steps, 1, batch, self.units]) } else { Type::f32(&[1, batch, self.units]) })
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("hidden_size", Attribute::Int(self.units as i64))]
    }

    fn outputs_before(&self) -> usize {
        usize::from(!self.all)
    }
}

impl Graph {
    /// The states h [T, N, H] of an LSTM that starts from zeros, for `z` = W x + b [T, N, 4H] and the recurrent weights
    /// `recurrent` [4H, H]; gates in the order input, output, forget, cell. `mask` [N, H] multiplies the state that each step
    /// reads: dropout that is the same at all steps (Gal & Ghahramani 2016).
    pub fn lstm(&mut self, z: Value, recurrent: Value, mask: Option<Value>) -> Result<Value> {
        let [_, batch, columns] = self.dimensions(z, "the input of a recurrence")?;
        let units = self.shape(recurrent)[1];
        ensure!(columns == 4 * units, "a recurrence over {columns} columns has {} units, not {units}", columns / 4);
        let zeros = self.constant(&[batch, units], &vec![0.0; batch * units]);
        let body = forward_body(batch, units, mask.is_some())?;
        let inputs: Vec<Value> = [zeros, zeros, z, recurrent].into_iter().chain(mask).collect();
        self.apply(Lstm(Scan { body, states: 2, sequences: 1, reverse: false }), &inputs)
    }

    /// The last state [1, N, H] of an LSTM over `x` [T, N, D], by ONNX's own operator; `w` [1, 4H, D], `r` [1, 4H, H], `b`
    /// [1, 8H]: the biases, then zeros. Has no gradient.
    pub fn onnx_lstm(&mut self, x: Value, w: Value, r: Value, b: Value) -> Result<Value> {
        let units = self.shape(r)[2];
        self.apply(OnnxLstm { units, all: false }, &[x, w, r, b])
    }

    /// As [`onnx_lstm`](Self::onnx_lstm), all states [T, 1, N, H].
    pub fn onnx_lstm_states(&mut self, x: Value, w: Value, r: Value, b: Value) -> Result<Value> {
        let units = self.shape(r)[2];
        self.apply(OnnxLstm { units, all: true }, &[x, w, r, b])
    }
}
