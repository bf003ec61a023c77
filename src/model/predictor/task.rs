//! The arguments of a prediction, checked, and the image region of each object.

use super::{MAX_CLICKS, Prediction, Prompts};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Rect};
use crate::mask::LogitGrid;
use crate::units::ObjectId;

/// Inputs of a prediction.
pub(super) struct Task<'a> {
    pub(super) frame: &'a Frame,
    pub(super) objects: &'a [Prompts],
    /// The region of each object.
    homes: [Rect<ImageSpace>; ObjectId::MAX],
    /// The region that is predicted now.
    pub(super) bounds: Rect<ImageSpace>,
}

impl<'a> Task<'a> {
    /// Checks the arguments and finds the region of each object.
    ///
    /// # Errors
    /// Those of [`Predictor::predict`](super::Predictor::predict) about its arguments.
    pub(super) fn new(frame: &'a Frame, objects: &'a [Prompts]) -> Result<Self> {
        check(frame, objects)?;
        let homes = homes(frame, objects)?;
        Ok(Self { frame, objects, homes, bounds: homes[0] })
    }

    /// Whether an object is in the region that is predicted now.
    pub(super) fn is_here(&self, object: usize) -> bool {
        self.homes[object] == self.bounds
    }

    /// The regions that contain objects.
    pub(super) fn regions(&mut self, mut look: impl FnMut(&Self) -> Result<()>) -> Result<()> {
        for i in 0..self.objects.len() {
            if !self.homes[..i].contains(&self.homes[i]) {
                self.bounds = self.homes[i];
                look(self)?;
            }
        }
        Ok(())
    }
}

/// Bounding box of the previous mask.
pub(super) fn outline_bounds(object: &Prompts) -> Option<Rect<ImageSpace>> {
    object.previous.as_ref().and_then(LogitGrid::inside_bounds)
}

/// Bounding box of outlines and prompts of the region's objects that have an outline, within the bounds.
pub(super) fn target(task: &Task, out: &[Prediction]) -> Option<Rect<ImageSpace>> {
    let mut target: Option<Rect<ImageSpace>> = None;
    for (_, (object, answer)) in task.objects.iter().zip(out).enumerate().filter(|(i, _)| task.is_here(*i)) {
        let answered = answer.mask().and_then(LogitGrid::inside_bounds);
        let Some(outline) = answered.or_else(|| outline_bounds(object)) else { continue };
        let prompts = object.clicks.iter().map(|&(at, _)| Rect::between(at, at)).chain(object.boxed);
        let all = prompts.fold(outline, |all, r| all.union(&r));
        target = Some(target.map_or(all, |t| t.union(&all)));
    }
    target.map(|t| t.intersect(&task.bounds).unwrap_or(task.bounds))
}

/// The image region of each object: the region it names, else that of its prompts, else that of its outline.
fn homes(frame: &Frame, objects: &[Prompts]) -> Result<[Rect<ImageSpace>; ObjectId::MAX]> {
    let whole = frame.bounds();
    let mut homes = [frame.region.rect.intersect(&whole).unwrap_or(whole); ObjectId::MAX];
    for (i, (object, home)) in objects.iter().zip(&mut homes).enumerate() {
        let misplaced = |why| Error::new(ErrorKind::Argument, format!("object {i}: {why}"));
        let clicks = object.clicks.iter().map(|&(at, _)| at);
        let of_prompts = || frame.region_of(clicks, object.boxed.as_ref()).map_err(misplaced);
        let of_outline = || outline_bounds(object).and_then(|b| frame.parts().of_box(&b).ok());
        let region = match object.region {
            Some(region) => Some(region),
            None => of_prompts()?.or_else(of_outline).map(|r| r.rect),
        };
        *home = region.and_then(|r| r.intersect(&whole)).unwrap_or(*home);
    }
    Ok(homes)
}

pub(super) fn check(frame: &Frame, objects: &[Prompts]) -> Result<()> {
    let fault = |what: String| Err(Error::new(ErrorKind::Argument, what));
    let (width, height) = (frame.width, frame.height);
    if frame.width == 0 || frame.height == 0 {
        return fault(format!("expected a frame with pixels, got {width}x{height}"));
    }
    if objects.len() > ObjectId::MAX {
        return fault(format!("expected at most {} objects, got {}", ObjectId::MAX, objects.len()));
    }
    for (i, object) in objects.iter().enumerate() {
        let clicks = object.clicks.len();
        if clicks > MAX_CLICKS {
            return fault(format!("object {i}: expected at most {MAX_CLICKS} clicks, got {clicks}"));
        }
        if clicks == 0 && object.boxed.is_none() && object.previous.is_none() {
            return fault(format!("object {i}: expected a click, a box or a previous mask, got none"));
        }
        if let Some((n, (at, _))) = object.clicks.iter().enumerate().find(|(_, (at, _))| !frame.contains(*at)) {
            return fault(format!("object {i}: click {n} at {at:?} is outside the {width}x{height} frame"));
        }
        if let Some(boxed) = object.boxed
            && (!(boxed.min().is_finite() && boxed.max().is_finite()) || boxed.intersect(&frame.bounds()).is_none())
        {
            return fault(format!("object {i}: box {boxed:?} covers nothing of the {width}x{height} frame"));
        }
    }
    Ok(())
}
