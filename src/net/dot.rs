//! A network as a drawing for Graphviz: `likenet net show --dot | dot -Tsvg`.

use super::graph::Graph;
use crate::layer::Layer;
use std::fmt::Write;

/// The graph in the DOT language: layers as boxes, blobs as labelled arrows.
pub fn dot(graph: &Graph) -> String {
    let mut out = String::new();
    let quoted = |s: &str| format!("\"{}\"", s.replace('\\', "\\\\").replace('"', "\\\""));
    let _ = writeln!(out, "digraph {} {{", quoted(&graph.name));
    out +=
        "  rankdir=TB;\n  node [shape=box, style=\"rounded,filled\", fontname=\"sans-serif\"];\n";
    for (i, node) in graph.nodes.iter().enumerate() {
        let label = format!("{}\n{}", node.name, node.kind);
        let label = quoted(&label).replace('\n', "\\n");
        let _ = writeln!(out, "  l{i} [label={label}, fillcolor=\"{}\"];", colour(&node.layer));
        for &b in &node.bottoms {
            let blob = &graph.blobs[b];
            let label = quoted(&format!("{} {}", blob.name, blob.shape));
            let _ = writeln!(out, "  l{} -> l{i} [label={label}];", blob.producer);
        }
    }
    out += "}\n";
    out
}

fn colour(layer: &Layer) -> &'static str {
    match layer {
        Layer::Source(_) => "#e0e0e0",
        Layer::Convolution(_) | Layer::Deconvolution(_) => "#ffd9b3",
        Layer::InnerProduct(_) => "#e6ccff",
        Layer::Pooling(_) => "#cce0ff",
        Layer::Pointwise(_) | Layer::PRelu(_) => "#d9f2d9",
        Layer::SoftmaxLoss(_)
        | Layer::SigmoidCrossEntropyLoss(_)
        | Layer::HingeLoss(_)
        | Layer::EuclideanLoss(_) => "#ffcccc",
        _ => "#ffffff",
    }
}
