//! What the sensor's bytes mean.

use super::{Error, MAX_FRAME_SIDE, Polarity};
use core::ops::Range;
use serde::{Deserialize, Serialize};

/// How a pixel lies in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Format {
    /// One byte of grey.
    Grey,
    /// Two bytes, five bits of red, six of green, five of blue; the byte with red first, as sensors send it.
    Rgb565Be,
    /// The same, the byte with blue first, as a processor stores it.
    Rgb565Le,
    /// YUV 4:2:2, two bytes, brightness first.
    Yuyv,
    /// YUV 4:2:2, two bytes, brightness second.
    Uyvy,
}

impl Format {
    /// Bytes a pixel.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb565Be | Self::Rgb565Le | Self::Yuyv | Self::Uyvy => 2,
        }
    }
}

/// A frame as it lies in memory, row by row from the top.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'f> {
    width: usize,
    height: usize,
    format: Format,
    bytes: &'f [u8],
}

impl<'f> Frame<'f> {
    /// A view of `bytes`; those beyond the frame's end do not matter.
    ///
    /// # Errors
    /// [`Error::FrameSize`] and [`Error::FrameTruncated`].
    pub fn new(width: usize, height: usize, format: Format, bytes: &'f [u8]) -> Result<Self, Error> {
        if ![width, height].iter().all(|side| (1..=MAX_FRAME_SIDE).contains(side)) {
            return Err(Error::FrameSize);
        }
        let needed_bytes = width * height * format.bytes();
        let bytes = bytes.get(..needed_bytes).ok_or(Error::FrameTruncated { needed_bytes })?;
        Ok(Self { width, height, format, bytes })
    }

    /// Pixels a row.
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Row `y` as grey, four pixels a word, the leftmost in the lowest byte: as much as `row` takes, and nothing where there
    /// is no such row.
    pub fn grey(&self, y: usize, row: &mut [u32]) {
        let words = row.len().min(self.width.div_ceil(4));
        self.grey_row(y, Polarity::DarkInk, 0..words, row);
    }

    /// Words `words` of row `y` as grey, four pixels each, in which ink is always dark; nothing where there is no such row.
    /// Pixels right of the frame are as the last one in it.
    pub(super) fn grey_row(&self, y: usize, polarity: Polarity, words: Range<usize>, row: &mut [u32]) {
        let stride = self.width * self.format.bytes();
        let bytes = self.bytes.get(y * stride..(y + 1) * stride).unwrap_or_default();
        let bytes = bytes.get(4 * words.start * self.format.bytes()..).unwrap_or_default();
        let row = row.get_mut(words).unwrap_or_default();
        let flip = match polarity {
            Polarity::DarkInk => 0,
            Polarity::LightInk => u32::MAX,
        };
        match self.format {
            Format::Grey => convert(bytes, row, |pixels| u32::from_le_bytes(pixels) ^ flip),
            Format::Rgb565Be => {
                convert(bytes, row, |pixels| levels(pixels, |pair| luma(pair.swap_bytes().rotate_left(16))) ^ flip)
            }
            Format::Rgb565Le => convert(bytes, row, |pixels| levels(pixels, luma) ^ flip),
            Format::Yuyv => convert(bytes, row, |pixels| levels(pixels, |pair| pair << 8) ^ flip),
            Format::Uyvy => convert(bytes, row, |pixels| levels(pixels, |pair| pair) ^ flip),
        }
    }
}

/// Words of scratch for [`Frame::each_smooth_row`].
pub const fn smooth_words(width: usize) -> usize {
    5 * width.div_ceil(4) + 2
}

impl Frame<'_> {
    /// Gives the words `words` of each of `rows`, smoothed by 1-2-1 along and across: that takes away most of the
    /// sensor's noise. Pixels right of the frame mean nothing.
    pub(super) fn each_smooth_row(
        &self,
        polarity: Polarity,
        rows: Range<usize>,
        words: Range<usize>,
        scratch: &mut [u32],
        mut see: impl FnMut(usize, &[u32]),
    ) {
        let row_words = self.width.div_ceil(4);
        let (raw, rest) = scratch.split_at_mut(scratch.len().min(row_words + 2));
        let mut parts = rest.chunks_exact_mut(row_words).map(|row| row.get_mut(..words.len()).unwrap_or_default());
        let (Some(mut above), Some(mut here), Some(mut below), Some(mixed)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        // The first and the last row are their own neighbours.
        self.row_smoothed_along(rows.start.saturating_sub(1), polarity, &words, raw, above);
        self.row_smoothed_along(rows.start, polarity, &words, raw, here);
        for y in rows {
            self.row_smoothed_along((y + 1).min(self.height - 1), polarity, &words, raw, below);
            for (mixed, ((above, here), below)) in mixed.iter_mut().zip(above.iter().zip(&*here).zip(&*below)) {
                *mixed = means(means(*above, *below), *here);
            }
            see(y, mixed);
            (above, here, below) = (here, below, above);
        }
    }

    /// Smooths the words `words` of row `y`. `raw` holds the row with a word more at each end.
    fn row_smoothed_along(&self, y: usize, polarity: Polarity, words: &Range<usize>, raw: &mut [u32], row: &mut [u32]) {
        let count = raw.len().saturating_sub(2);
        let Some(inner) = raw.get_mut(1..=count) else { return };
        self.grey_row(y, polarity, words.start.saturating_sub(1)..(words.end + 1).min(count), inner);
        // The first and the last pixel are their own neighbours.
        let [first, last] = [inner.first(), inner.last()].map(|word| word.copied().unwrap_or(0));
        if let [before, .., behind] = raw {
            (*before, *behind) = (first << 24, last >> 24);
        }
        let near = raw.get(words.start..words.end + 2).unwrap_or_default();
        for (place, [left, here, right]) in row.iter_mut().zip(near.array_windows()) {
            *place = means(means(here << 8 | left >> 24, here >> 8 | right << 24), *here);
        }
    }
}

/// The means of the four bytes of two words, rounded down.
fn means(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xfefe_fefe) >> 1)
}

/// Makes words of four pixels of `BYTES` bytes; to the last word's pixels the last one is added until there are four.
fn convert<const BYTES: usize>(bytes: &[u8], row: &mut [u32], grey: impl Fn([u8; BYTES]) -> u32) {
    let (groups, rest) = bytes.as_chunks();
    row.iter_mut().zip(groups).for_each(|(place, group)| *place = grey(*group));
    let pixel = BYTES / 4;
    if let (Some(place), Some(last)) = (row.get_mut(groups.len()), rest.len().checked_sub(pixel)) {
        let byte = |at: usize| rest.get(at).or(rest.get(last + at % pixel)).copied().unwrap_or(0);
        *place = grey(core::array::from_fn(byte));
    }
}

/// Levels of four pixels of two bytes: `level` gives those of two pixels at once, in the upper byte of each half word.
fn levels(pixels: [u8; 8], level: impl Fn(u32) -> u32) -> u32 {
    let pixels = u64::from_le_bytes(pixels);
    let [first, second] = [pixels as u32, (pixels >> 32) as u32];
    let even = level(first & 0xffff | second << 16);
    let odd = level(first >> 16 | second & 0xffff_0000);
    even >> 8 & 0x00ff_00ff | odd & 0xff00_ff00
}

/// `0.299·R + 0.587·G + 0.114·B` of two pixels, with each part stretched to 0…255, in 1/256: at most 65,401, so that the
/// lower half word does not carry into the upper one.
fn luma(pair: u32) -> u32 {
    let [red, green, blue] = [pair >> 11 & 0x001f_001f, pair >> 5 & 0x003f_003f, pair & 0x001f_001f];
    633 * red + 607 * green + 239 * blue + 0x0080_0080
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_is_that_of_the_standard() {
        for pixel in 0..=u16::MAX {
            let part =
                |shift: u16, bits: u16| f64::from(pixel >> shift & ((1 << bits) - 1)) / f64::from((1 << bits) - 1);
            let exact = 255.0 * (0.299 * part(11, 5) + 0.587 * part(5, 6) + 0.114 * part(0, 5));
            let other = 0xffff ^ u32::from(pixel);
            let pair = luma(u32::from(pixel) << 16 | other);
            assert!((f64::from(pair >> 24) - exact).abs() <= 1.0, "{pixel:04x}");
            assert_eq!(pair & 0xffff, luma(other) & 0xffff, "{pixel:04x}");
        }
        assert_eq!([luma(0), luma(u32::MAX)].map(|pair| pair >> 8 & 0x00ff_00ff), [0, 0x00ff_00ff]);
    }

    #[test]
    fn each_format_gives_its_grey() {
        let cases: [(Format, &[u8], [u8; 2]); 5] = [
            (Format::Grey, &[7, 200], [7, 200]),
            (Format::Rgb565Be, &[0xff, 0xff, 0x00, 0x1f], [255, 29]),
            (Format::Rgb565Le, &[0xff, 0xff, 0x1f, 0x00], [255, 29]),
            (Format::Yuyv, &[7, 1, 200, 2], [7, 200]),
            (Format::Uyvy, &[1, 7, 2, 200], [7, 200]),
        ];
        for (format, bytes, grey) in cases {
            let frame = Frame::new(2, 1, format, bytes).unwrap();
            let mut row = [99; 1];
            let expected = u32::from_le_bytes([grey[0], grey[1], grey[1], grey[1]]);
            frame.grey_row(0, Polarity::DarkInk, 0..1, &mut row);
            assert_eq!(row, [expected], "{format:?}");
            frame.grey_row(0, Polarity::LightInk, 0..1, &mut row);
            assert_eq!(row, [!expected], "{format:?}");
        }
    }

    #[test]
    fn sizes_and_lengths_are_checked() {
        let new = |width, height, bytes: &[u8]| Frame::new(width, height, Format::Yuyv, bytes).map(|_| ());
        for size in [[0, 5], [5, 0], [641, 1], [1, 641], [usize::MAX, usize::MAX]] {
            assert_eq!(new(size[0], size[1], &[0; 9999]), Err(Error::FrameSize), "{size:?}");
        }
        assert_eq!(new(3, 2, &[0; 11]), Err(Error::FrameTruncated { needed_bytes: 12 }));
        assert_eq!(new(3, 2, &[0; 12]), Ok(()));
    }
}
