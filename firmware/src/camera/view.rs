//! What the reader sees and what it says, as one grey picture for a display: the frame, and beside it the digit in large
//! segments.
//!
//! A display whose controller takes eight bits a pixel shows it as it is; others look each level up in a ramp of greys.

use super::SIZE;
use crate::vision::Frame;
use core::ops::Range;

/// Columns and rows.
pub const VIEW: [usize; 2] = [256, 120];
/// Words that it takes, four pixels each.
pub const VIEW_WORDS: usize = ROW_WORDS * VIEW[1];

const ROW_WORDS: usize = VIEW[0] / 4;
const FRAME_WORDS: usize = SIZE[0] / 4;

/// Where each segment lies: words of a row, and rows. From the top clockwise, the middle last.
const SEGMENTS: [(Range<usize>, Range<usize>); 7] = [
    (44..60, 10..22),
    (57..60, 10..66),
    (57..60, 54..110),
    (44..60, 98..110),
    (44..47, 54..110),
    (44..47, 10..66),
    (44..60, 54..66),
];

/// The segments of each digit, the first in the lowest bit.
const LIT: [u8; 10] = [0x3f, 0x06, 0x5b, 0x4f, 0x66, 0x6d, 0x7d, 0x07, 0x7f, 0x6f];

/// Draws all of it, row by row from the top, the leftmost pixel in the lowest byte; without an answer, or of a class that
/// is no digit, no segment is lit. Of a smaller frame, what is right of it and below stays as it was.
pub fn draw(frame: &Frame<'_>, answer: Option<usize>, view: &mut [u32; VIEW_WORDS]) {
    let lit = answer.and_then(|digit| LIT.get(digit)).copied().unwrap_or(0);
    for (y, row) in view.chunks_exact_mut(ROW_WORDS).enumerate() {
        let (picture, beside) = row.split_at_mut(FRAME_WORDS);
        frame.grey(y, picture);
        beside.fill(0);
        for (segment, (words, rows)) in SEGMENTS.iter().enumerate() {
            if lit >> segment & 1 != 0 && rows.contains(&y) {
                row.get_mut(words.clone()).unwrap_or_default().fill(u32::MAX);
            }
        }
    }
}
