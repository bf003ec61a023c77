//! The motion between consecutive shown frames, and the chain of recent steps.
//!
//! A step is one change of the shown frame. While live, each step is to a newer frame; in review it may be to an older one.
//! The chain maps a tap or a mask of an earlier frame to the frame shown now.

use crate::frame::Frame;
use crate::geometry::{ImageSpace, Point};
use crate::mask::LogitGrid;
use crate::track::carry;
use crate::track::flow::{DisFlow, FlowConfig, FlowField, FlowQuality, SmallGrey};
use crate::units::FrameId;

/// Number of a step, from 1; 0 means none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct StepId(pub u64);

/// Outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MotionStep {
    /// The first frame, or a different size or region: nothing can be carried.
    Begun,
    /// A scene cut: the frame shows a different scene.
    Cut,
    /// The same image again.
    Repeated,
    /// Motion was found.
    Moved(FlowQuality),
}

struct ChainLink {
    id: StepId,
    frame: Option<FrameId>,
    flow: FlowField,
}

/// Finds the motion of each step and remembers the last [`Self::CHAIN`] of them.
pub struct Motion {
    dis: DisFlow,
    now: SmallGrey,
    before: SmallGrey,
    has_picture: bool,
    reverse: FlowField,
    is_reverse_known: bool,
    scratch: FlowField,
    chain: Vec<ChainLink>,
    newest: StepId,
    first: StepId,
}

impl Motion {
    /// Number of steps that are kept: two seconds at 30 frames a second, longer than a prediction may take.
    pub const CHAIN: usize = 64;

    /// Before the first frame.
    pub fn new() -> Self {
        let config = FlowConfig::default();
        let small = SmallGrey::new(config.side);
        let empty = FlowField::zero(*small.view());
        let link = || ChainLink { id: StepId(0), frame: None, flow: empty.clone() };
        Self {
            dis: DisFlow::new(config),
            now: small.clone(),
            before: small,
            has_picture: false,
            reverse: empty.clone(),
            is_reverse_known: false,
            scratch: empty.clone(),
            chain: (0..Self::CHAIN).map(|_| link()).collect(),
            newest: StepId(0),
            first: StepId(1),
        }
    }

    /// A zero motion of the right size.
    pub fn blank(&self) -> FlowField {
        FlowField::zero(*self.now.view())
    }

    /// The step that led to the frame shown now.
    pub fn newest(&self) -> StepId {
        self.newest
    }

    /// Makes `frame` the shown one and estimates the motion from the frame before.
    pub fn advance(&mut self, frame: &Frame) -> MotionStep {
        std::mem::swap(&mut self.now, &mut self.before);
        self.now.fill_from(frame);
        self.is_reverse_known = false;
        self.newest.0 += 1;
        let is_comparable = self.has_picture && self.now.view() == self.before.view();
        self.has_picture = true;
        let at = self.slot(self.newest);
        self.chain[at].id = self.newest;
        self.chain[at].frame = frame.id;
        if !is_comparable {
            self.chain[at].flow.reset(*self.now.view());
            self.first = StepId(self.newest.0 + 1);
            return MotionStep::Begun;
        }
        if carry::is_repeat(&self.before, &self.now) {
            self.chain[at].flow.reset(*self.now.view());
            return MotionStep::Repeated;
        }
        let quality = self.dis.between(&self.before, &self.now, &mut self.chain[at].flow);
        if carry::is_scene_cut(&self.before, &self.now, &quality) {
            self.first = StepId(self.newest.0 + 1);
            return MotionStep::Cut;
        }
        MotionStep::Moved(quality)
    }

    /// The motion of the newest step: from the shown frame back to the one before.
    pub fn latest_flow(&self) -> &FlowField {
        &self.chain[self.slot(self.newest)].flow
    }

    /// Forward-backward error of the newest step over the object, px of the small picture.
    pub fn round_trip_error(&mut self, object: &LogitGrid) -> f32 {
        if !self.is_reverse_known {
            self.dis.between(&self.now, &self.before, &mut self.reverse);
            self.is_reverse_known = true;
        }
        carry::round_trip_error(self.latest_flow(), &self.reverse, object)
    }

    /// The newest step that showed this frame, if the chain still reaches it.
    pub fn step_showing(&self, frame: FrameId) -> Option<StepId> {
        self.chain.iter().filter(|l| l.frame == Some(frame) && self.reaches(l.id)).map(|l| l.id).max()
    }

    /// Whether the frame of this step can be mapped to the frame shown now.
    pub fn reaches(&self, step: StepId) -> bool {
        step.0 >= 1 && step <= self.newest && step.0 + 1 >= self.first.0 && step.0 + Self::CHAIN as u64 > self.newest.0
    }

    /// Maps a point of that step's frame to the frame shown now.
    pub fn forward_since(&self, step: StepId, point: Point<ImageSpace>) -> Option<Point<ImageSpace>> {
        self.reaches(step)
            .then(|| (step.0 + 1..=self.newest.0).fold(point, |p, s| self.chain[self.slot(StepId(s))].flow.forward(p)))
    }

    /// Writes the motion from the frame shown now back to that step's frame. Returns `false` if it is unknown.
    pub fn compose_since(&mut self, step: StepId, out: &mut FlowField) -> bool {
        if !self.reaches(step) {
            return false;
        }
        out.reset(*self.now.view());
        for s in step.0 + 1..=self.newest.0 {
            let at = self.slot(StepId(s));
            out.then(&self.chain[at].flow, &mut self.scratch);
        }
        true
    }

    /// Appends the newest step to a motion that ended at the frame before.
    pub fn extend(&mut self, motion: &mut FlowField) {
        let at = self.slot(self.newest);
        motion.then(&self.chain[at].flow, &mut self.scratch);
    }

    fn slot(&self, step: StepId) -> usize {
        (step.0 % Self::CHAIN as u64) as usize
    }
}

impl Default for Motion {
    fn default() -> Self {
        Self::new()
    }
}
