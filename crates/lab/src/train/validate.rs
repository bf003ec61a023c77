//! How good the averaged weights are on images that are never trained on: simulated clicks through the product's look.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use serde::{Deserialize, Serialize};

use super::config::TrainConfig;
use super::net::Network;
use super::net::parameters::Parameters;
use super::segmenter::TrainedSegmenter;
use crate::eval::dataset::{Dataset, DatasetOptions, ObjectChoice};
use crate::eval::protocol::{LookKind, Protocol, Questions};
use crate::eval::record::mean_iou_by_click;
use crate::eval::runner;
use sonotap::error::Result;
use sonotap::model::predictor::{PredictOptions, Predictor};

/// Clicks of a validation.
const CLICKS: usize = 5;

/// One set's figures.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Validation {
    /// Masks looked at.
    pub masks: usize,
    /// Mean IoU after 1, 2 .. clicks, the graphs alone; an object that needs no further click keeps its IoU.
    pub iou: Vec<f64>,
    /// Mean IoU of the exact box.
    pub box_iou: f64,
}

/// Looks at a few images of each validated set's `val` split; sets without one are left out.
///
/// # Errors
/// Those of the sets and of the model.
pub fn validate(
    config: &TrainConfig,
    network: &Network,
    parameters: &Parameters,
    stop: &AtomicBool,
) -> Result<BTreeMap<String, Validation>> {
    let questions = Questions {
        protocols: vec![Protocol::Noc, Protocol::Box],
        looks: vec![LookKind::Plain],
        max_clicks: CLICKS,
        seed: config.seed,
    };
    let mut all = BTreeMap::new();
    for set in config.data.iter().filter(|set| set.validate) {
        let options = DatasetOptions { split: Some("val".into()), objects: ObjectChoice::Largest };
        let Ok(dataset) = Dataset::open(&set.folder, &options) else { continue };
        let items = runner::items(&dataset, ObjectChoice::Largest, Some(config.validate_images), config.seed);
        let predictor = || {
            let segmenter = TrainedSegmenter::new(network.clone(), parameters.clone());
            Ok(Predictor::new(Box::new(segmenter), PredictOptions::default()))
        };
        let mut rows = Vec::new();
        runner::run(&items, &BTreeMap::new(), &questions, 1, &predictor, stop, &mut |done| {
            rows.extend(done.rows);
            Ok(())
        })?;
        let iou = mean_iou_by_click(&rows, "noc", "plain", CLICKS);
        let mut found = Validation { masks: rows.len(), iou, box_iou: 0.0 };
        for row in &rows {
            let boxed = row.answer("box/exact", "plain").and_then(|a| a.steps.last());
            found.box_iou += boxed.map_or(0.0, |s| s.iou) / rows.len() as f64;
        }
        all.insert(dataset.name, found);
    }
    Ok(all)
}
