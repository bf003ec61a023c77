use std::time::Duration;

use super::motion::{Motion, Pulse, Turn};
use super::probe::{BEAMS, Field, Probe, SAMPLES};
use super::scene::{Anatomy, Body, Layer, Shape, Tissue};
use super::speckle::ValueNoise;
use super::*;

/// A small picture of nothing that happens to be configured otherwise.
fn small() -> PhantomConfig {
    PhantomConfig { width: 160, height: 120, ..PhantomConfig::default() }
}

fn phantom(preset: PhantomPreset, config: PhantomConfig) -> Phantom {
    Phantom::new(preset, config).unwrap()
}

fn rendered(phantom: &mut Phantom, index: u64) -> Frame {
    let mut frame = Frame::default();
    phantom.render_at(index, &mut frame);
    frame
}

const STILL: Motion = Motion {
    centre: Point::new(0.0, 20.0),
    pulse: Pulse { axes: (1.0, 1.0), tilt: 0.0, amplitude: 0.0, beats: 0 },
    turn: Turn { amplitude: 0.0, rigid_mm: 1.0, still_mm: 2.0, cycles: 0 },
    sway_mm: 0.0,
    heave_mm: 0.0,
    grip_mm: 10.0,
    breaths: 0,
};

const PROBE: Probe = Probe {
    field: Field::Linear { aperture_mm: 40.0 },
    depth_mm: 40.0,
    frequency_mhz: 5.0,
    focus_mm: 20.0,
    focus_beams: 1.3,
    spread_beams: 1.0,
    noise_db: -60.0,
    expected_attenuation: 0.5,
};

/// Echo power of one kind of tissue, without noise, with `bodies` in it and drawn with `seed`.
fn power_of(probe: Probe, attenuation: f32, bodies: Vec<Body>, seed: u64) -> Vec<f32> {
    let tissue = Tissue::smooth(0.0, attenuation);
    let anatomy = Anatomy {
        face_radius_mm: f32::INFINITY,
        layers: vec![Layer { top_mm: -90.0, wave_mm: 0.0, wave_length_mm: 1.0, reflection: 0.0, tissue }],
        bodies,
        interface_mm: 0.1,
        noise: ValueNoise::new(1),
    };
    let atlas = Atlas::new(&probe, &anatomy, seed);
    let mut renderer = Renderer::new(probe, Compression { white_db: 20.0, range_db: 60.0 }, 0.0, 1);
    renderer.tissue(&atlas, &Moment { pose: Pose::new(STILL, 0.0, 0.0), drift: 0.4, noise_key: 0 });
    renderer.power()
}

/// Mean power of a rectangle of the beam grid over some seeds, dB.
fn mean_db(pictures: &[Vec<f32>], beams: std::ops::Range<usize>, samples: std::ops::Range<usize>) -> f64 {
    let mut sum = 0.0;
    for picture in pictures {
        for s in samples.clone() {
            sum += picture[s * BEAMS..][beams.clone()].iter().map(|&p| f64::from(p)).sum::<f64>();
        }
    }
    10.0 * (sum / (pictures.len() * beams.len() * samples.len()) as f64).log10()
}

fn disc(y_mm: f32, radius_mm: f32, echo_db: f32, attenuation: f32) -> Body {
    let shape = Shape::ellipse(Point::new(0.0, y_mm), (radius_mm, radius_mm), 0.0);
    Body { shape, tissue: Tissue::smooth(echo_db, attenuation), edge_mm: 0.1, reflection: 0.0 }
}

#[test]
fn envelope_of_homogeneous_tissue_has_rayleigh_signal_to_noise() {
    let power = power_of(PROBE, 0.5, Vec::new(), 3);
    for rows in [170..300, 300..500] {
        let mut envelope = Vec::new();
        for s in rows {
            let line = &power[s * BEAMS..(s + 1) * BEAMS];
            let gain = gain_ripple_db(s);
            envelope.extend(line.iter().map(|p| f64::from(p.sqrt()) * 10f64.powf(-gain / 20.0)));
        }
        let n = envelope.len() as f64;
        let mean = envelope.iter().sum::<f64>() / n;
        let deviation = (envelope.iter().map(|e| (e - mean).powi(2)).sum::<f64>() / n).sqrt();
        assert!((mean / deviation - 1.913).abs() < 0.08, "{}", mean / deviation);
        let power = envelope.iter().map(|e| e * e).sum::<f64>() / n;
        assert!((0.85..1.2).contains(&power), "power {power}, not that of soft tissue");
    }
}

/// What the sliders of the time-gain compensation are off by, dB.
fn gain_ripple_db(s: usize) -> f64 {
    1.2 * (std::f64::consts::TAU * 2.5 * s as f64 / SAMPLES as f64).sin()
}

#[test]
fn echoes_fall_with_depth_by_the_attenuation() {
    let probe = Probe { expected_attenuation: 0.0, ..PROBE };
    for attenuation in [0.3, 0.7] {
        let pictures: Vec<_> = (0..2).map(|seed| power_of(probe, attenuation, Vec::new(), seed)).collect();
        let db = |s: usize| mean_db(&pictures, 0..BEAMS, s - 15..s + 15) - gain_ripple_db(s);
        let fall = db(180) - db(430);
        let cm = 250.0 * f64::from(probe.sample_mm()) / 10.0;
        let expected = 2.0 * f64::from(attenuation * probe.frequency_mhz) * cm;
        assert!((fall - expected).abs() < 0.8, "{fall} dB, expected {expected}");
    }
}

#[test]
fn fluid_is_darker_than_tissue_by_its_echo_level() {
    let pictures: Vec<_> = (0..3).map(|seed| power_of(PROBE, 0.5, vec![disc(20.0, 7.0, -25.0, 0.5)], seed)).collect();
    let (inside, beside) = (mean_db(&pictures, 98..126, 220..290), mean_db(&pictures, 10..60, 220..290));
    assert!((beside - inside - 25.0).abs() < 1.2, "{} dB", beside - inside);
}

#[test]
fn shadow_and_enhancement_are_the_attenuation_left_out_or_added() {
    for attenuation in [0.0, 1.2] {
        let pictures: Vec<_> =
            (0..3).map(|seed| power_of(PROBE, 0.5, vec![disc(18.0, 6.0, 0.0, attenuation)], seed)).collect();
        let (behind, beside) = (mean_db(&pictures, 107..117, 330..420), mean_db(&pictures, 5..45, 330..420));
        let expected = 2.0 * f64::from(PROBE.frequency_mhz) * (0.5 - f64::from(attenuation)) * 1.2;
        assert!((behind - beside - expected).abs() < 1.5, "{} dB, expected {expected}", behind - beside);
    }
}

#[test]
fn any_frame_has_the_same_bytes_whatever_was_rendered_before() {
    let preset = PhantomPreset::FetalHead;
    let mut a = phantom(preset, small());
    let first = rendered(&mut a, 41).pixels;
    let other = rendered(&mut a, 7).pixels;
    assert!(first == rendered(&mut a, 41).pixels, "{preset}: changed after another frame");
    assert!(other == rendered(&mut phantom(preset, small()), 7).pixels, "{preset}: changed in another scanner");
    assert!(first != other, "{preset}: does not move");
    let another = rendered(&mut phantom(preset, PhantomConfig { seed: 2, ..small() }), 7).pixels;
    assert!(other != another, "{preset}: the seed does nothing");
}

#[test]
fn truth_has_the_area_of_the_analytic_shape() {
    for preset in PhantomPreset::ALL {
        let p = phantom(preset, PhantomConfig { motion: 0.0, ..PhantomConfig::default() });
        let mut truth = Bitmap::new(1, 1);
        p.truth_at(0, &mut truth);
        let scene = &p.takes[0].scene;
        let mm2 = scene.structure.area_mm2() - scene.hole.as_ref().map_or(0.0, Shape::area_mm2);
        let px = mm2 / f64::from(p.scale().mm_per_px().0).powi(2);
        let ratio = truth.area_px() as f64 / px;
        assert!((ratio - 1.0).abs() < 0.01, "{preset}: {ratio}");
    }
}

#[test]
fn moving_truth_has_the_area_of_its_moving_outline() {
    for preset in PhantomPreset::ALL {
        let p = phantom(preset, PhantomConfig::default());
        let mut truth = Bitmap::new(640, 480);
        let index = 6;
        p.truth_at(index, &mut truth);
        let twice = |outline: &[Point<ImageSpace>]| -> f64 {
            (0..outline.len())
                .map(|i| (outline[i], outline[(i + 1) % outline.len()]))
                .map(|(a, b)| f64::from(a.x) * f64::from(b.y) - f64::from(b.x) * f64::from(a.y))
                .sum()
        };
        let pose = p.pose(p.span(index), index);
        let hole: Vec<Point<ImageSpace>> = match &p.takes[0].scene.hole {
            Some(hole) => scene::around(2000).map(|a| p.plane.px_of(pose.now_of(hole.boundary(a)))).collect(),
            None => Vec::new(),
        };
        let ratio = truth.area_px() as f64 / ((twice(&p.truth_outline(index, 2000)) - twice(&hole)) / 2.0);
        assert!((ratio - 1.0).abs() < 0.01, "{preset} frame {index}: {ratio}");
    }
}

#[test]
fn a_wall_is_a_ring_around_what_it_encloses() {
    for (wall, inside) in
        [(PhantomPreset::VesselWall, PhantomPreset::Vessel), (PhantomPreset::Myocardium, PhantomPreset::Chamber)]
    {
        let truth = |preset| {
            let mut truth = Bitmap::new(1, 1);
            phantom(preset, PhantomConfig::default()).truth_at(9, &mut truth);
            truth
        };
        let (ring, lumen) = (truth(wall), truth(inside));
        let both = ring.pixels().iter().zip(lumen.pixels()).filter(|(r, l)| **r != 0 && **l != 0).count();
        assert_eq!(both, 0, "{wall}");
        let tap = phantom(wall, PhantomConfig::default()).tap_point(9).unwrap();
        assert!(ring.get(tap.x as u32, tap.y as u32), "{wall}: {tap:?}");
    }
}

#[test]
fn truth_moves_as_displacement_says() {
    // Of a needle no way to the middle leads inwards.
    for preset in PhantomPreset::ALL.into_iter().filter(|p| *p != PhantomPreset::Needle) {
        let p = phantom(preset, PhantomConfig::default());
        let mut truth = Bitmap::new(640, 480);
        p.truth_at(63, &mut truth);
        let centre = p.plane.px_of(p.pose(p.span(63), 63).now_of(p.takes[0].scene.structure.centre));
        let mut moved = 0.0f32;
        for edge in p.truth_outline(20, 60) {
            let there = p.displacement(edge, 20, 63).unwrap();
            moved = moved.max(there.distance(edge));
            let k = 2.0 / there.distance(centre);
            let at = |k: f32| (centre.x + (there.x - centre.x) * k, centre.y + (there.y - centre.y) * k);
            let (inner, outer) = (at(1.0 - k), at(1.0 + k));
            assert!(truth.get(inner.0 as u32, inner.1 as u32), "{preset}: {there:?} lies outside");
            assert!(!truth.get(outer.0 as u32, outer.1 as u32), "{preset}: {there:?} lies inside");
        }
        assert!(moved > 2.0, "{preset}: moves by {moved} px only");
    }
}

#[test]
fn speckle_moves_as_displacement_says() {
    let mut p = phantom(PhantomPreset::Lesion, PhantomConfig::default());
    let (a, b) = (rendered(&mut p, 0), rendered(&mut p, 24));
    let tap = p.tap_point(0).unwrap();
    let mut hits = 0;
    let places = [(-110.0, -20.0), (-110.0, 40.0), (110.0, -30.0), (110.0, 30.0), (0.0, 60.0), (-60.0, 120.0)];
    for (dx, dy) in places {
        let from = Point::new(tap.x + dx, tap.y + dy);
        let to = p.displacement(from, 0, 24).unwrap();
        let shift = (to.x - from.x, to.y - from.y);
        assert!(shift.0.hypot(shift.1) > 3.0, "the test needs motion");
        let found = best_shift(&a, &b, (from.x as i32, from.y as i32), 16);
        hits += usize::from((found.0 as f32 - shift.0).abs() <= 1.0 && (found.1 as f32 - shift.1).abs() <= 1.0);
    }
    assert!(hits >= places.len() - 1, "only {hits} of {} patches are where their tissue is", places.len());
}

/// The whole-pixel shift of greatest normalised correlation for a patch of 29 x 29 px.
fn best_shift(a: &Frame, b: &Frame, (x, y): (i32, i32), reach: i32) -> (i32, i32) {
    let patch = |f: &Frame, x: i32, y: i32| -> Vec<f32> {
        let at = |i: i32| f32::from(f.grey((x + i % 29 - 14) as u32, (y + i / 29 - 14) as u32));
        let raw: Vec<f32> = (0..29 * 29).map(at).collect();
        let mean = raw.iter().sum::<f32>() / raw.len() as f32;
        let norm = raw.iter().map(|v| (v - mean).powi(2)).sum::<f32>().sqrt();
        raw.iter().map(|v| (v - mean) / norm).collect()
    };
    let reference = patch(a, x, y);
    let mut best = (f32::MIN, (0, 0));
    for dy in -reach..=reach {
        for dx in -reach..=reach {
            let r: f32 = patch(b, x + dx, y + dy).iter().zip(&reference).map(|(p, q)| p * q).sum();
            if r > best.0 {
                best = (r, (dx, dy));
            }
        }
    }
    best.1
}

#[test]
fn size_in_pixels_times_scale_is_the_physical_size() {
    for (width, height) in [(640, 480), (333, 480), (1200, 300)] {
        let p =
            phantom(PhantomPreset::Vessel, PhantomConfig { width, height, motion: 0.0, ..PhantomConfig::default() });
        let radius = p.takes[0].scene.structure.axes.0;
        let mut truth = Bitmap::new(1, 1);
        p.truth_at(0, &mut truth);
        let across = (0..height).map(|y| (0..width).filter(|&x| truth.get(x, y)).count()).max().unwrap();
        let (mm, mm_y) = p.scale().mm_per_px();
        assert_eq!(mm, mm_y);
        assert!((across as f32 * mm - 2.0 * radius).abs() <= mm, "{width}x{height}: {across} px");
    }
}

#[test]
fn outside_the_fan_is_black() {
    for preset in [PhantomPreset::Chamber, PhantomPreset::FetalHead] {
        let mut p = phantom(preset, PhantomConfig { noise: 100.0, ..small() });
        let frame = rendered(&mut p, 5);
        let (mut outside, mut lit) = (0, 0);
        for y in 0..120 {
            for x in 0..160 {
                let at = p.plane.mm_of(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                if p.takes[0].scene.probe.sees(at) {
                    lit += usize::from(frame.grey(x, y) > 0);
                } else {
                    outside += 1;
                    assert_eq!(frame.grey(x, y), 0, "{preset}: ({x}, {y})");
                }
            }
        }
        assert!(outside > 4000 && lit > 4000, "{preset}: {outside} outside, {lit} lit");
    }
}

#[test]
fn tap_point_and_outline_stay_in_view_on_all_frames() {
    for preset in PhantomPreset::ALL {
        for seed in 0..40 {
            let scene = presets::scene(preset, seed);
            for i in 0..90 {
                let pose = Pose::new(scene.motion, f64::from(i) / 90.0, MOTION_MAX);
                assert!(scene.shows(&pose, pose.now_of(scene.inner_place())), "{preset} seed {seed} phase {i}/90");
                // A wall may be cut by the edge of the field, but what it encloses may not.
                let edge = scene.hole.as_ref().unwrap_or(&scene.structure);
                let hidden = scene::around(24).filter(|&a| !scene.probe.sees(pose.now_of(edge.boundary(a))));
                assert_eq!(hidden.count(), 0, "{preset} seed {seed} phase {i}/90 leaves the field of view");
            }
        }
    }
}

#[test]
fn extreme_configurations_give_finite_echoes() {
    let extremes = [
        PhantomConfig { width: 1, height: 1, ..PhantomConfig::default() },
        PhantomConfig { width: 2, height: 900, frame_period: Duration::from_nanos(1), ..PhantomConfig::default() },
        PhantomConfig {
            width: 900,
            height: 2,
            frame_period: Duration::from_nanos(u64::MAX),
            noise: 0.0,
            ..PhantomConfig::default()
        },
        PhantomConfig { noise: 100.0, motion: MOTION_MAX, dynamic_range_db: 20.0, seed: u64::MAX, ..small() },
    ];
    for (preset, config) in
        [PhantomPreset::Chamber, PhantomPreset::Vessel, PhantomPreset::FetalHead, PhantomPreset::Cyst]
            .into_iter()
            .zip(extremes)
    {
        let mut p = phantom(preset, config.clone());
        for index in [7, u64::MAX] {
            rendered(&mut p, index);
            assert!(p.renderer.power().iter().all(|v| v.is_finite()), "{preset} {config:?} frame {index}");
        }
    }
}

#[test]
fn impossible_configurations_are_refused_by_name() {
    let cases = [
        (PhantomConfig { width: 0, ..small() }, "width 1..=4096 px, got 0"),
        (PhantomConfig { height: 5000, ..small() }, "height 1..=4096 px, got 5000"),
        (PhantomConfig { frame_period: Duration::ZERO, ..small() }, "frame period above 0"),
        (PhantomConfig { motion: f32::NAN, ..small() }, "motion 0.0..=2.0, got NaN"),
        (PhantomConfig { dynamic_range_db: 0.0, ..small() }, "dynamic_range_db 20.0..=120.0, got 0"),
        (PhantomConfig { noise: -1.0, ..small() }, "noise 0.0..=100.0, got -1"),
        (PhantomConfig { events: vec![(3, Event::Lift), (3, Event::Touch)], ..small() }, "two at frame 3"),
        (PhantomConfig { events: (0..9).map(|i| (i, Event::Lift)).collect(), ..small() }, "at most 8 events, got 9"),
    ];
    for (config, part) in cases {
        let error = Phantom::new(PhantomPreset::Cyst, config).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn names_are_parsed_and_an_unknown_one_is_told_the_others() {
    for preset in PhantomPreset::ALL {
        assert_eq!(preset.to_string().parse::<PhantomPreset>().unwrap(), preset);
    }
    let error = "liver".parse::<PhantomPreset>().unwrap_err().to_string();
    let names = "cyst, lesion, vessel, vessel-wall, chamber, myocardium, fetal-head, needle";
    assert_eq!(error, format!("phantom: expected one of {names}, got \"liver\""));
}

#[test]
fn a_lifted_probe_shows_no_tissue_and_comes_back_to_the_same() {
    let events = vec![(20, Event::Touch), (10, Event::Lift)];
    let mut p = phantom(PhantomPreset::Cyst, PhantomConfig { events, ..small() });
    let mut plain = phantom(PhantomPreset::Cyst, small());
    for index in [9, 20] {
        assert!(rendered(&mut p, index).pixels == rendered(&mut plain, index).pixels, "frame {index}");
    }
    let lifted = rendered(&mut p, 19);
    let mean = |f: &Frame, y0: u32| (0..160).map(|x| u32::from(f.grey(x, y0 + x % 20))).sum::<u32>() / 160;
    assert!(mean(&lifted, 80) < 10, "echoes from the depth of air");
    assert!(mean(&lifted, 0) > 60, "no echo of the probe's own face");
    let mut truth = Bitmap::new(160, 120);
    p.truth_into(&mut truth);
    assert_eq!(truth.area_px(), 0);
    assert_eq!((p.tap_point(19), p.truth_outline(19, 9).len()), (None, 0));
    assert_eq!(p.displacement(Point::new(80.0, 60.0), 9, 19), None);
    assert!(p.displacement(Point::new(80.0, 60.0), 9, 20).is_some());
}

#[test]
fn a_cut_shows_another_patient_with_another_truth() {
    let mut p = phantom(PhantomPreset::Lesion, PhantomConfig { events: vec![(4, Event::Cut { seed: 77 })], ..small() });
    let other = phantom(PhantomPreset::Lesion, PhantomConfig { seed: 77, ..small() });
    rendered(&mut p, 4);
    let (mut a, mut b, mut before) = (Bitmap::new(1, 1), Bitmap::new(1, 1), Bitmap::new(1, 1));
    p.truth_into(&mut a);
    other.truth_at(4, &mut b);
    p.truth_at(3, &mut before);
    assert_eq!(a.iou(&b), 1.0);
    assert!(a.iou(&before) < 0.8, "the patients are too much alike for a cut");
    assert_eq!(p.displacement(Point::new(80.0, 60.0), 3, 4), None);
    assert!(rendered(&mut p, 3).pixels != rendered(&mut p, 4).pixels);
}

#[test]
fn motion_repeats_and_noise_does_not() {
    let mut p = phantom(PhantomPreset::Vessel, small());
    let n = p.loop_frames();
    assert_eq!(n, 360);
    let (mut a, mut b) = (Bitmap::new(1, 1), Bitmap::new(1, 1));
    p.truth_at(13, &mut a);
    p.truth_at(13 + n, &mut b);
    assert_eq!(a, b);
    assert!(rendered(&mut p, 13).pixels != rendered(&mut p, 13 + n).pixels);
}

#[test]
fn as_a_source_it_starts_at_frame_0_and_goes_on() {
    let mut p = phantom(PhantomPreset::Cyst, small());
    let zero = rendered(&mut p, 0).pixels;
    let mut frame = Frame { id: Some(crate::units::FrameId(9)), ..Frame::default() };
    assert_eq!(p.next_into(&mut frame).unwrap(), Next::Filled);
    assert!(frame.pixels == zero);
    assert_eq!((frame.id.map(|id| id.0), p.frame_index()), (Some(9), 0));
    p.next_into(&mut frame).unwrap();
    assert_eq!(p.frame_index(), 1);
    assert!(frame.pixels != zero);
    p.rewind();
    p.next_into(&mut frame).unwrap();
    assert!(frame.pixels == zero);
    let d = p.description();
    assert_eq!((d.name.as_str(), d.width, d.height, d.frames), ("phantom:cyst", 160, 120, None));
    assert_eq!((frame.scale, frame.region.content), (Some(p.scale()), RegionContent::BMode));
}
