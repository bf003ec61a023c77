//! Where the files that ship with sonotap are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sonotap::model::sam::{self, LoadOptions, Loaded};

/// The bundled cine.
pub const CINE: &str = "assets/cine/heart-4ch.dcm";
/// The gestures played on it.
pub const CINE_TAPS: &str = "assets/cine/heart-4ch.taps.toml";
/// The bundled model.
pub const MODEL: &str = "models/student";

/// A bundled file or folder: below `SONOTAP_HOME`, the current folder, the package's folder (under cargo), or a folder
/// above the program.
pub fn find(name: &str) -> Result<PathBuf> {
    let given = ["SONOTAP_HOME", "CARGO_MANIFEST_DIR"].map(|v| std::env::var_os(v).map(PathBuf::from));
    let above = std::env::current_exe().ok().into_iter();
    let above = above.flat_map(|p| p.ancestors().skip(1).map(PathBuf::from).collect::<Vec<_>>());
    let [home, package] = given;
    for root in home.into_iter().chain([PathBuf::from(".")]).chain(package).chain(above) {
        let path = root.join(name);
        if path.exists() {
            return Ok(path);
        }
    }
    bail!("{name} not found here, nor above the program; set SONOTAP_HOME to the folder that holds it")
}

/// Loads the model of a folder, by default the bundled one.
pub fn load_model(folder: Option<&Path>) -> Result<Loaded> {
    let folder = folder.map_or_else(|| find(MODEL), |f| Ok(f.to_owned()))?;
    sam::load_with(&folder, LoadOptions::default()).with_context(|| format!("model {}", folder.display()))
}
