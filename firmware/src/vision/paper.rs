//! How bright the paper is at each place and how dark the ink, from small cells of the frame.
//!
//! Light falls unevenly, so each place has a threshold of its own, between the paper and the darkest ink near it. The
//! paper's brightness is that of the cells, where those of ink take it from around them: a morphological closing, which
//! fills whatever dark is narrower than seven cells, and leaves slopes and the edges of shadows as they are. How dark the
//! ink is, is told as a share of the light at its place: what a shadow takes from the paper it takes from the ink too, so
//! that both halves of a digit on its edge have the threshold that suits them. Faint lines near dark ink are paper; far
//! from ink they are ink, and go with the border that they touch. A [closer](Care::Close) look takes more for ink, and
//! follows shadows more closely.

use super::morphology::{MAX_VALUES, close, extreme};
use super::{Frame, Polarity, bytes_of};
use core::ops::Range;

/// Most cells along a side.
const MAX_CELLS: usize = MAX_VALUES;
/// Tiles of 2×2 cells to each side that know each other's ink, and those whose brightness tells which of paper and ink is
/// the darker.
const INK_REACH: usize = 4;
const GUESS_REACH: usize = 2;
/// Grey levels that are added to the light before contrasts are divided by it, so that dark paper, whose level is mostly
/// noise, tells no wild shares.
const BLACK: u32 = 24;
/// Least contrast of ink to paper, grey levels.
const LEAST_CONTRAST: u8 = 8;

/// Lower bytes of two half words.
const LANES: u32 = 0x00ff_00ff;
/// Most that smoothing, which rounds down, loses below smoothing that rounds up.
const ROUNDING: u8 = 3;

/// What counts as ink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// What suits most frames.
    Usual,
    /// Fainter links between strokes, and strokes at the edge of a shadow; but more of what is no ink, and less of the
    /// middle of wide strokes.
    Close,
}

impl Care {
    /// Where between paper (0) and the darkest ink (32) the threshold lies. Below the middle, for ink that comes unevenly.
    const fn ink_part_q5(self) -> u32 {
        match self {
            Self::Usual => 12,
            Self::Close => 8,
        }
    }

    /// A closing fills what is narrower than twice its reach, and a cell more.
    fn close(self, papers: &mut [u8], columns: usize) {
        match self {
            Self::Usual => close::<3>(papers, columns),
            Self::Close => close::<2>(papers, columns),
        }
    }
}

/// Words that the cells of a frame take.
pub const fn words(width: usize, height: usize) -> usize {
    let [columns, rows] = cells(width, height);
    (2 * columns * rows + 3 * columns.div_ceil(2) * rows.div_ceil(2)).div_ceil(4)
}

/// Words of a row of thresholds: of whole cells.
pub const fn row_words(width: usize) -> usize {
    4 * width.div_ceil(16)
}

/// Cells have sides of `2^shift` pixels: four at 160×120.
const fn shift(width: usize, height: usize) -> u32 {
    let longest = if width > height { width } else { height };
    let mut shift = 2;
    while longest > MAX_CELLS << shift {
        shift += 1;
    }
    shift
}

const fn cells(width: usize, height: usize) -> [usize; 2] {
    let side = 1 << shift(width, height);
    [width.div_ceil(side), height.div_ceil(side)]
}

/// Brightness by cell and by tile.
pub struct Paper<'w> {
    shift: u32,
    /// At least 1, which `max(1)` tells the compiler where it would look for 0 and panic.
    columns: usize,
    tile_columns: usize,
    /// By cell.
    mean: &'w mut [u8],
    threshold: &'w mut [u8],
    /// By tile: darkest and brightest pixel, and how far below the paper the threshold is.
    low: &'w mut [u8],
    high: &'w mut [u8],
    margin: &'w mut [u8],
}

impl<'w> Paper<'w> {
    /// Takes the memory apart; `None` where it is too short.
    pub fn new(words: &'w mut [u32], [width, height]: [usize; 2]) -> Option<Self> {
        let [columns, rows] = cells(width, height);
        let tile_columns = columns.div_ceil(2);
        let tiles = tile_columns * rows.div_ceil(2);
        let (mean, rest) = bytes_of(words).split_at_mut_checked(columns * rows)?;
        let (threshold, rest) = rest.split_at_mut_checked(columns * rows)?;
        let (low, rest) = rest.split_at_mut_checked(tiles)?;
        let (high, rest) = rest.split_at_mut_checked(tiles)?;
        let margin = rest.get_mut(..tiles)?;
        Some(Self { shift: shift(width, height), columns, tile_columns, mean, threshold, low, high, margin })
    }

    /// Measures cells and tiles, and guesses which of paper and ink is the darker.
    #[inline(always)]
    pub fn measure(&mut self, frame: &Frame<'_>, rows: &mut [u32]) -> Polarity {
        self.low.fill(u8::MAX);
        self.high.fill(0);
        let side = 1 << self.shift;
        let mut tallies = [Tally::NOTHING; MAX_CELLS];
        let (all_rows, all_words) = (0..frame.height(), 0..frame.width().div_ceil(4));
        // Of the last word, what is right of the frame does not count.
        let beyond = match frame.width() % 4 {
            0 => 0,
            pixels => u32::MAX << (8 * pixels),
        };
        frame.each_smooth_row(Polarity::DarkInk, all_rows, all_words, rows, |y, grey| {
            match side {
                4 => add_row::<1>(grey, beyond, &mut tallies),
                8 => add_row::<2>(grey, beyond, &mut tallies),
                _ => add_row::<4>(grey, beyond, &mut tallies),
            }
            if y + 1 == frame.height() || (y + 1) % side == 0 {
                self.note(y >> self.shift, y % side + 1, frame.width(), &mut tallies);
            }
        });
        self.guess()
    }

    /// Takes over what was measured in `lines` rows of pixels, row `row` of cells.
    fn note(&mut self, row: usize, lines: usize, width: usize, tallies: &mut [Tally]) {
        let side = 1 << self.shift;
        let means = self.mean.chunks_mut(self.columns.max(1)).nth(row).unwrap_or_default();
        for (column, (mean, tally)) in means.iter_mut().zip(tallies).enumerate() {
            let Tally { sum, low, high } = core::mem::replace(tally, Tally::NOTHING);
            let pixels = side.min(width - column * side) * lines;
            *mean = (((sum & 0xffff) + (sum >> 16)) / pixels as u32) as u8;
            let tile = row / 2 * self.tile_columns + column / 2;
            if let (Some(least), Some(most)) = (self.low.get_mut(tile), self.high.get_mut(tile)) {
                *least = (low as u8).min((low >> 16) as u8).min(*least);
                *most = (high as u8).max((high >> 16) as u8).max(*most);
            }
        }
    }

    /// There is more paper than ink, so that where both are, the mean is nearer to the paper.
    fn guess(&self) -> Polarity {
        let rows = self.low.len() / self.tile_columns.max(1);
        let mut vote = 0i32;
        for row in 0..rows {
            let near = row.saturating_sub(GUESS_REACH)..(row + GUESS_REACH + 1).min(rows);
            // Low, high and sum of each column of tiles near the row: its neighbours use them again.
            let mut columns = [(u8::MAX, 0u8, 0i32); MAX_CELLS / 2];
            for y in near.clone() {
                let [low, high] =
                    [&*self.low, &*self.high].map(|plane| plane.get(y * self.tile_columns..).unwrap_or_default());
                // One cell of the four stands for the tile.
                let means = self.mean.get(2 * y * self.columns..).unwrap_or_default().iter().step_by(2);
                let tiles = low.iter().zip(high).zip(means);
                for (column, ((low, high), mean)) in columns.iter_mut().zip(tiles).take(self.tile_columns) {
                    *column = (column.0.min(*low), column.1.max(*high), column.2 + i32::from(*mean));
                }
            }
            for column in 0..self.tile_columns {
                let beside = column.saturating_sub(GUESS_REACH)..(column + GUESS_REACH + 1).min(self.tile_columns);
                let count = (near.len() * beside.len()) as i32;
                let all = columns.get(beside).unwrap_or_default().iter();
                let (low, high, sum) =
                    all.fold((u8::MAX, 0, 0), |all, one| (all.0.min(one.0), all.1.max(one.1), all.2 + one.2));
                if high.saturating_sub(low) >= 2 * LEAST_CONTRAST {
                    vote += 2 * sum - count * (i32::from(low) + i32::from(high));
                }
            }
        }
        if vote < 0 { Polarity::LightInk } else { Polarity::DarkInk }
    }

    /// Finds the threshold of each cell; `false` where nothing stands out from the paper.
    pub fn set_thresholds(&mut self, polarity: Polarity, care: Care) -> bool {
        let (low, flip) = match polarity {
            Polarity::DarkInk => (&*self.low, 0),
            Polarity::LightInk => (&*self.high, u8::MAX),
        };
        self.threshold.iter_mut().zip(&*self.mean).for_each(|(paper, mean)| *paper = mean ^ flip);
        care.close(self.threshold, self.columns);
        // The least of a tile's cells, so that a slope does not count as ink.
        self.margin.fill(u8::MAX);
        for (row, papers) in self.threshold.chunks(self.columns.max(1)).enumerate() {
            let tiles = row / 2 * self.tile_columns..;
            let low = low.get(tiles.clone()).unwrap_or_default();
            let margins = self.margin.get_mut(tiles).unwrap_or_default();
            for (papers, (margin, low)) in papers.chunks(2).zip(margins.iter_mut().zip(low)) {
                let contrast = |paper: &u8| paper.saturating_sub(low ^ flip);
                *margin = papers.iter().map(contrast).fold(*margin, u8::min);
            }
        }
        let least = self.least_contrast();
        let stands_out = self.margin.iter().any(|contrast| *contrast > least);
        self.share_ink(flip, care.ink_part_q5());
        for (row, papers) in self.threshold.chunks_mut(self.columns.max(1)).enumerate() {
            let margins = self.margin.get_mut(row / 2 * self.tile_columns..).unwrap_or_default();
            for (papers, margin) in papers.chunks_mut(2).zip(margins) {
                papers.iter_mut().for_each(|paper| *paper = paper.saturating_sub((*margin).max(least)));
            }
        }
        self.margin.iter_mut().for_each(|margin| *margin = (*margin).max(least));
        stands_out
    }

    /// From the contrast of each tile to its margin, by the strongest ink near it.
    ///
    /// Ink of contrast `c` under light `l` is told by its share `c / (c + l)`, in 1/256: in a shadow it is the same.
    fn share_ink(&mut self, flip: u8, ink_part_q5: u32) {
        let (columns, tile_columns) = (self.columns, self.tile_columns.max(1));
        let papers = &*self.threshold;
        // One cell of the four stands for the tile.
        let light = |tile: usize| {
            let paper = at(papers, tile / tile_columns * 2 * columns + tile % tile_columns * 2);
            u32::from(paper ^ flip) + BLACK
        };
        for (tile, margin) in self.margin.iter_mut().enumerate() {
            let contrast = u32::from(*margin);
            *margin = (256 * contrast / (contrast + light(tile))) as u8;
        }
        extreme::<INK_REACH>(self.margin, tile_columns, 0, u8::max);
        for (tile, margin) in self.margin.iter_mut().enumerate() {
            let share = u32::from(*margin);
            let contrast = share * light(tile) / (256 - share);
            *margin = (contrast * ink_part_q5 / 32).min(255) as u8;
        }
    }

    /// A contrast that the paper's grain and the sensor's noise do not reach: above that of the quarter of the tiles
    /// that are the plainest.
    fn least_contrast(&self) -> u8 {
        let mut counts = [0u16; 64];
        for contrast in self.margin.iter() {
            if let Some(count) = counts.get_mut(usize::from(contrast / 4)) {
                *count += 1;
            }
        }
        let mut left = self.margin.len() / 4;
        let plain = counts.iter().position(|count| {
            let is_here = left < usize::from(*count);
            left = left.saturating_sub((*count).into());
            is_here
        });
        let plain = 4 * plain.unwrap_or(0) as u32 + 2;
        (plain * 3 / 2).clamp(LEAST_CONTRAST.into(), 127) as u8
    }

    /// The rows of tiles that may hold ink: rows of pixels, and words of 4 pixels, whole 32 pixels of them.
    ///
    /// Between cells the threshold is never above the highest around, so that a tile whose darkest pixel is not below
    /// that holds none. On most of a page this spares looking at the pixels.
    pub fn inked(&self, polarity: Polarity, [width, height]: [usize; 2]) -> impl Iterator<Item = [Range<usize>; 2]> {
        let tile_side = 2 << self.shift;
        (0..height.div_ceil(tile_side)).filter_map(move |row| {
            // Highest threshold of each column of cells, from those of the row above to those of the row below.
            let cells = (2 * row).saturating_sub(1) * self.columns..;
            let near = self.threshold.get(cells).unwrap_or_default();
            let near_rows = if row == 0 { 3 } else { 4 };
            let mut highest = [0; MAX_CELLS + 2];
            for cells in near.chunks(self.columns.max(1)).take(near_rows) {
                highest.iter_mut().skip(1).zip(cells).for_each(|(high, cell)| *high = (*high).max(*cell));
            }
            let is_inked = |column: &usize| {
                let tile = row * self.tile_columns + column;
                let darkest = match polarity {
                    Polarity::DarkInk => at(self.low, tile),
                    Polarity::LightInk => (!at(self.high, tile)).saturating_sub(ROUNDING),
                };
                let around = highest.get(2 * column..2 * column + 4).unwrap_or_default();
                around.iter().any(|threshold| darkest < *threshold)
            };
            let first = (0..self.tile_columns).find(is_inked)?;
            let last = (first..self.tile_columns).rfind(is_inked)?;
            let [left, right] = [first * tile_side / 32, ((last + 1) * tile_side).div_ceil(32)];
            let rows = row * tile_side..((row + 1) * tile_side).min(height);
            Some([rows, 8 * left..(8 * right).min(width.div_ceil(4))])
        })
    }

    /// The thresholds of words `words` of row `y`, from a multiple of four words on: from cell to cell in a straight
    /// line. They are written to the start of `row`, up to a whole cell.
    pub fn threshold_row(&self, y: usize, words: &Range<usize>, row: &mut [u32]) {
        match self.shift {
            2 => self.threshold_cells::<4>(y, words, row),
            3 => self.threshold_cells::<8>(y, words, row),
            _ => self.threshold_cells::<16>(y, words, row),
        }
    }

    fn threshold_cells<const SIDE: usize>(&self, y: usize, words: &Range<usize>, row: &mut [u32]) {
        // Places in half pixels from the first cell's middle, of which there are `scale` from one middle to the next.
        let scale = 2 * SIDE;
        let down = (2 * y + 1).saturating_sub(SIDE);
        let above = self.threshold.get(down / scale * self.columns..).unwrap_or_default();
        let below = above.get(self.columns..).filter(|below| !below.is_empty()).unwrap_or(above);
        let [part, rest] = [down % scale, scale - down % scale].map(|part| part as i32);
        let level = |column: usize| i32::from(at(above, column)) * rest + i32::from(at(below, column)) * part;
        let last = self.columns - 1;
        let first = 4 * words.start / SIDE;
        let mut here = level(first);
        let mut before = first.checked_sub(1).map_or(here, level);
        let (cells, _) = bytes_of(row).as_chunks_mut::<SIDE>();
        for (column, cell) in (first..(4 * words.end).div_ceil(SIDE)).zip(cells) {
            let behind = level((column + 1).min(last));
            // The left half lies on the line from the cell before, the right half on the one to the cell behind.
            let (left, right) = cell.split_at_mut(SIDE / 2);
            draw::<SIDE>(left, [before, here], SIDE as i32 + 1);
            draw::<SIDE>(right, [here, behind], 1);
            (before, here) = (here, behind);
        }
    }

    /// Mean difference of paper and threshold in a box, at least 1.
    pub fn depth(&self, [left, right]: [usize; 2], [top, bottom]: [usize; 2]) -> u32 {
        let shift = self.shift + 1;
        let (mut sum, mut count) = (0, 0);
        for row in top >> shift..=bottom >> shift {
            for column in left >> shift..=(right >> shift).min(self.tile_columns.saturating_sub(1)) {
                if let Some(margin) = self.margin.get(row * self.tile_columns + column) {
                    sum += u32::from(*margin);
                    count += 1;
                }
            }
        }
        (sum / count.max(1)).max(1)
    }
}

fn at(plane: &[u8], index: usize) -> u8 {
    plane.get(index).copied().unwrap_or(0)
}

/// Sum, least and most of pixels; of every second one in each half word. A cell's half of 128 pixels fits.
#[derive(Clone, Copy)]
struct Tally {
    sum: u32,
    low: u32,
    high: u32,
}

impl Tally {
    const NOTHING: Self = Self { sum: 0, low: LANES, high: 0 };

    /// Adds the four pixels of a word. Those that do not count are 255 in `low`, 0 in `high`.
    fn add(&mut self, low: u32, high: u32) {
        self.sum += (high & LANES) + (high >> 8 & LANES);
        let [least, _] = in_order(low & LANES, low >> 8 & LANES);
        let [_, most] = in_order(high & LANES, high >> 8 & LANES);
        [self.low, _] = in_order(self.low, least);
        [_, self.high] = in_order(self.high, most);
    }
}

/// Adds a row of pixels to the tallies of cells that are `WORDS` words wide. Of the last word, the bits of `beyond` do
/// not count.
fn add_row<const WORDS: usize>(grey: &[u32], beyond: u32, tallies: &mut [Tally]) {
    let Some((last, whole)) = grey.split_last() else { return };
    let (cells, rest) = whole.as_chunks::<WORDS>();
    for (words, tally) in cells.iter().zip(&mut *tallies) {
        words.iter().for_each(|word| tally.add(*word, *word));
    }
    if let Some(tally) = tallies.get_mut(cells.len()) {
        rest.iter().for_each(|word| tally.add(*word, *word));
        tally.add(last | beyond, last & !beyond);
    }
}

/// The lesser and the greater of two bytes, in both half words.
fn in_order(a: u32, b: u32) -> [u32; 2] {
    // The bit above each byte stays where `a` is not less, and makes a mask of its lane.
    let difference = (a | 0x0100_0100) - b;
    let excess = difference & ((difference >> 8 & 0x0001_0001) * 0xff);
    [a - excess, b + excess]
}

/// Half a cell's pixels on a straight line between levels in 1/`2·SIDE`, from a place in half pixels behind `from` on.
fn draw<const SIDE: usize>(pixels: &mut [u8], [from, to]: [i32; 2], place: i32) {
    let scale = 2 * SIDE as i32;
    let mut sum = from * scale + (to - from) * place;
    for pixel in pixels {
        *pixel = (sum as u32 / (scale * scale) as u32) as u8;
        sum += 2 * (to - from);
    }
}
