//! What the machine could do at most.

use likenet_kernels::cpu::peak;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::memory::Buffer;
use likenet_kernels::threads::Threads;
use serde::Serialize;
use std::sync::Mutex;

/// Values that are read to measure memory: 256 MiB, as many as CaffeNet's fully connected weights.
const VALUES: usize = 64 << 20;

/// Rates of all threads together, measured.
#[derive(Clone, Debug, Serialize)]
pub struct Roof {
    /// Instruction set.
    pub isa: &'static str,
    /// Threads.
    pub threads: usize,
    /// Multiply-adds of `f32`, two operations each, in 10⁹ a second.
    pub gflop_s: f64,
    /// The same of the matrix unit in `bf16`, if there is one.
    pub tiles_gflop_s: Option<f64>,
    /// Reading from memory, in 10⁹ bytes a second.
    pub read_gb_s: f64,
}

impl Roof {
    /// Measures for half a second.
    ///
    /// # Errors
    /// When the threads cannot be started.
    pub fn measure(kernels: &Kernels, threads: usize) -> std::io::Result<Self> {
        let data = Buffer::<f32>::zeroed(VALUES);
        let share = VALUES / threads;
        let mut team = Threads::new(threads)?;
        let mut sum = |rate: &(dyn Fn(usize) -> f64 + Sync)| {
            let total = Mutex::new(0.0);
            team.together(&|thread| {
                let rate = rate(thread);
                *total.lock().expect("no thread panics here") += rate;
            });
            total.into_inner().expect("no thread panics here") * 1e-9
        };
        Ok(Self {
            isa: kernels.name(),
            threads,
            gflop_s: sum(&|_| peak::multiply_adds(kernels)),
            tiles_gflop_s: kernels
                .has_tiles()
                .then(|| sum(&|_| peak::tiles(kernels).unwrap_or(0.0))),
            read_gb_s: sum(&|thread| peak::read(kernels, &data[thread * share..][..share])),
        })
    }
}

impl std::fmt::Display for Roof {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { isa, threads, gflop_s, read_gb_s, .. } = self;
        write!(f, "roof of {threads} thread(s), {isa}: {gflop_s:.0} GFLOP/s in f32, ")?;
        if let Some(tiles) = self.tiles_gflop_s {
            write!(f, "{tiles:.0} in tiles of bf16, ")?;
        }
        write!(f, "{read_gb_s:.1} GB/s from memory")
    }
}
