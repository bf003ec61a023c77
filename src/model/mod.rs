//! Models: loads a model folder as a [`Segmenter`], and predicts masks with it.
//!
//! | file | what |
//! |---|---|
//! | `files.rs` | the files, in a folder or in memory |
//! | `manifest.rs` | the folder's manifest: files with digests, shapes, training data, self-test |
//! | `preprocess.rs` | frame and view to the encoder's input |
//! | `sam.rs` `graph.rs` | the two graphs in tract, and the tensors between them; with `values.rs` the only files that name tract |
//! | `inspect.rs` | what runs where: operations, multiplications, kernels |
//! | `add.rs` | a model folder from the two files of a SAM export |
//! | `postprocess.rs` | prompt maps, choice of mask |
//! | `correct.rs` | Gaussian-process correction of a mask by its clicks |
//! | `merge.rs` | the outline so far, kept where a correcting click is not about it |
//! | `predictor.rs` | a prediction on a frame: views, decodes, choice and correction of masks |
//! | `suggestion.rs` | the part of a proposal that is suggested to the operator |
//! | `self_test.rs` | compares a model's outputs with its manifest |

pub mod add;
pub mod correct;
pub mod files;
pub mod graph;
pub mod inspect;
pub mod manifest;
pub mod merge;
pub mod pin;
pub mod postprocess;
pub mod predictor;
pub mod preprocess;
pub mod sam;
pub mod self_test;
pub mod suggestion;
pub mod values;
pub mod views;

pub use tract_fused::Kernels;
pub use values::Values;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ModelSpace, ModelView, Point, Rect};
use crate::mask::LogitGrid;
use crate::prompt::Polarity;

/// The environment variable that chooses the kernels of integer regions.
pub const KERNELS_VARIABLE: &str = "SONOTAP_KERNELS";

/// The kernels that [`KERNELS_VARIABLE`] names, or the fastest that this processor can run.
///
/// # Errors
/// `Config` when its value is not the name of kernels that this processor can run.
pub fn chosen_kernels() -> Result<Kernels> {
    match std::env::var(KERNELS_VARIABLE) {
        Ok(name) => name.parse().map_err(|e| fused(e).within(KERNELS_VARIABLE)),
        Err(std::env::VarError::NotPresent) => Ok(Kernels::fastest()),
        Err(e) => Err(Error::caused(ErrorKind::Config, format!("{KERNELS_VARIABLE}: cannot be read"), e)),
    }
}

/// Converts an error of the fused operations.
pub fn fused(e: tract_fused::error::Error) -> Error {
    use tract_fused::error::ErrorKind as Kind;
    let kind = match e.kind() {
        Kind::Model => ErrorKind::Model,
        Kind::Argument => ErrorKind::Argument,
        Kind::Unsupported => ErrorKind::Unsupported,
        Kind::Unavailable => ErrorKind::Unavailable,
        Kind::Config => ErrorKind::Config,
    };
    Error::new(kind, e.to_string())
}

/// Sizes of a model's inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSpec {
    /// Width and height of the encoder's input, model px.
    pub side: u32,
    /// Cells along each side of a mask.
    pub mask_cells: usize,
    /// Number of masks of a decode.
    pub masks: usize,
    /// Channels of the pixel features, 0 if the model has none.
    pub pixel_channels: usize,
    /// First of the masks that a lone click chooses from: 0, or 1 if mask 0 is not trained for a lone click.
    pub first_candidate: usize,
    /// Margin by which the predicted IoU of a closer view must exceed that of the whole image to be preferred. `None` if the
    /// scores of different views are not comparable, since they do not predict the IoU with the whole object, beyond the view.
    pub view_advantage: Option<f32>,
    /// Whether the model proposes a mask without prompts ([`Segmenter::propose`]).
    pub proposes: bool,
}

/// Prompts of a decode, in model space.
#[derive(Clone, Debug, Default)]
pub struct ModelPrompts {
    /// Clicks.
    pub clicks: Vec<(Point<ModelSpace>, Polarity)>,
    /// A box.
    pub boxed: Option<Rect<ModelSpace>>,
    /// Logits of the previous mask, row-major, `mask_cells * mask_cells`; empty when there is none.
    pub previous: Vec<f32>,
}

impl ModelPrompts {
    /// Number of prompts; a box or a previous mask counts as one.
    pub fn count(&self) -> usize {
        self.clicks.len() + usize::from(self.boxed.is_some()) + usize::from(!self.previous.is_empty())
    }

    /// Whether the only prompt is one click, for which the model has alternative masks.
    pub fn is_lone_click(&self) -> bool {
        self.clicks.len() == 1 && self.count() == 1
    }

    /// Removes all prompts; keeps the buffers.
    pub fn clear(&mut self) {
        self.clicks.clear();
        self.boxed = None;
        self.previous.clear();
    }
}

/// Results of a decode; buffers are reused.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Logits, `[masks, mask_cells, mask_cells]` row-major.
    pub masks: Values,
    /// The model's estimate of each mask's IoU, `[masks]`, not clamped.
    pub iou: Vec<f32>,
    /// Pixel features, `[pixel_channels, mask_cells, mask_cells]`; empty if the model has none.
    pub pixels: Values,
}

/// A promptable model: encodes a frame once, then decodes prompts on it.
pub trait Segmenter: Send {
    /// Sizes of inputs and outputs.
    fn spec(&self) -> ModelSpec;

    /// Encodes `frame` through `view`, whose side must be the model's. The embedding is kept until the next call.
    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()>;

    /// Decodes prompts on the frame that was encoded last.
    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()>;

    /// Writes the logits of the structure that the model was tuned to find, on the frame that was encoded last and without any
    /// prompt, `[mask_cells, mask_cells]` row-major. Returns its estimate of the IoU of the mask's largest part with the
    /// structure, not clamped; `None`, and `out` is empty, if the model proposes nothing ([`ModelSpec::proposes`]).
    fn propose(&mut self, out: &mut Vec<f32>) -> Result<Option<f32>> {
        out.clear();
        Ok(None)
    }
}

/// An all-background grid of this model's mask size for a view.
pub fn empty_grid(spec: &ModelSpec, view: ModelView) -> LogitGrid {
    LogitGrid::background(spec.mask_cells, view)
}
