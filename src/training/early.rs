//! Early stopping (Prechelt, 1998): enough is learnt when tests have not become better for a while.

use crate::report::TestResult;

/// Stops after a number of tests without a better one.
#[derive(Clone, Debug)]
pub struct EarlyStop {
    /// Tests to wait for a better one.
    patience: usize,
    best: Option<f32>,
    since: usize,
}

impl EarlyStop {
    /// Waits for so many tests.
    pub fn new(patience: usize) -> Self {
        Self { patience, best: None, since: 0 }
    }

    /// Looks at a test: whether to stop. What counts is the first output with "acc" in its name, else, the
    /// other way round, the first with "loss"; a test without either never stops anything.
    pub fn enough(&mut self, test: &TestResult) -> bool {
        let named = |part: &str| test.outputs.iter().find(|(name, _)| name.contains(part));
        let better_if_more = named("acc").map(|(_, v)| *v);
        let Some(value) = better_if_more.or_else(|| named("loss").map(|(_, v)| -*v)) else {
            return false;
        };
        if self.best.is_none_or(|best| value > best) {
            (self.best, self.since) = (Some(value), 0);
        } else {
            self.since += 1;
        }
        self.since >= self.patience
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stops(name: &str, values: &[f32]) -> Option<usize> {
        let mut early = EarlyStop::new(2);
        values.iter().position(|v| {
            let outputs = [(name.to_string(), *v)].into();
            early.enough(&TestResult { iter: 0, test: 0, outputs })
        })
    }

    #[test]
    fn two_tests_without_a_better_one_are_enough() {
        assert_eq!(stops("accuracy", &[0.5, 0.6, 0.6, 0.7, 0.6, 0.65, 0.9]), Some(5));
        assert_eq!(stops("loss", &[0.5, 0.4, 0.45, 0.4]), Some(3));
        assert_eq!(stops("other", &[0.5; 9]), None);
    }
}
