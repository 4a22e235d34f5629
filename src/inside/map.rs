//! The map of a network: its layers from top to bottom, branches side by side.
//!
//! Flows in: a graph. Flows out: an SVG whose boxes are links to the layers' sections. A layer's row is the
//! length of the longest way to it; its lane is that of what it reads, or for a second reader a free one.

use super::html::text;
use crate::layer::Layer;
use crate::net::Graph;
use std::fmt::Write as _;

/// A box's height, the distance of rows, of lanes, and the border.
const BOX: [usize; 2] = [104, 26];
const STEP: [usize; 2] = [114, 42];
const BORDER: usize = 8;

/// Row and lane of each layer.
fn places(graph: &Graph) -> Vec<[usize; 2]> {
    let mut places: Vec<[usize; 2]> = Vec::with_capacity(graph.nodes.len());
    // For each layer: its connections that no later layer has read yet, and whether its lane goes on.
    let mut unread = vec![0usize; graph.nodes.len()];
    let mut goes_on = vec![false; graph.nodes.len()];
    for node in &graph.nodes {
        node.bottoms.iter().for_each(|&b| unread[graph.blobs[b].producer] += 1);
    }
    // Who stands last in each lane.
    let mut lanes: Vec<Option<usize>> = vec![];
    for (i, node) in graph.nodes.iter().enumerate() {
        let from: Vec<usize> = node.bottoms.iter().map(|&b| graph.blobs[b].producer).collect();
        let row = from.iter().map(|&f| places[f][0] + 1).max().unwrap_or(0);
        let heir = from.iter().copied().filter(|&f| !goes_on[f]).min_by_key(|&f| places[f][1]);
        from.iter().for_each(|&f| unread[f] -= 1);
        let lane = match heir {
            Some(f) => places[f][1],
            None => {
                let free = |last: &Option<usize>| last.is_none_or(|l| unread[l] == 0);
                lanes.iter().position(free).unwrap_or(lanes.len())
            }
        };
        from.iter().for_each(|&f| goes_on[f] = true);
        lanes.resize(lanes.len().max(lane + 1), None);
        lanes[lane] = Some(i);
        places.push([row, lane]);
    }
    places
}

/// The family of a layer, which has a colour.
pub(super) fn family(layer: &Layer) -> &'static str {
    match layer {
        Layer::Source(_) => "source",
        Layer::Convolution(_) | Layer::Deconvolution(_) => "conv",
        Layer::InnerProduct(_) | Layer::Embed(_) => "dense",
        Layer::Pooling(_) | Layer::Reduction(_) => "pool",
        Layer::Pointwise(_) | Layer::PRelu(_) | Layer::Dropout(_) => "point",
        Layer::Lrn(_) | Layer::BatchNorm(_) | Layer::Mvn(_) | Layer::Scale(_) | Layer::Bias(_) => {
            "norm"
        }
        Layer::Softmax(_) | Layer::ArgMax(_) | Layer::Accuracy(_) => "out",
        Layer::SoftmaxLoss(_) | Layer::SigmoidCrossEntropyLoss(_) | Layer::HingeLoss(_) => "out",
        Layer::EuclideanLoss(_) | Layer::ContrastiveLoss(_) | Layer::MultinomialLogisticLoss(_) => {
            "out"
        }
        _ => "move",
    }
}

/// A name that fits into a box; the whole one is in its title.
fn short(name: &str) -> String {
    const MOST: usize = 15;
    match name.chars().count() {
        0..=MOST => name.to_string(),
        n => {
            // The ends of names tell branches apart: inception_3a/3x3_reduce.
            let end: String = name.chars().skip(n - (MOST - 1)).collect();
            format!("…{end}")
        }
    }
}

/// The drawing.
pub(super) fn svg(graph: &Graph) -> String {
    let places = places(graph);
    let at = |i: usize| {
        let [row, lane] = places[i];
        [BORDER + lane * STEP[0], BORDER + row * STEP[1]]
    };
    let most = |axis: usize| places.iter().map(|p| p[axis]).max().unwrap_or(0);
    let width = 2 * BORDER + most(1) * STEP[0] + BOX[0];
    let height = 2 * BORDER + most(0) * STEP[1] + BOX[1];
    let mut out = format!(
        "<svg id=\"map\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"group\" \
         aria-label=\"Layers and how they are connected\">\n"
    );
    for (i, node) in graph.nodes.iter().enumerate() {
        for &b in &node.bottoms {
            let ([x1, y1], [x2, y2]) = (at(graph.blobs[b].producer), at(i));
            let (x1, y1, x2) = (x1 + BOX[0] / 2, y1 + BOX[1], x2 + BOX[0] / 2);
            let middle = (y2 - y1) / 2;
            let _ = match x1 == x2 {
                true => writeln!(out, "<path d=\"M{x1} {y1}V{y2}\"/>"),
                // Leaving a lane: aside at once, then down. Joining one: down, then aside.
                false if x2 > x1 => writeln!(
                    out,
                    "<path d=\"M{x1} {y1}C{x1} {a} {x2} {y1} {x2} {b}V{y2}\"/>",
                    a = y1 + 12,
                    b = y1 + 2 * middle.min(8)
                ),
                false => writeln!(
                    out,
                    "<path d=\"M{x1} {y1}V{a}C{x1} {b} {x2} {a} {x2} {y2}\"/>",
                    a = y2 - 2 * middle.min(8),
                    b = y2 - 4
                ),
            };
        }
    }
    for (i, node) in graph.nodes.iter().enumerate() {
        let ([x, y], family) = (at(i), family(&node.layer));
        let (w, h) = (BOX[0], BOX[1]);
        let _ = writeln!(
            out,
            "<a href=\"#l{i}\" data-to=\"{i}\" class=\"{family}\" aria-label=\"{whole}, {kind}\">\
             <title>{whole} ({kind})</title><rect x=\"{x}\" y=\"{y}\" width=\"{w}\" height=\"{h}\" rx=\"6\"/>\
             <text x=\"{tx}\" y=\"{ty}\">{name}</text></a>",
            whole = text(&node.name),
            kind = text(&node.kind),
            tx = x + w / 2,
            ty = y + 17,
            name = text(&short(&node.name)),
        );
    }
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Description, NetState, architectures};

    #[test]
    fn no_two_layers_stand_in_one_place_and_branches_stand_side_by_side() {
        for a in architectures() {
            let d = Description::parse(a.name, a.prototxt, &NetState::default()).unwrap();
            let graph = Graph::new(&d, &[], Some(1)).unwrap();
            let places = places(&graph);
            let mut seen = std::collections::HashSet::new();
            assert!(places.iter().all(|p| seen.insert(*p)), "{}", a.name);
            let lanes = 1 + places.iter().map(|p| p[1]).max().unwrap();
            let wanted = match a.name {
                "googlenet" => 4,
                "squeezenet10" | "squeezenet11" => 2,
                _ => 1,
            };
            assert_eq!(lanes, wanted, "{}", a.name);
        }
    }
}
