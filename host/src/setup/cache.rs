//! The cache folder. Whatever goes into it is made in a folder beside its place, under a lock, and renamed when it is
//! whole: a name in the cache is either complete or absent.

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};
use std::env;
use std::fs::{self, File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Makes whatever is being installed in this process end with an error at its next step, so that it clears up.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// One step of an installation.
pub fn stop_if_interrupted() -> Result<()> {
    match INTERRUPTED.load(Ordering::Relaxed) {
        false => Ok(()),
        true => bail!("interrupted: nothing was installed"),
    }
}

/// Where downloads live: `$HOST_CACHE`, else `$XDG_CACHE_HOME/thimble`, else `~/.cache/thimble`.
///
/// # Errors
/// None of `HOST_CACHE`, `XDG_CACHE_HOME` and `HOME` is set.
pub fn cache_dir() -> Result<PathBuf> {
    let folder = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(cache) = folder("HOST_CACHE") {
        return std::path::absolute(&cache).with_context(|| format!("HOST_CACHE={}", cache.display()));
    }
    match folder("XDG_CACHE_HOME").or_else(|| env::home_dir().map(|home| home.join(".cache"))) {
        Some(cache) => Ok(cache.join("thimble")),
        None => bail!("there is no home folder to keep downloads in: set HOST_CACHE to a folder"),
    }
}

/// The folder `name` of `cache`, filled by `fill` if it is not there yet.
///
/// `fill` gets an empty folder on the same file system. Processes that ask at once wait for each other.
///
/// # Errors
/// Those of `fill` and of the file system; the folder is then absent, as before.
pub fn provide(cache: &Path, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let place = cache.join(name);
    if place.is_dir() {
        return Ok(place);
    }
    fs::create_dir_all(cache).with_context(|| format!("cannot create the cache folder {}", cache.display()))?;
    let _lock = lock(&cache.join(format!("{name}.lock")))?;
    if place.is_dir() {
        return Ok(place); // another process made it while this one waited
    }
    // One fixed name: what an interrupted process left there is replaced here, under the lock.
    let partial = cache.join(format!(".{name}.partial"));
    remove(&partial)?;
    fs::create_dir(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let filled = fill(&partial)
        .and_then(|()| stop_if_interrupted())
        .and_then(|()| fs::rename(&partial, &place).with_context(|| format!("cannot create {}", place.display())));
    if let Err(error) = filled {
        remove(&partial)?;
        return Err(error);
    }
    Ok(place)
}

/// Held until dropped; the system frees it when a process dies.
fn lock(path: &Path) -> Result<File> {
    let context = || format!("cannot lock {}", path.display());
    let file = File::options().create(true).append(true).open(path).with_context(context)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::WouldBlock) => eprintln!("waiting for another process that holds {}", path.display()),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
    }
    file.lock().with_context(context)?;
    Ok(file)
}

fn remove(folder: &Path) -> Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a file in lower-case hexadecimal.
pub fn sha256(path: &Path) -> Result<String> {
    let context = || format!("cannot read {}", path.display());
    let mut file = File::open(path).with_context(context)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).with_context(context)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&buffer[..count]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn a_failed_fill_leaves_nothing() {
        let cache = tempfile::tempdir().unwrap();
        let error = provide(cache.path(), "part", |folder| {
            fs::write(folder.join("half"), "x")?;
            bail!("no network")
        });
        assert_eq!(error.unwrap_err().to_string(), "no network");
        let left: Vec<_> = fs::read_dir(cache.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["part.lock"]);
    }

    #[test]
    fn an_interrupted_fill_is_replaced() {
        let cache = tempfile::tempdir().unwrap();
        fs::create_dir(cache.path().join(".part.partial")).unwrap();
        fs::write(cache.path().join(".part.partial/stale"), "x").unwrap();
        let place = provide(cache.path(), "part", |folder| Ok(fs::write(folder.join("whole"), "y")?)).unwrap();
        assert!(place.join("whole").is_file() && !place.join("stale").exists());
    }

    #[test]
    fn processes_at_once_fill_only_once() {
        let cache = tempfile::tempdir().unwrap();
        let fills = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    provide(cache.path(), "part", |folder| {
                        fills.fetch_add(1, Ordering::SeqCst);
                        std::thread::sleep(std::time::Duration::from_millis(20));
                        Ok(fs::write(folder.join("whole"), "y")?)
                    })
                    .unwrap()
                });
            }
        });
        assert_eq!(fills.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn sha256_of_abc() {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), "abc").unwrap();
        assert_eq!(sha256(file.path()).unwrap(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
