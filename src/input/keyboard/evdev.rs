//! Pedals, buttons and scanners read through evdev, and found again after they were unplugged.
//!
//! Reading never blocks. A device is grabbed, so that nothing that is scanned comes to a text console or another program.

use std::io::ErrorKind as IoErrorKind;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use evdev::EventType;
use evdev::raw_stream::RawDevice;

use super::{Decoder, KeyPress, KeyboardProfile};
use crate::error::{Error, ErrorKind, Result};
use crate::units::Timestamp;

/// Interval between searches for absent devices.
const SEARCH_AGAIN: Duration = Duration::from_millis(1_000);
/// Reads per call and device.
const READS_MAX: usize = 16;

/// The devices of a profile, each present or absent.
pub struct Keyboards {
    all: Vec<Keyboard>,
    search_at: Timestamp,
}

struct Keyboard {
    profile: KeyboardProfile,
    decoder: Decoder,
    device: Option<RawDevice>,
    is_missing_told: bool,
}

impl Keyboards {
    /// The devices of these profiles; they may be absent yet.
    pub fn new(profiles: &[KeyboardProfile]) -> Self {
        let of = |profile: &KeyboardProfile| Keyboard {
            decoder: Decoder::new(profile),
            profile: profile.clone(),
            device: None,
            is_missing_told: false,
        };
        Self { all: profiles.iter().map(of).collect(), search_at: Timestamp::START }
    }

    /// Appends what was pressed and scanned since the last call.
    pub fn read(&mut self, now: Timestamp, out: &mut Vec<KeyPress>) {
        if now >= self.search_at && self.all.iter().any(|k| k.device.is_none()) {
            self.search_at = now + SEARCH_AGAIN;
            self.all.iter_mut().filter(|k| k.device.is_none()).for_each(Keyboard::search);
        }
        for keyboard in &mut self.all {
            keyboard.decoder.tick(now, out);
            if let Err(e) = keyboard.read(now, out) {
                log::warn!("keyboard: {e}; looking for it");
                keyboard.device = None;
                keyboard.decoder.reset();
            }
        }
    }
}

impl Keyboard {
    fn search(&mut self) {
        match find(&self.profile).and_then(|path| open(&path).map(|device| (path, device))) {
            Ok((path, device)) => {
                log::info!("keyboard: {} at {}", device.name().unwrap_or("unnamed"), path.display());
                self.device = Some(device);
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

    fn read(&mut self, now: Timestamp, out: &mut Vec<KeyPress>) -> std::io::Result<()> {
        let Some(device) = &mut self.device else { return Ok(()) };
        for _ in 0..READS_MAX {
            let events = match device.fetch_events() {
                Ok(events) => events,
                Err(e) if e.kind() == IoErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == IoErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            // A key that repeats by itself has the value 2.
            for event in events.filter(|e| e.event_type() == EventType::KEY && e.value() < 2) {
                self.decoder.push(event.code(), event.value() == 1, now, out);
            }
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<RawDevice> {
    let failed = |e| Error::caused(ErrorKind::Unavailable, format!("keyboard {}: cannot be opened", path.display()), e);
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(failed)?;
    let mut device = RawDevice::from_fd(file.into()).map_err(failed)?;
    device.grab().map_err(failed)?;
    Ok(device)
}

/// The device file of a profile's device.
fn find(profile: &KeyboardProfile) -> Result<PathBuf> {
    if let Some(path) = &profile.path {
        return Ok(path.clone());
    }
    let wanted = profile.name.as_deref().unwrap_or_default();
    let is_wanted =
        |device: &RawDevice| device.supported_keys().is_some() && device.name().unwrap_or_default().contains(wanted);
    let mut found: Vec<PathBuf> =
        evdev::raw_stream::enumerate().filter(|(_, device)| is_wanted(device)).map(|(path, _)| path).collect();
    found.sort();
    found.into_iter().next().ok_or_else(|| {
        Error::new(ErrorKind::Unavailable, format!("keyboard: expected one with {wanted:?} in its name, got none"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keyboard_that_is_not_there_is_looked_for_and_presses_nothing() {
        let profile =
            KeyboardProfile { path: Some("/dev/input/no-such-keyboard".into()), ..KeyboardProfile::default() };
        let mut keyboards = Keyboards::new(&[profile]);
        let mut out = Vec::new();
        for ms in (0..5_000).step_by(50) {
            keyboards.read(Timestamp::from_ms(ms), &mut out);
        }
        assert!(out.is_empty() && keyboards.all[0].device.is_none());
        let e = open(Path::new("/dev/null")).err().unwrap();
        assert!(e.to_string().starts_with("keyboard /dev/null: "), "{e}");
    }
}
