//! The CPU backend: the fast kernels, spread over threads.
//!
//! Parallelism lives here, never inside a kernel: a batch is cut into pictures or planes, each of
//! which one thread computes. The cuts do not depend on timing, so results do not either.

use super::memory::Memory;
use super::{Backend, InnerDims, Judged, LossRule, Slot, View, Weighted};
use likenet_kernels::cpu::argmax::{self, TopK};
use likenet_kernels::cpu::gemm::{self, Matrix, Sizes};
use likenet_kernels::cpu::{conv, elementwise, loss, lrn, norm, pool, reduce, softmax};
use likenet_kernels::ops::*;
use rayon::prelude::*;
use std::sync::Mutex;

/// Elements that a thread takes at a time in element-by-element work: 64 KiB, half of L2's share.
const CHUNK: usize = 1 << 14;

/// Fast kernels in the host's memory, on a pool of threads of its own.
pub struct Cpu {
    memory: Memory,
    pool: rayon::ThreadPool,
    /// One patch matrix for each thread.
    scratch: Vec<Mutex<Vec<f32>>>,
}

impl Cpu {
    /// A backend with this many threads; 0 means one for each core.
    pub fn new(threads: usize) -> Result<Self, String> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|i| format!("likenet-{i}"))
            .build()
            .map_err(|e| format!("cannot start {threads} threads: {e}"))?;
        let scratch = (0..pool.current_num_threads()).map(|_| Mutex::default());
        Ok(Self { memory: Memory::default(), scratch: scratch.collect(), pool })
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

/// One thread's scratch, grown to `len` elements.
fn with_scratch(scratch: &[Mutex<Vec<f32>>], len: usize, f: impl FnOnce(&mut [f32])) {
    let own = &scratch[rayon::current_thread_index().unwrap_or(0)];
    // A poisoned lock means that another layer panicked; its scratch holds nothing of value.
    let mut buffer = own.lock().unwrap_or_else(|e| e.into_inner());
    if buffer.len() < len {
        buffer.resize(len, 0.0);
    }
    f(&mut buffer[..len]);
}

/// The operands of a convolution as slices.
struct ConvIo<'a> {
    d: &'a ConvDims,
    x: &'a [f32],
    weight: &'a [f32],
    bias: Option<&'a [f32]>,
    relu: Option<f32>,
}

impl ConvIo<'_> {
    /// The planes of `x` that task `i` of (picture, group) reads.
    fn planes(&self, i: usize) -> &[f32] {
        let len = self.d.input_len() / self.d.group;
        &self.x[i * len..][..len]
    }

    /// Filters `from..` of a group, as many as `y` has planes.
    fn filters(&self, group: usize, from: usize, patches: &[f32], y: &mut [f32]) {
        let d = self.d;
        let first = group * (d.filters / d.group) + from;
        let count = y.len() / d.positions();
        let weight = &self.weight[first * d.patch_len()..][..count * d.patch_len()];
        conv::by_gemm(d, patches, weight, self.bias.map(|b| &b[first..]), y);
        if let Some(slope) = self.relu {
            elementwise::unary(&Unary::Relu { slope }, y);
        }
    }

    /// One thread for each group of each picture.
    fn by_picture(&self, scratch: &[Mutex<Vec<f32>>], y: &mut [f32]) {
        let d = self.d;
        let tasks = y.par_chunks_exact_mut(d.output_len() / d.group).enumerate();
        tasks.for_each(|(i, y)| {
            if d.is_pointwise() {
                self.filters(i % d.group, 0, self.planes(i), y);
            } else {
                with_scratch(scratch, d.patch_len() * d.positions(), |patches| {
                    conv::im2col(d, self.planes(i), 0, patches);
                    self.filters(i % d.group, 0, patches, y);
                });
            }
        });
    }

    /// All threads on each group of each picture: for batches smaller than the machine.
    fn by_filter(&self, scratch: &[Mutex<Vec<f32>>], threads: usize, y: &mut [f32]) {
        let d = self.d;
        let share = (d.filters / d.group).div_ceil(threads);
        let rows = d.patch_len().div_ceil(threads);
        let groups = y.chunks_exact_mut(d.output_len() / d.group).enumerate();
        for (i, y) in groups {
            let mut compute = |patches: &[f32]| {
                let parts = y.par_chunks_mut(share * d.positions()).enumerate();
                parts.for_each(|(t, y)| self.filters(i % d.group, t * share, patches, y));
            };
            if d.is_pointwise() {
                compute(self.planes(i));
                continue;
            }
            with_scratch(scratch, d.patch_len() * d.positions(), |patches| {
                let parts = patches.par_chunks_mut(rows * d.positions()).enumerate();
                parts.for_each(|(t, part)| conv::im2col(d, self.planes(i), t * rows, part));
                compute(patches);
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
        format!("{threads} thread(s), matrixmultiply")
    }

    fn alloc(&mut self, len: usize) -> Slot {
        self.memory.alloc(len)
    }

    fn free(&mut self, slot: Slot) {
        self.memory.free(slot);
    }

    fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        self.memory.write(slot, at, data);
    }

    fn read(&self, slot: Slot, out: &mut [f32]) {
        self.memory.read(slot, out);
    }

    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        self.memory.write_with(y, |m, y| elementwise::copy_blocks(c, m.get(x), y));
    }

    fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        self.memory.write_with(y, |m, y| elementwise::axpby(a, m.get(x), b, y));
    }

    fn divide(&mut self, x: View, divisor: View, y: View) {
        self.memory.write_with(y, |m, y| {
            let d = m.get(divisor)[0];
            elementwise::axpby(if d == 0.0 { 0.0 } else { 1.0 / d }, m.get(x), 0.0, y);
        });
    }

    fn conv(&mut self, d: &ConvDims, io: Weighted, relu: Option<f32>) {
        let Self { memory, pool, scratch } = self;
        let threads = pool.current_num_threads();
        let batch = io.x.len / d.input_len();
        memory.write_with(io.y, |m, y| {
            let task = ConvIo {
                d,
                x: m.get(io.x),
                weight: m.get(io.weight),
                bias: io.bias.map(|b| m.get(b)),
                relu,
            };
            pool.install(|| {
                if batch * d.group >= threads {
                    task.by_picture(scratch, y);
                } else {
                    task.by_filter(scratch, threads, y);
                }
            });
        });
    }

    fn deconv(&mut self, d: &ConvDims, io: Weighted) {
        let Self { memory, pool, scratch } = self;
        memory.write_with(io.y, |m, y| {
            let (weight, bias) = (m.get(io.weight), io.bias.map(|b| m.get(b)));
            let pictures = m.get(io.x).par_chunks_exact(d.output_len());
            let tasks = pictures.zip(y.par_chunks_exact_mut(d.input_len()));
            pool.install(|| {
                tasks.for_each(|(x, y)| {
                    with_scratch(scratch, d.patch_len() * d.positions(), |patches| {
                        conv::transposed_by_gemm(d, x, weight, bias, patches, y);
                    });
                });
            });
        });
    }

    fn inner_product(&mut self, d: &InnerDims, io: Weighted, relu: Option<f32>) {
        let Self { memory, pool, .. } = self;
        let share = d.outputs.div_ceil(pool.current_num_threads());
        let parts: Vec<usize> = (0..d.outputs).step_by(share).collect();
        memory.write_with(io.y, |m, y| {
            let (x, weight) = (m.get(io.x), m.get(io.weight));
            let bias = io.bias.map(|b| m.get(b));
            // Each thread computes some columns for all rows, so that it reads its weights once.
            let columns: Vec<Vec<f32>> = pool.install(|| {
                let tasks = parts.par_iter();
                tasks.map(|&from| inner_columns(d, x, weight, bias, from, share)).collect()
            });
            for (from, part) in parts.iter().zip(&columns) {
                let width = part.len() / d.rows;
                let rows = y.chunks_exact_mut(d.outputs).zip(part.chunks_exact(width));
                rows.for_each(|(y, part)| y[*from..from + width].copy_from_slice(part));
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
        self.memory.write_with(mean, |m, mean| norm::mean(v, m.get(x), mean));
        self.memory.write_with(variance, |m, variance| {
            norm::variance(v, m.get(x), m.get(mean), variance);
        });
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
        self.memory.write_with(y, |m, y| {
            let rows = (x.len / classes) as f64;
            y[0] = (loss::hinge(norm, classes, m.get(x), m.get(labels)) / rows) as f32;
        });
    }

    fn squared_distance(&mut self, divisor: f32, a: View, b: View, y: View) {
        self.memory.write_with(y, |m, y| {
            y[0] = (loss::squared_distance(m.get(a), m.get(b)) / divisor as f64) as f32;
        });
    }

    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        self.memory.accuracy(v, top, ignore, io);
    }
}

/// Outputs `from..from + share` of a fully connected layer, for all rows: `(rows, share)`.
fn inner_columns(
    d: &InnerDims,
    x: &[f32],
    weight: &[f32],
    bias: Option<&[f32]>,
    from: usize,
    share: usize,
) -> Vec<f32> {
    let width = share.min(d.outputs - from);
    let mut out = vec![0.0; d.rows * width];
    if let Some(bias) = bias {
        for row in out.chunks_exact_mut(width) {
            row.copy_from_slice(&bias[from..from + width]);
        }
    }
    if d.rows == 1 && !d.transpose {
        let rows = &weight[from * d.inputs..][..width * d.inputs];
        gemm::rows_times_vector(rows, x, &mut out);
        return out;
    }
    let matrix = match d.transpose {
        false => Matrix::transposed(&weight[from * d.inputs..], d.inputs),
        true => Matrix::rows(&weight[from..], d.outputs),
    };
    let sizes = Sizes { m: d.rows, n: width, k: d.inputs };
    gemm::fast(sizes, Matrix::rows(x, d.inputs), matrix, &mut out);
    out
}
