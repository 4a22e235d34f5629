//! The steps of our own face detector, under each instruction set, on a synthetic picture of 640 x 480.
//!
//! `cargo bench --bench faces`; photos are timed by `likenet bench faces PHOTOS`.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use likenet::faces::{Detector, Search};
use likenet::image::{GrayPicture, Size};
use likenet::rng::Rng;
use likenet_kernels::cpu::cells::{Cells, Workspace, cells};
use likenet_kernels::cpu::resample::{self, Plane};
use likenet_kernels::cpu::table;
use std::hint::black_box;

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// Blots of all sizes, as photos have them: sums of noise, enlarged again and again.
fn picture() -> Plane {
    let mut rng = Rng::new(1);
    let plain = &table::available()[table::available().len() - 1];
    let mut sum = vec![0f32; WIDTH * HEIGHT];
    for octave in 0..6 {
        let (w, h) = (WIDTH >> octave, HEIGHT >> octave);
        let noise: Vec<u8> = (0..w * h).map(|_| rng.below(256) as u8).collect();
        let large = resample::linear(plain, &Plane::from_pixels(w, &noise), [WIDTH, HEIGHT], 0);
        let part = (octave + 1) as f32 / 21.0;
        sum.iter_mut().zip(large.pixels()).for_each(|(s, &v)| *s += part * f32::from(v));
    }
    Plane::from_pixels(WIDTH, &sum.iter().map(|&v| v as u8).collect::<Vec<_>>())
}

fn steps(c: &mut Criterion) {
    let plane = picture();
    let gray = GrayPicture::new(Size::new(HEIGHT, WIDTH), plane.pixels().to_vec()).expect("a size");
    let own = Detector::own();
    for kernels in table::available() {
        let mut group = c.benchmark_group(format!("faces, {}", kernels.name()));
        group.throughput(Throughput::Elements((WIDTH * HEIGHT) as u64));
        group.bench_function("resample by 0.9", |b| {
            b.iter(|| {
                black_box(resample::linear(kernels, &plane, [WIDTH * 9 / 10, HEIGHT * 9 / 10], 13))
            });
        });
        let (mut workspace, mut out) = (Workspace::default(), Cells::default());
        group.bench_function("channels", |b| {
            b.iter(|| {
                cells(kernels, &plane, &mut workspace, &mut out);
                black_box(&out);
            });
        });
        let search = Search { kernels, ..Search::new().expect("kernels") };
        group.bench_function("detect", |b| {
            b.iter(|| black_box(own.detect_gray(&gray, &search).expect("a search")));
        });
        group.finish();
    }
}

criterion_group!(benches, steps);
criterion_main!(benches);
