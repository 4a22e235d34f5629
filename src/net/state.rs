//! Which layers of a description belong to a network: its phase, level and stages, as in Caffe.

use crate::layer::Phase;
use weights_tools::proto;

/// The state that `include` and `exclude` rules are held against.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct NetState {
    /// Training or testing.
    pub phase: Phase,
    /// Level, for `min_level` and `max_level`.
    pub level: i32,
    /// Stages, for `stage` and `not_stage`.
    pub stages: Vec<String>,
}

pub(super) fn phase(p: proto::Phase) -> Phase {
    match p {
        proto::Phase::Train => Phase::Train,
        proto::Phase::Test => Phase::Test,
    }
}

impl NetState {
    fn meets(&self, rule: &proto::NetStateRule) -> bool {
        let has = |s: &String| self.stages.contains(s);
        rule.phase.is_none_or(|_| phase(rule.phase()) == self.phase)
            && rule.min_level.is_none_or(|m| self.level >= m)
            && rule.max_level.is_none_or(|m| self.level <= m)
            && rule.stage.iter().all(has)
            && !rule.not_stage.iter().any(has)
    }

    /// Whether the layer belongs to a network of this state. Both kinds of rules at once are an error.
    pub fn includes(&self, layer: &proto::LayerParameter) -> Result<bool, String> {
        match (layer.include.is_empty(), layer.exclude.is_empty()) {
            (false, false) => Err("has include and exclude rules; only one kind is allowed".into()),
            (false, true) => Ok(layer.include.iter().any(|r| self.meets(r))),
            (true, _) => Ok(!layer.exclude.iter().any(|r| self.meets(r))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_hold_as_in_caffe() {
        let rule = proto::NetStateRule {
            phase: Some(proto::Phase::Train as i32),
            min_level: Some(2),
            not_stage: vec!["deploy".into()],
            ..Default::default()
        };
        let mut state = NetState { phase: Phase::Train, level: 2, stages: vec![] };
        assert!(state.meets(&rule));
        state.stages.push("deploy".into());
        assert!(!state.meets(&rule));
        let layer = proto::LayerParameter {
            exclude: vec![proto::NetStateRule::default()],
            ..Default::default()
        };
        assert_eq!(state.includes(&layer), Ok(false));
    }
}
