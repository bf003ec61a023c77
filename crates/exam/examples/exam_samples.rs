//! Writes exams with every kind of item, without a model: `exam_samples STORE`. For `.ci/exams`, which shows them to other
//! readers of DICOM.

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::PathBuf;

use sonotap::{PixelFormat::*, Result, ScaleSource};
use sonotap_exam::{Capture, NewExam, Origin, Store, reopen};

fn main() -> Result<()> {
    let root = PathBuf::from(std::env::args().nth(1).expect("exam_samples STORE"));
    let (store, report) = Store::open(&root)?;
    assert!(report.repairs.is_empty(), "{report:?}");
    let new = |origin| NewExam { origin, model: "student".into(), model_sha256: "5e".repeat(32) };
    let dicom = Some(ScaleSource::DicomRegion);
    for origin in [Origin::Captured, Origin::File, Origin::Simulated] {
        let mut exam = store.begin(&new(origin))?;
        let grey = common::frame(1, Grey8, dicom);
        let objects = vec![common::ellipse(&grey, "Bladder")];
        exam.save(&Capture::still(grey, objects))?;
        let colour = common::frame(2, Rgb8, Some(ScaleSource::Profile));
        let objects = vec![common::ellipse(&colour, ""), common::islands(&colour, "Thyroid nodule")];
        exam.save(&Capture::still(colour, objects))?;
        let plain = common::frame(3, Grey8, None);
        let objects = vec![common::islands(&plain, "Kidney")];
        exam.save(&Capture::still(plain, objects))?;
        exam.save(&Capture::still(common::frame(4, Grey8, None), Vec::new()))?;
        let cine = common::cine(12, Grey8, dicom);
        let objects = vec![common::ellipse(&cine[6], "Left ventricle"), common::islands(&cine[6], "")];
        exam.save(&Capture::cine(cine, 6, objects))?;
        exam.save(&Capture::cine(common::cine(5, Rgb8, None), 0, Vec::new()))?;
        exam.save(&common::by_hand(20, dicom, true, true))?;
        exam.save(&common::by_hand(21, Some(ScaleSource::TwoPoint), false, false))?;
        exam.save(&common::by_hand(22, None, true, true))?;
        // A still, the outlined frame of a cine, and another of its frames, which was compressed.
        for (number, at) in [(1, 0), (5, 6), (5, 2)] {
            let mut reopened = reopen(exam.view(), number)?;
            let (frame, _) = reopened.saved.frames.swap_remove(at);
            let objects = vec![common::ellipse(&frame, "Bladder")];
            exam.save(&Capture::still(frame, objects).of_item(Some(reopened.source.frame(at))))?;
        }
        // Pixels are taken for square.
        exam.save(&common::by_hand(23, Some(ScaleSource::TwoPointSquare), false, true))?;
        println!("{}", exam.name());
    }
    Ok(())
}
