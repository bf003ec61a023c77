//! `sonotap model`.

use std::path::Path;

use anyhow::Result;
use serde_json::json;
use sonotap::model::self_test;

/// Checks a model folder and says what was found.
pub fn verify(folder: &Path, as_json: bool) -> Result<()> {
    let r = self_test::verify(folder)?;
    let ms = |d: std::time::Duration| d.as_secs_f64() * 1e3;
    if as_json {
        let files: Vec<_> = r.files.iter().map(|f| json!({ "file": f.file, "sha256": f.sha256 })).collect();
        let report = json!({
            "name": r.name, "kind": format!("{:?}", r.kind), "side": r.spec.side, "mask_cells": r.spec.mask_cells,
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
        println!("{}", serde_json::to_string_pretty(&report)?);
        return Ok(());
    }
    println!("{} ({:?}): input {} px, masks {} cells", r.name, r.kind, r.spec.side, r.spec.mask_cells);
    for f in &r.files {
        println!("  {:<16} SHA-256 {} as stated", f.file, &f.sha256[..16]);
    }
    println!(
        "  self-test        logits off by {:.2e} (allowed {:.0e}), scores by {:.2e} (allowed {:.0e})",
        r.difference.logit_max, r.tolerance.logit_max, r.difference.iou_max, r.tolerance.iou_max
    );
    println!(
        "  load             {:.0} ms: read {:.0}, parse {:.0}, optimize {:.0}, self-test {:.0}",
        ms(r.load.read + r.load.parse + r.load.optimize + r.load.self_test),
        ms(r.load.read),
        ms(r.load.parse),
        ms(r.load.optimize),
        ms(r.load.self_test)
    );
    println!("  look             encode {:.1} ms, decode {:.1} ms", ms(r.encode), ms(r.decode));
    Ok(())
}
