//! What a layer computes, as numbers for the page's script.
//!
//! Flows in: a node, its parameters, what was chosen of them. Flows out: JSON, with arrays by their numbers in
//! the page's [`Store`].

use super::choose::{Numbers, Weights};
use super::codec::Store;
use crate::layer::{Layer, LrnRegion, PoolMethod, Unary};
use crate::net::Node;
use likenet_kernels::ops::{Eltwise, Reduction, Window};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// How many products of a fully connected layer's output stand on the page where not all do.
pub(super) const STRONGEST: usize = 16;

/// The operation of a node, for the script.
pub(super) fn op(n: &Numbers, node: &Node, weights: Option<&Weights>, store: &mut Store) -> Value {
    let param = |i: usize| node.params.get(i).map(|p| n.params[p.id].as_slice());
    let mut floats = |values: Option<&[f32]>| values.map(|v| store.floats(v));
    match &node.layer {
        Layer::Source(_) => json!({"is": "source"}),
        Layer::Convolution(l) | Layer::Deconvolution(crate::layer::Deconv(l)) => {
            let deconv = matches!(node.layer, Layer::Deconvolution(_));
            let bias = floats(param(1));
            let mut op = windowed(if deconv { "deconv" } else { "conv" }, &l.window);
            op["group"] = json!(l.group);
            op["filters"] = json!(l.filters);
            op["bias"] = json!(bias);
            op["weights"] = match weights {
                Some(Weights::Filters(chosen)) if !deconv => filters(n, node, chosen, store),
                _ => json!({"whole": store.floats(param(0).unwrap_or_default())}),
            };
            op
        }
        Layer::InnerProduct(l) => {
            let bias = floats(param(1));
            let weights = match weights {
                Some(Weights::Strongest) => strongest(n, node, store),
                _ => json!({"whole": store.floats(param(0).unwrap_or_default())}),
            };
            json!({"is": "fc", "outputs": l.outputs, "transpose": l.transpose, "weights": weights, "bias": bias})
        }
        Layer::Pooling(l) => {
            let shape = &n.graph.blobs[node.bottoms[0]].shape;
            let all = Window { kernel: [1; 2], stride: [1; 2], pad: [0; 2], dilation: [1; 2] };
            let window = l.dims(shape).map_or(all, |d| d.window);
            let mut op = windowed("pool", &window);
            op["max"] = json!(l.method == PoolMethod::Max);
            op
        }
        Layer::Lrn(l) => {
            let p = l.params;
            let within = l.region == LrnRegion::WithinChannel;
            json!({"is": "lrn", "within": within, "size": p.size, "alpha": p.alpha, "beta": p.beta, "k": p.k})
        }
        Layer::Pointwise(op) => unary(op),
        Layer::PRelu(l) => json!({"is": "prelu", "shared": l.shared, "slopes": floats(param(0))}),
        Layer::Dropout(l) => json!({"is": "dropout", "ratio": l.ratio, "active": l.active}),
        Layer::BatchNorm(l) => {
            let factor = param(2).and_then(|v| v.first()).copied().unwrap_or(0.0);
            // Caffe stores sums and what to divide them by; 0 means nothing was summed.
            let factor = if factor == 0.0 { 0.0 } else { 1.0 / factor };
            let divided =
                |v: Option<&[f32]>| v.map(|v| v.iter().map(|x| x * factor).collect::<Vec<_>>());
            let (mean, variance) = (divided(param(0)), divided(param(1)));
            let (mean, variance) = (floats(mean.as_deref()), floats(variance.as_deref()));
            json!({"is": "batchnorm", "stored": l.stored, "eps": l.eps, "mean": mean, "variance": variance})
        }
        Layer::Scale(l) | Layer::Bias(l) => {
            let shapes: Vec<_> = node.bottoms.iter().map(|&b| &n.graph.blobs[b].shape).collect();
            let view = l.view(&shapes).ok().map(|v| [v.outer, v.len, v.inner]);
            let scales = matches!(node.layer, Layer::Scale(_));
            let given = node.bottoms.len() > 1;
            let (first, second) = (floats(param(0)), floats(param(1)));
            let (factor, summand) = match (scales, given) {
                (true, false) => (first, second),
                (true, true) => (None, first),
                (false, _) => (None, first),
            };
            json!({"is": "scale", "scales": scales, "given": given, "view": view, "factor": factor,
                "summand": summand})
        }
        Layer::Softmax(l) => {
            let shape = &n.graph.blobs[node.bottoms[0]].shape;
            let view =
                shape.axis(l.axis).map(|a| shape.along(a)).map(|v| [v.outer, v.len, v.inner]);
            json!({"is": "softmax", "view": view.ok()})
        }
        Layer::Concat(l) => {
            json!({"is": "concat", "axis": n.graph.blobs[node.tops[0]].shape.axis(l.axis).ok()})
        }
        Layer::Slice(l) => {
            json!({"is": "slice", "axis": n.graph.blobs[node.bottoms[0]].shape.axis(l.axis).ok()})
        }
        Layer::Tile(l) => {
            json!({"is": "tile", "axis": n.graph.blobs[node.bottoms[0]].shape.axis(l.axis).ok()})
        }
        Layer::Split | Layer::Flatten(_) | Layer::Reshape(_) => json!({"is": "copy"}),
        Layer::Eltwise(op) => match op {
            Eltwise::Sum(factors) => json!({"is": "eltwise", "how": "sum", "factors": factors}),
            Eltwise::Prod => json!({"is": "eltwise", "how": "product"}),
            Eltwise::Max => json!({"is": "eltwise", "how": "max"}),
        },
        Layer::Crop(l) => {
            let shapes: Vec<_> = node.bottoms.iter().map(|&b| &n.graph.blobs[b].shape).collect();
            json!({"is": "crop", "origin": l.origin(&shapes).ok()})
        }
        Layer::Reduction(l) => {
            let len = l.view(&n.graph.blobs[node.bottoms[0]].shape).map_or(1, |v| v.len);
            let how = match l.op {
                Reduction::Sum => "sum",
                Reduction::Asum => "sum of magnitudes",
                Reduction::SumSq => "sum of squares",
                Reduction::Mean => "mean",
            };
            json!({"is": "reduction", "how": how, "len": len, "factor": l.coeff})
        }
        Layer::Mvn(l) => {
            let row = l.row(&n.graph.blobs[node.bottoms[0]].shape);
            json!({"is": "mvn", "row": row, "variance": l.variance, "eps": l.eps})
        }
        Layer::Embed(l) => json!({"is": "embed", "outputs": l.outputs}),
        Layer::SoftmaxLoss(_)
        | Layer::SigmoidCrossEntropyLoss(_)
        | Layer::HingeLoss(_)
        | Layer::EuclideanLoss(_)
        | Layer::ContrastiveLoss(_)
        | Layer::MultinomialLogisticLoss(_)
        | Layer::Accuracy(_)
        | Layer::ArgMax(_)
        | Layer::Silence => json!({"is": "other"}),
    }
}

fn windowed(is: &str, w: &Window) -> Value {
    json!({"is": is, "kernel": w.kernel, "stride": w.stride, "pad": w.pad, "dilation": w.dilation})
}

fn unary(op: &Unary) -> Value {
    match *op {
        Unary::Relu { slope } => json!({"is": "unary", "f": "relu", "slope": slope}),
        Unary::Elu { alpha } => json!({"is": "unary", "f": "elu", "alpha": alpha}),
        Unary::Sigmoid => json!({"is": "unary", "f": "sigmoid"}),
        Unary::TanH => json!({"is": "unary", "f": "tanh"}),
        Unary::AbsVal => json!({"is": "unary", "f": "abs"}),
        Unary::Power { power, scale, shift } => {
            json!({"is": "unary", "f": "power", "power": power, "scale": scale, "shift": shift})
        }
        Unary::Exp { base, scale, shift } => {
            json!({"is": "unary", "f": "exp", "base": base, "scale": scale, "shift": shift})
        }
        Unary::Log { base, scale, shift } => {
            json!({"is": "unary", "f": "log", "base": base, "scale": scale, "shift": shift})
        }
        Unary::Bnll => json!({"is": "unary", "f": "bnll"}),
        Unary::Clip { low, high } => json!({"is": "unary", "f": "clip", "low": low, "high": high}),
        Unary::Swish { beta } => json!({"is": "unary", "f": "swish", "beta": beta}),
        Unary::Threshold { threshold } => {
            json!({"is": "unary", "f": "threshold", "threshold": threshold})
        }
    }
}

/// The weights of some filters.
fn filters(n: &Numbers, node: &Node, chosen: &BTreeSet<usize>, store: &mut Store) -> Value {
    let all = &n.params[node.params[0].id];
    let each = all.len() / node.params[0].spec.shape.dims()[0].max(1);
    let values: Vec<f32> = chosen.iter().flat_map(|f| &all[f * each..][..each]).copied().collect();
    json!({"some": chosen, "values": store.floats(&values)})
}

/// For each output of a fully connected layer its strongest inputs, their weights, and the sum of the others'
/// products.
fn strongest(n: &Numbers, node: &Node, store: &mut Store) -> Value {
    let outputs = n.blobs[node.tops[0]].len();
    let picked: Vec<(Vec<u32>, Vec<f32>, f32)> = (0..outputs)
        .into_par_iter()
        .map(|index| {
            let taps = n.taps(node, 0, index);
            let product = |i: &usize| f64::from(n.share(node, &taps[*i]));
            let mut order: Vec<usize> = (0..taps.len()).collect();
            let count = STRONGEST.min(order.len());
            if count < order.len() {
                let larger = |a: &usize, b: &usize| product(b).abs().total_cmp(&product(a).abs());
                order.select_nth_unstable_by(count, larger);
            }
            order[..count]
                .sort_by(|a, b| product(b).abs().total_cmp(&product(a).abs()).then(a.cmp(b)));
            let weights = &n.params[node.params[0].id];
            let exact = |i: &usize| {
                let tap = &taps[*i];
                f64::from(n.blobs[node.bottoms[0]][tap.index]) * f64::from(weights[tap.weight])
            };
            let rest: f64 = order[count..].iter().map(exact).sum();
            let inputs = order[..count].iter().map(|&i| taps[i].index as u32).collect();
            (inputs, order[..count].iter().map(|&i| weights[taps[i].weight]).collect(), rest as f32)
        })
        .collect();
    let inputs: Vec<u32> = picked.iter().flat_map(|p| &p.0).copied().collect();
    let weights: Vec<f32> = picked.iter().flat_map(|p| &p.1).copied().collect();
    let rest: Vec<f32> = picked.iter().map(|p| p.2).collect();
    json!({
        "strongest": inputs.len() / outputs.max(1), "inputs": store.indices(&inputs),
        "values": store.floats(&weights), "rest": store.floats(&rest),
    })
}
