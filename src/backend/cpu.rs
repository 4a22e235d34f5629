//! The CPU backend: the fast kernels, spread over threads.
//!
//! Parallelism lives here, never inside a kernel: a batch is cut into pictures or planes, each of
//! which one thread computes. The cuts do not depend on timing, so results do not either.

use super::memory::Memory;
use super::{Backend, InnerDims, Judged, LossRule, Slot, View, Weighted};
use likenet_kernels::cpu::argmax::{self, TopK};
use likenet_kernels::cpu::gemm::{self, Left, Matrix, PackedRows, Sizes, Target, Workspace};
use likenet_kernels::cpu::table::{self, Kernels};
use likenet_kernels::cpu::{conv, elementwise, gemv, lrn, norm, pool, reduce, softmax};
use likenet_kernels::ops::*;
use rayon::prelude::*;
use std::collections::HashMap;
use std::sync::Mutex;

/// Elements that a thread takes at a time in element-by-element work: 64 KiB stay in L2.
const CHUNK: usize = 1 << 14;

/// Fast kernels in the host's memory, on a pool of threads of its own.
pub struct Cpu {
    memory: Memory,
    kernels: &'static Kernels,
    pool: rayon::ThreadPool,
    /// One for each thread.
    work: Vec<Mutex<Workspace>>,
    /// Weights by slot, packed when they were first used since they changed.
    packed: HashMap<Slot, Packed>,
}

/// Packed weights, one matrix for each group, and what they were made from.
struct Packed {
    origin: Origin,
    groups: Vec<PackedRows>,
}

/// One version of a slot, seen as so many matrices of m×k, stored transposed or not. Layers that share
/// a parameter may see it differently.
#[derive(PartialEq, Eq)]
struct Origin {
    version: u64,
    groups: usize,
    m: usize,
    k: usize,
    transposed: bool,
}

impl Cpu {
    /// A backend with this many threads; 0 means one for each core.
    ///
    /// Fails when the threads cannot be started, or `LIKENET_ISA` names an instruction set that the
    /// machine lacks.
    pub fn new(threads: usize) -> Result<Self, String> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("likenet-{i}"))
            .build()
            .map_err(|e| format!("cannot start {threads} threads: {e}"))?;
        let kernels = table::best()?;
        let work = (0..pool.current_num_threads()).map(|_| Mutex::new(Workspace::new(kernels)));
        Ok(Self {
            memory: Memory::default(),
            kernels,
            work: work.collect(),
            packed: HashMap::new(),
            pool,
        })
    }

    /// Makes sure that `packed` holds the weights of `groups` matrices of m×k.
    fn pack(&mut self, weight: View, groups: usize, [m, k]: [usize; 2], transposed: bool) {
        let version = self.memory.version(weight.slot);
        let origin = Origin { version, groups, m, k, transposed };
        if self.packed.get(&weight.slot).is_some_and(|p| p.origin == origin) {
            return;
        }
        let (kernels, data) = (self.kernels, self.memory.get(weight));
        let pack = |g: usize| {
            let data = &data[g * m * k..][..m * k];
            let matrix =
                if transposed { Matrix::transposed(data, m) } else { Matrix::rows(data, k) };
            PackedRows::new(kernels, m, k, matrix)
        };
        let groups = self.pool.install(|| (0..groups).into_par_iter().map(pack).collect());
        self.packed.insert(weight.slot, Packed { origin, groups });
    }

    /// Runs `f` on each pair of blocks: `x` cut into `from` elements, `y` into `to`.
    fn blocks(
        &mut self,
        [from, to]: [usize; 2],
        x: View,
        y: View,
        f: impl Fn(&[f32], &mut [f32]) + Sync,
    ) {
        let Self { memory, pool, .. } = self;
        memory.write_with(y, |m, y| {
            let x = m.get(x);
            pool.install(|| {
                let pairs = x.par_chunks_exact(from).zip(y.par_chunks_exact_mut(to));
                pairs.for_each(|(x, y)| f(x, y));
            });
        });
    }

    /// Runs `f` in place on each block of `len` elements, with its index.
    fn in_place(&mut self, len: usize, y: View, f: impl Fn(&Memory, usize, &mut [f32]) + Sync) {
        let Self { memory, pool, .. } = self;
        memory.write_with(y, |m, y| {
            pool.install(|| {
                let chunks = y.par_chunks_mut(len).enumerate();
                chunks.for_each(|(i, y)| f(m, i, y));
            });
        });
    }
}

/// The calling thread's workspace.
fn with_own<R>(work: &[Mutex<Workspace>], f: impl FnOnce(&mut Workspace) -> R) -> R {
    let own = &work[rayon::current_thread_index().unwrap_or(0)];
    // A poisoned lock means that another layer panicked; its panels hold nothing of value.
    f(&mut own.lock().unwrap_or_else(|e| e.into_inner()))
}

/// The operands of a convolution as slices.
struct ConvIo<'a> {
    kernels: &'a Kernels,
    d: &'a ConvDims,
    x: &'a [f32],
    weight: &'a [PackedRows],
    bias: Option<&'a [f32]>,
    relu: Option<f32>,
}

impl ConvIo<'_> {
    /// Filters `from..` of group `i` (counted over all pictures), as many as `y` has planes.
    fn filters(&self, i: usize, from: usize, y: &mut [f32], work: &mut Workspace) {
        let d = self.d;
        let planes = d.input_len() / d.group;
        let first = i % d.group * (d.filters / d.group) + from;
        conv::by_gemm(
            work,
            d,
            &self.x[i * planes..][..planes],
            Left::Packed(&self.weight[i % d.group], from),
            self.bias.map(|b| &b[first..]),
            y,
        );
        if let Some(slope) = self.relu {
            elementwise::unary(&Unary::Relu { slope }, y);
        }
    }

    /// One thread for each group of each picture.
    fn by_picture(&self, work: &[Mutex<Workspace>], y: &mut [f32]) {
        let tasks = y.par_chunks_exact_mut(self.d.output_len() / self.d.group).enumerate();
        tasks.for_each(|(i, y)| with_own(work, |own| self.filters(i, 0, y, own)));
    }

    /// All threads on each group of each picture: for batches smaller than the machine.
    fn by_filter(&self, work: &[Mutex<Workspace>], threads: usize, y: &mut [f32]) {
        let share = gemm::share(self.kernels, self.d.filters / self.d.group, threads);
        for (i, y) in y.chunks_exact_mut(self.d.output_len() / self.d.group).enumerate() {
            let parts = y.par_chunks_mut(share * self.d.positions()).enumerate();
            parts.for_each(|(t, y)| {
                with_own(work, |own| self.filters(i, t * share, y, own));
            });
        }
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn describe(&self) -> String {
        let threads = self.pool.current_num_threads();
        format!("{threads} thread(s), {}", self.kernels.gemm_name())
    }

    fn alloc(&mut self, len: usize) -> Slot {
        self.memory.alloc(len)
    }

    fn free(&mut self, slot: Slot) {
        self.packed.remove(&slot);
        self.memory.free(slot);
    }

    fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        self.memory.write(slot, at, data);
    }

    fn read(&self, slot: Slot, out: &mut [f32]) {
        self.memory.read(slot, out);
    }

    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        self.memory.copy_blocks(c, x, y);
    }

    fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        self.memory.axpby(a, x, b, y);
    }

    fn divide(&mut self, x: View, divisor: View, y: View) {
        self.memory.divide(x, divisor, y);
    }

    fn conv(&mut self, d: &ConvDims, io: Weighted, relu: Option<f32>) {
        self.pack(io.weight, d.group, [d.filters / d.group, d.patch_len()], false);
        let Self { memory, kernels, pool, work, packed } = self;
        let threads = pool.current_num_threads();
        let batch = io.x.len / d.input_len();
        memory.write_with(io.y, |m, y| {
            let task = ConvIo {
                kernels,
                d,
                x: m.get(io.x),
                weight: &packed[&io.weight.slot].groups,
                bias: io.bias.map(|b| m.get(b)),
                relu,
            };
            pool.install(|| {
                if batch * d.group >= threads {
                    task.by_picture(work, y);
                } else {
                    task.by_filter(work, threads, y);
                }
            });
        });
    }

    fn deconv(&mut self, d: &ConvDims, io: Weighted) {
        let Self { memory, pool, work, .. } = self;
        memory.write_with(io.y, |m, y| {
            let (weight, bias) = (m.get(io.weight), io.bias.map(|b| m.get(b)));
            let pictures = m.get(io.x).par_chunks_exact(d.output_len());
            let tasks = pictures.zip(y.par_chunks_exact_mut(d.input_len()));
            pool.install(|| {
                tasks.for_each(|(x, y)| {
                    with_own(work, |own| conv::transposed_by_gemm(own, d, x, weight, bias, y));
                });
            });
        });
    }

    fn inner_product(&mut self, d: &InnerDims, io: Weighted, relu: Option<f32>) {
        let vector = d.rows == 1 && !d.transpose;
        if !vector {
            self.pack(io.weight, 1, [d.outputs, d.inputs], d.transpose);
        }
        let Self { memory, kernels, pool, work, packed } = self;
        let share = gemm::share(kernels, d.outputs, pool.current_num_threads());
        let parts: Vec<usize> = (0..d.outputs).step_by(share).collect();
        memory.write_with(io.y, |m, y| {
            let weight = match vector {
                true => InnerWeight::Rows(m.get(io.weight)),
                false => InnerWeight::Packed(&packed[&io.weight.slot].groups[0]),
            };
            let (x, bias) = (m.get(io.x), io.bias.map(|b| m.get(b)));
            // Each thread computes some columns for all rows, so that it reads its weights once.
            let task = InnerIo { kernels, d, x, weight, bias };
            let columns: Vec<Vec<f32>> = pool.install(|| {
                let tasks = parts.par_iter();
                tasks.map(|&from| with_own(work, |own| task.columns(from, share, own))).collect()
            });
            for (from, part) in parts.iter().zip(&columns) {
                for (j, column) in part.chunks_exact(d.rows).enumerate() {
                    let to = y[from + j..].iter_mut().step_by(d.outputs);
                    to.zip(column).for_each(|(to, value)| *to = *value);
                }
            }
        });
        if let Some(slope) = relu {
            self.unary(&Unary::Relu { slope }, io.y);
        }
    }

    fn max_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |x, y| pool::max(d, x, y));
    }

    fn max_pool_index(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |x, y| pool::max_index(d, x, y));
    }

    fn ave_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |x, y| pool::ave(d, x, y));
    }

    fn lrn_across(&mut self, p: &LrnParams, channels: usize, plane: usize, x: View, y: View) {
        let picture = channels * plane;
        self.blocks([picture; 2], x, y, |x, y| lrn::across(p, plane, x, y));
    }

    fn lrn_within(&mut self, p: &LrnParams, input: [usize; 2], x: View, y: View) {
        self.blocks([input[0] * input[1]; 2], x, y, |x, y| lrn::within(p, input, x, y));
    }

    fn unary(&mut self, op: &Unary, y: View) {
        self.in_place(CHUNK, y, |_, _, y| elementwise::unary(op, y));
    }

    fn prelu(&mut self, v: AxisView, slope: View, y: View) {
        self.in_place(v.block(), y, |m, _, y| elementwise::prelu(v, m.get(slope), y));
    }

    fn scale_bias(&mut self, v: AxisView, scale: Option<View>, bias: Option<View>, y: View) {
        self.in_place(v.block(), y, |m, _, y| {
            elementwise::scale_bias(v, scale.map(|s| m.get(s)), bias.map(|b| m.get(b)), y);
        });
    }

    fn dropout(&mut self, ratio: f32, seed: u64, y: View) {
        self.in_place(CHUNK, y, |_, i, y| elementwise::dropout(ratio, seed, i * CHUNK, y));
    }

    fn eltwise(&mut self, op: &Eltwise, xs: &[View], y: View) {
        self.in_place(CHUNK, y, |m, i, y| {
            let part = |x: &View| &m.get(*x)[i * CHUNK..][..y.len()];
            let inputs: Vec<&[f32]> = xs.iter().map(part).collect();
            elementwise::eltwise(op, &inputs, y);
        });
    }

    fn moments(&mut self, v: AxisView, x: View, mean: View, variance: View) {
        self.memory.moments(v, x, mean, variance);
    }

    fn standardise(&mut self, v: AxisView, [mean, variance]: [View; 2], eps: f32, y: View) {
        self.in_place(v.block(), y, |m, _, y| {
            norm::standardise(v, m.get(mean), m.get(variance), eps, y);
        });
    }

    fn mvn(&mut self, len: usize, deviation: Option<f32>, y: View) {
        self.in_place(len, y, |_, _, y| norm::mvn(len, deviation, y));
    }

    fn softmax(&mut self, v: AxisView, x: View, y: View) {
        self.blocks([v.block(); 2], x, y, |x, y| softmax::softmax(v, x, y));
    }

    fn reduce(&mut self, op: Reduction, len: usize, coeff: f32, x: View, y: View) {
        self.blocks([len, 1], x, y, |x, y| reduce::reduce(op, len, coeff, x, y));
    }

    fn top_k(&mut self, v: AxisView, top: usize, what: TopK, x: View, y: View) {
        let out = y.len / v.outer;
        self.blocks([v.block(), out], x, y, |x, y| argmax::top_k(v, top, what, x, y));
    }

    fn cross_entropy(&mut self, v: AxisView, rule: &LossRule, prob: View, labels: View, y: View) {
        self.memory.cross_entropy(v, rule, prob, labels, y);
    }

    fn sigmoid_cross_entropy(&mut self, rule: &LossRule, x: View, targets: View, y: View) {
        self.memory.sigmoid_cross_entropy(rule, x, targets, y);
    }

    fn hinge(&mut self, norm: HingeNorm, classes: usize, x: View, labels: View, y: View) {
        self.memory.hinge(norm, classes, x, labels, y);
    }

    fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View) {
        self.memory.squared_distance(divisor, a, b, y);
    }

    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        self.memory.accuracy(v, top, ignore, io);
    }
}

/// The weights of a fully connected layer: as they are stored for a batch of one, which reads them only
/// once, or packed.
enum InnerWeight<'a> {
    Rows(&'a [f32]),
    Packed(&'a PackedRows),
}

/// The operands of a fully connected layer.
struct InnerIo<'a> {
    kernels: &'a Kernels,
    d: &'a InnerDims,
    x: &'a [f32],
    weight: InnerWeight<'a>,
    bias: Option<&'a [f32]>,
}

impl InnerIo<'_> {
    /// Outputs `from..from + share` for all rows: `(share, rows)`.
    fn columns(&self, from: usize, share: usize, work: &mut Workspace) -> Vec<f32> {
        let d = self.d;
        let width = share.min(d.outputs - from);
        let mut out = vec![0.0; d.rows * width];
        if let Some(bias) = self.bias {
            let outputs = out.chunks_exact_mut(d.rows).zip(&bias[from..]);
            outputs.for_each(|(output, b)| output.fill(*b));
        }
        match self.weight {
            InnerWeight::Rows(weight) => {
                let rows = &weight[from * d.inputs..][..width * d.inputs];
                gemv::fast(self.kernels, rows, self.x, &mut out);
            }
            InnerWeight::Packed(weight) => {
                // Yᵀ = W·Xᵀ: the large matrix is read once, the small one is packed.
                let sizes = Sizes { m: width, n: d.rows, k: d.inputs };
                let (left, x) = (Left::Packed(weight, from), Matrix::transposed(self.x, d.inputs));
                let target = Target { data: &mut out, row: d.rows, col: 1 };
                gemm::fast(work, sizes, left, &x, target);
            }
        }
        out
    }
}
