//! A picture of one bit a pixel, and what in it hangs together.
//!
//! Rows start on words of their own; the leftmost pixel is the lowest bit. Bits right of the picture are zero.

/// Words that a picture takes.
pub const fn words(width: usize, height: usize) -> usize {
    width.div_ceil(32) * height
}

/// A picture in memory that someone else owns.
pub struct Bits<'w> {
    words: &'w mut [u32],
    /// Words a row.
    stride: usize,
    width: usize,
    height: usize,
}

/// What hangs together: its box, half open, and how many pixels it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Blob {
    pub left: usize,
    pub top: usize,
    pub right: usize,
    pub bottom: usize,
    pub area: u32,
}

impl Blob {
    const NOTHING: Self = Self { left: usize::MAX, top: usize::MAX, right: 0, bottom: 0, area: 0 };

    pub fn width(&self) -> usize {
        self.right.saturating_sub(self.left)
    }

    pub fn height(&self) -> usize {
        self.bottom.saturating_sub(self.top)
    }

    /// Counts the bits of a word that starts at column `x` of row `y`.
    fn add(&mut self, word: u32, x: usize, y: usize) {
        if word == 0 {
            return;
        }
        self.left = self.left.min(x + word.trailing_zeros() as usize);
        self.right = self.right.max(x + 32 - word.leading_zeros() as usize);
        self.top = self.top.min(y);
        self.bottom = self.bottom.max(y + 1);
        self.area += word.count_ones();
    }
}

impl<'w> Bits<'w> {
    /// A picture in `words`, of which there are as many as [`words`] says.
    pub fn new(words: &'w mut [u32], [width, height]: [usize; 2]) -> Self {
        Self { words, stride: width.div_ceil(32).max(1), width, height }
    }

    pub fn clear(&mut self) {
        self.words.fill(0);
    }

    pub fn height(&self) -> usize {
        self.height
    }

    pub fn width(&self) -> usize {
        self.width
    }

    /// The words of row `y`; none outside.
    pub fn row(&self, y: usize) -> &[u32] {
        self.words.get(y * self.stride..(y + 1) * self.stride).unwrap_or_default()
    }

    fn row_mut(&mut self, y: usize) -> &mut [u32] {
        self.words.get_mut(y * self.stride..(y + 1) * self.stride).unwrap_or_default()
    }

    pub fn get(&self, x: usize, y: usize) -> bool {
        x < self.width && self.row(y).get(x / 32).is_some_and(|word| word >> (x % 32) & 1 != 0)
    }

    /// Sets the pixels of row `y` that are darker than their threshold, from column `32 · first` on, where there was none.
    pub fn set_row(&mut self, y: usize, first: usize, grey: &[u32], thresholds: &[u32]) {
        let beyond = match self.width % 32 {
            0 => 0,
            pixels => u32::MAX << pixels,
        };
        let row = self.row_mut(y);
        // From the right, so that each four pixels move those before them up.
        let gather = |grey: &[u32], thresholds: &[u32]| {
            grey.iter().zip(thresholds).rfold(0, |bits, (grey, thresholds)| bits << 4 | darker(*grey, *thresholds))
        };
        let (wholes, rest) = grey.as_chunks::<8>();
        let places = row.get_mut(first..).unwrap_or_default();
        let parts = wholes.iter().zip(thresholds.as_chunks::<8>().0);
        places.iter_mut().zip(parts).for_each(|(place, (grey, thresholds))| *place = gather(grey, thresholds));
        if let (Some(place), Some(thresholds)) = (places.get_mut(wholes.len()), thresholds.get(8 * wholes.len()..)) {
            *place = gather(rest, thresholds.get(..rest.len()).unwrap_or_default());
        }
        if let Some(last) = row.last_mut() {
            *last &= !beyond;
        }
    }

    /// Takes away everything that `other` has.
    pub fn remove(&mut self, other: &Bits<'_>) {
        self.words.iter_mut().zip(other.words.iter()).for_each(|(word, other)| *word &= !other);
    }

    /// Sets, in `filled`, what hangs together with the picture's border.
    pub fn fill_from_border(&self, filled: &mut Bits<'_>) {
        let last = self.width.saturating_sub(1);
        for y in 0..self.height {
            let is_edge = y == 0 || y + 1 == self.height;
            for (index, (to, from)) in filled.row_mut(y).iter_mut().zip(self.row(y)).enumerate() {
                let left = if index == 0 { 1 } else { 0 };
                let right = if index == last / 32 { 1 << (last % 32) } else { 0 };
                *to = from & if is_edge { u32::MAX } else { left | right };
            }
        }
        self.spread(filled, [0, self.height], &mut Blob { ..Blob::NOTHING });
    }

    /// Sets, in `filled`, what hangs together with the pixel; what `filled` had before is not counted.
    pub fn fill_from(&self, [x, y]: [usize; 2], filled: &mut Bits<'_>) -> Blob {
        let mut blob = Blob::NOTHING;
        if self.get(x, y)
            && let Some(word) = filled.row_mut(y).get_mut(x / 32)
            && *word >> (x % 32) & 1 == 0
        {
            *word |= 1 << (x % 32);
            blob.add(1 << (x % 32), x / 32 * 32, y);
            self.spread(filled, [y, y + 1], &mut blob);
        }
        blob
    }

    /// Down and up over `filled` until nothing is added, from the rows given. Neighbours are the eight around a pixel.
    fn spread(&self, filled: &mut Bits<'_>, [mut top, mut bottom]: [usize; 2], blob: &mut Blob) {
        // Seeds have not grown along their rows yet. After that, every row that has been seen is whole.
        let mut is_whole = false;
        loop {
            let before = blob.area;
            let mut y = top;
            while y < bottom {
                self.spread_row(filled, y, y.checked_sub(1), is_whole, blob);
                bottom = bottom.max((blob.bottom + 1).min(self.height));
                y += 1;
            }
            if is_whole && blob.area == before {
                return;
            }
            is_whole = true;
            let before = blob.area;
            top = top.min(blob.top.saturating_sub(1));
            while y > top {
                y -= 1;
                self.spread_row(filled, y, Some(y + 1), true, blob);
                top = top.min(blob.top.saturating_sub(1));
            }
            if blob.area == before {
                return;
            }
        }
    }

    /// Adds to row `y` of `filled` what touches its row `from` or hangs together with what it has.
    fn spread_row(&self, filled: &mut Bits<'_>, y: usize, from: Option<usize>, is_whole: bool, blob: &mut Blob) {
        let ink = self.row(y);
        let (near, row) = filled.neighbours(from, y);
        let mut is_new = !is_whole;
        // New seeds from the neighbouring row.
        let mut before = 0;
        for (index, (&ink, place)) in ink.iter().zip(row.iter_mut()).enumerate() {
            let here = near.get(index).copied().unwrap_or(0);
            if ink & !*place != 0 {
                let behind = near.get(index + 1).copied().unwrap_or(0);
                let touched = here | here << 1 | here >> 1 | before >> 31 | behind << 31;
                let seeds = touched & ink & !*place;
                if seeds != 0 {
                    blob.add(seeds, 32 * index, y);
                    *place |= seeds;
                    is_new = true;
                }
            }
            before = here;
        }
        if !is_new {
            return;
        }
        // Up to the right end of each run, then to its left end.
        let mut carry = false;
        for (index, (&ink, place)) in ink.iter().zip(row.iter_mut()).enumerate() {
            if *place != 0 || carry {
                let grown;
                (grown, carry) = run_up(ink, *place, carry);
                blob.add(grown & !*place, 32 * index, y);
                *place = grown;
            }
        }
        carry = false;
        for (index, (&ink, place)) in ink.iter().zip(row.iter_mut()).enumerate().rev() {
            if *place != 0 || carry {
                let grown;
                (grown, carry) = run_up(ink.reverse_bits(), place.reverse_bits(), carry);
                let grown = grown.reverse_bits();
                blob.add(grown & !*place, 32 * index, y);
                *place = grown;
            }
        }
    }

    /// Row `from`, if any, beside row `y`, the one above or below it.
    fn neighbours(&mut self, from: Option<usize>, y: usize) -> (&[u32], &mut [u32]) {
        let stride = self.stride;
        let Some(from) = from else { return (&[], self.row_mut(y)) };
        let rows = self.words.get_mut(from.min(y) * stride..(from.max(y) + 1).min(self.height) * stride);
        let (upper, lower) = rows.unwrap_or_default().split_at_mut_checked(stride).unwrap_or_default();
        if from < y { (upper, lower) } else { (lower, upper) }
    }
}

/// A bit for each of four bytes, the lowest first: whether it is less than its threshold.
fn darker(grey: u32, thresholds: u32) -> u32 {
    const LANES: u32 = 0x00ff_00ff;
    // Each byte in a lane of 16 bits, with a bit above it that a borrow takes away.
    let even = (grey & LANES | 0x0100_0100) - (thresholds & LANES);
    let odd = (grey >> 8 & LANES | 0x0100_0100) - (thresholds >> 8 & LANES);
    let not_less = even >> 8 & 0x0001_0001 | odd >> 7 & 0x0002_0002;
    (not_less | not_less >> 14) & 15 ^ 15
}

/// The runs of `ink` from each of the seeds upwards, and whether the last goes on into the next word.
///
/// Adding a seed to its run carries through the rest of it, and changes every bit on the way.
fn run_up(ink: u32, seeds: u32, carry: bool) -> (u32, bool) {
    let (sum, first) = ink.overflowing_add(seeds);
    let (sum, second) = sum.overflowing_add(carry.into());
    ((sum ^ ink) & ink | seeds, first | second)
}
