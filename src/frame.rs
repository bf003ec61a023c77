//! Frames, their scale and region, and the pool that lets a live path run without allocating.

use std::sync::Arc;

use crate::geometry::{Image, Point, Rect};
use crate::region::Regions;
use crate::units::{FrameId, Millimetres, Nanos};

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
pub enum ScaleSource {
    /// Sequence of Ultrasound Regions (0018,6011) of a DICOM file.
    DicomRegion,
    /// The device profile.
    Profile,
    /// The operator, between two points.
    TwoPoint,
    /// A simulation, which knows.
    Phantom,
}

impl ScaleSource {
    /// The words shown beside a measurement.
    pub fn label(self) -> &'static str {
        match self {
            Self::DicomRegion => "DICOM region",
            Self::Profile => "device profile",
            Self::TwoPoint => "two-point calibration",
            Self::Phantom => "phantom",
        }
    }
}

/// Size of a pixel on each axis, with its source. Never guessed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PixelScale {
    x_mm_per_px: f32,
    y_mm_per_px: f32,
    source: ScaleSource,
}

impl PixelScale {
    /// Millimetres per image px along x and y; `None` unless both are finite and positive.
    pub fn new(x: Millimetres, y: Millimetres, source: ScaleSource) -> Option<Self> {
        let ok = |v: f64| v.is_finite() && v > 0.0;
        (ok(x.0) && ok(y.0)).then_some(Self { x_mm_per_px: x.0 as f32, y_mm_per_px: y.0 as f32, source })
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
    pub rect: Rect<Image>,
    /// What.
    pub content: RegionContent,
}

/// One captured picture. Its pixels are rows of `stride` bytes.
#[derive(Clone, Debug, Default)]
pub struct Frame {
    /// Number given by the capture side.
    pub id: FrameId,
    /// Monotonic time of capture.
    pub captured: Nanos,
    /// image px.
    pub width: u32,
    /// image px.
    pub height: u32,
    /// Bytes from one row to the next, >= width * format.bytes().
    pub stride: usize,
    /// How a pixel is stored.
    pub format: PixelFormat,
    /// Row-major, `stride * height` bytes.
    pub pixels: Vec<u8>,
    /// Size of a pixel, when somebody says.
    pub scale: Option<PixelScale>,
    /// Where the patient is shown; the whole frame when nobody says. With several regions all tissue together.
    pub region: ImageRegion,
    /// The regions one by one, where somebody tells them apart; [`Frame::parts`] is never empty.
    pub regions: Regions,
}

impl Frame {
    /// Gives the frame a size, dense rows, no scale and the whole as region; reuses the pixel buffer.
    pub fn reshape(&mut self, width: u32, height: u32, format: PixelFormat) {
        self.width = width;
        self.height = height;
        self.format = format;
        self.stride = width as usize * format.bytes();
        self.pixels.resize(self.stride * height as usize, 0);
        self.scale = None;
        self.region = ImageRegion { rect: self.bounds(), content: RegionContent::Unknown };
        self.regions = Regions::default();
    }

    /// A frame of dense rows from its pixels; `None` when their number does not fit the size.
    pub fn from_pixels(width: u32, height: u32, format: PixelFormat, pixels: Vec<u8>) -> Option<Self> {
        let stride = width as usize * format.bytes();
        if width == 0 || height == 0 || pixels.len() != stride * height as usize {
            return None;
        }
        let mut frame = Self { width, height, stride, format, pixels, ..Self::default() };
        frame.region.rect = frame.bounds();
        Some(frame)
    }

    /// The whole frame as a rectangle.
    pub fn bounds(&self) -> Rect<Image> {
        Rect::new(0.0, 0.0, self.width as f32, self.height as f32)
    }

    /// Whether the point lies on the frame (false for NaN).
    pub fn contains(&self, p: Point<Image>) -> bool {
        self.bounds().contains(p)
    }

    /// One row of pixels, without the padding of its stride.
    ///
    /// # Panics
    /// If `y >= height`.
    pub fn row(&self, y: u32) -> &[u8] {
        let start = y as usize * self.stride;
        &self.pixels[start..start + self.width as usize * self.format.bytes()]
    }

    /// Grey value of a pixel, 0..=255; colour by the luma of ITU-R BT.601.
    ///
    /// # Panics
    /// If the pixel is outside the frame.
    pub fn grey(&self, x: u32, y: u32) -> u8 {
        let at = y as usize * self.stride + x as usize * self.format.bytes();
        match self.format {
            PixelFormat::Grey8 => self.pixels[at],
            PixelFormat::Rgb8 => luma(self.pixels[at], self.pixels[at + 1], self.pixels[at + 2]),
        }
    }
}

/// Luma of ITU-R BT.601, in integers: (77 R + 150 G + 29 B + 128) / 256.
pub fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b) + 128) >> 8) as u8
}

/// A fixed number of frames that are filled, shared and come back by themselves.
///
/// Guarantees: never more than `capacity` frames; after each has been used once at a size, filling allocates nothing.
pub struct FramePool {
    frames: Vec<Arc<Frame>>,
    next: usize,
}

impl FramePool {
    /// A pool of `capacity` empty frames.
    pub fn new(capacity: usize) -> Self {
        Self { frames: (0..capacity).map(|_| Arc::default()).collect(), next: 0 }
    }

    /// Lets `fill` write a frame that nobody else holds and hands it out; `None` when all are held.
    pub fn fill<E>(&mut self, fill: impl FnOnce(&mut Frame) -> Result<(), E>) -> Option<Result<Arc<Frame>, E>> {
        let n = self.frames.len();
        for i in 0..n {
            let at = (self.next + i) % n;
            if let Some(frame) = Arc::get_mut(&mut self.frames[at]) {
                let filled = fill(frame);
                self.next = (at + 1) % n;
                return Some(filled.map(|()| self.frames[at].clone()));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pool_hands_out_only_frames_that_nobody_holds() {
        let mut pool = FramePool::new(2);
        let mut take = |id: u64| {
            pool.fill(|f| {
                f.id = FrameId(id);
                Ok::<(), ()>(())
            })
        };
        let a = take(1).unwrap().unwrap();
        let b = take(2).unwrap().unwrap();
        assert!(take(3).is_none(), "a third of two frames was handed out");
        drop(a);
        assert_eq!(take(4).unwrap().unwrap().id, FrameId(4));
        assert_eq!(b.id, FrameId(2), "a held frame was overwritten");
    }

    #[test]
    fn reshape_drops_scale_and_region() {
        let mut f = Frame::from_pixels(4, 2, PixelFormat::Grey8, vec![9; 8]).unwrap();
        f.scale = PixelScale::new(Millimetres(0.1), Millimetres(0.1), ScaleSource::Profile);
        f.reshape(2, 2, PixelFormat::Rgb8);
        assert_eq!((f.scale, f.stride, f.pixels.len()), (None, 6, 12));
        assert_eq!(f.region.rect, Rect::new(0.0, 0.0, 2.0, 2.0));
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
