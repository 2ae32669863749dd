//! NumPy's archives: a zip file of arrays, each a line that describes it and its values.

use super::pickle;
use anyhow::{Context, Result, bail, ensure};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use zip::ZipArchive;

/// An open archive.
pub struct Npz {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
}

impl Npz {
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        let archive = ZipArchive::new(BufReader::new(file))
            .with_context(|| format!("{} is no zip archive, or truncated", path.display()))?;
        Ok(Self { path: path.to_owned(), archive })
    }

    /// An array of Python lists of whole numbers.
    pub fn lists(&mut self, name: &str) -> Result<Vec<Vec<u32>>> {
        self.array(name, |form, values| {
            ensure!(form == "|O", "it holds {form}, expected Python objects");
            pickle::lists(values)
        })
    }

    /// An array of integers that are 0 or 1.
    pub fn bits(&mut self, name: &str) -> Result<Vec<bool>> {
        self.array(name, |form, values| {
            let bytes = match form {
                "|i1" | "|u1" | "|b1" => 1,
                "<i4" | "<u4" => 4,
                "<i8" | "<u8" => 8,
                _ => bail!("it holds {form}, expected integers"),
            };
            ensure!(values.len().is_multiple_of(bytes), "it is truncated");
            let bit = |value: &[u8]| match value.split_first() {
                Some((&bit @ (0 | 1), zeros)) if zeros.iter().all(|&byte| byte == 0) => Ok(bit == 1),
                _ => bail!("it holds numbers beside 0 and 1"),
            };
            values.chunks_exact(bytes).map(bit).collect()
        })
    }

    /// Hands the form of an array's values, e.g. `<i8`, and their bytes to `read`.
    fn array<T>(&mut self, name: &str, read: impl FnOnce(&str, &[u8]) -> Result<T>) -> Result<T> {
        let context = || format!("{}: {name}", self.path.display());
        let mut bytes = Vec::new();
        let mut file = self.archive.by_name(&format!("{name}.npy")).with_context(context)?;
        file.read_to_end(&mut bytes).context("the file is damaged").with_context(context)?;
        header(&bytes).and_then(|(form, values)| read(form, values)).with_context(context)
    }
}

/// The form of the values and their bytes, from `\x93NUMPY`, version, length, `{'descr': '<i8', …}`.
fn header(bytes: &[u8]) -> Result<(&str, &[u8])> {
    let values = || {
        let rest = bytes.strip_prefix(b"\x93NUMPY")?;
        let (version, rest) = rest.split_first_chunk::<2>()?;
        let (length, rest) = match version[0] {
            1 => rest.split_first_chunk().map(|(&length, rest)| (u16::from_le_bytes(length) as usize, rest))?,
            _ => rest.split_first_chunk().map(|(&length, rest)| (u32::from_le_bytes(length) as usize, rest))?,
        };
        let (header, values) = rest.split_at_checked(length)?;
        let form = std::str::from_utf8(header).ok()?.split_once("'descr': '")?.1.split_once('\'')?.0;
        Some((form, values))
    };
    values().context("it is no array of NumPy")
}
