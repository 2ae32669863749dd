//! MNIST's form of a digit (LeCun et al. 1998): fitted into a box of 20 pixels with its aspect kept,
//! grey from anti-aliasing, on an image of 28 pixels whose middle is the digit's centre of mass.

/// The digit's longer side, as a part of the image's.
const BOX_OF_28: f32 = 20.0 / 28.0;
/// Least ink that counts as the digit when its box is measured.
const EDGE: f32 = 0.5;

/// Light ink on black, row by row; 0 is paper and 1 is ink.
pub(crate) struct Ink<'a> {
    pub values: &'a [f32],
    pub width: usize,
}

/// Brings `ink` into MNIST's form at `height · width` pixels, 0 to 255; `None` where there is no ink.
pub(crate) fn center(ink: &Ink<'_>, height: usize, width: usize) -> Option<Vec<u8>> {
    let ([left, right], [top, bottom]) = bounds(ink)?;
    let side = BOX_OF_28 * height.min(width) as f32;
    let factor = side / (right - left).max(bottom - top) as f32;
    let scaled = |length: usize| ((length as f32 * factor).round() as usize).max(1);
    let columns = taps([left, right], scaled(right - left));
    let rows = taps([top, bottom], scaled(bottom - top));
    let small: Vec<f32> =
        rows.iter().flat_map(|row| columns.iter().map(move |column| sample(ink, row, column))).collect();
    Some(paste(&small, columns.len(), height, width))
}

/// Half-open column and row ranges of everything at least [`EDGE`] bright.
fn bounds(ink: &Ink<'_>) -> Option<([usize; 2], [usize; 2])> {
    let mut bounds = None;
    for index in (0..ink.values.len()).filter(|&index| ink.values[index] >= EDGE) {
        let (x, y) = (index % ink.width, index / ink.width);
        let ([left, right], [top, bottom]) = bounds.unwrap_or(([x, x + 1], [y, y + 1]));
        bounds = Some(([x.min(left), right.max(x + 1)], [y.min(top), bottom.max(y + 1)]));
    }
    bounds
}

/// What one output row or column takes: source indices and their shares, which add up to 1.
type Taps = Vec<(usize, f32)>;

/// Shrinks the source range to `count` outputs by area; where it grows instead, the averaged window
/// stays one source pixel wide, which is linear interpolation.
fn taps([start, end]: [usize; 2], count: usize) -> Vec<Taps> {
    let ratio = (end - start) as f32 / count as f32;
    let half = ratio.max(1.0) / 2.0;
    let output = |i: usize| {
        let middle = start as f32 + (i as f32 + 0.5) * ratio;
        let (low, high) = ((middle - half).max(start as f32), (middle + half).min(end as f32));
        let share = |pixel: usize| (high.min(pixel as f32 + 1.0) - low.max(pixel as f32)) / (high - low);
        let pixels = low.floor() as usize..(high.ceil() as usize).min(end);
        pixels.map(|pixel| (pixel, share(pixel))).collect()
    };
    (0..count).map(output).collect()
}

fn sample(ink: &Ink<'_>, rows: &Taps, columns: &Taps) -> f32 {
    let row = |y: usize| -> f32 { columns.iter().map(|&(x, share)| share * ink.values[y * ink.width + x]).sum() };
    rows.iter().map(|&(y, share)| share * row(y)).sum()
}

/// Puts the digit, `digit_width` wide, on a black image with its centre of mass in the middle, to the
/// nearest pixel.
fn paste(digit: &[f32], digit_width: usize, height: usize, width: usize) -> Vec<u8> {
    let (mut mass, mut moment_x, mut moment_y) = (0.0, 0.0, 0.0);
    for (index, &value) in digit.iter().enumerate() {
        mass += value;
        moment_x += value * ((index % digit_width) as f32 + 0.5);
        moment_y += value * ((index / digit_width) as f32 + 0.5);
    }
    let start = |extent: usize, moment: f32| (extent as f32 / 2.0 - moment / mass).round() as isize;
    let (left, top) = (start(width, moment_x), start(height, moment_y));
    let mut output = vec![0; height * width];
    for (index, &value) in digit.iter().enumerate() {
        let column = left + (index % digit_width) as isize;
        let row = top + (index / digit_width) as isize;
        if (0..height as isize).contains(&row) && (0..width as isize).contains(&column) {
            output[row as usize * width + column as usize] = (value * 255.0).round() as u8;
        }
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bar from `(left, top)`, `wide` by `high`, on a page of 60 by 90.
    fn bar([left, top]: [usize; 2], [wide, high]: [usize; 2]) -> Vec<u8> {
        let inside = |i: usize| (left..left + wide).contains(&(i % 60)) && (top..top + high).contains(&(i / 60));
        let values: Vec<f32> = (0..60 * 90).map(|i| if inside(i) { 1.0 } else { 0.0 }).collect();
        center(&Ink { values: &values, width: 60 }, 28, 28).unwrap()
    }

    #[test]
    fn a_bar_fills_the_box_in_the_middle_wherever_it_was() {
        for (place, size) in [([3, 5], [10, 50]), ([41, 38], [10, 50]), ([20, 20], [2, 10])] {
            let lit: Vec<usize> = (0..784).filter(|&i| bar(place, size)[i] == 255).collect();
            let expected: Vec<usize> = (4..24).flat_map(|row| (12..16).map(move |column| row * 28 + column)).collect();
            assert_eq!(lit, expected);
        }
    }

    #[test]
    fn reduction_keeps_the_mean_and_makes_grey() {
        // Every second column of the box is ink: 40 columns become 20 of half grey.
        let values: Vec<f32> = (0..41 * 40).map(|i| if i % 41 % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let image = center(&Ink { values: &values, width: 41 }, 28, 28).unwrap();
        let middle = &image[14 * 28 + 6..14 * 28 + 22];
        assert!(middle.iter().all(|pixel| (115..=145).contains(pixel)), "{middle:?}");
    }

    #[test]
    fn blank_paper_holds_no_digit() {
        assert!(center(&Ink { values: &[0.2; 100], width: 10 }, 28, 28).is_none());
        assert!(center(&Ink { values: &[], width: 10 }, 28, 28).is_none());
    }
}
