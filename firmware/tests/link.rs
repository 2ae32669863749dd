//! The device's side of the link, driven as a host would, and as no host should.

mod common;

use common::{bytes, model};
use firmware::link::{DATA_BYTES, Device, ErrorCode, FRAME_BYTES, Hello, PROTOCOL, Reply, Request};
use firmware::model::format::{PACKING_DSP, PACKING_PORTABLE};
use firmware::model::{Error, Model};
use firmware::plan::Interpreter;
use proptest::prelude::*;

/// Runs `with` on a device that holds the container.
fn on_device<T>(container: &[u8], with: impl FnOnce(&mut Device<'_>) -> T) -> T {
    let mut memory = [vec![0; 1000], vec![0; 1000]];
    let [arena, scratch] = &mut memory;
    let interpreter = Model::parse(container).and_then(|model| Interpreter::new(model, arena, scratch));
    with(&mut Device::new("bench", interpreter))
}

/// The replies to what is on the wire, their COBS undone.
fn send(device: &mut Device<'_>, wire: &[u8]) -> Vec<Vec<u8>> {
    let mut clock = 0;
    let mut replies = Vec::new();
    for byte in wire {
        let ticks = || {
            clock += 100;
            clock
        };
        if let Some(reply) = device.push(*byte, ticks) {
            let (end, frame) = reply.split_last().unwrap();
            assert!(*end == 0 && !frame.contains(&0) && reply.len() <= FRAME_BYTES);
            let mut frame = frame.to_vec();
            let length = cobs::decode_in_place(&mut frame).unwrap();
            frame.truncate(length);
            replies.push(frame);
        }
    }
    replies
}

fn decode(frame: &[u8]) -> Reply<'_> {
    postcard::from_bytes(frame).unwrap()
}

/// Sends one request and hands its one reply to `check`.
fn ask<T>(device: &mut Device<'_>, request: Request<'_>, check: impl FnOnce(Reply<'_>) -> T) -> T {
    let replies = send(device, &postcard::to_allocvec_cobs(&request).unwrap());
    assert_eq!(replies.len(), 1);
    check(decode(&replies[0]))
}

fn expect(device: &mut Device<'_>, request: Request<'_>, expected: Reply<'_>) {
    ask(device, request, |reply| assert_eq!(reply, expected));
}

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
            Request::Write { offset: u16::MAX, data: &[1] },
            Request::Run { first: 0, count: 5 },
            Request::Run { first: 5, count: 0 },
            Request::Run { first: u16::MAX, count: u16::MAX },
            Request::Read { tensor: 5, offset: 0, length: 1 },
            Request::Read { tensor: 0, offset: 0, length: 85 },
            Request::Read { tensor: 0, offset: u16::MAX, length: u16::MAX },
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
            ] {
                expect(device, request, Reply::Error(ErrorCode::NoModel));
            }
        });
    }
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

fn cobs_encoded(message: &[u8]) -> Vec<u8> {
    let mut encoded = vec![0; cobs::max_encoding_length(message.len())];
    let length = cobs::encode(message, &mut encoded);
    encoded.truncate(length);
    encoded
}
