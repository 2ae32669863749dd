//! What a camera sees of a digit on paper: frames with known answers, drawn from a seed.
//!
//! marks (what is written, as distances to ink) → view (where the camera stands) → light (sun, shadows, glare)
//! → sensor (blur, noise, blocks of JPEG) → crops (what `firmware::vision` finds there, to train on)

mod cached;
mod crops;
mod light;
mod marks;
mod sensor;
mod view;

pub use cached::load;
pub use crops::{NO_DIGIT, digit_free, frames, test_samples, train_samples};

use light::{Grain, Light};
use marks::{Drawing, Rules};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Generator;
use view::View;

/// Size of a frame.
pub const WIDTH: usize = 160;
pub const HEIGHT: usize = 120;
/// Side of a digit's image.
pub const SIDE: usize = 28;

/// What lies before the camera.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject<'p> {
    /// One of MNIST's images: 28×28 pixels, light ink on black.
    Digit(&'p [u8]),
    /// Nothing on plain paper.
    Blank,
    /// Ruled, squared or boxed paper.
    Lines,
    /// A shadow's edge, or several.
    Shadows,
    /// A line that goes here and there.
    Scribble,
    /// A letter that looks like no digit.
    Letter,
}

/// How hard it is to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conditions {
    /// Even light, plain paper, a dark pen as wide as the image's own, the camera straight above.
    Ideal,
    /// Everything that goes wrong.
    Field,
}

/// A frame and what is to be seen in it.
#[derive(Clone, Debug)]
pub struct Shot {
    /// `WIDTH · HEIGHT` grey levels.
    pub grey: Vec<u8>,
    /// What the drawing takes up: first column and row, column and row behind the last, of pixels that are half ink or
    /// more. All zero without one.
    pub bounds: [usize; 4],
}

/// A shot that depends on the arguments alone. Another platform's sine or exponential may change single grey levels.
pub fn shoot(subject: Subject<'_>, conditions: Conditions, seed: u64) -> Shot {
    let mut rng = Generator::seed_from_u64(seed);
    let is_ideal = conditions == Conditions::Ideal;
    let drawing = match subject {
        Subject::Digit(pixels) if is_ideal => Some(Drawing::of_image(pixels, None)),
        Subject::Digit(pixels) => Some(Drawing::of_image(pixels, Some(rng.random_range(0.0..1.0)))),
        Subject::Blank | Subject::Lines | Subject::Shadows => None,
        Subject::Scribble => Some(Drawing::scribble(&mut rng)),
        Subject::Letter => Some(Drawing::letter(&mut rng)),
    };
    let extent = drawing.as_ref().map_or([20.0; 2], Drawing::extent);
    let view = if is_ideal { View::ideal(extent, &mut rng) } else { View::random(extent, &mut rng) };
    let rules = match subject {
        Subject::Lines => Rules::some(extent, &mut rng),
        _ if is_ideal => Rules::none(),
        _ => Rules::random(extent, &mut rng),
    };
    let shadows = match subject {
        Subject::Shadows => rng.random_range(1..=3),
        _ => [0, 0, 1, 1, 2][rng.random_range(0..5)],
    };
    let light = if is_ideal { Light::even() } else { Light::random(shadows, &mut rng) };
    let grain = if is_ideal { Grain::none() } else { Grain::random(&mut rng) };
    // How much light comes back from paper and from ink; a blackboard is the other way round.
    let [paper, ink] = match (is_ideal, rng.random_range(0.0..1.0f32) < 0.25) {
        (true, _) => [0.85, 0.15],
        (false, false) => [rng.random_range(0.6..0.95), rng.random_range(0.06..0.42)],
        (false, true) => [rng.random_range(0.08..0.25), rng.random_range(0.55..0.95)],
    };
    let mut picture = vec![0.0f32; WIDTH * HEIGHT];
    let mut bounds = None;
    for (index, value) in picture.iter_mut().enumerate() {
        let at = [(index % WIDTH) as f32 + 0.5, (index / WIDTH) as f32 + 0.5];
        let place = view.on_paper(at);
        let pixels = view.pixels_a_unit(at);
        let drawn = drawing.as_ref().map_or(0.0, |drawing| cover(drawing.distance(place), pixels));
        if drawn >= 0.5 {
            bounds = Some(widened(bounds, [index % WIDTH, index / WIDTH]));
        }
        let ruled = rules.strength * cover(rules.distance(place), pixels);
        let share = drawn * grain.pressure(at);
        let reflected = paper + (ink - paper) * share.max(ruled);
        *value = light.at(at) * reflected * grain.paper(at) + light.glare(at);
    }
    let sensor = if is_ideal { sensor::Sensor::good() } else { sensor::Sensor::random(&mut rng) };
    Shot { grey: sensor.expose(&mut picture, &mut rng), bounds: bounds.unwrap_or_default() }
}

/// The bounds with one pixel more.
fn widened(bounds: Option<[usize; 4]>, [x, y]: [usize; 2]) -> [usize; 4] {
    let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
    [left.min(x), top.min(y), right.max(x + 1), bottom.max(y + 1)]
}

/// Share of a pixel that ink covers whose edge is `distance` units away; negative inside.
fn cover(distance: f32, pixels_a_unit: f32) -> f32 {
    (0.5 - distance * pixels_a_unit).clamp(0.0, 1.0)
}
