//! Runs one model in several ways and says, layer by layer, how far they lie apart.
//!
//! Each way gives [`Activations`]: the float model in ONNX Runtime ([`OnnxRuntime::float`]), the QDQ model there
//! ([`OnnxRuntime::int8`]), the twin ([`twin`]). [`compare`] sums up any two of them.

pub mod board;
mod difference;
mod onnxruntime;
pub mod sequence;
pub mod text;
mod tract;

pub use difference::Difference;
pub use onnxruntime::OnnxRuntime;
pub use tract::Tract;

use crate::quantize::equalize::Divisors;
use crate::quantize::{Affine, Network};
use crate::twin::{Twin, integers};
use anyhow::{Result, ensure};
use difference::Sums;
use serde::Serialize;

/// The real values of each tensor for one input, NHWC, in the order of the network's and the container's tensors;
/// `None` where the way of running has no such value.
pub type Activations = Vec<Option<Vec<f32>>>;

/// One layer, compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Layer {
    /// Name of the tensor.
    pub name: String,
    #[serde(flatten)]
    pub difference: Difference,
}

/// What the twin computes for `input`, as real numbers.
pub fn twin(twin: &mut Twin, input: &[i8]) -> Result<Activations> {
    let bytes = twin.trace(input)?;
    let real = |(tensor, bytes): (firmware::model::Tensor, Vec<u8>)| {
        let affine = Affine { scale: tensor.scale, zero_point: tensor.zero_point };
        let values = integers(&bytes, tensor.element).into_iter().map(|value| affine.dequantize(value)).collect();
        Some(values)
    };
    Ok(twin.model().tensors().zip(bytes).map(real).collect())
}

/// The values as they were before their channels were divided.
pub fn multiplied(mut layers: Activations, divisors: &Divisors) -> Activations {
    for (values, divisors) in layers.iter_mut().zip(divisors) {
        let (Some(values), Some(divisors)) = (values, divisors) else { continue };
        values.iter_mut().zip(divisors.iter().cycle()).for_each(|(value, divisor)| *value *= divisor);
    }
    layers
}

/// Compares two ways over the inputs `0..count`; layers without a value in either are left out.
pub fn compare<P>(
    network: &Network<P>,
    count: usize,
    mut reference: impl FnMut(usize) -> Result<Activations>,
    mut other: impl FnMut(usize) -> Result<Activations>,
) -> Result<Vec<Layer>> {
    let mut sums = vec![Sums::default(); network.tensors.len()];
    for index in 0..count {
        let (reference, other) = (reference(index)?, other(index)?);
        let pairs = reference.iter().zip(&other);
        for (index, ((sums, tensor), pair)) in sums.iter_mut().zip(&network.tensors).zip(pairs).enumerate() {
            let (Some(reference), Some(other)) = pair else { continue };
            ensure!(
                reference.len() == other.len(),
                "layer {} has {} values one way and {} the other: the files belong to different models; export again",
                tensor.name,
                reference.len(),
                other.len()
            );
            // What is cut off beyond the values that count is no error.
            let [min, max] = network.useful_values(index);
            let useful = |values: &[f32]| values.iter().map(|value| value.clamp(min, max)).collect::<Vec<_>>();
            sums.add(&useful(reference), &useful(other));
        }
    }
    let layers = network.tensors.iter().zip(sums).map(|(tensor, sums)| (tensor.name.clone(), sums.difference()));
    let compared = layers.filter(|(_, difference)| difference.count > 0);
    Ok(compared.map(|(name, difference)| Layer { name, difference }).collect())
}
