//! A saved picture that is outlined anew: it takes the place of the cine ring until the screen goes live.
//!
//! Its outlines are computed from the prompts that were saved with it. The ring of the live picture waits, whole, and comes back; what
//! was prompted live is forgotten, as it would be after another picture.

use super::Engine;
use super::cine::CineRing;
use crate::frame::Frame;
use crate::geometry::{ImageSpace, Point, Rect};
use crate::prompt::Polarity;
use crate::scene::Mode;
use crate::units::{FrameId, ObjectId, Timestamp};
use std::sync::Arc;

/// Numbers of reopened frames begin here, far above those of a live source; a browser's numbers hold them exactly.
const FIRST_NUMBER: u64 = 1 << 52;

/// A saved picture.
#[derive(Clone, Debug, Default)]
pub struct SavedStill {
    /// The frame, with its regions and scales.
    pub frame: Frame,
    /// The prompts of its objects.
    pub objects: Vec<SavedObject>,
}

/// The prompts of a saved object.
#[derive(Clone, Debug)]
pub struct SavedObject {
    /// Which one.
    pub object: ObjectId,
    /// Its box.
    pub boxed: Option<Rect<ImageSpace>>,
    /// Its clicks.
    pub clicks: Vec<(Point<ImageSpace>, Polarity)>,
}

/// What waits while a saved picture is shown.
#[derive(Default)]
pub(super) struct Aside {
    ring: Option<CineRing>,
    is_open: bool,
    opened: u64,
}

impl Aside {
    /// Another patient: nothing comes back.
    pub(super) fn forget(&mut self) {
        (self.ring, self.is_open) = (None, false);
    }
}

impl Engine {
    /// Shows a saved picture, frozen, with its prompts. Returns whether it does: only in place of another picture.
    pub fn reopen(&mut self, still: SavedStill, now: Timestamp) -> bool {
        if self.shown.is_none() || still.frame.pixels().is_empty() {
            return false;
        }
        if !self.aside.is_open {
            (self.aside.ring, self.aside.is_open) = (self.ring.take(), true);
        }
        let SavedStill { mut frame, objects } = still;
        frame.stamp(FrameId(FIRST_NUMBER + self.aside.opened), now);
        self.aside.opened += 1;
        let frame = Arc::new(frame);
        let mut ring = CineRing::new(self.config.cine_bytes);
        ring.push(frame.clone());
        self.ring = Some(ring);
        self.forget_outlines();
        self.session.reopen();
        self.by_hand.went_live();
        self.show(frame);
        for saved in &objects {
            if self.session.restore(saved.object, saved.boxed, &saved.clicks) {
                self.slots[saved.object.index()].object.restart();
            }
        }
        self.session.settle(objects.first().map(|o| o.object));
        self.note_edits();
        self.note_mode();
        (self.last_asked, self.is_changed) = (None, true);
        true
    }

    /// Whether a saved picture is shown in place of the live one.
    pub fn is_reopened(&self) -> bool {
        self.aside.is_open
    }

    /// The mode may have changed: when the screen is live, the ring comes back with its newest frame.
    pub(super) fn close_reopened(&mut self) {
        if !self.aside.is_open || self.session.mode() != Mode::Live {
            return;
        }
        self.ring = self.aside.ring.take();
        self.aside.is_open = false;
        self.session.forget_prompts();
        self.forget_outlines();
        match self.ring.as_ref().and_then(|ring| ring.nth_newest(0)).cloned() {
            Some(newest) => drop(self.show(newest)),
            None => self.shown = None,
        }
        self.is_changed = true;
    }

    fn forget_outlines(&mut self) {
        self.session.forget_prompts();
        let revision = self.revision();
        self.slots.iter_mut().for_each(|slot| slot.forget(revision));
    }
}
