//! Names of the files that belong to one model.

use crate::recipe;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// The files of the model that `model` names: one with a recipe (see [`recipe::find`]), or one that was trained elsewhere,
/// whose folder holds a container called like itself: `models/<name>` from the current directory upwards, or a path.
///
/// # Errors
/// Those of [`recipe::find`].
pub fn find(model: &str) -> Result<Artifacts> {
    let here = std::env::current_dir().context("the current directory is gone")?;
    let folders =
        [here.join(model)].into_iter().chain(here.ancestors().map(|folder| folder.join("models").join(model)));
    let imported = folders.filter_map(|folder| {
        let name = folder.canonicalize().ok()?.file_name()?.to_str()?.to_owned();
        Some(Artifacts::new(folder, &name))
    });
    // A recipe knows more than the files beside it.
    let mut imported = imported.filter(|found| found.container().is_file() && !found.dir.join("recipe.toml").is_file());
    match imported.next() {
        Some(found) => Ok(found),
        None => recipe::find(model).map(|found| found.artifacts()),
    }
}

/// The files of one model: `<dir>/<name>.onnx` and its siblings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifacts {
    /// Name of the model, e.g. `mnist-cnn`.
    pub name: String,
    /// Its folder, e.g. `models/mnist-cnn`.
    pub dir: PathBuf,
}

impl Artifacts {
    pub fn new(dir: impl Into<PathBuf>, name: &str) -> Self {
        Self { name: name.to_owned(), dir: dir.into() }
    }

    /// Float model, NCHW, batch size free.
    pub fn float_onnx(&self) -> PathBuf {
        self.file("onnx")
    }

    /// The int8 model in ONNX's QDQ form.
    pub fn int8_onnx(&self) -> PathBuf {
        self.file("int8.onnx")
    }

    /// The container, packed portably.
    pub fn container(&self) -> PathBuf {
        self.file("thm")
    }

    /// Constants for a firmware, as Rust.
    pub fn constants(&self) -> PathBuf {
        self.file("rs")
    }

    /// Golden vectors.
    pub fn golden(&self) -> PathBuf {
        self.file("golden.json")
    }

    /// Flash, RAM, operations and measured figures.
    pub fn budget(&self) -> PathBuf {
        self.dir.join("budget.toml")
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("{}.{extension}", self.name))
    }
}

/// Reads one of these files.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path)
        .with_context(|| format!("cannot read {}; `host train` and `host export` write it", path.display()))
}

/// `runs/<name>` beside `models/`, where training writes: `root` is the folder that holds both.
pub fn run_dir(root: &Path, name: &str) -> PathBuf {
    root.join("runs").join(name)
}
