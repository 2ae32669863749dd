//! Golden vectors: what the twin computes for a few inputs, layer by layer, so that a board, a browser or a later
//! version of the kernels can be held against it without any data set.

use crate::twin::{Reading, Twin};
use anyhow::Result;
use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

/// The content of `<name>.golden.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// Name of the model.
    pub model: String,
    /// CRC-32 of the container that the vectors belong to.
    pub model_crc32: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vectors: Vec<Vector>,
    /// Of a model that reads text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub texts: Vec<TextVector>,
}

/// A text and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TextVector {
    pub text: String,
    pub words: u32,
    /// Words that the model does not know.
    pub unknown: u32,
    /// CRC-32 of every tensor's bytes at the end, in the container's order.
    pub tensors_crc32: Vec<u32>,
    /// The logit.
    pub output: Vec<i32>,
}

/// Texts of every kind: none, known words, unknown ones, long ones, no ASCII.
const TEXTS: [&str; 8] = [
    "",
    "A great film.",
    "the worst movie i have ever seen",
    "not bad at all, but not good either",
    "I can't recommend this <br />to ANYONE!",
    "zxqv 0x7f qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq",
    "caf\u{e9} na\u{ef}ve \u{1f600} \u{4e2d}\u{6587} ... --- ...",
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen \
     twenty one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen \
     nineteen twenty one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen \
     eighteen nineteen twenty one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen \
     seventeen eighteen nineteen twenty and so on and on and on",
];

/// One input and what follows from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vector {
    /// What kind of input it is.
    pub name: String,
    /// NHWC, two hexadecimal digits a value (two's complement).
    pub input: String,
    /// CRC-32 (ISO-HDLC) of every tensor's bytes, in the container's order; int32 is little-endian.
    pub tensors_crc32: Vec<u32>,
    /// The answer.
    pub output: Vec<i32>,
}

/// The most that a file of golden vectors may take, in bytes.
const FILE_BYTES: usize = 200_000;

impl Golden {
    /// Runs the twin of `container` over inputs that lie at the ends of the range, change slowly, or are noise: no
    /// data set is needed to make them again.
    pub fn new(container: &[u8]) -> Result<Self> {
        let mut twin = Twin::new(container)?;
        let length = twin.model().input().bytes();
        let vectors = inputs(length).map(|(name, input)| {
            let tensors_crc32 = twin.trace(&input)?.iter().map(|bytes| crc32(bytes)).collect();
            let hex = input.iter().map(|value| format!("{value:02x}")).collect();
            Ok(Vector { name: name.into(), input: hex, tensors_crc32, output: twin.answer() })
        });
        let vectors = vectors.collect::<Result<_>>()?;
        Ok(Self { model: twin.model().name().into(), model_crc32: twin.model().crc32(), vectors, texts: Vec::new() })
    }

    /// Lets the twin of `container` read a few texts.
    pub fn of_text(container: &[u8]) -> Result<Self> {
        let mut twin = Twin::new(container)?;
        let texts = TEXTS.map(|text| {
            let Reading { words, unknown, output } = twin.read(text.as_bytes())?;
            let tensors_crc32 = twin.tensors().iter().map(|bytes| crc32(bytes)).collect();
            Ok(TextVector { text: text.into(), words, unknown, tensors_crc32, output })
        });
        let texts = texts.into_iter().collect::<Result<_>>()?;
        let (model, model_crc32) = (twin.model().name().into(), twin.model().crc32());
        Ok(Self { model, model_crc32, vectors: Vec::new(), texts })
    }

    /// The file's text.
    pub fn to_json(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }
}

impl Vector {
    /// The input's values; `None` where the hexadecimal digits are broken.
    pub fn input(&self) -> Option<Vec<i8>> {
        let byte = |digits: &[u8]| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok();
        self.input.as_bytes().chunks(2).map(|digits| byte(digits).map(|byte| byte as i8)).collect()
    }
}

/// CRC-32 as in the container's header.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc::Crc::<u32>::new(&firmware::model::format::CRC32).checksum(bytes)
}

/// Up to eight inputs of `length` values: as many as fit a file.
fn inputs(length: usize) -> impl Iterator<Item = (&'static str, Vec<i8>)> {
    let fitting = (FILE_BYTES / (2 * length + 1024)).clamp(1, 8);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(0);
    let mut noise = move |ink: f64| -> Vec<i8> {
        (0..length).map(|_| if random.random_bool(ink) { random.random_range(-128..=127) } else { -128 }).collect()
    };
    [
        ("noise", noise(1.0)),
        ("noise on a quarter", noise(0.25)),
        ("noise on a tenth", noise(0.1)),
        ("ramp", (0..length).map(|i| (i * 256 / length) as u8 as i8).collect()),
        ("steps", (0..length).map(|i| ((i * 7) as u8).wrapping_add(128) as i8).collect()),
        ("stripes", (0..length).map(|i| if i / 4 % 2 == 0 { -128 } else { 127 }).collect()),
        ("all −128", vec![-128; length]),
        ("all 127", vec![127; length]),
    ]
    .into_iter()
    .take(fitting)
}
