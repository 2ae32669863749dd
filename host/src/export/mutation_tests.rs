//! Files that are damaged or drawn at random: import answers with a container or a sentence, and never panics.

use super::trial::{attempt, random_model};
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::fs;
use std::path::Path;

/// Changes of each seed.
const MUTATIONS: usize = 1000;
/// Graphs that are drawn.
const DRAWN: u64 = 2000;

/// The fuzzer's corpus, which `host/examples/seeds.rs` writes.
fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus/importer");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).filter(|seed| seed.len() > 8).collect()
}

#[test]
fn the_seeds_themselves_become_containers() {
    for seed in seeds() {
        attempt(&seed).unwrap();
    }
}

/// One to four bytes changed, in half of the cases by a little, now and then with the end cut off.
#[test]
fn mutated_files_are_imported_or_refused() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut accepted = 0;
    for seed in seeds() {
        for _ in 0..MUTATIONS {
            let mut file = seed.clone();
            for _ in 0..random.random_range(1..=4) {
                let place = random.random_range(0..file.len());
                let byte = random.random::<u8>();
                file[place] = if random.random_bool(0.5) { byte } else { file[place] ^ 1 << (byte % 8) };
            }
            if random.random_bool(0.1) {
                file.truncate(random.random_range(0..file.len()));
            }
            accepted += usize::from(attempt(&file).is_ok());
        }
    }
    assert!(accepted > MUTATIONS / 4, "{accepted} accepted: hardly anything was tried beyond the first checks");
}

#[test]
fn drawn_graphs_are_imported_or_refused() {
    let accepted = (0..DRAWN).filter(|&seed| attempt(&random_model(seed)).is_ok()).count();
    assert!(accepted > DRAWN as usize / 100, "{accepted} accepted");
}
