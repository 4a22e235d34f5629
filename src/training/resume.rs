//! Stopping and going on: what a snapshot holds, and a training put back into it.

use super::trainer::Trainer;
use crate::error::{Error, Result};
use crate::solver::snapshot::{self, Snapshot};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use weights_tools::{Blob, WeightsFile};

/// The seed that a snapshot's training used, if it was ours.
pub fn seed_of(state: &Path) -> Result<Option<u64>> {
    let extra = snapshot::read(state)?.extra;
    Ok(extra.and_then(|e| serde_json::from_str::<Extra>(&e).ok()).and_then(|e| e.seed))
}

/// What Caffe does not save: with it a resumed training goes on bit for bit.
#[derive(Debug, Serialize, Deserialize)]
struct Extra {
    /// Forward passes, which dropout follows from.
    passes: u64,
    /// The seed that everything random follows from.
    seed: Option<u64>,
    /// How far the network's data layers have come.
    data: Vec<u64>,
    /// The same of each test network.
    tests: Vec<Vec<u64>>,
    /// The losses that the smoothed one is made of, as their bits.
    losses: Vec<u32>,
}

impl Trainer {
    /// Writes weights and state under the settings' prefix; gives the state's path.
    pub fn save(&mut self) -> Result<PathBuf> {
        // What a failed device remembers must not become a snapshot.
        self.net.finish()?;
        let extra = Extra {
            passes: self.net.passes(),
            seed: self.settings.random_seed,
            data: self.feeds.positions(),
            tests: self.tests.iter().map(|t| t.feeds.positions()).collect(),
            losses: self.losses.iter().map(|l| l.to_bits()).collect(),
        };
        let extra = serde_json::to_string(&extra).map_err(|e| Error::Invalid(e.to_string()))?;
        let weights = self.net.weights();
        let snapshot = Snapshot {
            iter: self.iter,
            current_step: self.current_step,
            extra: (!self.options.caffe_compat).then_some(extra),
            net: &self.layers,
            weights: &weights,
        };
        let histories = self.settings.rule.histories();
        let arrays = (0..histories).flat_map(|h| self.learnt.iter().map(move |p| (h, p)));
        let mut arrays = arrays
            .map(|(h, p)| Blob { shape: p.shape.dims().to_vec(), data: self.net.history(p.id, h) });
        snapshot::write(&self.settings.snapshot_prefix, &snapshot, &mut arrays)
    }

    /// Goes on from a snapshot, Caffe's or our own. Without what Caffe does not save, data layers begin
    /// again, as Caffe's do.
    pub fn resume(&mut self, state: &Path) -> Result<()> {
        let state_file = state.display().to_string();
        let state = snapshot::read(state)?;
        let wrong = |reason: String| Error::Invalid(format!("{state_file}: {reason}"));
        let histories = self.settings.rule.histories();
        let wanted = histories * self.learnt.len();
        if state.history.len() != wanted {
            return Err(wrong(format!(
                "{} arrays of history; this solver with this network has {wanted}: it belongs to another",
                state.history.len()
            )));
        }
        let weights = WeightsFile::open(&state.model)?;
        let nodes = self.net.graph().nodes.iter().filter(|node| !node.params.is_empty());
        if let Some(node) = nodes.into_iter().find(|node| weights.layer(&node.name).is_none()) {
            return Err(wrong(format!(
                "its weights {} have no layer '{}': it belongs to another network",
                state.model.display(),
                node.name
            )));
        }
        self.net.load_weights(&[&state.model])?;
        let arrays = (0..histories).flat_map(|h| self.learnt.iter().map(move |p| (h, p)));
        for ((h, p), blob) in arrays.zip(&state.history) {
            self.net.set_history(p.id, h, &blob.data)?;
        }
        (self.iter, self.current_step) = (state.iter, state.current_step);
        let Some(extra) = state.extra.filter(|_| !self.options.caffe_compat) else { return Ok(()) };
        let extra: Extra = serde_json::from_str(&extra).map_err(|e| wrong(e.to_string()))?;
        if extra.seed != self.settings.random_seed {
            return Err(wrong(format!(
                "was made with random_seed {:?}, not {:?}: pictures would come in another order; give that \
                 seed, or --caffe-compat to begin with the first picture again",
                extra.seed, self.settings.random_seed
            )));
        }
        self.net.set_passes(extra.passes);
        self.feeds.seek(&extra.data);
        self.tests.iter_mut().zip(&extra.tests).for_each(|(t, at)| t.feeds.seek(at));
        self.losses = extra.losses.into_iter().map(f32::from_bits).collect();
        Ok(())
    }
}
