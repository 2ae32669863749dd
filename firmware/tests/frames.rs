//! Frames over the link, in a camera's place.

mod common;
#[path = "common/device.rs"]
mod device;

use common::{bytes, model, stage, tensor};
use device::{ask, expect};
use firmware::camera;
use firmware::kernels::packing;
use firmware::link::{DATA_BYTES, Device, ErrorCode, Reply, Request};
use firmware::model::format::PACKING_PORTABLE;
use firmware::model::writer::{ModelBuilder, OpSpec, Parameters};
use firmware::model::{Element, Model, Preference};
use firmware::plan::Interpreter;
use firmware::vision::vote::Rule;
use firmware::vision::{Finder, Format, Frame, Reading, read, scratch_words, suits};

const SIZE: [usize; 2] = [64, 48];
const MEMORY: usize = SIZE[0] * SIZE[1] / 2 + scratch_words(SIZE[0], SIZE[1]);

/// `28×28 ── dense ──▶ 11 logits`.
fn reader() -> Vec<u8> {
    let dense = Parameters::Dense {
        weights: packing::dense(PACKING_PORTABLE, &bytes(5, 11 * 784), [11, 784]),
        output_stage: stage(11),
    };
    let builder = ModelBuilder {
        name: "digits".into(),
        labels: Vec::new(),
        tensors: vec![tensor(0, [28, 28, 1], Element::I8), tensor(784, [1, 1, 11], Element::I32)],
        ops: vec![OpSpec {
            input: 0,
            output: 1,
            packing: PACKING_PORTABLE,
            preference: Preference::default(),
            parameters: dense,
        }],
        input: 0,
        output: 1,
        text: None,
    };
    builder.finish()
}

/// A dark bar on light paper.
fn page() -> Vec<u8> {
    let [width, height] = SIZE;
    let is_ink = |x: usize, y: usize| (28..33).contains(&x) && (10..38).contains(&y);
    (0..width * height).map(|at| if is_ink(at % width, at / width) { 40 } else { 210 }).collect()
}

fn with_device<T>(container: &[u8], memory: Option<usize>, with: impl FnOnce(&mut Device<'_>) -> T) -> T {
    let (mut arena, mut scratch) = (vec![0; 1000], vec![0; 1000]);
    let mut frames = vec![0; memory.unwrap_or(0)];
    let interpreter = Model::parse(container).and_then(|model| Interpreter::new(model, &mut arena, &mut scratch));
    let device = Device::new("bench", interpreter);
    with(&mut if memory.is_some() { device.with_frames(&mut frames) } else { device })
}

fn begin([width, height]: [usize; 2]) -> Request<'static> {
    Request::Frame { width: width as u16, height: height as u16, format: Format::Grey }
}

fn send_page(device: &mut Device<'_>) {
    expect(device, begin(SIZE), Reply::Done { ticks: 0 });
    for (piece, data) in page().chunks(DATA_BYTES).enumerate() {
        let offset = (piece * DATA_BYTES) as u32;
        expect(device, Request::Pixels { offset, data }, Reply::Done { ticks: 0 });
    }
}

#[test]
fn a_frame_is_read_as_without_the_link() {
    let container = reader();
    let (mut arena, mut scratch) = (vec![0; 1000], vec![0; 1000]);
    let model = Model::parse(&container).unwrap();
    assert!(suits(&model));
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).unwrap();
    let mut memory = vec![0; scratch_words(SIZE[0], SIZE[1])];
    let page = page();
    let frame = Frame::new(SIZE[0], SIZE[1], Format::Grey, &page).unwrap();
    let readings = read(&frame, &mut Finder::new(&mut memory), &mut interpreter, 3).unwrap();
    let [reading] = readings.as_slice() else { panic!("one bar, {readings:?}") };
    assert_eq!([reading.region.left, reading.region.top], [28, 10]);
    assert_eq!(reading.digit(0).is_some(), reading.class < 10);
    assert_eq!(readings.best(65_537), None);

    with_device(&container, Some(MEMORY), |device| {
        send_page(device);
        expect(device, Request::Look { most: 3 }, Reply::Look { count: 1, ticks: 100 });
        let place = [reading.region.left, reading.region.top, reading.region.right, reading.region.bottom];
        let expected = Reply::Reading { place, class: reading.class, certainty: reading.certainty };
        expect(device, Request::Reading { index: 0 }, expected);
        expect(device, Request::Reading { index: 1 }, Reply::Error(ErrorCode::OutOfRange));
        let seen: Vec<u8> = memory.iter().flat_map(|word| word.to_le_bytes()).take(DATA_BYTES).collect();
        let request = Request::Scratch { offset: 0, length: DATA_BYTES as u16 };
        ask(device, request, |reply| assert_eq!(reply, Reply::Data(&seen)));
        // None is to be read, and a new frame has none yet.
        expect(device, Request::Look { most: 0 }, Reply::Look { count: 0, ticks: 100 });
        expect(device, begin(SIZE), Reply::Done { ticks: 0 });
        expect(device, Request::Look { most: 3 }, Reply::Look { count: 0, ticks: 100 });
    });
}

#[test]
fn a_frame_is_seen_as_by_a_cameras_reader() {
    let container = reader();
    let (mut arena, mut scratch) = (vec![0; 1000], vec![0; 1000]);
    let mut interpreter = Interpreter::new(Model::parse(&container).unwrap(), &mut arena, &mut scratch).unwrap();
    let mut memory = vec![0; scratch_words(SIZE[0], SIZE[1])];
    let page = page();
    let frame = Frame::new(SIZE[0], SIZE[1], Format::Grey, &page).unwrap();
    with_device(&container, Some(MEMORY), |device| {
        send_page(device);
        for round in 0..2 {
            let mut alone = camera::reader::Reader::new(Rule::USUAL);
            for number in 0..9 {
                let answer = alone.see(&frame, &mut Finder::new(&mut memory), &mut interpreter).unwrap();
                let count = u8::from(alone.reading().is_some());
                let reply = Reply::See { count, answer: answer.map(|digit| digit as u8), ticks: 100 };
                expect(device, Request::See { is_first: number == 0 }, reply);
                if let Some(Reading { region, class, certainty }) = alone.reading().copied() {
                    let place = [region.left, region.top, region.right, region.bottom];
                    expect(device, Request::Reading { index: 0 }, Reply::Reading { place, class, certainty });
                }
            }
            assert!(alone.vote().answer().is_some(), "round {round}");
        }
    });
}

#[test]
fn what_does_not_fit_is_refused() {
    let refused = Reply::Error(ErrorCode::OutOfRange);
    with_device(&reader(), Some(MEMORY), |device| {
        expect(device, Request::Look { most: 1 }, Reply::Error(ErrorCode::NoFrame));
        expect(device, Request::See { is_first: true }, Reply::Error(ErrorCode::NoFrame));
        expect(device, Request::Pixels { offset: 0, data: &[1] }, refused);
        for size in [[0, 9], [9, 0], [641, 1], [1, 641], [65_535, 65_535], [2 * SIZE[0], SIZE[1]]] {
            expect(device, begin(size), refused);
        }
        send_page(device);
        let length = (SIZE[0] * SIZE[1]) as u32;
        expect(device, Request::Pixels { offset: length, data: &[] }, Reply::Done { ticks: 0 });
        for (offset, data) in [(length, &[1][..]), (length - 1, &[1, 2]), (u32::MAX, &[1])] {
            expect(device, Request::Pixels { offset, data }, refused);
        }
        expect(device, Request::Scratch { offset: 0, length: DATA_BYTES as u16 + 1 }, refused);
        expect(device, Request::Scratch { offset: u32::MAX, length: 1 }, refused);
    });
    with_device(&reader(), None, |device| {
        let see = Request::See { is_first: true };
        for request in [begin(SIZE), Request::Look { most: 1 }, see, Request::Reading { index: 0 }] {
            expect(device, request, Reply::Error(ErrorCode::NoFrame));
        }
    });
    with_device(&model(PACKING_PORTABLE).finish(), Some(MEMORY), |device| {
        send_page(device);
        expect(device, Request::Look { most: 1 }, Reply::Error(ErrorCode::NoDigits));
        expect(device, Request::See { is_first: true }, Reply::Error(ErrorCode::NoDigits));
    });
}
