//! The screen that an operator sees and touches: draws scenes, and turns contacts into commands.
//!
//! Drawing and touching share the layout and the converter, so that a tap lands on what was drawn under it.

use crate::calipers::CaliperCommand;
use crate::desk::{Desk, DeskConfig};
use crate::error::Result;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::{Converter, DisplaySpace, ImageSpace, Point, Rect};
use crate::input::recognizer::{Recognizer, RecognizerConfig};
use crate::input::{Contact, Gesture, Phase};
use crate::overlay::pages::ShownPage;
use crate::overlay::{Canvas, Control, Hud, HudView, KeepOut, Layout, LayoutConfig};
use crate::scene::{SCORE_LOW, Scene, Tool};
use crate::session::Command;
use crate::units::{Score, Timestamp};

/// What touches the screen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pointer {
    /// Gloved fingers on a touch panel.
    #[default]
    Gloves,
    /// A mouse.
    Mouse,
    /// Custom thresholds.
    Tuned(RecognizerConfig),
}

impl Pointer {
    fn thresholds(self, dpi: f32) -> RecognizerConfig {
        match self {
            Self::Gloves => RecognizerConfig::gloves(dpi),
            Self::Mouse => RecognizerConfig::mouse(dpi),
            Self::Tuned(tuned) => RecognizerConfig { dpi, ..tuned },
        }
    }
}

/// A key while an identity is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TypedKey {
    /// A character.
    Character(char),
    /// Takes the last one away.
    Backspace,
    /// It is whole.
    Enter,
}

/// Settings of a screen.
#[derive(Clone, Debug)]
pub struct ScreenConfig {
    /// Width and height, display px.
    pub size: (u32, u32),
    /// Display px per inch.
    pub dpi: f32,
    /// Settings of the controls' layout.
    pub layout: LayoutConfig,
    /// Whether left and right are swapped.
    pub is_mirrored: bool,
    /// Parts of the frame that are never painted over.
    pub keep_outs: Vec<KeepOut>,
    /// What touches it.
    pub pointer: Pointer,
    /// Settings of the exam's part, where the layout has one.
    pub desk: DeskConfig,
}

impl Default for ScreenConfig {
    fn default() -> Self {
        Self {
            size: (800, 480),
            dpi: 133.0,
            layout: LayoutConfig::default(),
            is_mirrored: false,
            keep_outs: Vec::new(),
            pointer: Pointer::default(),
            desk: DeskConfig::default(),
        }
    }
}

/// A screen. After the first frame of a size, drawing allocates nothing.
pub struct Screen {
    config: ScreenConfig,
    layout: Layout,
    canvas: Canvas,
    hud: Hud,
    recognizer: Recognizer,
    gestures: Vec<Gesture>,
    to_display: Option<Converter<ImageSpace, DisplaySpace>>,
    pressed: Option<Control>,
    desk: Option<Desk>,
    /// What stands in the controls' places, as last drawn.
    page: ShownPage,
}

impl Screen {
    /// A screen with these settings.
    ///
    /// # Errors
    /// `Argument` when size or dpi leave no room for the mandatory controls.
    pub fn new(config: ScreenConfig) -> Result<Self> {
        let touch = config.pointer.thresholds(config.dpi);
        Ok(Self {
            layout: Layout::new(config.size, config.dpi, config.layout)?,
            canvas: Canvas::new(config.size.0, config.size.1),
            hud: Hud::new(),
            recognizer: Recognizer::new(touch)?,
            gestures: Vec::with_capacity(8),
            to_display: None,
            pressed: None,
            desk: config.layout.has_exam.then(|| Desk::new(config.desk.clone())),
            page: ShownPage::default(),
            config,
        })
    }

    /// Resizes the screen, as for a resized window; a size that is too small changes nothing. Returns whether the size
    /// changed; then touches are ignored until the next drawing.
    pub fn resize(&mut self, size: (u32, u32)) -> bool {
        if size == self.config.size {
            return false;
        }
        let Ok(layout) = Layout::new(size, self.config.dpi, self.config.layout) else { return false };
        self.config.size = size;
        self.layout = layout;
        self.canvas.resize(size.0, size.1);
        self.to_display = None;
        true
    }

    /// Resizes the screen and changes its resolution, as for another display; what is too small changes nothing. Returns
    /// whether anything changed; then the current touch is taken back, and touches are ignored until the next drawing.
    pub fn refit(&mut self, size: (u32, u32), dpi: f32) -> bool {
        if dpi == self.config.dpi {
            return self.resize(size);
        }
        let Ok(recognizer) = Recognizer::new(self.config.pointer.thresholds(dpi)) else { return false };
        let Ok(layout) = Layout::new(size, dpi, self.config.layout) else { return false };
        self.recognizer.reset(&mut self.gestures);
        (self.config.size, self.config.dpi) = (size, dpi);
        (self.layout, self.recognizer, self.pressed) = (layout, recognizer, None);
        self.canvas.resize(size.0, size.1);
        self.to_display = None;
        true
    }

    /// Draws a screen without a frame, for frames of `width` x `height` image px, so that the first frame is drawn as
    /// fast as any other.
    pub fn warm_up(&mut self, width: u32, height: u32, format: PixelFormat) -> &Canvas {
        let mut frame = Frame::default();
        if frame.reshape(width, height, format).is_ok() {
            self.draw(&frame, &Scene::default());
        }
        self.to_display = None;
        &self.canvas
    }

    /// The layout.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// From image px to display px, once a frame has been drawn.
    pub fn to_display(&self) -> Option<&Converter<ImageSpace, DisplaySpace>> {
        self.to_display.as_ref()
    }

    /// Distance within which a tap hits a marker, image px; `None` before the first frame.
    pub fn marker_radius_px(&self) -> Option<f32> {
        self.to_display.map(|c| self.layout.marker_radius() / c.scale())
    }

    /// The canvas as last drawn.
    pub fn canvas(&self) -> &Canvas {
        &self.canvas
    }

    /// The exam's part, where exams are saved.
    pub fn desk(&self) -> Option<&Desk> {
        self.desk.as_ref()
    }

    /// The exam's part, for the host to tell and to ask.
    pub fn desk_mut(&mut self) -> Option<&mut Desk> {
        self.desk.as_mut()
    }

    /// Whether it has to be drawn anew although frame and scene are the same.
    pub fn is_stale(&self) -> bool {
        self.desk.as_ref().is_some_and(Desk::is_stale)
    }

    /// Does what a command wants of the screen itself. Whether it did: then it is for nobody else.
    pub fn obey(&mut self, command: Command) -> bool {
        if command != Command::ShowExam {
            return false;
        }
        self.desk.iter_mut().for_each(Desk::toggle);
        true
    }

    /// Somebody is there, although nothing touches the screen: a pedal, a key, a tablet's button.
    pub(crate) fn note_presence(&mut self, now: Timestamp) {
        self.desk.iter_mut().for_each(|desk| desk.touched(now));
    }

    /// Leaves the page that is open. Whether one was.
    pub(crate) fn escape(&mut self, now: Timestamp) -> bool {
        self.desk.as_mut().is_some_and(|desk| {
            desk.touched(now);
            desk.escape()
        })
    }

    /// Takes a key while it is text. Whether it was.
    pub(crate) fn type_in(&mut self, key: TypedKey, now: Timestamp) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        desk.touched(now);
        if !desk.is_typing() {
            return false;
        }
        match key {
            TypedKey::Character(c) => desk.type_in(c),
            TypedKey::Backspace => desk.backspace(),
            TypedKey::Enter => desk.enter(),
        }
        true
    }

    /// Draws the screen without a picture: nothing has come yet, or another exam has begun.
    pub fn draw_empty(&mut self) -> &Canvas {
        self.draw(&Frame::default(), &Scene::default());
        self.to_display = None;
        &self.canvas
    }

    /// Draws a scene over the frame that it belongs to.
    pub fn draw(&mut self, frame: &Frame, scene: &Scene) -> &Canvas {
        let to_display = Converter::fit(&frame.bounds(), &self.layout.image_area(), self.config.is_mirrored);
        self.to_display = Some(to_display);
        self.page = ShownPage::of(scene);
        let view = HudView {
            to_display,
            layout: &self.layout,
            keep_outs: &self.config.keep_outs,
            pressed: self.pressed,
            low_score: Score::new(SCORE_LOW),
        };
        self.hud.draw(&mut self.canvas, frame, scene, &view);
        if let Some(desk) = &mut self.desk {
            desk.draw(&mut self.canvas, &self.layout);
        }
        &self.canvas
    }

    /// Takes a contact and appends its commands.
    pub fn touch(&mut self, contact: Contact, out: &mut Vec<Command>) {
        let is_on_page = self.press_page(&contact);
        self.pressed = match contact.phase {
            Phase::Down if is_on_page => None,
            Phase::Down => self.hit(contact.at),
            Phase::Move => self.pressed,
            Phase::Up | Phase::Cancel => None,
        };
        self.recognizer.push(contact, &mut self.gestures);
        self.translate(out);
    }

    /// Advances time: a resting finger becomes a hold.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<Command>) {
        self.recognizer.tick(now, &mut self.gestures);
        self.desk.iter_mut().for_each(|desk| desk.tick(now));
        self.translate(out);
    }

    /// Shows the button of a page that is under the finger. Whether the contact is on a page.
    fn press_page(&mut self, contact: &Contact) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        desk.touched(contact.time);
        let is_on_page = desk.covers(&self.layout, contact.at);
        let is_down = contact.phase == Phase::Down;
        match contact.phase {
            Phase::Down | Phase::Up | Phase::Cancel => {
                desk.press(&self.layout, (is_down && is_on_page).then_some(contact.at))
            }
            Phase::Move => {}
        }
        is_on_page
    }

    /// What a gesture does with a page and with the controls of the exam, for which there need not be a picture. Whether it was
    /// for them.
    fn is_for_desk(&mut self, gesture: Gesture, out: &mut Vec<Command>) -> bool {
        let Some(desk) = &mut self.desk else { return false };
        let (at, is_held) = match gesture {
            Gesture::Tap { at, .. } => (at, false),
            Gesture::HoldBegin { at } => (at, true),
            Gesture::Dragging { from, .. } | Gesture::Drag { from, .. } => return desk.covers(&self.layout, from),
            Gesture::HoldEnd | Gesture::Cancelled => return false,
        };
        if desk.covers(&self.layout, at) {
            desk.push_at(&self.layout, at);
            return true;
        }
        match self.layout.hit(at) {
            Some(Control::Save { .. }) => out.push(pressed(Control::Save { is_held })),
            Some(Control::Exam) => out.push(pressed(Control::Exam)),
            _ => return false,
        }
        true
    }

    fn translate(&mut self, out: &mut Vec<Command>) {
        if self.desk.is_some() {
            let mut gestures = std::mem::take(&mut self.gestures);
            gestures.retain(|gesture| !self.is_for_desk(*gesture, out));
            self.gestures = gestures;
        }
        let Some(to_display) = self.to_display else { return self.end_gestures(out) };
        let mut gestures = std::mem::take(&mut self.gestures);
        let on_image = |p: Point<DisplaySpace>| self.layout.image_area().contains(p);
        let rect =
            |a: Point<DisplaySpace>, b: Point<DisplaySpace>| Rect::between(to_display.invert(a), to_display.invert(b));
        for gesture in gestures.drain(..) {
            match gesture {
                Gesture::Tap { at, shown } if on_image(at) => {
                    out.push(Command::Click { at: to_display.invert(at), polarity: None, shown });
                }
                Gesture::Tap { at, .. } => out.extend(self.hit(at).map(pressed)),
                Gesture::Dragging { from, to, .. } if on_image(from) && self.page.is_by_hand() => {
                    out.push(dragged(&to_display, from, to, false));
                }
                Gesture::Drag { from, to, .. } if on_image(from) && self.page.is_by_hand() => {
                    out.push(dragged(&to_display, from, to, true));
                }
                Gesture::Cancelled if self.page.is_by_hand() => {
                    out.extend([Command::Calipers(CaliperCommand::DragCancelled), Command::HideOverlay(false)]);
                }
                Gesture::Dragging { from, to, .. } if on_image(from) => {
                    out.push(Command::RubberBand(Some(rect(from, to))));
                }
                Gesture::Drag { from, to, shown } if on_image(from) => {
                    out.push(Command::BoxPrompt { rect: rect(from, to), shown });
                }
                Gesture::Dragging { from, to, .. } => out.extend(self.slid(from, to).filter(is_scrub).map(pressed)),
                Gesture::Drag { from, to, .. } => out.extend(self.slid(from, to).map(pressed)),
                Gesture::HoldBegin { at } if on_image(at) => out.push(Command::HideOverlay(true)),
                Gesture::HoldBegin { at } => out.extend(self.hit(at).map(pressed)),
                Gesture::HoldEnd => out.push(Command::HideOverlay(false)),
                Gesture::Cancelled => out.extend([Command::RubberBand(None), Command::HideOverlay(false)]),
            }
        }
        self.gestures = gestures;
    }

    /// Without a drawing no gesture has a place; what has begun ends nevertheless.
    fn end_gestures(&mut self, out: &mut Vec<Command>) {
        let is_end = |g: Gesture| matches!(g, Gesture::HoldEnd | Gesture::Cancelled | Gesture::Drag { .. });
        if self.gestures.drain(..).any(is_end) {
            out.extend([Command::RubberBand(None), Command::HideOverlay(false)]);
        }
    }

    /// The control along which a finger slid.
    fn slid(&self, from: Point<DisplaySpace>, to: Point<DisplaySpace>) -> Option<Control> {
        let (began, ended) = (self.hit(from)?, self.hit(to)?);
        began.is_same(ended).then_some(ended)
    }

    /// The place of a control as last drawn, in its own place or in another's; `None` when it is not on the screen.
    pub fn place(&self, control: Control) -> Option<Rect<DisplaySpace>> {
        let is_it = |place: Control| self.page.in_place_of(place).is_some_and(|c| c.is_same(control));
        self.layout.controls().find(|(place, _)| is_it(*place)).map(|(_, rect)| rect)
    }

    /// What is drawn at a place beside the picture.
    fn hit(&self, at: Point<DisplaySpace>) -> Option<Control> {
        self.layout.hit(at).and_then(|place| self.page.in_place_of(place))
    }
}

/// A drag on a page of measuring.
fn dragged(
    to_display: &Converter<ImageSpace, DisplaySpace>,
    from: Point<DisplaySpace>,
    to: Point<DisplaySpace>,
    is_done: bool,
) -> Command {
    let (from, to) = (to_display.invert(from), to_display.invert(to));
    Command::Calipers(CaliperCommand::Drag { from, to, is_done })
}

fn is_scrub(control: &Control) -> bool {
    control.is_same(Control::Scrub(0.0))
}

/// The command of a control.
pub fn pressed(control: Control) -> Command {
    match control {
        Control::Freeze => Command::ToggleFreeze,
        Control::Undo => Command::Undo,
        Control::Redo => Command::Redo,
        Control::Clear => Command::Clear,
        Control::Include => Command::ChooseTool(Tool::Include),
        Control::Exclude => Command::ChooseTool(Tool::Exclude),
        Control::NewObject => Command::NewObject,
        Control::Fill => Command::CycleFill,
        Control::StepBack => Command::StepBack,
        Control::StepForward => Command::StepForward,
        Control::Scrub(place) => Command::ScrubTo(place),
        Control::Save { is_held: false } => Command::SaveStill,
        Control::Save { is_held: true } => Command::SaveCine,
        Control::Exam => Command::ShowExam,
        Control::ByHand(command) => Command::Calipers(command),
    }
}
