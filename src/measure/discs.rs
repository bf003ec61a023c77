//! Volume of the left ventricle by the method of discs, from its outline and two points of the mitral annulus.
//!
//! The annulus closes the cavity: what of the outline lies beyond it, in the atrium, does not count. The long axis goes
//! from the middle of the annulus to the farthest point of the cavity, the apex; 20 discs of equal height are stacked along
//! it. Of points that are about equally far the one higher over the annulus is the apex.
//!
//! Source: Lang et al., J Am Soc Echocardiogr 2015;28:1-39, "biplane method of disks"; with one plane the discs are round.

use super::volume::{VolumeOf, error_of};
use crate::contour::{Outline, ring_area};
use crate::frame::PixelScale;
use crate::geometry::{ImageSpace, Point, length_f64};
use crate::units::Millilitres;

/// Discs in a stack.
pub const DISCS: usize = 20;
/// Farthest that a point of the annulus may be from the outline, as a share of the long axis.
pub const ANNULUS_OFF_MAX: f64 = 0.15;
/// Largest difference of the long axes of two views, as a share of the longer one.
pub const AXES_APART_MAX: f64 = 0.2;

type Xy = (f64, f64);

/// A cavity cut into discs, in mm, or in px where there is no scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stack {
    /// Length of the long axis.
    pub length: f64,
    /// Width of each disc, from the annulus to the apex.
    pub widths: [f64; DISCS],
    /// Whether it is in mm.
    pub is_metric: bool,
    /// Error of the scale as a share of it.
    pub scale_error: Option<f64>,
}

/// Why there are no discs, or no volume of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoStack {
    /// The outline encloses nothing.
    Nothing,
    /// The points of the annulus coincide, or are no numbers.
    NoAnnulus,
    /// A point of the annulus is far from the outline.
    AnnulusOff,
    /// The long axes of two views differ too much: one view is foreshortened.
    AxesDiffer,
    /// One is in mm and the other is not.
    NoScale,
}

impl NoStack {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Nothing => "no outline",
            Self::NoAnnulus => "tap both ends of the annulus",
            Self::AnnulusOff => "annulus is not at the outline",
            Self::AxesDiffer => "long axes differ: foreshortened",
            Self::NoScale => "no scale: no volume",
        }
    }
}

impl Stack {
    /// Cuts the largest outer ring of an outline.
    ///
    /// # Errors
    /// Why there are no discs.
    pub fn cut(
        outline: &Outline,
        annulus: [Point<ImageSpace>; 2],
        scale: Option<&PixelScale>,
    ) -> Result<Self, NoStack> {
        let (sx, sy) = scale.map_or((1.0, 1.0), |s| (f64::from(s.mm_per_px().0), f64::from(s.mm_per_px().1)));
        let to_unit = |p: &Point<ImageSpace>| (f64::from(p.x) * sx, f64::from(p.y) * sy);
        let ring = outline.rings().max_by(|a, b| ring_area(a).total_cmp(&ring_area(b))).ok_or(NoStack::Nothing)?;
        let ring: Vec<Xy> = ring.iter().map(to_unit).collect();
        let [a, b] = [to_unit(&annulus[0]), to_unit(&annulus[1])];
        let across = distance(a, b);
        if !(across.is_finite() && across > 1e-6) {
            return Err(NoStack::NoAnnulus);
        }
        let base = ((a.0 + b.0) / 2.0, (a.1 + b.1) / 2.0);
        let normal = ((a.1 - b.1) / across, (b.0 - a.0) / across);
        let cavity = larger_side(&ring, base, normal).ok_or(NoStack::Nothing)?;
        // Of points that are equally far, as in a half circle, the one highest over the annulus.
        let height = |p: Xy| ((p.0 - base.0) * normal.0 + (p.1 - base.1) * normal.1).abs();
        let reach = |p: &Xy| distance(*p, base) + height(*p);
        let apex = cavity.iter().copied().max_by(|p, q| reach(p).total_cmp(&reach(q))).ok_or(NoStack::Nothing)?;
        let length = distance(apex, base);
        if !(length.is_finite() && length > 1e-6) {
            return Err(NoStack::Nothing);
        }
        if [a, b].iter().any(|p| distance_to_ring(&ring, *p) > ANNULUS_OFF_MAX * length) {
            return Err(NoStack::AnnulusOff);
        }
        let axis = ((apex.0 - base.0) / length, (apex.1 - base.1) / length);
        let mut crossings = Vec::new();
        let widths = std::array::from_fn(|i| {
            let along = (i as f64 + 0.5) / DISCS as f64 * length;
            width_at(&cavity, base, axis, along, &mut crossings)
        });
        let scale_error = scale.and_then(|s| s.relative_error()).map(f64::from);
        Ok(Self { length, widths, is_metric: scale.is_some(), scale_error })
    }

    /// Sum of the round discs, in the cube of its unit.
    fn round_sum(&self) -> f64 {
        stacked(&self.widths, &self.widths, self.length)
    }

    /// Volume from one view.
    ///
    /// # Errors
    /// `NoScale` where it is not in mm.
    pub fn volume(&self) -> Result<VolumeOf, NoStack> {
        let scale_error = error_of([self.scale_error; 2]);
        match self.is_metric {
            true => Ok(VolumeOf { volume: Millilitres(self.round_sum() / 1000.0), scale_error }),
            false => Err(NoStack::NoScale),
        }
    }

    /// Volume from two views at right angles; the longer of the two axes counts.
    ///
    /// # Errors
    /// `NoScale`, and `AxesDiffer` where one view is foreshortened.
    pub fn biplane(&self, other: &Self) -> Result<VolumeOf, NoStack> {
        if !(self.is_metric && other.is_metric) {
            return Err(NoStack::NoScale);
        }
        let length = self.length.max(other.length);
        if (self.length - other.length).abs() > AXES_APART_MAX * length {
            return Err(NoStack::AxesDiffer);
        }
        let volume = Millilitres(stacked(&self.widths, &other.widths, length) / 1000.0);
        Ok(VolumeOf { volume, scale_error: error_of([self.scale_error, other.scale_error]) })
    }
}

/// Ejection fraction of two volumes of one kind, 0..=1; `None` unless the first is the larger one. The error of a scale that
/// both have in common does not count.
pub fn ejection_fraction(diastolic: f64, systolic: f64) -> Option<f64> {
    (diastolic > 0.0 && systolic >= 0.0 && systolic < diastolic).then(|| (diastolic - systolic) / diastolic)
}

/// Ejection fraction from one view, which needs no scale where pixels are square.
///
/// # Errors
/// `NoScale` when one is in mm and the other is not.
pub fn single_plane_fraction(diastole: &Stack, systole: &Stack) -> Result<Option<f64>, NoStack> {
    if diastole.is_metric != systole.is_metric {
        return Err(NoStack::NoScale);
    }
    Ok(ejection_fraction(diastole.round_sum(), systole.round_sum()))
}

fn stacked(a: &[f64; DISCS], b: &[f64; DISCS], length: f64) -> f64 {
    std::f64::consts::FRAC_PI_4 * a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>() * length / DISCS as f64
}

/// The part of a polygon on that side of a line through `base` where more of it is.
///
/// Source: Sutherland and Hodgman 1974.
fn larger_side(ring: &[Xy], base: Xy, normal: Xy) -> Option<Vec<Xy>> {
    let side = |n: Xy| {
        let height = |p: &Xy| (p.0 - base.0) * n.0 + (p.1 - base.1) * n.1;
        let mut kept = Vec::with_capacity(ring.len() + 4);
        for (p, q) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            let (hp, hq) = (height(p), height(q));
            if hp >= 0.0 {
                kept.push(*p);
            }
            if (hp >= 0.0) != (hq >= 0.0) {
                let t = hp / (hp - hq);
                kept.push((p.0 + t * (q.0 - p.0), p.1 + t * (q.1 - p.1)));
            }
        }
        kept
    };
    let (one, other) = (side(normal), side((-normal.0, -normal.1)));
    let larger = if area(&one).abs() >= area(&other).abs() { one } else { other };
    (larger.len() >= 3 && area(&larger).abs() > 0.0).then_some(larger)
}

fn area(ring: &[Xy]) -> f64 {
    ring.iter().zip(ring.iter().cycle().skip(1)).map(|(p, q)| p.0 * q.1 - q.0 * p.1).sum::<f64>() / 2.0
}

/// Width of the polygon across the axis at a height along it: all parts of it that are inside.
fn width_at(ring: &[Xy], base: Xy, axis: Xy, along: f64, crossings: &mut Vec<f64>) -> f64 {
    crossings.clear();
    let height = |p: &Xy| (p.0 - base.0) * axis.0 + (p.1 - base.1) * axis.1 - along;
    let aside = |p: Xy| (p.1 - base.1) * axis.0 - (p.0 - base.0) * axis.1;
    for (p, q) in ring.iter().zip(ring.iter().cycle().skip(1)) {
        let (hp, hq) = (height(p), height(q));
        if (hp >= 0.0) != (hq >= 0.0) {
            let t = hp / (hp - hq);
            crossings.push(aside((p.0 + t * (q.0 - p.0), p.1 + t * (q.1 - p.1))));
        }
    }
    crossings.sort_unstable_by(f64::total_cmp);
    crossings.chunks_exact(2).map(|pair| pair[1] - pair[0]).sum()
}

fn distance(a: Xy, b: Xy) -> f64 {
    length_f64(a.0 - b.0, a.1 - b.1)
}

fn distance_to_ring(ring: &[Xy], p: Xy) -> f64 {
    let to_edge = |(a, b): (&Xy, &Xy)| {
        let (dx, dy) = (b.0 - a.0, b.1 - a.1);
        let squared = (dx * dx + dy * dy).max(1e-12);
        let t = (((p.0 - a.0) * dx + (p.1 - a.1) * dy) / squared).clamp(0.0, 1.0);
        distance((a.0 + t * dx, a.1 + t * dy), p)
    };
    ring.iter().zip(ring.iter().cycle().skip(1)).map(to_edge).fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ScaleSource;
    use crate::units::Millimetres;
    use std::f64::consts::{PI, TAU};

    const MM: f64 = 0.25;

    fn scale() -> PixelScale {
        PixelScale::new(Millimetres(MM), Millimetres(MM), ScaleSource::Phantom).unwrap().with_error(0.01)
    }

    /// A whole ellipse with semi-axes `across` and `along`, mm, turned by `tilt`; the annulus cuts it `above` its middle.
    fn view(across: f64, along: f64, tilt: f64, above: f64) -> (Outline, [Point<ImageSpace>; 2]) {
        let place = |x: f64, y: f64| {
            let (s, c) = tilt.sin_cos();
            Point::new(((90.0 + x * c - y * s) / MM) as f32, ((110.0 + x * s + y * c) / MM) as f32)
        };
        let mut outline = Outline::default();
        outline.push_ring((0..720).map(|i| {
            let (s, c) = (TAU * f64::from(i) / 720.0).sin_cos();
            place(across * c, along * s)
        }));
        let half = across * (1.0 - (above / along).powi(2)).sqrt();
        (outline, [place(-half, above), place(half, above)])
    }

    /// Volume of an ellipsoid below a cut at `above`, ml, by its integral.
    fn truncated(a: f64, b: f64, along: f64, above: f64) -> f64 {
        let t = above / along;
        PI * a * b * along * (2.0 / 3.0 + t - t.powi(3) / 3.0) / 1000.0
    }

    #[test]
    fn truncated_ellipsoids_of_known_volume_have_it_in_one_plane_and_in_two() {
        for (a, b, along, tilt, above) in [
            (22.0, 22.0, 44.0, 0.0, 20.0),
            (25.0, 19.0, 46.0, 0.5, 0.0),
            (20.0, 24.0, 40.0, -0.4, 30.0),
            (15.0, 15.0, 40.0, 3.0, 10.0),
        ] {
            let cut = |across: f64| {
                let (outline, annulus) = view(across, along, tilt, above);
                Stack::cut(&outline, annulus, Some(&scale())).unwrap()
            };
            let (one, two) = (cut(a), cut(b));
            assert!((one.length - (along + above)).abs() < 0.5, "{} is not {}", one.length, along + above);
            let v = one.volume().unwrap();
            let truth = truncated(a, a, along, above);
            assert!((v.volume.0 / truth - 1.0).abs() < 0.01, "single: {} is not {truth}", v.volume.0);
            assert!((v.scale_error.unwrap() - 0.03).abs() < 1e-6);
            let v = one.biplane(&two).unwrap();
            let truth = truncated(a, b, along, above);
            assert!((v.volume.0 / truth - 1.0).abs() < 0.01, "biplane: {} is not {truth}", v.volume.0);
        }
    }

    #[test]
    fn what_bulges_into_the_atrium_does_not_count() {
        let (outline, annulus) = view(20.0, 40.0, 0.2, 20.0);
        let whole = Stack::cut(&outline, annulus, Some(&scale())).unwrap();
        assert!((whole.length - 60.0).abs() < 0.5, "{}", whole.length);
        let mut cut_short = Outline::default();
        // The same with the part beyond the annulus taken off beforehand.
        let (a, b) = (annulus[0], annulus[1]);
        let is_below = |p: &Point<ImageSpace>| (b.x - a.x) * (p.y - a.y) - (b.y - a.y) * (p.x - a.x) <= 0.0;
        cut_short.push_ring(outline.points().iter().copied().filter(is_below));
        let below = Stack::cut(&cut_short, annulus, Some(&scale())).unwrap();
        let (v, w) = (whole.volume().unwrap().volume.0, below.volume().unwrap().volume.0);
        assert!((v / w - 1.0).abs() < 0.005, "{v} {w}");
    }

    #[test]
    fn a_beating_ellipsoid_has_its_ejection_fraction_with_and_without_a_scale() {
        let cut = |k: f64, scale: Option<&PixelScale>| {
            let (outline, annulus) = view(24.0 * k, 44.0 * k, 0.1, 22.0 * k);
            Stack::cut(&outline, annulus, scale).unwrap()
        };
        for k in [0.95f64, 0.8, 0.6] {
            let truth = 1.0 - k.powi(3);
            for scale in [Some(scale()), None] {
                let (ed, es) = (cut(1.0, scale.as_ref()), cut(k, scale.as_ref()));
                let ef = single_plane_fraction(&ed, &es).unwrap().unwrap();
                assert!((ef - truth).abs() < 0.005, "{ef} is not {truth}");
                assert_eq!(ed.volume().is_ok(), scale.is_some());
                assert_eq!(single_plane_fraction(&es, &ed), Ok(None), "systole is the smaller one");
            }
        }
        assert_eq!(single_plane_fraction(&cut(1.0, None), &cut(0.8, Some(&scale()))), Err(NoStack::NoScale));
    }

    #[test]
    fn what_cannot_be_cut_is_refused_with_the_reason() {
        let (outline, annulus) = view(22.0, 44.0, 0.0, 20.0);
        let cut = |outline: &Outline, annulus| Stack::cut(outline, annulus, Some(&scale()));
        assert_eq!(cut(&Outline::default(), annulus), Err(NoStack::Nothing));
        assert_eq!(cut(&outline, [annulus[0]; 2]), Err(NoStack::NoAnnulus));
        assert_eq!(cut(&outline, [annulus[0], Point::new(f32::NAN, 0.0)]), Err(NoStack::NoAnnulus));
        let off = Point::new(annulus[1].x + 100.0, annulus[1].y);
        assert_eq!(cut(&outline, [annulus[0], off]), Err(NoStack::AnnulusOff));
        let long = cut(&outline, annulus).unwrap();
        let (short, annulus) = view(22.0, 30.0, 0.0, 15.0);
        assert_eq!(long.biplane(&cut(&short, annulus).unwrap()), Err(NoStack::AxesDiffer));
    }
}
