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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: ObjectId = ObjectId(0);
    const B: ObjectId = ObjectId(1);

    fn click(x: f32, polarity: Polarity) -> PromptShape {
        PromptShape::Click { at: Point::new(x, 1.0), polarity }
    }

    fn plus(x: f32) -> PromptShape {
        click(x, Polarity::Positive)
    }

    fn minus(x: f32) -> PromptShape {
        click(x, Polarity::Negative)
    }

    fn boxed(x: f32) -> PromptShape {
        PromptShape::Box(Rect::new(x, 0.0, x + 4.0, 2.0))
    }

    fn shapes(set: &PromptSet, object: ObjectId) -> Vec<PromptShape> {
        set.active(object).map(|p| p.shape).collect()
    }

    #[test]
    fn a_new_box_takes_the_place_of_the_old_one_and_undo_brings_it_back() {
        let mut set = PromptSet::new();
        set.add(A, boxed(1.0)).unwrap();
        set.add(A, plus(2.0)).unwrap();
        set.add(A, boxed(3.0)).unwrap();
        assert_eq!(shapes(&set, A), [plus(2.0), boxed(3.0)]);
        assert!(set.undo());
        assert_eq!(shapes(&set, A), [boxed(1.0), plus(2.0)]);
    }

    #[test]
    fn undone_prompts_are_carried_too_and_carrying_is_no_edit() {
        let mut set = PromptSet::new();
        set.add(A, plus(10.0)).unwrap();
        set.add(B, boxed(10.0)).unwrap();
        set.add(A, minus(20.0)).unwrap();
        assert!(set.undo());
        let revision = set.revision();
        let stayed = set.carry(|object, p| (object == A).then(|| Point::new(p.x + 5.0, p.y)));
        assert_eq!((stayed, set.revision()), (1, revision));
        assert!(set.redo());
        assert_eq!(shapes(&set, A), [plus(15.0), minus(25.0)]);
        assert_eq!(shapes(&set, B), [boxed(10.0)]);
        set.carry(|_, p| Some(Point::new(p.x - 3.0, f32::NAN)));
        assert_eq!(shapes(&set, A), [plus(15.0), minus(25.0)], "a prompt was carried to nowhere");
        set.carry(|_, p| Some(Point::new(p.x - 3.0, p.y)));
        assert_eq!(shapes(&set, B), [boxed(7.0)], "a box did not keep its size");
    }

    #[test]
    fn only_the_changed_object_gets_a_new_revision() {
        let mut set = PromptSet::new();
        set.add(A, plus(1.0)).unwrap();
        set.add(B, plus(2.0)).unwrap();
        assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(1), Revision(2)));
        assert!(set.undo());
        assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(1), Revision(3)));
        assert!(set.redo());
        assert!(set.clear_all());
        assert_eq!((set.object_revision(A), set.object_revision(B)), (Revision(5), Revision(5)));
        assert!(!set.clear_all() && !set.clear_object(A) && !set.redo());
        assert_eq!(set.revision(), Revision(5), "an edit that changed nothing got a number");
    }

    #[test]
    fn candidates_of_a_lone_click_come_round_and_can_be_undone() {
        let mut set = PromptSet::new();
        assert_eq!(set.next_candidate(A), None);
        set.add(A, plus(1.0)).unwrap();
        let round: Vec<_> = (0..4).map(|_| set.next_candidate(A).unwrap()).collect();
        assert_eq!(round, [1, 2, 0, 1]);
        assert!(set.undo() && set.undo());
        assert_eq!(set.candidate(A), 2);
        set.add(A, minus(2.0)).unwrap();
        assert_eq!((set.candidate(A), set.next_candidate(A)), (0, None));
        assert!(set.undo());
        assert_eq!(set.candidate(A), 2);
        let mut other = PromptSet::new();
        other.add(A, boxed(1.0)).unwrap();
        assert_eq!(other.next_candidate(A), None, "a box has no alternatives");
    }

    #[test]
    fn refused_prompts_change_nothing() {
        let mut set = PromptSet::new();
        for (object, shape, error) in [
            (A, minus(1.0), PromptError::NothingInside),
            (A, plus(f32::NAN), PromptError::NotFinite),
            (A, boxed(f32::INFINITY), PromptError::NotFinite),
            (ObjectId(4), plus(1.0), PromptError::NoSuchObject(ObjectId(4))),
        ] {
            assert_eq!(set.add(object, shape), Err(error), "{shape:?}");
            assert_eq!(set.restart(object, shape), Err(error), "{shape:?}");
        }
        assert_eq!((set.revision(), set.can_undo()), (Revision(0), false));
        for i in 0..PromptSet::PER_OBJECT {
            set.add(A, plus(i as f32)).unwrap();
        }
        assert!(set.undo());
        set.add(A, boxed(1.0)).unwrap();
        let before = (set.revision(), set.can_redo());
        assert_eq!(set.add(A, plus(99.0)), Err(PromptError::Full));
        assert_eq!((set.revision(), set.can_redo()), before);
        set.add(A, boxed(2.0)).expect("a box in place of a box needs no room");
        assert_eq!(PromptError::Full.to_string(), "expected at most 16 prompts an object, got one more");
    }

    #[test]
    fn negative_clicks_go_with_the_last_inside() {
        let mut set = PromptSet::new();
        let first = set.add(A, plus(1.0)).unwrap();
        set.add(A, minus(2.0)).unwrap();
        let second = set.add(A, plus(3.0)).unwrap();
        assert!(set.remove(first));
        assert_eq!(shapes(&set, A), [minus(2.0), plus(3.0)]);
        assert!(!set.remove(first), "a removed prompt was removed again");
        assert!(set.remove(second));
        assert!(set.is_empty(A));
        assert!(set.undo());
        assert_eq!(shapes(&set, A), [minus(2.0), plus(3.0)]);
    }

    #[test]
    fn restart_is_one_edit() {
        let mut set = PromptSet::new();
        set.add(A, plus(1.0)).unwrap();
        set.add(A, minus(2.0)).unwrap();
        set.restart(A, plus(9.0)).unwrap();
        assert!(set.is_lone_click(A));
        assert!(set.undo());
        assert_eq!(shapes(&set, A), [plus(1.0), minus(2.0)]);
    }

    #[test]
    fn the_name_of_a_forgotten_prompt_removes_no_other() {
        let mut set = PromptSet::new();
        let forgotten = set.add(A, plus(1.0)).unwrap();
        assert!(set.undo());
        let present = set.add(A, plus(2.0)).unwrap();
        assert!(!set.remove(forgotten) && set.get(forgotten).is_none());
        assert_eq!(set.get(present).map(|p| p.shape), Some(plus(2.0)));
    }

    #[test]
    fn reset_forgets_everything_but_the_revision() {
        let mut set = PromptSet::new();
        set.add(A, plus(1.0)).unwrap();
        set.reset();
        assert!(set.is_empty(A) && !set.can_undo() && !set.can_redo());
        assert_eq!((set.revision(), set.object_revision(A)), (Revision(2), Revision(2)));
    }

    #[derive(Clone, Copy, Debug)]
    enum Op {
        Add(ObjectId, PromptShape),
        Restart(ObjectId, PromptShape),
        Accept(ObjectId, f32),
        Remove(ObjectId, usize),
        RemoveNamed(u16),
        ClearObject(ObjectId),
        ClearAll,
        Next(ObjectId),
        Undo,
        Redo,
        Carry(f32),
    }

    fn op() -> impl Strategy<Value = Op> {
        let object = || (0u8..5).prop_map(ObjectId);
        let shape = || {
            (0u8..8, 0u16..1000).prop_map(|(kind, x)| match kind {
                0 => boxed(f32::from(x)),
                1 | 2 => minus(f32::from(x)),
                3 if x < 100 => plus(f32::NAN),
                _ => plus(f32::from(x)),
            })
        };
        prop_oneof![
            40 => (object(), shape()).prop_map(|(o, s)| Op::Add(o, s)),
            2 => (object(), shape()).prop_map(|(o, s)| Op::Restart(o, s)),
            4 => (object(), 0u16..1000).prop_map(|(o, x)| Op::Accept(o, f32::from(x))),
            6 => (object(), 0usize..16).prop_map(|(o, i)| Op::Remove(o, i)),
            2 => any::<u16>().prop_map(Op::RemoveNamed),
            1 => object().prop_map(Op::ClearObject),
            1 => Just(Op::ClearAll),
            5 => object().prop_map(Op::Next),
            12 => Just(Op::Undo),
            8 => Just(Op::Redo),
            4 => (0u8..9).prop_map(|d| Op::Carry(f32::from(d))),
        ]
    }

    fn do_op(set: &mut PromptSet, op: Op) -> bool {
        match op {
            Op::Add(o, s) => set.add(o, s).is_ok(),
            Op::Restart(o, s) => set.restart(o, s).is_ok(),
            Op::Accept(o, x) => set.restart_boxed(o, Rect::new(x, 0.0, x + 4.0, 2.0), Point::new(x, 1.0)).is_ok(),
            Op::Remove(o, i) => {
                let id = set.active(o).nth(i).map(|p| p.id);
                id.is_some_and(|id| set.remove(id))
            }
            Op::RemoveNamed(id) => set.remove(PromptId(id)),
            Op::ClearObject(o) => set.clear_object(o),
            Op::ClearAll => set.clear_all(),
            Op::Next(o) => set.next_candidate(o).is_some(),
            Op::Undo => set.undo(),
            Op::Redo => set.redo(),
            Op::Carry(_) => unreachable!("carrying is no edit"),
        }
    }

    type Seen = [(Vec<Prompt>, u8); ObjectId::MAX];

    fn seen(set: &PromptSet) -> Seen {
        std::array::from_fn(|o| {
            let o = ObjectId(o as u8);
            (set.active(o).copied().collect(), set.candidate(o))
        })
    }

    fn shifted(states: &mut [Seen], d: f32) {
        for prompt in states.iter_mut().flatten().flat_map(|(prompts, _)| prompts) {
            let p = prompt.shape.anchor();
            prompt.shape = prompt.shape.with_anchor(Point::new(p.x + d, p.y));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn any_edits_agree_with_a_list_of_full_copies_within_bounds(
            ops in prop::collection::vec(op(), 1..3000)
        ) {
            let mut set = PromptSet::new();
            let (slab_room, history_room) = (set.slab.capacity(), set.history.capacity());
            let (mut copies, mut present) = (vec![seen(&set)], 0);
            for op in ops {
                let revision = set.revision();
                if let Op::Carry(d) = op {
                    set.carry(|_, p| Some(Point::new(p.x + d, p.y)));
                    shifted(&mut copies, d);
                    prop_assert_eq!(set.revision(), revision);
                } else {
                    let was_edited = do_op(&mut set, op);
                    prop_assert_eq!(set.revision().0, revision.0 + u64::from(was_edited));
                    match op {
                        Op::Undo if was_edited => present -= 1,
                        Op::Redo if was_edited => present += 1,
                        _ if was_edited => {
                            copies.truncate(present + 1);
                            copies.push(seen(&set));
                            copies.drain(..copies.len().saturating_sub(PromptSet::UNDO_DEPTH + 1));
                            present = copies.len() - 1;
                        }
                        _ => {}
                    }
                }
                prop_assert_eq!(&seen(&set), &copies[present]);
                prop_assert_eq!(set.can_undo(), present > 0);
                prop_assert_eq!(set.can_redo(), present + 1 < copies.len());
                for (prompts, candidate) in &copies[present] {
                    prop_assert!(prompts.len() <= PromptSet::PER_OBJECT && *candidate < PromptSet::CANDIDATES);
                    prop_assert!(prompts.is_empty() || prompts.iter().any(|p| p.shape.is_inside()));
                    prop_assert!(prompts.iter().filter(|p| matches!(p.shape, PromptShape::Box(_))).count() <= 1);
                }
            }
            prop_assert_eq!((set.slab.capacity(), set.history.capacity()), (slab_room, history_room));
        }

        #[test]
        fn undo_takes_back_and_redo_makes_again_whatever_the_edit(
            ops in prop::collection::vec(op(), 1..300), last in op()
        ) {
            let mut set = PromptSet::new();
            for op in ops.into_iter().filter(|op| !matches!(op, Op::Carry(_))) {
                do_op(&mut set, op);
            }
            prop_assume!(!matches!(last, Op::Undo | Op::Redo | Op::Carry(_)));
            let before = seen(&set);
            prop_assume!(do_op(&mut set, last));
            let after = seen(&set);
            prop_assert!(set.undo());
            prop_assert_eq!(&seen(&set), &before);
            prop_assert!(set.redo());
            prop_assert_eq!(&seen(&set), &after);
        }
    }

    #[test]
    fn full_objects_with_a_full_history_still_take_an_edit() {
        let mut set = PromptSet::new();
        for object in (0..ObjectId::MAX as u8).map(ObjectId) {
            for i in 0..PromptSet::PER_OBJECT - 1 {
                set.add(object, plus(i as f32)).unwrap();
            }
            set.add(object, boxed(0.0)).unwrap();
        }
        for i in 0..1000 {
            let x = i as f32;
            set.restart_boxed(ObjectId((i % 4) as u8), Rect::new(x, 0.0, x + 4.0, 2.0), Point::new(x, 1.0)).unwrap();
        }
        assert_eq!(set.slab.len(), HELD_MAX, "the bound is not reached, so it is not the bound");
        let undone = std::iter::from_fn(|| set.undo().then_some(())).count();
        assert_eq!(undone, PromptSet::UNDO_DEPTH);
    }
}
