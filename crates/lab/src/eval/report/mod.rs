//! `report.json`, documented and stable, and `report.html`, for people.
//!
//! The JSON's form is this module's [`Report`]; `docs/evaluation.md` explains it. A field may be added; one that is there
//! keeps its name and meaning as long as `schema` is the same.

pub mod chart;
pub mod html;
pub mod page;
pub mod published;
pub mod sheet;

use serde::{Deserialize, Serialize};

use super::cine::CineRow;
use super::dataset::Unusable;
use super::record::Row;
use super::summary::SetSummary;

/// Everything that an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`super::record::SCHEMA`].
    pub schema: String,
    /// Version of sonotap.
    pub version: String,
    /// Of what.
    pub model: ModelRecord,
    /// On what.
    pub machine: Machine,
    /// With which settings.
    pub run: RunRecord,
    /// On which data.
    pub data: Vec<DataRecord>,
    /// The figures.
    pub sets: Vec<SetSummary>,
    /// One for each cine that was followed.
    pub cines: Vec<CineRow>,
    /// Rows that could not be used.
    pub unusable: Vec<Unusable>,
    /// One for each object.
    pub rows: Vec<Row>,
}

/// Which model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelRecord {
    /// Name of its folder.
    pub name: String,
    /// SHA-256 of its manifest, which holds those of its files.
    pub digest: String,
    /// Sets that it was trained on, by its manifest: figures of theirs are not zero-shot.
    #[serde(default)]
    pub trained_on: Vec<String>,
}

/// Which machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor, as the system names it.
    pub processor: String,
    /// Threads that the system offers.
    pub threads: usize,
    /// Threads that were used.
    pub jobs: usize,
}

/// Which settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Split, `all` when none was asked for.
    pub split: String,
    /// Families of protocols.
    pub protocols: Vec<String>,
    /// `full`, `plain`.
    pub looks: Vec<String>,
    /// Most clicks of `noc`.
    pub max_clicks: usize,
    /// `largest` or `each`.
    pub objects: String,
    /// Most masks of a set, if limited.
    pub limit: Option<usize>,
    /// Of everything random.
    pub seed: u64,
    /// Whether all rows were done.
    pub is_complete: bool,
}

/// Which data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DataRecord {
    /// Name of its folder.
    pub name: String,
    /// SHA-256 of its manifest, or of its file names and sizes.
    pub digest: String,
    /// Masks asked for.
    pub masks: usize,
    /// Masks done.
    pub done: usize,
    /// Rows that could not be used.
    pub unusable: usize,
    /// Groups that are in more than one split: figures of this set may be too good.
    pub leaking_groups: Vec<String>,
}
