//! Training stopped and taken up again.
//!
//! Flows in: weights, histories and counters. Flows out: `<prefix>_iter_<N>.caffemodel` and
//! `.solverstate` after N updates, which Caffe reads too; and the same read back as a [`State`].

use crate::error::{Error, Place, Result};
use crate::net::NetState;
use std::fs;
use std::path::{Path, PathBuf};
use weights_tools::proto::NetParameter;
use weights_tools::{Blob, SolverState, WeightsFile, WeightsSource};

/// What a snapshot holds besides histories.
pub struct Snapshot<'a> {
    /// Updates done.
    pub iter: usize,
    /// Steps that the learning-rate policy has taken.
    pub current_step: usize,
    /// JSON of what Caffe does not save.
    pub extra: Option<String>,
    /// The layers of the network that learns: see [`layers_of`].
    pub net: &'a NetParameter,
    /// Their weights, by layer.
    pub weights: &'a dyn WeightsSource,
}

/// A training as a snapshot left it.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// Updates done.
    pub iter: usize,
    /// Steps that the learning-rate policy has taken.
    pub current_step: usize,
    /// The weights' file; it exists.
    pub model: PathBuf,
    /// One array for each parameter; two for AdaDelta and Adam: all first ones, then all second ones.
    pub history: Vec<Blob>,
    /// JSON of what Caffe does not save; absent in Caffe's files.
    pub extra: Option<String>,
}

/// The description (upgraded) without the layers that do not belong to `state`.
pub fn layers_of(file: &str, mut net: NetParameter, state: &NetState) -> Result<NetParameter> {
    for layer in std::mem::take(&mut net.layer) {
        match state.includes(&layer) {
            Ok(true) => net.layer.push(layer),
            Ok(false) => {}
            Err(reason) => {
                let place = Place { file: file.to_string(), line: None };
                let (kind, layer) = (layer.r#type().to_string(), layer.name().to_string());
                return Err(Error::Layer { place, layer, kind, reason });
            }
        }
    }
    Ok(net)
}

/// Writes both files, the model first and each at once: there is never a state without its model.
/// Gives the path of the state.
///
/// `history` comes in the order of [`State::history`], one array in memory at a time. The folder is
/// made if it is missing.
pub fn write(
    prefix: &str,
    s: &Snapshot,
    history: &mut dyn Iterator<Item = Blob>,
) -> Result<PathBuf> {
    let fits = |n: usize| {
        i32::try_from(n)
            .map_err(|_| Error::Invalid(format!("a snapshot cannot hold the count {n}")))
    };
    let learned_net = format!("{prefix}_iter_{}.caffemodel", s.iter);
    let state = SolverState {
        iter: fits(s.iter)?,
        learned_net: learned_net.clone(),
        current_step: fits(s.current_step)?,
        history: vec![],
        extra: s.extra.clone(),
    };
    let path = PathBuf::from(format!("{prefix}_iter_{}.solverstate", s.iter));
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(Error::io(folder))?;
    }
    weights_tools::write_trained(Path::new(&learned_net), s.net, s.weights)?;
    weights_tools::write_solverstate_from(&path, &state, history)?;
    Ok(path)
}

/// Reads a state and finds its model: where the state says or, if nothing is there (a path is as it
/// was where the training ran), beside the state.
pub fn read(path: &Path) -> Result<State> {
    let state = weights_tools::read_solverstate(path)?;
    let refuse = |reason: String| Error::Invalid(format!("{}: {reason}", path.display()));
    let count = |what: &str, n: i32| {
        usize::try_from(n).map_err(|_| refuse(format!("{what} is {n}; the file is damaged")))
    };
    let learned = Path::new(&state.learned_net);
    let folder = path.parent().unwrap_or(Path::new(""));
    let beside = learned.file_name().map(|name| folder.join(name));
    let places = [Some(learned.to_path_buf()), Some(folder.join(learned)), beside];
    let Some(model) = places.into_iter().flatten().find(|place| place.is_file()) else {
        let sought = "neither there nor beside it; put it beside the state";
        return Err(refuse(format!("its weights '{}' are {sought}", state.learned_net)));
    };
    Ok(State {
        iter: count("the iteration", state.iter)?,
        current_step: count("the current step", state.current_step)?,
        model,
        history: state.history,
        extra: state.extra,
    })
}

/// The newest state of this prefix that can be read, and whose model can; damaged ones are passed over.
pub fn latest(prefix: &str) -> Option<PathBuf> {
    let whole = |path: &Path| read(path).is_ok_and(|state| WeightsFile::open(&state.model).is_ok());
    states(prefix)?.into_iter().find(|path| whole(path))
}

/// Removes every state of this prefix, so that none outlives a training that begins anew: the newest
/// would be taken for its. Weights stay until they are written again.
pub fn forget(prefix: &str) -> Result<()> {
    let mut states = states(prefix).unwrap_or_default().into_iter();
    states.try_for_each(|path| fs::remove_file(&path).map_err(Error::io(&path)))
}

/// The states of this prefix, whole or not, the newest first; None without its folder.
fn states(prefix: &str) -> Option<Vec<PathBuf>> {
    let prefix = Path::new(prefix);
    let folder = match prefix.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let stem = format!("{}_iter_", prefix.file_name()?.to_str()?);
    let iteration = |path: &Path| -> Option<usize> {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(&stem)?.strip_suffix(".solverstate")?.parse().ok()
    };
    let entries = fs::read_dir(folder).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut states: Vec<(usize, PathBuf)> =
        entries.filter_map(|path| Some((iteration(&path)?, path))).collect();
    states.sort_unstable_by(|a, b| b.cmp(a));
    Some(states.into_iter().map(|(_, path)| path).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::Phase;
    use weights_tools::{LayerWeights, MemoryWeights};

    const NET: &str = "name: 'n' layer { name: 'd' top: 'x' include { phase: TRAIN } }
        layer { name: 'd' top: 'x' include { phase: TEST } }
        layer { name: 'ip' type: 'InnerProduct' bottom: 'x' top: 'y' }
        layer { name: 'a' type: 'Accuracy' bottom: 'y' top: 'a' include { phase: TEST } }";

    fn array(first: f32) -> Blob {
        Blob { shape: vec![2], data: vec![first, 0.5] }
    }

    /// Writes a snapshot of `iter` whose weights and histories follow from it.
    fn write_one(prefix: &str, iter: usize) -> PathBuf {
        let training = NetState { phase: Phase::Train, ..NetState::default() };
        let net = weights_tools::parse_net_text("n", NET).expect("a net");
        let net = layers_of("n", net, &training).expect("layers");
        assert_eq!(net.layer.len(), 2);
        let (name, kind) = ("ip".to_string(), "InnerProduct".to_string());
        let weights =
            MemoryWeights::new(vec![LayerWeights { name, kind, blobs: vec![array(iter as f32)] }]);
        let extra = Some(format!("{{\"photos\": {iter}}}"));
        let s = Snapshot { iter, current_step: 2, extra, net: &net, weights: &weights };
        write(prefix, &s, &mut [array(1.0), array(2.0)].into_iter()).expect("a snapshot")
    }

    #[test]
    fn what_is_written_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = folder.path().join("new/likes").display().to_string();
        let path = write_one(&prefix, 15);
        assert!(path.ends_with("new/likes_iter_15.solverstate"));
        let state = read(&path).expect("a state");
        assert_eq!((state.iter, state.current_step), (15, 2));
        assert_eq!(state.history, [array(1.0), array(2.0)]);
        assert_eq!(state.extra.as_deref(), Some("{\"photos\": 15}"));
        assert_eq!(state.model, folder.path().join("new/likes_iter_15.caffemodel"));
        let weights = WeightsFile::open(&state.model).expect("weights");
        assert_eq!(weights.read("ip", 0).expect("an array"), array(15.0));
    }

    #[test]
    fn snapshots_may_be_moved_together() {
        let folder = tempfile::tempdir().expect("a folder");
        let [old, new] = ["old", "new"].map(|name| folder.path().join(name));
        let path = write_one(&old.join("s").display().to_string(), 3);
        fs::rename(&old, &new).expect("moved");
        let path = new.join(path.file_name().expect("a name"));
        assert_eq!(read(&path).expect("a state").model, new.join("s_iter_3.caffemodel"));
        fs::remove_file(new.join("s_iter_3.caffemodel")).expect("removed");
        let error = read(&path).expect_err("no model").to_string();
        assert!(error.contains("s_iter_3.solverstate: its weights") && error.contains("beside"));
    }

    #[test]
    fn the_latest_is_the_newest_whole_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let prefix = folder.path().join("s").display().to_string();
        assert_eq!(latest(&prefix), None);
        assert_eq!(latest(&format!("{prefix}/nowhere/s")), None);
        let [second, tenth, cut, torn, lone] = [2, 10, 11, 12, 13].map(|i| write_one(&prefix, i));
        write_one(&format!("{prefix}_iter"), 20);
        let cut_to = |path: &Path, length| {
            let bytes = fs::read(path).expect("bytes");
            fs::write(path, &bytes[..length]).expect("cut");
        };
        cut_to(&cut, 20);
        cut_to(&torn.with_extension("caffemodel"), 20);
        fs::remove_file(lone.with_extension("caffemodel")).expect("removed");
        assert!(read(&cut).is_err() && read(&lone).is_err());
        assert_eq!(latest(&prefix), Some(tenth.clone()));
        fs::remove_file(tenth).expect("removed");
        assert_eq!(latest(&prefix), Some(second));
        forget(&prefix).expect("removed");
        let left = states(&prefix).expect("a folder");
        assert!(left.is_empty() && torn.with_extension("caffemodel").exists(), "{left:?}");
        assert!(latest(&format!("{prefix}_iter")).is_some(), "of another prefix");
    }

    #[test]
    fn counts_below_zero_are_damage() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = write_one(&folder.path().join("s").display().to_string(), 1);
        let mut state = weights_tools::read_solverstate(&path).expect("a state");
        state.iter = -1;
        weights_tools::write_solverstate(&path, &state).expect("written");
        assert!(read(&path).expect_err("negative").to_string().contains("iteration is -1"));
    }

    #[test]
    fn caffes_own_solvers_and_snapshots() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/golden/caffe/training/tiny");
        let Ok(entries) = fs::read_dir(folder) else {
            println!("skipped: ../shared is absent");
            return;
        };
        let paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
        let ending =
            |end: &'static str| paths.iter().filter(move |p| p.to_string_lossy().ends_with(end));
        assert!(ending(".solver.prototxt").count() > 10);
        for path in ending(".solver.prototxt") {
            let settings = super::super::Settings::read(path).expect("valid settings");
            let prefix = Path::new(folder).join(&settings.snapshot_prefix).display().to_string();
            if let Some(path) = latest(&prefix) {
                let state = read(&path).expect("a state");
                assert_eq!((state.iter, state.history.len()), (20, 6 * settings.rule.histories()));
            } else {
                assert_eq!(settings.warnings.len(), 1, "{prefix}");
            }
        }
    }
}
