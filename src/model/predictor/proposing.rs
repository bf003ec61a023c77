//! What a model finds without any prompt: the proposal as it is, and the part of it that is suggested to an operator.

use super::task::check;
use super::{EVERYTHING, PredictionReport, Predictor, area_cells, blank_padding};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, ModelView, Rect};
use crate::mask::LogitGrid;
use crate::model::views;
use crate::units::Score;

impl Predictor {
    /// The mask of the structure that the model was tuned to find in a region of `frame`, without any prompt; `None` if the
    /// model proposes nothing. It costs no encode if that region is the view that was encoded last.
    ///
    /// # Errors
    /// `Argument` for an empty frame; those of the model.
    pub fn propose(&mut self, frame: &Frame, region: Rect<ImageSpace>) -> Result<Option<LogitGrid>> {
        let found = self.run_proposal(frame, region)?;
        let values = std::mem::take(&mut self.proposed);
        Ok(found.and_then(|(view, _)| LogitGrid::from_values(self.spec.mask_cells, view, values)))
    }

    /// What to suggest to an operator in a region of `frame`, without any prompt: writes the largest part of the proposal to
    /// `out`, whose buffer is reused, and returns the model's estimate of its IoU with the structure. `None` if the model proposes
    /// nothing, no part of some size, or all of the region.
    ///
    /// # Errors
    /// As [`Self::propose`].
    pub fn suggest(
        &mut self,
        frame: &Frame,
        region: Rect<ImageSpace>,
        out: &mut Option<LogitGrid>,
    ) -> Result<Option<Score>> {
        let Some((view, score)) = self.run_proposal(frame, region)? else { return Ok(None) };
        let cells = self.spec.mask_cells;
        let grid = out.get_or_insert_with(|| LogitGrid::background(cells, view));
        grid.reset(cells, view);
        grid.values_mut().copy_from_slice(&self.proposed);
        let (columns, rows) = views::filled_cells(&view, cells);
        blank_padding(grid.values_mut(), cells, columns, rows);
        let score = Score::new(score).filter(|_| self.parts.keep(grid));
        let is_everything = area_cells(grid.values(), cells, &view) as f64 > EVERYTHING * (columns * rows) as f64;
        Ok(score.filter(|_| !is_everything))
    }

    /// Runs the proposal network on a region of a frame, and returns the score; `None` if the model has none.
    fn run_proposal(&mut self, frame: &Frame, region: Rect<ImageSpace>) -> Result<Option<(ModelView, f32)>> {
        if !self.spec.proposes {
            return Ok(None);
        }
        check(frame, &[])?;
        if frame.id.is_none() {
            self.encoded = None;
        }
        let view = ModelView::new(region, self.spec.side);
        let mut report = PredictionReport { encodes: 0, decodes: 0, encode_ns: 0, decode_ns: 0, view };
        self.encode(frame, &view, &mut report)?;
        let Some(score) = self.segmenter.propose(&mut self.proposed)? else { return Ok(None) };
        let (got, expected) = (self.proposed.len(), self.spec.mask_cells.pow(2));
        if got != expected {
            return Err(Error::new(ErrorKind::Model, format!("proposal: expected {expected} logits, got {got}")));
        }
        Ok(Some((view, score)))
    }
}
