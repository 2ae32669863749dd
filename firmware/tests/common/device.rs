//! A device to talk to.
#![allow(dead_code, reason = "each test file uses a part")]

use crate::common::{embeddings, text_model};
use firmware::link::{Device, FRAME_BYTES, Reply, Request};
use firmware::model::Model;
use firmware::model::format::PACKING_DSP;
use firmware::plan::Interpreter;

/// Runs `with` on a device that holds the container.
pub fn on_device<T>(container: &[u8], with: impl FnOnce(&mut Device<'_>) -> T) -> T {
    let mut memory = [vec![0; 1000], vec![0; 1000]];
    let [arena, scratch] = &mut memory;
    let interpreter = Model::parse(container).and_then(|model| Interpreter::new(model, arena, scratch));
    with(&mut Device::new("bench", interpreter))
}

/// The replies to what is on the wire, their COBS undone.
pub fn send(device: &mut Device<'_>, wire: &[u8]) -> Vec<Vec<u8>> {
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

pub fn decode(frame: &[u8]) -> Reply<'_> {
    postcard::from_bytes(frame).unwrap()
}

/// Sends one request and hands its one reply to `check`.
pub fn ask<T>(device: &mut Device<'_>, request: Request<'_>, check: impl FnOnce(Reply<'_>) -> T) -> T {
    let replies = send(device, &postcard::to_allocvec_cobs(&request).unwrap());
    assert_eq!(replies.len(), 1);
    check(decode(&replies[0]))
}

pub fn expect(device: &mut Device<'_>, request: Request<'_>, expected: Reply<'_>) {
    ask(device, request, |reply| assert_eq!(reply, expected));
}

/// A model that reads text, with a window.
pub fn text_container() -> Vec<u8> {
    let [table, ..] = embeddings();
    text_model(PACKING_DSP, table, true).finish()
}

pub fn cobs_encoded(message: &[u8]) -> Vec<u8> {
    let mut encoded = vec![0; cobs::max_encoding_length(message.len())];
    let length = cobs::encode(message, &mut encoded);
    encoded.truncate(length);
    encoded
}
