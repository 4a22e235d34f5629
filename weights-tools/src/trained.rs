//! A trained net as Caffe's solver writes it. Flows in: the layers of its description and their
//! weights. Flows out: a `.caffemodel` with whole layers, not names and blobs alone.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use crate::schema::proto::{LayerParameter, NetParameter, ParamSpec, Phase};
use crate::weights_file::WeightsSource;
use crate::{Error, write};

/// Writes a net of the current generation with its weights: every field of its layers, and what Caffe
/// adds when it builds a net for training. `net` holds the layers of that state only. One layer's
/// weights are in memory at a time.
///
/// Fails, besides writing, where the source has weights of a layer that the net lacks.
pub fn write_trained(
    path: &Path,
    net: &NetParameter,
    source: &dyn WeightsSource,
) -> Result<(), Error> {
    let layers = built(&net.layer);
    let names: HashSet<&str> = layers.iter().map(LayerParameter::name).collect();
    let entries = source.entries().iter().enumerate();
    let weighty: HashMap<&str, usize> =
        entries.filter(|(_, e)| !e.tensors.is_empty()).map(|(i, e)| (e.name.as_str(), i)).collect();
    if let Some(name) = weighty.keys().find(|&name| !names.contains(name)) {
        return Err(Error::Unwritable {
            file: path.display().to_string(),
            problem: format!("there are weights of layer \"{name}\", which the net lacks"),
        });
    }
    let layers = layers.iter().map(|layer| {
        let blobs = weighty.get(layer.name()).map(|&i| write::blobs(source, i));
        Ok(LayerParameter { blobs: blobs.transpose()?.unwrap_or_default(), ..layer.clone() })
    });
    write::write_net(path, net.name(), layers)
}

/// The layers as they are in Caffe's memory once a net for training is built.
fn built(layers: &[LayerParameter]) -> Vec<LayerParameter> {
    let mut layers = with_splits(layers);
    for layer in &mut layers {
        layer.phase.get_or_insert(Phase::Train.into());
        if layer.r#type().ends_with("Loss") && layer.loss_weight.is_empty() {
            layer.loss_weight.push(1.0);
        }
        // Running sums are not learnt: their rates are 0 where nothing is said.
        while layer.r#type() == "BatchNorm" && layer.param.len() < 3 {
            layer.param.push(ParamSpec { lr_mult: Some(0.0), ..Default::default() });
        }
    }
    layers
}

/// A top: the position of its layer, and its own in it.
type Top = (usize, usize);

/// After each layer, a `Split` for every top of it that is used more than once: by other layers, or
/// by one and as a loss. Its users read the split's tops in turn.
fn with_splits(layers: &[LayerParameter]) -> Vec<LayerParameter> {
    let (reads, uses) = tops_read(layers);
    let shared = |top: &Top| uses.get(top).is_some_and(|&n| n > 1);
    let mut given: HashMap<Top, usize> = HashMap::new();
    let mut split = vec![];
    for (i, (layer, reads)) in layers.iter().zip(&reads).enumerate() {
        let at = split.len();
        split.push(layer.clone());
        for (bottom, top) in split[at].bottom.iter_mut().zip(reads) {
            if let Some(top) = top.filter(shared) {
                let turn = given.entry(top).or_default();
                *bottom = format!("{}_{turn}", split_name(layers, top));
                *turn += 1;
            }
        }
        for top in (0..layer.top.len()).map(|j| (i, j)).filter(shared) {
            let name = split_name(layers, top);
            let mut tops = LayerParameter {
                name: Some(name.clone()),
                r#type: Some("Split".to_owned()),
                bottom: vec![layer.top[top.1].clone()],
                top: (0..uses[&top]).map(|k| format!("{name}_{k}")).collect(),
                ..Default::default()
            };
            // The loss is the split's first top; its weight moves there.
            if let Some(&weight) = layer.loss_weight.get(top.1).filter(|&&weight| weight != 0.0) {
                tops.loss_weight = vec![0.0; tops.top.len()];
                tops.loss_weight[0] = weight;
                split[at].loss_weight.clear();
                given.insert(top, 1);
            }
            split.push(tops);
        }
    }
    split
}

/// The top that each bottom of each layer reads, and how often each top is used.
fn tops_read(layers: &[LayerParameter]) -> (Vec<Vec<Option<Top>>>, HashMap<Top, usize>) {
    let mut writers: HashMap<&str, Top> = HashMap::new();
    let mut uses: HashMap<Top, usize> = HashMap::new();
    let mut reads = vec![];
    for (i, layer) in layers.iter().enumerate() {
        let tops: Vec<_> = layer.bottom.iter().map(|b| writers.get(b.as_str()).copied()).collect();
        writers.extend(layer.top.iter().enumerate().map(|(j, top)| (top.as_str(), (i, j))));
        let weights = layer.loss_weight.iter().take(layer.top.len()).enumerate();
        let losses = weights.filter(|&(_, &weight)| weight != 0.0).map(|(j, _)| (i, j));
        for top in tops.iter().flatten().copied().chain(losses) {
            *uses.entry(top).or_default() += 1;
        }
        reads.push(tops);
    }
    (reads, uses)
}

fn split_name(layers: &[LayerParameter], (layer, top): Top) -> String {
    let layer = &layers[layer];
    format!("{}_{}_{top}_split", layer.top[top], layer.name())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_net_text, print_net_text};

    fn built_text(text: &str) -> String {
        let net = parse_net_text("test", text).unwrap();
        print_net_text(&NetParameter { layer: built(&net.layer), ..Default::default() })
    }

    fn same(text: &str, wanted: &str) {
        let wanted = print_net_text(&parse_net_text("test", wanted).unwrap());
        assert_eq!(built_text(text), wanted);
    }

    #[test]
    fn a_blob_read_twice_is_split() {
        same(
            "layer { name: 'd' top: 'data' top: 'label' }
             layer { name: 'c' bottom: 'data' top: 'x' }
             layer { name: 'r' bottom: 'x' top: 'x' }
             layer { name: 'a' bottom: 'x' bottom: 'label' top: 'a' phase: TEST }
             layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'x' bottom: 'label' top: 'l' }",
            "layer { name: 'd' top: 'data' top: 'label' phase: TRAIN }
             layer { name: 'label_d_1_split' type: 'Split' bottom: 'label' phase: TRAIN
                     top: 'label_d_1_split_0' top: 'label_d_1_split_1' }
             layer { name: 'c' bottom: 'data' top: 'x' phase: TRAIN }
             layer { name: 'r' bottom: 'x' top: 'x' phase: TRAIN }
             layer { name: 'x_r_0_split' type: 'Split' bottom: 'x' phase: TRAIN
                     top: 'x_r_0_split_0' top: 'x_r_0_split_1' }
             layer { name: 'a' bottom: 'x_r_0_split_0' bottom: 'label_d_1_split_0' top: 'a'
                     phase: TEST }
             layer { name: 'l' type: 'SoftmaxWithLoss' bottom: 'x_r_0_split_1'
                     bottom: 'label_d_1_split_1' top: 'l' loss_weight: 1 phase: TRAIN }",
        );
    }

    #[test]
    fn a_loss_that_is_read_gives_its_weight_to_the_split() {
        same(
            "layer { name: 'p' top: 'x' loss_weight: 2 } layer { name: 'q' bottom: 'x' }",
            "layer { name: 'p' top: 'x' phase: TRAIN }
             layer { name: 'x_p_0_split' type: 'Split' bottom: 'x' top: 'x_p_0_split_0'
                     top: 'x_p_0_split_1' loss_weight: 2 loss_weight: 0 phase: TRAIN }
             layer { name: 'q' bottom: 'x_p_0_split_1' phase: TRAIN }",
        );
    }

    #[test]
    fn running_sums_have_no_rates() {
        let text = built_text("layer { type: 'BatchNorm' param { lr_mult: 0 decay_mult: 0 } }");
        assert_eq!(text.matches("lr_mult: 0").count(), 3, "{text}");
    }
}
