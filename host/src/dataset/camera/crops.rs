//! Training data for nets that read digits through a camera: MNIST's digits, and what is none, as `firmware::vision` finds
//! them in simulated frames. What the net learns from is what the device will give it.

use super::{Conditions, HEIGHT, SIDE, Shot, Subject, WIDTH, shoot};
use crate::dataset::{Dataset, Images};
use crate::recipe::Source;
use firmware::vision::{Finder, Format, Frame, Pixels, Region, USUAL_REGIONS, scratch_words, search};
use rayon::prelude::*;

/// The class of what is no digit.
pub const NO_DIGIT: u8 = 10;
/// Frames of each training digit.
const COPIES: usize = 4;
/// Of each so many samples, the first are digits, and the others none: they come in more forms than digits do.
const GROUP: usize = 6;
const DIGITS: usize = 3;
/// Each so many digits, one is in even light.
const EVEN: usize = 6;
/// Seeds of the three sets of frames lie far apart.
const TRAIN: u64 = 1 << 40;
const TEST: u64 = 2 << 40;
/// Frames that are tried before a digit that is not found is given up.
const TRIES: u64 = 16;

/// Samples in the training set, made of `digits` images.
pub const fn train_samples(digits: usize) -> usize {
    digits * COPIES / DIGITS * GROUP
}

/// Samples in the test set, made of half of `digits` images.
pub const fn test_samples(digits: usize) -> usize {
    digits / 2 / DIGITS * GROUP
}

/// Crops of 28×28 pixels, ten digits and [`NO_DIGIT`], made of MNIST's. Whether digits
/// are found at all is not seen here but in [`frames`].
///
/// Frames of one image stand side by side, so that samples held back from the end are of images that are not trained on.
pub fn dataset(train: &Images, test: &Images) -> Dataset {
    let train = training(train, train_samples(train.len()));
    let test = crops(test_samples(test.len()), TEST, |sample| (image(test, 2 * sample), test.labels[2 * sample]));
    Dataset::of_images(train, test, Source::Camera.classes())
}

/// The first `count` training samples.
pub fn training(images: &Images, count: usize) -> Images {
    crops(count, TRAIN, |sample| (image(images, sample / COPIES), images.labels[sample / COPIES]))
}

/// The fixed set of frames of `count` test digits, every so many of MNIST's, and their labels.
pub fn frames(test: &Images, count: usize, conditions: Conditions) -> Vec<(Shot, u8)> {
    let digit = |place: usize| place * test.len() / count.max(1);
    let frame = |place: usize| {
        let digit = digit(place);
        (shoot(Subject::Digit(image(test, digit)), conditions, 3 * TRAIN + place as u64), test.labels[digit])
    };
    (0..count).into_par_iter().map(frame).collect()
}

/// The fixed set of `count` frames without a digit: a fifth each blank, ruled, shaded, scribbled on, and with a letter.
pub fn digit_free(count: usize) -> Vec<Shot> {
    let frame = |place: usize| shoot(OTHERS[place % OTHERS.len()], Conditions::Field, 4 * TRAIN + place as u64);
    (0..count).into_par_iter().map(frame).collect()
}

const OTHERS: [Subject<'static>; 5] =
    [Subject::Blank, Subject::Lines, Subject::Shadows, Subject::Scribble, Subject::Letter];

fn image(images: &Images, index: usize) -> &[u8] {
    &images.pixels[index * images.size()..][..images.size()]
}

/// `count` crops; `digit` gives image and label of the samples that are digits, by their number.
fn crops<'i>(count: usize, seed: u64, digit: impl Fn(usize) -> (&'i [u8], u8) + Sync) -> Images {
    let mut pixels = vec![0; count * SIDE * SIDE];
    let mut labels = vec![0; count];
    pixels.par_chunks_mut(SIDE * SIDE).zip(&mut labels).enumerate().for_each_init(
        || vec![0; scratch_words(WIDTH, HEIGHT)],
        |scratch, (sample, (crop, label))| {
            let seed = seed + TRIES * sample as u64;
            let (group, place) = (sample / GROUP, sample % GROUP);
            let found = if place < DIGITS {
                let number = group * DIGITS + place;
                let (pixels, of) = digit(number);
                *label = of;
                let is_even = number.is_multiple_of(EVEN);
                a_digit(pixels, if is_even { Conditions::Ideal } else { Conditions::Field }, seed, scratch)
            } else {
                *label = NO_DIGIT;
                no_digit(group * (GROUP - DIGITS) + place - DIGITS, seed, scratch)
            };
            crop.iter_mut().zip(found).for_each(|(to, from)| *to = from as u8 ^ 0x80);
        },
    );
    Images { height: SIDE, width: SIDE, channels: 1, pixels, labels }
}

/// The crop of a digit where it is found in a frame, which it nearly always is.
fn a_digit(pixels: &[u8], usual: Conditions, seed: u64, scratch: &mut [u32]) -> Pixels {
    let tries = (0..TRIES - 1).map(|attempt| (usual, attempt));
    let last = std::iter::once((Conditions::Ideal, TRIES - 1));
    let found = tries.chain(last).find_map(|(conditions, attempt)| {
        let shot = shoot(Subject::Digit(pixels), conditions, seed + attempt);
        crops_of(&shot, scratch).into_iter().find_map(|(region, crop)| fits(&region, shot.bounds).then_some(crop))
    });
    found.unwrap_or_else(|| std::array::from_fn(|at| (pixels[at] ^ 0x80) as i8))
}

/// The crop of something that is no digit, of one kind after the other; of what stands alone, blank paper mostly gives none.
fn no_digit(number: usize, seed: u64, scratch: &mut [u32]) -> Pixels {
    // Scribbles are what looks most like digits, and blank paper what gives nothing.
    const KINDS: [usize; 10] = [0, 1, 2, 3, 4, 1, 2, 3, 4, 3];
    let found = (0..TRIES).find_map(|attempt| {
        let kind = KINDS[(number + attempt as usize) % KINDS.len()];
        let shot = shoot(OTHERS[kind], Conditions::Field, seed + attempt);
        let crops = crops_of(&shot, scratch);
        crops.get(number / KINDS.len() % crops.len().max(1)).map(|(_, crop)| *crop)
    });
    found.unwrap_or([i8::MIN; SIDE * SIDE])
}

/// All that a device looks at in a frame until it has found a digit, in this order.
fn crops_of(shot: &Shot, scratch: &mut [u32]) -> Vec<(Region, Pixels)> {
    let mut crops = Vec::new();
    let Ok(frame) = Frame::new(WIDTH, HEIGHT, Format::Grey, &shot.grey) else { return crops };
    let searched = search(&frame, &mut Finder::new(scratch), USUAL_REGIONS, |finder, region| {
        let mut pixels = [0; SIDE * SIDE];
        finder.normalize(&frame, region, &mut pixels)?;
        crops.push((*region, pixels));
        Ok(false)
    });
    debug_assert_eq!(searched, Ok(()), "the scratch is long enough, and the regions are the frame's");
    crops
}

/// Whether the region is the drawing, by and large: what both take up is at least half of what either does. Half a digit,
/// or one with what stands around it, is no example of either class.
fn fits(region: &Region, [left, top, right, bottom]: [usize; 4]) -> bool {
    let [x, y, behind, below] = [region.left, region.top, region.right, region.bottom].map(usize::from);
    let shared = right.min(behind).saturating_sub(left.max(x)) * bottom.min(below).saturating_sub(top.max(y));
    let either = (right - left) * (bottom - top) + (behind - x) * (below - y) - shared;
    shared > 0 && 2 * shared >= either
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::strokes;

    #[test]
    fn each_group_ends_with_something_else_and_all_are_found() {
        let drawn = strokes::dataset(12, 24, 1);
        let [train, test] = [&drawn.train, &drawn.test].map(|samples| samples.images().unwrap());
        let crops = dataset(train, test);
        let images = crops.train.images().unwrap();
        assert_eq!(images.labels[..10], [0, 0, 0, NO_DIGIT, NO_DIGIT, NO_DIGIT, 0, 1, 1, NO_DIGIT]);
        assert_eq!((images.len(), crops.test.len()), (train_samples(12), 24));
        assert_eq!(crops.test.labels()[..5], [0, 2, 4, NO_DIGIT, NO_DIGIT]);
        let ink = |index: usize| image(images, index).iter().filter(|pixel| **pixel > 128).count();
        assert!((0..images.len()).filter(|&index| images.labels[index] != NO_DIGIT).all(|index| ink(index) > 20));
        assert_ne!(image(images, 0), image(images, 1), "each copy is a frame of its own");
    }

    #[test]
    fn the_fixed_frames_are_fixed() {
        let drawn = strokes::dataset(10, 20, 1);
        let test = drawn.test.images().unwrap();
        let [few, same] = [(); 2].map(|()| frames(test, 4, Conditions::Field));
        assert!(few.iter().zip(&same).all(|(a, b)| a.0.grey == b.0.grey));
        assert_eq!(few.iter().map(|(_, label)| *label).collect::<Vec<_>>(), [0, 5, 0, 5]);
        assert_eq!(digit_free(3).len(), 3);
    }
}
