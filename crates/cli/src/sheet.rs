//! The contact sheet of a run: pictures at even times, side by side.

use sonotap::overlay::{Canvas, contact_sheet};
use sonotap::units::Nanos;

/// Pictures, and how many to a row.
const TILES: usize = 8;
const COLUMNS: usize = 2;

/// A contact sheet that fills while the run goes on.
pub struct Sheet {
    every: Nanos,
    tiles: Vec<Canvas>,
}

impl Sheet {
    /// For a run of that length.
    pub fn new(length: Nanos) -> Self {
        Self { every: Nanos(length.0 / TILES as u64), tiles: Vec::with_capacity(TILES) }
    }

    /// Takes the picture if its time has come.
    pub fn offer(&mut self, elapsed: Nanos, canvas: &Canvas) {
        let due = Nanos(self.every.0 * self.tiles.len() as u64 + self.every.0 / 2);
        if self.tiles.len() < TILES && elapsed >= due {
            self.tiles.push(canvas.clone());
        }
    }

    /// The sheet; `None` when the run was over before the first picture.
    pub fn finish(&self) -> Option<Canvas> {
        (!self.tiles.is_empty()).then(|| contact_sheet(&self.tiles.iter().collect::<Vec<_>>(), COLUMNS))
    }
}
