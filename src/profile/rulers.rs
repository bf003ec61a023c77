//! Scales by depth: the picture of the scanner's ruler at each depth, with the size of a pixel there.
//!
//! ```toml
//! [[image.rulers]]
//! picture = "/etc/sonotap/depth-8cm.png"   # cut out of a frame: the ticks and their numbers
//! at = [1180, 60]                          # its left upper corner on the frame
//! mm-per-px = [0.125, 0.125]
//! ```

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Profile;
use crate::calipers::KnownScale;
use crate::calipers::ruler::RulerKey;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{PixelScale, ScaleSource};
use crate::source::images::load_still;
use crate::units::Millimetres;

/// A ruler by whose picture a scale is known.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RulerProfile {
    /// The picture, a PNG.
    pub picture: PathBuf,
    /// Where its left upper corner is on the frame, px.
    pub at: [u32; 2],
    /// Millimetres per px along x and y.
    pub mm_per_px: [f64; 2],
}

impl RulerProfile {
    /// Most rulers: each may be compared with every frame.
    pub const MAX: usize = 24;
    /// Most pixels of a picture.
    pub const PIXELS_MAX: usize = 1 << 16;
}

impl Profile {
    /// Reads the rulers' pictures. `size` is that of the frames, px.
    ///
    /// # Errors
    /// Those of reading a picture; `Config` when it is too large, shows nothing or does not lie within the frame.
    pub fn known_scales(&self, size: (u32, u32)) -> Result<Vec<KnownScale>> {
        let known = |ruler: &RulerProfile| {
            let RulerProfile { picture, at, mm_per_px: [x, y] } = ruler;
            let shown = load_still(picture)?;
            let (width, height) = (shown.width(), shown.height());
            let pixels: Vec<u8> = (0..height)
                .flat_map(|row| (0..width).map(move |column| (column, row)))
                .map(|(x, y)| shown.grey(x, y))
                .collect();
            let wrong =
                |what: String| Error::new(ErrorKind::Config, format!("image.rulers: {}: {what}", picture.display()));
            if pixels.len() > RulerProfile::PIXELS_MAX {
                return Err(wrong(format!("expected at most {} px, got {width}x{height}", RulerProfile::PIXELS_MAX)));
            }
            let key = RulerKey::new(size, (at[0], at[1]), width, pixels).ok_or_else(|| {
                let (w, h) = size;
                wrong(format!(
                    "expected a ruler within {w}x{h}, got {width}x{height} at {at:?}, or one that shows nothing"
                ))
            })?;
            let scale = PixelScale::new(Millimetres(*x), Millimetres(*y), ScaleSource::Profile);
            let scale = scale.ok_or_else(|| wrong(format!("expected mm-per-px above 0, got [{x}, {y}]")))?;
            Ok(KnownScale { key, scale })
        };
        self.image.rulers.iter().map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(picture: &std::path::Path, at: &str) -> Profile {
        let text = format!(
            "[[image.rulers]]\npicture = {:?}\nat = {at}\nmm-per-px = [0.2, 0.2]\n",
            picture.display().to_string()
        );
        Profile::parse(&text, "p.toml").unwrap()
    }

    #[test]
    fn a_rulers_picture_is_read_and_what_does_not_fit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("8cm.png");
        let ticks = image::GrayImage::from_fn(12, 100, |_, y| image::Luma([if y % 20 == 3 { 220 } else { 9 }]));
        ticks.save(&picture).unwrap();
        let known = profile(&picture, "[600, 20]").known_scales((640, 480)).unwrap();
        assert_eq!((known.len(), known[0].scale.source()), (1, ScaleSource::Profile));
        let e = profile(&picture, "[630, 20]").known_scales((640, 480)).unwrap_err();
        assert!(e.to_string().contains("8cm.png: expected a ruler within 640x480, got 12x100 at [630, 20]"), "{e}");
        assert!(profile(&folder.path().join("none.png"), "[0, 0]").known_scales((640, 480)).is_err());
        let toml = profile(&picture, "[600, 20]").to_toml();
        assert_eq!(Profile::parse(&toml, "again").unwrap(), profile(&picture, "[600, 20]"), "{toml}");
        for (from, to, key) in [("[0.2, 0.2]", "[0.0, 0.2]", "rulers[0].mm-per-px"), ("at =", "in =", "nearest")] {
            let text = "[[image.rulers]]\npicture = \"a.png\"\nat = [0, 0]\nmm-per-px = [0.2, 0.2]\n".replace(from, to);
            let e = Profile::parse(&text, "p.toml").unwrap_err().to_string();
            assert!(e.contains(key) || e.contains("unknown key \"in\""), "{e}");
        }
    }
}
