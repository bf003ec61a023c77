//! What comes out, beside what the Rust library says.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sonotap::contour::Outline;
use sonotap::frame::{Frame, PixelFormat, RegionContent, ScaleSource};
use sonotap::geometry::{ImageSpace, Rect};
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::pipeline::step::{self, Stepped, Stepper};
use sonotap::scene::{Overlay, Scene};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::FrameSource;
use sonotap::source::dicom::DicomSource;
use sonotap::units::Span as _;
use sonotap_capi::*;

use crate::common::*;

/// The bundled demonstration's box around the heart chamber on the right.
const BOX: [f32; 4] = [152.0, 58.0, 208.0, 126.0];
const FRAMES: u64 = 75;

/// The same in Rust.
struct Rust {
    hand: Arc<AtomicU64>,
    live: Live<Stepped>,
    stepper: Stepper,
    screen: Screen,
}

impl Rust {
    fn new() -> Self {
        let hand = Arc::<AtomicU64>::default();
        let (clock, wake) = (Clock::set_by(hand.clone()), Wake::default());
        let predictor = Predictor::new(sam::load(&bundled()).unwrap(), PredictOptions::default());
        let (stepped, stepper) = step::pair(predictor, clock.clone(), wake.clone());
        let live = Live::with(stepped, wake, LiveConfig::default(), clock);
        Self { hand, live, stepper, screen: Screen::new(ScreenConfig::default()).unwrap() }
    }

    /// The scene of a frame, and the screen as drawn.
    fn turn(&mut self, frame: &Frame) -> Option<(Scene, Vec<u32>)> {
        let fill = |to: &mut Frame| {
            to.clone_from(frame);
            Ok(())
        };
        self.live.input().push_by(fill, CaptureTime::Now, Some(7)).unwrap();
        let mut out = None;
        for _ in 0..2 {
            if let Some(LiveView { frame, scene, ticket }) = self.live.poll() {
                let drawn = self.screen.draw(frame, scene).pixels().to_vec();
                out = Some((scene.clone(), drawn));
                if let Some(radius) = self.screen.marker_radius_px() {
                    self.live.set_marker_radius_px(radius);
                }
                assert!(self.live.hand_over(&ticket));
                self.live.presented(ticket, Light::Now);
            }
            if !self.stepper.step() {
                break;
            }
        }
        out
    }
}

fn host_frame(frame: &Frame) -> sonotap_frame {
    let name = if frame.format() == PixelFormat::Grey8 { b"GREY" } else { b"RGB3" };
    let region = frame.region();
    let (x, y) = frame.scale().map_or((0.0, 0.0), |s| s.mm_per_px());
    sonotap_frame {
        host_id: 7,
        content: match region.content {
            RegionContent::BMode => SONOTAP_CONTENT_BMODE,
            RegionContent::Unknown => SONOTAP_CONTENT_UNKNOWN,
            other => panic!("{other:?}"),
        },
        mm_per_px_x: x,
        mm_per_px_y: y,
        scale_source: match frame.scale().map(|s| s.source()) {
            None | Some(ScaleSource::DicomRegion) => SONOTAP_SCALE_DICOM,
            other => panic!("{other:?}"),
        },
        region: sonotap_rect { x: region.rect.x0, y: region.rect.y0, w: region.rect.width(), h: region.rect.height() },
        ..frame_of(name, frame.width(), frame.height(), frame.pixels())
    }
}

fn rings(outline: &Outline) -> (Vec<(u32, u32)>, Vec<u32>) {
    let points = outline.points().iter().map(|p| (p.x.to_bits(), p.y.to_bits())).collect();
    let mut end = 0;
    let ends = outline.rings().map(|ring| {
        end += ring.len() as u32;
        end
    });
    (points, ends.collect())
}

fn assert_same(session: &Session, told: &sonotap_scene, rust: &Scene) -> u32 {
    assert_eq!((told.frame_id, told.live_tick), (rust.frame.unwrap().0, rust.live_tick));
    assert_eq!((told.age_ns, told.objects as usize), (rust.frame_age.as_ns(), rust.objects.len()));
    let mut drawn = 0;
    for (i, expected) in rust.objects.iter().enumerate() {
        let (status, got) = session.object(i as u32);
        assert_eq!(status, SONOTAP_OK, "{}", last_error());
        assert_eq!(got.object, u32::from(expected.object.0));
        let (kind, age) = match expected.overlay {
            Overlay::Exact => (SONOTAP_OVERLAY_EXACT, 0),
            Overlay::Carried { age } => (SONOTAP_OVERLAY_CARRIED, age.as_ns()),
            Overlay::Stale { age } => (SONOTAP_OVERLAY_STALE, age.as_ns()),
            Overlay::Hidden(_) => (SONOTAP_OVERLAY_HIDDEN, 0),
            Overlay::Lost(_) => (SONOTAP_OVERLAY_LOST, 0),
        };
        assert_eq!((got.overlay, got.prediction_age_ns), (kind, age));
        assert_eq!(got.score.to_bits(), expected.score.map_or(0.0, |s| s.get()).to_bits());
        let (points, ends) = session.outline(i as u32, &got);
        let points: Vec<(u32, u32)> = points.iter().map(|p| (p.x.to_bits(), p.y.to_bits())).collect();
        assert_eq!((points, ends), rings(&expected.outline), "frame {}", told.frame_id);
        let area = expected.measurements.map_or(0.0, |m| m.area_px);
        assert_eq!(got.area_px.to_bits(), area.to_bits());
        assert_eq!(got.markers as usize, expected.markers.len());
        drawn += u32::from(expected.overlay.is_drawn());
    }
    drawn
}

#[test]
fn the_bundled_demonstration_gives_the_same_scenes_and_screens_as_in_rust_bit_by_bit() {
    let path = bundled().join("../../assets/cine/heart-4ch.dcm");
    let mut source = DicomSource::open(&path).unwrap();
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut rust = Rust::new();
    let mut frame = Frame::default();
    let (mut drawn, mut compared) = (0, 0);
    for n in 1..=FRAMES {
        source.next_into(&mut frame).unwrap();
        if n % 40 == 0 {
            source.rewind();
        }
        let now_ns = n * PERIOD_NS;
        rust.hand.store(now_ns, Ordering::Release);
        assert_eq!(sonotap_set_now_ns(session.0, now_ns), SONOTAP_OK);
        if n == 8 {
            let [x0, y0, x1, y1] = BOX;
            let rect = Rect::<ImageSpace>::new(x0, y0, x1, y1);
            let shown = rust.live.on_screen();
            assert!(shown.is_some());
            rust.live.command(Command::BoxPrompt { rect, shown }, rust.live.clock().now());
            assert_eq!(sonotap_box(session.0, x0, y0, x1, y1, shown.unwrap().0, 0), SONOTAP_OK);
        }
        if n == 60 {
            rust.live.command(Command::Freeze, rust.live.clock().now());
            assert_eq!(sonotap_command(session.0, SONOTAP_FREEZE, 0.0), SONOTAP_OK);
        }
        let expected = rust.turn(&frame);
        // As above: what is polled is drawn and presented, then predicted, then polled again.
        assert!(session.push(&host_frame(&frame)) >= 0, "{}", last_error());
        let mut got = None;
        for _ in 0..2 {
            if let Some(told) = session.poll() {
                let mut pixels = vec![0; 800 * 480 * 4];
                assert_eq!(session.draw(SONOTAP_DRAW_SCREEN, &picture_of(b"XR24", 800, 480, &mut pixels)), SONOTAP_OK);
                let words = pixels.chunks_exact(4).map(|p| u32::from_le_bytes(p.try_into().unwrap()));
                got = Some((told, words.collect::<Vec<u32>>()));
                assert_eq!(sonotap_presented(session.0, told.ticket, 0), SONOTAP_OK);
            }
            if sonotap_step(session.0) != SONOTAP_OK {
                break;
            }
        }
        assert_eq!(got.is_some(), expected.is_some(), "frame {n}");
        if let (Some((told, screen)), Some((scene, drawn_screen))) = (&got, &expected) {
            drawn += assert_same(&session, told, scene);
            compared += 1;
            assert!(screen == drawn_screen, "frame {n}: the screens differ");
        }
    }
    assert!(compared >= 45 && drawn >= 30, "{compared} scenes, {drawn} outlines");
}

#[test]
fn a_mask_is_the_outline_and_measures_what_it_measures() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let (mut outlined, mut measured) = (0, 0);
    for n in 1..=20 {
        let frame = probe.step();
        if n == 5 {
            let (x, y) = probe.middle();
            assert_eq!(sonotap_tap(session.0, x, y, 1, 0, 0), SONOTAP_OK);
        }
        let Some(told) = turn(&session, &frame, n * PERIOD_NS) else { continue };
        if told.objects == 1 {
            let (_, object) = session.object(0);
            if object.points > 0 {
                let (status, mask) = session.mask(0, 320, 240);
                assert_eq!(status, SONOTAP_OK, "{}", last_error());
                let area = mask.iter().filter(|&&v| v == 255).count() as f64;
                assert!(mask.iter().all(|&v| v == 0 || v == 255));
                // Nothing is measured on a carried outline.
                let is_exact = object.overlay == SONOTAP_OVERLAY_EXACT;
                assert_eq!(object.is_measured != 0, is_exact);
                if is_exact {
                    assert!(
                        (area - object.area_px).abs() < 0.03 * object.area_px,
                        "{area} px, {} measured",
                        object.area_px
                    );
                    assert!((object.area_mm2 - object.area_px * 0.01).abs() < 1e-3 * object.area_mm2);
                    assert_eq!((object.is_metric, object.scale_source), (1, SONOTAP_SCALE_PHANTOM));
                    measured += 1;
                }
                let (status, marker) = session.marker(0, 0);
                assert_eq!((status, marker.kind), (SONOTAP_OK, SONOTAP_MARKER_INCLUDE));
                outlined += 1;
            }
        }
        let (status, pixels) = session.frame(b"GREY", 320, 240);
        assert_eq!(status, SONOTAP_OK);
        assert!(pixels == probe.frame.pixels(), "the frame of the scene is the one that was pushed");
        assert_eq!(told.host_id, n);
        sonotap_presented(session.0, told.ticket, 0);
    }
    assert!(outlined >= 10 && measured >= 1, "{outlined} outlines, {measured} measured");
}

#[test]
fn every_format_and_stride_gives_the_same_grey() {
    let model = Model::bundled();
    let session = model.open(&sonotap_config { flags: stepped().flags | SONOTAP_GREY, ..config() }).unwrap();
    let (width, height) = (34u32, 18u32);
    let grey = |x: u32, y: u32| (20 + 3 * x + 5 * y) as u8;
    let px = || (0..height).flat_map(move |y| (0..width).map(move |x| grey(x, y)));
    let chroma = |n: u32| std::iter::repeat_n(128u8, n as usize);
    let half = (width / 2) * (height / 2);
    let formats: Vec<(&[u8; 4], Vec<u8>)> = vec![
        (b"GREY", px().collect()),
        (b"Y16 ", px().flat_map(|v| [0, v]).collect()),
        (b"YUYV", px().flat_map(|v| [v, 128]).collect()),
        (b"UYVY", px().flat_map(|v| [128, v]).collect()),
        (b"NV12", px().chain(chroma(2 * half)).collect()),
        (b"NV16", px().chain(chroma(4 * half)).collect()),
        (b"YU12", px().chain(chroma(2 * half)).collect()),
        (b"RGB3", px().flat_map(|v| [v; 3]).collect()),
        (b"BGR3", px().flat_map(|v| [v; 3]).collect()),
        (b"XR24", px().flat_map(|v| [v, v, v, 9]).collect()),
        (b"BX24", px().flat_map(|v| [9, v, v, v]).collect()),
        (b"P010", px().flat_map(|v| [0, v]).chain((0..2 * half).flat_map(|_| [0, 128])).collect()),
    ];
    let mut now_ns = 0;
    let mut shown = |frame: sonotap_frame| {
        now_ns += PERIOD_NS;
        let told = turn(&session, &sonotap_frame { is_full_range: 1, ..frame }, now_ns).expect("a new picture");
        let (status, pixels) = session.frame(b"GREY", width, height);
        assert_eq!((status, told.width), (SONOTAP_OK, width));
        sonotap_presented(session.0, told.ticket, 0);
        pixels
    };
    let expected: Vec<u8> = px().collect();
    for (name, bytes) in &formats {
        assert_eq!(shown(frame_of(name, width, height, bytes)), expected, "{}", String::from_utf8_lossy(*name));
    }
    // Rows with padding, and NV12 in two planes with strides of their own.
    let padded: Vec<u8> =
        (0..height).flat_map(|y| (0..width).map(move |x| grey(x, y)).chain([77; 6])).take(18 * 40 - 6).collect();
    assert_eq!(shown(sonotap_frame { stride: [40, 0], ..frame_of(b"GREY", width, height, &padded) }), expected);
    let uv = vec![128; 44 * 9];
    let planes = sonotap_frame {
        stride: [40, 44],
        plane: [padded.as_ptr(), uv.as_ptr()],
        plane_bytes: [padded.len(), uv.len()],
        ..frame_of(b"NV12", width, height, &padded)
    };
    assert_eq!(shown(planes), expected);
}

#[test]
fn the_overlay_is_drawn_over_the_hosts_picture_and_nowhere_else() {
    let model = Model::bundled();
    let session = model.open(&stepped()).unwrap();
    let mut probe = Probe::new(320, 240);
    let (mut outlined, mut last) = (0, None);
    for n in 1..=20 {
        let frame = probe.step();
        if n == 5 {
            let (x, y) = probe.middle();
            sonotap_tap(session.0, x, y, 1, 0, 0);
        }
        let Some(told) = turn(&session, &frame, n * PERIOD_NS) else { continue };
        let mut pixels = vec![40; 500 * 300 * 3];
        let place = sonotap_rect { x: 100.0, y: 20.0, w: 320.0, h: 240.0 };
        let into = sonotap_picture { place, ..picture_of(b"RGB3", 500, 300, &mut pixels) };
        assert_eq!(session.draw(SONOTAP_DRAW_OVERLAY, &into), SONOTAP_OK, "{}", last_error());
        let is_painted = |at: usize| pixels[3 * at..3 * at + 3] != [40; 3];
        let is_inside = |at: usize| (100..420).contains(&(at % 500)) && (20..260).contains(&(at / 500));
        assert!((0..500 * 300).all(|at| is_inside(at) || !is_painted(at)), "painted beside the image");
        let painted = (0..500 * 300).filter(|&at| is_painted(at)).count();
        assert!(painted > 500, "the label is always there: {painted} px");
        let is_outlined = told.objects > 0 && session.object(0).1.points > 0;
        outlined += u32::from(is_outlined);
        last = Some((is_outlined, painted));
        sonotap_presented(session.0, told.ticket, 0);
    }
    assert!(outlined > 10 && last.is_some_and(|(is_outlined, _)| is_outlined));
}
