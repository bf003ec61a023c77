//! The best, the median and the worst objects of a set, with clicks, the model's outline and the true one.

use crate::eval::components::Components;
use crate::eval::dataset::DatasetRow;
use crate::eval::protocol::LookKind;
use crate::eval::record::Row;
use sonotap::contour::{self, Outline};
use sonotap::error::Result;
use sonotap::model::predictor::{Prediction, Predictor, Prompts};
use sonotap::overlay::still::{Caption, still};
use sonotap::overlay::{Canvas, contact_sheet};
use sonotap::units::{FrameId, Timestamp};

/// Tiles of each kind.
const TILES: usize = 3;
/// Clicks that a tile shows.
pub const CLICKS: usize = 3;
/// Colour of the true outline.
const TRUE_COLOUR: u32 = 0x00FF_FFFF;

/// The rows that a sheet shows: best, median and worst after [`CLICKS`] clicks of `noc`, three of each; fewer of a small
/// set, none twice.
pub fn chosen<'a>(rows: &'a [Row], data: &str, look: &str) -> Vec<&'a Row> {
    let iou = |r: &Row| {
        let steps = &r.answer("noc", look)?.steps;
        steps.get(CLICKS - 1).or(steps.last()).map(|s| s.iou)
    };
    let mut ranked: Vec<(f64, &Row)> =
        rows.iter().filter(|r| r.data == data).filter_map(|r| Some((iou(r)?, r))).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let n = ranked.len();
    let middle = (n / 2).saturating_sub(TILES / 2);
    let mut places: Vec<usize> = (0..TILES).chain(middle..middle + TILES).chain(n.saturating_sub(TILES)..n).collect();
    places.retain(|p| *p < n);
    places.sort_unstable();
    places.dedup();
    places.into_iter().map(|p| ranked[p].1).collect()
}

/// Draws them, three in a row. A row that can no longer be read is left out; `None` when none is left.
///
/// # Errors
/// The model's.
pub fn draw(rows: &[(&Row, &DatasetRow)], look: LookKind, predictor: &mut Predictor) -> Result<Option<Canvas>> {
    let mut tiles = Vec::new();
    predictor.set_options(look.options());
    for (number, (row, source)) in rows.iter().enumerate() {
        let Ok(pair) = source.load() else { continue };
        let Some(answer) = row.answer("noc", look.name()) else { continue };
        let mut frame = pair.image;
        frame.stamp(FrameId(number as u64 + 1), Timestamp::START);
        predictor.forget_view();
        let mut prompts = Prompts::default();
        let mut looks: Vec<Prediction> = Vec::new();
        for click in answer.clicks.iter().take(CLICKS) {
            prompts.clicks.push((click.at(), click.polarity()));
            predictor.predict(&frame, std::slice::from_ref(&prompts), &mut looks)?;
            prompts.previous = looks[0].mask().cloned();
        }
        let mut outline = Outline::default();
        if let Some(grid) = &prompts.previous {
            contour::trace(grid, &mut outline);
        }
        let caption = Caption { score: looks.first().and_then(Prediction::score), measurements: None };
        let mut tile = still(&frame, &outline, &prompts.clicks, None, &caption)?;
        let components = Components::of(&pair.truth);
        if let Some(&index) = components.by_area().get(row.component) {
            let truth = components.bitmap(index);
            dot(&mut tile, &truth, frame.width(), frame.height());
        }
        tiles.push(tile);
    }
    let sheet = || halved(&contact_sheet(&tiles.iter().collect::<Vec<_>>(), TILES));
    Ok((!tiles.is_empty()).then(sheet))
}

/// Half the size, each pixel the mean of four: a report holds many sheets.
fn halved(whole: &Canvas) -> Canvas {
    let mut half = Canvas::new(whole.width() / 2, whole.height() / 2);
    let (from, to) = (whole.width() as usize, half.width() as usize);
    for (i, pixel) in half.pixels_mut().iter_mut().enumerate() {
        let at = i / to * 2 * from + i % to * 2;
        let four = [at, at + 1, at + from, at + from + 1].map(|n| whole.pixels()[n]);
        let channel = |shift: u32| (four.iter().map(|p| (p >> shift) & 255).sum::<u32>() / 4) << shift;
        *pixel = channel(16) | channel(8) | channel(0);
    }
    half
}

/// Dots the true outline: every third pixel of its edge, in a picture that is a whole multiple of the image's size.
fn dot(tile: &mut Canvas, truth: &sonotap::mask::Bitmap, width: u32, height: u32) {
    let times = (720 / width.max(height)).max(1);
    for (x, y) in (0..height).flat_map(|y| (0..width).map(move |x| (x, y))) {
        let is_surrounded =
            x > 0 && y > 0 && truth.get(x - 1, y) && truth.get(x + 1, y) && truth.get(x, y - 1) && truth.get(x, y + 1);
        if !truth.get(x, y) || is_surrounded || (x + y) % 3 != 0 {
            continue;
        }
        let row = tile.width() as usize;
        for (i, j) in (0..times).flat_map(|j| (0..times).map(move |i| (i, j))) {
            let at = (y * times + j) as usize * row + (x * times + i) as usize;
            if let Some(pixel) = tile.pixels_mut().get_mut(at) {
                *pixel = TRUE_COLOUR;
            }
        }
    }
}
