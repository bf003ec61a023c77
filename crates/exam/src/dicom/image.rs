//! US Image, US Multi-frame Image, and the picture with outlines burned in.

use std::sync::Arc;

use dicom_core::value::{PixelFragmentSequence, PrimitiveValue};
use dicom_core::{DataElement, VR};
use dicom_dictionary_std::{tags, uids};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use sonotap::frame::{PixelScale, ScaleSource};
use sonotap::units::Span as _;
use sonotap::{Canvas, Error, ErrorKind, Frame, PixelFormat, Result};

use super::common::{Context, Series, begin};
use super::elements::{DataSet, JPEG, NATIVE, decimal, reference};
use super::{Made, Source, codes};
use crate::capture::Origin;

/// Quality of cines: on speckle the eye sees no loss, and a frame has a fifth of its bytes.
const JPEG_QUALITY: u8 = 90;
/// Of a scale by hand along one axis.
const SQUARE_ASSUMED: &str = "Scale by hand along the depth ruler; pixels are taken for square.";
/// Physical Units: centimetres.
const CENTIMETRES: u16 = 3;

/// Bytes of a native frame, grey where no pixel has a colour, and samples a pixel.
fn samples(frame: &Frame) -> (Vec<u8>, u16) {
    let pixels = frame.pixels();
    match frame.format() {
        PixelFormat::Grey8 => (pixels.to_vec(), 1),
        PixelFormat::Rgb8 if is_grey(frame) => (pixels.chunks_exact(3).map(|p| p[0]).collect(), 1),
        PixelFormat::Rgb8 => (pixels.to_vec(), 3),
    }
}

fn is_grey(frame: &Frame) -> bool {
    frame.format() == PixelFormat::Grey8 || frame.pixels().chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2])
}

/// One frame, native; `first` is the image of the saved item that it is of, where it may have been compressed by that ratio.
pub(crate) fn still(
    context: &Context,
    frame: &Frame,
    label: Option<&str>,
    first: Option<&Source>,
    lossy_ratio: Option<f64>,
) -> Made {
    let class_uid = uids::ULTRASOUND_IMAGE_STORAGE;
    let (mut d, instance_uid) = begin_image(context, class_uid, label);
    if let Some(first) = first {
        let burned_in = if context.exam.origin == Origin::Simulated { "NO" } else { "YES" };
        let examination = if context.exam.origin == Origin::File { "SECONDARY" } else { "PRIMARY" };
        let application = codes::structure_of(label).application;
        image_module(&mut d, context, ["DERIVED", examination, application], burned_in);
        d.text(tags::DERIVATION_DESCRIPTION, VR::ST, "A frame of a saved image, outlined or measured anew");
        derived_from(&mut d, first);
    }
    let (bytes, samples) = samples(frame);
    pixel_module(&mut d, (frame.width(), frame.height()), samples, if samples == 1 { "MONOCHROME2" } else { "RGB" });
    put_lossiness(&mut d, lossy_ratio);
    regions(&mut d, frame);
    aspect(&mut d, frame);
    put_native(&mut d, bytes);
    Made { set: d.0, class_uid, instance_uid, syntax_uid: NATIVE }
}

/// Once compressed with loss, always said: by how much, where it was.
pub(super) fn put_lossiness(d: &mut DataSet, lossy_ratio: Option<f64>) {
    let Some(ratio) = lossy_ratio else {
        d.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "00");
        return;
    };
    d.text(tags::LOSSY_IMAGE_COMPRESSION, VR::CS, "01")
        .text(tags::LOSSY_IMAGE_COMPRESSION_RATIO, VR::DS, format!("{ratio:.2}"))
        .text(tags::LOSSY_IMAGE_COMPRESSION_METHOD, VR::CS, "ISO_10918_1");
}

/// Several frames with their times, JPEG baseline. A file has one list of regions for all frames: it is left out where they have not
/// the same.
///
/// # Errors
/// `Argument` when the frames differ in size or format.
pub(crate) fn cine(
    context: &Context,
    frames: &[Arc<Frame>],
    label: Option<&str>,
    has_common_regions: bool,
) -> Result<Made> {
    let first = &frames[0];
    let shape = |f: &Frame| (f.width(), f.height(), f.format());
    if let Some(other) = frames.iter().find(|f| shape(f) != shape(first)) {
        let what = format!("cine: expected frames of {:?}, got one of {:?}", shape(first), shape(other));
        return Err(Error::new(ErrorKind::Argument, what));
    }
    let class_uid = uids::ULTRASOUND_MULTI_FRAME_IMAGE_STORAGE;
    let (mut d, instance_uid) = begin_image(context, class_uid, label);
    let is_colour = !frames.iter().all(|f| is_grey(f));
    let coded = frames.iter().map(|f| jpeg(f, is_colour)).collect::<Result<Vec<_>>>()?;
    let samples = if is_colour { 3 } else { 1 };
    pixel_module(
        &mut d,
        (first.width(), first.height()),
        samples,
        if is_colour { "YBR_FULL_422" } else { "MONOCHROME2" },
    );
    times(&mut d, frames);
    let native = first.width() as usize * first.height() as usize * usize::from(samples) * frames.len();
    let ratio = native as f64 / coded.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    put_lossiness(&mut d, Some(ratio));
    if has_common_regions {
        regions(&mut d, first);
        aspect(&mut d, first);
    }
    d.0.put(DataElement::new(tags::PIXEL_DATA, VR::OB, encapsulated(coded)));
    Ok(Made { set: d.0, class_uid, instance_uid, syntax_uid: JPEG })
}

/// A picture with outlines drawn on it. It has no calibrated region: what is drawn is measured already.
pub(crate) fn outlined(
    context: &Context,
    canvas: &Canvas,
    source: &Source,
    label: Option<&str>,
    lossy_ratio: Option<f64>,
) -> Made {
    let class_uid = uids::ULTRASOUND_IMAGE_STORAGE;
    let series =
        Series { modality: "US", number: 2, uid: &context.exam.series.outlined, description: "With AI outlines" };
    let (mut d, instance_uid) = begin(context, class_uid, &series);
    image_module(&mut d, context, ["DERIVED", "SECONDARY", codes::structure_of(label).application], "YES");
    d.text(
        tags::DERIVATION_DESCRIPTION,
        VR::ST,
        "Outlines of a model and measurements drawn on the image. Not for diagnostic use.",
    );
    derived_from(&mut d, source);
    pixel_module(&mut d, (canvas.width(), canvas.height()), 3, "RGB");
    put_lossiness(&mut d, lossy_ratio);
    put_native(&mut d, canvas.to_rgb());
    Made { set: d.0, class_uid, instance_uid, syntax_uid: NATIVE }
}

/// Source Image Sequence (0008,2112).
fn derived_from(d: &mut DataSet, source: &Source) {
    let mut image = reference(source.class_uid, &source.instance_uid);
    if let Some(frame) = source.frame {
        image.text(tags::REFERENCED_FRAME_NUMBER, VR::IS, frame.to_string());
    }
    image.sequence(tags::PURPOSE_OF_REFERENCE_CODE_SEQUENCE, vec![codes::SOURCE_IMAGE.item()]);
    d.sequence(tags::SOURCE_IMAGE_SEQUENCE, vec![image]);
}

fn begin_image(context: &Context, class_uid: &str, label: Option<&str>) -> (DataSet, String) {
    let series = Series { modality: "US", number: 1, uid: &context.exam.series.images, description: "Images" };
    let (mut d, instance_uid) = begin(context, class_uid, &series);
    let application = codes::structure_of(label).application;
    match context.exam.origin {
        Origin::Captured => image_module(&mut d, context, ["ORIGINAL", "PRIMARY", application], "YES"),
        Origin::Simulated => image_module(&mut d, context, ["ORIGINAL", "PRIMARY", application], "NO"),
        Origin::File => {
            image_module(&mut d, context, ["DERIVED", "SECONDARY", application], "YES");
            d.text(tags::DERIVATION_DESCRIPTION, VR::ST, "Frames of a file that was played");
        }
    }
    (d, instance_uid)
}

/// `burned_in` is YES where a host's screen may show a name.
fn image_module(d: &mut DataSet, context: &Context, kind: [&str; 3], burned_in: &str) {
    let [pixels, examination, application] = kind;
    d.texts(tags::IMAGE_TYPE, VR::CS, &[pixels, examination, application, "0001"])
        .text(tags::ACQUISITION_DATE_TIME, VR::DT, context.taken.format("%Y%m%d%H%M%S%.6f+0000").to_string())
        .text(tags::PATIENT_ORIENTATION, VR::CS, "")
        // Not known, which is to be said.
        .text(tags::LATERALITY, VR::CS, "")
        .text(tags::BURNED_IN_ANNOTATION, VR::CS, burned_in);
    if context.exam.origin == Origin::Simulated {
        d.text(tags::QUALITY_CONTROL_IMAGE, VR::CS, "YES");
    }
}

fn pixel_module(d: &mut DataSet, (width, height): (u32, u32), samples: u16, photometric: &str) {
    d.short(tags::SAMPLES_PER_PIXEL, samples)
        .text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric)
        .short(tags::ROWS, height as u16)
        .short(tags::COLUMNS, width as u16)
        .short(tags::BITS_ALLOCATED, 8)
        .short(tags::BITS_STORED, 8)
        .short(tags::HIGH_BIT, 7)
        .short(tags::PIXEL_REPRESENTATION, 0);
    if samples == 3 {
        d.short(tags::PLANAR_CONFIGURATION, 0).short(tags::ULTRASOUND_COLOR_DATA_PRESENT, 1);
    }
}

fn put_native(d: &mut DataSet, mut bytes: Vec<u8>) {
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    d.put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(bytes.into()));
}

/// Regions of tissue whose scale somebody says; no region where nobody does.
fn regions(d: &mut DataSet, frame: &Frame) {
    let items: Vec<DataSet> = frame
        .parts()
        .iter()
        .filter(|r| r.content.is_segmentable())
        .filter_map(|r| {
            let (x, y) = r.scale?.mm_per_px();
            let inside = |v: f32, edge: u32| (v.round().max(0.0) as u32).min(edge - 1);
            Some(DataSet::with(|d| {
                d.short(tags::REGION_SPATIAL_FORMAT, 1)
                    .short(tags::REGION_DATA_TYPE, 1)
                    .long(tags::REGION_FLAGS, u32::from(r.is_low_priority))
                    .long(tags::REGION_LOCATION_MIN_X0, inside(r.rect.x0, frame.width()))
                    .long(tags::REGION_LOCATION_MIN_Y0, inside(r.rect.y0, frame.height()))
                    // The last pixel within.
                    .long(tags::REGION_LOCATION_MAX_X1, inside(r.rect.x1 - 1.0, frame.width()))
                    .long(tags::REGION_LOCATION_MAX_Y1, inside(r.rect.y1 - 1.0, frame.height()))
                    .short(tags::PHYSICAL_UNITS_X_DIRECTION, CENTIMETRES)
                    .short(tags::PHYSICAL_UNITS_Y_DIRECTION, CENTIMETRES)
                    .double(tags::PHYSICAL_DELTA_X, shortest(x) / 10.0)
                    .double(tags::PHYSICAL_DELTA_Y, shortest(y) / 10.0);
            }))
        })
        .collect();
    if !items.is_empty() {
        d.sequence(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, items);
    }
}

/// What a viewer cannot see of the scale: that pixels were taken for square, and their aspect where it is another.
fn aspect(d: &mut DataSet, frame: &Frame) {
    let parts = frame.parts();
    let tissue = parts.iter().filter(|r| r.content.is_segmentable());
    let scales: Vec<PixelScale> = tissue.filter_map(|r| r.scale).collect();
    if scales.iter().any(|s| s.source() == ScaleSource::TwoPointSquare) {
        d.text(tags::IMAGE_COMMENTS, VR::LT, SQUARE_ASSUMED);
    }
    let ratio = |s: &PixelScale| s.mm_per_px().0 / s.mm_per_px().1;
    let of_scales = scales.first().map(ratio);
    let is_common = scales.iter().all(|s| Some(ratio(s)) == of_scales);
    let width = of_scales.filter(|_| is_common).or(frame.pixel_aspect());
    if let Some(width) = width.filter(|w| (w - 1.0).abs() > 1e-3) {
        let width = format!("{:.0}", f64::from(width) * 1e4);
        // Height, then width.
        d.texts(tags::PIXEL_ASPECT_RATIO, VR::IS, &["10000", &width]);
    }
}

/// .1f32 as .1, not as .10000000149.
fn shortest(v: f32) -> f64 {
    v.to_string().parse().unwrap_or_else(|_| f64::from(v))
}

/// Frame Time Vector (0018,1065): the true intervals, the first 0.
fn times(d: &mut DataSet, frames: &[Arc<Frame>]) {
    let steps: Vec<f64> = frames.windows(2).map(|w| w[1].captured().since(w[0].captured()).as_ms()).collect();
    let vector: Vec<String> = std::iter::once(0.0).chain(steps.iter().copied()).map(decimal).collect();
    let vector: Vec<&str> = vector.iter().map(String::as_str).collect();
    let mean_ms = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
    d.text(tags::NUMBER_OF_FRAMES, VR::IS, frames.len().to_string())
        .put(tags::FRAME_INCREMENT_POINTER, VR::AT, PrimitiveValue::from(tags::FRAME_TIME_VECTOR))
        .texts(tags::FRAME_TIME_VECTOR, VR::DS, &vector);
    if mean_ms > 0.0 {
        // For viewers that read no vector.
        d.text(tags::CINE_RATE, VR::IS, format!("{:.0}", (1e3 / mean_ms).max(1.0)));
    }
}

fn jpeg(frame: &Frame, is_colour: bool) -> Result<Vec<u8>> {
    let size = (frame.width(), frame.height());
    match (is_colour, frame.format()) {
        (true, PixelFormat::Rgb8) => compressed(frame.pixels(), size, 3),
        _ => compressed(&samples(frame).0, size, 1),
    }
}

/// A frame as JPEG baseline; a coloured one with half the columns of chroma.
pub(crate) fn compressed(pixels: &[u8], (width, height): (u32, u32), samples: u16) -> Result<Vec<u8>> {
    let mut coded = Vec::with_capacity(pixels.len() / 4);
    let mut encoder = Encoder::new(&mut coded, JPEG_QUALITY);
    encoder.set_sampling_factor(SamplingFactor::F_2_1);
    let colours = if samples == 3 { ColorType::Rgb } else { ColorType::Luma };
    encoder
        .encode(pixels, width as u16, height as u16, colours)
        .map_err(|e| Error::new(ErrorKind::Argument, format!("a frame cannot be compressed: {e}")))?;
    Ok(coded)
}

/// A fragment a frame, each of an even length, and the offset of each in the table.
pub(crate) fn encapsulated(frames: Vec<Vec<u8>>) -> PixelFragmentSequence<Vec<u8>> {
    let mut offset = 0u32;
    let mut offsets = Vec::with_capacity(frames.len());
    let fragments: Vec<Vec<u8>> = frames
        .into_iter()
        .map(|mut frame| {
            if frame.len() % 2 == 1 {
                frame.push(0);
            }
            offsets.push(offset);
            offset += 8 + frame.len() as u32;
            frame
        })
        .collect();
    PixelFragmentSequence::new(offsets, fragments)
}
