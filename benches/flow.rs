//! What following the tissue costs a frame: the small picture, the motion, the composite, one object's mask.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use rand::{Rng, SeedableRng};
use rand_pcg::Pcg32;
use sonotap::frame::{Frame, PixelFormat};
use sonotap::mask::LogitGrid;
use sonotap::track::carry::{round_trip_error, warp};
use sonotap::track::flow::{DisFlow, FlowConfig, FlowField, SmallGrey};

const WIDTH: usize = 640;
const HEIGHT: usize = 480;

/// Smoothed noise that moved by `shift` px: textured everywhere, so that every patch is searched.
fn frame(shift: usize, format: PixelFormat) -> Frame {
    let mut random = Pcg32::seed_from_u64(1);
    let cols = WIDTH + 64;
    let noise: Vec<f32> = (0..cols * (HEIGHT + 8)).map(|_| random.random_range(0.0..255.0)).collect();
    let mut pixels = Vec::with_capacity(WIDTH * HEIGHT * format.bytes());
    for y in 0..HEIGHT {
        for x in 0..WIDTH {
            let sum: f32 = (0..6).map(|r| noise[(y + r) * cols + x + shift..][..6].iter().sum::<f32>()).sum();
            let grey = (128.0 + 4.0 * (sum / 36.0 - 127.5)).clamp(0.0, 255.0) as u8;
            pixels.extend(std::iter::repeat_n(grey, format.bytes()));
        }
    }
    Frame::from_pixels(WIDTH as u32, HEIGHT as u32, format, pixels).expect("the pixels fit the size")
}

fn small(frame: &Frame) -> SmallGrey {
    let mut small = SmallGrey::new(FlowConfig::default().side);
    small.fill_from(frame);
    small
}

fn flow(criterion: &mut Criterion) {
    for (name, format) in [("grey", PixelFormat::Grey8), ("rgb", PixelFormat::Rgb8)] {
        let frame = frame(0, format);
        let mut picture = small(&frame);
        criterion.bench_function(&format!("small picture of 640x480 {name}"), |b| {
            b.iter(|| picture.fill_from(black_box(&frame)))
        });
    }
    let (earlier, later) = (small(&frame(0, PixelFormat::Grey8)), small(&frame(7, PixelFormat::Grey8)));
    let mut search = DisFlow::new(FlowConfig::default());
    let mut motion = FlowField::zero(*later.view());
    criterion.bench_function("motion of 256x192, all textured", |b| {
        b.iter(|| search.between(black_box(&earlier), black_box(&later), &mut motion));
    });
    let (mut composite, mut scratch) = (motion.clone(), motion.clone());
    criterion.bench_function("composite", |b| b.iter(|| composite.then(black_box(&motion), &mut scratch)));
    let mut mask = LogitGrid::background(128, *later.view());
    for n in 0..128 * 128 {
        mask.values_mut()[n] = 30.0 - ((n % 128) as f32 - 64.0).hypot((n / 128) as f32 - 48.0);
    }
    let mut carried = mask.clone();
    criterion.bench_function("mask of 128x128 carried", |b| b.iter(|| warp(black_box(&mask), &motion, &mut carried)));
    let reverse = motion.clone();
    criterion.bench_function("round trip", |b| b.iter(|| round_trip_error(black_box(&motion), &reverse, &mask)));
}

criterion_group!(benches, flow);
criterion_main!(benches);
