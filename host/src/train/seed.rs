//! Random numbers that depend on the run's seed, a purpose and a counter alone, so that a resumed run draws the same ones.

use rand::SeedableRng;
use rand_xoshiro::Xoshiro256PlusPlus;

/// What numbers are drawn for. Each purpose has its own stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Initial weights; counter: parameter.
    Weights,
    /// Order of the samples; counter: epoch.
    Order,
    /// Distortion of a batch; counter: step.
    Augmentation,
    /// Dropout masks; counter: step · masks + mask.
    Dropout,
    /// Latent values of a batch; counter: step.
    Latents,
    /// Latent values of what a trained generator draws; counter: 0.
    Samples,
}

/// A seed for one draw.
pub fn mix(seed: u64, purpose: Purpose, counter: u64) -> u64 {
    split_mix(split_mix(split_mix(seed) ^ (purpose as u64 + 1)) ^ counter)
}

/// A generator for one draw.
pub fn generator(seed: u64, purpose: Purpose, counter: u64) -> Xoshiro256PlusPlus {
    Xoshiro256PlusPlus::seed_from_u64(mix(seed, purpose, counter))
}

/// SplitMix64's output function (Steele, Lea & Flood 2014): a bijection in which every input bit moves every output bit.
fn split_mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
