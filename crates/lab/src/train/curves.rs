//! A run's loss and validation as a picture.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use super::run::History;
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::ascii::FONT_7X13;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::{Drawable as _, Point, Primitive as _};
use embedded_graphics::primitives::{Line, PrimitiveStyle};
use embedded_graphics::text::Text;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::overlay::Canvas;

const WIDTH: i32 = 900;
const PANEL: i32 = 300;
const LEFT: i32 = 50;
const RIGHT: i32 = 230;
const EDGE: i32 = 24;
const INK: Rgb888 = Rgb888::new(30, 30, 30);
const GRID: Rgb888 = Rgb888::new(220, 220, 220);
/// Told apart also without colour vision (Okabe and Ito, 2008).
const COLOURS: [Rgb888; 8] = [
    Rgb888::new(0, 114, 178),
    Rgb888::new(213, 94, 0),
    Rgb888::new(0, 158, 115),
    Rgb888::new(204, 121, 167),
    Rgb888::new(230, 159, 0),
    Rgb888::new(86, 180, 233),
    Rgb888::new(0, 0, 0),
    Rgb888::new(160, 140, 20),
];

/// A named line through points (step, value).
struct Curve {
    name: String,
    points: Vec<(f64, f64)>,
}

/// Loss; IoU by round in training; IoU after 1, 3 and 5 clicks on the validation images of each set.
///
/// # Errors
/// `Io` when the picture cannot be made a PNG.
pub fn png(history: &History) -> Result<Vec<u8>> {
    let at = |f: &dyn Fn(&super::run::Stretch) -> Option<f64>| -> Vec<(f64, f64)> {
        history.stretches.iter().filter_map(|s| Some((s.step as f64, f(s)?))).collect()
    };
    let loss = vec![Curve { name: "loss".into(), points: at(&|s| Some(f64::from(s.loss))) }];
    let rounds = history.stretches.iter().map(|s| s.iou.len()).max().unwrap_or(0);
    let by_round = (0..rounds)
        .map(|r| Curve { name: format!("round {}", r + 1), points: at(&|s| s.iou.get(r).map(|v| f64::from(*v))) });
    let mut panels = vec![("training loss", loss), ("training: IoU of the shown mask", by_round.collect())];
    for clicks in [1, 3, 5] {
        let title =
            ["", "validation: IoU, 1 click", "", "validation: IoU, 3 clicks", "", "validation: IoU, 5 clicks"][clicks];
        let sets = history.validations.last().map(|(_, sets)| sets.keys().cloned().collect()).unwrap_or_default();
        let sets: Vec<String> = sets;
        let curves = sets.into_iter().map(|name| {
            let points = history
                .validations
                .iter()
                .filter_map(|(step, sets)| Some((*step as f64, *sets.get(&name)?.iou.get(clicks - 1)?)));
            Curve { points: points.collect(), name }
        });
        panels.push((title, curves.collect()));
    }
    let mut canvas = Canvas::new(WIDTH as u32, (PANEL * panels.len() as i32) as u32);
    canvas.pixels_mut().fill(0x00FF_FFFF);
    for (i, (title, curves)) in panels.iter().enumerate() {
        panel(&mut canvas, PANEL * i as i32, title, curves);
    }
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(&canvas.to_rgb(), canvas.width(), canvas.height(), ExtendedColorType::Rgb8)
        .map_err(|e| Error::new(ErrorKind::Io, format!("curves: {e}")))?;
    Ok(bytes)
}

fn write(canvas: &mut Canvas, x: i32, y: i32, text: &str, colour: Rgb888) {
    let Ok(_) = Text::new(text, Point::new(x, y), MonoTextStyle::new(&FONT_7X13, colour)).draw(canvas);
}

fn line(canvas: &mut Canvas, from: (i32, i32), to: (i32, i32), colour: Rgb888, width: u32) {
    let line = Line::new(Point::new(from.0, from.1), Point::new(to.0, to.1));
    let Ok(()) = line.into_styled(PrimitiveStyle::with_stroke(colour, width)).draw(canvas);
}

fn panel(canvas: &mut Canvas, top: i32, title: &str, curves: &[Curve]) {
    write(canvas, LEFT, top + 16, title, INK);
    let points = || curves.iter().flat_map(|c| &c.points);
    let range = |f: fn(&(f64, f64)) -> f64| {
        points().map(f).fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(v), b.max(v)))
    };
    let ((_, last), (mut low, mut high)) = (range(|p| p.0), range(|p| p.1));
    if points().count() == 0 {
        return write(canvas, LEFT, top + PANEL / 2, "nothing yet", INK);
    }
    if high - low < 0.05 {
        (low, high) = (low - 0.025, high + 0.025);
    }
    let (bottom, height, width) = (top + PANEL - EDGE, PANEL - 2 * EDGE, WIDTH - LEFT - RIGHT);
    let x = |step: f64| LEFT + (step / last.max(1.0) * f64::from(width)) as i32;
    let y = |v: f64| bottom - ((v - low) / (high - low) * f64::from(height)) as i32;
    for k in 0..=4 {
        let v = low + (high - low) * f64::from(k) / 4.0;
        line(canvas, (LEFT, y(v)), (LEFT + width, y(v)), GRID, 1);
        write(canvas, 6, y(v) + 4, &format!("{v:.3}"), INK);
    }
    write(canvas, LEFT + width - 80, bottom + 16, &format!("step {last:.0}"), INK);
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        for pair in curve.points.windows(2) {
            line(canvas, (x(pair[0].0), y(pair[0].1)), (x(pair[1].0), y(pair[1].1)), colour, 2);
        }
        let value = curve.points.last().map_or(String::new(), |(_, v)| format!(" {v:.3}"));
        write(canvas, LEFT + width + 12, top + 40 + 18 * i as i32, &format!("{}{value}", curve.name), colour);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::run::Stretch;

    #[test]
    fn a_run_can_be_drawn_from_its_first_moment_on() {
        let mut history = History::default();
        assert!(png(&history).unwrap().starts_with(b"\x89PNG"));
        history.stretches = (1..9)
            .map(|i| Stretch { step: 25 * i, loss: 1.0 / i as f32, iou: vec![0.4, 0.5], pictures_per_second: 3.0 })
            .collect();
        let bytes = png(&history).unwrap();
        let picture = image::load_from_memory(&bytes).unwrap().to_rgb8();
        let blue = picture.pixels().filter(|p| p.0 == [0, 114, 178]).count();
        assert!(blue > 500, "{blue}");
    }
}
