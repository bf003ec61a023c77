//! What was measured by hand is in every file that leaves: notes, report, table, and the picture that is drawn on.

mod common;

use std::path::Path;

use common::{by_hand, cine, ellipse, frame, islands};
use dicom_dictionary_std::tags;
use dicom_object::{InMemDicomObject, open_file};
use serde_json::Value;
use sonotap::{PixelFormat, ScaleSource};
use sonotap_exam::{Capture, ClockReading, Exam, ExportOptions, NewExam, Role, Store, export, reopen};

fn clock() -> ClockReading {
    ClockReading { now: "2026-11-29T10:30:00.5Z".parse().unwrap(), is_synchronized: true }
}

fn saved(root: &Path, captures: &[Capture]) -> Exam {
    let (store, _) = Store::open_with(root, clock, 1 << 20).unwrap();
    let mut exam = store.begin(&NewExam::default()).unwrap();
    for capture in captures {
        exam.save(capture).unwrap();
    }
    exam
}

fn notes(folder: &Path, number: u32) -> Value {
    serde_json::from_slice(&std::fs::read(folder.join(format!("{number:04}.prompts.json"))).unwrap()).unwrap()
}

fn items(set: &InMemDicomObject) -> &[InMemDicomObject] {
    set.get(tags::CONTENT_SEQUENCE).and_then(|e| e.items()).unwrap_or(&[])
}

fn text(set: &InMemDicomObject, tag: dicom_core::Tag) -> String {
    set.get(tag).and_then(|e| e.to_str().ok()).unwrap_or_default().trim_end_matches('\0').to_owned()
}

fn name(set: &InMemDicomObject) -> String {
    set.get(tags::CONCEPT_NAME_CODE_SEQUENCE)
        .and_then(|e| e.items())
        .map_or(String::new(), |codes| text(&codes[0], tags::CODE_VALUE))
}

/// Every number of a report's groups: the group's tracking identifier and UID, code, value, unit.
fn numbers(folder: &Path, number: u32) -> Vec<(String, String, String, f64, String)> {
    let report = open_file(folder.join(format!("{number:04}-sr.dcm"))).unwrap();
    let all = items(&report).iter().find(|c| name(c) == "126010").unwrap();
    let mut found = Vec::new();
    for group in items(all) {
        let of = |code: &str| items(group).iter().find(|c| name(c) == code);
        let (what, uid) = (text(of("112039").unwrap(), tags::TEXT_VALUE), text(of("112040").unwrap(), tags::UID));
        for item in items(group).iter().filter(|c| text(c, tags::VALUE_TYPE) == "NUM") {
            let value = &item.get(tags::MEASURED_VALUE_SEQUENCE).unwrap().items().unwrap()[0];
            let unit = &value.get(tags::MEASUREMENT_UNITS_CODE_SEQUENCE).unwrap().items().unwrap()[0];
            let number = text(value, tags::NUMERIC_VALUE).parse().unwrap();
            found.push((what.clone(), uid.clone(), name(item), number, text(unit, tags::CODE_VALUE)));
        }
    }
    found
}

/// Every number that the notes have of calipers and figures, with the UID of its group: what a report has to say.
fn noted(notes: &Value) -> Vec<(String, f64)> {
    let mut found = Vec::new();
    for c in notes["calipers"].as_array().into_iter().flatten() {
        let uid = c["tracking_uid"].as_str().unwrap();
        let keys: &[&str] = match c["kind"].as_str().unwrap() {
            "distance" => &["length_mm"],
            "ellipse" => &["area_mm2", "circumference_mm"],
            _ => &["area_mm2", "circumference_mm", "perimeter_mm"],
        };
        found.extend(keys.iter().filter_map(|key| Some((uid.to_owned(), c[*key].as_f64()?))));
    }
    for group in notes["figures"].as_array().into_iter().flatten() {
        let uid = group["tracking_uid"].as_str().unwrap();
        let figures = group["figures"].as_array().unwrap().iter();
        let of_scale = figures.filter(|f| !f["unit"].as_str().unwrap().starts_with("px"));
        found.extend(of_scale.map(|f| (uid.to_owned(), f["value"].as_f64().unwrap())));
    }
    found
}

#[test]
fn the_report_has_every_number_of_the_notes_with_its_uid() {
    let root = tempfile::tempdir().unwrap();
    let dicom = Some(ScaleSource::DicomRegion);
    let exam = saved(root.path(), &[by_hand(1, dicom, true, true), by_hand(2, dicom, false, false)]);
    for number in [1, 2] {
        let folder = exam.view().folder();
        let (noted, told) = (noted(&notes(folder, number)), numbers(folder, number));
        // Three calipers; medians of area and diameters; volume with three sides; three groups of the heart.
        assert_eq!(noted.len(), if number == 1 { 6 + 2 + 4 + 9 } else { 6 + 2 + 4 }, "{noted:?}");
        for (uid, value) in noted {
            let is_told = told.iter().any(|(_, u, _, v, _)| *u == uid && (v - value).abs() < 1e-3);
            assert!(is_told, "{value} of {uid} is not in {told:?}");
        }
    }
    let told = numbers(exam.view().folder(), 1);
    let find = |what: &str, code: &str| {
        let found = told.iter().find(|(w, _, c, ..)| w == what && c == code);
        found.map(|(.., value, unit)| (*value, unit.as_str())).unwrap_or_else(|| panic!("{what} {code}: {told:?}"))
    };
    // 116 px of 0.2 mm, snapped to the outline; 0.52 L W H of axes in mm.
    let (distance, unit) = find("caliper A", "121206");
    assert!((distance - 24.0).abs() < 0.1 && unit == "mm", "{distance}");
    let (volume, unit) = find("volume of two planes", "121221");
    assert!((volume - 0.52 * 24.0 * 20.8 * 20.0 / 1000.0).abs() < 0.05 * volume && unit == "ml", "{volume}");
    let ef = |what: &str| find(what, "18043-0");
    assert!(ef("left ventricle, view 1").0 > 20.0 && ef("left ventricle, both views").1 == "%");
}

#[test]
fn a_figure_of_several_frames_is_the_same_measurement_in_every_item_of_its_exam_and_in_no_other() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let dicom = Some(ScaleSource::DicomRegion);
    let capture = by_hand(1, dicom, false, true);
    let first = saved(one.path(), &[capture.clone(), capture.clone()]);
    let second = saved(other.path(), &[capture]);
    let uids = |exam: &Exam, number, key: &str| -> Vec<String> {
        let notes = notes(exam.view().folder(), number);
        notes[key].as_array().unwrap().iter().map(|g| g["tracking_uid"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(uids(&first, 1, "figures"), uids(&first, 2, "figures"));
    assert_ne!(uids(&first, 1, "figures"), uids(&second, 1, "figures"));
    assert_ne!(uids(&first, 1, "calipers"), uids(&first, 2, "calipers"), "they were placed on one picture each");
}

#[test]
fn without_an_outline_there_is_a_report_and_a_picture_and_no_segmentation() {
    let root = tempfile::tempdir().unwrap();
    let exam = saved(root.path(), &[by_hand(1, Some(ScaleSource::TwoPoint), false, false)]);
    let item = exam.view().items().next().unwrap();
    let roles: Vec<Role> = item.files.iter().map(|f| f.role).collect();
    assert_eq!(roles, [Role::Image, Role::Picture, Role::Outlined, Role::OutlinedPicture, Role::Report, Role::Notes]);
}

#[test]
fn without_a_scale_the_report_has_geometry_and_a_fraction_and_no_length() {
    let root = tempfile::tempdir().unwrap();
    let exam = saved(root.path(), &[by_hand(1, None, true, false)]);
    let told = numbers(exam.view().folder(), 1);
    assert!(!told.is_empty() && told.iter().all(|(_, _, code, _, unit)| code == "18043-0" && unit == "%"), "{told:?}");
    let notes = notes(exam.view().folder(), 1);
    assert_eq!(notes["calipers"][0]["length_mm"], Value::Null);
    assert!((notes["calipers"][0]["length_px"].as_f64().unwrap() - 120.0).abs() < 1.0);
    assert_eq!(notes["figures"][0]["figures"][0]["unit"], "px²");
}

#[test]
fn an_export_has_a_line_for_each_number_and_other_uids() {
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut exam = saved(root.path(), &[by_hand(1, Some(ScaleSource::TwoPoint), true, true)]);
    exam.end().unwrap();
    let made = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap();
    let table = std::fs::read_to_string(made.folder.join("by-hand.csv")).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    // A comma between quotes is none between cells.
    let columns = |l: &str| l.split('"').step_by(2).map(|outside| outside.matches(',').count()).sum::<usize>();
    assert!(lines.iter().all(|l| columns(l) == 13), "{table}");
    assert!(lines.iter().any(|l| l.starts_with("1,1,caliper A,,distance,23.9")), "{table}");
    assert!(lines.iter().any(|l| l.contains("\"two planes\",\"Bladder\",\"volume\",")), "{table}");
    assert!(lines.iter().any(|l| l.contains("\"ejection fraction\"")), "{table}");
    let (before, after) = (notes(exam.view().folder(), 1), notes(&made.folder, 1));
    for key in ["calipers", "figures"] {
        let uid = |notes: &Value| notes[key][0]["tracking_uid"].as_str().unwrap().to_owned();
        assert_ne!(uid(&before), uid(&after));
        assert!(numbers(&made.folder, 1).iter().any(|(_, u, ..)| *u == uid(&after)), "{key}");
    }
}

#[test]
fn a_saved_item_is_read_back_as_it_was_and_what_is_made_of_it_names_it_and_leaves_it() {
    let root = tempfile::tempdir().unwrap();
    let still = frame(1, PixelFormat::Grey8, Some(ScaleSource::TwoPoint));
    let frames = cine(6, PixelFormat::Rgb8, Some(ScaleSource::Profile));
    let captures = [
        Capture::still(still.clone(), vec![ellipse(&still, "Bladder")]),
        Capture::cine(frames.clone(), 4, vec![islands(&frames[4], "")]),
    ];
    let mut exam = saved(root.path(), &captures);
    let before = exam.view().verify();
    for (number, original, label) in [(1, &still, Some("Bladder")), (2, &*frames[4], None)] {
        let reopened = reopen(exam.view(), number).unwrap();
        let saved = &reopened.saved;
        let frame = &saved.frames[saved.outlined].0;
        assert_eq!((frame.pixels(), frame.format()), (original.pixels(), original.format()), "item {number}");
        assert_eq!(frame.parts(), original.parts(), "regions and scales of item {number}");
        assert_eq!((reopened.label.as_deref(), saved.objects.len()), (label, 1));
        assert_eq!(saved.objects[0].clicks.len(), 1);
        let objects = vec![ellipse(frame, label.unwrap_or(""))];
        let source = reopened.source.frame(saved.outlined);
        exam.save(&Capture::still(frame.clone(), objects).of_item(Some(source))).unwrap();
    }
    for (number, first, frame) in [(3, 1, None), (4, 2, Some("5"))] {
        let open = |number| open_file(exam.view().folder().join(format!("{number:04}.dcm"))).unwrap();
        let (image, original) = (open(number), open(first));
        assert!(text(&image, tags::IMAGE_TYPE).starts_with("DERIVED"), "item {number}");
        let source = &image.get(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap()[0];
        assert_eq!(text(source, tags::REFERENCED_SOP_INSTANCE_UID), text(&original, tags::SOP_INSTANCE_UID));
        assert_eq!(text(source, tags::REFERENCED_SOP_CLASS_UID), text(&original, tags::SOP_CLASS_UID));
        assert_eq!(
            source.get(tags::REFERENCED_FRAME_NUMBER).map(|_| text(source, tags::REFERENCED_FRAME_NUMBER)).as_deref(),
            frame
        );
        assert_eq!(notes(exam.view().folder(), number)["derived_from"], first);
    }
    assert_eq!(exam.view().verify(), before, "an item changed");
    assert!(reopen(exam.view(), 9).is_err());
    exam.delete(1).unwrap();
    assert!(reopen(exam.view(), 1).is_err(), "a deleted one");
}

#[test]
fn every_frame_of_a_saved_cine_is_read_back_and_an_item_of_one_names_it_and_that_it_was_compressed() {
    let root = tempfile::tempdir().unwrap();
    let frames = cine(6, PixelFormat::Grey8, None);
    let mut exam = saved(root.path(), &[Capture::cine(frames.clone(), 4, vec![ellipse(&frames[4], "")])]);
    let reopened = reopen(exam.view(), 1).unwrap();
    let saved = &reopened.saved;
    assert_eq!((saved.item, saved.frames.len(), saved.outlined), (1, 6, 4));
    for (i, (frame, since)) in saved.frames.iter().enumerate() {
        let original = &frames[i];
        assert_eq!(frame.parts(), original.parts());
        let true_ms = original.captured().since(frames[0].captured()).as_secs_f64() * 1e3;
        assert!((since.as_secs_f64() * 1e3 - true_ms).abs() < 1e-3, "frame {i}: {since:?}");
        let off = frame.pixels().iter().zip(original.pixels()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(if i == 4 { off == 0 } else { (1..60).contains(&off) }, "frame {i} is off by up to {off}");
    }
    for at in [4, 1] {
        let frame = saved.frames[at].0.clone();
        let objects = vec![ellipse(&frame, "")];
        exam.save(&Capture::still(frame, objects).of_item(Some(reopened.source.frame(at)))).unwrap();
    }
    for (number, frame, lossy) in [(2, "5", "00"), (3, "2", "01")] {
        for ending in [".dcm", "-outlined.dcm", "-seg.dcm"] {
            let object = open_file(exam.view().folder().join(format!("{number:04}{ending}"))).unwrap();
            assert_eq!(text(&object, tags::LOSSY_IMAGE_COMPRESSION), lossy, "{number:04}{ending}");
            let ratio = object.get(tags::LOSSY_IMAGE_COMPRESSION_RATIO).map(|e| e.to_float64().unwrap());
            assert!(if lossy == "01" { ratio > Some(1.0) } else { ratio.is_none() }, "{ratio:?}");
        }
        let image = open_file(exam.view().folder().join(format!("{number:04}.dcm"))).unwrap();
        let source = &image.get(tags::SOURCE_IMAGE_SEQUENCE).unwrap().items().unwrap()[0];
        assert_eq!(text(source, tags::REFERENCED_FRAME_NUMBER), frame);
        let notes = notes(exam.view().folder(), number);
        assert_eq!((&notes["derived_from"], notes["derived_from_frame"].to_string().as_str()), (&1.into(), frame));
    }
    let beyond = reopened.source.frame(6);
    assert!(exam.save(&Capture::still(saved.frames[0].0.clone(), Vec::new()).of_item(Some(beyond))).is_err());
}

#[test]
fn a_cine_whose_scale_changes_says_none_for_all_its_frames() {
    let root = tempfile::tempdir().unwrap();
    let mut frames = cine(4, PixelFormat::Grey8, Some(ScaleSource::Profile));
    frames[3] = std::sync::Arc::new({
        let mut other = frame(4, PixelFormat::Grey8, None);
        other.stamp(frames[3].id().unwrap(), frames[3].captured());
        other
    });
    let exam = saved(root.path(), &[Capture::cine(frames.clone(), 1, vec![ellipse(&frames[1], "")])]);
    let image = open_file(exam.view().folder().join("0001.dcm")).unwrap();
    assert!(image.get(tags::SEQUENCE_OF_ULTRASOUND_REGIONS).is_none(), "one list of regions for all frames");
    let saved = reopen(exam.view(), 1).unwrap().saved;
    let has_scale: Vec<bool> = saved.frames.iter().map(|(f, _)| f.parts().iter().any(|r| r.scale.is_some())).collect();
    assert_eq!(has_scale, [false, true, false, false], "only of the outlined frame somebody knows it");
}

#[test]
fn an_image_says_that_its_scale_takes_pixels_for_square_or_has_their_aspect() {
    use sonotap::region::{FrameRegion, Regions};
    use sonotap::source::dicom::DicomSource;
    use sonotap::source::{FrameSource, Next};
    use sonotap::{Frame, Millimetres, PixelScale};
    let of = |x: f64, y: f64, source| {
        let mut frame = frame(1, PixelFormat::Grey8, None);
        let scale = PixelScale::new(Millimetres(x), Millimetres(y), source);
        let part = FrameRegion { scale, ..frame.parts()[0] };
        frame.set_regions(Regions::new(&[part]).unwrap()).unwrap();
        let outlined = ellipse(&frame, "");
        Capture::still(frame, vec![outlined])
    };
    let (root, stick) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let captures = [of(0.2, 0.2, ScaleSource::TwoPointSquare), of(0.2, 0.25, ScaleSource::TwoPoint)];
    let mut exam = saved(root.path(), &captures);
    exam.end().unwrap();
    let made = export(exam.view(), stick.path(), &ExportOptions::default()).unwrap();
    for folder in [exam.view().folder(), &made.folder] {
        let image = |number: u32| open_file(folder.join(format!("{number:04}.dcm"))).unwrap();
        let (assumed, measured) = (image(1), image(2));
        assert!(text(&assumed, tags::IMAGE_COMMENTS).contains("taken for square"));
        assert!(assumed.get(tags::PIXEL_ASPECT_RATIO).is_none() && measured.get(tags::IMAGE_COMMENTS).is_none());
        let aspect = measured.element(tags::PIXEL_ASPECT_RATIO).unwrap().to_multi_float64().unwrap();
        assert_eq!(aspect, [10_000.0, 8_000.0], "height, then width");
        // Who plays the file knows it.
        let mut played = Frame::default();
        let mut source = DicomSource::open(&folder.join("0002.dcm")).unwrap();
        assert_eq!(source.next_into(&mut played).unwrap(), Next::Filled);
        assert_eq!(played.pixel_aspect(), Some(0.8));
        assert_eq!(notes(folder, 1)["regions"][0]["scale_source"], "by hand, if px square");
    }
    // Read back, it is still the assumption that it was.
    let scale = reopen(exam.view(), 1).unwrap().saved.frames[0].0.parts()[0].scale.unwrap();
    assert_eq!(scale.source(), ScaleSource::TwoPointSquare);
}
