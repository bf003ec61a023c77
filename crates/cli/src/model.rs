//! `sonotap model`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sonotap::model::add::{Said, add_sam};
use sonotap::model::inspect::GraphReport;
use sonotap::model::pin::pin_of;
use sonotap::model::self_test;

use crate::output::{say, say_json};

/// Checks a model folder and says what was found.
pub fn verify(folder: &Path, as_json: bool) -> Result<()> {
    let r = self_test::verify(folder).with_context(|| folder.display().to_string())?;
    let pin = pin_of(folder)?;
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    if as_json {
        let files: Vec<_> = r.files.iter().map(|f| json!({ "file": f.file, "sha256": f.sha256 })).collect();
        let report = json!({
            "name": r.name, "pin": pin, "kind": format!("{:?}", r.kind), "side": r.spec.side, "mask_cells": r.spec.mask_cells,
            "files": files,
            "self_test": {
                "logit_difference_max": r.difference.logit_max, "logit_tolerance": r.tolerance.logit_max,
                "iou_difference_max": r.difference.iou_max, "iou_tolerance": r.tolerance.iou_max,
            },
            "load_ms": {
                "read": ms(r.load.read), "parse": ms(r.load.parse), "optimize": ms(r.load.optimize),
                "self_test": ms(r.load.self_test),
            },
            "encode_ms": ms(r.encode), "decode_ms": ms(r.decode),
        });
        return say_json(&report);
    }
    let mut lines =
        vec![format!("{} ({:?}): input {} px, masks {} cells", r.name, r.kind, r.spec.side, r.spec.mask_cells)];
    lines.push(format!("  pin              {pin}"));
    lines.extend(r.files.iter().map(|f| format!("  {:<16} SHA-256 {:.16} as stated", f.file, f.sha256)));
    let (difference, tolerance) = (&r.difference, &r.tolerance);
    lines.push(format!(
        "  self-test        logits off by {:.2e} (allowed {:.0e}), scores by {:.2e} (allowed {:.0e})",
        difference.logit_max, tolerance.logit_max, difference.iou_max, tolerance.iou_max
    ));
    let l = &r.load;
    lines.push(format!(
        "  load             {:.0} ms: read {:.0}, parse {:.0}, optimize {:.0}, self-test {:.0}",
        ms(l.read + l.parse + l.optimize + l.self_test),
        ms(l.read),
        ms(l.parse),
        ms(l.optimize),
        ms(l.self_test)
    ));
    lines.push(format!("  look             encode {:.1} ms, decode {:.1} ms", ms(r.encode), ms(r.decode)));
    say(lines.join("\n"))
}

/// Reports what runs where.
pub fn inspect(folder: &Path, as_json: bool) -> Result<()> {
    let r = sonotap::model::inspect::inspect(folder).with_context(|| folder.display().to_string())?;
    if as_json {
        let graphs: Vec<_> = r.graphs.iter().map(graph_json).collect();
        return say_json(&json!({ "name": r.name, "kind": format!("{:?}", r.kind), "graphs": graphs }));
    }
    let mut lines = vec![format!("{} ({:?})", r.name, r.kind)];
    for g in &r.graphs {
        let count: usize = g.operations.iter().map(|o| o.count).sum();
        lines.push(format!(
            "{}: {count} operation{}, {:.1} million multiplications, {:.1} % of them of integers",
            g.file,
            if count == 1 { "" } else { "s" },
            g.macs as f64 / 1e6,
            100.0 * g.integer_share(),
        ));
        for o in &g.operations {
            let macs = if o.macs == 0 { String::new() } else { format!("{:.1} M", o.macs as f64 / 1e6) };
            lines.push(
                format!("  {:4} {:<22} {macs:>10}  {:<18} {}", o.count, o.operation, o.kernels, o.what)
                    .trim_end()
                    .into(),
            );
        }
    }
    say(lines.join("\n"))
}

fn graph_json(g: &GraphReport) -> serde_json::Value {
    let operation = |o: &sonotap::model::inspect::OperationReport| {
        json!({
            "operation": o.operation, "count": o.count, "multiplications": o.macs, "kernels": o.kernels, "what": o.what,
        })
    };
    json!({
        "file": g.file, "multiplications": g.macs, "integer_share": g.integer_share(),
        "operations": g.operations.iter().map(operation).collect::<Vec<_>>(),
    })
}

/// Makes a model folder of a SAM export.
pub fn add(encoder: &Path, decoder: &Path, licence: String, name: Option<String>, out: &Path) -> Result<()> {
    let named = || out.file_name().map_or_else(|| "sam".into(), |n| n.to_string_lossy().into_owned());
    let said = Said { name: name.unwrap_or_else(named), licence };
    let added = add_sam(encoder, decoder, &said, out)?;
    let m = &added.manifest;
    let mut lines = vec![format!(
        "{}: input {} px, {} cases in the self-test",
        m.name,
        m.input.side,
        m.self_test.as_ref().map_or(0, |v| v.cases.len())
    )];
    for (file, was_external) in [&m.encoder.file, &m.decoder.file].into_iter().zip(added.packed) {
        if was_external {
            lines.push(format!("  {file}: its external data is in the file now"));
        }
    }
    lines.push(format!(
        "  beside tract alone logits are off by {:.2e}, scores by {:.2e}",
        added.difference.logit_max, added.difference.iou_max
    ));
    lines.push(format!("  next: describe it in {}/{}, and run `sonotap eval`", out.display(), m.card.file));
    say(lines.join("\n"))
}
