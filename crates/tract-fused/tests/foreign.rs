//! Networks that others quantized (`tests/reference/qdq/make.py`): what of them runs in integer regions, and that it is what they
//! say.

use std::path::{Path, PathBuf};

use tract_fused::network::Layer;
use tract_fused::{FuseInt8, Int8Region, Kernels, Lower};
use tract_onnx::prelude::*;

fn reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference/qdq").join(name)
}

/// As `image` in make.py.
fn image() -> TValue {
    let values = (0..3 * 32 * 32).map(|i| (i * 7919 % 1021) as f32 / 510.0 - 1.0).collect::<Vec<f32>>();
    Tensor::from_shape(&[1, 3, 32, 32], &values).unwrap().into()
}

fn typed(name: &str) -> TypedModel {
    tract_fused::onnx().model_for_path(reference(name)).unwrap().into_typed().unwrap()
}

/// With integer regions, and what is left in tract's own operations.
fn fused(name: &str, kernels: Option<Kernels>) -> TypedModel {
    let mut model = typed(name);
    model.transform(&FuseInt8 { kernels, outputs_as_bytes: false }).unwrap();
    model.transform(&Lower).unwrap();
    model
}

fn run(model: TypedModel) -> Vec<f32> {
    let outputs = model.into_optimized().unwrap().into_runnable().unwrap().run(tvec![image()]).unwrap();
    outputs[0].try_as_plain_ram().unwrap().as_slice::<f32>().unwrap().to_vec()
}

fn regions(model: &TypedModel) -> Vec<&Int8Region> {
    model.nodes().iter().filter_map(|n| n.op_as()).collect()
}

fn convolutions(model: &TypedModel) -> usize {
    let layers = regions(model).into_iter().flat_map(|r| &r.network().layers);
    layers.filter(|l| matches!(l, Layer::Conv(_))).count()
}

fn operations(model: &TypedModel, name: &str) -> usize {
    model.nodes().iter().filter(|n| n.op().name() == name).count()
}

#[test]
fn all_convolutions_run_in_one_region_and_give_the_bits_of_the_definition() {
    for name in ["mobilenet.onnx", "resnet.onnx"] {
        let expected = run(fused(name, None));
        assert!(expected.iter().any(|v| *v != expected[0]), "{name}: the answer is the same everywhere");
        for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
            let model = fused(name, Some(kernels));
            assert_eq!((regions(&model).len(), operations(&model, "Conv")), (1, 0), "{name}");
            assert_eq!(convolutions(&model), operations(&typed(name), "Conv"), "{name}");
            assert_eq!(run(model), expected, "{name}, {kernels}");
        }
    }
}

#[test]
fn a_node_that_is_not_known_costs_only_itself() {
    let model = fused("foreign.onnx", Some(Kernels::fastest()));
    assert_eq!(
        (regions(&model).len(), operations(&model, "Conv")),
        (2, 0),
        "a region before the node and one after it"
    );
    assert_eq!(convolutions(&model), operations(&typed("foreign.onnx"), "Conv"));
    // What tract makes of an Elu.
    assert!(operations(&model, "Exp") > 0 && operations(&model, "Exp") == operations(&typed("foreign.onnx"), "Exp"));
    assert_eq!(run(model), run(fused("foreign.onnx", None)));
}

#[test]
fn where_arithmetic_of_f32_is_exact_a_region_gives_the_bits_of_tract_alone() {
    let plain = tract_onnx::onnx().model_for_path(reference("exact.onnx")).unwrap().into_typed().unwrap();
    let expected = run(plain);
    for kernels in Kernels::ALL.into_iter().filter(|k| k.is_available()) {
        assert_eq!(run(fused("exact.onnx", Some(kernels))), expected, "{kernels}");
    }
    // Without regions the graph is tract's own again.
    let mut lowered = typed("exact.onnx");
    lowered.transform(&Lower).unwrap();
    assert_eq!(run(lowered), expected);
}

#[test]
fn answers_are_those_of_onnx_runtime_within_a_few_steps() {
    let text = std::fs::read_to_string(reference("answers.json")).unwrap();
    let answers: std::collections::BTreeMap<String, Vec<f32>> = serde_json::from_str(&text).unwrap();
    for (name, expected) in answers {
        let got = run(fused(&format!("{name}.onnx"), Some(Kernels::fastest())));
        let every = got.len().div_ceil(expected.len());
        let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        for (got, expected) in got.iter().step_by(every).zip(&expected) {
            assert!((got - expected).abs() <= 0.06 * largest, "{name}: {got} is not {expected}");
        }
    }
}

#[test]
fn outputs_leave_as_bytes_that_stand_for_the_same_values() {
    let values = run(fused("resnet.onnx", Some(Kernels::fastest())));
    let mut model = typed("resnet.onnx");
    model.transform(&FuseInt8 { kernels: Some(Kernels::fastest()), outputs_as_bytes: true }).unwrap();
    let region = regions(&model)[0].clone();
    let DatumType::QU8(q) = model.output_fact(0).unwrap().datum_type else {
        panic!("not bytes: {:?}", region.plan().map(|p| p.outputs()))
    };
    let (zero, scale) = q.zp_scale();
    let outputs = model.into_optimized().unwrap().into_runnable().unwrap().run(tvec![image()]).unwrap();
    let bytes = outputs[0].try_as_plain_ram().unwrap().as_slice::<u8>().unwrap();
    let decoded: Vec<f32> = bytes.iter().map(|b| (f32::from(*b) - zero as f32) * scale).collect();
    assert_eq!(decoded, values);
}
