//! Where the files that ship with sonotap are.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use sonotap::model::pin::{check_pin, pin_of};
use sonotap::model::sam::{self, LoadOptions, Loaded};
use sonotap::profile::ModelProfile;

/// The bundled cine.
pub const CINE: &str = "assets/cine/heart-4ch.dcm";
/// The gestures played on it.
pub const CINE_TAPS: &str = "assets/cine/heart-4ch.taps.toml";
/// The bundled model.
pub const MODEL: &str = "models/student";

/// A bundled file or folder: below `SONOTAP_HOME`, in the workspace (under cargo), or in a folder above the program. Not
/// below the current folder: whoever can write there would choose the model.
pub fn find(name: &str) -> Result<PathBuf> {
    let variable = |v: &str| std::env::var_os(v).map(PathBuf::from);
    let above =
        |path: Option<PathBuf>| path.into_iter().flat_map(|p| p.ancestors().map(PathBuf::from).collect::<Vec<_>>());
    let roots = variable("SONOTAP_HOME").into_iter();
    let roots = roots.chain(above(variable("CARGO_MANIFEST_DIR"))).chain(above(std::env::current_exe().ok()));
    let found = roots.map(|root| root.join(name)).find(|path| path.exists());
    found.with_context(|| format!("{name} not found above the program; set SONOTAP_HOME to the folder that holds it"))
}

/// Loads the model of a profile, by default the bundled one; one that is pinned is that one or none.
pub fn load_model(model: &ModelProfile) -> Result<Loaded> {
    let folder = model.folder.clone().map_or_else(|| find(MODEL), Ok)?;
    if let Some(pin) = &model.pin {
        check_pin(&folder, pin)?;
    }
    sam::load_with(&folder, LoadOptions::default()).with_context(|| format!("model {}", folder.display()))
}

/// What is wrong with a model that is to propose and does not.
pub fn no_proposal(model: &str) -> String {
    format!(
        "model {model}: expected one that proposes an outline (proposal.onnx in its folder), got one without; `sonotap train semi` makes one"
    )
}

/// SHA-256 of the manifest of a profile's model.
pub fn pin_of_model(model: &ModelProfile) -> Result<String> {
    Ok(pin_of(&model.folder.clone().map_or_else(|| find(MODEL), Ok)?)?)
}
