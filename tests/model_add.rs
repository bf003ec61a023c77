//! Folders made of exports, and what runs where in them.

use std::path::{Path, PathBuf};

use sonotap::error::ErrorKind;
use sonotap::geometry::{ModelView, Point};
use sonotap::model::add::{Said, add_sam};
use sonotap::model::inspect::inspect;
use sonotap::model::sam::{self, LoadOptions};
use sonotap::model::{Decoded, ModelPrompts, Segmenter as _, self_test};
use sonotap::prompt::Polarity::{Negative, Positive};
use tract_onnx::pb::tensor_proto::DataLocation;
use tract_onnx::pb::{ModelProto, NodeProto, StringStringEntryProto};

#[path = "common/onnx.rs"]
mod onnx;
#[allow(dead_code, reason = "the formula's numbers are for tests/model.rs")]
#[path = "common/sam.rs"]
mod small_sam;

fn said() -> Said {
    Said { name: "small".into(), licence: "a licence".into() }
}

/// Encoder and decoder of a small SAM.
fn export(folder: &Path) -> [PathBuf; 2] {
    small_sam::write(folder);
    ["encoder.onnx", "decoder.onnx"].map(|name| folder.join(name))
}

fn change(path: &Path, change: impl FnOnce(&mut ModelProto)) {
    use prost::Message as _;
    let mut model = ModelProto::decode(&*std::fs::read(path).unwrap()).unwrap();
    change(&mut model);
    std::fs::write(path, model.encode_to_vec()).unwrap();
}

#[test]
fn two_files_of_an_export_become_a_folder_that_loads_and_passes_its_self_test() {
    let folder = tempfile::tempdir().unwrap();
    let [encoder, decoder] = export(folder.path());
    let out = folder.path().join("made");
    let added = add_sam(&encoder, &decoder, &said(), &out).unwrap();
    assert_eq!(added.packed, [false, false]);
    let vector = added.manifest.self_test.unwrap();
    assert_eq!(vector.cases.len(), 9, "three prompts on each of three pictures");
    assert_eq!(sam::load(&out).unwrap().spec().side, 1024);
    let report = self_test::verify(&out).unwrap();
    assert_eq!(report.files.len(), 3);
    let e = add_sam(&encoder, &decoder, &said(), &out).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Argument);
}

#[test]
fn external_data_is_taken_into_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let [encoder, decoder] = export(folder.path());
    let mut outside = Vec::new();
    change(&decoder, |model| {
        for tensor in &mut model.graph.as_mut().unwrap().initializer {
            let entry = |key: &str, value: String| StringStringEntryProto { key: key.into(), value };
            tensor.external_data = vec![
                entry("location", "weights.bin".into()),
                entry("offset", outside.len().to_string()),
                entry("length", tensor.raw_data.len().to_string()),
            ];
            outside.append(&mut tensor.raw_data);
            tensor.data_location = Some(DataLocation::External as i32);
        }
    });
    let weights = folder.path().join("weights.bin");
    std::fs::write(&weights, &outside).unwrap();
    let out = folder.path().join("made");
    assert_eq!(add_sam(&encoder, &decoder, &said(), &out).unwrap().packed, [false, true]);
    std::fs::remove_file(&weights).unwrap();
    sam::load(&out).unwrap();
    let e = add_sam(&encoder, &decoder, &said(), &folder.path().join("again")).unwrap_err();
    assert_eq!(e.kind(), ErrorKind::Io, "{e}");
    std::fs::write(&weights, &outside[..outside.len() - 1]).unwrap();
    let e = add_sam(&encoder, &decoder, &said(), &folder.path().join("again")).unwrap_err();
    assert!(e.to_string().contains("weights.bin: expected ") && !folder.path().join("again").exists(), "{e}");
    change(&decoder, |model| {
        let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
        tensor.external_data[0].value = "../weights.bin".into();
    });
    let e = add_sam(&encoder, &decoder, &said(), &folder.path().join("again")).unwrap_err();
    assert!(e.to_string().contains("expected its data in a file beside the graph, got \"../weights.bin\""), "{e}");
}

#[test]
fn what_runs_too_slow_or_is_no_export_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let [encoder, decoder] = export(folder.path());
    let out = folder.path().join("made");
    let refused = |encoder: &Path, decoder: &Path| {
        let e = add_sam(encoder, decoder, &said(), &out).unwrap_err();
        assert!(!out.exists(), "a folder was left behind");
        (e.kind(), e.to_string())
    };
    assert_eq!(refused(&decoder, &encoder).0, ErrorKind::Model);
    let dynamic = folder.path().join("dynamic.onnx");
    std::fs::copy(&decoder, &dynamic).unwrap();
    change(&dynamic, |model| {
        let node = NodeProto { op_type: "DynamicQuantizeLinear".into(), ..NodeProto::default() };
        model.graph.as_mut().unwrap().node.push(node);
    });
    let (kind, text) = refused(&encoder, &dynamic);
    assert!(kind == ErrorKind::Unsupported && text.contains("quantize_static"), "{text}");
    let half = folder.path().join("half.onnx");
    std::fs::copy(&decoder, &half).unwrap();
    change(&half, |model| model.graph.as_mut().unwrap().initializer[0].data_type = 10);
    let (kind, text) = refused(&encoder, &half);
    assert!(kind == ErrorKind::Unsupported && text.contains("convert the graph to f32"), "{text}");
    let renamed = folder.path().join("renamed.onnx");
    std::fs::copy(&decoder, &renamed).unwrap();
    change(&renamed, |model| model.graph.as_mut().unwrap().output.retain(|o| o.name != "low_res_masks"));
    let (kind, text) = refused(&encoder, &renamed);
    assert!(kind == ErrorKind::Model && text.contains("expected an output `low_res_masks`, got"), "{text}");
}

#[test]
fn the_bundled_model_is_one_integer_region_and_the_mask_decoder() {
    let report = inspect(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student")).unwrap();
    let [encoder, decoder] = &report.graphs[..] else { panic!("{:?}", report.graphs) };
    let operations = |g: &sonotap::model::inspect::GraphReport| {
        g.operations.iter().map(|o| (o.operation.clone(), o.count)).collect::<Vec<_>>()
    };
    assert_eq!(operations(encoder), [("Int8Region".into(), 1)]);
    assert_eq!(operations(decoder), [("MaskDecoder".into(), 1)]);
    assert!(encoder.macs > 100_000_000 && encoder.integer_macs == encoder.macs);
    assert!(decoder.macs > 10_000_000 && decoder.integer_macs == 0);
}

#[test]
fn fused_operations_answer_as_tract_alone_does() {
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student");
    let answer = |tract_only: bool| {
        let options = LoadOptions { skip_self_test: true, tract_only, ..LoadOptions::default() };
        let mut model = sam::load_with(&bundled, options).unwrap().segmenter;
        assert_eq!(model.has_mask_decoder(), !tract_only);
        assert_eq!(model.kernels().is_some(), !tract_only);
        let frame = self_test::picture(7);
        model.encode(&frame, &ModelView::new(frame.bounds(), 256)).unwrap();
        let clicks = vec![(Point::new(120.0, 100.0), Positive), (Point::new(220.0, 40.0), Negative)];
        let mut out = Decoded::default();
        model.decode(&ModelPrompts { clicks, ..Default::default() }, &mut out).unwrap();
        out
    };
    let (fused, plain) = (answer(false), answer(true));
    let inside = |d: &Decoded, i: usize| d.masks[i] > 0.0;
    let cells = 128 * 128;
    let both = (0..cells).filter(|i| inside(&fused, *i) && inside(&plain, *i)).count();
    let any = (0..cells).filter(|i| inside(&fused, *i) || inside(&plain, *i)).count();
    assert!(both * 100 >= any * 98, "IoU {both}/{any}");
    assert!(fused.iou.iter().zip(&plain.iou).all(|(a, b)| (a - b).abs() < 0.02), "{:?} {:?}", fused.iou, plain.iou);
}
