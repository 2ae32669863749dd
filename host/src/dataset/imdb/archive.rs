//! The original as Stanford gives it: a gzipped tar archive of the folder.

use super::{FOLDERS, Found, check_name, utf8};
use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

pub const NAME: &str = "aclImdb_v1.tar.gz";

/// Reads the labelled reviews of the archive at `path`.
pub fn read(path: &Path) -> Result<Found> {
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    unpack(&mut GzDecoder::new(BufReader::new(file))).with_context(|| format!("cannot unpack {}", path.display()))
}

fn unpack(unpacked: &mut impl Read) -> Result<Found> {
    let mut found = Found::default();
    let damaged = "the archive is truncated or damaged";
    for entry in tar::Archive::new(&mut *unpacked).entries().context(damaged)? {
        let mut entry = entry.context(damaged)?;
        let path = entry.path_bytes().into_owned();
        let Some((folder, name)) = std::str::from_utf8(&path).ok().and_then(place) else { continue };
        let mut bytes = Vec::with_capacity(entry.size().min(1 << 20) as usize);
        entry.read_to_end(&mut bytes).context(damaged)?;
        let text = check_name(name, folder).and_then(|()| utf8(&bytes));
        found.folders[folder]
            .push((name.to_owned(), text.with_context(|| String::from_utf8_lossy(&path).into_owned())?));
    }
    // The archive's end mark comes before the end of the compressed stream, where the checksum is.
    io::copy(unpacked, &mut io::sink()).context(damaged)?;
    Ok(found)
}

/// Index of the folder and the review's name, if `path` is that of a labelled review: `aclImdb/train/pos/0_9.txt`.
fn place(path: &str) -> Option<(usize, &str)> {
    let (folder, file) = path.rsplit_once('/')?;
    let folder = FOLDERS.iter().position(|name| folder.strip_suffix(name).is_some_and(|above| above.ends_with('/')))?;
    Some((folder, file.strip_suffix(".txt")?))
}
