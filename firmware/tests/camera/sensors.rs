//! What sensors are told.

use crate::fakes::{Clock, Sensor};
use embedded_hal::i2c::{ErrorKind, NoAcknowledgeSource};
use embedded_hal_mock::eh1::i2c::{Mock, Transaction};
use firmware::camera::{Error, Output, SIZE, hm01b0, ov2640, ov7670};

const SILENT: ErrorKind = ErrorKind::NoAcknowledge(NoAcknowledgeSource::Address);

/// SCCB: a register is read by two transfers.
fn read_sccb(address: u8, register: u8, value: u8) -> [Transaction; 2] {
    [Transaction::write(address, vec![register]), Transaction::read(address, vec![value])]
}

fn read_word(address: u8, register: u16, value: u8) -> Transaction {
    Transaction::write_read(address, register.to_be_bytes().to_vec(), vec![value])
}

/// Where the signal processor's registers put the edges of the picture, computed from them as the data sheet says.
fn ov2640_size(sensor: &Sensor) -> [[usize; 2]; 3] {
    let value = |register| usize::from(sensor.value(ov2640::PROCESSOR, register).unwrap());
    let [sent_width, sent_height] = [8 * value(0xC0) + (value(0x8C) >> 3 & 7), 8 * value(0xC1) + (value(0x8C) & 7)];
    let [width, height] = [value(0x51) + (value(0x55) & 8) * 32, value(0x52) + (value(0x55) & 128) * 2];
    let [across, down] = [value(0x50) & 7, value(0x50) >> 3 & 7];
    let out = [4 * (value(0x5A) + (value(0x5C) & 3) * 256), 4 * (value(0x5B) + (value(0x5C) & 4) * 64)];
    [[sent_width, sent_height], [(4 * width) >> across, (4 * height) >> down], out]
}

#[test]
fn ov2640_is_reset_and_then_sends_the_size_and_format() {
    for (output, image_mode) in [(Output::Rgb565, 0x08), (Output::Yuv422, 0x00)] {
        for version in [0x41, 0x42] {
            let (mut sensor, mut clock) = (Sensor::ov2640([0x26, version]), Clock::default());
            ov2640::set_up(&mut sensor, &mut clock, output).unwrap();
            assert_eq!(clock.ms(), 100);
            assert_eq!(sensor.value(ov2640::SENSOR, 0x12), Some(0x40), "800×600");
            let [sent, divided, out] = ov2640_size(&sensor);
            assert_eq!(sent, [800, 600]);
            assert_eq!(divided, [200, 150]);
            assert_eq!(out, SIZE);
            assert_eq!(sensor.value(ov2640::PROCESSOR, 0xDA), Some(image_mode));
            // Neither reset nor bypassed any more, nor mirrored.
            assert_eq!(sensor.value(ov2640::PROCESSOR, 0xE0), Some(0));
            assert_eq!(sensor.value(ov2640::PROCESSOR, 0x05), Some(0));
            assert_eq!(sensor.value(ov2640::SENSOR, 0x04).map(|value| value & 0xC0), Some(0));
        }
    }
}

#[test]
fn ov2640_begins_with_its_bank_and_identity() {
    let bank = Transaction::write(0x30, vec![0xFF, 0x01]);
    let [high, low] = [read_sccb(0x30, 0x0A, 0x26), read_sccb(0x30, 0x0B, 0x43)];
    let mut bus = Mock::new(&[vec![bank], high.to_vec(), low.to_vec()].concat());
    let error = ov2640::set_up(bus.clone(), &mut Clock::default(), Output::Yuv422);
    assert_eq!(error, Err(Error::WrongChip { found: 0x2643 }));
    bus.done();
}

#[test]
fn ov7670_is_reset_and_then_sends_the_size_and_format() {
    for (output, format) in [(Output::Rgb565, [0x04, 0xD0]), (Output::Yuv422, [0x00, 0xC0])] {
        let (mut sensor, mut clock) = (Sensor::ov7670(), Clock::default());
        ov7670::set_up(&mut sensor, &mut clock, output).unwrap();
        // 10 after the reset, one after each of 42 values, 300 at the end.
        assert_eq!(clock.ms(), 352);
        let value = |register| usize::from(sensor.value(0, register).unwrap());
        // The window, in columns of 784 and rows.
        let first = [8 * value(0x17) + (value(0x32) & 7), 4 * value(0x19) + (value(0x03) & 3)];
        let end = [8 * value(0x18) + (value(0x32) >> 3 & 7), 4 * value(0x1A) + (value(0x03) >> 2 & 3)];
        let [width, height] = [(784 + end[0] - first[0]) % 784, end[1] - first[1]];
        assert_eq!([width >> (value(0x72) & 3), height >> (value(0x72) >> 4 & 3)], SIZE);
        // Clocks that fit it: scaling on, by hand, a quarter of the pixels.
        assert_eq!([value(0x0C) & 0x0C, value(0x3E), value(0x73) & 0x0F], [0x04, 0x1A, 0x02]);
        assert_eq!([value(0x12), value(0x40)], format);
    }
}

#[test]
fn ov7670_begins_with_its_identity_and_a_reset() {
    let identity = [read_sccb(0x21, 0x0A, 0x76), read_sccb(0x21, 0x0B, 0x73)].concat();
    let reset = Transaction::write(0x21, vec![0x12, 0x80]);
    let lost = Transaction::write(0x21, vec![0x12, 0x00]).with_error(SILENT);
    let mut bus = Mock::new(&[identity, vec![reset, lost]].concat());
    let error = ov7670::set_up(bus.clone(), &mut Clock::default(), Output::Yuv422);
    assert_eq!(error, Err(Error::I2c(SILENT)));
    bus.done();
    let mut bus = Mock::new(&[read_sccb(0x21, 0x0A, 0x77), read_sccb(0x21, 0x0B, 0x21)].concat());
    let error = ov7670::set_up(bus.clone(), &mut Clock::default(), Output::Yuv422);
    assert_eq!(error, Err(Error::WrongChip { found: 0x7721 }));
    bus.done();
}

#[test]
fn hm01b0_is_reset_and_then_sends_half_of_both_sides() {
    let (mut sensor, mut clock) = (Sensor::hm01b0(), Clock::default());
    hm01b0::set_up(&mut sensor, &mut clock).unwrap();
    assert_eq!(clock.ms(), 10);
    let value = |register| sensor.value(0, register).unwrap();
    let word = |register| u16::from_be_bytes([value(register), value(register + 1)]);
    assert_eq!([value(0x0383), value(0x0387), value(0x0390), value(0x3010)], [3, 3, 3, 1]);
    // More than the pixels of a row and the rows of a frame, and an exposure that ends before the frame does.
    assert!(word(0x0342) > 162 && word(0x0340) > 122 && word(0x2105) < word(0x0340));
    assert_eq!([value(0x3059), value(0x0104), value(0x0100)], [0x02, 0x01, 0x01]);
    assert_eq!(hm01b0::SENT.map(|side| side - 2), SIZE);
}

#[test]
fn hm01b0_that_never_stands_by_is_given_up() {
    let mut script = vec![read_word(0x24, 0x0000, 0x01), read_word(0x24, 0x0001, 0xB0)];
    for _ in 0..10 {
        script.extend([Transaction::write(0x24, vec![0x01, 0x03, 0x01]), read_word(0x24, 0x0100, 0x01)]);
    }
    let (mut bus, mut clock) = (Mock::new(&script), Clock::default());
    let error = hm01b0::set_up(bus.clone(), &mut clock);
    assert_eq!(error, Err(Error::TimedOut { waited_ms: 100 }));
    assert_eq!(clock.ms(), 100);
    bus.done();
    let mut bus = Mock::new(&[read_word(0x24, 0x0000, 0x03), read_word(0x24, 0x0001, 0x60)]);
    assert_eq!(hm01b0::set_up(bus.clone(), &mut Clock::default()), Err(Error::WrongChip { found: 0x0360 }));
    bus.done();
}

/// Sets a sensor up over a bus of which ever more transfers work, until it succeeds.
fn fails_anywhere(new: fn() -> Sensor, set_up: impl Fn(&mut Sensor) -> Result<(), Error>) {
    for transfers in 0.. {
        let mut sensor = new();
        sensor.transfers_left = transfers;
        match set_up(&mut sensor) {
            Ok(()) => return assert!(transfers > 40, "{transfers}"),
            Err(error) => assert_eq!(error, Error::I2c(SILENT), "{transfers}"),
        }
        assert_eq!(sensor.transfers_left, 0, "one that failed is not followed by another");
    }
}

#[test]
fn a_bus_that_fails_anywhere_is_an_error() {
    fails_anywhere(
        || Sensor::ov2640([0x26, 0x41]),
        |sensor| ov2640::set_up(sensor, &mut Clock::default(), Output::Yuv422),
    );
    fails_anywhere(Sensor::ov7670, |sensor| ov7670::set_up(sensor, &mut Clock::default(), Output::Rgb565));
    fails_anywhere(Sensor::hm01b0, |sensor| hm01b0::set_up(sensor, &mut Clock::default()));
}
