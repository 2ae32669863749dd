//! Vision: every bit of what it gives for many frames.
//!
//! Nets are trained on these pixels, so that a change here is a change of their data. Where one is meant, the failing
//! test prints the new table.

#[path = "vision_golden/scenes.rs"]
mod scenes;

use firmware::vision::{Finder, Frame, MAX_DIGITS, SIDE, scratch_words, search};
use scenes::{Scene, scene};

/// Frames that one hash stands for.
const GROUP: usize = 16;

/// FNV-1a of digits, ink, inputs and masks of each group of scenes.
const GOLDEN: [u64; 45] = [
    0x1a12da6b43c63f5d,
    0x3cf93f20ce591dd3,
    0xf38f3474a4fd6f27,
    0x0d44348aaf6671ab,
    0x56aa276d5c7d7a37,
    0x45ec68bdbef38181,
    0x44f9e787d1b33dc2,
    0xea6227c065a6618a,
    0x269853932afb0cb8,
    0x1c8663b165a53bef,
    0x34510895e701037d,
    0x17f2e42917e75726,
    0xf3dd2330ce8372b8,
    0x9f10a6d2fb07fca4,
    0x192f5ccc1ac1ee14,
    0x37211bf5d165b604,
    0x7239c3820bd4d7ed,
    0x2728db657b3f4051,
    0xae7822e70bfa5874,
    0x098e54f5d9773a25,
    0x8badd5b2cee4c3aa,
    0x349eb80f9e783696,
    0xcd81627179ffa0ca,
    0x8532a055b5eb255a,
    0x6636faed0ca2cb4f,
    0xe7ed4eceb912cb42,
    0x88177b67d0d78cf7,
    0x68ae2c21417e9a0a,
    0x3f2d1bb5569fd1ff,
    0xff9868fc4ae1defd,
    0xf56b8d656466b378,
    0x0e38fefecfcc00ee,
    0x03b33b6782b919ab,
    0xe681472df2891e25,
    0x232978f3b5043fcd,
    0x768348576be6e148,
    0x22bf43c5b99ece54,
    0x2a95e4a0abf5ac61,
    0x2f5e0c4eaea74b41,
    0x2e57eef8b28bb4a2,
    0xe0eada910674c799,
    0x9d427bc343c2d0f4,
    0x26c8c4d539515287,
    0x899b4be6a40ca0f4,
    0x2789969afc25ec17,
];

/// FNV-1a, 64 bits.
struct Hash(u64);

impl Hash {
    fn add(&mut self, bytes: impl IntoIterator<Item = u8>) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

/// Adds all that can be seen from outside, and says how many regions were shown.
fn add(hash: &mut Hash, Scene { size: [width, height], format, bytes }: &Scene) -> usize {
    let frame = Frame::new(*width, *height, *format, bytes).unwrap();
    let mut scratch = vec![0xa5a5_a5a5; scratch_words(*width, *height)];
    let mut finder = Finder::new(&mut scratch);
    let places = || (0..*height).flat_map(|y| (0..*width).map(move |x| [x, y]));
    let mut count = 0;
    search(&frame, &mut finder, MAX_DIGITS, |finder, region| {
        count += 1;
        let mut pixels = [99; SIDE * SIDE];
        finder.normalize(&frame, region, &mut pixels)?;
        // Debug shows the private fields too.
        hash.add(format!("{region:?} {:?}", finder.polarity()).into_bytes());
        hash.add(pixels.map(|pixel| pixel as u8));
        hash.add(places().map(|[x, y]| finder.is_chosen(x, y).into()));
        Ok(false)
    })
    .unwrap();
    hash.add(places().map(|[x, y]| finder.is_ink(x, y).into()));
    count
}

#[test]
fn no_bit_has_changed() {
    let mut found = 0;
    let hashes: Vec<u64> = (0..GOLDEN.len())
        .map(|group| {
            let mut hash = Hash(0xcbf2_9ce4_8422_2325);
            found += (GROUP * group..GROUP * (group + 1)).map(|number| add(&mut hash, &scene(number))).sum::<usize>();
            hash.0
        })
        .collect();
    assert!(hashes == GOLDEN, "the hashes are now\n{hashes:#018x?}");
    assert!(found > GROUP * GOLDEN.len() / 2, "only {found} regions");
}
