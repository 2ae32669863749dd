//! From frames to an answer: pages that are drawn, and a net that knows them by heart.

use firmware::camera::reader::Reader;
use firmware::camera::{FrameSource, SIZE, frame_of};
use firmware::kernels::{Shape, packing};
use firmware::model::writer::{ModelBuilder, OpSpec, OutputStageSpec, Parameters};
use firmware::model::{Element, Model, Preference, Tensor};
use firmware::plan::Interpreter;
use firmware::vision::vote::Rule;
use firmware::vision::{DIGITS, Error, Finder, Format, Frame, MAX_CLASSES, Pixels, SIDE, scratch_words};
use zerocopy::IntoBytes;

const WIDTH: usize = SIZE[0];
const HEIGHT: usize = SIZE[1];

/// A page with bars: columns, rows.
fn page(bars: &[[usize; 4]]) -> Vec<u32> {
    let mut grey = vec![200u8; WIDTH * HEIGHT];
    for [left, right, top, bottom] in bars {
        (*top..*bottom).for_each(|y| grey[y * WIDTH..][*left..*right].fill(60));
    }
    grey.chunks(4).map(|bytes| u32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn seven(left: usize) -> Vec<u32> {
    page(&[[left, left + 30, 40, 46], [left + 24, left + 30, 46, 84]])
}

fn one() -> Vec<u32> {
    page(&[[70, 77, 30, 80]])
}

/// No digit, though vision finds it.
fn letter() -> Vec<u32> {
    page(&[[60, 66, 40, 84], [84, 90, 40, 84], [66, 84, 59, 65]])
}

/// What the net sees of a page.
fn pixels(page: &[u32]) -> Pixels {
    let mut scratch = vec![0; scratch_words(WIDTH, HEIGHT)];
    let mut finder = Finder::new(&mut scratch);
    let frame = frame_of(page, SIZE, Format::Grey).unwrap();
    let digits = finder.find(&frame).unwrap();
    let mut pixels = [0; SIDE * SIDE];
    finder.normalize(&frame, digits.best().expect("something to see"), &mut pixels).unwrap();
    pixels
}

/// A net of one layer whose classes are pages: the sum of what is light on both and dark on both, less what differs.
fn net(inputs: usize, classes: &[(usize, Vec<u32>)], count: usize) -> Vec<u8> {
    let mut weights = vec![0; inputs * count];
    for (class, page) in classes {
        let seen = pixels(page);
        weights[class * inputs..][..inputs].iter_mut().zip(seen).for_each(|(weight, seen)| *weight = seen.signum());
    }
    let stage = OutputStageSpec { bias: vec![0; count], multipliers: vec![1 << 30; count], ..Default::default() };
    let tensor = |offset, channels, element, scale| {
        let shape = Shape { height: 1, width: 1, channels };
        Tensor { offset, shape, element, zero_point: 0, scale }
    };
    let model = ModelBuilder {
        name: "by heart".into(),
        labels: vec![],
        tensors: vec![tensor(0, inputs, Element::I8, 1.0), tensor(inputs, count, Element::I32, 1e-3)],
        ops: vec![OpSpec {
            input: 0,
            output: 1,
            packing: 0,
            preference: Preference::default(),
            parameters: Parameters::Dense {
                weights: packing::dense(0, &weights, [count, inputs]),
                output_stage: stage,
            },
        }],
        input: 0,
        output: 1,
        text: None,
    };
    model.finish()
}

/// Pages one after another, and sometimes none.
struct Album(std::vec::IntoIter<Option<Vec<u32>>>);

impl FrameSource for Album {
    type Error = &'static str;

    fn size(&self) -> [usize; 2] {
        SIZE
    }

    fn format(&self) -> Format {
        Format::Grey
    }

    fn capture<'b>(&mut self, buffer: &'b mut [u32]) -> Result<Frame<'b>, Self::Error> {
        let page = self.0.next().flatten().ok_or("lost")?;
        buffer[..page.len()].copy_from_slice(&page);
        frame_of(buffer, SIZE, Format::Grey).map_err(|_| "short")
    }
}

/// Answers after each frame, `None` outside where one was lost.
fn watch(container: &[u8], frames: Vec<Option<Vec<u32>>>) -> Vec<Option<Option<usize>>> {
    with_reader(container, scratch_words(WIDTH, HEIGHT), |see| {
        let (count, mut album) = (frames.len(), Album(frames.into_iter()));
        let mut buffer = vec![0; WIDTH * HEIGHT / 4];
        (0..count).map(|_| album.capture(&mut buffer).ok().map(|frame| see(&frame).unwrap())).collect()
    })
}

type See<'s> = &'s mut dyn FnMut(&Frame<'_>) -> Result<Option<usize>, Error>;

fn with_reader<R>(container: &[u8], finder_words: usize, run: impl FnOnce(See<'_>) -> R) -> R {
    let mut aligned = vec![0u128; container.len().div_ceil(16)];
    aligned.as_mut_bytes()[..container.len()].copy_from_slice(container);
    let model = Model::parse(&aligned.as_bytes()[..container.len()]).unwrap();
    let [mut arena, mut scratch] = [model.arena_bytes(), model.scratch_bytes()].map(|bytes| vec![0; bytes.div_ceil(4)]);
    let mut finder = vec![0; finder_words];
    let mut interpreter = Interpreter::new(model, &mut arena, &mut scratch).unwrap();
    let (mut finder, mut reader) = (Finder::new(&mut finder), Reader::new(Rule::USUAL));
    run(&mut |frame| reader.see(frame, &mut finder, &mut interpreter))
}

fn shown(frames: &[(usize, Vec<u32>)], classes: usize) -> Vec<Option<usize>> {
    let known = [(1, one()), (7, seven(60)), (10, letter())];
    let known = if classes > DIGITS { &known[..] } else { &known[..2] };
    let frames = frames.iter().flat_map(|(count, page)| std::iter::repeat_n(Some(page.clone()), *count)).collect();
    watch(&net(SIDE * SIDE, known, classes), frames).into_iter().map(Option::unwrap).collect()
}

#[test]
fn digits_appear_change_and_go() {
    let answers = shown(&[(5, page(&[])), (20, seven(60)), (20, one()), (20, page(&[]))], DIGITS);
    // Where there is nothing, the frames are searched in turn for any ink and for faint ink.
    let expected = [(9, None), (22, Some(7)), (20, Some(1)), (14, None)];
    let expected: Vec<_> = expected.iter().flat_map(|(count, answer)| std::iter::repeat_n(*answer, *count)).collect();
    assert_eq!(answers, expected);
}

#[test]
fn where_a_digit_lies_does_not_matter() {
    let answers = shown(&[(20, seven(20)), (20, seven(110))], DIGITS);
    assert!(answers[6..].iter().all(|answer| *answer == Some(7)));
}

#[test]
fn a_class_that_is_no_digit_speaks_for_none() {
    let answers = shown(&[(20, seven(60)), (20, letter())], DIGITS + 1);
    assert_eq!([answers[19], answers[39]], [Some(7), None]);
}

#[test]
fn what_is_no_digit_does_not_hide_one() {
    // The letter has more ink, and is read first.
    let both = page(&[[20, 28, 40, 90], [52, 60, 40, 90], [28, 52, 61, 70], [110, 116, 40, 80]]);
    let answers = shown(&[(30, both)], DIGITS + 1);
    let first = answers.iter().position(Option::is_some);
    assert!(first.is_some_and(|first| first <= 8) && answers[29] == Some(1), "{answers:?}");
}

#[test]
fn a_digit_is_followed_as_it_moves_with_what_is_none() {
    // Three pixels a frame, from the left of the page to its right.
    let both = |at: usize| {
        page(&[[at, at + 8, 40, 90], [at + 32, at + 40, 40, 90], [at + 8, at + 32, 61, 70], [at + 60, at + 66, 40, 80]])
    };
    let frames: Vec<_> = (0..28).map(|frame| (1, both(4 + 3 * frame))).collect();
    let answers = shown(&frames, DIGITS + 1);
    let first = answers.iter().position(Option::is_some);
    assert!(first.is_some_and(|first| first <= 8), "{answers:?}");
    assert!(answers[8..].iter().all(|answer| *answer == Some(1)), "{answers:?}");
}

#[test]
fn light_ink_is_found_when_dark_ink_is_gone() {
    let board = |page: Vec<u32>| page.iter().map(|pixels| !pixels).collect::<Vec<_>>();
    let answers = shown(&[(20, seven(60)), (20, board(one()))], DIGITS + 1);
    assert_eq!([answers[19], answers[39]], [Some(7), Some(1)]);
}

#[test]
fn frames_that_are_lost_do_not_vote() {
    let frames = [vec![Some(seven(60)); 10], vec![None; 50], vec![Some(seven(60)); 2]].concat();
    let answers = watch(&net(SIDE * SIDE, &[(1, one()), (7, seven(60))], DIGITS), frames);
    assert_eq!(answers[9], Some(Some(7)));
    assert!(answers[10..60].iter().all(Option::is_none));
    assert_eq!(answers[60..], [Some(Some(7)); 2]);
}

#[test]
fn a_model_that_reads_no_digits_is_refused() {
    let page = one();
    let one = frame_of(&page, SIZE, Format::Grey).unwrap();
    for (inputs, classes) in [(SIDE * SIDE, DIGITS - 1), (SIDE * SIDE, MAX_CLASSES + 1), (SIDE * SIDE - 4, DIGITS)] {
        let error = with_reader(&net(inputs, &[], classes), 0, |see| see(&one).err());
        assert_eq!(error, Some(Error::ForeignModel), "{inputs} {classes}");
    }
    let container = net(SIDE * SIDE, &[], MAX_CLASSES);
    let error = with_reader(&container, 7, |see| see(&one).err());
    let needed_words = scratch_words(WIDTH, HEIGHT);
    assert_eq!(error, Some(Error::ScratchTooSmall { needed_words }));
}
