//! The network that looks at photos. Flows in: a description, weights, how photos are prepared. Flows out: a network
//! that is ready for them.

use crate::error::{Error, Result};
use crate::image::{Classifier, ClassifierOptions, Mean, Size};
use crate::net::{Keep, Net, Options};
use std::path::PathBuf;

/// A network's files, and how photos are prepared for it.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Its name.
    pub name: String,
    /// Its description.
    pub text: String,
    /// Its weights.
    pub weights: PathBuf,
    /// What is subtracted from photos: blue, green, red.
    pub mean: [f32; 3],
    /// What they are multiplied by then.
    pub scale: f32,
    /// The side that they are resized to before the crop.
    pub side: usize,
}

/// What a network is loaded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Some blobs of many photos.
    Features,
    /// Every blob of one photo.
    Everything,
    /// The gradient of its input, too.
    Gradients,
}

/// A network ready for photos.
pub struct Loaded {
    /// The network.
    pub net: Net,
    /// Its input blob.
    pub input: String,
    /// How photos become its input.
    pub classifier: Classifier,
}

impl Network {
    /// Loads it for batches of that many rows; `blobs` can be read after a pass.
    ///
    /// Fails where description and weights do not fit, and where the input has not three channels.
    pub fn load(&self, blobs: Vec<String>, batch: usize, purpose: Purpose) -> Result<Loaded> {
        let keep = match purpose {
            Purpose::Features => Keep::Named(blobs),
            Purpose::Everything => Keep::All,
            Purpose::Gradients => Keep::Training,
        };
        let input_gradients = purpose == Purpose::Gradients;
        let options = Options { keep, batch: Some(batch), input_gradients, ..Options::default() };
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
        Ok(Loaded { net, input, classifier })
    }
}

impl Loaded {
    /// A pass over crops that lie one after the other.
    pub fn forward(&mut self, crops: &[f32]) -> Result<()> {
        self.net.set_batch(crops.len() / self.classifier.crop_len())?;
        self.net.set_input(&self.input, crops)?;
        self.net.forward()
    }
}
