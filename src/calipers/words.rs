//! The lines of text of each page.

use std::fmt::Write;

use super::figures::{self, Figure, Quantity, Unit};
use super::kept::Which;
use super::set::{Reading, Value};
use super::{CaliperTool, Calipers, Page, Seen, Tone, no_volume, volume_by};
use crate::frame::ScaleSource;
use crate::measure::Measurements;
use crate::measure::series::FRAMES_MIN;
use crate::measure::volume::{Formula, VolumeOf};
use crate::preset::VolumeBy;

/// A figure with its error, as short as the error allows: "23.4", "23.4±0.3", "251±2".
pub(crate) fn write_figure(value: f64, error: Option<f64>, out: &mut String) {
    write_decimals(value, error, 1, out);
}

fn write_decimals(value: f64, error: Option<f64>, below_ten: usize, out: &mut String) {
    let decimals = match error {
        Some(e) if e < 0.05 => 2,
        Some(e) if e >= 1.0 && value >= 100.0 => 0,
        Some(_) => 1,
        None if value < 10.0 => below_ten,
        None if value < 100.0 => 1,
        None => 0,
    };
    // Writing to a String cannot fail.
    let _ = write!(out, "{value:.decimals$}");
    if let Some(e) = error {
        let _ = write!(out, "±{e:.decimals$}");
    }
}

fn figure(value: f64, relative: Option<f64>) -> String {
    let mut out = String::new();
    write_figure(value, relative.map(|r| r * value), &mut out);
    out
}

/// Of cm² and ml, which have two decimals below 10.
fn fine_figure(value: f64, relative: Option<f64>) -> String {
    let mut out = String::new();
    write_decimals(value, relative.map(|r| r * value), 2, &mut out);
    out
}

impl Calipers {
    pub(super) fn lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        match self.page {
            None => Vec::new(),
            Some(Page::Calipers) => self.caliper_lines(seen),
            Some(Page::Median) => self.median_lines(seen),
            Some(Page::Volume) if volume_by(seen) == VolumeBy::Discs => self.ventricle_lines(seen),
            Some(Page::Volume) => self.plane_lines(seen),
            Some(Page::Scale) => self.scale_lines(seen),
        }
    }

    fn caliper_lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        let mut readings = self.readings(seen);
        let mut lines = Vec::new();
        let cue = match (self.tool, self.pending.len()) {
            (_, 0) if !readings.is_empty() => None,
            (CaliperTool::Distance, 0) => Some("Distance: tap two ends"),
            (CaliperTool::Distance, _) => Some("Tap the other end"),
            (CaliperTool::Ellipse, 0) => Some("Ellipse: tap the ends of an axis"),
            (CaliperTool::Ellipse, 1) => Some("Tap the other end of the axis"),
            (CaliperTool::Ellipse, _) => Some("Tap a point on the rim"),
        };
        lines.extend(cue.map(|c| (Tone::Cue, c.to_owned())));
        // The chosen one first: there may be more than fit.
        readings.sort_by_key(|r| Some(r.caliper.letter) != self.set.selected());
        lines.extend(readings.iter().map(|r| (Tone::Plain, reading_words(r))));
        if let Some(first) = readings.first() {
            lines.push(scale_line(first.scale.map(|s| s.source())));
        }
        lines
    }

    fn median_lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        let kept = self.samples.len();
        if kept < FRAMES_MIN {
            return vec![(Tone::Cue, format!("Keep {FRAMES_MIN} frames or more: {kept} kept"))];
        }
        let items = self.samples.subject().map_or([].as_slice(), |s| s.items.as_slice());
        let medians = items.iter().filter_map(|item| figures::median(&self.samples, *item));
        let mut lines: Vec<_> = medians.map(|m| (Tone::Plain, figure_words(&m))).collect();
        lines.truncate(2);
        let source = self.samples.first().and_then(|m| m.metric).map(|m| m.source);
        match seen.preset.and_then(|p| p.variation.as_ref()) {
            Some(published) => lines.push((Tone::Dim, format!("Published: {}", published.words))),
            None => lines.push(scale_line(source)),
        }
        lines
    }

    fn plane_lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        let plane = |which, name: &str, cue: &str| match self.planes.get(which) {
            Some(p) => (Tone::Plain, format!("{name} {:.1}×{:.1} mm", p.longest.0, p.perpendicular.0)),
            None => (Tone::Cue, cue.to_owned()),
        };
        let mut lines = Vec::new();
        match self.planes.volume() {
            Some(Ok(v)) => {
                let whose = self.planes.label().filter(|_| self.planes.label() != super::label(seen));
                let whose = whose.map_or(String::new(), |label| format!("{label}: "));
                lines.push((Tone::Plain, format!("{whose}{}", plane_volume_words(&v, self.planes.formula()))));
            }
            Some(Err(why)) => lines.push((Tone::Cue, no_volume(why).to_owned())),
            None => {}
        }
        match (self.planes.get(Which::First), self.planes.get(Which::Second)) {
            (Some(a), Some(b)) => {
                let [al, ap, bl, bp] = [a.longest, a.perpendicular, b.longest, b.perpendicular].map(|mm| mm.0);
                lines.push((Tone::Plain, format!("{al:.1}×{ap:.1}, {bl:.1}×{bp:.1} mm")));
            }
            _ => lines.extend([
                plane(Which::First, "Along", "Along: outline it, then Plane 1"),
                plane(Which::Second, "Across", "Across: outline it, then Plane 2"),
            ]),
        }
        if let (Some(published), Some(Ok(_))) = (seen.preset.and_then(|p| p.variation.as_ref()), self.planes.volume()) {
            lines.push((Tone::Dim, format!("Published: {}", published.words)));
        }
        lines
    }

    fn ventricle_lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        let lv = &self.ventricle;
        let mut lines = Vec::new();
        let percent = |f: f64| format!("{:.0} %", 100.0 * f);
        let biplane = [Which::First, Which::Second].map(|w| lv.biplane(w));
        match (&biplane, lv.fraction(None)) {
            ([Some(Ok(ed)), Some(Ok(es))], Some(Ok(ef))) => {
                lines.push((Tone::Plain, format!("Biplane EF {}", percent(ef))));
                lines.push((Tone::Plain, format!("ED {} ES {}", volume_words(ed), volume_words(es))));
            }
            ([Some(Err(why)), _] | [_, Some(Err(why))], _) => lines.push((Tone::Cue, why.label().to_owned())),
            _ => {}
        }
        let view = lv.view();
        let state = |which, name: &str| match lv.stack(view, which).map(|s| s.volume()) {
            Some(Ok(v)) => format!("{name} {}", volume_words(&v)),
            Some(Err(_)) => format!("{name} kept"),
            None => format!("{name} -"),
        };
        lines.push((Tone::Plain, format!("View {view}: {} {}", state(Which::First, "ED"), state(Which::Second, "ES"))));
        match lv.fraction(Some(view)) {
            Some(Ok(ef)) => lines.push((Tone::Plain, format!("EF {}, one plane", percent(ef)))),
            Some(Err(why)) => lines.push((Tone::Cue, why.label().to_owned())),
            None if lv.annulus(seen.id).len() < 2 => lines.push((Tone::Cue, "Tap both ends of the annulus".to_owned())),
            None => lines.push((Tone::Cue, "Confirm with ED or ES".to_owned())),
        }
        match seen.preset.and_then(|p| p.variation.as_ref()) {
            Some(published) => lines.push((Tone::Dim, format!("Published: {}", published.words))),
            None => lines.push((Tone::Dim, "20 discs (Lang 2015)".to_owned())),
        }
        lines
    }

    fn scale_lines(&self, seen: &Seen) -> Vec<(Tone, String)> {
        let own = seen.frame.parts().iter().find_map(|r| r.scale);
        if let Some(scale) = own {
            return vec![(Tone::Plain, format!("Scale: {}", scale.source().label()))];
        }
        let mut lines = Vec::new();
        if let Some(scale) = self.scale_of(seen.frame, None) {
            let (x, y) = scale.mm_per_px();
            let error = scale.relative_error().map_or(String::new(), |e| format!(" ±{:.1} %", 100.0 * e));
            let across = if x == y { String::new() } else { format!("{x:.3}×") };
            let ticks = self.by_hand.as_ref().filter(|h| h.scale() == scale).map(|h| h.ticks());
            let size = format!("{across}{y:.3} mm/px");
            match ticks {
                // What is to be done next has a row of its own.
                Some(Some(t)) if scale.source() == ScaleSource::TwoPointSquare => {
                    lines.push((Tone::Plain, format!("{} ticks of {} mm: {size}", t.steps, t.mm_each())));
                }
                Some(Some(t)) => lines.extend([
                    (Tone::Plain, format!("{size}{error}")),
                    (Tone::Plain, format!("{} ticks of {} mm", t.steps, t.mm_each())),
                ]),
                Some(None) => lines.extend([
                    (Tone::Plain, format!("{size}{error}")),
                    (Tone::Cue, "No ticks found: this frame only".to_owned()),
                ]),
                None => lines.push((Tone::Plain, format!("{size}{error}"))),
            }
            lines.push(scale_line(Some(scale.source())));
            if scale.source() == ScaleSource::TwoPointSquare {
                lines.push((Tone::Cue, "Across: two points side by side, Set".to_owned()));
            }
            return lines;
        }
        if self.ruler.len() < 2 || self.pending_on != Some(seen.id) {
            lines.push((Tone::Cue, "Tap two ticks of the depth ruler".to_owned()));
        }
        lines.push((Tone::Plain, format!("Between them: {} cm", self.centimetres())));
        if self.ruler.len() == 2 {
            lines.push((Tone::Cue, "Choose the distance, then Set".to_owned()));
        }
        lines
    }
}

/// Who says the scale; an assumption stands out.
fn scale_line(source: Option<ScaleSource>) -> (Tone, String) {
    let tone = if source == Some(ScaleSource::TwoPointSquare) { Tone::Cue } else { Tone::Dim };
    (tone, format!("Scale: {}", source.map_or("uncalibrated", ScaleSource::label)))
}

pub(super) fn volume_words(v: &VolumeOf) -> String {
    format!("{} ml", fine_figure(v.volume.0, v.scale_error))
}

pub(super) fn plane_volume_words(v: &VolumeOf, formula: Formula) -> String {
    format!("Volume {}  {}", volume_words(v), formula.label())
}

/// A median with its spread.
pub(super) fn figure_words(f: &Figure) -> String {
    let name = match f.quantity {
        Quantity::Area => "Area",
        Quantity::Circumference => "Circ",
        Quantity::MeanDiameter => "Mean diam",
        Quantity::LongestDiameter => "Diam",
        Quantity::Perimeter => "Perim",
        Quantity::MajorAxis => "Axis",
        other => other.label(),
    };
    let (value, unit) = match f.unit {
        Unit::SquareMillimetres => (fine_figure(f.value / 100.0, f.error), "cm²"),
        other => (figure(f.value, f.error), other.label()),
    };
    let spread = f.median.map_or(String::new(), |m| format!(" of {}, spread {:.1} %", m.count, 100.0 * m.spread()));
    format!("{name} {value} {unit}{spread}")
}

impl Reading {
    /// Its letter and what it says, as on the screen.
    pub fn words(&self) -> String {
        reading_words(self)
    }
}

fn reading_words(reading: &Reading) -> String {
    let letter = reading.caliper.letter;
    let error = reading.scale.and_then(|s| s.relative_error()).map(f64::from);
    match &reading.value {
        None => format!("{letter} -"),
        Some(Value::Length { mm: Some(mm), .. }) => format!("{letter} {} mm", figure(mm.0, error)),
        Some(Value::Length { px, mm: None }) => format!("{letter} {px:.0} px"),
        Some(Value::Enclosed(m)) => enclosed_words(letter, m, error),
    }
}

fn enclosed_words(letter: char, m: &Measurements, error: Option<f64>) -> String {
    let Some(mm) = m.metric else {
        let round = m.circumference_px().map_or(String::new(), |c| format!(" circ {c:.0} px"));
        return format!("{letter} {:.0} px²{round}", m.area_px);
    };
    let area = fine_figure(mm.area.0 / 100.0, error.map(|e| 2.0 * e));
    let round = match m.circumference() {
        Some(c) => format!("circ {} mm", figure(c.0, error)),
        None => format!("perim {} mm", figure(mm.perimeter.0, error)),
    };
    format!("{letter} {area} cm² {round}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_as_short_as_its_error_allows() {
        for (value, relative, words) in [
            (23.44, None, "23.4"),
            (251.3, None, "251"),
            (23.44, Some(0.012), "23.4±0.3"),
            (251.3, Some(0.012), "251±3"),
            (251.3, Some(0.002), "251.3±0.5"),
            (1.062, Some(0.01), "1.06±0.01"),
        ] {
            assert_eq!(figure(value, relative), words);
        }
        assert_eq!((fine_figure(0.9, None), fine_figure(12.34, None)), ("0.90".into(), "12.3".into()));
    }
}
