//! Whether a graph can run at all.

use super::onnx::Node;
use anyhow::{Result, bail};
use std::collections::HashMap;
use tract_onnx::pb::GraphProto;

/// Refuses a graph with a node that reads, by way of others or at once, what it makes itself.
///
/// Goes back from every node to those that make what it reads, each once, without recursion, which a long graph would take too
/// deep for the stack.
pub fn check(graph: &GraphProto) -> Result<()> {
    let mut makers = HashMap::new();
    for (index, node) in graph.node.iter().enumerate() {
        // Of two makers of one value, the first counts.
        node.output.iter().filter(|name| !name.is_empty()).for_each(|name| _ = makers.entry(name).or_insert(index));
    }
    let mut is_done = vec![false; graph.node.len()];
    let mut is_on_way = is_done.clone();
    for start in 0..graph.node.len() {
        // The way from `start`: nodes, and which of its inputs each follows next.
        let mut way = if is_done[start] { vec![] } else { vec![(start, 0)] };
        while let Some((node, next)) = way.last_mut() {
            let (current, input) = (*node, graph.node[*node].input.get(*next));
            *next += 1;
            is_on_way[current] = input.is_some();
            let Some(input) = input else {
                is_done[current] = true;
                way.pop();
                continue;
            };
            match makers.get(input) {
                Some(&maker) if is_on_way[maker] => {
                    let [reader, maker] = [current, maker].map(|index| Node::new(&graph.node[index], index));
                    bail!(
                        "the graph has a cycle: {} ({}) reads {input:?}, which {} ({}) makes of what {} makes; \
                         a board runs each node once: export the model without loops",
                        reader.name(),
                        reader.op(),
                        maker.name(),
                        maker.op(),
                        reader.name()
                    );
                }
                Some(&maker) if !is_done[maker] => way.push((maker, 0)),
                _ => {}
            }
        }
    }
    Ok(())
}
