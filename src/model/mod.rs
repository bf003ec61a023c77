//! The model room: a folder on disk becomes a [`Segmenter`], a look through it becomes a mask.
//!
//! | file | what |
//! |---|---|
//! | `manifest.rs` | the folder's manifest: files with digests, shapes, training data, self-test |
//! | `preprocess.rs` | frame and view to the encoder's input |
//! | `sam.rs` `graph.rs` | the two graphs in tract, and what passes between them; with `values.rs` the only files that name tract |
//! | `inspect.rs` | what runs where: operations, multiplications, kernels |
//! | `add.rs` | a model folder from the two files of a SAM export |
//! | `postprocess.rs` | prompt maps, choice of mask |
//! | `correct.rs` | Gaussian-process correction, so that clicks hold |
//! | `look.rs` | one look at a frame: views, decodes, the rules above in their order |
//! | `self_test.rs` | does the model compute what its manifest says |

pub mod add;
pub mod correct;
pub mod graph;
pub mod inspect;
pub mod look;
pub mod manifest;
pub mod pin;
pub mod postprocess;
pub mod preprocess;
pub mod sam;
pub mod self_test;
pub mod values;
pub mod views;

pub use tract_fused::Kernels;
pub use values::Values;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Model, ModelView, Point, Rect};
use crate::mask::LogitGrid;
use crate::prompt::Polarity;

/// The environment variable that chooses the kernels of integer regions.
pub const KERNELS_VARIABLE: &str = "SONOTAP_KERNELS";

/// The kernels that [`KERNELS_VARIABLE`] names, or the fastest that this processor has.
///
/// # Errors
/// `Config` when it names none that there is, or that this processor has.
pub fn chosen_kernels() -> Result<Kernels> {
    match std::env::var(KERNELS_VARIABLE) {
        Ok(name) => name.parse().map_err(|e| fused(e).within(KERNELS_VARIABLE)),
        Err(std::env::VarError::NotPresent) => Ok(Kernels::fastest()),
        Err(e) => Err(Error::caused(ErrorKind::Config, format!("{KERNELS_VARIABLE}: cannot be read"), e)),
    }
}

/// An error of the fused operations as one of ours.
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

/// What a model takes and gives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelSpec {
    /// Width and height of the encoder's input, model px.
    pub side: u32,
    /// Cells along each side of a mask.
    pub mask_cells: usize,
    /// Number of masks a decode gives.
    pub masks: usize,
    /// Channels of the pixel features, 0 when the model gives none.
    pub pixel_channels: usize,
    /// First of the masks that a lone click chooses from: 0, or 1 for a model whose mask 0 is not made for a lone click.
    pub first_candidate: usize,
    /// By how much the predicted IoU of a closer view must be above that of the whole image to be preferred; `None` when
    /// predicted IoUs are not those with the whole object, also beyond the view, so that answers of several views do not compare.
    pub view_advantage: Option<f32>,
}

/// What a decode is asked, in model space.
#[derive(Clone, Debug, Default)]
pub struct ModelPrompts {
    /// Clicks.
    pub clicks: Vec<(Point<Model>, Polarity)>,
    /// A box.
    pub boxed: Option<Rect<Model>>,
    /// Logits of the previous mask, row-major, `mask_cells * mask_cells`; empty when there is none.
    pub previous: Vec<f32>,
}

impl ModelPrompts {
    /// Number of prompts; a box or a previous mask counts as one.
    pub fn count(&self) -> usize {
        self.clicks.len() + usize::from(self.boxed.is_some()) + usize::from(!self.previous.is_empty())
    }

    /// Whether all there is is one click, so that the model offers alternatives.
    pub fn is_lone_click(&self) -> bool {
        self.clicks.len() == 1 && self.count() == 1
    }

    /// Forgets everything, keeping the buffers.
    pub fn clear(&mut self) {
        self.clicks.clear();
        self.boxed = None;
        self.previous.clear();
    }
}

/// What a decode gives; buffers are reused from call to call.
#[derive(Clone, Debug, Default)]
pub struct Decoded {
    /// Logits, `[masks, mask_cells, mask_cells]` row-major.
    pub masks: Values,
    /// The model's estimate of each mask's IoU, `[masks]`, not clamped.
    pub iou: Vec<f32>,
    /// Pixel features, `[pixel_channels, mask_cells, mask_cells]`; empty when the model gives none.
    pub pixels: Values,
}

/// A promptable model: looks at a frame once, then answers prompts about it.
pub trait Segmenter: Send {
    /// What it takes and gives.
    fn spec(&self) -> ModelSpec;

    /// Looks at `frame` through `view` (its side must be the model's). The embedding stays until the next call.
    fn encode(&mut self, frame: &Frame, view: &ModelView) -> Result<()>;

    /// Answers prompts about what was last encoded.
    fn decode(&mut self, prompts: &ModelPrompts, out: &mut Decoded) -> Result<()>;
}

/// An all-background grid of this model's mask size for a view.
pub fn empty_grid(spec: &ModelSpec, view: ModelView) -> LogitGrid {
    LogitGrid::background(spec.mask_cells, view)
}
