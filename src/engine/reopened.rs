//! A saved item that is reviewed and outlined anew: its frames take the place of the cine ring until the screen goes live.
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
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Numbers of reopened frames begin here, far above those of a live source; a browser's numbers hold them exactly.
const FIRST_NUMBER: u64 = 1 << 52;

/// The frames of a saved item: one of a still, more of a cine.
#[derive(Clone, Debug, Default)]
pub struct SavedFrames {
    /// The number of the item in its exam. The frames of an item have the same numbers whenever it is shown, so that none of them
    /// is kept twice for a median.
    pub item: u32,
    /// The frames with their regions and scales, and since when after the first, oldest first.
    pub frames: Vec<(Frame, Duration)>,
    /// The one that was outlined, which is shown first.
    pub outlined: usize,
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
    /// Number of the first frame of each item that was shown in this exam, and how many it has.
    numbers: BTreeMap<u32, (u64, usize)>,
    /// Frames that were given numbers.
    numbered: u64,
    /// The item that is shown.
    item: u32,
}

impl Aside {
    /// Another patient: nothing comes back.
    pub(super) fn forget(&mut self) {
        (self.ring, self.is_open) = (None, false);
        self.numbers.clear();
    }

    /// The number of an item's first frame.
    fn first_number(&mut self, item: u32, frames: usize) -> u64 {
        match self.numbers.get(&item) {
            Some((first, count)) if *count == frames => *first,
            _ => {
                let first = FIRST_NUMBER + self.numbered;
                self.numbered += frames as u64;
                self.numbers.insert(item, (first, frames));
                first
            }
        }
    }
}

impl Engine {
    /// Shows a saved item, frozen at its outlined frame, with its prompts; its other frames can be stepped to. Of more frames than a
    /// ring holds the oldest go. Returns whether it does: only in place of another picture, and only what has pixels.
    pub fn reopen(&mut self, saved: SavedFrames, now: Timestamp) -> bool {
        let SavedFrames { item, frames, outlined, objects } = saved;
        let is_whole = outlined < frames.len() && frames.iter().all(|(frame, _)| !frame.pixels().is_empty());
        if self.shown.is_none() || !is_whole {
            return false;
        }
        if !self.aside.is_open {
            (self.aside.ring, self.aside.is_open) = (self.ring.take(), true);
        }
        let first = self.aside.first_number(item, frames.len());
        self.aside.item = item;
        let mut ring = CineRing::new(self.config.cine_bytes);
        for (number, (mut frame, since)) in (first..).zip(frames) {
            frame.stamp(FrameId(number), now + since);
            ring.push(Arc::new(frame));
        }
        // Where it is too old for the ring its prompts are of no frame that is shown.
        let at = ring.index_of(FrameId(first + outlined as u64));
        let objects = if at.is_some() { objects } else { Vec::new() };
        let back = ring.len() - 1 - at.unwrap_or(0);
        let shown = ring.nth_newest(back).cloned();
        self.ring = Some(ring);
        self.forget_outlines();
        self.session.reopen(back);
        self.by_hand.went_live();
        if let Some(frame) = shown {
            self.show(frame);
        }
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

    /// Whether a saved item is shown in place of the live picture.
    pub fn is_reopened(&self) -> bool {
        self.aside.is_open
    }

    /// Which frame of which saved item is shown, from 0; `None` while the picture is no saved one.
    pub fn reopened_frame(&self) -> Option<(u32, usize)> {
        let item = self.aside.item;
        let (first, count) = *self.aside.numbers.get(&item).filter(|_| self.aside.is_open)?;
        let index = self.shown.as_ref()?.id()?.0.checked_sub(first)? as usize;
        (index < count).then_some((item, index))
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
