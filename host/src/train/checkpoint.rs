//! Checkpoints: everything needed to go on as if the run had never stopped.

use super::metrics::Epoch;
use super::step::StateTensor;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Write;
use std::path::Path;

/// How far a run is, beside the tensors of its state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Sum over the steps of the epoch under way of their mean losses.
    pub loss_sum: f64,
    /// Sum of the steps' measures in the epoch under way.
    pub measure_sum: f64,
    /// The epochs that are done.
    pub epochs: Vec<Epoch>,
}

/// What a checkpoint can continue: the same recipe on the same data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The effective recipe as JSON.
    pub recipe: String,
    /// SHA-256 of the training images and labels, hexadecimal.
    pub data: String,
}

#[derive(Serialize, Deserialize)]
struct Checkpoint {
    identity: Identity,
    progress: Progress,
    tensors: Vec<Tensor>,
}

#[derive(Serialize, Deserialize)]
struct Tensor {
    name: String,
    data: Vec<f32>,
}

/// First bytes of a checkpoint; the digit is the version of its layout. The SHA-256 of the rest follows, then the rest: a
/// [`Checkpoint`] in postcard's encoding.
const MAGIC: &[u8; 8] = b"thimble1";

/// Bytes of a SHA-256.
const DIGEST_BYTES: usize = 32;

/// Writes a checkpoint. The file is replaced in one move: a kill leaves the old one or the new one.
pub fn save(
    path: &Path,
    tensors: &[StateTensor],
    state: Vec<Vec<f32>>,
    identity: &Identity,
    progress: &Progress,
) -> Result<()> {
    let tensors = tensors.iter().zip(state).map(|(tensor, data)| Tensor { name: tensor.name.clone(), data });
    let checkpoint = Checkpoint { identity: identity.clone(), progress: progress.clone(), tensors: tensors.collect() };
    let content = postcard::to_allocvec(&checkpoint)?;
    let digest = Sha256::digest(&content);
    write_atomically(path, &[MAGIC.as_slice(), &digest, &content].concat())
}

/// Reads a checkpoint of a run that `identity` describes: its state and progress.
///
/// # Errors
/// If the file is missing or damaged, or if it belongs to another recipe or other data; the first difference is named.
pub fn load(path: &Path, tensors: &[StateTensor], identity: &Identity) -> Result<(Vec<Vec<f32>>, Progress)> {
    let file = std::fs::read(path)
        .with_context(|| format!("nothing to resume: cannot read {}; train without --resume first", path.display()))?;
    let damaged = || format!("{} is damaged; train without --resume", path.display());
    let checkpoint = decode(&file).with_context(damaged)?;
    let [now, then] =
        [&identity.recipe, &checkpoint.identity.recipe].map(|text| serde_json::from_str(text).map(without_end));
    if let Some(difference) = difference("", &now?, &then.with_context(damaged)?) {
        bail!("{} was made with another recipe ({difference}); train without --resume", path.display());
    }
    let same_data = checkpoint.identity.data == identity.data;
    ensure!(same_data, "{} was made with other training data; train without --resume", path.display());
    // The same recipe, but perhaps written by another version of this program.
    let fits = |(tensor, wanted): (&Tensor, &StateTensor)| {
        tensor.name == wanted.name && tensor.data.len() == wanted.shape.iter().product::<usize>()
    };
    let all = checkpoint.tensors.len() == tensors.len() && checkpoint.tensors.iter().zip(tensors).all(fits);
    ensure!(all, "{} holds other tensors than this version trains; train without --resume", path.display());
    Ok((checkpoint.tensors.into_iter().map(|tensor| tensor.data).collect(), checkpoint.progress))
}

fn decode(file: &[u8]) -> Result<Checkpoint> {
    let rest = file.strip_prefix(MAGIC.as_slice()).context("it does not start as a checkpoint of this version")?;
    let (digest, content) = rest.split_at_checked(DIGEST_BYTES).context("it ends early")?;
    ensure!(digest == Sha256::digest(content).as_slice(), "its checksum is wrong");
    Ok(postcard::from_bytes(content)?)
}

/// Replaces `path` by `content`, wholly or not at all.
pub fn write_atomically(path: &Path, content: &[u8]) -> Result<()> {
    let mut name = path.file_name().context("a file needs a name")?.to_owned();
    name.push(".tmp");
    let temporary = path.with_file_name(name);
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::File::create(&temporary)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&temporary, path)
    };
    write().with_context(|| {
        // Best effort: the error that matters is the one that led here.
        let _ = std::fs::remove_file(&temporary);
        format!("cannot write {}", path.display())
    })
}

/// The recipe without its number of epochs, if no step depends on it: such a run may go on for longer, or end sooner, than it was
/// begun for.
fn without_end(mut recipe: serde_json::Value) -> serde_json::Value {
    let constant = recipe["training"]["schedule"]["type"] == "constant";
    if constant && recipe["augmentation"]["finish"] == 0.0 {
        recipe["training"]["epochs"].take();
    }
    recipe
}

/// The first place where two recipes differ: `training.epochs: 12, not 5`.
fn difference(path: &str, now: &serde_json::Value, then: &serde_json::Value) -> Option<String> {
    let key = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (now, then) {
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
            let names = a.keys().chain(b.keys().filter(|name| !a.contains_key(*name)));
            let mut differences = names.filter_map(|name| difference(&key(name), &now[name], &then[name]));
            differences.next()
        }
        _ if now == then => None,
        _ => Some(format!("{path}: {now} now, {then} then")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named_with_its_key() {
        let recipe = |epochs| serde_json::json!({"name": "a", "training": {"batch": 8, "epochs": epochs}});
        assert_eq!(difference("", &recipe(5), &recipe(5)), None);
        assert_eq!(difference("", &recipe(12), &recipe(5)).unwrap(), "training.epochs: 12 now, 5 then");
    }

    #[test]
    fn a_failed_write_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("checkpoint");
        std::fs::create_dir(&blocked).unwrap();
        std::fs::write(blocked.join("file"), b"").unwrap();
        assert!(write_atomically(&blocked, b"new").is_err(), "a folder that is not empty cannot be replaced");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
