//! Any bytes as an ONNX file, and graphs drawn from a seed: a plan for a board or a sentence that says why there is none.

#![no_main]

use host::export::trial;
use libfuzzer_sys::fuzz_target;
use std::panic;

fuzz_target!(
    // What the importer catches of tract's is no finding: libFuzzer's own hook would end the run before it is caught.
    init: drop(panic::take_hook()),
    |data| {
        // Eight bytes alone are a seed.
        let drawn = <[u8; 8]>::try_from(data).map(|seed| trial::random_model(u64::from_le_bytes(seed)));
        _ = match drawn {
            Ok(drawn) => trial::attempt(&drawn),
            Err(_) => trial::attempt(data),
        };
    }
);
