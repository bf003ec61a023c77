//! A touch panel read through evdev, and found again after it was unplugged.
//!
//! Reading never blocks. The kernel stamps events with wall time, which may be set at any moment; so only an event's
//! age is used, up to [`AGE_MAX`].

use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use evdev::raw_stream::RawDevice;
use evdev::{AbsoluteAxisCode as Axis, KeyCode};

use super::{Decoder, Demand, Finger, PanelAxes, PanelMap, RawEvent, ShownFrames, TouchProfile, Turn};
use crate::error::{Error, ErrorKind, Result};
use crate::input::Contact;
use crate::units::{FrameId, Timestamp};

/// Largest age of an event.
pub const AGE_MAX: Duration = Duration::from_millis(500);
/// Interval between searches for an absent panel.
const SEARCH_AGAIN: Duration = Duration::from_millis(400);
/// Reads per call; a panel sends far fewer reports between two frames.
const READS_MAX: usize = 16;

/// A touch panel, present or absent.
pub struct TouchPanel {
    profile: TouchProfile,
    map: PanelMap,
    reader: Option<Reader>,
    search_at: Timestamp,
    shown: ShownFrames,
    fingers: Vec<(Finger, Timestamp)>,
    step: Vec<Finger>,
    is_missing_told: bool,
}

struct Reader {
    device: RawDevice,
    axes: PanelAxes,
    decoder: Decoder,
}

impl TouchPanel {
    /// The profile's panel on a screen with the turn `screen`; it may be absent yet.
    pub fn new(profile: &TouchProfile, screen: Turn) -> Self {
        Self {
            profile: profile.clone(),
            map: PanelMap::new(profile, screen),
            reader: None,
            search_at: Timestamp::START,
            shown: ShownFrames::default(),
            fingers: Vec::with_capacity(64),
            step: Vec::with_capacity(16),
            is_missing_told: false,
        }
    }

    /// Whether it is present.
    pub fn is_there(&self) -> bool {
        self.reader.is_some()
    }

    /// Appends contacts since the last call, on a screen of `size` px that shows `shown` at `now`.
    pub fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, size: (u32, u32), out: &mut Vec<Contact>) {
        self.shown.note(shown, now);
        if self.reader.is_none() && now >= self.search_at {
            self.search(now);
        }
        let Some(reader) = &mut self.reader else { return };
        if let Err(e) = reader.read(now, &mut self.fingers, &mut self.step) {
            reader.decoder.take_back(&mut self.step);
            self.fingers.extend(self.step.drain(..).map(|f| (f, now)));
            log::warn!("touch panel: {e}; looking for it");
            self.search_at = now + SEARCH_AGAIN;
        }
        let axes = reader.axes;
        if self.search_at > now {
            self.reader = None;
        }
        for (finger, time) in self.fingers.drain(..) {
            out.push(Contact {
                finger: finger.finger,
                phase: finger.phase,
                at: self.map.place(&axes, finger.x, finger.y, size),
                size_mm: finger.major.and_then(|units| self.map.mm(&axes, units)),
                time,
                shown: self.shown.at(time),
            });
        }
    }

    fn search(&mut self, now: Timestamp) {
        self.search_at = now + SEARCH_AGAIN;
        match find(&self.profile).and_then(|path| Reader::open(&path).map(|reader| (path, reader))) {
            Ok((path, reader)) => {
                let name = reader.device.name().unwrap_or("unnamed");
                log::info!("touch panel: {name} at {}", path.display());
                self.reader = Some(reader);
                self.search_at = Timestamp::START;
                self.is_missing_told = false;
            }
            Err(e) => {
                if !self.is_missing_told {
                    log::warn!("{e}");
                }
                self.is_missing_told = true;
            }
        }
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self> {
        let place = path.display();
        let failed = |e| Error::caused(ErrorKind::Unavailable, format!("touch panel {place}: cannot be opened"), e);
        let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
        let device = RawDevice::from_fd(file.into()).map_err(failed)?;
        let state = device.get_abs_state().map_err(failed)?;
        let supported = device.supported_absolute_axes();
        let has = |axis: Axis| supported.is_some_and(|s| s.contains(axis));
        let is_multitouch = has(Axis::ABS_MT_SLOT) && has(Axis::ABS_MT_POSITION_X);
        let (x, y) = match is_multitouch {
            true => (Axis::ABS_MT_POSITION_X, Axis::ABS_MT_POSITION_Y),
            false => (Axis::ABS_X, Axis::ABS_Y),
        };
        if !has(x) || !has(y) {
            let message = format!("touch panel {place}: expected a panel with x and y, got {:?}", device.name());
            return Err(Error::new(ErrorKind::Unavailable, message));
        }
        let of = |axis: Axis| &state[usize::from(axis.0)];
        let per_mm = of(x).resolution;
        let axes = PanelAxes {
            x: (of(x).minimum, of(x).maximum),
            y: (of(y).minimum, of(y).maximum),
            units_per_mm: (per_mm > 0).then_some(per_mm as f32),
            is_multitouch,
        };
        let decoder = Decoder::new(is_multitouch, of(Axis::ABS_MT_SLOT).value);
        Ok(Self { device, axes, decoder })
    }

    fn read(
        &mut self,
        now: Timestamp,
        out: &mut Vec<(Finger, Timestamp)>,
        step: &mut Vec<Finger>,
    ) -> std::io::Result<()> {
        for _ in 0..READS_MAX {
            let mut is_slot_wanted = false;
            let events = match self.device.fetch_events() {
                Ok(events) => events,
                Err(e) if e.kind() == IoErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == IoErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            for event in events {
                let age = SystemTime::now().duration_since(event.timestamp()).unwrap_or_default().min(AGE_MAX);
                let raw = RawEvent { kind: event.event_type().0, code: event.code(), value: event.value() };
                is_slot_wanted |= self.decoder.push(raw, step) == Demand::PresentSlot;
                out.extend(step.drain(..).map(|finger| (finger, now - age)));
            }
            if is_slot_wanted {
                let state = self.device.get_abs_state()?;
                self.decoder.resume_in(state[usize::from(Axis::ABS_MT_SLOT.0)].value);
            }
        }
        Ok(())
    }
}

/// The device file of the profile's panel.
fn find(profile: &TouchProfile) -> Result<PathBuf> {
    if let Some(path) = &profile.path {
        return Ok(path.clone());
    }
    let mut panels: Vec<_> = evdev::raw_stream::enumerate().filter(|(_, device)| is_touch_panel(device)).collect();
    panels.sort_by(|(a, _), (b, _)| a.cmp(b));
    let is_wanted = |device: &RawDevice| {
        let name = device.name().unwrap_or_default();
        profile.name.as_ref().is_none_or(|wanted| name.contains(wanted.as_str()))
    };
    if let Some((path, _)) = panels.iter().find(|(_, device)| is_wanted(device)) {
        return Ok(path.clone());
    }
    let names: Vec<_> = panels.iter().map(|(_, d)| format!("{:?}", d.name().unwrap_or_default())).collect();
    let there = if names.is_empty() { "none".into() } else { names.join(", ") };
    let wanted = profile.name.as_ref().map_or(String::new(), |n| format!(" with {n:?} in its name"));
    Err(Error::new(ErrorKind::Unavailable, format!("touch panel: expected one{wanted}, got {there}")))
}

/// A touch panel has absolute axes and a touch key, and is neither a pen tablet nor a touch pad.
fn is_touch_panel(device: &RawDevice) -> bool {
    let has_axis = |axis| device.supported_absolute_axes().is_some_and(|s| s.contains(axis));
    let has_key = |key| device.supported_keys().is_some_and(|s| s.contains(key));
    let is_multitouch = has_axis(Axis::ABS_MT_POSITION_X) && has_axis(Axis::ABS_MT_SLOT);
    let is_single = has_axis(Axis::ABS_X) && has_key(KeyCode::BTN_TOUCH);
    let is_pad = has_key(KeyCode::BTN_TOOL_FINGER) && !device.properties().contains(evdev::PropType::DIRECT);
    (is_multitouch || is_single) && !is_pad && !has_key(KeyCode::BTN_TOOL_PEN)
}

/// The panels present: device file and name.
pub fn list() -> Vec<(PathBuf, String)> {
    let mut panels: Vec<_> = evdev::raw_stream::enumerate()
        .filter(|(_, device)| is_touch_panel(device))
        .map(|(path, device)| (path, device.name().unwrap_or("unnamed").to_owned()))
        .collect();
    panels.sort();
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panel_that_is_not_there_is_looked_for_and_nothing_is_touched() {
        let profile = TouchProfile { path: Some("/dev/input/no-such-panel".into()), ..TouchProfile::default() };
        let mut panel = TouchPanel::new(&profile, Turn::None);
        let mut contacts = Vec::new();
        for ms in (0..2_000).step_by(50) {
            panel.contacts(Timestamp::from_ms(ms), Some(FrameId(1)), (800, 480), &mut contacts);
        }
        assert!(!panel.is_there() && contacts.is_empty());
    }

    #[test]
    fn a_file_that_is_no_device_is_refused_with_its_name() {
        let e = Reader::open(Path::new("/dev/null")).err().unwrap();
        assert_eq!(e.kind(), ErrorKind::Unavailable);
        assert!(e.to_string().starts_with("touch panel /dev/null: "), "{e}");
    }
}
