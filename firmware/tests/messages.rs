//! Messages to the device of every kind, whole and broken: each has the one reply that is defined for it.

mod common;
#[path = "common/device.rs"]
mod device;

use common::model;
use device::{cobs_encoded, decode, on_device, send, text_container};
use firmware::link::{DATA_BYTES, ErrorCode, FRAME_BYTES, Reply, Request};
use firmware::model::format::PACKING_PORTABLE;
use proptest::prelude::*;

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
    Write(u32, Vec<u8>),
    Run(u16, u16),
    Read(u16, u32, u16),
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
        let ends_by = |offset: &u32, length: usize, limit: usize| *offset as usize + length <= limit;
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
    // Those that 16 bits would take for small ones too.
    let offset = || prop_oneof![4 => 0u32..6, 2 => 0u32..100, 1 => 0x1_0000u32..0x1_0006, 1 => any::<u32>()];
    prop_oneof![
        (offset(), prop::collection::vec(any::<u8>(), 0..DATA_BYTES))
            .prop_map(|(offset, data)| Ask::Write(offset, data)),
        (offset(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(offset, data)| Ask::Write(offset, data)),
        (number(), number()).prop_map(|(first, count)| Ask::Run(first, count)),
        (number(), offset(), number()).prop_map(|(tensor, offset, length)| Ask::Read(tensor, offset, length)),
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
        1 => (13u8..128, rest()).prop_map(|(kind, rest)| Message::Unknown(kind, rest)),
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
