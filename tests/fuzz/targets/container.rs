//! Any bytes as a `.thm` container: it is accepted or refused, and what is accepted runs to its end.
//!
//! The length and the CRC are written anew first, as no mutation would ever find them.

#![no_main]

#[path = "../../../firmware/tests/common/trial.rs"]
mod trial;

use firmware::model::format::ALIGNMENT;
use firmware::model::writer::crc32;
use libfuzzer_sys::fuzz_target;
use trial::parses_and_runs;

/// Memory and multiply–accumulates of a model that is run; others are parsed alone. In a quarter of a mebibyte, a pool with a
/// large window would take a second.
const MEMORY_BYTES: usize = 1 << 16;
const MACS: u64 = 1 << 20;
/// Where the header has the length of the file.
const LENGTH: std::ops::Range<usize> = 20..24;

fuzz_target!(|data: &[u8]| {
    // Aligned, as a container lies in flash.
    let mut room = vec![0; data.len() + ALIGNMENT];
    let start = room.as_ptr().align_offset(ALIGNMENT);
    let bytes = &mut room[start..][..data.len()];
    bytes.copy_from_slice(data);
    if bytes.len() >= 80 {
        let length = bytes.len() as u32;
        bytes[LENGTH].copy_from_slice(&length.to_le_bytes());
        let crc = crc32(bytes);
        bytes[4..8].copy_from_slice(&crc.to_le_bytes());
    }
    parses_and_runs(bytes, MEMORY_BYTES, MACS);
});
