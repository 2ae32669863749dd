//! MNIST's form of a digit (LeCun et al. 1998): fitted into a box of 20 pixels with its aspect kept, grey from
//! anti-aliasing, on an image of 28 pixels whose middle is the digit's centre of mass.
//!
//! The digit's rows are read once, from the top. What a pixel of the box takes from a row is the difference of two sums
//! up to a place in it, so that places need not be whole pixels, and a lean costs nothing.

use super::bits::Bits;
use super::paper::Paper;
use super::{Frame, Pixels, Polarity, Region, SIDE, bytes_of, paper};
use core::ops::Range;

/// Columns gained a row down, in 1/256, by MNIST's digits on average: they lean to the right.
const USUAL_LEAN_Q8: i32 = -25;
/// Longer side of the box.
const BOX: usize = 20;

/// Words of scratch: two rows of bytes, the sums of a row, the box.
pub const fn words(width: usize) -> usize {
    row_words(width) + width + 1 + BOX * BOX
}

const fn row_words(width: usize) -> usize {
    width.div_ceil(4) + paper::row_words(width)
}

/// The digit as it stands in the frame, from its mask.
struct Shape {
    /// Columns gained a row down, in 1/256: what is taken away again.
    lean_q8: i32,
    /// Row that stays where it is, in 1/256.
    middle_q8: i32,
    /// Leftmost place and width once upright, in 1/256.
    left_q8: i32,
    width_q8: i32,
}

/// Writes the digit that `chosen` masks; see [`super::Finder::normalize`].
pub fn normalize(
    frame: &Frame<'_>,
    polarity: Polarity,
    paper: &Paper<'_>,
    chosen: &Bits<'_>,
    region: &Region,
    scratch: &mut [u32],
    pixels: &mut Pixels,
) {
    let [left, top, right, bottom] = [region.left, region.top, region.right, region.bottom].map(usize::from);
    let shape = Shape::of(chosen, region);
    let (rows, rest) = scratch.split_at_mut(row_words(frame.width()).min(scratch.len()));
    let (sums, rest) = rest.split_at_mut((frame.width() + 1).min(rest.len()));
    let Some(values) = rest.first_chunk_mut::<{ BOX * BOX }>() else { return };
    let (grey, thresholds) = rows.split_at_mut(frame.width().div_ceil(4).min(rows.len()));
    values.fill(0);
    // Both sides of the box, and the columns and rows of the digit that one of its pixels stands for.
    let height_q8 = 256 * (bottom - top) as u32;
    let width_q8 = shape.width_q8.max(1) as u32;
    let longest_q8 = height_q8.max(width_q8);
    let fitted = |side_q8: u32| ((side_q8 * BOX as u32 + longest_q8 / 2) / longest_q8).clamp(1, BOX as u32) as usize;
    let [columns, lines] = [width_q8, height_q8].map(fitted);
    let across = Windows::new(shape.left_q8, width_q8 as i32, columns);
    let down = Windows::new(256 * top as i32, height_q8 as i32, lines);
    let gain = 213 * 256 / paper.depth([left, right], [top, bottom]) as i32;
    let margin = left.saturating_sub(1)..(right + 1).min(frame.width());
    let words = margin.start / 16 * 4..margin.end.div_ceil(4);
    let sums = sums.get_mut(..=margin.len()).unwrap_or_default();
    let places: [[i32; 2]; BOX] =
        core::array::from_fn(|column| across.at(column).map(|place| place - 256 * margin.start as i32));
    let places = places.get(..columns).unwrap_or_default();
    for y in top..bottom {
        frame.grey_row(y, polarity, words.clone(), grey);
        paper.threshold_row(y, &words, thresholds);
        let levels = bytes_of(grey).get(margin.clone()).unwrap_or_default();
        let limits = bytes_of(thresholds).get(margin.start - 4 * words.start..).unwrap_or_default();
        add_up(chosen, y, margin.clone(), levels.iter().zip(limits), gain, sums);
        let lean_q8 = (shape.lean_q8 * (256 * y as i32 + 128 - shape.middle_q8)) >> 8;
        let mut parts = [0; BOX];
        for (part, place) in parts.iter_mut().zip(places) {
            let [from, to] = place.map(|place| sum_to(sums, place + lean_q8));
            *part = to.saturating_sub(from) >> 5;
        }
        for (line, values) in values.chunks_exact_mut(BOX).enumerate().take(lines) {
            let [from, to] = down.at(line);
            let share_q8 = (to.min(256 * (y as i32 + 1)) - from.max(256 * y as i32)).max(0) as u32;
            if share_q8 > 0 {
                values.iter_mut().zip(parts).for_each(|(value, part)| *value += part * share_q8);
            }
        }
    }
    // In 1/8 by 1/256 pixels.
    let area = (across.size_q8 as u32 >> 5) * down.size_q8 as u32;
    values.iter_mut().for_each(|value| *value = (*value / area.max(1)).min(255));
    paste(values, [columns, lines], pixels);
}

/// Places where each of `count` pixels of the box begins and ends.
struct Windows {
    start_q8: i32,
    length_q8: i32,
    count: i32,
    size_q8: i32,
}

impl Windows {
    fn new(start_q8: i32, length_q8: i32, count: usize) -> Self {
        let count = count.max(1) as i32;
        // Where the digit is enlarged, a window stays one pixel wide, which is linear interpolation.
        Self { start_q8, length_q8, count, size_q8: (length_q8 / count).max(256) }
    }

    fn at(&self, index: usize) -> [i32; 2] {
        let middle = self.start_q8 + (2 * index as i32 + 1) * self.length_q8 / (2 * self.count);
        let from = middle - self.size_q8 / 2;
        [from, from + self.size_q8]
    }
}

impl Shape {
    fn of(chosen: &Bits<'_>, region: &Region) -> Self {
        let [left, top, right, bottom] = [region.left, region.top, region.right, region.bottom].map(i32::from);
        let rows = || (top..bottom).map(|y| (y, chosen.row(y as usize)));
        let [middle_x, middle_y] = [(left + right) / 2, (top + bottom) / 2];
        let (mut mass, mut sum_x, mut sum_y, mut sum_xy, mut sum_yy) = (0i64, 0i64, 0i64, 0i64, 0i64);
        for (y, row) in rows() {
            let (mut count, mut across) = (0, 0i32);
            for (index, &word) in row.iter().enumerate() {
                let mut rest = word;
                while rest != 0 {
                    across += 32 * index as i32 + rest.trailing_zeros() as i32 - middle_x;
                    count += 1;
                    rest &= rest - 1;
                }
            }
            let down = i64::from(y - middle_y);
            mass += i64::from(count);
            sum_x += i64::from(across);
            sum_y += down * i64::from(count);
            sum_xy += down * i64::from(across);
            sum_yy += down * down * i64::from(count);
        }
        let mass = mass.max(1);
        let [covariance, variance] = [sum_xy - sum_x * sum_y / mass, sum_yy - sum_y * sum_y / mass];
        let lean_q8 = if variance > mass { (256 * covariance / variance) as i32 } else { 0 };
        let lean_q8 = lean_q8.clamp(-256, 256) - USUAL_LEAN_Q8;
        let middle_q8 = 256 * middle_y + (256 * sum_y / mass) as i32;
        let (mut from, mut to) = (i32::MAX, i32::MIN);
        for (y, row) in rows() {
            let lean = (lean_q8 * (256 * y + 128 - middle_q8)) >> 8;
            let first = row.iter().position(|word| *word != 0);
            let last = row.iter().rposition(|word| *word != 0);
            if let (Some(first), Some(last)) = (first, last) {
                let [low, high] = [first, last].map(|index| (32 * index as i32, row[index]));
                from = from.min(256 * (low.0 + low.1.trailing_zeros() as i32) - lean);
                to = to.max(256 * (high.0 + 32 - high.1.leading_zeros() as i32) - lean);
            }
        }
        Self { lean_q8, middle_q8, left_q8: from, width_q8: to.saturating_sub(from).max(1) }
    }
}

/// Sums of ink up to each of `columns` of row `y`, of whose pixels `levels` gives grey and threshold. Ink is soft: 0 at
/// the paper, 255 well below the threshold. Only the digit and the pixels beside it count.
fn add_up<'l>(
    chosen: &Bits<'_>,
    y: usize,
    columns: Range<usize>,
    levels: impl Iterator<Item = (&'l u8, &'l u8)>,
    gain_q8: i32,
    sums: &mut [u32],
) {
    let rows = [y.checked_sub(1), Some(y), Some(y + 1)].map(|y| y.map_or(&[][..], |y| chosen.row(y)));
    let word = |index: usize| rows.iter().fold(0, |word, row| word | row.get(index).copied().unwrap_or(0));
    let near = |index: usize| {
        let [here, behind] = [index, index + 1].map(word);
        let before = index.checked_sub(1).map_or(0, word);
        here | here << 1 | here >> 1 | before >> 31 | behind << 31
    };
    let Some((first, sums)) = sums.split_first_mut() else { return };
    *first = 0;
    let mut sum = 0;
    let mut counts = near(columns.start / 32) >> (columns.start % 32);
    for ((x, place), (grey, threshold)) in columns.zip(sums).zip(levels) {
        if x % 32 == 0 {
            counts = near(x / 32);
        }
        if counts & 1 != 0 {
            let soft = 128 + (((i32::from(*threshold) - i32::from(*grey)) * gain_q8) >> 8);
            sum += soft.clamp(0, 255) as u32;
        }
        counts >>= 1;
        *place = sum;
    }
}

/// The sum up to a place in 1/256 columns, in 1/256.
fn sum_to(sums: &[u32], place_q8: i32) -> u32 {
    let place = place_q8.clamp(0, 256 * (sums.len() as i32 - 1).max(0)) as usize;
    let at = |index: usize| sums.get(index).copied().unwrap_or(0);
    let here = at(place / 256);
    let next = at((place / 256 + 1).min(sums.len().saturating_sub(1)));
    here * 256 + (next - here) * (place % 256) as u32
}

/// Puts the box on black, its centre of mass in the middle to the nearest pixel.
fn paste(values: &[u32; BOX * BOX], [columns, lines]: [usize; 2], pixels: &mut Pixels) {
    let (mut mass, mut moment_x, mut moment_y) = (0, 0, 0);
    for (y, line) in values.chunks(BOX).enumerate() {
        for (x, value) in line.iter().enumerate() {
            mass += value;
            moment_x += value * (2 * x as u32 + 1);
            moment_y += value * (2 * y as u32 + 1);
        }
    }
    // Half up of `SIDE / 2 − moment / (2 · mass)`.
    let start = |moment: u32| (SIDE as i32 / 2) - ((moment + mass - 1) / (2 * mass.max(1))) as i32;
    let [left, top] = [moment_x, moment_y].map(start);
    for (y, line) in values.chunks(BOX).take(lines).enumerate() {
        for (x, value) in line.iter().take(columns).enumerate() {
            let [column, row] = [left + x as i32, top + y as i32];
            if [column, row].iter().all(|place| (0..SIDE as i32).contains(place)) {
                pixels[row as usize * SIDE + column as usize] = (*value as i32 - 128) as i8;
            }
        }
    }
}
