//! Composes a screen: the frame, outlines and marks on it, text and controls around it.

use std::fmt::Write as _;

use crate::frame::Frame;
use crate::geometry::{Converter, DisplaySpace, ImageSpace};
use crate::overlay::blend::{Clip, KeepOut, Painter, PxRect, alpha};
use crate::overlay::blit::Blitter;
use crate::overlay::by_hand::CaliperPen;
use crate::overlay::canvas::Canvas;
use crate::overlay::chrome::{Chrome, picture};
use crate::overlay::layout::{Control, Layout};
use crate::overlay::marks::{Chip, ChipPlaces, banner, marker, regions, rubber_band};
use crate::overlay::outline::{LineColours, LineStyle, OutlinePainter, style_of};
use crate::overlay::panel::{self, Held};
use crate::overlay::text::Typeface;
use crate::overlay::theme::{Theme, colour_of};
use crate::scene::{FillLevel, HiddenReason, Mode, ObjectScene, Overlay, Scene, Suggestion};
use crate::units::Score;

/// Below this score an outline is labelled "add a point", unless the view sets another limit.
const LOW_SCORE: f32 = 0.7;

/// How a scene is mapped to the screen.
#[derive(Clone, Copy, Debug)]
pub struct HudView<'a> {
    /// From frame to screen; usually the image region fitted into the layout's image area.
    pub to_display: Converter<ImageSpace, DisplaySpace>,
    /// The layout of the screen.
    pub layout: &'a Layout,
    /// Parts of the frame that are never painted over.
    pub keep_outs: &'a [KeepOut],
    /// The control under the finger, shown pressed.
    pub pressed: Option<Control>,
    /// An outline of a lower score is labelled "add a point"; `None` means 0.7.
    pub low_score: Option<Score>,
}

/// Typefaces for one screen.
#[derive(Clone, Debug)]
struct Faces {
    made_for: (i32, i32),
    body: Typeface,
    large: Typeface,
}

/// Composes screens. It keeps its buffers; after the first frame of a size nothing is allocated.
///
/// Guarantees:
/// - an outline is drawn only on the frame that the scene belongs to, and never while live frames are missing;
/// - only [`Overlay::Exact`] is drawn in the fresh style;
/// - what is suggested has a style and a colour of its own, and is not drawn beside an object;
/// - no pixel of a keep-out differs from the frame;
/// - "AI" and "Not for diagnostic use" are on every screen;
/// - only [`Scene::live_tick`] moves the LIVE tick.
#[derive(Clone, Debug, Default)]
pub struct Hud {
    faces: Option<Faces>,
    chrome: Chrome,
    blitter: Blitter,
    outliner: OutlinePainter,
    clip: Clip,
    whole: Clip,
    words: String,
    held: Held,
}

impl Hud {
    /// Without buffers yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Paints the whole canvas, resized to the layout's size: the frame, and the scene where it may be drawn. Before
    /// the first frame, pass a default one.
    pub fn draw(&mut self, canvas: &mut Canvas, frame: &Frame, scene: &Scene, view: &HudView) {
        let layout = view.layout;
        let (width, height) = layout.size();
        if (canvas.width(), canvas.height()) != (width, height) {
            canvas.resize(width, height);
        }
        let faces = faces(&mut self.faces, layout);
        self.chrome.put(canvas, layout, scene, view.pressed, &faces.body);
        let area = picture(layout);
        self.blitter.blit(frame, &view.to_display, area, canvas);
        self.clip.set(area, view.keep_outs, &view.to_display);
        self.whole.set(PxRect::new(0, 0, width as i32, height as i32), &[], &view.to_display);

        let mut painter = Painter::new(canvas, &self.whole);
        panel::status(&mut painter, layout, &faces.body, scene, &mut self.words);
        let is_outline_shown = may_show_outlines(scene, frame);
        self.held.take(scene);
        panel::panel(&mut painter, layout, &faces.body, scene, is_outline_shown, &self.held, &mut self.words);
        panel::track(&mut painter, layout, scene);

        self.draw_on_picture(canvas, frame, scene, view);
    }

    /// Paints over a picture that a host has drawn, and nothing beyond the layout's image area: the fault of the signal, outlines,
    /// prompts, chips, and a label with the mode, "AI" and "Not for diagnostic use". Returns `false`, with nothing painted, when
    /// keep-outs leave no room for the label.
    pub fn draw_over(&mut self, canvas: &mut Canvas, frame: &Frame, scene: &Scene, view: &HudView) -> bool {
        let layout = view.layout;
        self.clip.set(picture(layout), view.keep_outs, &view.to_display);
        let face = &faces(&mut self.faces, layout).body;
        let Some(label) = panel::HostLabel::place(layout, face, scene, &self.clip, &mut self.words) else {
            return false;
        };
        self.draw_on_picture(canvas, frame, scene, view);
        let mut painter = Painter::new(canvas, &self.clip);
        label.draw(&mut painter, layout, &faces(&mut self.faces, layout).body, scene, &mut self.words);
        true
    }

    /// What is drawn on the frame itself, within the clip.
    fn draw_on_picture(&mut self, canvas: &mut Canvas, frame: &Frame, scene: &Scene, view: &HudView) {
        let layout = view.layout;
        let faces = faces(&mut self.faces, layout);
        let mut painter = Painter::new(canvas, &self.clip);
        if scene.mode == Mode::Live && !scene.signal.allows_outlines() {
            banner(&mut painter, &faces.large, scene.signal.label());
        }
        if may_show_outlines(scene, frame) {
            if !scene.objects.iter().any(|o| o.overlay == Overlay::Hidden(HiddenReason::ByOperator)) {
                regions(&mut painter, layout, &view.to_display, frame);
            }
            let mut on_picture = OnPicture {
                outliner: &mut self.outliner,
                face: &faces.body,
                words: &mut self.words,
                view,
                fill: scene.fill,
            };
            on_picture.draw(&mut painter, scene);
            if let Some(calipers) = &scene.calipers {
                let (face, to_display) = (&faces.body, &view.to_display);
                let outliner = &mut self.outliner;
                CaliperPen { outliner, face, px_per_mm: layout.mm(1.0), to_display }.draw(&mut painter, calipers);
            }
        }
    }
}

/// Whether outlines, marks and measurements of the scene may be drawn: the frame is the scene's, and the signal is
/// live.
fn may_show_outlines(scene: &Scene, frame: &Frame) -> bool {
    scene.belongs_to(frame) && (scene.mode != Mode::Live || scene.signal.allows_outlines())
}

/// The typefaces for this layout, rebuilt only when its pitch or image area changes.
fn faces<'f>(kept: &'f mut Option<Faces>, layout: &Layout) -> &'f Faces {
    const LONGEST_BANNER: f32 = 12.0;
    let area = layout.image_area();
    // Capitals of the 10x20 font are about 1.3 times as high as a character is wide.
    let fitting = area.width() / (LONGEST_BANNER + 1.0) * 1.3;
    let large = layout.mm(8.0).min(fitting).min(area.height() / 3.0);
    let made_for = ((layout.text_height() * 8.0) as i32, (large * 8.0) as i32);
    if kept.as_ref().is_none_or(|f| f.made_for != made_for) {
        *kept = None;
    }
    kept.get_or_insert_with(|| Faces {
        made_for,
        body: Typeface::with_cap_height(layout.text_height()),
        large: Typeface::with_cap_height(large),
    })
}

/// Draws the objects of a scene on its frame.
struct OnPicture<'a> {
    outliner: &'a mut OutlinePainter,
    face: &'a Typeface,
    words: &'a mut String,
    view: &'a HudView<'a>,
    fill: FillLevel,
}

impl OnPicture<'_> {
    fn draw(&mut self, painter: &mut Painter, scene: &Scene) {
        let (layout, to_display) = (self.view.layout, &self.view.to_display);
        if let Some(suggestion) = scene.suggestion.as_ref().filter(|_| scene.objects.is_empty()) {
            self.suggestion(painter, suggestion);
        }
        let mut covered = [PxRect::default(); crate::units::ObjectId::MAX];
        for object in &scene.objects {
            covered[object.object.index() % covered.len()] = self.outline(painter, scene, object);
        }
        let mut places = ChipPlaces::new(&scene.objects, to_display, layout, covered);
        for object in scene.objects.iter().filter(|o| !covered[o.object.index() % covered.len()].is_empty()) {
            self.chip(painter, scene, object, &mut places);
        }
        for object in &scene.objects {
            if object.overlay != Overlay::Hidden(HiddenReason::ByOperator) {
                let colour = colour_of(scene, object.object);
                object.markers.iter().for_each(|m| marker(painter, layout.mm(1.0), to_display, m, colour));
            }
        }
        if let Some(rect) = scene.rubber_band {
            let active = scene.objects.iter().find(|o| o.is_active);
            let colour = active.map_or(Theme::DARK.text, |o| colour_of(scene, o.object));
            rubber_band(painter, layout, &to_display.apply_rect(&rect), colour);
        }
    }

    /// Draws an object's outline if it may be drawn. Returns the area that it covers.
    fn outline(&mut self, painter: &mut Painter, scene: &Scene, object: &ObjectScene) -> PxRect {
        let Some(style) = style_of(object.overlay) else { return PxRect::default() };
        let (layout, to_display) = (self.view.layout, &self.view.to_display);
        let colour = colour_of(scene, object.object);
        let tint = match self.fill {
            FillLevel::None => 0,
            FillLevel::Quarter => alpha(0.25),
            FillLevel::Half => alpha(0.5),
        };
        if tint > 0 && style.is_filled() {
            self.outliner.fill(painter, &object.outline, to_display, colour, tint);
        }
        let colours = LineColours { line: colour, halo: Theme::DARK.halo };
        self.outliner.line(painter, &object.outline, to_display, style, layout.mm(1.0), colours)
    }

    /// Draws what is suggested, with the word for it and its score.
    fn suggestion(&mut self, painter: &mut Painter, suggestion: &Suggestion) {
        let (layout, to_display) = (self.view.layout, &self.view.to_display);
        let colours = LineColours { line: Theme::DARK.suggested, halo: Theme::DARK.halo };
        let (outline, style) = (&suggestion.outline, LineStyle::Suggested);
        let covered = self.outliner.line(painter, outline, to_display, style, layout.mm(1.0), colours);
        self.words.clear();
        // Writing to a String cannot fail.
        let _ = write!(self.words, "suggested {:.2}", suggestion.score.get());
        let mut places = ChipPlaces::new(&[], to_display, layout, Default::default());
        places.put_suggested(painter, layout, self.face, covered, self.words);
    }

    fn chip(&mut self, painter: &mut Painter, scene: &Scene, object: &ObjectScene, places: &mut ChipPlaces) {
        self.words.clear();
        if let Overlay::Carried { age } | Overlay::Stale { age } = object.overlay {
            if matches!(object.overlay, Overlay::Stale { .. }) {
                self.words.push_str("old: ");
            }
            panel::write_age(age, self.words);
        }
        let low = self.view.low_score.map_or(LOW_SCORE, Score::get);
        let is_low = object.score.is_some_and(|s| s.get() < low);
        let cue = if is_low { "add a point" } else { "" };
        let colour = colour_of(scene, object.object);
        let chip = Chip { object: object.object, colour, age: self.words, cue };
        places.put(painter, self.view.layout, self.face, &chip);
    }
}
