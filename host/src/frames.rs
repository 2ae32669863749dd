//! Frames of a camera: from files, and what a model reads in them.

use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use firmware::vision::{
    Finder, Format, Frame, LIKELY, Reading, Region, SIDE, SURE, USUAL_REGIONS, scratch_words, search,
};
use image::imageops::{FilterType, resize};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};

/// Size to which pictures are reduced, as a small camera gives them.
pub const FRAME: [u32; 2] = [160, 120];
/// Regions of a frame that are read.
pub const MOST: u8 = USUAL_REGIONS as u8;

/// A frame of grey levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub width: usize,
    pub height: usize,
    /// Row by row from the top.
    pub grey: Vec<u8>,
}

/// What was seen in a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// From left to right.
    pub seen: Vec<Seen>,
    /// SHA-256 of the memory in which it was looked at: thresholds, ink and the last digit's pieces.
    pub memory: String,
}

/// What a camera's reader sees in one of its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glance {
    /// Of one region at most.
    pub look: Look,
    /// The digit that is the answer of all frames so far.
    pub answer: Option<u8>,
}

/// What was read in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// First column, first row, column behind the last, row below the last.
    pub place: [u16; 4],
    pub class: u16,
    /// In 1/65,536.
    pub certainty: u32,
}

impl From<&Reading> for Seen {
    fn from(reading: &Reading) -> Self {
        let Region { left, top, right, bottom, .. } = reading.region;
        Seen { place: [left, top, right, bottom], class: reading.class, certainty: reading.certainty }
    }
}

impl Seen {
    /// The digit, where it is one and sure.
    pub fn digit(&self) -> Option<u8> {
        self.digit_from(SURE)
    }

    /// Whether it was told to be a digit, so that no other was looked for.
    fn is_likely(&self) -> bool {
        self.digit_from(LIKELY).is_some()
    }

    fn digit_from(&self, least: u32) -> Option<u8> {
        Reading { class: self.class, certainty: self.certainty, ..Reading::default() }.digit(least)
    }
}

impl Look {
    /// The surest digit.
    pub fn best(&self) -> Option<&Seen> {
        self.seen.iter().filter(|seen| seen.digit().is_some()).max_by_key(|seen| seen.certainty)
    }
}

impl Picture {
    /// Reads a PNG, JPEG, PGM or PPM file and reduces it, or the part `[x, y, width, height]` of it with half as much again
    /// around, to fit [`FRAME`].
    ///
    /// # Errors
    /// A file that is missing or not an image, and a part outside of it.
    pub fn load(path: &Path, part: Option<[u32; 4]>) -> Result<Self> {
        let mut picture = crate::picture::load(path)?.into_luma8();
        if let Some([x, y, width, height]) = part {
            let inside =
                |start: u32, size: u32, all: u32| size > 0 && start.checked_add(size).is_some_and(|end| end <= all);
            let fits = inside(x, width, picture.width()) && inside(y, height, picture.height());
            ensure!(fits, "{}: there is no part of {width}×{height} pixels at {x}, {y}", path.display());
            let [left, top] = [x.saturating_sub(width / 2), y.saturating_sub(height / 2)];
            let [right, bottom] = [x + width + width / 2, y + height + height / 2];
            let [right, bottom] = [right.min(picture.width()), bottom.min(picture.height())];
            picture = image::imageops::crop(&mut picture, left, top, right - left, bottom - top).to_image();
        }
        let [width, height] = [picture.width(), picture.height()];
        ensure!(width > 0 && height > 0, "{} has no pixels", path.display());
        let scale = (f64::from(FRAME[0]) / f64::from(width)).min(f64::from(FRAME[1]) / f64::from(height)).min(1.0);
        let [width, height] = [width, height].map(|side| ((f64::from(side) * scale).round() as u32).max(1));
        let small = if scale < 1.0 { resize(&picture, width, height, FilterType::Triangle) } else { picture };
        Ok(Picture { width: small.width() as usize, height: small.height() as usize, grey: small.into_raw() })
    }

    /// The frame as the firmware takes it.
    ///
    /// # Errors
    /// A size that the firmware does not take.
    pub fn frame(&self) -> Result<Frame<'_>> {
        let frame = Frame::new(self.width, self.height, Format::Grey, &self.grey);
        frame.map_err(|error| anyhow::anyhow!("a frame of {}×{} pixels: {error:?}", self.width, self.height))
    }

    /// Words of memory to look at it.
    pub fn scratch_words(&self) -> usize {
        scratch_words(self.width, self.height)
    }

    /// The steps side by side, 4 pixels of the result a pixel: the frame with what was found framed, the ink, and the net's
    /// input of each region from left to right, one below the other.
    pub fn explain(&self, look: &Look) -> Result<image::RgbImage> {
        const ZOOM: usize = 4;
        let mut scratch = vec![0; self.scratch_words()];
        let mut finder = Finder::new(&mut scratch);
        let frame = self.frame()?;
        let mut inputs = Vec::new();
        let again = search(&frame, &mut finder, look.seen.len(), |finder, region| {
            let mut pixels = [0; SIDE * SIDE];
            finder.normalize(&frame, region, &mut pixels)?;
            inputs.push(pixels);
            Ok(look.seen.get(inputs.len() - 1).is_some_and(Seen::is_likely))
        });
        again.map_err(|error| anyhow::anyhow!("{error:?}"))?;
        let height = self.height.max(SIDE * inputs.len());
        let mut canvas = image::RgbImage::new((ZOOM * (2 * self.width + SIDE)) as u32, (ZOOM * height) as u32);
        let mut paint = |x: usize, y: usize, color: [u8; 3]| {
            for at in 0..ZOOM * ZOOM {
                canvas.put_pixel((ZOOM * x + at % ZOOM) as u32, (ZOOM * y + at / ZOOM) as u32, image::Rgb(color));
            }
        };
        for at in 0..self.width * self.height {
            let [x, y] = [at % self.width, at / self.width];
            paint(x, y, [self.grey[at]; 3]);
            paint(self.width + x, y, if finder.is_ink(x, y) { [255; 3] } else { [40; 3] });
        }
        for seen in &look.seen {
            let color = if seen.digit().is_some() { [0, 200, 0] } else { [220, 0, 0] };
            let [left, top, right, bottom] = seen.place.map(usize::from);
            (left..right).for_each(|x| [top, bottom - 1].into_iter().for_each(|y| paint(x, y, color)));
            (top..bottom).for_each(|y| [left, right - 1].into_iter().for_each(|x| paint(x, y, color)));
        }
        for (number, pixels) in inputs.iter().enumerate() {
            for (at, pixel) in pixels.iter().enumerate() {
                let level = *pixel as u8 ^ 0x80;
                paint(2 * self.width + at % SIDE, number * SIDE + at / SIDE, [level; 3]);
            }
        }
        Ok(canvas)
    }
}

/// SHA-256 in lower-case hexadecimal.
pub fn hash(bytes: &[u8]) -> String {
    setup::hex(&Sha256::digest(bytes))
}

/// A picture with the digit that is to be read there, or with none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    pub path: PathBuf,
    pub digit: Option<u8>,
    /// `[x, y, width, height]` of the digit, pixels of the picture.
    pub part: Option<[u32; 4]>,
}

/// The pictures of a folder: those that its `labels.csv` lists (`file,label[,x,y,w,h]`), else all whose name begins with their
/// label, as in `7-blue-pen.jpg`. A label is a digit or `none`.
///
/// # Errors
/// A folder without labelled pictures, and lines that cannot be read.
pub fn folder(folder: &Path) -> Result<Vec<Labelled>> {
    let list = folder.join("labels.csv");
    let found = if list.is_file() {
        let text = std::fs::read_to_string(&list).with_context(|| format!("cannot read {}", list.display()))?;
        let lines = text.lines().enumerate().filter(|(number, line)| {
            let is_head = *number == 0 && line.starts_with("file,");
            !is_head && !line.trim().is_empty()
        });
        let place = |number: usize| format!("{}:{}", list.display(), number + 1);
        lines.map(|(number, line)| parse(folder, line).with_context(|| place(number))).collect::<Result<Vec<_>>>()?
    } else {
        let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        paths.into_iter().filter_map(named).collect()
    };
    ensure!(
        !found.is_empty(),
        "{} holds no labelled pictures: list them in labels.csv (file,label[,x,y,w,h]) or begin their names with the label",
        folder.display()
    );
    Ok(found)
}

fn parse(folder: &Path, line: &str) -> Result<Labelled> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [file, name, part @ ..] = fields.as_slice() else { bail!("expected file,label[,x,y,w,h]") };
    let digit = label(name).with_context(|| format!("{name} is neither a digit nor none"))?;
    let numbers = part.iter().map(|number| number.parse().with_context(|| format!("{number} is no number")));
    let numbers = numbers.collect::<Result<Vec<u32>>>()?;
    let part = match numbers.as_slice() {
        [] => None,
        &[x, y, width, height] => Some([x, y, width, height]),
        _ => bail!("expected file,label[,x,y,w,h]"),
    };
    Ok(Labelled { path: folder.join(file), digit, part })
}

fn named(path: PathBuf) -> Option<Labelled> {
    let is_picture = path.extension().is_some_and(|end| {
        let end = end.to_string_lossy().to_lowercase();
        ["png", "jpg", "jpeg", "pgm", "ppm"].contains(&end.as_str())
    });
    let name = path.file_stem()?.to_string_lossy().into_owned();
    let digit = label(name.split(['-', '_', ' ', '.']).next()?)?;
    is_picture.then_some(Labelled { path, digit, part: None })
}

fn label(name: &str) -> Option<Option<u8>> {
    match name.as_bytes() {
        b"none" => Some(None),
        [digit @ b'0'..=b'9'] => Some(Some(digit - b'0')),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_gives_labels_and_places_and_names_its_mistakes() {
        let directory = tempfile::tempdir().unwrap();
        let list = directory.path().join("labels.csv");
        std::fs::write(&list, "file,label,x,y,w,h\na.jpg,7\n b.png , none\nc.png,3,1,2,30,40\n").unwrap();
        let found = folder(directory.path()).unwrap();
        let seen: Vec<_> = found.iter().map(|labelled| (labelled.digit, labelled.part)).collect();
        assert_eq!(seen, [(Some(7), None), (None, None), (Some(3), Some([1, 2, 30, 40]))]);
        assert_eq!(found[0].path, directory.path().join("a.jpg"));
        for wrong in ["a.jpg", "a.jpg,ten", "a.jpg,1,2", "a.jpg,1,2,3,4,x"] {
            std::fs::write(&list, format!("a.jpg,7\n{wrong}\n")).unwrap();
            let error = format!("{:#}", folder(directory.path()).unwrap_err());
            assert!(error.contains("labels.csv:2"), "{wrong}: {error}");
        }
    }

    #[test]
    fn without_a_list_names_tell() {
        let directory = tempfile::tempdir().unwrap();
        assert!(folder(directory.path()).unwrap_err().to_string().contains("labels.csv"));
        for name in ["7-blue.jpg", "none_hand.PNG", "12.png", "3.txt", "8.pgm"] {
            std::fs::write(directory.path().join(name), "").unwrap();
        }
        let found = folder(directory.path()).unwrap();
        assert_eq!(found.iter().map(|labelled| labelled.digit).collect::<Vec<_>>(), [Some(7), Some(8), None]);
    }

    #[test]
    fn pictures_are_cut_and_reduced_to_a_frame() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("p.png");
        image::GrayImage::from_fn(640, 640, |x, _| image::Luma([(x / 4) as u8])).save(&path).unwrap();
        let whole = Picture::load(&path, None).unwrap();
        assert_eq!([whole.width, whole.height, whole.grey.len()], [120, 120, 120 * 120]);
        let part = Picture::load(&path, Some([100, 100, 40, 40])).unwrap();
        assert_eq!([part.width, part.height], [80, 80]);
        assert_eq!(part.grey[0], 20);
        for part in [[0, 0, 0, 9], [600, 0, 41, 9], [u32::MAX, 0, 2, 2]] {
            assert!(Picture::load(&path, Some(part)).unwrap_err().to_string().contains("p.png"));
        }
    }
}
