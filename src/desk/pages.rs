//! Which page is open, and what its buttons do.
//!
//! ```text
//! Exam ─▶ Keypad ─▶ Confirm ─▶ bound        a scan ─▶ Confirm, or Keypad with the reason
//!      ─▶ Worklist ─▶ Confirm ─▶ bound
//!      ─▶ Presets ─▶ chosen                 nobody there for long ─▶ End (asked)
//!      ─▶ Items ─▶ Item ─▶ Delete ─▶ deleted
//!                       ─▶ the picture, to be outlined anew
//!      ─▶ End ─▶ ended
//! ```

use super::{Desk, ExamRequest, IDENTITY_MAX, Identity, WorklistTold, scan};

/// What covers the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Page {
    /// What can be done with the exam, and all warnings.
    Exam,
    /// An identifier is typed.
    Keypad,
    /// The orders of the worklist.
    Worklist,
    /// Is it this patient?
    Confirm,
    /// What is to be outlined.
    Presets,
    /// The saved items.
    Items,
    /// One of them.
    Item(u32),
    /// Is it to be deleted?
    Delete(u32),
    /// Is the exam to be ended?
    End {
        /// The screen asks by itself, since nobody has been there for long.
        is_asked: bool,
    },
    /// Is the exam to be ended without what could not be saved?
    Lose,
}

/// A button of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Button {
    /// Back to the picture, or to the page before.
    Close,
    /// Type an identifier.
    Patient,
    /// Look at the orders of the worklist.
    Worklist,
    /// Ask the worklist again.
    AskAgain,
    /// The patient of an order, by its place in the list.
    Order(usize),
    /// Choose what is outlined.
    Presets,
    /// Look at the saved items.
    Items,
    /// Date and time are right.
    ConfirmDate,
    /// To the question whether the exam is to be ended.
    End,
    /// A character of the keypad.
    Type(char),
    /// Other characters.
    Shift,
    /// Takes the last character away.
    Backspace,
    /// The identifier is whole.
    Enter,
    /// It is this patient.
    Bind,
    /// It is not.
    Reject,
    /// This preset, or anything.
    Preset(Option<usize>),
    /// What does not fit on the page.
    More,
    /// Look at this item.
    Item(u32),
    /// Outline the open item anew.
    Edit,
    /// To the question whether it is to be deleted.
    Delete,
    /// It is to be deleted.
    ReallyDelete,
    /// It is to be put back.
    Restore,
    /// The exam is to be ended.
    ReallyEnd,
    /// It is the same patient.
    SamePatient,
    /// To the question whether unsaved pictures are to be lost.
    EndAnyway,
    /// They are to be lost.
    ReallyLose,
}

impl Desk {
    /// Opens a page, or none.
    pub(super) fn go(&mut self, page: Option<Page>) {
        if self.page != page {
            self.first = 0;
        }
        if !matches!(page, Some(Page::Keypad | Page::Confirm)) {
            (self.typed, self.offered) = (super::Typed::default(), None);
        }
        if !matches!(page, Some(Page::Item(_) | Page::Delete(_))) {
            self.opened = None;
        }
        self.refused = None;
        (self.page, self.pressed, self.is_stale) = (page, None, true);
    }

    /// Opens the page of the exam, or closes what is open. A question that was asked stays.
    pub fn toggle(&mut self) {
        match self.page {
            _ if self.is_asking() => {}
            Some(_) => self.go(None),
            None => self.go(Some(Page::Exam)),
        }
    }

    /// Something was scanned (see `scan.rs`). An identity is offered, and bound when the operator says so; anything else is refused with
    /// the reason.
    ///
    /// A scan while the screen asks whether it is the same patient is ignored.
    pub fn scanned(&mut self, text: &str) {
        if self.is_asking() || text.trim().is_empty() {
            return;
        }
        match scan::read(text) {
            Ok(identity) => self.offer(identity),
            Err(why) => {
                self.go(None);
                self.go(Some(Page::Keypad));
                self.refused = Some(why);
            }
        }
    }

    fn offer(&mut self, identity: Identity) {
        self.go(Some(Page::Confirm));
        self.offered = Some(identity);
    }

    /// Leaves a page as its Close does. Whether one was open; a question that was asked stays.
    pub(crate) fn escape(&mut self) -> bool {
        if self.page.is_some() && !self.is_asking() {
            self.push(Button::Close);
            return true;
        }
        self.page.is_some()
    }

    /// A character was typed.
    pub(crate) fn type_in(&mut self, c: char) {
        let is_first_space = c == ' ' && self.typed.text.is_empty();
        if c.is_control() || c == '\\' || is_first_space || self.typed.text.chars().count() >= IDENTITY_MAX {
            return;
        }
        self.typed.text.push(c);
        self.is_stale = true;
    }

    /// The last character goes.
    pub(crate) fn backspace(&mut self) {
        self.is_stale |= self.typed.text.pop().is_some();
    }

    /// What was typed is whole.
    pub(crate) fn enter(&mut self) {
        // What no keypad has was typed by a scanner.
        let is_typed = |c: char| c.is_ascii_alphanumeric() || "-./_:+ ".contains(c);
        if !self.typed.text.chars().all(is_typed) {
            let text = std::mem::take(&mut self.typed.text);
            self.scanned(&text);
        } else if let Some(identity) = Identity::new(&self.typed.text) {
            self.offer(identity);
        }
    }

    fn ask(&mut self, request: ExamRequest) {
        self.requests.push(request);
    }

    /// A button was pressed.
    pub fn push(&mut self, button: Button) {
        self.is_stale = true;
        match button {
            Button::Close => self.go(self.before()),
            Button::Patient => self.go(Some(Page::Keypad)),
            Button::Presets => self.go(Some(Page::Presets)),
            Button::Items => self.go(Some(Page::Items)),
            Button::ConfirmDate => self.ask(ExamRequest::ConfirmDate),
            Button::End => self.go(Some(Page::End { is_asked: false })),
            Button::Type(c) => self.type_in(c),
            Button::Shift => self.typed.page += 1,
            Button::Backspace => self.backspace(),
            Button::Enter => self.enter(),
            Button::Bind => {
                if let Some(identity) = self.offered.take() {
                    self.ask(ExamRequest::Bind(identity));
                }
                self.go(None);
            }
            Button::Reject => {
                let has_order = self.offered.as_ref().is_some_and(|o| o.order().is_some());
                self.go(None);
                self.go(Some(if has_order { Page::Worklist } else { Page::Keypad }));
            }
            Button::Worklist => {
                self.go(Some(Page::Worklist));
                self.ask_worklist();
            }
            Button::AskAgain => self.ask_worklist(),
            Button::Order(at) => {
                if let WorklistTold::Listed { orders, .. } = &self.told.worklist
                    && let Some(order) = orders.get(at)
                {
                    let identity = order.identity.clone();
                    self.offer(identity);
                }
            }
            Button::Preset(preset) => {
                self.ask(ExamRequest::ChoosePreset(preset));
                self.go(None);
            }
            Button::More => self.first += 1,
            Button::Item(number) => {
                self.ask(ExamRequest::Open(number));
                self.go(Some(Page::Item(number)));
            }
            Button::Edit => {
                if let Some(Page::Item(number)) = self.page {
                    self.ask(ExamRequest::Edit(number));
                    self.go(None);
                }
            }
            Button::Delete => {
                if let Some(Page::Item(number)) = self.page {
                    self.go(Some(Page::Delete(number)));
                }
            }
            Button::ReallyDelete => {
                if let Some(Page::Delete(number)) = self.page {
                    self.ask(ExamRequest::Delete(number));
                    self.go(Some(Page::Items));
                }
            }
            Button::Restore => {
                if let Some(Page::Item(number)) = self.page {
                    self.ask(ExamRequest::Restore(number));
                    self.go(Some(Page::Items));
                }
            }
            Button::ReallyEnd => {
                self.ask(ExamRequest::End { is_unsaved_lost: false });
                self.go(None);
            }
            Button::SamePatient => self.go(None),
            Button::EndAnyway => self.go(Some(Page::Lose)),
            Button::ReallyLose => {
                self.ask(ExamRequest::End { is_unsaved_lost: true });
                self.go(None);
            }
        }
    }

    fn ask_worklist(&mut self) {
        if self.told.worklist != WorklistTold::Asking {
            self.ask(ExamRequest::AskWorklist);
        }
    }

    /// Where Close leads.
    fn before(&self) -> Option<Page> {
        match self.page {
            Some(Page::Item(_)) => Some(Page::Items),
            Some(Page::Delete(number)) => Some(Page::Item(number)),
            Some(Page::Lose) => Some(Page::End { is_asked: false }),
            Some(Page::Keypad | Page::Worklist | Page::Presets | Page::Items) => Some(Page::Exam),
            _ => None,
        }
    }

    /// Whether the open item was deleted.
    pub(super) fn is_deleted(&self, number: u32) -> bool {
        self.told.items.iter().any(|i| i.number == number && i.is_deleted)
    }

    /// Whether ending would lose pictures: some could not be saved, or ending failed.
    pub(super) fn would_lose(&self) -> bool {
        self.told.waiting > 0 || matches!(self.told.saving, super::SaveTold::NotEnded(_))
    }
}
