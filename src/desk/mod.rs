//! The exam at the screen: what the host tells of it, which page is open, and what the operator asks the host for.
//!
//! The host has the disk. It tells the desk what is so ([`Desk::tell`]), and takes what the operator wants ([`Desk::take_request`]);
//! saving itself is asked for by commands, like everything that is done with a picture. Nothing here
//! waits, and nothing here knows a file.
//!
//! | file | what |
//! |---|---|
//! | `told.rs` | what the host tells |
//! | `pages.rs` | which page is open, and what its buttons do |
//! | `scan.rs` | what a wristband's code says |
//! | `places.rs` | where the buttons of a page are, in millimetres of glass |
//! | `draw.rs` | the pages, the line of the exam, the face of Save |
//!
//! Terms: a *page* covers the picture while something of the exam is decided; a picture *waits* when it is not on the disk yet.
//!
//! Invariants: an exam is bound, ended, and an item deleted, only by a second button that says so; an identity is shown before it
//! is bound, and no `Debug` text has it; SAVED is said only after the host told it.

mod draw;
mod pages;
mod places;
pub mod scan;
mod told;

use std::sync::Arc;
use std::time::Duration;

pub use pages::{Button, Page};
pub use told::{ExamTold, Identity, ItemTold, OrderTold, SaveTold, Trouble, Warning, Warnings, WorklistTold};

use crate::frame::Frame;
use crate::geometry::{DisplaySpace, Point, Rect};
use crate::overlay::{Canvas, Layout};
use crate::units::Timestamp;
use draw::Painted;

/// Characters of an identifier at most, as many as DICOM takes.
pub const IDENTITY_MAX: usize = 64;

/// Settings of the exam's part of a screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeskConfig {
    /// After so long without a touch, a key or a saved picture, the screen asks whether it is the same patient; never when `None`.
    pub ask_after: Option<Duration>,
    /// Labels of the presets that can be chosen.
    pub presets: Vec<String>,
}

impl Default for DeskConfig {
    fn default() -> Self {
        Self { ask_after: Some(Duration::from_secs(15 * 60)), presets: Vec::new() }
    }
}

/// What the operator wants of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExamRequest {
    /// Bind the exam to this patient.
    Bind(Identity),
    /// Ask the worklist for its orders.
    AskWorklist,
    /// Date and time are right.
    ConfirmDate,
    /// Outline this: a number in [`DeskConfig::presets`], or anything.
    ChoosePreset(Option<usize>),
    /// End the exam; what could not be saved may be lost where the operator has said so.
    End {
        /// Whether the operator has said so.
        is_unsaved_lost: bool,
    },
    /// Show this item.
    Open(u32),
    /// Outline this item anew.
    Edit(u32),
    /// Delete this item.
    Delete(u32),
    /// Put it back.
    Restore(u32),
}

/// The exam's part of a screen.
#[derive(Debug)]
pub struct Desk {
    config: DeskConfig,
    told: ExamTold,
    page: Option<Page>,
    typed: Typed,
    /// Identity that is to be bound when the operator says so.
    offered: Option<Identity>,
    /// Why the last scan was not taken.
    refused: Option<scan::NoPatient>,
    /// First item or preset on a page that has more than fit.
    first: usize,
    /// The item that is looked at, once the host has read it.
    opened: Option<(u32, Arc<Frame>)>,
    requests: Vec<ExamRequest>,
    last_touch: Timestamp,
    buttons: Vec<(Button, Rect<DisplaySpace>)>,
    pressed: Option<Button>,
    painted: Painted,
    /// Something changed since it was drawn.
    is_stale: bool,
}

/// What is being typed. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
struct Typed {
    text: String,
    /// Which characters the keypad shows.
    page: usize,
}

impl std::fmt::Debug for Typed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Typed(not shown)")
    }
}

impl Desk {
    /// A desk with no page open.
    pub fn new(config: DeskConfig) -> Self {
        Self {
            config,
            told: ExamTold::default(),
            page: None,
            typed: Typed::default(),
            offered: None,
            refused: None,
            first: 0,
            opened: None,
            requests: Vec::new(),
            last_touch: Timestamp::START,
            buttons: Vec::new(),
            pressed: None,
            painted: Painted::default(),
            is_stale: true,
        }
    }

    /// The host says what is so.
    pub fn tell(&mut self, told: ExamTold) {
        if self.told == told {
            return;
        }
        let is_gone = |number: u32| !told.items.iter().any(|i| i.number == number);
        if let Some(Page::Item(number) | Page::Delete(number)) = self.page
            && is_gone(number)
        {
            self.go(Some(Page::Items));
        }
        self.told = told;
        self.is_stale = true;
    }

    /// What the host told last.
    pub fn told(&self) -> &ExamTold {
        &self.told
    }

    /// The host has read the picture of an item.
    pub fn show_item(&mut self, number: u32, picture: Arc<Frame>) {
        self.opened = Some((number, picture));
        self.is_stale = true;
    }

    /// The page that is open.
    pub fn page(&self) -> Option<Page> {
        self.page
    }

    /// Whether keys are text, since an identity is being typed.
    pub fn is_typing(&self) -> bool {
        self.page == Some(Page::Keypad)
    }

    /// Whether it asks whether it is the same patient; until that is answered nothing is to be saved.
    pub fn is_asking(&self) -> bool {
        matches!(self.page, Some(Page::End { is_asked: true }))
    }

    /// What the operator wants next, oldest first.
    pub fn take_request(&mut self) -> Option<ExamRequest> {
        (!self.requests.is_empty()).then(|| self.requests.remove(0))
    }

    /// Another patient: nothing of the last stays, whatever page was open.
    pub fn new_exam(&mut self) {
        let Self { config, last_touch, .. } = std::mem::replace(self, Self::new(DeskConfig::default()));
        (self.config, self.last_touch) = (config, last_touch);
    }

    /// Somebody is there.
    pub(crate) fn touched(&mut self, now: Timestamp) {
        self.last_touch = self.last_touch.max(now);
    }

    /// Advances time: where nobody has been there for long, the screen asks.
    pub(crate) fn tick(&mut self, now: Timestamp) {
        let Some(after) = self.config.ask_after.filter(|_| self.told.has_begun()) else { return };
        if now.since(self.last_touch) >= after && !self.is_asking() && self.told.saving != SaveTold::Ending {
            self.go(Some(Page::End { is_asked: true }));
        }
    }

    /// Whether a place belongs to the open page.
    pub(crate) fn covers(&self, layout: &Layout, at: Point<DisplaySpace>) -> bool {
        self.page.is_some() && places::area(layout).contains(at)
    }

    /// A finger is on a place of the open page, or on none.
    pub(crate) fn press(&mut self, layout: &Layout, at: Option<Point<DisplaySpace>>) {
        let pressed = at.and_then(|at| self.hit(layout, at));
        self.is_stale |= pressed != self.pressed;
        self.pressed = pressed;
    }

    fn hit(&mut self, layout: &Layout, at: Point<DisplaySpace>) -> Option<Button> {
        self.lay_out(layout);
        let slack = layout.mm(places::GAP_MM / 2.0);
        self.buttons.iter().find(|(_, r)| r.grown(slack).contains(at)).map(|(button, _)| *button)
    }

    /// Presses the button at a place of the open page, if there is one.
    pub(crate) fn push_at(&mut self, layout: &Layout, at: Point<DisplaySpace>) {
        if let Some(button) = self.hit(layout, at) {
            self.push(button);
        }
    }

    /// The buttons of the open page with their places; none where no page is open.
    pub fn buttons(&mut self, layout: &Layout) -> &[(Button, Rect<DisplaySpace>)] {
        self.lay_out(layout);
        &self.buttons
    }

    fn lay_out(&mut self, layout: &Layout) {
        self.buttons.clear();
        if let Some(page) = self.page {
            places::buttons(self, page, layout).into_iter().for_each(|b| self.buttons.push(b));
        }
    }

    /// Whether something changed since it was drawn.
    pub(crate) fn is_stale(&self) -> bool {
        self.is_stale
    }

    /// Draws over a screen that is drawn.
    pub(crate) fn draw(&mut self, canvas: &mut Canvas, layout: &Layout) {
        if self.is_stale {
            self.lay_out(layout);
        }
        let mut painted = std::mem::take(&mut self.painted);
        painted.draw(self, canvas, layout);
        self.painted = painted;
        self.is_stale = false;
    }
}
