//! A user's picture of one digit, brought into the form that the net was trained on, and back to a
//! form that a terminal can show.

use crate::dataset::strokes::normalize::{self, Ink};
use anyhow::{Context, Result, bail, ensure};
use image::{DynamicImage, GrayImage, ImageReader};
use std::path::Path;

/// Largest side of a picture that is decoded, pixels: a limit on memory, far above any camera.
const MAX_SIDE: u32 = 16_384;
/// Least difference between ink and paper, in grey levels of 255.
const MIN_CONTRAST: u8 = 16;
/// Share of the contrast that is still paper: its grain becomes black.
const GRAIN: f32 = 0.2;

/// Reads a PNG, JPEG, PGM or PPM file and returns `height · width` bytes as the net expects them:
/// light ink on black, the digit scaled into the middle and centred by mass. A picture that has this
/// size and a dark border already is taken as it is.
///
/// # Errors
/// A file that is missing, not an image, too large, or blank.
pub fn load_digit(path: &Path, height: usize, width: usize) -> Result<Vec<u8>> {
    let picture = load(path)?.into_luma8();
    center_digit(&picture, height, width).with_context(|| format!("no digit found in {}", path.display()))
}

/// Reads a PNG, JPEG, PGM or PPM file.
///
/// # Errors
/// A file that is missing, not an image, or too large.
pub fn load(path: &Path) -> Result<DynamicImage> {
    let mut reader = ImageReader::open(path)
        .with_context(|| format!("cannot open the picture {}", path.display()))?
        .with_guessed_format()
        .with_context(|| format!("cannot read the picture {}", path.display()))?;
    let mut limits = image::Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    reader.limits(limits);
    reader.decode().with_context(|| format!("{} is not a readable PNG, JPEG, PGM or PPM picture", path.display()))
}

/// [`load_digit`] without the file.
fn center_digit(picture: &GrayImage, height: usize, width: usize) -> Result<Vec<u8>> {
    ensure!(picture.width() > 0 && picture.height() > 0, "the picture has no pixels");
    let paper = median_of_border(picture);
    let ready = (picture.height() as usize, picture.width() as usize) == (height, width);
    if ready && paper < 128 {
        return Ok(picture.as_raw().clone());
    }
    let values = ink_on_black(picture, paper)?;
    let ink = Ink { values: &values, width: picture.width() as usize };
    normalize::center(&ink, height, width).context("the picture holds no ink")
}

/// Grey value of the paper, taken where the digit rarely is.
fn median_of_border(picture: &GrayImage) -> u8 {
    let (width, height) = picture.dimensions();
    let mut border: Vec<u8> = picture
        .enumerate_pixels()
        .filter(|&(x, y, _)| x == 0 || y == 0 || x == width - 1 || y == height - 1)
        .map(|(_, _, pixel)| pixel.0[0])
        .collect();
    let middle = border.len() / 2;
    *border.select_nth_unstable(middle).1
}

/// Ink as 1, paper as 0, whichever of the two is darker in the picture.
fn ink_on_black(picture: &GrayImage, paper: u8) -> Result<Vec<f32>> {
    let (dark, light) = picture.as_raw().iter().fold((u8::MAX, u8::MIN), |(low, high), &p| (low.min(p), high.max(p)));
    let dark_ink = paper.saturating_sub(dark) > light.saturating_sub(paper);
    let contrast = if dark_ink { paper - dark } else { light - paper };
    if contrast < MIN_CONTRAST {
        bail!("the picture is blank: ink and paper differ by {contrast} of 255 grey levels");
    }
    let value = |&pixel: &u8| {
        let difference = if dark_ink { paper.saturating_sub(pixel) } else { pixel.saturating_sub(paper) };
        let share = f32::from(difference) / f32::from(contrast);
        ((share - GRAIN) / (1.0 - GRAIN)).max(0.0)
    };
    Ok(picture.as_raw().iter().map(value).collect())
}

/// The picture as text, two rows of pixels a line, dark to light as ` .:-=+*#%@`.
pub fn as_text(pixels: &[u8], width: usize) -> String {
    lines(pixels, width).map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// Pictures of one size side by side, each under its caption.
pub fn side_by_side(pictures: &[&[u8]], width: usize, captions: Vec<String>) -> String {
    let mut columns: Vec<_> = pictures.iter().map(|pixels| lines(pixels, width)).collect();
    let mut text: String = captions.iter().map(|caption| format!("{caption:width$}")).collect();
    text.truncate(text.trim_end().len());
    text.push('\n');
    loop {
        let row: Option<String> = columns.iter_mut().map(Iterator::next).collect();
        let Some(row) = row.filter(|row| !row.is_empty()) else { return text };
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// Real values of 0…1 as pixels.
pub fn from_unit(values: &[f64]) -> Vec<u8> {
    // The cast saturates.
    values.iter().map(|value| (255.0 * value).round() as u8).collect()
}

/// Writes a PNG: a row for each of `rows`, whose pictures of `height` × `width` grey pixels stand side by side.
///
/// # Errors
/// If the file cannot be written.
pub fn save_grid(path: &Path, rows: &[impl AsRef<[Vec<u8>]>], height: usize, width: usize) -> Result<()> {
    let columns = rows.iter().map(|row| row.as_ref().len()).max().unwrap_or(0);
    let mut grid = GrayImage::new((columns * width) as u32, (rows.len() * height) as u32);
    for (row, pictures) in rows.iter().enumerate() {
        for (column, pixels) in pictures.as_ref().iter().enumerate() {
            for (index, &pixel) in pixels.iter().enumerate() {
                let (x, y) = (column * width + index % width, row * height + index / width);
                grid.put_pixel(x as u32, y as u32, image::Luma([pixel]));
            }
        }
    }
    grid.save_with_format(path, image::ImageFormat::Png).with_context(|| format!("cannot write {}", path.display()))
}

/// Lines of `width` characters.
fn lines(pixels: &[u8], width: usize) -> impl Iterator<Item = String> {
    const RAMP: &[u8] = b" .:-=+*#%@";
    pixels.chunks(2 * width).map(move |rows| {
        let (upper, lower) = rows.split_at(width.min(rows.len()));
        let column = |(x, &pixel): (usize, &u8)| {
            let below = lower.get(x).copied().unwrap_or(pixel);
            let mean = (usize::from(pixel) + usize::from(below)) / 2;
            RAMP[mean * (RAMP.len() - 1) / 255] as char
        };
        upper.iter().enumerate().map(column).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Luma;

    /// A dark vertical bar, off centre, on light paper.
    fn bar() -> GrayImage {
        GrayImage::from_fn(120, 90, |x, y| {
            Luma([if (20..28).contains(&x) && (10..70).contains(&y) { 30 } else { 220 }])
        })
    }

    #[test]
    fn a_dark_bar_on_paper_becomes_a_light_one_in_the_middle() {
        let digit = center_digit(&bar(), 28, 28).unwrap();
        let lit: Vec<(usize, usize)> = (0..784).filter(|&i| digit[i] > 127).map(|i| (i / 28, i % 28)).collect();
        assert!(lit.iter().all(|&(row, column)| (4..24).contains(&row) && (12..16).contains(&column)), "{lit:?}");
        assert_eq!(lit.iter().filter(|&&(_, column)| column == lit[0].1).count(), 20);
    }

    #[test]
    fn polarity_does_not_matter() {
        let mut negative = bar();
        image::imageops::invert(&mut negative);
        assert_eq!(center_digit(&bar(), 28, 28).unwrap(), center_digit(&negative, 28, 28).unwrap());
    }

    #[test]
    fn an_image_in_the_training_form_is_taken_as_it_is() {
        let image = GrayImage::from_fn(28, 28, |x, y| Luma([if x == 5 && y == 7 { 200 } else { 0 }]));
        assert_eq!(center_digit(&image, 28, 28).unwrap(), *image.as_raw());
    }

    #[test]
    fn blank_and_empty_pictures_are_errors() {
        assert!(center_digit(&GrayImage::from_pixel(50, 50, Luma([255])), 28, 28).is_err());
        assert!(center_digit(&GrayImage::new(0, 0), 28, 28).is_err());
        assert!(load_digit(Path::new("Cargo.toml"), 28, 28).unwrap_err().to_string().contains("Cargo.toml"));
    }

    #[test]
    fn extreme_shapes_keep_their_aspect() {
        let line = GrayImage::from_fn(2000, 40, |x, y| {
            Luma([if (10..1990).contains(&x) && (19..21).contains(&y) { 0 } else { 255 }])
        });
        let digit = center_digit(&line, 28, 28).unwrap();
        let rows = (0..28).filter(|row| digit[row * 28..][..28].iter().any(|&p| p > 20)).count();
        assert!((1..=2).contains(&rows), "{rows} rows");
    }

    #[test]
    fn a_grid_has_a_row_for_each_pair() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("grid.png");
        save_grid(&path, &[[vec![1, 2], vec![3, 4]], [vec![5, 6], from_unit(&[0.0, 1.2])]], 1, 2).unwrap();
        let read = image::open(&path).unwrap().into_luma8();
        assert_eq!((read.dimensions(), read.into_raw()), ((4, 2), vec![1, 2, 3, 4, 5, 6, 0, 255]));
    }

    #[test]
    fn text_has_a_line_for_two_rows() {
        assert_eq!(as_text(&[255, 0, 255, 0, 0, 0, 0, 0], 2), "@\n\n");
    }

    #[test]
    fn pictures_stand_side_by_side_under_their_captions() {
        let (left, right) = ([255; 4], [0, 255, 0, 255]);
        assert_eq!(side_by_side(&[&left, &right], 2, vec!["a".into(), "b".into()]), "a b\n@@ @\n");
    }
}
