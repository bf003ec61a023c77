//! Recognizes gestures in contacts: taps, drags and holds, for gloves, gel and one free hand.
//!
//! A gesture is committed when the finger goes up. It belongs to the place and the frame of touch-down, whatever was
//! shown since. Distances are millimetres on the glass.
//!
//! | contacts | gesture |
//! |---|---|
//! | down, up within `tap_slop_mm` | tap |
//! | down, away by `min_drag_mm` or more, up | drag; moved back to within `min_drag_mm`, it is cancelled |
//! | down, away by a distance in between, up | none: too far for a tap, too short for a box |
//! | down, still within `tap_slop_mm` after `hold` | hold, until up; no tap |
//! | up sooner than `min_contact` after down | none: a drop of gel |
//! | patch larger than `max_contact_mm`, at any time until up | none: a palm or a smear of gel; nor is it a second finger |
//! | a second finger | none until all are up; the current gesture is cancelled |
//! | down again within `bounce` and `bounce_mm` of an up | after a tap no second tap; after anything else none |
//!
//! Guarantees: fixed memory; whatever the contacts, each `HoldBegin` is followed by one `HoldEnd` or `Cancelled` and
//! each run of `Dragging` by one `Drag` or `Cancelled`, before anything else begins. A finger whose up event was lost
//! is forgotten when another one goes down at least [`SILENCE_MAX`] after its last event.

use std::time::Duration;

use super::{Contact, Gesture, Phase};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{DisplaySpace, Point};
use crate::units::{FrameId, Timestamp};

/// Fingers tracked at a time; more are ignored.
const FINGERS_MAX: usize = 10;
const MM_PER_INCH: f32 = 25.4;

/// A finger down without an event for this long does not count as a second finger.
pub const SILENCE_MAX: Duration = Duration::from_millis(5000);

/// Thresholds of gestures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecognizerConfig {
    /// Display px per inch.
    pub dpi: f32,
    /// A finger that stays this near to touch-down taps or holds, mm.
    pub tap_slop_mm: f32,
    /// A finger at least this far from touch-down drags, mm; at least `tap_slop_mm`.
    pub min_drag_mm: f32,
    /// Shorter contacts are ignored.
    pub min_contact: Duration,
    /// Contacts with a longer side are ignored, mm. Devices that report no size are trusted.
    pub max_contact_mm: f32,
    /// A finger that rests this long holds.
    pub hold: Duration,
    /// A touch-down within this time and `bounce_mm` of an up is a bounce of the same touch.
    pub bounce: Duration,
    /// Distance of a bounce, mm.
    pub bounce_mm: f32,
}

impl RecognizerConfig {
    /// For a touch panel under gloved fingers.
    pub fn gloves(dpi: f32) -> Self {
        Self {
            dpi,
            tap_slop_mm: 3.0,
            min_drag_mm: 5.0,
            min_contact: Duration::from_millis(20),
            max_contact_mm: 22.0,
            hold: Duration::from_millis(600),
            bounce: Duration::from_millis(60),
            bounce_mm: 3.0,
        }
    }

    /// For a mouse or track pad: it does not tremble, drip or bounce, and down and up may have the same time.
    pub fn mouse(dpi: f32) -> Self {
        Self {
            tap_slop_mm: 1.0,
            min_drag_mm: 2.0,
            min_contact: Duration::ZERO,
            bounce: Duration::ZERO,
            bounce_mm: 0.0,
            ..Self::gloves(dpi)
        }
    }

    fn check(&self) -> Result<()> {
        let lengths = [
            ("dpi", self.dpi, 0.0),
            ("tap_slop_mm", self.tap_slop_mm, -1.0),
            ("max_contact_mm", self.max_contact_mm, 0.0),
            ("bounce_mm", self.bounce_mm, -1.0),
        ];
        for (name, value, above) in lengths {
            if !(value.is_finite() && value > above && value.is_sign_positive()) {
                let expected = if above < 0.0 { "at least 0" } else { "more than 0" };
                let message = format!("recognizer: expected {name} to be a finite number {expected}, got {value}");
                return Err(Error::new(ErrorKind::Argument, message));
            }
        }
        if !(self.min_drag_mm.is_finite() && self.min_drag_mm >= self.tap_slop_mm) {
            let (drag, slop) = (self.min_drag_mm, self.tap_slop_mm);
            let message = format!("recognizer: expected min_drag_mm to be at least tap_slop_mm, {slop}, got {drag}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
        Ok(())
    }
}

/// Where, when and on which frame a finger went down.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Touch {
    finger: u8,
    from: Point<DisplaySpace>,
    began: Timestamp,
    shown: Option<FrameId>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// No finger is down.
    Idle,
    /// One finger; its gesture is not decided yet.
    Open {
        touch: Touch,
        has_slid: bool,
        is_echo: bool,
    },
    Dragging(Touch),
    Holding(Touch),
    /// Ignored until all fingers are up.
    Void,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Finger {
    number: u8,
    is_patch: bool,
    last_at: Point<DisplaySpace>,
    last_sign: Timestamp,
}

/// How the last touch ended, which decides about a bounce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// A tap; its bounce may still become a drag.
    Tap,
    /// Too short to be a touch: a following contact is no bounce.
    Blip,
    /// Anything else.
    Other,
}

/// The last touch that ended.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Release {
    at: Point<DisplaySpace>,
    time: Timestamp,
    was_tap: bool,
}

/// Turns contacts into gestures.
#[derive(Clone, Debug)]
pub struct Recognizer {
    config: RecognizerConfig,
    state: State,
    fingers: [Option<Finger>; FINGERS_MAX],
    released: Option<Release>,
}

impl Recognizer {
    /// A recognizer with no finger down.
    ///
    /// # Errors
    /// `Argument` for lengths or a dpi out of range.
    pub fn new(config: RecognizerConfig) -> Result<Self> {
        config.check()?;
        Ok(Self { config, state: State::Idle, fingers: [None; FINGERS_MAX], released: None })
    }

    /// Takes one contact and appends completed gestures to `out`, at most three.
    pub fn push(&mut self, contact: Contact, out: &mut Vec<Gesture>) {
        self.tick(contact.time, out);
        match contact.phase {
            Phase::Down => self.down(&contact, out),
            Phase::Move => self.moved(&contact, out),
            Phase::Up => self.up(&contact, out),
            Phase::Cancel => self.cancelled(contact.finger, out),
        }
    }

    /// Advances time, so that a resting finger becomes a hold. Call it once per frame.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Gesture>) {
        if let State::Open { touch, has_slid: false, .. } = self.state
            && now.since(touch.began) >= self.config.hold
        {
            self.state = State::Holding(touch);
            out.push(Gesture::HoldBegin { at: touch.from });
        }
    }

    /// Forgets all fingers, for a device that went away, and cancels the current gesture.
    pub fn reset(&mut self, out: &mut Vec<Gesture>) {
        self.take_back(out);
        self.fingers = [None; FINGERS_MAX];
        self.state = State::Idle;
        self.released = None;
    }

    fn down(&mut self, contact: &Contact, out: &mut Vec<Gesture>) {
        if !contact.at.is_finite() {
            return;
        }
        self.forget_silent(contact, out);
        let number = contact.finger;
        let is_patch = self.is_patch(contact);
        let finger = Finger { number, is_patch, last_at: contact.at, last_sign: contact.time };
        let Some(place) = self.fingers.iter_mut().find(|f| f.is_none()) else { return };
        *place = Some(finger);
        if is_patch {
            return;
        }
        if self.state != State::Idle {
            self.take_back(out);
            return;
        }
        let touch = Touch { finger: number, from: contact.at, began: contact.time, shown: contact.shown };
        self.state = match self.echo_of(contact) {
            Some(Release { was_tap: false, .. }) => State::Void,
            echo => State::Open { touch, has_slid: false, is_echo: echo.is_some() },
        };
    }

    fn moved(&mut self, contact: &Contact, out: &mut Vec<Gesture>) {
        if !contact.at.is_finite() {
            return;
        }
        let is_patch = self.is_patch(contact);
        let Some(finger) = self.finger_mut(contact.finger) else { return };
        finger.last_at = contact.at;
        finger.last_sign = contact.time;
        if is_patch && !finger.is_patch {
            finger.is_patch = true;
            if self.owner() == Some(contact.finger) {
                self.take_back(out);
            }
            self.settle();
            return;
        }
        self.follow(contact.finger, contact.at, out);
    }

    /// Follows the finger of the current touch.
    fn follow(&mut self, finger: u8, at: Point<DisplaySpace>, out: &mut Vec<Gesture>) {
        match self.state {
            State::Open { touch, has_slid, is_echo } if touch.finger == finger => {
                let mm = self.mm(touch.from, at);
                if mm >= self.config.min_drag_mm && mm > self.config.tap_slop_mm {
                    self.state = State::Dragging(touch);
                    out.push(Gesture::Dragging { from: touch.from, to: at, shown: touch.shown });
                } else {
                    let has_slid = has_slid || mm > self.config.tap_slop_mm;
                    self.state = State::Open { touch, has_slid, is_echo };
                }
            }
            State::Dragging(touch) if touch.finger == finger => {
                out.push(Gesture::Dragging { from: touch.from, to: at, shown: touch.shown });
            }
            _ => {}
        }
    }

    fn up(&mut self, contact: &Contact, out: &mut Vec<Gesture>) {
        if contact.at.is_finite() {
            self.moved(contact, out);
        }
        let Some(last_at) = self.finger_mut(contact.finger).map(|f| f.last_at) else { return };
        self.drop_finger(contact.finger);
        let mut end = End::Other;
        if self.owner() == Some(contact.finger) {
            let state = std::mem::replace(&mut self.state, State::Void);
            end = self.commit(state, last_at, contact.time, out);
        }
        if end != End::Blip {
            self.released = Some(Release { at: last_at, time: contact.time, was_tap: end == End::Tap });
        }
        self.settle();
    }

    /// Ends a touch at `to` and emits its gesture.
    fn commit(&self, state: State, to: Point<DisplaySpace>, now: Timestamp, out: &mut Vec<Gesture>) -> End {
        match state {
            State::Open { has_slid: false, is_echo: true, .. } => return End::Tap,
            State::Open { touch, has_slid: false, .. } => {
                if now.since(touch.began) < self.config.min_contact {
                    return End::Blip;
                }
                out.push(Gesture::Tap { at: touch.from, shown: touch.shown });
                return End::Tap;
            }
            State::Dragging(touch) => {
                let is_back = self.mm(touch.from, to) < self.config.min_drag_mm;
                out.push(match is_back {
                    true => Gesture::Cancelled,
                    false => Gesture::Drag { from: touch.from, to, shown: touch.shown },
                });
            }
            State::Holding(_) => out.push(Gesture::HoldEnd),
            State::Open { has_slid: true, .. } | State::Idle | State::Void => {}
        }
        End::Other
    }

    fn cancelled(&mut self, finger: u8, out: &mut Vec<Gesture>) {
        if self.owner() == Some(finger) {
            self.take_back(out);
        }
        self.drop_finger(finger);
        self.settle();
    }

    /// Cancels the current gesture; emits `Cancelled` if the operator has seen anything of it.
    fn take_back(&mut self, out: &mut Vec<Gesture>) {
        if matches!(self.state, State::Dragging(_) | State::Holding(_)) {
            out.push(Gesture::Cancelled);
        }
        self.state = State::Void;
    }

    /// Drops fingers whose up event was lost: one that goes down again, or one silent for too long.
    fn forget_silent(&mut self, contact: &Contact, out: &mut Vec<Gesture>) {
        for i in 0..FINGERS_MAX {
            let Some(finger) = self.fingers[i] else { continue };
            let is_silent = contact.time.since(finger.last_sign) >= SILENCE_MAX;
            if finger.number == contact.finger || is_silent {
                self.cancelled(finger.number, out);
            }
        }
    }

    /// Allows a new touch once no finger but ignored patches is down.
    fn settle(&mut self) {
        if self.state == State::Void && self.fingers.iter().flatten().all(|f| f.is_patch) {
            self.state = State::Idle;
        }
    }

    fn echo_of(&self, contact: &Contact) -> Option<Release> {
        self.released.filter(|r| {
            contact.time.since(r.time) < self.config.bounce && self.mm(r.at, contact.at) <= self.config.bounce_mm
        })
    }

    fn owner(&self) -> Option<u8> {
        match self.state {
            State::Open { touch, .. } | State::Dragging(touch) | State::Holding(touch) => Some(touch.finger),
            State::Idle | State::Void => None,
        }
    }

    fn finger_mut(&mut self, number: u8) -> Option<&mut Finger> {
        self.fingers.iter_mut().flatten().find(|f| f.number == number)
    }

    fn drop_finger(&mut self, number: u8) {
        for finger in self.fingers.iter_mut().filter(|f| f.is_some_and(|f| f.number == number)) {
            *finger = None;
        }
    }

    fn is_patch(&self, contact: &Contact) -> bool {
        contact.size_mm.is_some_and(|size| size > self.config.max_contact_mm)
    }

    fn mm(&self, a: Point<DisplaySpace>, b: Point<DisplaySpace>) -> f32 {
        a.distance(b) * MM_PER_INCH / self.config.dpi
    }
}
