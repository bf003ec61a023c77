//! The network's layers as ONNX nodes.

use crate::train::net::decoder::{Decoder, GRID, MASK_CELLS, POINT_KINDS, TwoWay, positions};
use crate::train::net::encoder::{Adapter, Block, Encoder, GREY, Separable};
use crate::train::net::layers::{Attention, First, Norm, Pointwise, Spatial};
use crate::train::net::parameters::{Id, Matrix, Parameters, host};
use crate::train::net::proposal::ProposalHead;
use crate::train::ops::{Activation, Depthwise, MASKS, NORM_EPSILON};
use crate::train::picture::SIDE;
use sonotap::onnx::write::{Attribute, Graph};

/// A graph, and the numbers that it is filled with.
pub(super) struct Writer<'a> {
    /// What was written so far.
    pub graph: Graph,
    /// Off the tape or on it.
    pub parameters: &'a Parameters,
}

impl Writer<'_> {
    fn matrix(&self, id: Id) -> Matrix {
        host(&self.parameters.get(id))
    }

    fn activated(&mut self, name: &str, x: String, activation: Activation) -> String {
        match activation {
            Activation::None => x,
            Activation::Relu => self.graph.node("Relu", &format!("{name}/relu"), &[&x], vec![]),
            Activation::Relu6 => {
                let (low, high) = (self.graph.floats("zero", &[], &[0.0]), self.graph.floats("six", &[], &[6.0]));
                self.graph.node("Clip", &format!("{name}/relu6"), &[&x, &low, &high], vec![])
            }
        }
    }

    fn add(&mut self, name: &str, a: &str, b: &str) -> String {
        self.graph.node("Add", name, &[a, b], vec![])
    }

    /// A 1x1 convolution of an image.
    fn pointwise(&mut self, name: &str, x: &str, layer: &Pointwise) -> String {
        let m = self.matrix(layer.weight);
        let [inputs, outputs] = m.shape;
        let turned = turn(&m);
        let w = self.graph.floats(&format!("{name}.weight"), &[outputs, inputs, 1, 1], &turned);
        let bias = self.matrix(layer.bias);
        let b = self.graph.floats(&format!("{name}.bias"), &[outputs], &bias.values);
        let y = self.graph.node("Conv", name, &[x, &w, &b], vec![("kernel_shape", Attribute::Ints(vec![1, 1]))]);
        self.activated(name, y, layer.activation)
    }

    /// A linear 1x1 convolution after another, as one.
    fn joined(&mut self, name: &str, x: &str, [first, then]: [&Pointwise; 2]) -> String {
        debug_assert_eq!(first.activation, Activation::None);
        let (a, b) = (self.matrix(first.weight), self.matrix(then.weight));
        let ([inputs, inner], outputs) = (a.shape, b.shape[1]);
        let product = |row: &[f32], o: usize| row.iter().enumerate().map(|(i, v)| v * b.values[i * outputs + o]).sum();
        let mut turned = vec![0.0; outputs * inputs];
        for (i, w) in turned.iter_mut().enumerate() {
            *w = product(&a.values[i % inputs * inner..][..inner], i / inputs);
        }
        let (first, then_bias) = (self.matrix(first.bias), self.matrix(then.bias));
        let bias: Vec<f32> = (0..outputs).map(|o| then_bias.values[o] + product(&first.values, o)).collect();
        let w = self.graph.floats(&format!("{name}.weight"), &[outputs, inputs, 1, 1], &turned);
        let b = self.graph.floats(&format!("{name}.bias"), &[outputs], &bias);
        let y = self.graph.node("Conv", name, &[x, &w, &b], vec![("kernel_shape", Attribute::Ints(vec![1, 1]))]);
        self.activated(name, y, then.activation)
    }

    fn convolution_attributes(how: &Depthwise, group: usize) -> Vec<(&'static str, Attribute)> {
        let (k, s, before) = (how.kernel as i64, how.stride as i64, how.before() as i64);
        let after = k - s - before;
        vec![
            ("kernel_shape", Attribute::Ints(vec![k, k])),
            ("strides", Attribute::Ints(vec![s, s])),
            ("pads", Attribute::Ints(vec![before, before, after, after])),
            ("group", Attribute::Int(group as i64)),
        ]
    }

    fn spatial(&mut self, name: &str, x: &str, layer: &Spatial) -> String {
        let m = self.matrix(layer.weight);
        let channels = m.shape[1];
        let k = layer.how.kernel;
        let w = self.graph.floats(&format!("{name}.weight"), &[channels, 1, k, k], &turn(&m));
        let bias = self.matrix(layer.bias);
        let b = self.graph.floats(&format!("{name}.bias"), &[channels], &bias.values);
        let y = self.graph.node("Conv", name, &[x, &w, &b], Self::convolution_attributes(&layer.how, channels));
        self.activated(name, y, layer.how.activation)
    }

    fn first(&mut self, name: &str, x: &str, layer: &First, channels: usize) -> String {
        let m = self.matrix(layer.layer.weight);
        let (outputs, taps) = (m.shape[1], layer.how.kernel * layer.how.kernel);
        let mut turned = vec![0.0; outputs * channels * taps];
        for (o, c, t) in (0..turned.len()).map(|i| (i / (channels * taps), i / taps % channels, i % taps)) {
            turned[(o * channels + c) * taps + t] = m.values[(t * channels + c) * outputs + o];
        }
        let k = layer.how.kernel;
        let w = self.graph.floats(&format!("{name}.weight"), &[outputs, channels, k, k], &turned);
        let bias = self.matrix(layer.layer.bias);
        let b = self.graph.floats(&format!("{name}.bias"), &[outputs], &bias.values);
        let y = self.graph.node("Conv", name, &[x, &w, &b], Self::convolution_attributes(&layer.how, 1));
        self.activated(name, y, layer.layer.activation)
    }

    fn separable(&mut self, name: &str, x: &str, layer: &Separable) -> String {
        let y = self.spatial(&format!("{name}.spatial"), x, &layer.spatial);
        self.pointwise(&format!("{name}.point"), &y, &layer.point)
    }

    /// Nearest x2 of `coarse`, plus `fine`, activated.
    fn up_add(&mut self, name: &str, coarse: &str, fine: &str, activation: Activation) -> String {
        let scales = self.graph.floats("scales", &[4], &[1.0, 1.0, 2.0, 2.0]);
        let attributes = vec![
            ("mode", Attribute::Text("nearest")),
            ("coordinate_transformation_mode", Attribute::Text("asymmetric")),
            ("nearest_mode", Attribute::Text("floor")),
        ];
        let up = self.graph.node("Resize", &format!("{name}/up"), &[coarse, "", &scales], attributes);
        let sum = self.add(name, &up, fine);
        self.activated(name, sum, activation)
    }

    fn block(&mut self, name: &str, x: &str, block: &Block) -> String {
        let wide = match &block.expand {
            Some(expand) => self.pointwise(&format!("{name}.expand"), x, expand),
            None => x.to_owned(),
        };
        let y = self.spatial(&format!("{name}.spatial"), &wide, &block.spatial);
        let y = self.pointwise(&format!("{name}.project"), &y, &block.project);
        let y = if block.is_residual { self.add(&format!("{name}/sum"), x, &y) } else { y };
        match &block.adapter {
            Some(adapter) => self.adapter(&format!("{name}.adapter"), &y, adapter),
            None => y,
        }
    }

    fn adapter(&mut self, name: &str, x: &str, adapter: &Adapter) -> String {
        let at = |part: &str| format!("{name}.{part}");
        let axes = vec![("axes", Attribute::Ints(vec![2, 3])), ("keepdims", Attribute::Int(1))];
        let shown = self.graph.node("ReduceMean", &at("shown"), &[x], axes);
        let gate = self.pointwise(&at("squeeze"), &shown, &adapter.squeeze);
        let gate = self.pointwise(&at("excite"), &gate, &adapter.excite);
        let gate = self.graph.node("Sigmoid", &at("gate"), &[&gate], vec![]);
        let y = self.graph.node("Mul", &at("gated"), &[x, &gate], vec![]);
        let y = self.spatial(&at("down"), &y, &adapter.down);
        let y = self.pointwise(&at("mix"), &y, &adapter.mix);
        let y = self.pointwise(&at("up"), &y, &adapter.up);
        self.up_add(&at("sum"), &y, x, Activation::None)
    }

    /// `image` to `embedding`, `skip4`, `skip2`; the skips at the decoder's widths, with its first layer of each.
    pub(super) fn encoder(&mut self, e: &Encoder, d: &Decoder) {
        let (mean, sd) = (self.graph.floats("grey.mean", &[], &[GREY.0]), self.graph.floats("grey.sd", &[], &[GREY.1]));
        let centred = self.graph.node("Sub", "grey/centred", &["image", &mean], vec![]);
        let x = self.graph.node("Div", "grey", &[&centred, &sd], vec![]);
        let mut x = self.first("stem", &x, &e.stem, 1);
        let (mut at, mut reach) = (Vec::new(), 2);
        for (i, block) in e.blocks.iter().enumerate() {
            if block.reach > reach {
                at.push(x.clone());
                reach = block.reach;
            }
            x = self.block(&format!("blocks.{i}"), &x, block);
        }
        at.push(x);
        let mut fine: Vec<String> = Vec::new();
        for (i, lateral) in e.laterals.iter().enumerate() {
            fine.push(self.pointwise(&format!("lateral{}", 8 << i), &at[2 + i], lateral));
        }
        let mut y = fine.pop().unwrap_or_default();
        for (i, (fine, merge)) in fine.iter().zip(&e.merges).enumerate().rev() {
            y = self.up_add(&format!("join{}", 8 << i), &y, fine, Activation::None);
            y = self.separable(&format!("merge{}", 8 << i), &y, merge);
        }
        self.pointwise("embedding", &y, &e.out);
        self.joined("skip4", &at[1], [&e.skip4, &d.skip4]);
        self.joined("skip2", &at[0], [&e.skip2, &d.skip2]);
    }

    /// `embedding`, `skip4` to `mask`, [1, 1, 64, 64], and `iou_logit`, [1, 1, 1, 1].
    pub(super) fn proposal(&mut self, head: &ProposalHead) {
        let none = Activation::None;
        let down16 = self.separable("down16", "embedding", &head.down16);
        let down32 = self.separable("down32", &down16, &head.down32);
        let whole = self.separable("whole", &down32, &head.whole);
        let up16 = self.pointwise("up16", &whole, &head.up16);
        let x = self.up_add("join16", &up16, &down16, none);
        let at16 = self.separable("merge16", &x, &head.merge16);
        let up8 = self.pointwise("up8", &at16, &head.up8);
        let x = self.up_add("join8", &up8, "embedding", none);
        let x = self.separable("merge8", &x, &head.merge8);
        let up4 = self.pointwise("up4", &x, &head.up4);
        let x = self.up_add("join4", &up4, "skip4", none);
        let x = self.separable("merge4", &x, &head.merge4);
        let cells = self.separable("cells", &x, &head.cells);
        self.pointwise("mask", &cells, &head.mask);
        let x = self.separable("score16", &cells, &head.score16);
        let x = self.add("judged", &x, &at16);
        let x = self.separable("score64", &x, &head.score64);
        let x = self.spatial("score", &x, &head.score.spatial);
        self.pointwise("iou_logit", &x, &head.score.point);
    }

    /// A linear layer of tokens.
    fn linear(&mut self, name: &str, x: &str, layer: &Pointwise) -> String {
        let m = self.matrix(layer.weight);
        let w = self.graph.floats(&format!("{name}.weight"), &m.shape, &m.values);
        let bias = self.matrix(layer.bias);
        let b = self.graph.floats(&format!("{name}.bias"), &[m.shape[1]], &bias.values);
        let y = self.graph.node("MatMul", &format!("{name}/product"), &[x, &w], vec![]);
        let y = self.add(name, &y, &b);
        self.activated(name, y, layer.activation)
    }

    fn norm(&mut self, name: &str, x: &str, layer: &Norm) -> String {
        let (gain, bias) = (self.matrix(layer.gain), self.matrix(layer.bias));
        let channels = gain.values.len();
        let g = self.graph.floats(&format!("{name}.gain"), &[channels], &gain.values);
        let b = self.graph.floats(&format!("{name}.bias"), &[channels], &bias.values);
        let attributes = vec![("axis", Attribute::Int(-1)), ("epsilon", Attribute::Float(NORM_EPSILON))];
        self.graph.node("LayerNormalization", name, &[x, &g, &b], attributes)
    }

    fn transpose(&mut self, name: &str, x: &str, order: &[i64]) -> String {
        self.graph.node("Transpose", name, &[x], vec![("perm", Attribute::Ints(order.to_vec()))])
    }

    fn reshape(&mut self, name: &str, x: &str, shape: &[i64]) -> String {
        let shape = self.graph.ints(&format!("{name}.shape"), shape);
        self.graph.node("Reshape", name, &[x, &shape], vec![])
    }

    fn attention(&mut self, name: &str, [q, k, v]: [&str; 3], layer: &Attention) -> String {
        let inner = self.matrix(layer.q.weight).shape[1];
        let (heads, part) = (layer.heads as i64, (inner / layer.heads) as i64);
        let mut split = |part_name: &str, x: &str, layer: &Pointwise, order: [i64; 4]| {
            let name = format!("{name}.{part_name}");
            let y = self.linear(&name, x, layer);
            let y = self.reshape(&format!("{name}/heads"), &y, &[0, 0, heads, part]);
            self.transpose(&format!("{name}/turned"), &y, &order)
        };
        let q = split("q", q, &layer.q, [0, 2, 1, 3]);
        let k = split("k", k, &layer.k, [0, 2, 3, 1]);
        let v = split("v", v, &layer.v, [0, 2, 1, 3]);
        let scale = self.graph.floats(&format!("{name}.scale"), &[], &[1.0 / (part as f32).sqrt()]);
        let scores = self.graph.node("MatMul", &format!("{name}/scores"), &[&q, &k], vec![]);
        let scores = self.graph.node("Mul", &format!("{name}/scaled"), &[&scores, &scale], vec![]);
        let weights =
            self.graph.node("Softmax", &format!("{name}/weights"), &[&scores], vec![("axis", Attribute::Int(-1))]);
        let y = self.graph.node("MatMul", &format!("{name}/seen"), &[&weights, &v], vec![]);
        let y = self.transpose(&format!("{name}/back"), &y, &[0, 2, 1, 3]);
        let y = self.reshape(&format!("{name}/joined"), &y, &[0, 0, inner as i64]);
        self.linear(&format!("{name}.out"), &y, &layer.out)
    }

    fn two_way(&mut self, name: &str, [q, k, named, places]: [&str; 4], block: &TwoWay, is_first: bool) -> [String; 2] {
        let at = |part: &str| format!("{name}.{part}");
        let q = if is_first {
            self.attention(&at("itself"), [q, q, q], &block.itself)
        } else {
            let with = self.add(&at("itself/named"), q, named);
            let told = self.attention(&at("itself"), [&with, &with, q], &block.itself);
            self.add(&at("itself/sum"), q, &told)
        };
        let q = self.norm(&at("norms.0"), &q, &block.norms[0]);
        let q_named = self.add(&at("to_image/named"), &q, named);
        let k_placed = self.add(&at("to_image/placed"), k, places);
        let seen = self.attention(&at("to_image"), [&q_named, &k_placed, k], &block.to_image);
        let q = self.add(&at("to_image/sum"), &q, &seen);
        let q = self.norm(&at("norms.1"), &q, &block.norms[1]);
        let wide = self.linear(&at("wide"), &q, &block.wide);
        let narrow = self.linear(&at("narrow"), &wide, &block.narrow);
        let q = self.add(&at("mlp/sum"), &q, &narrow);
        let q = self.norm(&at("norms.2"), &q, &block.norms[2]);
        let q_named = self.add(&at("to_tokens/named"), &q, named);
        let told = self.attention(&at("to_tokens"), [&k_placed, &q_named, &q], &block.to_tokens);
        let k = self.add(&at("to_tokens/sum"), k, &told);
        let k = self.norm(&at("norms.3"), &k, &block.norms[3]);
        [q, k]
    }

    /// Tokens of outputs and points, [1, 1 + masks + N, d].
    fn tokens(&mut self, d: &Decoder) -> String {
        let frequencies = self.matrix(d.frequencies);
        let turns: Vec<f32> = frequencies.values.iter().map(|v| v * std::f32::consts::TAU).collect();
        let w = self.graph.floats("frequencies", &frequencies.shape, &turns);
        let scale = self.graph.floats("points.scale", &[], &[2.0 / SIDE as f32]);
        let one = self.graph.floats("one", &[], &[1.0]);
        let scaled = self.graph.node("Mul", "points/scaled", &["point_coords", &scale], vec![]);
        let centred = self.graph.node("Sub", "points/centred", &[&scaled, &one], vec![]);
        let angles = self.graph.node("MatMul", "points/angles", &[&centred, &w], vec![]);
        let sin = self.graph.node("Sin", "points/sin", &[&angles], vec![]);
        let cos = self.graph.node("Cos", "points/cos", &[&angles], vec![]);
        let places = self.graph.node("Concat", "points/places", &[&sin, &cos], vec![("axis", Attribute::Int(-1))]);
        let last = self.graph.ints("axis.last", &[-1]);
        let labels = self.graph.node("Unsqueeze", "labels", &["point_labels", &last], vec![]);
        let names: Vec<f32> = (0..POINT_KINDS).map(|i| if i + 1 == POINT_KINDS { -1.0 } else { i as f32 }).collect();
        let names = self.graph.floats("labels.names", &[1, 1, POINT_KINDS], &names);
        let equal = self.graph.node("Equal", "labels/equal", &[&labels, &names], vec![]);
        let kinds = self.graph.node("Cast", "labels/kinds", &[&equal], vec![("to", Attribute::Int(1))]);
        let real: Vec<f32> = (0..POINT_KINDS).map(|i| if i + 1 == POINT_KINDS { 0.0 } else { 1.0 }).collect();
        let real = self.graph.floats("labels.real", &[POINT_KINDS, 1], &real);
        let real = self.graph.node("MatMul", "labels/real", &[&kinds, &real], vec![]);
        let placed = self.graph.node("Mul", "points/placed", &[&places, &real], vec![]);
        let m = self.matrix(d.kinds);
        let w = self.graph.floats("kinds", &m.shape, &m.values);
        let named = self.graph.node("MatMul", "points/kinds", &[&kinds, &w], vec![]);
        let points = self.add("points", &placed, &named);
        let own = self.matrix(d.tokens);
        let own = self.graph.floats("tokens.own", &[1, own.shape[0], own.shape[1]], &own.values);
        self.graph.node("Concat", "tokens", &[&own, &points], vec![("axis", Attribute::Int(1))])
    }

    /// The decoder's inputs to `masks`, `iou`, `pixels`.
    pub(super) fn decoder(&mut self, d: &Decoder, maps: usize) {
        let width = self.matrix(d.tokens).shape[1];
        let (cells, side) = ((GRID * GRID) as i64, GRID as i64);
        let at4 = self.first("map4", "prompt_maps", &d.map4, maps);
        let at8 = self.spatial("map8", &at4, &d.map8);
        let at8 = self.pointwise("map_out", &at8, &d.map_out);
        let image = self.add("image", "embedding", &at8);
        let image = self.reshape("image/flat", &image, &[1, width as i64, cells]);
        let mut k = self.transpose("image/rows", &image, &[0, 2, 1]);
        let places = positions(&d.grid, &self.matrix(d.frequencies));
        let places = self.graph.floats("places", &[1, GRID * GRID, width], &places);
        let named = self.tokens(d);
        let mut q = named.clone();
        for (i, block) in d.blocks.iter().enumerate() {
            [q, k] = self.two_way(&format!("blocks.{i}"), [&q, &k, &named, &places], block, i == 0);
        }
        let q_named = self.add("last/named", &q, &named);
        let k_placed = self.add("last/placed", &k, &places);
        let seen = self.attention("last", [&q_named, &k_placed, &k], &d.last);
        let q = self.add("last/sum", &q, &seen);
        let q = self.norm("last_norm", &q, &d.last_norm);

        let x = self.transpose("drawn/planes", &k, &[0, 2, 1]);
        let x = self.reshape("drawn/image", &x, &[1, width as i64, side, side]);
        let x = self.separable("up4", &x, &d.up4);
        let prompt = self.pointwise("prompt4", &at4, &d.prompt4);
        let fine = self.add("fine4", "skip4", &prompt);
        let x = self.up_add("at4", &x, &fine, Activation::Relu6);
        let x = self.separable("up2", &x, &d.up2);
        let prompt = self.pointwise("prompt2", "prompt_maps", &d.prompt2);
        let fine = self.add("fine2", "skip2", &prompt);
        let x = self.up_add("at2", &x, &fine, Activation::Relu6);
        let x = self.separable("features", &x, &d.pixels);
        let pixels = self.graph.node("Identity", "pixels", &[&x], vec![]);

        let mut token = |name: &str, i: usize| {
            let (from, to) = (
                self.graph.ints(&format!("{name}.from"), &[i as i64]),
                self.graph.ints(&format!("{name}.to"), &[i as i64 + 1]),
            );
            let axis = self.graph.ints("axis.tokens", &[1]);
            self.graph.node("Slice", name, &[&q, &from, &to, &axis], vec![])
        };
        let tokens: Vec<String> = (0..=MASKS).map(|i| token(&format!("token.{i}"), i)).collect();
        let mut weights = Vec::new();
        for (i, [a, b]) in d.heads.iter().enumerate() {
            let y = self.linear(&format!("heads.{i}.0"), &tokens[1 + i], a);
            weights.push(self.linear(&format!("heads.{i}.1"), &y, b));
        }
        let weights: Vec<&str> = weights.iter().map(String::as_str).collect();
        let weights = self.graph.node("Concat", "weights", &weights, vec![("axis", Attribute::Int(1))]);
        let channels = self.matrix(d.heads[0][1].weight).shape[1] as i64;
        let mask = MASK_CELLS as i64;
        let flat = self.reshape("pixels/flat", &pixels, &[1, channels, mask * mask]);
        let masks = self.graph.node("MatMul", "masks/flat", &[&weights, &flat], vec![]);
        self.reshape("masks", &masks, &[1, MASKS as i64, mask, mask]);
        let y = self.linear("iou.0", &tokens[0], &d.iou[0]);
        let y = self.linear("iou.1", &y, &d.iou[1]);
        let y = self.reshape("iou/flat", &y, &[1, MASKS as i64]);
        self.graph.node("Sigmoid", "iou", &[&y], vec![]);
    }
}

/// Rows and columns exchanged.
fn turn(m: &Matrix) -> Vec<f32> {
    let [rows, columns] = m.shape;
    (0..columns).flat_map(|c| (0..rows).map(move |r| m.values[r * columns + c])).collect()
}
