//! The core by the clock: each encoding from 100 B to 32 MiB, batches of 1 to 50, the worst inputs that are known.
//!
//! `cargo bench -p b24-migration-proxy-core-benches`. Throughput stands beside each time; bodies that have nothing to
//! change must reach 1 GiB/s from 64 KiB on.
use b24_migration_proxy_core_benches::catalogue::Catalogue;
use b24_migration_proxy_core_benches::protocol::target::RestPath;
use b24_migration_proxy_core_benches::{Request, SIZES, batch_of, golden, grown};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use std::hint::black_box;
use std::time::Duration;

fn by_size(criterion: &mut Criterion) {
    let (catalogue, rest) = (Catalogue::builtin(), RestPath::default());
    for kind in grown() {
        let mut group = criterion.benchmark_group(kind.name);
        group
            .sample_size(10)
            .sampling_mode(SamplingMode::Flat)
            .warm_up_time(Duration::from_millis(200))
            .measurement_time(Duration::from_millis(600));
        for size in SIZES {
            let request = kind.of(size);
            let bytes = (request.body.len() + request.target.len()) as u64;
            group.throughput(Throughput::Bytes(bytes));
            group.bench_with_input(
                BenchmarkId::from_parameter(size),
                &request,
                |bench, request| {
                    bench.iter(|| black_box(request.run(&catalogue, &rest)));
                },
            );
        }
        group.finish();
    }
}

fn by_commands(criterion: &mut Criterion) {
    let (catalogue, rest) = (Catalogue::builtin(), RestPath::default());
    let mut group = criterion.benchmark_group("batch, one deprecated");
    for count in [1, 2, 5, 10, 25, 50] {
        let request = batch_of(count);
        group.throughput(Throughput::Bytes(request.body.len() as u64));
        group.bench_with_input(
            BenchmarkId::from_parameter(count),
            &request,
            |bench, request| {
                bench.iter(|| black_box(request.run(&catalogue, &rest)));
            },
        );
    }
    group.finish();
}

fn head_alone(criterion: &mut Criterion) {
    let (catalogue, rest) = (Catalogue::builtin(), RestPath::default());
    let request = Request::post("forwarded", "crm.item.list", "application/json", "{}");
    criterion.bench_function("forwarded unread", |bench| {
        bench.iter(|| black_box(request.run(&catalogue, &rest)));
    });
    let cases = golden();
    criterion.bench_function("all golden cases", |bench| {
        bench.iter(|| {
            for request in &cases {
                black_box(request.run(&catalogue, &rest));
            }
        });
    });
}

criterion_group!(benches, head_alone, by_commands, by_size);
criterion_main!(benches);
