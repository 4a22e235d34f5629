//! Cascades to OpenCV's XML.
//!
//! Flows in: a [`Cascade`]. Flows out: text in today's format (see [`super::xml`]), for OpenCV's own programs too.

use super::xml::SLACK;
use super::{Cascade, Stages, haar, lbp};
use crate::error::Result;
use likenet_kernels::cpu::cascade::{Node, Stage};
use std::collections::HashMap;
use std::path::Path;
use weights_tools::write_atomically;

impl Cascade {
    /// The cascade in today's format: [`Cascade::parse`] makes the same cascade of it.
    pub fn to_xml(&self) -> String {
        match &self.stages {
            Stages::Haar(stages) => document(self.window, stages),
            Stages::Lbp(stages) => document(self.window, stages),
        }
    }

    /// Writes [`Cascade::to_xml`] to a file, atomically. Fails where that cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_atomically(path, |out| {
            let written = out.write_all(self.to_xml().as_bytes());
            written.map_err(weights_tools::Error::io(path, "write"))
        })?)
    }
}

/// A feature as the file has it.
trait Written {
    const KIND: &'static str;
    /// Values that a node's patterns tell apart; 0 where it has a threshold.
    const CATEGORIES: usize;

    /// The element in the list of features.
    fn element(&self) -> String;

    /// What a node compares with.
    fn condition(&self, threshold: f32) -> String;
}

impl Written for haar::Feature {
    const KIND: &'static str = "HAAR";
    const CATEGORIES: usize = 0;

    fn element(&self) -> String {
        let count = if self.rects[2] == [0; 4] { 2 } else { 3 };
        let rects = self.rects[..count].iter().zip(self.weights);
        let rects: String = rects
            .map(|([x, y, w, h], weight)| format!("<_>{x} {y} {w} {h} {weight}</_>"))
            .collect();
        format!("<rects>{rects}</rects><tilted>{}</tilted>", u8::from(self.tilted))
    }

    fn condition(&self, threshold: f32) -> String {
        threshold.to_string()
    }
}

impl Written for lbp::Feature {
    const KIND: &'static str = "LBP";
    const CATEGORIES: usize = 256;

    fn element(&self) -> String {
        let [x, y, w, h] = self.cell;
        format!("<rect>{x} {y} {w} {h}</rect>")
    }

    /// Words of patterns, which OpenCV takes for signed.
    fn condition(&self, _: f32) -> String {
        self.patterns.map(|word| word.cast_signed().to_string()).join(" ")
    }
}

fn document<F: Written>([width, height]: [usize; 2], stages: &[Stage<F>]) -> String {
    let mut features = Features::default();
    let count = stages.len();
    let stages: String = stages.iter().map(|s| stage(s, &mut features)).collect();
    let listed: String = features.elements.iter().map(|e| format!("    <_>{e}</_>\n")).collect();
    let (kind, categories) = (F::KIND, F::CATEGORIES);
    format!(
        "<?xml version=\"1.0\"?>\n\
         <opencv_storage>\n\
         <cascade type_id=\"opencv-cascade-classifier\">\n\
         \x20 <stageType>BOOST</stageType>\n\
         \x20 <featureType>{kind}</featureType>\n\
         \x20 <height>{height}</height>\n\
         \x20 <width>{width}</width>\n\
         \x20 <featureParams><maxCatCount>{categories}</maxCatCount></featureParams>\n\
         \x20 <stageNum>{count}</stageNum>\n\
         \x20 <stages>\n{stages}  </stages>\n\
         \x20 <features>\n{listed}  </features>\n\
         </cascade>\n\
         </opencv_storage>\n"
    )
}

/// Features that nodes have named so far, each once.
#[derive(Default)]
struct Features {
    elements: Vec<String>,
    numbers: HashMap<String, usize>,
}

impl Features {
    fn number(&mut self, element: String) -> usize {
        *self.numbers.entry(element).or_insert_with_key(|element| {
            self.elements.push(element.clone());
            self.elements.len() - 1
        })
    }
}

fn stage<F: Written>(stage: &Stage<F>, features: &mut Features) -> String {
    let (count, threshold) = (stage.trees.len(), in_file(stage.threshold));
    let trees: String = stage.trees.iter().map(|t| tree(t, features)).collect();
    format!(
        "    <_>\n      <maxWeakCount>{count}</maxWeakCount>\n      \
         <stageThreshold>{threshold}</stageThreshold>\n      \
         <weakClassifiers>\n{trees}      </weakClassifiers></_>\n"
    )
}

/// The number from which [`SLACK`] is taken when it is read.
fn in_file(threshold: f32) -> f32 {
    let near = threshold + SLACK;
    let exact = |t: &f32| t - SLACK == threshold;
    [near, near.next_up(), near.next_down()].into_iter().find(exact).unwrap_or(near)
}

fn tree<F: Written>(tree: &[Node<F>], features: &mut Features) -> String {
    let (mut nodes, mut leaves) = (Vec::new(), Vec::new());
    for node in tree {
        let links = [0, 1].map(|side| match node.next[side] {
            0 => {
                leaves.push(node.leaf[side].to_string());
                1 - leaves.len() as i64
            }
            next => next.into(),
        });
        let feature = features.number(node.feature.element());
        let condition = node.feature.condition(node.threshold);
        nodes.push(format!("{} {} {feature} {condition}", links[0], links[1]));
    }
    let (nodes, leaves) = (nodes.join(" "), leaves.join(" "));
    format!(
        "        <_><internalNodes>{nodes}</internalNodes>\n          \
         <leafValues>{leaves}</leafValues></_>\n"
    )
}
