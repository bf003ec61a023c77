//! SAM's mask decoder in f32 as one operation: two-way attention between tokens and image, masks from tokens.
//!
//! The image branch is stored as planes, [C, H, W], like the encoder's output, so nothing is transposed. Tokens are stored as
//! rows, [T, C]. The contribution of the positional encoding to projected keys and queries is computed once, at fusing.
//!
//! | file | what |
//! |---|---|
//! | `recognize.rs` | recognizes the decoder's layers in a typed graph |
//! | `op.rs` | the operation, and the transform that inserts it into a graph |
//! | `linear.rs` `attention.rs` `spatial.rs` | kernels |
//!
//! Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A (two-way attention, token-conditioned masks).

mod attention;
mod linear;
mod op;
mod recognize;
mod spatial;
#[cfg(test)]
mod tests;

use crate::aligned::Aligned;
use crate::error::{Error, ErrorKind, Result};
use attention::{
    Attention, LayerNorm, TokenUpdate, image_to_token_attention, self_attention, token_to_image_attention,
};
use linear::{Linear, PlaneList, Planes};
use spatial::{Separable, Source, Target, full};

pub use op::{FuseMaskDecoder, MaskDecoder, set_input_types};

/// Kinds of points with an embedding, besides padding.
const POINT_KINDS: usize = 4;

/// A block: tokens attend to themselves and to the image, then the image attends to the tokens.
#[derive(Clone, Debug)]
struct TwoWayAttentionBlock {
    /// True in the first block: its self-attention has no positional encoding and no residual.
    skip_first_layer_pe: bool,
    self_attn: Attention,
    cross_attn_token_to_image: Attention,
    cross_attn_image_to_token: Attention,
    mlp: [Linear; 2],
    norms: [LayerNorm; 4],
}

/// The decoder's layers.
#[derive(Clone, Debug)]
struct Layers {
    /// Channels of tokens and image.
    d: usize,
    /// Width and height of the embedding, cells; masks have four times as many.
    grid: usize,
    /// Prompt maps to strides 4 and 8.
    mask_downscaling: (Linear, Separable),
    /// iou_token and mask_tokens, [1 + masks, d].
    output_tokens: Vec<f32>,
    /// [POINT_KINDS, d] and not_a_point_embed, [1, d].
    point_embeddings: Vec<f32>,
    /// [2, d / 2], times 2 pi.
    positional_encoding_gaussian_matrix: Vec<f32>,
    /// From model px to 0..=2.
    coordinate_scale: f32,
    blocks: Vec<TwoWayAttentionBlock>,
    final_attn_token_to_image: Attention,
    norm_final_attn: LayerNorm,
    /// Upscaling from stride 8: convolution, prompt maps and skip at stride 4, and the same at stride 2.
    up4: Separable,
    prompt4: Linear,
    up2: Separable,
    prompt2: Linear,
    pixels: Separable,
    output_hypernetworks_mlps: Vec<[Linear; 2]>,
    iou_prediction_head: [Linear; 2],
}

impl Layers {
    /// Whether the sizes of neighbouring layers match.
    fn fits(&self) -> bool {
        let (middle, channels) = (self.up4.point.outputs, self.up2.point.outputs);
        let of_block = |b: &TwoWayAttentionBlock| b.mlp[1].outputs == self.d && b.mlp[1].inputs == b.mlp[0].outputs;
        let blocks = self.blocks.iter();
        let attentions = blocks
            .flat_map(|b| [&b.self_attn, &b.cross_attn_token_to_image, &b.cross_attn_image_to_token])
            .chain([&self.final_attn_token_to_image]);
        let widths = [
            (self.mask_downscaling.1.point.outputs, self.d),
            (self.prompt4.outputs, middle),
            (self.prompt2.outputs, channels),
            (self.output_tokens.len(), (1 + self.output_hypernetworks_mlps.len()) * self.d),
            (self.point_embeddings.len(), (POINT_KINDS + 1) * self.d),
            (self.positional_encoding_gaussian_matrix.len(), self.d),
            (self.iou_prediction_head[1].outputs, self.output_hypernetworks_mlps.len()),
        ];
        let is_projected = |a: &Attention| {
            [&a.q_proj, &a.k_proj, &a.v_proj].iter().all(|l| l.inputs == self.d && l.outputs == a.out_proj.inputs)
        };
        widths.iter().all(|(a, b)| a == b)
            && attentions.into_iter().all(|a| a.out_proj.outputs == self.d && is_projected(a))
            && self.blocks.iter().all(of_block)
            && self.output_hypernetworks_mlps.iter().all(|mlp| mlp[1].outputs == self.pixels.point.outputs)
            && self.d.is_multiple_of(2)
            && self.grid >= 2
    }

    /// Multiply-accumulates of a decode with this number of points.
    fn macs(&self, points: usize) -> usize {
        let cells = self.grid * self.grid;
        let tokens = self.output_tokens.len() / self.d + points;
        let linear = |l: &Linear, rows: usize| l.inputs * l.outputs * rows;
        let separable = |s: &Separable, places: usize| 9 * s.point.inputs * places + linear(&s.point, places);
        let attention = |a: &Attention, queries: usize, keys: usize| {
            let pairs = queries * keys * a.out_proj.inputs;
            linear(&a.q_proj, queries)
                + linear(&a.k_proj, keys)
                + linear(&a.v_proj, keys)
                + 2 * pairs
                + linear(&a.out_proj, queries)
        };
        let block = |b: &TwoWayAttentionBlock| {
            attention(&b.self_attn, tokens, tokens)
                + attention(&b.cross_attn_token_to_image, tokens, cells)
                + attention(&b.cross_attn_image_to_token, cells, tokens)
                + b.mlp.iter().map(|l| linear(l, tokens)).sum::<usize>()
        };
        let heads = self.output_hypernetworks_mlps.iter().chain([&self.iou_prediction_head]);
        let masks = self.output_hypernetworks_mlps.len() * self.pixels.point.outputs * 16 * cells;
        self.blocks.iter().map(block).sum::<usize>()
            + attention(&self.final_attn_token_to_image, tokens, cells)
            + linear(&self.mask_downscaling.0, 4 * cells)
            + separable(&self.mask_downscaling.1, cells)
            + separable(&self.up4, cells)
            + linear(&self.prompt4, 4 * cells)
            + separable(&self.up2, 4 * cells)
            + linear(&self.prompt2, 16 * cells)
            + separable(&self.pixels, 16 * cells)
            + heads.flatten().map(|l| linear(l, 1)).sum::<usize>()
            + masks
    }
}

/// The encoder's features of an image.
#[derive(Clone, Copy)]
struct ImageFeatures<'a> {
    /// [D, S / 8, S / 8].
    embedding: Planes<'a>,
    /// [C, S / 4, S / 4].
    skip4: Planes<'a>,
    /// [C, S / 2, S / 2].
    skip2: Planes<'a>,
}

/// Memory that is reused from decode to decode.
#[derive(Default)]
struct Buffers {
    scratch: Aligned<f32>,
    /// Planes: prompt maps at stride 4, the image, its keys and values for the next attention, and the upscaled levels.
    at4: Aligned<f32>,
    image: Aligned<f32>,
    keys: Aligned<f32>,
    values: Aligned<f32>,
    coarse4: Aligned<f32>,
    coarse2: Aligned<f32>,
    /// Token rows; `query_pe` are the initial tokens, `queries` the tokens plus `query_pe`.
    tokens: Vec<f32>,
    query_pe: Vec<f32>,
    queries: Vec<f32>,
    rows: [Vec<f32>; 4],
    /// Indices of the prompt maps that are not zero everywhere, and the layers restricted to them.
    used_maps: Vec<usize>,
    first_downscaling: Linear,
    prompt2: Linear,
    /// A layer from keys to scores, whose weights are the queries of a head.
    scores: Linear,
    /// A layer from pixel features to masks, whose weights come from the mask tokens.
    hyper_in: Linear,
}

/// Inputs and outputs of a decode.
struct DecodeRequest<'a> {
    features: ImageFeatures<'a>,
    /// x, y of each point, model px.
    coords: &'a [f32],
    /// SAM's labels, one a point.
    labels: &'a [f32],
    /// [maps, cells, cells].
    maps: &'a [f32],
    /// Logits, [masks, cells, cells].
    masks: &'a mut [f32],
    /// [masks].
    iou: &'a mut [f32],
    /// [channels, cells, cells].
    pixels: &'a mut [f32],
}

impl Layers {
    /// Decodes.
    ///
    /// # Errors
    /// `Argument` when features, prompts or results have other sizes than the decoder's.
    fn decode(&self, request: &mut DecodeRequest, buffers: &mut Buffers) -> Result<()> {
        let (cells, ImageFeatures { embedding, skip4, skip2 }) = (self.grid * self.grid, request.features);
        let masks = self.output_hypernetworks_mlps.len();
        let expected = [
            self.d,
            4 * self.prompt4.outputs,
            16 * self.prompt2.outputs,
            16 * self.prompt2.inputs,
            16 * masks,
            16 * self.pixels.point.outputs,
        ]
        .map(|n| n * cells);
        let results = [request.masks.len(), request.pixels.len()];
        let got = [embedding.len(), skip4.len(), skip2.len(), request.maps.len(), results[0], results[1]];
        let is_labelled = request.coords.len() == 2 * request.labels.len() && request.iou.len() == masks;
        if got != expected || !is_labelled {
            let what = format!("decode: expected features, maps and results of {expected:?} values, got {got:?}");
            return Err(Error::new(ErrorKind::Argument, what));
        }
        used(request.maps, 16 * cells, &mut buffers.used_maps);
        self.embed_maps(embedding, request.maps, buffers);
        self.embed_points(request.coords, request.labels, buffers);
        for (i, block) in self.blocks.iter().enumerate() {
            block.forward(self.attention_to_image(i + 1), buffers);
        }
        self.attend_finally(buffers);
        self.upscale_and_predict_masks(buffers, request);
        Ok(())
    }
}

/// Writes the indices of planes that are not zero everywhere; the index of the first plane if all are.
fn used(planes: &[f32], places: usize, numbers: &mut Vec<usize>) {
    // Vectorizes, unlike a comparison value by value.
    let is_zero = |line: &[f32]| line.iter().fold(0, |bits, v| bits | v.to_bits()) << 1 == 0;
    let is_used = |plane: &[f32]| !plane.chunks(128).all(is_zero);
    numbers.clear();
    numbers.extend(planes.chunks_exact(places).enumerate().filter(|(_, plane)| is_used(plane)).map(|(i, _)| i));
    if numbers.is_empty() {
        numbers.push(0);
    }
}

fn add_to(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

fn sum_into(a: &[f32], b: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(a.iter().zip(b).map(|(a, b)| a + b));
}

impl Layers {
    /// The tokens' attention to the image in a block; the final one after the last block.
    fn attention_to_image(&self, block: usize) -> &Attention {
        self.blocks.get(block).map_or(&self.final_attn_token_to_image, |b| &b.cross_attn_token_to_image)
    }

    /// Embeds the prompt maps at strides 4 and 8, and adds them to the image.
    fn embed_maps(&self, embedding: Planes, maps: &[f32], b: &mut Buffers) {
        let (cells, edge) = (self.grid * self.grid, 4 * self.grid);
        let (first, second) = &self.mask_downscaling;
        let at4 = b.at4.sized(first.outputs * 4 * cells);
        first.only(&b.used_maps, 9, &mut b.first_downscaling);
        let maps = PlaneList::all(maps, 16 * cells).chosen(&b.used_maps);
        full(&b.first_downscaling, maps, edge, at4, &mut b.scratch);
        let image = b.image.sized(self.d * cells);
        let target = Target { plus: Some(embedding), planes: image, then: None };
        let at4 = PlaneList::all(at4, 4 * cells);
        second.planes(Source::Planes(at4), edge / 2, target, &mut b.scratch);
        self.attention_to_image(0).project_image(None, b);
    }

    fn embed_points(&self, coords: &[f32], labels: &[f32], b: &mut Buffers) {
        let half = self.d / 2;
        let (fx, fy) = self.positional_encoding_gaussian_matrix.split_at(half);
        b.query_pe.clear();
        b.query_pe.extend_from_slice(&self.output_tokens);
        for (at, label) in coords.chunks_exact(2).zip(labels) {
            let is_padding = *label < 0.0;
            let kind = if is_padding { POINT_KINDS } else { (*label as usize).min(POINT_KINDS - 1) };
            let row = b.query_pe.len();
            b.query_pe.extend_from_slice(&self.point_embeddings[kind * self.d..][..self.d]);
            if !is_padding {
                let [x, y] = [at[0], at[1]].map(|v| v * self.coordinate_scale - 1.0);
                for (i, (fx, fy)) in fx.iter().zip(fy).enumerate() {
                    let angle = x * fx + y * fy;
                    b.query_pe[row + i] += angle.sin();
                    b.query_pe[row + half + i] += angle.cos();
                }
            }
        }
        b.tokens.clone_from(&b.query_pe);
    }

    fn attend_finally(&self, b: &mut Buffers) {
        sum_into(&b.tokens, &b.query_pe, &mut b.queries);
        self.final_attn_token_to_image.add_from_image(b);
        self.norm_final_attn.forward_rows(&mut b.tokens);
    }

    /// Upscales the image by four to pixel features, and predicts masks and IoUs.
    fn upscale_and_predict_masks(&self, b: &mut Buffers, request: &mut DecodeRequest) {
        self.make_hyper_in(b);
        let (cells, edge, ImageFeatures { skip4, skip2, .. }) = (self.grid * self.grid, self.grid, request.features);
        let coarse4 = b.coarse4.sized(self.up4.point.outputs * cells);
        let target = Target { plus: None, planes: coarse4, then: None };
        let image = PlaneList::all(&b.image, cells);
        self.up4.planes(Source::Planes(image), edge, target, &mut b.scratch);
        let coarse2 = b.coarse2.sized(self.up2.point.outputs * 4 * cells);
        let target = Target { plus: None, planes: coarse2, then: None };
        let at4 = PlaneList::all(&b.at4, 4 * cells);
        let source = Source::Joined { layer: &self.prompt4, maps: at4, skip: skip4, coarse: &b.coarse4 };
        self.up2.planes(source, 2 * edge, target, &mut b.scratch);
        let target = Target { plus: None, planes: request.pixels, then: Some((&b.hyper_in, request.masks)) };
        self.prompt2.only(&b.used_maps, 1, &mut b.prompt2);
        let maps = PlaneList::all(request.maps, 16 * cells).chosen(&b.used_maps);
        let source = Source::Joined { layer: &b.prompt2, maps, skip: skip2, coarse: &b.coarse2 };
        self.pixels.planes(source, 4 * edge, target, &mut b.scratch);
        let [hidden, iou, ..] = &mut b.rows;
        self.iou_prediction_head[0].forward_rows(&b.tokens[..self.d], hidden);
        self.iou_prediction_head[1].forward_rows(hidden, iou);
        request.iou.iter_mut().zip(iou).for_each(|(out, v)| *out = 1.0 / (1.0 + (-*v).exp()));
    }

    /// Computes the layer from pixel features to masks from the mask tokens.
    fn make_hyper_in(&self, b: &mut Buffers) {
        let ([hidden, weights, ..], layer) = (&mut b.rows, &mut b.hyper_in);
        let (inputs, outputs) = (self.pixels.point.outputs, self.output_hypernetworks_mlps.len());
        (layer.inputs, layer.outputs) = (inputs, outputs);
        layer.weights.resize(inputs * outputs, 0.0);
        layer.bias.resize(outputs, 0.0);
        let mask_tokens = b.tokens[self.d..].chunks_exact(self.d);
        for (i, ([first, second], token)) in self.output_hypernetworks_mlps.iter().zip(mask_tokens).enumerate() {
            first.forward_rows(token, hidden);
            second.forward_rows(hidden, weights);
            for (w, of_masks) in weights.iter().zip(layer.weights.chunks_exact_mut(outputs)) {
                of_masks[i] = *w;
            }
        }
    }
}

impl Attention {
    /// Token-to-image attention: adds its result to the tokens. The image's keys and values are computed already.
    fn add_from_image(&self, b: &mut Buffers) {
        let [q, found, update, _] = &mut b.rows;
        self.q_proj.forward_rows(&b.queries, q);
        token_to_image_attention(q, &b.keys, &b.values, self.heads, (&mut b.scores, &mut b.scratch), found);
        self.out_proj.forward_rows(found, update);
        add_to(&mut b.tokens, update);
    }

    /// Applies the image-to-token attention `after` to the image, if any, and computes this attention's keys and values of it.
    fn project_image(&self, after: Option<(&Attention, &LayerNorm)>, b: &mut Buffers) {
        let [keys, values, ..] = &mut b.rows;
        let update = after.map(|(attention, norm)| {
            attention.k_proj.forward_rows(&b.queries, keys);
            attention.v_proj.forward_rows(&b.tokens, values);
            TokenUpdate { attention, keys, values, norm }
        });
        let places = b.image.len() / self.k_proj.inputs;
        let projected = [b.keys.sized(self.k_proj.outputs * places), b.values.sized(self.v_proj.outputs * places)];
        image_to_token_attention(&mut b.image, update, self, projected, &mut b.scratch);
    }

    /// Self-attention of the tokens; writes the last rows buffer.
    fn among_tokens(&self, b: &mut Buffers) {
        let [q, k, v, found] = &mut b.rows;
        self.q_proj.forward_rows(&b.queries, q);
        self.k_proj.forward_rows(&b.queries, k);
        self.v_proj.forward_rows(&b.tokens, v);
        self_attention(q, k, v, self.heads, &mut b.scratch, found);
        self.out_proj.forward_rows(found, q);
        std::mem::swap(q, found);
    }
}

impl TwoWayAttentionBlock {
    /// Computes the block, and the image's keys and values for the attention `next`.
    fn forward(&self, next: &Attention, b: &mut Buffers) {
        if self.skip_first_layer_pe {
            b.queries.clone_from(&b.tokens);
            self.self_attn.among_tokens(b);
            b.tokens.clone_from(&b.rows[3]);
        } else {
            sum_into(&b.tokens, &b.query_pe, &mut b.queries);
            self.self_attn.among_tokens(b);
            add_to(&mut b.tokens, &b.rows[3]);
        }
        self.norms[0].forward_rows(&mut b.tokens);
        sum_into(&b.tokens, &b.query_pe, &mut b.queries);
        self.cross_attn_token_to_image.add_from_image(b);
        self.norms[1].forward_rows(&mut b.tokens);
        let [hidden, update, ..] = &mut b.rows;
        self.mlp[0].forward_rows(&b.tokens, hidden);
        self.mlp[1].forward_rows(hidden, update);
        add_to(&mut b.tokens, update);
        self.norms[2].forward_rows(&mut b.tokens);
        sum_into(&b.tokens, &b.query_pe, &mut b.queries);
        next.project_image(Some((&self.cross_attn_image_to_token, &self.norms[3])), b);
    }
}
