//! The network and its numbers, for the page's script.
//!
//! Flows in: a photo's [`Walk`] through a network. Flows out: JSON, with arrays by their numbers in the page's
//! [`Store`].

use super::Walk;
use super::choose::{Values, Weights, channel, weighted};
use super::codec::Store;
use super::ops::op;
use super::reach::reach;
use crate::error::Result;
use crate::image::{ChannelOrder, Mean, Resize, centre_crop};
use crate::net::BlobId;
use crate::shape::Shape;
use serde_json::{Value, json};

/// Longest side of a channel's picture where its values are not on the page.
const PICTURE: usize = 56;

/// Everything that the script needs to know.
pub(super) fn network(walk: &Walk, store: &mut Store) -> Result<Value> {
    let (graph, choice) = (walk.numbers.graph, &walk.choice);
    let blobs: Vec<Value> = (0..graph.blobs.len()).map(|b| blob(walk, b, store)).collect();
    let nodes = graph.nodes.iter().enumerate().map(|(i, node)| {
        let reaches = (0..node.bottoms.len()).map(|b| reach(graph, node, b).json());
        json!({
            "name": node.name, "kind": node.kind, "bottoms": node.bottoms, "tops": node.tops,
            "reach": reaches.collect::<Vec<_>>(), "weighted": weighted(&node.layer),
            "op": op(&walk.numbers, node, choice.weights[i].as_ref(), store),
        })
    });
    let nodes: Vec<Value> = nodes.collect();
    Ok(json!({
        "nodes": nodes, "blobs": blobs, "input": walk.input, "labels": walk.labels,
        "best": walk.said.as_ref().map(|said| json!({"blob": said.blob, "index": said.class})),
        "sample": sample(walk, store), "crop": crop(walk)?,
    }))
}

/// A blob for the script.
fn blob(walk: &Walk, b: BlobId, store: &mut Store) -> Value {
    let blob = &walk.numbers.graph.blobs[b];
    let values = &walk.numbers.blobs[b];
    let finite = || values.iter().copied().filter(|v| v.is_finite());
    let range =
        [finite().fold(f32::INFINITY, f32::min), finite().fold(f32::NEG_INFINITY, f32::max)];
    let range = range.map(|v| if v.is_finite() { v } else { 0.0 });
    let peak = values.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |p| p.0);
    let mut out = json!({
        "name": blob.name, "shape": blob.shape.dims(), "producer": blob.producer, "range": range, "peak": peak,
    });
    match &walk.choice.values[b] {
        Values::Whole => out["whole"] = json!(store.floats(values)),
        Values::Made => out["made"] = json!(true),
        Values::Before(after) => out["before"] = json!(after),
        Values::Some(some) => {
            let indices: Vec<u32> = some.iter().map(|&i| i as u32).collect();
            let chosen: Vec<f32> = some.iter().map(|&i| values[i]).collect();
            out["some"] = json!([store.indices(&indices), store.floats(&chosen)]);
            out["pictures"] = pictures(&blob.shape, values, range, store);
        }
    }
    let followed = &walk.choice.followed[b];
    let partial = matches!(walk.choice.values[b], Values::Some(_));
    let filters = matches!(walk.choice.weights[blob.producer], Some(Weights::Filters(_)));
    if partial || filters {
        let strongest = followed.iter().copied().max_by(|&i, &j| values[i].total_cmp(&values[j]));
        out["followed"] = json!(followed);
        out["channels"] =
            json!(followed.iter().map(|&i| channel(&blob.shape, i)).collect::<Vec<_>>());
        out["peak"] = json!(strongest.unwrap_or(peak));
    }
    out
}

/// Channels as small pictures in 256 steps, each point the mean of the values that it stands for.
fn pictures(shape: &Shape, values: &[f32], [low, high]: [f32; 2], store: &mut Store) -> Value {
    let [_, _, h, w] = shape.nchw().unwrap_or([1, 1, 1, values.len()]);
    let step = h.max(w).div_ceil(PICTURE);
    let [rows, columns] = [h.div_ceil(step), w.div_ceil(step)];
    let span = if high > low { high - low } else { 1.0 };
    let mut bytes = Vec::with_capacity(values.len() / (step * step) + 1);
    for plane in values.chunks(h * w) {
        for r in 0..rows {
            for c in 0..columns {
                let (mut sum, mut n) = (0.0, 0);
                for row in plane.chunks(w).skip(r * step).take(step) {
                    for v in row.iter().skip(c * step).take(step) {
                        sum += v;
                        n += 1;
                    }
                }
                bytes.push(((sum / n.max(1) as f32 - low) / span * 255.0).round() as u8);
            }
        }
    }
    json!({"bytes": store.bytes(&bytes), "size": [rows, columns], "step": step})
}

/// How samples became the input.
fn sample(walk: &Walk, store: &mut Store) -> Value {
    let options = walk.classifier.options();
    let colours = match options.channel_order {
        ChannelOrder::Bgr => ["blue", "green", "red"],
        ChannelOrder::Rgb => ["red", "green", "blue"],
    };
    let turn = |[b, g, r]: [f32; 3]| match options.channel_order {
        ChannelOrder::Bgr => [b, g, r],
        ChannelOrder::Rgb => [r, g, b],
    };
    let (mut mean, mut image) = ([0.0; 3], None);
    match &options.mean {
        Mean::None => {}
        Mean::Channels(values) => mean = turn(*values),
        Mean::Image(picture) => {
            let plane = picture.data().len() / picture.channels();
            let planes = picture.data().chunks(plane);
            let planes: Vec<&[f32]> = match options.channel_order {
                ChannelOrder::Bgr => planes.collect(),
                ChannelOrder::Rgb => planes.rev().collect(),
            };
            image = Some(store.floats(&planes.concat()));
        }
    }
    json!({
        "values": store.floats(&walk.samples), "colours": colours, "mean": mean, "image": image,
        "scale": options.input_scale, "unit": options.raw_scale,
    })
}

/// Where the crop lies in the photo: top, left, height, width, as shares of the photo.
fn crop(walk: &Walk) -> Result<[f64; 4]> {
    let options = walk.classifier.options();
    let whole = match options.resize {
        Resize::None => walk.picture.size(),
        _ => options.image_dims,
    };
    let at = centre_crop(whole, options.crop)?;
    let share = |a: usize, b: usize| a as f64 / b as f64;
    Ok([
        share(at.y, whole.height),
        share(at.x, whole.width),
        share(options.crop.height, whole.height),
        share(options.crop.width, whole.width),
    ])
}
