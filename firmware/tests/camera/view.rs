//! The picture for a display.

use firmware::camera::SIZE;
use firmware::camera::view::{VIEW, VIEW_WORDS, draw};
use firmware::vision::{Format, Frame};

#[test]
fn the_frame_and_the_digit_stand_side_by_side() {
    let [width, height] = SIZE;
    // Brightness first, then a colour that does not show.
    let pixel = |x: usize, y: usize| (x ^ y) as u8;
    let bytes: Vec<u8> = (0..width * height).flat_map(|i| [pixel(i % width, i / width), 99]).collect();
    let frame = Frame::new(width, height, Format::Yuyv, &bytes).unwrap();
    let mut lit = Vec::new();
    for answer in (0..10).map(Some).chain([None, Some(10)]) {
        let mut view = [0x5555_5555; VIEW_WORDS];
        draw(&frame, answer, &mut view);
        let levels: Vec<u8> = view.iter().flat_map(|word| word.to_le_bytes()).collect();
        let rows = || levels.chunks(VIEW[0]).enumerate();
        assert!(rows().all(|(y, row)| (0..width).all(|x| row[x] == pixel(x, y))), "{answer:?}");
        let beside: Vec<bool> = rows().flat_map(|(_, row)| row[width..].iter().map(|level| *level != 0)).collect();
        lit.push(beside);
    }
    let none = lit.split_off(10);
    assert!(none.iter().flatten().all(|pixel| !pixel));
    // No two digits look alike; an eight has all that any other has.
    for (digit, pixels) in lit.iter().enumerate() {
        assert!(lit[..digit].iter().all(|other| other != pixels), "{digit}");
        assert!(pixels.iter().zip(&lit[8]).all(|(pixel, eight)| eight | !pixel), "{digit}");
    }
}

#[test]
fn a_small_frame_is_drawn_as_far_as_it_goes() {
    let frame = Frame::new(6, 2, Format::Grey, &[7; 12]).unwrap();
    let mut view = [0; VIEW_WORDS];
    draw(&frame, None, &mut view);
    let levels: Vec<u8> = view.iter().flat_map(|word| word.to_le_bytes()).collect();
    // The last word of a row is filled up with its last pixel.
    assert_eq!(levels[..9], [7, 7, 7, 7, 7, 7, 7, 7, 0]);
    assert_eq!(levels[2 * VIEW[0]..].iter().max(), Some(&0));
}
