//! A matrix product: which tile, and how its sums are cut among blocks.
//!
//! Flows in: sizes, where the operands lie. Flows out: one launch, or several and one that adds what they made.

use super::{After, Arg, Fields, Gpu, Launch, Operand, Plan, each};

/// A tile of a product, and what is known of its kernels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tile {
    pub m: usize,
    pub n: usize,
    /// Blocks that share a multiprocessor.
    pub resident: usize,
    /// Share of the peak that it reaches when there is enough to do, estimated.
    pub share: f64,
}

pub(super) const TILES: [Tile; 3] = [
    Tile { m: 128, n: 128, resident: 2, share: 0.80 },
    Tile { m: 64, n: 128, resident: 4, share: 0.72 },
    Tile { m: 64, n: 64, resident: 7, share: 0.62 },
];
/// Values of k in a stage of shared memory.
pub(super) const STEP: usize = 16;

impl Tile {
    pub fn name(&self) -> String {
        format!("{}x{}", self.m, self.n)
    }
    pub fn threads(&self) -> u32 {
        (self.m / 64 * (self.n / 32) * 32) as u32
    }
    pub fn shared(&self) -> u32 {
        (4 * STEP * (self.m + self.n) * 4) as u32
    }
    pub fn blocks(&self, s: &Size) -> usize {
        s.m.div_ceil(self.m) * s.n.div_ceil(self.n) * s.count
    }
}

/// Sizes of a product, `count` times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub count: usize,
}

/// A tile, and how k is cut.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cut {
    pub tile: Tile,
    pub splits: usize,
    pub per_split: usize,
}

/// The tile and the cut whose estimated time is least.
pub(super) fn cut(gpu: &Gpu, s: &Size) -> Cut {
    let steps = s.k.div_ceil(STEP);
    let candidates = TILES.iter().flat_map(|tile| {
        let most = (4 * gpu.multiprocessors * tile.resident)
            .div_ceil(tile.blocks(s))
            .min(steps / 4)
            .max(1);
        (1..=most.min(512)).map(move |splits| {
            let per_split = steps.div_ceil(splits) * STEP;
            Cut { tile: *tile, splits: s.k.div_ceil(per_split).max(1), per_split }
        })
    });
    let time = |c: &Cut| time(gpu, s, c);
    candidates.min_by(|a, b| time(a).total_cmp(&time(b))).expect("there are tiles")
}

/// Estimated cycles: waves of blocks at the tile's rate, filling and emptying them, and the partial results' way
/// through memory.
fn time(gpu: &Gpu, s: &Size, c: &Cut) -> f64 {
    let blocks = c.tile.blocks(s) * c.splits;
    let together = blocks.div_ceil(gpu.multiprocessors).min(c.tile.resident);
    let waves = blocks.div_ceil(gpu.multiprocessors * together);
    let warps = together * c.tile.threads() as usize / 32;
    let rate = 128.0 * c.tile.share * (warps as f64 / 8.0).min(1.0);
    let area = (c.tile.m * c.tile.n * together) as f64;
    let wave = area * c.per_split as f64 / rate + 2500.0;
    let partial = if c.splits > 1 { (s.m * s.n * s.count * (c.splits + 1)) as f64 } else { 0.0 };
    // About 2000 bytes a cycle reach memory; another kernel costs a launch.
    waves as f64 * wave + partial * 2.0 * 4.0 / 4000.0 + if c.splits > 1 { 4000.0 } else { 0.0 }
}

/// The operands' layouts of a product: see `gemm.cu`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Kk,
    Kn,
    Mn,
}

/// Where a product's operands lie, how far apart their slow neighbours are, and how far apart the products.
#[derive(Clone, Copy)]
pub(super) struct Matrices {
    pub a: (Operand, usize, usize),
    pub b: (Operand, usize, usize),
    pub c: (Operand, usize, usize),
}

pub(super) fn gemm(gpu: &Gpu, layout: Layout, s: Size, m: Matrices, after: After) -> Plan {
    gemm_behind(gpu, layout, s, m, after, 0)
}

/// The same, with partial results from byte `at` of the scratch memory on.
pub(super) fn gemm_behind(
    gpu: &Gpu,
    layout: Layout,
    s: Size,
    m: Matrices,
    after: After,
    at: usize,
) -> Plan {
    let c = cut(gpu, &s);
    let split = c.splits > 1;
    let last = if split { After::default() } else { after };
    // Partial results of one product lie behind one another, row by row.
    let (ldc, next_c, next_split) =
        if split { (s.n, s.m * s.n, s.m * s.n * s.count) } else { (m.c.1, m.c.2, 0) };
    let dims = Fields::default()
        .ints(&[
            s.m,
            s.n,
            s.k,
            c.splits,
            c.per_split,
            last.bias as usize,
            last.relu.is_some() as usize,
        ])
        .ints(&[last.add as usize])
        .float(last.relu.unwrap_or(0.0))
        .longs(&[m.a.1, m.b.1, ldc, m.a.2, m.b.2, next_c, next_split]);
    let name = match layout {
        Layout::Kk => "kk",
        Layout::Kn => "kn",
        Layout::Mn => "mn",
    };
    let to = if split { Operand::Scratch(at) } else { m.c.0 };
    let mut plan = Plan::default();
    plan.launches.push(Launch {
        file: "gemm",
        kernel: format!("gemm_{name}_{}", c.tile.name()),
        grid: [(c.tile.blocks(&s) / s.count) as u32, 1, (s.count * c.splits) as u32],
        block: c.tile.threads(),
        shared: c.tile.shared(),
        args: vec![
            dims.arg(),
            Arg::Ptr(m.a.0),
            Arg::Ptr(m.b.0),
            Arg::Ptr(Operand::Bias),
            Arg::Ptr(to),
        ],
    });
    if split {
        plan.scratch = at + 4 * next_split * c.splits;
        let sum = Sum {
            len: next_split,
            splits: c.splits,
            bias: (s.n, 1),
            picture: s.n,
            pitch: m.c.1,
            after,
        };
        plan.launches.push(sum.launch(Operand::Scratch(at), m.c.0));
    }
    plan
}

/// Adds partial results.
pub(super) struct Sum {
    pub len: usize,
    pub splits: usize,
    /// How many there are, and how many neighbours share one.
    pub bias: (usize, usize),
    pub picture: usize,
    pub pitch: usize,
    pub after: After,
}

impl Sum {
    pub fn launch(&self, from: Operand, to: Operand) -> Launch {
        let bias = if self.after.bias { self.bias.0 } else { 0 };
        let dims = Fields::default()
            .longs(&[self.len, self.len])
            .ints(&[self.splits, self.after.relu.is_some() as usize, self.after.add as usize])
            .float(self.after.relu.unwrap_or(0.0))
            .longs(&[bias, self.bias.1, self.picture, self.pitch]);
        let args = vec![dims.arg(), Arg::Ptr(from), Arg::Ptr(Operand::Bias), Arg::Ptr(to)];
        each("gemm", "gemm_sum", self.len, args)
    }
}
