//! How many digits are read right when a camera looks at them: simulated frames of MNIST's test digits through
//! `firmware::vision` and a model, as a board computes it.
//!
//! `cargo run --release -p host --example camera -- MNIST_FOLDER MODEL.thm [COUNT] [FAILURES.pgm]`

use firmware::model::Model;
use firmware::plan::Interpreter;
use firmware::vision::{Finder, Format, Frame, scratch_words};
use flate2::read::GzDecoder;
use host::dataset::camera::{Conditions, HEIGHT, SIDE, Subject, WIDTH, shoot};
use std::error::Error;
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Parts of 65,536 from which on an answer counts as one.
const THRESHOLDS: [u32; 6] = [0, 32_768, 45_875, 52_429, 58_982, 62_259];
const SEED: u64 = 5_000_000;

/// What was read in a frame.
#[derive(Clone)]
struct Reading {
    found: usize,
    digit: usize,
    probability: u32,
    pixels: [i8; SIDE * SIDE],
    ink: Vec<bool>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, model, rest @ ..] = arguments.as_slice() else { return Err("MNIST_FOLDER MODEL.thm [COUNT]".into()) };
    let count = rest.first().map_or(Ok(2_000), |count| count.parse())?;
    let images = unpack(&format!("{folder}/t10k-images-idx3-ubyte.gz"), 16)?;
    let labels = unpack(&format!("{folder}/t10k-labels-idx1-ubyte.gz"), 8)?;
    let container = std::fs::read(model)?;
    // Every so many images, so that a small count sees all of the set.
    let index = |place: usize| place * labels.len() / count.max(1);
    let digit = |place: usize| Subject::Digit(&images[index(place) * SIDE * SIDE..][..SIDE * SIDE]);
    for (name, conditions) in [("ideal", Conditions::Ideal), ("field", Conditions::Field)] {
        let readings = read_all(&container, count, |place| shoot(digit(place), conditions, SEED + place as u64).grey)?;
        let is_right =
            |place: usize| readings[place].found > 0 && readings[place].digit == usize::from(labels[index(place)]);
        let right = (0..count).filter(|&place| is_right(place)).count();
        let none = readings.iter().filter(|reading| reading.found == 0).count();
        let several = readings.iter().filter(|reading| reading.found > 1).count();
        println!(
            "{name}: {right} of {count} right, {:.2} %; none found in {none}, several in {several}",
            percent(right, count)
        );
        for threshold in THRESHOLDS {
            let sure = |place: &usize| readings[*place].found > 0 && readings[*place].probability >= threshold;
            let taken = (0..count).filter(sure).count();
            let right = (0..count).filter(sure).filter(|&place| is_right(place)).count();
            println!(
                "  from {:.2}: {:.2} % right, {:.2} % wrong",
                threshold as f32 / 65_536.0,
                percent(right, count),
                percent(taken - right, count)
            );
        }
        if let (Some(path), Conditions::Field) = (rest.get(1), conditions) {
            let wrong: Vec<usize> = (0..count).filter(|&place| !is_right(place)).collect();
            for &place in wrong.iter().take(60) {
                println!(
                    "   {place}: {} read {} found {} p {}",
                    labels[index(place)],
                    readings[place].digit,
                    readings[place].found,
                    readings[place].probability
                );
            }
            let frames: Vec<_> = wrong
                .iter()
                .map(|&place| (shoot(digit(place), conditions, SEED + place as u64).grey, readings[place].clone()))
                .collect();
            save(path, &frames)?;
        }
    }
    let subjects = [
        ("blank", Subject::Blank),
        ("lines", Subject::Lines),
        ("shadows", Subject::Shadows),
        ("scribble", Subject::Scribble),
        ("letter", Subject::Letter),
    ];
    let mut all = Vec::new();
    for (number, (name, subject)) in subjects.into_iter().enumerate() {
        let seed = 2 * SEED + 100_000 * number as u64;
        let readings =
            read_all(&container, count / 5, |place| shoot(subject, Conditions::Field, seed + place as u64).grey)?;
        report(name, &readings);
        if let (Some(path), true) = (rest.get(1), number < 3) {
            let frames: Vec<_> = (0..readings.len())
                .filter(|&i| readings[i].found > 0)
                .map(|i| (shoot(subject, Conditions::Field, seed + i as u64).grey, readings[i].clone()))
                .collect();
            save(&format!("{path}.{name}.pgm"), &frames)?;
        }
        all.extend(readings);
    }
    report("all without a digit", &all);
    Ok(())
}

fn report(name: &str, readings: &[Reading]) {
    let share = |threshold: u32| {
        let taken = readings.iter().filter(|reading| reading.found > 0 && reading.probability >= threshold).count();
        format!("{:.2} % from {:.2}", percent(taken, readings.len()), threshold as f32 / 65_536.0)
    };
    println!("{name}: read as a digit {}", THRESHOLDS.map(share).join(", "));
}

fn percent(part: usize, whole: usize) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

fn unpack(path: &str, header: usize) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut bytes = Vec::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut bytes)?;
    Ok(bytes.split_off(header))
}

/// Reads frames, on two threads.
fn read_all(
    container: &[u8],
    count: usize,
    frame: impl Fn(usize) -> Vec<u8> + Sync,
) -> Result<Vec<Reading>, Box<dyn Error>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let blocks = Aligned::new(container);
        let model = Model::parse(blocks.bytes()).expect("a container");
        let mut memory = [model.arena_bytes(), model.scratch_bytes()].map(|bytes| vec![0; bytes.div_ceil(4)]);
        let [arena, scratch] = &mut memory;
        let mut interpreter = Interpreter::new(model, arena, scratch).expect("enough memory");
        let mut scratch = vec![0; scratch_words(WIDTH, HEIGHT)];
        let mut finder = Finder::new(&mut scratch);
        let mut readings = Vec::new();
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            if place >= count {
                return readings;
            }
            readings.push((place, read(&frame(place), &mut finder, &mut interpreter)));
        }
    };
    let mut all: Vec<(usize, Reading)> = std::thread::scope(|scope| {
        let threads = [(); 2].map(|()| scope.spawn(work));
        threads.into_iter().flat_map(|thread| thread.join().expect("no panic")).collect()
    });
    all.sort_by_key(|(place, _)| *place);
    Ok(all.into_iter().map(|(_, reading)| reading).collect())
}

fn read(bytes: &[u8], finder: &mut Finder<'_>, interpreter: &mut Interpreter<'_, '_>) -> Reading {
    let frame = Frame::new(WIDTH, HEIGHT, Format::Grey, bytes).expect("a whole frame");
    let digits = finder.find(&frame).expect("enough memory");
    let mut reading =
        Reading { found: digits.len(), digit: 0, probability: 0, pixels: [-128; SIDE * SIDE], ink: Vec::new() };
    if let Some(region) = digits.best() {
        finder.normalize(&frame, region, &mut reading.pixels).expect("a region of this frame");
        interpreter.input_mut().copy_from_slice(&reading.pixels);
        interpreter.run().expect("a sound model");
        let logits = interpreter.output_i32();
        let mut probabilities = vec![0; logits.len()];
        firmware::softmax(logits, interpreter.model().output().scale, &mut probabilities);
        reading.digit = firmware::argmax(logits);
        reading.probability = probabilities[reading.digit];
    }
    reading.ink = (0..WIDTH * HEIGHT).map(|i| finder.is_ink(i % WIDTH, i / WIDTH)).collect();
    reading
}

/// Frame, mask and input, one below the other, side by side.
fn save(path: &str, frames: &[(Vec<u8>, Reading)]) -> Result<(), Box<dyn Error>> {
    const ACROSS: usize = 8;
    let (width, rows) = (ACROSS * WIDTH, frames.len().min(48).div_ceil(ACROSS));
    let mut grid = vec![0; width * rows * (2 * HEIGHT + SIDE)];
    for (number, (frame, reading)) in frames.iter().take(48).enumerate() {
        let start = number / ACROSS * (2 * HEIGHT + SIDE) * width + number % ACROSS * WIDTH;
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                grid[start + y * width + x] = frame[y * WIDTH + x];
                grid[start + (HEIGHT + y) * width + x] = if reading.ink[y * WIDTH + x] { 255 } else { 40 };
            }
        }
        for (index, pixel) in reading.pixels.iter().enumerate() {
            grid[start + (2 * HEIGHT + index / SIDE) * width + index % SIDE] = (*pixel as i32 + 128) as u8;
        }
    }
    let mut file = format!("P5 {width} {} 255\n", rows * (2 * HEIGHT + SIDE)).into_bytes();
    file.extend(grid);
    Ok(std::fs::write(path, file)?)
}

/// A container's bytes where they are aligned as in flash.
struct Aligned {
    bytes: Vec<u8>,
    start: usize,
    length: usize,
}

impl Aligned {
    fn new(container: &[u8]) -> Self {
        const ALIGNMENT: usize = firmware::model::format::ALIGNMENT;
        let mut bytes = vec![0; container.len() + ALIGNMENT];
        let start = bytes.as_ptr().align_offset(ALIGNMENT);
        bytes[start..start + container.len()].copy_from_slice(container);
        Self { bytes, start, length: container.len() }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.length]
    }
}
