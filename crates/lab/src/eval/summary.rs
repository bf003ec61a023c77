//! Rows to the figures of a set: means, medians, intervals by cluster bootstrap, number of clicks, calibration.
//!
//! An interval is the 95 % percentile interval of the mean when whole groups (patients, recordings, near-duplicates) are
//! drawn with replacement: rows of one group are not independent, and a bootstrap over rows would claim too much.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::clicks::noc::clicks_to_reach;
use super::record::{Answer, Row, Step};
use super::statistics::{Calibration, Interval, bootstrap_mean, calibration, mean, median};

/// Draws of a bootstrap.
pub const RESAMPLES: usize = 2_000;
/// IoUs whose number of clicks is reported.
const NOC_TARGETS: [f64; 3] = [0.80, 0.85, 0.90];
/// A click counts as harmful when it lowers IoU by more than this.
const WORSE_BY: f64 = 0.01;
/// Bins of the calibration.
const BINS: usize = 10;
/// Limits of a suggestion's score at which its worth is reported.
const LIMITS: [f64; 5] = [0.5, 0.6, 0.7, 0.8, 0.9];
/// A suggestion with a smaller IoU misleads.
const HALF: f64 = 0.5;
/// Edges of the classes of size, share of the image.
const SIZES: [(&str, f64); 4] = [("below 1 %", 0.01), ("1 to 5 %", 0.05), ("5 to 20 %", 0.20), ("20 % and more", 2.0)];

/// Number of clicks to an IoU.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct NumberOfClicks {
    /// Mean; a miss counts as the most clicks.
    pub mean: f64,
    /// Objects that never reached it.
    pub failures: usize,
    /// Of the mean.
    pub interval: Option<Interval>,
}

/// Number of clicks to three IoUs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Noc {
    /// To .80.
    #[serde(rename = "80")]
    pub to_80: NumberOfClicks,
    /// To .85.
    #[serde(rename = "85")]
    pub to_85: NumberOfClicks,
    /// To .90.
    #[serde(rename = "90")]
    pub to_90: NumberOfClicks,
}

/// A mean over objects.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// Objects in it.
    pub n: usize,
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// Of the mean; `None` with fewer than two groups.
    pub interval: Option<Interval>,
}

/// Boundary distances of one unit after the last prompt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct BoundaryFigures {
    /// Whether in mm; image px otherwise.
    pub is_mm: bool,
    /// 95 % Hausdorff distance.
    pub hd95: Figure,
    /// Average symmetric surface distance.
    pub assd: Figure,
    /// Normalized surface Dice.
    pub nsd: Figure,
}

/// Intervals of the means of a [`SetSummary`], by click.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Intervals {
    /// Of `iou_by_click`.
    pub iou_by_click: Vec<Option<Interval>>,
    /// Of `box_iou`.
    pub box_iou: Option<Interval>,
}

/// What would be suggested with a limit of the score.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtLimit {
    /// Least score that is shown.
    pub limit: f64,
    /// Suggestions with that score or more.
    pub shown: usize,
    /// Of these, those with an IoU below one half.
    pub below_half: usize,
}

impl AtLimit {
    /// Share of what is shown that has an IoU below one half; `None` when nothing is shown.
    pub fn below_half_share(&self) -> Option<f64> {
        (self.shown > 0).then(|| self.below_half as f64 / self.shown as f64)
    }
}

/// A part of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stratum {
    /// `organ`, `class` or `size`.
    pub by: String,
    /// Which.
    pub value: String,
    /// IoU after the first prompt.
    pub first: Figure,
    /// IoU after the last.
    pub last: Figure,
}

/// One set under one protocol and look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SetSummary {
    /// Data set.
    pub data: String,
    /// Split, `all` when none was asked for.
    pub split: String,
    /// `noc`, `msa/point-largest`, ...
    pub protocol: String,
    /// `full` or `plain`.
    pub look: String,
    /// Objects.
    pub n: usize,
    /// Groups.
    pub groups: usize,
    /// Mean IoU after 1, 2, ... clicks; an object that needed no more keeps its last.
    pub iou_by_click: Vec<f64>,
    /// Median of the same.
    pub median_iou_by_click: Vec<f64>,
    /// Mean Dice in the same way.
    pub dice_by_click: Vec<f64>,
    /// Mean of the best mask's IoU after the first prompt, where it was asked for.
    pub oracle_iou: Option<f64>,
    /// Mean IoU of the exact box on the same objects, if it was asked for.
    pub box_iou: Option<f64>,
    /// For `noc`.
    pub noc: Option<Noc>,
    /// Share of later clicks that lower IoU by more than .01; `None` without later clicks.
    pub worse_click_share: Option<f64>,
    /// Mean time of a prompt, s.
    pub seconds_per_click: Option<f64>,
    /// Share of prompts for which the model gave no mask.
    pub no_mask_share: f64,
    /// Of the means above.
    pub intervals: Intervals,
    /// After the last prompt; one entry for mm and one for px, where there are such objects.
    pub boundary: Vec<BoundaryFigures>,
    /// Absolute error of the head circumference after the last prompt, mm.
    pub hc_error_mm: Option<Figure>,
    /// The model's score against the IoU, over all prompts that gave a mask.
    pub calibration: Option<Calibration>,
    /// For `auto/suggested`, limit by limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub at_limits: Vec<AtLimit>,
    /// By organ, class and size.
    pub strata: Vec<Stratum>,
}

/// The figures of all sets, protocols and looks that the rows hold. `max_clicks` is that of `noc`.
pub fn summarize(rows: &[Row], split: &str, max_clicks: usize, seed: u64) -> Vec<SetSummary> {
    let mut kinds: Vec<(&str, &str, &str)> = Vec::new();
    for row in rows {
        for answer in row.answers.iter().filter(|a| !a.steps.is_empty()) {
            let kind = (row.data.as_str(), answer.protocol.as_str(), answer.look.as_str());
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
    }
    kinds.into_iter().filter_map(|kind| Part::new(rows, kind, seed)?.summary(split, max_clicks)).collect()
}

/// `scored`: pairs of score and IoU.
fn at_limit(scored: &[(f64, f64)], limit: f64) -> AtLimit {
    let shown = || scored.iter().filter(|(score, _)| *score >= limit);
    AtLimit { limit, shown: shown().count(), below_half: shown().filter(|(_, iou)| *iou < HALF).count() }
}

/// What a row is sorted by.
type Sorting = fn(&Row) -> &str;

/// The answers of one set, protocol and look.
struct Part<'a> {
    rows: Vec<&'a Row>,
    answers: Vec<&'a Answer>,
    groups: Vec<&'a str>,
    seed: u64,
}

impl<'a> Part<'a> {
    fn new(rows: &'a [Row], (data, protocol, look): (&str, &str, &str), seed: u64) -> Option<Self> {
        let mut part = Self { rows: Vec::new(), answers: Vec::new(), groups: Vec::new(), seed };
        for row in rows.iter().filter(|r| r.data == data) {
            if let Some(answer) = row.answer(protocol, look).filter(|a| !a.steps.is_empty()) {
                part.rows.push(row);
                part.answers.push(answer);
                part.groups.push(&row.group);
            }
        }
        (!part.rows.is_empty()).then_some(part)
    }

    fn summary(&self, split: &str, max_clicks: usize) -> Option<SetSummary> {
        let (row, answer) = (self.rows.first()?, self.answers.first()?);
        let clicks = self.answers.iter().map(|a| a.steps.len()).max()?;
        let by_click = |value: fn(&Step) -> f64| -> Vec<Vec<f64>> {
            (0..clicks).map(|k| self.answers.iter().filter_map(|a| at(a, k)).map(value).collect()).collect()
        };
        let (iou, dice) = (by_click(|s| s.iou), by_click(|s| s.dice));
        let steps = || self.answers.iter().flat_map(|a| &a.steps);
        let oracle: Vec<f64> = self.answers.iter().filter_map(|a| a.steps[0].oracle_iou).collect();
        let boxed: Vec<(f64, &str)> = self.boxed(&answer.look);
        let (box_iou, box_groups): (Vec<f64>, Vec<&str>) = boxed.into_iter().unzip();
        let scored: Vec<(f64, f64)> = steps().filter_map(|s| Some((s.score?, s.iou))).collect();
        let is_suggested = answer.protocol == "auto/suggested";
        let at_limits = LIMITS.into_iter().filter(|_| is_suggested).map(|limit| at_limit(&scored, limit)).collect();
        let (predicted, actual): (Vec<f64>, Vec<f64>) = scored.into_iter().unzip();
        Some(SetSummary {
            data: row.data.clone(),
            split: split.to_owned(),
            protocol: answer.protocol.clone(),
            look: answer.look.clone(),
            n: self.rows.len(),
            groups: self.groups.iter().collect::<BTreeSet<_>>().len(),
            iou_by_click: iou.iter().filter_map(|v| mean(v)).collect(),
            median_iou_by_click: iou.iter().filter_map(|v| median(v)).collect(),
            dice_by_click: dice.iter().filter_map(|v| mean(v)).collect(),
            oracle_iou: mean(&oracle),
            box_iou: mean(&box_iou),
            noc: (answer.protocol == "noc").then(|| self.noc(max_clicks)),
            worse_click_share: self.worse_click_share(),
            seconds_per_click: mean(&steps().map(|s| s.ms / 1e3).collect::<Vec<_>>()),
            no_mask_share: steps().filter(|s| s.score.is_none()).count() as f64 / steps().count().max(1) as f64,
            intervals: Intervals {
                iou_by_click: iou.iter().map(|v| self.interval(v)).collect(),
                box_iou: bootstrap_mean(&box_iou, &box_groups, RESAMPLES, self.seed),
            },
            boundary: [true, false].into_iter().filter_map(|is_mm| self.boundary(is_mm)).collect(),
            hc_error_mm: self.figure(|a| Some(a.steps.last()?.hc_error_mm?.abs())),
            calibration: (!predicted.is_empty()).then(|| calibration(&predicted, &actual, BINS)),
            at_limits,
            strata: self.strata(),
        })
    }

    fn interval(&self, values: &[f64]) -> Option<Interval> {
        bootstrap_mean(values, &self.groups, RESAMPLES, self.seed)
    }

    fn boxed(&self, look: &str) -> Vec<(f64, &'a str)> {
        let iou = |r: &&'a Row| Some((r.answer("box/exact", look)?.steps.first()?.iou, r.group.as_str()));
        self.rows.iter().filter_map(iou).collect()
    }

    fn noc(&self, max_clicks: usize) -> Noc {
        let to = |target: f64| {
            let count = |a: &&Answer| {
                let iou: Vec<f64> = a.steps.iter().map(|s| s.iou).collect();
                clicks_to_reach(&iou, target, max_clicks)
            };
            let counts: Vec<(usize, bool)> = self.answers.iter().map(count).collect();
            let clicks: Vec<f64> = counts.iter().map(|c| c.0 as f64).collect();
            NumberOfClicks {
                mean: mean(&clicks).unwrap_or(0.0),
                failures: counts.iter().filter(|c| c.1).count(),
                interval: self.interval(&clicks),
            }
        };
        let [to_80, to_85, to_90] = NOC_TARGETS.map(to);
        Noc { to_80, to_85, to_90 }
    }

    fn worse_click_share(&self) -> Option<f64> {
        let pairs = || self.answers.iter().flat_map(|a| a.steps.windows(2));
        let worse = pairs().filter(|w| w[1].iou < w[0].iou - WORSE_BY).count();
        let all = pairs().count();
        (all > 0).then(|| worse as f64 / all as f64)
    }

    fn figure(&self, value: impl Fn(&Answer) -> Option<f64>) -> Option<Figure> {
        self.figure_of(|i| value(self.answers[i]))
    }

    fn figure_of(&self, value: impl Fn(usize) -> Option<f64>) -> Option<Figure> {
        let pairs = (0..self.answers.len()).filter_map(|i| Some((value(i)?, self.groups[i])));
        let (values, groups): (Vec<f64>, Vec<&str>) = pairs.unzip();
        Some(Figure {
            n: values.len(),
            mean: mean(&values)?,
            median: median(&values)?,
            interval: bootstrap_mean(&values, &groups, RESAMPLES, self.seed),
        })
    }

    fn boundary(&self, is_mm: bool) -> Option<BoundaryFigures> {
        let of = |a: &Answer| a.steps.last().and_then(|s| s.boundary).filter(|b| b.is_mm == is_mm);
        Some(BoundaryFigures {
            is_mm,
            hd95: self.figure(|a| Some(of(a)?.hd95))?,
            assd: self.figure(|a| Some(of(a)?.assd))?,
            nsd: self.figure(|a| Some(of(a)?.nsd))?,
        })
    }

    fn strata(&self) -> Vec<Stratum> {
        let mut strata = Vec::new();
        let kinds: [(&str, Sorting); 3] = [("organ", |r| &r.organ), ("class", |r| &r.class), ("size", size_class)];
        for (by, value_of) in kinds {
            let values: BTreeSet<&str> = self.rows.iter().map(|r| value_of(r)).collect();
            for value in values.into_iter().filter(|v| !v.is_empty()) {
                let is_in = |i: usize| value_of(self.rows[i]) == value;
                let first = self.figure_of(|i| Some(self.answers[i].steps.first()?.iou).filter(|_| is_in(i)));
                let last = self.figure_of(|i| Some(self.answers[i].steps.last()?.iou).filter(|_| is_in(i)));
                if let (Some(first), Some(last)) = (first, last) {
                    strata.push(Stratum { by: by.to_owned(), value: value.to_owned(), first, last });
                }
            }
        }
        strata
    }
}

/// The step after click `k + 1`, or the last before it.
fn at(answer: &Answer, k: usize) -> Option<&Step> {
    answer.steps.get(k).or(answer.steps.last())
}

fn size_class(row: &Row) -> &str {
    SIZES.iter().find(|(_, below)| row.area_share() < *below).map_or(SIZES[3].0, |s| s.0)
}

#[cfg(test)]
mod tests {
    use sonotap::error::Result;
    use sonotap::frame::{Frame, PixelFormat};
    use sonotap::geometry::ModelView;
    use sonotap::mask::Bitmap;
    use sonotap::model::predictor::{PredictOptions, Predictor};
    use sonotap::model::{Decoded, ModelPrompts, ModelSpec, Segmenter};

    use super::*;
    use crate::eval::protocol::{LookKind, Protocol, Questions, Subject, examine};

    const CELLS: usize = 32;

    /// Proposes the left half of the image, and a small part at its right edge, with this estimate of its IoU.
    struct LeftHalf(f32);

    impl Segmenter for LeftHalf {
        fn spec(&self) -> ModelSpec {
            ModelSpec {
                side: 64,
                mask_cells: CELLS,
                masks: 1,
                pixel_channels: 0,
                first_candidate: 0,
                view_advantage: None,
                proposes: true,
            }
        }

        fn encode(&mut self, _: &Frame, _: &ModelView) -> Result<()> {
            Ok(())
        }

        fn decode(&mut self, _: &ModelPrompts, out: &mut Decoded) -> Result<()> {
            (out.masks, out.iou) = (vec![-5.0; CELLS * CELLS].into(), vec![0.5]);
            Ok(())
        }

        fn propose(&mut self, out: &mut Vec<f32>) -> Result<Option<f32>> {
            let inside = |i: usize| i % CELLS < CELLS / 2 || i % CELLS > CELLS - 3 && i / CELLS < 4;
            out.clear();
            out.extend((0..CELLS * CELLS).map(|i| if inside(i) { 4.0 } else { -4.0 }));
            Ok(Some(self.0))
        }
    }

    /// The row of an image whose structure is this many columns at its left, of 64.
    fn row(number: usize, columns: u32, score: f32) -> Row {
        let mut truth = Bitmap::new(64, 64);
        (0..64).for_each(|y| (0..columns).for_each(|x| truth.set(x, y, true)));
        let frame = Frame::from_pixels(64, 64, PixelFormat::Grey8, vec![90; 64 * 64]).unwrap();
        let questions =
            Questions { protocols: vec![Protocol::Auto], looks: vec![LookKind::Full], max_clicks: 1, seed: 1 };
        let subject = Subject {
            frame: &frame,
            object: &truth,
            whole: Some(&truth),
            pixel_mm: None,
            hc_mm: None,
            key: number.to_string(),
        };
        let mut predictor = Predictor::new(Box::new(LeftHalf(score)), PredictOptions::default());
        let answers = examine(&mut predictor, &subject, &questions).unwrap();
        let name = |of: &str| format!("{of}{number}");
        Row {
            data: "set".into(),
            row: number,
            image: name("image"),
            mask: name("mask"),
            component: 0,
            organ: String::new(),
            class: String::new(),
            group: name("group"),
            split: "val".into(),
            size: (64, 64),
            area_px: truth.area_px(),
            pixel_mm: None,
            answers,
        }
    }

    #[test]
    fn a_suggestion_is_evaluated_with_its_score_and_from_each_limit_on() {
        // IoU 1, 1/2 (less what a cell's edge costs) and 1/4.
        let rows = [row(1, 32, 0.95), row(2, 15, 0.85), row(3, 8, 0.65)];
        let sets = summarize(&rows, "val", 1, 1);
        let of = |protocol: &str| sets.iter().find(|s| s.protocol == protocol).unwrap();
        let shown = of("auto/suggested");
        assert!((shown.iou_by_click[0] - (1.0 + 15.0 / 32.0 + 0.25) / 3.0).abs() < 0.03, "{:?}", shown.iou_by_click);
        assert!(of("auto/proposal").iou_by_click[0] < shown.iou_by_click[0], "the small part is not suggested");
        let limits: Vec<_> = shown.at_limits.iter().map(|l| (l.limit, l.shown, l.below_half)).collect();
        assert_eq!(limits, [(0.5, 3, 2), (0.6, 3, 2), (0.7, 2, 1), (0.8, 2, 1), (0.9, 1, 0)]);
        assert_eq!(shown.at_limits[2].below_half_share(), Some(0.5));
        let expected = (0.05 + 0.38 + 0.4) / 3.0;
        let off = shown.calibration.as_ref().unwrap().mean_absolute_error;
        assert!((off - expected).abs() < 0.03, "{off}");
        assert!(of("auto/proposal").calibration.is_none() && of("auto/box").at_limits.is_empty());
    }
}
