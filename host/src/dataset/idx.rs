//! IDX, the format of MNIST's files: `0 0 8 rank`, `rank` sizes as big-endian 32-bit numbers, then bytes.

use anyhow::{Context, Result, bail};
use flate2::read::MultiGzDecoder;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Reads the file at `path`, gzipped or plain, whose sizes must be `shape`; returns its values, the last size fastest.
///
/// # Errors
/// A file that cannot be read, is damaged, or holds something else. The sentence names the file.
pub fn read(path: &Path, shape: &[usize]) -> Result<Vec<u8>> {
    let size = 4 + 4 * shape.len() + shape.iter().product::<usize>();
    // One byte more than there should be shows a file that is too long, however long it is.
    let limit = size as u64 + 1;
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start).with_context(context)?;
    let is_gzip = start == [0x1F, 0x8B];
    let whole = BufReader::new(std::io::Cursor::new(start).chain(file));
    let mut bytes = Vec::with_capacity(size);
    if is_gzip {
        let unpacked = MultiGzDecoder::new(whole).take(limit).read_to_end(&mut bytes);
        unpacked.with_context(|| format!("{} is truncated or damaged", path.display()))?;
    } else {
        whole.take(limit).read_to_end(&mut bytes).with_context(context)?;
    }
    parse(&bytes, shape).with_context(|| path.display().to_string())?;
    bytes.drain(..4 + 4 * shape.len());
    Ok(bytes)
}

/// Writes `values`, the last size of `shape` fastest, plain.
///
/// # Errors
/// A file that cannot be written, and sizes beyond 32 bits.
pub fn write(path: &Path, shape: &[usize], values: &[u8]) -> Result<()> {
    debug_assert_eq!(values.len(), shape.iter().product::<usize>());
    let mut bytes = vec![0, 0, 8, u8::try_from(shape.len())?];
    for &size in shape {
        bytes.extend(u32::try_from(size)?.to_be_bytes());
    }
    bytes.extend(values);
    std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Checks magic, sizes and length.
fn parse(bytes: &[u8], shape: &[usize]) -> Result<()> {
    let (words, _) = bytes.as_chunks::<4>();
    let Some((magic, words)) = words.split_first() else { bail!("the file is too short for IDX") };
    // 8 is IDX's type code of unsigned bytes.
    if magic[..3] != [0, 0, 8] {
        bail!("this is no IDX file of bytes: it starts with {magic:02x?}");
    }
    let rank = usize::from(magic[3]);
    let sizes: Vec<_> = words.iter().take(rank).map(|&word| u32::from_be_bytes(word) as usize).collect();
    if sizes != shape {
        bail!("the file holds {}, expected {}", sizes_of(&sizes), sizes_of(shape));
    }
    let (found, expected) = (bytes.len(), 4 + 4 * rank + shape.iter().product::<usize>());
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => bail!("the file is truncated: {found} of {expected} bytes"),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => bail!("the file is longer than its {expected} bytes"),
    }
}

fn sizes_of(sizes: &[usize]) -> String {
    sizes.iter().map(usize::to_string).collect::<Vec<_>>().join("×")
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    /// Two images of 1×3.
    const BYTES: [u8; 22] = [0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6];
    const SHAPE: [usize; 3] = [2, 1, 3];

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn read_bytes(bytes: &[u8]) -> Result<Vec<u8>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        std::fs::write(&path, bytes).unwrap();
        read(&path, &SHAPE)
    }

    #[test]
    fn what_is_written_is_the_format() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("images");
        write(&path, &SHAPE, &BYTES[16..]).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), BYTES);
    }

    #[test]
    fn plain_and_gzipped_files_hold_the_same() {
        assert_eq!(read_bytes(&BYTES).unwrap(), [1, 2, 3, 4, 5, 6]);
        assert_eq!(read_bytes(&gzip(&BYTES)).unwrap(), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn every_truncation_is_an_error_that_names_the_file() {
        let packed = gzip(&BYTES);
        let plain = (0..BYTES.len()).map(|length| &BYTES[..length]);
        for bytes in plain.chain((0..packed.len()).map(|length| &packed[..length])) {
            let error = read_bytes(bytes).unwrap_err().to_string();
            assert!(error.contains("images"), "{} bytes: {error}", bytes.len());
        }
    }

    #[test]
    fn other_contents_are_refused() {
        let changed = |index: usize, value: u8| {
            let mut bytes = BYTES;
            bytes[index] = value;
            format!("{:#}", read_bytes(&bytes).unwrap_err())
        };
        assert!(changed(2, 13).contains("no IDX file of bytes"), "a file of floats");
        assert!(changed(3, 1).contains("holds 2, expected 2×1×3"), "labels in place of images");
        assert!(changed(7, 3).contains("holds 3×1×3, expected 2×1×3"));
        let long = [BYTES.as_slice(), &[7]].concat();
        assert!(format!("{:#}", read_bytes(&long).unwrap_err()).contains("longer than its 22 bytes"));
        assert!(format!("{:#}", read_bytes(&gzip(&long)).unwrap_err()).contains("longer than its 22 bytes"));
    }

    #[test]
    fn a_damaged_archive_is_an_error() {
        let mut packed = gzip(&BYTES);
        let checksum = packed.len() - 8;
        packed[checksum] ^= 1;
        assert!(format!("{:#}", read_bytes(&packed).unwrap_err()).contains("truncated or damaged"));
    }
}
