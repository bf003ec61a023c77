//! `index.html`, `measurements.csv` and `by-hand.csv` of an export.

use std::fmt::Write as _;

use crate::notes::{MeasurementNotes, Notes};
use crate::store::record::{ExamRecord, ItemKind, ItemRecord, Role};
use crate::store::view::ExamView;

const STYLE: &str = "body{background:#111;color:#ddd;font:16px sans-serif;margin:2em auto;max-width:60em}img{max-width:100%}\
table{border-collapse:collapse}td,th{border:1px solid #555;padding:.3em .6em;text-align:right}th{text-align:left}\
h2{border-top:1px solid #555;padding-top:1em}a{color:#8cf}.use{color:#fc6}";

/// The page; `record` is there when the export has the patient.
pub(crate) fn index(record: Option<&ExamRecord>, view: &ExamView, items: &[(&ItemRecord, Notes)]) -> String {
    let mut page = String::new();
    let title = record.map_or_else(|| "Exam, de-identified".to_owned(), |_| format!("Exam {}", view.name()));
    // A String takes everything.
    let _ = write!(
        page,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{0}</title><style>{STYLE}</style></head>\n<body><h1>{0}</h1>\n\
         <p class=\"use\">Outlines are of a model (AI). Not for diagnostic use.</p>\n",
        escaped(&title)
    );
    if let Some(record) = record {
        let _ = write!(page, "<p>Began {}", escaped(&record.began));
        if !view.is_date_confirmed() {
            page.push_str(" (clock not verified)");
        }
        match &record.patient {
            Some(p) => {
                let _ = write!(
                    page,
                    "<br>Patient {} {} {} {}",
                    escaped(&p.id),
                    escaped(&p.name),
                    escaped(&p.birth_date),
                    escaped(&p.sex)
                );
            }
            None => page.push_str("<br>Not bound to a patient"),
        }
        page.push_str("</p>\n");
    }
    for (item, notes) in items {
        section(&mut page, item, notes);
    }
    page.push_str("<p><a href=\"measurements.csv\">measurements.csv</a> · <a href=\"by-hand.csv\">by-hand.csv</a> · <a href=\"SHA256SUMS\">SHA256SUMS</a></p>\n</body></html>\n");
    page
}

fn section(page: &mut String, item: &ItemRecord, notes: &Notes) {
    let what = match item.kind {
        ItemKind::Still => "Still".to_owned(),
        ItemKind::Cine => {
            format!(
                "Cine of {} frames, {:.1} s",
                item.frames,
                notes.frame_times_ms.last().copied().unwrap_or(0.0) / 1e3
            )
        }
    };
    let _ = writeln!(page, "<h2>{:04} {what}</h2>", item.number);
    if let Some(first) = notes.derived_from {
        let frame = notes.derived_from_frame.unwrap_or(1);
        let _ = writeln!(page, "<p>Frame {frame} of {first:04}, outlined or measured anew</p>");
    }
    let of = |role| item.files.iter().find(|f| f.role == role).map(|f| f.name.as_str());
    if let Some(picture) = of(Role::OutlinedPicture).or(of(Role::Picture)) {
        let _ = writeln!(page, "<p><img src=\"{0}\" alt=\"{0}\"></p>", escaped(picture));
    }
    for object in &notes.objects {
        let label = object.label.as_deref().unwrap_or("object");
        let score = object.score.map_or("-".to_owned(), |s| format!("{s:.2}"));
        let _ = writeln!(page, "<h3>{} {}, score {score}</h3>", escaped(label), object.object);
        if let Some(m) = &object.measurements {
            page.push_str("<table>");
            for (name, value) in rows(m) {
                let _ = write!(page, "<tr><th>{name}</th><td>{}</td></tr>", escaped(&value));
            }
            page.push_str("</table>\n");
        }
    }
    let calipers = notes.calipers.iter().map(|c| (c.words.as_str(), c.scale_source.as_deref()));
    for (words, scale) in calipers.filter(|(words, _)| !words.is_empty()) {
        let _ = writeln!(page, "<p>{} ({})</p>", escaped(words), escaped(scale.unwrap_or("uncalibrated")));
    }
    for group in &notes.figures {
        let whose = group.label.as_deref().unwrap_or("object");
        let _ = writeln!(page, "<h3>{}, {}</h3>", escaped(whose), escaped(&group.kind));
        for line in &group.lines {
            let _ = writeln!(page, "<p>{}</p>", escaped(line));
        }
        let _ = writeln!(page, "<p>Scale: {}</p>", escaped(group.scale_source.as_deref().unwrap_or("uncalibrated")));
    }
    page.push_str("<p>");
    for file in &item.files {
        let _ = write!(page, "<a href=\"{0}\">{0}</a> ", escaped(&file.name));
    }
    page.push_str("</p>\n");
}

fn rows(m: &MeasurementNotes) -> Vec<(&'static str, String)> {
    match &m.mm {
        Some(mm) => vec![
            ("Area", format!("{:.1} mm²", mm.area_mm2)),
            ("Longest diameter", format!("{:.1} mm", mm.longest_mm)),
            ("Across it", format!("{:.1} mm", mm.perpendicular_mm)),
            ("Perimeter along the outline", format!("{:.1} mm", mm.perimeter_mm)),
            (
                "Axes of the ellipse of equal moments",
                format!("{:.1} x {:.1} mm", mm.ellipse_axes_mm[0], mm.ellipse_axes_mm[1]),
            ),
            ("Scale", mm.scale_source.clone()),
        ],
        None => vec![
            ("Area", format!("{:.0} px", m.area_px2)),
            ("Longest diameter", format!("{:.1} px", m.longest_px)),
            ("Across it", format!("{:.1} px", m.perpendicular_px)),
            ("Scale", "uncalibrated".to_owned()),
        ],
    }
}

/// A line an object; empty where there is no scale.
pub(crate) fn measurements(items: &[(&ItemRecord, Notes)]) -> String {
    let mut csv = String::from(
        "item,frame,object,label,score,area_px2,area_mm2,longest_mm,perpendicular_mm,perimeter_mm,ellipse_major_mm,ellipse_minor_mm,scale_source,circumference_mm,scale_error\n",
    );
    for (item, notes) in items {
        for object in &notes.objects {
            let Some(m) = &object.measurements else { continue };
            let mm = m.mm.as_ref();
            let number = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
            let _ = writeln!(
                csv,
                "{},{},{},{},{},{:.1},{},{},{},{},{},{},{},{},{}",
                item.number,
                notes.frame,
                object.object,
                cell(object.label.as_deref().unwrap_or("")),
                object.score.map_or(String::new(), |s| format!("{s:.3}")),
                m.area_px2,
                number(mm.map(|m| m.area_mm2)),
                number(mm.map(|m| m.longest_mm)),
                number(mm.map(|m| m.perpendicular_mm)),
                number(mm.map(|m| m.perimeter_mm)),
                number(mm.map(|m| m.ellipse_axes_mm[0])),
                number(mm.map(|m| m.ellipse_axes_mm[1])),
                mm.map_or("", |m| m.scale_source.as_str()),
                number(mm.and_then(|m| m.circumference_mm)),
                mm.and_then(|m| m.scale_error).map_or(String::new(), |e| format!("{e:.4}")),
            );
        }
    }
    csv
}

/// What was measured by hand: a line a number. `what` is the caliper's letter or what a figure of several frames is of, `scale_error`
/// a share of a length, `error` what it makes of the value, as a share of it.
pub(crate) fn by_hand(items: &[(&ItemRecord, Notes)]) -> String {
    let mut csv = String::from(
        "item,frame,what,label,quantity,value,unit,error,method,frames,least,most,scale_source,scale_error\n",
    );
    let share = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.4}"));
    for (item, notes) in items {
        for c in &notes.calipers {
            let numbers = [
                ("distance", c.length_mm, "mm", 1.0),
                ("area", c.area_mm2, "mm²", 2.0),
                ("circumference", c.circumference_mm, "mm", 1.0),
                ("perimeter", c.perimeter_mm.filter(|_| c.kind == "trace"), "mm", 1.0),
                ("distance", c.length_px.filter(|_| c.length_mm.is_none()), "px", 0.0),
                ("area", c.area_px2.filter(|_| c.area_mm2.is_none()), "px²", 0.0),
            ];
            let error = c.scale_error.map(f64::from);
            for (quantity, value, unit, times) in numbers {
                let Some(value) = value else { continue };
                let _ = writeln!(
                    csv,
                    "{},{},caliper {},,{quantity},{value:.3},{unit},{},{},,,,{},{}",
                    item.number,
                    notes.frame,
                    c.letter,
                    share(error.map(|e| times * e)),
                    cell(&c.kind),
                    cell(c.scale_source.as_deref().unwrap_or("")),
                    share(error),
                );
            }
        }
        for (group, f) in notes.figures.iter().flat_map(|g| g.figures.iter().map(move |f| (g, f))) {
            let number = |v: Option<f64>| v.map_or(String::new(), |v| format!("{v:.3}"));
            let median = f.median.as_ref();
            let _ = writeln!(
                csv,
                "{},,{},{},{},{:.3},{},{},{},{},{},{},{},{}",
                item.number,
                cell(&group.kind),
                cell(group.label.as_deref().unwrap_or("")),
                cell(&f.quantity),
                f.value,
                f.unit,
                share(f.error),
                cell(&f.method),
                median.map_or(group.frames.len(), |m| m.frames),
                number(median.map(|m| m.least)),
                number(median.map(|m| m.most)),
                cell(group.scale_source.as_deref().unwrap_or("")),
                share(group.scale_error),
            );
        }
    }
    csv
}

/// A cell that no spreadsheet takes for a formula.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@']);
    let quoted = text.replace('"', "\"\"");
    format!("\"{}{quoted}\"", if is_formula { "'" } else { "" })
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_can_be_neither_markup_nor_a_formula() {
        assert_eq!(escaped("<b a=\"1\">&'"), "&lt;b a=&quot;1&quot;&gt;&amp;&#39;");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
        assert_eq!(cell("a \"b\""), "\"a \"\"b\"\"\"");
    }
}
