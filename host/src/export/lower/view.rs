//! How ONNX sees a tensor that lies in memory as rows, columns, channels.
//!
//! A value's dimensions are a list of groups of axes: `[N, C, H, W]` is `[] [C] [H] [W]`, flattened it is `[] [C H W]`, a
//! sequence `[N, C, L]` is `[] [C] [W]`. A dimension of 1, as the batch is, needs no axis. Transposing moves groups,
//! flattening joins them, and in memory nothing moves: whoever reads the value at last, a Gemm for instance, puts its
//! weights into the order of memory.

use super::{Refusal, refuse};
use crate::quantize::Shape;
use crate::quantize::network::onnx_indices;

/// An axis of a tensor in memory, from the outermost to the innermost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Axis {
    Row,
    Column,
    Channel,
}

use Axis::{Channel, Column, Row};

impl Axis {
    /// Values along it.
    pub fn side(self, shape: Shape) -> usize {
        [shape.height, shape.width, shape.channels][self as usize]
    }
}

/// Dimensions that a value may have: without a limit, one node of a small file could add thousands.
const MOST_DIMENSIONS: usize = 16;

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View(Vec<Vec<Axis>>);

impl View {
    /// One group a dimension; the batch's is empty.
    pub fn new(groups: &[&[Axis]]) -> Self {
        Self(groups.iter().map(|group| group.to_vec()).collect())
    }

    /// `[N, C, H, W]`, `[N, C, L]` or `[N, C]`, for 4, 3 or 2 dimensions.
    pub fn channels_first(rank: usize) -> Self {
        let all: [&[Axis]; 4] = [&[], &[Channel], &[Row], &[Column]];
        // Of one spatial axis, the columns are the inner one.
        if rank == 3 { Self::new(&[all[0], all[1], all[3]]) } else { Self::new(&all[..rank.min(4)]) }
    }

    /// `[N, H, W, C]` or `[N, L, C]`, for 4 or 3 dimensions.
    pub fn channels_last(rank: usize) -> Self {
        if rank == 3 {
            Self::new(&[&[], &[Column], &[Channel]])
        } else {
            Self::new(&[&[], &[Row], &[Column], &[Channel]])
        }
    }

    /// Number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.len()
    }

    /// The dimensions of a tensor of `shape`.
    pub fn sides(&self, shape: Shape) -> Vec<usize> {
        self.0.iter().map(|group| group.iter().map(|axis| axis.side(shape)).product()).collect()
    }

    /// Groups without axes of length 1, which can stand anywhere.
    fn significant(&self, shape: Shape) -> Vec<Vec<Axis>> {
        let long = |group: &Vec<Axis>| group.iter().copied().filter(|axis| axis.side(shape) > 1).collect();
        self.0.iter().map(long).collect()
    }

    /// Whether both see a tensor of `shape` alike.
    pub fn is(&self, other: &Self, shape: Shape) -> bool {
        self.significant(shape) == other.significant(shape)
    }

    /// Whether each dimension, lined up at the end as broadcasting does, is that of `other` or 1; the tensors are of `shape` and
    /// `other_shape`.
    pub fn broadcasts_to(&self, shape: Shape, other: &Self, other_shape: Shape) -> bool {
        let (own, other) = (self.significant(shape), other.significant(other_shape));
        let alike = |(own, other): (&Vec<Axis>, &Vec<Axis>)| {
            let sides = |axes: &[Axis], shape| axes.iter().map(|axis| axis.side(shape)).collect::<Vec<_>>();
            own.is_empty() || own == other && sides(own, shape) == sides(other, other_shape)
        };
        own.len() <= other.len() && own.iter().rev().zip(other.iter().rev()).all(alike)
    }

    /// The axes from the outermost to the innermost, as ONNX counts values.
    pub fn order(&self, shape: Shape) -> Vec<Axis> {
        let mut order: Vec<Axis> = self.significant(shape).concat();
        // Those of length 1 complete it wherever they stand.
        order.extend([Row, Column, Channel].into_iter().filter(|axis| axis.side(shape) <= 1));
        order
    }

    /// The one axis that dimension `index` is; `None` where it is several. A dimension of 1 is taken for `usual`.
    pub fn axis(&self, index: usize, shape: Shape) -> Option<Option<Axis>> {
        match self.significant(shape)[index][..] {
            [] => Some(None),
            [axis] => Some(Some(axis)),
            _ => None,
        }
    }

    /// Dimension `axis` of ONNX, which may count from the end.
    pub fn index(&self, axis: i64) -> Result<usize, Refusal> {
        let index = if axis < 0 { axis + self.rank() as i64 } else { axis };
        usize::try_from(index).ok().filter(|&index| index < self.rank()).map_or_else(
            || refuse(format!("its axis {axis} is none of {} dimensions", self.rank()), "export the model again"),
            Ok,
        )
    }

    /// The dimensions before `axis` as one, those from there on as another.
    pub fn flattened(&self, axis: usize) -> Self {
        let (before, behind) = self.0.split_at(axis);
        Self(vec![before.concat(), behind.concat()])
    }

    /// Dimension `i` is what dimension `order[i]` was; `None` where that is no order of the dimensions.
    pub fn transposed(&self, order: &[usize]) -> Option<Self> {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        let is_order = sorted.into_iter().eq(0..self.rank());
        is_order.then(|| Self(order.iter().map(|&from| self.0[from].clone()).collect()))
    }

    /// With the dimension `axis` behind the others.
    pub fn with_axis(&self, axis: Axis) -> Self {
        Self(self.0.iter().cloned().chain([vec![axis]]).collect())
    }

    /// An axis that dimension `index`, which is 1, can grow along: its own, or one of length 1; and the view in which it is that
    /// dimension's. `None` where no axis is free.
    pub fn free_axis(&self, index: usize, shape: Shape) -> Option<(Axis, Self)> {
        let own = self.0[index].iter().copied();
        let axis = own.chain([Row, Column, Channel]).find(|axis| axis.side(shape) == 1)?;
        let mut groups = self.0.clone();
        groups.iter_mut().for_each(|group| group.retain(|other| *other != axis));
        groups[index] = vec![axis];
        Some((axis, Self(groups)))
    }

    /// Without the dimensions `indices`.
    pub fn without(&self, indices: &[usize]) -> Self {
        let kept = self.0.iter().enumerate().filter(|(index, _)| !indices.contains(index));
        Self(kept.map(|(_, group)| group.clone()).collect())
    }

    /// With dimensions of 1 that become the dimensions `indices`, in ascending order; `None` where one has no place there, or
    /// where they are more than any operator reads.
    pub fn with(&self, indices: &[usize]) -> Option<Self> {
        if self.rank() + indices.len() > MOST_DIMENSIONS {
            return None;
        }
        let mut groups = self.0.clone();
        for &index in indices {
            if index > groups.len() {
                return None;
            }
            groups.insert(index, Vec::new());
        }
        Some(Self(groups))
    }

    /// The same values in the same order with the dimensions `sides`; `None` where one would cut through an axis.
    pub fn reshaped(&self, sides: &[usize], shape: Shape) -> Option<Self> {
        if sides.len() > MOST_DIMENSIONS {
            return None;
        }
        let mut axes = self.significant(shape).concat().into_iter();
        let group = |&side: &usize| {
            let (mut group, mut length) = (Vec::new(), 1);
            while length < side {
                let axis = axes.next()?;
                length *= axis.side(shape);
                group.push(axis);
            }
            (length == side).then_some(group)
        };
        let groups = sides.iter().map(group).collect::<Option<Vec<_>>>()?;
        axes.next().is_none().then_some(Self(groups))
    }

    /// For each value as memory holds it, the index that ONNX counts it by.
    pub fn onnx_indices(&self, shape: Shape) -> Vec<usize> {
        let order = <[Axis; 3]>::try_from(self.order(shape)).unwrap_or([Row, Column, Channel]);
        onnx_indices(shape, order.map(|axis| axis as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { height: 2, width: 3, channels: 4 };

    #[test]
    fn views_follow_what_onnx_does() {
        let image = View::channels_first(4);
        assert_eq!(image.sides(SHAPE), [1, 4, 2, 3]);
        let last = image.transposed(&[0, 2, 3, 1]).unwrap();
        assert_eq!(last, View::channels_last(4));
        let flat = image.flattened(1);
        assert_eq!(flat.sides(SHAPE), [1, 24]);
        assert_eq!(flat.reshaped(&[1, 4, 2, 3], SHAPE), Some(image.clone()));
        assert_eq!(flat.reshaped(&[1, 1, 4, 6], SHAPE).unwrap().sides(SHAPE), [1, 1, 4, 6]);
        assert_eq!(flat.reshaped(&[1, 2, 12], SHAPE), None, "four channels are not cut");
        assert_eq!(flat.reshaped(&[1, 4], SHAPE), None, "six of each are left");
        assert_eq!(image.transposed(&[0, 1, 1, 2]), None);
        assert_eq!(image.with(&[0, 5]).unwrap().sides(SHAPE), [1, 1, 4, 2, 3, 1]);
        assert!(image.with(&[6]).is_none());
        // A vector is an image of one place.
        let vector = Shape::vector(9);
        assert!(View::channels_first(2).with(&[2, 3]).unwrap().is(&View::channels_first(4), vector));
        assert!(image.flattened(1).is(&View::channels_last(4).flattened(1), vector));
        assert!(!image.flattened(1).is(&last.flattened(1), SHAPE));
    }

    #[test]
    fn indices_are_those_of_the_transposed_values() {
        assert_eq!(View::channels_last(4).flattened(1).onnx_indices(SHAPE), (0..24).collect::<Vec<_>>());
        let indices = View::channels_first(4).flattened(1).onnx_indices(SHAPE);
        // Row 1, column 2, channel 3 is the last value both ways; row 0, column 1, channel 0 is the second in NCHW.
        assert_eq!((indices[23], indices[4], indices[1]), (23, 1, 6));
    }
}
