//! `cargo bench --bench networks`: whole networks with random weights, one thread, in pictures a second.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use likenet::bench::layers::random;
use likenet::net::{Options, architectures};
use std::time::Duration;

fn networks(c: &mut Criterion) {
    let mut group = c.benchmark_group("networks");
    group.sample_size(10).measurement_time(Duration::from_secs(3));
    for known in architectures() {
        for batch in [1, 8] {
            let options = Options { threads: 1, batch: Some(batch), ..Options::default() };
            let mut net = random(known, options).expect("a built-in network");
            group.throughput(Throughput::Elements(batch as u64));
            group.bench_function(BenchmarkId::new(known.name, batch), |b| {
                b.iter(|| net.forward().expect("forward"));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, networks);
criterion_main!(benches);
