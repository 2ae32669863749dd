//! Which of the blobs of ink are digits.

use super::Polarity;
use super::bits::{Bits, Blob};
use super::blobs::Found;

/// Most digits that are told of one frame; of more, the largest.
pub const MAX_DIGITS: usize = 12;
/// Most pieces of one digit: a 5 whose bar stands apart has two.
const MAX_PIECES: usize = 4;
/// Least height of a digit, pixels, and least part of the frame's height.
const LEAST_HEIGHT: usize = 10;
const LEAST_HEIGHT_PART: usize = 12;

/// Least mean width of strokes along the rows, tenths of a pixel: thinner ones are pieces of ruled lines.
const LEAST_STROKE_TENTHS: usize = 22;

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
    /// First column, first row, column behind the last and row below the last of the largest piece.
    largest: [u16; 4],
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

    /// Whether its ink is not enough for one stroke from top to bottom.
    fn is_thin(&self) -> bool {
        10 * (self.area as usize) < LEAST_STROKE_TENTHS * self.height()
    }

    /// The largest piece alone, where there are others: they may be dirt, or of a box.
    pub fn largest_piece(&self) -> Option<Self> {
        let [left, top, right, bottom] = self.largest;
        (self.count > 1).then_some(Self { left, top, right, bottom, count: 1, ..*self })
    }

    /// Whether they are in the same place and have, to an eighth, as much ink.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let most = (self.height() / 16 + 1) as u16;
        let sides = |region: &Self| [region.left, region.top, region.right, region.bottom];
        sides(self).iter().zip(sides(other)).all(|(a, b)| a.abs_diff(b) <= most)
            && 8 * self.area.abs_diff(other.area) <= self.area
    }

    /// Whether the other, of a later frame, is the same: as large, with, to an eighth, as much ink in as many pieces, and at most
    /// a quarter of the height away.
    pub(super) fn is_moved(&self, other: &Self) -> bool {
        let most = self.height() / 16 + 1;
        let middles = |region: &Self| [region.left + region.right, region.top + region.bottom];
        self.width().abs_diff(other.width()) <= most
            && self.height().abs_diff(other.height()) <= most
            && 8 * self.area.abs_diff(other.area) <= self.area
            && (self.count > 1) == (other.count > 1)
            && middles(self).iter().zip(middles(other)).all(|(a, b)| 2 * usize::from(a.abs_diff(b)) <= self.height())
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
        let largest = [left, top, right, bottom];
        let mut region = Self { left, top, right, bottom, area, edges: found.edges, largest, ..Self::default() };
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
            self.edges += other.edges;
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
        let is_over = 2 * shared >= blob.width().min(self.width()) && 3 * down <= height;
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
    /// How much speaks for the other polarity.
    pub(super) rival: u32,
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
            largest: [0; 4],
        };
        Self { regions: [NOTHING; MAX_DIGITS], count: 0, polarity, strength: 0, rival: 0 }
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

    /// The `most` with the most, and the sharpest, ink, from left to right.
    pub fn most_inked(&self, most: usize) -> impl Iterator<Item = &Region> {
        let rank = |region: &Region| self.iter().filter(|other| other.edges > region.edges).count();
        self.iter().filter(move |region| rank(region) < most).take(most)
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether at least a quarter as much speaks for the other polarity.
    pub(super) fn is_doubtful(&self) -> bool {
        self.rival > 0 && self.rival >= self.strength / 4
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

/// The digits among the blobs, which come from the largest to the smallest: joins pieces and drops what has no digit's
/// shape.
pub fn choose(blobs: &[Found], polarity: Polarity, frame_height: usize) -> Digits {
    let mut digits = Digits::none(polarity);
    // Boxes are no digits, but their edges too tell what is ink.
    let mut boxes = 0;
    for found in blobs {
        if blobs.iter().any(|other| is_box_around(&found.blob, &other.blob)) {
            boxes = boxes.max(found.edges);
            continue;
        }
        let count = digits.count;
        let regions = digits.regions.iter_mut().take(count);
        match regions.into_iter().find(|region| region.owns(&found.blob)) {
            Some(region) => region.join(found),
            None => digits.push(Region::of(found)),
        }
    }
    let tallest = digits.iter().map(Region::height).max().unwrap_or(0);
    let least_height = LEAST_HEIGHT.max(frame_height / LEAST_HEIGHT_PART).max(tallest.div_ceil(4));
    digits.remove_unless(|region| {
        region.height() >= least_height
            && region.width() <= 3 * region.height()
            && 40 * region.area as usize >= region.width() * region.height()
            && !region.is_solid()
            && !region.is_thin()
    });
    digits.strength = digits.best().map_or(0, |best| best.edges).max(boxes);
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
