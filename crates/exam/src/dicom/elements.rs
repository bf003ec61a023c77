//! Data sets built element by element.

use dicom_core::value::{DataSetSequence, PrimitiveValue};
use dicom_core::{DataElement, Length, Tag, VR};
use dicom_dictionary_std::{tags, uids};
use dicom_object::{FileMetaTableBuilder, InMemDicomObject};
use sonotap::{Error, ErrorKind, Result};

/// Of this program's files; drawn once, at random.
const IMPLEMENTATION_UID: &str = "2.25.117859660342813563766619075843603832460";
const IMPLEMENTATION: &str = "SONOTAP_0_1";

/// A data set in the making.
#[derive(Clone)]
pub(crate) struct DataSet(pub InMemDicomObject);

impl DataSet {
    pub(crate) fn new() -> Self {
        Self(InMemDicomObject::new_empty())
    }

    /// A text of any VR, empty for a type 2 element without a value.
    pub(crate) fn text(&mut self, tag: Tag, vr: VR, value: impl AsRef<str>) -> &mut Self {
        let value = match value.as_ref() {
            "" => PrimitiveValue::Empty,
            text => PrimitiveValue::from(text),
        };
        self.put(tag, vr, value)
    }

    pub(crate) fn texts(&mut self, tag: Tag, vr: VR, values: &[&str]) -> &mut Self {
        self.put(tag, vr, PrimitiveValue::Strs(values.iter().map(|v| (*v).to_owned()).collect()))
    }

    pub(crate) fn uid(&mut self, tag: Tag, value: &str) -> &mut Self {
        self.text(tag, VR::UI, value)
    }

    pub(crate) fn short(&mut self, tag: Tag, value: u16) -> &mut Self {
        self.put(tag, VR::US, PrimitiveValue::from(value))
    }

    pub(crate) fn long(&mut self, tag: Tag, value: u32) -> &mut Self {
        self.put(tag, VR::UL, PrimitiveValue::from(value))
    }

    pub(crate) fn double(&mut self, tag: Tag, value: f64) -> &mut Self {
        self.put(tag, VR::FD, PrimitiveValue::from(value))
    }

    pub(crate) fn sequence(&mut self, tag: Tag, items: Vec<Self>) -> &mut Self {
        let items: Vec<InMemDicomObject> = items.into_iter().map(|item| item.0).collect();
        self.0.put(DataElement::new(tag, VR::SQ, DataSetSequence::new(items, Length::UNDEFINED)));
        self
    }

    pub(crate) fn put(&mut self, tag: Tag, vr: VR, value: PrimitiveValue) -> &mut Self {
        self.0.put(DataElement::new(tag, vr, value));
        self
    }

    /// With further elements.
    pub(crate) fn with_more(mut self, build: impl FnOnce(&mut Self)) -> Self {
        build(&mut self);
        self
    }

    /// The same built in one expression.
    pub(crate) fn with(build: impl FnOnce(&mut Self)) -> Self {
        let mut set = Self::new();
        build(&mut set);
        set
    }
}

/// A code: value, scheme, meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Code(pub &'static str, pub &'static str, pub &'static str);

impl Code {
    pub(crate) fn item(self) -> DataSet {
        DataSet::with(|d| {
            d.text(tags::CODE_VALUE, VR::SH, self.0).text(tags::CODING_SCHEME_DESIGNATOR, VR::SH, self.1).text(
                tags::CODE_MEANING,
                VR::LO,
                self.2,
            );
        })
    }
}

/// A reference to an instance.
pub(crate) fn reference(class_uid: &str, instance_uid: &str) -> DataSet {
    DataSet::with(|d| {
        d.uid(tags::REFERENCED_SOP_CLASS_UID, class_uid).uid(tags::REFERENCED_SOP_INSTANCE_UID, instance_uid);
    })
}

/// A file of a data set: preamble, meta group, elements.
pub(crate) fn file_of(set: InMemDicomObject, syntax_uid: &str) -> Result<Vec<u8>> {
    let failed =
        |e: &dyn std::fmt::Display| Error::new(ErrorKind::Argument, format!("a DICOM object cannot be written: {e}"));
    let meta = FileMetaTableBuilder::new()
        .transfer_syntax(syntax_uid)
        .implementation_class_uid(IMPLEMENTATION_UID)
        .implementation_version_name(IMPLEMENTATION);
    let object = set.with_meta(meta).map_err(|e| failed(&e))?;
    let mut bytes = Vec::new();
    object.write_all(&mut bytes).map_err(|e| failed(&e))?;
    Ok(bytes)
}

/// A number as DS: at most 16 characters.
pub(crate) fn decimal(value: f64) -> String {
    let plain = format!("{value:.4}");
    let trimmed = plain.trim_end_matches('0').trim_end_matches('.');
    if trimmed.len() <= 16 { trimmed.to_owned() } else { format!("{value:.9e}") }
}

/// Transfer syntaxes that are written.
pub(crate) const NATIVE: &str = uids::EXPLICIT_VR_LITTLE_ENDIAN;
pub(crate) const JPEG: &str = uids::JPEG_BASELINE8_BIT;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_fit_their_representation() {
        for (value, text) in
            [(0.0, "0"), (12.5, "12.5"), (1e-5, "0"), (123_456_789.123_4, "123456789.1234"), (100.0, "100")]
        {
            assert_eq!(decimal(value), text);
        }
        for value in [1e300, -1.234_567_890_123e-200, f64::from(f32::MAX), 99_999_999_999_999.9] {
            assert!(decimal(value).len() <= 16, "{}", decimal(value));
        }
    }
}
