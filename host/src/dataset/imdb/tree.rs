//! The original as a folder: `train/pos/0_9.txt`, a file a review.

use super::{FOLDERS, Found, check_name, utf8};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use std::fs;
use std::path::{Path, PathBuf};

/// Reads the four folders of labelled reviews in `root`; files of other kinds are left alone.
pub fn read(root: &Path) -> Result<Found> {
    let mut found = Found::default();
    for (index, name) in FOLDERS.into_iter().enumerate() {
        let folder = root.join(name);
        ensure!(folder.is_dir(), "there is no folder {name} in {}", root.display());
        let context = || format!("cannot read {}", folder.display());
        let entries = fs::read_dir(&folder).with_context(context)?;
        let paths: Vec<PathBuf> =
            entries.map(|entry| Ok(entry?.path())).collect::<std::io::Result<_>>().with_context(context)?;
        let texts = paths.par_iter().filter(|path| path.extension().is_some_and(|ending| ending == "txt"));
        found.folders[index] = texts.map(|path| review(path, index)).collect::<Result<_>>()?;
    }
    Ok(found)
}

fn review(path: &Path, folder: usize) -> Result<(String, String)> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let text = check_name(&name, folder).and_then(|()| utf8(&bytes)).with_context(|| path.display().to_string())?;
    Ok((name, text))
}
