//! What the host tells of the exam.

use std::fmt;
use std::sync::Arc;

use super::IDENTITY_MAX;
use crate::frame::Frame;

/// Characters of a name or a note at most.
pub(super) const IDENTITY_TEXT_MAX: usize = 64;

/// Whose exam it is, as it is read from a wristband, typed, or told by a worklist. `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    id: String,
    name: String,
    note: String,
    order: Option<u64>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(not shown)")
    }
}

impl Identity {
    /// An identifier without the spaces around it; `None` unless it has 1 to 64 characters, none of them a backslash or control
    /// character.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_good = is_text(text) && (1..=IDENTITY_MAX).contains(&text.chars().count());
        is_good.then(|| Self { id: text.to_owned(), name: String::new(), note: String::new(), order: None })
    }

    /// With a name as DICOM has it (`FAMILY^GIVEN`) and what else tells people apart; `None` when one is too long, or has a
    /// backslash or control character.
    pub fn named(self, name: &str, note: &str) -> Option<Self> {
        let is_good = |t: &str| is_text(t) && t.chars().count() <= IDENTITY_TEXT_MAX;
        let (name, note) = (name.trim().trim_end_matches('^').to_owned(), note.trim().to_owned());
        (is_good(&name) && is_good(&note) && name.matches('^').count() <= 4).then_some(Self { name, note, ..self })
    }

    /// As the order of this number tells it; the host knows what else the order has.
    pub fn of_order(self, order: u64) -> Self {
        Self { order: Some(order), ..self }
    }

    /// The identifier, for the screen and the record alone.
    pub fn reveal(&self) -> &str {
        &self.id
    }

    /// The name, `FAMILY^GIVEN`, for the screen and the record alone; empty where nobody said it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Birth date and sex in words, for the screen alone.
    pub fn note(&self) -> &str {
        &self.note
    }

    /// The number of the order that told it.
    pub fn order(&self) -> Option<u64> {
        self.order
    }

    /// The name as it is said.
    pub fn spoken(&self) -> String {
        super::scan::spoken(&self.name)
    }

    /// Number and name, for the screen alone.
    pub fn shown(&self) -> String {
        match self.name.is_empty() {
            true => self.id.clone(),
            false => format!("{} {}", self.id, self.spoken()),
        }
    }
}

fn is_text(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || c == '\\')
}

/// An order of the worklist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTold {
    /// Whose, with the number of the order.
    pub identity: Identity,
    /// When, in the server's time zone: `2026-11-29 10:30`, or what there is of it.
    pub when: String,
    /// What is to be done.
    pub procedure: String,
}

/// What the host tells of the worklist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum WorklistTold {
    /// There is none in the profile.
    #[default]
    Absent,
    /// It was not asked yet.
    Ready,
    /// It is being asked.
    Asking,
    /// Its orders.
    Listed {
        /// In the order of their time.
        orders: Arc<[OrderTold]>,
        /// Orders whose patient an exam cannot hold.
        left_out: usize,
        /// There are more.
        is_cut: bool,
    },
    /// It did not answer; a line that says nothing of a patient.
    Failed(String),
}

/// What became of what was to be saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveTold {
    /// Nothing is under way.
    #[default]
    Idle,
    /// The frames after the press are still coming.
    Recording,
    /// It is not on the disk yet.
    Saving,
    /// The item of this number is on the disk for good.
    Saved(u32),
    /// It is not saved.
    Failed(Trouble),
    /// The exam is being ended.
    Ending,
    /// The exam could not be ended.
    NotEnded(Trouble),
    /// The exam could not be bound.
    NotBound(Trouble),
    /// An item could not be deleted, put back or read, or the date not confirmed.
    NotDone(Trouble),
}

impl SaveTold {
    /// Its words on the screen, in two lines; `None` when nothing is under way.
    pub fn words(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::Idle => return None,
            Self::Recording => ("Cine", ""),
            Self::Saving => ("Saving", ""),
            Self::Saved(_) => ("Saved", ""),
            Self::Failed(_) => ("NOT", "SAVED"),
            Self::Ending => ("Ending", ""),
            Self::NotEnded(_) => ("NOT", "ENDED"),
            Self::NotBound(_) => ("NOT", "BOUND"),
            Self::NotDone(_) => ("NOT", "DONE"),
        })
    }

    /// Why something was not done.
    pub fn trouble(self) -> Option<Trouble> {
        match self {
            Self::Failed(why) | Self::NotEnded(why) | Self::NotBound(why) | Self::NotDone(why) => Some(why),
            _ => None,
        }
    }
}

/// Why something is not on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trouble {
    /// The disk is full.
    Full,
    /// It cannot be written to.
    ReadOnly,
    /// It returned an error.
    Disk,
    /// As many pictures wait as may.
    TooMany,
    /// There is no picture.
    NoPicture,
    /// The screen asks something that has to be answered first.
    Asked,
    /// There is no store.
    NoStore,
    /// Something else.
    Other,
}

impl Trouble {
    /// A few words for the screen.
    pub fn label(self) -> &'static str {
        match self {
            Self::Full => "disk full",
            Self::ReadOnly => "disk read-only",
            Self::Disk => "disk error",
            Self::TooMany => "four wait",
            Self::NoPicture => "no picture",
            Self::Asked => "answer first",
            Self::NoStore => "no store",
            Self::Other => "refused",
        }
    }
}

impl Trouble {
    /// Its label in two lines.
    pub(super) fn lines(self) -> (&'static str, &'static str) {
        self.label().split_once(' ').unwrap_or((self.label(), ""))
    }
}

/// A saved item.
#[derive(Clone, Debug)]
pub struct ItemTold {
    /// Its number.
    pub number: u32,
    /// Whether it is a cine.
    pub is_cine: bool,
    /// Whether it was deleted; until the exam ends it can be put back.
    pub is_deleted: bool,
    /// A small picture of it.
    pub thumbnail: Option<Arc<Frame>>,
}

impl PartialEq for ItemTold {
    fn eq(&self, o: &Self) -> bool {
        (self.number, self.is_cine, self.is_deleted) == (o.number, o.is_cine, o.is_deleted)
    }
}

/// What the operator should know of the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Warnings {
    /// Space is low.
    pub is_disk_low: bool,
    /// The reserve is used: nothing new can be saved.
    pub is_reserve_used: bool,
    /// Why the clock is not relied on.
    pub clock: Option<&'static str>,
    /// Ended exams of which something was sent nowhere.
    pub unsent: usize,
}

/// What the host tells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExamTold {
    /// Name of the exam, once it has begun on the disk. It has nothing of the patient.
    pub exam: Option<String>,
    /// Whose it is.
    pub patient: Option<Identity>,
    /// What became of what was to be saved.
    pub saving: SaveTold,
    /// Pictures that are not on the disk.
    pub waiting: usize,
    /// Saved items, oldest first.
    pub items: Vec<ItemTold>,
    /// Date and time as the exam has them, for the operator to compare.
    pub clock: String,
    /// The preset that is chosen.
    pub preset: Option<usize>,
    /// The item whose picture is shown to be outlined anew.
    pub reopened: Option<u32>,
    /// The orders that a patient can be picked from.
    pub worklist: WorklistTold,
    /// What the operator should know of the store.
    pub warnings: Warnings,
}

impl ExamTold {
    /// Whether there is something that belongs to a patient.
    pub fn has_begun(&self) -> bool {
        self.exam.is_some() || self.patient.is_some() || self.waiting > 0
    }

    /// The warnings in words, the most important first. Those of the first kind mean that a picture may be lost.
    pub fn warnings(&self) -> impl Iterator<Item = (bool, Warning)> {
        let Warnings { is_disk_low, is_reserve_used, clock, unsent } = self.warnings;
        let trouble = match self.saving {
            SaveTold::Failed(why) => Some(Warning::NotSaved(why)),
            SaveTold::NotEnded(why) => Some(Warning::NotEnded(why)),
            SaveTold::NotBound(why) => Some(Warning::NotBound(why)),
            SaveTold::NotDone(why) => Some(Warning::NotDone(why)),
            _ => None,
        };
        let all = [
            trouble.map(|w| (true, w)),
            (self.waiting > 0).then_some((true, Warning::Waiting(self.waiting))),
            is_reserve_used.then_some((true, Warning::DiskFull)),
            self.patient.is_none().then_some((false, Warning::Unbound)),
            (is_disk_low && !is_reserve_used).then_some((false, Warning::DiskLow)),
            clock.map(|_| (false, Warning::Clock)),
            (unsent > 0).then_some((false, Warning::Unsent(unsent))),
        ];
        all.into_iter().flatten()
    }
}

/// Something that the operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// A picture is not saved.
    NotSaved(Trouble),
    /// The exam was not ended.
    NotEnded(Trouble),
    /// The exam was not bound.
    NotBound(Trouble),
    /// Something else was not done.
    NotDone(Trouble),
    /// Pictures are not on the disk yet.
    Waiting(usize),
    /// The reserve is used.
    DiskFull,
    /// Space is low.
    DiskLow,
    /// The exam is nobody's.
    Unbound,
    /// The clock is not relied on.
    Clock,
    /// Ended exams were not sent.
    Unsent(usize),
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSaved(why) => write!(f, "NOT SAVED: {}", why.label()),
            Self::NotEnded(why) => write!(f, "NOT ENDED: {}", why.label()),
            Self::NotBound(why) => write!(f, "NOT BOUND: {}", why.label()),
            Self::NotDone(why) => write!(f, "NOT DONE: {}", why.label()),
            Self::Waiting(n) => write!(f, "{n} NOT ON DISK"),
            Self::DiskFull => write!(f, "DISK FULL"),
            Self::DiskLow => write!(f, "DISK LOW"),
            Self::Unbound => write!(f, "UNBOUND"),
            Self::Clock => write!(f, "CLOCK?"),
            Self::Unsent(n) => write!(f, "{n} unsent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_what_dicom_can_hold_and_no_debug_text_has_it() {
        assert_eq!(Identity::new("  ID-4711 ").unwrap().reveal(), "ID-4711");
        for wrong in ["", "   ", "47\\11", "47\n11", &"4".repeat(65)] {
            assert!(Identity::new(wrong).is_none());
        }
        let told = ExamTold { patient: Identity::new("ID-4711"), ..ExamTold::default() };
        assert!(!format!("{told:?}").contains("4711"), "{told:?}");
    }

    #[test]
    fn what_may_lose_a_picture_is_warned_of_first() {
        let told = ExamTold {
            saving: SaveTold::Failed(Trouble::Full),
            waiting: 2,
            warnings: Warnings { is_disk_low: true, is_reserve_used: true, clock: Some("no time server"), unsent: 3 },
            ..ExamTold::default()
        };
        let words: Vec<String> = told.warnings().map(|(_, w)| w.to_string()).collect();
        assert_eq!(words, ["NOT SAVED: disk full", "2 NOT ON DISK", "DISK FULL", "UNBOUND", "CLOCK?", "3 unsent"]);
        let bound = ExamTold { patient: Identity::new("4711"), ..ExamTold::default() };
        assert_eq!(bound.warnings().count(), 0);
    }
}
