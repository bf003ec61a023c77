//! Anatomy at rest: shapes, tissues, and what a point of the body scatters, absorbs and reflects.

use std::f32::consts::{PI, TAU};

use crate::geometry::{Point, length};

use super::motion::{Motion, Now, Pose, Rest};
use super::probe::Probe;
use super::speckle::ValueNoise;

/// A ripple of a shape's edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lobe {
    /// Ripples around the shape; every lobe of a shape has its own order.
    pub(super) order: u32,
    /// Fraction of the radius.
    pub(super) amplitude: f32,
    /// rad.
    pub(super) phase: f32,
}

/// An ellipse with a rippled edge: inside where the normalised radius is below 1 + sum of lobes.
#[derive(Clone, Debug)]
pub(super) struct Shape {
    pub(super) centre: Point<Rest>,
    /// Semi-axes, mm.
    pub(super) axes: (f32, f32),
    /// Rotation of the first axis from x towards y, rad.
    pub(super) tilt: f32,
    pub(super) lobes: Vec<Lobe>,
}

impl Shape {
    pub(super) fn ellipse(centre: Point<Rest>, axes: (f32, f32), tilt: f32) -> Self {
        Self { centre, axes, tilt, lobes: Vec::new() }
    }

    /// The same shape, `mm` larger on every side.
    pub(super) fn grown(&self, mm: f32) -> Self {
        Self { axes: (self.axes.0 + mm, self.axes.1 + mm), ..self.clone() }
    }

    /// Normalised coordinates: the plain ellipse is the unit circle.
    fn normalised(&self, p: Point<Rest>) -> (f32, f32) {
        let (s, c) = self.tilt.sin_cos();
        let (x, y) = (p.x - self.centre.x, p.y - self.centre.y);
        ((c * x + s * y) / self.axes.0, (c * y - s * x) / self.axes.1)
    }

    fn edge(&self, angle: f32) -> f32 {
        1.0 + self.lobes.iter().map(|l| l.amplitude * (l.order as f32 * angle + l.phase).cos()).sum::<f32>()
    }

    pub(super) fn contains(&self, p: Point<Rest>) -> bool {
        let (u, v) = self.normalised(p);
        length(u, v) < self.edge(v.atan2(u))
    }

    /// Distance to the edge, mm, to first order; negative inside.
    pub(super) fn distance(&self, p: Point<Rest>) -> f32 {
        let (u, v) = self.normalised(p);
        let rho = length(u, v);
        if rho < 1e-6 {
            return -self.axes.0.min(self.axes.1);
        }
        let edge = if self.lobes.is_empty() || rho > 2.0 { 1.0 } else { self.edge(v.atan2(u)) };
        let slope = length(u / self.axes.0, v / self.axes.1) / rho;
        let beyond_box = (u.abs() - edge.max(1.0)) * self.axes.0;
        ((rho - edge) / slope).max(beyond_box).max((v.abs() - edge.max(1.0)) * self.axes.1)
    }

    /// Unit normal of the plain ellipse through the point, outwards.
    fn normal(&self, p: Point<Rest>) -> (f32, f32) {
        let (u, v) = self.normalised(p);
        let (gu, gv) = (u / self.axes.0, v / self.axes.1);
        let n = length(gu, gv).max(1e-9);
        let (s, c) = self.tilt.sin_cos();
        ((c * gu - s * gv) / n, (s * gu + c * gv) / n)
    }

    /// The point of the edge at an angle of normalised space.
    pub(super) fn boundary(&self, angle: f32) -> Point<Rest> {
        let rho = self.edge(angle);
        let (u, v) = (rho * angle.cos() * self.axes.0, rho * angle.sin() * self.axes.1);
        let (s, c) = self.tilt.sin_cos();
        Point::new(self.centre.x + c * u - s * v, self.centre.y + s * u + c * v)
    }

    /// Area at rest, mm²: pi a b (1 + half the sum of squared lobe amplitudes), lobes being orthogonal.
    #[cfg(test)]
    pub(super) fn area_mm2(&self) -> f64 {
        let ripple: f64 = self.lobes.iter().map(|l| f64::from(l.amplitude).powi(2)).sum();
        std::f64::consts::PI * f64::from(self.axes.0) * f64::from(self.axes.1) * (1.0 + ripple / 2.0)
    }
}

/// What tissue does to sound.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tissue {
    /// Mean backscatter, dB against soft tissue.
    pub(super) echo_db: f32,
    /// dB/cm/MHz, one way.
    pub(super) attenuation: f32,
    /// Unevenness of the backscatter, dB.
    pub(super) mottle_db: f32,
    /// Brightness of strands that run through it, dB.
    pub(super) strand_db: f32,
    /// Size of mottles and distance of strands along x and y, mm.
    pub(super) grain_mm: (f32, f32),
}

impl Tissue {
    pub(super) const fn smooth(echo_db: f32, attenuation: f32) -> Self {
        Self { echo_db, attenuation, mottle_db: 0.0, strand_db: 0.0, grain_mm: (1.0, 1.0) }
    }

    pub(super) const fn mottled(self, mottle_db: f32, grain_mm: (f32, f32)) -> Self {
        Self { mottle_db, grain_mm, ..self }
    }

    pub(super) const fn stranded(self, strand_db: f32) -> Self {
        Self { strand_db, ..self }
    }

    fn echo_db_at(&self, p: Point<Rest>, noise: &ValueNoise) -> f32 {
        if self.mottle_db == 0.0 && self.strand_db == 0.0 {
            return self.echo_db;
        }
        let (x, y) = (p.x / self.grain_mm.0, p.y / self.grain_mm.1);
        let coarse = noise.at(x, y);
        let fine = noise.at(2.3 * x + 17.0, 2.3 * y + 5.0);
        let mottle = coarse + 0.6 * fine;
        let strand = noise.at(0.7 * x + 31.4 + 0.4 * fine, 0.7 * y + 77.0 + 0.5 * coarse).abs();
        let ridge = (1.0 - strand / 0.16).max(0.0) * (0.7 + 0.8 * fine).max(0.0);
        self.echo_db + self.mottle_db * mottle + self.strand_db * ridge
    }
}

/// A layer from its top down to the next, following the probe face.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    /// Mean depth of its top, mm.
    pub(super) top_mm: f32,
    /// How far the top rises and falls, mm.
    pub(super) wave_mm: f32,
    /// Over which distance, mm.
    pub(super) wave_length_mm: f32,
    /// Specular reflection of its top, amplitude against soft tissue.
    pub(super) reflection: f32,
    pub(super) tissue: Tissue,
}

/// A structure painted over what lies there already.
#[derive(Clone, Debug)]
pub(super) struct Body {
    pub(super) shape: Shape,
    pub(super) tissue: Tissue,
    /// Half width of the transition, mm.
    pub(super) edge_mm: f32,
    /// Specular reflection of the edge, amplitude against soft tissue.
    pub(super) reflection: f32,
}

/// What a point of the body scatters, absorbs and reflects.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    /// Backscatter amplitude against soft tissue.
    pub(super) scatter: f32,
    /// dB/cm/MHz.
    pub(super) attenuation: f32,
    /// Unit normal times reflection amplitude.
    pub(super) reflection: (f32, f32),
}

/// Everything in front of the probe, at rest.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    /// Radius of the layers, mm; infinite for a flat face.
    pub(super) face_radius_mm: f32,
    pub(super) layers: Vec<Layer>,
    /// Painted in this order.
    pub(super) bodies: Vec<Body>,
    /// Thickness of a reflecting interface in the echo, mm.
    pub(super) interface_mm: f32,
    pub(super) noise: ValueNoise,
}

impl Anatomy {
    pub(super) fn at(&self, p: Point<Rest>) -> Sample {
        let (mut echo_db, mut attenuation, mut reflection) = self.layered(p);
        for (i, body) in self.bodies.iter().enumerate() {
            let d = body.shape.distance(p);
            let near = body.edge_mm.max(5.0 * self.interface_mm);
            if d > near {
                continue;
            }
            let inside = smooth_step(0.5 - 0.5 * d / body.edge_mm);
            if inside > 0.0 {
                echo_db += (body.tissue.echo_db_at(p, &self.noise.variant(100 + i as u32)) - echo_db) * inside;
                attenuation += (body.tissue.attenuation - attenuation) * inside;
                reflection = (reflection.0 * (1.0 - inside), reflection.1 * (1.0 - inside));
            }
            if body.reflection > 0.0 {
                let s = body.reflection * bell(d / self.interface_mm - 1.0);
                let n = body.shape.normal(p);
                reflection = (reflection.0 + s * n.0, reflection.1 + s * n.1);
            }
        }
        Sample { scatter: 10f32.powf(echo_db / 20.0), attenuation, reflection }
    }

    fn layered(&self, p: Point<Rest>) -> (f32, f32, (f32, f32)) {
        let (along, depth, down) = self.under_face(p);
        let (mut tissue, mut which, mut under_top) = (&self.layers[0].tissue, 0, 0.0);
        let mut reflection = (0.0, 0.0);
        for (i, layer) in self.layers.iter().enumerate() {
            let noise = self.noise.variant(i as u32);
            let wave = |t: f32| noise.at(t, 0.0) + 0.35 * noise.at(2.7 * t, 3.0);
            let top = |x: f32| layer.top_mm + layer.wave_mm * wave(x / layer.wave_length_mm);
            let below = depth - top(along);
            if below > 0.0 {
                (tissue, which, under_top) = (&layer.tissue, i, below);
            }
            if layer.reflection > 0.0 && below.abs() < 4.0 * self.interface_mm {
                let t = along / layer.wave_length_mm;
                let patchy = 0.45 + 0.8 * noise.at(1.7 * t, 9.0) + 0.6 * noise.at(7.0 * t, 12.0);
                let s = layer.reflection * patchy.max(0.0) * bell(below / self.interface_mm);
                let slope = top(along + 0.5) - top(along - 0.5);
                let k = s / length(slope, 1.0);
                reflection.0 += k * (down.0 - slope * down.1);
                reflection.1 += k * (down.1 + slope * down.0);
            }
        }
        let within = Point::new(along, under_top);
        (tissue.echo_db_at(within, &self.noise.variant(50 + which as u32)), tissue.attenuation, reflection)
    }

    /// Way along the face, depth under it, and the direction downwards.
    fn under_face(&self, p: Point<Rest>) -> (f32, f32, (f32, f32)) {
        let r = self.face_radius_mm;
        if r.is_infinite() {
            return (p.x, p.y, (0.0, 1.0));
        }
        let (angle, d) = (p.x.atan2(p.y + r), length(p.x, p.y + r));
        (angle * (r + 0.3 * p.y.max(0.0)), d - r, (angle.sin(), angle.cos()))
    }
}

fn smooth_step(t: f32) -> f32 {
    let t = t.clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn bell(t: f32) -> f32 {
    (-t * t).exp()
}

/// A preset's anatomy with its probe, its motion and the structure whose truth is known.
#[derive(Clone, Debug)]
pub(super) struct Scene {
    pub(super) probe: Probe,
    pub(super) anatomy: Anatomy,
    pub(super) structure: Shape,
    /// What is not of the structure, within it: the lumen of a wall.
    pub(super) hole: Option<Shape>,
    pub(super) motion: Motion,
}

impl Scene {
    pub(super) fn new(probe: Probe, anatomy: Anatomy, structure: Shape, motion: Motion) -> Self {
        Self { probe, anatomy, structure, hole: None, motion }
    }

    /// The wall around the structure in its place.
    pub(super) fn walled(self, mm: f32) -> Self {
        let outer = self.structure.grown(mm);
        Self { hole: Some(self.structure), structure: outer, ..self }
    }

    /// A place certainly in the structure: its centre, or the middle of the wall.
    pub(super) fn inner_place(&self) -> Point<Rest> {
        let Some(hole) = &self.hole else { return self.structure.centre };
        let (outer, inner) = (self.structure.boundary(0.0), hole.boundary(0.0));
        Point::new((outer.x + inner.x) / 2.0, (outer.y + inner.y) / 2.0)
    }

    /// Whether the structure is at a place, within the field of view.
    pub(super) fn shows(&self, pose: &Pose, p: Point<Now>) -> bool {
        let at = pose.rest_of(p);
        let is_inside = self.structure.contains(at) && !self.hole.as_ref().is_some_and(|h| h.contains(at));
        is_inside && self.probe.sees(p)
    }
}

/// Angle that runs once around in `count` steps, half-open.
pub(super) fn around(count: usize) -> impl Iterator<Item = f32> {
    (0..count).map(move |i| TAU * i as f32 / count as f32 - PI)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rippled() -> Shape {
        Shape {
            lobes: vec![
                Lobe { order: 2, amplitude: 0.1, phase: 0.3 },
                Lobe { order: 3, amplitude: 0.15, phase: 1.0 },
                Lobe { order: 7, amplitude: 0.05, phase: 2.0 },
            ],
            ..Shape::ellipse(Point::new(2.0, 18.0), (7.0, 4.5), 0.4)
        }
    }

    #[test]
    fn area_by_formula_is_area_by_polygon() {
        for shape in [rippled(), Shape::ellipse(Point::new(0.0, 0.0), (3.0, 3.0), 0.0)] {
            let edge: Vec<_> = around(4000).map(|a| shape.boundary(a)).collect();
            let twice: f64 = (0..edge.len())
                .map(|i| (edge[i], edge[(i + 1) % edge.len()]))
                .map(|(p, q)| f64::from(p.x) * f64::from(q.y) - f64::from(q.x) * f64::from(p.y))
                .sum();
            assert!((twice / 2.0 / shape.area_mm2() - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn edge_points_are_at_distance_zero_and_split_inside_from_outside() {
        let shape = rippled();
        for angle in around(97) {
            let p = shape.boundary(angle);
            assert!(shape.distance(p).abs() < 1e-3);
            let c = shape.centre;
            let at = |k: f32| Point::new(c.x + (p.x - c.x) * k, c.y + (p.y - c.y) * k);
            assert!(shape.contains(at(0.99)) && !shape.contains(at(1.01)));
            assert!(shape.distance(at(0.9)) < 0.0 && shape.distance(at(1.1)) > 0.0);
        }
    }

    #[test]
    fn normal_of_a_circle_points_outwards() {
        let circle = Shape::ellipse(Point::new(1.0, 2.0), (3.0, 3.0), 0.7);
        let n = circle.normal(Point::new(1.0, 7.0));
        assert!(n.0.abs() < 1e-6 && (n.1 - 1.0).abs() < 1e-6);
    }
}
