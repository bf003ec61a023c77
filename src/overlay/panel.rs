//! Text around the frame: the status bar above, measurements and notices below.

use std::fmt::Write;
use std::time::Duration;

use crate::calipers::write_figure;
use crate::measure::{Measurements, MetricMeasurements};
use crate::overlay::blend::{Clip, Painter, PxRect, alpha};
use crate::overlay::by_hand::tone_colour;
use crate::overlay::layout::Layout;
use crate::overlay::marks::glyph;
use crate::overlay::text::Typeface;
use crate::overlay::theme::{Theme, colour_of};
use crate::preset::{Item, Preset};
use crate::region::Misplaced;
use crate::scene::{HiddenReason, Mode, Notice, ObjectScene, Overlay, Scene, Signal};
use crate::units::{Millimetres, ObjectId, Span};

const LABEL: &str = "Not for diagnostic use";
const LABEL_LINES: [&str; 2] = ["Not for", "diagnostic use"];

/// An age as text: "120 ms", "1.4 s", "over 99 s".
pub(super) fn write_age(age: Duration, out: &mut String) {
    let ms = age.as_ms();
    // Writing to a String cannot fail.
    let _ = match ms {
        ..1000.0 => write!(out, "{ms:.0} ms"),
        ..99_950.0 => write!(out, "{:.1} s", ms / 1000.0),
        _ => write!(out, "over 99 s"),
    };
}

/// The text of a notice, and the object whose symbol precedes it.
pub(super) fn notice_words(notice: Notice) -> (Option<ObjectId>, &'static str, &'static str) {
    match notice {
        Notice::TapToStart => (None, "Tap the structure to outline it", ""),
        Notice::TapAgain(object, reason) => (Some(object), reason.label(), "Tap again"),
        Notice::AddPoint(object) => (Some(object), "Confidence low: add a point", ""),
        Notice::OutlineChanged(object) => (Some(object), "Looked closer: outline changed", ""),
        Notice::OutsideImage => (None, "That was outside the image", ""),
        Notice::PromptsFull => (None, "No more points fit: undo or clear", ""),
        Notice::ObjectsFull => (None, "All objects are in use", ""),
        Notice::FrameGone => (None, "That frame is gone: tap again", ""),
        Notice::NotBMode => (None, "Not a B-mode image: not outlined", ""),
        Notice::Misplaced(Misplaced::NotTissue(content)) => (None, content.label(), "Not outlined"),
        Notice::Misplaced(Misplaced::Across) => (None, "Two images: use a new object", ""),
        Notice::Misplaced(why) => (None, why.label(), "Not outlined"),
        Notice::Unmeasured(object, why) => (Some(object), why.label(), "No mm"),
        Notice::ModelFailed => (None, "The model failed: no outline", ""),
        Notice::Calipers(why) => (None, why.label(), ""),
    }
}

/// The state of the active object, shown when there is no notice.
fn state_words(overlay: Overlay) -> &'static str {
    match overlay {
        Overlay::Exact => "this frame",
        Overlay::Carried { .. } => "carried: freeze to measure",
        Overlay::Stale { .. } => "old",
        Overlay::Lost(_) => "lost",
        Overlay::Hidden(HiddenReason::Computing) => "outlining",
        Overlay::Hidden(HiddenReason::TooOld) => "outline too old",
        Overlay::Hidden(HiddenReason::ImplausibleMask) => "no plausible outline",
        Overlay::Hidden(HiddenReason::ModelFailed) => "model failed",
        Overlay::Hidden(HiddenReason::NotBMode) => "not B-mode",
        Overlay::Hidden(HiddenReason::NoSignal) => "no signal",
        Overlay::Hidden(HiddenReason::ByOperator) => "hidden",
    }
}

/// The device is hot, and every second frame gets a prediction.
const HOT: &str = "HOT 1/2";

/// Mode, objects, and the labels that cannot be switched off.
pub(super) fn status(painter: &mut Painter, layout: &Layout, face: &Typeface, scene: &Scene, words: &mut String) {
    let theme = &Theme::DARK;
    let bar = PxRect::around(&layout.status_bar());
    let cap = face.cap_height();
    let is_split = layout.is_label_split();
    let is_narrow = is_split && bar.width() < face.width(LABEL) + 5 * face.advance();
    let rows = 1 + i32::from(is_split) + i32::from(is_narrow);
    let row = bar.height() / rows;
    let text_top = |i: i32| bar.y0 + row * i + (row - cap) / 2;

    let x = badge(painter, layout, face, scene, (bar.x0, text_top(0)), words);
    object_list(painter, face, scene, x + 2 * cap, text_top(0), bar.x1);

    let pad = (layout.mm(0.6) as i32).max(3);
    let mut label = |x: i32, y: i32, text: &str| {
        let box_ = PxRect::new(x, y - pad, x + face.width("AI") + 2 * pad, y + cap + pad);
        painter.round_frame(box_, layout.mm(0.6), 1.5, theme.text, 256);
        face.draw(painter, x + pad, y, "AI", theme.text);
        face.draw(painter, box_.x1 + face.advance(), y, text, theme.text);
    };
    let marked = |text: &str| face.width(text) + 3 * face.advance() + 2 * pad;
    match (is_split, is_narrow) {
        (false, _) => label(bar.x1 - marked(LABEL), text_top(0), LABEL),
        (true, false) => label(bar.x0, text_top(1), LABEL),
        (true, true) => {
            label(bar.x0, text_top(1), LABEL_LINES[0]);
            face.draw(painter, bar.x0, text_top(2), LABEL_LINES[1], theme.text);
        }
    }
}

/// The words of the badge.
fn write_badge(scene: &Scene, words: &mut String) {
    words.clear();
    let _ = match (scene.mode, scene.signal, scene.cine) {
        (Mode::Live, signal, _) => write!(words, "{}", signal.label()),
        (Mode::Frozen, ..) => write!(words, "FROZEN"),
        (Mode::Review, _, Some(place)) => write!(words, "REVIEW {}/{}", place.index + 1, place.len),
        (Mode::Review, _, None) => write!(words, "REVIEW"),
    };
}

/// The label on a picture that a host draws: the badge, "AI", "Not for diagnostic use".
pub(super) struct HostLabel {
    place: PxRect,
    is_split: bool,
}

impl HostLabel {
    /// In the first corner of the image where it touches no keep-out; `None` when there is none.
    pub(super) fn place(
        layout: &Layout,
        face: &Typeface,
        scene: &Scene,
        clip: &Clip,
        words: &mut String,
    ) -> Option<Self> {
        write_badge(scene, words);
        let (pad, cap) = (Self::pad(layout), face.cap_height());
        let hot = if scene.is_hot { face.width(HOT) + face.advance() } else { 0 };
        let first = face.width(words) + 3 * cap + hot + face.width("AI") + 2 * pad;
        let area = PxRect::around(&layout.image_area());
        let of = |is_split: bool| {
            let second = if is_split { face.width(LABEL_LINES[1]) } else { face.width(LABEL) };
            let (width, rows) = (first.max(second) + 2 * pad, if is_split { 3 } else { 2 });
            let height = rows * Self::pitch(face) + 2 * pad - (Self::pitch(face) - cap);
            let at = |x: i32, y: i32| PxRect::new(x, y, x + width, y + height);
            let corners = [
                at(area.x0, area.y0),
                at(area.x1 - width, area.y0),
                at(area.x0, area.y1 - height),
                at(area.x1 - width, area.y1 - height),
            ];
            let place = corners.into_iter().find(|r| clip.allows_all(*r))?;
            Some(Self { place, is_split })
        };
        of(false).or_else(|| of(true))
    }

    fn pad(layout: &Layout) -> i32 {
        (layout.mm(0.8) as i32).max(3)
    }

    fn pitch(face: &Typeface) -> i32 {
        face.cap_height() * 8 / 5
    }

    pub(super) fn draw(
        &self,
        painter: &mut Painter,
        layout: &Layout,
        face: &Typeface,
        scene: &Scene,
        words: &mut String,
    ) {
        let theme = &Theme::DARK;
        let (pad, cap) = (Self::pad(layout), face.cap_height());
        painter.fill(self.place, theme.chip, 256);
        let (x, y) = (self.place.x0 + pad, self.place.y0 + pad);
        let end = badge(painter, layout, face, scene, (x, y), words);
        let ai = PxRect::new(end + cap / 2, y - pad / 2, end + cap / 2 + face.width("AI") + pad, y + cap + pad / 2);
        painter.round_frame(ai, layout.mm(0.6), 1.5, theme.text, 256);
        face.draw(painter, ai.x0 + pad / 2, y, "AI", theme.text);
        let row = |i: i32| y + i * Self::pitch(face);
        if self.is_split {
            face.draw(painter, x, row(1), LABEL_LINES[0], theme.text);
            face.draw(painter, x, row(2), LABEL_LINES[1], theme.text);
        } else {
            face.draw(painter, x, row(1), LABEL, theme.text);
        }
    }
}

/// LIVE with its tick, FROZEN, REVIEW or the fault of the signal. Returns its right end.
fn badge(
    painter: &mut Painter,
    layout: &Layout,
    face: &Typeface,
    scene: &Scene,
    (x, y): (i32, i32),
    words: &mut String,
) -> i32 {
    let theme = &Theme::DARK;
    let cap = face.cap_height();
    write_badge(scene, words);
    let width = face.width(words);
    if scene.mode != Mode::Live {
        let pad = layout.mm(0.8) as i32;
        painter.round_rect(
            PxRect::new(x, y - pad, x + width + 2 * pad, y + cap + pad),
            layout.mm(0.8),
            theme.frozen,
            256,
        );
        face.draw(painter, x + pad, y, words, theme.text_frozen);
        return x + width + 2 * pad;
    }
    if scene.signal != Signal::Good {
        let colour = if scene.signal == Signal::Delayed { theme.cue } else { theme.alarm };
        face.draw(painter, x, y, words, colour);
        return x + width;
    }
    let radius = cap as f32 * 0.62;
    tick(painter, x as f32 + radius, y as f32 + cap as f32 / 2.0, radius, scene.live_tick);
    let start = x + (2.0 * radius) as i32 + face.advance() / 2;
    face.draw(painter, start, y, words, theme.live);
    if scene.is_hot {
        let after = start + width + face.advance();
        face.draw(painter, after, y, HOT, theme.cue);
        return after + face.width(HOT);
    }
    start + width
}

/// Eight dots in a circle, one of them bright. The bright dot advances with each new frame and with nothing else.
fn tick(painter: &mut Painter, cx: f32, cy: f32, radius: f32, count: u64) {
    let theme = &Theme::DARK;
    for i in 0..8u64 {
        let behind = (count + 8 - i) % 8;
        let (s, c) = (i as f32 * std::f32::consts::FRAC_PI_4).sin_cos();
        let (x, y) = (cx + s * radius * 0.8, cy - c * radius * 0.8);
        let (size, strength) = if behind == 0 { (0.34, 1.0) } else { (0.2, 0.5 - behind as f32 * 0.05) };
        let r = PxRect::new((x - radius) as i32, (y - radius) as i32, (x + radius) as i32 + 1, (y + radius) as i32 + 1);
        let d = |px: f32, py: f32| ((px - x).powi(2) + (py - y).powi(2)).sqrt() - radius * size;
        painter.shape(r, theme.live, alpha(strength), d);
    }
}

/// The objects' symbols, the active one underlined, a lost one crossed out.
fn object_list(painter: &mut Painter, face: &Typeface, scene: &Scene, x: i32, y: i32, end: i32) {
    let theme = &Theme::DARK;
    let cap = face.cap_height();
    let radius = cap as f32 * 0.55;
    let mut x = x;
    for id in 0..ObjectId::MAX as u8 {
        let Some(object) = scene.objects.iter().find(|o| o.object == ObjectId(id)) else { continue };
        if x + 2 * cap > end {
            return;
        }
        let (cx, cy) = (x as f32 + cap as f32 / 2.0, y as f32 + cap as f32 / 2.0);
        glyph(painter, object.object, cx, cy, radius, colour_of(scene, object.object));
        if object.is_active {
            painter.fill(PxRect::new(x - 2, y + cap + 4, x + cap + 2, y + cap + 6), theme.text, 256);
        }
        if matches!(object.overlay, Overlay::Lost(_)) {
            let r = radius * 1.3;
            let slash = crate::overlay::blend::stretch(cx - r, cy + r, cx + r, cy - r);
            let around = PxRect::new(x - 4, y - 4, x + cap + 5, y + cap + 5);
            painter.shape(around, theme.background, 256, |px, py| slash(px, py) - 3.0);
            painter.shape(around, theme.alarm, 256, |px, py| slash(px, py) - 1.2);
        }
        x += cap * 2;
    }
}

/// Text set from left to right, continued on the next line.
struct Flow<'f> {
    face: &'f Typeface,
    area: PxRect,
    pitch: i32,
    rows: i32,
    row: i32,
    x: i32,
}

impl<'f> Flow<'f> {
    fn new(face: &'f Typeface, area: PxRect) -> Self {
        let cap = face.cap_height();
        let rows = (area.height() / (cap * 3 / 2)).clamp(0, 5);
        Self { face, area, pitch: area.height() / rows.max(1), rows, row: 0, x: area.x0 }
    }

    fn top(&self) -> i32 {
        self.area.y0 + self.row * self.pitch + (self.pitch - self.face.cap_height()) / 2
    }

    /// Whether `width` px fit, on the next line if need be.
    fn has_room(&mut self, width: i32) -> bool {
        if self.x + width > self.area.x1 && self.x > self.area.x0 {
            self.next_row();
        }
        self.row < self.rows && self.x + width <= self.area.x1
    }

    fn next_row(&mut self) {
        self.row += 1;
        self.x = self.area.x0;
    }

    fn put(&mut self, painter: &mut Painter, text: &str, colour: u32, space: i32) {
        let width = self.face.width(text);
        if self.has_room(width) {
            self.face.draw(painter, self.x, self.top(), text, colour);
            self.x += width + space;
        }
    }

    fn put_words(&mut self, painter: &mut Painter, text: &str, colour: u32) {
        for word in text.split_whitespace() {
            self.put(painter, word, colour, self.face.advance());
        }
    }
}

/// The last measurements of the active object, which are shown while its outline is carried on from the frame that they are
/// of: figures that come and go with every frame cannot be read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Held(Option<(ObjectId, Measurements)>);

impl Held {
    /// How long.
    const FOR: Duration = Duration::from_millis(500);

    /// Takes those of an exact outline, and forgets what the scene's outline does not come from.
    pub(super) fn take(&mut self, scene: &Scene) {
        let Some(active) = scene.objects.iter().find(|o| o.is_active) else {
            self.0 = None;
            return;
        };
        let is_live = scene.mode == Mode::Live && scene.signal.allows_outlines();
        match active.overlay {
            Overlay::Exact => self.0 = active.measurements.map(|m| (active.object, m)),
            Overlay::Carried { age } if is_live && age <= Self::FOR => {
                self.0 = self.0.filter(|(object, _)| *object == active.object);
            }
            _ => self.0 = None,
        }
    }
}

/// The notice, the measurements of the active object and their scale, or the text of a page of measuring. Millimetres are
/// left out where the scale's source does not fit beside them.
pub(super) fn panel(
    painter: &mut Painter,
    layout: &Layout,
    face: &Typeface,
    scene: &Scene,
    is_outline_shown: bool,
    held: &Held,
    words: &mut String,
) {
    let theme = &Theme::DARK;
    let all = PxRect::around(&layout.panel());
    if all.is_empty() {
        return;
    }
    let pad = layout.mm(1.2) as i32;
    let area = PxRect::new(all.x0 + pad, all.y0 + layout.mm(0.6) as i32, all.x1 - pad, all.y1);
    let mut flow = Flow::new(face, area);
    if let Some(notice) = scene.notice {
        put_notice(painter, &mut flow, scene, notice);
        flow.next_row();
    }
    if let Some(view) = scene.calipers.as_ref().filter(|v| v.page.is_some() && is_outline_shown) {
        for (tone, text) in &view.lines {
            put_line(painter, &mut flow, text, tone_colour(*tone));
        }
        return;
    }
    let Some(active) = scene.objects.iter().find(|o| o.is_active && is_outline_shown) else { return };
    let Some((_, m)) = held.0.filter(|_| active.overlay.is_drawn()) else {
        if scene.notice.is_none() {
            flow.put_words(painter, state_words(active.overlay), theme.text_dim);
        }
        return;
    };
    let last = flow.rows - 1;
    if last > flow.row && flow.face.width(scale_words(&m, area.width(), face)) <= area.width() {
        flow.rows = last;
        put_numbers(painter, &mut flow, scene, &m, words);
        flow.next_row();
        flow.row = flow.row.min(last);
        flow.rows = last + 1;
    }
    put_scale(painter, &mut flow, active, &m, words);
}

/// The source of the scale, preceded by "Scale: " where there is room.
fn scale_words(m: &Measurements, room: i32, face: &Typeface) -> &'static str {
    use crate::frame::ScaleSource;
    let Some(metric) = &m.metric else { return "uncalibrated" };
    let long = match metric.source {
        ScaleSource::DicomRegion => "Scale: DICOM region",
        ScaleSource::Profile => "Scale: device profile",
        ScaleSource::TwoPoint => "Scale: calibrated by hand",
        ScaleSource::TwoPointSquare => "Scale: by hand, if px square",
        ScaleSource::Phantom => "Scale: phantom",
        ScaleSource::OpenIgtLink => "Scale: OpenIGTLink image",
    };
    if face.width(long) <= room { long } else { metric.source.label() }
}

fn put_notice(painter: &mut Painter, flow: &mut Flow, scene: &Scene, notice: Notice) {
    let theme = &Theme::DARK;
    let (object, first, second) = notice_words(notice);
    let is_lost = matches!(notice, Notice::TapAgain(..));
    if let Some(object) = object {
        let cap = flow.face.cap_height();
        let (cx, cy) = (flow.x as f32 + cap as f32 / 2.0, flow.top() as f32 + cap as f32 / 2.0);
        glyph(painter, object, cx, cy, cap as f32 / 2.0, colour_of(scene, object));
        flow.x += cap + flow.face.advance();
    }
    let colour = match notice {
        Notice::TapAgain(..) | Notice::ModelFailed => theme.alarm,
        Notice::AddPoint(_) | Notice::OutlineChanged(_) | Notice::Calipers(_) => theme.cue,
        _ => theme.text,
    };
    if is_lost {
        flow.put_words(painter, "lost:", colour);
    }
    flow.put_words(painter, first, colour);
    if !second.is_empty() {
        flow.x -= flow.face.advance();
        flow.put(painter, ".", colour, flow.face.advance());
        flow.put_words(painter, second, colour);
    }
}

/// A line as one where it fits, else word by word.
fn put_line(painter: &mut Painter, flow: &mut Flow, text: &str, colour: u32) {
    if flow.face.width(text) <= flow.area.width() {
        flow.put(painter, text, colour, 2 * flow.face.advance());
    } else {
        flow.put_words(painter, text, colour);
    }
}

fn put_numbers(painter: &mut Painter, flow: &mut Flow, scene: &Scene, m: &Measurements, words: &mut String) {
    // Figures of an earlier frame are dimmed.
    let is_held = scene.objects.iter().any(|o| o.is_active && o.overlay != Overlay::Exact);
    let colour = if is_held { Theme::DARK.text_dim } else { Theme::DARK.text };
    let preset: Option<&Preset> = scene.preset.as_deref();
    if let Some(preset) = preset {
        flow.put_words(painter, &preset.label, Theme::DARK.text_dim);
    }
    for &item in preset.map_or(Item::ALL.as_slice(), |p| p.measurements.as_slice()) {
        words.clear();
        write_number(item, m, words);
        flow.put(painter, words, colour, 2 * flow.face.advance());
    }
}

/// One measurement as text.
fn write_number(item: Item, m: &Measurements, out: &mut String) {
    let error = m.metric.and_then(|mm| mm.scale_error);
    if let (Some(mm), Some(error)) = (&m.metric, error) {
        return write_with_error(item, m, mm, error, out);
    }
    let _ = match (item, &m.metric) {
        (Item::Circumference, Some(_)) => match m.circumference() {
            Some(c) => write!(out, "Circ {:.*} mm", decimals(c), c.0),
            None => write!(out, "no ellipse (fit {:.0} %)", 100.0 * m.ellipse_fit),
        },
        (Item::Circumference, None) => match m.circumference_px() {
            Some(c) => write!(out, "Circ {c:.0} px"),
            None => write!(out, "no ellipse (fit {:.0} %)", 100.0 * m.ellipse_fit),
        },
        (Item::MeanDiameter, Some(mm)) => {
            let d = mm.mean_diameter();
            write!(out, "Mean diam {:.*} mm", decimals(d), d.0)
        }
        (Item::MeanDiameter, None) => write!(out, "Mean diam {:.0} px", (m.longest_px + m.perpendicular_px) / 2.0),
        (Item::Area, Some(mm)) if mm.area.0 >= 100.0 => write!(out, "Area {:.2} cm²", mm.area.0 / 100.0),
        (Item::Area, Some(mm)) => write!(out, "Area {:.1} mm²", mm.area.0),
        (Item::Area, None) => write!(out, "Area {:.0} px²", m.area_px),
        (Item::Diameters, Some(mm)) => write_pair("Diam", mm.longest, mm.perpendicular, out),
        (Item::Diameters, None) => write!(out, "Diam {:.0}×{:.0} px", m.longest_px, m.perpendicular_px),
        (Item::Perimeter, Some(mm)) => write!(out, "Perim {:.*} mm", decimals(mm.perimeter), mm.perimeter.0),
        (Item::Perimeter, None) => write!(out, "Perim {:.0} px", m.perimeter_px),
        (Item::Ellipse, Some(mm)) => write_pair("Ellipse", mm.ellipse_axes.0, mm.ellipse_axes.1, out),
        (Item::Ellipse, None) => write!(out, "Ellipse {:.0}×{:.0} px", m.ellipse_axes_px.0, m.ellipse_axes_px.1),
    };
}

/// One measurement with what the error of the scale does to it: once in a length, twice in an area.
fn write_with_error(item: Item, m: &Measurements, mm: &MetricMeasurements, error: f64, out: &mut String) {
    let mut length = |name: &str, values: &[Millimetres]| {
        out.push_str(name);
        for (i, v) in values.iter().enumerate() {
            out.push_str(if i == 0 { " " } else { "×" });
            write_figure(v.0, Some(error * v.0), out);
        }
        out.push_str(" mm");
    };
    match (item, m.circumference()) {
        (Item::Area, _) => {
            let (value, unit) = if mm.area.0 >= 100.0 { (mm.area.0 / 100.0, " cm²") } else { (mm.area.0, " mm²") };
            out.push_str("Area ");
            write_figure(value, Some(2.0 * error * value), out);
            out.push_str(unit);
        }
        (Item::Diameters, _) => length("Diam", &[mm.longest, mm.perpendicular]),
        (Item::Perimeter, _) => length("Perim", &[mm.perimeter]),
        (Item::Ellipse, _) => length("Ellipse", &[mm.ellipse_axes.0, mm.ellipse_axes.1]),
        (Item::Circumference, Some(c)) => length("Circ", &[c]),
        (Item::Circumference, None) => _ = write!(out, "no ellipse (fit {:.0} %)", 100.0 * m.ellipse_fit),
        (Item::MeanDiameter, _) => length("Mean diam", &[mm.mean_diameter()]),
    }
}

fn write_pair(name: &str, a: Millimetres, b: Millimetres, out: &mut String) -> std::fmt::Result {
    write!(out, "{name} {:.*}×{:.*} mm", decimals(a), a.0, decimals(b), b.0)
}

/// Tenths of a millimetre below 10 cm, whole millimetres above.
fn decimals(length: Millimetres) -> usize {
    if length.0 < 100.0 { 1 } else { 0 }
}

fn put_scale(painter: &mut Painter, flow: &mut Flow, active: &ObjectScene, m: &Measurements, words: &mut String) {
    let theme = &Theme::DARK;
    let colour = if m.metric.is_some() { theme.text_dim } else { theme.cue };
    let scale = scale_words(m, flow.area.width(), flow.face);
    flow.put(painter, scale, colour, 2 * flow.face.advance());
    words.clear();
    match active.overlay {
        // The figures are those of the frame that the outline was carried from.
        Overlay::Carried { age } => {
            write_age(age, words);
            words.push_str(" ago");
        }
        other => words.push_str(state_words(other)),
    }
    flow.put(painter, words, theme.text_dim, 0);
}

/// The position in the cine ring, on the scrub track.
pub(super) fn track(painter: &mut Painter, layout: &Layout, scene: &Scene) {
    let (Some(track), Some(cine)) = (layout.track(), scene.cine) else { return };
    let theme = &Theme::DARK;
    let (pad, half) = (layout.mm(1.5) as i32, (layout.mm(0.35) as i32).max(1));
    let r = PxRect::around(&track);
    let middle = (r.y0 + r.y1) / 2;
    let bar = PxRect::new(r.x0 + pad, middle - half, r.x1 - pad, middle + half);
    painter.round_rect(bar, half as f32, theme.button_edge, 256);
    let share = cine.index as f32 / cine.len.saturating_sub(1).max(1) as f32;
    let x = bar.x0 as f32 + share.clamp(0.0, 1.0) * bar.width() as f32;
    let colour = if scene.mode == Mode::Live { theme.button_edge } else { theme.frozen };
    painter.round_rect(PxRect::new(bar.x0, bar.y0, x as i32, bar.y1), half as f32, colour, 256);
    let radius = layout.mm(1.0);
    let around = PxRect::new((x - radius) as i32 - 1, r.y0, (x + radius) as i32 + 2, r.y1);
    painter.shape(around, colour, 256, |px, py| ((px - x).powi(2) + (py - middle as f32).powi(2)).sqrt() - radius);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::ScaleSource;
    use crate::units::SquareMillimetres;

    fn measurements(metric: Option<MetricMeasurements>) -> Measurements {
        Measurements {
            area_px: 5321.4,
            perimeter_px: 270.2,
            ellipse_axes_px: (90.4, 74.6),
            ellipse_fit: 0.01,
            longest_px: 91.0,
            perpendicular_px: 75.2,
            metric,
        }
    }

    fn metric(source: ScaleSource) -> MetricMeasurements {
        MetricMeasurements {
            area: SquareMillimetres(321.4),
            perimeter: Millimetres(166.2),
            ellipse_axes: (Millimetres(22.1), Millimetres(18.4)),
            longest: Millimetres(22.4),
            perpendicular: Millimetres(18.6),
            source,
            scale_error: None,
        }
    }

    #[test]
    fn ages_are_rounded_to_what_can_be_read() {
        for (ns, words) in [
            (0, "0 ms"),
            (33_400_000, "33 ms"),
            (999_000_000, "999 ms"),
            (1_000_000_000, "1.0 s"),
            (12_340_000_000, "12.3 s"),
            (u64::MAX, "over 99 s"),
        ] {
            let mut out = String::new();
            write_age(Duration::from_nanos(ns), &mut out);
            assert_eq!(out, words);
        }
    }

    #[test]
    fn every_scale_has_its_name_in_its_words() {
        let face = Typeface::with_cap_height(10.0);
        for source in ScaleSource::ALL {
            let m = measurements(Some(metric(source)));
            assert_eq!(scale_words(&m, 10_000, &face), format!("Scale: {}", source.label()));
            assert_eq!(scale_words(&m, 10, &face), source.label());
        }
        assert_eq!(scale_words(&measurements(None), 10, &face), "uncalibrated");
    }

    #[test]
    fn millimetres_are_written_only_with_a_scale() {
        let all = |m: &Measurements| {
            let mut out = String::new();
            Item::ALL.into_iter().for_each(|i| write_number(i, m, &mut out));
            out
        };
        let bare = all(&measurements(None));
        assert!(bare.contains("px") && !bare.contains("mm") && !bare.contains("cm"), "{bare}");
        let scaled = all(&measurements(Some(metric(ScaleSource::Phantom))));
        assert_eq!(scaled, "Area 3.21 cm²Diam 22.4×18.6 mmPerim 166 mmEllipse 22.1×18.4 mm");
    }
}
