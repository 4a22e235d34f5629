//! The architectures of Caffe's zoo, written out here so that they need no file; and one that comes with its
//! weights.
//!
//! Layer names are the published ones, so that published weights fit.

use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// An architecture by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Architecture {
    /// Its name.
    pub name: &'static str,
    /// Its description.
    pub prototxt: &'static str,
    /// The blob of class scores that its softmax turns into probabilities.
    pub scores: &'static str,
}

macro_rules! architectures {
    ($($name:literal: $scores:literal)*) => {
        &[$(Architecture {
            name: $name,
            prototxt: include_str!(concat!("zoo/", $name, ".prototxt")),
            scores: $scores,
        }),*]
    };
}

/// Every architecture that is built in.
pub fn architectures() -> &'static [Architecture] {
    architectures! {
        "alexnet": "fc8"
        "caffenet": "fc8"
        "compact": "fc7"
        "googlenet": "loss3/classifier"
        "squeezenet10": "pool10"
        "squeezenet11": "pool10"
        "vgg16": "fc8"
    }
}

/// A network that is built in with its weights, which `likenet train` made (docs/training.md).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// The name of its architecture.
    pub name: &'static str,
    /// Its weights: a safetensors file, f16.
    pub weights: &'static [u8],
    /// Names of its classes, a line each.
    pub labels: &'static str,
    /// What is subtracted from pictures: blue, green, red.
    pub mean: [f32; 3],
    /// What they are multiplied by then.
    pub scale: f32,
    /// The side that they are resized to before the crop.
    pub side: usize,
}

/// The files of a built-in network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// Its description.
    pub net: PathBuf,
    /// Its weights.
    pub weights: PathBuf,
    /// Names of its classes.
    pub labels: PathBuf,
}

impl Trained {
    /// Writes its files into a folder of its name below `folder`, unless they are there.
    pub fn unpack(&self, folder: &Path) -> Result<Unpacked> {
        let folder = folder.join(self.name);
        std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
        let file = |name: &str, bytes: &[u8]| -> Result<PathBuf> {
            let path = folder.join(name);
            if !std::fs::read(&path).is_ok_and(|there| there == bytes) {
                weights_tools::write_file(&path, bytes)?;
            }
            Ok(path)
        };
        let description = architecture(self.name).map_or("", |a| a.prototxt);
        Ok(Unpacked {
            net: file("deploy.prototxt", description.as_bytes())?,
            weights: file(&format!("{}.safetensors", self.name), self.weights)?,
            labels: file("labels.txt", self.labels.as_bytes())?,
        })
    }
}

/// The network of that name with its weights, if it is built in.
pub fn trained(name: &str) -> Option<Trained> {
    (name == "compact").then_some(Trained {
        name: "compact",
        weights: include_bytes!("zoo/compact.safetensors"),
        labels: "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n",
        mean: [114.0, 123.0, 125.0],
        scale: 0.016,
        side: 32,
    })
}

/// The architecture of that name; dots do not count (`squeezenet1.1`).
pub fn architecture(name: &str) -> Option<&'static Architecture> {
    let name = name.replace('.', "");
    architectures().iter().find(|a| a.name == name)
}
