//! Vision: frames that are drawn here, in every format, and any bytes.

use firmware::vision::{Digits, Error, Finder, Format, Frame, Pixels, Polarity, Region, SIDE, scratch_words, search};
use proptest::prelude::*;

const WIDTH: usize = 160;
const HEIGHT: usize = 120;
const PAPER: u8 = 200;
const INK: u8 = 60;

/// A grey page.
#[derive(Clone)]
struct Page(Vec<u8>);

impl Page {
    fn blank() -> Self {
        Self(vec![PAPER; WIDTH * HEIGHT])
    }

    fn fill(mut self, columns: std::ops::Range<usize>, rows: std::ops::Range<usize>, level: u8) -> Self {
        rows.for_each(|y| self.0[y * WIDTH..][columns.clone()].fill(level));
        self
    }

    /// A seven, 32 by 44, its strokes 6 wide.
    fn seven(self, left: usize, top: usize) -> Self {
        let bar = self.fill(left..left + 32, top..top + 6, INK);
        (0..38).fold(bar, |page, row| {
            let start = left + 26 - row / 2;
            page.fill(start..start + 6, top + 6 + row..top + 7 + row, INK)
        })
    }

    /// An upright bar, 7 by 50.
    fn one(self, left: usize, top: usize) -> Self {
        self.fill(left..left + 7, top..top + 50, INK)
    }

    fn map(self, change: impl Fn(usize, usize, u8) -> u8) -> Self {
        Self(self.0.iter().enumerate().map(|(i, level)| change(i % WIDTH, i / WIDTH, *level)).collect())
    }
}

fn look(format: Format, bytes: &[u8], [width, height]: [usize; 2]) -> Result<(Digits, Vec<Pixels>), Error> {
    let frame = Frame::new(width, height, format, bytes)?;
    let mut scratch = vec![0x5a5a_5a5a; scratch_words(width, height)];
    let mut finder = Finder::new(&mut scratch);
    let digits = finder.find(&frame)?;
    let input = |region: &Region| {
        let mut pixels = [99; SIDE * SIDE];
        finder.normalize(&frame, region, &mut pixels).unwrap();
        pixels
    };
    let inputs = digits.iter().map(input).collect();
    Ok((digits, inputs))
}

fn read(page: &Page) -> (Digits, Vec<Pixels>) {
    look(Format::Grey, &page.0, [WIDTH, HEIGHT]).unwrap()
}

fn boxes(digits: &Digits) -> Vec<[u16; 4]> {
    digits.iter().map(|region| [region.left, region.top, region.right, region.bottom]).collect()
}

/// Largest difference of two inputs.
fn difference(a: &Pixels, b: &Pixels) -> u8 {
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn a_digit_is_found_and_fills_the_box() {
    let (digits, inputs) = read(&Page::blank().seven(50, 40));
    let [left, top, right, bottom] = boxes(&digits)[0].map(i32::from);
    assert_eq!((digits.len(), digits.polarity), (1, Polarity::DarkInk));
    let near = |a: i32, b: i32| (a - b).abs() <= 1;
    assert!(near(left, 50) && near(top, 40) && near(right, 82) && near(bottom, 84), "{digits:?}");
    let lit = |at: fn(usize) -> usize| {
        let places = || (0..SIDE * SIDE).filter(|&i| inputs[0][i] > 0).map(at);
        places().max().unwrap() - places().min().unwrap() + 1
    };
    assert!((19..=20).contains(&lit(|i| i / SIDE)), "{}", lit(|i| i / SIDE));
    assert!((10..=18).contains(&lit(|i| i % SIDE)), "{}", lit(|i| i % SIDE));
    assert!(inputs[0].iter().filter(|pixel| **pixel == 127).count() > 20);
    let mass = |at: fn(usize) -> usize| {
        let weight = |i: usize| f64::from(inputs[0][i]) + 128.0;
        (0..SIDE * SIDE).map(|i| weight(i) * (at(i) as f64 + 0.5)).sum::<f64>()
            / (0..SIDE * SIDE).map(weight).sum::<f64>()
    };
    for middle in [mass(|i| i / SIDE), mass(|i| i % SIDE)] {
        assert!((middle - 14.0).abs() <= 0.51, "{middle}");
    }
}

#[test]
fn nothing_is_an_answer() {
    for level in [0, 1, 128, 254, 255] {
        assert!(read(&Page::blank().map(|_, _, _| level)).0.is_empty(), "all {level}");
    }
    let slope = Page::blank().map(|x, y, _| (40 + x + y / 2) as u8);
    assert!(read(&slope).0.is_empty());
    let shadow = Page::blank().map(|x, _, _| if x < 70 { 220 } else { 110 });
    assert!(read(&shadow).0.is_empty());
    let mut state = 1u32;
    let noise = (0..WIDTH * HEIGHT).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    assert!(read(&Page(noise.collect())).0.is_empty());
}

#[test]
fn lines_that_touch_the_border_are_not_ink() {
    let plain = Page::blank().seven(50, 40);
    let ruled = plain.clone().fill(0..WIDTH, 20..22, INK).fill(0..WIDTH, 100..102, INK).fill(20..22, 0..HEIGHT, INK);
    assert_eq!(boxes(&read(&ruled).0), boxes(&read(&plain).0));
    assert!(read(&Page::blank().fill(0..WIDTH, 20..22, INK).fill(90..92, 0..HEIGHT, INK)).0.is_empty());
}

#[test]
fn a_printed_box_around_the_digit_is_not_ink() {
    let boxed = |page: Page| {
        let page = page.fill(40..100, 30..32, INK).fill(40..100, 98..100, INK);
        page.fill(40..42, 30..100, INK).fill(98..100, 30..100, INK)
    };
    let (digits, _) = read(&boxed(Page::blank().seven(55, 42)));
    assert_eq!(boxes(&digits), boxes(&read(&Page::blank().seven(55, 42)).0));
}

#[test]
fn several_digits_come_from_left_to_right() {
    let (digits, inputs) = read(&Page::blank().one(110, 30).seven(20, 50).one(80, 35));
    assert_eq!(digits.iter().map(|region| (region.left + 5) / 10).collect::<Vec<_>>(), [2, 8, 11]);
    assert!(difference(&inputs[1], &inputs[2]) <= 8, "two of a kind");
}

#[test]
fn pieces_near_each_other_are_one_digit() {
    let five = Page::blank().fill(60..92, 30..36, INK).fill(60..66, 39..60, INK).fill(66..90, 54..60, INK);
    let five = five.fill(84..90, 60..80, INK).fill(60..90, 80..86, INK);
    assert_eq!(boxes(&read(&five).0).len(), 1);
}

/// Boxes of what is shown of a page, and the polarity each time, if none or each is told to be a digit.
fn shown(page: &Page, is_digit: bool, most: usize) -> Vec<([u16; 4], Polarity)> {
    let frame = Frame::new(WIDTH, HEIGHT, Format::Grey, &page.0).unwrap();
    let mut scratch = vec![0x5a5a_5a5a; scratch_words(WIDTH, HEIGHT)];
    let mut shown = Vec::new();
    search(&frame, &mut Finder::new(&mut scratch), most, |finder, region| {
        finder.normalize(&frame, region, &mut [0; SIDE * SIDE])?;
        shown.push(([region.left, region.top, region.right, region.bottom], finder.polarity()));
        Ok(is_digit)
    })
    .unwrap();
    shown
}

#[test]
fn what_is_no_digit_is_shown_again_without_its_small_pieces() {
    let seven = Page::blank().seven(50, 40);
    let alone = (boxes(&read(&seven).0)[0], Polarity::DarkInk);
    let blotted = seven.fill(60..66, 28..34, INK);
    let blot = shown(&blotted, true, 3);
    assert!(blot.len() == 1 && blot[0].0[1] <= 29, "{blot:?}");
    assert_eq!(shown(&blotted, false, 2), [blot[0], alone]);
    assert_eq!(shown(&blotted, false, 1), blot);
}

#[test]
fn what_is_no_digit_is_shown_again_with_its_fainter_ink() {
    // Two bars, and between them a link whose contrast is three tenths of theirs.
    let page = Page::blank().one(60, 30).one(86, 30).fill(67..86, 50..56, 158);
    let [left, right, whole] = shown(&page, false, 3)[..] else { panic!("{:?}", shown(&page, false, 3)) };
    assert!(left.0[2] < 70 && right.0[0] > 83 && whole.0[0] <= left.0[0] && whole.0[2] >= right.0[2], "{whole:?}");
    assert_eq!(shown(&page, true, 3), [left, right]);
    assert_eq!(shown(&page, false, 2), [left, right]);
    // What is found again is not shown again.
    assert_eq!(shown(&Page::blank().fill(60..74, 30..90, INK), false, 3).len(), 1);
}

#[test]
fn what_may_be_ink_either_way_is_shown_both_ways() {
    let ring = Page::blank().map(|_, _, _| 130).fill(50..86, 20..100, 200).fill(60..76, 30..90, INK);
    let [first, second] = shown(&ring, false, 3)[..] else { panic!("{:?}", shown(&ring, false, 3)) };
    assert_ne!(first.1, second.1);
    let mut lefts = [first, second].map(|(place, _)| (place[0] + 2) / 4);
    lefts.sort();
    assert_eq!(lefts, [13, 15]);
    assert_eq!(shown(&ring, true, 3), [first]);
}

#[test]
fn light_ink_is_read_as_dark_ink_is() {
    let page = Page::blank().seven(50, 40);
    let (digits, inputs) = read(&page);
    let (inverse, inverse_inputs) = read(&page.map(|_, _, level| 255 - level));
    assert_eq!(inverse.polarity, Polarity::LightInk);
    let (a, b) = (boxes(&digits), boxes(&inverse));
    assert!(a[0].iter().zip(b[0]).all(|(a, b)| a.abs_diff(b) <= 1), "{a:?} {b:?}");
    assert!(difference(&inputs[0], &inverse_inputs[0]) < 60);
}

#[test]
fn uneven_light_changes_little() {
    let page = Page::blank().seven(50, 40);
    let dim = page.clone().map(|x, y, level| (u32::from(level) * (300 - x as u32 - y as u32 / 2) / 300) as u8);
    let [plain, dim] = [page, dim].map(|page| read(&page));
    assert_eq!(dim.0.len(), 1);
    let changed = plain.1[0].iter().zip(&dim.1[0]).filter(|(a, b)| a.abs_diff(**b) > 100).count();
    assert!(changed < 20, "{changed} pixels");
}

#[test]
fn formats_agree() {
    let page = Page::blank().seven(50, 40).map(|x, y, level| level - ((x + y) % 7) as u8);
    // What five and six bits can hold, and its grey as the frame shows it.
    let pixels: Vec<u16> =
        page.0.iter().map(|&l| u16::from(l >> 3) << 11 | u16::from(l >> 2) << 5 | u16::from(l >> 3)).collect();
    let grey: Vec<u8> = pixels
        .iter()
        .map(|&p| {
            ((633 * u32::from(p >> 11) + 607 * u32::from(p >> 5 & 63) + 239 * u32::from(p & 31) + 128) >> 8) as u8
        })
        .collect();
    let expected = look(Format::Grey, &grey, [WIDTH, HEIGHT]).unwrap();
    assert_eq!(expected.0.len(), 1);
    let flat = |pairs: Vec<[u8; 2]>| pairs.into_flattened();
    let frames = [
        (Format::Rgb565Be, flat(pixels.iter().map(|p| p.to_be_bytes()).collect())),
        (Format::Rgb565Le, flat(pixels.iter().map(|p| p.to_le_bytes()).collect())),
        (Format::Yuyv, flat(grey.iter().map(|&y| [y, 77]).collect())),
        (Format::Uyvy, flat(grey.iter().map(|&y| [201, y]).collect())),
    ];
    for (format, bytes) in frames {
        assert!(look(format, &bytes, [WIDTH, HEIGHT]).unwrap() == expected, "{format:?}");
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let page = Page::blank().seven(50, 40);
    let frame = Frame::new(WIDTH, HEIGHT, Format::Grey, &page.0).unwrap();
    let needed_words = scratch_words(WIDTH, HEIGHT);
    assert!(4 * needed_words <= 12 * 1024, "{needed_words} words");
    for words in [0, 1, needed_words - 1] {
        let error = Finder::new(&mut vec![0; words]).find(&frame).unwrap_err();
        assert_eq!(error, Error::ScratchTooSmall { needed_words });
    }
    let mut scratch = vec![0; needed_words];
    let mut finder = Finder::new(&mut scratch);
    let mut pixels = [0; SIDE * SIDE];
    assert_eq!(finder.normalize(&frame, &Region::default(), &mut pixels), Err(Error::ForeignRegion));
    let digits = finder.find(&frame).unwrap();
    assert_eq!(finder.normalize(&frame, &Region::default(), &mut pixels), Err(Error::ForeignRegion));
    let small = Frame::new(80, 60, Format::Grey, &page.0).unwrap();
    assert_eq!(finder.normalize(&small, digits.best().unwrap(), &mut pixels), Err(Error::ForeignRegion));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn where_the_digit_stands_changes_little(left in 8usize..115, top in 8usize..65) {
        let (digits, inputs) = read(&Page::blank().seven(left, top));
        let (_, expected) = read(&Page::blank().seven(48, 40));
        prop_assert_eq!(digits.len(), 1);
        let changed = inputs[0].iter().zip(&expected[0]).filter(|(a, b)| a.abs_diff(**b) > 100).count();
        prop_assert!(changed <= 24, "{changed} pixels");
    }

    #[test]
    fn four_cells_further_nothing_changes(left in 6usize..12, top in 5usize..8) {
        // Cells are four pixels wide, tiles eight: the same digit on the same lattice.
        let (_, a) = read(&Page::blank().seven(8 * left, 8 * top));
        let (_, b) = read(&Page::blank().seven(64, 48));
        prop_assert_eq!(&a, &b);
    }

    #[test]
    fn any_bytes_are_a_frame(
        width in 1usize..70,
        height in 1usize..70,
        format in prop::sample::select(vec![Format::Grey, Format::Rgb565Be, Format::Rgb565Le, Format::Yuyv, Format::Uyvy]),
        seed in any::<u64>(),
        coarse in 0u32..8,
    ) {
        let mut state = seed | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let bytes: Vec<u8> = (0..width * height * format.bytes()).map(|_| (next() >> 40) as u8 >> coarse << coarse).collect();
        let (digits, inputs) = look(format, &bytes, [width, height]).unwrap();
        prop_assert_eq!(digits.len(), inputs.len());
        prop_assert!(digits.as_slice().is_sorted_by_key(|region| region.left));
    }

    #[test]
    fn any_rectangles_are_a_frame(
        rectangles in prop::collection::vec((0usize..320, 0usize..240, 1usize..120, 1usize..120, any::<u8>()), 0..30),
    ) {
        let mut bytes = vec![PAPER; 320 * 240];
        for (left, top, wide, high, level) in rectangles {
            (top..(top + high).min(240)).for_each(|y| bytes[y * 320..][left..(left + wide).min(320)].fill(level));
        }
        let (digits, inputs) = look(Format::Grey, &bytes, [320, 240]).unwrap();
        prop_assert_eq!(digits.len(), inputs.len());
    }
}
