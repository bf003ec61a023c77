//! A screen with a touch panel on it.

use super::{Arrival, Display, Key, Presence, Presentation, Presented};
use crate::error::Result;
use crate::glass::DisplayTiming;
use crate::input::Contact;
use crate::input::touch::evdev::TouchPanel;
use crate::overlay::{Canvas, Control};
use crate::scene::Scene;
use crate::units::{FrameId, Timestamp};

/// A display whose contacts come from a touch panel, which may be absent or return at any time.
pub struct Touched {
    screen: Box<dyn Display>,
    panel: TouchPanel,
}

impl Touched {
    /// Combines a screen and a panel.
    pub fn new(screen: Box<dyn Display>, panel: TouchPanel) -> Self {
        Self { screen, panel }
    }
}

impl Display for Touched {
    fn size(&self) -> (u32, u32) {
        self.screen.size()
    }

    fn dpi(&self) -> f32 {
        self.screen.dpi()
    }

    fn timing(&self) -> DisplayTiming {
        self.screen.timing()
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        self.screen.present(canvas, shown, is_in_time)
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        self.panel.contacts(now, shown, self.screen.size(), out);
        self.screen.contacts(now, shown, out)
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        self.screen.keys(out);
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        self.screen.arrivals(out);
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        self.screen.controls(out);
    }

    fn tell(&mut self, scene: &Scene) {
        self.screen.tell(scene);
    }

    fn finish(&mut self) -> Result<()> {
        self.screen.finish()
    }
}
