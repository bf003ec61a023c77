//! The scenes. Sizes and echo levels are typical of the organ; the seed varies them.

use std::f32::consts::{FRAC_PI_2, TAU};

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64;

use crate::geometry::Point;

use super::PhantomPreset;
use super::motion::{Motion, Pulse, Rest, Turn};
use super::probe::{Field, Probe};
use super::scene::{Anatomy, Body, Layer, Lobe, Scene, Shape, Tissue};
use super::speckle::ValueNoise;

/// Time after which every motion repeats, seconds.
pub(super) const LOOP_SECS: f64 = 12.0;
const BREATHS: u32 = 3;
const HEART_BEATS: u32 = 13;

const SKIN: Tissue = Tissue::smooth(4.0, 0.8);
const FAT: Tissue = Tissue::smooth(-15.0, 0.5).mottled(2.5, (6.0, 2.2)).stranded(16.0);
const GLAND: Tissue = Tissue::smooth(-5.0, 0.6).mottled(11.0, (5.5, 2.4)).stranded(12.0);
const MUSCLE: Tissue = Tissue::smooth(-16.0, 0.6).mottled(4.0, (9.0, 0.8)).stranded(17.0);
/// Thickness of an artery's wall.
const VESSEL_WALL_MM: f32 = 0.7;
const FLUID: Tissue = Tissue::smooth(-60.0, 0.02);

pub(super) fn scene(preset: PhantomPreset, seed: u64) -> Scene {
    let mut vary = Vary(Pcg64::seed_from_u64(seed ^ 0x7363_656e));
    let noise = ValueNoise::new(seed);
    match preset {
        PhantomPreset::Cyst => cyst(&mut vary, noise),
        PhantomPreset::Lesion => lesion(&mut vary, noise),
        PhantomPreset::Vessel => vessel(&mut vary, noise),
        PhantomPreset::VesselWall => vessel(&mut vary, noise).walled(VESSEL_WALL_MM),
        PhantomPreset::Chamber => chamber(&mut vary, noise).0,
        PhantomPreset::Myocardium => {
            let (scene, wall_mm) = chamber(&mut vary, noise);
            scene.walled(wall_mm)
        }
        PhantomPreset::FetalHead => fetal_head(&mut vary, noise),
        PhantomPreset::Needle => needle(&mut vary, noise),
    }
}

/// Draws the variation between patients.
struct Vary(Pcg64);

impl Vary {
    fn within(&mut self, low: f32, high: f32) -> f32 {
        self.0.random_range(low..high)
    }

    fn side(&mut self) -> f32 {
        if self.0.random_bool(0.5) { 1.0 } else { -1.0 }
    }
}

fn linear(aperture_mm: f32, depth_mm: f32, frequency_mhz: f32) -> Probe {
    Probe {
        field: Field::Linear { aperture_mm },
        depth_mm,
        frequency_mhz,
        focus_mm: 0.5 * depth_mm,
        focus_beams: 1.25,
        spread_beams: 1.1,
        noise_db: -64.0,
        expected_attenuation: 0.55,
    }
}

fn layer(top_mm: f32, wave_mm: f32, reflection: f32, tissue: Tissue) -> Layer {
    Layer { top_mm, wave_mm, wave_length_mm: 16.0, reflection, tissue }
}

fn body(shape: Shape, tissue: Tissue, edge_mm: f32, reflection: f32) -> Body {
    Body { shape, tissue, edge_mm, reflection }
}

fn ellipse(x: f32, y: f32, a: f32, b: f32, tilt: f32) -> Shape {
    Shape::ellipse(Point::new(x, y), (a, b), tilt)
}

fn at_rest(centre: Point<Rest>) -> Motion {
    Motion {
        centre,
        pulse: Pulse { axes: (1.0, 1.0), tilt: 0.0, amplitude: 0.0, beats: 0 },
        turn: Turn { amplitude: 0.0, rigid_mm: 1.0, still_mm: 2.0, cycles: 0 },
        sway_mm: 0.0,
        heave_mm: 0.0,
        grip_mm: 10.0,
        breaths: BREATHS,
    }
}

/// Skin, fat, gland, retromammary fascia and pectoral muscle, ribs' line.
fn breast_layers(vary: &mut Vary) -> Vec<Layer> {
    let fat = vary.within(6.0, 9.0);
    let muscle = vary.within(24.0, 27.0);
    vec![
        layer(-9.0, 0.0, 0.0, SKIN),
        layer(1.7, 0.2, 2.5, FAT),
        layer(0.5 * fat + 0.8, 1.0, 4.0, FAT),
        layer(fat, 2.2, 4.0, GLAND),
        layer(muscle - 3.5, 1.8, 3.0, FAT),
        layer(muscle, 1.6, 6.0, MUSCLE),
        layer(muscle + 6.5, 1.8, 8.0, Tissue::smooth(-12.0, 1.3).mottled(6.0, (9.0, 1.6))),
    ]
}

fn cyst(vary: &mut Vary, noise: ValueNoise) -> Scene {
    let layers = breast_layers(vary);
    let (x, y) = (vary.within(-9.0, 9.0), vary.within(14.0, 17.0));
    let structure = ellipse(x, y, vary.within(6.0, 8.5), vary.within(4.0, 5.5), vary.within(-0.25, 0.25));
    let motion =
        Motion { sway_mm: 1.6, heave_mm: 1.3, grip_mm: 9.0, turn: turn(0.05, 9.0, 22.0), ..at_rest(structure.centre) };
    let bodies = vec![body(structure.grown(0.5), GLAND, 0.5, 0.0), body(structure.clone(), FLUID, 0.12, 3.0)];
    let anatomy = Anatomy { face_radius_mm: f32::INFINITY, layers, bodies, interface_mm: 0.16, noise };
    Scene::new(linear(48.0, 36.0, 8.0), anatomy, structure, motion)
}

fn turn(amplitude: f32, rigid_mm: f32, still_mm: f32) -> Turn {
    Turn { amplitude, rigid_mm, still_mm, cycles: 2 }
}

fn lesion(vary: &mut Vary, noise: ValueNoise) -> Scene {
    let layers = breast_layers(vary);
    let (x, y) = (vary.within(-8.0, 8.0), vary.within(13.0, 15.5));
    let mut structure = ellipse(x, y, vary.within(6.0, 8.0), vary.within(4.5, 5.5), vary.within(-0.4, 0.4));
    structure.lobes = [(2, 0.05), (3, 0.09), (4, 0.05), (5, 0.06), (7, 0.045), (11, 0.025)]
        .map(|(order, most)| Lobe { order, amplitude: vary.within(0.5, 1.0) * most, phase: vary.within(0.0, TAU) })
        .to_vec();
    let tissue = Tissue::smooth(-17.0, 1.7).mottled(4.0, (3.0, 2.0));
    let halo = Tissue::smooth(1.0, 0.9).mottled(6.0, (2.0, 2.0));
    let mut bodies = vec![body(structure.grown(1.4), halo, 1.4, 0.0), body(structure.clone(), tissue, 0.35, 0.5)];
    for _ in 0..4 {
        let (r, a) = (vary.within(0.0, 0.5), vary.within(0.0, TAU));
        let at = (x + r * structure.axes.0 * a.cos(), y + r * structure.axes.1 * a.sin());
        bodies.push(body(ellipse(at.0, at.1, 0.18, 0.14, 0.0), Tissue::smooth(9.0, 3.0), 0.15, 0.0));
    }
    let motion =
        Motion { sway_mm: 1.8, heave_mm: 1.2, grip_mm: 9.0, turn: turn(0.06, 9.0, 22.0), ..at_rest(structure.centre) };
    let anatomy = Anatomy { face_radius_mm: f32::INFINITY, layers, bodies, interface_mm: 0.16, noise };
    Scene::new(linear(48.0, 36.0, 8.0), anatomy, structure, motion)
}

fn vessel(vary: &mut Vary, noise: ValueNoise) -> Scene {
    let (x, y) = (vary.within(-4.0, 4.0), vary.within(14.0, 16.5));
    let radius = vary.within(2.9, 3.7);
    let side = vary.side();
    let structure = ellipse(x, y, radius, radius, 0.0);
    let fascia = Tissue::smooth(-8.0, 0.6).mottled(5.0, (8.0, 1.2)).stranded(8.0);
    let layers = vec![
        layer(-9.0, 0.0, 0.0, SKIN),
        layer(1.5, 0.1, 2.5, FAT),
        layer(vary.within(3.5, 4.5), 0.4, 5.0, MUSCLE),
        layer(vary.within(8.5, 9.5), 0.8, 5.5, fascia),
        layer(y + radius + vary.within(3.0, 4.5), 0.8, 5.0, MUSCLE),
        layer(y + radius + 8.0, 0.7, 8.0, Tissue::smooth(-12.0, 2.2).mottled(4.0, (7.0, 1.5))),
    ];
    let thyroid = Tissue::smooth(-2.0, 0.55).mottled(2.0, (1.5, 1.2));
    let vein_at = (x + side * (radius + vary.within(4.0, 5.0)), y - vary.within(2.0, 3.0));
    let bodies = vec![
        body(ellipse(x - side * 10.5, y + 0.5, 7.5, 5.2, side * 0.25), thyroid, 0.4, 1.2),
        body(ellipse(x - side * 19.5, y - 1.5, 6.0, 7.0, 0.0), Tissue::smooth(-22.0, 3.0), 0.4, 7.0),
        body(ellipse(vein_at.0, vein_at.1, 4.4, 2.1, side * -0.2), Tissue::smooth(-44.0, 0.1), 0.15, 2.5),
        body(structure.grown(1.7), Tissue::smooth(3.0, 0.7).mottled(4.0, (1.5, 1.0)), 0.7, 0.0),
        body(structure.grown(VESSEL_WALL_MM), Tissue::smooth(-12.0, 0.6), 0.15, 5.0),
        body(structure.clone(), Tissue::smooth(-46.0, 0.12), 0.12, 4.0),
    ];
    let motion = Motion {
        pulse: Pulse { axes: (radius, radius), tilt: 0.0, amplitude: 0.11, beats: HEART_BEATS },
        sway_mm: 0.9,
        heave_mm: 0.8,
        ..at_rest(structure.centre)
    };
    let anatomy = Anatomy { face_radius_mm: f32::INFINITY, layers, bodies, interface_mm: 0.15, noise };
    Scene::new(linear(40.0, 30.0, 9.0), anatomy, structure, motion)
}

/// With the thickness of its wall, mm.
fn chamber(vary: &mut Vary, noise: ValueNoise) -> (Scene, f32) {
    let (x, y) = (vary.within(4.0, 12.0), vary.within(66.0, 72.0));
    let (a, b) = (vary.within(18.0, 21.0), vary.within(34.0, 38.0));
    let tilt = vary.within(-0.12, 0.06);
    let mut structure = ellipse(x, y, a, b, tilt);
    structure.lobes = vec![Lobe { order: 3, amplitude: vary.within(0.03, 0.06), phase: FRAC_PI_2 }];
    let wall = vary.within(8.5, 10.5);
    let blood = Tissue::smooth(-42.0, 0.1);
    let muscle = Tissue::smooth(-9.0, 0.5).mottled(4.0, (6.0, 3.0));
    let lung = Tissue::smooth(-20.0, 0.7).mottled(9.0, (14.0, 8.0)).stranded(6.0);
    let layers = vec![
        layer(-9.0, 0.0, 0.0, SKIN),
        layer(3.0, 0.3, 2.0, MUSCLE),
        layer(14.0, 1.2, 4.0, Tissue::smooth(-14.0, 0.6).mottled(6.0, (14.0, 5.0))),
        layer(30.0, 3.0, 0.0, lung),
    ];
    let base = y + b;
    let right = ellipse(x - a - wall - 11.0, y + 8.0, 12.0, b - 9.0, tilt + 0.2);
    let right_atrium = ellipse(right.centre.x, base + 20.0, 15.5, 14.0, 0.0);
    let left_atrium = ellipse(x - 1.0, base + 20.0, 17.5, 14.5, 0.1);
    let myocardium = Tissue::smooth(-6.0, 0.5).mottled(5.0, (4.0, 7.0));
    let bodies = vec![
        body(right.grown(4.5), muscle, 1.0, 1.5),
        body(right_atrium.grown(3.0), muscle, 1.0, 2.0),
        body(left_atrium.grown(3.0), muscle, 1.0, 2.0),
        body(structure.grown(wall), myocardium, 1.0, 4.0),
        body(right, blood, 0.8, 1.5),
        body(right_atrium, blood, 0.8, 2.0),
        body(left_atrium, blood, 0.8, 2.0),
        body(structure.clone(), blood, 0.6, 1.5),
        body(ellipse(x - 0.42 * a, base + 2.0, 0.5 * a, 1.3, 0.3), Tissue::smooth(0.0, 0.6), 0.9, 2.5),
        body(ellipse(x + 0.45 * a, base + 1.5, 0.42 * a, 1.3, -0.35), Tissue::smooth(0.0, 0.6), 0.9, 2.5),
    ];
    let motion = Motion {
        pulse: Pulse { axes: (a, b), tilt, amplitude: -0.24, beats: HEART_BEATS },
        turn: Turn { amplitude: 0.04, rigid_mm: 60.0, still_mm: 95.0, cycles: HEART_BEATS },
        sway_mm: 2.0,
        heave_mm: 2.0,
        grip_mm: 25.0,
        ..at_rest(structure.centre)
    };
    let probe = Probe {
        field: Field::Fan { radius_mm: 4.0, half_angle: 0.66 },
        depth_mm: 145.0,
        frequency_mhz: 2.5,
        focus_mm: 70.0,
        focus_beams: 1.8,
        spread_beams: 1.2,
        noise_db: -62.0,
        expected_attenuation: 0.42,
    };
    let anatomy = Anatomy { face_radius_mm: f32::INFINITY, layers, bodies, interface_mm: 0.8, noise };
    (Scene::new(probe, anatomy, structure, motion), wall)
}

fn fetal_head(vary: &mut Vary, noise: ValueNoise) -> Scene {
    let (x, y) = (vary.within(-8.0, 8.0), vary.within(74.0, 80.0));
    let (a, b) = (vary.within(42.0, 48.0), vary.within(33.0, 37.0));
    let tilt = vary.within(-0.35, 0.35);
    let structure = ellipse(x, y, a, b, tilt);
    let wall = Tissue::smooth(-9.0, 0.55).mottled(8.0, (14.0, 5.0)).stranded(5.0);
    let layers = vec![
        layer(-9.0, 0.0, 0.0, SKIN),
        layer(3.0, 0.3, 2.0, Tissue::smooth(-12.0, 0.5).mottled(4.0, (14.0, 3.0)).stranded(9.0)),
        layer(12.0, 1.0, 4.0, Tissue::smooth(-11.0, 0.6).mottled(3.0, (30.0, 2.0)).stranded(9.0)),
        layer(20.0, 1.5, 5.0, wall),
        Layer { wave_length_mm: 45.0, ..layer(y + b + 16.0, 4.0, 5.0, wall) },
    ];
    let (s, c) = tilt.sin_cos();
    let inner = |u: f32, v: f32, p: f32, q: f32, turned: f32| {
        ellipse(x + c * u - s * v, y + s * u + c * v, p, q, tilt + turned)
    };
    let brain = Tissue::smooth(-21.0, 0.3).mottled(5.0, (7.0, 6.0)).stranded(7.0);
    let bright = Tissue::smooth(-4.0, 0.5).mottled(4.0, (3.0, 2.0));
    let falx = Tissue::smooth(7.0, 0.6).mottled(8.0, (4.0, 4.0));
    let mut pool = ellipse(x + vary.within(-5.0, 5.0), y + 2.0, a + 16.0, b + 11.0, tilt);
    pool.lobes = vec![Lobe { order: 3, amplitude: 0.05, phase: vary.within(0.0, TAU) }];
    let bodies = vec![
        body(pool, Tissue::smooth(-40.0, 0.05), 1.5, 1.6),
        body(structure.grown(-1.0), Tissue::smooth(9.0, 1.5).mottled(4.0, (9.0, 9.0)), 0.8, 12.0),
        body(structure.grown(-3.4), brain, 0.9, 3.0),
        body(inner(-0.4 * a, 0.0, 0.4 * a, 0.6, 0.0), falx, 0.9, 0.0),
        body(inner(0.74 * a, 0.0, 0.13 * a, 0.6, 0.0), falx, 0.9, 0.0),
        body(inner(0.46 * a, 0.0, 0.11 * a, 0.1 * b, 0.0), FLUID, 0.7, 1.0),
        body(inner(-0.28 * a, 0.45 * b, 0.30 * a, 0.15 * b, 0.15), FLUID, 0.9, 1.0),
        body(inner(-0.32 * a, 0.45 * b, 0.18 * a, 0.09 * b, 0.1), bright, 1.5, 0.0),
        body(inner(-0.28 * a, -0.45 * b, 0.28 * a, 0.10 * b, -0.15), Tissue::smooth(-3.0, 0.4), 2.0, 0.0),
        body(inner(0.02 * a, 0.2 * b, 0.16 * a, 0.14 * b, 0.0), Tissue::smooth(-27.0, 0.3), 1.5, 0.0),
        body(inner(0.02 * a, -0.2 * b, 0.16 * a, 0.14 * b, 0.0), Tissue::smooth(-27.0, 0.3), 1.5, 0.0),
    ];
    let motion = Motion {
        turn: Turn { amplitude: 0.11, rigid_mm: a + 3.0, still_mm: a + 30.0, cycles: 1 },
        sway_mm: 3.0,
        heave_mm: 2.5,
        grip_mm: 30.0,
        breaths: 2,
        ..at_rest(structure.centre)
    };
    let radius_mm = 50.0;
    let probe = Probe {
        field: Field::Fan { radius_mm, half_angle: 0.58 },
        depth_mm: 140.0,
        frequency_mhz: 3.5,
        focus_mm: 75.0,
        focus_beams: 1.5,
        spread_beams: 1.4,
        noise_db: -66.0,
        expected_attenuation: 0.38,
    };
    let anatomy = Anatomy { face_radius_mm: radius_mm, layers, bodies, interface_mm: 0.7, noise };
    Scene::new(probe, anatomy, structure, motion)
}

/// A needle in muscle, seen along its shaft.
fn needle(vary: &mut Vary, noise: ValueNoise) -> Scene {
    let fascia = Tissue::smooth(-8.0, 0.6).mottled(5.0, (8.0, 1.2)).stranded(8.0);
    let layers = vec![
        layer(-9.0, 0.0, 0.0, SKIN),
        layer(1.5, 0.1, 2.5, FAT),
        layer(vary.within(4.0, 6.0), 0.5, 5.0, MUSCLE),
        layer(vary.within(13.0, 15.0), 0.8, 5.5, fascia),
        layer(vary.within(17.0, 19.0), 0.8, 5.0, MUSCLE),
        layer(28.0, 0.7, 8.0, Tissue::smooth(-12.0, 2.2).mottled(4.0, (7.0, 1.5))),
    ];
    let (x, y) = (vary.within(-4.0, 4.0), vary.within(11.0, 16.0));
    let tilt = vary.side() * vary.within(0.15, 0.6);
    let structure = ellipse(x, y, vary.within(8.0, 12.0), vary.within(0.3, 0.5), tilt);
    let nerve = ellipse(x + vary.within(-3.0, 3.0), y + vary.within(5.0, 7.0), 3.5, 2.0, 0.1);
    let honeycomb = Tissue::smooth(-6.0, 0.6).mottled(9.0, (1.0, 0.8));
    let bodies = vec![body(nerve, honeycomb, 0.4, 2.5), body(structure.clone(), Tissue::smooth(16.0, 1.2), 0.12, 9.0)];
    let motion = Motion { sway_mm: 1.4, heave_mm: 1.0, turn: turn(0.06, 16.0, 30.0), ..at_rest(structure.centre) };
    let anatomy = Anatomy { face_radius_mm: f32::INFINITY, layers, bodies, interface_mm: 0.15, noise };
    Scene::new(linear(40.0, 30.0, 9.0), anatomy, structure, motion)
}
