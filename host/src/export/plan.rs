//! Where each activation lies in the arena.

use crate::quantize::Quantized;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// A tensor as the planner sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Multiple of [`ALIGNMENT`].
    pub bytes: usize,
    /// Index of the op that writes it; 0 for the network's input.
    pub first: usize,
    /// Index of the last op that reads it.
    pub last: usize,
}

impl Block {
    /// Whether there is an op during which both must be kept.
    fn meets(&self, other: &Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

/// Places for all blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Bytes from the start of the arena, in the order of the blocks.
    pub offsets: Vec<usize>,
    /// Size of the arena.
    pub arena_bytes: usize,
    /// What is alive at once at the worst moment: no plan of the same order of ops takes less.
    pub lower_bound_bytes: usize,
}

/// Tensors start on multiples of this many bytes.
pub const ALIGNMENT: usize = 4;

/// The blocks of `quantized`, in the order of its tensors.
pub fn blocks(quantized: &Quantized) -> Vec<Block> {
    let network = &quantized.network;
    let end = network.ops.len().saturating_sub(1);
    let block = |tensor: usize| {
        let first = network.ops.iter().position(|op| op.output == tensor).unwrap_or(0);
        let last = network.ops.iter().rposition(|op| op.inputs.contains(&tensor)).unwrap_or(first);
        let last = if tensor == network.output { end } else { last };
        Block { bytes: network.tensor_bytes(tensor).next_multiple_of(ALIGNMENT), first, last }
    };
    (0..network.tensors.len()).map(block).collect()
}

/// Places `blocks` so that those that are alive at once do not overlap.
///
/// A straight net gets exactly its lower bound. For others the best of several greedy orders is taken, and bettered by
/// exchanging blocks where that helps.
pub fn plan(blocks: &[Block]) -> Plan {
    let lower_bound_bytes = lower_bound(blocks);
    let by_birth = order(blocks, |block| (block.first, block.last));
    let greedy = [
        by_birth.clone(),
        order(blocks, |block| (usize::MAX - block.bytes, block.first)),
        order(blocks, |block| (usize::MAX - block.bytes * (block.last - block.first + 1), block.first)),
    ];
    let candidates = greedy.iter().map(|order| lowest_fit(blocks, order));
    let candidates = two_ended(blocks, &by_birth, lower_bound_bytes).into_iter().chain(candidates);
    let size = |offsets: &[usize]| end(blocks, offsets);
    let mut offsets = candidates.min_by_key(|offsets| size(offsets)).unwrap_or_default();
    if size(&offsets) > lower_bound_bytes {
        offsets = exchanged(blocks, offsets, lower_bound_bytes);
    }
    Plan { arena_bytes: size(&offsets), offsets, lower_bound_bytes }
}

/// Exchanges that are tried.
const EXCHANGES: usize = 2000;

/// The best that lowest fits give when blocks of the order of `offsets` change places, at random, as long as that is no
/// worse.
fn exchanged(blocks: &[Block], mut offsets: Vec<usize>, lower_bound_bytes: usize) -> Vec<usize> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| offsets[index]);
    for _ in 0..EXCHANGES {
        if end(blocks, &offsets) == lower_bound_bytes {
            break;
        }
        let [a, b] = [(); 2].map(|()| random.random_range(0..order.len()));
        order.swap(a, b);
        let tried = lowest_fit(blocks, &order);
        if end(blocks, &tried) <= end(blocks, &offsets) {
            offsets = tried;
        } else {
            order.swap(a, b);
        }
    }
    offsets
}

fn lower_bound(blocks: &[Block]) -> usize {
    let alive = |op: usize| {
        blocks.iter().filter(|block| (block.first..=block.last).contains(&op)).map(|block| block.bytes).sum()
    };
    blocks.iter().map(|block| alive(block.first)).max().unwrap_or(0)
}

fn end(blocks: &[Block], offsets: &[usize]) -> usize {
    blocks.iter().zip(offsets).map(|(block, offset)| block.bytes + offset).max().unwrap_or(0)
}

fn order<K: Ord>(blocks: &[Block], key: impl Fn(&Block) -> K) -> Vec<usize> {
    let mut order: Vec<usize> = (0..blocks.len()).collect();
    order.sort_by_key(|&index| key(&blocks[index]));
    order
}

/// Puts each block in turn at the lowest place that is free for as long as it is alive.
fn lowest_fit(blocks: &[Block], order: &[usize]) -> Vec<usize> {
    let mut offsets = vec![0; blocks.len()];
    for (done, &index) in order.iter().enumerate() {
        let taken = taken(blocks, &offsets, &order[..done], index);
        let gap = gaps(&taken, usize::MAX).find(|(start, end)| end - start >= blocks[index].bytes);
        offsets[index] = gap.map_or(0, |(start, _)| start);
    }
    offsets
}

/// Within an arena of exactly `arena_bytes`: each block at the lowest free place, the next at the highest, and so on.
/// In a straight net only neighbours meet, so that this always succeeds for the lower bound. `None` where it does not.
fn two_ended(blocks: &[Block], order: &[usize], arena_bytes: usize) -> Option<Vec<usize>> {
    let mut offsets = vec![0; blocks.len()];
    for (done, &index) in order.iter().enumerate() {
        let taken = taken(blocks, &offsets, &order[..done], index);
        let bytes = blocks[index].bytes;
        let fitting: Vec<_> = gaps(&taken, arena_bytes).filter(|(start, end)| end - start >= bytes).collect();
        offsets[index] = if done % 2 == 0 { fitting.first()?.0 } else { fitting.last()?.1 - bytes };
    }
    Some(offsets)
}

/// Start and end of the `placed` blocks that block `index` meets, sorted.
fn taken(blocks: &[Block], offsets: &[usize], placed: &[usize], index: usize) -> Vec<(usize, usize)> {
    let meeting = placed.iter().filter(|&&other| blocks[other].meets(&blocks[index]));
    let mut taken: Vec<_> = meeting.map(|&other| (offsets[other], offsets[other] + blocks[other].bytes)).collect();
    taken.sort_unstable();
    taken
}

/// Free stretches below `limit` between sorted, possibly overlapping `taken` ones, from the lowest up.
fn gaps(taken: &[(usize, usize)], limit: usize) -> impl Iterator<Item = (usize, usize)> {
    let ends = taken.iter().copied().chain([(limit, limit)]);
    ends.scan(0, |free, (start, end)| {
        let gap = (*free, start.max(*free));
        *free = end.max(*free);
        Some(gap)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chain(sizes: &[usize]) -> Vec<Block> {
        let last = sizes.len().saturating_sub(2);
        let block = |(i, &bytes): (usize, &usize)| Block { bytes, first: i.saturating_sub(1), last: i.min(last) };
        sizes.iter().enumerate().map(block).collect()
    }

    fn check(blocks: &[Block], plan: &Plan) {
        for (i, a) in blocks.iter().enumerate() {
            for (j, b) in blocks.iter().enumerate().skip(i + 1) {
                let (x, y) = (plan.offsets[i], plan.offsets[j]);
                assert!(!a.meets(b) || x + a.bytes <= y || y + b.bytes <= x, "{i} and {j} overlap: {plan:?}");
            }
            assert!(plan.offsets[i] + a.bytes <= plan.arena_bytes);
        }
    }

    /// The least arena: lowest fit over every order. (Push the blocks of a best plan down one by one, lowest
    /// first: that is a lowest fit in the order of their offsets, so some order is best.)
    fn least(blocks: &[Block]) -> usize {
        fn permute(blocks: &[Block], order: &mut Vec<usize>, k: usize, best: &mut usize) {
            if k == order.len() {
                *best = (*best).min(end(blocks, &lowest_fit(blocks, order)));
            }
            for i in k..order.len() {
                order.swap(k, i);
                permute(blocks, order, k + 1, best);
                order.swap(k, i);
            }
        }
        let mut best = usize::MAX;
        permute(blocks, &mut (0..blocks.len()).collect(), 0, &mut best);
        best
    }

    #[test]
    fn the_digit_net() {
        let blocks = chain(&[784, 5408, 1600, 128, 40]);
        let plan = plan(&blocks);
        check(&blocks, &plan);
        assert_eq!((plan.arena_bytes, plan.lower_bound_bytes), (7008, 7008));
    }

    proptest! {
        #[test]
        fn straight_nets_take_their_lower_bound(sizes in prop::collection::vec(1usize..200, 2..12)) {
            let sizes: Vec<usize> = sizes.iter().map(|size| size * ALIGNMENT).collect();
            let blocks = chain(&sizes);
            let plan = plan(&blocks);
            check(&blocks, &plan);
            let neighbours = sizes.windows(2).map(|pair| pair[0] + pair[1]).max().unwrap();
            prop_assert_eq!((plan.arena_bytes, plan.lower_bound_bytes), (neighbours, neighbours));
        }

        #[test]
        fn branched_nets_come_near_the_best_plan(blocks in prop::collection::vec((1usize..40, 0usize..6, 0usize..4), 1..7)) {
            let block = |&(size, first, length): &(usize, usize, usize)| Block { bytes: size * ALIGNMENT, first, last: first + length };
            let blocks: Vec<Block> = blocks.iter().map(block).collect();
            let plan = plan(&blocks);
            check(&blocks, &plan);
            let best = least(&blocks);
            prop_assert!(plan.lower_bound_bytes <= best && best <= plan.arena_bytes);
            prop_assert!(plan.arena_bytes * 10 <= best * 11, "{} where {} is enough", plan.arena_bytes, best);
        }
    }
}
