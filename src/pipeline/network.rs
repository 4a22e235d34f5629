//! The network that looks at photos. Flows in: settings. Flows out: a network with its weights, and how photos become
//! its input.

use super::config::Features;
use super::project::Project;
use crate::error::{Error, Result};
use crate::feed::{Preparation, Views};
use crate::image::{Classifier, ClassifierOptions, Limits, Mean, Size};
use crate::net::{Keep, Net, Options, architecture, architectures, trained};
use std::path::PathBuf;

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
            let path = own.unpack(&project.file("models"))?.weights;
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
        let input = net.picture_input()?.to_string();
        let [_, channels, height, width] =
            net.input_shape(&input)?.nchw().map_err(Error::Invalid)?;
        if channels != 3 {
            let name = &self.name;
            return Err(Error::Invalid(format!(
                "{name}: its input has {channels} channels; photos have 3"
            )));
        }
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
