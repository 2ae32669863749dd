//! ArduCAM: OV2640 and ArduChip.

use crate::fakes::{ArduChip, Clock, Sensor};
use embedded_hal::spi::ErrorKind;
use embedded_hal_mock::eh1::spi::{Mock, Transaction};
use firmware::camera::{ArduCam, Error, FrameSource, Module, Output, SIZE, frame_words};
use firmware::vision;
use proptest::prelude::*;
use zerocopy::IntoBytes;

const FRAME_BYTES: usize = 160 * 120 * 2;
const WORDS: usize = FRAME_BYTES / 4;
const PLUS: Module = Module::Mini2MpPlus;

/// A frame in which no two neighbourhoods are alike.
fn frame() -> Vec<u8> {
    (0..FRAME_BYTES as u32).map(|place| (place.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

fn sensor() -> Sensor {
    Sensor::ov2640([0x26, 0x42])
}

/// An ArduCAM around a chip that is imitated.
fn camera(chip: ArduChip, clock: &Clock) -> ArduCam<ArduChip, Clock> {
    ArduCam::new(chip, sensor(), clock.clone(), PLUS, Output::Yuv422).unwrap()
}

/// The transactions of one command each.
fn write(register: u8, value: u8) -> Vec<Transaction<u8>> {
    vec![
        Transaction::transaction_start(),
        Transaction::write_vec(vec![register | 0x80, value]),
        Transaction::transaction_end(),
    ]
}

fn read(register: u8, values: &[u8]) -> Vec<Transaction<u8>> {
    vec![
        Transaction::transaction_start(),
        Transaction::write_vec(vec![register]),
        Transaction::read_vec(values.to_vec()),
        Transaction::transaction_end(),
    ]
}

/// Reset, test, one frame a capture.
fn opening() -> Vec<Vec<Transaction<u8>>> {
    vec![
        write(0x07, 0x80),
        write(0x07, 0x00),
        write(0x00, 0x55),
        read(0x00, &[0x55]),
        write(0x00, 0xAA),
        read(0x00, &[0xAA]),
        write(0x01, 0x00),
    ]
}

#[test]
fn the_whole_traffic_of_a_frame() {
    let frame = frame();
    let mut script = opening();
    script.extend([
        write(0x04, 0x01),
        write(0x04, 0x02),
        read(0x41, &[0x00]),
        read(0x41, &[0x01]),
        read(0x41, &[0x09]),
    ]);
    // 38,400 bytes.
    script.extend([read(0x42, &[0x00]), read(0x43, &[0x96]), read(0x44, &[0x00])]);
    script.extend(frame.chunks(1_024).map(|chunk| read(0x3C, chunk)));
    let mut spi = Mock::new(&script.concat());
    let clock = Clock::default();
    let mut camera = ArduCam::new(spi.clone(), sensor(), clock.clone(), PLUS, Output::Rgb565).unwrap();
    // Twice 100 ms around the chip's reset, 100 after the sensor's.
    assert_eq!(clock.ms(), 300);
    assert_eq!((camera.size(), camera.format()), (SIZE, vision::Format::Rgb565Be));
    let mut buffer = [0; WORDS];
    let got = camera.capture(&mut buffer).unwrap();
    assert_eq!([got.width(), got.height()], SIZE);
    assert_eq!(clock.ms(), 302);
    assert!(buffer.as_bytes() == frame, "the frame differs");
    spi.done();
}

#[test]
fn the_first_chip_loses_the_first_byte_of_each_burst() {
    let mut chip = ArduChip::new(FRAME_BYTES as u32, frame());
    chip.begins_late = true;
    let mut camera = ArduCam::new(chip, sensor(), Clock::default(), Module::Mini2Mp, Output::Yuv422).unwrap();
    let mut buffer = [0; WORDS];
    assert!(camera.capture(&mut buffer).is_ok());
    assert!(buffer.as_bytes() == frame());
}

#[test]
fn without_a_chip_nothing_is_said_to_the_sensor() {
    for stuck in [0x00, 0xFF, 0x55] {
        let written = if stuck == 0x55 { 0xAA } else { 0x55 };
        let mut script = vec![write(0x07, 0x80), write(0x07, 0x00)];
        if stuck == 0x55 {
            script.extend([write(0x00, 0x55), read(0x00, &[0x55])]);
        }
        script.extend([write(0x00, written), read(0x00, &[stuck])]);
        let mut spi = Mock::new(&script.concat());
        let mut sensor = sensor();
        let error = ArduCam::new(spi.clone(), &mut sensor, Clock::default(), PLUS, Output::Yuv422).err();
        assert_eq!(error, Some(Error::Echo { written, read: stuck }));
        assert!(sensor.registers.is_empty());
        spi.done();
    }
}

#[test]
fn another_sensor_behind_the_chip_is_refused() {
    let mut spi = Mock::new(&opening().concat());
    let other = Sensor::ov2640([0x56, 0x42]);
    let error = ArduCam::new(spi.clone(), other, Clock::default(), PLUS, Output::Yuv422).err();
    assert_eq!(error, Some(Error::WrongChip { found: 0x5642 }));
    spi.done();
}

#[test]
fn a_capture_that_never_ends_is_given_up_after_a_second_and_the_next_one_works() {
    let clock = Clock::default();
    let mut chip = ArduChip::new(FRAME_BYTES as u32, frame());
    chip.polls = 1_000;
    let mut camera = camera(chip, &clock);
    let (start, mut buffer) = (clock.ms(), [0; WORDS]);
    assert_eq!(camera.capture(&mut buffer).err(), Some(Error::TimedOut { waited_ms: 1_000 }));
    assert_eq!(clock.ms() - start, 1_000);
    assert!(camera.capture(&mut buffer).is_ok());
    assert!(buffer.as_bytes() == frame());
}

#[test]
fn a_bus_that_fails_anywhere_is_an_error() {
    // Those of a frame: clear, start, done, length, and as many bursts as it takes.
    let bursts = FRAME_BYTES.div_ceil(1_024);
    let whole = opening().len() + 3 + 3 + bursts;
    for works in 0..=whole {
        let mut chip = ArduChip::new(FRAME_BYTES as u32, frame());
        chip.transactions_left = works;
        let camera = ArduCam::new(chip, sensor(), Clock::default(), PLUS, Output::Yuv422);
        let mut buffer = [0; WORDS];
        let outcome = camera.and_then(|mut camera| camera.capture(&mut buffer).map(|_| ()));
        let expected = if works == whole { Ok(()) } else { Err(Error::Spi(ErrorKind::Overrun)) };
        assert_eq!(outcome, expected, "after {works}");
    }
}

#[test]
fn lengths_that_lie_are_errors_at_both_ends_of_what_is_sane() {
    let frame_bytes = FRAME_BYTES as u32;
    // One row of another picture has 320 bytes.
    for length in [frame_bytes, frame_bytes + 8, frame_bytes + 319] {
        let mut buffer = [0; WORDS];
        assert!(camera(ArduChip::new(length, frame()), &Clock::default()).capture(&mut buffer).is_ok(), "{length}");
        assert!(buffer.as_bytes() == frame(), "{length}");
    }
    for length in [0, 1, frame_bytes / 2, frame_bytes - 1, frame_bytes + 320, 2 * frame_bytes, 0x7F_FFFF] {
        let mut buffer = [0; WORDS];
        let mut camera = camera(ArduChip::new(length, frame()), &Clock::default());
        let expected = Error::FrameLength { found_bytes: length, expected_bytes: frame_bytes };
        assert_eq!(camera.capture(&mut buffer).err(), Some(expected));
        assert_eq!(buffer, [0; WORDS], "{length}");
    }
}

#[test]
fn a_buffer_that_is_too_short_is_refused_before_anything_is_captured() {
    assert_eq!(frame_words(SIZE, vision::Format::Yuyv), WORDS);
    let mut camera = camera(ArduChip::new(FRAME_BYTES as u32, frame()), &Clock::default());
    let expected = Error::Frame(vision::Error::FrameTruncated { needed_bytes: FRAME_BYTES });
    assert_eq!(camera.capture(&mut [0; WORDS - 1]).err(), Some(expected));
    // What is longer keeps its end.
    let mut buffer = [7; WORDS + 1];
    assert!(camera.capture(&mut buffer).is_ok());
    assert_eq!(buffer[WORDS], 7);
}

proptest! {
    #[test]
    fn whatever_the_chip_says_it_ends(
        length in 0u32..0x80_0000,
        near in any::<bool>(),
        fifo in prop::collection::vec(any::<u8>(), 0..2_000),
        polls in 0u32..2_000,
        fails in 0usize..3_000,
    ) {
        let clock = Clock::default();
        let length = if near { FRAME_BYTES as u32 - 200 + length % 700 } else { length };
        let mut chip = ArduChip::new(length, fifo.clone());
        (chip.polls, chip.transactions_left) = (polls, opening().len() + fails);
        let mut camera = camera(chip, &clock);
        let (start, mut buffer) = (clock.ms(), [0; WORDS]);
        let outcome = camera.capture(&mut buffer).map(|_| ());
        prop_assert!(clock.ms() - start <= 1_000);
        if outcome.is_ok() {
            prop_assert!((FRAME_BYTES as u32..FRAME_BYTES as u32 + 320).contains(&length) && polls < 1_000);
            prop_assert_eq!(&buffer.as_bytes()[..fifo.len()], &fifo[..]);
        }
    }
}
