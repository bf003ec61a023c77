//! The layout of the screen, in millimetres of glass, for a finger in a wet glove.
//!
//! Controls are in one or more columns beside the image area, Freeze always in the outer bottom corner; step and scrub
//! are below it. No control is smaller than its minimum: on a small screen the less important ones are left out
//! ([`Layout::absent`]), first Fill, then New, Clear, Redo, Exam, Save, Exclude, Include, Undo, and Freeze last. Step and
//! scrub are left out when the image area would lose half of the screen's height.

use crate::calipers::CaliperCommand;
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{DisplaySpace, Point, Rect};
use crate::overlay::text::Typeface;

/// Something that a finger can press. Hiding the overlay is not a control but a press-and-hold on the image area.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Control {
    /// Freeze, or go live.
    Freeze,
    /// Undo the last edit.
    Undo,
    /// Redo the last undone edit.
    Redo,
    /// Remove all prompts; can be undone.
    Clear,
    /// Taps add positive clicks.
    Include,
    /// Taps add negative clicks.
    Exclude,
    /// The next tap starts a new object.
    NewObject,
    /// Fill 0, 25, 50 %.
    Fill,
    /// One frame back.
    StepBack,
    /// One frame forward.
    StepForward,
    /// To a position in the cine ring: 0 is the oldest frame, 1 the newest.
    Scrub(f32),
    /// Save the frame on the screen, or when it is held the cine.
    Save {
        /// It is held.
        is_held: bool,
    },
    /// Open the page of the exam, or close it.
    Exam,
    /// Measuring by hand: in the place of another control while a still frame is shown.
    ByHand(CaliperCommand),
}

impl Control {
    /// Save, pressed shortly.
    pub const SAVE: Self = Self::Save { is_held: false };

    /// Every control that has a place of its own, with scrub at 0.
    pub const ALL: [Self; 13] = [
        Self::Freeze,
        Self::Undo,
        Self::Redo,
        Self::Clear,
        Self::Include,
        Self::Exclude,
        Self::NewObject,
        Self::Fill,
        Self::StepBack,
        Self::StepForward,
        Self::Scrub(0.0),
        Self::SAVE,
        Self::Exam,
    ];

    /// Whether it is the same control, whatever the scrub position, and however long it is pressed.
    pub fn is_same(self, o: Self) -> bool {
        match (self, o) {
            (Self::ByHand(a), Self::ByHand(b)) => a == b,
            _ => std::mem::discriminant(&self) == std::mem::discriminant(&o),
        }
    }

    /// Smallest width and height, mm.
    pub fn min_size_mm(self) -> (f32, f32) {
        match self {
            Self::Freeze => (20.0, 22.0),
            Self::Undo => (20.0, 20.0),
            Self::Save { .. } => (18.0, 20.0),
            Self::Scrub(_) => (20.0, 15.0),
            _ => (15.0, 15.0),
        }
    }

    /// Position within its column, from the top.
    fn rank(self) -> usize {
        const ORDER: [Control; 10] = [
            Control::Exam,
            Control::Include,
            Control::Exclude,
            Control::NewObject,
            Control::Clear,
            Control::Redo,
            Control::Fill,
            Control::SAVE,
            Control::Undo,
            Control::Freeze,
        ];
        ORDER.iter().position(|c| c.is_same(self)).unwrap_or(ORDER.len())
    }
}

/// The controls of the columns, by decreasing importance.
const IMPORTANCE: [Control; 10] = [
    Control::Freeze,
    Control::Undo,
    Control::Include,
    Control::Exclude,
    Control::SAVE,
    Control::Exam,
    Control::Redo,
    Control::Clear,
    Control::NewObject,
    Control::Fill,
];

const GAP_MM: f32 = 3.0;
const EDGE_MM: f32 = 2.0;
const BORDER_MM: f32 = 1.0;
const TEXT_MM: f32 = 2.5;
const MARKER_RADIUS_MM: f32 = 7.5;
const GROWTH_MAX: f32 = 1.8;
const PICTURE_WIDTH_MIN: f32 = 0.4;
const PICTURE_HEIGHT_MIN: f32 = 0.5;
/// Controls in each column of a two-column screen.
const COLUMN_LENGTH: usize = 4;
const LABEL_CHARACTERS: usize = 15;
/// Badge and objects.
const BADGE_CHARACTERS: i32 = 22;

/// Which side the controls are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Handedness {
    /// Controls on the right.
    #[default]
    Right,
    /// Controls on the left.
    Left,
    /// No controls here: whoever shows the screen has them.
    Elsewhere,
}

/// Settings of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayoutConfig {
    /// The side of the controls.
    pub handedness: Handedness,
    /// Whether there are step and scrub controls.
    pub has_cine: bool,
    /// Whether exams are saved: with the controls Save and Exam, and a line that says whose exam it is.
    pub has_exam: bool,
    /// Whether the pictures are a list of stills: steps go from one to the next, and there is nothing to freeze, to scrub through, to
    /// measure, or to open an exam's page for.
    pub is_list: bool,
}

impl LayoutConfig {
    fn has(&self, control: Control) -> bool {
        match control {
            // Measuring by hand stands in the place of Fill.
            Control::Freeze | Control::Scrub(_) | Control::Exam | Control::Fill if self.is_list => false,
            Control::Save { .. } | Control::Exam => self.has_exam,
            Control::StepBack | Control::StepForward | Control::Scrub(_) => self.has_cine,
            _ => true,
        }
    }
}

impl Default for LayoutConfig {
    fn default() -> Self {
        Self { handedness: Handedness::Right, has_cine: true, has_exam: false, is_list: false }
    }
}

/// The place of every part of the screen, display px.
///
/// Guarantees, each held by a property test: controls are within the screen, at least as large as
/// [`Control::min_size_mm`], at least 3 mm apart, and do not touch the image area.
///
/// ```
/// use sonotap::overlay::layout::{Control, Layout, LayoutConfig};
/// let layout = Layout::new((800, 480), 133.0, LayoutConfig::default()).unwrap();
/// let freeze = layout.place(Control::Freeze).unwrap();
/// assert!(freeze.width() >= 105.0 && freeze.height() >= 105.0);
/// assert_eq!(layout.hit(freeze.centre()), Some(Control::Freeze));
/// assert_eq!(layout.absent().count(), 0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    size: (u32, u32),
    dpi: f32,
    places: Vec<(Control, Rect<DisplaySpace>)>,
    status: Rect<DisplaySpace>,
    image: Rect<DisplaySpace>,
    panel: Rect<DisplaySpace>,
    track: Option<Rect<DisplaySpace>>,
    is_label_split: bool,
    exam_line: Option<[Rect<DisplaySpace>; 2]>,
    config: LayoutConfig,
}

impl Layout {
    /// The layout of a screen of `size` px with `dpi` px per inch.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] unless the screen is 64..=16384 px on each side and 40..=800 dpi, 25 mm high, and wide
    /// enough for the labels that are always visible.
    pub fn new(size: (u32, u32), dpi: f32, config: LayoutConfig) -> Result<Self> {
        let fits = |v: u32| (64..=16384).contains(&v);
        if !fits(size.0) || !fits(size.1) || !(40.0..=800.0).contains(&dpi) {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("layout: expected 64..=16384 px a side and 40..=800 dpi, got {}x{} at {dpi}", size.0, size.1),
            ));
        }
        let plan = Plan::new(size, dpi, config);
        let (width, height) = plan.size_min();
        if (size.0 as f32) < width || (size.1 as f32) < height {
            return Err(Error::new(
                ErrorKind::Argument,
                format!("layout: expected at least {width}x{height} px at {dpi} dpi, got {}x{}", size.0, size.1),
            ));
        }
        Ok(plan.finish())
    }

    /// The layout of a picture of `size` px that a host draws itself: nothing but the image, at `image`.
    ///
    /// # Errors
    /// [`ErrorKind::Argument`] unless the picture is 1..=16384 px on each side and 40..=800 dpi, and `image` is within it and 16 px a
    /// side or more.
    pub fn bare(size: (u32, u32), dpi: f32, image: Rect<DisplaySpace>) -> Result<Self> {
        let fits = |v: u32| (1..=16384).contains(&v);
        let is_within = image.x0 >= 0.0 && image.y0 >= 0.0 && image.x1 <= size.0 as f32 && image.y1 <= size.1 as f32;
        let is_wide = image.width() >= 16.0 && image.height() >= 16.0;
        if !(fits(size.0) && fits(size.1) && (40.0..=800.0).contains(&dpi) && is_within && is_wide) {
            return Err(Error::new(
                ErrorKind::Argument,
                format!(
                    "overlay: expected an image of at least 16 px a side within a picture of at most 16384, at 40..=800 dpi, got \
                     {image:?} in {}x{} at {dpi}",
                    size.0, size.1
                ),
            ));
        }
        let nothing = Rect::new(0.0, 0.0, 0.0, 0.0);
        let (places, status, panel) = (Vec::new(), nothing, nothing);
        let config =
            LayoutConfig { handedness: Handedness::Elsewhere, has_cine: false, has_exam: false, is_list: false };
        Ok(Self {
            size,
            dpi,
            places,
            status,
            image,
            panel,
            track: None,
            is_label_split: false,
            exam_line: None,
            config,
        })
    }

    /// Size of the screen, px.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// px per inch.
    pub fn dpi(&self) -> f32 {
        self.dpi
    }

    /// Converts millimetres of glass to display px.
    pub fn mm(&self, mm: f32) -> f32 {
        mm * self.dpi / 25.4
    }

    /// Height of capitals in all text, display px: 2.5 mm.
    pub fn text_height(&self) -> f32 {
        self.mm(TEXT_MM)
    }

    /// Distance within which a tap hits a marker, display px: 7.5 mm.
    pub fn marker_radius(&self) -> f32 {
        self.mm(MARKER_RADIUS_MM)
    }

    /// The area of the frame.
    pub fn image_area(&self) -> Rect<DisplaySpace> {
        self.image
    }

    /// Width of the border around the image area, display px, outside it.
    pub fn border(&self) -> f32 {
        self.mm(BORDER_MM).floor().max(1.0)
    }

    /// Mode, objects and the labels that are always visible, above the image area.
    pub fn status_bar(&self) -> Rect<DisplaySpace> {
        self.status
    }

    /// Whether the status bar is so narrow that its label needs lines of its own.
    pub fn is_label_split(&self) -> bool {
        self.is_label_split
    }

    /// Where it says whose exam it is, and what the operator should know of it; `None` where no exams are saved.
    pub fn exam_line(&self) -> Option<[Rect<DisplaySpace>; 2]> {
        self.exam_line
    }

    /// Measurements and notices, below the image area and above the scrub track; empty when there is no room.
    pub fn panel(&self) -> Rect<DisplaySpace> {
        self.panel
    }

    /// The part of the scrub control that shows the position in the cine ring.
    pub fn track(&self) -> Option<Rect<DisplaySpace>> {
        self.track
    }

    /// The controls that fit, with their places.
    pub fn controls(&self) -> impl Iterator<Item = (Control, Rect<DisplaySpace>)> + '_ {
        self.places.iter().copied()
    }

    /// The controls that do not fit.
    pub fn absent(&self) -> impl Iterator<Item = Control> + '_ {
        Control::ALL.into_iter().filter(|&c| self.config.has(c) && self.place(c).is_none())
    }

    /// The place of a control; `None` when it does not fit.
    pub fn place(&self, control: Control) -> Option<Rect<DisplaySpace>> {
        self.places.iter().find(|(c, _)| c.is_same(control)).map(|(_, r)| *r)
    }

    /// The control at a point. Up to half a gap beside a control counts, but never the image area.
    pub fn hit(&self, p: Point<DisplaySpace>) -> Option<Control> {
        let slack = self.mm(GAP_MM / 2.0);
        if self.image.contains(p) {
            return None;
        }
        let (control, place) = self.places.iter().find(|(_, r)| r.grown(slack).contains(p))?;
        Some(match control {
            Control::Scrub(_) => Control::Scrub(((p.x - place.x0) / place.width()).clamp(0.0, 1.0)),
            other => *other,
        })
    }
}

/// One column of controls, from the top, and its width in px.
struct Column {
    controls: Vec<Control>,
    width: f32,
}

/// A layout under construction: right-handed, mirrored at the end.
struct Plan {
    size: (u32, u32),
    dpi: f32,
    config: LayoutConfig,
    columns: Vec<Column>,
    /// Width of a character, px.
    advance: i32,
}

impl Plan {
    fn new(size: (u32, u32), dpi: f32, config: LayoutConfig) -> Self {
        let advance = Typeface::advance_for(TEXT_MM * dpi / 25.4);
        let mut plan = Self { size, dpi, config, columns: Vec::new(), advance };
        plan.choose_columns();
        plan.widen();
        plan
    }

    /// The least whole number of px that is at least `mm`.
    fn px(&self, mm: f32) -> f32 {
        (mm * self.dpi / 25.4).ceil()
    }

    fn height_of(&self, controls: &[Control]) -> f32 {
        let sum: f32 = controls.iter().map(|c| self.px(c.min_size_mm().1)).sum();
        sum + self.px(GAP_MM) * controls.len().saturating_sub(1) as f32
    }

    fn column_room(&self) -> f32 {
        self.size.1 as f32 - 2.0 * self.px(EDGE_MM)
    }

    fn columns_width(&self) -> f32 {
        self.columns.iter().map(|c| c.width + self.px(GAP_MM)).sum()
    }

    /// Width left for the image area beside the columns.
    fn picture_width(&self, columns_width: f32) -> f32 {
        self.size.0 as f32 - 2.0 * self.px(EDGE_MM) - columns_width
    }

    /// The smallest screen with room for an image area and its labels, px.
    fn size_min(&self) -> (f32, f32) {
        (self.label_width() + 2.0 * self.px(EDGE_MM), self.px(25.0))
    }

    fn label_width(&self) -> f32 {
        (LABEL_CHARACTERS as i32 * self.advance) as f32
    }

    fn choose_columns(&mut self) {
        if self.config.handedness == Handedness::Elsewhere {
            return;
        }
        let room = self.column_room();
        let wanted: Vec<Control> = IMPORTANCE.into_iter().filter(|c| self.config.has(*c)).collect();
        let fits_in_one = |length: &usize| self.height_of(&wanted[..(*length).min(wanted.len())]) <= room;
        let length = [wanted.len(), wanted.len().div_ceil(2)].into_iter().find(fits_in_one).unwrap_or(COLUMN_LENGTH);
        let width_min = (self.size.0 as f32 * PICTURE_WIDTH_MIN).max(self.label_width());
        for control in wanted {
            let place = (0..=self.columns.len()).find_map(|at| {
                let column = self.column_with(at, control);
                let before = self.columns.get(at).map_or(-self.px(GAP_MM), |c| c.width);
                let beside = self.picture_width(self.columns_width() + column.width - before);
                let fits = column.controls.len() <= length && self.height_of(&column.controls) <= room;
                (fits && beside >= width_min).then_some((at, column))
            });
            match place {
                Some((at, column)) if at < self.columns.len() => self.columns[at] = column,
                Some((_, column)) => self.columns.push(column),
                None => return,
            }
        }
    }

    /// Column `at`, or a new one, with one more control.
    fn column_with(&self, at: usize, control: Control) -> Column {
        let mut controls = self.columns.get(at).map_or(Vec::new(), |c| c.controls.clone());
        controls.push(control);
        controls.sort_by_key(|c| c.rank());
        let width_mm = controls.iter().map(|c| c.min_size_mm().0).fold(0.0, f32::max);
        Column { controls, width: self.px(width_mm) }
    }

    /// Widens the columns by what a 4:3 frame leaves, up to 30 %.
    fn widen(&mut self) {
        let sum: f32 = self.columns.iter().map(|c| c.width).sum();
        let spare = self.picture_width(self.columns_width()) - self.column_room() * 4.0 / 3.0;
        if spare > 0.0 && sum > 0.0 {
            let k = (1.0 + spare / sum).min(1.3);
            self.columns.iter_mut().for_each(|c| c.width = (c.width * k).floor());
        }
    }

    fn finish(self) -> Layout {
        let (edge, gap) = (self.px(EDGE_MM), self.px(GAP_MM));
        let mut places = self.place_columns();
        let right = edge + self.picture_width(self.columns_width());
        let (bottom, is_label_split, status) = self.place_status(edge, right);
        let strip = self.place_strip(bottom, edge, right, &mut places);
        let border = self.px(BORDER_MM);
        let below = match strip.is_cine {
            true => gap.max(border),
            false => border,
        };
        let mut layout = Layout {
            size: self.size,
            dpi: self.dpi,
            places,
            status,
            image: Rect::new(
                edge + border,
                bottom + border,
                (right - border).max(edge + border + 1.0),
                (strip.top - below).max(bottom + border + 1.0),
            ),
            panel: strip.panel,
            track: strip.track,
            is_label_split,
            exam_line: self.config.has_exam.then(|| self.place_exam_line(&status, is_label_split)),
            config: self.config,
        };
        if self.config.handedness == Handedness::Left {
            layout.shift_for_the_left_hand(right, edge);
        }
        layout
    }

    fn place_columns(&self) -> Vec<(Control, Rect<DisplaySpace>)> {
        let (edge, gap, room) = (self.px(EDGE_MM), self.px(GAP_MM), self.column_room());
        let mut places = Vec::new();
        let mut x1 = self.size.0 as f32 - edge;
        let tallest = self.columns.first().map_or(0, |c| c.controls.len());
        let mut rows: Vec<f32> = Vec::new();
        for (i, column) in self.columns.iter().enumerate() {
            let count = column.controls.len();
            // Rows of one height in all columns, where the controls allow it.
            let is_aligned = column.controls.iter().zip(&rows).all(|(c, row)| self.px(c.min_size_mm().1) <= *row);
            if i == 0 || count != tallest || !is_aligned {
                let spare = room - gap * count.saturating_sub(1) as f32;
                let sum: f32 = column.controls.iter().map(|c| self.px(c.min_size_mm().1)).sum();
                let k = (spare / sum).clamp(1.0, GROWTH_MAX);
                rows = column.controls.iter().map(|c| (self.px(c.min_size_mm().1) * k).floor()).collect();
            }
            let used: f32 = rows.iter().sum::<f32>() + gap * count.saturating_sub(1) as f32;
            let mut y = edge;
            for (row, (&control, &height)) in column.controls.iter().zip(&rows).enumerate() {
                if row == count / 2 {
                    y += room - used;
                }
                places.push((control, Rect::new(x1 - column.width, y, x1, y + height)));
                y += height + gap;
            }
            x1 -= column.width + gap;
        }
        places
    }

    /// The status bar: its lower edge, whether its label has lines of its own, and the bar.
    fn place_status(&self, left: f32, right: f32) -> (f32, bool, Rect<DisplaySpace>) {
        let width = (right - left) as i32;
        let row = self.px(TEXT_MM * 2.2);
        // Beside badge, objects and label it says whose exam it is.
        let is_split = width < self.advance * if self.config.has_exam { 110 } else { 52 };
        let rows = match (is_split, width < self.advance * 27) {
            (false, _) => 1.0,
            (true, false) => 2.0,
            (true, true) => 3.0,
        };
        let top = self.px(EDGE_MM / 2.0);
        let bottom = top + rows * row;
        (bottom, is_split, Rect::new(left, top, right, bottom))
    }

    /// Whose exam it is, and warnings: to the right of the badge and the label, or between them.
    fn place_exam_line(&self, status: &Rect<DisplaySpace>, is_split: bool) -> [Rect<DisplaySpace>; 2] {
        let after = |characters: i32| status.x0 + (characters * self.advance) as f32;
        let rows = ((status.y1 - status.y0) / self.px(TEXT_MM * 2.2)).round();
        let row = |i: f32, x0: f32, x1: f32| {
            let y = status.y0 + i * (status.y1 - status.y0) / rows;
            Rect::new(x0.min(x1), y, x1, y + (status.y1 - status.y0) / rows)
        };
        match (is_split, rows >= 3.0) {
            (false, _) => {
                let (start, end) = (after(BADGE_CHARACTERS), status.x1 - (30 * self.advance) as f32);
                let middle = start + (end - start) * 0.4;
                [row(0.0, start, middle), row(0.0, middle + self.advance as f32, end)]
            }
            (true, false) => [row(0.0, after(BADGE_CHARACTERS), status.x1), row(1.0, after(30), status.x1)],
            (true, true) => [row(1.0, after(12), status.x1), row(2.0, after(15), status.x1)],
        }
    }

    fn place_strip(&self, top: f32, left: f32, right: f32, places: &mut Vec<(Control, Rect<DisplaySpace>)>) -> Strip {
        let (edge, gap, side) = (self.px(EDGE_MM), self.px(GAP_MM), self.px(15.0));
        let y1 = self.size.1 as f32 - edge;
        let height_min = self.size.1 as f32 * PICTURE_HEIGHT_MIN;
        let scrub = Rect::new(left + side + gap, y1 - side, right - side - gap, y1);
        let has_width = right - left >= 2.0 * (side + gap) + self.px(Control::Scrub(0.0).min_size_mm().0);
        let has_cine = self.config.has_cine && self.config.handedness != Handedness::Elsewhere;
        if has_cine && has_width && scrub.y0 - gap - top >= height_min {
            places.push((Control::StepBack, Rect::new(left, scrub.y0, left + side, y1)));
            places.push((Control::StepForward, Rect::new(right - side, scrub.y0, right, y1)));
            if self.config.is_list {
                return Strip { top: scrub.y0, panel: scrub, track: None, is_cine: true };
            }
            places.push((Control::Scrub(0.0), scrub));
            let track = Rect::new(scrub.x0, y1 - self.px(2.5), scrub.x1, y1);
            let panel = Rect::new(scrub.x0, scrub.y0, scrub.x1, track.y0);
            return Strip { top: scrub.y0, panel, track: Some(track), is_cine: true };
        }
        let y0 = y1 - 2.0 * self.px(TEXT_MM * 1.8);
        if y0 - top >= height_min {
            return Strip { top: y0, panel: Rect::new(left, y0, right, y1), track: None, is_cine: false };
        }
        Strip { top: y1, panel: Rect::new(left, y1, left, y1), track: None, is_cine: false }
    }
}

/// The strip below the image area.
struct Strip {
    top: f32,
    panel: Rect<DisplaySpace>,
    track: Option<Rect<DisplaySpace>>,
    is_cine: bool,
}

impl Layout {
    /// Moves the columns to the left edge and everything else beside them.
    fn shift_for_the_left_hand(&mut self, right: f32, edge: f32) {
        let width = self.size.0 as f32;
        let shift = width - edge - right;
        let moved = |r: &mut Rect<DisplaySpace>| *r = Rect::new(r.x0 + shift, r.y0, r.x1 + shift, r.y1);
        for (_, place) in &mut self.places {
            if place.x0 >= right {
                *place = Rect::new(width - place.x1, place.y0, width - place.x0, place.y1);
            } else {
                moved(place);
            }
        }
        moved(&mut self.status);
        moved(&mut self.image);
        moved(&mut self.panel);
        self.track.iter_mut().for_each(moved);
        self.exam_line.iter_mut().flatten().for_each(moved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn gap_between(a: &Rect<DisplaySpace>, b: &Rect<DisplaySpace>) -> f32 {
        let along = |a0: f32, a1: f32, b0: f32, b1: f32| (b0 - a1).max(a0 - b1);
        along(a.x0, a.x1, b.x0, b.x1).max(along(a.y0, a.y1, b.y0, b.y1))
    }

    fn check(layout: &Layout) -> Result<(), TestCaseError> {
        let screen = Rect::new(0.0, 0.0, layout.size().0 as f32, layout.size().1 as f32);
        let all: Vec<_> = layout.controls().collect();
        for (i, (control, place)) in all.iter().enumerate() {
            prop_assert_eq!(screen.intersect(place), Some(*place), "{:?} leaves the screen", control);
            let (w, h) = control.min_size_mm();
            prop_assert!(
                place.width() >= layout.mm(w) && place.height() >= layout.mm(h),
                "{:?} is {:?}",
                control,
                place
            );
            prop_assert!(gap_between(place, &layout.image_area()) > 0.0, "{:?} touches the picture", control);
            for (other, its) in &all[..i] {
                let gap = gap_between(place, its);
                prop_assert!(gap >= layout.mm(3.0), "{:?} and {:?} are {} px apart", control, other, gap);
            }
            let centre = place.centre();
            prop_assert!(layout.hit(centre).is_some_and(|c| c.is_same(*control)), "{:?}", control);
        }
        let image = layout.image_area();
        prop_assert_eq!(screen.intersect(&image), Some(image));
        prop_assert!(screen.intersect(&layout.status_bar()).is_some());
        prop_assert!(gap_between(&image, &layout.status_bar()) >= 0.0);
        Ok(())
    }

    fn size_of(layout: &Layout, control: Control) -> f32 {
        layout.place(control).map_or(0.0, |r| r.width() * r.height())
    }

    proptest! {
        #[test]
        fn controls_are_large_apart_and_on_the_screen(
            w in 64u32..3000, h in 64u32..2000, dpi in 60.0f32..330.0, is_left in any::<bool>(), has_cine in any::<bool>(),
            has_exam in any::<bool>(), is_list in any::<bool>(),
        ) {
            let handedness = if is_left { Handedness::Left } else { Handedness::Right };
            match Layout::new((w, h), dpi, LayoutConfig { handedness, has_cine, has_exam, is_list }) {
                Ok(layout) => check(&layout)?,
                Err(_) => prop_assert!((w as f32) < 50.0 * dpi / 25.4 || (h as f32) < 26.0 * dpi / 25.4),
            }
        }
    }

    #[test]
    fn usual_screens_have_every_control_and_freeze_is_the_largest() {
        for (size, dpi) in [((800, 480), 133.0), ((1280, 800), 150.0), ((640, 480), 96.0), ((1920, 1080), 96.0)] {
            let layout = Layout::new(size, dpi, LayoutConfig::default()).unwrap();
            assert_eq!(layout.absent().count(), 0, "{size:?}: {:?}", layout.absent().collect::<Vec<_>>());
            for control in Control::ALL.into_iter().filter(|c| !matches!(c, Control::Freeze | Control::Scrub(_))) {
                assert!(size_of(&layout, Control::Freeze) > size_of(&layout, control), "{size:?} {control:?}");
            }
            let image = layout.image_area();
            let share = image.width() * image.height() / (size.0 * size.1) as f32;
            assert!(share >= 0.45, "{size:?}: the picture has only {share} of the screen");
        }
    }

    #[test]
    fn with_exams_usual_screens_have_save_and_exam_and_the_picture_stays_large() {
        for (size, dpi) in [((800, 480), 133.0), ((1280, 800), 150.0), ((640, 480), 96.0), ((1920, 1080), 96.0)] {
            let config = LayoutConfig { has_exam: true, ..LayoutConfig::default() };
            let layout = Layout::new(size, dpi, config).unwrap();
            assert_eq!(layout.absent().count(), 0, "{size:?}: {:?}", layout.absent().collect::<Vec<_>>());
            for control in Control::ALL.into_iter().filter(|c| !matches!(c, Control::Freeze | Control::Scrub(_))) {
                assert!(size_of(&layout, Control::Freeze) > size_of(&layout, control), "{size:?} {control:?}");
            }
            let (save, mm) = (layout.place(Control::SAVE).unwrap(), layout.mm(1.0));
            assert!(save.width() >= 18.0 * mm && save.height() >= 20.0 * mm, "{size:?}: {save:?}");
            // A frame of 4:3 keeps nine tenths of the side that it has without exams.
            let without = Layout::new(size, dpi, LayoutConfig::default()).unwrap();
            let side = |l: &Layout| l.image_area().width().min(l.image_area().height() * 4.0 / 3.0);
            assert!(side(&layout) >= 0.9 * side(&without), "{size:?}: {} of {}", side(&layout), side(&without));
            let [whose, warnings] = layout.exam_line().unwrap();
            let bar = layout.status_bar();
            for place in [whose, warnings] {
                assert_eq!(bar.intersect(&place), Some(place), "{size:?}: {place:?} leaves {bar:?}");
            }
            assert!(gap_between(&whose, &warnings) >= 0.0);
        }
    }

    #[test]
    fn without_controls_the_picture_has_their_room() {
        for size in [(800, 480), (480, 800), (1280, 900), (300, 500)] {
            let here = Layout::new(size, 133.0, LayoutConfig::default()).unwrap();
            let elsewhere = LayoutConfig { handedness: Handedness::Elsewhere, ..LayoutConfig::default() };
            let layout = Layout::new(size, 133.0, elsewhere).unwrap();
            assert_eq!((layout.controls().count(), layout.track()), (0, None), "{size:?}");
            let area = |l: &Layout| l.image_area().width() * l.image_area().height();
            assert!(area(&layout) > area(&here) && area(&layout) > 0.6 * (size.0 * size.1) as f32, "{size:?}");
        }
    }

    #[test]
    fn what_does_not_fit_goes_in_the_stated_order() {
        let order = [
            Control::Fill,
            Control::NewObject,
            Control::Clear,
            Control::Redo,
            Control::Exam,
            Control::SAVE,
            Control::Exclude,
            Control::Include,
            Control::Undo,
            Control::Freeze,
        ];
        let mut counts = Vec::new();
        for width in (175..900).step_by(3) {
            let config = LayoutConfig { has_exam: true, ..LayoutConfig::default() };
            let layout = Layout::new((width, 480), 133.0, config).unwrap();
            let absent: Vec<_> = order.iter().map(|&c| layout.place(c).is_none()).collect();
            let count = absent.iter().filter(|a| **a).count();
            assert!(absent[..count].iter().all(|a| *a), "{width} px: {absent:?}");
            counts.push(count);
        }
        assert!(counts.windows(2).all(|w| w[1] <= w[0]), "a wider screen lost a control");
        assert_eq!((counts[0], counts[counts.len() - 1]), (10, 0));
    }

    #[test]
    fn freeze_stays_in_its_corner() {
        for (handedness, corner) in [(Handedness::Right, 800.0), (Handedness::Left, 0.0)] {
            for (has_cine, has_exam) in [(false, false), (true, false), (true, true)] {
                let config = LayoutConfig { handedness, has_cine, has_exam, is_list: false };
                let layout = Layout::new((800, 480), 133.0, config).unwrap();
                let place = layout.place(Control::Freeze).unwrap();
                let nearest = (place.x0 - corner).abs().min((place.x1 - corner).abs());
                assert!(nearest <= layout.mm(2.0) + 1.0 && 480.0 - place.y1 <= layout.mm(2.0) + 1.0, "{place:?}");
            }
        }
    }

    #[test]
    fn scrub_runs_from_oldest_to_newest() {
        let layout = Layout::new((800, 480), 133.0, LayoutConfig::default()).unwrap();
        let bar = layout.place(Control::Scrub(0.0)).unwrap();
        let at = |x: f32| layout.hit(Point::new(x, bar.centre().y));
        assert_eq!(at(bar.x0 - 2.0), Some(Control::Scrub(0.0)));
        assert_eq!(at(bar.centre().x), Some(Control::Scrub(0.5)));
        assert_eq!(at(bar.x1 + 2.0), Some(Control::Scrub(1.0)));
    }

    #[test]
    fn an_impossible_screen_is_refused_with_what_was_expected() {
        for (size, dpi) in [((0, 480), 96.0), ((800, 99999), 96.0), ((800, 480), f32::NAN), ((800, 480), 0.0)] {
            let e = Layout::new(size, dpi, LayoutConfig::default()).unwrap_err();
            assert_eq!(e.kind(), ErrorKind::Argument);
            assert!(e.to_string().contains("expected"), "{e}");
        }
    }
}
