//! Classifiers on features that are three quarters zeros, as those of fc7 are.
//!
//! `cargo bench --bench learn`

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use likenet::learn::linear::{Loss, Path, Problem, Samples, Sgd, Solver, sgd};
use likenet::learn::{Layout, Matrix, forest};
use likenet::rng::Rng;
use std::hint::black_box;

const ROWS: usize = 4000;
const COLUMNS: usize = 1024;

/// Rows of which the first columns tell the label, with noise.
fn features(layout: Layout) -> (Matrix, Vec<bool>) {
    let mut rng = Rng::new(1);
    let mut matrix = Matrix::new(COLUMNS, layout);
    let mut labels = Vec::new();
    for _ in 0..ROWS {
        let latent = rng.gaussian(0.0, 1.0);
        let value = |c: usize, rng: &mut Rng| {
            let shift = if c < 100 { 0.3 * latent } else { 0.0 };
            rng.gaussian(shift - 0.7, 1.0).max(0.0)
        };
        let row: Vec<f32> = (0..COLUMNS).map(|c| value(c, &mut rng)).collect();
        matrix.push(&row).expect("numbers");
        labels.push(latent + rng.gaussian(0.0, 1.0) > 0.0);
    }
    (matrix, labels)
}

fn linear(c: &mut Criterion) {
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    for layout in [Layout::Packed, Layout::Dense] {
        let (matrix, labels) = features(layout);
        let samples = Samples { matrix: &matrix, rows: &rows, labels: &labels };
        let mut group = c.benchmark_group(format!("{ROWS} rows of {COLUMNS} features, {layout:?}"));
        group.sample_size(10);
        for (loss, solver, cost) in [
            (Loss::Hinge, Solver::Dual, 1e-3),
            (Loss::SquaredHinge, Solver::Dual, 1e-3),
            (Loss::SquaredHinge, Solver::Primal, 1.0),
            (Loss::Logistic, Solver::Primal, 1e-2),
        ] {
            let problem = Problem { loss, solver, c: cost, ..Problem::default() };
            group.bench_function(format!("{loss:?}, {solver:?}, C = {cost:e}"), |b| {
                b.iter_batched(
                    || Path::new(samples).expect("both classes"),
                    |mut path| black_box(path.fit(&problem).expect("a fit").objective),
                    BatchSize::PerIteration,
                );
            });
        }
        let settings = Sgd { tolerance: 0.0, ..Sgd::default() };
        group.bench_function("gradient descent, 100 iterations", |b| {
            b.iter(|| black_box(sgd(&samples, &settings, &mut |_| ()).expect("a fit").iterations));
        });
        group.finish();
    }
}

fn trees(c: &mut Criterion) {
    let (matrix, labels) = features(Layout::Packed);
    let rows: Vec<u32> = (0..ROWS as u32).collect();
    let mut group = c.benchmark_group(format!("{ROWS} rows of {COLUMNS} features"));
    group.sample_size(10);
    for splits in [forest::Splits::Bins, forest::Splits::Exact] {
        let settings = forest::Settings { trees: 20, splits, ..forest::Settings::default() };
        group.bench_function(format!("20 trees, {splits:?}"), |b| {
            b.iter(|| {
                forest::train(&matrix, &rows, &labels, &settings, &|_| ()).expect("a forest")
            });
        });
    }
    group.finish();
}

criterion_group!(benches, linear, trees);
criterion_main!(benches);
