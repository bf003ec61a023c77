//! A display that shows nothing, at a screen's refresh rate: the timing of a flipping screen without one.

use std::time::{Duration, Instant};

use super::{Display, NullDisplay, Presence, Presentation, Presented};
use crate::error::{Error, ErrorKind, Result};
use crate::glass::{DisplayTiming, Light};
use crate::input::Contact;
use crate::overlay::Canvas;
use crate::units::{FrameId, Span, Timestamp};

/// Refreshes per second.
const HZ: std::ops::RangeInclusive<f64> = 1.0..=1_000.0;
/// A picture is shown at a refresh if it was handed over at least this long before.
const LATCH: Duration = Duration::from_micros(200);

/// A simulated screen: [`Display::present`] returns at the refresh at which the picture would be at the glass.
#[derive(Clone, Debug)]
pub struct FlipDisplay {
    null: NullDisplay,
    began: Instant,
    period: Duration,
}

impl FlipDisplay {
    /// A screen of the size and resolution of `null`, with `hz` refreshes per second.
    ///
    /// # Errors
    /// `Argument` for a rate outside 1 to 1000 Hz.
    pub fn new(null: NullDisplay, hz: f64) -> Result<Self> {
        if !HZ.contains(&hz) {
            let context = format!("expected {} to {} refreshes a second, got {hz}", HZ.start(), HZ.end());
            return Err(Error::new(ErrorKind::Argument, context));
        }
        Ok(Self { null, began: Instant::now(), period: Duration::of_secs(1.0 / hz) })
    }

    /// The refresh at which a picture handed over at `handed` is at the glass.
    fn refresh_after(&self, handed: Instant) -> Instant {
        let since = (handed + LATCH).duration_since(self.began).as_nanos();
        let count = since.div_ceil(self.period.as_nanos());
        self.began + Duration::from_nanos(u64::try_from(count * self.period.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl Display for FlipDisplay {
    fn size(&self) -> (u32, u32) {
        self.null.size()
    }

    fn dpi(&self) -> f32 {
        self.null.dpi()
    }

    fn timing(&self) -> DisplayTiming {
        DisplayTiming::AtRefresh { period: self.period }
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        if !is_in_time() {
            return Ok(Presentation::Withheld);
        }
        let refresh = self.refresh_after(Instant::now());
        self.null.present(canvas, shown, &mut || true)?;
        std::thread::sleep(refresh.saturating_duration_since(Instant::now()));
        let ago = Instant::now().saturating_duration_since(refresh);
        Ok(Presentation::Lit(Light::Ago(ago)))
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        self.null.contacts(now, shown, out)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn light_comes_at_the_refresh_after_the_hand_over() {
        let display = FlipDisplay::new(NullDisplay::new(8, 8), 50.0).unwrap();
        for (handed_us, refresh_ms) in [(0, 20), (19_700, 20), (19_900, 40), (20_000, 40), (399_000, 400)] {
            let handed = display.began + Duration::from_micros(handed_us);
            assert_eq!(display.refresh_after(handed), display.began + Duration::from_millis(refresh_ms), "{handed_us}");
        }
        assert!([0.0, f64::NAN].into_iter().all(|hz| FlipDisplay::new(NullDisplay::new(8, 8), hz).is_err()));
    }

    #[test]
    fn a_picture_that_is_late_is_not_shown() {
        let mut display = FlipDisplay::new(NullDisplay::new(8, 8), 500.0).unwrap();
        let (canvas, shown) = (Canvas::new(8, 8), Presented::default());
        assert_eq!(display.present(&canvas, &shown, &mut || false).unwrap(), Presentation::Withheld);
        assert_eq!(display.null.presented(), 0);
        assert!(matches!(display.present(&canvas, &shown, &mut || true).unwrap(), Presentation::Lit(Light::Ago(_))));
        assert_eq!(display.null.presented(), 1);
    }
}
