//! Square blocks of an image that become channels, and back.

use super::{Operator, floats};
use crate::graph::builder::{Graph, Node, Type, Value, dimensions};
use crate::graph::model::Attribute;
use anyhow::{Result, ensure};

/// Blocks of `side` × `side` values become channels, `[N, C, H, W]` → `[N, side²·C, H/side, W/side]`, channel
/// `(i·side + j)·C + c` holding row `i`, column `j` of the blocks of channel `c`.
#[derive(Debug)]
struct SpaceToDepth {
    side: usize,
}

/// The opposite of SpaceToDepth.
#[derive(Debug)]
struct DepthToSpace {
    side: usize,
}

impl Operator for SpaceToDepth {
    fn name(&self) -> &'static str {
        "SpaceToDepth"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [batch, channels, height, width] = dimensions(x, "an image")?;
        let side = self.side;
        let whole = side > 0 && height % side == 0 && width % side == 0;
        ensure!(whole, "{height} × {width} is not a whole number of {side} × {side} blocks");
        Ok(Type::f32(&[batch, channels * side * side, height / side, width / side]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("blocksize", Attribute::Int(self.side as i64))]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.depth_to_space(dy, self.side)?])
    }
}

impl Operator for DepthToSpace {
    fn name(&self) -> &'static str {
        "DepthToSpace"
    }

    fn infer(&self, inputs: &[&Type]) -> Result<Type> {
        let [x] = floats(inputs)?;
        let [batch, channels, height, width] = dimensions(x, "an image")?;
        let area = self.side * self.side;
        ensure!(area > 0 && channels % area == 0, "{channels} channels do not fill blocks of {area}");
        Ok(Type::f32(&[batch, channels / area, height * self.side, width * self.side]))
    }

    fn attributes(&self) -> Vec<(&'static str, Attribute)> {
        vec![("blocksize", Attribute::Int(self.side as i64)), ("mode", Attribute::String("DCR"))]
    }

    fn gradient(&self, graph: &mut Graph, _node: &Node, dy: Value) -> Result<Vec<Value>> {
        Ok(vec![graph.space_to_depth(dy, self.side)?])
    }
}

impl Graph {
    /// Blocks of `side` × `side` values of `x` [N, C, H, W] become channels: [N, side²·C, H/side, W/side].
    pub fn space_to_depth(&mut self, x: Value, side: usize) -> Result<Value> {
        if side == 1 { Ok(x) } else { self.apply(SpaceToDepth { side }, &[x]) }
    }

    /// The opposite of [`space_to_depth`](Self::space_to_depth).
    pub fn depth_to_space(&mut self, x: Value, side: usize) -> Result<Value> {
        if side == 1 { Ok(x) } else { self.apply(DepthToSpace { side }, &[x]) }
    }
}
