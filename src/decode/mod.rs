//! The mask decoder in f32, without a general runtime: for the graph that `sonotap export` writes.
//!
//! The image branch lies in planes, as encoder and callers have it, so nothing is turned around; tokens lie in rows. What
//! places add to keys and queries is known when the graph is read. A graph that is another is refused then, and runs in tract.
//!
//! Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A (two-way attention, token-conditioned masks).

mod attention;
mod linear;
mod read;
mod spatial;
#[cfg(test)]
mod tests;

use crate::aligned::Aligned;
use crate::error::{Error, ErrorKind, Result};
use crate::onnx::read::Graph;
use attention::{Attention, Norm, Told, image_sees_tokens, tokens_to_image, tokens_to_tokens};
use linear::Linear;
pub(crate) use linear::Planes;
use spatial::{Separable, Source, Target, full};

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
    map8: Separable,
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
            (self.map8.point.outputs, self.d),
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

/// Prompt maps that hold something: their numbers, and planes.
type Maps<'a> = (&'a [usize], &'a [&'a [f32]]);

/// Memory that is used again.
#[derive(Default)]
struct Buffers {
    scratch: Aligned<f32>,
    /// Planes: prompt maps at stride 4, the image, its keys and values for the next look, and what is drawn.
    at4: Aligned<f32>,
    image: Aligned<f32>,
    keys: Aligned<f32>,
    values: Aligned<f32>,
    coarse4: Aligned<f32>,
    coarse2: Aligned<f32>,
    /// Token rows.
    tokens: Vec<f32>,
    named: Vec<f32>,
    with: Vec<f32>,
    rows: [Vec<f32>; 4],
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
        let (numbers, maps) = used(question.maps, 16 * cells);
        d.prompted_image(embedding, (&numbers, &maps), buffers);
        d.name_tokens(question.coords, question.labels, buffers);
        for (i, block) in d.blocks.iter().enumerate() {
            block.forward(d.look(i + 1), buffers);
        }
        d.last_look(buffers);
        d.draw((&numbers, &maps), buffers, question);
        Ok(())
    }
}

/// Planes that are not zero everywhere, and their numbers: zeros need not be multiplied. The first when all are.
fn used(planes: &[f32], places: usize) -> (Vec<usize>, Vec<&[f32]>) {
    // Whole lines are compared at once, not value by value.
    let is_zero = |line: &[f32]| line.iter().fold(0, |bits, v| bits | v.to_bits()) << 1 == 0;
    let is_used = |plane: &[f32]| !plane.chunks(128).all(is_zero);
    let all = planes.chunks_exact(places).enumerate();
    let found: (Vec<_>, Vec<_>) = all.clone().filter(|(_, plane)| is_used(plane)).unzip();
    if found.0.is_empty() { all.take(1).unzip() } else { found }
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
    /// The tokens' look at the image in a block, or their last.
    fn look(&self, block: usize) -> &Attention {
        self.blocks.get(block).map_or(&self.last, |b| &b.to_image)
    }

    /// Prompt maps at strides 4 and 8, onto the image.
    fn prompted_image(&self, embedding: Planes, (numbers, maps): Maps, b: &mut Buffers) {
        let (cells, edge) = (self.grid * self.grid, 4 * self.grid);
        let at4 = b.at4.sized(self.map4.outputs * 4 * cells);
        full(&self.map4.only(numbers, 9), maps, edge, at4, &mut b.scratch);
        let image = b.image.sized(self.d * cells);
        let target = Target { plus: Some(embedding), planes: image, then: None };
        let at4: Vec<_> = at4.chunks_exact(4 * cells).collect();
        self.map8.planes(Source::Planes(&at4), edge / 2, target, &mut b.scratch);
        self.look(0).is_shown_image(None, b);
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

    /// Features and masks at four times the grid, and what masks are worth.
    fn draw(&self, (numbers, maps): Maps, b: &mut Buffers, question: &mut Question) {
        let masks = self.mask_layer(b);
        let (cells, edge, Seen { skip4, skip2, .. }) = (self.grid * self.grid, self.grid, question.seen);
        let coarse4 = b.coarse4.sized(self.up4.point.outputs * cells);
        let target = Target { plus: None, planes: coarse4, then: None };
        let image: Vec<_> = b.image.chunks_exact(cells).collect();
        self.up4.planes(Source::Planes(&image), edge, target, &mut b.scratch);
        let coarse2 = b.coarse2.sized(self.up2.point.outputs * 4 * cells);
        let target = Target { plus: None, planes: coarse2, then: None };
        let at4: Vec<_> = b.at4.chunks_exact(4 * cells).collect();
        let source = Source::Joined { layer: &self.prompt4, maps: &at4, skip: skip4, coarse: &b.coarse4 };
        self.up2.planes(source, 2 * edge, target, &mut b.scratch);
        let planes = sized(question.pixels, self.pixels.point.outputs * 16 * cells);
        let of_masks = sized(question.masks, masks.outputs * 16 * cells);
        let target = Target { plus: None, planes, then: Some((&masks, of_masks)) };
        let layer = self.prompt2.only(numbers, 1);
        let source = Source::Joined { layer: &layer, maps, skip: skip2, coarse: &b.coarse2 };
        self.pixels.planes(source, 4 * edge, target, &mut b.scratch);
        let [hidden, ..] = &mut b.rows;
        self.iou[0].rows(&b.tokens[..self.d], hidden);
        self.iou[1].rows(hidden, question.iou);
        question.iou.iter_mut().for_each(|v| *v = 1.0 / (1.0 + (-*v).exp()));
    }

    /// The layer that makes masks of features, from the masks' tokens.
    fn mask_layer(&self, b: &mut Buffers) -> Linear {
        let [hidden, weights, ..] = &mut b.rows;
        let (inputs, outputs) = (self.pixels.point.outputs, self.heads.len());
        let mut layer = Linear {
            inputs,
            outputs,
            weights: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
            activation: linear::Activation::None,
        };
        for (i, ([first, second], token)) in self.heads.iter().zip(b.tokens[self.d..].chunks_exact(self.d)).enumerate()
        {
            first.rows(token, hidden);
            second.rows(hidden, weights);
            for (w, of_masks) in weights.iter().zip(layer.weights.chunks_exact_mut(outputs)) {
                of_masks[i] = *w;
            }
        }
        layer
    }
}

impl Attention {
    /// Adds to the tokens what `with` finds in the image, whose keys and values are there.
    fn tokens_see_image(&self, b: &mut Buffers) {
        let [q, seen, told, _] = &mut b.rows;
        self.q.rows(&b.with, q);
        tokens_to_image(q, &b.keys, &b.values, self.heads, &mut b.scratch, seen);
        self.out.rows(seen, told);
        add_to(&mut b.tokens, told);
    }

    /// Makes this look's keys and values of the image, after that was told of tokens: keys are `with`, values `tokens`.
    fn is_shown_image(&self, after: Option<(&Attention, &Norm)>, b: &mut Buffers) {
        let [keys, values, ..] = &mut b.rows;
        let told = after.map(|(attention, norm)| {
            attention.k.rows(&b.with, keys);
            attention.v.rows(&b.tokens, values);
            Told { attention, keys, values, norm }
        });
        let places = b.image.len() / self.k.inputs;
        let projected = [b.keys.sized(self.k.outputs * places), b.values.sized(self.v.outputs * places)];
        image_sees_tokens(&mut b.image, told, self, projected, &mut b.scratch);
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
    /// Tokens' and image's look at each other, and the image's preparation for the `next` one.
    fn forward(&self, next: &Attention, b: &mut Buffers) {
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
        next.is_shown_image(Some((&self.to_tokens, &self.norms[3])), b);
    }
}
