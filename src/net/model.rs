//! A network ready to run.

use super::graph::{BlobId, Graph, ParamId};
use super::learning::Learning;
use super::parameters::{self, Missing};
use super::plan::{Keep, Plan};
use super::prototxt::Description;
use super::run::{Run, sound};
use super::state::NetState;
use super::{filler, show};
use crate::backend::{self, Backend, Settings, Slot, View};
use crate::error::{Error, Place, Result};
use crate::layer::{Filler, FillerKind, Layer, VarianceNorm};
use crate::rng::Rng;
use crate::shape::Shape;
use crate::tensor::Tensor;
use likenet_kernels::ops::{Algorithm, Precision};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use weights_tools::WeightsFile;

/// How a network is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// `cpu` or `reference`.
    pub backend: String,
    /// Threads of the CPU backend; 0 means one for each core.
    pub threads: usize,
    /// How the CPU backend keeps weights.
    pub weights: Precision,
    /// How convolutions and fully connected layers are computed where they can be; none: as the backend
    /// holds for fastest. All but `Tiles` keep fully connected layers in `f32`.
    pub conv: Option<Algorithm>,
    /// Phase, level and stages.
    pub state: NetState,
    /// Blobs that can be read after a forward pass.
    pub keep: Keep,
    /// Replaces the first dimension of every source blob.
    pub batch: Option<usize>,
    /// Replaces the shapes of named source blobs.
    pub inputs: Vec<(String, Shape)>,
    /// What to do about layers that the weights files lack.
    pub missing: Missing,
    /// Seed of fillers and dropout.
    pub seed: u64,
    /// In a network for training ([`Keep::Training`]): source blobs have gradients too.
    pub input_gradients: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            backend: "cpu".into(),
            threads: 0,
            weights: Precision::F32,
            conv: None,
            state: NetState::default(),
            keep: Keep::default(),
            batch: None,
            inputs: vec![],
            missing: Missing::default(),
            seed: 1,
            input_gradients: false,
        }
    }
}

impl Options {
    /// What its backend needs to know.
    fn settings(&self) -> Settings {
        let changing = self.trains();
        Settings { threads: self.threads, weights: self.weights, changing }
    }

    fn trains(&self) -> bool {
        self.keep == Keep::Training
    }
}

/// A network with its parameters on a backend.
///
/// ```
/// use likenet::net::{Net, Options};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let prototxt = r#"
///     layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
///     layer { name: "r" type: "ReLU" bottom: "x" top: "y" relu_param { negative_slope: 0.5 } }
/// "#;
/// let mut net = Net::parse("tiny.prototxt", prototxt, Options::default())?;
/// net.set_input("x", &[-2.0, -1.0, 0.0, 1.0, 2.0, 3.0])?;
/// net.forward()?;
/// assert_eq!(net.blob("y")?.data(), [-1.0, -0.5, 0.0, 1.0, 2.0, 3.0]);
/// # Ok(()) }
/// ```
pub struct Net {
    description: Description,
    options: Options,
    graph: Graph,
    plan: Plan,
    /// The batch that algorithms were chosen for. Another batch keeps them: weights stay packed, and what
    /// comes of a picture does not depend on how many came with it.
    chosen_for: usize,
    backend: Box<dyn Backend>,
    slots: Vec<Slot>,
    params: Vec<Slot>,
    passes: u64,
    pub(super) learning: Learning,
}

/// A network without a backend: a guest on that of the network that [made](Net::guest) it.
pub struct Guest {
    description: Description,
    options: Options,
    graph: Graph,
    plan: Plan,
    chosen_for: usize,
    slots: Vec<Slot>,
    params: Vec<Slot>,
    passes: u64,
    learning: Learning,
}

impl Net {
    /// Reads a prototxt and the weights that belong to it (`.caffemodel` or `.safetensors`).
    ///
    /// ```no_run
    /// use likenet::net::{Keep, Net, Options};
    ///
    /// # fn main() -> likenet::Result<()> {
    /// let options = Options { keep: Keep::Named(vec!["fc7".into()]), ..Options::default() };
    /// let mut net = Net::load("deploy.prototxt", "caffenet.caffemodel", options)?;
    /// let picture = vec![0.0; net.input_shape("data")?.count()];
    /// net.set_input("data", &picture)?;
    /// net.forward()?;
    /// println!("{} features", net.blob("fc7")?.data().len());
    /// # Ok(()) }
    /// ```
    pub fn load(
        prototxt: impl AsRef<Path>,
        weights: impl AsRef<Path>,
        options: Options,
    ) -> Result<Self> {
        let description = Description::read(prototxt.as_ref(), &options.state)?;
        let file = WeightsFile::open(weights.as_ref())?;
        Self::build(description, options, &[&file])
    }

    /// Reads a prototxt; parameters hold what their fillers say.
    pub fn read(prototxt: impl AsRef<Path>, options: Options) -> Result<Self> {
        Self::new(Description::read(prototxt.as_ref(), &options.state)?, options)
    }

    /// The same from text; `file` is the name that errors carry.
    pub fn parse(file: &str, prototxt: &str, options: Options) -> Result<Self> {
        Self::new(Description::parse(file, prototxt, &options.state)?, options)
    }

    /// Sets up a described network; parameters hold what their fillers say.
    pub fn new(description: Description, options: Options) -> Result<Self> {
        Self::build(description, options, &[])
    }

    /// The same with weights; without any, parameters hold what their fillers say.
    fn build(description: Description, options: Options, files: &[&WeightsFile]) -> Result<Self> {
        let graph = Graph::new(&description, &options.inputs, options.batch)?;
        check_kept(&graph, &options.keep)?;
        let backend =
            backend::by_name(&options.backend, options.settings()).map_err(Error::Invalid)?;
        let chosen_for = graph.batch();
        let plan = plan(&graph, &options, backend.as_ref(), chosen_for);
        let mut net = Self {
            description,
            options,
            graph,
            plan,
            chosen_for,
            backend,
            slots: vec![],
            params: vec![],
            passes: 0,
            learning: Learning::default(),
        };
        net.make_params(files)?;
        net.alloc_slots();
        if !files.is_empty() && !net.options.trains() {
            net.prepare();
        }
        sound(net.backend.as_ref())?;
        Ok(net)
    }

    /// A slot for each parameter: with its values from the files, else with what its filler says.
    fn make_params(&mut self, files: &[&WeightsFile]) -> Result<()> {
        let Self { graph, backend, params, options, .. } = self;
        let mut found: Vec<Option<Slot>> = vec![None; graph.params.len()];
        if !files.is_empty() {
            parameters::read(graph, files, options.missing, |id, values| {
                let before = found[id].replace(hold(backend.as_mut(), values));
                before.into_iter().for_each(|slot| backend.free(slot));
            })?;
        }
        for (i, (param, found)) in graph.params.iter().zip(found).enumerate() {
            let filled = |backend: &mut dyn Backend| {
                // Each parameter's values are its own, whichever others are filled.
                let mut rng = Rng::new(options.seed.wrapping_add((i as u64) << 32));
                let values = filler::fill(&param.spec.filler, &param.spec.shape, &mut rng);
                hold(backend, parameters::Values::Here(values))
            };
            params.push(found.unwrap_or_else(|| filled(backend.as_mut())));
        }
        Ok(())
    }

    fn alloc_slots(&mut self) {
        self.slots.drain(..).for_each(|slot| self.backend.free(slot));
        self.slots = self.plan.storage.slots.iter().map(|&len| self.backend.alloc(len)).collect();
        if self.options.trains() {
            self.plan_gradients(&[]);
        }
        let mut rng = Rng::new(self.options.seed ^ 0x5eed);
        for node in &self.graph.nodes {
            let Layer::Source(source) = &node.layer else { continue };
            for (i, &top) in node.tops.iter().enumerate() {
                let filler = source.fillers.get(i).or(source.fillers.first());
                if let Some(filler) = filler {
                    let values = filler::fill(filler, &self.graph.blobs[top].shape, &mut rng);
                    self.backend.write(self.view(top).slot, 0, &values);
                }
            }
        }
    }

    /// Reads weights into the parameters, by the layers' names; later files win.
    ///
    /// A layer that no file mentions is an error unless [`Options::missing`] says otherwise; a layer
    /// with another shape always is. Gives the names of layers that no file mentions.
    pub fn load_weights(&mut self, files: &[impl AsRef<Path>]) -> Result<Vec<String>> {
        let files = files.iter().map(|f| WeightsFile::open(f.as_ref()));
        let files: Vec<WeightsFile> = files.collect::<std::result::Result<_, _>>()?;
        let files: Vec<&WeightsFile> = files.iter().collect();
        let Self { graph, backend, params, options, .. } = self;
        let lacking = parameters::read(graph, &files, options.missing, |id, values| {
            backend.free(params[id]);
            params[id] = hold(backend.as_mut(), values);
        })?;
        if !options.trains() {
            self.prepare();
        }
        Ok(lacking)
    }

    /// Gives every parameter random values that keep activations at a similar size from layer to
    /// layer, whatever its filler says: to run or time a network without trained weights.
    pub fn randomise(&mut self, seed: u64) {
        let mut rng = Rng::new(seed);
        for (param, &slot) in self.graph.params.iter().zip(&self.params) {
            let shape = &param.spec.shape;
            let kind = match param.spec.name {
                "weight" if shape.rank() > 1 => FillerKind::Msra(VarianceNorm::FanIn),
                "bias" | "mean" => FillerKind::Gaussian { mean: 0.0, std: 0.05 },
                _ => FillerKind::Uniform { min: 0.5, max: 1.5 },
            };
            let values = filler::fill(&Filler { kind, sparse: -1 }, shape, &mut rng);
            self.backend.write(slot, 0, &values);
        }
        if !self.options.trains() {
            self.prepare();
        }
    }

    /// Changes the batch: the first dimension of every source blob. Parameters stay.
    pub fn set_batch(&mut self, batch: usize) -> Result<()> {
        if self.options.batch == Some(batch) {
            return Ok(());
        }
        let graph = Graph::new(&self.description, &self.options.inputs, Some(batch))?;
        let shapes = |g: &Graph| g.params.iter().map(|p| p.spec.shape.clone()).collect::<Vec<_>>();
        if shapes(&graph) != shapes(&self.graph) {
            return Err(Error::Net {
                place: Place { file: self.graph.file.clone(), line: None },
                reason: format!(
                    "a batch of {batch} would change the shape of its parameters: load it anew with \
                     that batch"
                ),
            });
        }
        self.options.batch = Some(batch);
        self.graph = graph;
        self.plan = plan(&self.graph, &self.options, self.backend.as_ref(), self.chosen_for);
        self.alloc_slots();
        Ok(())
    }

    /// Shape of a source blob.
    pub fn input_shape(&self, name: &str) -> Result<&Shape> {
        Ok(&self.graph.blobs[self.source(name)?].shape)
    }

    /// Names of the source blobs, in order.
    pub fn input_names(&self) -> Vec<&str> {
        self.graph.sources().map(|b| self.graph.blobs[b].name.as_str()).collect()
    }

    /// The first input that takes pictures, (n, c, h, w).
    ///
    /// Fails where there is none.
    pub fn picture_input(&self) -> Result<&str> {
        let names = self.input_names();
        let picture = |name: &&str| self.input_shape(name).is_ok_and(|shape| shape.rank() == 4);
        names.iter().copied().find(picture).ok_or_else(|| {
            let (file, names) = (&self.graph().file, names.join(", "));
            Error::Invalid(format!("{file}: no input of shape (n, 3, h, w) among: {names}"))
        })
    }

    /// Names of the blobs that no layer reads, sorted.
    pub fn output_names(&self) -> Vec<&str> {
        self.graph.outputs().iter().map(|&b| self.graph.blobs[b].name.as_str()).collect()
    }

    pub(super) fn source(&self, name: &str) -> Result<BlobId> {
        let mut sources = self.graph.sources();
        sources.find(|&b| self.graph.blobs[b].name == name).ok_or_else(|| Error::NoBlob {
            name: name.to_string(),
            known: format!("{} (inputs)", self.input_names().join(", ")),
        })
    }

    /// Sets a source blob: all its elements, row-major, `(n, c, h, w)` for pictures.
    pub fn set_input(&mut self, name: &str, data: &[f32]) -> Result<()> {
        let blob = self.source(name)?;
        let view = self.view(blob);
        if data.len() != view.len {
            let shape = self.graph.blobs[blob].shape.clone();
            return Err(Error::InputSize { name: name.to_string(), shape, got: data.len() });
        }
        self.backend.write(view.slot, 0, data);
        Ok(())
    }

    /// Waits until the backend has done all that it was asked for.
    pub fn finish(&self) -> Result<()> {
        self.backend.finish().map_err(Error::Invalid)
    }

    /// Computes every layer.
    pub fn forward(&mut self) -> Result<()> {
        self.pass(None)
    }

    /// Computes every layer, and says how long each step of the plan took, in seconds. Steps that several
    /// workers compute side by side count as if one after the other had done a share of them.
    pub fn forward_timed(&mut self) -> Result<Vec<f64>> {
        let times: Vec<AtomicU64> = self.plan.steps.iter().map(|_| AtomicU64::new(0)).collect();
        self.pass(Some(&times))?;
        let workers = self.backend.workers().max(1);
        let mut seconds: Vec<f64> =
            times.into_iter().map(|t| t.into_inner() as f64 * 1e-9).collect();
        for section in self.plan.sections.iter().filter(|s| s.pictures.is_some()) {
            seconds[section.steps.clone()].iter_mut().for_each(|s| *s /= workers as f64);
        }
        Ok(seconds)
    }

    fn pass(&mut self, times: Option<&[AtomicU64]>) -> Result<()> {
        self.passes += 1;
        let seed = self.pass_seed();
        let Self { graph, plan, backend, slots, params, .. } = self;
        Run { graph, plan, slots, params, seed, times }.forward(backend.as_mut())
    }

    /// The seed of the pass that was begun last: what dropped elements follow from.
    fn pass_seed(&self) -> u64 {
        self.options.seed.wrapping_add(self.passes.wrapping_mul(0x9e37_79b9))
    }

    /// Forward passes so far. Which elements dropout drops follows from the seed and this number.
    pub fn passes(&self) -> u64 {
        self.passes
    }

    /// Goes on as after so many forward passes.
    pub fn set_passes(&mut self, passes: u64) {
        self.passes = passes;
    }

    /// Plans gradients, those of the blobs `given` coming from outside, and gives them memory.
    pub(super) fn plan_gradients(&mut self, given: &[BlobId]) {
        let Self { graph, plan, backend, options, learning, .. } = self;
        learning.lay_out(backend.as_mut(), graph, &plan.steps, options.input_gradients, given);
    }

    /// A backward pass after a forward pass.
    pub(super) fn pass_back(&mut self, times: Option<&[AtomicU64]>) -> Result<()> {
        let seed = self.pass_seed();
        let Self { graph, plan, backend, slots, params, learning, .. } = self;
        let run = Run { graph, plan, slots, params, seed, times };
        run.backward(backend.as_mut(), &mut learning.gradients)
    }

    /// The backend, the slots of the parameters and what is learnt of them.
    pub(super) fn learning(&mut self) -> (&mut dyn Backend, &[Slot], &mut Learning) {
        (self.backend.as_mut(), &self.params, &mut self.learning)
    }

    /// The slot of a parameter.
    pub(super) fn param_slot(&self, id: ParamId) -> Slot {
        self.params[id]
    }

    /// Copies a slot's first values.
    pub(super) fn read_values(&self, slot: Slot, out: &mut [f32]) {
        self.backend.read(slot, out);
    }

    /// The values of a backend's slot.
    pub(super) fn read_slot(&self, slot: Slot, shape: &Shape) -> Result<Tensor> {
        let mut data = vec![0.0; shape.count()];
        self.backend.read(slot, &mut data);
        sound(self.backend.as_ref())?;
        Tensor::new(shape.clone(), data).map_err(Error::Invalid)
    }

    /// Packs all weights for the plan, on all threads. Without it each is packed when it is first used.
    fn prepare(&mut self) {
        let Self { graph, plan, backend, slots, params, .. } = self;
        let run = Run { graph, plan, slots, params, seed: 0, times: None };
        backend.prepare(&run.weights(0..plan.steps.len()));
    }

    pub(super) fn view(&self, blob: BlobId) -> View {
        let home = self.plan.storage.whole[blob];
        let slot = home.map_or(Slot(usize::MAX), |home| self.slots[home.slot]);
        View::whole(slot, self.graph.blobs[blob].shape.count())
    }

    /// A blob by name, as the last layer that writes it left it: a convolution with a ReLU in place
    /// gives the values after the ReLU.
    pub fn blob(&self, name: &str) -> Result<Tensor> {
        let id = self.graph.blob(name)?;
        let shape = self.graph.blobs[id].shape.clone();
        let mut data = vec![0.0; shape.count()];
        self.read_blob(name, &mut data)?;
        Tensor::new(shape, data).map_err(Error::Invalid)
    }

    /// The values of one write of a blob, by its index in [`Graph::blobs`]: also of one that a later layer
    /// writes again, such as sums before a ReLU in place. Needs [`Keep::All`] for those.
    pub fn values(&self, blob: BlobId) -> Result<Vec<f32>> {
        let known = self.graph.blobs.get(blob);
        let name = known.map_or_else(|| format!("number {blob}"), |b| b.name.clone());
        let kept = self.plan.kept.get(blob) == Some(&true);
        let known = known.filter(|_| kept).ok_or(Error::NotKept { name })?;
        let mut values = vec![0.0; known.shape.count()];
        self.backend.read(self.view(blob).slot, &mut values);
        Ok(values)
    }

    /// Copies the first elements of a blob into `out`, without allocating.
    pub fn read_blob(&self, name: &str, out: &mut [f32]) -> Result<()> {
        let id = self.graph.blob(name)?;
        if !self.plan.kept[id] {
            return Err(Error::NotKept { name: name.to_string() });
        }
        let view = self.view(id);
        let len = out.len().min(view.len);
        self.backend.read(view.slot, &mut out[..len]);
        sound(self.backend.as_ref())
    }

    /// Shape of a blob.
    pub fn blob_shape(&self, name: &str) -> Result<&Shape> {
        Ok(&self.graph.blobs[self.graph.blob(name)?].shape)
    }

    /// A layer's parameter by position: weights, then bias.
    pub fn param(&self, layer: &str, index: usize) -> Result<Tensor> {
        let (id, shape) = self.param_id(layer, index)?;
        let mut data = vec![0.0; shape.count()];
        self.backend.read(self.params[id], &mut data);
        sound(self.backend.as_ref())?;
        Tensor::new(shape, data).map_err(Error::Invalid)
    }

    /// Sets a layer's parameter by position.
    pub fn set_param(&mut self, layer: &str, index: usize, data: &[f32]) -> Result<()> {
        let (id, shape) = self.param_id(layer, index)?;
        if data.len() != shape.count() {
            let name = format!("{layer}[{index}]");
            return Err(Error::InputSize { name, shape, got: data.len() });
        }
        self.backend.write(self.params[id], 0, data);
        Ok(())
    }

    pub(super) fn param_id(&self, layer: &str, index: usize) -> Result<(usize, Shape)> {
        let node = self.graph.nodes.iter().find(|n| n.name == layer);
        let param = node.and_then(|n| n.params.get(index));
        let missing = || Error::Net {
            place: Place { file: self.graph.file.clone(), line: None },
            reason: format!("layer '{layer}' has no parameter {index}"),
        };
        let param = param.ok_or_else(missing)?;
        Ok((param.id, param.spec.shape.clone()))
    }

    /// Another network on this one's backend, with its parameters where layers have the same names: to test
    /// while training. It takes this one's place by [`Net::swap`].
    pub fn guest(&mut self, description: Description, options: Options) -> Result<Guest> {
        let graph = Graph::new(&description, &options.inputs, options.batch)?;
        check_kept(&graph, &options.keep)?;
        let chosen_for = graph.batch();
        let plan = plan(&graph, &options, self.backend.as_ref(), chosen_for);
        let mut shared = vec![];
        for param in &graph.params {
            let own = self
                .graph
                .params
                .iter()
                .position(|p| (&p.layer, p.index) == (&param.layer, param.index));
            let fits = own
                .filter(|&i| self.graph.params[i].spec.shape.count() == param.spec.shape.count());
            shared.push(fits.map(|i| self.params[i]).ok_or_else(|| Error::Net {
                place: Place { file: graph.file.clone(), line: None },
                reason: format!(
                    "layer '{}' has a parameter ({} {}) that {} does not train",
                    param.layer, param.spec.name, param.spec.shape, self.graph.file
                ),
            })?);
        }
        let mut guest = Guest {
            description,
            options,
            graph,
            plan,
            chosen_for,
            slots: vec![],
            params: shared,
            passes: 0,
            learning: Learning::default(),
        };
        self.swap(&mut guest);
        self.alloc_slots();
        self.swap(&mut guest);
        Ok(guest)
    }

    /// Changes places with a guest; parameters that both have stay what they are.
    pub fn swap(&mut self, guest: &mut Guest) {
        use std::mem::swap;
        swap(&mut self.description, &mut guest.description);
        swap(&mut self.options, &mut guest.options);
        swap(&mut self.graph, &mut guest.graph);
        swap(&mut self.plan, &mut guest.plan);
        swap(&mut self.chosen_for, &mut guest.chosen_for);
        swap(&mut self.slots, &mut guest.slots);
        swap(&mut self.params, &mut guest.params);
        swap(&mut self.passes, &mut guest.passes);
        swap(&mut self.learning, &mut guest.learning);
    }

    /// The connected layers.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// How the layers are computed.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Bytes of weights packed as the plan's algorithms want them.
    pub fn packed_bytes(&self) -> usize {
        self.backend.packed_bytes()
    }

    /// The backend, for people.
    pub fn backend(&self) -> String {
        format!("{}: {}", self.backend.name(), self.backend.describe())
    }

    /// A table of layers with shapes, parameters, costs and memory.
    pub fn summary(&self) -> show::Summary {
        show::Summary::new(&self.graph, &self.plan)
    }
}

fn plan(graph: &Graph, options: &Options, backend: &dyn Backend, batch: usize) -> Plan {
    Plan::new(graph, &options.keep, backend, options.conv, batch)
}

/// A slot with these values.
fn hold(backend: &mut dyn Backend, values: parameters::Values) -> Slot {
    match values {
        parameters::Values::Stored(floats) => backend.lend(Arc::new(parameters::Stored(floats))),
        parameters::Values::Here(values) => {
            let slot = backend.alloc(values.len());
            backend.write(slot, 0, &values);
            slot
        }
    }
}

fn check_kept(graph: &Graph, keep: &Keep) -> Result<()> {
    if let Keep::Named(names) = keep {
        names.iter().try_for_each(|n| graph.blob(n).map(|_| ()))?;
    }
    Ok(())
}
