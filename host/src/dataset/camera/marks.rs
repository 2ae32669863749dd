//! What is written or printed on the paper, as distances to the edge of the ink; negative inside. The unit is a pixel of
//! MNIST's image, in which a digit is 20 high.

use super::SIDE;
use rand::{Rng, RngExt};

/// Points a unit of the distance field.
const FINE: usize = 4;
const FIELD: usize = SIDE * FINE;

pub enum Drawing {
    /// A distance at each point of a lattice, the middle of the ink, its extent.
    Field {
        distances: Vec<f32>,
        middle: [f32; 2],
        extent: [f32; 2],
    },
    Strokes {
        strokes: Vec<Vec<[f32; 2]>>,
        radius: f32,
    },
}

impl Drawing {
    /// The digit of an image, as written with a pen whose width is its own or one between thin (0) and thick (1).
    pub fn of_image(pixels: &[u8], pen: Option<f32>) -> Self {
        let inside: Vec<bool> = (0..FIELD * FIELD)
            .map(|index| {
                let [x, y] = [index % FIELD, index / FIELD].map(|i| (i as f32 + 0.5) / FINE as f32 - 0.5);
                smooth(pixels, x, y) > 110.0
            })
            .collect();
        let to_ink = distances_to(&inside, true);
        let to_paper = distances_to(&inside, false);
        let mut distances: Vec<f32> =
            to_ink.iter().zip(&to_paper).map(|(out, within)| (out - within) / FINE as f32).collect();
        // The mean depth inside a line is half of its half width.
        let depths: Vec<f32> = distances.iter().filter(|distance| **distance < 0.0).map(|distance| -distance).collect();
        let half_width = 2.0 * depths.iter().sum::<f32>() / depths.len().max(1) as f32;
        if let Some(pen) = pen {
            let wanted = 0.55 * (2.3f32 / 0.55).powf(pen);
            let change = (wanted - half_width).clamp(-0.45 * half_width, 0.9);
            distances.iter_mut().for_each(|distance| *distance -= change);
        }
        let (mut low, mut high) = ([FIELD; 2], [0; 2]);
        for (index, _) in distances.iter().enumerate().filter(|(_, distance)| **distance < 0.0) {
            let at = [index % FIELD, index / FIELD];
            low = [low[0].min(at[0]), low[1].min(at[1])];
            high = [high[0].max(at[0] + 1), high[1].max(at[1] + 1)];
        }
        let middle = [0, 1].map(|axis| (low[axis] + high[axis]) as f32 / 2.0);
        let extent = [0, 1].map(|axis| high[axis].saturating_sub(low[axis]) as f32 / FINE as f32);
        Self::Field { distances, middle, extent }
    }

    /// A line that wanders.
    pub fn scribble(rng: &mut impl Rng) -> Self {
        let count = rng.random_range(12..40);
        let mut at = [0.0f32; 2];
        let mut direction = rng.random_range(0.0..6.3f32);
        let mut stroke = vec![at];
        for _ in 0..count {
            direction += rng.random_range(-1.6..1.6);
            let step = rng.random_range(2.0..7.0);
            at = [at[0] + step * direction.cos(), at[1] + step * direction.sin()].map(|place| place.clamp(-14.0, 14.0));
            stroke.push(at);
        }
        Self::Strokes { strokes: vec![stroke], radius: rng.random_range(0.6..1.8) }
    }

    /// A capital that is not one of those that look like digits.
    pub fn letter(rng: &mut impl Rng) -> Self {
        let letter = LETTERS[rng.random_range(0..LETTERS.len())];
        let shake = rng.random_range(0.0..0.8);
        let stretch = rng.random_range(0.8..1.2);
        let mut place = |&(x, y): &(i8, i8)| {
            let [dx, dy] = [0, 1].map(|_| shake * rng.random_range(-1.0..1.0f32));
            [(f32::from(x) - 6.0) * stretch + dx, f32::from(y) - 10.0 + dy]
        };
        let strokes = letter.iter().map(|stroke| stroke.iter().map(&mut place).collect()).collect();
        Self::Strokes { strokes, radius: rng.random_range(0.6..1.8) }
    }

    pub fn extent(&self) -> [f32; 2] {
        match self {
            Self::Field { extent, .. } => *extent,
            Self::Strokes { strokes, radius } => [0, 1].map(|axis| {
                let reach = strokes.iter().flatten().map(|at| at[axis].abs()).fold(0.0, f32::max);
                2.0 * (reach + radius)
            }),
        }
    }

    pub fn distance(&self, at: [f32; 2]) -> f32 {
        match self {
            Self::Field { distances, middle, .. } => {
                let [x, y] =
                    [0, 1].map(|axis| (at[axis] * FINE as f32 + middle[axis] - 0.5).clamp(0.0, FIELD as f32 - 1.001));
                let (column, row) = (x as usize, y as usize);
                let value = |row: usize, column: usize| distances[row * FIELD + column];
                let line = |row: usize| value(row, column) * (1.0 - x.fract()) + value(row, column + 1) * x.fract();
                let inside = line(row) * (1.0 - y.fract()) + line(row + 1) * y.fract();
                // Outside of the lattice there is no ink.
                let beyond = [0, 1].map(|axis| ((at[axis] + middle[axis] / FINE as f32 - 14.0).abs() - 13.9).max(0.0));
                inside + beyond[0].max(beyond[1])
            }
            Self::Strokes { strokes, radius } => {
                let pieces = strokes.iter().flat_map(|stroke| stroke.windows(2));
                pieces.map(|piece| to_segment(at, piece[0], piece[1])).fold(f32::MAX, f32::min) - radius
            }
        }
    }
}

/// Cubic interpolation of the image (Catmull and Rom), black outside.
fn smooth(pixels: &[u8], x: f32, y: f32) -> f32 {
    let weights = |t: f32| {
        let (t2, t3) = (t * t, t * t * t);
        [-t3 + 2.0 * t2 - t, 3.0 * t3 - 5.0 * t2 + 2.0, -3.0 * t3 + 4.0 * t2 + t, t3 - t2].map(|weight| weight / 2.0)
    };
    let [across, down] = [weights(x - x.floor()), weights(y - y.floor())];
    let [left, top] = [x, y].map(|place| place.floor() as isize - 1);
    let pixel = |row: isize, column: isize| {
        let inside = (0..SIDE as isize).contains(&row) && (0..SIDE as isize).contains(&column);
        if inside { f32::from(pixels[row as usize * SIDE + column as usize]) } else { 0.0 }
    };
    let line = |row: isize| -> f32 { (0..4).map(|i| across[i as usize] * pixel(row, left + i)).sum() };
    (0..4).map(|i| down[i as usize] * line(top + i)).sum()
}

/// Distance of each point of the lattice to the nearest that is `wanted`, less half a step; 0 there. Exact to a few
/// hundredths (Danielsson 1980: the nearest point is handed from neighbour to neighbour).
fn distances_to(inside: &[bool], wanted: bool) -> Vec<f32> {
    const FAR: i32 = 10_000;
    let mut nearest: Vec<[i32; 2]> =
        inside.iter().map(|value| if *value == wanted { [0; 2] } else { [FAR; 2] }).collect();
    let side = FIELD as i32;
    for (order, neighbours) in
        [(false, [[-1, 0], [0, -1], [-1, -1], [1, -1]]), (true, [[1, 0], [0, 1], [1, 1], [-1, 1]])]
    {
        for _ in 0..2 {
            for step in 0..side * side {
                let index = if order { side * side - 1 - step } else { step };
                let [x, y] = [index % side, index / side];
                for [dx, dy] in neighbours {
                    if (0..side).contains(&(x + dx)) && (0..side).contains(&(y + dy)) {
                        let [nx, ny] = nearest[((y + dy) * side + x + dx) as usize];
                        let offered = [nx + dx, ny + dy];
                        let square = |[x, y]: [i32; 2]| x * x + y * y;
                        if square(offered) < square(nearest[index as usize]) {
                            nearest[index as usize] = offered;
                        }
                    }
                }
            }
        }
    }
    nearest.iter().map(|&[x, y]| ((x as f32).hypot(y as f32) - 0.5).max(0.0)).collect()
}

fn to_segment(at: [f32; 2], from: [f32; 2], to: [f32; 2]) -> f32 {
    let [along, offset] = [[to[0] - from[0], to[1] - from[1]], [at[0] - from[0], at[1] - from[1]]];
    let square = (along[0] * along[0] + along[1] * along[1]).max(f32::MIN_POSITIVE);
    let t = ((offset[0] * along[0] + offset[1] * along[1]) / square).clamp(0.0, 1.0);
    (offset[0] - t * along[0]).hypot(offset[1] - t * along[1])
}

/// Printed lines.
pub struct Rules {
    kind: Kind,
    /// Turned against the digit, radians.
    angle: f32,
    half_width: f32,
    /// Share of the ink's contrast.
    pub strength: f32,
}

enum Kind {
    None,
    /// First line and distance from line to line.
    Ruled([f32; 2]),
    Squared([f32; 2], [f32; 2]),
    /// Half of each side.
    Boxed([f32; 2]),
}

impl Rules {
    pub fn none() -> Self {
        Self { kind: Kind::None, angle: 0.0, half_width: 0.0, strength: 0.0 }
    }

    /// None, mostly.
    pub fn random(extent: [f32; 2], rng: &mut impl Rng) -> Self {
        if rng.random_range(0.0..1.0f32) < 0.5 { Self::none() } else { Self::some(extent, rng) }
    }

    pub fn some(extent: [f32; 2], rng: &mut impl Rng) -> Self {
        let spacing = rng.random_range(14.0..34.0);
        // Half of the lines of a box are as dark as the pen; those that the digit stands on are faint.
        let [faint, strong] = [rng.random_range(0.1..0.42), rng.random_range(0.2..1.0)];
        let (kind, strength) = match rng.random_range(0..4) {
            0 | 1 => (Kind::Ruled([rng.random_range(0.0..spacing), spacing]), faint),
            2 => (
                Kind::Squared([rng.random_range(0.0..spacing), spacing], [rng.random_range(0.0..spacing), spacing]),
                faint,
            ),
            _ => {
                let gap = rng.random_range(2.5..8.0);
                (Kind::Boxed([extent[0] / 2.0 + gap, extent[1] / 2.0 + gap + rng.random_range(0.0..3.0)]), strong)
            }
        };
        Self { kind, angle: rng.random_range(-0.05..0.05), half_width: rng.random_range(0.15..0.5), strength }
    }

    pub fn distance(&self, at: [f32; 2]) -> f32 {
        let (sin, cos) = self.angle.sin_cos();
        let [x, y] = [cos * at[0] - sin * at[1], sin * at[0] + cos * at[1]];
        let to_line = |place: f32, [first, spacing]: [f32; 2]| {
            let part = (place - first).rem_euclid(spacing);
            part.min(spacing - part)
        };
        let to_middle = match self.kind {
            Kind::None => return f32::MAX,
            Kind::Ruled(lines) => to_line(y, lines),
            Kind::Squared(rows, columns) => to_line(y, rows).min(to_line(x, columns)),
            Kind::Boxed(half) => {
                let [dx, dy] = [x.abs() - half[0], y.abs() - half[1]];
                if dx > 0.0 && dy > 0.0 { dx.hypot(dy) } else { dx.max(dy).abs() }
            }
        };
        to_middle - self.half_width
    }
}

/// Letters of 12 by 20 units.
#[rustfmt::skip]
const LETTERS: [&[&[(i8, i8)]]; 12] = [
    &[&[(0, 20), (6, 0), (12, 20)], &[(3, 12), (9, 12)]],
    &[&[(12, 0), (0, 0), (0, 20), (12, 20)], &[(0, 10), (9, 10)]],
    &[&[(12, 0), (0, 0), (0, 20)], &[(0, 10), (9, 10)]],
    &[&[(0, 0), (0, 20)], &[(12, 0), (12, 20)], &[(0, 10), (12, 10)]],
    &[&[(0, 0), (0, 20)], &[(12, 0), (0, 10), (12, 20)]],
    &[&[(0, 20), (0, 0), (6, 12), (12, 0), (12, 20)]],
    &[&[(0, 20), (0, 0), (12, 20), (12, 0)]],
    &[&[(0, 20), (0, 0), (9, 0), (12, 5), (9, 10), (0, 10), (12, 20)]],
    &[&[(0, 0), (12, 0)], &[(6, 0), (6, 20)]],
    &[&[(0, 0), (3, 20), (6, 8), (9, 20), (12, 0)]],
    &[&[(0, 0), (12, 20)], &[(12, 0), (0, 20)]],
    &[&[(0, 0), (0, 14), (3, 20), (9, 20), (12, 14), (12, 0)]],
];
