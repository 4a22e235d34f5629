//! The page itself.
//!
//! Flows in: a photo's [`Walk`] through a network. Flows out: HTML with style, script and numbers in it. Its
//! policy lets this one script run and loads nothing. Names are text, never HTML.

use super::Walk;
use super::choose::{Values, Weights};
use super::codec::Store;
use super::describe::{describe, window};
use super::html::{count, formula, text};
use super::map::{family, svg};
use super::network::network;
use super::reach::field;
use crate::classify::best;
use crate::error::Result;
use crate::image::{Picture, Size, resize};
use crate::layer::Layer;
use crate::net::{BlobId, Node};
use crate::report::encode_jpeg;
use crate::shape::Shape;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

const STYLE: &str = include_str!("style.css");

/// The page's script; its parts build on each other in this order.
const SCRIPT: &str = concat!(
    include_str!("script/data.js"),
    include_str!("script/taps.js"),
    include_str!("script/explain.js"),
    include_str!("script/draw.js"),
    include_str!("script/panel.js"),
    include_str!("script/page.js"),
);

/// Longest side of the photo as the page shows it.
const PHOTO: usize = 560;

/// The hashes of the script, as a Content-Security-Policy's `script-src` takes them.
pub fn script_hashes() -> Vec<String> {
    vec![hash(SCRIPT)]
}

/// The hashes of the style, for `style-src`.
pub fn style_hashes() -> Vec<String> {
    vec![hash(STYLE)]
}

fn hash(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

/// What may be loaded and run: nothing but what stands in the page.
fn policy() -> String {
    format!(
        "default-src 'none'; img-src data:; style-src {}; script-src {}; base-uri 'none'; form-action 'none'",
        style_hashes().join(" "),
        script_hashes().join(" ")
    )
}

/// The whole page.
pub(super) fn page(walk: &Walk) -> Result<String> {
    let mut store = Store::default();
    let network = network(walk, &mut store)?;
    let graph = walk.numbers.graph;
    let name = if graph.name.is_empty() { &graph.file } else { &graph.name };
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Inside {name}: {caption}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n",
        policy = policy(),
        name = text(name),
        caption = text(walk.caption),
    );
    out += &head(walk, name)?;
    let _ = write!(
        out,
        "<nav id=\"way\" aria-label=\"Map of the network\"><details open><summary>Map</summary>\
         <div class=\"scroll\">{}</div></details></nav>\n<main>\n",
        svg(graph)
    );
    for (i, node) in graph.nodes.iter().enumerate() {
        out += &section(walk, i, node);
    }
    out += "</main>\n<aside id=\"panel\" aria-label=\"How a value came about\"></aside>\n\
            <p id=\"said\" class=\"unseen\" role=\"status\"></p>\n";
    // In a script, only "<" could be taken for the end of it.
    let json = network.to_string().replace('<', "\\u003c");
    let _ = writeln!(out, "<script type=\"application/json\" id=\"network\">{json}</script>");
    for (i, array) in store.texts().iter().enumerate() {
        let _ = writeln!(out, "<script type=\"text/plain\" id=\"a{i}\">{array}</script>");
    }
    let _ = write!(out, "<script type=\"module\">{SCRIPT}</script>\n</body>\n</html>\n");
    Ok(out)
}

/// Title, photo, what the network says.
fn head(walk: &Walk, name: &str) -> Result<String> {
    let file = photo(walk.picture)?;
    let (caption, data) = (text(walk.caption), STANDARD.encode(file));
    let graph = walk.numbers.graph;
    let params: usize = graph.params.iter().map(|p| p.spec.shape.count()).sum();
    let macs = graph.nodes.iter().map(|n| n.macs).sum();
    let mut out = format!(
        "<header>\n<img id=\"photo\" alt=\"The photo: {caption}\" src=\"data:image/jpeg;base64,{data}\">\n\
         <div><p class=\"over\">likenet · seeing inside</p>\n<h1>{}</h1>\n\
         <p class=\"lead\">One photo, <b>{caption}</b>, on its way through {} layers: {} parameters, {} \
         multiply-adds. Every number here is the network’s own. Choose any value to see what made it.</p>\n",
        text(name),
        graph.nodes.len(),
        count(params as u64),
        count(macs),
    );
    if let Some(said) = &walk.said {
        out += "<ol class=\"classes\" aria-label=\"What the network says\">\n";
        let labels = Some(walk.labels).filter(|l| !l.is_empty());
        for guess in best(&said.probabilities, 5, labels) {
            let label = guess.label.unwrap_or(format!("class {}", guess.class));
            let p = guess.probability;
            let _ = writeln!(
                out,
                "<li><span>{}</span><svg class=\"share\" viewBox=\"0 0 100 6\" preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect width=\"{:.2}\" height=\"6\"/></svg><b>{p:.4}</b></li>",
                text(&label),
                100.0 * p.clamp(0.0, 1.0),
            );
        }
        out += "</ol>\n";
        if said.softmax {
            out += "<p class=\"hint\">Its scores, after a softmax: the network has none of its own.</p>\n";
        }
    }
    out += "<p class=\"keys\"><kbd>Tab</kbd> next layer <kbd>←</kbd><kbd>↑</kbd><kbd>→</kbd><kbd>↓</kbd> move \
            <kbd>Page ↑</kbd><kbd>Page ↓</kbd> channel <kbd>Enter</kbd> down to the strongest input \
            <kbd>Esc</kbd> back</p>\n<noscript><p class=\"note\">The pictures and sums need JavaScript, which is \
            in this page; nothing is loaded.</p></noscript>\n</div>\n</header>\n";
    Ok(out)
}

/// The photo as a JPEG, not larger than needed.
fn photo(picture: &Picture) -> Result<Vec<u8>> {
    let longest = picture.width.max(picture.height);
    if longest <= PHOTO {
        return encode_jpeg(picture, 90);
    }
    let side = |n: usize| (n * PHOTO / longest).max(1);
    let small = resize::antialias(picture, Size::new(side(picture.height), side(picture.width)));
    encode_jpeg(&small?, 85)
}

/// A shape without the batch of one.
fn dims(shape: &Shape) -> String {
    let dims = match shape.dims() {
        [1, rest @ ..] if !rest.is_empty() => rest,
        all => all,
    };
    match dims {
        [] => "1 value".into(),
        [n] => format!("{} values", count(*n as u64)),
        _ => dims.iter().map(|d| d.to_string()).collect::<Vec<_>>().join(" × "),
    }
}

/// A layer's card.
fn section(walk: &Walk, i: usize, node: &Node) -> String {
    let graph = walk.numbers.graph;
    let (sentence, line) = describe(&node.layer);
    let shapes = |blobs: &[BlobId]| {
        let each: Vec<String> = blobs.iter().map(|&b| dims(&graph.blobs[b].shape)).collect();
        each.join(", ")
    };
    let mut facts = vec![];
    if !node.bottoms.is_empty() {
        let names: Vec<&str> = node
            .bottoms
            .iter()
            .map(|&b| graph.nodes[graph.blobs[b].producer].name.as_str())
            .collect();
        facts.push(("from", format!("{} ({})", names.join(", "), shapes(&node.bottoms))));
    }
    facts.push(("gives", shapes(&node.tops)));
    match &node.layer {
        Layer::Convolution(l) => facts.push(("window", window(&l.window))),
        Layer::Deconvolution(l) => facts.push(("window", window(&l.0.window))),
        Layer::Pooling(l) => facts.extend(l.window.map(|w| ("window", window(&w)))),
        _ => {}
    }
    if let Some(&top) = node.tops.first().filter(|&&top| top != walk.input) {
        facts.extend(sees(walk, top).map(|area| ("a value sees", area)));
    }
    let params: usize = node.params.iter().map(|p| p.spec.shape.count()).sum();
    if params > 0 {
        facts.push(("parameters", count(params as u64)));
    }
    if node.macs > 0 {
        facts.push(("multiply-adds", count(node.macs)));
    }
    let facts: String = facts
        .iter()
        .map(|(what, is)| format!("<div><dt>{what}</dt><dd>{}</dd></div>", text(is)))
        .collect();
    let formula = if line.is_empty() { String::new() } else { formula(&line) };
    let note = note(walk, i, node);
    let note =
        if note.is_empty() { note } else { format!("<p class=\"note\">{}</p>\n", text(&note)) };
    format!(
        "<section id=\"l{i}\" data-node=\"{i}\" class=\"{family}\" aria-labelledby=\"h{i}\">\n\
         <h2 id=\"h{i}\">{name} <span>{kind}</span></h2>\n<p>{sentence}</p>\n<div class=\"formula\">{formula}</div>\n\
         <dl>{facts}</dl>\n{note}<div class=\"maps\"></div>\n</section>\n",
        family = family(&node.layer),
        name = text(&node.name),
        kind = text(&node.kind),
        sentence = text(&sentence),
    )
}

/// How much of the picture the value in the middle of a blob sees.
fn sees(walk: &Walk, blob: BlobId) -> Option<String> {
    let graph = walk.numbers.graph;
    let shape = &graph.blobs[blob].shape;
    let middle = shape.nchw().map_or(0, |[_, _, h, w]| h / 2 * w + w / 2);
    let [rows, columns] = field(graph, blob, middle, walk.input)?;
    // From the first to the last: strides may leave gaps between.
    let extent = |set: &[bool]| {
        let (first, last) = (set.iter().position(|s| *s), set.iter().rposition(|s| *s));
        first.zip(last).map_or(0, |(first, last)| last - first + 1)
    };
    Some(format!("{} × {} pixels", extent(&rows), extent(&columns)))
}

/// What of a layer is not on the page, or is on it rounded.
fn note(walk: &Walk, i: usize, node: &Node) -> String {
    let mut notes = vec![];
    let all = |b: BlobId| count(walk.numbers.blobs[b].len() as u64);
    for &top in &node.tops {
        match &walk.choice.values[top] {
            Values::Before(after) => {
                let relu =
                    &walk.numbers.graph.nodes[walk.numbers.graph.blobs[*after].producer].name;
                notes.push(format!(
                    "The pictures show the values after {relu}; the sum before it is computed from its products."
                ));
                if let Values::Some(some) = &walk.choice.values[*after] {
                    notes.push(partial(&all(*after), some.len()));
                }
            }
            Values::Some(some) => notes.push(partial(&all(top), some.len())),
            Values::Whole | Values::Made => {}
        }
    }
    match &walk.choice.weights[i] {
        Some(Weights::Filters(some)) => notes.push(format!(
            "For size, the weights of {} of its filters are in this page: those of its strongest channels.",
            some.len()
        )),
        Some(Weights::Strongest) => notes.push(format!(
            "For size, each output’s {} strongest products are in this page, and the sum of all others.",
            super::ops::STRONGEST
        )),
        _ => {}
    }
    notes.join(" ")
}

fn partial(all: &str, some: usize) -> String {
    format!(
        "For size, {} of its {all} values are in this page: the strongest of its strongest channels and what \
         made them, marked by dots. The pictures of its channels have 256 steps, and are reduced where they \
         are large.",
        count(some as u64)
    )
}
