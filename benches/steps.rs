//! `cargo bench --bench steps`: a matrix product from three loops to the engine's own, one idea at a time.
//! `docs/kernels.md` explains each step and has its measured speed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use likenet_kernels::cpu::gemm::{self, Left, Matrix, Sizes, Start, Target, Workspace};
use likenet_kernels::cpu::table;
use std::time::Duration;

const M: usize = 252;
const N: usize = 512;
const K: usize = 512;

/// Step 1: the definition. Each element of C is a dot product; B is read down its columns.
fn three_loops(a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in 0..M {
        for j in 0..N {
            c[i * N + j] = (0..K).map(|p| a[i * K + p] * b[p * N + j]).sum();
        }
    }
}

/// Step 2: the two inner loops change places. B and C are read along their rows, which the compiler can do
/// several values at a time.
fn along_the_rows(a: &[f32], b: &[f32], c: &mut [f32]) {
    c.fill(0.0);
    for (a, c) in a.chunks_exact(K).zip(c.chunks_exact_mut(N)) {
        for (a, b) in a.iter().zip(b.chunks_exact(N)) {
            c.iter_mut().zip(b).for_each(|(c, b)| *c += a * b);
        }
    }
}

const ROWS: usize = 4;
const COLUMNS: usize = 8;

/// Step 3: a tile of C stays in registers while p runs. Each value that is loaded now takes part in several
/// products.
fn tiles_of_c(a: &[f32], b: &[f32], c: &mut [f32]) {
    for i in (0..M).step_by(ROWS) {
        for j in (0..N).step_by(COLUMNS) {
            let mut sums = [[0f32; COLUMNS]; ROWS];
            for p in 0..K {
                let b: &[f32; COLUMNS] = b[p * N + j..][..COLUMNS].try_into().expect("columns");
                for (r, sums) in sums.iter_mut().enumerate() {
                    let a = a[(i + r) * K + p];
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                c[(i + r) * N + j..][..COLUMNS].copy_from_slice(sums);
            }
        }
    }
}

/// Step 4: B is copied once into panels of as many columns as a tile has, so that what a tile reads follows
/// one another in memory.
fn panels_of_b(a: &[f32], b: &[f32], panels: &mut [f32], c: &mut [f32]) {
    for (q, panel) in panels.chunks_exact_mut(K * COLUMNS).enumerate() {
        for (p, row) in panel.chunks_exact_mut(COLUMNS).enumerate() {
            row.copy_from_slice(&b[p * N + q * COLUMNS..][..COLUMNS]);
        }
    }
    for (q, panel) in panels.chunks_exact(K * COLUMNS).enumerate() {
        for i in (0..M).step_by(ROWS) {
            let rows: [&[f32]; ROWS] = std::array::from_fn(|r| &a[(i + r) * K..][..K]);
            let mut sums = [[0f32; COLUMNS]; ROWS];
            for (p, b) in panel.chunks_exact(COLUMNS).enumerate() {
                for (row, sums) in rows.iter().zip(&mut sums) {
                    let a = row[p];
                    sums.iter_mut().zip(b).for_each(|(sum, b)| *sum += a * b);
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                c[(i + r) * N + q * COLUMNS..][..COLUMNS].copy_from_slice(sums);
            }
        }
    }
}

fn steps(criterion: &mut Criterion) {
    let number = |i: usize| ((i * 7919 + 13) % 1009) as f32 / 504.5 - 1.0;
    let a: Vec<f32> = (0..M * K).map(number).collect();
    let b: Vec<f32> = (0..K * N).map(|i| number(i + 7)).collect();
    let s = Sizes { m: M, n: N, k: K };
    let mut want = vec![0.0; M * N];
    gemm::plain(s, Matrix::rows(&a, K), Matrix::rows(&b, N), &mut want);
    let mut group = criterion.benchmark_group("steps");
    group.measurement_time(Duration::from_secs(2)).sample_size(20);
    group.throughput(Throughput::Elements((2 * M * N * K) as u64));
    let mut bench = |name: &str, step: &mut dyn FnMut(&mut [f32])| {
        let mut c = vec![0.0; M * N];
        step(&mut c);
        let worst = want.iter().zip(&c).fold(0f32, |worst, (w, c)| worst.max((w - c).abs()));
        assert!(worst < 1e-2, "{name} differs by {worst}");
        group.bench_function(name, |bencher| bencher.iter(|| step(&mut c)));
    };
    bench("1 three loops", &mut |c| three_loops(&a, &b, c));
    bench("2 along the rows", &mut |c| along_the_rows(&a, &b, c));
    bench("3 tiles of C", &mut |c| tiles_of_c(&a, &b, c));
    let mut panels = vec![0.0; K * N];
    bench("4 panels of B", &mut |c| panels_of_b(&a, &b, &mut panels, c));
    for (set, step) in table::available().iter().rev().filter(|s| !s.has_tiles()).zip(5..) {
        let mut work = Workspace::new(set);
        bench(&format!("{step} the engine's, {}", set.name()), &mut |c| {
            let c = Target { data: c, row: N, start: Start::Zero, relu: None };
            gemm::fast(&mut work, s, Left::Matrix(Matrix::rows(&a, K)), &Matrix::rows(&b, N), c);
        });
    }
    group.finish();
}

criterion_group!(benches, steps);
criterion_main!(benches);
