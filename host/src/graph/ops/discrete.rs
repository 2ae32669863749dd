//! Comparisons, casts and choices: operators without a gradient, for masks and counts.

use super::Operator;
use crate::graph::builder::{Element, Graph, Type, Value};
use crate::graph::model::{Attribute, data_type};
use anyhow::{Result, bail, ensure};

#[derive(Debug)]
struct Greater;

#[derive(Debug)]
struct Equal;

#[derive(Debug)]
struct Cast(Element);

/// Index of the largest value along the last axis; the first of equals.
#[derive(Debug)]
struct ArgMax;

impl Operator for Greater {
    fn name(&self) -> &'static str {
        "Greater"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        comparison(inputs)
    }
}

impl Operator for Equal {
    fn name(&self) -> &'static str {
        "Equal"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        comparison(inputs)
    }
}

impl Operator for Cast {
    fn name(&self) -> &'static str {
        "Cast"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = inputs else { bail!("takes one input") };
        Ok(Type { element: self.0, shape: x.shape.clone() })
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("to", Attribute::Int(data_type(self.0) as i64))]
    }
}

impl Operator for ArgMax {
    fn name(&self) -> &'static str {
        "ArgMax"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = inputs else { bail!("takes one input") };
        let Some((_, shape)) = x.shape.split_last() else { bail!("takes at least one dimension") };
        Ok(Type { element: Element::I64, shape: shape.to_vec() })
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("axis", Attribute::Int(-1)), ("keepdims", Attribute::Int(0))]
    }
}

impl Graph {
    /// `a > b`, as booleans; one shape, or a scalar `b`.
    pub fn greater(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Greater, &[a, b])
    }

    /// `a == b`, as booleans; `b` may repeat along dimensions of size 1.
    pub fn equal(&mut self, a: Value, b: Value) -> Result<Value> {
        self.apply(Equal, &[a, b])
    }

    /// Converts the elements; `false` is 0, `true` is 1.
    pub fn cast(&mut self, x: Value, to: Element) -> Result<Value> {
        self.apply(Cast(to), &[x])
    }

    /// Index of the largest value along the last axis, the first of equals; drops that axis.
    pub fn arg_max(&mut self, x: Value) -> Result<Value> {
        self.apply(ArgMax, &[x])
    }
}

/// The first input's shape decides; the second may be a scalar or have dimensions of size 1.
fn comparison(inputs: &[&Type]) -> Result<Type> {
    let [a, b] = inputs else { bail!("takes two inputs") };
    ensure!(a.element == b.element, "compares {:?} with {:?}", a.element, b.element);
    let fits = |(a, b): (&usize, &usize)| *b == 1 || a == b;
    let same_rank = a.shape.len() == b.shape.len() && a.shape.iter().zip(&b.shape).all(fits);
    ensure!(b.shape.is_empty() || same_rank, "the second shape does not repeat to the first");
    Ok(Type { element: Element::Bool, shape: a.shape.clone() })
}
