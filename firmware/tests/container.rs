//! The parser: what it reads back, what it refuses, and that whatever it accepts can be run.

mod common;

use common::{branched_model, bytes, embeddings, model, text_model, transposed_model};
use firmware::kernels::packing::{self, winograd::MAX_CHANNELS};
use firmware::kernels::{Shape, Window};
use firmware::model::format::{
    OpRecord, PACKING_DSP, PACKING_DSP_PLACES, PACKING_DSP_WINOGRAD, PACKING_FOURS, PACKING_MVE, PACKING_PORTABLE,
    PREFER_RAM,
};
use firmware::model::writer::{ModelBuilder, Parameters, crc32};
use firmware::model::{Element, Error, Model};
use firmware::plan::Interpreter;
use firmware::text::Reader;
use proptest::prelude::*;
use std::sync::LazyLock;

const PACKINGS: [u8; 6] =
    [PACKING_PORTABLE, PACKING_DSP, PACKING_DSP_WINOGRAD, PACKING_MVE, PACKING_DSP_PLACES, PACKING_FOURS];

fn run(container: &[u8], input: &[i8]) -> Result<(Vec<i8>, Vec<i32>), Error> {
    let model = Model::parse(container)?;
    let mut arena = vec![0x5a5a_5a5a; model.arena_bytes() / 4];
    let mut scratch = vec![0x5a5a_5a5a; model.scratch_bytes() / 4];
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch)?;
    let places = interpreter.input_mut();
    let length = places.len().min(input.len());
    places[..length].copy_from_slice(&input[..length]);
    interpreter.run()?;
    if let Some(mut reader) = Reader::new(&model) {
        reader.push(&mut interpreter, b"The film was not good, it's bad. Don't")?;
        reader.answer(&mut interpreter)?;
    }
    Ok((interpreter.output_i8().to_vec(), interpreter.output_i32().to_vec()))
}

/// The models of layers and of branches, the transposed convolution and, with each form of embedding, the one that reads text, with a window and without.
fn containers(packing: u8) -> Vec<Vec<u8>> {
    let texts = embeddings().into_iter().zip([true, false, true]);
    let texts = texts.map(|(table, window)| text_model(packing, table, window).finish());
    let others = [model(packing), branched_model(packing)].into_iter();
    let others = others.chain((packing != PACKING_DSP_WINOGRAD).then(|| transposed_model(packing)));
    others.map(|model| model.finish()).chain(texts).collect()
}

/// Writes the CRC that belongs to the bytes as they are now.
fn seal(container: &mut [u8]) {
    let crc = crc32(container);
    container[4..8].copy_from_slice(&crc.to_le_bytes());
}

#[test]
fn reads_back_what_was_written() {
    let builder = model(PACKING_DSP);
    let container = builder.finish();
    let model = Model::parse(&container).unwrap();
    assert_eq!(model.name(), "tiny");
    assert_eq!(model.labels().collect::<Vec<_>>(), ["one", "two", "drei"]);
    assert_eq!(model.tensors().collect::<Vec<_>>(), builder.tensors);
    assert_eq!((model.input_index(), model.output_index(), model.op_count()), (0, 4, 4));
    assert_eq!((model.arena_bytes(), model.scratch_bytes()), (132, builder.scratch_bytes()));
    assert_eq!(model.crc32(), crc32(&container));
    assert_eq!(model.op(0).unwrap().macs(), 3 * 3 * 5 * 4 * 18);
}

#[test]
fn a_text_model_reads_back_as_it_was_written() {
    for table in embeddings() {
        let builder = text_model(PACKING_DSP, table, true);
        let container = builder.finish();
        let model = Model::parse(&container).unwrap();
        let text = model.text().unwrap();
        assert_eq!((text.window, text.head), (Some(7), 3));
        let (vocabulary, written) = (text.vocabulary, builder.text.unwrap().vocabulary);
        assert_eq!(vocabulary.seed, written.seed);
        assert_eq!(vocabulary.displacements, written.displacements);
        assert_eq!(vocabulary.fingerprints, written.fingerprints);
        assert_eq!(model.tensors().collect::<Vec<_>>(), builder.tensors);
        let op = model.op(1).unwrap();
        assert_eq!((op.cell, op.output, op.scratch_bytes, op.macs()), (Some(3), 2, 28, 4 * 5 * 11));
        assert_eq!(op.states().collect::<Vec<_>>(), [3, 2]);
        assert_eq!(model.op(0).unwrap().states().count(), 0);
    }
}

#[test]
fn a_flash_region_may_be_longer_than_the_model() {
    let mut container = model(PACKING_PORTABLE).finish();
    let length = container.len();
    container.resize(length + 1000, 0xff);
    assert_eq!(Model::parse(&container).unwrap().length_bytes(), length);
}

#[test]
fn all_packings_answer_alike_and_not_trivially() {
    let [portable, others @ ..] = PACKINGS.map(|packing| model(packing).finish());
    let answers: Vec<_> = (0..20).map(|seed| run(&portable, &bytes(seed, 84)).unwrap()).collect();
    for (seed, answer) in answers.iter().enumerate() {
        for other in &others {
            assert_eq!(run(other, &bytes(seed as u32, 84)).unwrap(), *answer);
        }
    }
    let [portable, others @ ..] = PACKINGS.map(|packing| branched_model(packing).finish());
    let branched = run(&portable, &bytes(5, 90)).unwrap();
    assert!(others.iter().all(|other| run(other, &bytes(5, 90)).unwrap() == branched));
    assert_ne!(branched, run(&portable, &bytes(6, 90)).unwrap());
    assert!(answers.iter().any(|answer| *answer != answers[0]));
}

#[test]
fn every_flipped_bit_is_refused() {
    for mut container in PACKINGS.into_iter().flat_map(containers) {
        for bit in 0..container.len() * 8 {
            container[bit / 8] ^= 1 << (bit % 8);
            assert!(Model::parse(&container).is_err(), "bit {bit} was not missed");
            container[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(Model::parse(&container).is_ok());
    }
}

#[test]
fn every_truncation_is_refused() {
    for container in containers(PACKING_PORTABLE) {
        for length in 0..container.len() {
            assert_eq!(Model::parse(&container[..length]).err(), Some(Error::Truncated), "{length} bytes");
        }
    }
}

#[test]
fn a_misaligned_container_is_refused() {
    let container = model(PACKING_PORTABLE).finish();
    let mut moved = vec![0; container.len() + 4];
    let start = (1..4).find(|start| !moved[*start..].as_ptr().addr().is_multiple_of(4)).unwrap();
    moved[start..][..container.len()].copy_from_slice(&container);
    assert_eq!(Model::parse(&moved[start..]).err(), Some(Error::Misaligned));
}

/// Says which error a change of the builder leads to.
fn refused(change: impl FnOnce(&mut ModelBuilder)) -> Option<Error> {
    let mut builder = model(PACKING_PORTABLE);
    change(&mut builder);
    Model::parse(&builder.finish()).err()
}

#[test]
fn a_model_that_does_not_hold_together_is_refused() {
    assert_eq!(refused(|_| ()), None);
    assert_eq!(refused(|model| model.input = 9), Some(Error::NoSuchTensor { tensor: 9 }));
    assert_eq!(refused(|model| model.ops[1].input = 7), Some(Error::NoSuchTensor { tensor: 7 }));
    assert_eq!(refused(|model| model.ops[2].packing = 9), Some(Error::UnknownPacking { op: 2 }));
    assert_eq!(refused(|model| model.tensors[1].offset = 85), Some(Error::TensorOutOfBounds { tensor: 1 }));
    assert_eq!(refused(|model| model.tensors[1].offset = 40), Some(Error::InputOverwritten { op: 0 }));
    assert_eq!(refused(|model| model.tensors[3].scale = f32::NAN), Some(Error::TensorMalformed { tensor: 3 }));
    assert_eq!(refused(|model| model.tensors[3].shape.height = 0), Some(Error::TensorMalformed { tensor: 3 }));
    assert_eq!(refused(|model| model.tensors[1].shape.width = 4), Some(Error::ShapeMismatch { op: 0 }));
    assert_eq!(refused(|model| model.tensors[2].zero_point = 0), Some(Error::ShapeMismatch { op: 1 }));
    assert_eq!(refused(|model| model.tensors[0].element = Element::I32), Some(Error::ShapeMismatch { op: 0 }));
    assert_eq!(refused(|model| model.labels.truncate(2)), Some(Error::LabelCount));
    assert_eq!(refused(|model| model.labels.clear()), None);
    assert_eq!(refused(|model| model.ops.clear()), Some(Error::TensorNotWritten { tensor: 4 }));
}

#[test]
fn a_tensor_must_hold_its_values_when_it_is_read() {
    // The hidden layer's output would lie where the pool's input is, which op 1 has read: no harm.
    assert_eq!(refused(|model| model.tensors[3].offset = 84), None);
    // Op 1 writes over the input that op 2 reads again.
    let change = |model: &mut ModelBuilder| model.ops.swap(1, 2);
    assert_eq!(refused(change), Some(Error::TensorNotWritten { tensor: 2 }));
    assert_eq!(refused(|model| model.output = 3), Some(Error::LabelCount));
    let change = |model: &mut ModelBuilder| {
        model.output = 0;
        model.labels.clear();
    };
    assert_eq!(refused(change), Some(Error::TensorNotWritten { tensor: 0 }));
}

#[test]
fn parameters_out_of_range_are_refused() {
    let conv = |change: fn(&mut Parameters)| refused(|model| change(&mut model.ops[0].parameters));
    let out_of_range = Some(Error::Parameters { op: 0 });
    let change: [fn(&mut Parameters); 6] = [
        |op| {
            if let Parameters::Conv2d { pool, .. } = op {
                pool[0] = 0
            }
        },
        |op| {
            if let Parameters::Conv2d { window, .. } = op {
                window.stride[1] = 0
            }
        },
        |op| {
            if let Parameters::Conv2d { window, .. } = op {
                window.kernel = [20, 3]
            }
        },
        |op| {
            if let Parameters::Conv2d { window, .. } = op {
                window.padding[0] = 3
            }
        },
        |op| {
            if let Parameters::Conv2d { output_stage, .. } = op {
                output_stage.multipliers[4] = -1
            }
        },
        |op| {
            if let Parameters::Conv2d { output_stage, .. } = op {
                output_stage.output_min = 121
            }
        },
    ];
    for (number, change) in change.into_iter().enumerate() {
        assert_eq!(conv(change), out_of_range, "change {number}");
    }
    let shift: fn(&mut Parameters) = |op| {
        if let Parameters::Conv2d { output_stage, .. } = op {
            output_stage.left_shift = 32
        }
    };
    assert_eq!(conv(shift), out_of_range);
    let short: fn(&mut Parameters) = |op| {
        if let Parameters::Conv2d { weights, .. } = op {
            weights.truncate(89)
        }
    };
    assert!(matches!(conv(short), Some(Error::Section { .. })));
}

/// Winograd's form does 3×3 taps with stride 1, alone or under a pool of 2×2, and as many channels as cannot overflow.
#[test]
fn a_convolution_that_its_form_cannot_do_is_refused() {
    let refused = |change: fn(&mut Window, &mut [usize; 2])| {
        let mut model = model(PACKING_DSP_WINOGRAD);
        let Parameters::Conv2d { window, pool, .. } = &mut model.ops[0].parameters else { panic!("not a convolution") };
        change(window, pool);
        // The output that then fits, which nothing reads.
        let positions = window.positions(model.tensors[0].shape).unwrap();
        let pool = *pool;
        model.tensors[1].shape = Shape { height: positions[0] / pool[0], width: positions[1] / pool[1], channels: 5 };
        Model::parse(&model.finish()).err()
    };
    let out_of_range = Some(Error::Parameters { op: 0 });
    assert_eq!(refused(|window, _| window.kernel = [3, 2]), out_of_range);
    assert_eq!(refused(|window, _| window.stride = [1, 2]), out_of_range);
    assert_eq!(refused(|_, pool| *pool = [2, 1]), out_of_range);
    assert_eq!(refused(|_, pool| *pool = [3, 3]), out_of_range);
    let fits = |channels: usize| {
        let (input, window) =
            (Shape { height: 9, width: 9, channels }, Window { kernel: [3, 3], stride: [1, 1], padding: [0; 4] });
        packing::conv2d_bytes(PACKING_DSP_WINOGRAD, 1, input, window, [1, 1]).is_some()
    };
    assert!(fits(MAX_CHANNELS) && !fits(MAX_CHANNELS + 1));
}

#[test]
fn an_unknown_preference_is_refused() {
    let mut container = model(PACKING_PORTABLE).finish();
    let ops = u32::from_le_bytes(container[32..36].try_into().unwrap()) as usize;
    let preference = ops + core::mem::offset_of!(OpRecord, preference);
    for (code, error) in [(PREFER_RAM, None), (PREFER_RAM + 1, Some(Error::Parameters { op: 0 }))] {
        container[preference] = code;
        seal(&mut container);
        assert_eq!(Model::parse(&container).err(), error);
    }
}

#[test]
fn sections_out_of_place_are_refused() {
    let container = model(PACKING_PORTABLE).finish();
    // Header fields: tensors at 24, ops at 32, name at 40, labels at 48 (offset, then length).
    for (field, value) in [(24, 96), (32, 80), (40, 80), (40, 0xffff_fff0), (28, 31), (48, 4), (52, 0x7fff_ffff)] {
        let mut changed = container.clone();
        changed[field..field + 4].copy_from_slice(&u32::to_le_bytes(value));
        seal(&mut changed);
        let refused = Model::parse(&changed);
        assert!(matches!(refused, Err(Error::Section { .. } | Error::Text)), "field {field} as {value}: {refused:?}");
    }
}

#[test]
fn memory_that_is_too_small_is_refused() {
    let container = model(PACKING_PORTABLE).finish();
    let model = Model::parse(&container).unwrap();
    let words = [model.arena_bytes() / 4, model.scratch_bytes() / 4];
    for (short, error) in [
        (0, Error::ArenaTooSmall { needed_bytes: 132, available_bytes: 128 }),
        (
            1,
            Error::ScratchTooSmall {
                needed_bytes: model.scratch_bytes() as u32,
                available_bytes: model.scratch_bytes() as u32 - 4,
            },
        ),
    ] {
        let mut memory = words.map(|words| vec![0u32; words]);
        memory[short].pop();
        let [arena, scratch] = &mut memory;
        assert_eq!(Interpreter::new(model, arena, scratch).err(), Some(error));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]
    /// Bytes are changed behind the CRC's back: what is accepted all the same runs to its end.
    #[test]
    fn whatever_is_accepted_runs(
        packing in 0..PACKINGS.len(),
        number in 0usize..5,
        changes in prop::collection::vec((prop_oneof![8 => 0usize..900, 1 => 0usize..10_000], any::<u8>(), any::<bool>()), 1..6),
    ) {
        static CONTAINERS: LazyLock<[Vec<Vec<u8>>; PACKINGS.len()]> = LazyLock::new(|| PACKINGS.map(containers));
        let mut container = CONTAINERS[packing][number].clone();
        let records = container.len() - 16;
        for (place, value, small) in changes {
            // Small changes keep more of the model whole.
            let place = &mut container[8 + place % (records - 8)];
            *place = if small { place.wrapping_add(value % 5).wrapping_sub(2) } else { value };
        }
        seal(&mut container);
        // The test's own memory has a limit.
        let fits = |model: &Model<'_>| model.arena_bytes() + model.scratch_bytes() < 1 << 22;
        if Model::parse(&container).is_ok_and(|model| fits(&model)) {
            run(&container, &bytes(7, 84)).unwrap();
        }
    }
}
