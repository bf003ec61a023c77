//! JPEG frames decoded again: for a peer that takes none, and for blanking what is outside the image.

use dicom_core::VR;
use dicom_core::value::{PrimitiveValue, Value};
use dicom_dictionary_std::tags;
use dicom_object::InMemDicomObject;
use jpeg_decoder::{Decoder, PixelFormat};
use sonotap::{Error, ErrorKind, Result};

use super::elements::DataSet;

/// The frames of a JPEG object, one after another, and their samples a pixel.
///
/// # Errors
/// `Format` when they are not what this program wrote.
pub(crate) fn decoded(set: &InMemDicomObject) -> Result<(Vec<u8>, u16)> {
    let (mut all, mut samples) = (Vec::new(), 1);
    each_decoded(set, |pixels, of_pixel| {
        all.extend_from_slice(&pixels);
        samples = of_pixel;
        Ok(())
    })?;
    Ok((all, samples))
}

/// Gives each frame of a JPEG object, and its samples a pixel, in order.
///
/// # Errors
/// `Format` when they are not what this program wrote; what `take` says.
pub(crate) fn each_decoded(set: &InMemDicomObject, mut take: impl FnMut(Vec<u8>, u16) -> Result<()>) -> Result<()> {
    let wrong = |what: String| Error::new(ErrorKind::Format, format!("pixel data: {what}"));
    let element = set.element(tags::PIXEL_DATA).map_err(|_| wrong("expected some, got none".into()))?;
    let Value::PixelSequence(sequence) = element.value() else {
        return Err(wrong("expected JPEG frames, got native ones".into()));
    };
    for fragment in sequence.fragments() {
        let mut decoder = Decoder::new(fragment.as_slice());
        let pixels = decoder.decode().map_err(|e| wrong(format!("expected a JPEG frame, got {e}")))?;
        let samples = match decoder.info().map(|i| i.pixel_format) {
            Some(PixelFormat::L8) => 1,
            Some(PixelFormat::RGB24) => 3,
            other => return Err(wrong(format!("expected 8 bits, got {other:?}"))),
        };
        take(pixels, samples)?;
    }
    Ok(())
}

/// The same object with native frames. That they were compressed once stays said.
///
/// # Errors
/// As [`decoded`].
pub(crate) fn uncompressed(set: &InMemDicomObject) -> Result<InMemDicomObject> {
    let (mut bytes, samples) = decoded(set)?;
    let mut native = DataSet(set.clone());
    if samples == 3 {
        native.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "RGB");
    }
    if bytes.len() % 2 == 1 {
        bytes.push(0);
    }
    native.put(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(bytes.into()));
    Ok(native.0)
}
