//! CIFAR-10 (Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009): colour photographs of 32×32 in ten
//! classes, 50,000 for training and 10,000 for testing.
//!
//! | module | reads |
//! |---|---|
//! | `binary` | the six files of the original, plain |
//! | `archive` | the same in the archive that Toronto gives out |
//! | `strips` | the same pixels as lossless WebP, which takes half of the space; decoded once, and kept in the cache |

mod archive;
mod binary;
mod strips;

use super::download::fetch;
use super::{Dataset, Images};
use crate::recipe::Source;
use crate::setup;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};

const URL: &str = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz";
/// The archive has 170,052,171 bytes; a server that sends more sends something else.
const DOWNLOAD_LIMIT: u64 = 192 << 20;
/// SHA-256 of the archive.
const SHA256: &str = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd";
/// The parts, in order, without their ending; the last one is for testing.
const BATCHES: [&str; 6] =
    ["data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"];
/// Images in each part.
const BATCH: usize = 10_000;
const SIDE: usize = 32;
/// Red, green, blue.
const CHANNELS: usize = 3;
const CLASSES: usize = 10;

/// Loads the images from the folder `data`, else from `$HOST_DATA/cifar10`, else from the cache, where the archive is
/// downloaded first. The folder holds, and the first that is there is taken:
///
/// 1. `data_batch_1.bin` … `test_batch.bin`, or a folder `cifar-10-batches-bin` with them;
/// 2. `cifar-10-binary.tar.gz`;
/// 3. `data_batch_1/00.webp` … `test_batch/19.webp` and `labels.bin`, see [`strips`].
///
/// # Errors
/// Files that are missing, truncated or damaged; a failed download. The sentence names the file.
pub fn load(data: Option<&Path>) -> Result<Dataset> {
    let name = Source::Cifar10.name();
    let folder = match (data, std::env::var_os("HOST_DATA")) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(shared)) if Path::new(&shared).join(name).is_dir() => Path::new(&shared).join(name),
        _ => cached(&setup::cache_dir()?, URL, SHA256)?,
    };
    read_folder(&folder)
}

fn read_folder(folder: &Path) -> Result<Dataset> {
    let has = |folder: &Path| BATCHES.iter().any(|batch| binary::file(folder, batch).is_file());
    let inner = folder.join(archive::FOLDER);
    let packed = folder.join(archive::NAME);
    let parts = if has(folder) {
        binary::read(folder)?
    } else if has(&inner) {
        binary::read(&inner)?
    } else if packed.is_file() {
        check(&packed, SHA256)?;
        let unpacked = tempfile::tempdir()?;
        archive::unpack(&packed, unpacked.path())?;
        binary::read(unpacked.path())?
    } else if folder.join(strips::LABELS).is_file() {
        strips::read(folder)?
    } else {
        bail!(
            "there are no CIFAR-10 images in {}: neither data_batch_1.bin and its five fellows, nor {}, nor strips with {}",
            folder.display(),
            archive::NAME,
            strips::LABELS
        )
    };
    let mut parts = parts.into_iter();
    let mut train = parts.next().context("there is a first part")?;
    let mut test = train.first(0);
    for (part, name) in parts.zip(&BATCHES[1..]) {
        let set = if name.starts_with("test") { &mut test } else { &mut train };
        set.pixels.extend(part.pixels);
        set.labels.extend(part.labels);
    }
    Ok(Dataset::of_images(train, test, Source::Cifar10.classes()))
}

/// The folder of the cache that holds the six files, downloaded first if need be.
fn cached(cache: &Path, url: &str, sha256: &str) -> Result<PathBuf> {
    let name = Source::Cifar10.name();
    setup::provide(cache, name, |folder| {
        eprintln!("downloading CIFAR-10 (170 MB) into {}", cache.join(name).display());
        let packed = folder.join(archive::NAME);
        fetch(url, archive::NAME, DOWNLOAD_LIMIT, &packed).with_context(|| url.to_owned())?;
        check(&packed, sha256).with_context(|| url.to_owned())?;
        archive::unpack(&packed, folder)?;
        Ok(std::fs::remove_file(&packed)?)
    })
    .context("CIFAR-10 cannot be downloaded; `--data DIR` reads it from a folder")
}

fn check(archive: &Path, expected: &str) -> Result<()> {
    let found = setup::sha256(archive)?;
    let name = archive.display();
    ensure!(found == expected, "{name} has SHA-256 {found}, expected {expected}: it is truncated or not the original");
    Ok(())
}

/// Images without content, of this set's size.
fn images(pixels: Vec<u8>, labels: Vec<u8>) -> Images {
    Images { height: SIDE, width: SIDE, channels: CHANNELS, pixels, labels }
}

#[cfg(test)]
mod tests;
