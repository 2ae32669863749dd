//! CIFAR-10's pixels as lossless WebP: a folder a part, in it twenty strips of 500 images one below the other, and beside the
//! folders one file with the 60,000 labels.

use super::{BATCH, BATCHES, CHANNELS, SIDE, binary, images};
use crate::dataset::Images;
use crate::recipe::Source;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use image::{ImageFormat, ImageReader};
use rayon::prelude::*;
use sha2::{Digest, Sha256};
use std::io::Cursor;
use std::path::Path;

pub const LABELS: &str = "labels.bin";
/// Strips a part.
const STRIPS: usize = 20;
/// Images a strip.
const STRIP: usize = BATCH / STRIPS;

/// Reads the six parts from `folder`. They are decoded once, which takes seconds, and kept in the cache.
pub fn read(folder: &Path) -> Result<Vec<Images>> {
    let strips: Vec<Vec<Vec<u8>>> = BATCHES.iter().map(|batch| files(folder, batch)).collect::<Result<_>>()?;
    let labels = file(&folder.join(LABELS))?;
    let mut hash = Sha256::new();
    strips.iter().flatten().chain([&labels]).for_each(|bytes| hash.update(bytes));
    let name = format!("{}-{}", Source::Cifar10.name(), setup::hex(&hash.finalize()[..8]));
    let decoded = setup::provide(&setup::cache_dir()?, &name, |cache| {
        for (index, batch) in BATCHES.iter().enumerate() {
            let part = part(folder, batch, &strips[index], &labels, index)?;
            binary::write(cache, batch, &part)?;
        }
        Ok(())
    })?;
    binary::read(&decoded)
}

/// The compressed strips of one part.
fn files(folder: &Path, batch: &str) -> Result<Vec<Vec<u8>>> {
    (0..STRIPS).map(|strip| file(&folder.join(batch).join(format!("{strip:02}.webp")))).collect()
}

fn file(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn part(folder: &Path, batch: &str, strips: &[Vec<u8>], labels: &[u8], index: usize) -> Result<Images> {
    let (found, expected) = (labels.len(), BATCHES.len() * BATCH);
    ensure!(found == expected, "{}: {found} labels, expected {expected}", folder.join(LABELS).display());
    let decoded = strips.par_iter().enumerate().map(|(strip, bytes)| {
        let path = folder.join(batch).join(format!("{strip:02}.webp"));
        decode(bytes, STRIP).with_context(|| path.display().to_string())
    });
    let pixels: Vec<Vec<u8>> = decoded.collect::<Result<_>>()?;
    Ok(images(pixels.concat(), labels[index * BATCH..][..BATCH].to_vec()))
}

/// The pixels of a strip of `count` images, NHWC.
pub fn decode(bytes: &[u8], count: usize) -> Result<Vec<u8>> {
    let image = ImageReader::with_format(Cursor::new(bytes), ImageFormat::WebP).decode();
    let image = image.context("the strip is truncated, damaged, or no WebP")?;
    if (image.width(), image.height()) != (SIDE as u32, (SIDE * count) as u32) {
        bail!("the strip has {}×{} pixels, expected {SIDE}×{}", image.width(), image.height(), SIDE * count);
    }
    let pixels = image.into_rgb8().into_raw();
    debug_assert_eq!(pixels.len(), count * SIDE * SIDE * CHANNELS);
    Ok(pixels)
}
