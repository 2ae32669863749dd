//! The crops, made once and kept: simulating their frames takes minutes.

use super::crops;
use crate::dataset::{Dataset, Images, idx};
use crate::recipe::Source;
use crate::setup;
use anyhow::Result;
use sha2::{Digest, Sha256};
use std::path::Path;

/// Training samples whose crops tell whether what is kept is what would be made today.
const PROBES: usize = 60;

/// The data set made of MNIST's two sets: from the cache, or made and put there.
///
/// # Errors
/// Those of the file system, and a kept file that is damaged.
pub fn load(train: &Images, test: &Images) -> Result<Dataset> {
    let name = format!("{}-{}", Source::Camera.name(), key(train, test));
    let cache = setup::cache_dir()?;
    let folder = setup::provide(&cache, &name, |folder| {
        eprintln!("simulating {} frames, once; they are kept in {}", Source::Camera.train_samples(), cache.display());
        let made = crops::dataset(train, test);
        write(folder, "train", made.train.images()?)?;
        write(folder, "test", made.test.images()?)
    })?;
    let train = read(&folder, "train", Source::Camera.train_samples())?;
    let test = read(&folder, "test", Source::Camera.test_samples())?;
    Ok(Dataset::of_images(train, test, Source::Camera.classes()))
}

/// Changes with the digits, the simulator and the firmware's vision.
fn key(train: &Images, test: &Images) -> String {
    let mut hash = Sha256::new();
    for images in [train, test] {
        hash.update(&images.pixels);
        hash.update(&images.labels);
    }
    hash.update(&crops::training(train, PROBES).pixels);
    setup::hex(&hash.finalize()[..8])
}

fn write(folder: &Path, set: &str, images: &Images) -> Result<()> {
    idx::write(&folder.join(format!("{set}-images")), &[images.len(), images.height, images.width], &images.pixels)?;
    idx::write(&folder.join(format!("{set}-labels")), &[images.len()], &images.labels)
}

fn read(folder: &Path, set: &str, count: usize) -> Result<Images> {
    let side = super::SIDE;
    let pixels = idx::read(&folder.join(format!("{set}-images")), &[count, side, side])?;
    let labels = idx::read(&folder.join(format!("{set}-labels")), &[count])?;
    Ok(Images { height: side, width: side, channels: 1, pixels, labels })
}
