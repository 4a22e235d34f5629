//! From layers to steps: ReLUs disappear into their neighbours.

use super::Step;
use crate::layer::{Layer, PoolMethod, Unary};
use crate::net::graph::{BlobId, Graph};
use likenet_kernels::ops::Algorithm;

/// One step for each node, but for ReLUs that disappear into the step before or after them.
pub(super) fn fuse(graph: &Graph, kept: &[bool]) -> Vec<Step> {
    let mut readers = vec![Vec::new(); graph.blobs.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        node.bottoms.iter().for_each(|&b| readers[b].push(n));
    }
    let mut steps: Vec<Step> = Vec::with_capacity(graph.nodes.len());
    let mut into_pool: Vec<Option<(usize, BlobId)>> = vec![None; graph.nodes.len()];
    for (n, node) in graph.nodes.iter().enumerate() {
        if let Layer::Pointwise(Unary::Relu { slope }) = node.layer {
            let (bottom, top) = (node.bottoms[0], node.tops[0]);
            let alone = readers[bottom].len() == 1 && !kept[bottom];
            if alone && let Some(step) = weighted_step(graph, &mut steps, bottom) {
                step.relu = Some((n, slope));
                step.tops = vec![top];
                continue;
            }
            if slope == 0.0 && !kept[top] && readers[top].len() == 1 {
                let pool = readers[top][0];
                if pools_after_relu(graph, pool) {
                    into_pool[pool] = Some((n, bottom));
                    continue;
                }
            }
        }
        let mut bottoms = node.bottoms.clone();
        if let Some((_, before_relu)) = into_pool[n] {
            bottoms[0] = before_relu;
        }
        steps.push(Step {
            node: n,
            bottoms,
            tops: node.tops.clone(),
            relu: into_pool[n].map(|(relu, _)| (relu, 0.0)),
            how: vec![],
            back: vec![],
            gradient: Algorithm::Plain,
            weight_bytes: 0,
            copy: false,
            scratch: vec![],
        });
    }
    steps
}

/// Blobs of which nothing is needed but what ReLU makes of them, at once and with the signs that it needs
/// for its gradient.
pub(super) fn before_relu(graph: &Graph) -> impl Iterator<Item = BlobId> {
    let mut readers = vec![0; graph.blobs.len()];
    graph.nodes.iter().flat_map(|n| &n.bottoms).for_each(|&b| readers[b] += 1);
    graph.nodes.iter().filter_map(move |node| {
        let relu = matches!(node.layer, Layer::Pointwise(Unary::Relu { slope }) if slope >= 0.0);
        let blob = *node.bottoms.first().filter(|_| relu)?;
        let written = &graph.nodes[graph.blobs[blob].producer];
        let weighted = matches!(written.layer, Layer::Convolution(_) | Layer::InnerProduct(_));
        let alone = readers[blob] == 1 && graph.blobs[blob].loss_weight == 0.0;
        (weighted && alone && written.tops.len() == 1).then_some(blob)
    })
}

/// The convolution or fully connected step that writes `blob` and nothing else.
fn weighted_step<'a>(graph: &Graph, steps: &'a mut [Step], blob: BlobId) -> Option<&'a mut Step> {
    let step = steps.iter_mut().rfind(|s| s.tops == [blob])?;
    let weighted =
        matches!(graph.nodes[step.node].layer, Layer::Convolution(_) | Layer::InnerProduct(_));
    (weighted && step.relu.is_none()).then_some(step)
}

/// Whether node `n` is a MAX pooling for which max(relu(x)) = relu(max(x)): every window holds a pixel.
fn pools_after_relu(graph: &Graph, n: usize) -> bool {
    let node = &graph.nodes[n];
    let Layer::Pooling(pool) = &node.layer else { return false };
    let Ok(d) = pool.dims(&graph.blobs[node.bottoms[0]].shape) else { return false };
    let last_inside = [0, 1].into_iter().all(|a| {
        let start = (d.output[a] - 1) * d.window.stride[a];
        start.saturating_sub(d.window.pad[a]) < d.input[a]
    });
    pool.method == PoolMethod::Max && node.tops.len() == 1 && last_inside
}
