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
    0x2337c400203606eb,
    0x927111359f546ac4,
    0x1c4be58856656d98,
    0x59459e0eab16c04a,
    0x810a11c6bd2f2e0b,
    0xf039c358374ebd0e,
    0x46d2e39cc5cfd91f,
    0x0a7caa21df250cbf,
    0xca039392d466f7d8,
    0x7f10769a1dcace52,
    0x58e496a21e776acb,
    0x0bd195e6357923fe,
    0x9030e93bf5f53f76,
    0xb7a08b4ede96c45d,
    0x3cd68f454cb29d46,
    0xc95cf3d05f20bab7,
    0xcf3e5d54090f8ab0,
    0x21f5c8e3eb4be086,
    0x16d518293469bb10,
    0xa18e5087b93530ab,
    0x1a9a510fdfe9a623,
    0x304fab39f4630e6b,
    0xfc3c42ce2fc88764,
    0x82635d4664a6209f,
    0xae2965d8165a85a8,
    0x1230ad47114f71a9,
    0xa5b4df2780964395,
    0x4615b7cfd9d4a705,
    0xbe01f0035727d17d,
    0x8537112e51b398cb,
    0x40936e46cfb32f16,
    0xc40d9666ee0409ee,
    0x6fcf11b763c3d9bf,
    0x1bd7744ad667457e,
    0xbf6ac820be65af36,
    0xc061e3606a9bb311,
    0xfcaa6790140dbeaa,
    0xebe8f7c4fd0ff245,
    0xc0ba6133a7913ddc,
    0xf2aee80e081b7d5c,
    0xfc42483843de4dfd,
    0x1fad28196f0fe206,
    0xe02da4a08a208ad5,
    0x8e0e3f153ea8d46f,
    0x4f721f771106e1cc,
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
