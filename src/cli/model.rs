//! `sonotap model`.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::json;
use sonotap::model::pin::pin_of;
use sonotap::model::self_test;

use super::output::{say, say_json};

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
