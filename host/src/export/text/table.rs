//! The embedding as the device stores it.

use crate::graph::CODES;
use crate::quantize::four_bit::{expand, four_bit_rows};
use crate::quantize::product_quantize;
use crate::recipe::Storage;
use firmware::model::writer::EmbeddingSpec;

/// Seed of the codebooks of an embedding that has not been trained as codes.
const SEED: u64 = 1;

/// An embedding in integers: every value is `scale` times an `i8`.
pub struct Table {
    pub scale: f32,
    pub spec: EmbeddingSpec,
    dimensions: usize,
}

impl Table {
    /// The table `embedding` `[vocabulary][dimensions]`, stored as `storage` says. Where its rows already are made of so few
    /// different parts that codes lose nothing, as training leaves them, the codes are those.
    pub fn new([vocabulary, dimensions]: [usize; 2], embedding: &[f32], storage: Storage) -> Self {
        let largest = |values: &[f32]| values.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
        let int8 = |values: &[f32], scale: f32| values.iter().map(|value| (value / scale).round() as i8).collect();
        let (scale, spec) = match storage {
            Storage::Int8 => {
                let scale = largest(embedding) / 127.0;
                (scale, EmbeddingSpec::I8(int8(embedding, scale)))
            }
            Storage::FourBit => {
                let scale = largest(embedding) / 127.0;
                let (nibbles, multipliers) = four_bit_rows(embedding, vocabulary, dimensions, scale);
                (scale, EmbeddingSpec::I4 { nibbles, multipliers })
            }
            Storage::Codes(bytes) => {
                // All words alike: which of them are frequent is not in the model.
                let importance = vec![1.0; vocabulary];
                let codebook = product_quantize(embedding, vocabulary, dimensions, bytes, &importance, SEED);
                let scale = largest(&codebook.centroids) / 127.0;
                let codebooks = int8(&codebook.centroids, scale);
                (scale, EmbeddingSpec::Codes { codes: codebook.codes, codebooks, codes_per_row: bytes as u16 })
            }
        };
        Table { scale, spec, dimensions }
    }

    /// Bytes in flash.
    pub fn bytes(&self) -> usize {
        match &self.spec {
            EmbeddingSpec::I8(values) => values.len(),
            EmbeddingSpec::I4 { nibbles, multipliers } => nibbles.len() + multipliers.len(),
            EmbeddingSpec::Codes { codes, codebooks, .. } => codes.len() + codebooks.len(),
        }
    }

    /// As a report calls it.
    pub fn describe(&self) -> String {
        match &self.spec {
            EmbeddingSpec::I8(_) => "embedding int8".into(),
            EmbeddingSpec::I4 { .. } => "embedding 4-bit".into(),
            EmbeddingSpec::Codes { codes_per_row, .. } => format!("embedding {codes_per_row} codes"),
        }
    }

    /// The values of row `row`, as the device works them out.
    pub fn row(&self, row: usize) -> Vec<i8> {
        let width = self.dimensions;
        match &self.spec {
            EmbeddingSpec::I8(values) => values[row * width..][..width].to_vec(),
            EmbeddingSpec::I4 { nibbles, multipliers } => {
                let bytes = &nibbles[row * width.div_ceil(2)..][..width.div_ceil(2)];
                let halves = bytes.iter().flat_map(|byte| [(byte << 4) as i8 >> 4, *byte as i8 >> 4]).take(width);
                halves.map(|q| expand(q, multipliers[row])).collect()
            }
            EmbeddingSpec::Codes { codes, codebooks, codes_per_row } => {
                let bytes = usize::from(*codes_per_row);
                let part = width / bytes;
                let codes = codes[row * bytes..][..bytes].iter().enumerate();
                codes
                    .flat_map(|(i, &code)| &codebooks[(i * CODES + usize::from(code)) * part..][..part])
                    .copied()
                    .collect()
            }
        }
    }

    /// The same table with row `order[i]` in place `i`.
    pub fn reordered(&self, order: &[usize]) -> EmbeddingSpec {
        fn rows<T: Copy>(values: &[T], order: &[usize]) -> Vec<T> {
            let width = values.len() / order.len();
            order.iter().flat_map(|&row| &values[row * width..][..width]).copied().collect()
        }
        match &self.spec {
            EmbeddingSpec::I8(values) => EmbeddingSpec::I8(rows(values, order)),
            EmbeddingSpec::I4 { nibbles, multipliers } => {
                EmbeddingSpec::I4 { nibbles: rows(nibbles, order), multipliers: rows(multipliers, order) }
            }
            EmbeddingSpec::Codes { codes, codebooks, codes_per_row } => EmbeddingSpec::Codes {
                codes: rows(codes, order),
                codebooks: codebooks.clone(),
                codes_per_row: *codes_per_row,
            },
        }
    }
}
