//! Initial weights.

use super::seed::{Purpose, generator};
use crate::graph::{Activation, Input, Network, Role};
use rand::RngExt;

/// Values of all parameters at the start: weights uniform in ±b, biases 0, but those of an LSTM's forget gates 1
/// (Jozefowicz et al. 2015); a batch norm starts as none.
///
/// `b = √(6 / fan_in)` before a ReLU or a leaky one (He et al. 2015), `b = √(6 / (fan_in + fan_out))` before anything else
/// (Glorot & Bengio 2010) and everywhere in the nets of a GAN: larger weights would draw black and white from the start, where a
/// tanh passes hardly any gradient, and the discriminator would win at once. `b = 1/√H` for the recurrent weights of H units,
/// and 0.05 for embeddings, as Keras has it.
pub fn initial(network: &Network, seed: u64) -> Vec<Vec<f32>> {
    drawn(network, seed, 0, matches!(network.input(), Input::Latent(_)))
}

/// The discriminator's, whose parameters count from `first`, behind those of the generator.
pub(super) fn discriminators(network: &Network, seed: u64, first: u64) -> Vec<Vec<f32>> {
    drawn(network, seed, first, true)
}

fn drawn(network: &Network, seed: u64, first: u64, adversarial: bool) -> Vec<Vec<f32>> {
    let parameters = network.parameters().iter().enumerate();
    parameters
        .map(|(index, parameter)| {
            let size = parameter.shape.iter().product();
            let bound = match parameter.role {
                Role::Bias | Role::Mean => return vec![0.0; size],
                Role::Scale | Role::Variance => return vec![1.0; size],
                // Input, output, forget, cell.
                Role::Gates { units } => {
                    return (0..size).map(|row| f32::from(u8::from(row / units == 2))).collect();
                }
                Role::Embedding => 0.05 * 0.05,
                Role::Recurrent { units } => 1.0 / units as f32,
                Role::Weight { fan_in, activation: Activation::Relu | Activation::LeakyRelu, .. } if !adversarial => {
                    6.0 / fan_in as f32
                }
                Role::Weight { fan_in, fan_out, .. } => 6.0 / (fan_in + fan_out) as f32,
            }
            .sqrt();
            let mut generator = generator(seed, Purpose::Weights, first + index as u64);
            (0..size).map(|_| generator.random_range(-bound..bound)).collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::Layer;

    #[test]
    fn weights_have_the_variance_of_their_rule_and_biases_are_zero() {
        let dense = |units, activation| Layer::Dense { units, batch_norm: false, activation };
        let layers = [Layer::Flatten, dense(100, Activation::Relu), dense(300, Activation::Linear)];
        let network = Network::new(&layers, Input::Image([1, 20, 20])).unwrap();
        let weights = initial(&network, 1);
        let variance = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        // A uniform distribution on ±b has the variance b²/3.
        assert!((variance(&weights[0]) / (2.0 / 400.0) - 1.0).abs() < 0.03);
        assert!((variance(&weights[2]) / (2.0 / (100.0 + 300.0)) - 1.0).abs() < 0.03);
        assert!(weights[1].iter().chain(&weights[3]).all(|&bias| bias == 0.0));
        assert_ne!(initial(&network, 2), weights);
    }
}
