//! IMAGE: the part of its body before the pixels, and the plane in which they lie.
//!
//! An IMAGE is a box of RI x RJ x RK pixels, i fastest. T, S and N are the steps in mm from pixel to pixel along i, j and k, P is
//! the centre of the box. A picture is a box with one edge of one pixel: RK = 1 as most senders have it, or RI = 1 as pyigtl
//! sends an array of two dimensions.
//!
//! Axes: x of the picture is the faster of its two axes and y the slower; a pixel's centre is at (column + 0.5, row + 0.5) image
//! px, which is where the box has the index (column, row).

use sonotap::{ErrorKind, Millimetres, PixelFormat, PixelScale, Point, Result, ScaleSource};

use crate::message::{Cursor, broken};

/// Bytes before the pixels.
pub const IMAGE_HEADER_BYTES: usize = 72;
/// Longest edge of a picture that is taken, px.
pub const EDGE_PX_MAX: u16 = 8_192;
/// Most pixels of a picture that is taken.
pub const PIXELS_MAX: usize = 12 << 20;
/// Smallest and largest size of a pixel that is believed, mm.
const MM_PER_PX: std::ops::RangeInclusive<f32> = 0.001..=10.0;
/// Cosine of the angle between the axes beyond which a picture counts as sheared.
const SHEAR_MAX: f32 = 1e-3;

const UINT8: u8 = 3;

/// Which way the axes of the world point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Axes {
    /// Right, anterior, superior: code 1.
    Ras,
    /// Left, posterior, superior: code 2.
    Lps,
}

/// The part of an IMAGE's body before its pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImageHeader {
    /// Numbers a pixel.
    pub components: u8,
    /// Type of a number: 2 int8, 3 uint8, 4 int16, 5 uint16, 6 int32, 7 uint32, 10 float32, 11 float64.
    pub scalar: u8,
    /// Byte order of the pixels: 1 big, 2 little.
    pub endian: u8,
    /// Axes of the world.
    pub axes: Axes,
    /// RI, RJ, RK, px.
    pub size: [u16; 3],
    /// T, S, N: mm from pixel to pixel along i, j, k.
    pub steps: [[f32; 3]; 3],
    /// P: the centre of the box, mm.
    pub centre: [f32; 3],
    /// Where the part that is sent begins, px.
    pub part_start: [u16; 3],
    /// Size of the part that is sent, px.
    pub part_size: [u16; 3],
}

impl ImageHeader {
    /// Reads the bytes before the pixels.
    ///
    /// # Errors
    /// `Format` for another version of IMAGE or other axes than RAS and LPS.
    pub fn parse(bytes: &[u8; IMAGE_HEADER_BYTES]) -> Result<Self> {
        let mut cursor = Cursor(bytes);
        let version = cursor.u16()?;
        let (components, scalar, endian, axes) = (cursor.u8()?, cursor.u8()?, cursor.u8()?, cursor.u8()?);
        let axes = match axes {
            1 => Axes::Ras,
            2 => Axes::Lps,
            got => return Err(broken(format!("IMAGE: expected axes 1 (RAS) or 2 (LPS), got {got}"))),
        };
        let size = three(&mut cursor, Cursor::u16)?;
        let mut steps = [[0.0; 3]; 3];
        for step in &mut steps {
            *step = three(&mut cursor, Cursor::f32)?;
        }
        let centre = three(&mut cursor, Cursor::f32)?;
        let (part_start, part_size) = (three(&mut cursor, Cursor::u16)?, three(&mut cursor, Cursor::u16)?);
        match version {
            // Version 2 of IMAGE has the same fields.
            1 | 2 => Ok(Self { components, scalar, endian, axes, size, steps, centre, part_start, part_size }),
            got => Err(broken(format!("IMAGE: expected version 1 or 2, got {got}"))),
        }
    }

    /// Appends them.
    pub fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&1_u16.to_be_bytes());
        let axes = match self.axes {
            Axes::Ras => 1,
            Axes::Lps => 2,
        };
        out.extend_from_slice(&[self.components, self.scalar, self.endian, axes]);
        self.size.iter().for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
        self.steps.iter().flatten().chain(&self.centre).for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
        self.part_start.iter().chain(&self.part_size).for_each(|v| out.extend_from_slice(&v.to_be_bytes()));
    }

    /// The picture that it is.
    ///
    /// # Errors
    /// `Unsupported` for a volume, a part of a picture, another type than uint8 or another number of components than 1 and 3;
    /// `Format` for a size that cannot be, or that does not match `pixel_bytes`.
    pub fn picture(&self, pixel_bytes: u64) -> Result<ImagePicture> {
        let unsupported = |what: String| Err(sonotap::Error::new(ErrorKind::Unsupported, format!("IMAGE: {what}")));
        if self.scalar != UINT8 || ![1, 3].contains(&self.components) {
            let (components, scalar) = (self.components, self.scalar);
            return unsupported(format!(
                "expected type 3 (uint8) and 1 or 3 components, got type {scalar} and {components}; map wider samples to 8 bits"
            ));
        }
        let across = match self.size {
            [.., 1] => [0, 1],
            [1, ..] => [1, 2],
            [i, j, k] => return unsupported(format!("expected one slice, got a volume of {i}x{j}x{k}")),
        };
        if self.part_start != [0; 3] || self.part_size != self.size {
            return unsupported("expected a whole image, got a part of one".into());
        }
        let [width, height] = across.map(|axis| self.size[axis]);
        let pixels = usize::from(width) * usize::from(height);
        if [width, height].iter().any(|v| !(1..=EDGE_PX_MAX).contains(v)) || pixels > PIXELS_MAX {
            let most = format!("edges of 1 to {EDGE_PX_MAX} px and at most {PIXELS_MAX} px");
            return Err(broken(format!("IMAGE: expected {most}, got {width}x{height}")));
        }
        let format = if self.components == 1 { PixelFormat::Grey8 } else { PixelFormat::Rgb8 };
        let expected = (pixels * format.bytes()) as u64;
        if expected != pixel_bytes {
            let what = format!("{width}x{height} {format:?}");
            return Err(broken(format!("IMAGE: expected {expected} bytes of pixels for {what}, got {pixel_bytes}")));
        }
        let plane = Plane { axes: self.axes, steps: self.steps, centre: self.centre, size: self.size, across };
        Ok(ImagePicture { width: width.into(), height: height.into(), format, plane })
    }
}

/// A picture in an IMAGE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ImagePicture {
    /// image px.
    pub width: u32,
    /// image px.
    pub height: u32,
    /// How its pixels are stored.
    pub format: PixelFormat,
    /// Where it lies.
    pub plane: Plane,
}

/// Where a picture lies in the world.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    axes: Axes,
    steps: [[f32; 3]; 3],
    centre: [f32; 3],
    size: [u16; 3],
    /// The axes of the box that are the picture's x and y.
    across: [usize; 2],
}

impl Plane {
    /// The plane of a picture that nobody placed: its first pixel at the origin, x along the rows, y down the columns, z = 0,
    /// said to be RAS because the protocol has no word for none. `mm_per_px` is `None` where nobody knows: then one unit of the
    /// world is one px.
    pub fn unplaced(width: u32, height: u32, mm_per_px: Option<(f32, f32)>) -> Self {
        let (x, y) = mm_per_px.unwrap_or((1.0, 1.0));
        let edge = |v: u32| u16::try_from(v).unwrap_or(u16::MAX);
        let size = [edge(width), edge(height), 1];
        let middle = |px: u16, step: f32| f32::from(px.max(1) - 1) / 2.0 * step;
        Self {
            axes: Axes::Ras,
            steps: [[x, 0.0, 0.0], [0.0, y, 0.0], [0.0, 0.0, 1.0]],
            centre: [middle(size[0], x), middle(size[1], y), 0.0],
            size,
            across: [0, 1],
        }
    }

    /// Size of a pixel, where the sender says it.
    ///
    /// # Errors
    /// Why it is not believed: an identity matrix (what a sender writes that knows no scale), steps that are no lengths, sheared
    /// axes.
    pub fn scale(&self) -> Result<PixelScale, &'static str> {
        if self.steps == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]] {
            return Err("the image's matrix is the identity, which is what is sent when nobody knows the scale");
        }
        let [x, y] = self.across.map(|axis| self.steps[axis]);
        let (mm_x, mm_y) = (length(x), length(y));
        if ![mm_x, mm_y].iter().all(|mm| MM_PER_PX.contains(mm)) {
            return Err("the image's matrix has no pixel size of 0.001 to 10 mm");
        }
        if dot(x, y).abs() > SHEAR_MAX * mm_x * mm_y {
            return Err("the image's matrix is sheared");
        }
        PixelScale::new(Millimetres(mm_x.into()), Millimetres(mm_y.into()), ScaleSource::OpenIgtLink)
            .ok_or("the image's matrix has no pixel size")
    }

    /// Whether all its numbers can be places.
    pub fn is_placed(&self) -> bool {
        self.steps.iter().flatten().chain(&self.centre).all(|v| v.is_finite())
    }

    /// A place of the picture in the world, mm, axes RAS.
    ///
    /// ```
    /// use sonotap::Point;
    /// use sonotap_igtl::image::Plane;
    /// let plane = Plane::unplaced(640, 480, Some((0.1, 0.2)));
    /// assert_eq!(plane.to_ras(Point::new(0.5, 0.5)), [0.0; 3]);
    /// let [x, y, z] = plane.to_ras(Point::new(10.5, 20.5));
    /// assert!((x - 1.0).abs() < 1e-5 && (y - 4.0).abs() < 1e-5 && z == 0.0);
    /// ```
    pub fn to_ras(&self, p: Point<sonotap::ImageSpace>) -> [f32; 3] {
        let [x_axis, y_axis] = self.across;
        let from_middle = |px: f32, axis: usize| f64::from(px) - f64::from(self.size[axis]) / 2.0;
        let (dx, dy) = (from_middle(p.x, x_axis), from_middle(p.y, y_axis));
        let at = std::array::from_fn(|k| {
            let (x, y) = (f64::from(self.steps[x_axis][k]), f64::from(self.steps[y_axis][k]));
            let v = f64::from(self.centre[k]) + dx * x + dy * y;
            // What is zero but for rounding.
            if v.abs() < 1e-6 { 0.0 } else { v as f32 }
        });
        match (self.axes, at) {
            (Axes::Ras, at) => at,
            (Axes::Lps, [x, y, z]) => [-x, -y, z],
        }
    }

    /// The IMAGE of a label map in this plane.
    pub fn labels(&self) -> ImageHeader {
        ImageHeader {
            components: 1,
            scalar: UINT8,
            endian: 2,
            axes: self.axes,
            size: self.size,
            steps: self.steps,
            centre: self.centre,
            part_start: [0; 3],
            part_size: self.size,
        }
    }
}

fn three<'a, T: Copy + Default>(cursor: &mut Cursor<'a>, read: fn(&mut Cursor<'a>) -> Result<T>) -> Result<[T; 3]> {
    let mut out = [T::default(); 3];
    for v in &mut out {
        *v = read(cursor)?;
    }
    Ok(out)
}

fn dot(a: [f32; 3], b: [f32; 3]) -> f32 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

fn length(v: [f32; 3]) -> f32 {
    dot(v, v).sqrt()
}
