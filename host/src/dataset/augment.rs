//! Random distortion of training images, drawn anew for every step.

use super::Images;
use crate::recipe::Augmentation;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Generator;
use rayon::prelude::*;

/// Control points of the elastic field along each axis, so that its waves are about a pen stroke long.
const GRID: usize = 5;
/// Share of the image that one erased rectangle covers, and its aspect (Zhong et al. 2017, smaller).
const ERASED_AREA: (f32, f32) = (0.02, 0.12);
const ERASED_ASPECT: (f32, f32) = (0.3, 3.3);

/// Smooth way from 0 to 1: its slope is 0 at both ends, so that the field has no creases along the grid's lines.
fn ease(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

/// Distorts images of one size.
#[derive(Clone, Debug)]
pub struct Augmenter {
    bounds: Augmentation,
    height: usize,
    width: usize,
    /// Where each row and each column of pixels lies: the control point before it, and the weight of the one behind.
    rows: Vec<(usize, f32)>,
    columns: Vec<(usize, f32)>,
}

impl Augmenter {
    pub fn new(bounds: &Augmentation, height: usize, width: usize) -> Self {
        let between = |extent: usize| -> Vec<(usize, f32)> {
            let step = (GRID - 1) as f32 / (extent.max(2) - 1) as f32;
            let place = |i: usize| {
                let point = ((i as f32 * step) as usize).min(GRID - 2);
                (point, ease(i as f32 * step - point as f32))
            };
            (0..extent).map(place).collect()
        };
        Self { bounds: bounds.clone(), height, width, rows: between(height), columns: between(width) }
    }

    /// Writes the images `indices` into `output`, NCHW, values `pixel / 255`, each distorted by draws that depend on
    /// `seed` and its place in the batch alone. `strength` scales every bound; `erase` allows erasing.
    ///
    /// # Panics
    /// If `output` is not `indices.len() · channels · height · width` long, or an index is out of range.
    pub fn batch(&self, images: &Images, indices: &[usize], seed: u64, strength: f32, erase: bool, output: &mut [f32]) {
        let size = images.channels * self.height * self.width;
        assert_eq!(output.len(), indices.len() * size);
        output.par_chunks_exact_mut(size).zip(indices).enumerate().for_each(|(place, (output, &index))| {
            let mut generator = Generator::seed_from_u64(seed ^ (place as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
            let map = Map::draw(&self.bounds, strength, &mut generator);
            // Drawn behind the map, and only where wanted, so that what the map draws stays what it was.
            let plain = self.bounds.plain > 0.0 && generator.random::<f32>() < self.bounds.plain;
            let map = if plain { Map::IDENTITY } else { map };
            let pixels = &images.pixels[index * size..][..size];
            self.resample(pixels, images.channels, &map, output);
            if erase && !plain && generator.random::<f32>() < self.bounds.erasing {
                self.erase(output, &mut generator);
            }
        });
    }

    /// `output(p) = input(map(p))`, bilinear, black outside.
    fn resample(&self, pixels: &[u8], channels: usize, map: &Map, output: &mut [f32]) {
        let (center_y, center_x) = ((self.height as f32 - 1.0) / 2.0, (self.width as f32 - 1.0) / 2.0);
        for (y, &row) in self.rows.iter().enumerate() {
            for (x, &column) in self.columns.iter().enumerate() {
                let [from_y, from_x] = map.source(y as f32 - center_y, x as f32 - center_x, row, column);
                let sample = self.neighbours(from_y + center_y, from_x + center_x);
                for channel in 0..channels {
                    let value: f32 = sample
                        .iter()
                        .flatten()
                        .map(|&(place, weight)| weight * f32::from(pixels[place * channels + channel]))
                        .sum();
                    output[(channel * self.height + y) * self.width + x] = value / 255.0;
                }
            }
        }
    }

    /// The up to four pixels around a point, with their bilinear weights.
    fn neighbours(&self, y: f32, x: f32) -> [Option<(usize, f32)>; 4] {
        let (top, left) = (y.floor(), x.floor());
        let (below, right) = (y - top, x - left);
        let pixel = |dy: f32, dx: f32, weight: f32| {
            let (y, x) = (top + dy, left + dx);
            let inside = y >= 0.0 && x >= 0.0 && y < self.height as f32 && x < self.width as f32;
            inside.then(|| (y as usize * self.width + x as usize, weight))
        };
        [
            pixel(0.0, 0.0, (1.0 - below) * (1.0 - right)),
            pixel(0.0, 1.0, (1.0 - below) * right),
            pixel(1.0, 0.0, below * (1.0 - right)),
            pixel(1.0, 1.0, below * right),
        ]
    }

    /// Fills one rectangle with noise. Black would be worse than nothing: an 8 that has lost a stroke *is* a 6 or a 9,
    /// and the net would learn to call those 8.
    fn erase(&self, output: &mut [f32], generator: &mut Generator) {
        let area = generator.random_range(ERASED_AREA.0..ERASED_AREA.1) * (self.height * self.width) as f32;
        let aspect = generator.random_range(ERASED_ASPECT.0.ln()..ERASED_ASPECT.1.ln()).exp();
        let extent = |length: f32, limit: usize| (length.round() as usize).clamp(1, limit);
        let (height, width) = (extent((area * aspect).sqrt(), self.height), extent((area / aspect).sqrt(), self.width));
        let (top, left) =
            (generator.random_range(0..=self.height - height), generator.random_range(0..=self.width - width));
        for plane in output.chunks_exact_mut(self.height * self.width) {
            for row in plane.chunks_exact_mut(self.width).skip(top).take(height) {
                row[left..left + width].fill_with(|| generator.random());
            }
        }
    }
}

/// From places in the output to places in the input, both relative to the centre: `A·p + t + e(p)`.
struct Map {
    /// `[[yy, yx], [xy, xx]]`.
    linear: [[f32; 2]; 2],
    shift: [f32; 2],
    /// Displacements at the control points, `[y, x]`, pixels.
    elastic: Option<[[[f32; 2]; GRID]; GRID]>,
}

impl Map {
    const IDENTITY: Self = Self { linear: [[1.0, 0.0], [0.0, 1.0]], shift: [0.0; 2], elastic: None };

    fn draw(bounds: &Augmentation, strength: f32, generator: &mut Generator) -> Self {
        let mut draw = |bound: f32| bound * strength * (2.0 * generator.random::<f32>() - 1.0);
        let (sin, cos) = draw(bounds.rotation).to_radians().sin_cos();
        let zoom = 1.0 / (1.0 + draw(bounds.scale));
        let shear = draw(bounds.shear);
        let mut shift = [draw(bounds.shift), draw(bounds.shift)];
        let mut linear = [[zoom * cos, zoom * -sin], [zoom * (sin + shear * cos), zoom * (cos - shear * sin)]];
        let elastic = (bounds.elastic > 0.0).then(|| {
            let mut field = [[[0.0; 2]; GRID]; GRID];
            field.as_flattened_mut().as_flattened_mut().fill_with(|| draw(bounds.elastic));
            field
        });
        // Drawn last, and only where wanted, so that what other bounds draw stays what it was.
        let crop = (bounds.crop as f32 * strength).round() as i32;
        if crop > 0 {
            shift.iter_mut().for_each(|shift| *shift += generator.random_range(-crop..=crop) as f32);
        }
        if bounds.flip && generator.random() {
            linear.iter_mut().for_each(|row| row[1] = -row[1]);
        }
        Self { linear, shift, elastic }
    }

    fn source(&self, y: f32, x: f32, (row, down): (usize, f32), (column, across): (usize, f32)) -> [f32; 2] {
        let mut source = [0, 1].map(|axis| self.linear[axis][0] * y + self.linear[axis][1] * x + self.shift[axis]);
        if let Some(field) = &self.elastic {
            for (axis, value) in source.iter_mut().enumerate() {
                let along = |r: usize| field[r][column][axis] * (1.0 - across) + field[r][column + 1][axis] * across;
                *value += along(row) * (1.0 - down) + along(row + 1) * down;
            }
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        let blob = |i: usize| {
            let (y, x) = (i / 28 % 28, i % 28);
            if (9..19).contains(&y) && (11..17).contains(&x) { 200 + (i / 784) as u8 } else { 0 }
        };
        Images { height: 28, width: 28, channels: 1, pixels: (0..4 * 784).map(blob).collect(), labels: vec![0; 4] }
    }

    fn strong() -> Augmentation {
        Augmentation { rotation: 14.0, shift: 2.0, scale: 0.12, shear: 0.15, elastic: 1.5, ..Augmentation::default() }
    }

    fn batch(bounds: &Augmentation, seed: u64, indices: &[usize], strength: f32, erase: bool) -> Vec<f32> {
        let mut output = vec![0.0; indices.len() * 784];
        Augmenter::new(bounds, 28, 28).batch(&images(), indices, seed, strength, erase, &mut output);
        output
    }

    fn mass(image: &[f32]) -> f32 {
        image.iter().sum()
    }

    #[test]
    fn without_bounds_or_strength_images_stay_as_they_are() {
        let plain: Vec<f32> = images().pixels[784..2 * 784].iter().map(|&p| f32::from(p) / 255.0).collect();
        assert_eq!(batch(&Augmentation::default(), 7, &[1], 1.0, true), plain);
        assert_eq!(batch(&strong(), 7, &[1], 0.0, false), plain);
    }

    #[test]
    fn draws_depend_on_seed_and_place_alone() {
        let twice = batch(&strong(), 3, &[0, 0], 1.0, false);
        assert_eq!(twice, batch(&strong(), 3, &[0, 0], 1.0, false));
        assert_ne!(twice[..784], twice[784..]);
        assert_ne!(twice, batch(&strong(), 4, &[0, 0], 1.0, false));
        assert_eq!(twice[784..], batch(&strong(), 3, &[2, 0], 1.0, false)[784..]);
    }

    #[test]
    fn ink_is_moved_not_made() {
        let plain = mass(&batch(&Augmentation::default(), 0, &[0], 1.0, false));
        for seed in 0..50 {
            let ratio = mass(&batch(&strong(), seed, &[0], 1.0, false)) / plain;
            // 12 % of scale in both directions, a little shear and elastic stretch.
            assert!((0.65..1.5).contains(&ratio), "seed {seed}: {ratio}");
        }
    }

    #[test]
    fn a_shift_moves_the_centre_by_at_most_its_bound() {
        let bounds = Augmentation { shift: 2.0, ..Augmentation::default() };
        for seed in 0..50 {
            let image = batch(&bounds, seed, &[0], 1.0, false);
            let moment: f32 = image.iter().enumerate().map(|(i, v)| v * (i / 28) as f32).sum();
            assert!((moment / mass(&image) - 13.5).abs() <= 2.001);
        }
    }

    #[test]
    fn crops_move_by_whole_pixels_and_flips_mirror() {
        let bounds = Augmentation { crop: 4, flip: true, ..Augmentation::default() };
        let plain = batch(&Augmentation::default(), 0, &[0], 1.0, false);
        let moved = |[down, right]: [isize; 2], mirrored: bool| -> Vec<f32> {
            let at = |i: isize| if (0..28).contains(&i) { Some(i as usize) } else { None };
            let pixel = |y: isize, x: isize| {
                let x = if mirrored { 27 - x } else { x };
                at(y + down).zip(at(x + right)).map_or(0.0, |(y, x)| plain[y * 28 + x])
            };
            (0..28).flat_map(|y| (0..28).map(move |x| (y, x))).map(|(y, x)| pixel(y, x)).collect()
        };
        let mut seen = std::collections::HashSet::new();
        for seed in 0..200 {
            let image = batch(&bounds, seed, &[0], 1.0, false);
            let ways = (-4..=4)
                .flat_map(|down| (-4..=4).flat_map(move |right| [([down, right], false), ([down, right], true)]));
            let way = ways.into_iter().find(|&(shift, mirrored)| moved(shift, mirrored) == image);
            seen.insert(way.unwrap_or_else(|| panic!("seed {seed}: neither moved nor mirrored")));
        }
        assert!(seen.len() > 60, "only {} of 162 ways", seen.len());
        assert!(seen.iter().any(|way| way.1) && seen.iter().any(|way| !way.1));
    }

    #[test]
    fn erasing_fills_a_rectangle_with_noise_when_allowed() {
        let bounds = Augmentation { erasing: 1.0, ..Augmentation::default() };
        let plain = batch(&Augmentation::default(), 0, &[0], 1.0, false);
        for seed in 0..50 {
            let erased = batch(&bounds, seed, &[0], 1.0, true);
            let changed = erased.iter().zip(&plain).filter(|(a, b)| a != b).count();
            // 2 to 12 % of 784 pixels, the sides rounded.
            assert!((10..=110).contains(&changed), "seed {seed}: {changed}");
        }
        assert_eq!(batch(&bounds, 1, &[0], 1.0, false), plain);
    }

    #[test]
    fn a_share_stays_plain() {
        let bounds = Augmentation { plain: 0.25, erasing: 1.0, ..strong() };
        let plain = batch(&Augmentation::default(), 0, &[0], 1.0, false);
        let distorted = batch(&Augmentation { plain: 0.0, ..bounds.clone() }, 5, &[0; 400], 1.0, false);
        let drawn = batch(&bounds, 5, &[0; 400], 1.0, false);
        let erased = batch(&bounds, 5, &[0; 400], 1.0, true);
        let mut count = 0;
        for ((drawn, erased), distorted) in drawn.chunks(784).zip(erased.chunks(784)).zip(distorted.chunks(784)) {
            if drawn == plain {
                count += 1;
                assert_eq!(erased, plain);
            } else {
                assert_eq!(drawn, distorted, "the others are drawn as before");
            }
        }
        assert!((70..130).contains(&count), "{count} of 400");
    }

    #[test]
    fn channels_are_distorted_alike() {
        let grey = images();
        let pixels = grey.pixels.iter().flat_map(|&p| [p, p]).collect();
        let double = Images { channels: 2, pixels, ..grey };
        let mut output = vec![0.0; 2 * 784];
        Augmenter::new(&strong(), 28, 28).batch(&double, &[0], 5, 1.0, false, &mut output);
        assert_eq!(output[..784], output[784..]);
        assert_eq!(output[..784], batch(&strong(), 5, &[0], 1.0, false));
    }
}
