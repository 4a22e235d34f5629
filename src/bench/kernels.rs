//! Kernels one by one, on sizes of the AlexNet family, on one thread.

use crate::rng::Rng;
use likenet_kernels::cpu::conv::{self, Pictures};
use likenet_kernels::cpu::filters::{ALGORITHMS, Filters};
use likenet_kernels::cpu::gemm::{self, Left, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::cpu::inner::Weights;
use likenet_kernels::cpu::planes::Planes;
use likenet_kernels::cpu::table::Kernels;
use likenet_kernels::cpu::{elementwise, gemv, lrn, pool, softmax};
use likenet_kernels::ops::*;

/// A kernel with its operands.
pub struct Case {
    /// Kernel, sizes and algorithm.
    pub name: String,
    /// Floating-point operations of the plain loop, two for each multiply-add.
    pub flops: f64,
    /// Bytes of operands and results.
    pub bytes: f64,
    /// Computes once.
    pub run: Box<dyn FnMut()>,
}

/// The kernels for one instruction set whose names contain `only`, each compared with its plain loop.
///
/// # Errors
/// Names the kernel whose result differs from the plain loop's.
pub fn cases(kernels: &'static Kernels) -> Result<Vec<Case>, String> {
    let mut cases = vec![product(kernels)?];
    for precision in [Precision::F32, Precision::F24, Precision::F16, Precision::I8] {
        cases.push(fully_connected(kernels, 1, Algorithm::Gemm, precision)?);
    }
    for how in [Algorithm::Gemm, Algorithm::Tiles] {
        if Weights::can(kernels, how, Precision::F32) {
            cases.push(fully_connected(kernels, 32, how, Precision::F32)?);
        }
    }
    for (name, d) in convolutions() {
        for how in ALGORITHMS.into_iter().filter(|how| Filters::can(kernels, &d, *how)) {
            cases.push(convolution(kernels, name, d, how)?);
        }
    }
    cases.extend([pooling(kernels)?, normalisation(kernels)?, relu(kernels)?, scores(kernels)?]);
    Ok(cases)
}

/// Seeded numbers between −1 and 1.
fn numbers(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.uniform(-1.0, 1.0)).collect()
}

/// Compares a result with the plain loop's.
fn check(
    name: &str,
    kernels: &Kernels,
    want: &[f32],
    got: &[f32],
    bound: f32,
) -> Result<(), String> {
    let largest = want.iter().fold(0f32, |a, v| a.max(v.abs()));
    let worst = want.iter().zip(got).fold(0f32, |a, (w, g)| a.max((w - g).abs()));
    if want.len() == got.len() && worst <= bound * largest {
        return Ok(());
    }
    Err(format!("{name} on {}: differs by {worst} from the plain loop", kernels.name()))
}

fn case(name: String, flops: usize, values: usize, run: impl FnMut() + 'static) -> Case {
    let bytes = (values * size_of::<f32>()) as f64;
    Case { name, flops: flops as f64, bytes, run: Box::new(run) }
}

fn product(kernels: &'static Kernels) -> Result<Case, String> {
    let s = Sizes { m: 252, n: 512, k: 512 };
    let (a, b) = (numbers(s.m * s.k, 1), numbers(s.k * s.n, 2));
    let name = format!("matrix product {}×{}×{}", s.m, s.n, s.k);
    let mut work = Workspace::new(kernels);
    let mut c = vec![0.0; s.m * s.n];
    let mut run = move |c: &mut [f32]| {
        let c = Target { data: c, row: s.n, start: Start::Zero, relu: None };
        let left = Left::Matrix(Matrix::rows(&a, s.k));
        gemm::fast(&mut work, s, left, &Matrix::rows(&b, s.n), c);
    };
    run(&mut c);
    let mut want = vec![0.0; s.m * s.n];
    let (a, b) = (numbers(s.m * s.k, 1), numbers(s.k * s.n, 2));
    gemm::plain(s, Matrix::rows(&a, s.k), Matrix::rows(&b, s.n), &mut want);
    check(&name, kernels, &want, &c, 1e-5)?;
    let (flops, values) = (2 * s.m * s.n * s.k, s.m * s.k + s.k * s.n + s.m * s.n);
    Ok(case(name, flops, values, move || run(&mut c)))
}

/// A layer like fc7.
fn fully_connected(
    kernels: &'static Kernels,
    rows: usize,
    how: Algorithm,
    precision: Precision,
) -> Result<Case, String> {
    let d = InnerDims { rows, inputs: 4096, outputs: 4096, transpose: false };
    let (w, x) = (numbers(d.inputs * d.outputs, 1), numbers(rows * d.inputs, 2));
    let name = format!("fully connected, batch {rows}, {} {}", precision.name(), how.name());
    let weights = Weights::new(kernels, &d, how, precision, &w);
    let mut want = vec![0.0; rows * d.outputs];
    for (x, y) in x.chunks(d.inputs).zip(want.chunks_mut(d.outputs)) {
        gemv::plain(&w, x, y);
    }
    let bytes = weights.bytes();
    let mut work = Workspace::new(kernels);
    let mut y = vec![0.0; rows * d.outputs];
    let mut run = move |y: &mut [f32]| {
        let x = weights.pack(kernels, &d, &x);
        weights.product(&mut work, &x, 0..d.outputs, None, None, y);
    };
    run(&mut y);
    let bound = match precision {
        Precision::F32 | Precision::F24 => 5e-5,
        Precision::F16 => 1e-3,
        Precision::I8 => 2e-2,
    };
    check(&name, kernels, &want, &y, bound)?;
    let values = bytes / size_of::<f32>() + rows * (d.inputs + d.outputs);
    Ok(case(name, 2 * rows * d.inputs * d.outputs, values, move || run(&mut y)))
}

fn convolutions() -> [(&'static str, ConvDims); 5] {
    let dims = |[channels, size, filters]: [usize; 3], [k, stride, pad]: [usize; 3], group| {
        let window =
            Window { kernel: [k; 2], stride: [stride; 2], pad: [pad; 2], dilation: [1; 2] };
        let out = (size + 2 * pad - k) / stride + 1;
        ConvDims { channels, input: [size; 2], filters, output: [out; 2], group, window }
    };
    [
        ("AlexNet conv1", dims([3, 227, 96], [11, 4, 0], 1)),
        ("AlexNet conv2", dims([96, 27, 256], [5, 1, 2], 2)),
        ("AlexNet conv3", dims([256, 13, 384], [3, 1, 1], 1)),
        ("SqueezeNet fire9 1×1", dims([512, 14, 64], [1, 1, 0], 1)),
        ("depthwise 3×3", dims([64, 56, 64], [3, 1, 1], 64)),
    ]
}

fn convolution(
    kernels: &'static Kernels,
    layer: &str,
    d: ConvDims,
    how: Algorithm,
) -> Result<Case, String> {
    let name = format!("{layer}, {}", how.name());
    let (x, w) = (numbers(d.input_len(), 1), numbers(d.filters * d.patch_len(), 2));
    let mut want = vec![0.0; d.output_len()];
    conv::plain(&d, &x, &w, None, &mut want);
    let filters = Filters::new(kernels, &d, how, &w);
    let values = d.input_len() + d.output_len() + filters.bytes() / size_of::<f32>();
    let mut work = Workspace::new(kernels);
    let mut y = vec![0.0; d.output_len()];
    let mut run = move |y: &mut [f32]| {
        let (out, plane) = (d.filters / d.group, d.positions());
        for (group, y) in y.chunks_exact_mut(out * plane).enumerate() {
            let x = &x[group * d.input_len() / d.group..];
            let y = Planes::new(y, plane, d.output_len());
            let (bias, relu) = (None, None);
            let io = Pictures { count: 1, x, group, filters: 0..out, bias, relu, y };
            filters.convolve(&mut work, &d, io);
        }
    };
    run(&mut y);
    check(&name, kernels, &want, &y, 5e-5)?;
    Ok(case(name, 2 * d.output_len() * d.patch_len(), values, move || run(&mut y)))
}

fn pooling(kernels: &'static Kernels) -> Result<Case, String> {
    let window = Window { kernel: [3; 2], stride: [2; 2], pad: [0; 2], dilation: [1; 2] };
    let d = PoolDims { input: [55; 2], output: [27; 2], window };
    let (x, name) = (numbers(96 * 55 * 55, 1), "max pooling 3×3, stride 2".to_string());
    let (mut want, mut y) = (vec![0.0; 96 * 27 * 27], vec![0.0; 96 * 27 * 27]);
    pool::max(&d, &x, &mut want);
    pool::max_fast(kernels, &d, &x, &mut y);
    check(&name, kernels, &want, &y, 0.0)?;
    let values = x.len() + y.len();
    Ok(case(name, 9 * y.len(), values, move || pool::max_fast(kernels, &d, &x, &mut y)))
}

fn normalisation(kernels: &'static Kernels) -> Result<Case, String> {
    let p = LrnParams { size: 5, alpha: 1e-4, beta: 0.75, k: 1.0 };
    let (x, name) = (numbers(96 * 27 * 27, 1), "local response normalisation".to_string());
    let (mut want, mut y) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    let outer = LrnParams { ..p };
    lrn::across(&outer, 27 * 27, &x, &mut want);
    lrn::across_fast(kernels, &p, 27 * 27, &x, &mut y);
    check(&name, kernels, &want, &y, 1e-5)?;
    let values = 2 * x.len();
    Ok(case(name, 8 * x.len(), values, move || lrn::across_fast(kernels, &p, 27 * 27, &x, &mut y)))
}

fn relu(kernels: &'static Kernels) -> Result<Case, String> {
    let op = Unary::Relu { slope: 0.25 };
    let (mut want, mut y) = (numbers(1 << 18, 1), numbers(1 << 18, 1));
    elementwise::unary(&op, &mut want);
    elementwise::unary_fast(kernels, &op, &mut y);
    check("ReLU", kernels, &want, &y, 0.0)?;
    let len = y.len();
    Ok(case("ReLU".into(), len, 2 * len, move || elementwise::unary_fast(kernels, &op, &mut y)))
}

fn scores(kernels: &'static Kernels) -> Result<Case, String> {
    let v = AxisView { outer: 32, len: 1000, inner: 1 };
    let x = numbers(v.outer * v.len, 1);
    let (mut want, mut y) = (vec![0.0; x.len()], vec![0.0; x.len()]);
    softmax::softmax(v, &x, &mut want);
    softmax::fast(kernels, v, &x, &mut y);
    check("softmax", kernels, &want, &y, 1e-5)?;
    let len = x.len();
    Ok(case("softmax".into(), 20 * len, 2 * len, move || softmax::fast(kernels, v, &x, &mut y)))
}
