//! Volumes of what is taken for an ellipsoid, from two planes that cross at right angles.
//!
//! The plane along the organ gives length and height, the one across it the width; the height is seen in both, and how far
//! the two are apart tells whether the planes belong together.
//!
//! ```
//! use sonotap::measure::volume::{Formula, Plane, of_planes};
//! use sonotap::units::Millimetres;
//! let along = Plane { longest: Millimetres(100.0), perpendicular: Millimetres(60.0), scale_error: Some(0.01) };
//! let across = Plane { longest: Millimetres(80.0), perpendicular: Millimetres(58.0), scale_error: Some(0.01) };
//! let v = of_planes(&along, &across, Formula::Bladder).unwrap();
//! assert!((v.volume.0 - 0.52 * 10.0 * 8.0 * 6.0).abs() < 1e-9 && (v.scale_error.unwrap() - 0.03).abs() < 1e-12);
//! ```

use super::MetricMeasurements;
use crate::units::{Millilitres, Millimetres};

/// Largest difference of the two heights, as a share of their mean.
pub const HEIGHTS_APART_MAX: f64 = 0.25;

/// What is multiplied with length, width and height.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Formula {
    /// π/6, an ellipsoid.
    #[default]
    Ellipsoid,
    /// 0.52, a bladder.
    Bladder,
    /// 0.524, a lobe of the thyroid, as an ellipsoid.
    Lobe,
    /// 0.479, a lobe of the thyroid, as measured in cadavers.
    LobeBrunn,
}

impl Formula {
    /// The factor.
    pub fn factor(self) -> f64 {
        match self {
            Self::Ellipsoid => std::f64::consts::FRAC_PI_6,
            Self::Bladder => 0.52,
            Self::Lobe => 0.524,
            Self::LobeBrunn => 0.479,
        }
    }

    /// The formula as it is shown.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ellipsoid => "0.5236 L×W×H",
            Self::Bladder => "0.52 L×W×H",
            Self::Lobe => "0.524 L×W×H",
            Self::LobeBrunn => "0.479 L×W×H",
        }
    }

    /// Where it comes from.
    pub fn source(self) -> &'static str {
        match self {
            Self::Ellipsoid | Self::Bladder => "volume of an ellipsoid, π/6 of the box around it",
            Self::Lobe => "ellipsoid; advised for the thyroid by Knudsen et al., Thyroid 1999;9:1069-1074",
            Self::LobeBrunn => "Brunn et al., Dtsch Med Wochenschr 1981;106:1338-1340",
        }
    }
}

/// What one plane tells.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// Longest diameter.
    pub longest: Millimetres,
    /// Extent perpendicular to it.
    pub perpendicular: Millimetres,
    /// Error of its scale as a share of it.
    pub scale_error: Option<f64>,
}

impl From<&MetricMeasurements> for Plane {
    fn from(m: &MetricMeasurements) -> Self {
        Self { longest: m.longest, perpendicular: m.perpendicular, scale_error: m.scale_error }
    }
}

/// A volume with what the scale's error does to it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolumeOf {
    /// The volume.
    pub volume: Millilitres,
    /// Three times the error of the scale, as a share of the volume; `None` where it is not known.
    pub scale_error: Option<f64>,
}

/// Why two planes have no volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoVolume {
    /// A diameter is not positive.
    Flat,
    /// The heights differ: the planes are not of one organ, or do not cross in its middle.
    HeightsDiffer,
}

/// The volume from a plane along the organ and one across it.
///
/// # Errors
/// Why there is none.
pub fn of_planes(along: &Plane, across: &Plane, formula: Formula) -> Result<VolumeOf, NoVolume> {
    let (length, width) = (along.longest.0, across.longest.0);
    let (height, again) = (along.perpendicular.0, across.perpendicular.0);
    if ![length, width, height, again].iter().all(|v| v.is_finite() && *v > 0.0) {
        return Err(NoVolume::Flat);
    }
    if (height - again).abs() > HEIGHTS_APART_MAX * (height + again) / 2.0 {
        return Err(NoVolume::HeightsDiffer);
    }
    // A cubic centimetre is 1000 mm³.
    let volume = Millilitres(formula.factor() * length * width * height / 1000.0);
    Ok(VolumeOf { volume, scale_error: error_of([along.scale_error, across.scale_error]) })
}

/// Three times the greater error; unknown where one of them is.
pub(super) fn error_of(scales: [Option<f64>; 2]) -> Option<f64> {
    let [a, b] = scales;
    Some(3.0 * a?.max(b?))
}

#[cfg(test)]
mod tests {
    use super::super::measure;
    use super::*;
    use crate::contour::Outline;
    use crate::frame::{PixelScale, ScaleSource};
    use crate::geometry::Point;
    use std::f64::consts::{PI, TAU};

    /// The section of an ellipsoid in a plane through two of its axes, in frames of `mm` per px.
    fn plane(semi_axes_mm: (f64, f64), mm: f64) -> Plane {
        let mut outline = Outline::default();
        outline.push_ring((0..360).map(|i| {
            let (s, c) = (TAU * f64::from(i) / 360.0).sin_cos();
            Point::new((300.0 + semi_axes_mm.0 / mm * c) as f32, (200.0 + semi_axes_mm.1 / mm * s) as f32)
        }));
        let scale = PixelScale::new(Millimetres(mm), Millimetres(mm), ScaleSource::Phantom);
        Plane::from(&measure(&outline, scale.as_ref()).unwrap().metric.unwrap())
    }

    #[test]
    fn an_ellipsoid_of_known_volume_has_it() {
        for (l, w, h) in [(60.0, 45.0, 35.0), (25.0, 9.0, 8.0), (40.0, 40.0, 40.0)] {
            let v = of_planes(&plane((l, h), 0.3), &plane((w, h), 0.2), Formula::Ellipsoid).unwrap();
            let truth = 4.0 / 3.0 * PI * l * w * h / 1000.0;
            assert!((v.volume.0 / truth - 1.0).abs() < 0.005, "{} is not {truth}", v.volume.0);
        }
    }

    #[test]
    fn planes_that_do_not_belong_together_have_no_volume() {
        let along = plane((60.0, 35.0), 0.3);
        assert_eq!(of_planes(&along, &plane((45.0, 20.0), 0.3), Formula::Bladder), Err(NoVolume::HeightsDiffer));
        let flat = Plane { longest: Millimetres(0.0), ..along };
        assert_eq!(of_planes(&flat, &along, Formula::Bladder), Err(NoVolume::Flat));
    }
}
