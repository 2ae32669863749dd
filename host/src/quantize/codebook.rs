pub struct Codebook { pub codes: Vec<u8>, pub centroids: Vec<f32> }
pub fn product_quantize(_table: &[f32], _rows: usize, _dimensions: usize, _subvectors: usize, _weights: &[f32], _seed: u64) -> Codebook { todo!() }
