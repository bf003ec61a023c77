//! What a device profile says of its touch panel: section `[touch]`.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::input::recognizer::RecognizerConfig;
use crate::units::Span;

/// The touch panel, its orientation, and what counts as a touch.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TouchProfile {
    /// A device file, as udev names it.
    pub path: Option<PathBuf>,
    /// A part of the device's name; without name and path, the first touch panel.
    pub name: Option<String>,
    /// Clockwise rotation from the panel to the picture in viewing orientation, degrees: 0, 90, 180, 270. The default,
    /// for a panel mounted on its screen, undoes the screen's rotation.
    pub rotate: Option<u16>,
    /// Swap left and right, before the rotation.
    pub mirror_x: bool,
    /// Swap top and bottom, before the rotation.
    pub mirror_y: bool,
    /// Two rows of an affine map of fractions of the panel's width and height, applied first.
    pub calibration: [f32; 6],
    /// Width of the panel, mm, where the driver does not report the size of its units.
    pub width_mm: Option<f32>,
    /// A larger contact is a palm or gel, mm.
    pub max_contact_mm: f32,
    /// A shorter contact is a drop of gel, ms.
    pub min_contact_ms: f64,
    /// A finger that moves less than this taps, mm.
    pub tap_slop_mm: f32,
}

impl Default for TouchProfile {
    fn default() -> Self {
        Self {
            path: None,
            name: None,
            rotate: None,
            mirror_x: false,
            mirror_y: false,
            calibration: [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            width_mm: None,
            max_contact_mm: 22.0,
            min_contact_ms: 20.0,
            tap_slop_mm: 3.0,
        }
    }
}

impl TouchProfile {
    /// Gesture thresholds for a screen of that resolution.
    pub fn recognizer(&self, dpi: f32) -> RecognizerConfig {
        let gloves = RecognizerConfig::gloves(dpi);
        RecognizerConfig {
            max_contact_mm: self.max_contact_mm,
            min_contact: Duration::of_secs(self.min_contact_ms / 1e3),
            tap_slop_mm: self.tap_slop_mm,
            min_drag_mm: gloves.min_drag_mm.max(self.tap_slop_mm),
            ..gloves
        }
    }
}
