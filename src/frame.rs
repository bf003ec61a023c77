//! Frames, their scale and region, and the pool that lets a live path run without allocating and within its bytes.

use std::sync::Arc;

use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ImageSpace, Point, Rect};
use crate::region::{FrameRegion, REGIONS_MAX, Regions};
use crate::units::{FrameId, Millimetres, Timestamp};

/// How a pixel is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PixelFormat {
    /// One byte a pixel, 0 black.
    #[default]
    Grey8,
    /// Three bytes a pixel: red, green, blue.
    Rgb8,
}

impl PixelFormat {
    /// Bytes a pixel.
    pub fn bytes(self) -> usize {
        match self {
            Self::Grey8 => 1,
            Self::Rgb8 => 3,
        }
    }
}

/// Who says how large a pixel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ScaleSource {
    /// Sequence of Ultrasound Regions (0018,6011) of a DICOM file.
    DicomRegion,
    /// The device profile.
    Profile,
    /// The operator, between two points along each axis, or along one where the video says the aspect of its pixels.
    TwoPoint,
    /// The operator, between two points one above the other; pixels are taken for square.
    TwoPointSquare,
    /// A simulation, which knows.
    Phantom,
    /// The matrix of an OpenIGTLink IMAGE.
    OpenIgtLink,
}

impl ScaleSource {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::DicomRegion, Self::Profile, Self::TwoPoint, Self::TwoPointSquare, Self::Phantom, Self::OpenIgtLink];

    /// The words shown beside a measurement.
    pub fn label(self) -> &'static str {
        match self {
            Self::DicomRegion => "DICOM region",
            Self::Profile => "device profile",
            Self::TwoPoint => "calibrated by hand",
            Self::TwoPointSquare => "by hand, if px square",
            Self::Phantom => "phantom",
            Self::OpenIgtLink => "OpenIGTLink image",
        }
    }
}

/// Size of a pixel on each axis, with its source and, where somebody knows it, its error. Never guessed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelScale {
    x_mm_per_px: f32,
    y_mm_per_px: f32,
    source: ScaleSource,
    relative_error: Option<f32>,
}

impl PixelScale {
    /// Millimetres per image px along x and y; `None` unless both are finite and positive.
    pub fn new(x: Millimetres, y: Millimetres, source: ScaleSource) -> Option<Self> {
        let ok = |v: f64| v.is_finite() && v > 0.0;
        let (x_mm_per_px, y_mm_per_px) = (x.0 as f32, y.0 as f32);
        (ok(x.0) && ok(y.0)).then_some(Self { x_mm_per_px, y_mm_per_px, source, relative_error: None })
    }

    /// The same scale with its error, as a share of it; one that is not finite or negative is unknown.
    pub fn with_error(self, relative: f32) -> Self {
        Self { relative_error: Some(relative).filter(|e| e.is_finite() && *e >= 0.0), ..self }
    }

    /// Its error as a share of it, where somebody knows. It counts once in a length, twice in an area, three times in a
    /// volume.
    pub fn relative_error(&self) -> Option<f32> {
        self.relative_error
    }

    /// Millimetres per image px, (x, y).
    pub fn mm_per_px(&self) -> (f32, f32) {
        (self.x_mm_per_px, self.y_mm_per_px)
    }

    /// Who says so.
    pub fn source(&self) -> ScaleSource {
        self.source
    }
}

/// What kind of picture the image region holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegionContent {
    /// Greyscale tissue image.
    BMode,
    /// Colour flow over tissue, in a picture that cannot tell the two apart.
    ColourDoppler,
    /// Tissue in grey with coloured flow over part of it: outlined and measured where it is grey.
    BModeWithColour,
    /// A trace over time of no known kind, such as an ECG.
    Trace,
    /// Spectral Doppler.
    Spectrum,
    /// M-mode.
    MMode,
    /// The scanner's own bars and graphics.
    Furniture,
    /// Nobody said. Outlined, but with no scale.
    #[default]
    Unknown,
}

impl RegionContent {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::BMode,
        Self::ColourDoppler,
        Self::BModeWithColour,
        Self::Trace,
        Self::Spectrum,
        Self::MMode,
        Self::Furniture,
        Self::Unknown,
    ];

    /// Whether an outline there means anything.
    pub fn is_segmentable(self) -> bool {
        matches!(self, Self::BMode | Self::BModeWithColour | Self::Unknown)
    }

    /// A few words for the screen and for errors.
    pub fn label(self) -> &'static str {
        match self {
            Self::BMode => "a B-mode image",
            Self::ColourDoppler => "colour Doppler",
            Self::BModeWithColour => "B-mode with colour flow",
            Self::Trace => "a trace",
            Self::Spectrum => "a Doppler spectrum",
            Self::MMode => "an M-mode trace",
            Self::Furniture => "the scanner's own graphics",
            Self::Unknown => "an image of unknown kind",
        }
    }
}

/// The part of a frame that shows the patient, the rest being the scanner's own text and bars.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ImageRegion {
    /// Where, image px.
    pub rect: Rect<ImageSpace>,
    /// What.
    pub content: RegionContent,
}

/// Longest edge of a frame, px.
pub const EDGE_PX_MAX: u32 = 16_384;
/// Most bytes of a frame's pixels.
pub const FRAME_BYTES_MAX: usize = 128 << 20;
/// Widths of a pixel over its height that video has.
pub const ASPECT: std::ops::RangeInclusive<f32> = 0.5..=2.0;
/// Shortest edge of an image region that may be outlined, px; the whole edge of a frame that is shorter.
pub const REGION_EDGE_PX_MIN: f32 = 8.0;

/// A picture as a host has it in memory: rows of `stride` bytes. Nothing of it has been checked.
#[derive(Clone, Copy, Debug)]
pub struct Picture<'a> {
    /// image px.
    pub width: u32,
    /// image px.
    pub height: u32,
    /// Bytes from one row to the next; at least `width * format.bytes()`.
    pub stride: usize,
    /// How a pixel is stored.
    pub format: PixelFormat,
    /// Row-major; the last row may end without its padding.
    pub pixels: &'a [u8],
    /// Size of a pixel, when somebody says.
    pub scale: Option<PixelScale>,
    /// Where the patient is shown; the whole picture when `None`.
    pub region: Option<ImageRegion>,
    /// The regions one by one, each with its own scale, where there are several; then `scale` and `region` are not read.
    pub regions: &'a [FrameRegion],
}

impl<'a> Picture<'a> {
    /// A picture of dense rows, without scale and region.
    pub fn dense(width: u32, height: u32, format: PixelFormat, pixels: &'a [u8]) -> Self {
        Self {
            width,
            height,
            stride: width as usize * format.bytes(),
            format,
            pixels,
            scale: None,
            region: None,
            regions: &[],
        }
    }
}

/// One captured picture: dense rows of pixels, what is known of them, and when they were captured.
///
/// Guarantees: `pixels` are exactly `width * height * format.bytes()` bytes, at most 128 MiB; the region lies
/// within the picture and is no narrower than 8 px. A frame that nobody filled is empty, 0x0.
/// Number and time are given where a frame enters the live path ([`FrameInput`](crate::pipeline::entry::FrameInput)).
#[derive(Clone, Debug, Default)]
pub struct Frame {
    pub(crate) id: Option<FrameId>,
    pub(crate) captured: Timestamp,
    pub(crate) host_number: Option<u64>,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) format: PixelFormat,
    pub(crate) pixels: Vec<u8>,
    pub(crate) scale: Option<PixelScale>,
    pub(crate) pixel_aspect: Option<f32>,
    /// All tissue together.
    pub(crate) region: ImageRegion,
    /// One by one, where somebody tells them apart; [`Frame::parts`] is never empty.
    pub(crate) regions: Regions,
}

impl Frame {
    /// A copy of a host's picture.
    ///
    /// # Errors
    /// `Argument` when size, stride, bytes or region do not fit each other or exceed their bounds.
    pub fn new(picture: &Picture<'_>) -> Result<Self> {
        let mut frame = Self::default();
        frame.copy_from(picture)?;
        Ok(frame)
    }

    /// A frame of dense rows from its pixels.
    ///
    /// # Errors
    /// `Argument` when their number does not fit the size, or the size exceeds its bounds.
    pub fn from_pixels(width: u32, height: u32, format: PixelFormat, pixels: Vec<u8>) -> Result<Self> {
        let bytes = frame_bytes(width, height, format)?;
        if pixels.len() != bytes {
            let got = pixels.len();
            return Err(refused(format!("frame of {width}x{height} {format:?}: expected {bytes} bytes, got {got}")));
        }
        let mut frame = Self { width, height, format, pixels, ..Self::default() };
        frame.region.rect = frame.bounds();
        Ok(frame)
    }

    /// Becomes a copy of a host's picture; reuses the pixel buffer. After an error the frame is as it was.
    ///
    /// # Errors
    /// As [`Frame::new`].
    pub fn copy_from(&mut self, picture: &Picture<'_>) -> Result<()> {
        let Picture { width, height, stride, format, pixels, scale, region, regions } = *picture;
        frame_bytes(width, height, format)?;
        let row_bytes = width as usize * format.bytes();
        let needed = stride.checked_mul(height as usize - 1).and_then(|rows| rows.checked_add(row_bytes));
        if stride < row_bytes || needed.is_none_or(|n| pixels.len() < n) {
            let expected = needed.map_or("fewer".into(), |n| n.to_string());
            return Err(refused(format!(
                "frame of {width}x{height} {format:?}: expected rows of at least {row_bytes} bytes and {expected} bytes in \
                 all, got rows of {stride} and {}",
                pixels.len()
            )));
        }
        let bounds = Rect::new(0.0, 0.0, width as f32, height as f32);
        if let Some(region) = &region {
            check_region(region, &bounds)?;
        }
        let listed = listed(regions, &bounds)?;
        self.reshape(width, height, format)?;
        let rows = self.pixels.chunks_exact_mut(row_bytes);
        rows.zip(pixels.chunks(stride)).for_each(|(to, from)| to.copy_from_slice(&from[..row_bytes]));
        self.scale = scale;
        self.region = region.unwrap_or(self.region);
        if let Some(listed) = listed {
            self.list_regions(listed);
        }
        Ok(())
    }

    /// Gives the frame a size, no scale and the whole as region; reuses the pixel buffer, whose content is unspecified.
    ///
    /// # Errors
    /// `Argument` for an edge of 0 or beyond 16,384 px, or more than 128 MiB; the frame is then as it was.
    pub fn reshape(&mut self, width: u32, height: u32, format: PixelFormat) -> Result<()> {
        let bytes = frame_bytes(width, height, format)?;
        (self.width, self.height, self.format) = (width, height, format);
        self.pixels.resize(bytes, 0);
        self.scale = None;
        self.pixel_aspect = None;
        self.region = ImageRegion { rect: self.bounds(), content: RegionContent::Unknown };
        self.regions = Regions::default();
        Ok(())
    }

    /// Gives back memory that a much larger picture needed before.
    pub(crate) fn trim(&mut self) {
        if self.pixels.capacity() > 2 * self.pixels.len() {
            self.pixels.shrink_to_fit();
        }
    }

    /// Becomes empty; the pixel buffer is kept for the next picture.
    pub fn clear(&mut self) {
        self.pixels.clear();
        *self = Self { pixels: std::mem::take(&mut self.pixels), ..Self::default() };
    }

    /// Number given on entry; `None` before.
    pub fn id(&self) -> Option<FrameId> {
        self.id
    }

    /// Time of capture on the live path's clock.
    pub fn captured(&self) -> Timestamp {
        self.captured
    }

    /// The host's own number, carried along and never used.
    pub fn host_number(&self) -> Option<u64> {
        self.host_number
    }

    /// Sets number and time, for those who drive an engine themselves. The live path sets its own.
    #[doc(hidden)]
    pub fn stamp(&mut self, id: FrameId, captured: Timestamp) {
        (self.id, self.captured) = (Some(id), captured);
    }

    /// image px.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// image px.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// How a pixel is stored.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Row-major, dense.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Row-major, dense, to be written.
    pub fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Size of a pixel, when somebody says.
    pub fn scale(&self) -> Option<PixelScale> {
        self.scale
    }

    /// Sets the size of a pixel.
    pub fn set_scale(&mut self, scale: Option<PixelScale>) {
        self.scale = scale;
    }

    /// Width of a pixel over its height, where the video or the device profile says it.
    pub fn pixel_aspect(&self) -> Option<f32> {
        self.pixel_aspect
    }

    /// Sets the width of a pixel over its height; one outside 0.5 to 2 is not believed.
    pub fn set_pixel_aspect(&mut self, aspect: Option<f32>) {
        self.pixel_aspect = aspect.filter(|a| ASPECT.contains(a));
    }

    /// Where the patient is shown; the whole frame when nobody says.
    pub fn region(&self) -> ImageRegion {
        self.region
    }

    /// Says where the patient is shown.
    ///
    /// # Errors
    /// `Argument` when the region does not lie within the frame, or is narrower than 8 px.
    pub fn set_region(&mut self, region: ImageRegion) -> Result<()> {
        check_region(&region, &self.bounds())?;
        self.region = region;
        self.regions = Regions::default();
        Ok(())
    }

    /// Lists the regions, and sets region and scale to what they come to: all tissue together, and a scale only where
    /// every tissue region has the same one; without tissue what lies on top.
    ///
    /// # Errors
    /// `Argument` when one of them does not lie within the frame, or tissue is narrower than 8 px.
    pub fn set_regions(&mut self, regions: Regions) -> Result<()> {
        if let Some(listed) = listed(&regions, &self.bounds())? {
            self.list_regions(listed);
        }
        Ok(())
    }

    /// The whole frame as a rectangle.
    pub fn bounds(&self) -> Rect<ImageSpace> {
        Rect::new(0.0, 0.0, self.width as f32, self.height as f32)
    }

    /// Whether the point lies on the frame (false for NaN).
    pub fn contains(&self, p: Point<ImageSpace>) -> bool {
        self.bounds().contains(p)
    }

    /// One row of pixels.
    ///
    /// # Panics
    /// If `y >= height`.
    pub fn row(&self, y: u32) -> &[u8] {
        let row_bytes = self.width as usize * self.format.bytes();
        let start = y as usize * row_bytes;
        &self.pixels[start..start + row_bytes]
    }

    /// Grey value of a pixel, 0..=255; colour by the luma of ITU-R BT.601.
    ///
    /// # Panics
    /// If the pixel is outside the frame.
    pub fn grey(&self, x: u32, y: u32) -> u8 {
        assert!(x < self.width, "column {x} of a frame {} px wide", self.width);
        let at = (y as usize * self.width as usize + x as usize) * self.format.bytes();
        match self.format {
            PixelFormat::Grey8 => self.pixels[at],
            PixelFormat::Rgb8 => luma(self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]),
        }
    }
}

/// Bytes of a frame of that size.
///
/// # Errors
/// `Argument` for an edge of 0 or beyond [`EDGE_PX_MAX`], or more than [`FRAME_BYTES_MAX`].
pub fn frame_bytes(width: u32, height: u32, format: PixelFormat) -> Result<usize> {
    let is_edge = |v: u32| (1..=EDGE_PX_MAX).contains(&v);
    let bytes = (width as usize).checked_mul(height as usize).and_then(|n| n.checked_mul(format.bytes()));
    match bytes {
        Some(bytes) if is_edge(width) && is_edge(height) && bytes <= FRAME_BYTES_MAX => Ok(bytes),
        _ => Err(refused(format!(
            "frame: expected edges of 1 to {EDGE_PX_MAX} px and at most {} MiB, got {width}x{height} {format:?}",
            FRAME_BYTES_MAX >> 20
        ))),
    }
}

/// Whether a region can be one of a frame of these bounds.
///
/// # Errors
/// `Argument`, with what was expected.
pub fn check_region(region: &ImageRegion, bounds: &Rect<ImageSpace>) -> Result<()> {
    let Rect { x0, y0, x1, y1, .. } = region.rect;
    let is_inside = x0 >= bounds.x0 && y0 >= bounds.y0 && x1 <= bounds.x1 && y1 <= bounds.y1;
    // What cannot be outlined may be a strip of a few pixels.
    let least = if region.content.is_segmentable() { REGION_EDGE_PX_MIN } else { 1.0 };
    let is_wide = |span: f32, whole: f32| span >= least.min(whole);
    if is_inside && is_wide(x1 - x0, bounds.width()) && is_wide(y1 - y0, bounds.height()) {
        return Ok(());
    }
    Err(refused(format!(
        "region: expected edges of at least {least} px within [0, 0, {}, {}], got [{x0}, {y0}, {x1}, {y1}]",
        bounds.x1, bounds.y1
    )))
}

/// A host's regions in order, each checked; `None` when there are none.
fn listed(regions: &[FrameRegion], bounds: &Rect<ImageSpace>) -> Result<Option<Regions>> {
    for region in regions {
        check_region(&ImageRegion { rect: region.rect, content: region.content }, bounds)?;
    }
    let too_many = || refused(format!("regions: expected at most {REGIONS_MAX}, got {}", regions.len()));
    (!regions.is_empty()).then(|| Regions::new(regions).ok_or_else(too_many)).transpose()
}

fn refused(context: String) -> Error {
    Error::new(ErrorKind::Argument, context)
}

/// Luma of ITU-R BT.601, in integers: (77 R + 150 G + 29 B + 128) / 256.
pub fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b) + 128) >> 8) as u8
}

/// Most frames of a pool.
const POOL_FRAMES_MAX: usize = 1_024;
/// Frames that a pool has in any case, so that large ones which are still held do not keep smaller ones out.
pub const POOL_FRAMES_MIN: usize = 8;

/// Frames that are filled, shared, and come back by themselves, within a bound in bytes that also holds when frames grow.
///
/// Guarantees: the buffers of all frames together exceed `bytes_max` by at most the frame that is being filled, but where
/// [`POOL_FRAMES_MIN`] frames are more; once frames keep their size, taking one allocates nothing.
#[derive(Debug, Default)]
pub struct FramePool {
    frames: Vec<Arc<Frame>>,
    next: usize,
}

impl FramePool {
    /// An empty pool.
    pub fn new() -> Self {
        Self { frames: Vec::with_capacity(64), next: 0 }
    }

    /// A frame that nobody else holds; `None` when all are held and another of the size of the last would exceed the bound.
    /// It belongs to the pool again after [`FramePool::give`].
    pub fn take(&mut self, bytes_max: usize) -> Option<Arc<Frame>> {
        let n = self.frames.len();
        for i in 0..n {
            let at = (self.next + i) % n;
            if Arc::get_mut(&mut self.frames[at]).is_some() {
                self.next = at;
                return Some(self.frames.swap_remove(at));
            }
        }
        let last_bytes = self.frames.last().map_or(0, |f| f.pixels.capacity());
        let has_room = n < POOL_FRAMES_MAX && self.bytes() + last_bytes <= bytes_max;
        (has_room || n < POOL_FRAMES_MIN).then(Arc::default)
    }

    /// Takes a frame in, which may be held elsewhere as well; frames that nobody holds make room for it.
    pub fn give(&mut self, frame: Arc<Frame>, bytes_max: usize) {
        self.frames.push(frame);
        let newest = self.frames.len() - 1;
        let mut bytes = self.bytes();
        for frame in &mut self.frames[..newest] {
            if bytes <= bytes_max {
                break;
            }
            if let Some(idle) = Arc::get_mut(frame) {
                bytes -= idle.pixels.capacity();
                *idle = Frame::default();
            }
        }
        self.frames.retain(|f| f.pixels.capacity() > 0 || Arc::strong_count(f) > 1);
    }

    /// Bytes of all buffers of the pool.
    pub fn bytes(&self) -> usize {
        self.frames.iter().map(|f| f.pixels.capacity()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(pool: &mut FramePool, edge: u32, bytes_max: usize) -> Option<Arc<Frame>> {
        let mut frame = pool.take(bytes_max)?;
        Arc::get_mut(&mut frame).expect("nobody else holds it").reshape(edge, edge, PixelFormat::Grey8).unwrap();
        pool.give(frame.clone(), bytes_max);
        Some(frame)
    }

    #[test]
    fn pool_hands_out_only_frames_that_nobody_holds() {
        let mut pool = FramePool::new();
        let held: Vec<_> = std::iter::from_fn(|| take(&mut pool, 10, 1_200)).collect();
        assert_eq!(held.len(), 12, "frames of 100 bytes in 1,200");
        let places: Vec<_> = held.iter().map(Arc::as_ptr).collect();
        drop(held);
        let again = take(&mut pool, 10, 1_200).unwrap();
        assert!(places.contains(&Arc::as_ptr(&again)), "a free frame was left and another one made");
    }

    #[test]
    fn a_pool_stays_within_its_bytes_when_frames_grow_and_shrink() {
        let mut pool = FramePool::new();
        for edge in [10, 40, 20, 60, 5, 60] {
            for _ in 0..50 {
                drop(take(&mut pool, edge, 4_000));
                assert!(pool.bytes() <= 4_000, "{} bytes with frames of {edge} px", pool.bytes());
            }
        }
        let held: Vec<_> = std::iter::from_fn(|| take(&mut pool, 60, 4_000)).collect();
        assert_eq!(held.len(), POOL_FRAMES_MIN, "frames of 3,600 bytes in 4,000");
        drop(held);
        drop(take(&mut pool, 5, 4_000));
        assert!(pool.bytes() <= 4_000, "{} bytes are kept", pool.bytes());
    }

    #[test]
    fn reshape_drops_scale_and_region() {
        let mut f = Frame::from_pixels(4, 2, PixelFormat::Grey8, vec![9; 8]).unwrap();
        f.set_scale(PixelScale::new(Millimetres(0.1), Millimetres(0.1), ScaleSource::Profile));
        f.reshape(2, 2, PixelFormat::Rgb8).unwrap();
        assert_eq!((f.scale(), f.pixels().len()), (None, 12));
        assert_eq!(f.region().rect, Rect::new(0.0, 0.0, 2.0, 2.0));
    }

    #[test]
    fn a_picture_that_cannot_be_is_refused_and_leaves_the_frame_as_it_was() {
        let pixels = [7; 64];
        let good = Picture::dense(8, 8, PixelFormat::Grey8, &pixels);
        let region = |x0, x1| Some(ImageRegion { rect: Rect::new(x0, 0.0, x1, 8.0), content: RegionContent::BMode });
        let wrong = [
            Picture { width: 0, ..good },
            Picture { height: 0, ..good },
            Picture { width: u32::MAX, height: u32::MAX, ..good },
            Picture { height: 9, ..good },
            Picture { stride: 7, ..good },
            Picture { stride: usize::MAX, ..good },
            Picture { stride: usize::MAX / 4, ..good },
            Picture { format: PixelFormat::Rgb8, ..good },
            Picture { pixels: &[], ..good },
            Picture { region: region(3.0, 3.4), ..good },
            Picture { region: region(-1.0, 8.0), ..good },
            Picture { region: region(0.0, 8.5), ..good },
            Picture { region: region(f32::NAN, 4.0), ..good },
            Picture { region: region(0.0, f32::INFINITY), ..good },
        ];
        let mut frame = Frame::new(&good).unwrap();
        for picture in wrong {
            let e = frame.copy_from(&picture).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Argument, "{picture:?}");
            assert!(e.to_string().contains("expected"), "{e}");
            assert_eq!((frame.width(), frame.pixels()), (8, &pixels[..]), "{picture:?}");
        }
        frame.copy_from(&Picture { region: region(0.0, 8.0), ..good }).unwrap();
    }

    #[test]
    fn padding_between_rows_is_left_out() {
        let padded = [1, 2, 99, 3, 4];
        let picture = Picture { stride: 3, ..Picture::dense(2, 2, PixelFormat::Grey8, &padded) };
        let frame = Frame::new(&picture).unwrap();
        assert_eq!(frame.pixels(), [1, 2, 3, 4]);
        assert_eq!((frame.row(1), frame.grey(1, 1)), (&[3, 4][..], 4));
    }

    #[test]
    fn scale_refuses_what_cannot_be_a_length() {
        for (x, y) in [(0.0, 0.1), (0.1, -1.0), (f64::NAN, 0.1), (0.1, f64::INFINITY)] {
            assert_eq!(PixelScale::new(Millimetres(x), Millimetres(y), ScaleSource::Profile), None, "{x} {y}");
        }
    }

    #[test]
    fn luma_of_grey_is_itself() {
        for v in 0..=255 {
            assert_eq!(luma(v, v, v), v);
        }
    }
}
