//! DICOM objects of an item: frames, the picture with outlines, segmentation, report.
//!
//! | file | what |
//! |---|---|
//! | `elements.rs` | data sets element by element, codes, files |
//! | `common.rs` | modules that all objects have |
//! | `image.rs` | US Image, US Multi-frame, and the picture with outlines burned in |
//! | `segmentation.rs` | SEG, BINARY |
//! | `report.rs` | Comprehensive SR, TID 1500 |
//! | `by_hand.rs` | groups of the report: calipers, medians, volumes |
//! | `codes.rs` | what is outlined and measured |
//! | `native.rs` | JPEG frames decoded again, for who takes no JPEG |
//!
//! The frames are encapsulated here and not by dicom-rs' `transcode`, which adds an element of group 7FE0 that validators abort
//! on and leaves out the compression's method.

mod by_hand;
pub(crate) mod codes;
pub(crate) mod common;
pub(crate) mod elements;
pub(crate) mod image;
pub(crate) mod native;
pub(crate) mod report;
pub(crate) mod segmentation;

use dicom_object::InMemDicomObject;

/// An object that was made, with its UIDs.
pub(crate) struct Made {
    pub set: InMemDicomObject,
    pub class_uid: &'static str,
    pub instance_uid: String,
    pub syntax_uid: &'static str,
}

/// An object that others refer to.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub class_uid: &'static str,
    pub instance_uid: String,
    pub series_uid: String,
    /// From 1, where it has several frames.
    pub frame: Option<u32>,
}
