//! The archive that Toronto gives out: a gzipped tar file of a folder with the six parts.

use super::{BATCHES, binary};
use anyhow::{Context, Result, ensure};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;

pub const NAME: &str = "cifar-10-binary.tar.gz";
/// The folder in it.
pub const FOLDER: &str = "cifar-10-batches-bin";

/// Unpacks the six parts of the archive at `path` into `folder`.
pub fn unpack(path: &Path, folder: &Path) -> Result<()> {
    let damaged = || format!("{} is truncated or damaged", path.display());
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut found = [false; BATCHES.len()];
    for entry in tar::Archive::new(GzDecoder::new(BufReader::new(file))).entries().with_context(damaged)? {
        let mut entry = entry.with_context(damaged)?;
        let name = entry.path_bytes().into_owned();
        let is_entry = |batch: &str| name == format!("{FOLDER}/{batch}.bin").as_bytes();
        if let Some(index) = BATCHES.iter().position(|batch| is_entry(batch)) {
            entry.unpack(binary::file(folder, BATCHES[index])).with_context(damaged)?;
            found[index] = true;
        }
    }
    for (batch, found) in BATCHES.iter().zip(found) {
        ensure!(found, "{} holds no {FOLDER}/{batch}.bin", path.display());
    }
    Ok(())
}
