//! The artifacts on disk.

use super::{Exported, constants, pack};
use crate::artifacts::Artifacts;
use anyhow::{Context, Result};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Writes everything beside its place first and moves it there when all of it is on the disk, so that a failure leaves
/// what was there before. `extra` are further files of the same folder, name and content. Answers with the paths.
pub fn write(exported: &Exported, artifacts: &Artifacts, extra: &[(String, Vec<u8>)]) -> Result<Vec<PathBuf>> {
    let dir = &artifacts.dir;
    fs::create_dir_all(dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    let budget = exported.budget.merge_into(&read_if_present(&artifacts.budget())?)?;
    let golden = exported.golden.to_json()?;
    let constants = constants::constants(&exported.container, &pack::packings(&exported.container)?)?;
    let own: [(PathBuf, &[u8]); 6] = [
        (artifacts.float_onnx(), &exported.float_onnx),
        (artifacts.int8_onnx(), &exported.int8_onnx),
        (artifacts.container(), &exported.container),
        (artifacts.constants(), constants.as_bytes()),
        (artifacts.golden(), golden.as_bytes()),
        (artifacts.budget(), budget.as_bytes()),
    ];
    let extra = extra.iter().map(|(name, content)| (dir.join(name), content.as_slice()));
    let files: Vec<_> = own.into_iter().chain(extra).collect();
    // Beside the target, so that moving is a rename; removed with what is left in it whatever happens.
    let staging = tempfile::Builder::new()
        .prefix(".export-")
        .tempdir_in(dir)
        .with_context(|| format!("cannot write into {}", dir.display()))?;
    let staged = |index: usize| staging.path().join(index.to_string());
    for (index, (path, content)) in files.iter().enumerate() {
        fs::write(staged(index), content).with_context(|| format!("cannot write {}", path.display()))?;
    }
    for (index, (path, _)) in files.iter().enumerate() {
        fs::rename(staged(index), path).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(files.into_iter().map(|(path, _)| path).collect())
}

fn read_if_present(path: &Path) -> Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        result => result.with_context(|| format!("cannot read {}", path.display())),
    }
}
