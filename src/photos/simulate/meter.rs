//! How often a server is asked. Flows in: calls. Flows out: how many there were, and the most of any second.

use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// What was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Measured {
    /// Calls in all.
    pub calls: u64,
    /// The most calls within any second.
    pub most_a_second: u64,
    /// The most calls within any ten seconds, a second.
    pub most_of_ten: f64,
    /// Calls a second from the first to the last.
    pub mean: f64,
}

#[derive(Default)]
struct State {
    first: Option<Instant>,
    last: Option<Instant>,
    recent: VecDeque<Instant>,
    measured: Measured,
}

/// Counts calls.
#[derive(Default)]
pub(super) struct Meter {
    state: Mutex<State>,
}

impl Meter {
    pub fn call(&self, now: Instant) {
        let mut state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        state.first.get_or_insert(now);
        state.last = Some(now);
        state.recent.push_back(now);
        while state.recent.front().is_some_and(|&old| now - old >= Duration::from_secs(10)) {
            state.recent.pop_front();
        }
        let second = state.recent.iter().rev().take_while(|&&t| now - t < Duration::from_secs(1));
        let (second, ten) = (second.count() as u64, state.recent.len() as f64 / 10.0);
        let measured = &mut state.measured;
        measured.calls += 1;
        measured.most_a_second = measured.most_a_second.max(second);
        measured.most_of_ten = measured.most_of_ten.max(ten);
    }

    pub fn measured(&self) -> Measured {
        let state = self.state.lock().unwrap_or_else(|e| e.into_inner());
        let seconds = state.first.zip(state.last).map_or(0.0, |(a, b)| (b - a).as_secs_f64());
        let gaps = state.measured.calls.saturating_sub(1) as f64;
        Measured { mean: if seconds > 0.0 { gaps / seconds } else { 0.0 }, ..state.measured }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_by_hand() {
        let (meter, begun) = (Meter::default(), Instant::now());
        for ms in [0, 100, 999, 1000, 1500, 5000] {
            meter.call(begun + Duration::from_millis(ms));
        }
        let measured = meter.measured();
        assert_eq!((measured.calls, measured.most_a_second), (6, 3));
        assert_eq!((measured.most_of_ten, measured.mean), (0.6, 1.0));
        assert_eq!(Meter::default().measured(), Measured::default());
    }
}
