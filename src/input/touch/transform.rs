//! Maps places on a touch panel to places on the screen.
//!
//! In this order: units to fractions of the panel (x right, y down, 0 to 1), calibration, mirrors, rotation, screen
//! size.

use super::TouchProfile;
use super::protocol::PanelAxes;
use crate::geometry::{DisplaySpace, Point};

/// A rotation by right angles, clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// None.
    #[default]
    None,
    /// 90 degrees.
    Quarter,
    /// 180 degrees.
    Half,
    /// 270 degrees.
    ThreeQuarters,
}

impl Turn {
    /// The turn by `degrees`; `None` unless it is a multiple of 90.
    pub fn from_degrees(degrees: u16) -> Option<Self> {
        Some(match degrees {
            0 => Self::None,
            90 => Self::Quarter,
            180 => Self::Half,
            270 => Self::ThreeQuarters,
            _ => return None,
        })
    }

    /// Turns a point of the unit square.
    ///
    /// ```
    /// use sonotap::input::touch::Turn;
    /// // What was at the top left is at the top right after a quarter clockwise.
    /// assert_eq!(Turn::Quarter.apply(0.0, 0.0), (1.0, 0.0));
    /// ```
    pub fn apply(self, x: f32, y: f32) -> (f32, f32) {
        match self {
            Self::None => (x, y),
            Self::Quarter => (1.0 - y, x),
            Self::Half => (1.0 - x, 1.0 - y),
            Self::ThreeQuarters => (y, 1.0 - x),
        }
    }

    /// The inverse turn.
    pub fn inverse(self) -> Self {
        match self {
            Self::Quarter => Self::ThreeQuarters,
            Self::ThreeQuarters => Self::Quarter,
            same => same,
        }
    }

    /// A size after the turn.
    pub fn size(self, (width, height): (u32, u32)) -> (u32, u32) {
        match self {
            Self::None | Self::Half => (width, height),
            Self::Quarter | Self::ThreeQuarters => (height, width),
        }
    }
}

/// The orientation and calibration of a panel on a screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PanelMap {
    calibration: [f32; 6],
    mirror: (bool, bool),
    turn: Turn,
    width_mm: Option<f32>,
}

impl PanelMap {
    /// From the profile; `screen` is the screen's own turn.
    pub fn new(profile: &TouchProfile, screen: Turn) -> Self {
        Self {
            calibration: profile.calibration,
            mirror: (profile.mirror_x, profile.mirror_y),
            turn: profile.rotate.and_then(Turn::from_degrees).unwrap_or(screen.inverse()),
            width_mm: profile.width_mm,
        }
    }

    /// The place on a screen of that size, display px, clamped to the screen.
    pub fn place(&self, axes: &PanelAxes, x: i32, y: i32, (width, height): (u32, u32)) -> Point<DisplaySpace> {
        let share = |v: i32, (least, most): (i32, i32)| {
            let span = f64::from(most) - f64::from(least) + 1.0;
            (((f64::from(v) - f64::from(least)) + 0.5) / span.max(1.0)) as f32
        };
        let (u, v) = (share(x, axes.x), share(y, axes.y));
        let [a, b, c, d, e, f] = self.calibration;
        let (mut u, mut v) = (a * u + b * v + c, d * u + e * v + f);
        if self.mirror.0 {
            u = 1.0 - u;
        }
        if self.mirror.1 {
            v = 1.0 - v;
        }
        let (u, v) = self.turn.apply(u, v);
        let on = |share: f32, px: u32| (share * px as f32).clamp(0.0, (px as f32 - 0.01).max(0.0));
        Point::new(on(u, width), on(v, height))
    }

    /// A length in panel units as mm; `None` when the size of a unit is unknown.
    pub fn mm(&self, axes: &PanelAxes, units: i32) -> Option<f32> {
        let span = (f64::from(axes.x.1) - f64::from(axes.x.0) + 1.0) as f32;
        let per_mm = axes.units_per_mm.or(self.width_mm.map(|mm| span / mm))?;
        (per_mm > 0.0).then(|| units as f32 / per_mm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AXES: PanelAxes = PanelAxes { x: (0, 799), y: (0, 479), units_per_mm: Some(4.0), is_multitouch: true };

    fn map(profile: TouchProfile) -> PanelMap {
        PanelMap::new(&profile, Turn::None)
    }

    #[test]
    fn a_panel_lies_on_its_screen_as_the_profile_says() {
        // A finger at the panel's top left, a quarter of the way along its upper edge.
        let (x, y) = (200, 0);
        let natural = TouchProfile::default;
        let cases = [
            (natural(), (800, 480), (200.5, 0.5)),
            (TouchProfile { mirror_x: true, ..natural() }, (800, 480), (599.5, 0.5)),
            (TouchProfile { mirror_y: true, ..natural() }, (800, 480), (200.5, 479.5)),
            (TouchProfile { rotate: Some(90), ..natural() }, (480, 800), (479.5, 200.5)),
            (TouchProfile { rotate: Some(180), ..natural() }, (800, 480), (599.5, 479.5)),
            (TouchProfile { rotate: Some(270), ..natural() }, (480, 800), (0.5, 599.5)),
            (TouchProfile { mirror_x: true, rotate: Some(90), ..natural() }, (480, 800), (479.5, 599.5)),
            (TouchProfile { calibration: [0.5, 0.0, 0.25, 0.0, 1.0, 0.0], ..natural() }, (800, 480), (300.25, 0.5)),
            (TouchProfile { calibration: [0.0, 1.0, 0.0, 1.0, 0.0, 0.0], ..natural() }, (800, 480), (0.8, 120.3)),
        ];
        for (profile, size, expected) in cases {
            let at = map(profile.clone()).place(&AXES, x, y, size);
            let off = (at.x - expected.0).abs().max((at.y - expected.1).abs());
            assert!(off < 0.1, "{profile:?}: {at:?}, expected {expected:?}");
        }
    }

    #[test]
    fn a_panel_that_lies_on_its_screen_is_turned_with_it() {
        for (screen, expected) in
            [(Turn::None, (0, 0)), (Turn::Quarter, (0, 799)), (Turn::Half, (799, 479)), (Turn::ThreeQuarters, (479, 0))]
        {
            // The corner of the panel where the screen's scan-out begins.
            let at = PanelMap::new(&TouchProfile::default(), screen).place(&AXES, 0, 0, screen.size((800, 480)));
            assert_eq!((at.x as u32, at.y as u32), expected, "{screen:?}");
        }
    }

    #[test]
    fn a_place_off_the_panel_is_put_on_the_edge_and_no_axis_divides_by_zero() {
        let at = map(TouchProfile::default()).place(&AXES, 5_000, -70, (800, 480));
        assert!((at.x, at.y) == (799.99, 0.0), "{at:?}");
        let flat = PanelAxes { x: (0, 0), y: (i32::MIN, i32::MAX), ..AXES };
        let at = map(TouchProfile::default()).place(&flat, 0, 0, (800, 480));
        assert!(at.is_finite());
    }

    #[test]
    fn four_quarters_are_a_whole_turn() {
        let quarter = |(x, y): (f32, f32)| Turn::Quarter.apply(x, y);
        let start = (0.25, 0.875);
        assert_eq!(quarter(quarter(start)), Turn::Half.apply(start.0, start.1));
        assert_eq!(quarter(quarter(quarter(start))), Turn::ThreeQuarters.apply(start.0, start.1));
        assert_eq!(quarter(quarter(quarter(quarter(start)))), start);
        assert_eq!(Turn::from_degrees(45), None);
    }

    #[test]
    fn sizes_are_known_by_the_driver_or_by_the_profile_or_not() {
        let silent = PanelAxes { units_per_mm: None, ..AXES };
        assert_eq!(map(TouchProfile::default()).mm(&AXES, 40), Some(10.0));
        assert_eq!(map(TouchProfile { width_mm: Some(160.0), ..TouchProfile::default() }).mm(&silent, 40), Some(8.0));
        assert_eq!(map(TouchProfile::default()).mm(&silent, 40), None);
    }
}
