//! What a run will be shown: examples of its first stage with the outlines of their targets, as a picture to look at.

use rand::SeedableRng as _;
use rand_pcg::Pcg64Mcg;

use super::config::TrainConfig;
use super::example::{Example, example};
use super::picture::SIDE;
use super::sources::Sources;
use crate::eval::metrics::boundary;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::overlay::Canvas;

/// Columns and rows of the picture.
const GRID: (usize, usize) = (5, 4);
/// Of the first, second and any further target.
const COLOURS: [u32; 3] = [0x0000_E0FF, 0x00FF_A020, 0x0080_FF60];

/// Draws examples side by side.
///
/// # Errors
/// Those of the sets; `Config` when there is no stage.
pub fn preview(config: &TrainConfig) -> Result<Canvas> {
    let mut sources = Sources::open(&config.data, "train")?;
    let stage = config.stage.first().ok_or_else(|| Error::new(ErrorKind::Config, "stage: expected one, got none"))?;
    let mut rng = Pcg64Mcg::seed_from_u64(config.seed);
    let side = SIDE as u32;
    let mut sheet = Canvas::new(GRID.0 as u32 * side, GRID.1 as u32 * side);
    for i in 0..GRID.0 * GRID.1 {
        let tile = drawn(&example(&mut sources, &stage.tasks, &mut rng)?);
        sheet.paste(&tile, (i % GRID.0) as u32 * side, (i / GRID.0) as u32 * side);
    }
    Ok(sheet)
}

fn drawn(example: &Example) -> Canvas {
    let mut tile = Canvas::new(SIDE as u32, SIDE as u32);
    for (pixel, value) in tile.pixels_mut().iter_mut().zip(example.picture.values()) {
        *pixel = (value.clamp(0.0, 1.0) * 255.0) as u32 * 0x0001_0101;
    }
    for (i, target) in example.targets.iter().enumerate() {
        let edge = boundary(&target.mask);
        let inside = tile.pixels_mut().iter_mut().zip(edge.pixels()).filter(|(_, e)| **e != 0);
        inside.for_each(|(pixel, _)| *pixel = COLOURS[i.min(COLOURS.len() - 1)]);
    }
    tile
}
