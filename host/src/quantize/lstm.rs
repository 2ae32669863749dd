//! An LSTM in float and in int8. Gates stand in ONNX's order: input, output, forget, cell.

use super::network::Float as Dense;
use super::weights::{Int8, accumulating, logits, multipliers};
use super::{Affine, affine::left_shift};
use anyhow::{Context, Result, ensure};

/// Real value of one step of the hidden state, which lies in −1…1.
pub const HIDDEN_SCALE: f32 = 1.0 / 128.0;
/// Steps of a gate's table for one unit of a sigmoid's argument; tanh x = 2 σ(2x) − 1, so that it has twice as many.
const GATE_STEPS: f64 = 128.0;
/// How far above what was seen the cell state may go before it saturates.
const CELL_MARGIN: f32 = 1.25;

/// A recurrence in float, in plain loops: the order of additions does not depend on the machine.
pub struct Float {
    units: usize,
    /// [inputs + units][4 · units]: columns of the weights, so that the innermost loop runs over gates.
    columns: Vec<f32>,
    bias: Vec<f32>,
    /// [4 · units][inputs + units]
    rows: Vec<f32>,
}

/// What a recurrence carries from step to step.
pub struct State {
    pub hidden: Vec<f32>,
    pub cell: Vec<f32>,
}

impl Float {
    /// From the weights `input` [4H][D], `recurrent` [4H][H] and `bias` [4H].
    pub fn new(input: &[f32], recurrent: &[f32], bias: &[f32]) -> Self {
        let (gates, units) = (bias.len(), bias.len() / 4);
        let pairs = input.chunks_exact(input.len() / gates).zip(recurrent.chunks_exact(units));
        let rows: Vec<f32> = pairs.flat_map(|(w, r)| w.iter().chain(r)).copied().collect();
        let width = rows.len() / gates;
        let columns = (0..width).flat_map(|column| rows.iter().skip(column).step_by(width).copied()).collect();
        Float { units, columns, bias: bias.to_vec(), rows }
    }

    /// Zeros.
    pub fn start(&self) -> State {
        State { hidden: vec![0.0; self.units], cell: vec![0.0; self.units] }
    }

    /// One step on the input `x`.
    pub fn step(&self, state: &mut State, x: &[f32]) {
        let mut sums = self.bias.clone();
        for (value, column) in x.iter().chain(&state.hidden).zip(self.columns.chunks_exact(sums.len())) {
            sums.iter_mut().zip(column).for_each(|(sum, weight)| *sum += value * weight);
        }
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let gate = |gate: usize, unit: usize| sums[gate * self.units + unit];
        for unit in 0..self.units {
            let [i, o, f] = [0, 1, 2].map(|index| sigmoid(gate(index, unit)));
            let cell = f * state.cell[unit] + i * gate(3, unit).tanh();
            state.cell[unit] = cell;
            state.hidden[unit] = o * cell.tanh();
        }
    }
}

/// A recurrence in int8.
pub struct Lstm {
    /// Rows over the input and then the state, `4·unit + gate`; their outputs are places in the gates' table.
    pub gates: Int8,
    /// The cell state is `i16` with the scale `2^−cell_shift`.
    pub cell_shift: u8,
}

impl Lstm {
    /// Real value of one step of the cell state.
    pub fn cell_scale(&self) -> f32 {
        (-f32::from(self.cell_shift)).exp2()
    }
}

/// Quantizes `float`, whose inputs have the scale `input_scale` and whose cell state was seen to reach `largest_cell`.
///
/// Input and state of a row share one accumulator and so one scale: the weights of each are first multiplied by what one step
/// of it stands for.
pub fn quantize(float: &Float, input_scale: f32, largest_cell: f32) -> Result<Lstm> {
    let units = float.units;
    let width = float.rows.len() / (4 * units);
    let by_unit = (0..4 * units).map(|row| row % 4 * units + row / 4);
    let steps = |row: usize| {
        let row = float.rows[row * width..][..width].iter().enumerate();
        row.map(move |(column, weight)| weight * if column < width - units { input_scale } else { HIDDEN_SCALE })
    };
    let weights = by_unit.clone().flat_map(steps).collect();
    let bias = by_unit.map(|row| float.bias[row]).collect();
    let mut gates =
        accumulating(&Dense { weights, bias }, Affine { scale: 1.0, zero_point: 0 }, None).context("the LSTM")?;
    let to_table =
        |(row, scale): (usize, &f32)| f64::from(*scale) * if row % 4 == 3 { 2.0 * GATE_STEPS } else { GATE_STEPS };
    let scales: Vec<f64> = gates.weight_scales.iter().enumerate().map(to_table).collect();
    gates.left_shift = left_shift(&scales);
    ensure!(
        gates.left_shift <= gates.headroom(),
        "the LSTM: accumulators, up to {} long, would have to be shifted left by {} bits; train with more weight decay",
        gates.longest_accumulator(),
        gates.left_shift
    );
    gates.multipliers = multipliers(&scales, gates.left_shift).context("the LSTM")?;
    Ok(Lstm { gates, cell_shift: cell_shift(largest_cell) })
}

/// The finest scale in which a cell state of `largest`, and a little more, fits 16 bits.
fn cell_shift(largest: f32) -> u8 {
    let fits = |shift: &u8| largest * CELL_MARGIN * f32::from(*shift).exp2() < 32768.0;
    (8..=14).rev().find(fits).unwrap_or(8)
}

/// The layer behind a state, and the scale of its one int32 answer.
pub struct Logit {
    pub layer: Int8,
    pub scale: f32,
}

/// Quantizes the layer behind the hidden state.
pub fn logit(head: &Dense) -> Result<Logit> {
    let (layer, scale) = logits(head, Affine { scale: HIDDEN_SCALE, zero_point: 0 }, None)?;
    Ok(Logit { layer, scale })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cell_keeps_as_many_digits_as_fit() {
        assert_eq!(cell_shift(0.5), 14);
        assert_eq!(cell_shift(6.0), 12);
        assert_eq!(cell_shift(7.0), 11);
        assert_eq!(cell_shift(1000.0), 8);
    }

    #[test]
    fn a_step_is_that_of_the_formula() {
        // One unit, one input: gates i, o, f, g of x = 1, h = 0.
        let float = Float::new(&[0.5, -0.25, 1.0, 2.0], &[0.0; 4], &[0.0, 0.0, 0.5, 0.0]);
        let mut state = float.start();
        state.cell[0] = 0.75;
        float.step(&mut state, &[1.0]);
        let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
        let cell = sigmoid(1.5) * 0.75 + sigmoid(0.5) * 2.0_f32.tanh();
        assert!((state.cell[0] - cell).abs() < 1e-6);
        assert!((state.hidden[0] - sigmoid(-0.25) * cell.tanh()).abs() < 1e-6);
    }
}
