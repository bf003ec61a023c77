//! Pedals, buttons and scanners of the profile, for the display loop.

use anyhow::Result;
#[cfg(not(feature = "touch"))]
use anyhow::bail;
use sonotap::display_loop::DisplayLoop;
use sonotap::input::keyboard::KeyPress;
use sonotap::profile::Profile;
use sonotap::units::Timestamp;

use crate::displays::Displays;

/// The devices of a profile's `[[keyboard]]` sections.
pub struct Keyboards {
    #[cfg(feature = "touch")]
    devices: Option<sonotap::input::keyboard::evdev::Keyboards>,
    pressed: Vec<KeyPress>,
}

impl Keyboards {
    /// Those of the profile; they may be absent yet.
    #[cfg(feature = "touch")]
    pub fn open(profile: &Profile) -> Result<Self> {
        let devices =
            (!profile.keyboard.is_empty()).then(|| sonotap::input::keyboard::evdev::Keyboards::new(&profile.keyboard));
        Ok(Self { devices, pressed: Vec::new() })
    }

    /// Those of the profile; they may be absent yet.
    #[cfg(not(feature = "touch"))]
    pub fn open(profile: &Profile) -> Result<Self> {
        if !profile.keyboard.is_empty() {
            bail!("[[keyboard]]: this build has no pedals and scanners (feature `touch`)");
        }
        Ok(Self { pressed: Vec::new() })
    }

    #[cfg(feature = "touch")]
    fn read(&mut self, now: Timestamp) {
        if let Some(devices) = &mut self.devices {
            devices.read(now, &mut self.pressed);
        }
    }

    #[cfg(not(feature = "touch"))]
    fn read(&mut self, _now: Timestamp) {}

    /// Does what was pressed and scanned since the last call.
    pub fn obey(&mut self, display_loop: &mut DisplayLoop<Displays>, now: Timestamp) {
        self.read(now);
        for press in self.pressed.drain(..) {
            match press {
                KeyPress::Command(command) => display_loop.command(command),
                KeyPress::Scanned(scan) => display_loop.scanned(scan.reveal()),
            }
        }
    }
}
