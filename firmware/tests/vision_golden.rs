//! Vision: every bit of what it gives for many frames.
//!
//! Nets are trained on these pixels, so that a change here is a change of their data. Where one is meant, the failing
//! test prints the new table.

#[path = "vision_golden/scenes.rs"]
mod scenes;

use firmware::vision::{Finder, Frame, SIDE, scratch_words};
use scenes::{Scene, scene};

/// Frames that one hash stands for.
const GROUP: usize = 16;

/// FNV-1a of digits, ink, inputs and masks of each group of scenes.
const GOLDEN: [u64; 45] = [
    0xa6858bfc6aa065af,
    0x1048fae0f9b39165,
    0xd3e678f0f4c90d34,
    0x6b249de94fed8038,
    0xc7a7aedbb5fb644c,
    0x8a0bdf3ed70e80f5,
    0xef70b7293a71b437,
    0x245cad0e00cd9f4c,
    0x066b5707f3e2dac2,
    0x144df167aab6231d,
    0x35c68364f11ad40a,
    0xf90a7bf908b4b89d,
    0x32bab6afd0f76b10,
    0xf9d85445b7aadeec,
    0xbad138078bc766c6,
    0x933c2adfb7612422,
    0x567f0cbd7bce304e,
    0x494c4577b39eac15,
    0xcca037229325da32,
    0xc88324e3190c3ca1,
    0xbdaa2ae16a5d8c63,
    0x0e8fccedf6333ae3,
    0x02399748feeecd75,
    0xa7a3c8a073c883a2,
    0xc03458c4fadfefc5,
    0xf7db0320fdb5b551,
    0xfbf358bacd3993d3,
    0x1a1ee9fae8f5be92,
    0x519f00dedf222a9d,
    0x90430a7508e7f1ba,
    0x0b9b09da83a5ab8a,
    0x51c891fad801fa55,
    0x874ad47377c42596,
    0x4e6299053c88256a,
    0xfd44f9dbe2dc3f40,
    0x5cfdf5e1229290d8,
    0xeaa7e26eb589ac3c,
    0x3d2e85bb55a8833e,
    0x94cb201c24c8d1ea,
    0x18f45bf0b7a91fdb,
    0x0f645b91d5d2ecf5,
    0xcb6464a761890d9e,
    0x6f8d7902b4620cf7,
    0xc82458c0aa4ab48d,
    0x8c06c9574e6bd06b,
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

/// Adds all that can be seen from outside, and says how many digits there are.
fn add(hash: &mut Hash, Scene { size: [width, height], format, bytes }: &Scene) -> usize {
    let frame = Frame::new(*width, *height, *format, bytes).unwrap();
    let mut scratch = vec![0xa5a5_a5a5; scratch_words(*width, *height)];
    let mut finder = Finder::new(&mut scratch);
    let digits = finder.find(&frame).unwrap();
    let places = || (0..*height).flat_map(|y| (0..*width).map(move |x| [x, y]));
    // Debug shows the private fields too.
    hash.add(format!("{digits:?} {:?}", finder.polarity()).into_bytes());
    hash.add(places().map(|[x, y]| finder.is_ink(x, y).into()));
    for region in &digits {
        let mut pixels = [99; SIDE * SIDE];
        finder.normalize(&frame, region, &mut pixels).unwrap();
        hash.add(pixels.map(|pixel| pixel as u8));
        hash.add(places().map(|[x, y]| finder.is_chosen(x, y).into()));
    }
    digits.len()
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
    assert!(found > GROUP * GOLDEN.len() / 2, "only {found} digits");
}
