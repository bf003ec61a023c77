//! How tissue moves: from where it is at rest to where it is now, and back, both in closed form.
//!
//! Terms: [`Rest`] is the tissue's own space, in which anatomy is drawn once; [`Now`] is the space in front of the probe
//! at one moment. Both are in mm, x to the right, y into the depth, origin at the middle of the probe face.
//!
//! Invariant: `now_of` and `rest_of` of one [`Pose`] undo each other, so truth, speckle and displacement cannot differ.

use crate::geometry::{Point, length};

/// The tissue's own space, mm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {}
/// The space in front of the probe at one moment, mm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Now {}

/// A beat: the structure's size changes, the tissue around it gives way without changing its area.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pulse {
    /// Semi-axes of the ellipse that changes size, mm.
    pub(super) axes: (f32, f32),
    /// Rotation of its first axis from x towards y, rad.
    pub(super) tilt: f32,
    /// Fraction of the size at full beat: negative contracts.
    pub(super) amplitude: f32,
    /// Beats a loop.
    pub(super) beats: u32,
}

/// A slow turn to and fro, rigid up to a radius, nothing beyond another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    /// rad.
    pub(super) amplitude: f32,
    /// Rigid up to here, mm from the centre.
    pub(super) rigid_mm: f32,
    /// At rest from here, mm from the centre.
    pub(super) still_mm: f32,
    /// Turns to and fro a loop.
    pub(super) cycles: u32,
}

/// Everything that moves in a scene; amplitudes at motion scale 1.
#[derive(Clone, Copy, Debug)]
pub(super) struct Motion {
    /// Centre of pulse and turn, at rest.
    pub(super) centre: Point<Rest>,
    pub(super) pulse: Pulse,
    pub(super) turn: Turn,
    /// Sideways shift far from the probe, mm.
    pub(super) sway_mm: f32,
    /// Shift into the depth far from the probe, mm.
    pub(super) heave_mm: f32,
    /// Depth at which half of sway and heave are reached, mm.
    pub(super) grip_mm: f32,
    /// Breaths a loop.
    pub(super) breaths: u32,
}

/// A motion at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pose {
    motion: Motion,
    /// Normalised area change of the pulse ellipse: new squared size minus 1.
    growth: f32,
    angle: f32,
    sway: f32,
    heave: f32,
}

impl Pose {
    /// The pose at `phase` (0..1) of the loop, all amplitudes multiplied by `scale`.
    pub(super) fn new(motion: Motion, phase: f64, scale: f32) -> Self {
        let wave = |cycles: u32, shift: f64| (std::f64::consts::TAU * (phase * f64::from(cycles) + shift)).sin() as f32;
        let size = (1.0 + motion.pulse.amplitude * scale * beat(phase * f64::from(motion.pulse.beats))).clamp(0.3, 2.0);
        Self {
            motion,
            growth: size * size - 1.0,
            angle: motion.turn.amplitude * scale * wave(motion.turn.cycles, 0.0),
            sway: motion.sway_mm * scale * wave(motion.breaths, 0.21),
            heave: motion.heave_mm * scale * wave(motion.breaths, 0.0),
        }
    }

    /// Where tissue is now.
    pub(super) fn now_of(&self, p: Point<Rest>) -> Point<Now> {
        let c = self.motion.centre;
        let (x, y) = self.pulsed(p.x - c.x, p.y - c.y, false);
        let (x, y) = rotated(x, y, self.angle_at(length(x, y)));
        let (x, y) = (x + c.x, y + c.y);
        let x = x + self.sway * grip(y, self.motion.grip_mm);
        Point::new(x, heaved(y, self.heave, self.motion.grip_mm))
    }

    /// Which tissue is here now.
    pub(super) fn rest_of(&self, p: Point<Now>) -> Point<Rest> {
        self.rest_and_turn_of(p).0
    }

    /// Which tissue is here now, and by how much it is turned against its rest, rad.
    pub(super) fn rest_and_turn_of(&self, p: Point<Now>) -> (Point<Rest>, f32) {
        let c = self.motion.centre;
        let y = unheaved(p.y, self.heave, self.motion.grip_mm);
        let x = p.x - self.sway * grip(y, self.motion.grip_mm);
        let (x, y) = (x - c.x, y - c.y);
        let angle = self.angle_at(length(x, y));
        let (x, y) = rotated(x, y, -angle);
        let (x, y) = self.pulsed(x, y, true);
        (Point::new(x + c.x, y + c.y), angle)
    }

    /// Inside the ellipse everything scales; outside, squared normalised radius grows by a constant, which keeps areas.
    fn pulsed(&self, x: f32, y: f32, back: bool) -> (f32, f32) {
        if self.growth == 0.0 {
            return (x, y);
        }
        let Pulse { axes: (a, b), tilt, .. } = self.motion.pulse;
        let (u, v) = rotated(x, y, -tilt);
        let rho2 = (u / a).powi(2) + (v / b).powi(2);
        let size2 = 1.0 + self.growth;
        let ratio2 = match back {
            false if rho2 < 1.0 => size2,
            false => 1.0 + self.growth / rho2,
            true if rho2 < size2 => 1.0 / size2,
            true => 1.0 - self.growth / rho2,
        };
        let k = ratio2.max(0.0).sqrt();
        (x * k, y * k)
    }

    fn angle_at(&self, radius: f32) -> f32 {
        let Turn { rigid_mm, still_mm, .. } = self.motion.turn;
        let t = ((radius - rigid_mm) / (still_mm - rigid_mm)).clamp(0.0, 1.0);
        self.angle * (1.0 - t * t * (3.0 - 2.0 * t))
    }
}

/// A heart beat over its own time: quick rise, slow fall, 0 at whole beats, 1 at most.
fn beat(beats: f64) -> f32 {
    let s = (std::f64::consts::PI * beats.fract().powf(0.65)).sin();
    (s * s) as f32
}

fn rotated(x: f32, y: f32, angle: f32) -> (f32, f32) {
    if angle == 0.0 {
        return (x, y);
    }
    let (s, c) = angle.sin_cos();
    (c * x - s * y, s * x + c * y)
}

fn grip(y: f32, half: f32) -> f32 {
    let y = y.max(0.0);
    y * y / (y * y + half * half)
}

/// y + heave * y / (y + half) below the probe face.
fn heaved(y: f32, heave: f32, half: f32) -> f32 {
    if y <= 0.0 { y } else { y + heave * y / (y + half) }
}

/// The positive root of the quadratic that [`heaved`] makes.
fn unheaved(y: f32, heave: f32, half: f32) -> f32 {
    if y <= 0.0 || heave == 0.0 {
        return y;
    }
    let b = y - half - heave;
    0.5 * (b + (b * b + 4.0 * y * half).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lively() -> Motion {
        Motion {
            centre: Point::new(3.0, 40.0),
            pulse: Pulse { axes: (20.0, 30.0), tilt: 0.3, amplitude: -0.25, beats: 14 },
            turn: Turn { amplitude: 0.12, rigid_mm: 30.0, still_mm: 60.0, cycles: 1 },
            sway_mm: 3.0,
            heave_mm: 2.0,
            grip_mm: 20.0,
            breaths: 3,
        }
    }

    proptest! {
        #[test]
        fn tissue_comes_back_to_its_rest(x in -80.0f32..80.0, y in 1.0f32..150.0, phase in 0.0f64..1.0, scale in 0.0f32..2.0) {
            let pose = Pose::new(lively(), phase, scale);
            let there = pose.now_of(Point::new(x, y));
            let back = pose.rest_of(there);
            prop_assert!(back.distance(Point::new(x, y)) < 2e-3, "{back:?}");
        }
    }

    #[test]
    fn tissue_outside_the_beating_ellipse_keeps_its_area() {
        let motion = Motion { sway_mm: 0.0, heave_mm: 0.0, ..lively() };
        let pose = Pose::new(motion, 0.012, 1.0);
        assert!(pose.growth < -0.2, "the test needs a beat under way");
        for (x, y) in [(40.0, 20.0), (-30.0, 60.0), (3.0, 90.0)] {
            let h = 0.5;
            let at = |dx: f32, dy: f32| pose.now_of(Point::new(x + dx, y + dy));
            let (e, w, s, n) = (at(h, 0.0), at(-h, 0.0), at(0.0, h), at(0.0, -h));
            let area = (e.x - w.x) * (s.y - n.y) - (e.y - w.y) * (s.x - n.x);
            assert!((area - 1.0).abs() < 0.01, "({x}, {y}): {area}");
        }
    }

    #[test]
    fn nothing_moves_at_scale_zero() {
        let pose = Pose::new(lively(), 0.37, 0.0);
        assert_eq!(pose.now_of(Point::new(11.0, 55.0)), Point::new(11.0, 55.0));
    }
}
