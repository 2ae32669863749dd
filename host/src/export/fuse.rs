//! Joins ops that one kernel does in one pass.

use crate::quantize::{Float, Function, Kind, Network, Op};

/// Max-pools whose stride equals their window, unpadded, move into the convolution before them where nobody else
/// reads its output. (ReLU has joined already, when it was lowered.) The tensor between the two is gone afterwards.
pub fn fuse(mut network: Network<Float>) -> Network<Float> {
    while let Some((conv, pool)) = fusable(&network) {
        let pooled = network.ops.remove(pool);
        let Kind::MaxPool2d { window } = pooled.kind else { unreachable!("fusable() answers with a max-pool") };
        let between = pooled.inputs[0];
        let op = &mut network.ops[conv];
        op.output = pooled.output;
        if let Kind::Conv2d { pool, .. } = &mut op.kind {
            *pool = window.kernel;
        }
        // The layer keeps the convolution's name.
        network.tensors[pooled.output].name = op.name.clone();
        remove_tensor(&mut network, between);
    }
    fuse_functions(&mut network);
    network
}

/// Functions of each value move into the transposed convolution before them where nobody else reads its output: on a device, both
/// tensors would be the largest of all.
fn fuse_functions(network: &mut Network<Float>) {
    while let Some((layer, lookup, function)) = joining(network) {
        let joined = network.ops.remove(lookup);
        let op = &mut network.ops[layer];
        op.output = joined.output;
        if let Kind::ConvTranspose2d { function: place, .. } = &mut op.kind {
            *place = Some(function);
        }
        network.tensors[joined.output].name = op.name.clone();
        remove_tensor(network, joined.inputs[0]);
    }
}

/// Indices of a transposed convolution and of the function that can join it.
fn joining(network: &Network<Float>) -> Option<(usize, usize, Function)> {
    network.ops.iter().enumerate().find_map(|(index, op)| {
        let Kind::Lookup { function } = op.kind else { return None };
        let input = op.inputs[0];
        let is_free = |maker: &Op<Float>| {
            maker.output == input && matches!(maker.kind, Kind::ConvTranspose2d { function: None, .. })
        };
        let layer = network.ops.iter().position(is_free)?;
        (function.joins() && network.readers(input) == 1).then_some((layer, index, function))
    })
}

/// Indices of a convolution and of the max-pool that can join it.
fn fusable(network: &Network<Float>) -> Option<(usize, usize)> {
    network.ops.iter().enumerate().find_map(|(index, op)| {
        let Kind::MaxPool2d { window } = op.kind else { return None };
        let input = op.inputs[0];
        let conv = network
            .ops
            .iter()
            .position(|maker| maker.output == input && matches!(maker.kind, Kind::Conv2d { pool: [1, 1], .. }))?;
        let [before, behind] = [input, op.output].map(|tensor| network.tensors[tensor].affine);
        let fits = window.kernel == window.stride
            && window.padding == [0; 4]
            && network.readers(input) == 1
            && before.is_none_or(|before| Some(before) == behind);
        fits.then_some((conv, index))
    })
}

/// Removes tensor `index`, which no op names any more.
pub fn remove_tensor(network: &mut Network<Float>, index: usize) {
    network.tensors.remove(index);
    let shift = |tensor: &mut usize| *tensor -= usize::from(*tensor > index);
    for op in &mut network.ops {
        op.inputs.iter_mut().for_each(shift);
        shift(&mut op.output);
    }
    shift(&mut network.input);
    shift(&mut network.output);
}
