//! What a device profile says of exams: section `[exams]`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where exams are saved, how long cines are, when the screen asks.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct ExamsProfile {
    /// The folder of the store; `--save-exam` names another.
    pub folder: Option<PathBuf>,
    /// A cine begins so long before the press, s, as far as the memory for it reaches.
    pub cine_before_s: f64,
    /// It ends so long after it, s.
    pub cine_after_s: f64,
    /// Memory for the frames of a cine, MiB.
    pub cine_mib: u32,
    /// After so long without a touch, a key or a saved picture the screen asks whether it is the same patient, min; 0: never.
    pub ask_after_min: f64,
    /// Whether ended exams are sent to `dicom.archive` by themselves.
    pub send: SendWhen,
}

/// When exams are sent by themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SendWhen {
    /// Somebody sends them.
    #[default]
    Never,
    /// When they are ended, bound, and of a date that is relied on.
    WhenEnded,
}

impl Default for ExamsProfile {
    fn default() -> Self {
        Self {
            folder: None,
            cine_before_s: 10.0,
            cine_after_s: 0.0,
            cine_mib: 32,
            ask_after_min: 15.0,
            send: SendWhen::Never,
        }
    }
}
