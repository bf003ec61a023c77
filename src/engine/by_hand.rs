//! Measuring by hand on the frame that is shown: which taps go to the calipers, and the scale by the ruler.

use std::sync::Arc;

use super::Engine;
use crate::calipers::figures::FigureGroup;
use crate::calipers::set::Reading;
use crate::calipers::{CaliperCommand, CaliperNotice, CaliperView, Calipers, Exact, KnownScale, Page, Seen};
use crate::contour::{Outline, trace};
use crate::frame::{Frame, PixelScale};
use crate::geometry::{ImageSpace, Point};
use crate::region::FrameRegion;
use crate::scene::{Mode, Notice, Overlay};
use crate::session::Command;
use crate::units::{ObjectId, Timestamp};

/// The calipers, what is drawn of them, and the scale of the frame that is shown.
pub(super) struct ByHand {
    calipers: Calipers,
    view: Option<Arc<CaliperView>>,
    /// What is drawn is not what is measured any more.
    is_stale: bool,
    scale: Option<PixelScale>,
    is_dropped: bool,
}

impl ByHand {
    pub(super) fn new(known: Arc<[KnownScale]>) -> Self {
        Self { calipers: Calipers::new(known), view: None, is_stale: false, scale: None, is_dropped: false }
    }

    pub(super) fn new_exam(&mut self) {
        self.calipers.new_exam();
        (self.view, self.scale, self.is_dropped) = (None, None, false);
    }

    /// Another picture is shown: its calipers are others.
    pub(super) fn went_live(&mut self) {
        self.calipers.went_live();
        (self.view, self.is_stale) = (None, true);
    }

    pub(super) fn scale(&self) -> Option<PixelScale> {
        self.scale
    }

    pub(super) fn view(&self) -> Option<&Arc<CaliperView>> {
        self.view.as_ref()
    }
}

/// An exact outline of the frame that is shown.
struct OutlineHere {
    object: ObjectId,
    is_active: bool,
    outline: Outline,
    scale: Option<PixelScale>,
}

impl Engine {
    /// What the calipers on the shown frame say; none while live.
    pub fn caliper_readings(&self) -> Vec<Reading> {
        self.with_seen(|calipers, seen| calipers.readings(seen)).unwrap_or_default()
    }

    /// Medians, volumes and ejection fractions of this exam that are complete.
    pub fn caliper_figures(&self) -> Vec<FigureGroup> {
        self.by_hand.calipers.figures()
    }

    /// Whether the command was one of measuring by hand, and was executed.
    pub(super) fn measures_by_hand(&mut self, command: &Command, now: Timestamp) -> bool {
        let is_live = self.session.mode() == Mode::Live;
        let has_page = self.by_hand.calipers.page().is_some();
        let outcome = match *command {
            Command::Calipers(_) if is_live => Err(CaliperNotice::FreezeFirst),
            Command::Calipers(command) => self.apply_by_hand(command),
            _ if is_live || !has_page => return false,
            Command::Click { at, shown, .. } => match self.shown.as_ref().and_then(|f| f.id()) == shown {
                true => self.tap_by_hand(at),
                false => {
                    self.session.notify(Notice::FrameGone, now);
                    return true;
                }
            },
            Command::BoxPrompt { .. } | Command::RubberBand(_) => return true,
            Command::Undo => {
                self.by_hand.calipers.undo();
                Ok(())
            }
            Command::Redo => {
                self.by_hand.calipers.redo();
                Ok(())
            }
            Command::Clear => self.apply_by_hand(CaliperCommand::Delete),
            _ => return false,
        };
        if let Err(why) = outcome {
            self.session.notify(Notice::Calipers(why), now);
        }
        self.note_scale(false);
        self.by_hand.is_stale = true;
        true
    }

    fn apply_by_hand(&mut self, command: CaliperCommand) -> Result<(), CaliperNotice> {
        let changed = self.with_seen(|calipers, seen| {
            let mut calipers = calipers.clone();
            let outcome = calipers.apply(command, seen);
            (calipers, outcome)
        });
        self.take_by_hand(changed)
    }

    fn tap_by_hand(&mut self, p: Point<ImageSpace>) -> Result<(), CaliperNotice> {
        let changed = self.with_seen(|calipers, seen| {
            let mut calipers = calipers.clone();
            let outcome = calipers.tap(p, seen);
            (calipers, outcome)
        });
        self.take_by_hand(changed)
    }

    fn take_by_hand(&mut self, changed: Option<(Calipers, Result<(), CaliperNotice>)>) -> Result<(), CaliperNotice> {
        let (calipers, outcome) = changed.ok_or(CaliperNotice::FreezeFirst)?;
        self.by_hand.calipers = calipers;
        outcome
    }

    /// The mode may have changed.
    pub(super) fn note_mode(&mut self) {
        if self.session.mode() == Mode::Live {
            self.by_hand.calipers.went_live();
        }
        self.by_hand.is_stale = true;
    }

    /// Another frame is shown, or another scale counts.
    pub(super) fn note_scale(&mut self, is_new_frame: bool) {
        let Some(frame) = &self.shown else { return };
        let is_live = is_new_frame && self.session.mode() == Mode::Live;
        let by_hand = &mut self.by_hand;
        let scale = by_hand.calipers.scale_of(frame, by_hand.scale.as_ref());
        if is_live && by_hand.calipers.live_frame(scale.as_ref()) {
            by_hand.is_dropped = true;
        }
        by_hand.is_stale |= scale != by_hand.scale;
        by_hand.scale = scale;
    }

    /// Brings what is drawn up to date. Costs nothing while nobody measures by hand.
    pub(super) fn write_by_hand(&mut self) {
        if self.session.mode() == Mode::Live || self.by_hand.calipers.is_idle() {
            self.by_hand.view = None;
            return;
        }
        let is_of_frame = self.shown.as_ref().and_then(|f| f.id()) == self.scenery.scene().frame;
        if self.by_hand.is_stale || !is_of_frame || self.by_hand.view.is_none() {
            let view = self.with_seen(|calipers, seen| calipers.view(seen));
            self.by_hand.view = view.map(Arc::new);
            self.by_hand.is_stale = false;
        }
    }

    /// Whether the scale by hand was dropped since the last call.
    pub(super) fn take_scale_dropped(&mut self) -> bool {
        std::mem::take(&mut self.by_hand.is_dropped)
    }

    /// Does something with the calipers and what is on the screen; `None` before the first frame.
    fn with_seen<T>(&self, mut act: impl FnMut(&Calipers, &Seen) -> T) -> Option<T> {
        let frame = self.shown.as_ref()?;
        let id = frame.id()?;
        let here = self.outlines_here(frame);
        let exact: Vec<Exact> = here
            .iter()
            .map(|o| Exact { object: o.object, is_active: o.is_active, outline: &o.outline, scale: o.scale })
            .collect();
        let preset = self.config.preset.as_deref();
        let reach_px = self.config.marker_radius_px;
        Some(act(&self.by_hand.calipers, &Seen { frame, id, exact: &exact, reach_px, preset }))
    }

    /// The outlines that were computed from the shown frame, with all edits; none while live.
    fn outlines_here(&self, frame: &Frame) -> Vec<OutlineHere> {
        if self.session.mode() == Mode::Live || !frame.region().content.is_segmentable() {
            return Vec::new();
        }
        let of = |i: usize| {
            let object = ObjectId(i as u8);
            let (slot, prompts) = (&self.slots[i], self.session.prompts());
            let overlay = slot.object.overlay_still(frame.id(), prompts.object_revision(object));
            let grid = slot.object.carried().filter(|_| overlay == Overlay::Exact)?;
            let mut outline = Outline::default();
            trace(grid, &mut outline);
            let home = slot.home.or_else(|| frame.parts().first().copied()).unwrap_or_default();
            let home = FrameRegion { scale: home.scale.or(self.by_hand.scale), ..home };
            // What is measured in no scale for a reason is not measured in px either.
            let scale = frame.scale_for(&home, &outline, grid).ok()?;
            let is_active = object == self.session.active_object();
            (!outline.is_empty()).then_some(OutlineHere { object, is_active, outline, scale })
        };
        (0..ObjectId::MAX).filter_map(of).collect()
    }

    /// The page of measuring, where its controls are shown.
    pub fn caliper_page(&self) -> Option<Page> {
        self.by_hand.calipers.page()
    }
}
