//! The messages of the picture stream, big-endian, each after its length in 4 bytes.
//!
//! | message | bytes |
//! |---|---|
//! | picture | 1 (u8), flags (u8), picture (u64), frame (u64), age of the frame as it is sent, us (u64), our time, us (u64), length of the words (u16), words (JSON), JPEG |
//! | beat | 2 (u8), flags (u8), newest picture (u64), our time, us (u64) |
//!
//! A beat says that the display thread goes its rounds, and which picture is the newest. Flags are for this viewer: 1 controls,
//! 2 somebody asks for the control, 4 has asked for it.

use std::time::Duration;

use serde::Serialize;
use sonotap::calipers::kept::Which;
use sonotap::overlay::pages::ShownPage;
use sonotap::scene::FillLevel;
use sonotap::{CaliperCommand, CaliperTool, Control, Mode, Overlay, Scene, Signal, Tool};

/// This viewer controls.
pub(crate) const CONTROLS: u8 = 1;
/// Somebody asks this viewer for the control.
pub(crate) const IS_ASKED: u8 = 2;
/// This viewer has asked for the control.
pub(crate) const ASKS: u8 = 4;

/// Bytes of a picture's message before its words, without the length.
const HEAD: usize = 2 + 4 * 8 + 2;

/// What is said of a picture beside its pixels, for controls and screen readers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(crate) struct Words {
    mode: &'static str,
    signal: &'static str,
    tool: &'static str,
    fill: u8,
    can_undo: bool,
    can_redo: bool,
    can_clear: bool,
    /// Place in the cine ring, and its length.
    cine: Option<(usize, usize)>,
    objects: Vec<ObjectWords>,
    /// Buttons in whose place another control stands: those of measuring by hand, on still frames.
    places: Vec<PlaceWords>,
    /// What the page of measuring says, line by line.
    lines: Vec<String>,
    /// Whether exams are saved, so that there are controls for it.
    has_exam: bool,
    /// Greatest age of a live frame at the glass, ms.
    age_ms_max: f64,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct PlaceWords {
    /// The name of the button.
    button: &'static str,
    /// The name of the control that stands there; nothing does where it is empty.
    press: &'static str,
    label: &'static str,
    is_on: bool,
}

#[derive(Clone, Debug, PartialEq, Serialize)]
struct ObjectWords {
    number: u8,
    outline: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
}

impl Words {
    /// Those of a scene, whose live frames may be so old at the glass.
    pub(crate) fn of(scene: &Scene, age_max: Duration, has_exam: bool) -> Self {
        let page = ShownPage::of(scene);
        let by_hand = scene.calipers.as_deref().filter(|_| page.is_by_hand());
        Self {
            places: places(&page),
            lines: by_hand.map_or(Vec::new(), |view| view.lines.iter().map(|(_, text)| text.clone()).collect()),
            has_exam,
            age_ms_max: age_max.as_secs_f64() * 1e3,
            mode: match scene.mode {
                Mode::Live => "live",
                Mode::Frozen => "frozen",
                Mode::Review => "review",
            },
            signal: match scene.signal {
                Signal::Good => "good",
                Signal::Missing => "missing",
                Signal::Repeating => "repeating",
                Signal::Delayed => "delayed",
                Signal::Late => "late",
            },
            tool: match scene.tool {
                Tool::Include => "include",
                Tool::Exclude => "exclude",
                _ => "other",
            },
            fill: match scene.fill {
                FillLevel::None => 0,
                FillLevel::Quarter => 25,
                FillLevel::Half => 50,
            },
            can_undo: by_hand.map_or(scene.can_undo, |view| view.can_undo),
            can_redo: scene.can_redo,
            can_clear: scene.objects.iter().any(|o| !o.markers.is_empty()),
            cine: scene.cine.map(|c| (c.index, c.len)),
            objects: scene
                .objects
                .iter()
                .map(|o| ObjectWords {
                    number: o.object.0 + 1,
                    outline: match o.overlay {
                        Overlay::Exact => "outlined",
                        Overlay::Carried { .. } => "carried",
                        Overlay::Stale { .. } => "old",
                        Overlay::Hidden(_) => "hidden",
                        Overlay::Lost(why) => why.label(),
                    },
                    score: o.score.filter(|_| o.overlay.is_drawn()).map(|s| (s.get() * 100.0).round() / 100.0),
                })
                .collect(),
        }
    }

    /// As JSON.
    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".into())
    }
}

/// The buttons of the page in whose place something else can stand.
const PLACES: [(&str, Control); 6] = [
    ("include", Control::Include),
    ("exclude", Control::Exclude),
    ("new", Control::NewObject),
    ("fill", Control::Fill),
    ("clear", Control::Clear),
    ("redo", Control::Redo),
];

/// Names of the controls of measuring by hand; the same as in a taps file.
const BY_HAND: [(&str, CaliperCommand); 15] = [
    ("measure", CaliperCommand::Toggle),
    ("more", CaliperCommand::NextPage),
    ("distance", CaliperCommand::Choose(CaliperTool::Distance)),
    ("ellipse", CaliperCommand::Choose(CaliperTool::Ellipse)),
    ("trace", CaliperCommand::Trace),
    ("delete", CaliperCommand::Delete),
    ("keep", CaliperCommand::Keep),
    ("forget", CaliperCommand::Forget),
    ("plane-1", CaliperCommand::Plane(Which::First)),
    ("plane-2", CaliperCommand::Plane(Which::Second)),
    ("view", CaliperCommand::NextView),
    ("longer", CaliperCommand::Longer),
    ("shorter", CaliperCommand::Shorter),
    ("set-scale", CaliperCommand::SetScale),
    ("drop-scale", CaliperCommand::DropScale),
];

fn places(page: &ShownPage) -> Vec<PlaceWords> {
    let of = |(button, place): (&'static str, Control)| match page.in_place_of(place) {
        Some(Control::ByHand(command)) => {
            let press = BY_HAND.iter().find(|(_, c)| *c == command).map_or("", |(name, _)| name);
            Some(PlaceWords { button, press, label: page.label(command), is_on: page.is_on(command) })
        }
        None => Some(PlaceWords { button, press: "", label: "", is_on: false }),
        Some(_) => None,
    };
    PLACES.into_iter().filter_map(of).collect()
}

/// The control of a name that the page uses; `at` is the place of scrub.
pub(crate) fn control(name: &str, at: Option<f32>) -> Option<Control> {
    Some(match name {
        "freeze" => Control::Freeze,
        "undo" => Control::Undo,
        "redo" => Control::Redo,
        "clear" => Control::Clear,
        "include" => Control::Include,
        "exclude" => Control::Exclude,
        "new" => Control::NewObject,
        "fill" => Control::Fill,
        "back" => Control::StepBack,
        "forward" => Control::StepForward,
        "save" => Control::Save { is_held: false },
        "save-cine" => Control::Save { is_held: true },
        "exam" => Control::Exam,
        "scrub" => Control::Scrub(at.filter(|a| (0.0..=1.0).contains(a))?),
        other => Control::ByHand(BY_HAND.iter().find(|(name, _)| *name == other)?.1),
    })
}

/// A picture's message up to the JPEG of `jpeg_len` bytes, with its length.
pub(crate) fn picture_head(
    flags: u8,
    picture: u64,
    frame: u64,
    age_us: u64,
    now_us: u64,
    words: &str,
    jpeg_len: usize,
) -> Vec<u8> {
    // A scene has at most a few objects: its words are some hundred bytes.
    let words = if words.len() <= usize::from(u16::MAX) { words } else { "{}" };
    let mut out = Vec::with_capacity(4 + HEAD + words.len());
    out.extend(((HEAD + words.len() + jpeg_len) as u32).to_be_bytes());
    out.extend([1, flags]);
    [picture, frame, age_us, now_us].iter().for_each(|v| out.extend(v.to_be_bytes()));
    out.extend((words.len() as u16).to_be_bytes());
    out.extend(words.as_bytes());
    out
}

/// A beat, with its length.
pub(crate) fn beat(flags: u8, newest: u64, now_us: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + 18);
    out.extend(18_u32.to_be_bytes());
    out.extend([2, flags]);
    [newest, now_us].iter().for_each(|v| out.extend(v.to_be_bytes()));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_control_of_the_screen_has_a_name() {
        let names = [
            "freeze", "undo", "redo", "clear", "include", "exclude", "new", "fill", "back", "forward", "scrub", "save",
            "exam",
        ];
        assert_eq!(control("save-cine", None), Some(Control::Save { is_held: true }));
        for expected in Control::ALL {
            let named = names.iter().filter_map(|n| control(n, Some(0.0))).filter(|c| c.is_same(expected)).count();
            assert_eq!(named, 1, "{expected:?}");
        }
        for (name, at) in
            [("scrub", None), ("scrub", Some(1.1)), ("scrub", Some(f32::NAN)), ("Freeze", None), ("", None)]
        {
            assert_eq!(control(name, at), None, "{name} {at:?}");
        }
    }

    #[test]
    fn on_a_still_frame_the_places_have_the_controls_of_measuring_by_their_names() {
        use sonotap::CaliperView;
        use sonotap::calipers::{Page, Tone};
        use sonotap::preset::VolumeBy;
        let live = Words::of(&Scene::default(), Duration::from_millis(250), true);
        assert!(live.places.is_empty() && live.lines.is_empty());
        let view = |page, volume| CaliperView {
            page,
            volume,
            tool: CaliperTool::Ellipse,
            lines: vec![(Tone::Plain, "A 23.4 mm".into())],
            can_undo: true,
            ..CaliperView::default()
        };
        let words = |page, volume| {
            let calipers = Some(std::sync::Arc::new(view(page, volume)));
            Words::of(&Scene { mode: Mode::Frozen, calipers, ..Scene::default() }, Duration::ZERO, true)
        };
        let closed = words(None, VolumeBy::default());
        let shown: Vec<_> = closed.places.iter().map(|p| (p.button, p.press, p.label)).collect();
        assert_eq!((shown, closed.lines.len(), closed.can_undo), (vec![("fill", "measure", "Measure")], 0, false));
        let mut named = Vec::new();
        for page in [Page::Calipers, Page::Median, Page::Volume, Page::Scale] {
            for volume in [VolumeBy::default(), VolumeBy::Discs] {
                let words = words(Some(page), volume);
                assert!(words.lines == ["A 23.4 mm"] && words.can_undo);
                for place in words.places.iter().filter(|p| !p.press.is_empty()) {
                    assert!(!place.label.is_empty(), "{place:?}");
                    assert!(matches!(control(place.press, None), Some(Control::ByHand(_))), "{place:?}");
                    assert_eq!(place.is_on, place.press == "ellipse", "{place:?}");
                    named.push(place.press);
                }
            }
        }
        // Every control of every page can be reached, by a name of its own.
        assert!(BY_HAND.iter().all(|(name, _)| named.contains(name)), "{named:?}");
        assert!(BY_HAND.iter().enumerate().all(|(i, (name, _))| BY_HAND[..i].iter().all(|(n, _)| n != name)));
    }

    #[test]
    fn lengths_are_those_of_what_follows() {
        let words = Words::of(&Scene::default(), Duration::from_millis(250), true).to_json();
        let head = picture_head(CONTROLS, 3, 5, 7, 9, &words, 100);
        let length = u32::from_be_bytes(head[..4].try_into().unwrap()) as usize;
        assert_eq!(length, head.len() - 4 + 100);
        assert_eq!(&head[4..6], [1, 1]);
        assert_eq!(head[6..14], 3_u64.to_be_bytes());
        assert_eq!(&head[4 + HEAD..], words.as_bytes());
        let beat = beat(0, 3, 9);
        assert_eq!(u32::from_be_bytes(beat[..4].try_into().unwrap()) as usize, beat.len() - 4);
    }
}
