//! The mask decoder in f32, without a general runtime: for the graph that `sonotap export` writes.
//!
//! The image branch lies in planes, as encoder and callers have it, so nothing is turned around; tokens lie in rows. What
//! places add to keys and queries is known when the graph is read. A graph that is another is refused then, and runs in tract.
//!
//! Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A (two-way attention, token-conditioned masks).

mod kernels;
mod read;
#[cfg(test)]
mod tests;

use crate::error::{Error, ErrorKind, Result};
use crate::onnx::read::Graph;
pub(crate) use kernels::Planes;
use kernels::{
    Heads, Linear, Norm, Spatial, image_to_tokens, neighbourhoods, tokens_to_image, tokens_to_tokens, up_add_relu6,
};

/// Attention with its projections.
#[derive(Clone, Debug)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: Heads,
    /// What the places of the image's cells add to its keys or queries, planes; empty among tokens.
    places: Vec<f32>,
}

/// A depthwise convolution and a 1x1 one.
#[derive(Clone, Debug)]
struct Separable {
    spatial: Spatial,
    point: Linear,
}

/// Tokens look at each other and at the image; the image looks at them.
#[derive(Clone, Debug)]
struct TwoWay {
    /// In the first block tokens are not named, and nothing is added.
    is_first: bool,
    itself: Attention,
    to_image: Attention,
    to_tokens: Attention,
    wide: Linear,
    narrow: Linear,
    norms: [Norm; 4],
}

/// The decoder's layers.
#[derive(Clone, Debug)]
struct Decoder {
    /// Channels of tokens and image.
    d: usize,
    /// Cells along a side of the embedding; masks have four times as many.
    grid: usize,
    map4: Linear,
    map8: Spatial,
    map_out: Linear,
    /// [1 + masks, d].
    own: Vec<f32>,
    /// [5, d].
    kinds: Vec<f32>,
    /// [2, d / 2], times 2 pi.
    frequencies: Vec<f32>,
    /// From model px to 0..=2.
    coordinate_scale: f32,
    blocks: Vec<TwoWay>,
    last: Attention,
    last_norm: Norm,
    up4: Separable,
    prompt4: Linear,
    up2: Separable,
    prompt2: Linear,
    pixels: Separable,
    heads: Vec<[Linear; 2]>,
    iou: [Linear; 2],
}

impl Decoder {
    /// Whether each layer takes what the one before it gives.
    fn fits(&self) -> bool {
        let (middle, channels) = (self.up4.point.outputs, self.up2.point.outputs);
        let attentions = self.blocks.iter().flat_map(|b| [&b.itself, &b.to_image, &b.to_tokens]).chain([&self.last]);
        let widths = [
            (self.map_out.outputs, self.d),
            (self.prompt4.outputs, middle),
            (self.prompt2.outputs, channels),
            (self.own.len(), (1 + self.heads.len()) * self.d),
            (self.iou[1].outputs, self.heads.len()),
        ];
        widths.iter().all(|(a, b)| a == b)
            && attentions.into_iter().all(|a| a.out.outputs == self.d)
            && self.blocks.iter().all(|b| b.narrow.outputs == self.d)
            && self.d.is_multiple_of(2)
            && self.grid >= 2
    }
}

/// A decoder with its memory.
pub(crate) struct DecodeEngine {
    decoder: Decoder,
    buffers: Buffers,
}

/// What the encoder made of a frame.
#[derive(Clone, Copy)]
pub(crate) struct Seen<'a> {
    /// [D, S / 8, S / 8].
    pub embedding: Planes<'a>,
    /// [C, S / 4, S / 4].
    pub skip4: Planes<'a>,
    /// [C, S / 2, S / 2].
    pub skip2: Planes<'a>,
}

/// Memory that is used again.
#[derive(Default)]
struct Buffers {
    panel: Vec<f32>,
    scratch: Vec<f32>,
    taps: Vec<f32>,
    at4: Vec<f32>,
    at8: Vec<f32>,
    /// Image planes.
    k: Vec<f32>,
    projected: [Vec<f32>; 2],
    seen: Vec<f32>,
    /// Token rows.
    tokens: Vec<f32>,
    named: Vec<f32>,
    with: Vec<f32>,
    rows: [Vec<f32>; 4],
    /// Drawing.
    middle: Vec<f32>,
    coarse4: Vec<f32>,
    fine4: Vec<f32>,
    middle2: Vec<f32>,
    coarse2: Vec<f32>,
    fine2: Vec<f32>,
    spatial2: Vec<f32>,
}

/// A frame, prompts, and where the answer goes.
pub(crate) struct Question<'a> {
    pub seen: Seen<'a>,
    /// x, y of each point, model px.
    pub coords: &'a [f32],
    /// SAM's labels, one a point.
    pub labels: &'a [f32],
    /// [5, cells, cells].
    pub maps: &'a [f32],
    /// Logits, [masks, cells, cells].
    pub masks: &'a mut Vec<f32>,
    /// [masks].
    pub iou: &'a mut Vec<f32>,
    /// [channels, cells, cells].
    pub pixels: &'a mut Vec<f32>,
}

impl DecodeEngine {
    /// For a graph that `sonotap export` wrote.
    ///
    /// # Errors
    /// `Model`, naming the first node that is another than expected.
    pub fn new(graph: &Graph) -> Result<Self> {
        Ok(Self { decoder: read::read(graph)?, buffers: Buffers::default() })
    }

    /// Answers.
    ///
    /// # Errors
    /// `Argument` when frame or prompts have other sizes than the decoder's.
    pub fn answer(&mut self, question: &mut Question) -> Result<()> {
        let Self { decoder: d, buffers } = self;
        let (cells, Seen { embedding, skip4, skip2 }) = (d.grid * d.grid, question.seen);
        let expected = [d.d, 4 * d.prompt4.outputs, 16 * d.prompt2.outputs, 16 * d.prompt2.inputs].map(|n| n * cells);
        let got = [embedding.len(), skip4.len(), skip2.len(), question.maps.len()];
        if got != expected || question.coords.len() != 2 * question.labels.len() {
            let what = format!("decode: expected embedding, skips and maps of {expected:?} values, got {got:?}");
            return Err(Error::new(ErrorKind::Argument, what));
        }
        d.prompted_image(embedding, question.maps, buffers);
        d.name_tokens(question.coords, question.labels, buffers);
        for block in &d.blocks {
            block.forward(buffers);
        }
        d.last_look(buffers);
        d.draw(question.seen, question.maps, buffers, question.pixels);
        d.masks(buffers, question);
        Ok(())
    }
}

fn sized(v: &mut Vec<f32>, len: usize) -> &mut [f32] {
    v.resize(len, 0.0);
    v
}

fn add_to(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a += b);
}

fn sum_into(a: &[f32], b: &[f32], out: &mut Vec<f32>) {
    out.clear();
    out.extend(a.iter().zip(b).map(|(a, b)| a + b));
}

impl Decoder {
    /// Prompt maps at strides 4 and 8, onto the image.
    fn prompted_image(&self, embedding: Planes, maps: &[f32], b: &mut Buffers) {
        let (cells, edge) = (self.grid * self.grid, 4 * self.grid);
        let taps = sized(&mut b.taps, self.map4.inputs * 4 * cells);
        neighbourhoods(maps, edge, taps);
        let at4 = sized(&mut b.at4, self.map4.outputs * 4 * cells);
        self.map4.planes(taps, None, at4, &mut b.panel);
        let at8 = sized(&mut b.at8, self.map4.outputs * cells);
        self.map8.planes(at4, edge / 2, at8, &mut b.scratch);
        self.map_out.planes(at8, Some(embedding), sized(&mut b.k, self.d * cells), &mut b.panel);
    }

    fn name_tokens(&self, coords: &[f32], labels: &[f32], b: &mut Buffers) {
        let half = self.d / 2;
        let (fx, fy) = self.frequencies.split_at(half);
        b.named.clear();
        b.named.extend_from_slice(&self.own);
        for (at, label) in coords.chunks_exact(2).zip(labels) {
            let is_padding = *label < 0.0;
            let kind = if is_padding { self.kinds.len() / self.d - 1 } else { *label as usize };
            let row = b.named.len();
            b.named.extend_from_slice(&self.kinds[kind * self.d..][..self.d]);
            if !is_padding {
                let [x, y] = [at[0], at[1]].map(|v| v * self.coordinate_scale - 1.0);
                for (i, (fx, fy)) in fx.iter().zip(fy).enumerate() {
                    let angle = x * fx + y * fy;
                    b.named[row + i] += angle.sin();
                    b.named[row + half + i] += angle.cos();
                }
            }
        }
        b.tokens.clone_from(&b.named);
    }

    fn last_look(&self, b: &mut Buffers) {
        sum_into(&b.tokens, &b.named, &mut b.with);
        self.last.tokens_see_image(b);
        self.last_norm.rows(&mut b.tokens);
    }

    /// Features at four times the grid, into `pixels`.
    fn draw(&self, seen: Seen, maps: &[f32], b: &mut Buffers, pixels: &mut Vec<f32>) {
        let (cells, grid) = (self.grid * self.grid, self.grid);
        let middle = sized(&mut b.middle, self.d * cells);
        self.up4.spatial.planes(&b.k, grid, middle, &mut b.scratch);
        let coarse = sized(&mut b.coarse4, self.up4.point.outputs * cells);
        self.up4.point.planes(middle, None, coarse, &mut b.panel);
        let fine = sized(&mut b.fine4, self.prompt4.outputs * 4 * cells);
        self.prompt4.planes(&b.at4, Some(seen.skip4), fine, &mut b.panel);
        up_add_relu6(coarse, 2 * grid, fine, &mut b.scratch);
        let middle = sized(&mut b.middle2, fine.len());
        self.up2.spatial.planes(fine, 2 * grid, middle, &mut b.scratch);
        let coarse = sized(&mut b.coarse2, self.up2.point.outputs * 4 * cells);
        self.up2.point.planes(middle, None, coarse, &mut b.panel);
        let fine = sized(&mut b.fine2, self.prompt2.outputs * 16 * cells);
        self.prompt2.planes(maps, Some(seen.skip2), fine, &mut b.panel);
        up_add_relu6(coarse, 4 * grid, fine, &mut b.scratch);
        let spatial = sized(&mut b.spatial2, fine.len());
        self.pixels.spatial.planes(fine, 4 * grid, spatial, &mut b.scratch);
        self.pixels.point.planes(spatial, None, sized(pixels, self.pixels.point.outputs * 16 * cells), &mut b.panel);
    }

    fn masks(&self, b: &mut Buffers, question: &mut Question) {
        let [hidden, weights, ..] = &mut b.rows;
        let mut pair = |[first, second]: &[Linear; 2], row: &[f32], out: &mut Vec<f32>| {
            first.rows(row, hidden);
            second.rows(hidden, out);
        };
        let (inputs, outputs) = (self.pixels.point.outputs, self.heads.len());
        let mut layer = Linear {
            inputs,
            outputs,
            weights: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
            activation: kernels::Activation::None,
        };
        for (i, (head, token)) in self.heads.iter().zip(b.tokens[self.d..].chunks_exact(self.d)).enumerate() {
            pair(head, token, weights);
            for (w, of_masks) in weights.iter().zip(layer.weights.chunks_exact_mut(outputs)) {
                of_masks[i] = *w;
            }
        }
        let places = question.pixels.len() / inputs;
        layer.planes(question.pixels, None, sized(question.masks, outputs * places), &mut b.panel);
        pair(&self.iou, &b.tokens[..self.d], question.iou);
        question.iou.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp()));
    }
}

impl Attention {
    /// Adds to `tokens` what `with` finds in the image `k` at its places.
    fn tokens_see_image(&self, b: &mut Buffers) {
        let cells = b.k.len() / self.k.inputs;
        let [keys, values] = &mut b.projected;
        self.k.planes(&b.k, Some(Planes::Values(&self.places)), sized(keys, self.k.outputs * cells), &mut b.panel);
        self.v.planes(&b.k, None, sized(values, self.v.outputs * cells), &mut b.panel);
        let [q, seen, told, _] = &mut b.rows;
        self.q.rows(&b.with, q);
        tokens_to_image(q, keys, values, self.heads, &mut b.scratch, seen);
        self.out.rows(seen, told);
        add_to(&mut b.tokens, told);
    }

    /// Adds to the image `k` what it finds from its places in the tokens: keys are `with`, values `tokens`.
    fn image_sees_tokens(&self, b: &mut Buffers) {
        let cells = b.k.len() / self.q.inputs;
        let [queries, out] = &mut b.projected;
        self.q.planes(&b.k, Some(Planes::Values(&self.places)), sized(queries, self.q.outputs * cells), &mut b.panel);
        let [keys, values, ..] = &mut b.rows;
        self.k.rows(&b.with, keys);
        self.v.rows(&b.tokens, values);
        image_to_tokens(queries, keys, values, self.heads, &mut b.scratch, sized(out, self.q.outputs * cells));
        // The image itself is read and written: the sum goes into another buffer, and they change places.
        self.out.planes(out, Some(Planes::Values(&b.k)), sized(&mut b.seen, b.k.len()), &mut b.panel);
        std::mem::swap(&mut b.k, &mut b.seen);
    }

    /// What tokens `with` find in each other, values `tokens`; into the last rows buffer.
    fn tokens_see_tokens(&self, b: &mut Buffers) {
        let [q, k, v, told] = &mut b.rows;
        self.q.rows(&b.with, q);
        self.k.rows(&b.with, k);
        self.v.rows(&b.tokens, v);
        tokens_to_tokens(q, k, v, self.heads, &mut b.scratch, told);
        self.out.rows(told, q);
        std::mem::swap(q, told);
    }
}

impl TwoWay {
    fn forward(&self, b: &mut Buffers) {
        if self.is_first {
            b.with.clone_from(&b.tokens);
            self.itself.tokens_see_tokens(b);
            b.tokens.clone_from(&b.rows[3]);
        } else {
            sum_into(&b.tokens, &b.named, &mut b.with);
            self.itself.tokens_see_tokens(b);
            add_to(&mut b.tokens, &b.rows[3]);
        }
        self.norms[0].rows(&mut b.tokens);
        sum_into(&b.tokens, &b.named, &mut b.with);
        self.to_image.tokens_see_image(b);
        self.norms[1].rows(&mut b.tokens);
        let [hidden, told, ..] = &mut b.rows;
        self.wide.rows(&b.tokens, hidden);
        self.narrow.rows(hidden, told);
        add_to(&mut b.tokens, told);
        self.norms[2].rows(&mut b.tokens);
        sum_into(&b.tokens, &b.named, &mut b.with);
        self.to_tokens.image_sees_tokens(b);
        self.norms[3].planes(&mut b.k, &mut b.scratch);
    }
}
