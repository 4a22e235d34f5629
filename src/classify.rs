//! Photos in, classes out.
//!
//! Flows in: a network and prepared photos. Flows out: for each photo its most likely classes, and
//! over all of them, where the truth is known, how often it was among the first one and five.

use crate::error::{Error, Result};
use crate::layer::{Layer, Unary};
use crate::net::Net;
use crate::shape::AxisView;
use likenet_kernels::cpu::softmax::softmax;
use serde::Serialize;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// One class that a network proposes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Guess {
    /// Index of the class.
    pub class: usize,
    /// Its name, where names are known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Its probability, or the network's raw score where that was asked for.
    pub probability: f32,
}

/// Where a network's scores are, and what they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The blob with one score for each class.
    pub blob: String,
    /// Whether a softmax must make probabilities of the scores: the network has none of its own.
    pub softmax: bool,
}

impl Head {
    /// The network's only output, or its only softmax among several outputs.
    pub fn find(net: &Net) -> Result<Self> {
        let names = net.output_names();
        let softmaxes = || names.iter().filter(|n| is_softmax(net, n));
        match (names.as_slice(), softmaxes().count()) {
            ([one], _) => Self::named(net, one),
            (_, 1) => Self::named(net, softmaxes().next().unwrap_or(&names[0])),
            _ => Err(Error::Invalid(format!(
                "the network has several outputs; choose one with --output: {}",
                names.join(", ")
            ))),
        }
    }

    /// The blob of that name.
    pub fn named(net: &Net, blob: &str) -> Result<Self> {
        net.blob_shape(blob)?;
        Ok(Self { blob: blob.to_string(), softmax: !is_softmax(net, blob) })
    }
}

/// Whether the blob holds probabilities already: a softmax or sigmoid made it, or made what was then
/// only given another shape or name.
fn is_softmax(net: &Net, blob: &str) -> bool {
    let graph = net.graph();
    let Ok(mut blob) = graph.blob(blob) else { return false };
    loop {
        let node = &graph.nodes[graph.blobs[blob].producer];
        blob = match &node.layer {
            Layer::Softmax(_) | Layer::Pointwise(Unary::Sigmoid) => return true,
            Layer::Flatten(_) | Layer::Reshape(_) | Layer::Split => node.bottoms[0],
            Layer::Dropout(d) if !d.active => node.bottoms[0],
            _ => return false,
        };
    }
}

/// Runs a network on photos that lie in its input blob one after the other, `views` crops each, and
/// gives the scores of each photo, averaged over its crops: `(photos, classes)`.
pub fn scores(
    net: &mut Net,
    input: &str,
    head: &Head,
    crops: &[f32],
    views: usize,
) -> Result<Vec<Vec<f32>>> {
    let crop = net.input_shape(input)?.count() / net.input_shape(input)?.dims()[0];
    let rows = crops.len() / crop;
    net.set_batch(rows)?;
    net.set_input(input, crops)?;
    net.forward()?;
    let mut blob = net.blob(&head.blob)?;
    if blob.shape().dims().first() != Some(&rows) {
        return Err(Error::Invalid(format!(
            "blob '{}' has shape {}: not one row for each of {rows} crops; name another with --output",
            head.blob,
            blob.shape()
        )));
    }
    let classes = blob.data().len() / rows;
    if head.softmax {
        let raw = blob.data().to_vec();
        softmax(AxisView { outer: rows, len: classes, inner: 1 }, &raw, blob.data_mut());
    }
    let photos = blob.data().chunks_exact(classes * views);
    Ok(photos.map(|crops| mean_rows(crops, classes)).collect())
}

fn mean_rows(rows: &[f32], len: usize) -> Vec<f32> {
    let count = (rows.len() / len) as f32;
    (0..len).map(|c| rows[c..].iter().step_by(len).sum::<f32>() / count).collect()
}

/// The `top` classes with the highest scores, highest first; of equal scores the lower index.
pub fn best(scores: &[f32], top: usize, labels: Option<&[String]>) -> Vec<Guess> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
    let guess = |&class: &usize| Guess {
        class,
        label: labels.and_then(|l| l.get(class)).cloned(),
        probability: scores[class],
    };
    order.iter().take(top).map(guess).collect()
}

/// Names of classes, one a line; an ImageNet synset (`n01440764 `) in front is left out.
pub fn read_labels(path: &Path) -> Result<Vec<String>> {
    let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
    let name = |line: &str| match line.split_once(' ') {
        Some((id, name)) if is_synset(id) => name.trim().to_string(),
        _ => line.trim().to_string(),
    };
    Ok(text.lines().map(name).collect())
}

fn is_synset(word: &str) -> bool {
    let digits = word.strip_prefix('n');
    digits.is_some_and(|d| d.len() == 8 && d.bytes().all(|b| b.is_ascii_digit()))
}

/// The true class of each photo, by file name.
pub struct Truth {
    file: String,
    classes: HashMap<String, usize>,
}

impl Truth {
    /// Reads lines of a file name and a class index, with a tab, a comma or spaces between; a first
    /// line whose second word is not a number is a header.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io(path))?;
        let file = path.display().to_string();
        let mut classes = HashMap::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let parts = line.rsplit_once(['\t', ',', ' ']);
            match parts.and_then(|(n, c)| Some((n.trim(), c.trim().parse().ok()?))) {
                Some((name, class)) => {
                    classes.insert(name.to_string(), class);
                }
                None if i == 0 => {}
                None => {
                    return Err(Error::Invalid(format!(
                        "{file}:{}: needs a file name and a class index, got '{line}'",
                        i + 1
                    )));
                }
            }
        }
        Ok(Self { file, classes })
    }

    /// The class of each photo. The longest end of its path that the file names counts: the whole
    /// path, or without its first folder, … down to the file name.
    ///
    /// Photos without a line are an error that counts them and names the first.
    pub fn classes(&self, photos: &[PathBuf]) -> Result<Vec<usize>> {
        let found: Vec<Option<usize>> = photos.iter().map(|p| self.class(p)).collect();
        let missing = found.iter().filter(|c| c.is_none()).count();
        if let Some(first) = found.iter().position(|c| c.is_none()) {
            return Err(Error::Invalid(format!(
                "{}: no line for {missing} of {} photos, the first being {}",
                self.file,
                photos.len(),
                photos[first].display()
            )));
        }
        Ok(found.into_iter().flatten().collect())
    }

    fn class(&self, photo: &Path) -> Option<usize> {
        let mut rest = photo.components();
        loop {
            let path = rest.as_path();
            if path.as_os_str().is_empty() {
                return None;
            }
            if let Some(&class) = self.classes.get(path.to_string_lossy().as_ref()) {
                return Some(class);
            }
            rest.next();
        }
    }
}

/// How often the truth was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Accuracy {
    /// Photos with a known class.
    pub photos: usize,
    /// Share whose best guess is right.
    pub top1: f64,
    /// Share with the right class among the best five.
    pub top5: f64,
}

/// Counts right guesses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    photos: usize,
    first: usize,
    five: usize,
}

impl Tally {
    /// Counts one photo.
    pub fn add(&mut self, scores: &[f32], class: usize) {
        let five = best(scores, 5, None);
        self.photos += 1;
        self.first += usize::from(five.first().is_some_and(|g| g.class == class));
        self.five += usize::from(five.iter().any(|g| g.class == class));
    }

    /// Shares so far.
    pub fn accuracy(&self) -> Accuracy {
        let share = |n: usize| n as f64 / self.photos.max(1) as f64;
        Accuracy { photos: self.photos, top1: share(self.first), top5: share(self.five) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crops_are_averaged_and_ties_go_to_the_lower_class() {
        let mean = mean_rows(&[0.0, 1.0, 0.5, 1.0, 0.0, 0.5], 3);
        assert_eq!(mean, [0.5, 0.5, 0.5]);
        let classes: Vec<usize> = best(&mean, 2, None).iter().map(|g| g.class).collect();
        assert_eq!(classes, [0, 1]);
    }

    #[test]
    fn a_tally_counts_first_and_five() {
        let mut tally = Tally::default();
        let scores = [0.3, 0.2, 0.1, 0.15, 0.05, 0.01];
        tally.add(&scores, 0);
        tally.add(&scores, 4);
        tally.add(&scores, 5);
        let a = tally.accuracy();
        assert_eq!((a.photos, a.top1, a.top5), (3, 1.0 / 3.0, 2.0 / 3.0));
    }

    #[test]
    fn truth_reads_headers_tabs_and_spaces_in_names() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("truth.tsv");
        std::fs::write(&path, "file\tclass\nmy photo.jpg\t7\n\nb.jpg 3\na/b.jpg 4\n").unwrap();
        let truth = Truth::read(&path).unwrap();
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let classes = truth.classes(&paths(&["x/my photo.jpg", "b.jpg", "a/b.jpg", "b/b.jpg"]));
        assert_eq!(classes.unwrap(), [7, 3, 4, 3]);
        let error = truth.classes(&paths(&["b.jpg", "c.jpg"])).unwrap_err().to_string();
        assert!(error.contains("1 of 2") && error.contains("c.jpg"), "{error}");
        std::fs::write(&path, "a.jpg 1\nb.jpg\n").unwrap();
        let error = Truth::read(&path).err().unwrap().to_string();
        assert!(error.contains(":2:"), "{error}");
    }
}
