//! Model folders: what is refused, what is run, and that it computes what it should.

use std::path::{Path, PathBuf};

use sonotap::error::{Error, ErrorKind};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{ModelSpace, ModelView, Point, Rect};
use sonotap::model::manifest::{Dim, Manifest, hex_digest};
use sonotap::model::sam::{self, LoadOptions};
use sonotap::model::{Decoded, ModelPrompts, Segmenter, self_test};
use sonotap::prompt::Polarity::{self, Negative, Positive};
use tempfile::TempDir;

#[path = "common/onnx.rs"]
mod onnx;
#[path = "common/sam.rs"]
mod small_sam;

fn bundled() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student")
}

fn copy_of_bundled() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["manifest.toml", "encoder.onnx", "decoder.onnx", "MODEL_CARD.md"] {
        std::fs::copy(bundled().join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn change_manifest(folder: &Path, change: impl FnOnce(&mut Manifest)) {
    let mut manifest = Manifest::load(folder).unwrap();
    change(&mut manifest);
    std::fs::write(folder.join("manifest.toml"), manifest.to_toml().unwrap()).unwrap();
}

/// Replaces the decoder and lets the manifest vouch for it.
fn replace_decoder(folder: &Path, bytes: &[u8]) {
    std::fs::write(folder.join("decoder.onnx"), bytes).unwrap();
    change_manifest(folder, |m| {
        m.decoder.bytes = bytes.len() as u64;
        m.decoder.sha256 = hex_digest(bytes);
    });
}

fn refusal(folder: &Path) -> Error {
    match sam::load(folder) {
        Ok(_) => panic!("expected a refusal"),
        Err(e) => e,
    }
}

fn click(x: f32, y: f32, polarity: Polarity) -> (Point<ModelSpace>, Polarity) {
    (Point::new(x, y), polarity)
}

fn clicks(list: &[(f32, f32, Polarity)]) -> ModelPrompts {
    ModelPrompts { clicks: list.iter().map(|&(x, y, p)| click(x, y, p)).collect(), ..Default::default() }
}

#[test]
fn the_bundled_model_loads_and_computes_what_its_manifest_says() {
    let report = self_test::verify(&bundled()).unwrap();
    assert_eq!((report.name.as_str(), report.files.len()), ("student-int8", 3));
    let spec = report.spec;
    assert_eq!((spec.side, spec.mask_cells, spec.masks, spec.pixel_channels), (256, 128, 4, 32));
    assert!(report.difference.logit_max <= report.tolerance.logit_max);
    assert!(report.difference.iou_max <= report.tolerance.iou_max);
}

#[test]
fn the_small_model_loads_and_computes_what_its_manifest_says() {
    let small = bundled().with_file_name("student-small");
    let report = self_test::verify(&small).unwrap();
    assert_eq!((report.name.as_str(), report.files.len()), ("student-small-int8", 3));
    assert!(report.difference.logit_max <= report.tolerance.logit_max);
    assert!(report.difference.iou_max <= report.tolerance.iou_max);
}

#[test]
fn the_bundled_model_outlines_the_ellipse_that_is_clicked() {
    let mut model = sam::load(&bundled()).unwrap();
    let frame = self_test::picture(7);
    model.encode(&frame, &ModelView::new(frame.bounds(), 256)).unwrap();
    let mut out = Decoded::default();
    model.decode(&clicks(&[(120.0, 100.0, Positive), (220.0, 40.0, Negative)]), &mut out).unwrap();
    let (mut both, mut any) = (0, 0);
    for (i, &logit) in out.masks[..128 * 128].iter().enumerate() {
        let (x, y) = ((i % 128) as f32 * 2.0 + 1.0, (i / 128) as f32 * 2.0 + 1.0);
        let truth = ((x - 120.0) / 56.0).powi(2) + ((y - 100.0) / 40.0).powi(2) <= 1.0;
        both += u32::from(truth && logit > 0.0);
        any += u32::from(truth || logit > 0.0);
    }
    assert!(f64::from(both) / f64::from(any) > 0.9, "IoU {both}/{any}");
}

#[test]
fn a_flipped_byte_is_refused() {
    let folder = copy_of_bundled();
    for name in ["encoder.onnx", "decoder.onnx", "MODEL_CARD.md"] {
        let path = folder.path().join(name);
        let bytes = std::fs::read(&path).unwrap();
        for at in [0, bytes.len() / 2, bytes.len() - 1] {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            let e = refusal(folder.path());
            let expected = format!("{name}: expected SHA-256 {}, got {}", hex_digest(&bytes), hex_digest(&changed));
            assert_eq!((e.kind(), e.to_string()), (ErrorKind::Model, expected));
        }
        std::fs::write(&path, &bytes).unwrap();
    }
    sam::load(folder.path()).unwrap();
}

#[test]
fn a_missing_or_resized_file_is_named() {
    for name in ["manifest.toml", "encoder.onnx", "decoder.onnx", "MODEL_CARD.md"] {
        let folder = copy_of_bundled();
        std::fs::remove_file(folder.path().join(name)).unwrap();
        let e = refusal(folder.path());
        assert_eq!(e.kind(), ErrorKind::Io, "{e}");
        assert!(e.to_string().starts_with(name), "{e}");
    }
    let folder = copy_of_bundled();
    std::fs::write(folder.path().join("decoder.onnx"), b"short").unwrap();
    assert_eq!(refusal(folder.path()).to_string(), "decoder.onnx: expected 884292 bytes, got 5");
}

#[test]
fn a_truncated_graph_with_a_matching_digest_is_refused() {
    let folder = copy_of_bundled();
    let bytes = std::fs::read(folder.path().join("decoder.onnx")).unwrap();
    for length in [1, 100, bytes.len() / 2, bytes.len() - 1] {
        replace_decoder(folder.path(), &bytes[..length]);
        let e = refusal(folder.path());
        assert!(e.kind() == ErrorKind::Model && e.to_string().starts_with("decoder.onnx: "), "{length}: {e}");
    }
}

#[test]
fn a_corrupt_graph_with_a_matching_digest_never_panics() {
    let folder = copy_of_bundled();
    let bytes = std::fs::read(folder.path().join("decoder.onnx")).unwrap();
    let (mut at, mut refused) = (3usize, 0);
    for _ in 0..8 {
        let mut changed = bytes.clone();
        at = (at * 7 + 11) % 4000;
        changed[at] ^= 0x15;
        replace_decoder(folder.path(), &changed);
        refused += u32::from(sam::load(folder.path()).is_err());
    }
    assert!(refused > 0, "none of the changes was refused");
}

#[test]
fn changed_weights_with_a_matching_digest_fail_the_self_test() {
    let folder = copy_of_bundled();
    let bytes = std::fs::read(folder.path().join("decoder.onnx")).unwrap();
    // Within one of the large tensors, so that it is a graph still.
    let mut changed = (bytes.len() / 2..).step_by(4096).map(|at| {
        let mut changed = bytes.clone();
        changed[at..at + 4096].iter_mut().for_each(|b| *b ^= 0x01);
        changed
    });
    let e = changed.find_map(|b| {
        replace_decoder(folder.path(), &b);
        let skip = LoadOptions { skip_self_test: true, ..LoadOptions::default() };
        sam::load_with(folder.path(), skip).is_ok().then(|| refusal(folder.path()))
    });
    let e = e.expect("a change that leaves a graph");
    assert!(e.to_string().starts_with("self-test, click: "), "{e}");
}

#[test]
fn exchanged_graphs_are_refused() {
    let folder = copy_of_bundled();
    change_manifest(folder.path(), |m| {
        let (encoder, decoder) = (&mut m.encoder, &mut m.decoder);
        std::mem::swap(&mut encoder.file, &mut decoder.file);
        std::mem::swap(&mut encoder.bytes, &mut decoder.bytes);
        std::mem::swap(&mut encoder.sha256, &mut decoder.sha256);
    });
    let e = refusal(folder.path());
    assert!(e.to_string().starts_with("encoder.onnx: expected an input `embedding`, got [\"image\"]"), "{e}");
}

#[test]
fn shapes_that_differ_from_the_manifest_are_refused() {
    let folder = copy_of_bundled();
    change_manifest(folder.path(), |m| {
        m.input.side = 512;
        m.encoder.inputs[0].shape = [1, 1, 512, 512].map(Dim::Fixed).into();
    });
    let e = refusal(folder.path()).to_string();
    assert_eq!(e, "encoder.onnx: input 0 `image` is 1x1x256x256, manifest says 1x1x512x512");
    let folder = copy_of_bundled();
    change_manifest(folder.path(), |m| {
        m.encoder.outputs[0].shape[1] = Dim::Fixed(95);
        m.decoder.inputs[0].shape[1] = Dim::Fixed(95);
    });
    let e = refusal(folder.path()).to_string();
    assert_eq!(e, "decoder.onnx: input 0 `embedding` is 1x64x32x32, manifest says 1x95x32x32");
}

#[test]
fn an_answer_outside_the_tolerance_is_refused() {
    for (change, expected) in [
        (0.05, "self-test, box-and-clicks: logit 3: expected "),
        (f32::MAX, "self-test, box-and-clicks: logit 3: expected "),
    ] {
        let folder = copy_of_bundled();
        change_manifest(folder.path(), |m| m.self_test.as_mut().unwrap().cases[1].logits[3] += change);
        let e = refusal(folder.path()).to_string();
        assert!(e.starts_with(expected), "{e}");
    }
    let folder = copy_of_bundled();
    change_manifest(folder.path(), |m| m.self_test = None);
    assert_eq!(refusal(folder.path()).to_string(), "manifest.toml: expected a self-test, got none");
}

#[test]
fn a_manifest_that_says_what_cannot_be_is_refused() {
    let text = std::fs::read_to_string(bundled().join("manifest.toml")).unwrap();
    Manifest::parse(&text).unwrap();
    for (from, to, expected) in [
        ("format = 1\n", "format = 1\nspeed = 9\n", "manifest.toml line 2: unknown field `speed`"),
        ("format = 1\n", "format = 2\n", "manifest.toml: format: expected 1, got 2"),
        ("name = \"student-int8\"\n", "", "manifest.toml line 1: missing field `name`"),
        ("kind = \"sonotap\"", "kind = \"yolo\"", "manifest.toml line 3: unknown variant `yolo`"),
        ("mask_threshold = 0.0", "mask_threshold = 0.5", "manifest.toml: mask_threshold: expected 0"),
        (
            "side = 256",
            "side = 100000",
            "manifest.toml: input.side: expected a multiple of 16 from 64 to 2048, got 100000",
        ),
        ("std = [255.0]", "std = [0.0]", "manifest.toml: input: expected finite mean and std above 0"),
        ("bytes = 2035426", "bytes = 99999999999", "manifest.toml: encoder.onnx: expected 1 to 2147483648 bytes"),
        ("file = \"decoder.onnx\"", "file = \"../decoder.onnx\"", "manifest.toml: file: expected a plain file name"),
        ("sha256 = \"086e", "sha256 = \"08ge", "manifest.toml: encoder.onnx: expected a SHA-256"),
        (
            "name = \"masks\"\nshape = [1, 4,",
            "name = \"masks\"\nshape = [1, 4000,",
            "manifest.toml: decoder.outputs: expected 1 to 16",
        ),
        (
            "name = \"pixels\"\nshape = [1, 32, 128, 128]",
            "name = \"pixels\"\nshape = [1, 99999, 128, 128]",
            "manifest.toml: decoder.outputs: pixels: expected dimensions",
        ),
        ("[1, \"N\", 2]", "[1, \"M\", 2]", "manifest.toml: decoder.inputs: point_coords: expected dimensions"),
        ("[1, \"N\"]", "[1, 8]", "manifest.toml: decoder.inputs: expected points of 1xNx2 and 1xN"),
        ("\"skip4\"", "\"skip8\"", "manifest.toml: encoder.outputs: expected [\"embedding\", \"skip4\", \"skip2\"]"),
        ("name = \"previous\"", "name = \"next\"", "manifest.toml: self_test.cases: expected"),
        ("logit_tolerance = 0.02", "logit_tolerance = nan", "manifest.toml: self_test: expected tolerances"),
    ] {
        assert!(text.contains(from), "{from} is not in the manifest");
        let e = Manifest::parse(&text.replacen(from, to, 1)).unwrap_err();
        assert_eq!(e.kind(), ErrorKind::Model);
        assert!(e.to_string().starts_with(expected), "{to}: {e}");
    }
}

#[test]
fn a_manifest_survives_being_written() {
    let manifest = Manifest::load(&bundled()).unwrap();
    assert_eq!(Manifest::parse(&manifest.to_toml().unwrap()).unwrap(), manifest);
}

#[test]
fn what_a_caller_may_not_ask_is_an_error_and_the_model_goes_on() {
    let mut model =
        sam::load_with(&bundled(), LoadOptions { skip_self_test: true, ..LoadOptions::default() }).unwrap().segmenter;
    let frame = self_test::picture(1);
    let mut out = Decoded::default();
    let lone = clicks(&[(120.0, 100.0, Positive)]);
    let e = model.decode(&lone, &mut out).unwrap_err();
    assert_eq!(e.to_string(), "decode: expected a frame to be encoded before, got none");
    let e = model.encode(&frame, &ModelView::new(frame.bounds(), 128)).unwrap_err();
    assert_eq!(e.to_string(), "view: expected 256 model px, got 128");
    model.encode(&frame, &ModelView::new(frame.bounds(), 256)).unwrap();
    model.decode(&lone, &mut out).unwrap();
    let first = out.clone();
    let many = ModelPrompts { clicks: vec![click(1.0, 1.0, Positive); 65], ..Default::default() };
    let short = ModelPrompts { previous: vec![0.0; 100], ..lone.clone() };
    let boxed = ModelPrompts { boxed: Some(Rect::new(0.0, 0.0, f32::INFINITY, 9.0)), ..Default::default() };
    for (asked, expected) in [
        (&clicks(&[(f32::NAN, 1.0, Positive)]), "prompts: expected clicks at finite places, got (NaN, 1)"),
        (&many, "prompts: expected at most 64 points, got 65"),
        (&short, "prompts: expected a previous mask of 128x128 values, got 100"),
        (&boxed, "prompts: expected a box with finite edges, got [0, 0 .. inf, 9)"),
    ] {
        let e = model.decode(asked, &mut out).unwrap_err();
        assert_eq!((e.kind(), e.to_string().as_str()), (ErrorKind::Argument, expected));
    }
    model.decode(&lone, &mut out).unwrap();
    assert_eq!(out.masks, first.masks, "an error left a trace");
}

#[test]
fn answers_depend_on_the_frame_and_the_prompts_alone() {
    let mut model =
        sam::load_with(&bundled(), LoadOptions { skip_self_test: true, ..LoadOptions::default() }).unwrap().segmenter;
    let (a, b) = (self_test::picture(1), self_test::picture(2));
    let asked = clicks(&[(120.0, 100.0, Positive), (20.0, 20.0, Negative), (150.0, 110.0, Positive)]);
    let turned = ModelPrompts { clicks: asked.clicks.iter().rev().copied().collect(), ..Default::default() };
    let mut answer = |frame: &Frame, prompts: &ModelPrompts| {
        let mut out = Decoded::default();
        model.encode(frame, &ModelView::new(frame.bounds(), 256)).unwrap();
        model.decode(prompts, &mut out).unwrap();
        out.masks
    };
    let first = answer(&a, &asked);
    assert_ne!(answer(&b, &asked), first);
    assert_eq!(answer(&a, &asked), first);
    let worst = answer(&a, &turned).iter().zip(first.iter()).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
    assert!(worst < 1e-3, "the order of the clicks changes a logit by {worst}");
}

#[test]
fn a_previous_mask_alone_is_a_question() {
    let mut model =
        sam::load_with(&bundled(), LoadOptions { skip_self_test: true, ..LoadOptions::default() }).unwrap().segmenter;
    let frame = self_test::picture(1);
    model.encode(&frame, &ModelView::new(frame.bounds(), 256)).unwrap();
    let mut out = Decoded::default();
    model.decode(&clicks(&[(120.0, 100.0, Positive)]), &mut out).unwrap();
    let previous = out.masks[..128 * 128].to_vec();
    model.decode(&ModelPrompts { previous, ..Default::default() }, &mut out).unwrap();
    assert!(out.masks.iter().all(|v| v.is_finite()));
    model.decode(&ModelPrompts::default(), &mut out).unwrap();
}

/// A frame of 64 x 48 px, bright to the right; 16 model px an image px.
fn ramp() -> Frame {
    let pixels = (0..64 * 48).map(|i| (i % 64 * 4) as u8).collect();
    Frame::from_pixels(64, 48, PixelFormat::Grey8, pixels).unwrap()
}

/// The small SAM's formula.
fn by_formula(asked: &ModelPrompts, mask: usize, column: usize, row: usize) -> f32 {
    let at = |x: f32, y: f32, w: f32| {
        let (dx, dy) = (x - (column as f32 + 0.5) * 4.0, y - (row as f32 + 0.5) * 4.0);
        8.0 * w * (-(dx * dx + dy * dy) / (2.0 * small_sam::SIGMA * small_sam::SIGMA)).exp()
    };
    let sign = |p: Polarity| if p == Positive { 1.0 } else { -1.0 };
    let mut logit: f32 = asked.clicks.iter().map(|(p, polarity)| at(p.x, p.y, sign(*polarity))).sum();
    logit += asked.boxed.map_or(0.0, |b| at(b.x0, b.y0, 0.5) + at(b.x1, b.y1, 0.5));
    logit += asked.previous.get(row * 256 + column).map_or(0.0, |p| p / 2.0);
    let grey = |x: usize| (x * 4) as f32;
    let x = column / 4;
    let mean_over_pixel = if row >= 192 {
        0.0
    } else {
        let bilinear = |i: usize| {
            let from_centre = (i as f32 + 0.5) / 16.0 - 0.5;
            let left = grey(x.saturating_sub(1)) * (-from_centre).max(0.0);
            let right = grey((x + 1).min(63)) * from_centre.max(0.0);
            left + right + grey(x) * (1.0 - from_centre.abs())
        };
        let grey = (0..16).map(bilinear).sum::<f32>() / 16.0;
        let normalised = small_sam::MEAN.iter().zip(&small_sam::STD).map(|(mean, std)| (grey - mean) / std);
        normalised.sum::<f32>() / 3.0
    };
    logit + mean_over_pixel + mask as f32 / 10.0 - 3.0
}

#[test]
fn sam_official_takes_points_boxes_and_masks_as_sam_does() {
    let folder = tempfile::tempdir().unwrap();
    small_sam::write(folder.path());
    let mut model = sam::load_with(folder.path(), LoadOptions { skip_self_test: true, ..LoadOptions::default() })
        .unwrap()
        .segmenter;
    let frame = ramp();
    model.encode(&frame, &ModelView::new(frame.bounds(), 1024)).unwrap();
    let lone = clicks(&[(300.0, 200.0, Positive)]);
    let several = clicks(&[(300.0, 200.0, Positive), (500.0, 250.0, Negative), (310.0, 600.0, Positive)]);
    let boxed = ModelPrompts { boxed: Some(Rect::new(100.0, 150.0, 700.0, 500.0)), ..Default::default() };
    let both = ModelPrompts { boxed: boxed.boxed, ..several.clone() };
    let previous = (0..256 * 256).map(|i| (i % 9) as f32 - 4.0).collect();
    let again = ModelPrompts { previous, ..lone.clone() };
    let mut out = Decoded::default();
    for (asked, paddings) in [(&lone, 1), (&several, 1), (&boxed, 0), (&both, 0), (&again, 1), (&lone, 1)] {
        model.decode(asked, &mut out).unwrap();
        assert_eq!((out.masks.len(), out.iou.len(), out.pixels.len()), (4 * 256 * 256, 4, 0));
        for (got, base) in out.iou.iter().zip([0.1, 0.5, 0.8, 0.3]) {
            assert!((got - base - paddings as f32 / 100.0).abs() < 1e-6, "{:?}, {paddings} paddings", out.iou);
        }
        for (mask, column, row) in [(0, 75, 50), (1, 0, 0), (2, 125, 62), (3, 255, 191), (0, 40, 192), (2, 77, 150)] {
            let got = out.masks[(mask * 256 + row) * 256 + column];
            let expected = by_formula(asked, mask, column, row);
            assert!((got - expected).abs() < 1e-3, "mask {mask} ({column}, {row}): {got} is not {expected}");
        }
    }
}

#[test]
fn a_model_that_was_measured_passes_its_self_test() {
    let folder = tempfile::tempdir().unwrap();
    let mut manifest = small_sam::write(folder.path());
    assert_eq!(refusal(folder.path()).to_string(), "manifest.toml: expected a self-test, got none");
    let mut model = sam::load_with(folder.path(), LoadOptions { skip_self_test: true, ..LoadOptions::default() })
        .unwrap()
        .segmenter;
    let tolerances = self_test::Difference { logit_max: 1e-3, iou_max: 1e-4 };
    manifest.self_test = Some(self_test::measure(&mut model, 5, tolerances).unwrap());
    std::fs::write(folder.path().join("manifest.toml"), manifest.to_toml().unwrap()).unwrap();
    assert_eq!(sam::load(folder.path()).unwrap().spec().side, 1024);
}

#[test]
fn not_a_number_comes_through() {
    let folder = tempfile::tempdir().unwrap();
    small_sam::write(folder.path());
    let mut model = sam::load_with(folder.path(), LoadOptions { skip_self_test: true, ..LoadOptions::default() })
        .unwrap()
        .segmenter;
    let frame = ramp();
    model.encode(&frame, &ModelView::new(frame.bounds(), 1024)).unwrap();
    let mut previous = vec![0.0; 256 * 256];
    previous[77] = f32::NAN;
    let mut out = Decoded::default();
    model.decode(&ModelPrompts { previous, ..Default::default() }, &mut out).unwrap();
    assert!(out.masks[77].is_nan() && out.masks[78].is_finite());
}
