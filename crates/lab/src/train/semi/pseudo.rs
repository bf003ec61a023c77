//! What the averaged weights make of a picture without a mask: where the structure is, and how the click model outlines it.

use burn::tensor::Tensor;

use super::config::MatchConfig;
use crate::eval::clicks::boxes::bounds_of;
use crate::eval::components::Components;
use crate::train::net::Network;
use crate::train::net::decoder::MASK_CELLS;
use crate::train::net::parameters::Parameters;
use crate::train::net::proposal::ProposalHead;
use crate::train::ops::MASKS;
use crate::train::picture::{Picture, SIDE};
use crate::train::prompts::cells_of;
use sonotap::geometry::{ModelSpace, Rect};
use sonotap::mask::Bitmap;
use sonotap::model::ModelPrompts;
use sonotap::model::postprocess::choose;

const CELLS: usize = MASK_CELLS * MASK_CELLS;

/// Networks that make pseudo labels, off the tape.
#[derive(Clone, Copy, Debug)]
pub struct Labeller<'a> {
    /// The click model.
    pub network: &'a Network,
    /// Of the match network.
    pub head: &'a ProposalHead,
    /// Averaged weights of both.
    pub parameters: &'a Parameters,
    /// The rule.
    pub rule: &'a MatchConfig,
    /// Whether the click model is asked for its mask.
    pub asks_click_model: bool,
}

/// What is believed of a picture.
#[derive(Clone, Debug)]
pub struct PseudoLabel {
    /// Probability of the structure, one a mask cell.
    pub probability: Vec<f32>,
    /// The match network's mask: its largest part that it is sure of somewhere; cells.
    pub found: Option<Bitmap>,
    /// The box around it, larger by the rule, model px.
    pub boxed: Option<Rect<ModelSpace>>,
    /// The click model's mask in that box; px of the picture.
    pub outlined: Option<Bitmap>,
    /// IoU of both.
    pub agreement: f32,
}

impl PseudoLabel {
    /// The click model's mask, where the two agree.
    pub fn agreed(&self, rule: &MatchConfig) -> Option<&Bitmap> {
        self.outlined.as_ref().filter(|_| self.agreement >= rule.agreement)
    }
}

impl Labeller<'_> {
    /// Looks at a picture.
    pub fn label(&self, picture: &Picture) -> PseudoLabel {
        let Self { network, head, parameters, rule, asks_click_model } = *self;
        let embedding = network.encoder.forward(parameters, picture.values());
        let seen = network.decoder.see(parameters, embedding, 1);
        let logits = host(head.forward(parameters, &seen).logits);
        let probability: Vec<f32> = logits.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect();
        let found = confident(&probability, rule.threshold);
        let boxed = found.as_ref().and_then(|f| grown_box(f, rule.grow));
        let mut label = PseudoLabel { probability, found, boxed, outlined: None, agreement: 0.0 };
        if asks_click_model && let (Some(found), Some(boxed)) = (&label.found, label.boxed) {
            let prompts = ModelPrompts { boxed: Some(boxed), ..ModelPrompts::default() };
            let answer = network.decoder.forward(parameters, &seen, &[&prompts]);
            let (masks, iou) = (host(answer.masks.reshape([MASKS, CELLS])), host(answer.iou));
            let shown = choose(&prompts, &iou, 0, 0);
            let mask = crate::train::prompts::pixels_of(&masks[shown * CELLS..][..CELLS]);
            label.agreement = in_cells(&mask).iou(found) as f32;
            label.outlined = (mask.area_px() > 0).then_some(mask);
        }
        label
    }
}

fn host(t: Tensor<2>) -> Vec<f32> {
    t.into_data().try_to_vec().unwrap_or_default()
}

/// The mask in mask cells.
fn in_cells(mask: &Bitmap) -> Bitmap {
    let values = cells_of(mask).iter().map(|share| u8::from(*share > 0.5)).collect();
    let side = MASK_CELLS as u32;
    Bitmap::from_values(side, side, values).unwrap_or_else(|| Bitmap::new(side, side))
}

/// The largest region of cells above one half that somewhere reaches the threshold.
pub fn confident(probability: &[f32], threshold: f32) -> Option<Bitmap> {
    let side = MASK_CELLS as u32;
    let above = probability.iter().map(|p| u8::from(*p > 0.5)).collect();
    let parts = Components::of(&Bitmap::from_values(side, side, above)?);
    let is_sure = |part: &Bitmap| part.pixels().iter().zip(probability).any(|(m, p)| *m != 0 && *p >= threshold);
    parts.by_area().into_iter().map(|i| parts.bitmap(i)).find(is_sure)
}

/// The box around a region of cells, larger by a part of its size on each side, within the picture; model px.
fn grown_box(cells: &Bitmap, grow: f32) -> Option<Rect<ModelSpace>> {
    let b = bounds_of(cells)?.grown_by(grow);
    let k = (SIDE / MASK_CELLS) as f32;
    let held = |v: f32| (v * k).clamp(0.0, SIDE as f32);
    Some(Rect::new(held(b.x0), held(b.y0), held(b.x1), held(b.y1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Probabilities of two blobs: a large one that is nowhere sure, and a small one that is.
    fn blobs() -> Vec<f32> {
        (0..CELLS)
            .map(|i| match (i % MASK_CELLS, i / MASK_CELLS) {
                (10..60, 10..60) => 0.8,
                (100..110, 90..95) => 0.97,
                _ => 0.1,
            })
            .collect()
    }

    #[test]
    fn a_region_that_is_nowhere_sure_is_not_found() {
        let found = confident(&blobs(), 0.95).unwrap();
        assert_eq!(found.area_px(), 50);
        assert!(found.get(100, 90) && !found.get(20, 20));
        assert_eq!(confident(&blobs(), 0.99), None);
        assert_eq!(confident(&blobs(), 0.7).unwrap().area_px(), 2500);
    }

    #[test]
    fn the_box_grows_by_its_size_and_stays_in_the_picture() {
        let found = confident(&blobs(), 0.95).unwrap();
        let b = grown_box(&found, 0.1).unwrap();
        assert_eq!((b.x0, b.y0, b.x1, b.y1), (198.0, 179.0, 222.0, 191.0));
        let all = Bitmap::from_values(128, 128, vec![1; CELLS]).unwrap();
        let b = grown_box(&all, 0.1).unwrap();
        assert_eq!((b.x0, b.y0, b.x1, b.y1), (0.0, 0.0, 256.0, 256.0));
    }
}
