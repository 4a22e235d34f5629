//! What a study is to be: `likenet.toml`. Flows in: a file. Flows out: its settings, checked.

use crate::error::{Error, Result};
use crate::photos::{collect, download, prepare};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// What `likenet init` writes: every setting with its reason.
pub const TEMPLATE: &str = include_str!("template.toml");

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where everything goes; relative to the file.
    pub folder: PathBuf,
    /// Where photos come from.
    pub collect: collect::Settings,
    /// Which photos count, and which are good.
    pub prepare: prepare::Settings,
    /// How photos are fetched.
    pub download: download::Settings,
    /// Which photos are of people.
    pub filter: Filter,
    /// What a network makes of photos.
    pub features: Features,
    /// Which classifiers are compared.
    pub compare: Compare,
    /// How the network itself learns.
    pub finetune: Finetune,
    /// What is shown.
    pub report: Report,
}

/// By what photos of people are told from others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Use {
    /// A face on it.
    Faces,
    /// A classifier that learned from sorted photos.
    Classifier,
    /// Both.
    Both,
    /// All photos are taken.
    None,
}

/// Settings of the filter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// What decides.
    pub by: Use,
    /// A cascade of OpenCV's, ccv's or of `likenet faces train`; empty: the built-in one.
    pub cascade: PathBuf,
    /// The least confidence of a face, in the cascade's measure: probabilities for the built-in one.
    pub confidence: f32,
    /// The smallest face in pixels.
    pub min_size: f32,
    /// What `likenet filter train` wrote; empty: none.
    pub classifier: PathBuf,
}

impl Default for Filter {
    fn default() -> Self {
        Self {
            by: Use::Faces,
            cascade: PathBuf::new(),
            confidence: 0.5,
            min_size: 40.0,
            classifier: PathBuf::new(),
        }
    }
}

/// Settings of the features.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Features {
    /// `compact`, which is built in, or the architecture of `weights`: caffenet, alexnet, …
    pub model: String,
    /// Weights of another network; empty: the built-in ones.
    pub weights: PathBuf,
    /// Its description, where the architecture is not built in.
    pub net: PathBuf,
    /// What is subtracted from photos: blue, green, red.
    pub mean: [f32; 3],
    /// Blobs whose activations are the features.
    pub layers: Vec<String>,
    /// Whether mirrored photos are learnt from as well.
    pub mirrored: bool,
}

impl Default for Features {
    fn default() -> Self {
        Self {
            model: "compact".into(),
            weights: PathBuf::new(),
            net: PathBuf::new(),
            mean: [104.0, 117.0, 123.0],
            layers: vec!["pool4".into(), "pool5".into(), "fc6".into()],
            mirrored: true,
        }
    }
}

/// Settings of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Compare {
    /// Values of C of the linear SVM.
    pub c: Vec<f64>,
    /// Trees of the forest.
    pub trees: usize,
    /// Iterations of the gradient descent.
    pub iterations: usize,
    /// Whether columns are brought to mean 0 and deviation 1, so that the same C suit any network. Zeros are zeros no
    /// more then: features take memory for all of them.
    pub standardise: bool,
    /// Folds.
    pub folds: usize,
    /// Seed of folds and classifiers.
    pub seed: u32,
}

impl Default for Compare {
    fn default() -> Self {
        Self {
            c: vec![1e-6, 1e-5, 1e-4, 1e-3, 1e-2],
            trees: 300,
            iterations: 100,
            standardise: true,
            folds: 5,
            seed: 0,
        }
    }
}

/// Settings of the fine-tuning.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Finetune {
    /// Iterations; 0: the network does not learn.
    pub iterations: usize,
    /// Photos of an iteration.
    pub batch: usize,
    /// The first learning rate; the new layer's is ten times it.
    pub rate: f32,
    /// The rate is multiplied by this …
    pub gamma: f32,
    /// … every so many iterations.
    pub step: usize,
    /// Iterations between two snapshots.
    pub snapshot: usize,
    /// Seed of everything random.
    pub seed: u64,
}

impl Default for Finetune {
    fn default() -> Self {
        Self {
            iterations: 400,
            batch: 50,
            rate: 0.001,
            gamma: 0.1,
            step: 250,
            snapshot: 100,
            seed: 1,
        }
    }
}

/// Settings of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// Its title.
    pub title: String,
    /// Resamplings for intervals, shuffles for the test against chance.
    pub repeats: usize,
    /// The truth about simulated photos, as `likenet simulate --truth` writes it; empty: none.
    pub truth: PathBuf,
}

impl Default for Report {
    fn default() -> Self {
        Self { title: "Which photos are liked".into(), repeats: 1000, truth: PathBuf::new() }
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            folder: "likenet-data".into(),
            collect: Default::default(),
            prepare: Default::default(),
            download: Default::default(),
            filter: Default::default(),
            features: Default::default(),
            compare: Default::default(),
            finetune: Default::default(),
            report: Default::default(),
        }
    }
}

impl Config {
    /// Reads a file. Fails, with the line, where it is no TOML or has settings that there are not.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => Error::Invalid(format!(
                "{}: there is no such file; `likenet init` writes one",
                path.display()
            )),
            _ => Error::io(path)(e),
        })?;
        Self::parse(&path.display().to_string(), &text)
    }

    /// Reads a text that stands in `file`.
    pub fn parse(file: &str, text: &str) -> Result<Self> {
        let config: Self = toml::from_str(text).map_err(|e| {
            let line = e.span().map_or(0, |span| text[..span.start].matches('\n').count() + 1);
            Error::Invalid(format!("{file}:{line}: {}", e.message()))
        })?;
        config.check().map_err(|e| Error::Invalid(format!("{file}: {e}")))?;
        Ok(config)
    }

    /// The same as text.
    pub fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|e| Error::Invalid(e.to_string()))
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: &str| Err(Error::Invalid(what.into()));
        let classifier = matches!(self.filter.by, Use::Classifier | Use::Both);
        match () {
            () if self.folder.as_os_str().is_empty() => wrong("folder: name one"),
            () if self.features.layers.is_empty() => wrong("[features] layers: name a blob"),
            () if self.compare.c.is_empty() => wrong("[compare] c: give a value"),
            () if self.compare.c.iter().any(|&c| !(c > 0.0 && c.is_finite())) => {
                wrong("[compare] c: values are above 0")
            }
            () if self.compare.folds < 2 => wrong("[compare] folds: 2 or more"),
            () if self.compare.trees == 0 => wrong("[compare] trees: 1 or more"),
            () if self.finetune.batch == 0 || self.finetune.step == 0 => {
                wrong("[finetune] batch and step: 1 or more")
            }
            () if self.report.repeats == 0 => wrong("[report] repeats: 1 or more"),
            () if classifier && self.filter.classifier.as_os_str().is_empty() => {
                wrong("[filter] classifier: name the file that `likenet filter train` wrote")
            }
            () => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_the_default() {
        let config = Config::parse("template.toml", TEMPLATE).expect("good");
        let network = collect::Settings {
            url: "https://pixelfed.social".into(),
            tag: "me".into(),
            contact: "mailto:you@example.org".into(),
            source: collect::Kind::Pixelfed,
            ..collect::Settings::default()
        };
        assert_eq!(config, Config { collect: network, ..Config::default() });
        let again = Config::parse("again", &config.text().expect("text")).expect("good");
        assert_eq!(again, config);
    }

    #[test]
    fn errors_tell_the_line() {
        let said = |text: &str| Config::parse("a.toml", text).expect_err("refused").to_string();
        let error = said("folder = \"x\"\n[collect]\ntagg = \"me\"\n");
        assert!(error.contains("a.toml:3") && error.contains("tagg"), "{error}");
        assert!(said("[compare]\nfolds = 1\n").contains("folds"));
        assert!(said("[filter]\nby = \"both\"\n").contains("filter train"));
        assert!(said("[prepare]\nscale = \"square\"\n").contains("a.toml:2"));
    }
}
