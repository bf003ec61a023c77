//! Time to render one frame of each preset at 640x480, scan conversion included.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use sonotap::frame::Frame;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};

fn render(c: &mut Criterion) {
    let mut group = c.benchmark_group("phantom 640x480");
    for preset in PhantomPreset::ALL {
        let mut phantom = Phantom::new(preset, PhantomConfig::default()).expect("the default configuration is valid");
        let mut frame = Frame::default();
        let mut index = 0;
        group.bench_function(preset.name(), |b| {
            b.iter(|| {
                index += 1;
                phantom.render_at(index, black_box(&mut frame));
            });
        });
    }
    group.finish();
}

criterion_group!(benches, render);
criterion_main!(benches);
