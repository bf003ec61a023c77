//! DICOM ultrasound images and cines as a source of frames.
//!
//! Frames are decoded as they are needed: a still or a first frame costs one frame, a cine of any length plays, and a
//! damaged frame costs that frame alone. Cines of up to 64 MiB decoded are kept, so that they are decoded once.
//!
//! Read are Ultrasound Image and Ultrasound Multi-frame Image objects (and their retired predecessors), and Secondary
//! Captures of what is not named as another modality, which have no scale: MONOCHROME1 and 2 of 2 to 16 bits, signed or
//! not, RGB, YBR_FULL, YBR_FULL_422, YBR_RCT, YBR_ICT, PALETTE COLOR; uncompressed, deflated, RLE, JPEG (baseline,
//! extended and progressive of 8 bits, lossless), JPEG-LS, JPEG 2000; with or without preamble, meta group and transfer
//! syntax. Video is refused with the command that makes pictures of it.
//!
//! Bounds are those of `PLATFORM.md`. Beyond them and for everything else the error says what was expected. No value of a
//! patient's element is ever read, kept or put into an error.
//!
//! The picture's regions and their scales come from the Sequence of Ultrasound Regions alone, and only where it fits the
//! picture. A prompt belongs to the topmost of them under it ([`crate::region`]).

mod coded;
mod fragments;
mod j2k;
mod jpeg;
mod jpeg_ls;
mod layout;
mod palette;
mod pixels;
mod regions;
mod rle;
mod samples;
pub mod store;
mod timing;
mod tone;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dicom_core::Tag;
use dicom_dictionary_std::{tags, uids};
use dicom_object::InMemDicomObject;

use self::layout::FileLayout;
use self::pixels::{Frames, PixelModule};
use self::regions::RegionReading;
use self::store::Store;
use self::timing::Timing;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{ImageSpace, Rect};
use crate::source::{FrameSource, Next, SourceDescription};

/// Ultrasound Image and Ultrasound Multi-frame Image, then the two retired ones that they replaced.
const ULTRASOUND: [&str; 4] = [
    uids::ULTRASOUND_IMAGE_STORAGE,
    uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE,
    "1.2.840.10008.5.1.4.1.1.6",
    "1.2.840.10008.5.1.4.1.1.3",
];
/// Secondary Capture, and its multi-frame kinds.
const CAPTURE: &str = "1.2.840.10008.5.1.4.1.1.7";
/// Modalities whose pictures are not ultrasound, whatever their object.
const OTHERS: [&str; 15] =
    ["CT", "MR", "PT", "NM", "CR", "DX", "MG", "XA", "RF", "PX", "IO", "OPT", "SM", "RTIMAGE", "OP"];
/// Everything that is read of a file beside its pixels.
const WANTED: [Tag; 48] = [
    tags::SOP_CLASS_UID,
    tags::MODALITY,
    tags::ROWS,
    tags::COLUMNS,
    tags::NUMBER_OF_FRAMES,
    tags::BITS_ALLOCATED,
    tags::BITS_STORED,
    tags::HIGH_BIT,
    tags::PIXEL_REPRESENTATION,
    tags::SAMPLES_PER_PIXEL,
    tags::PLANAR_CONFIGURATION,
    tags::PHOTOMETRIC_INTERPRETATION,
    tags::PIXEL_ASPECT_RATIO,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DESCRIPTOR,
    tags::RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::SEGMENTED_RED_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::SEGMENTED_GREEN_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::SEGMENTED_BLUE_PALETTE_COLOR_LOOKUP_TABLE_DATA,
    tags::RESCALE_SLOPE,
    tags::RESCALE_INTERCEPT,
    tags::WINDOW_CENTER,
    tags::WINDOW_WIDTH,
    tags::MODALITY_LUT_SEQUENCE,
    tags::VOILUT_SEQUENCE,
    tags::VOILUT_FUNCTION,
    tags::LUT_DESCRIPTOR,
    tags::LUT_DATA,
    tags::SEQUENCE_OF_ULTRASOUND_REGIONS,
    tags::REGION_SPATIAL_FORMAT,
    tags::REGION_DATA_TYPE,
    tags::REGION_FLAGS,
    tags::REGION_LOCATION_MIN_X0,
    tags::REGION_LOCATION_MIN_Y0,
    tags::REGION_LOCATION_MAX_X1,
    tags::REGION_LOCATION_MAX_Y1,
    tags::PHYSICAL_UNITS_X_DIRECTION,
    tags::PHYSICAL_UNITS_Y_DIRECTION,
    tags::PHYSICAL_DELTA_X,
    tags::PHYSICAL_DELTA_Y,
    tags::FRAME_INCREMENT_POINTER,
    tags::FRAME_TIME,
    tags::FRAME_TIME_VECTOR,
    tags::RECOMMENDED_DISPLAY_FRAME_RATE,
    tags::CINE_RATE,
];
/// Decoded cines up to this size are kept.
const CACHE_BYTES_MAX: usize = 64 << 20;
/// Damaged frames that are passed over when a file is opened, and most of their pixels together.
const DAMAGED_AT_FIRST: usize = 8;
const DAMAGED_PIXELS_AT_FIRST: usize = 8 << 20;

/// The frames of one DICOM file.
///
/// ```no_run
/// use sonotap::frame::Frame;
/// use sonotap::source::{FrameSource, Next, dicom::DicomSource};
/// let mut cine = DicomSource::open("assets/cine/heart-4ch.dcm".as_ref())?;
/// let mut frame = Frame::default();
/// while cine.next_into(&mut frame)? == Next::Filled {
///     println!("{}x{}", frame.width(), frame.height());
/// }
/// # Ok::<(), sonotap::error::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct DicomSource {
    description: SourceDescription,
    layout: Arc<FileLayout>,
    module: PixelModule,
    frames: Frames,
    /// Decoded frames by their number; empty for cines that are too large to be kept.
    cache: Vec<Option<Arc<Vec<u8>>>>,
    is_damaged: Vec<bool>,
    damaged: Arc<AtomicUsize>,
    next: usize,
    /// The frame that was given last.
    given: Option<usize>,
    reading: RegionReading,
    pixel_aspect: Option<f32>,
    timing: Timing,
    /// Whether frames follow in the file's own time.
    is_paced: bool,
}

impl DicomSource {
    /// Reads a file's header, finds its frames and decodes the first.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `Format` when it is no DICOM file, truncated or corrupt, or its first frames are all
    /// damaged; `Unsupported` when it is no ultrasound image, or one that is stored in another way or is larger than the
    /// bounds allow.
    pub fn open(path: &Path) -> Result<Self> {
        Store::open(path).and_then(|store| Self::of(&store)).map_err(|e| e.within(path.display()))
    }

    /// The same from a file's bytes.
    ///
    /// # Errors
    /// As [`Self::open`], without `Io`.
    pub fn from_bytes(file: &[u8]) -> Result<Self> {
        Self::of(&Store::of(file))
    }

    fn of(store: &Store) -> Result<Self> {
        let layout = layout::walk(store, &WANTED)?;
        coded::syntax(&layout.transfer_syntax)?;
        let object = &layout.object;
        let is_capture = check_class(object)?;
        let module = PixelModule::read(object)?;
        let frames = module.find(&layout)?;
        let has_colour = module.format() == PixelFormat::Rgb8;
        let mut reading = regions::read(object, module.columns, module.rows, has_colour);
        if is_capture {
            reading.withdraw_scales("a captured picture, whose pixels may have been resampled, has no scale");
        }
        let count = frames.count();
        let timing = timing::read(object, count);
        let pixel_aspect = aspect_of(object);
        let (width, height, format) = (module.columns, module.rows, module.format());
        let name = match count {
            1 => format!("DICOM image {width}x{height}"),
            n => format!("DICOM cine {width}x{height}, {n} frames"),
        };
        let frame_period = timing.period;
        let description = SourceDescription { name, width, height, format, frame_period, frames: Some(count) };
        let is_kept = count.checked_mul(module.frame_bytes()).is_some_and(|bytes| bytes <= CACHE_BYTES_MAX);
        let mut source = Self {
            description,
            cache: if is_kept { vec![None; count] } else { Vec::new() },
            is_damaged: vec![false; count],
            damaged: Arc::new(AtomicUsize::new(module.frames.saturating_sub(count))),
            layout: Arc::new(layout),
            module,
            frames,
            next: 0,
            given: None,
            reading,
            pixel_aspect,
            timing,
            is_paced: true,
        };
        source.find_first()?;
        Ok(source)
    }

    /// Decodes the first frame that can be, so that a file without one is refused when it is opened.
    fn find_first(&mut self) -> Result<()> {
        let mut first_error = None;
        let pixels = self.module.columns as usize * self.module.rows as usize;
        let tries = DAMAGED_AT_FIRST.min(DAMAGED_PIXELS_AT_FIRST.div_ceil(pixels));
        for index in 0..self.frames.count().min(tries) {
            match self.frame(index) {
                Ok(_) => return Ok(()),
                Err(e) => first_error = first_error.or(Some(e)),
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// A frame's pixels, decoded now or before. A damaged one is counted and told once.
    fn frame(&mut self, index: usize) -> Result<Arc<Vec<u8>>> {
        if let Some(Some(kept)) = self.cache.get(index) {
            return Ok(kept.clone());
        }
        match self.module.decode(&self.layout, &self.frames, index) {
            Ok(pixels) => {
                let pixels = Arc::new(pixels);
                if let Some(place) = self.cache.get_mut(index) {
                    *place = Some(pixels.clone());
                }
                Ok(pixels)
            }
            Err(e) => {
                let e = e.within(format_args!("frame {} of {}", index + 1, self.frames.count()));
                if !std::mem::replace(&mut self.is_damaged[index], true) {
                    self.damaged.fetch_add(1, Ordering::Relaxed);
                    log::warn!("damaged: {e}");
                }
                Err(e)
            }
        }
    }

    /// Chooses the frame that is given next, from 0.
    ///
    /// # Errors
    /// `Argument` beyond the last; the frame's own error when it is damaged.
    pub fn seek(&mut self, index: usize) -> Result<()> {
        let count = self.frames.count();
        if index >= count {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("expected a frame from 1 to {count}, got {}", index + 1),
            ));
        }
        self.frame(index)?;
        self.next = index;
        Ok(())
    }

    /// Counts frames that are announced and not there, and those found damaged so far. They are passed over.
    pub fn damaged(&self) -> Arc<AtomicUsize> {
        self.damaged.clone()
    }

    /// Why no region of the frames has a scale; `None` when one has.
    pub fn scale_refused(&self) -> Option<&str> {
        let has_scale = self.reading.regions.iter().any(|r| r.scale.is_some());
        self.reading.refused.first().filter(|_| !has_scale).map(|(_, why)| why.as_str())
    }

    /// Why the region with these bounds has no scale; `None` when it has one.
    pub fn scale_refused_in(&self, region: &Rect<ImageSpace>) -> Option<&str> {
        self.reading.refused.iter().find(|(rect, _)| rect == region).map(|(_, why)| why.as_str())
    }

    /// Why the file does not say when its frames follow each other, where it tries to; `None` when it says so, or nothing.
    pub fn timing_refused(&self) -> Option<&str> {
        self.timing.refused.as_deref().filter(|_| self.timing.period.is_none())
    }

    /// Leaves the file's own intervals aside: every frame follows in the same time.
    pub fn ignore_intervals(&mut self) {
        self.is_paced = false;
    }
}

impl FrameSource for DicomSource {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_into(&mut self, frame: &mut Frame) -> Result<Next> {
        let count = self.frames.count();
        while self.next < count {
            let index = self.next;
            self.next += 1;
            if self.is_damaged[index] {
                continue;
            }
            // A file that cannot be read any more ends the source; a damaged frame does not.
            let pixels = match self.frame(index) {
                Ok(pixels) => pixels,
                Err(e) if e.kind() == ErrorKind::Io => return Err(e),
                Err(_) => continue,
            };
            frame.reshape(self.description.width, self.description.height, self.description.format)?;
            frame.pixels.copy_from_slice(&pixels);
            frame.set_pixel_aspect(self.pixel_aspect);
            frame.set_regions(self.reading.regions)?;
            self.given = Some(index);
            return Ok(Next::Filled);
        }
        Ok(Next::End)
    }

    fn interval(&self) -> Option<Duration> {
        let from = self.given.filter(|_| self.is_paced)? + 1;
        let period = self.description.frame_period?;
        // Frames that are passed over take their time all the same.
        let passed = self.is_damaged.get(from..).unwrap_or_default().iter().take_while(|d| **d).count();
        if self.timing.intervals.is_empty() && passed == 0 {
            return None;
        }
        let of = |i: usize| self.timing.intervals.get(i).copied().unwrap_or(period);
        Some((from..=from + passed).map(of).sum())
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

/// Pixel Aspect Ratio (0028,0034), height\\width, as width over height.
fn aspect_of(object: &InMemDicomObject) -> Option<f32> {
    let numbers = object.get(tags::PIXEL_ASPECT_RATIO)?.to_multi_float64().ok()?;
    let [height, width] = numbers.as_slice() else { return None };
    (*height > 0.0 && *width > 0.0).then(|| (width / height) as f32)
}

/// Whether the object is a capture of ultrasound, whose pixels nobody vouches for.
fn check_class(object: &InMemDicomObject) -> Result<bool> {
    let text = |tag| {
        let text = object.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default();
        text.trim_end_matches([' ', '\0']).to_owned()
    };
    let class = text(tags::SOP_CLASS_UID);
    let modality = text(tags::MODALITY);
    let is_ultrasound =
        ULTRASOUND.contains(&class.as_str()) || (class.is_empty() && matches!(&*modality, "US" | "IVUS"));
    let is_capture = class == CAPTURE || class.strip_prefix(CAPTURE).is_some_and(|rest| rest.starts_with('.'));
    if class.is_empty() && !is_ultrasound {
        return Err(Error::new(ErrorKind::Format, "SOP Class UID (0008,0016): expected a value, got none"));
    }
    if !(is_ultrasound || is_capture) || OTHERS.contains(&modality.as_str()) {
        let message = format!(
            "expected an ultrasound image (SOP class {} or {}) or a capture of one ({CAPTURE}), got SOP class {:.64}, \
             modality {:.16}",
            ULTRASOUND[0],
            ULTRASOUND[1],
            class.escape_default().to_string(),
            modality.escape_default().to_string()
        );
        return Err(Error::new(ErrorKind::Unsupported, message));
    }
    Ok(is_capture)
}
