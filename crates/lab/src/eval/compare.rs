//! Two reports, object by object: what the second does better or worse than the first.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::record::Row;
use super::report::Report;
use super::statistics::{Paired, paired_bootstrap};
use super::summary::RESAMPLES;
use sonotap::error::{Error, ErrorKind, Result};

/// Prompts after which two reports are compared, beside the last.
const AT: [usize; 3] = [1, 3, 5];

/// One set, protocol and look after so many prompts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Data set.
    pub data: String,
    /// `noc`, ...
    pub protocol: String,
    /// `full` or `plain`.
    pub look: String,
    /// Number of prompts; `None` for the last.
    pub prompts: Option<usize>,
    /// Mean IoU in the first report, over the objects that both hold.
    pub first: f64,
    /// In the second.
    pub second: f64,
    /// Second less first, paired, with its interval by bootstrap over groups.
    pub paired: Paired,
}

/// Whether two reports can be set side by side: possible figures, and the same rows of the same data.
///
/// # Errors
/// `Format` for a figure that cannot be; `Argument` when sets of one name have other digests or splits.
pub fn check(first: &Report, second: &Report) -> Result<()> {
    for (which, report) in [("first", first), ("second", second)] {
        for row in &report.rows {
            for step in row.answers.iter().flat_map(|a| &a.steps) {
                let shares = [Some(step.iou), Some(step.dice), step.oracle_iou];
                if let Some(wrong) = shares.into_iter().flatten().find(|v| !(0.0..=1.0).contains(v)) {
                    let (data, number) = (&row.data, row.row);
                    let message =
                        format!("{which} report: {data} row {number}: expected IoU and Dice of 0 to 1, got {wrong}");
                    return Err(Error::new(ErrorKind::Format, message));
                }
            }
        }
    }
    if first.run.split != second.run.split {
        let (a, b) = (&first.run.split, &second.run.split);
        return Err(Error::new(ErrorKind::Argument, format!("expected reports of one split, got {a:?} and {b:?}")));
    }
    for set in &first.data {
        if let Some(other) = second.data.iter().find(|o| o.name == set.name && o.digest != set.digest) {
            let (name, a, b) = (&set.name, &set.digest, &other.digest);
            let message = format!("{name}: expected the same data in both reports, got digests {a:.12} and {b:.12}");
            return Err(Error::new(ErrorKind::Argument, message));
        }
    }
    Ok(())
}

/// All that both reports hold; [`check`] says whether that means anything.
pub fn compare(first: &Report, second: &Report, seed: u64) -> Vec<Comparison> {
    let key = |r: &Row| (r.data.clone(), r.image.clone(), r.mask.clone(), r.component);
    let others: BTreeMap<_, &Row> = second.rows.iter().map(|r| (key(r), r)).collect();
    let mut kinds: Vec<(&str, &str, &str)> = Vec::new();
    for set in &first.sets {
        kinds.push((&set.data, &set.protocol, &set.look));
    }
    let mut comparisons = Vec::new();
    for (data, protocol, look) in kinds {
        for prompts in AT.map(Some).into_iter().chain([None]) {
            let (mut a, mut b, mut groups) = (Vec::new(), Vec::new(), Vec::new());
            for row in first.rows.iter().filter(|r| r.data == data) {
                let Some(other) = others.get(&key(row)) else { continue };
                if let (Some(x), Some(y)) = (iou(row, protocol, look, prompts), iou(other, protocol, look, prompts)) {
                    a.push(x);
                    b.push(y);
                    groups.push(row.group.as_str());
                }
            }
            let is_repeated = prompts.is_none_or(|p| p > 1) && !has_clicks(first, data, protocol, look);
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len().max(1) as f64;
            if let (Some(paired), false) = (paired_bootstrap(&a, &b, &groups, RESAMPLES, seed), is_repeated) {
                comparisons.push(Comparison {
                    data: data.to_owned(),
                    protocol: protocol.to_owned(),
                    look: look.to_owned(),
                    prompts,
                    first: mean(&a),
                    second: mean(&b),
                    paired,
                });
            }
        }
    }
    comparisons
}

fn iou(row: &Row, protocol: &str, look: &str, prompts: Option<usize>) -> Option<f64> {
    let steps = &row.answer(protocol, look)?.steps;
    prompts.and_then(|p| steps.get(p - 1)).or(steps.last()).map(|s| s.iou)
}

fn has_clicks(report: &Report, data: &str, protocol: &str, look: &str) -> bool {
    report.sets.iter().any(|s| s.data == data && s.protocol == protocol && s.look == look && s.iou_by_click.len() > 1)
}
