//! DICOM files that tests make.
#![allow(dead_code, reason = "each test program uses a part of it")]

use dicom_core::smallvec::SmallVec;
use dicom_core::value::{DataSetSequence, PixelFragmentSequence};
use dicom_core::{DataElement, PrimitiveValue, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use sonotap::error::Error;
use sonotap::frame::Frame;
use sonotap::source::dicom::DicomSource;
use sonotap::source::{FrameSource, Next};

/// A file under construction: 8-bit MONOCHROME2 of one frame unless a test says otherwise.
#[derive(Clone)]
pub(crate) struct Fixture {
    pub object: InMemDicomObject,
    pub syntax: &'static str,
}

impl Fixture {
    pub(crate) fn new(columns: u16, rows: u16) -> Self {
        let object = InMemDicomObject::new_empty();
        let mut fixture = Self { object, syntax: uids::EXPLICIT_VR_LITTLE_ENDIAN };
        fixture.text(tags::SOP_CLASS_UID, VR::UI, uids::ULTRASOUND_IMAGE_STORAGE);
        fixture.text(tags::MODALITY, VR::CS, "US");
        fixture.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, "MONOCHROME2");
        for (tag, value) in [
            (tags::SAMPLES_PER_PIXEL, 1),
            (tags::ROWS, rows),
            (tags::COLUMNS, columns),
            (tags::BITS_ALLOCATED, 8),
            (tags::BITS_STORED, 8),
            (tags::HIGH_BIT, 7),
            (tags::PIXEL_REPRESENTATION, 0),
        ] {
            fixture.word(tag, value);
        }
        fixture.bytes(&vec![0; usize::from(columns) * usize::from(rows)]);
        fixture
    }

    pub(crate) fn put(&mut self, element: DataElement<InMemDicomObject>) -> &mut Self {
        self.object.put(element);
        self
    }

    pub(crate) fn text(&mut self, tag: Tag, vr: VR, value: &str) -> &mut Self {
        self.put(DataElement::new(tag, vr, PrimitiveValue::from(value)))
    }

    pub(crate) fn word(&mut self, tag: Tag, value: u16) -> &mut Self {
        self.put(DataElement::new(tag, VR::US, PrimitiveValue::from(value)))
    }

    pub(crate) fn without(&mut self, tag: Tag) -> &mut Self {
        self.object.remove_element(tag);
        self
    }

    pub(crate) fn colour(&mut self, photometric: &str, planar: u16) -> &mut Self {
        self.text(tags::PHOTOMETRIC_INTERPRETATION, VR::CS, photometric);
        self.word(tags::SAMPLES_PER_PIXEL, 3).word(tags::PLANAR_CONFIGURATION, planar)
    }

    /// Native pixel data as bytes (OB), padded to an even length.
    pub(crate) fn bytes(&mut self, pixels: &[u8]) -> &mut Self {
        let mut padded = SmallVec::from_slice(pixels);
        if padded.len() % 2 == 1 {
            padded.push(0);
        }
        self.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PrimitiveValue::U8(padded)))
    }

    /// Native pixel data as words (OW): two bytes each, the first in the low half.
    pub(crate) fn words(&mut self, pixels: &[u8]) -> &mut Self {
        let words = pixels.chunks(2).map(|b| u16::from_le_bytes([b[0], b.get(1).copied().unwrap_or(0)])).collect();
        self.put(DataElement::new(tags::PIXEL_DATA, VR::OW, PrimitiveValue::U16(words)))
    }

    pub(crate) fn encapsulated(
        &mut self,
        syntax: &'static str,
        offsets: Vec<u32>,
        fragments: Vec<Vec<u8>>,
    ) -> &mut Self {
        self.syntax = syntax;
        self.put(DataElement::new(tags::PIXEL_DATA, VR::OB, PixelFragmentSequence::new(offsets, fragments)))
    }

    pub(crate) fn frames(&mut self, n: &str) -> &mut Self {
        self.text(tags::NUMBER_OF_FRAMES, VR::IS, n)
    }

    pub(crate) fn regions(&mut self, regions: Vec<InMemDicomObject>) -> &mut Self {
        self.put(DataElement::new(tags::SEQUENCE_OF_ULTRASOUND_REGIONS, VR::SQ, DataSetSequence::from(regions)))
    }

    pub(crate) fn file(&self) -> Vec<u8> {
        let meta = FileMetaTableBuilder::new()
            .transfer_syntax(self.syntax)
            .media_storage_sop_class_uid(uids::ULTRASOUND_IMAGE_STORAGE)
            .media_storage_sop_instance_uid("1.2.3");
        let mut file = Vec::new();
        self.object.clone().with_meta(meta).unwrap().write_all(&mut file).unwrap();
        file
    }

    pub(crate) fn open(&self) -> Result<DicomSource, Error> {
        DicomSource::from_bytes(&self.file())
    }

    pub(crate) fn first(&self) -> Frame {
        let mut frame = Frame::default();
        assert_eq!(self.open().unwrap().next_into(&mut frame).unwrap(), Next::Filled);
        frame
    }
}

pub(crate) fn region(format: u16, data_type: u16, corners: [u32; 4], deltas_cm: [f64; 2]) -> InMemDicomObject {
    let word = |tag, v: u16| DataElement::new(tag, VR::US, PrimitiveValue::from(v));
    let long = |tag, v: u32| DataElement::new(tag, VR::UL, PrimitiveValue::from(v));
    let real = |tag, v: f64| DataElement::new(tag, VR::FD, PrimitiveValue::from(v));
    InMemDicomObject::from_element_iter([
        word(tags::REGION_SPATIAL_FORMAT, format),
        word(tags::REGION_DATA_TYPE, data_type),
        long(tags::REGION_LOCATION_MIN_X0, corners[0]),
        long(tags::REGION_LOCATION_MIN_Y0, corners[1]),
        long(tags::REGION_LOCATION_MAX_X1, corners[2]),
        long(tags::REGION_LOCATION_MAX_Y1, corners[3]),
        word(tags::PHYSICAL_UNITS_X_DIRECTION, 3),
        word(tags::PHYSICAL_UNITS_Y_DIRECTION, 3),
        real(tags::PHYSICAL_DELTA_X, deltas_cm[0]),
        real(tags::PHYSICAL_DELTA_Y, deltas_cm[1]),
    ])
}
