//! DICOM ultrasound images and cines as a source of frames.
//!
//! [`DicomSource::open`] decodes all frames at once, so that playing them copies and allocates nothing. It reads Ultrasound
//! Image and Ultrasound Multi-frame Image objects (and their retired predecessors) of 8 bits a sample: MONOCHROME1,
//! MONOCHROME2, RGB, YBR_FULL, YBR_FULL_422 and PALETTE COLOR; uncompressed, RLE or JPEG (baseline, extended, lossless).
//!
//! Bounds: files of 512 MiB with 32 MiB before the pixel data, sides of 8192 px, 20 000 frames, 512 MiB of decoded frames. Beyond them
//! and for everything else the error says what was expected. No value of a patient's element is ever read, kept or put
//! into an error; a parser's own message, which may quote one, is not passed on.
//!
//! The picture's regions and their scales come from the Sequence of Ultrasound Regions alone, and only where it fits the
//! picture. A prompt belongs to the topmost of them under it ([`crate::region`]).

mod jpeg;
mod layout;
mod pixels;
mod regions;

use std::fs::File;
use std::io::Read;
use std::path::Path;

use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use self::layout::FileLayout;
use self::pixels::PixelModule;
use self::regions::RegionReading;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Image, Rect};
use crate::source::{FrameSource, Next, SourceDescription};
use crate::units::Nanos;

const FILE_BYTES_MAX: u64 = 512 << 20;
const HEADER_BYTES_MAX: usize = 32 << 20;
/// Ultrasound Image and Ultrasound Multi-frame Image, then the two retired ones that they replaced.
const CLASSES: [&str; 4] = [
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
];
/// Frame periods outside are taken for a wrong tag, ms.
const PERIOD_MS: std::ops::RangeInclusive<f64> = 1.0..=60_000.0;

/// The frames of one DICOM file.
///
/// ```no_run
/// use sonotap::frame::Frame;
/// use sonotap::source::{FrameSource, Next, dicom::DicomSource};
/// let mut cine = DicomSource::open("assets/cine/heart-4ch.dcm".as_ref())?;
/// let mut frame = Frame::default();
/// while cine.next_into(&mut frame)? == Next::Filled {
///     println!("{}x{}", frame.width, frame.height);
/// }
/// # Ok::<(), sonotap::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DicomSource {
    description: SourceDescription,
    frames: Vec<u8>,
    frame_bytes: usize,
    next: usize,
    reading: RegionReading,
}

impl DicomSource {
    /// Reads and decodes a whole file.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` when it is no DICOM file, truncated or corrupt; `Unsupported` when it is no
    /// ultrasound image, or one that is stored in another way or is larger than the module says.
    pub fn open(path: &Path) -> Result<Self> {
        read_file(path).and_then(|file| Self::from_bytes(&file)).map_err(|e| e.within(path.display()))
    }

    /// The same from a file's bytes.
    ///
    /// # Errors
    /// As [`Self::open`], without `Io`.
    pub fn from_bytes(file: &[u8]) -> Result<Self> {
        let layout = layout::walk(file)?;
        pixels::check_transfer_syntax(&layout.transfer_syntax)?;
        let object = read_header(file, &layout)?;
        check_class(&object)?;
        let module = PixelModule::read(&object)?;
        let has_colour = module.format() == PixelFormat::Rgb8;
        let reading = regions::read(&object, module.columns, module.rows, has_colour);
        let frames = module.decode(file, &layout)?;
        let (width, height) = (module.columns, module.rows);
        let name = match module.frames {
            1 => format!("DICOM image {width}x{height}"),
            n => format!("DICOM cine {width}x{height}, {n} frames"),
        };
        let format = module.format();
        let frame_period = frame_period(&object);
        let description = SourceDescription { name, width, height, format, frame_period, frames: Some(module.frames) };
        let frame_bytes = module.frame_bytes();
        Ok(Self { description, frames, frame_bytes, next: 0, reading })
    }

    /// Why no region of the frames has a scale; `None` when one has.
    pub fn scale_refused(&self) -> Option<&str> {
        let has_scale = self.reading.regions.iter().any(|r| r.scale.is_some());
        self.reading.refused.first().filter(|_| !has_scale).map(|(_, why)| why.as_str())
    }

    /// Why the region with these bounds has no scale; `None` when it has one.
    pub fn scale_refused_in(&self, region: &Rect<Image>) -> Option<&str> {
        self.reading.refused.iter().find(|(rect, _)| rect == region).map(|(_, why)| why.as_str())
    }
}

impl FrameSource for DicomSource {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_into(&mut self, frame: &mut Frame) -> Result<Next> {
        let from = self.next * self.frame_bytes;
        let Some(pixels) = self.frames.get(from..from + self.frame_bytes) else {
            return Ok(Next::End);
        };
        frame.reshape(self.description.width, self.description.height, self.description.format);
        frame.pixels.copy_from_slice(pixels);
        frame.set_regions(self.reading.regions);
        self.next += 1;
        Ok(Next::Filled)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>> {
    let io = |e| Error::caused(ErrorKind::Io, "the file cannot be read", e);
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let message = format!("expected a file of at most {FILE_BYTES_MAX} bytes, got a larger one");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(bytes)
}

fn read_header(file: &[u8], layout: &FileLayout) -> Result<InMemDicomObject> {
    let header = &file[layout.header.clone()];
    if header.len() > HEADER_BYTES_MAX {
        let n = header.len();
        let message = format!("expected at most {HEADER_BYTES_MAX} bytes before the pixel data, got {n}");
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    match dicom_object::from_reader(header) {
        Ok(object) => Ok(object.into_inner()),
        // The parser's error may quote a patient's element.
        Err(_) => Err(Error::new(ErrorKind::Format, "an element before the pixel data is malformed")),
    }
}

fn check_class(object: &InMemDicomObject) -> Result<()> {
    let text = |tag| {
        let text = object.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default();
        text.trim_end_matches([' ', '\0']).to_owned()
    };
    let class = text(tags::SOP_CLASS_UID);
    let modality = text(tags::MODALITY);
    if class.is_empty() {
        return Err(Error::new(ErrorKind::Format, "SOP Class UID (0008,0016): expected a value, got none"));
    }
    if !CLASSES.contains(&class.as_str()) || !matches!(modality.as_str(), "US" | "IVUS" | "") {
        let message = format!(
            "expected an ultrasound image (SOP class {} or {}), got SOP class {:.64}, modality {:.16}",
            CLASSES[0],
            CLASSES[1],
            class.escape_default().to_string(),
            modality.escape_default().to_string()
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Frame Time, else the mean of Frame Time Vector, else the display rate, else the cine rate (PS3.3 C.7.6.5).
fn frame_period(object: &InMemDicomObject) -> Option<Nanos> {
    let reals = |tag| object.get(tag).and_then(|e| e.to_multi_float64().ok()).unwrap_or_default();
    let first = |tag| reals(tag).first().copied();
    let vector_mean = || {
        let vector = reals(tags::FRAME_TIME_VECTOR);
        // The first entry is the time from the first frame to itself.
        let steps = vector.get(1..).filter(|steps| !steps.is_empty())?;
        Some(steps.iter().sum::<f64>() / steps.len() as f64)
    };
    let of_rate = |tag| first(tag).map(|per_second| 1000.0 / per_second);
    [first(tags::FRAME_TIME), vector_mean(), of_rate(tags::RECOMMENDED_DISPLAY_FRAME_RATE), of_rate(tags::CINE_RATE)]
        .into_iter()
        .flatten()
        .find(|ms| PERIOD_MS.contains(ms))
        .map(|ms| Nanos::from_secs_f64(ms / 1000.0))
}
