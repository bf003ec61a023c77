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
use sonotap::error::Result;
use sonotap::geometry::{ImageSpace, ModelView, Rect};
use sonotap::mask::{Bitmap, LogitGrid};

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
}

/// The mask that is proposed on an image, at the image's size.
pub fn propose(network: &Network, head: &ProposalHead, parameters: &Parameters, grey: &Grey) -> Bitmap {
    let (width, height) = (grey.width as u32, grey.height as u32);
    let view = ModelView::new(Rect::<ImageSpace>::new(0.0, 0.0, width as f32, height as f32), SIDE as u32);
    // Pixel p of the view shows the image's place (p + 1/2) k - 1/2.
    let k = grey.width.max(grey.height) as f32 / SIDE as f32;
    let picture = grey.warped(&Affine([k, 0.0, 0.5 * k - 0.5, 0.0, k, 0.5 * k - 0.5]));
    let embedding = network.encoder.forward(parameters, picture.values());
    let z = head.forward(parameters, &network.decoder.see(parameters, embedding, 1));
    let values = z.into_data().try_to_vec().unwrap_or_default();
    match LogitGrid::from_values(MASK_CELLS, view, values) {
        Some(grid) => grid.to_bitmap(width, height),
        None => Bitmap::new(width, height),
    }
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
        let proposed = propose(network, head, parameters, &grey);
        found.images += 1;
        found.dice += dice(&proposed, &truth);
        found.iou += proposed.iou(&truth);
        found.silent += usize::from(proposed.area_px() == 0);
    }
    let n = found.images.max(1) as f64;
    (found.dice, found.iou) = (found.dice / n, found.iou / n);
    Ok(found)
}
