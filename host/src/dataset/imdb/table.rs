//! The original as one table: a line of names, then a line a review with its split, label, number, rating and text.

use super::{Found, check_name, utf8};
use anyhow::{Context, Result, bail, ensure};
use lzma_rust2::XzReader;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// Packed and plain.
pub const NAMES: [&str; 2] = ["aclImdb_reviews.tsv.xz", "aclImdb_reviews.tsv"];
const HEADER: &[u8] = b"split\tlabel\tid\trating\ttext";

/// Reads the table at `path`, which is packed if its name says so.
pub fn read(path: &Path) -> Result<Found> {
    let context = || format!("cannot read {}", path.display());
    let mut file = BufReader::new(File::open(path).with_context(context)?);
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|ending| ending == "xz") {
        let damaged = || format!("{} is truncated or damaged", path.display());
        XzReader::new(file, true).read_to_end(&mut bytes).with_context(damaged)?;
    } else {
        file.read_to_end(&mut bytes).with_context(context)?;
    }
    parse(&bytes).with_context(|| path.display().to_string())
}

fn parse(bytes: &[u8]) -> Result<Found> {
    let Some(bytes) = bytes.strip_suffix(b"\n") else { bail!("the last line does not end: the file is truncated") };
    // Texts may hold tabs and other characters that end lines, e.g. U+0085.
    let mut lines = bytes.split(|&byte| byte == b'\n').enumerate();
    let header = lines.next().map(|(_, line)| line);
    ensure!(header == Some(HEADER), "line 1 is not `{}`", HEADER.escape_ascii());
    let mut found = Found::default();
    for (index, line) in lines {
        let (folder, name, text) = review(line).with_context(|| format!("line {}", index + 1))?;
        found.folders[folder].push((name, text));
    }
    Ok(found)
}

/// Folder, name and text of a line.
fn review(line: &[u8]) -> Result<(usize, String, String)> {
    let mut fields = line.splitn(5, |&byte| byte == b'\t');
    let mut field = || fields.next().context("there are fewer than five fields");
    let (split, label, number, rating, text) = (field()?, field()?, field()?, field()?, field()?);
    let folder = match (split, label) {
        (b"train", b"1") => 0,
        (b"train", b"0") => 1,
        (b"test", b"1") => 2,
        (b"test", b"0") => 3,
        _ => bail!("`{}` `{}` is not train or test, 0 or 1", split.escape_ascii(), label.escape_ascii()),
    };
    let name = format!("{}_{}", number.escape_ascii(), rating.escape_ascii());
    check_name(&name, folder)?;
    Ok((folder, name, utf8(text)?))
}
