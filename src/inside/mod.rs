//! Seeing inside a network: one photo walked through every layer, with its true numbers.
//!
//! Flows in: a network with its weights, a prepared photo. Flows out: one HTML page that needs nothing beside
//! it: each layer's values as pictures, and for every value the inputs, the weights and the sum that made it,
//! down to the pixels.
//!
//! ```text
//! Picture ─ Classifier ─ Net (every blob kept) ─ choose (what there is room for) ─┬ codec ─ arrays ┐
//!                                                                                 └ ops ─ JSON ────┤
//! Graph ─ describe (sentences, formulas), map (SVG) ──────────────────────────────── page ─ HTML ──┘
//! ```
//!
//! The page's script (`script/`) shows and recomputes; it makes no number of its own that the network has.

mod choose;
mod codec;
mod describe;
mod html;
mod map;
mod network;
mod ops;
mod page;
mod reach;
mod taps;
#[cfg(test)]
mod tests;

pub use page::{script_hashes, style_hashes};

use crate::classify::Head;
use crate::error::{Error, Result};
use crate::image::{Classifier, ClassifierOptions, Mean, Picture, Resize, Size};
use crate::net::{BlobId, Keep, Net, Options, trained};
use crate::shape::AxisView;
use choose::{Choice, Numbers, choose};
use likenet_kernels::cpu::softmax::softmax;

/// A network that can be looked into.
pub struct Model {
    net: Net,
    input: String,
    classifier: Classifier,
    /// The same without mean and factor: what the photo's samples were.
    plain: Classifier,
    labels: Vec<String>,
    room: usize,
    /// The unpacked files of a built-in network.
    _files: Option<tempfile::TempDir>,
}

/// A photo's numbers on their way to a page.
struct Walk<'a> {
    numbers: Numbers<'a>,
    choice: Choice,
    input: BlobId,
    /// None where a network has no head with classes.
    said: Option<Said>,
    /// The prepared photo before mean and factor, planes in the network's order.
    samples: Vec<f32>,
    classifier: &'a Classifier,
    labels: &'a [String],
    picture: &'a Picture,
    caption: &'a str,
}

/// What a network says about a photo.
struct Said {
    /// The blob of class scores or probabilities.
    blob: BlobId,
    /// The best class.
    class: usize,
    /// Of each class, after a softmax if the network has none of its own.
    probabilities: Vec<f32>,
    /// Whether that was so.
    softmax: bool,
}

impl Model {
    /// A network that keeps every blob ([`Keep::All`]) and takes one picture at a time, and how photos become
    /// its input. `labels` name its classes; there may be none.
    ///
    /// Fails where the network keeps less, takes more pictures, or its input is not the classifier's crop.
    pub fn new(net: Net, classifier: Classifier, labels: Vec<String>) -> Result<Self> {
        let input = net.picture_input()?.to_string();
        let shape = net.input_shape(&input)?;
        let crop = classifier.options().crop;
        if shape.dims() != [1, 3, crop.height, crop.width] {
            return Err(Error::Invalid(format!(
                "{}: to look inside, the input '{input}' must be one picture of 3 × {} × {}, not {shape}",
                net.graph().file,
                crop.height,
                crop.width
            )));
        }
        if net.plan().kept.contains(&false) {
            let file = &net.graph().file;
            return Err(Error::Invalid(format!("{file}: to look inside, load it with Keep::All")));
        }
        let options = classifier.options().clone();
        let plain =
            Classifier::new(ClassifierOptions { mean: Mean::None, input_scale: 1.0, ..options })?;
        Ok(Self { net, input, classifier, plain, labels, room: choose::ROOM, _files: None })
    }

    /// A network that is built in with its weights, by name ("compact"), on `threads` threads (0: all cores).
    ///
    /// Fails on a name that is none, and where its files cannot be unpacked into the system's folder for
    /// temporary files.
    pub fn built_in(name: &str, threads: usize) -> Result<Self> {
        let known = trained(name).ok_or_else(|| {
            Error::Invalid(format!("no network '{name}' is built in with its weights; compact is"))
        })?;
        let folder = tempfile::tempdir().map_err(Error::io(&std::env::temp_dir()))?;
        let files = known.unpack(folder.path())?;
        let options = Options { keep: Keep::All, batch: Some(1), threads, ..Options::default() };
        let net = Net::load(&files.net, &files.weights, options)?;
        let [_, _, height, width] =
            net.input_shape(net.picture_input()?)?.nchw().map_err(Error::Invalid)?;
        let classifier = Classifier::new(ClassifierOptions {
            image_dims: Size::new(height.max(known.side), width.max(known.side)),
            crop: Size::new(height, width),
            mean: Mean::Channels(known.mean),
            input_scale: known.scale,
            resize: Resize::Antialias,
            ..ClassifierOptions::default()
        })?;
        let labels = known.labels.lines().map(String::from).collect();
        Ok(Self { _files: Some(folder), ..Self::new(net, classifier, labels)? })
    }

    /// Pages take about so many bytes at most, as far as what every page has leaves room.
    /// 24 MB if nothing is said.
    pub fn page_bytes(mut self, bytes: usize) -> Self {
        self.room = (bytes as f64 * choose::ROOM as f64 / 24e6) as usize;
        self
    }

    /// The network.
    pub fn net(&self) -> &Net {
        &self.net
    }

    /// Walks a photo through the network; gives the page. `caption` is what the photo is called.
    ///
    /// Fails where the photo cannot be prepared.
    pub fn explain(&mut self, picture: &Picture, caption: &str) -> Result<String> {
        let mut prepared = vec![0.0; self.classifier.crop_len()];
        let mut samples = prepared.clone();
        self.classifier.prepare(picture, false, &mut prepared)?;
        self.plain.prepare(picture, false, &mut samples)?;
        self.net.set_input(&self.input, &prepared)?;
        self.net.forward()?;
        let graph = self.net.graph();
        let blobs: Vec<Vec<f32>> =
            (0..graph.blobs.len()).map(|b| self.net.values(b)).collect::<Result<_>>()?;
        let params: Vec<Vec<f32>> = graph
            .params
            .iter()
            .map(|p| Ok(self.net.param(&p.layer, p.index)?.data().to_vec()))
            .collect::<Result<_>>()?;
        let input = graph.blob(&self.input)?;
        let said = said(&self.net, &blobs);
        let numbers = Numbers { graph, blobs: &blobs, params: &params };
        let choice = choose(&numbers, said.as_ref().map(|said| (said.blob, said.class)), self.room);
        page::page(&Walk {
            numbers,
            choice,
            input,
            said,
            samples,
            classifier: &self.classifier,
            labels: &self.labels,
            picture,
            caption,
        })
    }
}

fn said(net: &Net, blobs: &[Vec<f32>]) -> Option<Said> {
    let head = Head::find(net).ok()?;
    let blob = net.graph().blob(&head.blob).ok()?;
    let scores = &blobs[blob];
    let class = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1))?.0;
    let mut probabilities = scores.clone();
    if head.softmax {
        softmax(AxisView { outer: 1, len: scores.len(), inner: 1 }, scores, &mut probabilities);
    }
    Some(Said { blob, class, probabilities, softmax: head.softmax })
}
