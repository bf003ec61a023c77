//! What an evaluation keeps of each object: the parts of `report.json` that come from one row of a data set.

use serde::{Deserialize, Serialize};

use super::clicks::PixelClick;

/// Name and version of the report's form.
pub const SCHEMA: &str = "sonotap-eval/1";

/// Distances of the predicted boundary from the true one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Boundary {
    /// Whether the distances are millimetres; image px otherwise.
    pub is_mm: bool,
    /// 95 % Hausdorff distance.
    pub hd95: f64,
    /// Average symmetric surface distance.
    pub assd: f64,
    /// Share of both boundaries within the tolerance (normalized surface Dice).
    pub nsd: f64,
    /// The tolerance of `nsd`.
    pub tolerance: f64,
}

/// The answer after one more prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// IoU of the mask that inference chooses; 0 when the model gave none.
    pub iou: f64,
    /// Dice of the same.
    pub dice: f64,
    /// Highest IoU of all masks of the last decode, where the protocol asks for it.
    pub oracle_iou: Option<f64>,
    /// The model's own estimate of the IoU; `None` when it gave no mask.
    pub score: Option<f64>,
    /// Time of the look, encoder included, ms.
    pub ms: f64,
    /// Boundary distances, at the prompts where they are taken and both masks hold something.
    pub boundary: Option<Boundary>,
    /// Circumference of the ellipse of the outline less the manifest's head circumference, mm.
    pub hc_error_mm: Option<f64>,
}

/// One object under one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// `noc`, `msa/point-largest`, `box/exact`, ...
    pub protocol: String,
    /// `full` (target crop and click correction, as the product looks) or `plain` (neither).
    pub look: String,
    /// One for each click, or one alone for a box.
    pub steps: Vec<Step>,
    /// The clicks, from the first to the last.
    pub clicks: Vec<PixelClick>,
}

/// One object with all its answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Data set.
    pub data: String,
    /// Line of its manifest, the header being 1.
    pub row: usize,
    /// File name as written there.
    pub image: String,
    /// File name as written there.
    pub mask: String,
    /// Which 8-connected component of the mask, 0 the largest.
    pub component: usize,
    /// As written there.
    pub organ: String,
    /// As written there.
    pub class: String,
    /// What the bootstrap draws as one.
    pub group: String,
    /// As written there.
    pub split: String,
    /// Image size, px.
    pub size: (u32, u32),
    /// Pixels of the object.
    pub area_px: usize,
    /// Millimetres a pixel, if known.
    pub pixel_mm: Option<f64>,
    /// In the order in which they were asked.
    pub answers: Vec<Answer>,
}

impl Row {
    /// The object's share of the image.
    pub fn area_share(&self) -> f64 {
        self.area_px as f64 / (f64::from(self.size.0) * f64::from(self.size.1)).max(1.0)
    }

    /// The answer under a protocol.
    pub fn answer(&self, protocol: &str, look: &str) -> Option<&Answer> {
        self.answers.iter().find(|a| a.protocol == protocol && a.look == look)
    }
}

/// A row that could not be used, and why.
pub use super::dataset::Unusable;

/// Mean IoU after 1, 2 .. clicks over all rows; an object that needs no further click keeps its IoU.
pub fn mean_iou_by_click(rows: &[Row], protocol: &str, look: &str, clicks: usize) -> Vec<f64> {
    let mut iou = vec![0.0; clicks];
    for row in rows {
        let steps = row.answer(protocol, look).map_or(&[][..], |a| &a.steps);
        for (i, sum) in iou.iter_mut().enumerate() {
            *sum += steps.get(i).or(steps.last()).map_or(0.0, |s| s.iou) / rows.len() as f64;
        }
    }
    iou
}
