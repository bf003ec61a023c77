//! One of the four objects of an engine: its track, and what the model was asked about it.

use super::motion::StepId;
use super::object::TrackedObject;
use crate::mask::LogitGrid;
use crate::region::FrameRegion;
use crate::units::Revision;

/// The prompts that an outline was computed from.
#[derive(Clone, Copy, Default)]
pub(super) struct AnsweredPrompts {
    /// The operator's edit at that time.
    pub revision: Revision,
    /// Number of prompts; a box counts as one.
    pub count: usize,
}

/// An outline that was shown for a lone click.
pub(super) struct PassedOutline {
    /// The step that led to the outline's frame.
    pub step: StepId,
    /// The outline on that frame.
    pub logits: LogitGrid,
}

/// State of one object number.
pub(super) struct Slot {
    /// The tracked outline.
    pub object: TrackedObject,
    /// The region that the object's prompts are in; `None` without prompts.
    pub home: Option<FrameRegion>,
    /// The last edit of the object's prompts that was noted here.
    pub known: Revision,
    /// Revision of the newest job about the object that the model has not answered; `None` when there is none.
    pub in_flight: Option<Revision>,
    /// The prompts of the present outline.
    pub answered: AnsweredPrompts,
    /// Whether the present outline is a first one, computed from the whole region, that a closer view will replace.
    pub is_rough: bool,
    /// Outlines that were shown for a lone click, one per candidate.
    pub passed: Vec<PassedOutline>,
}

impl Slot {
    /// A slot without prompts.
    pub(super) fn new(object: TrackedObject) -> Self {
        Self {
            object,
            home: None,
            known: Revision::default(),
            in_flight: None,
            answered: AnsweredPrompts::default(),
            is_rough: false,
            passed: Vec::new(),
        }
    }

    /// Notes that the object's prompts were edited: they are in `home` and ask for this candidate.
    pub(super) fn edited(&mut self, revision: Revision, home: Option<FrameRegion>, candidate: u8, is_empty: bool) {
        self.known = revision;
        self.is_rough = false;
        self.home = home;
        self.passed.truncate(usize::from(candidate));
        self.object.prompted(is_empty);
    }

    /// Forgets everything of the patient; `revision` is the operator's last edit.
    pub(super) fn forget(&mut self, revision: Revision) {
        self.edited(revision, None, 0, true);
    }

    /// Whether the outline is of the object's prompts as they are since `edited`.
    pub(super) fn is_standing(&self, edited: Revision) -> bool {
        self.object.provenance().is_some_and(|p| p.revision >= edited)
    }

    /// Whether a job about the prompts as they are is on its way.
    pub(super) fn is_underway(&self) -> bool {
        self.in_flight.is_some_and(|r| r >= self.known)
    }
}
