//! The controls and the border around the frame. They change seldom, so they are painted once and copied for each
//! frame.

use crate::geometry::{DisplaySpace, Rect};
use crate::overlay::blend::{Clip, Painter, PxRect, stretch};
use crate::overlay::canvas::Canvas;
use crate::overlay::layout::{Control, Layout};
use crate::overlay::pages::{ShownPage, strokes};
use crate::overlay::text::Typeface;
use crate::overlay::theme::Theme;
use crate::scene::{FillLevel, Mode, Scene, Tool};

/// Everything that the painted controls depend on.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Look {
    tool: Tool,
    fill: FillLevel,
    mode: Mode,
    can_undo: bool,
    can_redo: bool,
    can_clear: bool,
    has_cine: bool,
    is_signal_good: bool,
    pressed: Option<Control>,
    page: ShownPage,
}

impl Look {
    fn of(scene: &Scene, pressed: Option<Control>) -> Self {
        let by_hand = scene.calipers.as_deref().filter(|v| v.page.is_some());
        Self {
            tool: scene.tool,
            fill: scene.fill,
            mode: scene.mode,
            can_undo: by_hand.map_or(scene.can_undo, |v| v.can_undo),
            can_redo: by_hand.map_or(scene.can_redo, |v| v.can_redo),
            can_clear: scene.objects.iter().any(|o| !o.markers.is_empty()),
            has_cine: scene.cine.is_some(),
            is_signal_good: scene.mode != Mode::Live || scene.signal.allows_outlines(),
            pressed,
            page: ShownPage::of(scene),
        }
    }

    fn is_enabled(&self, control: Control) -> bool {
        match control {
            Control::Undo => self.can_undo,
            Control::Redo => self.can_redo,
            Control::Clear => self.can_clear,
            Control::StepBack | Control::StepForward | Control::Scrub(_) => self.has_cine && self.mode != Mode::Live,
            _ => true,
        }
    }

    fn is_on(&self, control: Control) -> bool {
        self.pressed.is_some_and(|p| p.is_same(control))
            || match control {
                Control::Include => self.tool == Tool::Include,
                Control::Exclude => self.tool == Tool::Exclude,
                Control::ByHand(command) => self.page.is_on(command),
                _ => false,
            }
    }
}

/// The painted controls.
#[derive(Clone, Debug, Default)]
pub(super) struct Chrome {
    painted: Option<(Layout, Look)>,
    canvas: Canvas,
}

impl Chrome {
    /// Copies everything but the image area onto the canvas, which has the layout's size.
    pub(super) fn put(
        &mut self,
        canvas: &mut Canvas,
        layout: &Layout,
        scene: &Scene,
        pressed: Option<Control>,
        face: &Typeface,
    ) {
        let look = Look::of(scene, pressed);
        if !self.painted.as_ref().is_some_and(|(l, k)| l == layout && *k == look) {
            self.paint(layout, look, face);
            self.painted = Some((layout.clone(), look));
        }
        let image = picture(layout);
        let (from, pitch) = (self.canvas.pixels(), self.canvas.width() as usize);
        let to = canvas.pixels_mut();
        let (top, bottom) = (image.y0 as usize * pitch, image.y1 as usize * pitch);
        to[..top].copy_from_slice(&from[..top]);
        to[bottom..].copy_from_slice(&from[bottom..]);
        for start in (top..bottom).step_by(pitch) {
            let (a, b) = (start + image.x0 as usize, start + image.x1 as usize);
            to[start..a].copy_from_slice(&from[start..a]);
            to[b..start + pitch].copy_from_slice(&from[b..start + pitch]);
        }
    }

    fn paint(&mut self, layout: &Layout, look: Look, face: &Typeface) {
        let theme = &Theme::DARK;
        let (width, height) = layout.size();
        self.canvas.resize(width, height);
        self.canvas.pixels_mut().fill(theme.background);
        let clip = Clip::whole(PxRect::new(0, 0, width as i32, height as i32));
        let mut painter = Painter::new(&mut self.canvas, &clip);
        paint_border(&mut painter, layout, look);
        let panel = layout.place(Control::Scrub(0.0)).unwrap_or(layout.panel());
        if panel.height() > 1.0 {
            painter.round_rect(PxRect::around(&panel), layout.mm(1.0), theme.panel, 256);
        }
        for (control, place) in layout.controls().filter(|(c, _)| !matches!(c, Control::Scrub(_))) {
            if let Some(control) = look.page.in_place_of(control) {
                paint_control(&mut painter, layout, look, face, control, &place);
            }
        }
    }
}

/// The whole pixels of the image area.
pub(super) fn picture(layout: &Layout) -> PxRect {
    let (width, height) = layout.size();
    PxRect::around(&layout.image_area()).intersect(PxRect::new(0, 0, width as i32, height as i32))
}

fn paint_border(painter: &mut Painter, layout: &Layout, look: Look) {
    let theme = &Theme::DARK;
    let colour = match look.mode {
        _ if !look.is_signal_good => theme.alarm,
        Mode::Live => theme.button,
        Mode::Frozen | Mode::Review => theme.frozen,
    };
    let border = layout.border() as i32;
    let thickness = if look.mode == Mode::Live && look.is_signal_good { 1 } else { border };
    let image = picture(layout);
    painter.fill(image.grown(thickness), colour, 256);
    painter.fill(image, 0, 256);
}

fn paint_control(
    painter: &mut Painter,
    layout: &Layout,
    look: Look,
    face: &Typeface,
    control: Control,
    place: &Rect<DisplaySpace>,
) {
    let theme = &Theme::DARK;
    let (is_enabled, is_on) = (look.is_enabled(control), look.is_on(control));
    let is_freeze = control == Control::Freeze;
    let is_held = is_freeze && look.mode != Mode::Live;
    let (ground, ink) = match (is_enabled, is_on || is_held) {
        (false, _) => (theme.button_off, theme.text_off),
        (true, true) => (theme.button_on, theme.text_on),
        (true, false) if is_freeze => (theme.freeze, theme.text),
        (true, false) => (theme.button, theme.text),
    };
    let r = PxRect::around(place);
    painter.round_rect(r, layout.mm(2.0), ground, 256);
    let edge = if is_enabled { theme.button_edge } else { theme.button };
    painter.round_frame(r, layout.mm(2.0), 1.0, edge, 256);

    let label = label(control, look);
    let (cx, _) = r.centre();
    let side = r.width().min(r.height()) as f32;
    let cap = face.cap_height() as f32;
    let size = if is_freeze { side * 0.26 } else { side * 0.22 };
    let between = layout.mm(1.8);
    let has_label = !label.is_empty() && face.width(label) <= r.width() - 2;
    let block = if has_label { 2.0 * size + between + cap } else { 2.0 * size };
    let top = (r.y0 + r.y1) as f32 / 2.0 - block / 2.0;
    let pen = (layout.mm(0.35)).clamp(1.5, 4.0);
    Icon { painter, at: (cx, top + size), size, half: pen, ink }.draw(control, look);
    if has_label {
        face.draw_centred(painter, cx, top + 2.0 * size + between + cap / 2.0, label, ink);
    }
}

fn label(control: Control, look: Look) -> &'static str {
    match control {
        Control::Freeze if look.mode != Mode::Live => "Go live",
        Control::Freeze => "Freeze",
        Control::Undo => "Undo",
        Control::Redo => "Redo",
        Control::Clear => "Clear",
        Control::Include => "Include",
        Control::Exclude => "Exclude",
        Control::NewObject => "New",
        Control::Fill => "Fill",
        Control::Save { .. } => "Save",
        Control::Exam => "Exam",
        Control::StepBack | Control::StepForward | Control::Scrub(_) => "",
        Control::ByHand(command) => look.page.label(command),
    }
}

type Path = &'static [(f32, f32)];

const SNOWFLAKE: &[Path] = &[
    &[(0.0, -1.0), (0.0, 1.0)],
    &[(-0.866, -0.5), (0.866, 0.5)],
    &[(-0.866, 0.5), (0.866, -0.5)],
    &[(-0.25, -0.95), (0.0, -0.65), (0.25, -0.95)],
    &[(-0.25, 0.95), (0.0, 0.65), (0.25, 0.95)],
    &[(0.95, -0.26), (0.563, -0.325), (0.7, -0.69)],
    &[(-0.95, 0.26), (-0.563, 0.325), (-0.7, 0.69)],
    &[(0.95, 0.26), (0.563, 0.325), (0.7, 0.69)],
    &[(-0.95, -0.26), (-0.563, -0.325), (-0.7, -0.69)],
];
const UNDO: &[Path] = &[
    &[(0.0, 0.75), (0.45, 0.68), (0.75, 0.35), (0.75, -0.02), (0.45, -0.32), (0.0, -0.4), (-0.8, -0.4)],
    &[(-0.38, -0.82), (-0.8, -0.4), (-0.38, 0.02)],
];
const REDO: &[Path] = &[
    &[(0.0, 0.75), (-0.45, 0.68), (-0.75, 0.35), (-0.75, -0.02), (-0.45, -0.32), (0.0, -0.4), (0.8, -0.4)],
    &[(0.38, -0.82), (0.8, -0.4), (0.38, 0.02)],
];
const CROSS: &[Path] = &[&[(-0.7, -0.7), (0.7, 0.7)], &[(-0.7, 0.7), (0.7, -0.7)]];
const PLUS: &[Path] = &[&[(-0.5, 0.0), (0.5, 0.0)], &[(0.0, -0.5), (0.0, 0.5)]];
const MINUS: &[Path] = &[&[(-0.5, 0.0), (0.5, 0.0)]];
const PLAY: &[Path] = &[&[(-0.55, -0.85), (0.85, 0.0), (-0.55, 0.85), (-0.55, -0.85)]];
const STEP_BACK: &[Path] = &[&[(-0.8, -0.8), (-0.8, 0.8)], &[(0.8, -0.8), (-0.35, 0.0), (0.8, 0.8), (0.8, -0.8)]];
const STEP_FORWARD: &[Path] = &[&[(0.8, -0.8), (0.8, 0.8)], &[(-0.8, -0.8), (0.35, 0.0), (-0.8, 0.8), (-0.8, -0.8)]];
const NEW: &[Path] = &[
    &[(0.1, -0.45), (-0.4, -0.5), (-0.85, -0.1), (-0.75, 0.45), (-0.3, 0.85), (0.3, 0.75), (0.55, 0.35), (0.5, 0.1)],
    &[(0.25, -0.5), (0.95, -0.5)],
    &[(0.6, -0.85), (0.6, -0.15)],
];

const SAVE: &[Path] = &[
    &[(0.0, -0.9), (0.0, 0.35)],
    &[(-0.45, -0.1), (0.0, 0.35), (0.45, -0.1)],
    &[(-0.85, 0.25), (-0.85, 0.85), (0.85, 0.85), (0.85, 0.25)],
];
const EXAM: &[Path] = &[
    &[(-0.65, -0.75), (0.65, -0.75), (0.65, 0.9), (-0.65, 0.9), (-0.65, -0.75)],
    &[(-0.25, -0.95), (0.25, -0.95)],
    &[(-0.3, -0.2), (0.3, -0.2)],
    &[(-0.3, 0.3), (0.3, 0.3)],
];

/// An icon on a control: strokes of `half` px to each side, in a square of `size` px around `at`.
struct Icon<'a, 'b> {
    painter: &'a mut Painter<'b>,
    at: (f32, f32),
    size: f32,
    half: f32,
    ink: u32,
}

impl Icon<'_, '_> {
    fn draw(&mut self, control: Control, look: Look) {
        match control {
            Control::Freeze if look.mode != Mode::Live => self.strokes(PLAY),
            Control::Freeze => self.strokes(SNOWFLAKE),
            Control::Undo => self.strokes(UNDO),
            Control::Redo => self.strokes(REDO),
            Control::Clear => self.strokes(CROSS),
            Control::NewObject => self.strokes(NEW),
            Control::Save { .. } => self.strokes(SAVE),
            Control::Exam => self.strokes(EXAM),
            Control::StepBack => self.strokes(STEP_BACK),
            Control::StepForward => self.strokes(STEP_FORWARD),
            Control::Include => {
                self.ring();
                self.strokes(PLUS);
            }
            Control::Exclude => {
                let r = self.square();
                let thickness = 2.0 * self.half;
                self.painter.round_frame(r, self.size * 0.15, thickness, self.ink, 256);
                self.strokes(MINUS);
            }
            Control::Fill => {
                self.ring();
                self.level(match look.fill {
                    FillLevel::None => 0,
                    FillLevel::Quarter => 25,
                    FillLevel::Half => 50,
                });
            }
            Control::Scrub(_) => {}
            Control::ByHand(command) => self.strokes(strokes(command, look.page.is_by_hand())),
        }
    }

    fn square(&self) -> PxRect {
        let ((cx, cy), s) = (self.at, self.size);
        PxRect::new((cx - s) as i32, (cy - s) as i32, (cx + s).ceil() as i32, (cy + s).ceil() as i32)
    }

    fn ring(&mut self) {
        let ((cx, cy), radius, half) = (self.at, self.size - self.half, self.half);
        let d = move |x: f32, y: f32| (((x - cx).powi(2) + (y - cy).powi(2)).sqrt() - radius).abs() - half;
        self.painter.shape(self.square().grown(2), self.ink, 256, d);
    }

    /// Fills the lower `percent` of the ring's inside.
    fn level(&mut self, percent: i32) {
        let ((cx, cy), radius) = (self.at, self.size - 3.0 * self.half);
        let surface = cy + radius - 2.0 * radius * percent as f32 / 100.0;
        let d = move |x: f32, y: f32| (((x - cx).powi(2) + (y - cy).powi(2)).sqrt() - radius).max(surface - y);
        self.painter.shape(self.square(), self.ink, 256, d);
    }

    fn strokes(&mut self, paths: &[Path]) {
        let ((cx, cy), s, half) = (self.at, self.size, self.half);
        let distance = |x: f32, y: f32| {
            let mut nearest = f32::INFINITY;
            for pair in paths.iter().flat_map(|p| p.windows(2)) {
                let ((ax, ay), (bx, by)) = (pair[0], pair[1]);
                let d = stretch(cx + ax * s, cy + ay * s, cx + bx * s, cy + by * s)(x, y);
                nearest = nearest.min(d);
            }
            nearest - half
        };
        self.painter.shape(self.square().grown(half.ceil() as i32 + 1), self.ink, 256, distance);
    }
}
