pub fn word_vectors(_samples: &[&[u16]], _vocabulary: usize, _dimensions: usize, _seed: u64) -> Vec<f32> { todo!() }
