//! What a device profile says of its camera: section `[camera]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{CameraFormat, Ink, Levels};

/// The camera, and the format of its frames.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct CameraProfile {
    /// A device file, such as a udev link.
    pub path: Option<PathBuf>,
    /// Driver, as in `sonotap cameras`.
    pub driver: Option<String>,
    /// Prefix of the bus address, which distinguishes sockets.
    pub bus: Option<String>,
    /// A part of the card's name.
    pub card: Option<String>,
    /// Vendor and product, four hexadecimal digits each: "534d:2109".
    pub usb: Option<String>,
    /// Formats in order of preference.
    pub formats: Vec<CameraFormat>,
    /// Width and height, px.
    pub size: [u32; 2],
    /// Frames per second.
    pub fps: f64,
    /// Number of driver buffers.
    pub buffers: u32,
    /// Input of the device, where it has several.
    pub input: Option<u32>,
    /// Grey, or colour if the camera delivers it.
    pub ink: Ink,
    /// Levels of black and white, where the driver reports wrong ones.
    pub levels: Option<Levels>,
    /// The camera is reopened after this time without a complete frame, ms.
    pub stall_ms: f64,
    /// Interval between attempts to open it, ms.
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
