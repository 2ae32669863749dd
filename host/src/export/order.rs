//! In which order the ops of a net with branches run: the one that keeps the fewest bytes alive at its worst moment.
//!
//! A search over sets of ops that have run, from the empty one to the full one, always going on from the set whose worst
//! moment so far was the least (Dijkstra's algorithm with the maximum in place of the sum). What is alive depends on the
//! set alone, so the first time that a set is taken up, no better way leads to it. Straight nets have one set for each
//! number of ops; branches multiply them, so that a limit ends the search in nets that are too wide, which keep the order
//! that they came in.

use crate::quantize::Network;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};

/// Sets that are looked at, at most: well below a second.
const LIMIT: usize = 100_000;

/// Puts the ops of `network` into the order that needs the fewest bytes. Where none is better, they stay as they are.
pub fn reorder<P>(network: &mut Network<P>) {
    let bytes: Vec<usize> = (0..network.tensors.len()).map(|tensor| network.tensor_bytes(tensor)).collect();
    if let Some(order) = best_order(network, &bytes) {
        let mut ops: Vec<_> = std::mem::take(&mut network.ops).into_iter().map(Some).collect();
        network.ops = order.into_iter().filter_map(|index| ops[index].take()).collect();
    }
}

/// The order of the ops, by their index, where one is better than that in which they stand; `bytes` of each tensor.
fn best_order<P>(network: &Network<P>, bytes: &[usize]) -> Option<Vec<usize>> {
    let count = network.ops.len();
    // A set is a number of bits.
    let full = 1u128.checked_shl(count as u32)? - 1;
    let memory = Memory::of(network, bytes);
    let given = (0..count).map(|op| memory.during(!(u128::MAX << op), op)).max()?;
    let mut queue = BinaryHeap::from([Reverse((0, Reverse(0), 0u128))]);
    // How each set was reached: its worst moment, and the last op.
    let mut reached = HashMap::from([(0, (0, usize::MAX))]);
    while let Some(Reverse((worst, _, set))) = queue.pop() {
        if worst >= given || reached.len() > LIMIT {
            return None;
        }
        if set == full {
            return Some(way_to(set, &reached));
        }
        if reached[&set].0 < worst {
            continue;
        }
        for op in (0..count).filter(|&op| memory.can_run(set, op)) {
            let (next, worst) = (set | 1 << op, worst.max(memory.during(set, op)));
            if reached.get(&next).is_none_or(|(known, _)| worst < *known) {
                reached.insert(next, (worst, op));
                // Of equals, the longer way first.
                queue.push(Reverse((worst, Reverse(next.count_ones()), next)));
            }
        }
    }
    None
}

fn way_to(mut set: u128, reached: &HashMap<u128, (usize, usize)>) -> Vec<usize> {
    let mut order = Vec::new();
    while set != 0 {
        let (_, op) = reached[&set];
        order.push(op);
        set &= !(1 << op);
    }
    order.reverse();
    order
}

/// What is alive between ops.
struct Memory<'b> {
    bytes: &'b [usize],
    /// For each tensor the op that makes it and the ops that read it, as sets; the input is made by none.
    makers: Vec<u128>,
    readers: Vec<u128>,
    /// For each op the ops that make what it reads.
    needed: Vec<u128>,
    outputs: Vec<usize>,
    answer: usize,
}

impl<'b> Memory<'b> {
    fn of<P>(network: &Network<P>, bytes: &'b [usize]) -> Self {
        let set = |belongs: &dyn Fn(usize) -> bool| {
            (0..network.ops.len()).filter(|&op| belongs(op)).fold(0u128, |set, op| set | 1 << op)
        };
        let tensors = 0..network.tensors.len();
        let makers: Vec<u128> = tensors.clone().map(|tensor| set(&|op| network.ops[op].output == tensor)).collect();
        let readers = tensors.map(|tensor| set(&|op| network.ops[op].inputs.contains(&tensor))).collect();
        let needed = network.ops.iter().map(|op| op.inputs.iter().fold(0, |set, &input| set | makers[input])).collect();
        let outputs = network.ops.iter().map(|op| op.output).collect();
        Self { bytes, makers, readers, needed, outputs, answer: network.output }
    }

    fn can_run(&self, done: u128, op: usize) -> bool {
        done >> op & 1 == 0 && self.needed[op] & !done == 0
    }

    /// Bytes alive while `op` runs, when the ops of `done` have run.
    fn during(&self, done: u128, op: usize) -> usize {
        let alive = |&tensor: &usize| {
            let is_made = self.makers[tensor] & !done == 0;
            is_made && (self.readers[tensor] & !done != 0 || tensor == self.answer)
        };
        let kept: usize = (0..self.bytes.len()).filter(alive).map(|tensor| self.bytes[tensor]).sum();
        kept + self.bytes[self.outputs[op]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::{Bounds, Float, Kind, Op, Shape, Tensor};
    use proptest::prelude::*;

    /// A net of sums: each op reads two earlier tensors (or one twice); `sizes` of all tensors, the input first.
    fn net(sizes: &[usize], inputs: &[[usize; 2]]) -> Network<Float> {
        let tensor = |(index, &size): (usize, &usize)| Tensor {
            name: index.to_string(),
            value: None,
            shape: Shape::vector(size),
            onnx_order: [2, 0, 1],
            affine: None,
        };
        let op = |(index, inputs): (usize, &[usize; 2])| Op {
            name: index.to_string(),
            kind: Kind::Add { subtract: false, bounds: Bounds::NONE },
            inputs: inputs.to_vec(),
            output: index + 1,
            weight_scales: None,
        };
        Network {
            name: "net".into(),
            tensors: sizes.iter().enumerate().map(tensor).collect(),
            ops: inputs.iter().enumerate().map(op).collect(),
            input: 0,
            input_sides: vec![1, sizes[0]],
            output: inputs.len(),
        }
    }

    /// The worst moment of every order, by trying them all.
    fn least(memory: &Memory<'_>, done: u128, count: usize, worst: usize) -> usize {
        let ready = (0..count).filter(|&op| memory.can_run(done, op));
        let next = ready.map(|op| least(memory, done | 1 << op, count, worst.max(memory.during(done, op))));
        next.min().unwrap_or(worst)
    }

    #[test]
    fn a_long_branch_runs_before_a_wide_one() {
        // Both branches read the input; the second one's first tensor is large and soon small.
        let sizes = [10, 60, 50, 100, 5, 50];
        let net = net(&sizes, &[[0, 0], [1, 1], [0, 0], [3, 3], [2, 4]]);
        assert_eq!(best_order(&net, &sizes), Some(vec![2, 3, 0, 1, 4]));
        // Straight nets stay as they are.
        let straight = self::net(&sizes, &[[0, 0], [1, 1], [2, 2], [3, 3], [4, 4]]);
        assert_eq!(best_order(&straight, &sizes), None);
    }

    proptest! {
        #[test]
        fn no_order_is_better(
            sizes in prop::collection::vec(1usize..100, 8),
            picks in prop::collection::vec([0usize..100, 0..100], 7),
        ) {
            let inputs: Vec<[usize; 2]> =
                picks.iter().enumerate().map(|(op, pick)| pick.map(|pick| pick % (op + 1))).collect();
            let net = net(&sizes, &inputs);
            let memory = Memory::of(&net, &sizes);
            let worst = |order: &[usize]| {
                let mut done = 0u128;
                let moments = order.iter().map(|&op| {
                    assert!(memory.can_run(done, op));
                    let bytes = memory.during(done, op);
                    done |= 1 << op;
                    bytes
                });
                moments.max().unwrap()
            };
            let given: Vec<usize> = (0..7).collect();
            let order = best_order(&net, &sizes).unwrap_or(given);
            prop_assert_eq!(order.len(), 7);
            prop_assert_eq!(worst(&order), least(&memory, 0, 7, 0));
        }
    }
}
