//! `sonotap data import`: sets of other layouts made one that `eval` and `train` read.

use std::path::Path;

use anyhow::{Context, Result};
use sonotap_lab::eval::import::{Kind, import};

use crate::output::say;

/// Refused objects that are told one by one.
const REFUSED_TOLD: usize = 20;

/// Imports a set and says what became of it.
pub fn import_set(kind: &str, dir: &Path, out: &Path) -> Result<()> {
    let kind: Kind = kind.parse().context("KIND")?;
    let imported = import(kind, dir, out)?;
    for (place, why) in imported.refused.iter().take(REFUSED_TOLD) {
        eprintln!("left out: {place}: {why}");
    }
    if imported.refused.len() > REFUSED_TOLD {
        eprintln!("left out: {} more", imported.refused.len() - REFUSED_TOLD);
    }
    let (images, masks, refused) = (imported.images, imported.masks, imported.refused.len());
    say(format!(
        "{images} images, {masks} masks, {refused} left out; in {}: manifest.csv, images, masks",
        out.display()
    ))
}
