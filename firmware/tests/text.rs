//! Text: the vocabulary's hash, and the reader against a fresh run over the same words.

mod common;

use common::{WINDOW, WORDS, embeddings, text_model};
use firmware::model::format::{PACKING_DSP, PACKING_PORTABLE};
use firmware::model::writer::ModelBuilder;
use firmware::model::{Element, Error, Model, Shape, Tensor};
use firmware::plan::Interpreter;
use firmware::text::{BuildError, Reader, VocabularySpec, words};
use proptest::prelude::*;
use std::time::Instant;

fn container(window: bool) -> Vec<u8> {
    let [table, ..] = embeddings();
    text_model(PACKING_PORTABLE, table, window).finish()
}

/// Runs `with` on a reader of the container, whose memory has rubbish in it.
fn on_reader<T>(container: &[u8], with: impl FnOnce(&mut Reader<'_>, &mut Interpreter<'_, '_>) -> T) -> T {
    let model = Model::parse(container).unwrap();
    let mut memory = [model.arena_bytes(), model.scratch_bytes()].map(|bytes| vec![0x5a5a_5a5a; bytes / 4]);
    let [arena, scratch] = &mut memory;
    let mut interpreter = Interpreter::new(model, arena, scratch).unwrap();
    with(&mut Reader::new(&model).unwrap(), &mut interpreter)
}

/// The answer to a text that comes in pieces, and the numbers of words and of unknown ones.
fn answer<'t>(container: &[u8], pieces: impl IntoIterator<Item = &'t [u8]>) -> (Vec<i32>, [u32; 2]) {
    on_reader(container, |reader, interpreter| {
        for piece in pieces {
            reader.push(interpreter, piece).unwrap();
        }
        reader.answer(interpreter).unwrap();
        (interpreter.output_i32().to_vec(), [reader.words(), reader.unknown()])
    })
}

/// The answer by a road without the reader: the ops on one token after another, all of them each time.
fn answer_to_tokens(container: &[u8], tokens: &[i16]) -> Vec<i32> {
    on_reader(container, |_, interpreter| {
        for token in tokens {
            interpreter.set_token(*token);
            interpreter.run().unwrap();
        }
        interpreter.output_i32().to_vec()
    })
}

/// The tokens of a text, found in the list of words. One in 65,536 other words is taken for one of them.
fn tokens(text: &[u8]) -> Vec<i16> {
    let built = VocabularySpec::build(&WORDS).unwrap();
    let lower = text.to_ascii_lowercase();
    let token = |word: &[u8]| match WORDS.iter().position(|known| known.as_bytes() == word) {
        Some(index) => built.slots[index] as i16 + 1,
        None => built.vocabulary.view().token(word),
    };
    words(&lower).map(token).collect()
}

/// Distinct words: numbers in base 26, in letters.
fn many_words(count: usize) -> Vec<String> {
    let word = |mut number: usize| {
        let mut word = String::new();
        while number > 0 {
            word.push(char::from(b'a' + (number % 26) as u8));
            number /= 26;
        }
        word
    };
    (1..=count).map(|number| word(number * 31)).collect()
}

#[test]
fn every_word_has_a_token_of_its_own() {
    for count in [1, 2, 3, 4, 5, 9, 10, 100, 1000, 20_000, 32_767] {
        let words = many_words(count);
        let built = VocabularySpec::build(&words).unwrap();
        let vocabulary = built.vocabulary.view();
        let mut seen = vec![false; count];
        for (word, slot) in words.iter().zip(&built.slots) {
            assert_eq!(vocabulary.token(word.as_bytes()), *slot as i16 + 1, "{word} of {count}");
            assert!(!std::mem::replace(&mut seen[usize::from(*slot)], true), "{word} of {count}");
        }
        let bytes = 2 * (built.vocabulary.displacements.len() + built.vocabulary.fingerprints.len());
        assert!(count != 20_000 || bytes <= 49_000, "{bytes} bytes");
    }
}

#[test]
fn twenty_thousand_words_are_quick_and_always_alike() {
    let words = many_words(20_000);
    let start = Instant::now();
    let first = VocabularySpec::build(&words).unwrap();
    // A second in the release profile is the aim; this takes a tenth of it even in others.
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert_eq!(VocabularySpec::build(&words).unwrap().vocabulary, first.vocabulary);
}

#[test]
fn fingerprints_refuse_unknown_words() {
    let words = many_words(20_000);
    let built = VocabularySpec::build(&words).unwrap();
    let vocabulary = built.vocabulary.view();
    let passed = (0..500_000).filter(|number| vocabulary.token(format!("{number}").as_bytes()) != 0).count();
    // 2⁻¹⁶ of them, which is 7.6; 50 would be one in ten thousand.
    assert!((1..25).contains(&passed), "{passed} of 500,000");
}

#[test]
fn lists_that_are_no_vocabulary_are_refused() {
    let error = |words: &[&str]| VocabularySpec::build(words).map(|built| built.slots).unwrap_err();
    assert_eq!(error(&[]), BuildError::Count { words: 0 });
    assert_eq!(VocabularySpec::build(&many_words(32_768)).unwrap_err(), BuildError::Count { words: 32_768 });
    assert_eq!(error(&["a", ""]), BuildError::NoWord { index: 1 });
    assert_eq!(error(&["a", "b", "c d"]), BuildError::NoWord { index: 2 });
    assert_eq!(error(&["a-b"]), BuildError::NoWord { index: 0 });
    assert_eq!(error(&["a", "Film"]), BuildError::NoWord { index: 1 });
    assert_eq!(error(&["a", "b", "a"]), BuildError::Duplicate { index: 2 });
}

#[test]
fn a_text_is_read_as_its_tokens_are() {
    for text in ["the film was not good", "It's BAD! Don't... the caf\u{e9}?", "zebra film", "x"] {
        let tokens = tokens(text.as_bytes());
        let unknown = tokens.iter().filter(|token| **token == 0).count() as u32;
        let expected = (answer_to_tokens(&container(false), &tokens), [tokens.len() as u32, unknown]);
        assert_eq!(answer(&container(false), [text.as_bytes()]), expected, "{text}");
    }
    assert_ne!(answer(&container(false), [&b"good"[..]]).0, answer(&container(false), [&b"bad"[..]]).0);
    assert_eq!(tokens("Don't GO".as_bytes()).iter().filter(|token| **token == 0).count(), 1);
}

/// The dense layer over hidden states of zero, computed here.
#[test]
fn an_empty_text_is_answered_from_zero_states() {
    let stage = common::text_head();
    let head = |channel: usize| {
        let product = (i64::from(stage.bias[channel]) << stage.left_shift) * i64::from(stage.multipliers[channel]);
        ((product + (1 << 31)) >> 32) as i32
    };
    let expected = vec![head(0), head(1)];
    for window in [false, true] {
        for text in [&b""[..], b" \n\t...!", b"\""] {
            assert_eq!(answer(&container(window), [text]), (expected.clone(), [0, 0]));
        }
        // Also behind another text.
        on_reader(&container(window), |reader, interpreter| {
            reader.push(interpreter, b"good good film and the bad it's not").unwrap();
            reader.answer(interpreter).unwrap();
            assert_ne!(interpreter.output_i32(), expected);
            reader.restart(interpreter).unwrap();
            reader.answer(interpreter).unwrap();
            assert_eq!((interpreter.output_i32(), reader.words(), reader.unknown()), (&expected[..], 0, 0));
        });
    }
}

#[test]
fn any_bytes_are_a_text() {
    let megabyte = "not good \u{1f600}".repeat(1 << 16).into_bytes();
    assert!(megabyte.len() >= 750_000);
    let endless_word = vec![b'x'; 1 << 20];
    for (text, expected) in [
        (&[0, 0, b' ', 0xff, 0xfe, b'.', 0xc3, b'('][..], [3, 3]),
        ("\u{1f600} film \u{1f600}".as_bytes(), [3, 2]),
        (&megabyte, [(1 << 16) * 2 + 1, 1 << 16]),
        (&endless_word, [1, 1]),
        (b"zebra lion", [2, 2]),
    ] {
        for window in [false, true] {
            let (_, counts) = answer(&container(window), [text]);
            assert_eq!(counts, expected, "a text of {} bytes", text.len());
        }
    }
}

/// Words of the vocabulary, unknown ones, separators, and bytes of no use.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(&WORDS[..]).prop_map(|word| word.as_bytes().to_vec()),
        2 => prop::sample::select(&["FILM", "Good", "zebra", "\u{1f600}"][..]).prop_map(|word| word.as_bytes().to_vec()),
        6 => prop::sample::select(&[" ", "\n", ", ", "...", "'", "\t-"][..]).prop_map(|gap| gap.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Wherever a text is cut, and whatever was asked or read before, the answer is that of a fresh run over its words,
    /// or over the last of them.
    #[test]
    fn pieces_do_not_matter(
        text in text(),
        before in text(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..10),
        table in 0usize..3,
        packing in prop::sample::select(&[PACKING_PORTABLE, PACKING_DSP][..]),
        window: bool,
    ) {
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
        cuts.extend([0, text.len()]);
        cuts.sort_unstable();
        let pieces = cuts.windows(2).map(|ends| &text[ends[0]..ends[1]]);
        let tokens = tokens(&text);
        let first = if window { tokens.len().saturating_sub(WINDOW) } else { 0 };
        let container = text_model(packing, embeddings()[table].clone(), window).finish();
        let (logits, counts) = on_reader(&container, |reader, interpreter| {
            reader.push(interpreter, &before).unwrap();
            reader.answer(interpreter).unwrap();
            reader.restart(interpreter).unwrap();
            for piece in pieces {
                reader.push(interpreter, piece).unwrap();
            }
            reader.answer(interpreter).unwrap();
            // A second time changes nothing.
            let logits = interpreter.output_i32().to_vec();
            reader.answer(interpreter).unwrap();
            assert_eq!(interpreter.output_i32(), logits);
            (logits, [reader.words(), reader.unknown()])
        });
        let unknown = tokens.iter().filter(|token| **token == 0).count();
        prop_assert_eq!(counts, [tokens.len() as u32, unknown as u32]);
        if !tokens.is_empty() {
            prop_assert_eq!(logits, answer_to_tokens(&container, &tokens[first..]));
        }
    }

    /// Asking between words changes nothing either.
    #[test]
    fn an_answer_after_each_word_is_that_of_the_words_so_far(text in text(), window: bool) {
        let (tokens, container) = (tokens(&text), container(window));
        let lower = text.to_ascii_lowercase();
        on_reader(&container, |reader, interpreter| {
            for (number, word) in words(&lower).enumerate() {
                reader.push(interpreter, word).unwrap();
                reader.answer(interpreter).unwrap();
                let first = if window { (number + 1).saturating_sub(WINDOW) } else { 0 };
                let expected = answer_to_tokens(&container, &tokens[first..=number]);
                assert_eq!(interpreter.output_i32(), expected);
            }
        });
    }
}

/// Says which error a change of the builder leads to.
fn refused(change: impl FnOnce(&mut ModelBuilder)) -> Option<Error> {
    let [table, ..] = embeddings();
    let mut builder = text_model(PACKING_PORTABLE, table, true);
    change(&mut builder);
    Model::parse(&builder.finish()).err()
}

fn vocabulary(model: &mut ModelBuilder) -> &mut VocabularySpec {
    &mut model.text.as_mut().unwrap().vocabulary
}

#[test]
fn a_vocabulary_that_does_not_fit_is_refused() {
    assert_eq!(refused(|_| ()), None);
    let change = |model: &mut ModelBuilder| *vocabulary(model) = VocabularySpec::build(&WORDS[1..]).unwrap().vocabulary;
    assert_eq!(refused(change), Some(Error::VocabularySize { words: 8, rows: 10 }));
    assert_eq!(refused(|model| vocabulary(model).displacements.clear()), Some(Error::Vocabulary));
    assert_eq!(refused(|model| vocabulary(model).fingerprints.clear()), Some(Error::Vocabulary));
    assert_eq!(refused(|model| vocabulary(model).fingerprints = vec![0; 32_768]), Some(Error::Vocabulary));
    // Whatever stands in it, a token is one of the model's.
    assert_eq!(refused(|model| vocabulary(model).displacements.fill(0xffff)), None);
}

#[test]
fn a_model_that_cannot_read_text_is_refused() {
    let not_for_text = Some(Error::NotForText);
    // Without its LSTMs; with another answer; without its embedding; with an op beside the chain.
    assert_eq!(refused(|model| drop(model.ops.drain(1..3))), not_for_text);
    assert_eq!(refused(|model| model.output = 4), not_for_text);
    assert_eq!(refused(|model| drop(model.ops.drain(..1))), not_for_text);
    assert_eq!(
        refused(|model| {
            let repeated = model.ops[3].clone();
            model.ops.push(repeated);
        }),
        not_for_text
    );
    // Without text, nothing of this matters.
    let change = |model: &mut ModelBuilder| {
        model.text = None;
        model.labels.clear();
        model.output = 4;
    };
    assert_eq!(refused(change), None);
}

#[test]
fn what_keeps_a_state_lies_apart() {
    let shared = |tensor| Some(Error::StateShared { tensor });
    // Tensors: 2 and 4 hidden, 3 and 5 cell states, 6 the logits, 7 the window.
    assert_eq!(refused(|model| model.tensors[6].offset = 20), shared(3));
    assert_eq!(refused(|model| model.tensors[3].offset = 0), shared(3));
    assert_eq!(refused(|model| model.tensors[7].offset = 36), shared(7));
    assert_eq!(refused(|model| model.text.as_mut().unwrap().window = Some(5)), shared(5));
    assert_eq!(refused(|model| model.text.as_mut().unwrap().window = Some(0)), shared(0));
    assert_eq!(
        refused(|model| model.text.as_mut().unwrap().window = Some(4)),
        Some(Error::TensorMalformed { tensor: 4 })
    );
    assert_eq!(refused(|model| model.text.as_mut().unwrap().window = Some(9)), Some(Error::NoSuchTensor { tensor: 9 }));
    // A tensor that nothing uses may not lie there either.
    let unused = Tensor { offset: 12, shape: Shape::vector(1), element: Element::I8, zero_point: 0, scale: 1.0 };
    assert_eq!(refused(|model| model.tensors.push(unused)), shared(2));
    // Two LSTMs with the same states.
    let again = |model: &mut ModelBuilder| {
        model.text = None;
        let first = model.ops[1].clone();
        model.ops.insert(2, first);
    };
    assert_eq!(refused(again), shared(3));
}
