//! Every change of one byte, made behind the CRC's back: the parser accepts or refuses, and what it accepts can be run.

mod common;

use common::trial::parses_and_runs;
use common::{branched_model, embeddings, model, text_model, transposed_model};
use firmware::model::format::{MAX_OPS, PACKING_DSP, PACKING_MVE, PACKING_PORTABLE};
use firmware::model::writer::{OpSpec, Parameters, crc32};
use firmware::model::{Error, Model, Preference, Tensor};
use std::time::{Duration, Instant};

/// Memory that a mutated model may ask for before it is run here.
const MEMORY_BYTES: usize = 1 << 18;
/// Work that a mutated model may ask for: a window of 255 × 255 over all of that memory would take minutes.
const MACS: u64 = 1 << 20;

/// Gives every byte each of the values that `others` makes of its own. Says how many of the changed containers ran.
fn mutate(mut container: Vec<u8>, others: impl Fn(u8) -> Vec<u8>) -> usize {
    let mut ran = 0;
    // The CRC itself, bytes 4 to 8, is written anew each time.
    for place in (0..4).chain(8..container.len()) {
        let own = container[place];
        for value in others(own) {
            container[place] = value;
            let crc = crc32(&container);
            container[4..8].copy_from_slice(&crc.to_le_bytes());
            ran += usize::from(parses_and_runs(&container, MEMORY_BYTES, MACS));
        }
        container[place] = own;
    }
    ran
}

/// All other values.
fn all(own: u8) -> Vec<u8> {
    (0..=255).filter(|&value| value != own).collect()
}

/// Each bit flipped, all bits cleared and all set.
fn bits(own: u8) -> Vec<u8> {
    (0..8).map(|bit| own ^ 1 << bit).chain([0, 0xff]).collect()
}

/// As many lookups as there may be, all of the input: before each, the parser looks back over all others.
#[test]
fn the_longest_model_is_read_and_a_longer_one_is_refused() {
    let read = |ops: u16| {
        let mut model = model(PACKING_PORTABLE);
        model.labels.clear();
        model.tensors.truncate(1);
        let input = model.tensors[0];
        model.tensors.push(Tensor { offset: input.end().next_multiple_of(4), ..input });
        let lookup = OpSpec {
            input: 0,
            output: 1,
            packing: PACKING_PORTABLE,
            preference: Preference::Flash,
            parameters: Parameters::Lookup { table: vec![0; 256] },
        };
        model.ops = vec![lookup; ops.into()];
        (model.input, model.output) = (0, 1);
        let container = model.finish();
        let start = Instant::now();
        (Model::parse(&container).err(), start.elapsed())
    };
    let (error, time) = read(MAX_OPS);
    assert!(error.is_none() && time < Duration::from_secs(1), "{error:?} after {time:?}");
    assert_eq!(read(MAX_OPS + 1).0, Some(Error::TooManyOps { ops: MAX_OPS + 1 }));
}

#[test]
fn every_byte_of_a_small_model_takes_every_value() {
    // Most changes are of weights, with which a model runs as well.
    assert!(mutate(model(PACKING_PORTABLE).finish(), all) > 100_000);
}

#[test]
fn every_bit_of_each_kind_of_model_is_flipped() {
    for packing in [PACKING_PORTABLE, PACKING_DSP, PACKING_MVE] {
        let texts = embeddings().into_iter().zip([true, false, true]);
        let texts = texts.map(|(table, window)| text_model(packing, table, window));
        for model in [branched_model(packing), transposed_model(packing)].into_iter().chain(texts) {
            assert!(mutate(model.finish(), bits) > 1000);
        }
    }
}
