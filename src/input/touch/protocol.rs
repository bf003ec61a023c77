//! A state machine for the kernel's multitouch protocol B and for single touch: events in, fingers out.
//!
//! Source: Linux Documentation/input/multi-touch-protocol.rst. Slots keep their values between reports; an unchanged
//! axis is not sent. After lost events (`SYN_DROPPED`) the state is unknown: all fingers are cancelled, and ignored
//! until their slot gets a new finger.
//!
//! Guarantees: fixed memory; each finger's `Down` is followed by one `Up` or `Cancel` before its next `Down`; a finger
//! is reported only when both of its coordinates are known.

use crate::input::Phase;

/// Slots that are tracked; fingers in others are ignored.
const SLOTS: usize = 10;

const EV_SYN: u16 = 0;
const EV_KEY: u16 = 1;
const EV_ABS: u16 = 3;
const SYN_REPORT: u16 = 0;
const SYN_DROPPED: u16 = 3;
const BTN_TOUCH: u16 = 0x14A;
const ABS_X: u16 = 0x00;
const ABS_Y: u16 = 0x01;
const ABS_MT_SLOT: u16 = 0x2F;
const ABS_MT_TOUCH_MAJOR: u16 = 0x30;
const ABS_MT_POSITION_X: u16 = 0x35;
const ABS_MT_POSITION_Y: u16 = 0x36;
const ABS_MT_TRACKING_ID: u16 = 0x39;

/// An event, with the kernel's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// `EV_SYN`, `EV_KEY`, `EV_ABS`; others are ignored.
    pub kind: u16,
    /// Key or axis.
    pub code: u16,
    /// Its value.
    pub value: i32,
}

/// A panel's own description.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PanelAxes {
    /// Minimum and maximum x.
    pub x: (i32, i32),
    /// Minimum and maximum y.
    pub y: (i32, i32),
    /// Units of x per millimetre; `None` when not reported.
    pub units_per_mm: Option<f32>,
    /// Whether it tracks several fingers (protocol B).
    pub is_multitouch: bool,
}

/// An event of a finger, in panel units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Finger {
    /// Its slot.
    pub finger: u8,
    /// Its phase.
    pub phase: Phase,
    /// Where.
    pub x: i32,
    /// Where.
    pub y: i32,
    /// Longest side of the contact; `None` when not reported.
    pub major: Option<i32>,
}

/// What the decoder needs from its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// Nothing.
    None,
    /// Events were lost: call [`Decoder::resume_in`] with the panel's current slot.
    PresentSlot,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Slot {
    x: Option<i32>,
    y: Option<i32>,
    major: Option<i32>,
    /// The kernel's tracking number of the finger in the slot; -1 or absent for none.
    tracking: Option<i32>,
    /// The tracking number that was reported, if any.
    told: Option<i32>,
    is_changed: bool,
    /// Ignored until a new finger comes, because events were lost.
    is_void: bool,
}

/// Decodes events to fingers.
#[derive(Clone, Debug)]
pub struct Decoder {
    is_multitouch: bool,
    slots: [Slot; SLOTS],
    current: usize,
    is_dropping: bool,
}

impl Decoder {
    /// For a newly opened panel; `slot` is its current one.
    pub fn new(is_multitouch: bool, slot: i32) -> Self {
        Self { is_multitouch, slots: [Slot::default(); SLOTS], current: index(slot), is_dropping: false }
    }

    /// Takes an event; at the end of a report, appends what fingers did.
    pub fn push(&mut self, event: RawEvent, out: &mut Vec<Finger>) -> Demand {
        match (event.kind, event.code) {
            (EV_SYN, SYN_DROPPED) => {
                self.take_back(out);
                self.is_dropping = true;
            }
            (EV_SYN, SYN_REPORT) if self.is_dropping => {
                self.is_dropping = false;
                return Demand::PresentSlot;
            }
            (EV_SYN, SYN_REPORT) => self.report(out),
            _ if self.is_dropping => {}
            (EV_ABS, code) if self.is_multitouch => self.axis(code, event.value),
            (EV_ABS, ABS_X) => self.axis(ABS_MT_POSITION_X, event.value),
            (EV_ABS, ABS_Y) => self.axis(ABS_MT_POSITION_Y, event.value),
            (EV_KEY, BTN_TOUCH) if !self.is_multitouch => {
                let next = self.slots[0].told.map_or(0, |told| told.wrapping_add(1) & 0xFFFF);
                self.axis(ABS_MT_TRACKING_ID, if event.value == 0 { -1 } else { next });
            }
            _ => {}
        }
        Demand::None
    }

    /// Resumes after lost events.
    pub fn resume_in(&mut self, slot: i32) {
        self.current = index(slot);
    }

    /// Cancels all reported fingers, for lost events or a panel that went away.
    pub fn take_back(&mut self, out: &mut Vec<Finger>) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if slot.told.take().is_some() {
                out.push(slot.finger(i, Phase::Cancel));
            }
            *slot = Slot { tracking: slot.tracking, is_void: true, ..Slot::default() };
        }
    }

    fn axis(&mut self, code: u16, value: i32) {
        if code == ABS_MT_SLOT {
            self.current = index(value);
            return;
        }
        let Some(slot) = self.slots.get_mut(self.current) else { return };
        match code {
            ABS_MT_POSITION_X => slot.x = Some(value),
            ABS_MT_POSITION_Y => slot.y = Some(value),
            ABS_MT_TOUCH_MAJOR => slot.major = Some(value),
            ABS_MT_TRACKING_ID => {
                let tracking = (value >= 0).then_some(value);
                slot.is_void &= tracking == slot.tracking;
                slot.tracking = tracking;
            }
            _ => return,
        }
        slot.is_changed = true;
    }

    fn report(&mut self, out: &mut Vec<Finger>) {
        for (i, slot) in self.slots.iter_mut().enumerate() {
            if !std::mem::take(&mut slot.is_changed) || slot.is_void {
                continue;
            }
            let is_placed = slot.x.is_some() && slot.y.is_some();
            match (slot.told, slot.tracking) {
                (Some(told), Some(now)) if told == now => out.push(slot.finger(i, Phase::Move)),
                (told, now) => {
                    if told.is_some() {
                        out.push(slot.finger(i, Phase::Up));
                    }
                    slot.told = now.filter(|_| is_placed);
                    if slot.told.is_some() {
                        out.push(slot.finger(i, Phase::Down));
                    }
                }
            }
        }
    }
}

impl Slot {
    fn finger(&self, slot: usize, phase: Phase) -> Finger {
        let (x, y) = (self.x.unwrap_or_default(), self.y.unwrap_or_default());
        Finger { finger: slot as u8, phase, x, y, major: self.major }
    }
}

/// A slot's index; one past the tracked slots for any other.
fn index(slot: i32) -> usize {
    usize::try_from(slot).unwrap_or(SLOTS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use Phase::{Cancel, Down, Move, Up};
    use proptest::prelude::*;

    /// Finger, what it did, x, y.
    type Told = (u8, Phase, i32, i32);

    /// Events as `evtest` prints them, in short: "slot 0", "id 7", "x 400", "y 240", "major 30", "key 1", "syn", "dropped".
    fn recorded(text: &str) -> impl Iterator<Item = RawEvent> + '_ {
        text.split(',').map(|words| {
            let mut words = words.split_whitespace();
            let (name, value) = (words.next().unwrap(), words.next().map_or(0, |v| v.parse().unwrap()));
            let (kind, code) = match name {
                "slot" => (EV_ABS, ABS_MT_SLOT),
                "id" => (EV_ABS, ABS_MT_TRACKING_ID),
                "x" => (EV_ABS, ABS_MT_POSITION_X),
                "y" => (EV_ABS, ABS_MT_POSITION_Y),
                "major" => (EV_ABS, ABS_MT_TOUCH_MAJOR),
                "pressure" => (EV_ABS, 0x3A),
                "sx" => (EV_ABS, ABS_X),
                "sy" => (EV_ABS, ABS_Y),
                "key" => (EV_KEY, BTN_TOUCH),
                "syn" => (EV_SYN, SYN_REPORT),
                "dropped" => (EV_SYN, SYN_DROPPED),
                other => panic!("{other}"),
            };
            RawEvent { kind, code, value }
        })
    }

    fn feed(decoder: &mut Decoder, text: &str, out: &mut Vec<Finger>) {
        for event in recorded(text) {
            assert_eq!(decoder.push(event, out), Demand::None, "{event:?}");
        }
    }

    fn decode(is_multitouch: bool, text: &str) -> Vec<Told> {
        let mut decoder = Decoder::new(is_multitouch, 0);
        let mut out = Vec::new();
        for event in recorded(text) {
            if decoder.push(event, &mut out) == Demand::PresentSlot {
                decoder.resume_in(0);
            }
        }
        out.iter().map(|f| (f.finger, f.phase, f.x, f.y)).collect()
    }

    #[test]
    fn recorded_touches_become_fingers() {
        let cases: &[(&str, &str, &[Told])] = &[
            (
                "a tap, as a Goodix panel sends it",
                "slot 0, id 7, x 400, y 240, major 30, key 1, sx 400, sy 240, syn, id -1, key 0, syn",
                &[(0, Down, 400, 240), (0, Up, 400, 240)],
            ),
            (
                "a drag; axes that did not change are not sent",
                "id 8, x 10, y 20, syn, x 30, syn, y 50, syn, id -1, syn",
                &[(0, Down, 10, 20), (0, Move, 30, 20), (0, Move, 30, 50), (0, Up, 30, 50)],
            ),
            (
                "two fingers",
                "slot 0, id 1, x 1, y 2, slot 1, id 2, x 3, y 4, syn, slot 0, id -1, slot 1, x 9, syn, id -1, syn",
                &[(0, Down, 1, 2), (1, Down, 3, 4), (0, Up, 1, 2), (1, Move, 9, 4), (1, Up, 9, 4)],
            ),
            (
                "one finger replaced by another between two reports",
                "id 1, x 1, y 2, syn, id -1, id 2, x 8, syn, id -1, syn",
                &[(0, Down, 1, 2), (0, Up, 8, 2), (0, Down, 8, 2), (0, Up, 8, 2)],
            ),
            (
                "a second tap at the very same place sends no coordinates",
                "id 1, x 1, y 2, syn, id -1, syn, id 2, syn, id -1, syn",
                &[(0, Down, 1, 2), (0, Up, 1, 2), (0, Down, 1, 2), (0, Up, 1, 2)],
            ),
            ("a finger whose place is not known yet is not told of", "id 1, x 5, syn, id -1, syn", &[]),
            ("a finger in a slot beyond those told apart", "slot 12, id 1, x 5, y 5, syn, id -1, syn", &[]),
            ("pressure alone moves nothing", "id 1, x 1, y 2, syn, pressure 9, syn", &[(0, Down, 1, 2)]),
        ];
        for (what, events, expected) in cases {
            assert_eq!(decode(true, events), *expected, "{what}");
        }
    }

    #[test]
    fn a_resistive_panel_has_one_finger() {
        let events = "sx 100, sy 50, key 1, syn, sx 120, syn, key 0, syn, key 1, syn, key 0, syn";
        let expected = [(0, Down, 100, 50), (0, Move, 120, 50), (0, Up, 120, 50), (0, Down, 120, 50), (0, Up, 120, 50)];
        assert_eq!(decode(false, events), expected);
    }

    #[test]
    fn after_lost_events_fingers_are_taken_back_until_they_are_new() {
        let lost_up = "id 1, x 1, y 2, syn, dropped, x 900, id 5, syn, x 7, y 7, syn, id -1, syn, id 6, x 3, y 4, syn";
        assert_eq!(decode(true, lost_up), [(0, Down, 1, 2), (0, Cancel, 1, 2), (0, Down, 3, 4)]);
        let mut decoder = Decoder::new(true, 0);
        let mut out = Vec::new();
        let demands: Vec<_> =
            recorded("id 1, x 1, y 2, syn, dropped, slot 3, syn").map(|e| decoder.push(e, &mut out)).collect();
        assert_eq!(demands.iter().filter(|d| **d == Demand::PresentSlot).count(), 1);
        decoder.resume_in(3);
        out.clear();
        feed(&mut decoder, "id 9, x 5, y 6, syn", &mut out);
        assert_eq!((out[0].finger, out[0].phase), (3, Down), "the slot after the lost events was not believed");
    }

    #[test]
    fn a_panel_that_goes_away_takes_its_fingers_back() {
        let mut decoder = Decoder::new(true, 0);
        let mut out = Vec::new();
        feed(&mut decoder, "id 1, x 1, y 2, slot 4, id 2, x 3, y 4, syn", &mut out);
        out.clear();
        decoder.take_back(&mut out);
        assert_eq!(out.iter().map(|f| (f.finger, f.phase)).collect::<Vec<_>>(), [(0, Cancel), (4, Cancel)]);
        out.clear();
        decoder.take_back(&mut out);
        assert_eq!(out, [], "taken back twice");
    }

    proptest! {
        #[test]
        fn whatever_comes_each_down_ends_once(events in prop::collection::vec((0u16..4, 0u16..0x40, -2i32..14), 0..400)) {
            let mut decoder = Decoder::new(true, 0);
            let mut is_down = [false; SLOTS];
            let mut out = Vec::new();
            for (kind, code, value) in events {
                let code = if kind == EV_SYN { code % 4 } else { code };
                decoder.push(RawEvent { kind, code, value }, &mut out);
            }
            decoder.take_back(&mut out);
            for f in &out {
                let down = &mut is_down[usize::from(f.finger)];
                prop_assert_eq!(*down, f.phase != Down, "{:?}", f);
                *down = matches!(f.phase, Down | Move);
            }
            prop_assert_eq!(is_down, [false; SLOTS]);
        }
    }
}
