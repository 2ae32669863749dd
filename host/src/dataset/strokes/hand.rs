//! One writer's hand for one digit: how the ideal path is bent, leaned, rounded and pressed.

use super::pen::{Dot, Point, path};
use rand::{Rng, RngExt};
use std::f32::consts::TAU;

/// Distance between points of a path, in digit heights.
const SPACING: f32 = 0.03;

/// What stays the same while one digit is written. Sizes are in digit heights, angles in radians.
pub struct Hand {
    /// Standard deviation of each knot's place.
    jitter: f32,
    /// Passes of a 1-2-1 filter along the path: fast hands cut corners.
    haste: u32,
    /// Exponents that stretch one half of the digit against the other, across and down.
    balance: [f32; 2],
    /// Rightward lean: x gained for each height above the middle.
    slant: f32,
    /// Clockwise turn.
    angle: f32,
    /// Width against height.
    aspect: f32,
    waves: [Wave; 3],
    /// Pen radius.
    radius: f32,
    /// Change of the radius along the path: part of it, turns a height, phase.
    pressure: [f32; 3],
    /// Standard deviation of the radius from point to point, as a part of it.
    roughness: f32,
}

/// A smooth displacement of the paper: `reach · sin(frequency · place + phase)`.
struct Wave {
    reach: Point,
    frequency: Point,
    phase: f32,
}

/// Roughly normal with mean 0 and variance 1, never beyond ±3.
fn normal(rng: &mut impl Rng) -> f32 {
    (0..3).map(|_| rng.random_range(-1.0..1.0)).sum()
}

impl Wave {
    fn new(rng: &mut impl Rng) -> Self {
        let reach = Point { x: 0.022 * normal(rng), y: 0.022 * normal(rng) };
        let frequency = Point { x: TAU * rng.random_range(-1.2..1.2), y: TAU * rng.random_range(-1.2..1.2) };
        Self { reach, frequency, phase: rng.random_range(0.0..TAU) }
    }

    fn at(&self, place: Point) -> Point {
        self.reach * (self.frequency.x * place.x + self.frequency.y * place.y + self.phase).sin()
    }
}

impl Hand {
    /// A random hand. The spreads were set so that the digits' slant, width and ink match those of MNIST's
    /// training images.
    pub fn new(rng: &mut impl Rng) -> Self {
        Self {
            jitter: rng.random_range(0.0..0.05),
            haste: rng.random_range(0..8),
            balance: [(0.15 * normal(rng)).exp(), (0.2 * normal(rng)).exp()],
            slant: 0.13 + 0.21 * normal(rng),
            angle: 0.11 * normal(rng),
            aspect: (0.15 + 0.17 * normal(rng)).exp(),
            waves: std::array::from_fn(|_| Wave::new(rng)),
            radius: 0.069 * (0.35 * normal(rng)).exp(),
            pressure: [rng.random_range(0.0..0.25), rng.random_range(0.3..2.0), rng.random_range(0.0..TAU)],
            roughness: rng.random_range(0.0..0.12),
        }
    }

    /// The stroke as this hand writes it, in digit heights, not yet in its final place.
    pub fn stroke(&self, knots: &[(i8, i8)], rng: &mut impl Rng) -> Vec<Dot> {
        let mut moved: Vec<Point> = Vec::with_capacity(knots.len());
        for (i, &(x, y)) in knots.iter().enumerate() {
            let corner = i > 0 && knots[i - 1] == knots[i];
            let shaken = Point { x: f32::from(x) * 0.01, y: f32::from(y) * 0.01 }
                + Point { x: normal(rng), y: normal(rng) } * self.jitter;
            moved.push(if corner { moved[i - 1] } else { shaken });
        }
        let mut points = path(&moved, SPACING);
        move_ends(&mut points, rng);
        for _ in 0..self.haste {
            smooth(&mut points);
        }
        points.iter().enumerate().map(|(i, &point)| Dot { at: self.bend(point), radius: self.radius(i, rng) }).collect()
    }

    /// Where a point of the ideal glyph comes to lie.
    fn bend(&self, point: Point) -> Point {
        // Glyphs are up to one height wide and high; jitter may carry a point a little outside.
        let stretch = |value: f32, exponent: f32| value.abs().powf(exponent) * value.signum();
        let place = Point { x: stretch(point.x, self.balance[0]), y: stretch(point.y, self.balance[1]) };
        let waved = self.waves.iter().fold(place, |sum, wave| sum + wave.at(place));
        let leaned = Point { x: (waved.x + self.slant * (0.5 - waved.y)) * self.aspect, y: waved.y };
        let (sin, cos) = self.angle.sin_cos();
        Point { x: cos * leaned.x - sin * leaned.y, y: sin * leaned.x + cos * leaned.y }
    }

    /// Pen radius at a path's point `index`.
    fn radius(&self, index: usize, rng: &mut impl Rng) -> f32 {
        let [part, turns, phase] = self.pressure;
        let pressed = 1.0 + part * (TAU * turns * index as f32 * SPACING + phase).sin();
        self.radius * pressed * (1.0 + self.roughness * normal(rng))
    }
}

/// Starts and stops early or late: an end loses some points, at most a fifth of them, or runs on
/// straight.
fn move_ends(points: &mut Vec<Point>, rng: &mut impl Rng) {
    for _ in 0..2 {
        let change = (1.3 * normal(rng)).round() as isize;
        if let (0.., [.., before, last]) = (change, &points[..]) {
            let (last, step) = (*last, *last - *before);
            points.extend((1..=change).map(|i| last + step * i as f32));
        } else {
            let kept = points.len().saturating_sub(change.unsigned_abs());
            points.truncate(kept.max(points.len() * 4 / 5));
        }
        points.reverse();
    }
}

/// One 1-2-1 filter along the path; the ends stay.
fn smooth(points: &mut [Point]) {
    let Some(&first) = points.first() else { return };
    let mut before = first;
    for i in 1..points.len().saturating_sub(1) {
        let here = points[i];
        points[i] = (before + here * 2.0 + points[i + 1]) * 0.25;
        before = here;
    }
}
