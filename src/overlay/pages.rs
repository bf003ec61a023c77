//! Pages of controls: while a still frame is shown, Fill's place opens measuring by hand, whose controls then stand in the
//! places of those of outlining. Places and sizes stay: what is hit and what is drawn are asked for here.

use crate::calipers::kept::Which;
use crate::calipers::{CaliperCommand, CaliperTool, Page};
use crate::overlay::layout::Control;
use crate::preset::VolumeBy;
use crate::scene::{Mode, Scene};

/// Which page is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ShownPage {
    is_still: bool,
    page: Option<Page>,
    tool: CaliperTool,
    volume: VolumeBy,
}

impl ShownPage {
    /// That of a scene.
    pub fn of(scene: &Scene) -> Self {
        let is_still = scene.mode != Mode::Live;
        let view = scene.calipers.as_deref().filter(|_| is_still);
        Self {
            is_still,
            page: view.and_then(|v| v.page),
            tool: view.map_or(CaliperTool::default(), |v| v.tool),
            volume: view.map_or(VolumeBy::default(), |v| v.volume),
        }
    }

    /// Whether taps on the picture measure.
    pub fn is_by_hand(&self) -> bool {
        self.page.is_some()
    }

    /// What stands in the place of a control; `None` for an empty place.
    pub fn in_place_of(&self, place: Control) -> Option<Control> {
        use CaliperCommand as C;
        let Some(page) = self.page else {
            let opens = self.is_still && place == Control::Fill;
            return Some(if opens { Control::ByHand(C::Toggle) } else { place });
        };
        let is_ventricle = self.volume == VolumeBy::Discs;
        let command = match (place, page) {
            (Control::Fill, _) => C::Toggle,
            (Control::Redo, _) => C::NextPage,
            (Control::Include, Page::Calipers) => C::Choose(CaliperTool::Distance),
            (Control::Exclude, Page::Calipers) => C::Choose(CaliperTool::Ellipse),
            (Control::NewObject, Page::Calipers) => C::Trace,
            (Control::Clear, Page::Calipers) => C::Delete,
            (Control::Include, Page::Median) => C::Keep,
            (Control::Include, Page::Volume) => C::Plane(Which::First),
            (Control::Exclude, Page::Volume) => C::Plane(Which::Second),
            (Control::NewObject, Page::Volume) if is_ventricle => C::NextView,
            (Control::Clear, Page::Median | Page::Volume) => C::Forget,
            (Control::Include, Page::Scale) => C::Longer,
            (Control::Exclude, Page::Scale) => C::Shorter,
            (Control::NewObject, Page::Scale) => C::SetScale,
            (Control::Clear, Page::Scale) => C::DropScale,
            (Control::Exclude | Control::NewObject, _) => return None,
            (other, _) => return Some(other),
        };
        Some(Control::ByHand(command))
    }

    /// Whether a command's control is the chosen one.
    pub fn is_on(&self, command: CaliperCommand) -> bool {
        matches!(command, CaliperCommand::Choose(tool) if tool == self.tool)
    }

    /// The word on a control.
    pub fn label(&self, command: CaliperCommand) -> &'static str {
        use CaliperCommand as C;
        let is_ventricle = self.volume == VolumeBy::Discs;
        match command {
            C::Toggle if self.page.is_some() => "Back",
            C::Toggle => "Measure",
            C::NextPage => "More",
            C::Choose(CaliperTool::Distance) => "Distance",
            C::Choose(CaliperTool::Ellipse) => "Ellipse",
            C::Trace => "Trace",
            C::Delete => "Delete",
            C::Keep => "Keep",
            C::Forget => "Forget",
            C::Plane(Which::First) if is_ventricle => "ED",
            C::Plane(Which::Second) if is_ventricle => "ES",
            C::Plane(Which::First) => "Plane 1",
            C::Plane(Which::Second) => "Plane 2",
            C::NextView => "View",
            C::Longer => "+1 cm",
            C::Shorter => "-1 cm",
            C::SetScale => "Set",
            C::DropScale => "Drop",
            C::Drag { .. } | C::DragCancelled => "",
        }
    }
}

type Path = &'static [(f32, f32)];

const RULER: &[Path] = &[
    &[(-0.9, 0.35), (0.9, 0.35), (0.9, -0.35), (-0.9, -0.35), (-0.9, 0.35)],
    &[(-0.45, -0.35), (-0.45, 0.05)],
    &[(0.0, -0.35), (0.0, 0.2)],
    &[(0.45, -0.35), (0.45, 0.05)],
];
const DISTANCE: &[Path] = &[
    &[(-0.7, 0.5), (0.7, -0.5)],
    &[(-0.7, 0.2), (-0.7, 0.8)],
    &[(-1.0, 0.5), (-0.4, 0.5)],
    &[(0.7, -0.2), (0.7, -0.8)],
    &[(1.0, -0.5), (0.4, -0.5)],
];
const ELLIPSE: &[Path] = &[&[
    (0.95, 0.0),
    (0.82, 0.3),
    (0.47, 0.52),
    (0.0, 0.6),
    (-0.47, 0.52),
    (-0.82, 0.3),
    (-0.95, 0.0),
    (-0.82, -0.3),
    (-0.47, -0.52),
    (0.0, -0.6),
    (0.47, -0.52),
    (0.82, -0.3),
    (0.95, 0.0),
]];
const TRACE: &[Path] = &[&[
    (0.0, -0.8),
    (0.5, -0.6),
    (0.85, -0.1),
    (0.6, 0.4),
    (0.7, 0.75),
    (0.1, 0.8),
    (-0.5, 0.6),
    (-0.85, 0.2),
    (-0.6, -0.3),
    (-0.65, -0.7),
    (0.0, -0.8),
]];
const CROSS: &[Path] = &[&[(-0.7, -0.7), (0.7, 0.7)], &[(-0.7, 0.7), (0.7, -0.7)]];
const BACK: &[Path] = &[&[(0.8, 0.0), (-0.8, 0.0)], &[(-0.25, -0.6), (-0.8, 0.0), (-0.25, 0.6)]];
const MORE: &[Path] = &[&[(-0.6, -0.7), (0.1, 0.0), (-0.6, 0.7)], &[(0.1, -0.7), (0.8, 0.0), (0.1, 0.7)]];
const KEEP: &[Path] = &[&[(-0.8, 0.1), (-0.2, 0.7), (0.85, -0.6)]];
const PLUS: &[Path] = &[&[(-0.7, 0.0), (0.7, 0.0)], &[(0.0, -0.7), (0.0, 0.7)]];
const MINUS: &[Path] = &[&[(-0.7, 0.0), (0.7, 0.0)]];
const LARGE: &[Path] =
    &[&[(0.0, -0.9), (0.6, -0.6), (0.75, 0.1), (0.45, 0.9), (-0.45, 0.9), (-0.75, 0.1), (-0.6, -0.6), (0.0, -0.9)]];
const SMALL: &[Path] =
    &[&[(0.0, -0.5), (0.3, -0.35), (0.4, 0.1), (0.25, 0.6), (-0.25, 0.6), (-0.4, 0.1), (-0.3, -0.35), (0.0, -0.5)]];
const VIEW: &[Path] = &[&[(0.0, -0.9), (0.8, 0.8), (-0.8, 0.8), (0.0, -0.9)]];

/// The strokes of a control's icon, in a square from -1 to 1.
pub(super) fn strokes(command: CaliperCommand, is_open: bool) -> &'static [Path] {
    use CaliperCommand as C;
    match command {
        C::Toggle if is_open => BACK,
        C::Toggle => RULER,
        C::NextPage => MORE,
        C::Choose(CaliperTool::Distance) => DISTANCE,
        C::Choose(CaliperTool::Ellipse) => ELLIPSE,
        C::Trace => TRACE,
        C::Delete | C::Forget | C::DropScale => CROSS,
        C::Keep | C::SetScale => KEEP,
        C::Plane(Which::First) => LARGE,
        C::Plane(Which::Second) => SMALL,
        C::NextView => VIEW,
        C::Longer => PLUS,
        C::Shorter => MINUS,
        C::Drag { .. } | C::DragCancelled => &[],
    }
}
