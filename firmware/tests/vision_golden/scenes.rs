//! Frames drawn in integers from a number alone, so that they are the same on every platform: strokes, lines, boxes,
//! shadows, glare and noise, on paper and on blackboards, in all formats and in sizes around the edges of words and cells.

use firmware::vision::Format;

/// Half of the frames have the usual size.
const SIZES: [[usize; 2]; 24] = [
    [1, 1],
    [2, 3],
    [3, 40],
    [4, 4],
    [5, 120],
    [31, 33],
    [33, 31],
    [36, 36],
    [64, 48],
    [97, 61],
    [96, 64],
    [128, 128],
    [130, 50],
    [158, 122],
    [159, 119],
    [161, 121],
    [163, 118],
    [191, 90],
    [256, 100],
    [257, 130],
    [320, 240],
    [70, 513],
    [516, 77],
    [640, 61],
];

const FORMATS: [Format; 5] = [Format::Grey, Format::Rgb565Be, Format::Rgb565Le, Format::Yuyv, Format::Uyvy];

/// Strokes of a few signs on a grid of 4 by 6: digits, and letters that look like none.
const SIGNS: [&[[i32; 2]]; 10] = [
    &[[1, 0], [3, 0], [4, 2], [4, 4], [3, 6], [1, 6], [0, 4], [0, 2], [1, 0]],
    &[[2, 0], [2, 6]],
    &[[0, 1], [1, 0], [3, 0], [4, 1], [4, 2], [0, 6], [4, 6]],
    &[[0, 0], [4, 0], [2, 2], [4, 4], [3, 6], [0, 6]],
    &[[3, 6], [3, 0], [0, 4], [4, 4]],
    &[[4, 0], [0, 0], [0, 3], [3, 3], [4, 4], [3, 6], [0, 6]],
    &[[0, 0], [4, 0], [1, 6]],
    &[[0, 6], [2, 0], [4, 6], [3, 4], [1, 4]],
    &[[0, 6], [0, 0], [4, 6], [4, 0]],
    &[[0, 0], [1, 6], [2, 3], [3, 6], [4, 0]],
];

/// A frame's bytes and how to read them.
pub struct Scene {
    pub size: [usize; 2],
    pub format: Format,
    pub bytes: Vec<u8>,
}

/// Xorshift of 64 bits.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> i32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 32) % u64::from(limit)) as i32
    }

    fn between(&mut self, from: i32, to: i32) -> i32 {
        from + self.below((to - from).max(1) as u32)
    }
}

/// A stroke between two points, with its radius; all in 1/16 pixels.
type Stroke = ([i32; 2], [i32; 2], i32);

/// The scene of this number.
pub fn scene(number: usize) -> Scene {
    let mut random = Random((number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..4).for_each(|_| {
        random.below(2);
    });
    let size = if number.is_multiple_of(2) { [160, 120] } else { SIZES[number / 2 % SIZES.len()] };
    let grey = grey(number, size, &mut random);
    let format = FORMATS[number / 3 % FORMATS.len()];
    Scene { size, format, bytes: grey.into_iter().flat_map(|level| encode(level, format, &mut random)).collect() }
}

/// Levels of grey: what is written in the light that falls on it.
fn grey(number: usize, [width, height]: [usize; 2], random: &mut Random) -> Vec<u8> {
    let strokes = match number / 2 % 8 {
        0..=2 => signs(random.between(1, 4), width, height, random),
        3 => [signs(1, width, height, random), rules(width, height, random)].concat(),
        4 => [signs(2, width, height, random), printed_box(width, height, random)].concat(),
        5 => scribble(width, height, random),
        6 => rules(width, height, random),
        _ => Vec::new(),
    };
    let [mut paper, mut ink] = [random.between(120, 250), random.between(5, 110)];
    if random.below(4) == 0 {
        (paper, ink) = (ink, paper);
    }
    let slope = [0, 1].map(|_| random.between(-60, 60));
    let noise = [0, 3, 8, 24][random.below(4) as usize];
    let shadow =
        (random.below(3) == 0).then(|| [random.between(-300, 300), random.below(width as u32), random.between(40, 90)]);
    let glare = (random.below(6) == 0)
        .then(|| [random.below(width as u32), random.below(height as u32), random.between(8, 40)]);
    let mut levels = Vec::with_capacity(width * height);
    for y in 0..height as i32 {
        for x in 0..width as i32 {
            let cover = strokes.iter().map(|stroke| cover(stroke, [16 * x + 8, 16 * y + 8])).max().unwrap_or(0);
            let mut level = paper + (ink - paper) * cover / 16;
            level += slope[0] * x / width as i32 + slope[1] * y / height as i32;
            if let Some([lean, start, percent]) = shadow
                && x + lean * y / 256 < start
            {
                level = level * percent / 100;
            }
            if let Some([middle_x, middle_y, radius]) = glare {
                let square = (x - middle_x).pow(2) + (y - middle_y).pow(2);
                level += (200 - 200 * square / radius.pow(2)).max(0);
            }
            level += random.between(-noise, noise + 1);
            levels.push(level.clamp(0, 255) as u8);
        }
    }
    levels
}

fn encode(level: u8, format: Format, random: &mut Random) -> Vec<u8> {
    // Channels that differ, and chroma of any kind.
    let tint = |random: &mut Random, bits: u32| {
        ((i32::from(level) + random.between(-4, 5)).clamp(0, 255) >> (8 - bits)) as u16
    };
    let mut rgb = || tint(random, 5) << 11 | tint(random, 6) << 5 | tint(random, 5);
    match format {
        Format::Grey => vec![level],
        Format::Rgb565Be => rgb().to_be_bytes().to_vec(),
        Format::Rgb565Le => rgb().to_le_bytes().to_vec(),
        Format::Yuyv => vec![level, random.below(256) as u8],
        Format::Uyvy => vec![random.below(256) as u8, level],
    }
}

/// Sixteenths of the pixel around the point that the stroke covers, nearly.
fn cover(&(from, to, radius): &Stroke, at: [i32; 2]) -> i32 {
    let [along, place] = [[to[0] - from[0], to[1] - from[1]], [at[0] - from[0], at[1] - from[1]]];
    let dot = |a: [i32; 2], b: [i32; 2]| i64::from(a[0]) * i64::from(b[0]) + i64::from(a[1]) * i64::from(b[1]);
    let length = dot(along, along);
    let part = dot(along, place).clamp(0, length);
    let off = [0, 1].map(|axis| place[axis] - (i64::from(along[axis]) * part / length.max(1)) as i32);
    (radius + 8 - dot(off, off).isqrt() as i32).clamp(0, 16)
}

fn signs(count: i32, width: usize, height: usize, random: &mut Random) -> Vec<Stroke> {
    let mut strokes = Vec::new();
    for _ in 0..count {
        let sign = SIGNS[random.below(SIGNS.len() as u32) as usize];
        let unit = random.between(40, 200).min(16 * height as i32 / 8).max(1);
        let lean = random.between(-30, 60);
        let start = [random.below(16 * width as u32), random.below(16 * height as u32)];
        let radius = random.between(12, 56);
        let point = |[x, y]: [i32; 2]| [start[0] + x * unit + lean * (6 - y) * unit / 200, start[1] + (y - 3) * unit];
        strokes.extend(sign.windows(2).map(|ends| (point(ends[0]), point(ends[1]), radius)));
    }
    strokes
}

fn scribble(width: usize, height: usize, random: &mut Random) -> Vec<Stroke> {
    let mut place = [random.below(16 * width as u32), random.below(16 * height as u32)];
    let radius = random.between(10, 40);
    (0..random.between(3, 20))
        .map(|_| {
            let next = place.map(|axis| axis + random.between(-400, 400));
            (std::mem::replace(&mut place, next), next, radius)
        })
        .collect()
}

/// Ruled or squared paper.
fn rules(width: usize, height: usize, random: &mut Random) -> Vec<Stroke> {
    let [width, height] = [16 * width as i32, 16 * height as i32];
    let [distance, tilt, radius] = [random.between(200, 700), random.between(-80, 80), random.between(4, 14)];
    let is_squared = random.below(2) == 0;
    let rows = (0..height / distance + 1).map(|line| [[-99, line * distance], [width + 99, line * distance + tilt]]);
    let columns = (0..width / distance + 1).map(|line| [[line * distance, -99], [line * distance - tilt, height + 99]]);
    rows.chain(columns.filter(|_| is_squared)).map(|[from, to]| (from, to, radius)).collect()
}

fn printed_box(width: usize, height: usize, random: &mut Random) -> Vec<Stroke> {
    let [width, height] = [16 * width as i32, 16 * height as i32];
    let [left, top] = [random.between(16, width / 3 + 17), random.between(16, height / 3 + 17)];
    let [right, bottom] = [random.between(width / 2, width), random.between(height / 2, height)];
    let corners = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]];
    corners.windows(2).map(|ends| (ends[0], ends[1], random.between(6, 16))).collect()
}
