//! Recognizes the decoder's layers in a typed graph, backwards from its outputs, by structure and not by node names.

use tract_onnx::tract_core::ops::array::{StridedSlice, TypedConcat};
use tract_onnx::tract_core::ops::binary::TypedBinOp;
use tract_onnx::tract_core::ops::cast::Cast;
use tract_onnx::tract_core::ops::einsum::EinSum;
use tract_onnx::tract_core::ops::nn::{Reduce, Reducer, Softmax, SoftmaxKind};
use tract_onnx::tract_core::ops::source::TypedSource;
use tract_onnx::tract_hir::internal::*;

use super::attention::{Attention, Heads, LayerNorm};
use super::linear::{Activation, Linear};
use super::spatial::{Separable, Spatial};
use super::{Layers, POINT_KINDS, TwoWayAttentionBlock};
use crate::error::{Error, ErrorKind, Result};
use crate::int8::network::Pads;
use crate::pattern::{ClampBounds, ConvPattern, GraphReader};

/// Most blocks, so that the search ends.
const BLOCKS_MAX: usize = 16;

/// A recognized decoder and its inputs.
pub(super) struct Found {
    pub layers: Layers,
    pub embedding: OutletId,
    pub skip4: OutletId,
    pub skip2: OutletId,
    pub coords: OutletId,
    pub labels: OutletId,
    pub maps: OutletId,
}

/// Recognizes the decoder in a graph whose outputs are masks, IoU and pixel features.
///
/// # Errors
/// `Model`, naming the first node that does not match.
pub(super) fn recognize(model: &TypedModel) -> Result<Found> {
    let &[masks, iou, pixels] = &model.outputs[..] else {
        let what = format!("expected masks, IoU and features as outputs, got {}", model.outputs.len());
        return Err(Error::new(ErrorKind::Model, what));
    };
    Matcher(GraphReader(model)).decoder(masks, iou, pixels)
}

#[derive(Clone, Copy)]
struct Matcher<'a>(GraphReader<'a>);

/// The terms that are added at one level of the upscaling.
struct Joined {
    prompt: Linear,
    maps: OutletId,
    skip: OutletId,
    coarse: OutletId,
}

/// Parameters of the tokens.
struct Tokens {
    output_tokens: Vec<f32>,
    point_embeddings: Vec<f32>,
    matrix: Vec<f32>,
    coordinate_scale: f32,
    coords: OutletId,
    labels: OutletId,
}

impl Matcher<'_> {
    fn refuse(&self, outlet: OutletId, what: impl std::fmt::Display) -> Error {
        let node = self.0.node(outlet);
        Error::new(ErrorKind::Model, format!("node `{}` ({}): expected {what}", node.name, node.op.name()))
    }

    fn floats(&self, outlet: OutletId, count: usize) -> Result<Vec<f32>> {
        let values = self.0.floats(outlet).filter(|v| v.len() == count && v.iter().all(|v| v.is_finite()));
        values.ok_or_else(|| self.refuse(outlet, format!("{count} finite constants")))
    }

    fn binary(&self, outlet: OutletId, name: &str) -> Result<[OutletId; 2]> {
        self.0.binary(self.0.origin(outlet), name).ok_or_else(|| self.refuse(outlet, name))
    }

    fn with_constant(&self, outlet: OutletId, name: &str) -> Result<(OutletId, OutletId)> {
        let found = self.0.with_constant(self.0.origin(outlet), name);
        found.ok_or_else(|| self.refuse(outlet, format!("{name} with a constant")))
    }

    fn unary(&self, outlet: OutletId, name: &str) -> Result<OutletId> {
        self.0.unary(self.0.origin(outlet), name).ok_or_else(|| self.refuse(outlet, name))
    }

    /// The other term of an addition with `known`.
    fn other_term(&self, sum: OutletId, known: OutletId) -> Result<OutletId> {
        match self.binary(sum, "Add")? {
            [a, b] if a == known => Ok(b),
            [a, b] if b == known => Ok(a),
            _ => Err(self.refuse(sum, "a sum with the value that others read as well")),
        }
    }

    fn same(&self, at: OutletId, a: OutletId, b: OutletId) -> Result<()> {
        if self.0.origin(a) == self.0.origin(b) {
            return Ok(());
        }
        let name = &self.0.node(b).name;
        Err(self.refuse(at, format!("`{name}` to be read, not `{}`", self.0.node(a).name)))
    }

    /// Strips these axis operations, last first.
    fn moved(&self, outlet: OutletId, wanted: &[fn(&AxisOp) -> bool]) -> Result<OutletId> {
        let mut at = self.0.origin(outlet);
        for is_wanted in wanted {
            let found = self.0.op::<AxisOp>(at).filter(|(op, _)| is_wanted(op));
            let (_, node) = found.ok_or_else(|| self.refuse(at, "another change of axes"))?;
            at = self.0.origin(node.inputs[0]);
        }
        Ok(at)
    }

    /// Operands of an einsum over these axes.
    fn einsum(&self, outlet: OutletId, axes: &str) -> Result<[OutletId; 2]> {
        let at = self.0.origin(outlet);
        let found = self.0.op::<EinSum>(at).filter(|(op, _)| op.axes.to_string() == axes && op.q_params.is_none());
        let (_, node) = found.ok_or_else(|| self.refuse(at, format!("a product {axes}")))?;
        Ok([node.inputs[0], node.inputs[1]].map(|o| self.0.origin(o)))
    }

    fn activation(&self, outlet: OutletId, bounds: ClampBounds) -> Result<Activation> {
        match (bounds.low, bounds.high) {
            (None, None) => Ok(Activation::None),
            (Some(0.0), None) => Ok(Activation::Relu),
            (Some(0.0), Some(6.0)) => Ok(Activation::Relu6),
            _ => Err(self.refuse(outlet, "a clip to 0, or to 0 and 6")),
        }
    }

    /// Matches a matrix product with bias and activation.
    fn linear(&self, outlet: OutletId) -> Result<(Linear, OutletId)> {
        let (sum, bounds) = self.0.activation(outlet);
        let activation = self.activation(sum, bounds)?;
        let (product, bias) = self.with_constant(sum, "Add")?;
        let [x, matrix] = self.einsum(product, "amk,kn->amn")?;
        let shape = self.0.constant(matrix).map(|t| t.shape().to_vec()).unwrap_or_default();
        let &[inputs, outputs] = &shape[..] else { return Err(self.refuse(product, "a constant matrix")) };
        let (weights, bias) = (self.floats(matrix, inputs * outputs)?, self.floats(bias, outputs)?);
        Ok((Linear { inputs, outputs, weights, bias, activation }, x))
    }

    fn mlp(&self, outlet: OutletId) -> Result<([Linear; 2], OutletId)> {
        let (second, hidden) = self.linear(outlet)?;
        let (first, x) = self.linear(hidden)?;
        if second.inputs != first.outputs {
            return Err(self.refuse(outlet, "layers that fit each other"));
        }
        Ok(([first, second], x))
    }

    /// Matches layer normalization over channels, in tract's typed form.
    fn norm(&self, outlet: OutletId) -> Result<(LayerNorm, OutletId)> {
        let (scaled, bias) = self.with_constant(outlet, "Add")?;
        let (normalized, gain) = self.with_constant(scaled, "Mul")?;
        let [centred, inverse] = self.binary(normalized, "Mul")?;
        let [x, mean] = self.binary(centred, "Sub")?;
        let (variance, epsilon) = self.with_constant(self.unary(inverse, "Rsqrt")?, "Add")?;
        let d =
            *self.0.node(x).outputs[x.slot].fact.shape.last().and_then(|d| d.as_i64()).as_ref().unwrap_or(&0) as usize;
        let mean_of = |outlet: OutletId| -> Result<OutletId> {
            let (sum, len) = self.with_constant(outlet, "Div")?;
            let found = self.0.op::<Reduce>(sum).filter(|(r, _)| r.reducer == Reducer::Sum && r.axes[..] == [2]);
            let (_, node) = found.ok_or_else(|| self.refuse(sum, "a sum over the last axis"))?;
            match self.0.number(len) {
                Some(n) if n == d as f32 => Ok(self.0.origin(node.inputs[0])),
                _ => Err(self.refuse(outlet, "a mean")),
            }
        };
        self.same(mean, mean_of(mean)?, x)?;
        self.same(variance, self.unary(mean_of(variance)?, "Square")?, centred)?;
        let (gain, bias) = (self.floats(gain, d)?, self.floats(bias, d)?);
        let epsilon = self.0.number(epsilon).ok_or_else(|| self.refuse(inverse, "one epsilon"))?;
        Ok((LayerNorm { weight: gain, bias, epsilon }, x))
    }

    /// Matches attention; returns it with the inputs of its queries, keys and values.
    fn attention(&self, outlet: OutletId) -> Result<(Attention, [OutletId; 3])> {
        const RESHAPE: fn(&AxisOp) -> bool = |op| matches!(op, AxisOp::Reshape(2, _, _));
        const TURN: fn(&AxisOp) -> bool = |op| matches!(op, AxisOp::Move(1, 2) | AxisOp::Move(2, 1));
        const TURN_KEYS: fn(&AxisOp) -> bool = |op| matches!(op, AxisOp::Move(1, 3));
        let (out, joined) = self.linear(outlet)?;
        let product = self.moved(joined, &[RESHAPE, TURN])?;
        let [weights, v] = self.einsum(product, "abmk,abkn->abmn")?;
        let found = self.0.op::<Softmax>(weights);
        let (softmax, node) = found.ok_or_else(|| self.refuse(weights, "a softmax"))?;
        if softmax.axes[..] != [3] || softmax.kind != SoftmaxKind::Softmax {
            return Err(self.refuse(weights, "a softmax over the last axis"));
        }
        let (scores, scale) = self.with_constant(node.inputs[0], "Mul")?;
        let scale = self.0.number(scale).filter(|s| *s > 0.0 && s.is_finite());
        let scale = scale.ok_or_else(|| self.refuse(scores, "one positive scale"))?;
        let [q, k] = self.einsum(scores, "abmk,abkn->abmn")?;
        let (q_rows, k_rows, v_rows) =
            (self.moved(q, &[TURN, RESHAPE])?, self.moved(k, &[TURN_KEYS, RESHAPE])?, self.moved(v, &[TURN, RESHAPE])?);
        let shape = |outlet: OutletId| self.0.node(outlet).outputs[outlet.slot].fact.shape.to_tvec();
        let (heads, part) = (shape(q)[1].as_i64().unwrap_or(0), shape(q)[3].as_i64().unwrap_or(0));
        let ((q, q_from), (k, k_from), (v, v_from)) =
            (self.linear(q_rows)?, self.linear(k_rows)?, self.linear(v_rows)?);
        let is_split = heads > 0 && part > 0 && (heads * part) as usize == q.outputs;
        if !is_split || [k.outputs, v.outputs, out.inputs] != [q.outputs; 3] {
            return Err(self.refuse(product, "queries, keys and values of the same heads"));
        }
        let heads = Heads { heads: heads as usize, part: part as usize, scale };
        Ok((
            Attention { q_proj: q, k_proj: k, v_proj: v, out_proj: out, heads, pe: Vec::new() },
            [q_from, k_from, v_from],
        ))
    }

    fn conv(&self, outlet: OutletId, group: usize, kernel: usize, stride: usize) -> Result<(ConvPattern, Activation)> {
        let (core, bounds) = self.0.activation(outlet);
        let conv = self.0.conv(core).ok_or_else(|| self.refuse(core, "a convolution"))?;
        // Stride 1 pads all sides, stride 2 only the end.
        let (before, after) = if kernel == 1 { (0, 0) } else { (2 - stride, 1) };
        let pads = Pads { top: before, left: before, bottom: after, right: after };
        let is_depthwise = conv.group > 1 && self.0.image(conv.x).is_some_and(|s| s.channels == conv.group);
        let is_it = (conv.window.kernel, conv.window.stride, conv.window.pads) == (kernel, stride, pads)
            && if group == 1 { conv.group == 1 } else { is_depthwise && conv.group == conv.outputs };
        if !is_it {
            return Err(self.refuse(core, format!("a {kernel}x{kernel} convolution of stride {stride}")));
        }
        Ok((conv, self.activation(core, bounds)?))
    }

    /// Matches a 1x1 convolution, or one of 3x3 and stride 2 as a linear layer over neighbourhoods.
    fn full(&self, outlet: OutletId, kernel: usize) -> Result<(Linear, OutletId)> {
        let (conv, activation) = self.conv(outlet, 1, kernel, if kernel == 1 { 1 } else { 2 })?;
        let channels = self.0.image(conv.x).map_or(0, |s| s.channels);
        let (inputs, outputs) = (channels * kernel * kernel, conv.outputs);
        let turned = self.floats(conv.kernels, inputs * outputs)?;
        let weights = (0..inputs * outputs).map(|i| turned[i % outputs * inputs + i / outputs]).collect();
        Ok((Linear { inputs, outputs, weights, bias: self.floats(conv.bias, outputs)?, activation }, conv.x))
    }

    fn separable(&self, outlet: OutletId, stride: usize) -> Result<(Separable, OutletId)> {
        let (point, x) = self.full(outlet, 1)?;
        let (conv, activation) = self.conv(x, 0, 3, stride)?;
        let weights = self.floats(conv.kernels, 9 * conv.outputs)?;
        let spatial = Spatial { stride, weights, bias: self.floats(conv.bias, conv.outputs)?, activation };
        Ok((Separable { spatial, point }, conv.x))
    }

    /// Matches `relu6(upsample(coarse) + skip + layer(prompt maps))`.
    fn joined(&self, outlet: OutletId) -> Result<Joined> {
        let (sum, bounds) = self.0.activation(outlet);
        let [a, b] = self.binary(sum, "Add")?;
        let (coarse, fine) = match (self.0.upsampled(a), self.0.upsampled(b)) {
            (Some(coarse), None) => (coarse, b),
            (None, Some(coarse)) => (coarse, a),
            _ => return Err(self.refuse(sum, "one term that is made twice as large")),
        };
        let [a, b] = self.binary(fine, "Add")?;
        let ((prompt, maps), skip) = match (self.full(a, 1), self.full(b, 1)) {
            (Ok(layer), Err(_)) => (layer, b),
            (Err(_), Ok(layer)) => (layer, a),
            _ => return Err(self.refuse(fine, "a skip and a layer of prompt maps")),
        };
        match (prompt.activation, self.activation(sum, bounds)?) {
            (Activation::None, activation @ Activation::Relu6) => {
                Ok(Joined { prompt: Linear { activation, ..prompt }, maps, skip, coarse })
            }
            _ => Err(self.refuse(sum, "a clip to 0 and 6 of the sum alone")),
        }
    }

    /// Matches the slice of token `i`; returns all tokens.
    fn token(&self, outlet: OutletId, i: usize) -> Result<OutletId> {
        let at = self.0.origin(outlet);
        let found = self.0.op::<StridedSlice>(at);
        let (op, node) = found.ok_or_else(|| self.refuse(at, "one token"))?;
        let number = |input: Option<&OutletId>| {
            let tensor = self.0.constant(*input?)?;
            (tensor.len() == 1).then(|| tensor.cast_to_scalar::<i64>().ok())?
        };
        let axis = op.optional_axes_input.map(|a| number(node.inputs.get(a)));
        let range = [number(node.inputs.get(1)), number(node.inputs.get(2)), axis.flatten()];
        let is_it = range == [Some(i as i64), Some(i as i64 + 1), Some(1)]
            && [op.begin_mask, op.end_mask, op.shrink_axis_mask] == [0; 3]
            && op.optional_steps_input.is_none();
        is_it.then(|| self.0.origin(node.inputs[0])).ok_or_else(|| self.refuse(at, format!("token {i}")))
    }

    fn concat(&self, outlet: OutletId, axis: usize) -> Result<Vec<OutletId>> {
        let at = self.0.origin(outlet);
        let found = self.0.op::<TypedConcat>(at).filter(|(op, _)| op.axis == axis);
        let (_, node) = found.ok_or_else(|| self.refuse(at, format!("a concatenation along axis {axis}")))?;
        Ok(node.inputs.iter().map(|o| self.0.origin(*o)).collect())
    }

    fn source(&self, outlet: OutletId) -> Result<OutletId> {
        let at = self.0.origin(outlet);
        self.0.op::<TypedSource>(at).map(|_| at).ok_or_else(|| self.refuse(at, "an input"))
    }

    /// Matches output tokens and embedded points.
    fn tokens(&self, outlet: OutletId) -> Result<Tokens> {
        let parts = self.concat(outlet, 1)?;
        let &[own, points] = &parts[..] else { return Err(self.refuse(outlet, "output tokens and points")) };
        let output_tokens = self.0.floats(own).ok_or_else(|| self.refuse(own, "constant output tokens"))?;
        let [a, b] = self.binary(points, "Add")?;
        let (placed, named) = if self.0.binary(a, "Mul").is_some() { (a, b) } else { (b, a) };
        let [kinds, embeddings] = self.einsum(named, "amk,kn->amn")?;
        let point_embeddings = self.0.floats(embeddings).ok_or_else(|| self.refuse(named, "constant embeddings"))?;
        let [a, b] = self.binary(placed, "Mul")?;
        let (places, real) = if self.0.op::<TypedConcat>(a).is_some() { (a, b) } else { (b, a) };
        let [same_kinds, real] = self.einsum(real, "amk,kn->amn")?;
        self.same(placed, same_kinds, kinds)?;
        if self.floats(real, POINT_KINDS + 1)? != [1.0, 1.0, 1.0, 1.0, 0.0] {
            return Err(self.refuse(placed, "places for all but padding"));
        }
        let found = self.0.op::<Cast>(kinds);
        let (_, cast) = found.ok_or_else(|| self.refuse(kinds, "kinds of labels"))?;
        let found = self
            .0
            .op::<TypedBinOp>(cast.inputs[0])
            .filter(|(op, _)| op.0.name().starts_with("Eq") || op.0.name() == "CompEq");
        let (_, equal) = found.ok_or_else(|| self.refuse(cast.inputs[0], "labels compared with kinds"))?;
        let (labels, names) = match self.0.floats(equal.inputs[1]) {
            Some(names) => (equal.inputs[0], names),
            None => (equal.inputs[1], self.floats(equal.inputs[0], POINT_KINDS + 1)?),
        };
        if names != [0.0, 1.0, 2.0, 3.0, -1.0] {
            return Err(self.refuse(equal.id.into(), "the labels 0, 1, 2, 3, -1"));
        }
        let labels = self.source(self.moved(labels, &[|op| matches!(op, AxisOp::Add(2))])?)?;
        let turns = self.concat(places, 2)?;
        let &[sin, cos] = &turns[..] else { return Err(self.refuse(places, "sines and cosines")) };
        let (angles, same_angles) = (self.unary(sin, "Sin")?, self.unary(cos, "Cos")?);
        self.same(places, angles, same_angles)?;
        let [centred, matrix] = self.einsum(angles, "amk,kn->amn")?;
        let matrix = self.0.floats(matrix).ok_or_else(|| self.refuse(angles, "a constant matrix"))?;
        let [scaled, one] = self.binary(centred, "Sub")?;
        let (coords, scale) = self.with_constant(scaled, "Mul")?;
        match (self.0.number(one), self.0.number(scale)) {
            (Some(1.0), Some(coordinate_scale)) => {
                let coords = self.source(coords)?;
                Ok(Tokens { output_tokens, point_embeddings, matrix, coordinate_scale, coords, labels })
            }
            _ => Err(self.refuse(centred, "coordinates scaled to -1..=1")),
        }
    }

    /// Matches the block with outputs `[tokens, image]`; returns it with its inputs.
    fn block(
        &self,
        [tokens, image]: [OutletId; 2],
        [query_pe, key_pe]: [OutletId; 2],
    ) -> Result<(TwoWayAttentionBlock, [OutletId; 2])> {
        let (n3, sum) = self.norm(image)?;
        let (cross_attn_image_to_token, before_image) = self.update(sum, |m, [q, k, v], x| {
            m.same(q, m.other_term(q, x)?, key_pe)?;
            m.same(v, v, tokens)?;
            m.same(k, m.other_term(k, tokens)?, query_pe)
        })?;
        let (n2, sum) = self.norm(tokens)?;
        let [a, b] = self.binary(sum, "Add")?;
        let (mlp, after_image) = match (self.mlp(a), self.mlp(b)) {
            (Ok((mlp, x)), _) if x == b => (mlp, b),
            (_, Ok((mlp, x))) if x == a => (mlp, a),
            _ => return Err(self.refuse(sum, "an MLP and what it reads")),
        };
        let (n1, sum) = self.norm(after_image)?;
        let (cross_attn_token_to_image, after_self) = self.update(sum, |m, [q, k, v], x| {
            m.same(q, m.other_term(q, x)?, query_pe)?;
            m.same(k, m.other_term(k, before_image)?, key_pe)?;
            m.same(v, v, before_image)
        })?;
        let (n0, sum) = self.norm(after_self)?;
        let (skip_first_layer_pe, self_attn, before_tokens) = match self.attention(sum) {
            Ok((attention, [q, k, v])) => {
                self.same(k, k, q)?;
                self.same(v, v, q)?;
                (true, attention, q)
            }
            Err(_) => {
                let (attention, x) = self.update(sum, |m, [q, k, v], x| {
                    m.same(q, m.other_term(q, x)?, query_pe)?;
                    m.same(k, m.other_term(k, x)?, query_pe)?;
                    m.same(v, v, x)
                })?;
                (false, attention, x)
            }
        };
        let norms = [n0, n1, n2, n3];
        let block = TwoWayAttentionBlock {
            skip_first_layer_pe,
            self_attn,
            cross_attn_token_to_image,
            cross_attn_image_to_token,
            mlp,
            norms,
        };
        Ok((block, [before_tokens, before_image]))
    }

    /// Matches the addition of a value and an attention; `check` verifies the attention's inputs against that value.
    fn update(
        &self,
        sum: OutletId,
        check: impl Fn(&Self, [OutletId; 3], OutletId) -> Result<()>,
    ) -> Result<(Attention, OutletId)> {
        let [a, b] = self.binary(sum, "Add")?;
        let (attention, x) = match (self.attention(b), self.attention(a)) {
            (Ok(found), _) => (found, a),
            (_, Ok(found)) => (found, b),
            (Err(e), _) => return Err(e),
        };
        check(self, attention.1, x)?;
        Ok((attention.0, x))
    }

    fn decoder(&self, masks: OutletId, iou: OutletId, pixels: OutletId) -> Result<Found> {
        const SPLIT: fn(&AxisOp) -> bool = |op| matches!(op, AxisOp::Reshape(2, _, _));
        const TURN: fn(&AxisOp) -> bool = |op| matches!(op, AxisOp::Move(1, 2) | AxisOp::Move(2, 1));
        let pixel_planes = self.0.origin(pixels);
        let (pixel_layer, x) = self.separable(pixel_planes, 1)?;
        let at2 = self.joined(x)?;
        let (up2, x) = self.separable(at2.coarse, 1)?;
        let at4 = self.joined(x)?;
        let (up4, x) = self.separable(at4.coarse, 1)?;
        let final_image = self.moved(x, &[SPLIT, TURN])?;
        let (first, maps) = self.full(at4.maps, 3)?;
        self.same(at2.skip, at2.maps, maps)?;

        let [hyper, planes] = self.einsum(self.moved(masks, &[SPLIT])?, "amk,akn->amn")?;
        self.same(masks, self.moved(planes, &[SPLIT])?, pixel_planes)?;
        let (mut output_hypernetworks_mlps, mut final_tokens) = (Vec::new(), None);
        let heads = self.concat(hyper, 1)?;
        let iou_head = self.moved(self.unary(iou, "Sigmoid")?, &[|op| matches!(op, AxisOp::Rm(1))])?;
        for (i, head) in [iou_head].into_iter().chain(heads).enumerate() {
            let (mlp, token) = self.mlp(head)?;
            let tokens = self.token(token, i)?;
            self.same(token, *final_tokens.get_or_insert(tokens), tokens)?;
            output_hypernetworks_mlps.push(mlp);
        }
        let iou_prediction_head = output_hypernetworks_mlps.remove(0);
        let Some(final_tokens) = final_tokens else { return Err(self.refuse(hyper, "tokens")) };

        let (norm_final_attn, sum) = self.norm(final_tokens)?;
        let pe = std::cell::Cell::new([final_tokens; 2]);
        let (mut final_attn_token_to_image, mut tokens) = self.update(sum, |m, [q, k, v], x| {
            m.same(v, v, final_image)?;
            pe.set([m.other_term(q, x)?, m.other_term(k, final_image)?]);
            Ok(())
        })?;
        let [query_pe, key_pe] = pe.get();
        let (mut image, mut blocks) = (final_image, Vec::new());
        while tokens != query_pe && blocks.len() < BLOCKS_MAX {
            let (block, before) = self.block([tokens, image], [query_pe, key_pe])?;
            [tokens, image] = before;
            blocks.insert(0, block);
        }
        if blocks.iter().enumerate().any(|(i, b)| b.skip_first_layer_pe != (i == 0)) {
            return Err(self.refuse(query_pe, "no positional encoding in the first block, and in all others"));
        }
        let Tokens { output_tokens, point_embeddings, matrix, coordinate_scale, coords, labels } =
            self.tokens(query_pe)?;

        let sum = self.moved(image, &[TURN, SPLIT])?;
        let [a, b] = self.binary(sum, "Add")?;
        let (second, at4_planes, embedding) = match (self.separable(a, 2), self.separable(b, 2)) {
            (Ok((layer, x)), _) => (layer, x, b),
            (_, Ok((layer, x))) => (layer, x, a),
            (Err(e), _) => return Err(e),
        };
        self.same(sum, at4_planes, at4.maps)?;
        let shape = self.0.image(embedding).filter(|s| s.height == s.width);
        let shape = shape.ok_or_else(|| self.refuse(embedding, "a square embedding"))?;
        let (d, grid) = (shape.channels, shape.height);
        let key_pe = self.floats(key_pe, grid * grid * d)?;
        for block in &mut blocks {
            block.cross_attn_token_to_image.pe = projected(&block.cross_attn_token_to_image.k_proj, &key_pe);
            block.cross_attn_image_to_token.pe = projected(&block.cross_attn_image_to_token.q_proj, &key_pe);
        }
        final_attn_token_to_image.pe = projected(&final_attn_token_to_image.k_proj, &key_pe);
        let layers = Layers {
            d,
            grid,
            mask_downscaling: (first, second),
            output_tokens,
            point_embeddings,
            positional_encoding_gaussian_matrix: matrix,
            coordinate_scale,
            blocks,
            final_attn_token_to_image,
            norm_final_attn,
            up4,
            prompt4: at4.prompt,
            up2,
            prompt2: at2.prompt,
            pixels: pixel_layer,
            output_hypernetworks_mlps,
            iou_prediction_head,
        };
        let edge = |outlet: OutletId| self.0.image(outlet).map(|s| [s.height, s.width]);
        let edges = [edge(at4.skip), edge(at2.skip), edge(maps)];
        if !layers.fits() || edges != [2, 4, 4].map(|n| Some([n * grid; 2])) {
            return Err(Error::new(ErrorKind::Model, "expected layers that fit each other"));
        }
        let embedding = self.source(embedding)?;
        let (skip4, skip2, maps) = (self.source(at4.skip)?, self.source(at2.skip)?, self.source(maps)?);
        Ok(Found { layers, embedding, skip4, skip2, coords, labels, maps })
    }
}

/// The contribution of a positional encoding, rows, to a layer's output, as planes.
fn projected(layer: &Linear, pe: &[f32]) -> Vec<f32> {
    let (n, mut rows) = (layer.outputs, Vec::new());
    Linear { bias: vec![0.0; n], ..layer.clone() }.forward_rows(pe, &mut rows);
    let cells = rows.len() / n;
    (0..rows.len()).map(|i| rows[i % cells * n + i / cells]).collect()
}
