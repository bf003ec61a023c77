//! Draws the pages, the line of the exam and the face of Save. A page is painted when something changed, and copied for each
//! frame; after that nothing is allocated.

use std::fmt::Write as _;

use super::pages::{Button, Page};
use super::places::{self, Grid};
use super::{Desk, OrderTold, SaveTold, Trouble, Warning, WorklistTold};
use crate::frame::Frame;
use crate::geometry::{Converter, DisplaySpace, Rect};
use crate::overlay::blend::{Clip, Painter, PxRect};
use crate::overlay::blit::Blitter;
use crate::overlay::text::Typeface;
use crate::overlay::theme::Theme;
use crate::overlay::{Canvas, Control, Layout};

const THEME: &Theme = &Theme::DARK;
/// Capitals of an identity and of a question, mm.
const LARGE_MM: f32 = 4.2;

/// What is painted, and the buffers for painting. `Debug` shows nothing of it: whose exam it is, is in there.
#[derive(Default)]
pub(super) struct Painted {
    /// Size and resolution that the typefaces and the page were made for.
    made_for: Option<((u32, u32), u32)>,
    faces: Option<(Typeface, Typeface)>,
    page: Option<(Canvas, u32, u32)>,
    whose: String,
    warnings: String,
    is_alarm: bool,
    whole: Clip,
}

impl std::fmt::Debug for Painted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Painted(not shown)")
    }
}

impl Painted {
    pub(super) fn draw(&mut self, desk: &Desk, canvas: &mut Canvas, layout: &Layout) {
        let key = (layout.size(), layout.dpi().to_bits());
        let is_new = self.made_for != Some(key);
        if is_new {
            let face = |mm: f32| Typeface::with_cap_height(layout.mm(mm));
            self.faces = Some((Typeface::with_cap_height(layout.text_height()), face(LARGE_MM)));
            self.whole = Clip::whole(PxRect::new(0, 0, layout.size().0 as i32, layout.size().1 as i32));
            self.made_for = Some(key);
        }
        let Some((body, large)) = &self.faces else { return };
        if is_new || desk.is_stale {
            let has_control = layout.place(Control::SAVE).is_some();
            let room = layout.exam_line().map_or(0.0, |[_, warnings]| warnings.width() / body.advance() as f32);
            write_line(desk, has_control, room as usize, &mut self.whose, &mut self.warnings);
            self.is_alarm = in_line(desk, has_control).any(|(is_alarm, _)| is_alarm);
            self.page = desk.page.map(|page| paint_page(desk, page, layout, body, large));
        }
        let mut painter = Painter::new(canvas, &self.whole);
        if let Some([whose, warnings]) = layout.exam_line() {
            let colour = if desk.told.patient.is_some() { THEME.text } else { THEME.text_dim };
            put_right(&mut painter, body, &whose, &self.whose, colour);
            let colour = if self.is_alarm { THEME.alarm } else { THEME.cue };
            put_right(&mut painter, body, &warnings, &self.warnings, colour);
        }
        if let Some(place) = layout.place(Control::SAVE) {
            face_of_save(&mut painter, layout, body, desk.told.saving, &place);
        }
        if let Some(number) = desk.told.reopened.filter(|_| desk.page.is_none()) {
            not_live(&mut painter, body, number, &layout.image_area());
        }
        if let Some((page, x, y)) = &self.page {
            canvas.paste(page, *x, *y);
        }
    }
}

/// Whose exam it is, and what is to be known of it; without the control, what became of what was to be saved, too. Of warnings
/// that do not all fit, the first are said, and how many more there are.
fn write_line(desk: &Desk, has_control: bool, room: usize, whose: &mut String, warnings: &mut String) {
    whose.clear();
    warnings.clear();
    let told = &desk.told;
    if let Some((first, _)) = told.saving.words().filter(|_| !has_control && told.saving.trouble().is_none()) {
        whose.push_str(first);
        whose.push_str(" · ");
    }
    match (&told.patient, &told.exam) {
        (Some(patient), _) => whose.push_str(&patient.shown()),
        (None, Some(exam)) => whose.push_str(exam),
        (None, None) => whose.push_str("no exam"),
    }
    let saved = told.items.iter().filter(|i| !i.is_deleted).count();
    if saved > 0 {
        // Writing to a String cannot fail.
        let _ = write!(whose, " · {saved}");
    }
    let words: Vec<String> = in_line(desk, has_control).map(|(_, warning)| warning.to_string()).collect();
    for (i, word) in words.iter().enumerate() {
        let (left, space) = (words.len() - i - 1, if i > 0 { 2 } else { 0 });
        let rest = if left > 0 { 3 } else { 0 };
        if i > 0 && warnings.chars().count() + space + word.chars().count() + rest > room {
            let _ = write!(warnings, " +{}", left + 1);
            return;
        }
        let _ = write!(warnings, "{}{word}", if i > 0 { "  " } else { "" });
    }
}

/// The warnings of the line: what the control says is not said again.
fn in_line(desk: &Desk, has_control: bool) -> impl Iterator<Item = (bool, Warning)> {
    let has_trouble = has_control && desk.told.saving.trouble().is_some();
    desk.told.warnings().skip(usize::from(has_trouble))
}

/// Text at the right end of its place; what does not fit is left out from the end, and said to be.
fn put_right(painter: &mut Painter, face: &Typeface, place: &Rect<DisplaySpace>, text: &str, colour: u32) {
    let room = (place.width() / face.advance() as f32) as usize;
    let count = text.chars().count();
    let y = ((place.y0 + place.y1) / 2.0) as i32 - face.cap_height() / 2;
    if count <= room {
        return face.draw(painter, place.x1 as i32 - face.width(text), y, text, colour);
    }
    let Some(kept) = room.checked_sub(2).filter(|kept| *kept > 2) else { return };
    let end = text.char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
    let x = place.x1 as i32 - room as i32 * face.advance();
    face.draw(painter, x, y, &text[..end], colour);
    face.draw(painter, x + kept as i32 * face.advance(), y, "..", colour);
}

/// Over the control: what became of what was to be saved.
fn face_of_save(painter: &mut Painter, layout: &Layout, face: &Typeface, saving: SaveTold, place: &Rect<DisplaySpace>) {
    let Some((first, second)) = saving.words() else { return };
    let (ground, ink) = match saving {
        SaveTold::Saved(_) => (THEME.button, THEME.live),
        _ if saving.trouble().is_some() => (THEME.alarm, THEME.text_on),
        _ => (THEME.button, THEME.cue),
    };
    let r = PxRect::around(place);
    painter.round_rect(r, layout.mm(2.0), ground, 256);
    painter.round_frame(r, layout.mm(2.0), 1.0, THEME.button_edge, 256);
    let mut digits = [0; 10];
    let second = match saving {
        SaveTold::Saved(number) => digits_of(number, &mut digits),
        _ => second,
    };
    let (third, fourth) = saving.trouble().map_or(("", ""), Trouble::lines);
    let lines = [first, second, third, fourth];
    let count = lines.iter().filter(|line| !line.is_empty()).count();
    let ((cx, cy), pitch) = (r.centre(), face.cap_height() as f32 * 1.7);
    let mut y = cy - pitch * (count as f32 - 1.0) / 2.0;
    for line in lines.into_iter().filter(|line| !line.is_empty()) {
        face.draw_centred(painter, cx, y, line, ink);
        y += pitch;
    }
}

/// A number without allocating.
fn digits_of(mut number: u32, out: &mut [u8; 10]) -> &str {
    let mut at = out.len();
    loop {
        at -= 1;
        out[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return std::str::from_utf8(&out[at..]).unwrap_or("");
        }
    }
}

fn paint_page(desk: &Desk, page: Page, layout: &Layout, body: &Typeface, large: &Typeface) -> (Canvas, u32, u32) {
    let all = PxRect::around(&places::area(layout));
    let mut canvas = Canvas::new(all.width().max(1) as u32, all.height().max(1) as u32);
    canvas.pixels_mut().fill(THEME.background);
    let (dx, dy) = (all.x0 as f32, all.y0 as f32);
    let moved = |r: &Rect<DisplaySpace>| Rect::new(r.x0 - dx, r.y0 - dy, r.x1 - dx, r.y1 - dy);
    let below = match page {
        Page::Exam => 2,
        _ => 1,
    };
    let room = match page {
        Page::Keypad => moved(&places::field(layout)),
        _ => moved(&Grid::new(layout, places::area(layout)).above(below)),
    };
    if let Page::Item(number) = page
        && let Some((_, picture)) = desk.opened.as_ref().filter(|(opened, _)| *opened == number)
    {
        put_picture(&mut canvas, picture, &room);
    }
    let buttons: Vec<_> = desk.buttons.iter().map(|(button, place)| (*button, moved(place))).collect();
    for (button, place) in &buttons {
        let thumbnail = match button {
            Button::Item(number) => desk.told.items.iter().find(|i| i.number == *number),
            _ => None,
        };
        paint_button(&mut canvas, layout, body, desk, *button, place);
        if let Some(picture) = thumbnail.and_then(|item| item.thumbnail.as_ref()) {
            put_picture(&mut canvas, picture, &place.grown(-layout.mm(0.8)));
            caption(&mut canvas, body, desk, *button, place);
        }
    }
    let clip = Clip::whole(PxRect::new(0, 0, canvas.width() as i32, canvas.height() as i32));
    let mut painter = Painter::new(&mut canvas, &clip);
    let mut text = Text { painter: &mut painter, room, y: room.y0 + layout.mm(1.5), body, large };
    words(desk, page, &mut text);
    if let Page::Item(number) = page {
        not_live(&mut painter, body, number, &room);
    }
    (canvas, all.x0.max(0) as u32, all.y0.max(0) as u32)
}

/// What is looked at is not what the probe sees.
fn not_live(painter: &mut Painter, face: &Typeface, number: u32, room: &Rect<DisplaySpace>) {
    let mut digits = [0; 10];
    let words = ["SAVED ", digits_of(number, &mut digits), ", NOT LIVE"];
    let pad = face.cap_height() / 2;
    let (mut x, y) = (room.x0 as i32 + pad, room.y0 as i32 + pad);
    let width: i32 = words.iter().map(|word| face.width(word)).sum();
    let ground = PxRect::new(x, y, x + width + 2 * pad, y + face.cap_height() + 2 * pad);
    painter.fill(ground, THEME.frozen, 256);
    x += pad;
    for word in words {
        face.draw(painter, x, y + pad, word, THEME.text_frozen);
        x += face.width(word);
    }
}

fn put_picture(canvas: &mut Canvas, picture: &Frame, place: &Rect<DisplaySpace>) {
    let to_display = Converter::fit(&picture.bounds(), place, false);
    Blitter::default().blit(picture, &to_display, PxRect::around(place), canvas);
}

/// Number and kind of an item, over its picture.
fn caption(canvas: &mut Canvas, face: &Typeface, desk: &Desk, button: Button, place: &Rect<DisplaySpace>) {
    let label = label_of(desk, button);
    let pad = face.cap_height() / 2;
    let r = PxRect::around(place);
    let ground = PxRect::new(r.x0, r.y1 - face.cap_height() - 2 * pad, r.x0 + face.width(&label) + 2 * pad, r.y1);
    let clip = Clip::whole(r);
    let mut painter = Painter::new(canvas, &clip);
    painter.fill(ground, THEME.chip, 256);
    let colour = if label.contains("deleted") { THEME.alarm } else { THEME.text };
    face.draw(&mut painter, ground.x0 + pad, ground.y0 + pad, &label, colour);
}

fn paint_button(
    canvas: &mut Canvas,
    layout: &Layout,
    face: &Typeface,
    desk: &Desk,
    button: Button,
    place: &Rect<DisplaySpace>,
) {
    let is_chosen = button == Button::Preset(desk.told.preset) || desk.pressed == Some(button);
    let is_weighty = matches!(button, Button::ReallyDelete | Button::ReallyLose | Button::EndAnyway);
    let is_main = matches!(button, Button::End | Button::ReallyEnd | Button::Bind | Button::Enter);
    let (ground, ink) = match (is_chosen, is_weighty, is_main) {
        (true, ..) => (THEME.button_on, THEME.text_on),
        (_, true, _) => (THEME.alarm, THEME.text_on),
        (_, _, true) => (THEME.freeze, THEME.text),
        _ => (THEME.button, THEME.text),
    };
    let r = PxRect::around(place);
    let clip = Clip::whole(PxRect::new(0, 0, canvas.width() as i32, canvas.height() as i32));
    let mut painter = Painter::new(canvas, &clip);
    painter.round_rect(r, layout.mm(2.0), ground, 256);
    painter.round_frame(r, layout.mm(2.0), 1.0, THEME.button_edge, 256);
    let label = label_of(desk, button);
    let room = ((place.width() / face.advance() as f32) as usize).saturating_sub(1).max(1);
    let lines: Vec<String> = label.split('\n').flat_map(|line| wrapped(line, room)).collect();
    let ((cx, cy), pitch) = (r.centre(), face.cap_height() as f32 * 1.8);
    let top = cy - pitch * (lines.len() as f32 - 1.0) / 2.0;
    for (i, line) in lines.iter().enumerate() {
        face.draw_centred(&mut painter, cx, top + i as f32 * pitch, line, ink);
    }
}

fn label_of(desk: &Desk, button: Button) -> String {
    let told = &desk.told;
    let is_asked = matches!(desk.page, Some(Page::End { is_asked: true }));
    match button {
        Button::Close => match desk.page {
            Some(Page::Delete(_) | Page::Lose) => "Keep".into(),
            Some(Page::Exam) => "Back to picture".into(),
            _ => "Back".into(),
        },
        Button::Patient if told.patient.is_some() => "Other patient".into(),
        Button::Patient => "Patient".into(),
        Button::Worklist => "Worklist".into(),
        Button::AskAgain => match &told.worklist {
            WorklistTold::Asking => "Asking".into(),
            WorklistTold::Listed { left_out, is_cut, .. } if *left_out > 0 || *is_cut => {
                let left_out = if *left_out > 0 { format!("\n{left_out} left out") } else { String::new() };
                format!("Ask again{left_out}{}", if *is_cut { "\nthere are more" } else { "" })
            }
            _ => "Ask again".into(),
        },
        Button::Order(at) => match &told.worklist {
            WorklistTold::Listed { orders, .. } => orders.get(at).map(order_words).unwrap_or_default(),
            _ => String::new(),
        },
        Button::Presets => match told.preset.and_then(|p| desk.config.presets.get(p)) {
            Some(label) => format!("Preset: {label}"),
            None => "Preset".into(),
        },
        Button::Items => format!("Saved {}", told.items.iter().filter(|i| !i.is_deleted).count()),
        Button::ConfirmDate => "Date is right".into(),
        Button::End | Button::ReallyEnd if desk.would_lose() && desk.page != Some(Page::Exam) => "Try again".into(),
        Button::End | Button::ReallyEnd => "End exam".into(),
        Button::Type(' ') => "space".into(),
        Button::Type(c) => c.into(),
        Button::Shift => "More keys".into(),
        Button::Backspace => "Erase".into(),
        Button::Enter => "OK".into(),
        Button::Bind => "Yes, bind".into(),
        Button::Reject => "No".into(),
        Button::Preset(None) => "Anything".into(),
        Button::Preset(Some(number)) => desk.config.presets.get(number).cloned().unwrap_or_default(),
        Button::More => "More".into(),
        Button::Item(number) => {
            let item = told.items.iter().find(|i| i.number == number);
            let kind = if item.is_some_and(|i| i.is_cine) { " cine" } else { "" };
            let state = if item.is_some_and(|i| i.is_deleted) { " deleted" } else { "" };
            format!("{number}{kind}{state}")
        }
        Button::Edit => match desk.page {
            Some(Page::Item(number)) if told.items.iter().any(|i| i.number == number && i.is_cine) => "Review".into(),
            _ => "Edit outlines".into(),
        },
        Button::Delete => "Delete".into(),
        Button::ReallyDelete => "Delete".into(),
        Button::Restore => "Undo delete".into(),
        Button::SamePatient if is_asked => "Same patient".into(),
        Button::SamePatient => "Go on".into(),
        Button::EndAnyway | Button::ReallyLose => "End and lose them".into(),
    }
}

fn order_words(order: &OrderTold) -> String {
    let joined = |parts: &[&str]| parts.iter().copied().filter(|p| !p.is_empty()).collect::<Vec<_>>().join(" · ");
    let identity = &order.identity;
    let who = joined(&[&identity.spoken(), identity.note()]);
    let what = joined(&[identity.reveal(), &order.when, &order.procedure]);
    if who.is_empty() { what } else { format!("{who}\n{what}") }
}

/// The words of a page, in its room.
fn words(desk: &Desk, page: Page, text: &mut Text) {
    let told = &desk.told;
    let exam = told.exam.as_deref().map_or("not begun".to_owned(), |name| format!("exam {name}"));
    let patient = told.patient.as_ref().map_or("no patient".to_owned(), |p| p.shown());
    let patient = patient.as_str();
    match page {
        Page::Exam => {
            text.large(patient, THEME.text);
            text.body(&exam, THEME.text_dim);
            if !told.clock.is_empty() {
                let doubt = told.warnings.clock.map_or(String::new(), |why| format!(": {why}"));
                text.body(&format!("{}{doubt}", told.clock), THEME.text_dim);
            }
            for (is_alarm, warning) in told.warnings() {
                text.body(&warning.to_string(), if is_alarm { THEME.alarm } else { THEME.cue });
            }
        }
        Page::Keypad => {
            text.large(&format!("{}_", desk.typed.text), THEME.text);
            match desk.refused {
                Some(why) => text.body(why.label(), THEME.alarm),
                None => text.body("Type or scan the patient's number", THEME.text_dim),
            }
        }
        Page::Worklist => match &told.worklist {
            WorklistTold::Asking | WorklistTold::Ready => text.body("Asking the worklist", THEME.text_dim),
            WorklistTold::Failed(why) => {
                text.body(why, THEME.alarm);
                text.body("A patient can be typed or scanned.", THEME.text_dim);
            }
            WorklistTold::Listed { orders, .. } if orders.is_empty() => {
                text.body("No orders around today.", THEME.text_dim);
            }
            WorklistTold::Listed { .. } | WorklistTold::Absent => {}
        },
        Page::Confirm => {
            text.body("This patient?", THEME.text_dim);
            if let Some(offered) = &desk.offered {
                text.large(offered.reveal(), THEME.text);
                if !offered.name().is_empty() {
                    text.large(&offered.spoken(), THEME.text);
                }
                if !offered.note().is_empty() {
                    text.body(offered.note(), THEME.text);
                }
            }
            if told.patient.is_some() && told.patient != desk.offered {
                text.body("instead of", THEME.cue);
                text.body(patient, THEME.text);
            }
            let saved = told.items.iter().filter(|i| !i.is_deleted).count();
            if saved > 0 {
                text.body(&format!("{saved} saved already: are they of this patient?"), THEME.cue);
            }
        }
        Page::Delete(number) => {
            text.large(&format!("Delete {number}?"), THEME.text);
            text.body("It can be put back until the exam ends.", THEME.text_dim);
        }
        Page::Item(number) if desk.opened.as_ref().is_none_or(|(opened, _)| *opened != number) => {
            text.body("reading", THEME.text_dim);
        }
        Page::End { is_asked } => {
            text.large(if is_asked { "Same patient?" } else { "End exam?" }, THEME.text);
            text.large(patient, THEME.text);
            let saved = told.items.iter().filter(|i| !i.is_deleted).count();
            text.body(&format!("{exam}, {saved} saved"), THEME.text_dim);
            if is_asked {
                text.body("Nothing is saved until you answer.", THEME.cue);
            }
            for (_, warning) in told.warnings().filter(|(is_alarm, _)| *is_alarm) {
                text.body(&warning.to_string(), THEME.alarm);
            }
        }
        Page::Lose => {
            text.large("Not on the disk:", THEME.alarm);
            text.body(&format!("{} pictures are lost when you end now.", told.waiting), THEME.text);
        }
        Page::Presets | Page::Items | Page::Item(_) => {
            if page == Page::Items && told.items.is_empty() {
                text.body("Nothing is saved yet.", THEME.text_dim);
            }
        }
    }
}

/// Lines of text from the top of a room.
struct Text<'a, 'b> {
    painter: &'a mut Painter<'b>,
    room: Rect<DisplaySpace>,
    y: f32,
    body: &'a Typeface,
    large: &'a Typeface,
}

impl Text<'_, '_> {
    fn body(&mut self, text: &str, colour: u32) {
        self.put(self.body, text, colour);
    }

    fn large(&mut self, text: &str, colour: u32) {
        // An identity is never cut: it is smaller where it would be.
        let fits = self.large.width(text) as f32 <= self.room.width() - 2.0 * self.large.advance() as f32;
        self.put(if fits { self.large } else { self.body }, text, colour);
    }

    fn put(&mut self, face: &Typeface, text: &str, colour: u32) {
        let pad = face.advance() as f32;
        let room = (((self.room.width() - 2.0 * pad) / pad) as usize).max(1);
        for line in wrapped(text, room) {
            if self.y + face.cap_height() as f32 > self.room.y1 {
                return;
            }
            face.draw(self.painter, (self.room.x0 + pad) as i32, self.y as i32, &line, colour);
            self.y += face.cap_height() as f32 * 1.8;
        }
    }
}

/// Lines of at most `room` characters; words longer than that are broken.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.len() - 1;
        let used = lines[line].chars().count();
        let length = word.chars().count();
        if used > 0 && used + 1 + length > room {
            lines.push(String::new());
        } else if used > 0 {
            lines[line].push(' ');
        }
        for c in word.chars() {
            let line = lines.len() - 1;
            if lines[line].chars().count() >= room {
                lines.push(String::new());
            }
            let line = lines.len() - 1;
            lines[line].push(c);
        }
    }
    lines
}
