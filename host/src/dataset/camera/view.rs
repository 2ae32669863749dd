//! Where the camera stands: from pixels to places on the paper. The unit is a pixel of MNIST's image, whose digit is 20
//! high; the middle of the digit is the origin.

use super::{HEIGHT, WIDTH};
use rand::{Rng, RngExt};

/// `place = A·(p − centre) / (1 + g·(p − centre))`.
pub struct View {
    center: [f32; 2],
    inverse: [[f32; 2]; 2],
    tilt: [f32; 2],
    scale: f32,
}

impl View {
    /// Straight from above; a digit is 40 to 80 pixels high.
    pub fn ideal(extent: [f32; 2], rng: &mut impl Rng) -> Self {
        let height = rng.random_range(40.0..80.0);
        Self::new(extent, height, 0.0, 0.0, [0.0; 2], rng)
    }

    /// A digit 25 to 90 pixels high, turned by up to 12°, leaning, seen from aside.
    pub fn random(extent: [f32; 2], rng: &mut impl Rng) -> Self {
        let height = rng.random_range(25.0f32.ln()..90.0f32.ln()).exp();
        let angle = rng.random_range(-12.0f32..12.0).to_radians();
        let shear = rng.random_range(-0.15..0.15);
        let tilt = [rng.random_range(-0.0015..0.0015), rng.random_range(-0.0015..0.0015)];
        Self::new(extent, height, angle, shear, tilt, rng)
    }

    fn new(extent: [f32; 2], height: f32, angle: f32, shear: f32, tilt: [f32; 2], rng: &mut impl Rng) -> Self {
        let scale = height / 20.0;
        let (sin, cos) = angle.sin_cos();
        // Scale, shear, turn.
        let forward = [[cos, cos * shear - sin], [sin, sin * shear + cos]].map(|row| row.map(|value| value * scale));
        let [[a, b], [c, d]] = forward;
        let determinant = a * d - b * c;
        let inverse = [[d, -b], [-c, a]].map(|row| row.map(|value| value / determinant));
        // The whole digit is in the frame, a few pixels from its border.
        let half = [a.abs() * extent[0] + b.abs() * extent[1], c.abs() * extent[0] + d.abs() * extent[1]];
        let mut place = |side: usize, half: f32| {
            let margin = half / 2.0 * 1.08 + 5.0;
            let side = side as f32;
            if 2.0 * margin < side { rng.random_range(margin..side - margin) } else { side / 2.0 }
        };
        let center = [place(WIDTH, half[0]), place(HEIGHT, half[1])];
        Self { center, inverse, tilt, scale }
    }

    /// Where on the paper the camera sees the point `at` of the frame.
    pub fn on_paper(&self, at: [f32; 2]) -> [f32; 2] {
        let offset = [at[0] - self.center[0], at[1] - self.center[1]];
        let depth = self.depth(offset);
        self.inverse.map(|[x, y]| (x * offset[0] + y * offset[1]) / depth)
    }

    /// About how many pixels a unit of the paper has there.
    pub fn pixels_a_unit(&self, at: [f32; 2]) -> f32 {
        self.scale * self.depth([at[0] - self.center[0], at[1] - self.center[1]])
    }

    fn depth(&self, offset: [f32; 2]) -> f32 {
        1.0 + self.tilt[0] * offset[0] + self.tilt[1] * offset[1]
    }
}
