//! Light that falls unevenly, and paper that is not all the same.

use super::{HEIGHT, WIDTH};
use rand::{Rng, RngExt};

/// Grey level of white paper in full light.
const WHITE: f32 = 255.0;

pub struct Light {
    exposure: f32,
    /// Part gained from the middle to the right and the lower border.
    gradient: [f32; 2],
    /// Part lost in the corners.
    vignette: f32,
    shadows: Vec<Shadow>,
    glare: Option<Glare>,
}

/// Darkness on one side of a wavy edge.
struct Shadow {
    /// Unit vector across the edge, and where on it the edge lies.
    normal: [f32; 2],
    offset: f32,
    wave: [f32; 3],
    softness: f32,
    depth: f32,
}

/// A lamp's reflection.
struct Glare {
    at: [f32; 2],
    radius: [f32; 2],
    level: f32,
}

impl Light {
    pub fn even() -> Self {
        Self { exposure: 0.95, gradient: [0.0; 2], vignette: 0.0, shadows: Vec::new(), glare: None }
    }

    pub fn random(shadows: usize, rng: &mut impl Rng) -> Self {
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        let slope = rng.random_range(0.0..0.45);
        let has_glare = rng.random_range(0.0..1.0f32) < 0.3;
        Self {
            exposure: rng.random_range(0.55..1.15),
            gradient: [slope * angle.cos(), slope * angle.sin()],
            vignette: rng.random_range(0.0..0.35),
            shadows: (0..shadows).map(|_| Shadow::random(rng)).collect(),
            glare: has_glare.then(|| Glare::random(rng)),
        }
    }

    /// Light on the paper at a pixel, as a grey level.
    pub fn at(&self, at: [f32; 2]) -> f32 {
        let [x, y] = [2.0 * at[0] / WIDTH as f32 - 1.0, 2.0 * at[1] / HEIGHT as f32 - 1.0];
        let uneven = 1.0 + self.gradient[0] * x + self.gradient[1] * y - self.vignette * (x * x + y * y) / 2.0;
        let shadow: f32 = self.shadows.iter().map(|shadow| shadow.at(at)).product();
        WHITE * self.exposure * uneven.max(0.05) * shadow
    }

    /// Light that comes from no paper.
    pub fn glare(&self, at: [f32; 2]) -> f32 {
        self.glare.as_ref().map_or(0.0, |glare| {
            let [x, y] = [0, 1].map(|axis| (at[axis] - glare.at[axis]) / glare.radius[axis]);
            glare.level * (-(x * x + y * y)).exp()
        })
    }
}

impl Shadow {
    fn random(rng: &mut impl Rng) -> Self {
        let angle = rng.random_range(0.0..std::f32::consts::TAU);
        Self {
            normal: [angle.cos(), angle.sin()],
            offset: rng.random_range(-50.0..50.0),
            wave: [rng.random_range(0.0..8.0), rng.random_range(0.02..0.1), rng.random_range(0.0..6.0)],
            softness: rng.random_range(4.0..25.0),
            depth: rng.random_range(0.15..0.55),
        }
    }

    fn at(&self, at: [f32; 2]) -> f32 {
        let [x, y] = [at[0] - WIDTH as f32 / 2.0, at[1] - HEIGHT as f32 / 2.0];
        let [across, along] = [x * self.normal[0] + y * self.normal[1], y * self.normal[0] - x * self.normal[1]];
        let [reach, frequency, phase] = self.wave;
        let t = (across - self.offset + reach * (frequency * along + phase).sin()) / self.softness;
        let t = (t + 0.5).clamp(0.0, 1.0);
        1.0 - self.depth * t * t * (3.0 - 2.0 * t)
    }
}

impl Glare {
    fn random(rng: &mut impl Rng) -> Self {
        Self {
            at: [rng.random_range(0.0..WIDTH as f32), rng.random_range(0.0..HEIGHT as f32)],
            radius: [rng.random_range(8.0..30.0), rng.random_range(8.0..30.0)],
            level: rng.random_range(20.0..110.0),
        }
    }
}

/// Texture: of the paper, and of ink that does not come evenly.
pub struct Grain {
    /// A lattice of values with one every [`Grain::STEP`] pixels, for paper and for ink.
    coarse: [Vec<f32>; 2],
    fine: Vec<f32>,
}

impl Grain {
    const STEP: usize = 8;
    const COLUMNS: usize = WIDTH / Self::STEP + 2;
    const ROWS: usize = HEIGHT / Self::STEP + 2;

    pub fn none() -> Self {
        Self { coarse: [Vec::new(), Vec::new()], fine: Vec::new() }
    }

    pub fn random(rng: &mut impl Rng) -> Self {
        let mut noise = |count: usize, reach: f32| -> Vec<f32> {
            let reach = rng.random_range(0.0..reach);
            (0..count).map(|_| reach * rng.random_range(-1.0..1.0f32)).collect()
        };
        let points = Self::COLUMNS * Self::ROWS;
        Self { coarse: [noise(points, 0.05), noise(points, 0.3)], fine: noise(WIDTH * HEIGHT, 0.05) }
    }

    /// Factor of the light that the paper gives back.
    pub fn paper(&self, at: [f32; 2]) -> f32 {
        let fine = self.fine.get(at[1] as usize * WIDTH + at[0] as usize).copied().unwrap_or(0.0);
        1.0 + Self::smooth(&self.coarse[0], at) + fine
    }

    /// Share of the ink that has come.
    pub fn pressure(&self, at: [f32; 2]) -> f32 {
        (1.0 - Self::smooth(&self.coarse[1], at).abs()).clamp(0.0, 1.0)
    }

    fn smooth(lattice: &[f32], at: [f32; 2]) -> f32 {
        if lattice.is_empty() {
            return 0.0;
        }
        let [x, y] = at.map(|place| place / Self::STEP as f32);
        let (column, row) = (x as usize, y as usize);
        let (right, down) = (x.fract(), y.fract());
        let value = |row: usize, column: usize| lattice[row * Self::COLUMNS + column];
        let line = |row: usize| value(row, column) * (1.0 - right) + value(row, column + 1) * right;
        line(row) * (1.0 - down) + line(row + 1) * down
    }
}
