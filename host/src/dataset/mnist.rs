//! MNIST, LeCun's handwritten digits: 60,000 for training, 10,000 for testing, 28×28 grey levels.

use super::download::fetch;
use super::{Dataset, Images, idx};
use crate::recipe::Source;
use crate::setup;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

const MIRRORS: [&str; 2] =
    ["https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/"];
/// The largest of the files is 10 MB; a mirror that sends more sends something else.
const DOWNLOAD_LIMIT: u64 = 32 << 20;

/// One of the four files.
struct Part {
    /// Name without its ending, e.g. `train-images`, and the ending's rank: `idx3` or `idx1`.
    stem: &'static str,
    rank: &'static str,
    /// SHA-256 of the gzipped original.
    sha256: &'static str,
}

const TRAIN_IMAGES: Part = Part {
    stem: "train-images",
    rank: "idx3",
    sha256: "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
};
const TRAIN_LABELS: Part = Part {
    stem: "train-labels",
    rank: "idx1",
    sha256: "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
};
const TEST_IMAGES: Part = Part {
    stem: "t10k-images",
    rank: "idx3",
    sha256: "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
};
const TEST_LABELS: Part = Part {
    stem: "t10k-labels",
    rank: "idx1",
    sha256: "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
};

/// Loads the four files from the folder `data`, else from `$HOST_DATA/mnist`, else from the cache.
pub fn load(data: Option<&Path>) -> Result<Dataset> {
    let name = Source::Mnist.name();
    let folder = match (data, std::env::var_os("HOST_DATA")) {
        (Some(folder), _) => folder.to_owned(),
        (None, Some(shared)) if Path::new(&shared).join(name).is_dir() => Path::new(&shared).join(name),
        _ => cached(&setup::cache_dir()?, &MIRRORS)?,
    };
    read_folder(&folder)
}

fn read_folder(folder: &Path) -> Result<Dataset> {
    let source = Source::Mnist;
    let train = images(folder, source.train_samples(), &TRAIN_IMAGES, &TRAIN_LABELS)?;
    let test = images(folder, source.test_samples(), &TEST_IMAGES, &TEST_LABELS)?;
    Ok(Dataset::of_images(train, test, source.classes()))
}

fn images(folder: &Path, count: usize, images: &Part, labels: &Part) -> Result<Images> {
    let [height, width] = [28, 28];
    let pixels = idx::read(&images.find(folder)?, &[count, height, width])?;
    let path = labels.find(folder)?;
    let labels = idx::read(&path, &[count])?;
    let classes = Source::Mnist.classes().len();
    if let Some(index) = labels.iter().position(|&label| usize::from(label) >= classes) {
        bail!("{}: label {index} is {}, expected 0 to {}", path.display(), labels[index], classes - 1);
    }
    Ok(Images { height, width, channels: 1, pixels, labels })
}

impl Part {
    /// Name of the gzipped original.
    fn original(&self) -> String {
        format!("{}-{}-ubyte.gz", self.stem, self.rank)
    }

    /// The file in `folder`: gzipped or plain, `-idx3-ubyte`, `.idx3-ubyte` or `-idx3`.
    fn find(&self, folder: &Path) -> Result<PathBuf> {
        let Self { stem, rank, .. } = self;
        let names = [format!("{stem}-{rank}-ubyte"), format!("{stem}.{rank}-ubyte"), format!("{stem}-{rank}")];
        let files = names.into_iter().flat_map(|name| [folder.join(format!("{name}.gz")), folder.join(name)]);
        files.into_iter().find(|file| file.is_file()).with_context(|| {
            format!("there is no {} in {}: MNIST consists of four such files", self.original(), folder.display())
        })
    }
}

/// The folder of the cache that holds the originals, downloaded first if need be.
fn cached(cache: &Path, mirrors: &[&str]) -> Result<PathBuf> {
    let name = Source::Mnist.name();
    setup::provide(cache, name, |folder| {
        eprintln!("downloading MNIST (11 MB) into {}", cache.join(name).display());
        for part in [TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS] {
            download(&part, folder, mirrors)?;
        }
        Ok(())
    })
    .context("MNIST cannot be downloaded; `--data DIR` reads its four files from a folder")
}

/// Takes the file from the first mirror that has the original.
fn download(part: &Part, folder: &Path, mirrors: &[&str]) -> Result<()> {
    let name = part.original();
    let path = folder.join(&name);
    let mut failures = Vec::new();
    for mirror in mirrors {
        let url = format!("{mirror}{name}");
        match fetch(&url, &name, DOWNLOAD_LIMIT, &path).and_then(|()| setup::sha256(&path)) {
            Ok(hash) if hash == part.sha256 => return Ok(()),
            Ok(hash) => failures.push(format!("{url} has SHA-256 {hash}, expected {}", part.sha256)),
            Err(error) => failures.push(format!("{url}: {error:#}")),
        }
    }
    bail!("{}", failures.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::download::testing::mirror;

    /// SHA-256 of `abc`.
    const ABC: Part = Part {
        stem: "train-images",
        rank: "idx3",
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    #[test]
    fn the_second_mirror_serves_where_the_first_fails() {
        let folder = tempfile::tempdir().unwrap();
        let (wrong, short, right) = (mirror(b"abd", 3), mirror(b"ab", 3), mirror(b"abc", 3));
        download(&ABC, folder.path(), &[&wrong, &short, &right]).unwrap();
        assert_eq!(std::fs::read(folder.path().join("train-images-idx3-ubyte.gz")).unwrap(), b"abc");
    }

    #[test]
    fn a_wrong_download_names_the_file_and_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let error = cached(cache.path(), &[&mirror(b"abd", 3), &mirror(b"ab", 3)]).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("--data DIR") && error.contains("/train-images-idx3-ubyte.gz has SHA-256 a52d159f"),
            "{error}"
        );
        let left: Vec<_> = std::fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mnist.lock"]);
    }

    #[test]
    fn a_missing_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = read_folder(folder.path()).unwrap_err().to_string();
        assert!(error.starts_with("there is no train-images-idx3-ubyte.gz in "), "{error}");
    }

    #[test]
    fn names_of_other_distributions_are_found() {
        for name in ["train-images-idx3-ubyte", "train-images.idx3-ubyte", "train-images-idx3.gz"] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            assert_eq!(TRAIN_IMAGES.find(folder.path()).unwrap(), path);
        }
    }

    #[test]
    fn labels_beyond_nine_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let header = |sizes: &[u32]| {
            let words = sizes.iter().flat_map(|size| size.to_be_bytes());
            [0, 0, 8, sizes.len() as u8].into_iter().chain(words).collect::<Vec<u8>>()
        };
        let mut pixels = header(&[2, 28, 28]);
        pixels.resize(pixels.len() + 2 * 784, 0);
        std::fs::write(folder.path().join("t10k-images-idx3-ubyte"), pixels).unwrap();
        let labels = [header(&[2]), vec![9, 10]].concat();
        std::fs::write(folder.path().join("t10k-labels-idx1-ubyte"), labels).unwrap();
        let error = images(folder.path(), 2, &TEST_IMAGES, &TEST_LABELS).unwrap_err().to_string();
        assert!(error.contains("t10k-labels-idx1-ubyte: label 1 is 10, expected 0 to 9"), "{error}");
    }

    #[test]
    fn the_real_files_hold_the_real_digits() {
        let Some(shared) = std::env::var_os("HOST_DATA").filter(|shared| Path::new(shared).join("mnist").is_dir())
        else {
            return eprintln!("skipped: HOST_DATA names no folder with MNIST");
        };
        let dataset = load(None).unwrap();
        assert_eq!((dataset.train.len(), dataset.test.len()), (60_000, 10_000));
        assert_eq!(dataset.train.labels()[..5], [5, 0, 4, 1, 9]);
        assert_eq!(dataset.test.labels()[..5], [7, 2, 1, 0, 4]);
        let mean = dataset.train.images().unwrap().pixels.iter().map(|&pixel| u64::from(pixel)).sum::<u64>() as f64
            / (60_000.0 * 784.0);
        assert!((mean / 255.0 - 0.1307).abs() < 1e-4, "{mean}"); // the figure that everyone normalises by
        assert_eq!(dataset.test, load(Some(&Path::new(&shared).join("mnist"))).unwrap().test);
    }
}
