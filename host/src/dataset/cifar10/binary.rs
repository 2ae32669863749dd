//! The original's files: records of a label and 32×32 pixels, all of red, all of green, all of blue.

use super::{BATCH, BATCHES, CHANNELS, CLASSES, SIDE, images};
use crate::dataset::Images;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

const PLANE: usize = SIDE * SIDE;
const RECORD: usize = 1 + CHANNELS * PLANE;

/// Where a part lies in `folder`.
pub fn file(folder: &Path, batch: &str) -> PathBuf {
    folder.join(format!("{batch}.bin"))
}

/// Reads the six parts from `folder`.
pub fn read(folder: &Path) -> Result<Vec<Images>> {
    let part = |batch| {
        let path = file(folder, batch);
        let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        parse(&bytes, BATCH).with_context(|| path.display().to_string())
    };
    BATCHES.into_iter().map(part).collect()
}

/// Writes one part to `folder`.
pub fn write(folder: &Path, batch: &str, images: &Images) -> Result<()> {
    let mut bytes = Vec::with_capacity(images.len() * RECORD);
    for (pixels, &label) in images.pixels.chunks_exact(CHANNELS * PLANE).zip(&images.labels) {
        bytes.push(label);
        (0..CHANNELS).for_each(|channel| bytes.extend(pixels.iter().skip(channel).step_by(CHANNELS)));
    }
    let path = file(folder, batch);
    std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// `count` records; pixels become NHWC.
pub fn parse(bytes: &[u8], count: usize) -> Result<Images> {
    let (found, expected) = (bytes.len(), count * RECORD);
    ensure!(found >= expected, "the file is truncated: {found} of {expected} bytes");
    ensure!(found == expected, "the file is longer than its {expected} bytes");
    let mut pixels = Vec::with_capacity(count * CHANNELS * PLANE);
    let mut labels = Vec::with_capacity(count);
    for (index, record) in bytes.chunks_exact(RECORD).enumerate() {
        let [label, planes @ ..] = record else { unreachable!("a record has a label") };
        if usize::from(*label) >= CLASSES {
            bail!("label {index} is {label}, expected 0 to {}", CLASSES - 1);
        }
        labels.push(*label);
        pixels.extend((0..PLANE).flat_map(|place| (0..CHANNELS).map(move |channel| planes[channel * PLANE + place])));
    }
    Ok(images(pixels, labels))
}
