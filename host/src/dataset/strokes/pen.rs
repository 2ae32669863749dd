//! From knots to ink: smooth curves through points, and a round pen that follows them.

use std::ops::{Add, Mul, Sub};

/// A point or a direction; x to the right, y down.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f32,
    pub y: f32,
}

/// The pen at one point of its path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dot {
    pub at: Point,
    /// In the same unit as the place.
    pub radius: f32,
}

impl Point {
    /// Euclidean length.
    pub fn length(self) -> f32 {
        self.x.hypot(self.y)
    }
}

impl Add for Point {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { x: self.x + other.x, y: self.y + other.y }
    }
}

impl Sub for Point {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { x: self.x - other.x, y: self.y - other.y }
    }
}

impl Mul<f32> for Point {
    type Output = Self;
    fn mul(self, factor: f32) -> Self {
        Self { x: self.x * factor, y: self.y * factor }
    }
}

/// The pen's path through `knots` as points about `spacing` apart. The curve is smooth except where a
/// knot stands twice. At least two knots; the result has at least two points.
pub fn path(knots: &[Point], spacing: f32) -> Vec<Point> {
    let mut fine = Vec::new();
    for run in knots.chunk_by(|a, b| a != b) {
        spline(run, &mut fine);
    }
    resample(&fine, spacing)
}

/// Appends a cubic Hermite curve through `knots`. Tangents are finite differences over centripetal
/// parameters (square roots of the chords), which neither overshoot nor make cusps where knots are
/// unevenly spaced (Yuksel et al., "Parameterization and applications of Catmull–Rom curves", 2011).
fn spline(knots: &[Point], output: &mut Vec<Point>) {
    const STEPS: usize = 10;
    let spans: Vec<f32> = knots.windows(2).map(|pair| (pair[1] - pair[0]).length().sqrt()).collect();
    let tangent = |i: usize| {
        let (before, after) = (i.saturating_sub(1), (i + 1).min(knots.len() - 1));
        (knots[after] - knots[before]) * (1.0 / spans[before..after].iter().sum::<f32>())
    };
    output.extend(knots.first());
    for (i, &span) in spans.iter().enumerate() {
        let (start, end) = (tangent(i) * span, tangent(i + 1) * span);
        for step in 1..=STEPS {
            let t = step as f32 / STEPS as f32;
            let (t2, t3) = (t * t, t * t * t);
            output.push(
                knots[i] * (2.0 * t3 - 3.0 * t2 + 1.0)
                    + start * (t3 - 2.0 * t2 + t)
                    + knots[i + 1] * (3.0 * t2 - 2.0 * t3)
                    + end * (t3 - t2),
            );
        }
    }
}

/// The polyline `points` as evenly spaced points, both ends kept.
fn resample(points: &[Point], spacing: f32) -> Vec<Point> {
    let length: f32 = points.windows(2).map(|pair| (pair[1] - pair[0]).length()).sum();
    let pieces = (length / spacing).round().max(1.0);
    let step = length / pieces;
    let mut output = vec![points[0]];
    let mut walked = 0.0;
    for pair in points.windows(2) {
        let segment = (pair[1] - pair[0]).length();
        while output.len() < pieces as usize && output.len() as f32 * step <= walked + segment {
            let t = (output.len() as f32 * step - walked) / segment;
            output.push(pair[0] + (pair[1] - pair[0]) * t);
        }
        walked += segment;
    }
    output.push(points[points.len() - 1]);
    output
}

/// Grey-level drawing surface, row by row: 0 is paper, 1 is ink.
pub struct Canvas {
    pub side: usize,
    pub ink: Vec<f32>,
}

impl Canvas {
    /// Blank paper of `side · side` pixels.
    pub fn new(side: usize) -> Self {
        Self { side, ink: vec![0.0; side * side] }
    }

    /// Draws a line whose round pen changes its radius from the first to the second end; all in
    /// pixels. A pixel's ink is its distance from the pen's edge, over one pixel.
    pub fn line(&mut self, [Dot { at: from, radius: first }, Dot { at: to, radius: last }]: [Dot; 2]) {
        let reach = first.max(last) + 1.0;
        let range = |a: f32, b: f32| {
            let low = (a.min(b) - reach).floor().clamp(0.0, self.side as f32) as usize;
            let high = (a.max(b) + reach).ceil().clamp(0.0, self.side as f32) as usize;
            low..high
        };
        let along = to - from;
        let inverse_square = 1.0 / (along.x * along.x + along.y * along.y).max(f32::MIN_POSITIVE);
        let (rows, columns) = (range(from.y, to.y), range(from.x, to.x));
        for row in rows {
            for column in columns.clone() {
                let offset = Point { x: column as f32 + 0.5, y: row as f32 + 0.5 } - from;
                let t = ((offset.x * along.x + offset.y * along.y) * inverse_square).clamp(0.0, 1.0);
                let radius = first + (last - first) * t;
                let coverage = (radius + 0.5 - (offset - along * t).length()).clamp(0.0, 1.0);
                let ink = &mut self.ink[row * self.side + column];
                *ink = ink.max(coverage);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(places: &[(f32, f32)]) -> Vec<Point> {
        places.iter().map(|&(x, y)| Point { x, y }).collect()
    }

    #[test]
    fn a_path_is_evenly_spaced_and_keeps_its_ends() {
        let knots = points(&[(0.0, 0.0), (0.3, 0.1), (0.5, 0.8), (0.1, 1.0)]);
        let path = path(&knots, 0.02);
        assert_eq!((path.first(), path.last()), (knots.first(), knots.last()));
        let steps: Vec<f32> = path.windows(2).map(|pair| (pair[1] - pair[0]).length()).collect();
        assert!(steps.iter().all(|step| (0.018..0.022).contains(step)), "{steps:?}");
    }

    #[test]
    fn only_a_repeated_knot_is_a_corner() {
        let sharpest = |knots: &[Point]| {
            let path = path(knots, 0.02);
            let steps: Vec<Point> = path.windows(2).map(|pair| pair[1] - pair[0]).collect();
            let turn = |pair: &[Point]| {
                let cosine = (pair[0].x * pair[1].x + pair[0].y * pair[1].y) / (pair[0].length() * pair[1].length());
                cosine.clamp(-1.0, 1.0).acos()
            };
            steps.windows(2).map(turn).fold(0.0, f32::max)
        };
        let smooth = sharpest(&points(&[(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)]));
        let corner = sharpest(&points(&[(0.0, 0.0), (1.0, 0.0), (1.0, 0.0), (1.0, 1.0)]));
        assert!(smooth < 0.5, "{smooth}");
        assert!(corner > 0.7, "{corner}");
    }

    #[test]
    fn a_line_covers_the_area_of_a_capsule() {
        let mut canvas = Canvas::new(60);
        let [from, to] = [Point { x: 15.2, y: 18.7 }, Point { x: 39.1, y: 42.3 }];
        canvas.line([from, to].map(|at| Dot { at, radius: 4.0 }));
        let expected = (to - from).length() * 8.0 + std::f32::consts::PI * 16.0;
        let area: f32 = canvas.ink.iter().sum();
        assert!((area / expected - 1.0).abs() < 0.02, "{area} instead of {expected}");
    }

    #[test]
    fn ink_outside_of_the_canvas_is_lost() {
        let mut canvas = Canvas::new(10);
        canvas.line([(-50.0, -50.0), (-20.0, 70.0)].map(|(x, y)| Dot { at: Point { x, y }, radius: 5.0 }));
        assert!(canvas.ink.iter().all(|&ink| ink == 0.0));
    }
}
