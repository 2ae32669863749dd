//! The device's side of the link, driven as a host would, and as no host should.

mod common;
#[path = "common/device.rs"]
mod device;

use common::{bytes, model};
use device::{ask, cobs_encoded, decode, expect, on_device, send, text_container};
use firmware::link::{DATA_BYTES, ErrorCode, FRAME_BYTES, Hello, PROTOCOL, Reply, Request};
use firmware::model::format::{PACKING_DSP, PACKING_PORTABLE};
use firmware::model::{Error, Model};
use firmware::plan::Interpreter;
use firmware::text::Reader;
use proptest::prelude::*;

#[test]
fn hello_tells_board_and_model() {
    let container = model(PACKING_DSP).finish();
    let parsed = Model::parse(&container).unwrap();
    let expected = Hello {
        protocol: PROTOCOL,
        board: "bench",
        model: "tiny",
        model_crc32: parsed.crc32(),
        arena_bytes: parsed.arena_bytes() as u32,
        scratch_bytes: parsed.scratch_bytes() as u32,
        model_error: None,
    };
    on_device(&container, |device| expect(device, Request::Hello, Reply::Hello(expected)));
}

#[test]
fn long_names_are_cut_between_characters() {
    let mut builder = model(PACKING_DSP);
    builder.name = "é".repeat(4000) + "x";
    builder.name.insert(0, 'x');
    let check = |reply: Reply<'_>| match reply {
        Reply::Hello(hello) => assert_eq!(hello.model, "x".to_string() + &"é".repeat(63)),
        other => panic!("{other:?}"),
    };
    on_device(&builder.finish(), |device| ask(device, Request::Hello, check));
}

#[test]
fn layers_run_one_by_one_as_they_do_together() {
    let container = model(PACKING_PORTABLE).finish();
    let input = bytes(5, 84);
    let mut memory = [vec![0; 100], vec![0; 1000]];
    let [arena, scratch] = &mut memory;
    let mut twin = Interpreter::new(Model::parse(&container).unwrap(), arena, scratch).unwrap();
    twin.input_mut().copy_from_slice(&input);
    on_device(&container, |device| {
        let input: Vec<u8> = input.iter().map(|value| *value as u8).collect();
        for (offset, data) in [(0, &input[..50]), (50, &input[50..])] {
            expect(device, Request::Write { offset, data }, Reply::Done { ticks: 0 });
        }
        for op in 0..4 {
            twin.run_op(op).unwrap();
            expect(device, Request::Run { first: op, count: 1 }, Reply::Done { ticks: 100 });
            let tensor = op + 1;
            let expected = twin.tensor_bytes(tensor).unwrap();
            let read = Request::Read { tensor, offset: 0, length: expected.len() as u16 };
            expect(device, read, Reply::Data(expected));
        }
        let expected = twin.tensor_bytes(4).unwrap();
        let read = Request::Read { tensor: 4, offset: 4, length: 8 };
        expect(device, read, Reply::Data(&expected[4..]));
    });
}

#[test]
fn places_outside_the_model_are_refused() {
    let container = model(PACKING_PORTABLE).finish();
    let out_of_range = Reply::Error(ErrorCode::OutOfRange);
    on_device(&container, |device| {
        for request in [
            Request::Write { offset: 80, data: &[1; 5] },
            Request::Write { offset: u32::MAX, data: &[1] },
            Request::Run { first: 0, count: 5 },
            Request::Run { first: 5, count: 0 },
            Request::Run { first: u16::MAX, count: u16::MAX },
            Request::Read { tensor: 5, offset: 0, length: 1 },
            Request::Read { tensor: 0, offset: 0, length: 85 },
            Request::Read { tensor: 0, offset: u32::MAX, length: u16::MAX },
        ] {
            expect(device, request, out_of_range);
        }
        expect(device, Request::Run { first: 4, count: 0 }, Reply::Done { ticks: 100 });
    });
}

#[test]
fn a_reply_takes_what_a_frame_holds_and_no_more() {
    let mut builder = model(PACKING_PORTABLE);
    // A tensor that no op touches, long enough to ask for too much.
    builder.tensors.push(common::tensor(132, [1, 1, 1000], firmware::model::Element::I8));
    on_device(&builder.finish(), |device| {
        let read = |length: usize| Request::Read { tensor: 5, offset: 0, length: length as u16 };
        ask(device, read(DATA_BYTES), |reply| assert!(matches!(reply, Reply::Data(data) if data.len() == DATA_BYTES)));
        expect(device, read(DATA_BYTES + 1), Reply::Error(ErrorCode::OutOfRange));
    });
}

#[test]
fn a_refused_model_is_told_and_not_run() {
    for (container, error) in [(vec![0xff; 200], Error::Magic), (Vec::new(), Error::Truncated)] {
        on_device(&container, |device| {
            ask(device, Request::Hello, |reply| match reply {
                Reply::Hello(hello) => assert_eq!((hello.model_error, hello.model), (Some(error), "")),
                other => panic!("{other:?}"),
            });
            for request in [
                Request::Write { offset: 0, data: &[] },
                Request::Run { first: 0, count: 1 },
                Request::Read { tensor: 0, offset: 0, length: 1 },
                Request::Reset,
                Request::Text { data: b"good" },
                Request::Answer,
            ] {
                expect(device, request, Reply::Error(ErrorCode::NoModel));
            }
        });
    }
}

#[test]
fn a_text_is_read_in_pieces_and_answered() {
    let container = text_container();
    let text = "The film was not good. It's zebra, caf\u{e9} \u{1f600}".as_bytes();
    let mut memory = [vec![0; 100], vec![0; 100]];
    let [arena, scratch] = &mut memory;
    let mut twin = Interpreter::new(Model::parse(&container).unwrap(), arena, scratch).unwrap();
    let mut reader = Reader::new(twin.model()).unwrap();
    let mut logits_of = |text: &[u8]| {
        reader.restart(&mut twin).unwrap();
        reader.push(&mut twin, text).unwrap();
        reader.answer(&mut twin).unwrap();
        twin.tensor_bytes(6).unwrap().to_vec()
    };
    let [empty, whole] = [&b""[..], text].map(&mut logits_of);
    assert_ne!(empty, whole);
    on_device(&container, |device| {
        let logits = Request::Read { tensor: 6, offset: 0, length: 8 };
        expect(device, Request::Answer, Reply::Text { words: 0, unknown: 0, ticks: 100 });
        expect(device, logits, Reply::Data(&empty));
        for cut in [7, 1, text.len()] {
            expect(device, Request::Reset, Reply::Done { ticks: 0 });
            for data in text.chunks(cut) {
                expect(device, Request::Text { data }, Reply::Done { ticks: 100 });
            }
            for _ in 0..2 {
                expect(device, Request::Answer, Reply::Text { words: 9, unknown: 2, ticks: 100 });
                expect(device, logits, Reply::Data(&whole));
            }
        }
        expect(device, Request::Text { data: &[b'x'; DATA_BYTES] }, Reply::Done { ticks: 100 });
        expect(device, Request::Answer, Reply::Text { words: 10, unknown: 3, ticks: 100 });
    });
}

#[test]
fn tokens_are_written_and_states_last_until_a_reset() {
    let container = text_container();
    let mut memory = [vec![0; 100], vec![0; 100]];
    let [arena, scratch] = &mut memory;
    let mut twin = Interpreter::new(Model::parse(&container).unwrap(), arena, scratch).unwrap();
    on_device(&container, |device| {
        for tokens in [[1, 2, 3], [1, 9, -1]] {
            twin.reset().unwrap();
            expect(device, Request::Reset, Reply::Done { ticks: 0 });
            for token in tokens {
                twin.set_token(token);
                twin.run().unwrap();
                expect(device, Request::Write { offset: 0, data: &token.to_le_bytes() }, Reply::Done { ticks: 0 });
                expect(device, Request::Run { first: 0, count: 4 }, Reply::Done { ticks: 100 });
                let logits = twin.tensor_bytes(6).unwrap();
                expect(device, Request::Read { tensor: 6, offset: 0, length: 8 }, Reply::Data(logits));
            }
        }
    });
}

#[test]
fn a_model_without_a_vocabulary_reads_no_text() {
    on_device(&model(PACKING_PORTABLE).finish(), |device| {
        for request in [Request::Text { data: b"good" }, Request::Answer] {
            expect(device, request, Reply::Error(ErrorCode::NoText));
        }
        expect(device, Request::Reset, Reply::Done { ticks: 0 });
    });
}

/// One reply to each broken frame, and the next request is answered as ever.
#[test]
fn broken_frames_are_answered_and_forgotten() {
    let container = model(PACKING_PORTABLE).finish();
    let hello = postcard::to_allocvec_cobs(&Request::Hello).unwrap();
    let framed = |message: &[u8]| [cobs_encoded(message), vec![0]].concat();
    let malformed = ErrorCode::Malformed;
    on_device(&container, |device| {
        for (wire, code) in [
            (framed(&[9]), malformed),
            (framed(&[0, 0]), malformed),
            (framed(&[1, 3, 200, 1]), malformed),
            (framed(&[2, 255, 255, 255]), malformed),
            (vec![0xff, 1, 0], malformed),
            (vec![1; FRAME_BYTES - 1].into_iter().chain([0]).collect(), malformed),
            (vec![1; FRAME_BYTES].into_iter().chain([0]).collect(), ErrorCode::TooLong),
            (vec![1; 5 * FRAME_BYTES].into_iter().chain([0]).collect(), ErrorCode::TooLong),
        ] {
            let replies = send(device, &[&wire[..], &hello, &[0, 0]].concat());
            assert_eq!(decode(&replies[0]), Reply::Error(code), "{wire:?}");
            assert!(matches!(decode(&replies[1]), Reply::Hello(_)), "{wire:?}");
            assert_eq!(replies.len(), 2, "{wire:?}");
        }
    });
}

proptest! {
    #[test]
    fn random_bytes_never_panic_and_each_frame_has_its_reply(
        wire in prop::collection::vec(prop_oneof![3 => any::<u8>(), 2 => 0u8..4], 0..2000),
    ) {
        let container = model(PACKING_PORTABLE).finish();
        on_device(&container, |device| {
            let frames = wire.split(|byte| *byte == 0).filter(|frame| !frame.is_empty()).count();
            let ended = wire.last().is_none_or(|byte| *byte == 0);
            let replies = send(device, &wire);
            assert_eq!(replies.len() + usize::from(!ended), frames);
            for reply in &replies {
                decode(reply);
            }
            // Whatever came before, a zero and a request are understood.
            let hello = [&[0][..], &postcard::to_allocvec_cobs(&Request::Hello).unwrap()].concat();
            let replies = send(device, &hello);
            assert!(matches!(decode(replies.last().unwrap()), Reply::Hello(_)));
        });
    }
}
