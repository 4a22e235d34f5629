//! The network that looks at photos. Flows in: settings. Flows out: a network with its weights, and how photos become
//! its input.

use super::config::Features;
use super::project::Project;
use crate::error::{Error, Result};
use crate::feed::{Preparation, Views};
use crate::image::{Classifier, ClassifierOptions, Limits, Mean, Size};
use crate::net::{Keep, Net, Options, architecture, architectures, trained};
use crate::shape::Shape;
use std::path::{Path, PathBuf};

/// Photos of a batch.
pub(super) const BATCH: usize = 32;

/// A network's files, and how photos are prepared for it.
pub(super) struct Network {
    pub name: String,
    /// Its description.
    pub text: String,
    pub weights: PathBuf,
    pub mean: [f32; 3],
    pub scale: f32,
    pub side: usize,
}

impl Network {
    /// The network of the settings; a built-in one is written into the study's folder.
    pub fn of(project: &Project) -> Result<Self> {
        let Features { model, weights, net, mean, .. } = &project.config.features;
        let own = trained(model).filter(|_| weights.as_os_str().is_empty());
        if let Some(own) = own {
            let path = project.file("models").join(format!("{model}.safetensors"));
            write_unless_there(&path, own.weights)?;
            let text = architecture(model).map_or("", |a| a.prototxt).to_string();
            let (mean, scale, side) = (own.mean, own.scale, own.side);
            return Ok(Self { name: model.clone(), text, weights: path, mean, scale, side });
        }
        if weights.as_os_str().is_empty() {
            return Err(Error::Invalid(format!(
                "[features] weights: name those of {model} (`likenet weights fetch {model}` fetches known ones)"
            )));
        }
        let text = match net.as_os_str().is_empty() {
            false => weights_tools::read_text(&project.given(net))?,
            true => architecture(model)
                .ok_or_else(|| {
                    let known: Vec<&str> = architectures().iter().map(|a| a.name).collect();
                    let known = known.join(", ");
                    Error::Invalid(format!(
                        "[features] model: no '{model}' is built in, but {known}; or name a net"
                    ))
                })?
                .prototxt
                .to_string(),
        };
        let weights = project.given(weights);
        let (mean, scale, side) = (*mean, 1.0, 256);
        Ok(Self { name: model.clone(), text, weights, mean, scale, side })
    }

    /// Loads it.
    pub fn load(&self, keep: Vec<String>, views: Views) -> Result<Loaded> {
        let options = Options {
            keep: Keep::Named(keep),
            batch: Some(BATCH * views.count()),
            ..Options::default()
        };
        let mut net = Net::parse(&self.name, &self.text, options)?;
        net.load_weights(&[&self.weights])?;
        let inputs =
            net.input_names().into_iter().map(|n| Ok((n.to_string(), net.input_shape(n)?.clone())));
        let inputs: Vec<(String, Shape)> = inputs.collect::<Result<_>>()?;
        let picture =
            inputs.into_iter().find(|(_, shape)| shape.rank() == 4 && shape.dims()[1] == 3);
        let (input, shape) = picture.ok_or_else(|| {
            Error::Invalid(format!("{}: no input of shape (n, 3, h, w)", self.name))
        })?;
        let [_, _, height, width] = shape.nchw().map_err(Error::Invalid)?;
        let classifier = Classifier::new(ClassifierOptions {
            image_dims: Size::new(self.side.max(height), self.side.max(width)),
            crop: Size::new(height, width),
            mean: Mean::Channels(self.mean),
            input_scale: self.scale,
            ..ClassifierOptions::default()
        })?;
        let preparation =
            Preparation { classifier, views, limits: Limits::default(), spent: Default::default() };
        Ok(Loaded { net, input, preparation })
    }
}

/// A network ready for photos.
pub(super) struct Loaded {
    pub net: Net,
    pub input: String,
    pub preparation: Preparation,
}

fn write_unless_there(path: &Path, bytes: &[u8]) -> Result<()> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    Ok(weights_tools::write_atomically(path, |out| {
        out.write_all(bytes).map_err(weights_tools::Error::io(path, "write"))
    })?)
}
