//! A mask file as what is inside and what is not: bright on black, 0 and 1, a palette, or the class that the row names.
//!
//! | file | inside |
//! |---|---|
//! | two values, or two colours, black among them | the other one |
//! | indexed PNG (Pascal VOC, LabelMe) with two indices in use, 0 among them | the other one |
//! | more than two classes | the one that column `value` names; without it the row cannot be used, and says which there are |
//! | anything else | brighter than 127 |
//!
//! A class is a value that a good part of the mask has; the few values between at the rims of smooth masks are none.

use std::collections::BTreeMap;
use std::path::Path;

use sonotap::frame::{Frame, PixelFormat};
use sonotap::mask::Bitmap;
use sonotap::source::images::{load_still, read_file};

/// Inside where brighter, in masks of many values.
const INSIDE_ABOVE: u8 = 127;
/// Most different values of a mask of classes.
const CLASSES_MAX: usize = 64;
/// A value that has less of what is not black is a rim's.
const CLASS_SHARE_MIN: f64 = 0.02;
/// Levels from here on are an object's, up to there black, where a mask has both.
const BRIGHT: u32 = 200;
const WORN: u32 = 16;
/// Between them lie the rims of a smooth or lossy mask, which are no more than this of what is not black.
const RIM_SHARE_MAX: f64 = 0.1;

/// What the values of a mask are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Values {
    /// Levels of grey.
    Levels,
    /// Colours, as 0xRRGGBB.
    Colours,
    /// Indices of a palette.
    Indices,
}

impl Values {
    fn name(self, value: u32) -> String {
        if self == Self::Colours { format!("#{value:06x}") } else { value.to_string() }
    }
}

/// The label of every pixel: the index of an indexed picture, the level of a grey one.
///
/// # Errors
/// Why there are none.
pub(super) fn labels_of(path: &Path) -> Result<(Vec<u32>, (u32, u32)), String> {
    if let Some((width, height, indices)) = indices_of(path)? {
        return Ok((indices.iter().map(|v| u32::from(*v)).collect(), (width, height)));
    }
    let frame = load_still(path).map_err(|e| super::dataset::chain(&e))?;
    let size = (frame.width(), frame.height());
    match frame.format() {
        PixelFormat::Grey8 => Ok((frame.pixels().iter().map(|v| u32::from(*v)).collect(), size)),
        PixelFormat::Rgb8 => Err("expected an indexed or grey picture of labels, got colours".to_owned()),
    }
}

/// Reads a mask; `value` names the class that is inside, as a number or as `#rrggbb`.
///
/// # Errors
/// Why it cannot be used.
pub fn read(path: &Path, value: Option<&str>) -> Result<Bitmap, String> {
    if let Some((width, height, indices)) = indices_of(path)? {
        let values: Vec<u32> = indices.iter().map(|v| u32::from(*v)).collect();
        return by_class(&values, (width, height), value, Values::Indices);
    }
    let frame = load_still(path).map_err(|e| super::dataset::chain(&e))?;
    let size = (frame.width(), frame.height());
    let is_grey =
        frame.format() == PixelFormat::Grey8 || frame.pixels().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
    let pixels = frame.pixels().chunks_exact(frame.format().bytes());
    let (values, kind): (Vec<u32>, _) = match is_grey {
        true => (pixels.map(|p| u32::from(p[0])).collect(), Values::Levels),
        false => (pixels.map(|p| u32::from_be_bytes([0, p[0], p[1], p[2]])).collect(), Values::Colours),
    };
    match by_class(&values, size, value, kind) {
        // Many values: a smooth mask, or a lossy one.
        Err(_) if value.is_none() && counts_of(&values).is_none() => bright(&frame),
        outcome => outcome,
    }
}

fn bright(frame: &Frame) -> Result<Bitmap, String> {
    let mut truth = Bitmap::new(frame.width(), frame.height());
    for (x, y) in (0..frame.height()).flat_map(|y| (0..frame.width()).map(move |x| (x, y))) {
        truth.set(x, y, frame.grey(x, y) > INSIDE_ABOVE);
    }
    match truth.area_px() {
        0 => Err(format!("expected a mask with pixels above {INSIDE_ABOVE}, got none")),
        _ => Ok(truth),
    }
}

/// How often each value occurs, up to so many of them.
fn counts_of(values: &[u32]) -> Option<BTreeMap<u32, usize>> {
    let mut counts = BTreeMap::new();
    for value in values {
        *counts.entry(*value).or_insert(0) += 1;
        if counts.len() > CLASSES_MAX {
            return None;
        }
    }
    Some(counts)
}

fn by_class(values: &[u32], (width, height): (u32, u32), wanted: Option<&str>, kind: Values) -> Result<Bitmap, String> {
    let inside = |is: &dyn Fn(u32) -> bool| {
        let pixels = values.iter().map(|v| u8::from(is(*v))).collect();
        Bitmap::from_values(width, height, pixels).ok_or_else(|| "expected a mask with pixels, got none".to_owned())
    };
    if let Some(wanted) = wanted {
        let truth = inside(&|v| kind.name(v).eq_ignore_ascii_case(wanted))?;
        if truth.area_px() > 0 {
            return Ok(truth);
        }
    }
    let counts = counts_of(values).ok_or("expected a mask of few values, got many")?;
    let is_bright = kind == Values::Levels && counts.keys().any(|v| *v >= BRIGHT);
    // Beside bright values the darkest are black that a lossy file has worn.
    let floor = if is_bright { WORN } else { 0 };
    let beyond = |low: u32, high: u32| -> usize {
        counts.iter().filter(|(v, _)| (low + 1..high).contains(v)).map(|(_, n)| n).sum()
    };
    let all = beyond(floor, u32::MAX);
    let is_class = |v: u32, n: usize| v > floor && n as f64 >= CLASS_SHARE_MIN * all as f64;
    let classes: Vec<u32> = counts.iter().filter(|(v, n)| is_class(**v, **n)).map(|(v, _)| *v).collect();
    let listed = || classes.iter().take(12).map(|v| kind.name(*v)).collect::<Vec<_>>().join(", ");
    let has_outside = all < values.len();
    match (wanted, classes.as_slice()) {
        (Some(wanted), _) => Err(format!("expected a mask with value {wanted}, got values: {}", listed())),
        (None, []) => Err("expected a mask with something inside, got black alone".to_owned()),
        (None, [_]) if !has_outside && !is_bright => {
            Err("expected a mask with an outside, got one value alone".to_owned())
        }
        _ if is_bright && (beyond(floor, BRIGHT) as f64) < RIM_SHARE_MAX * all as f64 => {
            inside(&|v| v > u32::from(INSIDE_ABOVE))
        }
        (None, &[only]) => inside(&|v| v == only),
        (None, classes) => Err(format!(
            "expected one class in the mask, got {} (values {}): name one in a column value",
            classes.len(),
            listed()
        )),
    }
}

/// The indices of an indexed PNG whose palette has a colour, with its size: they are the classes, colours only show them.
fn indices_of(path: &Path) -> Result<Option<(u32, u32, Vec<u8>)>, String> {
    let is_png = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("png"));
    if !is_png {
        return Ok(None);
    }
    let bytes = read_file(path).map_err(|e| super::dataset::chain(&e))?;
    let corrupt = |e: png::DecodingError| format!("the mask is corrupt or truncated: {e}");
    let mut decoder = png::Decoder::new_with_limits(std::io::Cursor::new(&bytes), png::Limits { bytes: 128 << 20 });
    decoder.set_transformations(png::Transformations::IDENTITY);
    let Ok(mut reader) = decoder.read_info() else { return Ok(None) };
    let info = reader.info();
    let (width, height, bits) = (info.width, info.height, info.bit_depth as usize);
    let has_colour = info.palette.as_ref().is_some_and(|p| p.chunks_exact(3).any(|p| p[0] != p[1] || p[1] != p[2]));
    if info.color_type != png::ColorType::Indexed || !has_colour || u64::from(width) * u64::from(height) > 24 << 20 {
        return Ok(None);
    }
    let Some(size) = reader.output_buffer_size() else { return Ok(None) };
    let mut packed = vec![0; size];
    let row = reader.next_frame(&mut packed).map_err(corrupt)?.line_size;
    let index =
        |line: &[u8], x: usize| (line[x * bits / 8] >> (8 - bits - x * bits % 8)) & (((1u16 << bits) - 1) as u8);
    let lines = packed.chunks_exact(row.max(1)).take(height as usize);
    let indices = lines.flat_map(|line| (0..width as usize).map(move |x| index(line, x))).collect();
    Ok(Some((width, height, indices)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(values: &[u8]) -> Vec<u32> {
        values.iter().map(|v| u32::from(*v)).collect()
    }

    fn inside(values: &[u32], wanted: Option<&str>) -> Result<usize, String> {
        by_class(values, (values.len() as u32, 1), wanted, Values::Levels).map(|b| b.area_px())
    }

    #[test]
    fn two_values_are_inside_and_outside_whatever_they_are() {
        for value in [1, 2, 40, 128, 255] {
            assert_eq!(inside(&grey(&[0, value, value, 0]), None), Ok(2), "{value}");
        }
        assert!(inside(&grey(&[0, 0]), None).unwrap_err().contains("black alone"));
        assert!(inside(&grey(&[1, 1]), None).unwrap_err().contains("an outside"));
    }

    #[test]
    fn several_classes_are_refused_unless_one_is_named() {
        let mask = grey(&[0, 0, 1, 1, 2, 2, 2, 3]);
        let e = inside(&mask, None).unwrap_err();
        assert!(e.contains("got 3 (values 1, 2, 3)"), "{e}");
        assert_eq!(inside(&mask, Some("2")), Ok(3));
        assert!(inside(&mask, Some("7")).unwrap_err().contains("got values: 1, 2, 3"));
        let greys = grey(&[0, 0, 85, 85, 170, 170, 255, 255]);
        assert!(inside(&greys, None).is_err());
    }

    #[test]
    fn rims_between_are_no_class() {
        let mut mask = grey(&[0; 200]);
        mask.extend(grey(&[255; 200]));
        mask.extend(grey(&[120, 130, 199, 3, 1]));
        assert_eq!(inside(&mask, None), Ok(202));
    }
}
