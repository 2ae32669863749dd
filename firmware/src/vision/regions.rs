//! Which of the blobs of ink are digits.

use super::bits::{Bits, Blob};
use super::paper::Paper;
use super::{Frame, Polarity, bytes_of};
use core::ops::Range;

/// Most digits that are told of one frame; of more, the largest.
pub const MAX_DIGITS: usize = 12;
/// Most blobs that are looked at; of more, the largest.
const MAX_BLOBS: usize = 40;
/// Most boxes that are kept beside the digits until it is clear what is ink.
const MAX_BOXES: usize = 3;
/// Most pieces of one digit: a 5 whose bar stands apart has two.
const MAX_PIECES: usize = 4;
/// Least height of a digit, pixels, and least part of the frame's height.
const LEAST_HEIGHT: usize = 10;
const LEAST_HEIGHT_PART: usize = 12;

/// Least step of grey at a sharp edge, in hundredths of the difference between paper and threshold, and least share of
/// such edges, in hundredths.
const LEAST_STEP: u32 = 70;
const LEAST_SHARP: u32 = 55;
/// Least mean length of a run of ink in a row, tenths of a pixel: noise is porous.
const LEAST_RUN_TENTHS: u32 = 18;

/// A digit's place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub struct Region {
    /// First column.
    pub left: u16,
    /// First row.
    pub top: u16,
    /// Column behind the last.
    pub right: u16,
    /// Row below the last.
    pub bottom: u16,
    /// Pixels of ink.
    pub area: u32,
    /// Sum of the squares of the steps of grey at its edges: how much speaks for it.
    pub edges: u32,
    /// A pixel of each piece.
    pieces: [[u16; 2]; MAX_PIECES],
    count: u8,
    /// Whether it is a printed frame around something: no digit, but its edges too tell what is ink.
    is_box: bool,
}

impl Region {
    /// Columns.
    pub fn width(&self) -> usize {
        self.right.saturating_sub(self.left).into()
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.bottom.saturating_sub(self.top).into()
    }

    /// Whether it is a spot: glare, or the inside of a box. A one is solid too, but narrow.
    fn is_solid(&self) -> bool {
        let [width, height] = [self.width(), self.height()];
        10 * self.area as usize > 7 * width * height && 5 * width > 2 * height
    }

    /// Words of four pixels that hold it and two pixels on each side.
    fn words(&self, width: usize) -> Range<usize> {
        usize::from(self.left.saturating_sub(2)) / 4..(usize::from(self.right) + 2).min(width).div_ceil(4)
    }

    fn has_row(&self, y: usize) -> bool {
        (usize::from(self.top)..self.bottom.into()).contains(&y)
    }

    /// Whether it lies in a frame of this size.
    pub(super) fn is_inside(&self, [width, height]: [usize; 2]) -> bool {
        self.left < self.right
            && self.top < self.bottom
            && usize::from(self.right) <= width
            && usize::from(self.bottom) <= height
    }

    /// Sets the ink of all pieces.
    pub(super) fn fill(&self, ink: &Bits<'_>, filled: &mut Bits<'_>) {
        for piece in self.pieces.iter().take(self.count.into()) {
            ink.fill_from(piece.map(usize::from), filled);
        }
    }

    fn of(found: &Found) -> Self {
        let Blob { left, top, right, bottom, area } = found.blob;
        let [left, top, right, bottom] = [left, top, right, bottom].map(|place| place as u16);
        let mut region = Self { left, top, right, bottom, area, ..Self::default() };
        region.add_piece(found);
        region
    }

    fn add_piece(&mut self, found: &Found) {
        if let Some(piece) = self.pieces.get_mut(usize::from(self.count)) {
            *piece = found.seed;
            self.count += 1;
        }
    }

    fn join(&mut self, found: &Found) {
        let other = Self::of(found);
        if usize::from(self.count) < MAX_PIECES {
            self.add_piece(found);
            self.area += other.area;
            (self.left, self.top) = (self.left.min(other.left), self.top.min(other.top));
            (self.right, self.bottom) = (self.right.max(other.right), self.bottom.max(other.bottom));
        }
    }

    /// Whether the blob is a piece of this digit: above, below, inside or beside it, and near, measured by the height of
    /// both together.
    fn owns(&self, blob: &Blob) -> bool {
        let gap =
            |[from, to]: [usize; 2], [start, end]: [usize; 2]| start.saturating_sub(to).max(from.saturating_sub(end));
        let [left, top, right, bottom] = [self.left, self.top, self.right, self.bottom].map(usize::from);
        let shared = right.min(blob.right).saturating_sub(left.max(blob.left));
        let down = gap([top, bottom], [blob.top, blob.bottom]);
        let across = gap([left, right], [blob.left, blob.right]);
        let height = bottom.max(blob.bottom) - top.min(blob.top);
        let is_substantial = 40 * blob.area >= self.area;
        let is_over = 2 * shared >= blob.width().min(self.width()) && 7 * down <= height;
        is_substantial && (is_over || 12 * across.max(down) <= height)
    }
}

/// The digits of a frame, from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digits {
    regions: [Region; MAX_DIGITS],
    count: usize,
    /// What counted as ink.
    pub polarity: Polarity,
    /// How much speaks for that: the most edges of a digit or of a box around one.
    pub(super) strength: u32,
}

impl Digits {
    pub(super) const fn none(polarity: Polarity) -> Self {
        const NOTHING: Region = Region {
            left: 0,
            top: 0,
            right: 0,
            bottom: 0,
            area: 0,
            edges: 0,
            pieces: [[0; 2]; MAX_PIECES],
            count: 0,
            is_box: false,
        };
        Self { regions: [NOTHING; MAX_DIGITS], count: 0, polarity, strength: 0 }
    }

    /// From left to right.
    pub fn as_slice(&self) -> &[Region] {
        self.regions.get(..self.count).unwrap_or_default()
    }

    /// From left to right.
    pub fn iter(&self) -> core::slice::Iter<'_, Region> {
        self.as_slice().iter()
    }

    /// The one to read where there is to be one: the one with the most, and the sharpest, ink.
    pub fn best(&self) -> Option<&Region> {
        self.iter().max_by_key(|region| region.edges)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Drops what has soft edges: shadows, and light that falls through between them, and glare. Boxes go too, once their
    /// edges have been seen.
    pub(super) fn keep_sharp(&mut self, frame: &Frame<'_>, ink: &Bits<'_>, paper: &Paper<'_>, row: &mut [u32]) {
        let mut edges = [Edges::default(); MAX_DIGITS];
        for (region, edges) in self.iter().zip(&mut edges) {
            let [across, down] = [[region.left, region.right], [region.top, region.bottom]].map(|s| s.map(usize::from));
            edges.least_step = (LEAST_STEP * paper.depth(across, down) / 100) as i32;
        }
        for y in 0..frame.height() {
            let here = self.iter().filter(|region| region.has_row(y)).map(|region| region.words(frame.width()));
            let Some(words) = here.reduce(|a, b| a.start.min(b.start)..a.end.max(b.end)) else { continue };
            frame.grey_row(y, self.polarity, words, row);
            let grey = bytes_of(row).get(..frame.width()).unwrap_or_default();
            for (region, edges) in self.iter().zip(&mut edges).filter(|(region, _)| region.has_row(y)) {
                edges.add(ink.row(y), grey, [region.left, region.right].map(usize::from));
            }
        }
        let count = self.count;
        for (region, edges) in self.regions.iter_mut().zip(edges).take(count) {
            let is_porous = 10 * region.area < LEAST_RUN_TENTHS * edges.count / 2;
            let is_sharp = 100 * edges.sharp >= LEAST_SHARP * edges.count;
            region.edges = if is_sharp && !is_porous { edges.sum } else { 0 };
        }
        let strength = self.best().map_or(0, |best| best.edges);
        self.remove_unless(|region| region.edges > 0 && !region.is_box);
        self.strength = strength;
    }

    fn push(&mut self, region: Region) {
        if let Some(place) = self.regions.get_mut(self.count) {
            *place = region;
            self.count += 1;
        }
    }

    fn remove_unless(&mut self, keep: impl Fn(&Region) -> bool) {
        let all = core::mem::replace(self, Self::none(self.polarity));
        all.iter().filter(|region| keep(region)).for_each(|region| self.push(*region));
    }
}

impl<'d> IntoIterator for &'d Digits {
    type Item = &'d Region;
    type IntoIter = core::slice::Iter<'d, Region>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
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

/// A blob and its first pixel.
#[derive(Clone, Copy)]
struct Found {
    blob: Blob,
    seed: [u16; 2],
}

/// Takes from `ink` what touches the border, and gives the digits of the rest. What was in `filled` is lost.
pub fn choose(ink: &mut Bits<'_>, filled: &mut Bits<'_>, polarity: Polarity) -> Digits {
    ink.fill_from_border(filled);
    ink.remove(filled);
    filled.clear();
    let mut blobs = Blobs::default();
    for y in 0..ink.height() {
        for index in 0..ink.width().div_ceil(32) {
            let word = |bits: &Bits<'_>| bits.row(y).get(index).copied().unwrap_or(0);
            let (ink_word, mut left) = (word(ink), word(ink) & !word(filled));
            while left != 0 {
                let seed = [32 * index + left.trailing_zeros() as usize, y];
                let blob = ink.fill_from(seed, filled);
                blobs.add(Found { blob, seed: seed.map(|place| place as u16) });
                // The first pixel itself goes even if nothing was filled, so that the loop ends.
                left = ink_word & !word(filled) & (left - 1) & left;
            }
        }
    }
    let least_height = LEAST_HEIGHT.max(ink.height() / LEAST_HEIGHT_PART);
    digits_of(blobs.sorted(), least_height, polarity)
}

/// Joins pieces and drops what has no digit's shape. `blobs` come from the largest to the smallest.
fn digits_of(blobs: &[Found], least_height: usize, polarity: Polarity) -> Digits {
    let mut digits = Digits::none(polarity);
    let is_box = |found: &Found| blobs.iter().any(|other| is_box_around(&found.blob, &other.blob));
    for found in blobs.iter().filter(|found| is_box(found)).take(MAX_BOXES) {
        digits.push(Region { is_box: true, ..Region::of(found) });
    }
    for found in blobs.iter().filter(|found| !is_box(found)) {
        let count = digits.count;
        let regions = digits.regions.iter_mut().take(count).filter(|region| !region.is_box);
        match regions.into_iter().find(|region| region.owns(&found.blob)) {
            Some(region) => region.join(found),
            None => digits.push(Region::of(found)),
        }
    }
    let tallest = digits.iter().filter(|region| !region.is_box).map(Region::height).max().unwrap_or(0);
    digits.remove_unless(|region| {
        if region.is_box {
            return true;
        }
        region.height() >= least_height
            && 4 * region.height() >= tallest
            && region.width() <= 3 * region.height()
            && 40 * region.area as usize >= region.width() * region.height()
            && !region.is_solid()
    });
    let count = digits.count;
    if let Some(regions) = digits.regions.get_mut(..count) {
        regions.sort_unstable_by_key(|region| (region.left, region.top));
    }
    digits
}

/// Whether `outer` is a printed frame, or most of one, with `inner` written into it.
fn is_box_around(outer: &Blob, inner: &Blob) -> bool {
    let [x, y] = [(inner.left + inner.right) / 2, (inner.top + inner.bottom) / 2];
    let is_around = (outer.left..outer.right).contains(&x) && (outer.top..outer.bottom).contains(&y);
    is_around
        && outer.width() > inner.width()
        && outer.height() > inner.height()
        && 3 * inner.height() >= outer.height()
        && 3 * inner.area >= outer.area
        && 5 * outer.area as usize <= outer.width() * outer.height()
}

/// The largest blobs so far.
struct Blobs {
    found: [Found; MAX_BLOBS],
    count: usize,
}

impl Default for Blobs {
    fn default() -> Self {
        let blob = Blob { left: 0, top: 0, right: 0, bottom: 0, area: 0 };
        Self { found: [Found { blob, seed: [0; 2] }; MAX_BLOBS], count: 0 }
    }
}

impl Blobs {
    /// Least pixels of a blob that is not a speck.
    const LEAST_AREA: u32 = 6;

    fn add(&mut self, found: Found) {
        if found.blob.area < Self::LEAST_AREA {
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

    /// From the largest to the smallest.
    fn sorted(&mut self) -> &[Found] {
        let found = self.found.get_mut(..self.count).unwrap_or_default();
        found.sort_unstable_by_key(|found| (core::cmp::Reverse(found.blob.area), found.seed));
        found
    }
}
