//! The decoder that `sonotap export` writes, read node by node: each must be the one that comes next and read what it should.

use super::attention::{Attention, Heads, Norm};
use super::linear::{Activation, Linear};
use super::spatial::{Separable, Spatial};
use super::{Decoder, TwoWay};
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::read::{Graph, Node};

/// Inputs of the graph, in the manifest's order.
const INPUTS: [&str; 6] = ["embedding", "skip4", "skip2", "point_coords", "point_labels", "prompt_maps"];
/// Kinds of points, the last of which is padding.
const POINT_KINDS: usize = 5;

/// Reads a decoder.
///
/// # Errors
/// `Model`, naming the first node that is another than expected.
pub(super) fn read(graph: &Graph) -> Result<Decoder> {
    let mut r = Reader { graph, at: 0 };
    let edge = |input: usize, axis: usize| graph.inputs.get(input).and_then(|(_, s)| s.get(axis)).copied().unwrap_or(0);
    let names: Vec<&str> = graph.inputs.iter().map(|(name, _)| name.as_str()).collect();
    if names != INPUTS || graph.outputs != ["masks", "iou", "pixels"] {
        return Err(Error::new(ErrorKind::Model, format!("expected inputs {INPUTS:?}, got {names:?}")));
    }
    let (d, grid) = (edge(0, 1), edge(0, 2));
    if d == 0
        || grid == 0
        || edge(0, 3) != grid
        || edge(1, 2) != 2 * grid
        || edge(2, 2) != 4 * grid
        || edge(5, 2) != 4 * grid
    {
        return Err(Error::new(ErrorKind::Model, format!("expected square inputs of 1, 2 and 4 times {grid} cells")));
    }
    r.decoder(d, grid)
}

struct Reader<'a> {
    graph: &'a Graph,
    at: usize,
}

impl<'a> Reader<'a> {
    /// The next node, which must be of this kind and read these (an empty name: anything).
    fn next(&mut self, op: &str, inputs: &[&str]) -> Result<&'a Node> {
        let Some(node) = self.graph.nodes.get(self.at) else {
            return Err(Error::new(ErrorKind::Model, format!("expected another node, a {op}, got the end")));
        };
        let fits = inputs.iter().enumerate().all(|(i, wanted)| wanted.is_empty() || node.input(i) == *wanted);
        if node.op() != op || !fits {
            return Err(node.refuse(format!("expected a {op} of {inputs:?}, got {:?}", node.inputs())));
        }
        self.at += 1;
        Ok(node)
    }

    fn is_next(&self, op: &str) -> bool {
        self.graph.nodes.get(self.at).is_some_and(|n| n.op() == op)
    }

    fn add(&mut self, a: &str, b: &str) -> Result<String> {
        Ok(self.next("Add", &[a, b])?.result().to_owned())
    }

    /// A tensor of floats of so many values.
    fn floats(&self, node: &Node, input: usize, count: usize) -> Result<Vec<f32>> {
        let values = self.graph.floats(node.input(input))?;
        if values.len() != count || values.iter().any(|v| !v.is_finite()) {
            return Err(node.refuse(format!("expected {count} finite values, got {}", values.len())));
        }
        Ok(values)
    }

    /// A constant of one number that must be this.
    fn number(&self, node: &Node, input: usize, wanted: f32) -> Result<()> {
        let got = self.graph.float(node.input(input))?;
        let is_it = (got - wanted).abs() <= 1e-6 * wanted.abs();
        is_it.then_some(()).ok_or_else(|| node.refuse(format!("expected {wanted}, got {got}")))
    }

    /// A reshape or transposition, whose details follow from the shapes.
    fn moved(&mut self, op: &str, x: &str) -> Result<String> {
        Ok(self.next(op, &[x])?.result().to_owned())
    }

    fn transposed(&mut self, x: &str, order: &[i64]) -> Result<String> {
        let node = self.next("Transpose", &[x])?;
        if node.ints("perm", &[]) != order {
            return Err(node.refuse(format!("expected the order {order:?}")));
        }
        Ok(node.result().to_owned())
    }

    fn activation(&mut self, x: String) -> Result<(Activation, String)> {
        if self.is_next("Relu") && self.graph.nodes[self.at].input(0) == x {
            return Ok((Activation::Relu, self.next("Relu", &[&x])?.result().to_owned()));
        }
        if self.is_next("Clip") && self.graph.nodes[self.at].input(0) == x {
            let node = self.next("Clip", &[&x])?;
            self.number(node, 1, 0.0)?;
            self.number(node, 2, 6.0)?;
            return Ok((Activation::Relu6, node.result().to_owned()));
        }
        Ok((Activation::None, x))
    }

    /// Matrix product, bias, activation.
    fn linear(&mut self, x: &str, inputs: usize) -> Result<(Linear, String)> {
        let node = self.next("MatMul", &[x])?;
        let shape = self.graph.shape(node.input(1))?;
        let &[rows, outputs] = &shape[..] else { return Err(node.refuse(format!("expected a matrix, got {shape:?}"))) };
        if rows != inputs || outputs == 0 {
            return Err(node.refuse(format!("expected a matrix of {inputs} rows, got {shape:?}")));
        }
        let weights = self.floats(node, 1, inputs * outputs)?;
        let node = self.next("Add", &[node.result()])?;
        let bias = self.floats(node, 1, outputs)?;
        let (activation, y) = self.activation(node.result().to_owned())?;
        Ok((Linear { inputs, outputs, weights, bias, activation }, y))
    }

    /// A 1x1 convolution, or one of 3x3 and stride 2 as a linear layer of neighbourhoods.
    fn full(&mut self, x: &str, channels: usize, kernel: usize) -> Result<(Linear, String)> {
        let node = self.next("Conv", &[x])?;
        let (inputs, stride) = (channels * kernel * kernel, if kernel == 1 { 1 } else { 2 });
        let shape = self.graph.shape(node.input(1))?;
        let outputs = shape.first().copied().unwrap_or(0);
        let pads: &[i64] = if kernel == 1 { &[0; 4] } else { &[0, 0, 1, 1] };
        let fits = shape == [outputs, channels, kernel, kernel]
            && node.int("group", 1) == 1
            && node.ints("strides", &[1, 1]) == [stride; 2]
            && node.ints("pads", &[0; 4]) == pads;
        if !fits || outputs == 0 {
            return Err(
                node.refuse(format!("expected a {kernel}x{kernel} convolution of {channels} channels, got {shape:?}"))
            );
        }
        let turned = self.floats(node, 1, inputs * outputs)?;
        let weights = (0..inputs * outputs).map(|i| turned[i % outputs * inputs + i / outputs]).collect();
        let bias = self.floats(node, 2, outputs)?;
        let (activation, y) = self.activation(node.result().to_owned())?;
        Ok((Linear { inputs, outputs, weights, bias, activation }, y))
    }

    fn spatial(&mut self, x: &str, channels: usize, stride: usize) -> Result<(Spatial, String)> {
        let node = self.next("Conv", &[x])?;
        let before = 2 - stride;
        let (b, s) = (before as i64, stride as i64);
        let fits = self.graph.shape(node.input(1))? == [channels, 1, 3, 3]
            && node.int("group", 1) == channels as i64
            && node.ints("strides", &[1, 1]) == [s, s]
            && node.ints("pads", &[0; 4]) == [b, b, 1, 1];
        if !fits {
            return Err(
                node.refuse(format!("expected a depthwise 3x3 convolution of {channels} channels, stride {stride}"))
            );
        }
        let (weights, bias) = (self.floats(node, 1, 9 * channels)?, self.floats(node, 2, channels)?);
        let (activation, y) = self.activation(node.result().to_owned())?;
        Ok((Spatial { stride, weights, bias, activation }, y))
    }

    fn separable(&mut self, x: &str, channels: usize, stride: usize) -> Result<(Separable, String)> {
        let (spatial, y) = self.spatial(x, channels, stride)?;
        let (point, y) = self.full(&y, channels, 1)?;
        Ok((Separable { spatial, point }, y))
    }

    /// Nearest x2 of `coarse`, plus a skip, plus a layer of prompt maps, all clipped to 0 and 6.
    fn joined(&mut self, coarse: &str, skip: &str, maps: &str, channels: usize) -> Result<(Linear, String)> {
        let (layer, prompt) = self.full(maps, channels, 1)?;
        let fine = self.add(skip, &prompt)?;
        let node = self.next("Resize", &[coarse])?;
        crate::int8::geometry::nearest_twice(node, &self.graph.floats(node.input(2))?)?;
        let sum = self.add(node.result(), &fine)?;
        match (layer.activation, self.activation(sum)?) {
            (Activation::None, (activation @ Activation::Relu6, y)) => Ok((Linear { activation, ..layer }, y)),
            (_, (other, y)) => {
                Err(Error::new(ErrorKind::Model, format!("`{y}`: expected a clip to 0 and 6, got {other:?}")))
            }
        }
    }

    fn norm(&mut self, x: &str, d: usize) -> Result<(Norm, String)> {
        let node = self.next("LayerNormalization", &[x])?;
        if !matches!(node.int("axis", -1), -1 | 2) {
            return Err(node.refuse("expected the last axis"));
        }
        let (gain, bias) = (self.floats(node, 1, d)?, self.floats(node, 2, d)?);
        Ok((Norm { gain, bias, epsilon: node.float("epsilon", 1e-5) }, node.result().to_owned()))
    }

    fn attention(&mut self, [q, k, v]: [&str; 3], d: usize) -> Result<(Attention, String)> {
        let split = |r: &mut Self, x: &str, order: [i64; 4]| -> Result<(Linear, usize, String)> {
            let (linear, y) = r.linear(x, d)?;
            let node = r.next("Reshape", &[&y])?;
            let &[0, 0, heads, part] = &r.graph.longs(node.input(1))?[..] else {
                return Err(node.refuse("expected heads and their parts"));
            };
            if heads < 1 || part < 1 || heads * part != linear.outputs as i64 {
                return Err(node.refuse(format!("expected heads of {} channels, got {heads} x {part}", linear.outputs)));
            }
            let y = r.transposed(node.result(), &order)?;
            Ok((linear, heads as usize, y))
        };
        let (q, heads, q_turned) = split(self, q, [0, 2, 1, 3])?;
        let (k, k_heads, k_turned) = split(self, k, [0, 2, 3, 1])?;
        let (v, v_heads, v_turned) = split(self, v, [0, 2, 1, 3])?;
        let inner = q.outputs;
        let node = self.next("MatMul", &[&q_turned, &k_turned])?;
        if [k_heads, v_heads] != [heads; 2] || [k.outputs, v.outputs] != [inner; 2] {
            return Err(node.refuse("expected queries, keys and values of the same heads"));
        }
        let node = self.next("Mul", &[node.result()])?;
        let scale = self.graph.float(node.input(1))?;
        if !(scale > 0.0 && scale.is_finite()) {
            return Err(node.refuse(format!("expected a positive scale, got {scale}")));
        }
        let node = self.next("Softmax", &[node.result()])?;
        if !matches!(node.int("axis", -1), -1 | 3) {
            return Err(node.refuse("expected the last axis"));
        }
        let node = self.next("MatMul", &[node.result(), &v_turned])?;
        let y = self.transposed(node.result(), &[0, 2, 1, 3])?;
        let y = self.moved("Reshape", &y)?;
        let (out, y) = self.linear(&y, inner)?;
        let heads = Heads { heads, part: inner / heads, scale };
        Ok((Attention { q, k, v, out, heads, places: Vec::new() }, y))
    }

    fn two_way(&mut self, [q, k, named, places]: [&str; 4], d: usize, is_first: bool) -> Result<(TwoWay, [String; 2])> {
        let (itself, y) = if is_first {
            self.attention([q, q, q], d)?
        } else {
            let with = self.add(q, named)?;
            let (itself, told) = self.attention([&with, &with, q], d)?;
            (itself, self.add(q, &told)?)
        };
        let (n0, q) = self.norm(&y, d)?;
        let q_named = self.add(&q, named)?;
        let k_placed = self.add(k, places)?;
        let (to_image, seen) = self.attention([&q_named, &k_placed, k], d)?;
        let y = self.add(&q, &seen)?;
        let (n1, q) = self.norm(&y, d)?;
        let (wide, y) = self.linear(&q, d)?;
        let (narrow, y) = self.linear(&y, wide.outputs)?;
        let y = self.add(&q, &y)?;
        let (n2, q) = self.norm(&y, d)?;
        let q_named = self.add(&q, named)?;
        let (to_tokens, told) = self.attention([&k_placed, &q_named, &q], d)?;
        let y = self.add(k, &told)?;
        let (n3, k) = self.norm(&y, d)?;
        let norms = [n0, n1, n2, n3];
        Ok((TwoWay { is_first, itself, to_image, to_tokens, wide, narrow, norms }, [q, k]))
    }

    /// Tokens of outputs and points: the fixed ones, a row a kind of point, frequencies, and model px to -1..=1.
    fn tokens(&mut self, d: usize) -> Result<([Vec<f32>; 3], f32, String)> {
        let node = self.next("Mul", &["point_coords"])?;
        let scale = self.graph.float(node.input(1))?;
        let node = self.next("Sub", &[node.result()])?;
        self.number(node, 1, 1.0)?;
        let node = self.next("MatMul", &[node.result()])?;
        let frequencies = self.floats(node, 1, d)?;
        let angles = node.result();
        let (sin, cos) = (self.next("Sin", &[angles])?.result(), self.next("Cos", &[angles])?.result());
        let places = self.next("Concat", &[sin, cos])?.result();
        let labels = self.next("Unsqueeze", &["point_labels"])?.result();
        let node = self.next("Equal", &[labels])?;
        if self.floats(node, 1, POINT_KINDS)? != [0.0, 1.0, 2.0, 3.0, -1.0] {
            return Err(node.refuse("expected the labels 0, 1, 2, 3, -1"));
        }
        let kinds = self.next("Cast", &[node.result()])?.result();
        let node = self.next("MatMul", &[kinds])?;
        if self.floats(node, 1, POINT_KINDS)? != [1.0, 1.0, 1.0, 1.0, 0.0] {
            return Err(node.refuse("expected places for all but padding"));
        }
        let placed = self.next("Mul", &[places, node.result()])?.result();
        let node = self.next("MatMul", &[kinds])?;
        let kinds = self.floats(node, 1, POINT_KINDS * d)?;
        let points = self.add(placed, node.result())?;
        let node = self.next("Concat", &["", &points])?;
        let own = self.graph.floats(node.input(0))?;
        if own.len() < 2 * d || !own.len().is_multiple_of(d) {
            return Err(node.refuse(format!("expected a token for the IoU and one a mask, got {} values", own.len())));
        }
        Ok(([own, kinds, frequencies], scale, node.result().to_owned()))
    }

    fn decoder(&mut self, d: usize, grid: usize) -> Result<Decoder> {
        let edge = |input: usize, axis: usize| self.graph.inputs[input].1.get(axis).copied().unwrap_or(0);
        let (maps, skip4, skip2) = (edge(5, 1), edge(1, 1), edge(2, 1));
        let (map4, at4) = self.full("prompt_maps", maps, 3)?;
        let (map8, at8) = self.separable(&at4, map4.outputs, 2)?;
        let image = self.add("embedding", &at8)?;
        let image = self.moved("Reshape", &image)?;
        let mut k = self.transposed(&image, &[0, 2, 1])?;
        let ([own, kinds, frequencies], coordinate_scale, named) = self.tokens(d)?;
        let mut q = named.clone();
        // The places of the image's cells are what is added to them first.
        let mut places = String::new();
        let mut blocks: Vec<TwoWay> = Vec::new();
        while self.graph.nodes.get(self.at).is_some_and(|n| n.name().starts_with("blocks.")) {
            if places.is_empty() {
                places = self.place_of_cells(&k)?;
            }
            let (block, told) = self.two_way([&q, &k, &named, &places], d, blocks.is_empty())?;
            blocks.push(block);
            [q, k] = told;
        }
        let q_named = self.add(&q, &named)?;
        let k_placed = self.add(&k, &places)?;
        let (mut last, seen) = self.attention([&q_named, &k_placed, &k], d)?;
        let y = self.add(&q, &seen)?;
        let (last_norm, q) = self.norm(&y, d)?;
        let x = self.transposed(&k, &[0, 2, 1])?;
        let x = self.moved("Reshape", &x)?;
        let (up4, x) = self.separable(&x, d, 1)?;
        let (prompt4, x) = self.joined(&x, "skip4", &at4, map4.outputs)?;
        let (up2, x) = self.separable(&x, up4.point.outputs, 1)?;
        let (prompt2, x) = self.joined(&x, "skip2", "prompt_maps", maps)?;
        let (pixels, x) = self.separable(&x, up2.point.outputs, 1)?;
        let features = self.moved("Identity", &x)?;
        let (heads, iou) = self.answers(&q, &features, own.len() / d, d, pixels.point.outputs)?;
        let places = self.graph.floats(&places)?;
        if places.len() != grid * grid * d {
            return Err(Error::new(
                ErrorKind::Model,
                format!("expected {} places, got {}", grid * grid * d, places.len()),
            ));
        }
        // As planes, like the image.
        let of_places = |layer: &Linear| -> Vec<f32> {
            let (cells, n) = (grid * grid, layer.outputs);
            let mut rows = Vec::new();
            Linear { bias: vec![0.0; n], ..layer.clone() }.rows(&places, &mut rows);
            (0..rows.len()).map(|i| rows[i % cells * n + i / cells]).collect()
        };
        for TwoWay { to_image, to_tokens, .. } in &mut blocks {
            to_image.places = of_places(&to_image.k);
            to_tokens.places = of_places(&to_tokens.q);
        }
        last.places = of_places(&last.k);
        let skips = [skip4, skip2];
        if skips != [prompt4.outputs, prompt2.outputs] {
            let expected = [prompt4.outputs, prompt2.outputs];
            return Err(Error::new(
                ErrorKind::Model,
                format!("expected skips of {expected:?} channels, got {skips:?}"),
            ));
        }
        let decoder = Decoder {
            d,
            grid,
            map4,
            map8,
            own,
            kinds,
            frequencies,
            coordinate_scale,
            blocks,
            last,
            last_norm,
            up4,
            prompt4,
            up2,
            prompt2,
            pixels,
            heads,
            iou,
        };
        decoder
            .fits()
            .then_some(decoder)
            .ok_or_else(|| Error::new(ErrorKind::Model, "expected layers that fit each other"))
    }

    /// Name of the constant that a later node adds to `k`.
    fn place_of_cells(&self, k: &str) -> Result<String> {
        let later = self.graph.nodes[self.at..].iter();
        let found = later.filter(|n| n.op() == "Add" && n.input(0) == k).find(|n| self.graph.is_constant(n.input(1)));
        let found =
            found.ok_or_else(|| Error::new(ErrorKind::Model, "expected places to be added to the image, got none"))?;
        Ok(found.input(1).to_owned())
    }

    /// A layer pair for each mask's token, and for the IoU's.
    fn answers(
        &mut self,
        q: &str,
        features: &str,
        tokens: usize,
        d: usize,
        channels: usize,
    ) -> Result<(Vec<[Linear; 2]>, [Linear; 2])> {
        let mut parts = Vec::new();
        for i in 0..tokens {
            let node = self.next("Slice", &[q])?;
            let at = [1, 2, 3].map(|input| self.graph.longs(node.input(input)));
            let [from, to, axis] = at;
            if [from?, to?, axis?] != [vec![i as i64], vec![i as i64 + 1], vec![1]] {
                return Err(node.refuse(format!("expected token {i}")));
            }
            parts.push(node.result());
        }
        let pair = |r: &mut Self, x: &str| -> Result<([Linear; 2], String)> {
            let (a, y) = r.linear(x, d)?;
            let (b, y) = r.linear(&y, a.outputs)?;
            Ok(([a, b], y))
        };
        let (mut heads, mut names) = (Vec::new(), Vec::new());
        for part in &parts[1..] {
            let (head, y) = pair(self, part)?;
            heads.push(head);
            names.push(y);
        }
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let weights = self.next("Concat", &names)?.result();
        let flat = self.moved("Reshape", features)?;
        let masks = self.next("MatMul", &[weights, &flat])?.result();
        self.next("Reshape", &[masks])?;
        let (iou, y) = pair(self, parts[0])?;
        let y = self.moved("Reshape", &y)?;
        self.next("Sigmoid", &[&y])?;
        if self.at != self.graph.nodes.len() || heads.iter().any(|h| h[1].outputs != channels) {
            return Err(Error::new(ErrorKind::Model, "expected the graph's end after the masks' features and the IoU"));
        }
        Ok((heads, iou))
    }
}
