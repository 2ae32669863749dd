//! Rows of a table by their numbers, and its reverse.

use super::Operator;
use crate::graph::builder::{Element, Graph, Node, Type, Value};
use crate::graph::model::Attribute;
use anyhow::{Result, bail, ensure};

/// Rows of a table [V, …] by numbers [*]: [*, …].
#[derive(Debug)]
struct Gather;

/// Adds rows [*, …] to those of a table [V, …] that numbers [*, 1] name; a row that is named twice gets both.
#[derive(Debug)]
struct ScatterAdd;

impl Operator for Gather {
    fn name(&self) -> &'static str {
        "Gather"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [table, rows] = inputs else { bail!("takes a table and numbers of rows") };
        let [_, row @ ..] = &table.shape[..] else { bail!("takes a table of at least one dimension") };
        ensure!(rows.element == Element::I64, "takes integers for rows, got {:?}", rows.element);
        Ok(Type { element: table.element, shape: [&rows.shape, row].concat() })
    }

    fn gradient(&self, graph: &mut Graph, node: &Node, dy: Value) -> Result<Vec<Value>> {
        let [table, rows] = [node.inputs[0], node.inputs[1]];
        let shape = graph.shape(table).to_vec();
        let zero = graph.scalar(0.0);
        let zeros = graph.expand(zero, &shape)?;
        let numbers = [graph.shape(rows), &[1]].concat();
        let numbers = graph.reshape(rows, &numbers)?;
        Ok(vec![graph.apply(ScatterAdd, &[zeros, numbers, dy])?, dy])
    }
}

impl Operator for ScatterAdd {
    fn name(&self) -> &'static str {
        "ScatterND"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [table, numbers, rows] = inputs else { bail!("takes a table, numbers of rows and rows") };
        let ([_, row @ ..], [stack @ .., 1]) = (&table.shape[..], &numbers.shape[..]) else {
            bail!("takes a table and a column of numbers");
        };
        ensure!(rows.shape == [stack, row].concat(), "takes a row for each number");
        Ok((*table).clone())
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("reduction", Attribute::String("add"))]
    }
}

impl Graph {
    /// Row `rows[i]` of `table` [V, …] for each of the integers `rows` [*]: [*, …].
    pub fn gather(&mut self, table: Value, rows: Value) -> Result<Value> {
        self.apply(Gather, &[table, rows])
    }
}
