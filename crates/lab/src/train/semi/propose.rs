//! Proposals on whole images as the device would make them, and how good they are.

use serde::{Deserialize, Serialize};

use super::config::SemiConfig;
use super::pictures::{images_of, read};
use crate::eval::metrics::dice;
use crate::train::net::Network;
use crate::train::net::decoder::MASK_CELLS;
use crate::train::net::parameters::Parameters;
use crate::train::net::proposal::ProposalHead;
use crate::train::picture::{Affine, Grey, SIDE};
use crate::train::prompts::cells_of;
use sonotap::error::Result;
use sonotap::geometry::{ImageSpace, ModelView, Rect};
use sonotap::mask::{Bitmap, LogitGrid};
use sonotap::model::suggestion::LargestPart;

/// Figures of proposals on a split.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Proposals {
    /// Images.
    pub images: usize,
    /// Mean Dice of the proposed mask with all masks of the image.
    pub dice: f64,
    /// Mean IoU of the same.
    pub iou: f64,
    /// Images without a proposal.
    pub silent: usize,
    /// Mean distance of the estimated IoU from that of the part that would be suggested.
    #[serde(default)]
    pub score_error: f64,
}

/// A proposal on an image, at the image's size.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// All of it.
    pub mask: Bitmap,
    /// Its largest part, as it would be suggested; empty without one.
    pub suggested: Bitmap,
    /// Estimated IoU of that part.
    pub score: f64,
}

/// IoU of the largest part of a proposal, as it would be suggested, with the structure; both as cells. 0 without such a part.
pub fn suggested_iou(logits: Vec<f32>, truth: &Bitmap) -> f32 {
    let side = SIDE as f32;
    let view = ModelView::new(Rect::<ImageSpace>::new(0.0, 0.0, side, side), SIDE as u32);
    let Some(mut grid) = LogitGrid::from_values(MASK_CELLS, view, logits) else { return 0.0 };
    if !LargestPart::default().keep(&mut grid) {
        return 0.0;
    }
    let (mut both, mut either) = (0u32, 0u32);
    for (logit, share) in grid.values().iter().zip(cells_of(truth)) {
        let (a, b) = (*logit > 0.0, share > 0.5);
        both += u32::from(a && b);
        either += u32::from(a || b);
    }
    both as f32 / either.max(1) as f32
}

/// What is proposed on an image.
pub fn propose(network: &Network, head: &ProposalHead, parameters: &Parameters, grey: &Grey) -> Proposal {
    let (width, height) = (grey.width as u32, grey.height as u32);
    let view = ModelView::new(Rect::<ImageSpace>::new(0.0, 0.0, width as f32, height as f32), SIDE as u32);
    // Pixel p of the view shows the image's place (p + 1/2) k - 1/2.
    let k = grey.width.max(grey.height) as f32 / SIDE as f32;
    let picture = grey.warped(&Affine([k, 0.0, 0.5 * k - 0.5, 0.0, k, 0.5 * k - 0.5]));
    let embedding = network.encoder.forward(parameters, picture.values());
    let proposed = head.forward(parameters, &network.decoder.see(parameters, embedding, 1));
    let score = f64::from(proposed.score().into_scalar::<f32>());
    let values = proposed.logits.into_data().try_to_vec().unwrap_or_default();
    let mut found = Proposal { mask: Bitmap::new(width, height), suggested: Bitmap::new(width, height), score };
    if let Some(mut grid) = LogitGrid::from_values(MASK_CELLS, view, values) {
        found.mask = grid.to_bitmap(width, height);
        if LargestPart::default().keep(&mut grid) {
            found.suggested = grid.to_bitmap(width, height);
        }
    }
    found
}

/// Proposals on all images of a split.
///
/// # Errors
/// Those of the set; `Format` when an image cannot be read.
pub fn evaluate(
    config: &SemiConfig,
    split: &str,
    network: &Network,
    head: &ProposalHead,
    parameters: &Parameters,
) -> Result<Proposals> {
    let mut found = Proposals::default();
    for rows in images_of(config, split)? {
        let (grey, truth) = read(&rows)?;
        let Proposal { mask, suggested, score } = propose(network, head, parameters, &grey);
        found.images += 1;
        found.dice += dice(&mask, &truth);
        found.iou += mask.iou(&truth);
        found.silent += usize::from(mask.area_px() == 0);
        found.score_error += (score - suggested.iou(&truth)).abs();
    }
    let n = found.images.max(1) as f64;
    (found.dice, found.iou, found.score_error) = (found.dice / n, found.iou / n, found.score_error / n);
    Ok(found)
}
