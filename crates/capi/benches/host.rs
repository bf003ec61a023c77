//! What a host waits for: `cargo bench --package sonotap-capi --bench host`. Prints a table; `benches/RESULTS.md` has one with its machine.

#[allow(dead_code, reason = "each program uses its part")]
#[path = "../tests/common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::*;
use sonotap_capi::*;

struct Spans(Vec<Duration>);

impl Spans {
    fn of(count: usize, mut work: impl FnMut()) -> Self {
        let mut spans = Vec::with_capacity(count);
        for _ in 0..count {
            let begin = Instant::now();
            work();
            spans.push(begin.elapsed());
        }
        Self(spans)
    }

    fn print(mut self, what: &str) {
        self.0.sort_unstable();
        let at = |share: f64| self.0[((self.0.len() - 1) as f64 * share) as usize].as_nanos() as f64 / 1e3;
        println!("{what:<58} {:>9.2} {:>9.2} {:>9.2} us, {} times", at(0.5), at(0.99), at(1.0), self.0.len());
    }
}

/// Calls in a second, of which each is too short for a clock.
fn rate(what: &str, calls: u32, mut call: impl FnMut()) {
    let begin = Instant::now();
    for _ in 0..calls {
        call();
    }
    println!("{what:<58} {:>9.2} million a second", f64::from(calls) / begin.elapsed().as_secs_f64() / 1e6);
}

fn main() {
    let model = Model::bundled();
    println!("{:<58} {:>9} {:>9} {:>9}", "", "p50", "p99", "max");
    loading();
    pushes(&model);
    scenes(&model);
    drawing(&model);
    calls(&model);
}

fn loading() {
    Spans::of(10, || drop(Model::bundled())).print("model_from_folder");
    let model = Model::bundled();
    Spans::of(10, || drop(model.open(&config()).unwrap())).print("open and close");
}

fn pushes(model: &Model) {
    let session = model.open(&config()).unwrap();
    for (name, bytes, width, height) in
        [(b"GREY", 1, 640, 480), (b"YUYV", 2, 640, 480), (b"RGB3", 3, 640, 480), (b"XR24", 4, 1280, 960)]
    {
        let pixels = vec![90; bytes * width as usize * height as usize];
        let frame = frame_of(name, width, height, &pixels);
        for _ in 0..20 {
            session.push(&frame);
        }
        let words = String::from_utf8_lossy(name).into_owned();
        Spans::of(500, || assert!(session.push(&frame) >= 0)).print(&format!("push_frame {words} {width}x{height}"));
    }
    // The same copy by the standard library.
    let (from, mut to) = (vec![90u8; 640 * 480], vec![0u8; 640 * 480]);
    Spans::of(500, || {
        to.copy_from_slice(std::hint::black_box(&from));
        std::hint::black_box(&mut to);
    })
    .print("memcpy of 640x480 bytes");
}

/// From the begin of a push to the return of the poll that gives its scene, on one thread; the frame is presented at once.
fn scenes(model: &Model) {
    let mut probe = Probe::new(640, 480);
    let period = Duration::from_micros(33_333);
    for is_tracked in [false, true] {
        let session = model.open(&config()).unwrap();
        let (mut first, mut drawn) = (Vec::new(), [0u32; 6]);
        for n in 0..300 {
            let next = Instant::now() + period;
            let frame = probe.step();
            if is_tracked && n % 100 == 10 {
                let (x, y) = probe.middle();
                sonotap_tap(session.0, x, y, 1, 0, 0);
            }
            let begin = Instant::now();
            session.push(&frame);
            let mut span = None;
            while Instant::now() < next {
                if let Some(told) = session.poll() {
                    span.get_or_insert_with(|| begin.elapsed());
                    if told.objects > 0 {
                        drawn[session.object(0).1.overlay as usize] += 1;
                    }
                    sonotap_presented(session.0, told.ticket, 0);
                }
                sonotap_wait(session.0, 2_000);
            }
            first.extend(span.filter(|_| n > 20));
        }
        let what = if is_tracked { "push to scene, an object is tracked" } else { "push to scene, nothing tapped" };
        Spans(first).print(what);
        if is_tracked {
            let [_, exact, carried, ..] = drawn;
            println!("    scenes with an outline exact {exact}, carried {carried}");
        }
    }
}

fn drawing(model: &Model) {
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(640, 480);
    for n in 1..=10 {
        let frame = probe.step();
        if n == 5 {
            let (x, y) = probe.middle();
            sonotap_tap(session.0, x, y, 1, 0, 0);
        }
        let told = turn(&session, &frame, n * PERIOD_NS).filter(|_| n < 10);
        if let Some(told) = told {
            sonotap_presented(session.0, told.ticket, 0);
        }
    }
    let mut pixels = vec![0; 800 * 480 * 4];
    let screen = picture_of(b"XR24", 800, 480, &mut pixels);
    Spans::of(200, || assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &screen), SONOTAP_OK)).print("draw, screen 800x480");
    let over = picture_of(b"XR24", 640, 480, &mut pixels);
    Spans::of(200, || assert_eq!(session.draw(SONOTAP_DRAW_OVERLAY, &over), SONOTAP_OK))
        .print("draw, overlay on 640x480");
    Spans::of(200, || drop(session.mask(0, 640, 480))).print("get_mask 640x480");
    let (_, object) = session.object(0);
    println!("    outline of {} points", object.points);
    rate("get_object", 1_000_000, || {
        std::hint::black_box(session.object(0));
    });
    Spans::of(2_000, || drop(session.outline(0, &object))).print("get_outline");
}

fn calls(model: &Model) {
    let session = model.open(&stepped()).unwrap();
    rate("now_ns", 10_000_000, || {
        std::hint::black_box(sonotap_now_ns(session.0));
    });
    rate("poll, nothing new", 1_000_000, || assert!(session.poll().is_none()));
    rate("hand_over of a ticket that never was", 1_000_000, || {
        sonotap_hand_over(session.0, 9);
    });
    rate("tap and poll, before the first frame", 200_000, || {
        sonotap_tap(session.0, 5.0, 5.0, 1, 0, 0);
        session.poll();
    });
}
