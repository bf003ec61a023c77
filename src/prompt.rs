//! Prompts: the operator's clicks and boxes on objects, with undo, redo and hard bounds.
//!
//! A [`PromptSet`] holds the prompts of up to [`ObjectId::MAX`] objects. Terms:
//!
//! - *edit*: a change of the prompts by the operator, one step of the history. It has a new [`Revision`]; a mask's
//!   revision shows whether it answers the current prompts. Undo and redo are edits too.
//! - *active* prompts: those of the present state, the only ones that are passed to the model and drawn.
//! - *carry*: to move prompts along with the tissue. That is no edit. Undone prompts are carried too, so that undo
//!   restores them at their present place, not at their former one.
//!
//! Guarantees, whatever the edits:
//! - at most [`PromptSet::PER_OBJECT`] active prompts per object, at most one of them a box, and
//!   [`PromptSet::UNDO_DEPTH`] edits to undo; memory is allocated when the set is made, and never again;
//! - an object with prompts has at least one that marks the inside: a positive click or a box;
//! - the revision only grows, even across [`PromptSet::reset`].
//!
//! ```
//! use sonotap::geometry::Point;
//! use sonotap::prompt::{Polarity, PromptSet, PromptShape};
//! use sonotap::units::ObjectId;
//!
//! let mut prompts = PromptSet::new();
//! let object = ObjectId(0);
//! prompts.add(object, PromptShape::Click { at: Point::new(120.0, 80.0), polarity: Polarity::Positive })?;
//! assert!(prompts.is_lone_click(object));
//! assert!(prompts.undo());
//! assert!(prompts.is_empty(object));
//! # Ok::<(), sonotap::prompt::PromptError>(())
//! ```

use std::collections::VecDeque;

use crate::geometry::{ImageSpace, Point, Rect};
use crate::units::{ObjectId, Revision};

/// Whether a click includes or excludes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polarity {
    /// This belongs to the object.
    Positive,
    /// This does not.
    Negative,
}

/// Name of a prompt within its set. It is not reused while undo or redo can restore the prompt, and after that not
/// before 255 others have used the same slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PromptId(pub u16);

/// A click or a box, image px of the frame shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum PromptShape {
    /// A click.
    Click {
        /// Where.
        at: Point<ImageSpace>,
        /// Included or excluded.
        polarity: Polarity,
    },
    /// A box around the object.
    Box(Rect<ImageSpace>),
}

impl PromptShape {
    /// The click's place or the box's centre.
    pub fn anchor(&self) -> Point<ImageSpace> {
        match self {
            Self::Click { at, .. } => *at,
            Self::Box(rect) => rect.centre(),
        }
    }

    /// Whether it marks the inside: a positive click or a box.
    pub fn is_inside(&self) -> bool {
        !matches!(self, Self::Click { polarity: Polarity::Negative, .. })
    }

    fn is_finite(&self) -> bool {
        match self {
            Self::Click { at, .. } => at.is_finite(),
            Self::Box(rect) => rect.min().is_finite() && rect.max().is_finite(),
        }
    }

    fn with_anchor(self, anchor: Point<ImageSpace>) -> Self {
        match self {
            Self::Click { polarity, .. } => Self::Click { at: anchor, polarity },
            Self::Box(r) => {
                let (dx, dy) = (anchor.x - r.centre().x, anchor.y - r.centre().y);
                Self::Box(Rect::new(r.x0 + dx, r.y0 + dy, r.x1 + dx, r.y1 + dy))
            }
        }
    }
}

/// One prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prompt {
    /// Its name.
    pub id: PromptId,
    /// Its object.
    pub object: ObjectId,
    /// Its shape.
    pub shape: PromptShape,
}

/// Why a prompt is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PromptError {
    /// The object has the largest number of prompts.
    #[error("expected at most {} prompts an object, got one more", PromptSet::PER_OBJECT)]
    Full,
    /// A coordinate is NaN or infinite.
    #[error("expected finite image coordinates, got NaN or infinity")]
    NotFinite,
    /// A negative click on an object without a prompt that marks the inside.
    #[error("expected a positive click or a box as an object's first prompt, got a negative click")]
    NothingInside,
    /// No such object.
    #[error("expected an object below {}, got {}", ObjectId::MAX, .0.0)]
    NoSuchObject(ObjectId),
}

/// Most prompts that one edit adds: a box and a click ([`PromptSet::restart_boxed`]).
const PER_EDIT: usize = 2;
/// Largest number of prompts in all states of the history: the oldest state may have all objects full, and each of the
/// `UNDO_DEPTH` edits after it adds at most `PER_EDIT`.
const HELD_MAX: usize = ObjectId::MAX * PromptSet::PER_OBJECT + PER_EDIT * PromptSet::UNDO_DEPTH;
/// Slots that a name can mean: a power of two, so that names stay right when their count begins anew.
const SLOTS: usize = 1 << 8;
const _: () = assert!(HELD_MAX <= SLOTS);

/// Which slots an object's active prompts are in, in the order they were added; 0 beyond `len`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Entry {
    slots: [u8; PromptSet::PER_OBJECT],
    len: u8,
    candidate: u8,
}

impl Entry {
    fn slots(&self) -> &[u8] {
        &self.slots[..usize::from(self.len)]
    }

    fn push(&mut self, slot: u8) {
        self.slots[usize::from(self.len)] = slot;
        self.len += 1;
    }

    fn retain(&mut self, mut keep: impl FnMut(u8) -> bool) {
        let before = *self;
        *self = Self { candidate: before.candidate, ..Self::default() };
        before.slots().iter().filter(|&&slot| keep(slot)).for_each(|&slot| self.push(slot));
    }
}

type State = [Entry; ObjectId::MAX];

/// All prompts of all objects, and their history.
#[derive(Clone, Debug)]
pub struct PromptSet {
    slab: Vec<Prompt>,
    history: VecDeque<State>,
    present: usize,
    revision: Revision,
    changed: [Revision; ObjectId::MAX],
}

impl PromptSet {
    /// Largest number of active prompts per object.
    pub const PER_OBJECT: usize = 16;
    /// Largest number of edits that can be undone.
    pub const UNDO_DEPTH: usize = 64;
    /// Number of outlines offered for a lone click: the best, and two others.
    pub const CANDIDATES: u8 = 3;

    /// No prompts, revision 0.
    pub fn new() -> Self {
        let mut history = VecDeque::with_capacity(Self::UNDO_DEPTH + 1);
        history.push_back(State::default());
        Self {
            slab: Vec::with_capacity(HELD_MAX),
            history,
            present: 0,
            revision: Revision(0),
            changed: [Revision(0); ObjectId::MAX],
        }
    }

    /// Adds a prompt to an object; a box replaces the object's former box.
    ///
    /// # Errors
    /// Those of [`PromptError`]; then nothing has changed.
    pub fn add(&mut self, object: ObjectId, shape: PromptShape) -> Result<PromptId, PromptError> {
        let mut entry = self.entry_for(object, &shape)?;
        if matches!(shape, PromptShape::Box(_)) {
            entry.retain(|slot| !matches!(self.prompt(slot).shape, PromptShape::Box(_)));
        } else if entry.len == 0 && !shape.is_inside() {
            return Err(PromptError::NothingInside);
        }
        self.replace_entry(object, entry, shape)
    }

    /// Restarts an object: `shape` replaces all its prompts, in one edit.
    ///
    /// # Errors
    /// Those of [`PromptError`]; then nothing has changed.
    pub fn restart(&mut self, object: ObjectId, shape: PromptShape) -> Result<PromptId, PromptError> {
        self.entry_for(object, &shape)?;
        if !shape.is_inside() {
            return Err(PromptError::NothingInside);
        }
        self.replace_entry(object, Entry::default(), shape)
    }

    /// Restarts an object with a box and a positive click: both replace all its prompts, in one edit.
    ///
    /// # Errors
    /// Those of [`PromptError`]; then nothing has changed.
    pub fn restart_boxed(
        &mut self,
        object: ObjectId,
        boxed: Rect<ImageSpace>,
        click: Point<ImageSpace>,
    ) -> Result<(), PromptError> {
        let shapes = [PromptShape::Box(boxed), PromptShape::Click { at: click, polarity: Polarity::Positive }];
        for shape in &shapes {
            self.entry_for(object, shape)?;
        }
        self.make_room();
        let mut entry = Entry::default();
        for shape in shapes {
            let id = self.store(object, shape, &entry).ok_or(PromptError::Full)?;
            entry.push((usize::from(id.0) % SLOTS) as u8);
        }
        let mut state = self.history[self.present];
        state[object.index()] = entry;
        self.commit(state);
        Ok(())
    }

    /// Removes an active prompt; false if there is none with that name. With the last prompt that marks the inside, the
    /// object's negative clicks are removed too.
    pub fn remove(&mut self, id: PromptId) -> bool {
        let Some(object) = self.get(id).map(|p| p.object) else { return false };
        let mut state = self.history[self.present];
        let entry = &mut state[object.index()];
        entry.retain(|slot| self.prompt(slot).id != id);
        if !entry.slots().iter().any(|&slot| self.prompt(slot).shape.is_inside()) {
            *entry = Entry::default();
        }
        self.make_room();
        self.commit(state);
        true
    }

    /// Removes all prompts of an object; false if there were none.
    pub fn clear_object(&mut self, object: ObjectId) -> bool {
        if self.is_empty(object) {
            return false;
        }
        let mut state = self.history[self.present];
        state[object.index()] = Entry::default();
        self.make_room();
        self.commit(state);
        true
    }

    /// Removes all prompts of all objects, in one edit; false if there were none.
    pub fn clear_all(&mut self) -> bool {
        if self.history[self.present].iter().all(|entry| entry.len == 0) {
            return false;
        }
        self.make_room();
        self.commit(State::default());
        true
    }

    /// Selects the next outline of a lone click, cyclically. Returns its index, or `None` unless the object [is a lone
    /// click](Self::is_lone_click).
    pub fn next_candidate(&mut self, object: ObjectId) -> Option<u8> {
        if !self.is_lone_click(object) {
            return None;
        }
        let mut state = self.history[self.present];
        let entry = &mut state[object.index()];
        entry.candidate = (entry.candidate + 1) % Self::CANDIDATES;
        let candidate = entry.candidate;
        self.make_room();
        self.commit(state);
        Some(candidate)
    }

    /// Undoes the last edit; false if there is none.
    pub fn undo(&mut self) -> bool {
        self.can_undo() && self.go_to(self.present - 1)
    }

    /// Redoes the last undone edit; false if there is none.
    pub fn redo(&mut self) -> bool {
        self.can_redo() && self.go_to(self.present + 1)
    }

    /// Whether there is an edit to undo.
    pub fn can_undo(&self) -> bool {
        self.present > 0
    }

    /// Whether there is an edit to redo.
    pub fn can_redo(&self) -> bool {
        self.present + 1 < self.history.len()
    }

    /// Clears all prompts and the history, for a new exam. The revision grows, so that no older mask matches.
    pub fn reset(&mut self) {
        self.history.clear();
        self.history.push_back(State::default());
        self.present = 0;
        self.revision.0 += 1;
        self.changed = [self.revision; ObjectId::MAX];
    }

    /// Forgets what could be undone or redone; the prompts stay.
    pub fn settle(&mut self) {
        let state = self.history[self.present];
        self.history.clear();
        self.history.push_back(state);
        self.present = 0;
    }

    /// Moves prompts along with the tissue: `to` maps a point of an object to its present place. A box moves by its
    /// centre and keeps its size. A prompt for which `to` returns `None` or a point that is not finite stays. Returns
    /// the number of active ones that stayed.
    pub fn carry(&mut self, mut to: impl FnMut(ObjectId, Point<ImageSpace>) -> Option<Point<ImageSpace>>) -> usize {
        self.carry_each(|prompt| to(prompt.object, prompt.shape.anchor()))
    }

    /// The same where the kind of prompt matters: `to` returns the present place of its [`PromptShape::anchor`].
    pub fn carry_each(&mut self, mut to: impl FnMut(&Prompt) -> Option<Point<ImageSpace>>) -> usize {
        let is_held = self.held();
        let mut stayed = 0;
        for slot in (0..self.slab.len()).filter(|&slot| is_held[slot]) {
            let prompt = self.slab[slot];
            let Prompt { object, shape, .. } = prompt;
            let moved = to(&prompt).map(|p| shape.with_anchor(p)).filter(PromptShape::is_finite);
            match moved {
                Some(shape) => self.slab[slot].shape = shape,
                None => stayed += usize::from(self.entry(object).slots().contains(&(slot as u8))),
            }
        }
        stayed
    }

    /// Number of the last edit.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Number of the last edit that changed this object's prompts or its selected outline.
    pub fn object_revision(&self, object: ObjectId) -> Revision {
        self.changed.get(object.index()).copied().unwrap_or_default()
    }

    /// The active prompts of an object, in the order they were added.
    pub fn active(&self, object: ObjectId) -> impl Iterator<Item = &Prompt> {
        self.entry(object).slots().iter().map(|&slot| self.prompt(slot))
    }

    /// The active prompt with that name.
    pub fn get(&self, id: PromptId) -> Option<&Prompt> {
        let prompt = self.slab.get(usize::from(id.0) % SLOTS).filter(|p| p.id == id)?;
        self.active(prompt.object).find(|p| p.id == id)
    }

    /// Whether the object has no prompts.
    pub fn is_empty(&self, object: ObjectId) -> bool {
        self.entry(object).len == 0
    }

    /// The selected outline of a lone click, below [`Self::CANDIDATES`]; 0 is the one with the best score. Any further
    /// prompt resets it to 0.
    pub fn candidate(&self, object: ObjectId) -> u8 {
        self.entry(object).candidate
    }

    /// Whether the object's only prompt is a positive click, so that several outlines are offered.
    pub fn is_lone_click(&self, object: ObjectId) -> bool {
        let [slot] = self.entry(object).slots() else { return false };
        matches!(self.prompt(*slot).shape, PromptShape::Click { polarity: Polarity::Positive, .. })
    }

    fn entry(&self, object: ObjectId) -> &Entry {
        const NONE: &Entry = &Entry { slots: [0; PromptSet::PER_OBJECT], len: 0, candidate: 0 };
        self.history[self.present].get(object.index()).unwrap_or(NONE)
    }

    fn prompt(&self, slot: u8) -> &Prompt {
        &self.slab[usize::from(slot)]
    }

    fn entry_for(&self, object: ObjectId, shape: &PromptShape) -> Result<Entry, PromptError> {
        if object.index() >= ObjectId::MAX {
            return Err(PromptError::NoSuchObject(object));
        }
        if !shape.is_finite() {
            return Err(PromptError::NotFinite);
        }
        Ok(*self.entry(object))
    }

    fn replace_entry(
        &mut self,
        object: ObjectId,
        mut entry: Entry,
        shape: PromptShape,
    ) -> Result<PromptId, PromptError> {
        if usize::from(entry.len) == Self::PER_OBJECT {
            return Err(PromptError::Full);
        }
        self.make_room();
        let id = self.store(object, shape, &entry).ok_or(PromptError::Full)?;
        entry.push((usize::from(id.0) % SLOTS) as u8);
        entry.candidate = 0;
        let mut state = self.history[self.present];
        state[object.index()] = entry;
        self.commit(state);
        Ok(id)
    }

    /// Drops undone states and the oldest state, so that one more state fits.
    fn make_room(&mut self) {
        self.history.truncate(self.present + 1);
        if self.history.len() > Self::UNDO_DEPTH {
            self.history.pop_front();
            self.present -= 1;
        }
    }

    /// The slots that any state of the history refers to.
    fn held(&self) -> [bool; SLOTS] {
        let mut held = [false; SLOTS];
        for entry in self.history.iter().flatten() {
            entry.slots().iter().for_each(|&slot| held[usize::from(slot)] = true);
        }
        held
    }

    /// Stores a prompt in a slot that neither the history nor `entry` refers to.
    fn store(&mut self, object: ObjectId, shape: PromptShape, entry: &Entry) -> Option<PromptId> {
        let mut is_held = self.held();
        entry.slots().iter().for_each(|&slot| is_held[usize::from(slot)] = true);
        if let Some(slot) = (0..self.slab.len()).find(|&slot| !is_held[slot]) {
            let id = PromptId(self.slab[slot].id.0.wrapping_add(SLOTS as u16));
            self.slab[slot] = Prompt { id, object, shape };
            return Some(id);
        }
        let id = PromptId(self.slab.len() as u16);
        (self.slab.len() < HELD_MAX).then(|| self.slab.push(Prompt { id, object, shape }))?;
        Some(id)
    }

    fn commit(&mut self, state: State) {
        self.history.push_back(state);
        self.go_to(self.history.len() - 1);
    }

    fn go_to(&mut self, place: usize) -> bool {
        let (before, after) = (self.history[self.present], self.history[place]);
        self.present = place;
        self.revision.0 += 1;
        for object in 0..ObjectId::MAX {
            if before[object] != after[object] {
                self.changed[object] = self.revision;
            }
        }
        true
    }
}

impl Default for PromptSet {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
#[path = "prompt/tests.rs"]
mod tests;
