//! Which blob feeds which layer.
//!
//! Flows in: a [`Description`]. Flows out: a [`Graph`], in which every write of a blob is a blob of
//! its own. A layer that works "in place" (top named as its bottom) therefore makes a new blob with
//! the old name; whether it really overwrites memory is the plan's decision.

use super::prototxt::{Description, LayerDescription, ParamRule};
use crate::error::{Error, Place, Result};
use crate::layer::{Layer, ParamSpec};
use crate::shape::Shape;
use std::collections::HashMap;

/// Index of a blob in [`Graph::blobs`].
pub type BlobId = usize;
/// Index of a parameter in [`Graph::params`].
pub type ParamId = usize;

/// One write of a named blob.
#[derive(Clone, Debug)]
pub struct Blob {
    /// Its name; several blobs share one when layers work in place.
    pub name: String,
    /// Its shape.
    pub shape: Shape,
    /// The node that writes it.
    pub producer: usize,
    /// Weight in the network's loss.
    pub loss_weight: f32,
}

/// A layer with its connections resolved.
#[derive(Clone, Debug)]
pub struct Node {
    /// The layer's name.
    pub name: String,
    /// Its type, as Caffe writes it.
    pub kind: String,
    /// Where its description stands.
    pub place: Place,
    /// What it is.
    pub layer: Layer,
    /// Blobs that it reads.
    pub bottoms: Vec<BlobId>,
    /// Blobs that it writes.
    pub tops: Vec<BlobId>,
    /// Its parameters, in the order in which files store them.
    pub params: Vec<ParamUse>,
    /// Multiply-adds of a forward pass.
    pub macs: u64,
}

/// A layer's use of a parameter.
#[derive(Clone, Debug)]
pub struct ParamUse {
    /// Which parameter.
    pub id: ParamId,
    /// Name, shape and filler as this layer sees it.
    pub spec: ParamSpec,
    /// Learning-rate and decay factors.
    pub rule: ParamRule,
}

/// A parameter that one layer owns and others may share.
#[derive(Clone, Debug)]
pub struct Param {
    /// The layer that owns it.
    pub layer: String,
    /// Its position among that layer's parameters.
    pub index: usize,
    /// Name, shape and filler.
    pub spec: ParamSpec,
}

/// A network with every connection and shape known.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The file that describes it.
    pub file: String,
    /// The network's name.
    pub name: String,
    /// Layers, each after those that feed it.
    pub nodes: Vec<Node>,
    /// Every write of a blob.
    pub blobs: Vec<Blob>,
    /// Every parameter once, shared or not.
    pub params: Vec<Param>,
    /// The last write of each name.
    latest: HashMap<String, BlobId>,
}

impl Graph {
    /// Connects the layers of a description and infers every shape.
    ///
    /// `inputs` replaces the shapes of named source blobs; `batch` replaces the first dimension of
    /// all source blobs.
    pub fn new(d: &Description, inputs: &[(String, Shape)], batch: Option<usize>) -> Result<Self> {
        let mut builder = Builder {
            graph: Graph {
                file: d.file.clone(),
                name: d.name.clone(),
                nodes: Vec::new(),
                blobs: Vec::new(),
                params: Vec::new(),
                latest: HashMap::new(),
            },
            shared: HashMap::new(),
            inputs,
            batch,
        };
        for layer in &d.layers {
            builder.add(layer).map_err(|reason| Error::Layer {
                place: layer.place.clone(),
                layer: layer.name.clone(),
                kind: layer.kind.clone(),
                reason,
            })?;
        }
        let graph = builder.graph;
        match inputs.iter().find(|(n, _)| !graph.sources().any(|b| graph.blobs[b].name == *n)) {
            Some((name, _)) => Err(graph.no_blob(name, graph.sources())),
            None => Ok(graph),
        }
    }

    /// The last blob of that name.
    pub fn blob(&self, name: &str) -> Result<BlobId> {
        let all = 0..self.blobs.len();
        self.latest.get(name).copied().ok_or_else(|| self.no_blob(name, all))
    }

    /// Blobs that come from outside, in order.
    pub fn sources(&self) -> impl Iterator<Item = BlobId> {
        let sources = self.nodes.iter().filter(|n| matches!(n.layer, Layer::Source(_)));
        sources.flat_map(|n| n.tops.iter().copied())
    }

    /// The first dimension of the first blob that comes from outside; 1 without one.
    pub fn batch(&self) -> usize {
        let first = self.sources().next().and_then(|b| self.blobs[b].shape.dims().first());
        first.copied().unwrap_or(1)
    }

    /// Blobs that no layer reads, sorted by name as Caffe lists its outputs.
    pub fn outputs(&self) -> Vec<BlobId> {
        let mut read = vec![false; self.blobs.len()];
        self.nodes.iter().flat_map(|n| &n.bottoms).for_each(|&b| read[b] = true);
        let mut outputs: Vec<BlobId> = (0..self.blobs.len()).filter(|&b| !read[b]).collect();
        outputs.sort_by(|&a, &b| self.blobs[a].name.cmp(&self.blobs[b].name));
        outputs
    }

    /// Names of all blobs, each once, in order of their first write.
    pub fn blob_names(&self) -> Vec<&str> {
        self.distinct(0..self.blobs.len())
    }

    fn distinct(&self, blobs: impl Iterator<Item = BlobId>) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for b in blobs {
            let name = self.blobs[b].name.as_str();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    fn no_blob(&self, name: &str, among: impl Iterator<Item = BlobId>) -> Error {
        Error::NoBlob { name: name.to_string(), known: self.distinct(among).join(", ") }
    }
}

struct Builder<'a> {
    graph: Graph,
    /// Parameters by the name under which they are shared.
    shared: HashMap<String, ParamId>,
    inputs: &'a [(String, Shape)],
    batch: Option<usize>,
}

impl Builder<'_> {
    fn add(&mut self, d: &LayerDescription) -> std::result::Result<(), String> {
        let mut bottoms = Vec::with_capacity(d.bottoms.len());
        for name in &d.bottoms {
            let known = self.graph.latest.get(name).copied();
            bottoms.push(known.ok_or(format!("its bottom '{name}' comes from no layer above"))?);
        }
        let mut layer = d.layer.clone();
        if let Layer::Source(source) = &mut layer {
            self.override_shapes(source, &d.tops)?;
        }
        let shapes: Vec<&Shape> = bottoms.iter().map(|&b| &self.graph.blobs[b].shape).collect();
        let inferred = layer.infer(&shapes, d.tops.len())?;
        let params = inferred.params.into_iter().enumerate();
        let params = params
            .map(|(i, spec)| self.param(d, i, spec))
            .collect::<std::result::Result<_, String>>()?;
        let node = self.graph.nodes.len();
        let mut tops = Vec::with_capacity(d.tops.len());
        for (i, (name, shape)) in d.tops.iter().zip(inferred.tops).enumerate() {
            if self.graph.latest.contains_key(name) && !d.bottoms.contains(name) {
                return Err(format!("its top '{name}' is written by a layer above already"));
            }
            tops.push(self.graph.blobs.len());
            self.graph.latest.insert(name.clone(), self.graph.blobs.len());
            self.graph.blobs.push(Blob {
                name: name.clone(),
                shape,
                producer: node,
                loss_weight: d.loss_weights[i],
            });
        }
        self.graph.nodes.push(Node {
            name: d.name.clone(),
            kind: d.kind.clone(),
            place: d.place.clone(),
            layer,
            bottoms,
            tops,
            params,
            macs: inferred.macs,
        });
        Ok(())
    }

    fn override_shapes(
        &self,
        source: &mut crate::layer::Source,
        tops: &[String],
    ) -> std::result::Result<(), String> {
        if source.shapes.len() == 1 && tops.len() > 1 {
            source.shapes = vec![source.shapes[0].clone(); tops.len()];
        }
        source.shapes.resize(source.shapes.len().max(tops.len()), None);
        for (name, shape) in tops.iter().zip(&mut source.shapes) {
            if let Some((_, given)) = self.inputs.iter().find(|(n, _)| n == name) {
                *shape = Some(given.clone());
            }
            if let (Some(batch), Some(s)) = (self.batch, &shape)
                && s.rank() > 0
            {
                *shape = Some(s.with_axis(0, batch)?);
            }
        }
        Ok(())
    }

    fn param(
        &mut self,
        d: &LayerDescription,
        index: usize,
        spec: ParamSpec,
    ) -> std::result::Result<ParamUse, String> {
        let mut rule = d.params.get(index).cloned().unwrap_or_default();
        if matches!(d.layer, Layer::BatchNorm(_)) {
            // Its parameters are sums of what it saw: no gradient changes them.
            rule.lr_mult = 0.0;
        }
        let fresh = self.graph.params.len();
        let id = match self.shared.get(&rule.name).filter(|_| !rule.name.is_empty()) {
            Some(&id) => id,
            None => fresh,
        };
        if id == fresh {
            if !rule.name.is_empty() {
                self.shared.insert(rule.name.clone(), id);
            }
            let param = Param { layer: d.name.clone(), index, spec: spec.clone() };
            self.graph.params.push(param);
        } else {
            let owner = &self.graph.params[id];
            if owner.spec.shape.count() != spec.shape.count() {
                return Err(format!(
                    "shares parameter '{}' with layer '{}', whose shape is {}, not {}",
                    rule.name, owner.layer, owner.spec.shape, spec.shape
                ));
            }
        }
        Ok(ParamUse { id, spec, rule })
    }
}
