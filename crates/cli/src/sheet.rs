//! The contact sheet of a run: pictures at even times, side by side.

use std::time::Duration;

use sonotap::overlay::{Canvas, contact_sheet};

/// Pictures, and how many to a row.
const TILES: usize = 8;
const COLUMNS: usize = 2;

/// A contact sheet that fills while the run goes on.
pub struct Sheet {
    every: Duration,
    tiles: Vec<Canvas>,
}

impl Sheet {
    /// For a run of that length.
    pub fn new(length: Duration) -> Self {
        Self { every: length / TILES as u32, tiles: Vec::with_capacity(TILES) }
    }

    /// Takes the picture if its time has come.
    pub fn offer(&mut self, elapsed: Duration, canvas: &Canvas) {
        let due = self.every * self.tiles.len() as u32 + self.every / 2;
        if self.tiles.len() < TILES && elapsed >= due {
            self.tiles.push(canvas.clone());
        }
    }

    /// The sheet; `None` when the run was over before the first picture.
    pub fn finish(&self) -> Option<Canvas> {
        (!self.tiles.is_empty()).then(|| contact_sheet(&self.tiles.iter().collect::<Vec<_>>(), COLUMNS))
    }
}
