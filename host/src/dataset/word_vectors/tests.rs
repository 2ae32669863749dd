use super::*;
use crate::dataset::imdb;
use std::collections::HashMap;

/// Texts in which words 1 to 4 stand among 5 to 7, and 8 to 11 among 12 to 14; 15 is absent.
fn samples() -> Vec<Vec<u16>> {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(1);
    let word = |generator: &mut Xoshiro256PlusPlus, first: u16| match generator.random_range(0..8) {
        0 => 0,
        1..4 => first + generator.random_range(0..4),
        _ => first + 4 + generator.random_range(0..3),
    };
    (0..200).map(|i| (0..30).map(|_| word(&mut generator, if i % 2 == 0 { 1 } else { 8 })).collect()).collect()
}

fn vectors(samples: &[Vec<u16>], dimensions: usize) -> Vec<f32> {
    word_vectors(&samples.iter().map(Vec::as_slice).collect::<Vec<_>>(), 16, dimensions, 7)
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn words_of_one_subject_are_alike() {
    let vectors = vectors(&samples(), 2);
    let vector = |word: usize| &vectors[2 * word..][..2];
    assert!(cosine(vector(1), vector(2)) > 0.9);
    assert!(cosine(vector(8), vector(14)) > 0.9);
    assert!(cosine(vector(1), vector(8)).abs() < 0.1);
    assert!([0, 15].iter().all(|&word| vector(word) == [0.0, 0.0]));
    let square = vectors.iter().map(|x| x * x).sum::<f32>() / (14.0 * 2.0);
    assert!((square - 1.0).abs() < 1e-5, "{square}");
}

#[test]
fn near_words_count_by_their_distance() {
    let counts = count(&[&[1, 2, 0, 1, 0, 0, 0, 3], &[2, 2]], 4);
    let rows: Vec<Vec<(u16, f32)>> = counts.rows().map(Iterator::collect).collect();
    let expected = [
        vec![],
        vec![(1, 16.0), (2, 19.0), (3, 11.0)],
        vec![(1, 19.0), (2, 20.0), (3, 5.0)],
        vec![(1, 11.0), (2, 5.0)],
    ];
    assert_eq!(rows, expected);
}

#[test]
fn information_is_the_formulas() {
    let text: [u16; 4] = [1, 2, 1, 3];
    let counts = count(&[&text], 4);
    let count = [[0.0; 4], [0.0, 18.0, 20.0, 18.0], [0.0, 20.0, 0.0, 9.0], [0.0, 18.0, 9.0, 0.0]];
    let sums = count.map(|row: [f64; 4]| row.iter().sum::<f64>());
    let smoothed: f64 = sums.iter().map(|sum| sum.powf(0.75)).sum();
    let information = information(&counts);
    let mut seen = 0;
    for (i, row) in information.rows().enumerate() {
        for (j, value) in row {
            let j = usize::from(j);
            let expected = (count[i][j] / sums[i] / (sums[j].powf(0.75) / smoothed)).ln();
            assert!((f64::from(value) - expected).abs() < 1e-5, "{i} {j}: {value}, expected {expected}");
            seen += 1;
        }
    }
    let positive = |i: usize, j: usize| count[i][j] / sums[i] > sums[j].powf(0.75) / smoothed;
    assert_eq!(seen, (0..16).filter(|place| positive(place / 4, place % 4)).count());
}

/// The leading part of a matrix whose decomposition is known: `Σ σ·u·vᵀ` with u, v from the cosine transform.
#[test]
fn the_decomposition_is_the_exact_one() {
    const SIZE: usize = 120;
    let wave = |k: usize, i: usize| {
        let angle = std::f64::consts::PI * (i as f64 + 0.5) * k as f64 / SIZE as f64;
        angle.cos() * (if k == 0 { 1.0 } else { 2.0 } / SIZE as f64).sqrt()
    };
    let sigma = |k: usize| 10.0 * 0.8f64.powi(k as i32);
    let mut matrix = Sparse::new();
    for row in 0..SIZE {
        for column in 0..SIZE {
            let value: f64 = (0..SIZE).map(|k| sigma(k) * wave(k, row) * wave(SIZE - 1 - k, column)).sum();
            matrix.push(column as u16, value as f32);
        }
        matrix.end_row();
    }
    let (vectors, values) = svd(&matrix, 10, 3);
    for (k, &value) in values.iter().enumerate() {
        assert!((f64::from(value) - sigma(k)).abs() < 1e-4 * sigma(k), "σ {k} is {value}, expected {}", sigma(k));
        let dot: f64 = vectors.rows().enumerate().map(|(i, row)| f64::from(row[k]) * wave(k, i)).sum();
        assert!(dot.abs() > 0.9999, "the vector {k} has the cosine {dot}");
    }
}

#[test]
fn vectors_do_not_depend_on_the_number_of_threads() {
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(5);
    // Squares make some words frequent, as in texts.
    let word = |draw: f32| (draw * draw * 2_000.0) as u16;
    let text: Vec<u16> = (0..60_000).map(|_| word(generator.random())).collect();
    let samples: Vec<&[u16]> = text.chunks(100).collect();
    let with_threads = |count: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
        pool.install(|| word_vectors(&samples, 2_000, 8, 1))
    };
    let expected = with_threads(1);
    assert!(with_threads(2) == expected && with_threads(5) == expected);
}

#[test]
fn few_words_have_few_singular_values() {
    let vectors = vectors(&[vec![1, 2, 3, 1, 2]], 9);
    assert_eq!(vectors.len(), 16 * 9);
    assert!(vectors.chunks(9).all(|vector| vector[4..] == [0.0; 5]) && vectors.iter().all(|value| value.is_finite()));
    assert_eq!(word_vectors(&[], 3, 2, 1), [0.0; 6]);
}

#[test]
fn neighbours_of_real_words_make_sense() {
    if !std::env::var_os("HOST_DATA").is_some_and(|shared| std::path::Path::new(&shared).join("imdb").is_dir()) {
        return eprintln!("skipped: HOST_DATA names no folder with film reviews");
    }
    let reviews = imdb::reviews(None).unwrap();
    let words = imdb::ranking(reviews.train.iter().map(|review| review.text.as_str()));
    let numbers: HashMap<&str, u16> = words.iter().take(1_999).map(String::as_str).zip(1..).collect();
    let tokens = |text: &str| -> Vec<u16> {
        imdb::words(&text.to_ascii_lowercase()).map(|word| numbers.get(word).copied().unwrap_or(0)).collect()
    };
    let texts: Vec<Vec<u16>> = reviews.train.iter().step_by(2).map(|review| tokens(&review.text)).collect();
    let vectors = word_vectors(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>(), 2_000, 32, 1);
    let vector = |number: u16| &vectors[32 * usize::from(number)..][..32];
    for (word, expected) in [("good", "great"), ("actor", "actress"), ("bad", "awful"), ("son", "daughter")] {
        let place = |other: u16| cosine(vector(numbers[word]), vector(other));
        let nearer = (1..2_000).filter(|&other| place(other) > place(numbers[expected])).count();
        assert!(nearer <= 20, "{nearer} words are nearer to {word} than {expected}");
    }
}
