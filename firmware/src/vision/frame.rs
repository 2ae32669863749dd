//! What the sensor's bytes mean.

use super::{Error, MAX_FRAME_SIDE, Polarity, bytes_of};
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

    /// Row `y` as grey, in which ink is always dark; nothing where there is no such row.
    pub(super) fn grey_row(&self, y: usize, polarity: Polarity, row: &mut [u8]) {
        let stride = self.width * self.format.bytes();
        let bytes = self.bytes.get(y * stride..(y + 1) * stride).unwrap_or_default();
        let (pairs, _) = bytes.as_chunks::<2>();
        match self.format {
            Format::Grey => row.iter_mut().zip(bytes).for_each(|(grey, byte)| *grey = *byte),
            Format::Rgb565Be => convert(pairs, row, |pair| luma(u16::from_be_bytes(pair))),
            Format::Rgb565Le => convert(pairs, row, |pair| luma(u16::from_le_bytes(pair))),
            Format::Yuyv => convert(pairs, row, |[y, _]| y),
            Format::Uyvy => convert(pairs, row, |[_, y]| y),
        }
        if polarity == Polarity::LightInk {
            row.iter_mut().for_each(|grey| *grey = !*grey);
        }
    }
}

/// Words of scratch for [`Frame::each_smooth_row`].
pub const fn smooth_words(width: usize) -> usize {
    4 * width.div_ceil(4)
}

impl Frame<'_> {
    /// Gives every row, from the top, smoothed by 1-2-1 along and across: that takes away most of the sensor's noise.
    pub(super) fn each_smooth_row(&self, polarity: Polarity, scratch: &mut [u32], mut see: impl FnMut(usize, &[u8])) {
        let row_words = self.width.div_ceil(4);
        let mut parts = scratch.chunks_exact_mut(row_words);
        let (Some(mut above), Some(mut here), Some(mut below), Some(mixed)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        self.row_smoothed_along(0, polarity, here);
        above.copy_from_slice(here);
        for y in 0..self.height {
            if y + 1 < self.height {
                self.row_smoothed_along(y + 1, polarity, below);
            } else {
                below.copy_from_slice(here);
            }
            for (mixed, ((above, here), below)) in mixed.iter_mut().zip(above.iter().zip(&*here).zip(&*below)) {
                *mixed = means(means(*above, *below), *here);
            }
            see(y, bytes_of(mixed).get(..self.width).unwrap_or_default());
            (above, here, below) = (here, below, above);
        }
    }

    fn row_smoothed_along(&self, y: usize, polarity: Polarity, row: &mut [u32]) {
        let bytes = bytes_of(row);
        self.grey_row(y, polarity, bytes);
        if let Some((pixels, rest)) = bytes.split_at_mut_checked(self.width) {
            rest.fill(pixels.last().copied().unwrap_or(0));
        }
        // The first and the last pixel are their own neighbours.
        let mut left = row.first().map_or(0, |word| word << 24);
        for index in 0..row.len() {
            let here = row[index];
            let right = row.get(index + 1).map_or(here >> 24, |word| word & 0xff);
            row[index] = means(means(here << 8 | left >> 24, here >> 8 | right << 24), here);
            left = here;
        }
    }
}

/// The means of the four bytes of two words, rounded down.
fn means(a: u32, b: u32) -> u32 {
    (a & b) + (((a ^ b) & 0xfefe_fefe) >> 1)
}

fn convert(pairs: &[[u8; 2]], row: &mut [u8], grey: impl Fn([u8; 2]) -> u8) {
    row.iter_mut().zip(pairs).for_each(|(place, pair)| *place = grey(*pair));
}

/// `0.299·R + 0.587·G + 0.114·B`, with each part stretched to 0…255.
fn luma(pixel: u16) -> u8 {
    let pixel = u32::from(pixel);
    let [red, green, blue] = [pixel >> 11, pixel >> 5 & 63, pixel & 31];
    ((633 * red + 607 * green + 239 * blue + 128) >> 8) as u8
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
            assert!((f64::from(luma(pixel)) - exact).abs() <= 1.0, "{pixel:04x}");
        }
        assert_eq!([luma(0), luma(u16::MAX)], [0, 255]);
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
            let mut row = [99; 2];
            frame.grey_row(0, Polarity::DarkInk, &mut row);
            assert_eq!(row, grey, "{format:?}");
            frame.grey_row(0, Polarity::LightInk, &mut row);
            assert_eq!(row, grey.map(|grey| 255 - grey), "{format:?}");
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
