//! The `--source` argument, or the camera of a profile.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use anyhow::{Result, bail};
use sonotap::frame::PixelFormat;
use sonotap::profile::{CameraProfile, IgtlProfile, Profile};
use sonotap::source::camera::Camera;
use sonotap::source::dicom::DicomSource;
use sonotap::source::images::ImagesSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::source::{FrameSource, SourceDescription};
use sonotap::units::Span as _;

/// Where frames come from.
pub enum Origin {
    /// A source that is played at its own pace.
    Played(Box<dyn FrameSource>),
    /// A camera, which has its own time.
    #[cfg_attr(not(feature = "v4l2"), expect(dead_code, reason = "a build without cameras opens none"))]
    Camera(Box<dyn Camera>),
    /// OpenIGTLink images, which come when they come.
    Igtl(sonotap_igtl::server::Origin),
}

/// A source and what the report says of it.
pub struct Opened {
    /// The source.
    pub origin: Origin,
    /// What is known of its pictures beforehand.
    pub pictures: SourceDescription,
    /// Why its scale is not used, if it offers one.
    pub scale_refused: Option<String>,
    /// Whether it goes on for ever by itself.
    pub is_endless: bool,
    /// Counts frames that are missing or damaged and are passed over.
    pub damaged: Arc<AtomicUsize>,
}

const KINDS: &str = "dicom:FILE, images:PATH, phantom:PRESET, camera:DEVICE or igtl:listen";

/// Opens KIND:WHAT, or the camera of the profile when there is none.
pub fn open(spec: Option<&str>, profile: &Profile, period: Option<Duration>, seed: u64) -> Result<Opened> {
    let Some(spec) = spec else {
        return match (&profile.camera, &profile.igtl) {
            (_, Some(igtl)) if igtl.source.is_some() => open_igtl(igtl),
            (Some(camera), _) => open_camera(camera),
            _ => bail!("--source: expected {KINDS}, or a --config with a [camera], got neither"),
        };
    };
    let Some((kind, what)) = spec.split_once(':') else {
        bail!("--source: expected {KINDS}, got {spec:?}");
    };
    if what.is_empty() {
        bail!("--source: expected something after the colon, got {spec:?}");
    }
    if matches!(kind, "dicom" | "images" | "camera") && !Path::new(what).exists() {
        bail!("--source: expected a file or folder that exists, got {what:?}");
    }
    Ok(match kind {
        "dicom" => {
            let mut source = DicomSource::open(Path::new(what))?;
            let is_cine = source.description().frames != Some(1);
            match (period, source.timing_refused().filter(|_| is_cine)) {
                (None, Some(why)) => bail!("{what}: {why}; --fps N plays it"),
                (Some(_), _) => source.ignore_intervals(),
                (None, None) => {}
            }
            let scale_refused = source.scale_refused().map(str::to_owned);
            let damaged = source.damaged();
            Opened { damaged, ..played(Box::new(source), scale_refused, false) }
        }
        "images" => {
            let mut source = ImagesSource::open(Path::new(what))?;
            if period.is_some() {
                source.ignore_intervals();
            }
            let damaged = source.damaged();
            Opened { damaged, ..played(Box::new(source), None, false) }
        }
        "phantom" => {
            let preset: PhantomPreset = what.parse()?;
            let natural = PhantomConfig::default();
            let config = PhantomConfig { seed, frame_period: period.unwrap_or(natural.frame_period), ..natural };
            played(Box::new(Phantom::new(preset, config)?), None, true)
        }
        "camera" => {
            let known = profile.camera.clone().unwrap_or_default();
            return open_camera(&CameraProfile { path: Some(what.into()), ..known });
        }
        "igtl" => return open_igtl(&profile.igtl.clone().unwrap_or_default()),
        other => bail!("--source: expected dicom, images, phantom, camera or igtl before the colon, got {other:?}"),
    })
}

fn played(source: Box<dyn FrameSource>, scale_refused: Option<String>, is_endless: bool) -> Opened {
    let pictures = source.description().clone();
    Opened { origin: Origin::Played(source), pictures, scale_refused, is_endless, damaged: Arc::default() }
}

/// Nothing is opened: images come when somebody sends them, in the size that they have.
fn open_igtl(igtl: &IgtlProfile) -> Result<Opened> {
    use sonotap_igtl::server::Origin as Images;
    let pictures = SourceDescription {
        name: "OpenIGTLink images".into(),
        width: 640,
        height: 480,
        format: PixelFormat::Grey8,
        frame_period: Some(Duration::of_secs(1.0 / igtl.fps)),
        frames: None,
    };
    let images = match igtl.source.as_deref() {
        Some(place) if place != IgtlProfile::LISTEN => match IgtlProfile::address(place) {
            Some(address) => Images::Server(address),
            None => bail!("igtl.source: expected an address and port, got {place:?}"),
        },
        _ => Images::Clients,
    };
    let origin = Origin::Igtl(images);
    Ok(Opened { origin, pictures, scale_refused: None, is_endless: true, damaged: Arc::default() })
}

#[cfg(feature = "v4l2")]
fn open_camera(camera: &CameraProfile) -> Result<Opened> {
    use sonotap::source::camera::{Ink, v4l2::V4l2Camera};
    use sonotap::units::Span as _;
    let pictures = SourceDescription {
        name: "camera".into(),
        width: camera.size[0],
        height: camera.size[1],
        format: if camera.ink == Ink::Colour { PixelFormat::Rgb8 } else { PixelFormat::Grey8 },
        frame_period: Some(Duration::of_secs(1.0 / camera.fps)),
        frames: None,
    };
    let origin = Origin::Camera(Box::new(V4l2Camera::new(camera)));
    Ok(Opened { origin, pictures, scale_refused: None, is_endless: true, damaged: Arc::default() })
}

#[cfg(not(feature = "v4l2"))]
fn open_camera(_camera: &CameraProfile) -> Result<Opened> {
    bail!("this build has no camera (feature `v4l2`)")
}
