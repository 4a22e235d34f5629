//! A network's data layers, and what flows through them.

use crate::data::{self, Rules, Stream};
use crate::error::{Error, Result};
use crate::layer::{Layer, SourceKind};
use crate::net::{Description, LayerDescription, Net};
use crate::shape::Shape;
use std::path::Path;

/// The streams of all data layers of a network.
pub struct Feeds {
    feeds: Vec<Feed>,
}

/// One data layer.
struct Feed {
    tops: Vec<String>,
    stream: Stream,
}

impl Feeds {
    /// Opens what the data layers name; paths count from the current folder or else from `base`. Each
    /// layer's random numbers follow from the seed of `rules` and its position.
    pub fn open(description: &Description, base: &Path, rules: &Rules) -> Result<Self> {
        let mut feeds = vec![];
        for (i, layer) in description.layers.iter().enumerate() {
            let Layer::Source(source) = &layer.layer else { continue };
            if source.kind == SourceKind::DummyData {
                continue;
            }
            let seed = rules.seed.wrapping_add((i as u64) << 48);
            let stream = data::open(source, base, Rules { seed, ..rules.clone() })
                .map_err(|e| fails(layer, e.to_string()))?;
            if layer.tops.len() > 2 {
                return Err(fails(layer, "gives data and labels, no more".into()));
            }
            feeds.push(Feed { tops: layer.tops.clone(), stream });
        }
        Ok(Self { feeds })
    }

    /// The shapes of the blobs that they fill.
    pub fn shapes(&self) -> Result<Vec<(String, Shape)>> {
        let mut shapes = vec![];
        for feed in &self.feeds {
            let shape = feed.stream.output_shape();
            let of = [Shape::new(shape), Shape::new([shape[0]])];
            for (top, shape) in feed.tops.iter().zip(of) {
                shapes.push((top.clone(), shape.map_err(Error::Invalid)?));
            }
        }
        Ok(shapes)
    }

    /// Samples of a batch.
    pub fn batch(&self) -> usize {
        self.feeds.first().map_or(0, |f| f.stream.output_shape()[0])
    }

    /// Puts the next batches into the network.
    pub fn next(&mut self, net: &mut Net) -> Result<()> {
        for Feed { tops, stream } in &mut self.feeds {
            let batch = stream.next()?;
            for (top, values) in tops.iter().zip([&batch.data, &batch.labels]) {
                net.set_input(top, values)?;
            }
            stream.give_back(batch);
        }
        Ok(())
    }

    /// How far each stream has come.
    pub fn positions(&self) -> Vec<u64> {
        self.feeds.iter().map(|f| f.stream.position()).collect()
    }

    /// Goes on from there.
    pub fn seek(&mut self, positions: &[u64]) {
        self.feeds.iter_mut().zip(positions).for_each(|(f, &at)| f.stream.seek(at));
    }

    /// Pictures that could not be read and were replaced.
    pub fn skipped(&self) -> Vec<(String, String)> {
        self.feeds.iter().flat_map(|f| f.stream.skipped()).collect()
    }
}

fn fails(layer: &LayerDescription, reason: String) -> Error {
    Error::Layer {
        place: layer.place.clone(),
        layer: layer.name.clone(),
        kind: layer.kind.clone(),
        reason,
    }
}
