//! The whole of a training: iterations, tests, snapshots, in Caffe's order.

use super::early::EarlyStop;
use super::glimpse::Glimpse;
use super::trainer::Trainer;
use crate::error::Result;
use crate::report::{Iteration, TestResult};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What happens during a training.
#[derive(Clone, Debug)]
pub enum Event {
    /// A test begins: time until it is done is not time of training.
    Testing,
    /// A test network was tested.
    Tested(TestResult),
    /// An iteration is done.
    Stepped(Iteration),
    /// A snapshot was written: the path of its state.
    Saved(PathBuf),
    /// What the network looks like.
    Seen(Glimpse),
}

/// When to stop.
#[derive(Default)]
pub struct Plan<'a> {
    /// Becomes true when the training is to stop: after the iteration that is under way.
    pub stop: Option<&'a AtomicBool>,
    /// Stops when tests become no better.
    pub early: Option<EarlyStop>,
    /// Stops after so many updates in all, before `max_iter`.
    pub until: Option<usize>,
    /// Looks at the network this often.
    pub look: Option<Duration>,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All iterations are done.
    Done,
    /// It was stopped; the last snapshot is of this iteration.
    Stopped,
    /// Tests became no better.
    Enough,
}

impl Trainer {
    /// Trains until the settings' last iteration, or until it is to stop. A training that stops leaves a
    /// snapshot of where it was.
    pub fn run(
        &mut self,
        plan: Plan,
        tell: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<Outcome> {
        let Plan { stop, mut early, until, look } = plan;
        let last = self.settings.max_iter;
        let mut seen: Option<Instant> = None;
        let (mut saved, mut outcome) = (None, Outcome::Done);
        while self.iter < last {
            let asked = stop.is_some_and(|stop| stop.load(Ordering::Relaxed));
            if asked || until.is_some_and(|until| self.iter >= until) {
                outcome = Outcome::Stopped;
                break;
            }
            if self.is_due(self.settings.test_interval)
                && (self.iter > 0 || self.settings.test_initialization)
                && self.test_all(&mut early, tell)?
            {
                outcome = Outcome::Enough;
                break;
            }
            tell(Event::Stepped(self.step()?))?;
            if look.is_some_and(|often| seen.is_none_or(|at| at.elapsed() >= often)) {
                tell(Event::Seen(self.glimpse()?))?;
                seen = Some(Instant::now());
            }
            if self.is_due(self.settings.snapshot) {
                tell(Event::Saved(self.save()?))?;
                saved = Some(self.iter);
            }
        }
        if saved != Some(self.iter)
            && (outcome != Outcome::Done || self.settings.snapshot_after_train)
        {
            tell(Event::Saved(self.save()?))?;
        }
        if outcome == Outcome::Done && self.is_due(self.settings.test_interval) {
            self.test_all(&mut early, tell)?;
        }
        Ok(outcome)
    }

    /// Whether something that happens every so many iterations happens now.
    fn is_due(&self, interval: usize) -> bool {
        interval > 0 && self.iter.is_multiple_of(interval)
    }

    /// Tests all; whether that was enough.
    fn test_all(
        &mut self,
        early: &mut Option<EarlyStop>,
        tell: &mut dyn FnMut(Event) -> Result<()>,
    ) -> Result<bool> {
        let mut enough = false;
        for index in 0..self.tests.len() {
            tell(Event::Testing)?;
            let result = self.test(index)?;
            if index == 0 {
                enough = early.as_mut().is_some_and(|early| early.enough(&result));
            }
            tell(Event::Tested(result))?;
        }
        Ok(enough)
    }
}
