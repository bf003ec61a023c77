//! The device profile: one strict TOML file that describes a device.
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
//! Every key but those that identify the camera has a default. An unknown key is an error with its line and the nearest
//! valid key; an impossible value is an error with its key. `firmware-config/profiles/` has complete profiles.
//!
//! | section | content |
//! |---|---|
//! | `[camera]` | which camera, and the format of its frames |
//! | `[image]` | what its frames show: region, keep-outs, scale, mirror |
//! | `[display]` | which screen, its rotation and resolution |
//! | `[touch]` | which panel, its orientation, what counts as a touch |
//! | `[remote]` | a browser on a tablet as the screen, or beside it |
//! | `[model]`, `[live]`, `[heat]` | model folder and preset, deadline, temperature limits |
//! | `[propose]` | suggested outlines before any tap |
//! | `[exams]`, `[[keyboard]]` | where exams are saved; pedals, buttons and scanners |
//! | `[igtl]` | OpenIGTLink: where to listen, and whose images are the source |
//! | `[dicom]` | archive and worklist, TLS |

mod check;
mod dicom;
mod exams;
mod read;
mod rulers;

pub use rulers::RulerProfile;

pub use self::dicom::{DicomProfile, DicomTlsProfile};
pub use crate::input::keyboard::KeyboardProfile;
pub use crate::input::touch::TouchProfile;
pub use crate::source::camera::CameraProfile;

pub use exams::{ExamsProfile, SendWhen};

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::frame::{ImageRegion, PixelScale, RegionContent, ScaleSource};
use crate::geometry::Rect;
use crate::overlay::{Handedness, KeepOut};
use crate::source::camera::Annotation;
use crate::units::Millimetres;

/// A device.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Profile {
    /// The camera, if any.
    pub camera: Option<CameraProfile>,
    /// What its frames show.
    pub image: ImageProfile,
    /// The screen.
    pub display: DisplayProfile,
    /// The touch panel, if any.
    pub touch: Option<TouchProfile>,
    /// Tablets, if they may show the screen.
    pub remote: Option<RemoteProfile>,
    /// The model.
    pub model: ModelProfile,
    /// The live path.
    pub live: LiveProfile,
    /// Suggestions before any tap, if they are wanted.
    pub propose: Option<ProposeProfile>,
    /// Temperature limits.
    pub heat: HeatProfile,
    /// OpenIGTLink, if it is to listen.
    pub igtl: Option<IgtlProfile>,
    /// Archive and worklist, if there are any.
    pub dicom: Option<DicomProfile>,
    /// Exams.
    pub exams: ExamsProfile,
    /// Pedals, buttons and scanners.
    pub keyboard: Vec<KeyboardProfile>,
}

/// What the frames show. Coordinates are image px.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ImageProfile {
    /// The region that shows the patient: left, top, right, bottom.
    pub region: Option<[f32; 4]>,
    /// What that region shows.
    pub content: Content,
    /// Parts that are never painted over.
    pub keep_outs: Vec<[f32; 4]>,
    /// Millimetres per px along x and y. Only for a scanner whose depth cannot be changed.
    pub mm_per_px: Option<[f64; 2]>,
    /// Width of a pixel over its height, as the grabber gives it: 0.909 for NTSC, 1.091 for PAL of 720 columns. Of a scale by hand.
    pub pixel_aspect: Option<f32>,
    /// Swap left and right on the screen.
    pub mirror: bool,
    /// Scales by depth: each is used while the scanner shows the ruler of its picture.
    pub rulers: Vec<RulerProfile>,
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
    /// Not stated.
    #[default]
    Unknown,
}

/// Which screen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct DisplayProfile {
    /// The interface.
    pub kind: DisplayKind,
    /// Its device file; by default the first that works.
    pub path: Option<PathBuf>,
    /// Clockwise rotation of the picture, degrees: 0, 90, 180, 270.
    pub rotate: u16,
    /// Dots per inch; by default what the screen reports, else 133.
    pub dpi: Option<f32>,
    /// Width and height for a window or without a screen, px; other screens report theirs.
    pub size: [u32; 2],
    /// The side of the controls.
    pub hand: Hand,
}

impl Default for DisplayProfile {
    fn default() -> Self {
        Self { kind: DisplayKind::None, path: None, rotate: 0, dpi: None, size: [800, 480], hand: Hand::Right }
    }
}

/// The interface of a screen.
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
    /// A browser on a tablet: `[remote]`.
    Remote,
    /// None.
    #[default]
    None,
}

/// The side of the controls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// On the right.
    #[default]
    Right,
    /// On the left.
    Left,
}

/// Tablets whose browser shows the screen: alone with `display.kind = "remote"`, else as a mirror of the screen.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct RemoteProfile {
    /// Where it listens once pairing is opened.
    pub address: SocketAddr,
    /// Names under which a browser may reach it, beside its addresses.
    pub names: Vec<String>,
    /// Tablets at a time.
    pub tablets: usize,
    /// How long a pairing stays open, s.
    pub pairing_s: f64,
    /// Largest age of a live frame at a tablet's glass, ms.
    pub age_ms_max: f64,
    /// A Unix socket at which `sonotap pair` asks for a pairing: the button of a device.
    pub button: Option<PathBuf>,
    /// TLS: the device's own authority, certificate and private key as PEM, made there when it is missing.
    pub authority: Option<PathBuf>,
}

impl Default for RemoteProfile {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            names: Vec::new(),
            tablets: 4,
            pairing_s: 120.0,
            age_ms_max: 250.0,
            button: None,
            authority: None,
        }
    }
}

/// Which model.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ModelProfile {
    /// Its folder; by default the bundled model.
    pub folder: Option<PathBuf>,
    /// The only accepted model: the SHA-256 of its manifest, as `sonotap model verify` prints it.
    pub pin: Option<String>,
    /// The structure to outline: a bundled preset, or a file ([`crate::preset`]).
    pub preset: Option<String>,
}

/// The live path.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct LiveProfile {
    /// Largest age of a frame when it is shown, ms; by default one frame period.
    pub deadline_ms: Option<f64>,
}

/// Suggestions before any tap, by a model that proposes.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ProposeProfile {
    /// Lowest score that is shown: the model's mean probability within the suggestion.
    pub score_min: f32,
}

impl Default for ProposeProfile {
    fn default() -> Self {
        Self { score_min: Self::SCORE_MIN }
    }
}

impl ProposeProfile {
    /// The usual lowest score.
    pub const SCORE_MIN: f32 = 0.8;
}

/// Temperature limits.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct HeatProfile {
    /// From this temperature on, every second frame gets a prediction, °C.
    pub hot_c: f32,
    /// Every frame again from this temperature down, °C.
    pub cool_c: f32,
    /// Thermal zones by type, as in /sys/class/thermal/*/type; all when empty.
    pub zones: Vec<String>,
}

impl Default for HeatProfile {
    fn default() -> Self {
        Self { hot_c: 75.0, cool_c: 68.0, zones: Vec::new() }
    }
}

/// OpenIGTLink: results to every client, and images as a source. The protocol has no authentication.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct IgtlProfile {
    /// Port, or address and port, in numbers; without an address 127.0.0.1, which other machines cannot reach.
    pub listen: String,
    /// Images as the source of frames: "listen" for those that clients send, or address and port of a server that sends them.
    pub source: Option<String>,
    /// Only images of this device; by default of the first that sends any.
    pub device: Option<String>,
    /// Images per second. After three periods without one there is no signal.
    pub fps: f64,
    /// Whose clock dates an image.
    pub time: IgtlTime,
}

impl Default for IgtlProfile {
    fn default() -> Self {
        Self { listen: "18944".into(), source: None, device: None, fps: 30.0, time: IgtlTime::Sender }
    }
}

impl IgtlProfile {
    /// The value of `source` for images that clients send.
    pub const LISTEN: &str = "listen";

    /// Reads `[ADDRESS:]PORT`; without an address it is 127.0.0.1. `None` when it is neither.
    pub fn address(text: &str) -> Option<SocketAddr> {
        let local = text.parse().ok().map(|port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port));
        local.or_else(|| text.parse().ok())
    }
}

/// Whose clock dates an image that came by OpenIGTLink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum IgtlTime {
    /// The sender's time stamps, related to our clock by the smallest delay.
    #[default]
    Sender,
    /// Ours, when it came: for senders whose stamps do not run at the pace of their images.
    Arrival,
}

impl Profile {
    /// The profile as TOML, with every key.
    pub fn to_toml(&self) -> String {
        // TOML can represent every type here.
        toml::to_string(self).unwrap_or_default()
    }

    /// What the camera's frames show.
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
        let pixel_aspect = self.image.pixel_aspect;
        Annotation { size: (width, height), region, scale, pixel_aspect }
    }

    /// Parts of the frame that are never painted over.
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

fn rect_of([x0, y0, x1, y1]: [f32; 4]) -> Rect<crate::geometry::ImageSpace> {
    Rect::new(x0, y0, x1, y1)
}
