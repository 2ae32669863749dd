//! How bright the paper is at each place and how dark the ink, from small cells of the frame.
//!
//! Light falls unevenly, so each place has a threshold of its own, between the paper and the darkest ink near it. The paper's brightness is that of the cells, where those of ink take it from around them: a morphological closing,
//! which fills whatever dark is narrower than eleven cells, and leaves slopes as they are. Faint lines near dark ink are
//! paper; far from ink they are ink, and go with the border that they touch.

use super::{Frame, Polarity, bytes_of};

/// Most cells along a side.
const MAX_CELLS: usize = 64;
/// Cells to each side that the closing looks at, and tiles of 2×2 cells that know each other's ink.
const CLOSING_REACH: usize = 5;
const INK_REACH: usize = 2;
/// Where between paper (0) and the darkest ink (32) the threshold lies. Below the middle, for ink that comes unevenly.
const INK_PART_Q5: u32 = 13;
/// Least contrast of ink to paper, grey levels.
const LEAST_CONTRAST: u8 = 8;

/// Words that the cells of a frame take.
pub const fn words(width: usize, height: usize) -> usize {
    let [columns, rows] = cells(width, height);
    (2 * columns * rows + 3 * columns.div_ceil(2) * rows.div_ceil(2)).div_ceil(4)
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
    pub fn measure(&mut self, frame: &Frame<'_>, rows: &mut [u32]) -> Polarity {
        self.low.fill(u8::MAX);
        self.high.fill(0);
        let side = 1 << self.shift;
        let mut sums = [0u32; MAX_CELLS];
        frame.each_smooth_row(Polarity::DarkInk, rows, |y, grey| {
            let row = y >> self.shift;
            for (column, (pixels, sum)) in grey.chunks(side).zip(&mut sums).enumerate() {
                let (added, low, high) = pixels.iter().fold((0, u8::MAX, 0), |(sum, low, high), &pixel| {
                    (sum + u32::from(pixel), low.min(pixel), high.max(pixel))
                });
                *sum += added;
                let tile = row / 2 * self.tile_columns + column / 2;
                if let (Some(least), Some(most)) = (self.low.get_mut(tile), self.high.get_mut(tile)) {
                    (*least, *most) = (low.min(*least), high.max(*most));
                }
            }
            if y + 1 == frame.height() || (y + 1) % side == 0 {
                let lines = y % side + 1;
                let means = self.mean.iter_mut().skip(row * self.columns);
                for ((pixels, sum), mean) in grey.chunks(side).zip(&mut sums).zip(means) {
                    *mean = (*sum / (pixels.len() * lines) as u32) as u8;
                    *sum = 0;
                }
            }
        });
        self.guess()
    }

    /// There is more paper than ink, so that where both are, the mean is nearer to the paper.
    fn guess(&self) -> Polarity {
        let rows = self.low.len() / self.tile_columns.max(1);
        let mut vote = 0i32;
        for row in 0..rows {
            for column in 0..self.tile_columns {
                let (mut low, mut high, mut sum, mut count) = (u8::MAX, 0, 0i32, 0);
                for y in row.saturating_sub(INK_REACH)..(row + INK_REACH + 1).min(rows) {
                    for x in column.saturating_sub(INK_REACH)..(column + INK_REACH + 1).min(self.tile_columns) {
                        let tile = y * self.tile_columns + x;
                        low = low.min(at(self.low, tile));
                        high = high.max(at(self.high, tile));
                        // One cell of the four stands for the tile.
                        sum += i32::from(at(self.mean, 2 * y * self.columns + 2 * x));
                        count += 1;
                    }
                }
                if high.saturating_sub(low) >= 2 * LEAST_CONTRAST {
                    vote += 2 * sum - count * (i32::from(low) + i32::from(high));
                }
            }
        }
        if vote < 0 { Polarity::LightInk } else { Polarity::DarkInk }
    }

    /// Finds the threshold of each cell; `false` where nothing stands out from the paper. `spare` holds a byte a cell.
    pub fn set_thresholds(&mut self, polarity: Polarity, spare: &mut [u8]) -> bool {
        let (low, flip) = match polarity {
            Polarity::DarkInk => (&*self.low, 0),
            Polarity::LightInk => (&*self.high, u8::MAX),
        };
        self.threshold.iter_mut().zip(&*self.mean).for_each(|(paper, mean)| *paper = mean ^ flip);
        extreme(self.threshold, spare, self.columns, CLOSING_REACH, u8::max);
        extreme(self.threshold, spare, self.columns, CLOSING_REACH, u8::min);
        // The least of a tile's cells, so that a slope does not count as ink.
        self.margin.fill(u8::MAX);
        for (cell, paper) in self.threshold.iter().enumerate() {
            let tile = cell / self.columns / 2 * self.tile_columns + cell % self.columns / 2;
            if let Some(place) = self.margin.get_mut(tile) {
                *place = paper.saturating_sub(at(low, tile) ^ flip).min(*place);
            }
        }
        let least = self.least_contrast();
        extreme(self.margin, spare, self.tile_columns, INK_REACH, u8::max);
        let stands_out = self.margin.iter().any(|contrast| *contrast > least);
        self.margin.iter_mut().for_each(|margin| *margin = ((u32::from(*margin) * INK_PART_Q5 / 32) as u8).max(least));
        for (cell, paper) in self.threshold.iter_mut().enumerate() {
            let tile = cell / self.columns / 2 * self.tile_columns + cell % self.columns / 2;
            *paper = paper.saturating_sub(at(self.margin, tile));
        }
        stands_out
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
        (plain * 5 / 4).clamp(LEAST_CONTRAST.into(), 127) as u8
    }

    /// The thresholds of row `y`: from cell to cell in a straight line.
    pub fn threshold_row(&self, y: usize, row: &mut [u8]) {
        let side = 1 << self.shift;
        // Places in half pixels from the first cell's middle.
        let down = (2 * y + 1).saturating_sub(side);
        let first = (down >> (self.shift + 1)) * self.columns;
        let part = (down & (2 * side - 1)) as i32;
        let scale = 2 * side as i32;
        let level = |column: usize| {
            let above = at(self.threshold, first + column);
            let below = self.threshold.get(first + self.columns + column).copied().unwrap_or(above);
            i32::from(above) * (scale - part) + i32::from(below) * part
        };
        let (start, rest) = row.split_at_mut(row.len().min(side / 2));
        let mut here = level(0);
        start.fill((here >> (self.shift + 1)) as u8);
        for (column, pixels) in rest.chunks_mut(side).enumerate() {
            let next = if column + 1 < self.columns { level(column + 1) } else { here };
            let step = 2 * (next - here);
            let mut sum = here * scale + (next - here);
            for pixel in pixels {
                *pixel = (sum >> (2 * (self.shift + 1))) as u8;
                sum += step;
            }
            here = next;
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

/// Replaces each value by the extreme of those at most `reach` places away, along rows and then along columns.
fn extreme(plane: &mut [u8], spare: &mut [u8], columns: usize, reach: usize, pick: fn(u8, u8) -> u8) {
    let columns = columns.max(1);
    for (from, to) in plane.chunks(columns).zip(spare.chunks_mut(columns)) {
        for (x, to) in to.iter_mut().enumerate().take(from.len()) {
            let near = from.get(x.saturating_sub(reach)..(x + reach + 1).min(from.len())).unwrap_or_default();
            *to = near.iter().copied().reduce(pick).unwrap_or(0);
        }
    }
    let rows = plane.len() / columns;
    for (y, to) in plane.chunks_mut(columns).enumerate() {
        for (x, to) in to.iter_mut().enumerate() {
            let near = y.saturating_sub(reach)..(y + reach + 1).min(rows);
            *to = near.map(|y| at(spare, y * columns + x)).reduce(pick).unwrap_or(0);
        }
    }
}
