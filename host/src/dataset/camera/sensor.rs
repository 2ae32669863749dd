//! What the lens and the chip make of the light.

use super::{HEIGHT, WIDTH};
use rand::{Rng, RngExt};
use std::f32::consts::PI;

pub struct Sensor {
    /// Standard deviation of the lens' blur, pixels.
    blur: f32,
    /// Standard deviation of the noise in the dark, and what it gains by light.
    noise: f32,
    shot: f32,
    /// Quality of JPEG, 1 to 100.
    quality: Option<f32>,
}

/// JPEG's quantization of brightness (Annex K of the standard).
#[rustfmt::skip]
const STEPS: [u8; 64] = [
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29, 51, 87, 80, 62,
    18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
];

impl Sensor {
    pub fn good() -> Self {
        Self { blur: 0.5, noise: 1.0, shot: 0.0, quality: None }
    }

    pub fn random(rng: &mut impl Rng) -> Self {
        let is_jpeg = rng.random_range(0.0..1.0f32) < 0.4;
        Self {
            blur: rng.random_range(0.4..1.4),
            noise: rng.random_range(0.5..5.0),
            shot: rng.random_range(0.0..0.25),
            quality: is_jpeg.then(|| rng.random_range(30.0..90.0)),
        }
    }

    /// The frame's grey levels.
    pub fn expose(&self, picture: &mut [f32], rng: &mut impl Rng) -> Vec<u8> {
        self.soften(picture);
        for value in picture.iter_mut() {
            let spread = self.noise + self.shot * value.max(0.0).sqrt();
            // The sum of three has a third of a normal's unit variance each.
            let normal: f32 = (0..3).map(|_| rng.random_range(-1.0..1.0f32)).sum();
            *value = (*value + spread * normal).clamp(0.0, 255.0);
        }
        if let Some(quality) = self.quality {
            compress(picture, quality);
        }
        // The cast saturates.
        picture.iter().map(|value| value.round() as u8).collect()
    }

    fn soften(&self, picture: &mut [f32]) {
        let weights: Vec<f32> = (-4..=4).map(|i| (-(i * i) as f32 / (2.0 * self.blur * self.blur)).exp()).collect();
        let sum: f32 = weights.iter().sum();
        for (count, length, step, stride) in [(HEIGHT, WIDTH, 1, WIDTH), (WIDTH, HEIGHT, WIDTH, 1)] {
            for line in 0..count {
                let old: Vec<f32> = (0..length).map(|i| picture[line * stride + i * step]).collect();
                for i in 0..length {
                    let near = |k: usize| old[(i + k).saturating_sub(4).min(length - 1)];
                    let mixed: f32 = weights.iter().enumerate().map(|(k, weight)| weight * near(k)).sum();
                    picture[line * stride + i * step] = mixed / sum;
                }
            }
        }
    }
}

/// Quantizes blocks of 8×8 as JPEG does.
fn compress(picture: &mut [f32], quality: f32) {
    let scale = if quality < 50.0 { 50.0 / quality } else { 2.0 - quality / 50.0 };
    let basis: [[f32; 8]; 8] = std::array::from_fn(|k| {
        let norm = if k == 0 { 0.125f32 } else { 0.25 }.sqrt();
        std::array::from_fn(|i| norm * (PI * (2 * i + 1) as f32 * k as f32 / 16.0).cos())
    });
    let transform = |block: &[[f32; 8]; 8], forward: bool| -> [[f32; 8]; 8] {
        let factor = |k: usize, i: usize| if forward { basis[k][i] } else { basis[i][k] };
        let rows: [[f32; 8]; 8] =
            std::array::from_fn(|y| std::array::from_fn(|k| (0..8).map(|i| factor(k, i) * block[y][i]).sum()));
        std::array::from_fn(|k| std::array::from_fn(|x| (0..8).map(|i| factor(k, i) * rows[i][x]).sum()))
    };
    for top in (0..HEIGHT).step_by(8) {
        for left in (0..WIDTH).step_by(8) {
            let block = std::array::from_fn(|y| std::array::from_fn(|x| picture[(top + y) * WIDTH + left + x] - 128.0));
            let mut waves = transform(&block, true);
            for (wave, step) in waves.as_flattened_mut().iter_mut().zip(STEPS) {
                let step = (f32::from(step) * scale).max(1.0);
                *wave = (*wave / step).round() * step;
            }
            for (y, row) in transform(&waves, false).iter().enumerate() {
                for (x, value) in row.iter().enumerate() {
                    picture[(top + y) * WIDTH + left + x] = value + 128.0;
                }
            }
        }
    }
}
