//! Which parts of a picture show what and how large their pixels are: the Sequence of Ultrasound Regions (PS3.3 C.8.5.5).
//!
//! Scanners write the sequence, and archives that resize pictures forget to adjust it. So nothing of it is believed as
//! soon as one of its boxes reaches beyond the picture, and a scale is claimed only where everything fits.

use dicom_core::Tag;
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;

use crate::frame::{ImageRegion, PixelScale, RegionContent, ScaleSource};
use crate::geometry::{ImageSpace, Rect};
use crate::region::{FrameRegion, REGIONS_MAX, Regions};
use crate::units::Millimetres;

/// Extents of a plausible scan, mm: from a small-parts probe's near field to twice the deepest abdominal setting.
const EXTENT_MM: std::ops::RangeInclusive<f64> = 5.0..=600.0;
/// Largest plausible ratio of a pixel's sides.
const ASPECT_MAX: f64 = 5.0;
const UNIT_CENTIMETRE: u16 = 3;
/// Share by which deltas of tissue and flow may differ: they are written with few digits.
const SCALE_TOLERANCE: f32 = 0.01;

/// What the sequence says about a picture.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct RegionReading {
    /// What is where; the whole picture alone where the sequence cannot be used.
    pub regions: Regions,
    /// Why a region's pixels have no size, for each region that tissue may be shown in.
    pub refused: Vec<(Rect<ImageSpace>, String)>,
}

impl RegionReading {
    /// Takes every scale away, for a reason.
    pub(super) fn withdraw_scales(&mut self, reason: &str) {
        self.regions = self.regions.without_scales();
        let tissue = self.regions.iter().filter(|r| r.content.is_segmentable());
        self.refused = tissue.map(|r| (r.rect, reason.to_owned())).collect();
    }
}

/// Reads the sequence of a picture of `columns` x `rows` px; `has_colour` tells whether grey and flow can be told apart.
pub(super) fn read(object: &InMemDicomObject, columns: u32, rows: u32, has_colour: bool) -> RegionReading {
    let whole = Rect::new(0.0, 0.0, columns as f32, rows as f32);
    let items = object.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).and_then(|e| e.items()).unwrap_or_default();
    let regions: Vec<Region> = items.iter().map(Region::read).collect();
    let refused = |content, reason: String| RegionReading {
        regions: Regions::one(ImageRegion { rect: whole, content }),
        refused: vec![(whole, reason)],
    };
    if regions.is_empty() {
        let reason = "the file has no Sequence of Ultrasound Regions (0018,6011)";
        return refused(RegionContent::Unknown, reason.to_owned());
    }
    let images: Vec<&Region> = regions.iter().filter(|r| r.is_image()).collect();
    if images.is_empty() {
        let has_trace = regions.iter().any(|r| matches!(r.shows, Shows::Trace(_)));
        let content = if has_trace { RegionContent::Trace } else { RegionContent::Unknown };
        return refused(content, "no region of the file is a two-dimensional image".to_owned());
    }
    let content = |r: &Region| content_of(r, &regions, has_colour);
    let chief = content(largest(&images));
    if let Some(reason) = regions.iter().find_map(|r| r.reach_beyond(columns, rows)) {
        return refused(chief, reason);
    }
    if let Some(reason) = images.iter().find_map(|r| r.rect(columns, rows).err()) {
        return refused(chief, reason);
    }
    let (mut parts, mut without) = (Vec::new(), Vec::new());
    for region in regions.iter().filter(|r| !is_part_of_another(r, &regions)) {
        // Of bars and traces without a place there is nothing to keep prompts from.
        let Ok(rect) = region.rect(columns, rows) else { continue };
        let scale = region.scale(&rect).and_then(|s| same_as_others(s, region, &regions));
        if let (true, Err(reason)) = (region.is_image(), &scale) {
            without.push((rect, reason.clone()));
        }
        let (content, is_low_priority) = (content(region), region.is_low_priority);
        parts.push(FrameRegion { rect, content, scale: scale.ok(), is_low_priority });
    }
    let images: Vec<FrameRegion> = parts.iter().copied().filter(|p| p.content.is_segmentable()).collect();
    if parts.len() > REGIONS_MAX {
        // What lies beside every image is rim to prompts anyway.
        parts.retain(|p| images.iter().any(|i| i == p || i.rect.intersect(&p.rect).is_some()));
    }
    match Regions::new(&parts) {
        Some(regions) => RegionReading { regions, refused: without },
        None => refused(chief, format!("the file has more than {REGIONS_MAX} regions that overlap: {}", parts.len())),
    }
}

/// The largest tissue image; without one the largest colour flow image, then the largest other image.
fn largest<'a>(images: &[&'a Region]) -> &'a Region {
    let rank = |r: &Region| match r.shows {
        Shows::Tissue => 2,
        Shows::Flow => 1,
        _ => 0,
    };
    images.iter().copied().max_by_key(|r| (rank(r), r.area())).unwrap_or(images[0])
}

fn content_of(region: &Region, all: &[Region], has_colour: bool) -> RegionContent {
    let has_flow = || all.iter().any(|r| r.shows == Shows::Flow && r.overlaps(region));
    match region.shows {
        Shows::Tissue if !has_flow() => RegionContent::BMode,
        Shows::Tissue | Shows::Flow if has_colour => RegionContent::BModeWithColour,
        Shows::Tissue | Shows::Flow => RegionContent::ColourDoppler,
        Shows::OtherImage => RegionContent::Unknown,
        Shows::Trace(content) => content,
        Shows::Furniture => RegionContent::Furniture,
    }
}

/// Whether a region is no picture of its own: flow within a tissue image, and an image of no type around a typed one.
fn is_part_of_another(region: &Region, all: &[Region]) -> bool {
    match region.shows {
        Shows::Flow => all.iter().any(|r| r.shows == Shows::Tissue && r.holds(region)),
        Shows::OtherImage => all.iter().any(|r| matches!(r.shows, Shows::Tissue | Shows::Flow) && region.holds(r)),
        _ => false,
    }
}

/// The scale of an image, unless flow over a tissue image, or another image in the very same place, says that the pixels are
/// of another size.
fn same_as_others(scale: PixelScale, region: &Region, all: &[Region]) -> Result<PixelScale, String> {
    let differs = |a: f32, b: f32| (a - b).abs() > SCALE_TOLERANCE * a.max(b);
    let is_here = |r: &Region| match (r.shows, region.shows) {
        (Shows::Flow, Shows::Tissue) => r.overlaps(region),
        _ => r.is_image() && r.corners == region.corners,
    };
    for other in all.iter().filter(|r| is_here(r)) {
        let [Some(x_cm), Some(y_cm)] = other.deltas_cm else { continue };
        let (x, y) = scale.mm_per_px();
        let is_length = other.units == [Some(UNIT_CENTIMETRE); 2];
        if is_length && (differs(x, 10.0 * x_cm.abs() as f32) || differs(y, 10.0 * y_cm.abs() as f32)) {
            return Err("regions in the same place are of different scales".to_owned());
        }
    }
    Ok(scale)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    Tissue,
    Flow,
    /// Two-dimensional, but of no type that says tissue.
    OtherImage,
    Trace(RegionContent),
    /// Grey bars, colour bars and graphics.
    Furniture,
}

/// One item of the sequence, as written; `None` where the element is missing or no number.
struct Region {
    shows: Shows,
    /// Min X0, Min Y0, Max X1, Max Y1; the last two are inside.
    corners: Option<[u32; 4]>,
    units: [Option<u16>; 2],
    deltas_cm: [Option<f64>; 2],
    /// Region Flags (0018,6016), bit 0 (PS3.3 C.8.5.5.1.3).
    is_low_priority: bool,
}

impl Region {
    fn read(item: &InMemDicomObject) -> Self {
        let whole = |tag: Tag| item.get(tag).and_then(|e| e.to_int::<u32>().ok());
        let code = |tag: Tag| item.get(tag).and_then(|e| e.to_int::<u16>().ok());
        let real = |tag: Tag| item.get(tag).and_then(|e| e.to_float64().ok());
        let corner = [
            whole(tags::REGION_LOCATION_MIN_X0),
            whole(tags::REGION_LOCATION_MIN_Y0),
            whole(tags::REGION_LOCATION_MAX_X1),
            whole(tags::REGION_LOCATION_MAX_Y1),
        ];
        Self {
            shows: shows(code(tags::REGION_SPATIAL_FORMAT), code(tags::REGION_DATA_TYPE)),
            corners: match corner {
                [Some(x0), Some(y0), Some(x1), Some(y1)] => Some([x0, y0, x1, y1]),
                _ => None,
            },
            units: [code(tags::PHYSICAL_UNITS_X_DIRECTION), code(tags::PHYSICAL_UNITS_Y_DIRECTION)],
            deltas_cm: [real(tags::PHYSICAL_DELTA_X), real(tags::PHYSICAL_DELTA_Y)],
            is_low_priority: whole(tags::REGION_FLAGS).is_some_and(|flags| flags & 1 == 1),
        }
    }

    fn is_image(&self) -> bool {
        matches!(self.shows, Shows::Tissue | Shows::Flow | Shows::OtherImage)
    }

    /// Whether the other's box lies within this one's.
    fn holds(&self, other: &Self) -> bool {
        match (self.corners, other.corners) {
            (Some([x0, y0, x1, y1]), Some([ox0, oy0, ox1, oy1])) => x0 <= ox0 && y0 <= oy0 && ox1 <= x1 && oy1 <= y1,
            _ => false,
        }
    }

    fn area(&self) -> u64 {
        self.corners.map_or(0, |[x0, y0, x1, y1]| u64::from(x1.saturating_sub(x0)) * u64::from(y1.saturating_sub(y0)))
    }

    /// Whether the boxes share more than an edge; a region without a box may be anywhere.
    fn overlaps(&self, other: &Self) -> bool {
        match (self.corners, other.corners) {
            (Some([ax0, ay0, ax1, ay1]), Some([bx0, by0, bx1, by1])) => {
                ax0 < bx1 && bx0 < ax1 && ay0 < by1 && by0 < ay1
            }
            _ => true,
        }
    }

    /// Whether the box is of another, larger picture, in words. A far corner one beyond the last pixel is half-open.
    fn reach_beyond(&self, columns: u32, rows: u32) -> Option<String> {
        let [x0, y0, x1, y1] = self.corners?;
        (x0 > columns || y0 > rows || x1 > columns || y1 > rows).then(|| {
            format!("the file's regions are of another size: {x0},{y0} to {x1},{y1} reaches beyond {columns}x{rows} px")
        })
    }

    /// The box in a picture that it does not reach beyond.
    fn rect(&self, columns: u32, rows: u32) -> Result<Rect<ImageSpace>, String> {
        let Some([x0, y0, x1, y1]) = self.corners else {
            return Err("the file's image region has no location".to_owned());
        };
        if x0 >= x1 || y0 >= y1 {
            return Err(format!("the file's image region is empty: {x0},{y0} to {x1},{y1}"));
        }
        let (right, bottom) = ((x1 + 1).min(columns), (y1 + 1).min(rows));
        Ok(Rect::new(x0 as f32, y0 as f32, right as f32, bottom as f32))
    }

    /// Size of the pixels in `rect`, or why none is claimed.
    fn scale(&self, rect: &Rect<ImageSpace>) -> Result<PixelScale, String> {
        if !matches!(self.shows, Shows::Tissue | Shows::Flow) {
            return Err("the region's data type says neither tissue nor colour flow".to_owned());
        }
        if self.units != [Some(UNIT_CENTIMETRE); 2] {
            return Err("the region's units are not centimetres on both axes".to_owned());
        }
        let [Some(x_cm), Some(y_cm)] = self.deltas_cm else {
            return Err("the region has no Physical Delta X and Y".to_owned());
        };
        let (x_mm, y_mm) = (x_cm.abs() * 10.0, y_cm.abs() * 10.0);
        let Some(scale) = PixelScale::new(Millimetres(x_mm), Millimetres(y_mm), ScaleSource::DicomRegion) else {
            return Err(format!("the region's Physical Delta is no length: {x_cm} x {y_cm} cm"));
        };
        let extents = [x_mm * f64::from(rect.width()), y_mm * f64::from(rect.height())];
        if extents.iter().any(|e| !EXTENT_MM.contains(e)) || x_mm.max(y_mm) > ASPECT_MAX * x_mm.min(y_mm) {
            let [w, h] = extents;
            return Err(format!(
                "the region would be {w:.1} x {h:.1} mm with pixels of {x_mm} x {y_mm} mm: implausible"
            ));
        }
        Ok(scale)
    }
}

/// Region Spatial Format and Region Data Type, PS3.3 C.8.5.5.1.1 and C.8.5.5.1.2.
fn shows(format: Option<u16>, data_type: Option<u16>) -> Shows {
    match (format, data_type) {
        (Some(5), _) | (_, Some(0xD | 0xE)) => Shows::Furniture,
        (Some(2), _) => Shows::Trace(RegionContent::MMode),
        (Some(3), _) => Shows::Trace(RegionContent::Spectrum),
        (Some(4), _) => Shows::Trace(RegionContent::Trace),
        (Some(1), Some(1)) => Shows::Tissue,
        (Some(1), Some(2)) => Shows::Flow,
        (_, Some(3 | 4)) => Shows::Trace(RegionContent::Spectrum),
        (_, Some(5..=0xC | 0x10..=0x12)) => Shows::Trace(RegionContent::Trace),
        _ => Shows::OtherImage,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn format_and_data_type_decide_what_a_region_shows() {
        for (format, data_type, expected) in [
            (Some(1), Some(1), Shows::Tissue),
            (Some(1), Some(2), Shows::Flow),
            (Some(1), Some(0xF), Shows::OtherImage),
            (Some(1), None, Shows::OtherImage),
            (Some(2), Some(1), Shows::Trace(RegionContent::MMode)),
            (Some(3), Some(3), Shows::Trace(RegionContent::Spectrum)),
            (None, Some(4), Shows::Trace(RegionContent::Spectrum)),
            (Some(4), Some(0xA), Shows::Trace(RegionContent::Trace)),
            (Some(5), Some(0), Shows::Furniture),
            (Some(1), Some(0xE), Shows::Furniture),
            (None, None, Shows::OtherImage),
        ] {
            assert_eq!(shows(format, data_type), expected, "{format:?} {data_type:?}");
        }
    }

    fn tissue(corners: [u32; 4], deltas_cm: [f64; 2]) -> Region {
        Region {
            shows: Shows::Tissue,
            corners: Some(corners),
            units: [Some(3); 2],
            deltas_cm: deltas_cm.map(Some),
            is_low_priority: false,
        }
    }

    #[test]
    fn implausible_deltas_give_no_scale() {
        for deltas in [[0.0, 0.05], [f64::NAN, 0.05], [0.05, f64::INFINITY], [1e-5, 1e-5], [1.0, 1.0], [0.01, 0.09]] {
            let r = tissue([0, 0, 319, 239], deltas);
            assert!(r.scale(&r.rect(320, 240).unwrap()).is_err(), "{deltas:?}");
        }
    }

    #[test]
    fn a_negative_delta_is_a_direction_and_not_a_size() {
        let r = tissue([0, 0, 319, 239], [0.05, -0.04]);
        let (x, y) = r.scale(&r.rect(320, 240).unwrap()).unwrap().mm_per_px();
        assert!((x - 0.5).abs() < 1e-6 && (y - 0.4).abs() < 1e-6, "{x} {y}");
    }

    #[test]
    fn a_box_reaches_beyond_the_picture_from_one_pixel_on() {
        assert_eq!(tissue([0, 0, 320, 240], [0.05, 0.05]).reach_beyond(320, 240), None);
        assert!(tissue([0, 0, 321, 240], [0.05, 0.05]).reach_beyond(320, 240).is_some());
        assert!(tissue([0, 0, 320, 241], [0.05, 0.05]).reach_beyond(320, 240).is_some());
        assert!(tissue([u32::MAX, 0, 9, 9], [0.05, 0.05]).reach_beyond(320, 240).is_some());
    }

    #[test]
    fn the_far_corner_is_inside_the_box() {
        let rect = tissue([10, 20, 109, 69], [0.05, 0.05]).rect(320, 240).unwrap();
        assert_eq!(rect, Rect::new(10.0, 20.0, 110.0, 70.0));
        assert_eq!(tissue([0, 0, 320, 240], [0.05, 0.05]).rect(320, 240).unwrap(), Rect::new(0.0, 0.0, 320.0, 240.0));
        assert!(tissue([5, 0, 5, 240], [0.05, 0.05]).rect(320, 240).is_err());
    }
}
