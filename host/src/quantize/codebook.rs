//! Product quantization (Jégou, Douze & Schmid 2011, "Product quantization for nearest neighbor search") of a table of
//! vectors: each is cut into sub-vectors, and a sub-vector is replaced by the nearest of 256 that stand in a codebook.

use rand::{RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus as Generator;
use rayon::prelude::*;

/// Sub-vectors in a codebook: as many as a byte tells apart.
pub const CENTROIDS: usize = 256;
/// Rounds of Lloyd's algorithm at most; it ends earlier when a round gains less than [`GAIN`] of the error.
const ROUNDS: usize = 60;
const GAIN: f64 = 1e-4;
/// Distances that are compared side by side.
const LANES: usize = 16;

/// A table in codes.
#[derive(Clone, Debug, PartialEq)]
pub struct Codebook {
    /// Sub-vectors of a row, M.
    pub subvectors: usize,
    /// Indices of each row's sub-vectors, `[rows][M]`.
    pub codes: Vec<u8>,
    /// What the indices stand for, `[M][256][dimensions / M]`; 0 where fewer than 256 are needed.
    pub centroids: Vec<f32>,
}

impl Codebook {
    /// The table that the codes stand for, `[rows][dimensions]`.
    pub fn table(&self) -> Vec<f32> {
        let width = self.centroids.len() / (self.subvectors * CENTROIDS);
        let subvector = |(place, &code): (usize, &u8)| {
            let book = place % self.subvectors;
            &self.centroids[(book * CENTROIDS + usize::from(code)) * width..][..width]
        };
        self.codes.iter().enumerate().flat_map(subvector).copied().collect()
    }
}

/// Finds codebooks for which the squared error over `table`, `[rows][dimensions]`, is small, where a row counts
/// `weights[row]` times: k-means, seeded as k-means++ (Arthur & Vassilvitskii 2007). The result depends on the arguments
/// alone, not on the number of threads. Where a column of sub-vectors has at most 256 different ones, their error is 0.
/// Rows of weight 0 have no influence and take the nearest of what is there.
///
/// # Panics
/// If lengths do not fit together, `subvectors` does not divide `dimensions`, a weight is below 0, or none is above.
pub fn product_quantize(
    table: &[f32],
    rows: usize,
    dimensions: usize,
    subvectors: usize,
    weights: &[f32],
    seed: u64,
) -> Codebook {
    assert_eq!((table.len(), weights.len()), (rows * dimensions, rows));
    assert!(dimensions.is_multiple_of(subvectors), "{dimensions} dimensions are not {subvectors} equal parts");
    assert!(weights.iter().all(|&weight| weight >= 0.0) && weights.iter().any(|&weight| weight > 0.0));
    let width = dimensions / subvectors;
    let cluster = |part: usize| {
        let column = table.chunks_exact(dimensions).flat_map(|row| &row[part * width..][..width]).copied();
        let points = Points { width, values: column.collect(), weights };
        let seed = seed ^ (part as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut centroids = points.seeds(seed);
        let codes = points.settle(&mut centroids, ROUNDS).codes;
        (codes, centroids)
    };
    let parts: Vec<(Vec<u8>, Vec<f32>)> = (0..subvectors).into_par_iter().map(cluster).collect();
    Codebook {
        subvectors,
        codes: (0..rows).flat_map(|row| parts.iter().map(move |(codes, _)| codes[row])).collect(),
        centroids: parts.iter().flat_map(|(_, centroids)| centroids).copied().collect(),
    }
}

/// What is clustered.
struct Points<'a> {
    width: usize,
    values: Vec<f32>,
    /// One a point.
    weights: &'a [f32],
}

/// The nearest centroid of each point.
struct Assignment {
    codes: Vec<u8>,
    /// Weighted squared distance of each point.
    errors: Vec<f64>,
}

impl Assignment {
    fn error(&self) -> f64 {
        self.errors.iter().sum()
    }
}

impl Points<'_> {
    fn iter(&self) -> impl Iterator<Item = (&[f32], f64)> {
        self.values.chunks_exact(self.width).zip(self.weights.iter().map(|&weight| weight.into()))
    }

    /// Points drawn as first centroids, each with a probability in proportion to its error so far.
    fn seeds(&self, seed: u64) -> Vec<f32> {
        let mut generator = Generator::seed_from_u64(seed);
        let mut centroids = Vec::with_capacity(CENTROIDS * self.width);
        let mut errors: Vec<f64> = self.weights.iter().map(|&weight| weight.into()).collect();
        for round in 0..CENTROIDS {
            let Some(chosen) = draw(&errors, &mut generator) else { break };
            let chosen = &self.values[chosen * self.width..][..self.width];
            centroids.extend_from_slice(chosen);
            for (error, (point, weight)) in errors.iter_mut().zip(self.iter()) {
                let now = weight * distance(point, chosen);
                *error = if round == 0 { now } else { error.min(now) };
            }
        }
        centroids.resize(CENTROIDS * self.width, 0.0);
        centroids
    }

    /// Lloyd's algorithm: centroids move to the means of their points, points change to the nearest centroid.
    fn settle(&self, centroids: &mut [f32], rounds: usize) -> Assignment {
        let mut assignment = self.assign(centroids);
        for _ in 0..rounds {
            self.move_to_means(centroids, &mut assignment);
            let next = self.assign(centroids);
            let gain = assignment.error() - next.error();
            let done = next.codes == assignment.codes || gain < GAIN * next.error();
            assignment = next;
            if done {
                break;
            }
        }
        assignment
    }

    fn assign(&self, centroids: &[f32]) -> Assignment {
        // ‖x − c‖² = ‖x‖² + 2·(½‖c‖² − x·c): with one dimension of all centroids after the other, the sums of many
        // centroids grow side by side.
        let halves: Vec<f32> = centroids
            .chunks_exact(self.width)
            .map(|c| c.iter().map(|value| value * value).sum::<f32>() / 2.0)
            .collect();
        let columns: Vec<f32> = (0..self.width)
            .flat_map(|dimension| centroids.iter().skip(dimension).step_by(self.width))
            .copied()
            .collect();
        let nearest = |(point, weight): (&[f32], f64)| {
            let mut scores: [f32; CENTROIDS] = halves.as_slice().try_into().expect("one for each centroid");
            for (&value, column) in point.iter().zip(columns.chunks_exact(CENTROIDS)) {
                scores.iter_mut().zip(column).for_each(|(score, other)| *score -= value * other);
            }
            let code = least(&scores);
            let centroid = &centroids[usize::from(code) * self.width..][..self.width];
            (code, weight * distance(point, centroid))
        };
        let (codes, errors) = self.iter().map(nearest).unzip();
        Assignment { codes, errors }
    }

    /// A centroid without points moves to the point with the largest error; one whose points have no weight stays.
    fn move_to_means(&self, centroids: &mut [f32], assignment: &mut Assignment) {
        let mut sums = vec![0.0; centroids.len()];
        let mut totals = [0.0; CENTROIDS];
        let mut is_empty = [true; CENTROIDS];
        for ((point, weight), &code) in self.iter().zip(&assignment.codes) {
            let code = usize::from(code);
            totals[code] += weight;
            is_empty[code] = false;
            let sums = &mut sums[code * self.width..][..self.width];
            sums.iter_mut().zip(point).for_each(|(sum, &value)| *sum += weight * f64::from(value));
        }
        let errors = &mut assignment.errors;
        for (code, centroid) in centroids.chunks_exact_mut(self.width).enumerate() {
            if totals[code] > 0.0 {
                let sums = &sums[code * self.width..];
                centroid.iter_mut().zip(sums).for_each(|(value, sum)| *value = (sum / totals[code]) as f32);
            } else if is_empty[code]
                && let Some(worst) = (0..errors.len()).max_by(|&a, &b| errors[a].total_cmp(&errors[b]))
                && errors[worst] > 0.0
            {
                centroid.copy_from_slice(&self.values[worst * self.width..][..self.width]);
                errors[worst] = 0.0;
            }
        }
    }
}

/// An index drawn with a probability in proportion to its value; none where all are 0.
fn draw(values: &[f64], generator: &mut Generator) -> Option<usize> {
    let total: f64 = values.iter().sum();
    let mut left = total * generator.random::<f64>();
    let passed = values.iter().position(|value| {
        left -= value;
        left < 0.0
    });
    // Rounding may leave something over.
    passed.or_else(|| values.iter().rposition(|&value| value > 0.0))
}

fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}

/// Index of the least score.
fn least(scores: &[f32; CENTROIDS]) -> u8 {
    let mut best = [(f32::INFINITY, 0u32); LANES];
    for (chunk, scores) in scores.chunks_exact(LANES).enumerate() {
        for (best, &score) in best.iter_mut().zip(scores) {
            *best = if score < best.0 { (score, chunk as u32) } else { *best };
        }
    }
    let lanes = best.iter().enumerate().map(|(lane, &(score, chunk))| (score, chunk as usize * LANES + lane));
    let (_, index) = lanes.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))).expect("there are lanes");
    index as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows in groups, with some spread inside of them.
    fn table(rows: usize, dimensions: usize) -> Vec<f32> {
        let mut generator = Generator::seed_from_u64(3);
        let mut group = 0.0;
        (0..rows * dimensions)
            .map(|place| {
                if place % dimensions == 0 {
                    group = f32::from(generator.random_range(0..40u8));
                }
                (group * (place % dimensions + 1) as f32).sin() + 0.3 * generator.random::<f32>()
            })
            .collect()
    }

    fn error(a: &[f32], b: &[f32]) -> f64 {
        distance(a, b) / a.len() as f64
    }

    #[test]
    fn few_different_subvectors_are_kept_exactly() {
        let different = table(256, 6);
        let table: Vec<f32> = (0..1_000).flat_map(|row| &different[row * 7 % 256 * 6..][..6]).copied().collect();
        let weights: Vec<f32> = (0..1_000).map(|row| 1.0 + (row % 9) as f32).collect();
        let book = product_quantize(&table, 1_000, 6, 2, &weights, 1);
        assert_eq!((book.codes.len(), book.centroids.len()), (2_000, 2 * 256 * 3));
        assert!(book.table() == table);
        let alike = product_quantize(&[0.5; 12], 3, 4, 4, &[1.0, 2.0, 0.0], 1);
        assert_eq!(alike.table(), [0.5; 12]);
    }

    #[test]
    fn every_round_lessens_the_error() {
        let weights: Vec<f32> = (0..3_000).map(|row| 1.0 / (1 + row % 50) as f32).collect();
        let points = Points { width: 4, values: table(3_000, 4), weights: &weights };
        let error = |rounds| points.settle(&mut points.seeds(1), rounds).error();
        let errors = [0, 1, 2, 4, 8, 16].map(error);
        assert!(errors.is_sorted_by(|a, b| a > b), "{errors:?}");
        assert!(errors[5] < 0.8 * errors[0], "{errors:?}");
    }

    #[test]
    fn each_row_has_the_nearest_of_the_subvectors() {
        let table = table(2_000, 4);
        let book = product_quantize(&table, 2_000, 4, 2, &[1.0; 2_000], 1);
        for (place, part) in table.chunks_exact(2).enumerate() {
            let centroids = book.centroids[place % 2 * 512..][..512].chunks_exact(2);
            let nearest = centroids.map(|centroid| distance(part, centroid)).fold(f64::INFINITY, f64::min);
            let chosen = distance(part, &book.table()[place * 2..][..2]);
            assert!(chosen <= nearest + 1e-6, "{place}: {chosen}, the nearest is at {nearest}");
        }
    }

    #[test]
    fn heavy_rows_are_closer() {
        let table = table(4_000, 8);
        let weights: Vec<f32> = (0..4_000).map(|row| if row < 1_000 { 100.0 } else { 1.0 }).collect();
        let errors = [&[1.0; 4_000], weights.as_slice()].map(|weights| {
            let book = product_quantize(&table, 4_000, 8, 1, weights, 1).table();
            error(&table[..8_000], &book[..8_000])
        });
        assert!(errors[1] < 0.9 * errors[0], "{errors:?}");
    }

    #[test]
    fn rows_without_weight_have_no_influence() {
        let mut table = table(600, 4);
        let weights: Vec<f32> = (0..600).map(|row| if row % 2 == 0 { 1.0 } else { 0.0 }).collect();
        let expected = product_quantize(&table, 600, 4, 2, &weights, 1).centroids;
        table.chunks_exact_mut(8).for_each(|pair| pair[4..].fill(1e3));
        assert!(product_quantize(&table, 600, 4, 2, &weights, 1).centroids == expected);
    }

    #[test]
    fn centroids_without_points_find_some() {
        let points =
            Points { width: 1, values: (0..1_000).map(|value| value as f32).collect(), weights: &[1.0; 1_000] };
        let mut centroids = [1e6; CENTROIDS];
        centroids[0] = 0.0;
        points.settle(&mut centroids, 200);
        assert!(centroids.iter().all(|&value| value < 1_000.0), "{centroids:?}");
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        let table = table(1_500, 12);
        let with_threads = |count: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(count).build().unwrap();
            pool.install(|| product_quantize(&table, 1_500, 12, 3, &[1.0; 1_500], 1))
        };
        assert!(with_threads(1) == with_threads(4));
        assert!(with_threads(1) != product_quantize(&table, 1_500, 12, 3, &[1.0; 1_500], 2), "the seed matters");
    }

    #[test]
    #[should_panic = "10 dimensions are not 4 equal parts"]
    fn unequal_parts_are_refused() {
        product_quantize(&[0.0; 20], 2, 10, 4, &[1.0; 2], 1);
    }
}
