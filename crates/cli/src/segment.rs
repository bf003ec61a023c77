//! `sonotap segment`: one structure of one still image.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use sonotap::contour::{Outline, Tracer};
use sonotap::frame::Frame;
use sonotap::geometry::{ImageSpace, ModelView, Point, Rect};
use sonotap::mask::{Bitmap, LogitGrid};
use sonotap::measure::{Measurements, measure};
use sonotap::model::ModelSpec;
use sonotap::model::predictor::{PredictOptions, Prediction, PredictionOutcome, Predictor, Prompts};
use sonotap::overlay::still::{Caption, still};
use sonotap::preset::Preset;
use sonotap::profile::ModelProfile;
use sonotap::prompt::Polarity;
use sonotap::region::{FrameRegion, Misplaced, Unmeasured};
use sonotap::source::dicom::DicomSource;
use sonotap::source::{FrameSource, Next, images};
use sonotap_exam::{NewExam, Origin, Outlined};

use crate::arguments::SegmentArguments;
use crate::assets;
use crate::output::{Files, check_png_paths, png_of, png_of_mask, say, say_json};
use crate::saving::{self, SavedItem};

/// Islands smaller than this, image px², are not reported as outline.
const ISLAND_PX2_MIN: f64 = 4.0;

/// Outlines one structure and writes what was asked for.
pub fn segment(arguments: &SegmentArguments) -> Result<()> {
    let mut prompts = prompts(arguments)?;
    let (out, overlay) = (arguments.out.as_deref(), arguments.overlay.as_deref());
    check_png_paths(&[("--out", out), ("--overlay", overlay)])?;
    let opened = open(&arguments.image, arguments.frame)?;
    let frame = &opened.frame;
    check_prompts(&prompts, frame)?;
    let previous_mask = arguments.prev.as_deref().map(|path| mask_of_size(path, frame)).transpose()?;
    let home = home(&prompts, previous_mask.as_ref(), frame)?;
    prompts.region = Some(home.rect);
    prompts.boxed = prompts.boxed.and_then(|b| b.intersect(&home.rect));
    if let Some(name) = &arguments.preset {
        prompts.expected = Preset::find(name)?.expected(home.scale.as_ref());
    }
    let closer = !arguments.whole_frame;
    let options = PredictOptions { target_crop: closer, survey: closer, ..PredictOptions::default() };
    let model_profile = ModelProfile { folder: arguments.model.clone(), ..ModelProfile::default() };
    let model = assets::load_model(&model_profile)?;
    let name = model.manifest.name.clone();
    let mut predictor = Predictor::new(Box::new(model.segmenter), options);
    prompts.previous = previous_mask.map(|mask| previous(&mask, &home.rect, predictor.spec()));
    let (mut looks, began) = (Vec::new(), Instant::now());
    predictor.predict(frame, std::slice::from_ref(&prompts), &mut looks)?;
    let took_ms = began.elapsed().as_secs_f64() * 1e3;
    let Some(look) = looks.first() else { bail!("the model gave no answer") };
    let Some(grid) = look.mask() else {
        let PredictionOutcome::Implausible(why) = look.outcome() else { bail!("the model gave no mask") };
        bail!("the model's answer is no mask ({why:?}): try another point, or a box");
    };
    check_candidate(arguments.candidate, look)?;
    let mut outline = Outline::default();
    Tracer::new(ISLAND_PX2_MIN).trace(grid, &mut outline);
    let scale = frame.scale_for(&home, &outline, grid);
    let measured = measure(&outline, scale.ok().flatten().as_ref());
    let scale_refused = scale.err().map(Unmeasured::label).map(str::to_owned).or_else(|| opened.scale_refused(&home));
    let mask = grid.to_bitmap(frame.width(), frame.height());
    let mut files = Files::default();
    if let Some(path) = out {
        files.add(path, png_of_mask(&mask)?);
    }
    if let Some(path) = overlay {
        let caption = Caption { score: look.score(), measurements: measured };
        files.add(path, png_of(&still(frame, &outline, &prompts.clicks, prompts.boxed, &caption)?)?);
    }
    files.write()?;
    let saved = match &arguments.save_exam {
        Some(root) => {
            let label = arguments.preset.as_deref().map(Preset::find).transpose()?.map(|p| p.label);
            let object = Outlined::of_look(look, &outline, frame, &home, &prompts, label);
            let new =
                NewExam { origin: Origin::File, model: name, model_sha256: assets::pin_of_model(&model_profile)? };
            Some(saving::save_still(root, arguments.exam.as_deref(), &new, frame, object)?)
        }
        None => None,
    };
    let answer = Answer { frame, home, look, mask: &mask, outline: &outline, measured, took_ms, scale_refused, saved };
    match arguments.json {
        true => say_json(&answer.as_json()),
        false => say(answer.lines().join("\n")),
    }
}

fn check_candidate(candidate: u8, look: &Prediction) -> Result<()> {
    match look.candidates() {
        0 if candidate > 0 => bail!("--candidate: expected 0 with more than a lone click, got {candidate}"),
        n if n > 0 && candidate >= n => bail!("--candidate: expected less than {n} for this click, got {candidate}"),
        _ => Ok(()),
    }
}

fn prompts(arguments: &SegmentArguments) -> Result<Prompts> {
    let clicks = arguments.points.iter().map(|p| parse_point(p)).collect::<Result<Vec<_>>>()?;
    let boxed = arguments.boxed.as_deref().map(parse_box).transpose()?;
    if clicks.is_empty() && boxed.is_none() && arguments.prev.is_none() {
        bail!("nothing to outline: give --point X,Y, --box X0,Y0,X1,Y1 or --prev MASK.png");
    }
    let has_positive = clicks.iter().any(|c| c.1 == Polarity::Positive);
    if !has_positive && boxed.is_none() && arguments.prev.is_none() {
        bail!("only excluding points: give at least one --point X,Y inside the structure, or a box");
    }
    Ok(Prompts { clicks, boxed, candidate: arguments.candidate, ..Prompts::default() })
}

fn check_prompts(prompts: &Prompts, frame: &Frame) -> Result<()> {
    let (w, h) = (frame.width(), frame.height());
    for (p, _) in &prompts.clicks {
        if !frame.contains(*p) {
            bail!("--point: expected 0 <= x < {w}, 0 <= y < {h}, got {},{}", p.x, p.y);
        }
    }
    if let Some(b) = prompts.boxed {
        let corners = format!("{},{},{},{}", b.x0, b.y0, b.x1, b.y1);
        if b.x0 < 0.0 || b.y0 < 0.0 || b.x1 > w as f32 || b.y1 > h as f32 {
            bail!("--box: expected within 0,0,{w},{h}, got {corners}");
        }
        if b.width() < 1.0 || b.height() < 1.0 {
            bail!("--box: expected at least 1 px a side, got {corners}");
        }
    }
    Ok(())
}

/// The image region that the prompts are in, or the previous mask where there are none.
fn home(prompts: &Prompts, previous: Option<&Frame>, frame: &Frame) -> Result<FrameRegion> {
    for &(p, polarity) in &prompts.clicks {
        match frame.region_of([p], None) {
            Err(Misplaced::OnColour) if polarity == Polarity::Negative => {}
            Err(why) => bail!("--point {},{}: {why}", p.x, p.y),
            Ok(_) => {}
        }
    }
    let parts = frame.parts();
    if let Some(b) = &prompts.boxed {
        let named = |why| anyhow::anyhow!("--box {},{},{},{}: {why}", b.x0, b.y0, b.x1, b.y1);
        parts.of_box(b).map_err(named)?;
    }
    let clicks = prompts.clicks.iter().map(|&(p, _)| p);
    let of_prompts = parts.of_prompts(clicks, prompts.boxed.as_ref());
    let home = match of_prompts.map_err(|why| anyhow::anyhow!("--point, --box: {why}"))? {
        Some(home) => Some(home),
        None => previous
            .and_then(bounds_of_mask)
            .map(|b| parts.of_box(&b).map_err(|why| anyhow::anyhow!("--prev: {why}")))
            .transpose()?,
    };
    home.context("nothing to outline")
}

/// The rectangle around what a mask image has inside.
fn bounds_of_mask(mask: &Frame) -> Option<Rect<ImageSpace>> {
    let places = (0..mask.height()).flat_map(|y| (0..mask.width()).map(move |x| (x, y)));
    let cell = |(x, y): (u32, u32)| Rect::new(x as f32, y as f32, x as f32 + 1.0, y as f32 + 1.0);
    places.filter(|&(x, y)| is_inside(mask, x, y)).map(cell).reduce(|a, b| a.union(&b))
}

fn parse_point(text: &str) -> Result<(Point<ImageSpace>, Polarity)> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    let polarity = match parts.get(2).copied() {
        None | Some("+") => Polarity::Positive,
        Some("-") => Polarity::Negative,
        Some(other) => bail!("--point: expected \"+\" or \"-\" after the second comma, got {other:?}"),
    };
    match (parts.len(), numbers(&parts[..parts.len().min(2)]).as_deref()) {
        (2 | 3, Some([x, y])) => Ok((Point::new(*x, *y), polarity)),
        _ => bail!("--point: expected X,Y or X,Y,- with two numbers, got {text:?}"),
    }
}

fn parse_box(text: &str) -> Result<Rect<ImageSpace>> {
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    match numbers(&parts).as_deref() {
        Some([x0, y0, x1, y1]) => Ok(Rect::new(*x0, *y0, *x1, *y1)),
        _ => bail!("--box: expected X0,Y0,X1,Y1 with four numbers, got {text:?}"),
    }
}

fn numbers(parts: &[&str]) -> Option<Vec<f32>> {
    parts.iter().map(|p| p.parse::<f32>().ok().filter(|v| v.is_finite())).collect()
}

/// The image, or one frame of several; and the file it is of, which knows why regions have no scale.
struct Opened {
    frame: Frame,
    source: Option<DicomSource>,
}

impl Opened {
    fn scale_refused(&self, home: &FrameRegion) -> Option<String> {
        let source = self.source.as_ref().filter(|_| home.scale.is_none())?;
        source.scale_refused_in(&home.rect).map(str::to_owned)
    }
}

fn open(path: &Path, number: Option<usize>) -> Result<Opened> {
    if !path.is_file() {
        let got = if path.exists() { "a folder" } else { "none" };
        bail!("{}: expected an image file, got {got}", path.display());
    }
    if !is_dicom(path) {
        if let Some(n) = number.filter(|n| *n != 1) {
            bail!("--frame: expected 1 for a picture, got {n}");
        }
        return Ok(Opened { frame: images::load_still(path)?, source: None });
    }
    let mut source = DicomSource::open(path)?;
    let mut frame = Frame::default();
    let count = source.description().frames.unwrap_or(1);
    let chosen = number.unwrap_or(1);
    if chosen == 0 {
        bail!("--frame: expected 1 to {count}, got 0");
    }
    source.seek(chosen - 1).with_context(|| match count {
        1 => path.display().to_string(),
        n => format!("{}: --frame chooses another of {n}", path.display()),
    })?;
    if source.next_into(&mut frame)? == Next::End {
        bail!("{}: expected at least one frame, got none", path.display());
    }
    if !frame.region().content.is_segmentable() {
        bail!("{}: expected a B-mode image, got {}", path.display(), frame.region().content.label());
    }
    Ok(Opened { frame, source: Some(source) })
}

/// Whether a file is named or marked as DICOM; one without an ending, as on a DICOM medium, is taken for one, and so is one
/// that begins with an element of group 0002 or 0008, as files without a preamble do.
fn is_dicom(path: &Path) -> bool {
    let is_named = path.extension().is_none_or(|e| e.eq_ignore_ascii_case("dcm") || e.eq_ignore_ascii_case("dicom"));
    let is_marked = || {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|f| f.take(132).read_to_end(&mut head));
        let begins = matches!(head[..], [2 | 8, 0, _, 0 | 1, ..] | [0, 2 | 8, 0 | 1, _, ..]);
        read.is_ok() && (head.get(128..) == Some(b"DICM") || begins)
    };
    is_named || is_marked()
}

/// A mask image of the size of the frame.
fn mask_of_size(path: &Path, frame: &Frame) -> Result<Frame> {
    let mask = images::load_still(path).context("--prev")?;
    let (w, h) = (frame.width(), frame.height());
    if (mask.width(), mask.height()) != (w, h) {
        bail!("--prev: {}: expected the image's size {w}x{h}, got {}x{}", path.display(), mask.width(), mask.height());
    }
    if !(0..h).any(|y| (0..w).any(|x| is_inside(&mask, x, y))) {
        bail!("--prev: {}: expected something brighter than 127, got nothing", path.display());
    }
    Ok(mask)
}

fn is_inside(mask: &Frame, x: u32, y: u32) -> bool {
    mask.grey(x, y) > 127
}

/// A mask image as the grid that the model takes: each cell's share of inside pixels, as a logit of -8 to 8.
fn previous(mask: &Frame, region: &Rect<ImageSpace>, spec: ModelSpec) -> LogitGrid {
    let mut grid = LogitGrid::background(spec.mask_cells, ModelView::new(*region, spec.side));
    let mut counts = vec![(0u32, 0u32); spec.mask_cells * spec.mask_cells];
    for y in 0..mask.height() {
        for x in 0..mask.width() {
            let p = grid.view().to_model(Point::new(x as f32 + 0.5, y as f32 + 0.5));
            let at = |v: f32| (v / grid.cell()) as usize;
            if p.x >= 0.0 && p.y >= 0.0 && at(p.x) < spec.mask_cells && at(p.y) < spec.mask_cells {
                let count = &mut counts[at(p.y) * spec.mask_cells + at(p.x)];
                count.0 += u32::from(is_inside(mask, x, y));
                count.1 += 1;
            }
        }
    }
    for (value, (inside, all)) in grid.values_mut().iter_mut().zip(&counts).filter(|(_, c)| c.1 > 0) {
        *value = 16.0 * (*inside as f32 / *all as f32 - 0.5);
    }
    grid
}

/// A region with its bounds (x0, y0, x1, y1) in px and the size of its pixels.
fn region_json(region: &FrameRegion) -> Value {
    let Rect { x0, y0, x1, y1, .. } = region.rect;
    json!({
        "bounds_px": [x0, y0, x1, y1],
        "shows": region.content.label(),
        "mm_per_px": region.scale.map(|s| [s.mm_per_px().0, s.mm_per_px().1]),
    })
}

/// What is known after a look.
struct Answer<'a> {
    frame: &'a Frame,
    home: FrameRegion,
    look: &'a Prediction,
    mask: &'a Bitmap,
    outline: &'a Outline,
    measured: Option<Measurements>,
    took_ms: f64,
    scale_refused: Option<String>,
    saved: Option<SavedItem>,
}

impl Answer<'_> {
    fn as_json(&self) -> Value {
        let measured = self.measured.as_ref();
        let rings: Vec<Vec<[f32; 2]>> = self.outline.rings().map(|r| r.iter().map(|p| [p.x, p.y]).collect()).collect();
        let metric = measured.and_then(|m| m.metric).map(|m| {
            json!({
                "area_mm2": m.area.0, "perimeter_mm": m.perimeter.0,
                "ellipse_axes_mm": [m.ellipse_axes.0.0, m.ellipse_axes.1.0],
                "circumference_mm": measured.and_then(|m| m.circumference()).map(|c| c.0),
                "mean_diameter_mm": m.mean_diameter().0, "scale_error": m.scale_error,
                "longest_mm": m.longest.0, "perpendicular_mm": m.perpendicular.0, "scale": m.source.label(),
            })
        });
        json!({
            "width": self.frame.width(), "height": self.frame.height(),
            "score": self.look.score().map(|s| s.get()),
            "candidates": self.look.candidates(),
            "clicks_contradicted_before_correction": self.look.contradicted(),
            "area_px": measured.map(|m| m.area_px),
            "mask_px": self.mask.area_px(),
            "perimeter_px": measured.map(|m| m.perimeter_px),
            "longest_px": measured.map(|m| m.longest_px),
            "perpendicular_px": measured.map(|m| m.perpendicular_px),
            "ellipse_fit": measured.map(|m| m.ellipse_fit),
            "metric": metric,
            "region": region_json(&self.home),
            "regions": self.frame.parts().iter().map(region_json).collect::<Vec<_>>(),
            "scale_refused": self.scale_refused,
            "look_ms": self.took_ms,
            "outline": rings,
            "saved": self.saved,
            "use": "not for diagnostic use",
        })
    }

    fn lines(&self) -> Vec<String> {
        let score = self.look.score().map_or("-".into(), |s| format!("{:.2}", s.get()));
        let mut lines = vec![
            format!("score     {score} (the model's estimate of its IoU)"),
            format!("mask      {} px of {}x{}", self.mask.area_px(), self.frame.width(), self.frame.height()),
        ];
        if let Some(m) = &self.measured {
            lines.push(format!(
                "outline   area {:.0} px, longest {:.1} px, across {:.1} px, perimeter {:.1} px",
                m.area_px, m.longest_px, m.perpendicular_px, m.perimeter_px
            ));
            lines.push(m.metric.map_or("          uncalibrated".into(), |mm| {
                format!(
                    "          area {:.1} mm², longest {:.1} mm, across {:.1} mm (scale: {})",
                    mm.area.0,
                    mm.longest.0,
                    mm.perpendicular.0,
                    mm.source.label()
                )
            }));
        }
        let parts = self.frame.parts().len();
        if parts > 1 {
            let Rect { x0, y0, x1, y1, .. } = self.home.rect;
            let what = self.home.content.label();
            lines.push(format!("region    {what} at {x0},{y0} to {x1},{y1}, one of {parts} of the picture"));
        }
        if let n @ 2.. = self.look.candidates() {
            lines.push(format!("          {n} candidates for a lone click: --candidate 1 shows the next"));
        }
        lines.extend(self.scale_refused.as_ref().map(|why| format!("no millimetres: {why}")));
        lines.extend(self.saved.as_ref().map(|s| format!("saved     exam {}, item {:04}", s.exam, s.item)));
        lines.push(format!("look      {:.0} ms. Not for diagnostic use.", self.took_ms));
        lines
    }
}
