//! Digits in MNIST's form that the tool draws itself: pen strokes in many styles, each bent by a
//! random hand, so that a demo or a test needs no download.
//!
//! glyphs (how a digit is written) → hand (who writes it) → pen (ink) → normalize (MNIST's form)

mod glyphs;
mod hand;
pub(crate) mod normalize;
mod pen;

use super::{Dataset, Images};
use glyphs::{GLYPHS, Style};
use hand::Hand;
use normalize::Ink;
use pen::{Canvas, Dot, Point};
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rayon::prelude::*;

/// Height and width of a digit, pixels.
const SIDE: usize = 28;
/// Canvas that a digit is drawn on before it is reduced, and the digit's longer side there, pixels.
const CANVAS_SIDE: usize = 100;
const CANVAS_DIGIT: f32 = 60.0;

/// `train + test` digits of 28×28 pixels. Digit `i` shows `i % 10` and depends on the seed, on `i`
/// and on which of the two sets it is in, not on how many there are. Another platform's sine or exponential may change single grey levels.
pub fn dataset(train: usize, test: usize, seed: u64) -> Dataset {
    let classes = (0..GLYPHS.len()).map(|digit| digit.to_string()).collect();
    Dataset::of_images(images(train, seed, 0), images(test, seed, 1), classes)
}

fn images(count: usize, seed: u64, set: u64) -> Images {
    let labels: Vec<u8> = (0..count).map(|index| (index % GLYPHS.len()) as u8).collect();
    let mut pixels = vec![0; count * SIDE * SIDE];
    pixels.par_chunks_mut(SIDE * SIDE).enumerate().for_each(|(index, image)| {
        image.copy_from_slice(&draw(labels[index], &mut generator(seed, set, index as u64)));
    });
    Images { height: SIDE, width: SIDE, channels: 1, pixels, labels }
}

/// A generator of its own for each image: the order in which threads draw changes nothing.
fn generator(seed: u64, set: u64, index: u64) -> Xoshiro256PlusPlus {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, set, index, u64::MAX]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    let mut rng = Xoshiro256PlusPlus::from_seed(key);
    // A state that differs in few bits needs some steps until its outputs differ in all.
    (0..16).for_each(|_| _ = rng.next_u64());
    rng
}

/// `SIDE · SIDE` pixels of one digit.
fn draw(digit: u8, rng: &mut impl Rng) -> Vec<u8> {
    let hand = Hand::new(rng);
    let style = choose(GLYPHS[usize::from(digit)], rng);
    let strokes: Vec<Vec<Dot>> = style.strokes.iter().map(|knots| hand.stroke(knots, rng)).collect();
    let canvas = ink(&strokes);
    // The thinnest pen is wider than a pixel of the canvas, so that no stroke passes between the pixels.
    normalize::center(&Ink { values: &canvas.ink, width: canvas.side }, SIDE, SIDE).expect("every stroke leaves ink")
}

fn choose<'a>(styles: &'a [Style], rng: &mut impl Rng) -> &'a Style {
    let mut left = rng.random_range(0.0..styles.iter().map(|style| style.weight).sum());
    let reached = |style: &&Style| {
        left -= style.weight;
        left < 0.0
    };
    styles.iter().find(reached).unwrap_or(&styles[0])
}

/// Draws the strokes, fitted to the middle of a canvas.
fn ink(strokes: &[Vec<Dot>]) -> Canvas {
    let places = || strokes.iter().flatten().map(|dot| dot.at);
    let low = places().fold([f32::MAX; 2], |low, at| [low[0].min(at.x), low[1].min(at.y)]);
    let high = places().fold([f32::MIN; 2], |high, at| [high[0].max(at.x), high[1].max(at.y)]);
    let scale = CANVAS_DIGIT / (high[0] - low[0]).max(high[1] - low[1]);
    let middle = Point { x: (low[0] + high[0]) / 2.0, y: (low[1] + high[1]) / 2.0 };
    let center = Point { x: CANVAS_SIDE as f32 / 2.0, y: CANVAS_SIDE as f32 / 2.0 };
    // The pen is measured against the digit's longer side, however tall the digit came out.
    let fit = |dot: Dot| Dot { at: (dot.at - middle) * scale + center, radius: dot.radius * CANVAS_DIGIT };
    let mut canvas = Canvas::new(CANVAS_SIDE);
    for pair in strokes.iter().flat_map(|stroke| stroke.windows(2)) {
        canvas.line([fit(pair[0]), fit(pair[1])]);
    }
    canvas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each(images: &Images) -> impl Iterator<Item = &[u8]> {
        images.pixels.chunks_exact(SIDE * SIDE)
    }

    #[test]
    fn a_seed_gives_the_same_digits_and_another_seed_others() {
        let [first, again, other] = [7, 7, 8].map(|seed| images(200, seed, 0));
        assert_eq!(first, again);
        assert!(each(&first).zip(each(&other)).all(|(a, b)| a != b));
        assert!(each(&first).zip(each(&images(50, 7, 1))).all(|(a, b)| a != b), "the sets share digits");
    }

    #[test]
    fn a_larger_set_begins_with_the_smaller_one() {
        for set in [0, 1] {
            let [small, large] = [33, 200].map(|count| images(count, 3, set));
            assert_eq!(small, large.first(33));
        }
    }

    #[test]
    fn classes_are_balanced() {
        let set = dataset(1_000, 0, 1);
        assert_eq!(set.classes, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        for digit in 0..10 {
            assert_eq!(set.train.labels().iter().filter(|&&label| label == digit).count(), 100);
        }
        assert!(set.test.is_empty());
    }

    #[test]
    fn every_digit_lies_in_the_middle_of_a_dark_border() {
        let set = images(2_000, 1, 0);
        for (index, image) in each(&set).enumerate() {
            let mass: f64 = image.iter().map(|&pixel| f64::from(pixel)).sum();
            assert!(mass > 255.0 * 20.0, "digit {index} has next to no ink");
            let place = |at: fn(usize) -> usize| {
                let moment = |(i, &pixel): (usize, &u8)| f64::from(pixel) * (at(i) as f64 + 0.5);
                image.iter().enumerate().map(moment).sum::<f64>() / mass
            };
            for middle in [place(|i| i % SIDE), place(|i| i / SIDE)] {
                assert!((middle - 14.0).abs() < 0.51, "digit {index} has its centre at {middle}");
            }
            let columns = (0..SIDE).filter(|&x| (0..SIDE).any(|y| image[y * SIDE + x] > 0)).count();
            let rows = (0..SIDE).filter(|&y| (0..SIDE).any(|x| image[y * SIDE + x] > 0)).count();
            assert!(rows.max(columns) == 20 || rows.max(columns) == 19, "digit {index} is {columns} by {rows}");
        }
        let border = each(&set).filter(|image| {
            (0..SIDE).any(|i| [i, SIDE * (SIDE - 1) + i, SIDE * i, SIDE * i + SIDE - 1].iter().any(|&at| image[at] > 0))
        });
        assert!(border.count() < 20, "ink touches the border");
    }

    /// MNIST's training images have a mean of 33.3 and 81 % black pixels.
    #[test]
    fn grey_levels_are_like_those_of_mnist() {
        let pixels = images(2_000, 1, 0).pixels;
        let mean = pixels.iter().map(|&pixel| f64::from(pixel)).sum::<f64>() / pixels.len() as f64;
        let black = pixels.iter().filter(|&&pixel| pixel == 0).count() as f64 / pixels.len() as f64;
        assert!((30.0..37.0).contains(&mean), "mean {mean}");
        assert!((0.78..0.84).contains(&black), "black {black}");
    }
}
