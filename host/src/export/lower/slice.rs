//! Nodes that leave rows, columns or channels out: each is one copy on a device.

use super::onnx::Node;
use super::view::View;
use super::{Lowering, Refusal, Value, lstm, refuse};
use crate::quantize::{Kind, Shape};

/// What a slice takes of one dimension: every `step`-th of its values, `count` of them from `start` on.
struct Cut {
    dimension: usize,
    start: usize,
    step: usize,
    count: usize,
}

/// Slice: lists are attributes up to opset 9 and inputs since.
pub fn slice<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let value = lowering.activation(node)?;
    let list = |index: usize, name: &str| match node.input(index) {
        Some(_) => lowering.constants.ints(node, index, name).map(Some),
        None => Ok(node.ints(name)),
    };
    let (starts, ends) = (list(1, "starts")?.unwrap_or_default(), list(2, "ends")?.unwrap_or_default());
    let axes = list(3, "axes")?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = list(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [&ends, &axes, &steps].iter().any(|list| list.len() != starts.len()) {
        return refuse(
            format!(
                "it has {} starts, {} ends, {} axes and {} steps",
                starts.len(),
                ends.len(),
                axes.len(),
                steps.len()
            ),
            "export the model again",
        );
    }
    let sides = value.view.sides(lowering.shape(&value));
    let mut cuts: Vec<Cut> = Vec::new();
    for (((&start, &end), &axis), &step) in starts.iter().zip(&ends).zip(&axes).zip(&steps) {
        let dimension = value.view.index(axis)?;
        if cuts.iter().any(|cut| cut.dimension == dimension) {
            return refuse(format!("it names dimension {dimension} twice"), "export the model again");
        }
        let side = sides[dimension] as i64;
        // Counted from the end where they are negative; what lies outside is the nearest end.
        let place = |place: i64| if place < 0 { place.saturating_add(side).max(0) } else { place.min(side) };
        if step < 1 {
            return refuse(format!("its step {step} goes backwards"), "use positive steps; a board reverses nothing");
        }
        let length = place(end) - place(start);
        if length < 1 {
            return refuse(format!("it takes nothing of dimension {dimension}, {side} long"), "let it take something");
        }
        let count = (length - 1) / step + 1;
        let step = if count == 1 { 1 } else { step };
        cuts.push(Cut { dimension, start: place(start) as usize, step: step as usize, count: count as usize });
    }
    let tensor = cut(lowering, &node.name(), &value, &cuts)?;
    becomes(lowering, node, value.tensor, tensor, value.view)
}

/// Split: parts of given lengths, or of equal ones.
pub fn split<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let value = lowering.activation(node)?;
    let dimension = value.view.index(node.int("axis", 0))?;
    let side = value.view.sides(lowering.shape(&value))[dimension];
    let given = match node.input(1) {
        Some(_) => Some(lowering.constants.ints(node, 1, "split")?),
        None => node.ints("split"),
    };
    let names: Vec<&str> = node.outputs().collect();
    let part = side.div_ceil(names.len().max(1));
    let equal = (0..names.len()).map(|index| part.min(side.saturating_sub(index * part)) as i64);
    let lengths = given.unwrap_or_else(|| equal.collect());
    let counts: Vec<usize> = lengths.iter().filter_map(|&length| usize::try_from(length).ok()).collect();
    let total = counts.iter().fold(0usize, |sum, &count| sum.saturating_add(count));
    if counts.len() != names.len() || total != side || counts.contains(&0) {
        return refuse(
            format!("it splits {side} values into {} parts of {lengths:?}", names.len()),
            "let the parts make up the whole, one value each at least",
        );
    }
    let mut start = 0;
    for (index, (name, count)) in names.into_iter().zip(counts).enumerate() {
        if lowering.uses.contains_key(name) {
            let part = Cut { dimension, start, step: 1, count };
            let tensor = cut(lowering, &format!("{}.part{index}", node.name()), &value, &[part])?;
            if tensor == value.tensor {
                return lowering.alias(node, |view, _| Ok(view));
            }
            // The node was counted as one reader, and each part is one.
            lowering.readers[value.tensor] += 1;
            lowering.answer(name, tensor, value.view.clone());
        }
        start += count;
    }
    Ok(())
}

/// Gather: of an activation, by constants that stand at equal distances. One number takes its dimension away.
pub fn gather<'m>(lowering: &mut Lowering<'m>, node: &Node<'m>) -> Result<(), Refusal> {
    let value = lowering.activation(node)?;
    let dimension = value.view.index(node.int("axis", 0))?;
    let side = value.view.sides(lowering.shape(&value))[dimension];
    let indices = lowering.constants.ints(node, 1, "indices")?;
    let rank = lowering.constants.rank(node, 1);
    let inside = |&index: &i64| {
        usize::try_from(if index < 0 { index.saturating_add(side as i64) } else { index }).ok().filter(|&i| i < side)
    };
    let places: Option<Vec<usize>> = indices.iter().map(inside).collect();
    let remedy = "use constant indices at equal distances, in ascending order";
    let Some(places) = places.filter(|places| !places.is_empty() && rank <= 1) else {
        return refuse(format!("it takes the indices {indices:?} of a dimension of {side}"), remedy);
    };
    let step = places.get(1).map_or(1, |second| second.saturating_sub(places[0]));
    if step == 0 || places.windows(2).any(|pair| pair[0] + step != pair[1]) {
        return refuse(format!("it takes the indices {indices:?}"), remedy);
    }
    let part = Cut { dimension, start: places[0], step, count: places.len() };
    let tensor = cut(lowering, &node.name(), &value, &[part])?;
    let view = if rank == 0 { value.view.without(&[dimension]) } else { value.view };
    becomes(lowering, node, value.tensor, tensor, view)
}

/// `node` answers with `tensor`, which may be what it reads, `input`, under another view.
fn becomes<'m>(
    lowering: &mut Lowering<'m>,
    node: &Node<'m>,
    input: usize,
    tensor: usize,
    view: View,
) -> Result<(), Refusal> {
    if tensor == input {
        return lowering.alias(node, |_, _| Ok(view));
    }
    lowering.becomes(node, tensor, view);
    Ok(())
}

/// What `cuts` leave of a value; the value's own tensor where that is all of it.
fn cut(lowering: &mut Lowering<'_>, name: &str, value: &Value, cuts: &[Cut]) -> Result<usize, Refusal> {
    let shape = lowering.shape(value);
    let sides = value.view.sides(shape);
    let (mut starts, mut steps, mut left) = ([0; 3], [1; 3], [shape.height, shape.width, shape.channels]);
    for cut in cuts.iter().filter(|cut| cut.count != sides[cut.dimension]) {
        let Some(Some(axis)) = value.view.axis(cut.dimension, shape) else {
            return refuse(
                format!(
                    "its dimension {} is rows, columns or channels in one, of the dimensions {sides:?}",
                    cut.dimension
                ),
                "slice before the dimensions are joined",
            );
        };
        let axis = axis as usize;
        (starts[axis], steps[axis], left[axis]) = (cut.start, cut.step, cut.count);
    }
    let [height, width, channels] = left;
    let output = Shape { height, width, channels };
    if output == shape {
        return Ok(value.tensor);
    }
    if let Some(last) = lstm::last_state(lowering, value.tensor, [starts[0], starts[1]], output) {
        return Ok(last);
    }
    lowering.append(name.to_owned(), Kind::Slice { starts, steps }, &[value.tensor], output)
}
