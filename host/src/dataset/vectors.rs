//! Labelled vectors.

/// What a part of a net that no longer changes made of images: the rest is trained on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Vectors {
    /// Values of one vector.
    pub size: usize,
    /// `N · size` of them.
    pub values: Vec<f32>,
    /// One class index a vector.
    pub labels: Vec<u8>,
}

impl Vectors {
    /// The first `count` vectors; all if there are fewer.
    pub fn first(&self, count: usize) -> Self {
        let count = count.min(self.labels.len());
        Self {
            size: self.size,
            values: self.values[..count * self.size].to_vec(),
            labels: self.labels[..count].to_vec(),
        }
    }

    /// Vector number `index`.
    ///
    /// # Panics
    /// If there is none.
    pub fn get(&self, index: usize) -> &[f32] {
        &self.values[index * self.size..][..self.size]
    }
}
