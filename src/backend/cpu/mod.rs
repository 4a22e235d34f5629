//! The CPU backend: the fast kernels, spread over threads.
//!
//! Parallelism lives here, never inside a kernel: a batch is cut into pictures or planes, each of
//! which one thread computes. The cuts do not depend on timing, so results do not either.

mod conv;
mod inner;
mod team;
mod weights;

use super::memory::Memory;
use super::{
    Backend, Chain, Choice, Gradient, Judged, Learnt, Lend, LossBack, LossRule, PictureWork,
    Pictures, Prepare, Settings, Slot, View, Weighted,
};
use likenet_kernels::cpu::argmax::{self, TopK};
use likenet_kernels::cpu::conv::transposed_by_gemm;
use likenet_kernels::cpu::filters::Filters;
use likenet_kernels::cpu::gemm::Workspace;
use likenet_kernels::cpu::inner::Weights;
use likenet_kernels::cpu::table::{self, Kernels};
use likenet_kernels::cpu::{elementwise, lrn, norm, pool, reduce, softmax, update};
use likenet_kernels::memory::Buffer;
use likenet_kernels::ops::*;
use std::ops::Range;
use std::sync::Arc;
use team::Team;
use weights::{PackedWeights, Way};

/// Elements that a thread takes at a time in element-by-element work: 64 KiB stay in L2.
const CHUNK: usize = 1 << 14;

/// Fast kernels in the host's memory, on a team of threads of its own.
pub struct Cpu {
    memory: Memory,
    kernels: &'static Kernels,
    /// How weights are kept.
    precision: Precision,
    /// Weights change from pass to pass.
    changing: bool,
    team: Team,
    packed: PackedWeights,
    /// One for each thread, for work that goes picture by picture: each alone, with slots of its own.
    workers: Vec<Cpu>,
}

impl Cpu {
    /// Fails when the threads cannot be started, or `LIKENET_ISA` names an instruction set that the
    /// machine lacks.
    pub fn new(settings: Settings) -> Result<Self, String> {
        let kernels = table::best()?;
        let team = Team::new(settings.threads, kernels)?;
        let worker = || Self::of(Team::alone(kernels), kernels, settings);
        let workers = (0..team.threads()).map(|_| worker()).collect();
        Ok(Self { workers, ..Self::of(team, kernels, settings) })
    }

    fn of(team: Team, kernels: &'static Kernels, settings: Settings) -> Self {
        let Settings { weights: precision, changing, .. } = settings;
        let (memory, packed) = (Memory::default(), PackedWeights::new(precision));
        Self { memory, kernels, precision, changing, team, packed, workers: vec![] }
    }

    /// Runs `f` on each pair of blocks, or of several neighbouring blocks if they are small: `x` cut into
    /// `from` elements, `y` into `to`.
    fn blocks(
        &mut self,
        [from, to]: [usize; 2],
        x: View,
        y: View,
        f: impl Fn(&Kernels, &[f32], &mut [f32]) + Sync,
    ) {
        let Self { memory, team, kernels, .. } = self;
        memory.write_with(y, |m, y| {
            let several = (CHUNK / from).max(1);
            let pairs = m.get(x).chunks(several * from).zip(y.chunks_mut(several * to));
            team.each(pairs, |_, (x, y)| f(kernels, x, y));
        });
    }

    /// Runs `f` on blocks of several planes: inputs and their gradients cut into `inner` elements a plane,
    /// outputs into `outer`.
    fn gradients(
        &mut self,
        [inner, outer]: [usize; 2],
        io: Chain,
        f: impl Fn(&Kernels, [&[f32]; 3], &mut [f32]) + Sync,
    ) {
        let Self { memory, team, kernels, .. } = self;
        memory.write_with(io.dx, |m, dx| {
            let several = (CHUNK / inner).max(1);
            let (inner, outer) = (several * inner, several * outer);
            let outputs = m.get(io.y).chunks(outer).zip(m.get(io.dy).chunks(outer));
            let inputs = m.get(io.x).chunks(inner).zip(dx.chunks_mut(inner));
            team.each(inputs.zip(outputs), |_, ((x, dx), (y, dy))| f(kernels, [x, y, dy], dx));
        });
    }

    /// Runs `f` in place on each block of `len` elements, with its index.
    fn in_place(&mut self, len: usize, y: View, f: impl Fn(&Memory, usize, &mut [f32]) + Sync) {
        let Self { memory, team, .. } = self;
        memory
            .write_with(y, |m, y| team.each(y.chunks_mut(len).enumerate(), |_, (i, y)| f(m, i, y)));
    }

    /// A worker's pictures, some at a time; `outputs` are those pictures of each output.
    fn some_pictures(
        &mut self,
        p: &Pictures,
        work: &PictureWork,
        pictures: Range<usize>,
        mut outputs: Vec<&mut [f32]>,
    ) -> Result<(), String> {
        let slots = self.memory.private(p.private);
        for first in pictures.clone().step_by(p.together) {
            let some = first..pictures.end.min(first + p.together);
            work(self, &slots, some.clone())?;
            for (output, (slot, len, _)) in outputs.iter_mut().zip(p.outputs) {
                let done = &mut output[(first - pictures.start) * len..][..some.len() * len];
                self.memory.read(slots[*slot], done);
            }
        }
        Ok(())
    }
}

impl Backend for Cpu {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn describe(&self) -> String {
        let weights = match self.precision {
            Precision::F32 => String::new(),
            p => format!(", {} weights", p.name()),
        };
        format!("{} thread(s), {}{weights}", self.team.threads(), self.kernels.name())
    }

    fn alloc(&mut self, len: usize) -> Slot {
        self.memory.alloc(len)
    }

    fn lend(&mut self, values: Arc<dyn Lend>) -> Slot {
        self.memory.lend(values)
    }

    fn free(&mut self, slot: Slot) {
        self.packed.forget(slot);
        self.memory.free(slot);
    }

    fn write(&mut self, slot: Slot, at: usize, data: &[f32]) {
        self.memory.write(slot, at, data);
    }

    fn read(&self, slot: Slot, out: &mut [f32]) {
        self.memory.read(slot, out);
    }

    fn finish(&self) -> Result<(), String> {
        Ok(())
    }

    fn failure(&self) -> Option<String> {
        None
    }

    fn copy_blocks(&mut self, c: &BlockCopy, x: View, y: View) {
        self.memory.copy_blocks(c, x, y);
    }

    fn axpby(&mut self, a: f32, x: View, b: f32, y: View) {
        self.in_place(CHUNK, y, |m, i, y| {
            elementwise::axpby(a, &m.get(x)[i * CHUNK..][..y.len()], b, y);
        });
    }

    fn divide(&mut self, x: View, divisor: View, y: View) {
        self.memory.divide(x, divisor, y);
    }

    fn workers(&self) -> usize {
        self.workers.len()
    }

    fn by_pictures(&mut self, p: &Pictures, work: &PictureWork) -> Result<(), String> {
        let taken = p.outputs.iter().map(|(_, len, slot)| (*len, self.memory.take(*slot)));
        let mut outputs: Vec<(usize, Buffer<f32>)> = taken.collect();
        let memory = Arc::new(std::mem::take(&mut self.memory));
        let packed = PackedWeights::new(self.precision);
        let packed = Arc::new(std::mem::replace(&mut self.packed, packed));
        let share = p.batch.div_ceil(self.workers.len()).max(1);
        let mut parts: Vec<Vec<&mut [f32]>> = (0..p.batch).step_by(share).map(|_| vec![]).collect();
        for (len, output) in &mut outputs {
            let chunks = output[..p.batch * *len].chunks_mut(share * *len);
            parts.iter_mut().zip(chunks).for_each(|(part, chunk)| part.push(chunk));
        }
        let tasks = self.workers.iter_mut().zip(parts).enumerate();
        let results = self.team.map(tasks, |_, (i, (worker, outputs))| {
            worker.memory.borrow_from(memory.clone());
            worker.packed.borrow_from(packed.clone());
            let pictures = i * share..p.batch.min((i + 1) * share);
            let result = worker.some_pictures(p, work, pictures, outputs);
            worker.memory.give_back();
            worker.packed.give_back();
            result
        });
        self.memory = Arc::into_inner(memory).expect("workers gave the memory back");
        self.packed = Arc::into_inner(packed).expect("workers gave the weights back");
        for ((_, output), (_, _, slot)) in outputs.into_iter().zip(p.outputs) {
            self.memory.put(*slot, output);
        }
        results.into_iter().collect()
    }

    fn prepare(&mut self, weights: &[Prepare]) {
        let Self { memory, team, packed, kernels, .. } = self;
        packed.prepare(team, kernels, memory, weights);
    }

    fn packed_bytes(&self) -> usize {
        self.packed.bytes()
    }

    fn conv_algorithm(&self, d: &ConvDims, batch: usize, wanted: Option<Algorithm>) -> Choice {
        let how = Filters::choose(self.kernels, d, batch, wanted);
        Choice { how, bytes: Filters::expected_bytes(d, how) }
    }

    fn conv(
        &mut self,
        d: &ConvDims,
        how: Algorithm,
        io: Weighted,
        pitch: usize,
        relu: Option<f32>,
    ) {
        self.prepare(&[Prepare::Conv(*d, how, io.weight)]);
        let Self { memory, team, packed, .. } = self;
        memory.write_with(io.y, |m, y| {
            let filters = packed.filters(io.weight.slot, Way::Forward);
            let bias = io.bias.map(|b| m.get(b));
            let task = conv::Task { d, x: m.get(io.x), filters, bias, relu, pitch };
            task.run(team, y);
        });
    }

    fn deconv(&mut self, d: &ConvDims, io: Weighted) {
        let Self { memory, team, .. } = self;
        memory.write_with(io.y, |m, y| {
            let (weight, bias) = (m.get(io.weight), io.bias.map(|b| m.get(b)));
            let pictures = m.get(io.x).chunks_exact(d.output_len());
            team.each(pictures.zip(y.chunks_exact_mut(d.input_len())), |own, (x, y)| {
                transposed_by_gemm(own, d, x, weight, bias, y);
            });
        });
    }

    fn inner_algorithm(&self, rows: usize, wanted: Option<Algorithm>) -> Algorithm {
        match self.changing {
            true => self.gradient_algorithm(usize::MAX, wanted),
            false => Weights::choose(self.kernels, rows, self.precision, wanted),
        }
    }

    fn inner_product(&mut self, d: &InnerDims, how: Algorithm, io: Weighted, relu: Option<f32>) {
        if !self.changing {
            self.prepare(&[Prepare::Inner(*d, how, io.weight)]);
        }
        let Self { memory, team, packed, kernels, changing, .. } = self;
        memory.write_with(io.y, |m, y| {
            let bias = io.bias.map(|b| m.get(b));
            if *changing {
                let operands = [m.get(io.x), m.get(io.weight)];
                return inner::once(team, d, how, operands, inner::Finish { bias, relu }, y);
            }
            let weights = packed.inner_weights(io.weight.slot);
            let task = inner::Task { d, x: m.get(io.x), weights, bias, relu };
            task.run(team, kernels, y);
        });
    }

    fn embed(&mut self, rows: usize, io: Weighted) {
        self.memory.embed(rows, io);
    }

    fn max_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |kernels, x, y| pool::max_fast(kernels, d, x, y));
    }

    fn max_pool_index(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |_, x, y| pool::max_index(d, x, y));
    }

    fn ave_pool(&mut self, d: &PoolDims, x: View, y: View) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.blocks(sizes, x, y, |kernels, x, y| pool::ave_fast(kernels, d, x, y));
    }

    fn lrn_across(&mut self, p: &LrnParams, channels: usize, plane: usize, x: View, y: View) {
        let picture = channels * plane;
        self.blocks([picture; 2], x, y, |kernels, x, y| {
            for (x, y) in x.chunks_exact(picture).zip(y.chunks_exact_mut(picture)) {
                lrn::across_fast(kernels, p, plane, x, y);
            }
        });
    }

    fn lrn_within(&mut self, p: &LrnParams, input: [usize; 2], x: View, y: View) {
        self.blocks([input[0] * input[1]; 2], x, y, |_, x, y| lrn::within(p, input, x, y));
    }

    fn unary(&mut self, op: &Unary, y: View) {
        let kernels = self.kernels;
        self.in_place(CHUNK, y, |_, _, y| elementwise::unary_fast(kernels, op, y));
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
        self.blocks([v.block(); 2], x, y, |kernels, x, y| softmax::fast(kernels, v, x, y));
    }

    fn reduce(&mut self, op: Reduction, len: usize, coeff: f32, x: View, y: View) {
        self.blocks([len, 1], x, y, |_, x, y| reduce::reduce(op, len, coeff, x, y));
    }

    fn top_k(&mut self, v: AxisView, top: usize, what: TopK, x: View, y: View) {
        let out = y.len / v.outer;
        self.blocks([v.block(), out], x, y, |_, x, y| argmax::top_k(v, top, what, x, y));
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

    fn multinomial(&mut self, classes: usize, x: View, labels: View, y: View) {
        self.memory.multinomial(classes, x, labels, y);
    }

    fn contrastive(&mut self, margin: f32, legacy: bool, pair: [View; 2], similar: View, y: View) {
        self.memory.contrastive(margin, legacy, pair, similar, y);
    }

    fn accuracy(&mut self, v: AxisView, top: usize, ignore: Option<i32>, io: Judged) {
        self.memory.accuracy(v, top, ignore, io);
    }

    fn gradient_algorithm(&self, terms: usize, wanted: Option<Algorithm>) -> Algorithm {
        // The errors of few products do not cancel out, and few products cost little.
        let tiles = wanted.map_or(terms >= 32, |w| w == Algorithm::Tiles);
        if tiles && self.kernels.has_tiles() { Algorithm::Tiles } else { Algorithm::Gemm }
    }

    fn conv_back(&mut self, d: &ConvDims, how: Algorithm, io: Weighted) {
        let Some(back) = d.transposed() else { return self.deconv(d, io) };
        self.prepare(&[Prepare::ConvBack(*d, how, io.weight)]);
        let Self { memory, team, packed, .. } = self;
        memory.write_with(io.y, |m, y| {
            let filters = packed.filters(io.weight.slot, Way::Back);
            let (x, pitch) = (m.get(io.x), back.output_len());
            conv::Task { d: &back, x, filters, bias: None, relu: None, pitch }.run(team, y);
        });
    }

    fn conv_weights_back(&mut self, d: &ConvDims, how: Algorithm, io: [View; 2], dw: Gradient) {
        let Self { memory, team, .. } = self;
        memory.accumulate(dw, |m, dw| conv::weights_back(team, d, how, io.map(|v| m.get(v)), dw));
    }

    fn inner_back(&mut self, d: &InnerDims, how: Algorithm, io: Weighted) {
        let Self { memory, team, .. } = self;
        memory.write_with(io.y, |m, dx| {
            inner::input_back(team, d, how, [m.get(io.x), m.get(io.weight)], dx);
        });
    }

    fn inner_weights_back(&mut self, d: &InnerDims, how: Algorithm, io: [View; 2], dw: Gradient) {
        let Self { memory, team, .. } = self;
        memory.write_with(dw.to, |m, to| {
            inner::weights_back(team, d, how, io.map(|v| m.get(v)), dw.add, to);
        });
    }

    fn sum_products(&mut self, v: AxisView, a: View, b: Option<View>, out: Gradient) {
        let Self { memory, team, kernels, .. } = self;
        memory.accumulate(out, |m, out| {
            let share = v.outer.div_ceil(team.threads()) * v.block();
            let (a, b) = (m.get(a), b.map(|b| m.get(b)));
            let parts = team.map((0..a.len()).step_by(share.max(1)), |_, from| {
                let mut sums = vec![0.0; v.len];
                let range = from..a.len().min(from + share);
                let b = b.map(|b| &b[range.clone()]);
                elementwise::sum_products_fast(kernels, v, &a[range], b, &mut sums);
                sums
            });
            parts.iter().for_each(|sums| elementwise::axpby(1.0, sums, 1.0, out));
        });
    }

    fn max_pool_back(&mut self, d: &PoolDims, io: Chain) {
        let sizes = [d.input.iter().product(), d.output.iter().product()];
        self.gradients(sizes, io, |kernels, [x, y, dy], dx| {
            pool::max_back_fast(kernels, d, x, y, dy, dx);
        });
    }

    fn ave_pool_back(&mut self, d: &PoolDims, dy: View, dx: View) {
        let sizes = [d.output.iter().product(), d.input.iter().product()];
        self.blocks(sizes, dy, dx, |_, dy, dx| pool::ave_back(d, dy, dx));
    }

    fn lrn_across_back(&mut self, p: &LrnParams, channels: usize, plane: usize, io: Chain) {
        let picture = channels * plane;
        self.gradients([picture; 2], io, |kernels, [x, y, dy], dx| {
            let pictures = x.chunks_exact(picture).zip(y.chunks_exact(picture));
            let gradients = dy.chunks_exact(picture).zip(dx.chunks_exact_mut(picture));
            for ((x, y), (dy, dx)) in pictures.zip(gradients) {
                lrn::across_back_fast(kernels, p, plane, x, y, dy, dx);
            }
        });
    }

    fn lrn_within_back(&mut self, p: &LrnParams, input: [usize; 2], io: Chain) {
        self.gradients([input[0] * input[1]; 2], io, |_, [x, y, dy], dx| {
            lrn::within_back(p, input, x, y, dy, dx);
        });
    }

    fn relu_back(&mut self, slope: f32, y: View, d: View) {
        let kernels = self.kernels;
        self.in_place(CHUNK, d, |m, i, d| {
            elementwise::relu_back_fast(kernels, slope, &m.get(y)[i * CHUNK..][..d.len()], d);
        });
    }

    fn unary_back(&mut self, op: &Unary, io: Chain) {
        self.gradients([CHUNK; 2], io, |kernels, [x, y, dy], dx| {
            elementwise::unary_back_fast(kernels, op, x, y, dy, dx);
        });
    }

    fn eltwise_back(&mut self, op: &Eltwise, which: usize, xs: &[View], dy: View, dx: View) {
        self.in_place(CHUNK, dx, |m, i, dx| {
            let part = |x: &View| &m.get(*x)[i * CHUNK..][..dx.len()];
            let inputs: Vec<&[f32]> = xs.iter().map(part).collect();
            elementwise::eltwise_back(op, which, &inputs, part(&dy), dx);
        });
    }

    fn sum_of_squares(&self, x: View) -> f64 {
        let chunks = self.memory.get(x).chunks(CHUNK);
        let sum = |_: &mut Workspace, x| update::sum_of_squares_fast(self.kernels, x);
        self.team.map(chunks, sum).iter().sum()
    }

    fn update(&mut self, u: &Update, p: Learnt) {
        let Self { memory, team, kernels, .. } = self;
        memory.learn(u.rule.histories(), p, |w, g, h, h2| {
            let mut h2 = h2.chunks_mut(CHUNK);
            let chunks = w.chunks_mut(CHUNK).zip(g.chunks(CHUNK)).zip(h.chunks_mut(CHUNK));
            let chunks = chunks.map(|((w, g), h)| (w, g, h, h2.next().unwrap_or_default()));
            team.each(chunks, |_, (w, g, h, h2)| update::update_fast(kernels, u, w, g, h, h2));
        });
    }

    fn embed_back(&mut self, outputs: usize, io: [View; 2], dw: Gradient) {
        self.memory.embed_back(outputs, io, dw);
    }

    fn fill(&mut self, value: f32, y: View) {
        self.memory.fill(value, y);
    }

    fn prelu_back(&mut self, v: AxisView, slope: View, io: Chain) {
        self.memory.prelu_back(v, slope, io);
    }

    fn prelu_slope_back(&mut self, v: AxisView, io: [View; 2], dslope: Gradient) {
        self.memory.prelu_slope_back(v, io, dslope);
    }

    fn standardise_back(&mut self, v: AxisView, own: bool, variance: View, eps: f32, io: Chain) {
        self.memory.standardise_back(v, own, variance, eps, io);
    }

    fn mvn_back(&mut self, len: usize, deviation: Option<f32>, io: Chain) {
        self.memory.mvn_back(len, deviation, io);
    }

    fn softmax_back(&mut self, v: AxisView, io: Chain) {
        self.memory.softmax_back(v, io);
    }

    fn reduce_back(&mut self, op: Reduction, len: usize, coeff: f32, io: Chain) {
        self.memory.reduce_back(op, len, coeff, io);
    }

    fn cross_entropy_back(&mut self, v: AxisView, rule: &LossRule, io: LossBack) {
        self.memory.cross_entropy_back(v, rule, io);
    }

    fn sigmoid_cross_entropy_back(&mut self, rule: &LossRule, io: LossBack) {
        self.memory.sigmoid_cross_entropy_back(rule, io);
    }

    fn hinge_back(&mut self, norm: HingeNorm, classes: usize, io: LossBack) {
        self.memory.hinge_back(norm, classes, io);
    }

    fn multinomial_back(&mut self, classes: usize, io: LossBack) {
        self.memory.multinomial_back(classes, io);
    }

    fn contrastive_back(&mut self, margin: f32, legacy: bool, other: View, io: LossBack) {
        self.memory.contrastive_back(margin, legacy, other, io);
    }
}
