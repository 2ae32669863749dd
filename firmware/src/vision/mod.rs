//! From a camera's frame to the input of a net that reads digits: in integers, without a second copy of the frame.
//!
//! ```text
//! bytes ──frame──▶ grey rows ──paper──▶ a threshold for each place ──bits──▶ mask ──regions──▶ digits, left to right
//!                                                                                 └──normalize──▶ 28×28, as MNIST's
//! ```
//!
//! | module | knows |
//! |---|---|
//! | `frame` | what the sensor's bytes mean: RGB565, YUV 4:2:2, grey |
//! | `paper` | how bright the paper is at each place and how dark the ink, from tiles of the frame |
//! | `morphology` | the brightness around what is dark and narrow |
//! | `bits` | a picture of one bit a pixel, and what in it hangs together |
//! | `blobs` | what of that has sharp edges |
//! | `regions` | which of the blobs of ink are digits |
//! | `normalize` | deskew, scale and centre, as the makers of MNIST did |
//! | `reader` | what a model reads in the regions |
//! | `watch` | what a model reads in frames that follow each other, one look at each |
//! | [`vote`] | one answer from what a net says of many frames |
//!
//! [`Finder`] joins the steps up to the pixels, [`read`] all of them. What lies between the steps can be looked at: [`Finder::is_ink`], [`Finder::is_chosen`].

mod bits;
mod blobs;
mod frame;
mod morphology;
mod normalize;
mod paper;
mod reader;
mod regions;
pub mod vote;
mod watch;

pub use frame::{Format, Frame};
pub use reader::{DIGITS, LIKELY, MAX_CLASSES, Reading, Readings, SURE, USUAL_REGIONS, read, search, suits};
pub use regions::{Digits, MAX_DIGITS, Region};
pub use watch::Watch;

use bits::Bits;
use blobs::Blobs;
use paper::{Care, Paper};
use zerocopy::IntoBytes;

/// Height and width of a net's input.
pub const SIDE: usize = 28;
/// A net's input, row by row from the top: light ink on black, `pixel − 128`.
pub type Pixels = [i8; SIDE * SIDE];
/// Longest side of a frame, pixels: sums of this many fit their integers.
pub const MAX_FRAME_SIDE: usize = 640;

/// Why a frame cannot be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Error {
    /// A side is zero or longer than [`MAX_FRAME_SIDE`].
    FrameSize,
    /// There are fewer bytes than the size and the format need.
    FrameTruncated {
        /// Bytes needed.
        needed_bytes: usize,
    },
    /// The scratch is shorter than [`scratch_words`] says.
    ScratchTooSmall {
        /// Words needed.
        needed_words: usize,
    },
    /// The region belongs to no frame of this size.
    ForeignRegion,
    /// The model does not read digits of 28×28 pixels.
    ForeignModel,
}

/// Whether the ink is darker or lighter than what it is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "defmt", derive(defmt::Format))]
pub enum Polarity {
    /// As on paper.
    DarkInk,
    /// As on a blackboard.
    LightInk,
}

impl Polarity {
    const fn other(self) -> Self {
        match self {
            Self::DarkInk => Self::LightInk,
            Self::LightInk => Self::DarkInk,
        }
    }
}

/// Words of scratch for frames of this size: 2,666 at 160×120.
pub const fn scratch_words(width: usize, height: usize) -> usize {
    2 * bits::words(width, height) + paper::words(width, height) + row_words(width)
}

const fn row_words(width: usize) -> usize {
    let [to_find, to_normalize] = [paper::row_words(width) + frame::smooth_words(width), normalize::words(width)];
    if to_find > to_normalize { to_find } else { to_normalize }
}

/// Finds digits in frames and brings them into the form that a net reads.
#[derive(Debug)]
pub struct Finder<'s> {
    scratch: &'s mut [u32],
    size: [usize; 2],
    polarity: Polarity,
}

/// The scratch, taken apart.
struct Parts<'s> {
    ink: Bits<'s>,
    chosen: Bits<'s>,
    paper: Paper<'s>,
    rows: &'s mut [u32],
}

impl<'s> Finder<'s> {
    /// Takes the memory to work in; what lies in it does not matter.
    pub fn new(scratch: &'s mut [u32]) -> Self {
        Self { scratch, size: [0, 0], polarity: Polarity::DarkInk }
    }

    /// Looks for digits. None is an answer, not an error: of an empty page, of noise, of lines alone.
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`].
    pub fn find(&mut self, frame: &Frame<'_>) -> Result<Digits, Error> {
        let guess = self.measure(frame)?;
        let other = self.look(frame, guess.other(), Care::Usual)?;
        let mut digits = self.look(frame, guess, Care::Usual)?;
        // The guess may be wrong, but not easily: what lies between strokes is no ink.
        if other.strength / 13 > digits.strength / 10 {
            let rival = digits.strength;
            digits = self.look(frame, guess.other(), Care::Usual)?;
            digits.rival = rival;
        } else {
            digits.rival = other.strength;
        }
        Ok(digits)
    }

    /// Looks again, for fainter ink than `digits`, which were found in this frame, and follows shadows more closely. It
    /// finds more of what is no digit too.
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`].
    pub fn find_faint(&mut self, frame: &Frame<'_>, digits: &Digits) -> Result<Digits, Error> {
        self.look(frame, digits.polarity, Care::Close)
    }

    /// Looks for ink of the other polarity than that of `digits`, which were found in this frame, where at least a quarter
    /// as much speaks for it.
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`].
    pub fn find_inverse(&mut self, frame: &Frame<'_>, digits: &Digits) -> Result<Option<Digits>, Error> {
        digits.is_doubtful().then(|| self.look(frame, digits.polarity.other(), Care::Usual)).transpose()
    }

    /// Looks for ink of one polarity, where another frame has told which: a third less work than [`Self::find`].
    ///
    /// # Errors
    /// [`Error::ScratchTooSmall`].
    fn find_ink(&mut self, frame: &Frame<'_>, polarity: Polarity, care: Care) -> Result<Digits, Error> {
        self.measure(frame)?;
        self.look(frame, polarity, care)
    }

    /// Measures the paper, and guesses which of it and ink is the darker.
    // Two looks begin with it.
    #[inline(never)]
    fn measure(&mut self, frame: &Frame<'_>) -> Result<Polarity, Error> {
        self.size = [frame.width(), frame.height()];
        let Parts { mut paper, rows, .. } = self.parts()?;
        Ok(paper.measure(frame, rows))
    }

    /// Looks for ink of one polarity in a frame whose paper has been measured.
    fn look(&mut self, frame: &Frame<'_>, polarity: Polarity, care: Care) -> Result<Digits, Error> {
        self.polarity = polarity;
        let size = [frame.width(), frame.height()];
        let Parts { mut ink, mut chosen, mut paper, rows } = self.parts()?;
        ink.clear();
        if !paper.set_thresholds(polarity, care) {
            return Ok(Digits::none(polarity));
        }
        let (thresholds, rest) = rows.split_at_mut(paper::row_words(frame.width()));
        for [rows, words] in paper.inked(polarity, size) {
            frame.each_smooth_row(polarity, rows, words.clone(), rest, |y, grey| {
                paper.threshold_row(y, &words, thresholds);
                ink.set_row(y, words.start / 8, grey, thresholds);
            });
        }
        let mut blobs = Blobs::of(&mut ink, &mut chosen);
        blobs.keep_sharp(frame, polarity, &ink, &paper, rest);
        Ok(regions::choose(blobs.as_slice(), polarity, frame.height()))
    }

    /// Writes the digit of `region` as the net's input: light ink on black, `pixel − 128`, 20 pixels long, upright, its
    /// centre of mass in the middle. Takes the frame that the region was found in.
    ///
    /// # Errors
    /// [`Error::ForeignRegion`] where no frame of this size has been looked at, or the region is none of it.
    pub fn normalize(&mut self, frame: &Frame<'_>, region: &Region, pixels: &mut Pixels) -> Result<(), Error> {
        pixels.fill(i8::MIN);
        let size = [frame.width(), frame.height()];
        if self.size != size || !region.is_inside(size) {
            return Err(Error::ForeignRegion);
        }
        let polarity = self.polarity;
        let Parts { ink, mut chosen, paper, rows } = self.parts()?;
        chosen.clear();
        region.fill(&ink, &mut chosen);
        normalize::normalize(frame, polarity, &paper, &chosen, region, rows, pixels);
        Ok(())
    }

    /// Whether the pixel is ink: darker, or lighter, than the paper around it, and not part of what touches the border.
    pub fn is_ink(&mut self, x: usize, y: usize) -> bool {
        self.parts().is_ok_and(|parts| parts.ink.get(x, y))
    }

    /// Whether the pixel belongs to the digit that was last brought into form.
    pub fn is_chosen(&mut self, x: usize, y: usize) -> bool {
        self.parts().is_ok_and(|parts| parts.chosen.get(x, y))
    }

    /// What counted as ink in the frame that was last looked at.
    pub fn polarity(&self) -> Polarity {
        self.polarity
    }

    fn parts(&mut self) -> Result<Parts<'_>, Error> {
        let [width, height] = self.size;
        let needed_words = scratch_words(width, height);
        let too_small = Error::ScratchTooSmall { needed_words };
        let plane = bits::words(width, height);
        let (ink, rest) = self.scratch.split_at_mut_checked(plane).ok_or(too_small)?;
        let (chosen, rest) = rest.split_at_mut_checked(plane).ok_or(too_small)?;
        let (tiles, rest) = rest.split_at_mut_checked(paper::words(width, height)).ok_or(too_small)?;
        let rows = rest.get_mut(..row_words(width)).ok_or(too_small)?;
        let paper = Paper::new(tiles, self.size).ok_or(too_small)?;
        Ok(Parts { ink: Bits::new(ink, self.size), chosen: Bits::new(chosen, self.size), paper, rows })
    }
}

/// The bytes of `words`.
fn bytes_of(words: &mut [u32]) -> &mut [u8] {
    words.as_mut_bytes()
}
