//! Vision: every bit of what it gives for many frames, as it was before it was made fast.
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
    0x6309ee008b1daf9f,
    0x819ea2fbee9efb15,
    0xa1f2130a60b69736,
    0xee82d3b673860fe6,
    0x0c33edd02a75c8f7,
    0x28a23b08a455a92b,
    0x92899aeaefaa7ee4,
    0x625b8c28aff4cb0a,
    0xeb33f847654d3ff0,
    0x3e622cfbb61ed10a,
    0x405176077a1f7256,
    0x0dbd589861d2cefe,
    0x1998e3f86acc7234,
    0xdcb473e5cb590eb0,
    0xcd1516a24d161872,
    0xf4e29e2825a957fb,
    0x0a50bcb82645e389,
    0x181c187fd7ac3ae9,
    0x7b6df7cc2766a3d1,
    0xd4f5f5c1bf3becbd,
    0x69121dd9d4d8171a,
    0x7c2f81a7103c8c8d,
    0x2ab4ddf48942a30d,
    0x1c605a2dd4d2ffc2,
    0x18f2cd6616a21ce8,
    0xed014194ca6d4ba8,
    0x637eeec706adf54e,
    0x8d12804c97b45226,
    0x63ec03a262c1e32a,
    0x65f6168cf9cb338e,
    0x9567c8939476181d,
    0x752b625da6468c7d,
    0x0795b8b379773002,
    0xaedce000ce6e6aa5,
    0x807fa441bd06d8b9,
    0xfdbc48479c98b27d,
    0x4e2cc555b857a0df,
    0x5dcda738edb232c9,
    0xc0f5c96b3a6f7d8b,
    0x23f55319a0fe6104,
    0xfa82249b4cb82eec,
    0x7f9e9b2b18472fda,
    0xe4af6a2aa8435fc3,
    0x701802deee268582,
    0xf2d0c3e1f3e036b9,
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
