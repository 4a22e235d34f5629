//! Cascades from OpenCV's XML, in today's format and the one before.
//!
//! Flows in: text. Flows out: a [`Cascade`] whose links lead forward, whose rectangles lie in the window and
//! whose numbers are finite; or what is wrong, and in which stage, tree and node.
//!
//! ```text
//! <cascade>                                     today: "opencv-cascade-classifier"
//!   featureType HAAR | LBP, width, height
//!   stages/_: stageThreshold, weakClassifiers/_:
//!     internalNodes   Haar: left right feature threshold; LBP: left right feature, 8 words of patterns
//!     leafValues      a link ≤ 0 is minus a leaf's number
//!   features/_: rects/_ "x y w h weight", tilted; LBP: rect "x y w h" of the upper left cell
//! <name>                                        before: "opencv-haar-classifier"
//!   size "w h", stages/_: stage_threshold, parent, next, trees/_/_:
//!     feature (as above), threshold, left_val | left_node, right_val | right_node
//! ```

use super::{Cascade, Stages, haar, lbp};
use likenet_kernels::cpu::cascade::{Node, Stage};
use roxmltree::{Document, Node as Element};

type Result<T> = std::result::Result<T, String>;

/// Pixels a side that a window may have: the sum of their squares still has 32 bits at 256.
const SIDES: std::ops::RangeInclusive<f64> = 3.0..=256.0;

/// What OpenCV takes off a stage's threshold.
pub(in crate::faces) const SLACK: f32 = 1e-5;

/// The largest number that a file may hold, a word of patterns: sums of products of such numbers are finite.
const LARGEST: f64 = u32::MAX as f64;

pub(super) fn parse(text: &str) -> Result<Cascade> {
    let document = Document::parse(text).map_err(|e| format!("not readable as XML: {e}"))?;
    let root = document.root_element();
    let root = if root.has_tag_name("opencv_storage") {
        root.first_element_child().ok_or("an empty opencv_storage")?
    } else {
        root
    };
    match (child(root, "featureType"), child(root, "size")) {
        (Ok(kind), _) => today(root, kind),
        (_, Ok(size)) => before(root, size),
        _ => {
            let name = root.tag_name().name();
            Err(format!("<{name}> is no cascade: it has neither featureType nor size"))
        }
    }
}

/// Today's format.
fn today(root: Element, kind: Element) -> Result<Cascade> {
    let side = |name| number(child(root, name)?);
    let window = window([side("width")?, side("height")?])?;
    let stages = match kind.text().unwrap_or("").trim() {
        "HAAR" => {
            let features = each(root, "features", "feature", |f| haar_feature(f, window))?;
            let node = |numbers: &[f64]| {
                let feature = *pick(&features, "feature", numbers[2])?;
                Ok((feature, numbers[3] as f32))
            };
            Stages::Haar(each(root, "stages", "stage", |s| stage(s, 4, node))?)
        }
        "LBP" => {
            let cells = each(root, "features", "feature", |f| lbp_cell(f, window))?;
            let node = |numbers: &[f64]| {
                let mut feature =
                    lbp::Feature { cell: *pick(&cells, "feature", numbers[2])?, patterns: [0; 8] };
                for (word, number) in feature.patterns.iter_mut().zip(&numbers[3..]) {
                    *word = whole(*number)? as u32;
                }
                // The feature's value is 0 or 1.
                Ok((feature, 0.5))
            };
            Stages::Lbp(each(root, "stages", "stage", |s| stage(s, 11, node))?)
        }
        other => return Err(format!("featureType is '{other}': only HAAR and LBP are known")),
    };
    Ok(Cascade { window, stages })
}

/// A stage of today's format, whose nodes are `length` numbers each; `node` reads all but a node's links.
fn stage<F>(
    stage: Element,
    length: usize,
    node: impl Fn(&[f64]) -> Result<(F, f32)>,
) -> Result<Stage<F>> {
    let threshold = number(child(stage, "stageThreshold")?)? as f32 - SLACK;
    let trees = each(stage, "weakClassifiers", "tree", |weak| {
        let leaves = numbers(child(weak, "leafValues")?)?;
        let nodes = numbers(child(weak, "internalNodes")?)?;
        let count = nodes.len() / length;
        if count == 0 || nodes.len() != count * length || leaves.len() != count + 1 {
            let (n, m) = (nodes.len(), leaves.len());
            return Err(format!(
                "{n} numbers of nodes and {m} leaves: want {length} a node, and one leaf more"
            ));
        }
        let side = |own: usize, link: f64| -> Result<(u16, f32)> {
            match whole(link)? {
                link @ ..=0 => Ok((0, *pick(&leaves, "leaf", -link as f64)? as f32)),
                link => Ok((forward(own, link, count)?, 0.0)),
            }
        };
        let read = |(own, numbers): (usize, &[f64])| {
            let read = || {
                let (left, right) = (side(own, numbers[0])?, side(own, numbers[1])?);
                let (feature, threshold) = node(numbers)?;
                Ok(Node { feature, threshold, next: [left.0, right.0], leaf: [left.1, right.1] })
            };
            read().map_err(|e: String| format!("node {own}: {e}"))
        };
        nodes.chunks_exact(length).enumerate().map(read).collect()
    })?;
    Ok(Stage { trees, threshold })
}

/// The format before.
fn before(root: Element, size: Element) -> Result<Cascade> {
    let size = numbers(size)?;
    let window = window(size.try_into().map_err(|_| "size: want two numbers")?)?;
    let mut count = 0;
    let stages = each(root, "stages", "stage", |stage| {
        // Each follows the one before; what OpenCV calls a tree of stages does not.
        let link = |name| child(stage, name).ok().map(number).transpose();
        let parent = link("parent")?.unwrap_or(f64::from(count) - 1.0);
        let next = link("next")?.unwrap_or(-1.0);
        if parent != f64::from(count) - 1.0 || next != -1.0 {
            return Err(format!("parent {parent}, next {next}: only stages in a row are known"));
        }
        count += 1;
        let threshold = number(child(stage, "stage_threshold")?)? as f32 - SLACK;
        let trees = each(stage, "trees", "tree", |tree| {
            let nodes = tree.children().filter(Element::is_element).count();
            let mut own = 0;
            let read = |node: Element| {
                let sides = [side(node, "left", own, nodes)?, side(node, "right", own, nodes)?];
                own += 1;
                let feature = haar_feature(child(node, "feature")?, window)?;
                let threshold = number(child(node, "threshold")?)? as f32;
                Ok(Node { feature, threshold, next: sides.map(|s| s.0), leaf: sides.map(|s| s.1) })
            };
            all(tree, "node", read)
        })?;
        Ok(Stage { trees, threshold })
    })?;
    Ok(Cascade { window, stages: Stages::Haar(stages) })
}

/// One side of a node in the format before: the node that it leads to, or 0 and its leaf.
fn side(node: Element, side: &str, own: usize, count: usize) -> Result<(u16, f32)> {
    if let Ok(leaf) = child(node, &format!("{side}_val")) {
        return Ok((0, number(leaf)? as f32));
    }
    let link = whole(number(child(node, &format!("{side}_node"))?)?)?;
    Ok((forward(own, link, count)?, 0.0))
}

/// A link to a later node of the tree: so no walk through a tree goes round.
fn forward(own: usize, link: i64, count: usize) -> Result<u16> {
    if link <= own as i64 || link >= count as i64 {
        return Err(format!("a link to node {link}: want a later one of {count}"));
    }
    u16::try_from(link).map_err(|_| format!("a link to node {link}: a tree has fewer"))
}

fn haar_feature(feature: Element, window: [usize; 2]) -> Result<haar::Feature> {
    let tilted = match child(feature, "tilted") {
        Ok(tilted) => number(tilted)? != 0.0,
        Err(_) => false,
    };
    let (mut rects, mut weights) = ([[0; 4]; 3], [0.0; 3]);
    let read = each(feature, "rects", "rectangle", |rect| {
        let numbers: [f64; 5] = numbers(rect)?.try_into().map_err(|_| "want x y w h weight")?;
        let [x, y, w, h, weight] = numbers;
        let rect = side_by_side([x, y, w, h])?;
        if !haar::Feature::fits(rect, tilted, window) {
            return Err(format!("{rect:?} does not fit the window of {window:?}"));
        }
        Ok((rect, weight as f32))
    })?;
    if !(2..=3).contains(&read.len()) {
        return Err(format!("{} rectangles: want two or three", read.len()));
    }
    for (i, (rect, weight)) in read.into_iter().enumerate() {
        (rects[i], weights[i]) = (rect, weight);
    }
    Ok(haar::Feature { rects, weights, tilted })
}

fn lbp_cell(feature: Element, window: [usize; 2]) -> Result<[usize; 4]> {
    let cell: [f64; 4] =
        numbers(child(feature, "rect")?)?.try_into().map_err(|_| "want x y w h")?;
    let cell = side_by_side(cell)?;
    if !lbp::Feature::fits(cell, window) {
        return Err(format!("3 x 3 cells {cell:?} do not fit the window of {window:?}"));
    }
    Ok(cell)
}

/// Places and lengths of no more than a window's sides.
fn side_by_side(numbers: [f64; 4]) -> Result<[usize; 4]> {
    let sane = |&n: &f64| (0.0..=*SIDES.end()).contains(&n) && n.fract() == 0.0;
    if !numbers.iter().all(sane) {
        return Err(format!("{numbers:?} is no rectangle of a window"));
    }
    Ok(numbers.map(|n| n as usize))
}

fn window(sides: [f64; 2]) -> Result<[usize; 2]> {
    if sides.iter().all(|side| SIDES.contains(side) && side.fract() == 0.0) {
        return Ok(sides.map(|side| side as usize));
    }
    let (least, most) = (SIDES.start(), SIDES.end());
    Err(format!("a window of {} x {}: want {least} to {most} pixels a side", sides[0], sides[1]))
}

/// The element of that number.
fn pick<'a, T>(all: &'a [T], what: &str, number: f64) -> Result<&'a T> {
    let picked = usize::try_from(whole(number)?).ok().and_then(|i| all.get(i));
    picked.ok_or_else(|| format!("{what} {number} of {}", all.len()))
}

/// A number without a fraction.
fn whole(number: f64) -> Result<i64> {
    if number.fract() != 0.0 || number.abs() > LARGEST {
        return Err(format!("{number} is not a whole number of 32 bits"));
    }
    Ok(number as i64)
}

/// Reads every element of the list `name`; an error names the element.
fn each<'a, T>(
    parent: Element<'a, 'a>,
    name: &str,
    what: &str,
    read: impl FnMut(Element<'a, 'a>) -> Result<T>,
) -> Result<Vec<T>> {
    all(child(parent, name)?, what, read)
}

/// Reads every child; an error names it. There must be one.
fn all<'a, T>(
    list: Element<'a, 'a>,
    what: &str,
    mut read: impl FnMut(Element<'a, 'a>) -> Result<T>,
) -> Result<Vec<T>> {
    let elements = list.children().filter(Element::is_element).enumerate();
    let read = elements.map(|(i, e)| read(e).map_err(|e| format!("{what} {i}: {e}")));
    let read = read.collect::<Result<Vec<T>>>()?;
    if read.is_empty() {
        return Err(format!("<{}> is empty", list.tag_name().name()));
    }
    Ok(read)
}

fn child<'a>(parent: Element<'a, 'a>, name: &str) -> Result<Element<'a, 'a>> {
    let found = parent.children().find(|e| e.has_tag_name(name));
    found.ok_or_else(|| format!("<{}> has no <{name}>", parent.tag_name().name()))
}

fn number(element: Element) -> Result<f64> {
    match numbers(element)?[..] {
        [number] => Ok(number),
        _ => Err(format!("<{}>: want one number", element.tag_name().name())),
    }
}

fn numbers(element: Element) -> Result<Vec<f64>> {
    let name = element.tag_name().name();
    let number = |text: &str| match text.parse() {
        Ok(number) if f64::abs(number) <= LARGEST => Ok(number),
        _ => Err(format!("<{name}>: '{text:.40}' is no number within reason")),
    };
    element.text().unwrap_or("").split_whitespace().map(number).collect()
}
