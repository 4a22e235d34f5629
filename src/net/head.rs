//! A trained network given another task: its last weights replaced, a loss in the place of its softmax
//! (Donahue et al., 2014; Girshick et al., 2014).
//!
//! Flows in: the description of a network as it is used. Flows out: that of one that learns, without the
//! layers that its pictures come from.

use weights_tools::proto::{
    FillerParameter, LayerParameter, NetParameter, NetStateRule, ParamSpec, Phase,
};

/// What replaces a network's classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// The layer that is replaced: fully connected or a convolution. The last such one if none is named.
    pub layer: Option<String>,
    /// What it is called from then on; weights of the old name do not fit it. Its old name and `suffix` if
    /// nothing is said.
    pub name: Option<String>,
    /// What makes its old name a new one.
    pub suffix: String,
    /// Classes that it tells apart.
    pub classes: u32,
    /// Factor of its learning rate: it begins with nothing, the others are trained.
    pub rate: f32,
    /// Layers before this one keep their weights as they are.
    pub learn_from: Option<String>,
}

/// The network with another head, `SoftmaxWithLoss` ("loss") and, for tests, `Accuracy` ("accuracy") on
/// a blob "label". Weights decay, biases do not and learn twice as fast, as in the published trainings. A ReLU
/// on the head itself goes.
///
/// Gives the network and the head's name; fails when there is no such layer.
pub fn with_head(mut net: NetParameter, head: &Head) -> Result<(NetParameter, String), String> {
    let weighted = |l: &LayerParameter| matches!(l.r#type(), "InnerProduct" | "Convolution");
    net.layer.retain(|l| !matches!(l.r#type(), "Input" | "Data" | "ImageData" | "Accuracy"));
    (net.input, net.input_dim, net.input_shape) = (vec![], vec![], vec![]);
    let known = |net: &NetParameter| {
        let names: Vec<&str> = net.layer.iter().filter(|l| weighted(l)).map(|l| l.name()).collect();
        names.join(", ")
    };
    let at = match &head.layer {
        Some(name) => net.layer.iter().position(|l| l.name() == name && weighted(l)),
        None => net.layer.iter().rposition(weighted),
    };
    let at = at.ok_or_else(|| {
        let name = head.layer.as_deref().unwrap_or("");
        format!("no layer '{name}' with weights to replace; there are: {}", known(&net))
    })?;
    let from = match &head.learn_from {
        None => 0,
        Some(name) => net.layer.iter().position(|l| l.name() == name).ok_or_else(|| {
            format!("no layer '{name}' to learn from; there are: {}", known(&net))
        })?,
    };
    for (i, layer) in net.layer.iter_mut().enumerate().filter(|(_, l)| weighted(l)) {
        let rate = if i == at { head.rate } else { f32::from(i >= from) };
        layer.param = [(1.0, 1.0), (2.0, 0.0)].map(|(lr, decay)| spec(lr * rate, decay)).to_vec();
    }
    let layer = &mut net.layer[at];
    let old = layer.name().to_string();
    let name = head.name.clone().unwrap_or(format!("{old}{}", head.suffix));
    replace(layer, &name, head.classes);
    // SqueezeNet bends its scores: a class whose scores are negative would have no gradient.
    let top = net.layer[at].top[0].clone();
    let bends = |l: &LayerParameter| {
        l.r#type() == "ReLU" && l.bottom == [top.as_str()] && l.top == l.bottom
    };
    if net.layer.get(at + 1).is_some_and(bends) {
        net.layer.remove(at + 1);
    }
    let layer = &mut net.layer[at];
    // The old blob's readers read the new one, up to the scores.
    layer.top[0] = name.clone();
    net.layer
        .truncate(net.layer.iter().rposition(|l| l.r#type() != "Softmax").map_or(at, |i| i) + 1);
    for later in &mut net.layer[at + 1..] {
        later
            .bottom
            .iter_mut()
            .chain(&mut later.top)
            .filter(|b| **b == top)
            .for_each(|b| b.clone_from(&name));
    }
    let scores =
        net.layer.last().and_then(|l| l.top.first().cloned()).unwrap_or_else(|| name.clone());
    net.layer.push(judge("loss", "SoftmaxWithLoss", &scores, None));
    net.layer.push(judge("accuracy", "Accuracy", &scores, Some(Phase::Test)));
    Ok((net, name))
}

fn spec(lr_mult: f32, decay_mult: f32) -> ParamSpec {
    ParamSpec { lr_mult: Some(lr_mult), decay_mult: Some(decay_mult), ..Default::default() }
}

/// Another name, another number of outputs, first weights small.
fn replace(layer: &mut LayerParameter, name: &str, classes: u32) {
    layer.name = Some(name.to_string());
    layer.blobs.clear();
    let gaussian =
        FillerParameter { r#type: Some("gaussian".into()), std: Some(0.01), ..Default::default() };
    let zero = FillerParameter { r#type: Some("constant".into()), ..Default::default() };
    if let Some(p) = &mut layer.inner_product_param {
        p.num_output = Some(classes);
        (p.weight_filler, p.bias_filler) = (Some(gaussian.clone()), Some(zero.clone()));
    }
    if let Some(p) = &mut layer.convolution_param {
        p.num_output = Some(classes);
        (p.weight_filler, p.bias_filler) = (Some(gaussian), Some(zero));
    }
}

/// A layer on the scores and the labels.
fn judge(name: &str, kind: &str, scores: &str, phase: Option<Phase>) -> LayerParameter {
    let rule = |phase: Phase| NetStateRule { phase: Some(phase.into()), ..Default::default() };
    LayerParameter {
        name: Some(name.into()),
        r#type: Some(kind.into()),
        bottom: vec![scores.into(), "label".into()],
        top: vec![name.into()],
        include: phase.map(rule).into_iter().collect(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Description, Net, NetState, Options, architectures};
    use super::*;
    use crate::layer::Phase;

    fn tuned(prototxt: &str, head: &Head) -> Result<String, String> {
        let net = weights_tools::parse_net_text("deploy", prototxt).expect("a network");
        let (net, _) = with_head(weights_tools::upgrade(net).expect("current"), head)?;
        let input = "layer { name: 'd' type: 'Input' top: 'data' top: 'label' \
            input_param { shape { dim: 1 dim: 3 dim: 227 dim: 227 } shape { dim: 1 } } }";
        Ok(format!("{input} {}", weights_tools::print_net_text(&net)))
    }

    #[test]
    fn every_architecture_of_the_zoo_can_be_tuned() {
        let head = Head {
            layer: None,
            name: None,
            suffix: "_new".into(),
            classes: 3,
            rate: 10.0,
            learn_from: None,
        };
        for known in architectures() {
            let text = tuned(known.prototxt, &head).expect("another head");
            let text = text.replace(
                "dim: 227 dim: 227",
                match known.name {
                    "googlenet" | "vgg16" => "dim: 224 dim: 224",
                    _ => "dim: 227 dim: 227",
                },
            );
            let state = NetState { phase: Phase::Test, ..NetState::default() };
            let description = Description::parse(known.name, &text, &state).expect("a network");
            let graph = super::super::Graph::new(&description, &[], None).expect("a graph");
            let names: Vec<&str> =
                graph.outputs().iter().map(|&b| graph.blobs[b].name.as_str()).collect();
            assert_eq!(names, ["accuracy", "loss"], "{}", known.name);
            let last = graph.nodes.iter().rfind(|n| !n.params.is_empty()).expect("weights");
            assert!(last.name.ends_with("_new"), "{}", last.name);
            let bent = |n: &super::super::Node| n.kind == "ReLU" && n.bottoms == last.tops;
            assert!(!graph.nodes.iter().any(bent), "{}: bent scores", known.name);
            assert_eq!(last.params[0].spec.shape.dims()[0], 3);
            assert_eq!(last.params[0].rule.lr_mult, 10.0);
            assert_eq!((last.params[1].rule.lr_mult, last.params[1].rule.decay_mult), (20.0, 0.0));
        }
    }

    #[test]
    fn layers_before_the_first_that_learns_are_frozen() {
        let text = "layer { name: 'in' type: 'Input' top: 'data' }
            layer { name: 'a' type: 'InnerProduct' bottom: 'data' top: 'a' inner_product_param { num_output: 4 } }
            layer { name: 'b' type: 'InnerProduct' bottom: 'a' top: 'b' inner_product_param { num_output: 4 } }
            layer { name: 'c' type: 'InnerProduct' bottom: 'b' top: 'c' inner_product_param { num_output: 9 } }
            layer { name: 'p' type: 'Softmax' bottom: 'c' top: 'p' }";
        let head = Head {
            layer: Some("c".into()),
            name: Some("d".into()),
            suffix: String::new(),
            classes: 2,
            rate: 5.0,
            learn_from: Some("b".into()),
        };
        let text =
            tuned(text, &head).expect("a head").replace("dim: 227 dim: 227", "dim: 1 dim: 1");
        let options = Options { keep: super::super::Keep::Training, ..Options::default() };
        let net = Net::parse("tuned", &text, options).expect("a network");
        let learnt = net.learnt();
        let rates: Vec<(&str, f32)> =
            learnt.iter().map(|p| (p.layer.as_str(), p.lr_mult)).collect();
        assert_eq!(rates, [("b", 1.0), ("b", 2.0), ("d", 5.0), ("d", 10.0)]);
        let wrong = Head { layer: Some("x".into()), ..head };
        assert!(tuned("layer { name: 'in' type: 'Input' top: 'data' }", &wrong).is_err());
    }
}
