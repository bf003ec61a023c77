//! Presets: the structure to outline, with its label, its measurements and its likely size.
//!
//! A preset never hides an outline. When the frame has a scale, outlines of an unlikely size rank lower among the
//! distinct ones of a tap ([`ExpectedSize::fits`]); without a scale the size is not used.
//!
//! Thirteen are bundled, each a TOML file with its source. A file of your own has the same form:
//!
//! ```toml
//! label = "Kidney"
//! colour = "orange"                        # yellow, green, pink or orange: those of the objects
//! size-mm = [30.0, 150.0]                  # largest diameter expected in the image plane
//! measurements = ["area", "diameters"]     # in the order in which they are shown; of area, diameters, perimeter, ellipse,
//!                                          # circumference, mean-diameter
//! source = "where the size comes from"
//! volume = "ellipsoid"                     # or bladder, lobe, lobe-brunn, discs; by default ellipsoid
//!
//! [variation]                              # may be left out: what others found, shown beside the spread of a median
//! words = "length ±5 % (Author 2012)"
//! source = "where the variation comes from"
//! ```

use std::path::Path;

use serde::Deserialize;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::PixelScale;
use crate::geometry::{ImageSpace, Rect};
use crate::measure::volume::Formula;
use crate::text_file;
use crate::text_file::nearest;

/// Largest file, bytes.
const BYTES_MAX: usize = 1 << 14;
/// Plausible sizes, mm.
const SIZES_MM: std::ops::RangeInclusive<f32> = 0.1..=1_000.0;

macro_rules! in_the_box {
    ($($name:literal),*) => { &[$(($name, include_str!(concat!($name, ".toml")))),*] };
}

/// Names and texts of the bundled presets.
const BOX: &[(&str, &str)] = in_the_box!(
    "bladder",
    "gallbladder",
    "kidney",
    "liver-lesion",
    "thyroid-lobe",
    "nodule",
    "breast-lesion",
    "fetal-head",
    "left-ventricle",
    "carotid",
    "nerve",
    "muscle",
    "bone"
);

/// Colour of the first object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Colour {
    /// By default object 1.
    Yellow,
    /// By default object 2.
    Green,
    /// By default object 3.
    Pink,
    /// By default object 4.
    Orange,
}

/// A measurement on the screen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Item {
    /// Area.
    Area,
    /// Longest diameter, and the one across it.
    Diameters,
    /// Perimeter.
    Perimeter,
    /// Axes of the ellipse.
    Ellipse,
    /// Circumference of the ellipse, where the outline is one.
    Circumference,
    /// Mean of the longest diameter and the one across it.
    MeanDiameter,
}

impl Item {
    /// Those that are shown without a preset, in their order.
    pub const ALL: [Self; 4] = [Self::Area, Self::Diameters, Self::Perimeter, Self::Ellipse];
}

/// A structure to outline.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Preset {
    /// Its name on the screen.
    pub label: String,
    /// Colour of the first object; the others follow in their order.
    pub colour: Colour,
    /// Range of the largest diameter expected in the image plane, mm.
    pub size_mm: [f32; 2],
    /// Measurements that are shown, in this order.
    pub measurements: Vec<Item>,
    /// Source of the size.
    pub source: String,
    /// How its volume is computed.
    #[serde(default)]
    pub volume: VolumeBy,
    /// How much others found it to vary, if somebody published that.
    pub variation: Option<Variation>,
}

/// How a volume is computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeBy {
    /// From two planes, π/6 of the box.
    #[default]
    Ellipsoid,
    /// From two planes, 0.52 of the box.
    Bladder,
    /// From two planes, 0.524 of the box.
    Lobe,
    /// From two planes, 0.479 of the box.
    LobeBrunn,
    /// Of a left ventricle, by the method of discs.
    Discs,
}

impl VolumeBy {
    /// The formula for two planes; `None` for discs.
    pub fn formula(self) -> Option<Formula> {
        Some(match self {
            Self::Ellipsoid => Formula::Ellipsoid,
            Self::Bladder => Formula::Bladder,
            Self::Lobe => Formula::Lobe,
            Self::LobeBrunn => Formula::LobeBrunn,
            Self::Discs => return None,
        })
    }
}

/// How much a measurement varies, as somebody published it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Variation {
    /// As it is shown, with its source in short.
    pub words: String,
    /// Where it comes from.
    pub source: String,
}

/// Most characters of a variation's words: a line of the screen.
const VARIATION_MAX: usize = 26;

impl Preset {
    /// Names of the bundled presets.
    pub fn names() -> impl Iterator<Item = &'static str> {
        BOX.iter().map(|(name, _)| *name)
    }

    /// A bundled preset by its name, or a file that ends in `.toml`.
    ///
    /// # Errors
    /// `Argument` for an unknown name, with the nearest one; those of [`Self::parse`] and of reading.
    pub fn find(name: &str) -> Result<Self> {
        if let Some((_, text)) = BOX.iter().find(|(known, _)| *known == name) {
            return Self::parse(text, name);
        }
        if Path::new(name).extension().is_some_and(|e| e == "toml") {
            let text = text_file::read(Path::new(name), "a preset", BYTES_MAX)?;
            return Self::parse(&text, name);
        }
        let names: Vec<&str> = Self::names().collect();
        let near = nearest(name, &names).map_or(String::new(), |n| format!(", the nearest is \"{n}\""));
        let all = names.join(", ");
        let context = format!("preset: expected one of {all}, or a file NAME.toml, got {name:?}{near}");
        Err(Error::new(ErrorKind::Argument, context))
    }

    /// Parses and checks a preset's text; errors begin with `place`.
    ///
    /// # Errors
    /// `Config` when a key is unknown or missing, or a value impossible.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        let wrong = |what: String| Error::new(ErrorKind::Config, format!("{place}: {what}"));
        let preset: Self = toml::from_str(text).map_err(|e| wrong(e.message().replace('\n', " ")))?;
        let [least, most] = preset.size_mm;
        if !(SIZES_MM.contains(&least) && SIZES_MM.contains(&most) && least < most) {
            let (from, to) = (SIZES_MM.start(), SIZES_MM.end());
            return Err(wrong(format!("size-mm: expected two rising sizes of {from} to {to}, got [{least}, {most}]")));
        }
        for (key, text) in [("label", &preset.label), ("source", &preset.source)] {
            if text.trim().is_empty() {
                return Err(wrong(format!("{key}: expected a text, got none")));
            }
        }
        if preset.measurements.is_empty() {
            let all = "area, diameters, perimeter, ellipse, circumference, mean-diameter";
            return Err(wrong(format!("measurements: expected at least one of {all}, got none")));
        }
        if let Some(Variation { words, source }) = &preset.variation {
            let length = words.chars().count();
            if words.trim().is_empty() || length > VARIATION_MAX {
                return Err(wrong(format!("variation.words: expected 1 to {VARIATION_MAX} characters, got {length}")));
            }
            if source.trim().is_empty() {
                return Err(wrong("variation.source: expected a text, got none".into()));
            }
        }
        Ok(preset)
    }

    /// The sizes expected on a frame of this scale.
    pub fn expected(&self, scale: Option<&PixelScale>) -> Option<ExpectedSize> {
        let mm_per_px = scale?.mm_per_px();
        Some(ExpectedSize { size_mm: self.size_mm, mm_per_px })
    }
}

/// The sizes expected on one frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpectedSize {
    size_mm: [f32; 2],
    /// Along x and y.
    mm_per_px: (f32, f32),
}

impl ExpectedSize {
    /// Whether an outline with these bounds has about an expected size: the longer side of the bounds is between the
    /// least diameter divided by the square root of 2 and the greatest.
    pub fn fits(&self, bounds: &Rect<ImageSpace>) -> bool {
        let longest = (bounds.width() * self.mm_per_px.0).max(bounds.height() * self.mm_per_px.1);
        let [least, most] = self.size_mm;
        (least * std::f32::consts::FRAC_1_SQRT_2..=most).contains(&longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ScaleSource;
    use crate::units::Millimetres;

    #[test]
    fn every_preset_of_the_box_is_whole_and_says_where_its_size_comes_from() {
        assert_eq!(Preset::names().count(), 13);
        for name in Preset::names() {
            let preset = Preset::find(name).unwrap_or_else(|e| panic!("{e}"));
            assert!(preset.source.len() > 40, "{name}: {}", preset.source);
        }
    }

    #[test]
    fn a_name_that_is_none_is_answered_with_the_nearest() {
        let e = Preset::find("bladdr").unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Argument);
        assert!(e.to_string().contains("the nearest is \"bladder\""), "{e}");
        assert_eq!(Preset::find("nowhere/mine.toml").unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn a_file_of_ones_own_is_checked_key_by_key() {
        let good = Preset::find("kidney").unwrap();
        let text = "label = \"K\"\ncolour = \"pink\"\nsize-mm = [1, 2]\nmeasurements = [\"area\"]\nsource = \"s\"";
        assert_eq!(Preset::parse(text, "k").unwrap().colour, Colour::Pink);
        for (from, to, named) in [
            ("[1, 2]", "[2, 1]", "size-mm"),
            ("[1, 2]", "[1, nan]", "size-mm"),
            ("\"K\"", "\" \"", "label"),
            ("[\"area\"]", "[]", "measurements"),
            ("pink", "red", "red"),
            ("source", "sauce", "sauce"),
        ] {
            let e = Preset::parse(&text.replace(from, to), "k.toml").unwrap_err();
            assert!(e.to_string().starts_with("k.toml: ") && e.to_string().contains(named), "{e}");
        }
        assert!(good.measurements.len() > 1);
    }

    #[test]
    fn a_size_is_expected_only_where_the_scale_is_known() {
        let carotid = Preset::find("carotid").unwrap();
        assert_eq!(carotid.expected(None), None);
        let scale = PixelScale::new(Millimetres(0.1), Millimetres(0.2), ScaleSource::Profile).unwrap();
        let size = carotid.expected(Some(&scale)).unwrap();
        for (w, h, fits) in [(60.0, 20.0, true), (10.0, 5.0, false), (30.0, 240.0, false), (5.0, 11.0, true)] {
            assert_eq!(size.fits(&Rect::new(0.0, 0.0, w, h)), fits, "{w}x{h}");
        }
    }
}
