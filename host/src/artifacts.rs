//! Names of the files that belong to one model.

use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

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
