//! Who computes: the calling thread alone, or several threads.

use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::threads::Threads;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Threads, each with a workspace.
pub struct Team {
    /// None: the calling thread alone.
    threads: Option<Mutex<Threads>>,
    work: Vec<Mutex<Workspace>>,
}

impl Team {
    /// So many threads; 0 means one for each core.
    pub fn new(threads: usize, kernels: &'static Kernels) -> Result<Self, String> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let count = if threads == 0 { cores() } else { threads };
        if count == 1 {
            return Ok(Self::alone(kernels));
        }
        let threads =
            Threads::new(count).map_err(|e| format!("cannot start {count} threads: {e}"))?;
        let work = (0..count).map(|_| Mutex::new(Workspace::new(kernels))).collect();
        Ok(Self { threads: Some(Mutex::new(threads)), work })
    }

    /// The calling thread.
    pub fn alone(kernels: &'static Kernels) -> Self {
        Self { threads: None, work: vec![Mutex::new(Workspace::new(kernels))] }
    }

    /// How many there are.
    pub fn threads(&self) -> usize {
        self.work.len()
    }

    /// Runs `f` on each item, with the workspace of the thread that it runs on.
    pub fn each<T: Send>(
        &self,
        items: impl Iterator<Item = T>,
        f: impl Fn(&mut Workspace, T) + Sync,
    ) {
        match self.threads {
            None => self.with_own(0, |own| items.for_each(|item| f(own, item))),
            Some(_) => drop(self.map(items, f)),
        }
    }

    /// The same, and what `f` gives, in order. Whoever is free takes the next item.
    pub fn map<T: Send, R: Send>(
        &self,
        items: impl Iterator<Item = T>,
        f: impl Fn(&mut Workspace, T) -> R + Sync,
    ) -> Vec<R> {
        let Some(threads) = &self.threads else {
            return self.with_own(0, |own| items.map(|item| f(own, item)).collect());
        };
        let items: Vec<Mutex<Option<T>>> = items.map(|item| Mutex::new(Some(item))).collect();
        let results: Vec<Mutex<Option<R>>> = items.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = |thread: usize| {
            self.with_own(thread, |own| {
                loop {
                    let i = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(i) else { break };
                    let item = lock(item).take().expect("each index is drawn once");
                    *lock(&results[i]) = Some(f(own, item));
                }
            });
        };
        match items.len() {
            0 => {}
            1 => work(0),
            _ => lock(threads).together(&work),
        }
        let result = |result: Mutex<Option<R>>| {
            let result = result.into_inner().unwrap_or_else(PoisonError::into_inner);
            result.expect("every item was drawn")
        };
        results.into_iter().map(result).collect()
    }

    fn with_own<R>(&self, thread: usize, f: impl FnOnce(&mut Workspace) -> R) -> R {
        f(&mut lock(&self.work[thread]))
    }
}

/// A poisoned lock means that another layer panicked; what it left behind is never read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use likenet_kernels::cpu::table;

    #[test]
    fn every_item_is_done_once_and_in_order() {
        for threads in [1, 2, 5] {
            let team = Team::new(threads, table::best().expect("kernels")).expect("threads");
            for items in [0, 1, 2, 7, 1000] {
                let squares = team.map(0..items, |_, i| i * i);
                assert_eq!(squares, (0..items).map(|i| i * i).collect::<Vec<_>>());
            }
        }
    }
}
