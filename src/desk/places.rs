//! Where the buttons of a page are. No button is smaller than 15 mm, and all are 3 mm apart.

use super::{Button, Desk, Page, WorklistTold};
use crate::geometry::{DisplaySpace, Rect};
use crate::overlay::Layout;

type Place = Rect<DisplaySpace>;

/// Between two buttons.
pub(super) const GAP_MM: f32 = 3.0;
const SIDE_MM: f32 = 15.0;
const EDGE_MM: f32 = 2.0;
/// A small picture of an item.
const THUMBNAIL_MM: (f32, f32) = (24.0, 19.0);
/// Columns and rows that a page needs beside the controls; otherwise it covers them.
const CELLS_MIN: (usize, usize) = (3, 3);
/// What the keypad has, in its order.
const CHARACTERS: &str = "1234567890-ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz./_:+ ";

/// The part of the screen that a page covers: picture and strip, and where those are small the controls, too.
pub(super) fn area(layout: &Layout) -> Place {
    let (width, height) = (layout.size().0 as f32, layout.size().1 as f32);
    let bar = layout.status_bar();
    let (top, bottom) = (bar.y1 + layout.border(), height - layout.mm(EDGE_MM).floor());
    let beside = Rect::new(bar.x0, top, bar.x1, bottom.max(top + 1.0));
    let grid = Grid::new(layout, beside);
    if grid.columns >= CELLS_MIN.0 && grid.rows >= CELLS_MIN.1 {
        return beside;
    }
    let edge = layout.mm(EDGE_MM);
    Rect::new(edge, top, width - edge, bottom.max(top + 1.0))
}

/// Cells of at least 15 mm.
pub(super) struct Grid {
    area: Place,
    gap: f32,
    pub columns: usize,
    pub rows: usize,
}

impl Grid {
    pub(super) fn new(layout: &Layout, area: Place) -> Self {
        let (gap, side) = (layout.mm(GAP_MM).ceil(), layout.mm(SIDE_MM).ceil());
        let fit = |length: f32| (((length + gap) / (side + gap)) as usize).max(1);
        Self { area, gap, columns: fit(area.width()), rows: fit(area.height()) }
    }

    /// A part of `count` equal ones of a row, from the left.
    fn part(&self, row: usize, at: usize, count: usize) -> Place {
        let height = (self.area.height() + self.gap) / self.rows as f32;
        let width = (self.area.width() + self.gap) / count.max(1) as f32;
        let (x, y) = (self.area.x0 + at as f32 * width, self.area.y0 + row as f32 * height);
        Rect::new(x, y, x + width - self.gap, y + height - self.gap)
    }

    fn last(&self) -> usize {
        self.rows - 1
    }

    /// The rows above the last `below`, as one.
    pub(super) fn above(&self, below: usize) -> Place {
        let end = self.part(self.rows.saturating_sub(below + 1), 0, 1).y1;
        Rect::new(self.area.x0, self.area.y0, self.area.x1, end)
    }
}

/// The buttons of a page.
pub(super) fn buttons(desk: &Desk, page: Page, layout: &Layout) -> Vec<(Button, Place)> {
    let grid = Grid::new(layout, area(layout));
    let row = |row: usize, buttons: &[Button]| {
        let place = |(i, b): (usize, &Button)| (*b, grid.part(row, i, buttons.len()));
        buttons.iter().enumerate().map(place).collect::<Vec<_>>()
    };
    let last = grid.last();
    match page {
        Page::Exam => exam(desk, &grid),
        Page::Keypad => keypad(desk, &grid),
        Page::Worklist => worklist(desk, &grid),
        Page::Confirm => row(last, &[Button::Reject, Button::Bind]),
        Page::Presets => presets(desk, &grid),
        Page::Items => items(desk, layout, &grid),
        Page::Item(number) if desk.is_deleted(number) => row(last, &[Button::Close, Button::Restore]),
        Page::Item(_) => row(last, &[Button::Close, Button::Edit, Button::Delete]),
        Page::Delete(_) => row(last, &[Button::Close, Button::ReallyDelete]),
        Page::End { .. } if desk.would_lose() => {
            row(last, &[Button::SamePatient, Button::ReallyEnd, Button::EndAnyway])
        }
        Page::End { .. } => row(last, &[Button::SamePatient, Button::ReallyEnd]),
        Page::Lose => row(last, &[Button::Close, Button::ReallyLose]),
    }
}

fn exam(desk: &Desk, grid: &Grid) -> Vec<(Button, Place)> {
    let last = grid.last();
    let mut out = vec![(Button::Close, grid.part(last, 0, 3))];
    let (middle, right) = (grid.part(last, 1, 3), grid.part(last, 2, 3));
    let has_worklist = desk.told.worklist != WorklistTold::Absent;
    // Where four do not fit beside each other, the end gives way a little.
    let is_wide = grid.columns > 3;
    if has_worklist && !is_wide {
        out.extend([(Button::Worklist, middle), (Button::End, right)]);
    } else {
        out.push((Button::End, Rect::new(middle.x0, middle.y0, right.x1, right.y1)));
    }
    let all = [Button::Patient, Button::Worklist, Button::Presets, Button::Items];
    let shown = all.into_iter().filter(|b| *b != Button::Worklist || (has_worklist && is_wide));
    let shown: Vec<Button> = shown.collect();
    for (i, button) in shown.iter().enumerate() {
        out.push((*button, grid.part(last.saturating_sub(1), i, shown.len())));
    }
    if desk.told.warnings.clock.is_some() && grid.rows > 3 {
        out.push((Button::ConfirmDate, grid.part(last - 2, 2, 3)));
    }
    out
}

/// What is typed is in the upper left, the ten digits are together.
fn keypad(desk: &Desk, grid: &Grid) -> Vec<(Button, Place)> {
    let cells = grid.columns * (grid.rows - 1);
    let shown = cells.saturating_sub(2).max(1);
    let pages = CHARACTERS.chars().count().div_ceil(shown);
    let first = desk.typed.page % pages * shown;
    let characters = CHARACTERS.chars().skip(first).take(shown).map(Button::Type);
    let place = |i: usize| grid.part(1 + i / grid.columns, i % grid.columns, grid.columns);
    let mut out: Vec<_> = characters.enumerate().map(|(i, b)| (b, place(i))).collect();
    out.extend([(Button::Shift, place(shown)), (Button::Enter, place(shown + 1))]);
    let [erase, close] = [2, 1].map(|back| grid.part(0, grid.columns.saturating_sub(back), grid.columns));
    out.extend([(Button::Backspace, erase), (Button::Close, close)]);
    out
}

/// Where what is typed is shown, beside Erase and Back.
pub(super) fn field(layout: &Layout) -> Place {
    let grid = Grid::new(layout, area(layout));
    let row = grid.part(0, 0, 1);
    Rect::new(row.x0, row.y0, grid.part(0, grid.columns.saturating_sub(2), grid.columns).x0 - grid.gap, row.y1)
}

/// A row an order.
fn worklist(desk: &Desk, grid: &Grid) -> Vec<(Button, Place)> {
    let count = match &desk.told.worklist {
        WorklistTold::Listed { orders, .. } => orders.len(),
        _ => 0,
    };
    let places: Vec<Place> = (0..grid.last()).map(|row| grid.part(row, 0, 1)).collect();
    let pages = count.div_ceil(places.len().max(1)).max(1);
    let first = desk.first % pages * places.len();
    let mut out: Vec<_> = (0..count).map(Button::Order).skip(first).zip(places).collect();
    let below = [Button::Close, Button::AskAgain, Button::More];
    let below = &below[..if pages > 1 { 3 } else { 2 }];
    out.extend(below.iter().enumerate().map(|(i, b)| (*b, grid.part(grid.last(), i, below.len()))));
    out
}

fn presets(desk: &Desk, grid: &Grid) -> Vec<(Button, Place)> {
    let all = std::iter::once(None).chain((0..desk.config.presets.len()).map(Some)).map(Button::Preset);
    let places = (0..3 * grid.last()).map(|i| grid.part(i / 3, i % 3, 3)).collect();
    paged(desk, all.collect(), places, grid)
}

/// The newest first.
fn items(desk: &Desk, layout: &Layout, grid: &Grid) -> Vec<(Button, Place)> {
    let all = desk.told.items.iter().rev().map(|item| Button::Item(item.number)).collect();
    let room = grid.above(1);
    let count = |length: f32, mm: f32| (((length + grid.gap) / (layout.mm(mm) + grid.gap)) as usize).max(1);
    let (columns, rows) = (count(room.width(), THUMBNAIL_MM.0), count(room.height(), THUMBNAIL_MM.1));
    let (width, height) = ((room.width() + grid.gap) / columns as f32, (room.height() + grid.gap) / rows as f32);
    let place = |i: usize| {
        let (x, y) = (room.x0 + (i % columns) as f32 * width, room.y0 + (i / columns) as f32 * height);
        Rect::new(x, y, x + width - grid.gap, y + height - grid.gap)
    };
    paged(desk, all, (0..columns * rows).map(place).collect(), grid)
}

/// As many as have a place, and the way to the others.
fn paged(desk: &Desk, all: Vec<Button>, places: Vec<Place>, grid: &Grid) -> Vec<(Button, Place)> {
    let pages = all.len().div_ceil(places.len()).max(1);
    let first = desk.first % pages * places.len();
    let mut out: Vec<_> = all.into_iter().skip(first).zip(places).collect();
    out.push((Button::Close, grid.part(grid.last(), 0, 2)));
    if pages > 1 {
        out.push((Button::More, grid.part(grid.last(), 1, 2)));
    }
    out
}
