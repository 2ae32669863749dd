//! What hangs together in a mask and has sharp edges.

use super::bits::{Bits, Blob};
use super::paper::Paper;
use super::{Frame, Polarity, bytes_of};
use core::ops::Range;

/// Most blobs that are looked at; of more, the largest.
const MAX_BLOBS: usize = 40;
/// Least pixels of a blob that is not a speck, and least part of the largest blob's, of which so many count at most.
const LEAST_AREA: u32 = 6;
const LEAST_PART: u32 = 40;
const MOST_COUNTED: u32 = 400;

/// Least step of grey at a sharp edge, in hundredths of the difference between paper and threshold, and least share of
/// such edges, in hundredths.
const LEAST_STEP: u32 = 70;
const LEAST_SHARP: u32 = 58;
/// Least mean length of a run of ink in a row, tenths of a pixel: noise is porous.
const LEAST_RUN_TENTHS: u32 = 18;

/// A blob, its first pixel, and the sum of the squares of the steps of grey at its edges.
#[derive(Clone, Copy)]
pub struct Found {
    pub blob: Blob,
    pub seed: [u16; 2],
    pub edges: u32,
}

impl Found {
    /// Words of four pixels that hold it and two pixels on each side.
    fn words(&self, width: usize) -> Range<usize> {
        self.blob.left.saturating_sub(2) / 4..(self.blob.right + 2).min(width).div_ceil(4)
    }

    fn has_row(&self, y: usize) -> bool {
        (self.blob.top..self.blob.bottom).contains(&y)
    }
}

/// The largest blobs of a mask.
pub struct Blobs {
    found: [Found; MAX_BLOBS],
    count: usize,
}

impl Default for Blobs {
    fn default() -> Self {
        let blob = Blob { left: 0, top: 0, right: 0, bottom: 0, area: 0 };
        Self { found: [Found { blob, seed: [0; 2], edges: 0 }; MAX_BLOBS], count: 0 }
    }
}

impl Blobs {
    /// Takes from `ink` what touches the border, and gives what is left, from the largest blob to the smallest. What was
    /// in `filled` is lost.
    pub fn of(ink: &mut Bits<'_>, filled: &mut Bits<'_>) -> Self {
        ink.fill_from_border(filled);
        ink.remove(filled);
        filled.clear();
        let mut blobs = Self::default();
        for y in 0..ink.height() {
            for index in 0..ink.width().div_ceil(32) {
                let word = |bits: &Bits<'_>| bits.row(y).get(index).copied().unwrap_or(0);
                let (ink_word, mut left) = (word(ink), word(ink) & !word(filled));
                while left != 0 {
                    let seed = [32 * index + left.trailing_zeros() as usize, y];
                    let blob = ink.fill_from(seed, filled);
                    blobs.add(Found { blob, seed: seed.map(|place| place as u16), edges: 0 });
                    // The first pixel itself goes even if nothing was filled, so that the loop ends.
                    left = ink_word & !word(filled) & (left - 1) & left;
                }
            }
        }
        let found = blobs.found.get_mut(..blobs.count).unwrap_or_default();
        found.sort_unstable_by_key(|found| (core::cmp::Reverse(found.blob.area), found.seed));
        blobs
    }

    /// From the largest to the smallest.
    pub fn as_slice(&self) -> &[Found] {
        self.found.get(..self.count).unwrap_or_default()
    }

    /// Drops what has soft edges: shadows, and light that falls through between them, and glare; and specks.
    ///
    /// Each blob is judged by itself, before digits are made of them, so that none of these becomes a piece of one.
    pub fn keep_sharp(
        &mut self,
        frame: &Frame<'_>,
        polarity: Polarity,
        ink: &Bits<'_>,
        paper: &Paper<'_>,
        row: &mut [u32],
    ) {
        let largest = self.as_slice().first().map_or(0, |found| found.blob.area.min(MOST_COUNTED));
        self.count = self.as_slice().partition_point(|found| LEAST_PART * found.blob.area >= largest);
        let mut edges = [Edges::default(); MAX_BLOBS];
        for (Found { blob, .. }, edges) in self.as_slice().iter().zip(&mut edges) {
            let depth = paper.depth([blob.left, blob.right], [blob.top, blob.bottom]);
            edges.least_step = (LEAST_STEP * depth / 100) as i32;
        }
        for y in 0..frame.height() {
            let here = self.as_slice().iter().filter(|found| found.has_row(y)).map(|found| found.words(frame.width()));
            let Some(words) = here.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) else { continue };
            frame.grey_row(y, polarity, words, row);
            let grey = bytes_of(row).get(..frame.width()).unwrap_or_default();
            for (found, edges) in self.as_slice().iter().zip(&mut edges).filter(|(found, _)| found.has_row(y)) {
                edges.add(ink.row(y), grey, [found.blob.left, found.blob.right]);
            }
        }
        // In place: a second list would be a kilobyte of stack.
        let mut count = 0;
        for (index, edges) in edges.iter().enumerate().take(self.count) {
            let Some(found) = self.found.get(index).copied() else { break };
            let is_porous = 10 * found.blob.area < LEAST_RUN_TENTHS * edges.count / 2;
            let is_sharp = 100 * edges.sharp >= LEAST_SHARP * edges.count;
            if is_sharp
                && !is_porous
                && edges.sum > 0
                && let Some(place) = self.found.get_mut(count)
            {
                *place = Found { edges: edges.sum, ..found };
                count += 1;
            }
        }
        self.count = count;
    }

    fn add(&mut self, found: Found) {
        if found.blob.area < LEAST_AREA {
            return;
        }
        if let Some(place) = self.found.get_mut(self.count) {
            *place = found;
            self.count += 1;
        } else if let Some(smallest) = self.found.iter_mut().min_by_key(|found| found.blob.area)
            && smallest.blob.area < found.blob.area
        {
            *smallest = found;
        }
    }
}

/// Steps of grey where ink begins and ends along the rows.
#[derive(Clone, Copy, Default)]
struct Edges {
    /// Of the squares of sharp steps, in sixteens.
    sum: u32,
    count: u32,
    /// Those of at least the step given.
    sharp: u32,
    least_step: i32,
}

impl Edges {
    fn add(&mut self, ink: &[u32], grey: &[u8], [left, right]: [usize; 2]) {
        let is_ink = |x: usize| ink.get(x / 32).is_some_and(|word| word >> (x % 32) & 1 != 0);
        let level = |x: usize| i32::from(grey.get(x).copied().unwrap_or(0));
        let mut before = 0;
        // Ink touches no border, so that there is a pixel on each side of it.
        for index in left / 32..=right / 32 {
            let inside = below(right, index) & !below(left, index);
            let word = ink.get(index).copied().unwrap_or(0) & inside;
            // Pixels that differ from the one before.
            let mut turns = word ^ (word << 1 | before >> 31);
            before = word;
            while turns != 0 {
                let x = 32 * index + turns.trailing_zeros() as usize;
                let (outside, inside, next) = if word & turns & turns.wrapping_neg() != 0 {
                    (x.saturating_sub(2), x, if is_ink(x + 1) { x + 1 } else { x })
                } else {
                    (x + 1, x - 1, if is_ink(x.saturating_sub(2)) { x - 2 } else { x - 1 })
                };
                let step = level(outside.min(grey.len() - 1)) - (level(inside) + level(next)) / 2;
                if step >= self.least_step {
                    self.sum += (step * step / 16) as u32;
                }
                self.count += 1;
                self.sharp += u32::from(step >= self.least_step);
                turns &= turns - 1;
            }
        }
    }
}

/// The bits of word `index` of a row that stand for columns left of `column`.
fn below(column: usize, index: usize) -> u32 {
    match column.saturating_sub(32 * index) {
        0 => 0,
        columns @ 1..32 => (1 << columns) - 1,
        _ => u32::MAX,
    }
}
