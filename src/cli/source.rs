//! The `--source` argument.

use std::path::Path;

use anyhow::{Result, bail};
use sonotap::source::FrameSource;
use sonotap::source::dicom::DicomSource;
use sonotap::source::images::ImagesSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, Preset};
use sonotap::units::Nanos;

/// A source and what the report says of it.
pub struct Opened {
    /// The source.
    pub source: Box<dyn FrameSource>,
    /// Why its scale is not used, if it offers one.
    pub scale_refused: Option<String>,
    /// Whether it goes on for ever by itself.
    pub is_endless: bool,
}

/// Opens KIND:WHAT.
pub fn open(spec: &str, period: Option<Nanos>, seed: u64) -> Result<Opened> {
    let Some((kind, what)) = spec.split_once(':') else {
        bail!("--source: expected dicom:FILE, images:PATH or phantom:PRESET, got {spec:?}");
    };
    if what.is_empty() {
        bail!("--source: expected something after the colon, got {spec:?}");
    }
    if matches!(kind, "dicom" | "images") && !Path::new(what).exists() {
        bail!("--source: expected a file or folder that exists, got {what:?}");
    }
    Ok(match kind {
        "dicom" => {
            let source = DicomSource::open(Path::new(what))?;
            let scale_refused = source.scale_refused().map(str::to_owned);
            Opened { source: Box::new(source), scale_refused, is_endless: false }
        }
        "images" => {
            let source = ImagesSource::open(Path::new(what))?;
            Opened { source: Box::new(source), scale_refused: None, is_endless: false }
        }
        "phantom" => {
            let preset: Preset = what.parse()?;
            let natural = PhantomConfig::default();
            let config = PhantomConfig { seed, frame_period: period.unwrap_or(natural.frame_period), ..natural };
            let source = Phantom::new(preset, config)?;
            Opened { source: Box::new(source), scale_refused: None, is_endless: true }
        }
        other => bail!("--source: expected dicom, images or phantom before the colon, got {other:?}"),
    })
}
