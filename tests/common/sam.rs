//! A model folder with exactly the signature of SAM's ONNX export and arithmetic that a test can redo.
//!
//! With F the normalised image averaged over 16 x 16 model px, cells of 4 model px, and sigma = 40 model px:
//! `mask m at cell c = F(c) + 8 sum_i w_i exp(-|p_i - c|^2 / (2 sigma^2)) + has_mask * previous(c) / 2 + m / 10 - 3`,
//! where w is 1 for a positive click, -1 for a negative one, 1/2 for a corner of a box and 0 for padding;
//! `IoU = (.1, .5, .8, .3) + padding points / 100`.

use std::path::Path;

use sonotap::model::manifest::{Dim, FileSpec, GraphSpec, InputSpec, Kind, Manifest, TensorSpec, hex_digest};

use crate::onnx::{Attribute, D, GraphWriter};

pub(crate) const SIDE: i64 = 1024;
pub(crate) const CELLS: i64 = SIDE / 4;
pub(crate) const SIGMA: f32 = 40.0;
pub(crate) const MEAN: [f32; 3] = [123.675, 116.28, 103.53];
pub(crate) const STD: [f32; 3] = [58.395, 57.12, 57.375];

/// Writes the folder, without a self-test.
pub(crate) fn write(folder: &Path) -> Manifest {
    let mut manifest = Manifest {
        format: 1,
        name: "small-sam".into(),
        kind: Kind::SamOfficial,
        licence: "none needed".into(),
        intended_use: "tests".into(),
        excluded_use: "everything else".into(),
        mask_threshold: 0.0,
        view_advantage: None,
        proposal: None,
        input: InputSpec { side: SIDE as usize, mean: MEAN.into(), std: STD.into() },
        encoder: graph("encoder.onnx", &[("image", "1 3 1024 1024")], &[("image_embeddings", "1 256 64 64")]),
        decoder: graph(
            "decoder.onnx",
            &[
                ("image_embeddings", "1 256 64 64"),
                ("point_coords", "1 N 2"),
                ("point_labels", "1 N"),
                ("mask_input", "1 1 256 256"),
                ("has_mask_input", "1"),
            ],
            &[("low_res_masks", "1 4 256 256"), ("iou_predictions", "1 4")],
        ),
        card: FileSpec { file: "MODEL_CARD.md".into(), bytes: 0, sha256: String::new() },
        training: Vec::new(),
        evaluation: Vec::new(),
        self_test: None,
    };
    let card = b"a test".to_vec();
    for (name, bytes) in [("encoder.onnx", encoder()), ("decoder.onnx", decoder()), ("MODEL_CARD.md", card)] {
        std::fs::write(folder.join(name), &bytes).unwrap();
        let (size, digest) = (bytes.len() as u64, hex_digest(&bytes));
        match name {
            "encoder.onnx" => (manifest.encoder.bytes, manifest.encoder.sha256) = (size, digest),
            "decoder.onnx" => (manifest.decoder.bytes, manifest.decoder.sha256) = (size, digest),
            _ => (manifest.card.bytes, manifest.card.sha256) = (size, digest),
        }
    }
    std::fs::write(folder.join("manifest.toml"), manifest.to_toml().unwrap()).unwrap();
    manifest
}

fn graph(file: &str, inputs: &[(&str, &str)], outputs: &[(&str, &str)]) -> GraphSpec {
    let dim = |d: &str| d.parse().map_or_else(|_| Dim::Named(d.into()), Dim::Fixed);
    let tensors = |list: &[(&str, &str)]| {
        let one = |(name, shape): &(&str, &str)| TensorSpec {
            name: (*name).into(),
            shape: shape.split(' ').map(dim).collect(),
        };
        list.iter().map(one).collect()
    };
    let (inputs, outputs) = (tensors(inputs), tensors(outputs));
    GraphSpec { file: file.into(), bytes: 0, sha256: String::new(), inputs, outputs }
}

fn fixed(shape: &[i64]) -> Vec<D> {
    shape.iter().map(|&n| D::Fixed(n)).collect()
}

/// The mean of the three channels over 16 x 16 model px, as channel 0 of 256.
fn encoder() -> Vec<u8> {
    let mut g = GraphWriter::default();
    g.input("image", &fixed(&[1, 3, SIDE, SIDE]));
    g.output("image_embeddings", &fixed(&[1, 256, SIDE / 16, SIDE / 16]));
    let window = || Attribute::Ints(vec![16, 16]);
    g.node("AveragePool", &["image"], "pooled", &[("kernel_shape", window()), ("strides", window())]);
    let mut weights = vec![0.0; 256 * 3];
    weights[..3].fill(1.0 / 3.0);
    g.floats("mix", &[256, 3, 1, 1], &weights);
    g.node("Conv", &["pooled", "mix"], "image_embeddings", &[("kernel_shape", Attribute::Ints(vec![1, 1]))]);
    g.finish()
}

fn decoder() -> Vec<u8> {
    let mut g = GraphWriter::default();
    g.input("image_embeddings", &fixed(&[1, 256, SIDE / 16, SIDE / 16]));
    g.input("point_coords", &[D::Fixed(1), D::Named("num_points"), D::Fixed(2)]);
    g.input("point_labels", &[D::Fixed(1), D::Named("num_points")]);
    g.input("mask_input", &fixed(&[1, 1, CELLS, CELLS]));
    g.input("has_mask_input", &fixed(&[1]));
    g.input("orig_im_size", &fixed(&[2]));
    g.output("masks", &[D::Named("b"), D::Named("m"), D::Named("h"), D::Named("w")]);
    g.output("iou_predictions", &[D::Named("b"), D::Named("m")]);
    g.output("low_res_masks", &[D::Named("b"), D::Named("m"), D::Fixed(CELLS), D::Fixed(CELLS)]);
    image_term(&mut g);
    point_term(&mut g);
    g.floats("half", &[1], &[0.5]);
    g.node("Mul", &["mask_input", "has_mask_input"], "previous_mask", &[]);
    g.node("Mul", &["previous_mask", "half"], "previous_term", &[]);
    g.floats("offsets", &[1, 4, 1, 1], &[-3.0, -2.9, -2.8, -2.7]);
    g.node("Add", &["image_term", "point_term"], "two_terms", &[]);
    g.node("Add", &["two_terms", "previous_term"], "three_terms", &[]);
    g.node("Add", &["three_terms", "offsets"], "low_res_masks", &[]);
    scores(&mut g);
    full_size(&mut g);
    g.finish()
}

fn image_term(g: &mut GraphWriter) {
    let mut pick = vec![0.0; 256];
    pick[0] = 1.0;
    g.floats("pick", &[1, 256, 1, 1], &pick);
    g.node("Conv", &["image_embeddings", "pick"], "small", &[("kernel_shape", Attribute::Ints(vec![1, 1]))]);
    g.floats("times_four", &[4], &[1.0, 1.0, 4.0, 4.0]);
    let attributes = [("mode", "nearest"), ("nearest_mode", "floor"), ("coordinate_transformation_mode", "asymmetric")];
    let attributes = attributes.map(|(name, text)| (name, Attribute::Text(text)));
    g.node("Resize", &["small", "", "times_four"], "image_term", &attributes);
}

/// Separable Gaussians at the points, summed by a matrix product over the points.
fn point_term(g: &mut GraphWriter) {
    let centres: Vec<f32> = (0..CELLS).map(|i| (i as f32 + 0.5) * 4.0).collect();
    g.floats("centres", &[1, 1, CELLS], &centres);
    g.floats("falloff", &[1], &[-0.5 / (SIGMA * SIGMA)]);
    g.ints("last_axis", &[2]);
    for (axis, name) in ["x", "y"].into_iter().enumerate() {
        let of = |what: &str| format!("{what}_{name}");
        g.ints(&of("index"), &[axis as i64]);
        g.node("Gather", &["point_coords", &of("index")], &of("at"), &[("axis", Attribute::Int(2))]);
        g.node("Sub", &[&of("at"), "centres"], &of("d"), &[]);
        g.node("Mul", &[&of("d"), &of("d")], &of("dd"), &[]);
        g.node("Mul", &[&of("dd"), "falloff"], &of("exponent"), &[]);
        g.node("Exp", &[&of("exponent")], &of("near"), &[]);
    }
    let to_float = || [("to", Attribute::Int(1))];
    for (name, label, weight) in [("positive", 1.0, 8.0), ("negative", 0.0, -8.0), ("from", 2.0, 4.0), ("to", 3.0, 4.0)]
    {
        let of = |what: &str| format!("{what}_{name}");
        g.floats(&of("label"), &[1], &[label]);
        g.floats(&of("weight"), &[1], &[weight]);
        g.node("Equal", &["point_labels", &of("label")], &of("is"), &[]);
        g.node("Cast", &[&of("is")], &of("one_if"), &to_float());
        g.node("Mul", &[&of("one_if"), &of("weight")], &of("w"), &[]);
    }
    g.node("Add", &["w_positive", "w_negative"], "w_clicks", &[]);
    g.node("Add", &["w_from", "w_to"], "w_box", &[]);
    g.node("Add", &["w_clicks", "w_box"], "w", &[]);
    g.node("Unsqueeze", &["w", "last_axis"], "w_column", &[]);
    g.node("Mul", &["near_y", "w_column"], "weighted_y", &[]);
    g.node("Transpose", &["weighted_y"], "by_row", &[("perm", Attribute::Ints(vec![0, 2, 1]))]);
    g.node("MatMul", &["by_row", "near_x"], "field", &[]);
    g.ints("second_axis", &[1]);
    g.node("Unsqueeze", &["field", "second_axis"], "point_term", &[]);
}

fn scores(g: &mut GraphWriter) {
    g.floats("label_padding", &[1], &[-1.0]);
    g.floats("hundredth", &[1], &[0.01]);
    g.floats("base", &[1, 4], &[0.1, 0.5, 0.8, 0.3]);
    g.node("Equal", &["point_labels", "label_padding"], "is_padding", &[]);
    g.node("Cast", &["is_padding"], "one_if_padding", &[("to", Attribute::Int(1))]);
    g.node("ReduceSum", &["one_if_padding", "second_axis"], "paddings", &[("keepdims", Attribute::Int(1))]);
    g.node("Mul", &["paddings", "hundredth"], "bonus", &[]);
    g.node("Add", &["base", "bonus"], "iou_predictions", &[]);
}

/// The resize to the original size, known only when run.
fn full_size(g: &mut GraphWriter) {
    g.ints("batch_and_masks", &[1, 4]);
    g.node("Cast", &["orig_im_size"], "size", &[("to", Attribute::Int(7))]);
    g.node("Concat", &["batch_and_masks", "size"], "sizes", &[("axis", Attribute::Int(0))]);
    let attributes = [("mode", Attribute::Text("linear"))];
    g.node("Resize", &["low_res_masks", "", "", "sizes"], "masks", &attributes);
}
