//! Matrix products.

use super::{Operator, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Result, bail, ensure};

/// Product of two stacks of matrices with equal leading dimensions.
#[derive(Debug)]
struct MatMul;

/// `A' · B' (+ c)` of two matrices, each transposed where its flag says so; `c` is a row or a whole matrix.
#[derive(Debug)]
struct Gemm {
    transpose_a: bool,
    transpose_b: bool,
}

impl Operator for MatMul {
    fn name(&self) -> &'static str {
        "MatMul"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [a, b] = floats(inputs)?;
        let ([stack_a @ .., rows, inner], [stack_b @ .., inner_b, columns]) = (&a.shape[..], &b.shape[..]) else {
            bail!("takes matrices or stacks of them");
        };
        ensure!(inner == inner_b, "inner sizes {inner} and {inner_b} differ");
        ensure!(stack_a == stack_b, "leading dimensions differ");
        Ok(Type::f32(&[stack_a, &[*rows, *columns]].concat()))
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        let [a_transposed, b_transposed] = [graph.transpose_last(a)?, graph.transpose_last(b)?];
        Ok(vec![graph.matmul(dy, b_transposed)?, graph.matmul(a_transposed, dy)?])
    }
}

impl Operator for Gemm {
    fn name(&self) -> &'static str {
        "Gemm"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let row = inputs.get(2).copied();
        let [a, b] = floats(&inputs[..inputs.len().min(2)])?;
        let [mut a, mut b] = [dimensions::<2>(a, "a matrix")?, dimensions::<2>(b, "a matrix")?];
        if self.transpose_a {
            a.reverse();
        }
        if self.transpose_b {
            b.reverse();
        }
        ensure!(a[1] == b[0], "inner sizes {} and {} differ", a[1], b[0]);
        if let Some(row) = row {
            let fits = row.shape == [b[1]] || row.shape == [a[0], b[1]];
            ensure!(fits, "adds {:?} to a product of {} × {}", row.shape, a[0], b[1]);
        }
        Ok(Type::f32(&[a[0], b[1]]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        let flag = |set: bool| Attribute::Int(set.into());
        vec![("transA", flag(self.transpose_a)), ("transB", flag(self.transpose_b))]
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [a, b] = [node.inputs[0], node.inputs[1]];
        // d(A') = dy · B'ᵀ and d(B') = A'ᵀ · dy, each transposed back into the operand's own orientation.
        let da = match self.transpose_a {
            false => graph.gemm(dy, b, None, false, !self.transpose_b)?,
            true => graph.gemm(b, dy, None, self.transpose_b, true)?,
        };
        let db = match self.transpose_b {
            false => graph.gemm(a, dy, None, !self.transpose_a, false)?,
            true => graph.gemm(dy, a, None, true, self.transpose_a)?,
        };
        let mut gradients = vec![da, db];
        if let Some(&added) = node.inputs.get(2) {
            gradients.push(if graph.shape(added).len() == 2 { dy } else { graph.reduce_sum(dy, &[0], false)? });
        }
        Ok(gradients)
    }
}

impl Graph {
    /// `a · b`; leading dimensions must be equal.
    pub fn matmul(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(MatMul, &[a, b])
    }

    /// `a' · b' (+ row)` for matrices, `'` transposing where the flag is set; `row` has one value a column, or is a matrix
    /// like the product.
    pub fn gemm(
        &mut self,
        a: Value,
        b: Value,
        row: Option<Value>,
        transpose_a: bool,
        transpose_b: bool,
    ) -> Result<Value> {
        let inputs: Vec<Value> = [a, b].into_iter().chain(row).collect();
        self.apply(Gemm { transpose_a, transpose_b }, &inputs)
    }

    fn transpose_last(&mut self, x: Value) -> Result<Value> {
        let rank = self.shape(x).len();
        let mut order: Vec<usize> = (0..rank).collect();
        order.swap(rank - 2, rank - 1);
        self.transpose(x, &order)
    }
}
