//! The probe: where its beams run, how the beam grid lies on the image, and the table that turns one into the other.

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{PixelScale, ScaleSource};
use crate::geometry::{ImageSpace, Point, Rect, length};
use crate::units::Millimetres;

use super::motion::Now;

/// Beams of a frame.
pub(super) const BEAMS: usize = 224;
/// Samples along each beam.
pub(super) const SAMPLES: usize = 512;

/// The shape of the field of view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field {
    /// Parallel beams from a flat face.
    Linear {
        /// Width of the face, mm.
        aperture_mm: f32,
    },
    /// Beams that part from a point `radius_mm` behind the face.
    Fan {
        /// Radius of the face, mm.
        radius_mm: f32,
        /// Between the middle and the outermost beam, rad.
        half_angle: f32,
    },
}

/// What a transducer is and how the scanner uses it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Probe {
    pub(super) field: Field,
    pub(super) depth_mm: f32,
    pub(super) frequency_mhz: f32,
    /// Depth of the transmit focus, mm.
    pub(super) focus_mm: f32,
    /// Standard deviation of the lateral response in the focus, beams.
    pub(super) focus_beams: f32,
    /// How much wider the response is at the face and far behind the focus, beams.
    pub(super) spread_beams: f32,
    /// Thermal noise at the face, dB against soft tissue; time-gain compensation raises it with depth.
    pub(super) noise_db: f32,
    /// Attenuation that the time-gain compensation expects, dB/cm/MHz.
    pub(super) expected_attenuation: f32,
}

impl Probe {
    /// Distance between samples, mm.
    pub(super) fn sample_mm(&self) -> f32 {
        self.depth_mm / SAMPLES as f32
    }

    /// A place on the beam grid, and the direction of the beam there.
    pub(super) fn place(&self, beam: f32, sample: f32) -> (Point<Now>, (f32, f32)) {
        let along = (sample + 0.5) * self.sample_mm();
        let across = (beam + 0.5) / BEAMS as f32 - 0.5;
        match self.field {
            Field::Linear { aperture_mm } => (Point::new(across * aperture_mm, along), (0.0, 1.0)),
            Field::Fan { radius_mm, half_angle } => {
                let (s, c) = (across * 2.0 * half_angle).sin_cos();
                let r = radius_mm + along;
                (Point::new(r * s, r * c - radius_mm), (s, c))
            }
        }
    }

    /// Beam and sample (both fractional, beyond the grid as well) of a place in mm.
    pub(super) fn beam_sample<S>(&self, p: Point<S>) -> (f32, f32) {
        let (across, along) = match self.field {
            Field::Linear { aperture_mm } => (p.x / aperture_mm, p.y),
            Field::Fan { radius_mm, half_angle } => {
                let y = p.y + radius_mm;
                (p.x.atan2(y) / (2.0 * half_angle), length(p.x, y) - radius_mm)
            }
        };
        ((across + 0.5) * BEAMS as f32 - 0.5, along / self.sample_mm() - 0.5)
    }

    /// Whether a place lies in the field of view.
    pub(super) fn sees(&self, p: Point<Now>) -> bool {
        let (b, s) = self.beam_sample(p);
        (-0.5..BEAMS as f32 - 0.5).contains(&b) && (-0.5..SAMPLES as f32 - 0.5).contains(&s)
    }

    /// The rectangle around the field of view, mm: x0, y0, x1, y1.
    fn bounds_mm(&self) -> (f32, f32, f32, f32) {
        match self.field {
            Field::Linear { aperture_mm } => (-aperture_mm / 2.0, 0.0, aperture_mm / 2.0, self.depth_mm),
            Field::Fan { radius_mm, half_angle } => {
                let half = (radius_mm + self.depth_mm) * half_angle.sin();
                (-half, radius_mm * (half_angle.cos() - 1.0), half, self.depth_mm)
            }
        }
    }
}

/// How the field of view lies on the image: square pixels, centred, as large as fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ImagePlane {
    mm_per_px: f32,
    /// Place of the image's top left corner, mm.
    corner: Point<Now>,
    scale: PixelScale,
    region: Rect<ImageSpace>,
}

impl ImagePlane {
    pub(super) fn new(probe: &Probe, width: u32, height: u32) -> Result<Self> {
        let (x0, y0, x1, y1) = probe.bounds_mm();
        let (w, h) = (width as f32, height as f32);
        let mm_per_px = ((x1 - x0) / w).max((y1 - y0) / h);
        let mm = Millimetres(f64::from(mm_per_px));
        let scale = PixelScale::new(mm, mm, ScaleSource::Phantom).ok_or_else(|| {
            Error::new(ErrorKind::Argument, format!("phantom: {width}x{height} px gives {mm_per_px} mm a pixel"))
        })?;
        let corner = Point::new((x0 + x1 - w * mm_per_px) / 2.0, (y0 + y1 - h * mm_per_px) / 2.0);
        let plane = Self { mm_per_px, corner, scale, region: Rect::default() };
        let region = Rect::between(plane.px_of(Point::new(x0, y0)), plane.px_of(Point::new(x1, y1)));
        let whole = Rect::new(0.0, 0.0, w, h);
        Ok(Self { region: region.intersect(&whole).unwrap_or(whole), ..plane })
    }

    pub(super) fn scale(&self) -> PixelScale {
        self.scale
    }

    /// The rectangle around the field of view, image px.
    pub(super) fn region(&self) -> Rect<ImageSpace> {
        self.region
    }

    pub(super) fn mm_of(&self, p: Point<ImageSpace>) -> Point<Now> {
        Point::new(p.x * self.mm_per_px + self.corner.x, p.y * self.mm_per_px + self.corner.y)
    }

    pub(super) fn px_of(&self, p: Point<Now>) -> Point<ImageSpace> {
        Point::new((p.x - self.corner.x) / self.mm_per_px, (p.y - self.corner.y) / self.mm_per_px)
    }
}

/// Where a pixel is read from: the upper left of four grid values, and how far towards the others, in 1/256.
#[derive(Clone, Copy, Debug)]
struct Tap {
    at: u32,
    across: u16,
    along: u16,
}

/// Marks a pixel outside the field of view.
const OUTSIDE: u32 = u32::MAX;

/// Scan conversion: from the beam grid (row-major, `SAMPLES` rows of `BEAMS`) to the image, bilinear, by table.
#[derive(Clone, Debug)]
pub(super) struct ScanConverter {
    taps: Vec<Tap>,
}

impl ScanConverter {
    pub(super) fn new(probe: &Probe, plane: &ImagePlane, width: u32, height: u32) -> Self {
        let mut taps = Vec::with_capacity(width as usize * height as usize);
        for y in 0..height {
            for x in 0..width {
                let p = plane.mm_of(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                taps.push(if probe.sees(p) {
                    tap(probe.beam_sample(p))
                } else {
                    Tap { at: OUTSIDE, across: 0, along: 0 }
                });
            }
        }
        Self { taps }
    }

    /// Fills an image of the size it was made for from a grid of grey values.
    pub(super) fn convert(&self, grid: &[u8], image: &mut [u8]) {
        for (pixel, tap) in image.iter_mut().zip(&self.taps) {
            *pixel = if tap.at == OUTSIDE {
                0
            } else {
                let four = &grid[tap.at as usize..tap.at as usize + BEAMS + 2];
                let (across, along) = (u32::from(tap.across), u32::from(tap.along));
                let near = u32::from(four[0]) * (256 - across) + u32::from(four[1]) * across;
                let far = u32::from(four[BEAMS]) * (256 - across) + u32::from(four[BEAMS + 1]) * across;
                ((near * (256 - along) + far * along + (1 << 15)) >> 16) as u8
            };
        }
    }
}

fn tap((beam, sample): (f32, f32)) -> Tap {
    let split = |v: f32, count: usize| {
        let v = v.clamp(0.0, (count - 1) as f32);
        let i = (v as usize).min(count - 2);
        (i, ((v - i as f32) * 256.0).round() as u16)
    };
    let ((b, across), (s, along)) = (split(beam, BEAMS), split(sample, SAMPLES));
    Tap { at: (s * BEAMS + b) as u32, across, along }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probes() -> [Probe; 2] {
        let linear = Probe {
            field: Field::Linear { aperture_mm: 40.0 },
            depth_mm: 30.0,
            frequency_mhz: 7.5,
            focus_mm: 15.0,
            focus_beams: 1.2,
            spread_beams: 1.0,
            noise_db: -60.0,
            expected_attenuation: 0.5,
        };
        [linear, Probe { field: Field::Fan { radius_mm: 50.0, half_angle: 0.6 }, depth_mm: 140.0, ..linear }]
    }

    #[test]
    fn a_place_on_the_grid_is_found_again() {
        for probe in probes() {
            for (beam, sample) in [(0.0, 0.0), (87.5, 200.25), (223.0, 511.0)] {
                let (b, s) = probe.beam_sample(probe.place(beam, sample).0);
                assert!((b - beam).abs() < 1e-2 && (s - sample).abs() < 1e-2, "{probe:?}: {b} {s}");
            }
        }
    }

    #[test]
    fn corners_of_the_field_touch_the_edges_of_the_image() {
        for probe in probes() {
            for (w, h) in [(640, 480), (300, 300), (97, 333)] {
                let plane = ImagePlane::new(&probe, w, h).unwrap();
                let region = plane.region();
                let spare_x = (w as f32 - region.width()).abs();
                let spare_y = (h as f32 - region.height()).abs();
                assert!(spare_x.min(spare_y) < 0.01, "{w}x{h}: {region:?}");
                assert!((region.width() * plane.mm_per_px - (probe.bounds_mm().2 - probe.bounds_mm().0)).abs() < 0.01);
            }
        }
    }

    #[test]
    fn scan_conversion_of_a_ramp_is_a_ramp() {
        let probe = probes()[0];
        let plane = ImagePlane::new(&probe, 448, 336).unwrap();
        let grid: Vec<u8> = (0..BEAMS * SAMPLES).map(|i| (i % BEAMS) as u8).collect();
        let mut image = vec![0; 448 * 336];
        ScanConverter::new(&probe, &plane, 448, 336).convert(&grid, &mut image);
        for x in 1..447usize {
            let expected = (x as f32 + 0.5) / 2.0 - 0.5;
            assert!((f32::from(image[100 * 448 + x]) - expected).abs() <= 0.51, "{x}");
        }
    }
}
