//! What values are made of and what they see, against changing the inputs one by one.

use super::reach::field;
use super::taps::taps;
use crate::net::{BlobId, Graph, Keep, Net, Node, Options};
use crate::rng::Rng;
use crate::shape::Shape;

/// Strides, pads, dilation, groups, branches, a transposed convolution: everything that moves windows. No
/// rectifier and no maximum, so that every input that can matter does.
const WINDOWS: &str = r#"
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: 1 dim: 2 dim: 11 dim: 13 } } }
layer { name: "a" type: "Convolution" bottom: "data" top: "a"
        convolution_param { num_output: 4 group: 2 kernel_h: 3 kernel_w: 2 stride_h: 1 stride_w: 2 pad_h: 1 pad_w: 0 } }
layer { name: "lrn" type: "LRN" bottom: "a" top: "lrn" lrn_param { local_size: 3 alpha: 2 beta: 0.75 } }
layer { name: "b" type: "Convolution" bottom: "lrn" top: "b"
        convolution_param { num_output: 3 kernel_size: 3 dilation: 2 pad: 3 } }
layer { name: "c" type: "Convolution" bottom: "lrn" top: "c"
        convolution_param { num_output: 2 kernel_size: 1 pad: 1 } }
layer { name: "within" type: "LRN" bottom: "c" top: "within"
        lrn_param { local_size: 3 norm_region: WITHIN_CHANNEL alpha: 2 } }
layer { name: "join" type: "Concat" bottom: "b" bottom: "within" top: "join" }
layer { name: "ave" type: "Pooling" bottom: "join" top: "ave"
        pooling_param { pool: AVE kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "up" type: "Deconvolution" bottom: "ave" top: "up"
        convolution_param { num_output: 2 kernel_size: 3 stride: 2 pad: 1 } }
layer { name: "cut" type: "Slice" bottom: "up" top: "cut0" top: "cut1" }
layer { name: "flat" type: "Flatten" bottom: "cut1" top: "flat" }
layer { name: "tanh" type: "TanH" bottom: "flat" top: "tanh" }
layer { name: "fc" type: "InnerProduct" bottom: "tanh" top: "fc" inner_product_param { num_output: 3 } }
layer { name: "prob" type: "Softmax" bottom: "fc" top: "prob" }
"#;

fn net(prototxt: &str) -> Net {
    let options = Options { backend: "reference".into(), keep: Keep::All, ..Options::default() };
    let mut net = Net::parse("windows.prototxt", prototxt, options).unwrap();
    net.randomise(5);
    net
}

fn all(net: &Net) -> Vec<Vec<f32>> {
    (0..net.graph().blobs.len()).map(|b| net.values(b).unwrap()).collect()
}

fn shapes<'a>(graph: &'a Graph, blobs: &[BlobId]) -> Vec<&'a Shape> {
    blobs.iter().map(|&b| &graph.blobs[b].shape).collect()
}

/// Which values change when one row (or column) of the picture does: by blob, index and row (column).
fn changes(net: &mut Net, axis: usize) -> Vec<Vec<Vec<bool>>> {
    let [_, c, h, w] = net.input_shape("data").unwrap().nchw().unwrap();
    let mut rng = Rng::new(9);
    let picture: Vec<f32> = (0..c * h * w).map(|_| rng.gaussian(0.0, 1.0)).collect();
    net.set_input("data", &picture).unwrap();
    net.forward().unwrap();
    let before = all(net);
    let len = [h, w][axis];
    let mut out: Vec<_> = before.iter().map(|v| vec![vec![false; len]; v.len()]).collect();
    (0..len).for_each(|line| {
        let mut changed = picture.clone();
        for (k, v) in changed.iter_mut().enumerate() {
            if [k / w % h, k % w][axis] == line {
                *v += rng.uniform(0.5, 1.5);
            }
        }
        net.set_input("data", &changed).unwrap();
        net.forward().unwrap();
        for (b, values) in all(net).iter().enumerate() {
            for (i, v) in values.iter().enumerate() {
                out[b][i][line] = *v != before[b][i];
            }
        }
    });
    out
}

#[test]
fn a_value_sees_what_changes_it() {
    let mut net = net(WINDOWS);
    let changes = [0, 1].map(|axis| changes(&mut net, axis));
    let graph = net.graph();
    let input = graph.blob("data").unwrap();
    let mut checked = 0;
    for (b, blob) in graph.blobs.iter().enumerate() {
        for i in 0..blob.shape.count() {
            let nothing = || [vec![false; 11], vec![false; 13]];
            let field = field(graph, b, i, input).unwrap_or_else(nothing);
            for axis in [0, 1] {
                let changed = &changes[axis][b][i];
                // A joined branch may see less than the rectangle; nothing sees more than its field.
                let inside =
                    field[axis].iter().zip(changed).all(|(sees, changes)| *sees || !changes);
                assert!(inside, "{} {i}: {field:?}, changed by {changed:?}", blob.name);
                if !matches!(blob.name.as_str(), "ave" | "up" | "cut0" | "cut1" | "flat" | "tanh") {
                    assert_eq!(&field[axis], changed, "{} {i}, axis {axis}", blob.name);
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 2000, "{checked}");
}

/// The value of a weighted node's output from its taps.
fn product_sum(net: &Net, node: &Node, top: usize, index: usize) -> f64 {
    let graph = net.graph();
    let taps =
        taps(&node.layer, &shapes(graph, &node.bottoms), &shapes(graph, &node.tops), top, index);
    let (weights, bias) = (net.param(&node.name, 0).unwrap(), net.param(&node.name, 1).unwrap());
    let x = net.values(node.bottoms[0]).unwrap();
    let shape = &graph.blobs[node.tops[top]].shape;
    let sum: f64 =
        taps.iter().map(|t| f64::from(x[t.index]) * f64::from(weights.data()[t.weight])).sum();
    sum + f64::from(bias.data()[super::choose::channel(shape, index)])
}

#[test]
fn products_add_up_to_the_output() {
    let mut net = net(WINDOWS);
    changes(&mut net, 0);
    let graph = net.graph();
    for name in ["a", "b", "c", "up", "fc"] {
        let node = graph.nodes.iter().find(|n| n.name == name).unwrap();
        for (i, &want) in net.values(node.tops[0]).unwrap().iter().enumerate() {
            let sum = product_sum(&net, node, 0, i);
            assert!(
                (sum - f64::from(want)).abs() < 1e-5 * (1.0 + want.abs() as f64),
                "{name} {i}: {sum}, {want}"
            );
        }
    }
}

#[test]
fn taps_are_what_changes_a_value() {
    let net = net(WINDOWS);
    let graph = net.graph();
    // Each layer alone, as a network that reads its bottoms.
    for node in graph.nodes.iter().filter(|n| n.bottoms.len() == 1) {
        let bottom = &graph.blobs[node.bottoms[0]].shape;
        let own: Vec<&str> = WINDOWS
            .split("layer {")
            .filter(|l| l.contains(&format!(" name: \"{}\" ", node.name)))
            .collect();
        let dims: String = bottom.dims().iter().map(|d| format!(" dim: {d}")).collect();
        let from = &graph.blobs[node.bottoms[0]].name;
        let text = format!(
            "layer {{ name: \"in\" type: \"Input\" top: \"{from}\" input_param {{ shape {{{dims} }} }} }} layer {{{}",
            own[0]
        );
        let mut alone = self::net(&text);
        let mut rng = Rng::new(2);
        let x: Vec<f32> = (0..bottom.count()).map(|_| rng.gaussian(0.0, 1.0)).collect();
        alone.set_input(from, &x).unwrap();
        alone.forward().unwrap();
        let tops = alone.graph().nodes[1].tops.clone();
        let before: Vec<Vec<f32>> = tops.iter().map(|&t| alone.values(t).unwrap()).collect();
        let mut changed: Vec<Vec<Vec<usize>>> =
            before.iter().map(|v| vec![vec![]; v.len()]).collect();
        for i in 0..x.len() {
            let mut other = x.clone();
            other[i] += 1.0;
            alone.set_input(from, &other).unwrap();
            alone.forward().unwrap();
            for (t, &top) in tops.iter().enumerate() {
                let after = alone.values(top).unwrap();
                (0..after.len())
                    .filter(|&o| after[o] != before[t][o])
                    .for_each(|o| changed[t][o].push(i));
            }
        }
        for (t, changed) in changed.iter().enumerate() {
            for (o, changed) in changed.iter().enumerate() {
                let (b, tt) = (shapes(graph, &node.bottoms), shapes(graph, &node.tops));
                let mut found: Vec<usize> =
                    taps(&node.layer, &b, &tt, t, o).iter().map(|t| t.index).collect();
                found.sort_unstable();
                assert_eq!(found, *changed, "{} top {t}, output {o}", node.name);
            }
        }
    }
}
