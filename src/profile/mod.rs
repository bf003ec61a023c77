//! The device profile: one strict TOML file that says what a device is made of.
//!
//! ```toml
//! [camera]
//! usb = "534d:2109"            # or driver, bus, card, path; all that are given must match
//! formats = ["YUYV", "MJPG"]   # in the order of preference
//! size = [1280, 720]
//! fps = 30
//!
//! [display]
//! kind = "drm"
//!
//! [touch]
//! name = "Goodix"
//! ```
//!
//! Every key has a default but what names the camera. An unknown key is an error with its line and the nearest key that
//! exists; a value that cannot be is an error with its key. `firmware-config/profiles/` has whole ones.
//!
//! | section | what |
//! |---|---|
//! | `[camera]` | which camera, how its pictures come |
//! | `[image]` | what its pictures show: region, keep-outs, scale, mirror |
//! | `[display]` | which screen, its rotation and resolution |
//! | `[touch]` | which panel, how it lies on the screen, what counts as a touch |
//! | `[model]`, `[live]`, `[heat]` | model folder and preset, deadline, what to do when it gets hot |

mod check;
mod read;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::frame::{ImageRegion, PixelScale, RegionContent, ScaleSource};
use crate::geometry::Rect;
use crate::input::recognizer::RecognizerConfig;
use crate::overlay::{Handedness, KeepOut};
use crate::source::camera::{Annotation, CameraFormat, Ink, Levels};
use crate::units::{Millimetres, Nanos};

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Profile {
    /// Which camera, if there is one.
    pub camera: Option<CameraProfile>,
    /// What its pictures show.
    pub image: ImageProfile,
    /// Which screen.
    pub display: DisplayProfile,
    /// Which touch panel, if there is one.
    pub touch: Option<TouchProfile>,
    /// Which model.
    pub model: ModelProfile,
    /// The live path.
    pub live: LiveProfile,
    /// Heat.
    pub heat: HeatProfile,
}

/// Which camera, and how its pictures come.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CameraProfile {
    /// A device file, as udev names it.
    pub path: Option<PathBuf>,
    /// Driver, as in `sonotap cameras`.
    pub driver: Option<String>,
    /// Beginning of the bus, which tells one socket from another.
    pub bus: Option<String>,
    /// A part of the card's name.
    pub card: Option<String>,
    /// Vendor and product, four hexadecimal digits each: "534d:2109".
    pub usb: Option<String>,
    /// Formats in the order of preference.
    pub formats: Vec<CameraFormat>,
    /// Width and height, px.
    pub size: [u32; 2],
    /// Pictures a second.
    pub fps: f64,
    /// Buffers of the driver.
    pub buffers: u32,
    /// Input of the device, for those with several.
    pub input: Option<u32>,
    /// Grey, or colour where the camera has it.
    pub ink: Ink,
    /// Levels of black and white, where the driver is wrong about them.
    pub levels: Option<Levels>,
    /// Without a whole picture for so long, the camera is opened again, ms.
    pub stall_ms: f64,
    /// From one vain attempt to open to the next, ms.
    pub retry_ms: f64,
}

impl Default for CameraProfile {
    fn default() -> Self {
        Self {
            path: None,
            driver: None,
            bus: None,
            card: None,
            usb: None,
            formats: CameraFormat::ALL.to_vec(),
            size: [640, 480],
            fps: 30.0,
            buffers: 4,
            input: None,
            ink: Ink::Grey,
            levels: None,
            stall_ms: 300.0,
            retry_ms: 150.0,
        }
    }
}

/// What the pictures show. Places are image px.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ImageProfile {
    /// The part that shows the patient: left, top, right, bottom.
    pub region: Option<[f32; 4]>,
    /// What that part shows.
    pub content: Content,
    /// Parts that nothing is painted over.
    pub keep_outs: Vec<[f32; 4]>,
    /// Millimetres a px along x and y. Only for a scanner whose depth cannot be changed.
    pub mm_per_px: Option<[f64; 2]>,
    /// Swap left and right on the screen.
    pub mirror: bool,
}

/// What an image region shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Content {
    /// Greyscale tissue image.
    BMode,
    /// Colour flow over tissue: nothing is outlined.
    ColourDoppler,
    /// A trace over time: nothing is outlined.
    Trace,
    /// Nobody said.
    #[default]
    Unknown,
}

/// Which screen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DisplayProfile {
    /// How it is driven.
    pub kind: DisplayKind,
    /// Its device file; by default the first that works.
    pub path: Option<PathBuf>,
    /// Clockwise rotation of what is shown, degrees: 0, 90, 180, 270.
    pub rotate: u16,
    /// Dots per inch; by default what the screen says of itself, else 133.
    pub dpi: Option<f32>,
    /// Width and height of a window or of no screen, px; others say their own.
    pub size: [u32; 2],
    /// Which hand touches: where the controls are.
    pub hand: Hand,
}

impl Default for DisplayProfile {
    fn default() -> Self {
        Self { kind: DisplayKind::None, path: None, rotate: 0, dpi: None, size: [800, 480], hand: Hand::Right }
    }
}

/// How a screen is driven.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DisplayKind {
    /// DRM if it works, else the framebuffer.
    Auto,
    /// DRM/KMS.
    Drm,
    /// A framebuffer device.
    Fbdev,
    /// A window.
    Window,
    /// None.
    #[default]
    None,
}

/// Where the controls are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// On the right.
    #[default]
    Right,
    /// On the left.
    Left,
}

/// Which touch panel, how it lies on the screen, and what counts as a touch.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct TouchProfile {
    /// A device file, as udev names it.
    pub path: Option<PathBuf>,
    /// A part of the device's name; without it and without a path, the first touch panel.
    pub name: Option<String>,
    /// Clockwise rotation from the panel to the picture as it is looked at, degrees: 0, 90, 180, 270; by default that of a
    /// panel that lies on its screen, which undoes the screen's.
    pub rotate: Option<u16>,
    /// Swap left and right, before the rotation.
    pub mirror_x: bool,
    /// Swap top and bottom, before the rotation.
    pub mirror_y: bool,
    /// Two rows of an affine map of shares of the panel's width and height, before everything else.
    pub calibration: [f32; 6],
    /// Width of the panel, mm, where the driver does not say how large its units are.
    pub width_mm: Option<f32>,
    /// A larger contact is a palm or gel, mm.
    pub max_contact_mm: f32,
    /// A shorter contact is a drop of gel, ms.
    pub min_contact_ms: f64,
    /// A finger that stays within it taps, mm.
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

/// Which model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ModelProfile {
    /// Its folder; the bundled one by default.
    pub folder: Option<PathBuf>,
    /// The only model that is taken there: the SHA-256 of its manifest, as `sonotap model verify` prints it.
    pub pin: Option<String>,
    /// What is about to be outlined: a preset of the box, or a file ([`crate::preset`]).
    pub preset: Option<String>,
}

/// The live path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LiveProfile {
    /// Greatest age of a frame when it is shown, ms; one frame period by default.
    pub deadline_ms: Option<f64>,
}

/// What to do when it gets hot.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct HeatProfile {
    /// From here on every second frame is looked at, °C.
    pub hot_c: f32,
    /// Down to here it stays so, °C.
    pub cool_c: f32,
    /// Thermal zones by type, as in /sys/class/thermal/*/type; all of them when empty.
    pub zones: Vec<String>,
}

impl Default for HeatProfile {
    fn default() -> Self {
        Self { hot_c: 75.0, cool_c: 68.0, zones: Vec::new() }
    }
}

impl TouchProfile {
    /// What counts as a touch on a screen of that resolution.
    pub fn recognizer(&self, dpi: f32) -> RecognizerConfig {
        let gloves = RecognizerConfig::gloves(dpi);
        RecognizerConfig {
            max_contact_mm: self.max_contact_mm,
            min_contact: Nanos::from_secs_f64(self.min_contact_ms / 1e3),
            tap_slop_mm: self.tap_slop_mm,
            min_drag_mm: gloves.min_drag_mm.max(self.tap_slop_mm),
            ..gloves
        }
    }
}

impl Profile {
    /// The profile as a file of its own, with every key.
    pub fn to_toml(&self) -> String {
        // Every type here is one that TOML can hold.
        toml::to_string(self).unwrap_or_default()
    }

    /// What the camera's pictures show.
    pub fn annotation(&self) -> Annotation {
        let Some(camera) = &self.camera else { return Annotation::default() };
        let [width, height] = camera.size;
        let whole = [0.0, 0.0, width as f32, height as f32];
        let region = match (self.image.region, self.image.content) {
            (None, Content::Unknown) => None,
            (rect, content) => Some(ImageRegion {
                rect: rect_of(rect.unwrap_or(whole)),
                content: match content {
                    Content::BMode => RegionContent::BMode,
                    Content::ColourDoppler => RegionContent::ColourDoppler,
                    Content::Trace => RegionContent::Trace,
                    Content::Unknown => RegionContent::Unknown,
                },
            }),
        };
        let scale = self
            .image
            .mm_per_px
            .and_then(|[x, y]| PixelScale::new(Millimetres(x), Millimetres(y), ScaleSource::Profile));
        Annotation { size: (width, height), region, scale }
    }

    /// Parts of the image that nothing is painted over.
    pub fn keep_outs(&self) -> Vec<KeepOut> {
        self.image.keep_outs.iter().map(|&r| KeepOut { rect: rect_of(r) }).collect()
    }

    /// Where the controls are.
    pub fn handedness(&self) -> Handedness {
        match self.display.hand {
            Hand::Right => Handedness::Right,
            Hand::Left => Handedness::Left,
        }
    }
}

fn rect_of([x0, y0, x1, y1]: [f32; 4]) -> Rect<crate::geometry::Image> {
    Rect::new(x0, y0, x1, y1)
}
