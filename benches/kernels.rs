//! `cargo bench --bench kernels`: the kernels of `likenet bench kernels`, with criterion's statistics. Each is
//! compared with its plain loop before it is timed.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use likenet::bench::kernels::cases;
use likenet_kernels::cpu::table;
use std::time::Duration;

fn kernels(c: &mut Criterion) {
    let set = table::best().expect("LIKENET_ISA names an instruction set of this machine");
    let mut group = c.benchmark_group(set.name());
    group.measurement_time(Duration::from_secs(2)).warm_up_time(Duration::from_millis(500));
    for mut case in cases(set).expect("kernels equal their plain loops") {
        group.throughput(Throughput::Elements(case.flops as u64));
        group.bench_function(case.name, |b| b.iter(&mut case.run));
    }
    group.finish();
}

criterion_group!(benches, kernels);
criterion_main!(benches);
