//! The report as one page that needs nothing else.

use std::collections::BTreeSet;

use super::Report;
use super::chart::{Axes, Curve, calibration_chart, line_chart};
use super::page::Page;
use super::published::{self, SAM_BUSI_BOX, SAM_BUSI_POINT};
use crate::eval::statistics::Interval;
use crate::eval::summary::{Figure, SetSummary};

/// Clicks that the first table shows.
const SHOWN: [usize; 4] = [1, 3, 5, 10];

/// A picture with what it shows.
pub struct Picture {
    /// Below it.
    pub caption: String,
    /// PNG.
    pub png: Vec<u8>,
}

/// The whole page.
pub fn html(report: &Report, pictures: &[Picture]) -> String {
    let mut page = Page::new(&format!("Evaluation of {}", report.model.name));
    preface(report, &mut page);
    clicks(report, &mut page);
    others(report, &mut page);
    curves(report, &mut page);
    boundaries(report, &mut page);
    strata(report, &mut page);
    calibrations(report, &mut page);
    cines(report, &mut page);
    if !pictures.is_empty() {
        page.heading("What it looks like");
        page.paragraph(
            "Best, median and worst objects of each set after three clicks. Solid: the model's outline. White dots: the \
             true one. Marks: the clicks.",
        );
        pictures.iter().for_each(|p| page.png_figure(&p.caption, &p.png));
    }
    unusable(report, &mut page);
    page.finish()
}

fn preface(report: &Report, page: &mut Page) {
    page.paragraph("Not for diagnostic use. Figures hold for these images only; other scanners and patients differ.");
    if !report.run.is_complete {
        page.paragraph("INCOMPLETE: the run was stopped; these are the rows that were finished.");
    }
    page.heading("What was run");
    let run = &report.run;
    let limit = run.limit.map_or("all masks".into(), |l| format!("at most {l} masks of a set"));
    let rows = [
        ("model", format!("{}, manifest SHA-256 {}", report.model.name, report.model.digest)),
        ("trained on", trained_on(report)),
        ("version", format!("sonotap {}, report {}", report.version, report.schema)),
        (
            "machine",
            format!("{}, {} of {} threads", report.machine.processor, report.machine.jobs, report.machine.threads),
        ),
        ("split, objects", format!("{}, {}; {limit}", run.split, run.objects)),
        ("protocols, looks", format!("{}; {}", run.protocols.join(", "), run.looks.join(", "))),
        ("most clicks, seed", format!("{}, {}", run.max_clicks, run.seed)),
    ];
    page.table(&["", ""], &rows.map(|(name, value)| vec![name.to_owned(), value]));
    let data: Vec<Vec<String>> = report
        .data
        .iter()
        .map(|d| {
            let leaks = if d.leaking_groups.is_empty() { "none".into() } else { d.leaking_groups.join(", ") };
            let digest = d.digest.get(..16).unwrap_or(&d.digest).to_owned();
            vec![d.name.clone(), d.masks.to_string(), d.done.to_string(), d.unusable.to_string(), leaks, digest]
        })
        .collect();
    page.table(&["data", "masks", "done", "unusable rows", "groups in two splits", "SHA-256, begin"], &data);
}

fn trained_on(report: &Report) -> String {
    match report.model.trained_on.as_slice() {
        [] => "not stated".into(),
        sets => format!("{}; on test splits of these the figures are not zero-shot", sets.join(", ")),
    }
}

fn clicks(report: &Report, page: &mut Page) {
    page.heading("Clicks, as RITM places them");
    page.paragraph(
        "Mean IoU after so many clicks, with the 95 % interval of the mean (groups drawn with replacement). An object at \
         IoU .90 is not clicked further after its fifth click and keeps its last value. NoC: mean number of clicks to \
         that IoU, a miss counting as the most clicks; in brackets, misses.",
    );
    let mut rows = Vec::new();
    for s in report.sets.iter().filter(|s| s.protocol == "noc") {
        let mut row = vec![s.data.clone(), s.look.clone(), format!("{} / {}", s.n, s.groups)];
        row.extend(SHOWN.map(|k| by_click(s, k)));
        let noc = s.noc.map(|n| [n.to_80, n.to_85, n.to_90].map(|c| format!("{:.2} ({})", c.mean, c.failures)));
        row.extend(noc.unwrap_or_default());
        row.push(s.worse_click_share.map_or(String::new(), |w| format!("{:.1} %", 100.0 * w)));
        row.push(s.oracle_iou.map_or(String::new(), figure));
        row.push(s.seconds_per_click.map_or(String::new(), |v| format!("{v:.3}")));
        rows.push(row);
    }
    page.table(
        &[
            "data",
            "look",
            "n / groups",
            "1",
            "3",
            "5",
            "10",
            "NoC@80",
            "NoC@85",
            "NoC@90",
            "worse clicks",
            "best of masks, 1",
            "s a click",
        ],
        &rows,
    );
}

fn others(report: &Report, page: &mut Page) {
    page.heading("Boxes, MSA's modes, ClickSAM's stages");
    page.paragraph(&format!(
        "Mean IoU after the first and the last prompt. MSA's figures are of the whole mask of a row. Published for SAM ViT-H \
         on BUSI, all images, zero-shot (compare only if this model was not trained on busi): point {} (best of its masks {}), box {} ({}).",
        SAM_BUSI_POINT.0, SAM_BUSI_POINT.1, SAM_BUSI_BOX.0, SAM_BUSI_BOX.1
    ));
    let mut rows = Vec::new();
    for s in report.sets.iter().filter(|s| s.protocol != "noc") {
        let last = s.iou_by_click.len();
        let oracle = s.oracle_iou.map_or(String::new(), figure);
        let dice = s.dice_by_click.first().copied().map_or(String::new(), figure);
        let more = if last > 1 { format!("{} ({last} clicks)", by_click(s, last)) } else { String::new() };
        rows.push(vec![
            s.data.clone(),
            s.protocol.clone(),
            s.look.clone(),
            s.n.to_string(),
            by_click(s, 1),
            dice,
            oracle,
            more,
        ]);
    }
    page.table(&["data", "protocol", "look", "n", "IoU", "Dice", "best of masks", "IoU after the last"], &rows);
}

fn curves(report: &Report, page: &mut Page) {
    page.heading("IoU by number of clicks");
    let data: Vec<&str> = report.data.iter().map(|d| d.name.as_str()).collect();
    for name in data {
        for protocol in ["noc", "msa/point-largest"] {
            let sets = report.sets.iter().filter(|s| s.data == name && s.protocol == protocol);
            let mut lines: Vec<Curve> = sets
                .map(|s| Curve {
                    label: format!("{}, {}", report.model.name, s.look),
                    points: s.iou_by_click.iter().enumerate().map(|(k, v)| ((k + 1) as f64, *v)).collect(),
                    is_published: false,
                })
                .collect();
            if !lines.is_empty() {
                lines.extend(published::curves(name, protocol));
                let axes = Axes { x: "clicks".into(), y: "mean IoU".into(), y_range: (0.0, 1.0) };
                page.raw_svg(&line_chart(&format!("{name}, {protocol}"), &axes, &lines));
            }
        }
    }
}

fn boundaries(report: &Report, page: &mut Page) {
    let mut rows = Vec::new();
    for s in report.sets.iter().filter(|s| s.protocol == "noc" || s.protocol == "box/exact") {
        for b in &s.boundary {
            let unit = if b.is_mm { "mm" } else { "px" };
            let mut row = vec![s.data.clone(), s.protocol.clone(), s.look.clone(), format!("{}, {unit}", b.hd95.n)];
            row.extend([mean_median(&b.hd95), mean_median(&b.assd), mean_median(&b.nsd)]);
            row.push(s.hc_error_mm.map_or(String::new(), |f| mean_median(&f)));
            rows.push(row);
        }
    }
    if !rows.is_empty() {
        page.heading("Boundaries after the last prompt");
        page.paragraph(
            "Mean (median). Tolerance of NSD: 1 mm where the pixel size is known, else 1 % of the image's longest side. Head \
             circumference: absolute error of the outline's ellipse against the data set's value, mm.",
        );
        page.table(&["data", "protocol", "look", "n, unit", "HD95", "ASSD", "NSD", "head circumference"], &rows);
    }
}

fn strata(report: &Report, page: &mut Page) {
    page.heading("By organ, class and size");
    page.paragraph("Mean IoU after the first and the last click (RITM's clicks). Size: share of the image.");
    let mut rows = Vec::new();
    for s in report.sets.iter().filter(|s| s.protocol == "noc") {
        for t in &s.strata {
            let cells = [&s.data, &s.look, &t.by, &t.value].map(Clone::clone);
            let mut row = cells.to_vec();
            row.extend([t.first.n.to_string(), with_interval(t.first.mean, t.first.interval)]);
            row.push(with_interval(t.last.mean, t.last.interval));
            rows.push(row);
        }
    }
    page.table(&["data", "look", "by", "value", "n", "first", "last"], &rows);
}

/// What is asked by RITM's clicks, and what is suggested without any.
fn is_scored(s: &&SetSummary) -> bool {
    s.protocol == "noc" || !s.at_limits.is_empty()
}

fn calibrations(report: &Report, page: &mut Page) {
    page.heading("What the score is worth");
    page.paragraph(
        "The model's own estimate of its IoU against the IoU, over all prompts of RITM's clicks, and of what it suggests.",
    );
    let (mut rows, mut limits) = (Vec::new(), Vec::new());
    for s in report.sets.iter().filter(is_scored) {
        let Some(c) = &s.calibration else { continue };
        let correlation = c.correlation.map_or(String::new(), figure);
        let bias = format!("{:+.3}", c.bias);
        let of = [&s.data, &s.protocol, &s.look].map(Clone::clone);
        rows.push([&of[..], &[figure(c.mean_absolute_error), bias, correlation]].concat());
        for l in &s.at_limits {
            let share = l.below_half_share().map_or(String::new(), |v| format!("{:.0} %", 100.0 * v));
            limits.push([&of[..], &[format!("{:.1}", l.limit), l.shown.to_string(), share]].concat());
        }
    }
    page.table(&["data", "protocol", "look", "mean absolute error", "score less IoU", "correlation"], &rows);
    if !limits.is_empty() {
        page.paragraph(
            "What would be suggested with a limit of the score, and how much of that has an IoU below one half.",
        );
        page.table(&["data", "protocol", "look", "limit", "shown", "IoU below .5"], &limits);
    }
    let looks: BTreeSet<&str> = report.sets.iter().map(|s| s.look.as_str()).collect();
    if let Some(look) = looks.first() {
        for s in report.sets.iter().filter(is_scored).filter(|s| s.look == *look) {
            if let Some(c) = &s.calibration {
                let bins: Vec<(f64, f64, usize)> =
                    c.bins.iter().filter(|b| b.n > 0).map(|b| (b.predicted, b.actual, b.n)).collect();
                page.paragraph(&format!("{}, {}, {}", s.data, s.protocol, s.look));
                page.raw_svg(&calibration_chart(&bins));
            }
        }
    }
}

fn cines(report: &Report, page: &mut Page) {
    if report.cines.is_empty() {
        return;
    }
    page.heading("Cines: one tap, then the live path's tracker");
    page.paragraph(
        "A look is answered two frames after it was asked. A frame without outline counts 0. Falsely tracked: drawn with an \
         IoU below .5.",
    );
    let rows: Vec<Vec<String>> = report
        .cines
        .iter()
        .map(|c| {
            let lost = c.lost.as_ref().map_or("never".into(), |(n, why)| format!("frame {n}: {why}"));
            let drawn = c.drawn_iou.map_or("none".into(), figure);
            let shares = [c.drawn_share, c.falsely_tracked_share].map(|s| format!("{:.1} %", 100.0 * s));
            let mut row =
                vec![c.data.clone(), c.name.clone(), c.iou_by_frame.len().to_string(), figure(c.mean_iou), drawn];
            row.extend(shares);
            row.push(lost);
            row
        })
        .collect();
    page.table(&["data", "cine", "frames", "IoU", "IoU drawn", "drawn", "falsely tracked", "given up"], &rows);
    let axes = Axes { x: "frame".into(), y: "IoU".into(), y_range: (0.0, 1.0) };
    let curve = |c: &crate::eval::cine::CineRow| Curve {
        label: c.name.clone(),
        points: c.iou_by_frame.iter().enumerate().map(|(i, v)| ((i + 1) as f64, *v)).collect(),
        is_published: false,
    };
    for some in report.cines.chunks(6) {
        page.raw_svg(&line_chart("IoU over time", &axes, &some.iter().map(curve).collect::<Vec<_>>()));
    }
}

fn unusable(report: &Report, page: &mut Page) {
    page.heading("Rows that could not be used");
    if report.unusable.is_empty() {
        return page.paragraph("None.");
    }
    page.paragraph(&format!("{} rows.", report.unusable.len()));
    let row = |u: &crate::eval::dataset::Unusable| {
        vec![u.data.clone(), format!("row {}", u.row), u.file.clone(), u.reason.clone()]
    };
    page.table(&["data", "row", "file", "reason"], &report.unusable.iter().map(row).collect::<Vec<_>>());
}

fn by_click(s: &SetSummary, k: usize) -> String {
    let last = s.iou_by_click.len();
    match k.min(last).checked_sub(1) {
        Some(i) => with_interval(s.iou_by_click[i], s.intervals.iou_by_click.get(i).copied().flatten()),
        None => String::new(),
    }
}

fn with_interval(mean: f64, interval: Option<Interval>) -> String {
    match interval {
        Some(i) => format!("{mean:.3} ({:.3} to {:.3})", i.low, i.high),
        None => figure(mean),
    }
}

fn mean_median(f: &Figure) -> String {
    format!("{:.2} ({:.2})", f.mean, f.median)
}

fn figure(v: f64) -> String {
    format!("{v:.3}")
}
