//! Who computes: the calling thread alone, or several threads.

use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::cpu::table::Kernels;
use rayon::prelude::*;
use std::sync::Mutex;

/// Threads, each with a workspace.
pub struct Team {
    /// None: the calling thread, which then need not wake another one.
    pool: Option<rayon::ThreadPool>,
    work: Vec<Mutex<Workspace>>,
}

impl Team {
    /// So many threads; 0 means one for each core.
    pub fn new(threads: usize, kernels: &'static Kernels) -> Result<Self, String> {
        let cores = || std::thread::available_parallelism().map_or(1, |n| n.get());
        let threads = if threads == 0 { cores() } else { threads };
        if threads == 1 {
            return Ok(Self::alone(kernels));
        }
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("likenet-{i}"))
            .build()
            .map_err(|e| format!("cannot start {threads} threads: {e}"))?;
        let work = (0..threads).map(|_| Mutex::new(Workspace::new(kernels))).collect();
        Ok(Self { pool: Some(pool), work })
    }

    /// The calling thread.
    pub fn alone(kernels: &'static Kernels) -> Self {
        Self { pool: None, work: vec![Mutex::new(Workspace::new(kernels))] }
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
        match &self.pool {
            None => self.with_own(0, |own| items.for_each(|item| f(own, item))),
            Some(_) => drop(self.map(items, f)),
        }
    }

    /// The same, and what `f` gives, in order.
    pub fn map<T: Send, R: Send>(
        &self,
        items: impl Iterator<Item = T>,
        f: impl Fn(&mut Workspace, T) -> R + Sync,
    ) -> Vec<R> {
        let Some(pool) = &self.pool else {
            return self.with_own(0, |own| items.map(|item| f(own, item)).collect());
        };
        let items: Vec<T> = items.collect();
        let run = |item| {
            let thread = rayon::current_thread_index().expect("a thread of the pool");
            self.with_own(thread, |own| f(own, item))
        };
        pool.install(|| items.into_par_iter().map(run).collect())
    }

    fn with_own<R>(&self, thread: usize, f: impl FnOnce(&mut Workspace) -> R) -> R {
        // A poisoned lock means that another layer panicked; its panels hold nothing of value.
        f(&mut self.work[thread].lock().unwrap_or_else(|e| e.into_inner()))
    }
}
