//! The device's side of the link, driven as a host would, and as no host should.

mod common;

use common::{bytes, embeddings, model, text_model};
use firmware::link::{DATA_BYTES, Device, ErrorCode, FRAME_BYTES, Hello, PROTOCOL, Reply, Request};
use firmware::model::format::{PACKING_DSP, PACKING_PORTABLE};
use firmware::model::{Error, Model};
use firmware::plan::Interpreter;
use firmware::text::Reader;
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
                Request::Reset,
                Request::Text { data: b"good" },
                Request::Answer,
            ] {
                expect(device, request, Reply::Error(ErrorCode::NoModel));
            }
        });
    }
}

/// A model that reads text, with a window.
fn text_container() -> Vec<u8> {
    let [table, ..] = embeddings();
    text_model(PACKING_DSP, table, true).finish()
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

/// What a host sends as one frame.
#[derive(Clone, Debug)]
enum Message {
    Whole(Ask),
    /// The first byte of a request that has several, and so many 256ths of the rest.
    Truncated(Ask, u8),
    /// A request and bytes behind it.
    Extended(Ask, Vec<u8>),
    /// A kind of request that does not exist.
    Unknown(u8, Vec<u8>),
    /// More bytes than a frame has.
    Oversized(usize),
}

/// A [`Request`] that owns its data.
#[derive(Clone, Debug)]
enum Ask {
    Hello,
    Write(u16, Vec<u8>),
    Run(u16, u16),
    Read(u16, u16, u16),
    Reset,
    Text(Vec<u8>),
    Answer,
}

/// What the device holds.
#[derive(Clone, Copy, Debug)]
struct Held {
    name: &'static str,
    tensor_bytes: &'static [usize],
    reads_text: bool,
}

/// The two models, both with four ops and their input first.
const LAYERS: Held = Held { name: "tiny", tensor_bytes: &[84, 45, 20, 6, 12], reads_text: false };
const TEXT: Held = Held { name: "tiny text", tensor_bytes: &[2, 6, 5, 10, 3, 6, 8, 10], reads_text: true };

impl Ask {
    fn request(&self) -> Request<'_> {
        match self {
            Ask::Hello => Request::Hello,
            Ask::Write(offset, data) => Request::Write { offset: *offset, data },
            Ask::Run(first, count) => Request::Run { first: *first, count: *count },
            Ask::Read(tensor, offset, length) => Request::Read { tensor: *tensor, offset: *offset, length: *length },
            Ask::Reset => Request::Reset,
            Ask::Text(data) => Request::Text { data },
            Ask::Answer => Request::Answer,
        }
    }

    /// Whether the model has the place that is asked for.
    fn is_in_range(&self, held: Held) -> bool {
        let ends_by = |offset: &u16, length: usize, limit: usize| usize::from(*offset) + length <= limit;
        match self {
            Ask::Hello | Ask::Reset | Ask::Text(_) | Ask::Answer => true,
            Ask::Write(offset, data) => ends_by(offset, data.len(), held.tensor_bytes[0]),
            Ask::Run(first, count) => u32::from(*first) + u32::from(*count) <= 4,
            Ask::Read(tensor, offset, length) => held
                .tensor_bytes
                .get(usize::from(*tensor))
                .is_some_and(|bytes| ends_by(offset, (*length).into(), *bytes)),
        }
    }
}

impl Message {
    /// The frame on the wire.
    fn wire(&self) -> Vec<u8> {
        let plain = |ask: &Ask| postcard::to_allocvec(&ask.request()).unwrap();
        let mut frame = match self {
            Message::Whole(ask) => cobs_encoded(&plain(ask)),
            Message::Truncated(ask, part) => {
                let whole = plain(ask);
                cobs_encoded(&whole[..1 + (whole.len() - 1) * usize::from(*part) / 256])
            }
            Message::Extended(ask, rest) => cobs_encoded(&[plain(ask), rest.clone()].concat()),
            Message::Unknown(kind, rest) => cobs_encoded(&[&[*kind], &rest[..]].concat()),
            Message::Oversized(length) => vec![7; *length],
        };
        frame.push(0);
        frame
    }

    fn check(&self, held: Held, reply: Reply<'_>) {
        let matches = match (self, reply) {
            (Message::Whole(ask), Reply::Error(ErrorCode::OutOfRange)) => !ask.is_in_range(held),
            (Message::Whole(Ask::Text(_) | Ask::Answer), Reply::Error(ErrorCode::NoText)) => !held.reads_text,
            (Message::Whole(ask), reply) if ask.is_in_range(held) => match (ask, reply) {
                (Ask::Hello, Reply::Hello(hello)) => hello.model == held.name,
                (Ask::Reset, Reply::Done { ticks: 0 }) => true,
                (Ask::Text(_), Reply::Done { ticks }) => held.reads_text && ticks > 0,
                (Ask::Answer, Reply::Text { words, unknown, .. }) => held.reads_text && unknown <= words,
                (Ask::Write(..), Reply::Done { ticks: 0 }) => true,
                (Ask::Run(..), Reply::Done { ticks }) => ticks > 0,
                (Ask::Read(_, _, length), Reply::Data(data)) => data.len() == usize::from(*length),
                _ => false,
            },
            (Message::Oversized(_), reply) => reply == Reply::Error(ErrorCode::TooLong),
            (Message::Whole(_), _) => false,
            (_, reply) => reply == Reply::Error(ErrorCode::Malformed),
        };
        assert!(matches, "{self:?} is answered by {reply:?}");
    }
}

/// Requests of more than one byte.
fn long_ask_strategy() -> impl Strategy<Value = Ask> {
    // Mostly near what the model has.
    let number = || prop_oneof![4 => 0u16..6, 2 => 0u16..100, 1 => any::<u16>()];
    prop_oneof![
        (number(), prop::collection::vec(any::<u8>(), 0..DATA_BYTES))
            .prop_map(|(offset, data)| Ask::Write(offset, data)),
        (number(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(offset, data)| Ask::Write(offset, data)),
        (number(), number()).prop_map(|(first, count)| Ask::Run(first, count)),
        (number(), number(), number()).prop_map(|(tensor, offset, length)| Ask::Read(tensor, offset, length)),
        prop::collection::vec(any::<u8>(), 0..DATA_BYTES).prop_map(Ask::Text),
        prop::collection::vec(prop::sample::select(&b"fiLM was. not "[..]), 0..80).prop_map(Ask::Text),
    ]
}

fn ask_strategy() -> impl Strategy<Value = Ask> {
    prop_oneof![1 => Just(Ask::Hello), 1 => Just(Ask::Reset), 1 => Just(Ask::Answer), 6 => long_ask_strategy()]
}

fn message_strategy() -> impl Strategy<Value = Message> {
    let rest = || prop::collection::vec(any::<u8>(), 1..20);
    prop_oneof![
        4 => ask_strategy().prop_map(Message::Whole),
        1 => (long_ask_strategy(), any::<u8>()).prop_map(|(ask, part)| Message::Truncated(ask, part)),
        1 => (ask_strategy(), rest()).prop_map(|(ask, rest)| Message::Extended(ask, rest)),
        1 => (7u8..128, rest()).prop_map(|(kind, rest)| Message::Unknown(kind, rest)),
        1 => (FRAME_BYTES..2000).prop_map(Message::Oversized),
    ]
}

proptest! {
    /// Whatever the messages and their order, each has the one reply that is defined for it.
    #[test]
    fn each_message_has_its_reply(messages in prop::collection::vec(message_strategy(), 1..30)) {
        for (container, held) in [(model(PACKING_PORTABLE).finish(), LAYERS), (text_container(), TEXT)] {
            on_device(&container, |device| {
                for message in &messages {
                    let replies = send(device, &message.wire());
                    assert_eq!(replies.len(), 1, "{message:?}");
                    message.check(held, decode(&replies[0]));
                }
            });
        }
    }
}

fn cobs_encoded(message: &[u8]) -> Vec<u8> {
    let mut encoded = vec![0; cobs::max_encoding_length(message.len())];
    let length = cobs::encode(message, &mut encoded);
    encoded.truncate(length);
    encoded
}
