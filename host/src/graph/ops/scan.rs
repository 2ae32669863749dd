//! A loop over a sequence.

use super::Operator;
use crate::graph::builder::{Graph, Type};
use crate::graph::model::Attribute;
use anyhow::{Result, bail, ensure};

/// Runs `body` once for each step of sequences, with states carried from step to step.
///
/// Inputs of the node and of `body`, in this order: `states` initial states, `sequences` sequences (without their first
/// dimension in the body), and what the body reads that stays the same. Outputs of `body`: the next states, then what is
/// stacked to sequences, the first of which is the node's output and the others what it keeps.
#[derive(Debug)]
pub struct Scan {
    pub(in crate::graph) body: Graph,
    pub(in crate::graph) states: usize,
    pub(in crate::graph) sequences: usize,
    /// From the last step to the first.
    pub(in crate::graph) reverse: bool,
}

impl Scan {
    /// Steps of the loop.
    pub(in crate::graph) fn steps(&self, inputs: &[&Type]) -> Result<usize> {
        let sequences = inputs.get(self.states..self.states + self.sequences).unwrap_or_default();
        let mut lengths = sequences.iter().map(|sequence| sequence.shape.first().copied().unwrap_or(0));
        let Some(steps) = lengths.next() else { bail!("takes at least one sequence") };
        ensure!(steps > 0 && lengths.all(|length| length == steps), "takes sequences of one length");
        Ok(steps)
    }

    fn stacked(&self, inputs: &[&Type]) -> Result<Vec<Type>> {
        let steps = self.steps(inputs)?;
        let outputs = self.body.outputs.iter().skip(self.states).map(|(_, value)| self.body.ty(*value));
        Ok(outputs.map(|ty| Type { element: ty.element, shape: [&[steps], &ty.shape[..]].concat() }).collect())
    }
}

impl Operator for Scan {
    fn name(&self) -> &'static str {
        "Scan"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let wanted = self.body.inputs();
        ensure!(inputs.len() == wanted.len(), "takes {} inputs, got {}", wanted.len(), inputs.len());
        for (index, (input, wanted)) in inputs.iter().zip(wanted).enumerate() {
            let is_sequence = (self.states..self.states + self.sequences).contains(&index);
            let shape = if is_sequence { &input.shape[1..] } else { &input.shape[..] };
            ensure!(shape == self.body.shape(wanted), "input {index} does not fit the body");
        }
        self.stacked(inputs)?.into_iter().next().ok_or_else(|| anyhow::anyhow!("has no output"))
    }

    fn kept(&self, inputs: &[&Type]) -> Vec<Type> {
        // The shapes have been checked.
        self.stacked(inputs).unwrap_or_default().into_iter().skip(1).collect()
    }

    fn outputs_before(&self) -> usize {
        self.states
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let direction = i64::from(self.reverse);
        let stacked = self.body.outputs.len() - self.states;
        vec![
            ("num_scan_inputs", Attribute::Int(self.sequences as i64)),
            ("scan_input_directions", Attribute::Ints(vec![direction; self.sequences])),
            ("scan_output_directions", Attribute::Ints(vec![direction; stacked])),
        ]
    }

    fn scan(&self) -> Option<&Scan> {
        Some(self)
    }
}
