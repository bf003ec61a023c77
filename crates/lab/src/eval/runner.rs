//! Many rows on a few threads, with the same result for any number of them, and nothing lost when it is stopped.
//!
//! An [`Item`] is one row of a data set. What became of it goes to the caller as soon as it is known, who keeps it; items
//! that the caller has from an earlier run are not done again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_channel::bounded;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_pcg::Pcg64Mcg;
use serde::{Deserialize, Serialize};

use super::components::Components;
use super::dataset::{Dataset, DatasetRow, ObjectChoice, Unusable};
use super::protocol::{Questions, Subject, examine};
use super::record::Row;
use sonotap::error::Result;
use sonotap::model::predictor::Predictor;
use sonotap::units::{FrameId, Timestamp};

/// One row of one data set, to be done.
#[derive(Clone, Debug)]
pub struct Item {
    /// Name of its set.
    pub data: String,
    /// The row.
    pub row: DatasetRow,
    /// Which of its components are objects.
    pub objects: ObjectChoice,
}

impl Item {
    /// Tells it from every other item of a run.
    pub fn key(&self) -> String {
        format!("{}:{}", self.data, self.row.number)
    }
}

/// What became of an item.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// [`Item::key`].
    pub key: String,
    /// Its objects with their answers.
    pub rows: Vec<Row>,
    /// Why it could not be used.
    pub unusable: Option<Unusable>,
}

/// The items of a set: all, or at most `limit`, drawn so that every group is taken once before one is taken twice.
pub fn items(set: &Dataset, objects: ObjectChoice, limit: Option<usize>, seed: u64) -> Vec<Item> {
    let item = |row: &DatasetRow| Item { data: set.name.clone(), row: row.clone(), objects };
    let Some(limit) = limit.filter(|l| *l < set.rows.len()) else { return set.rows.iter().map(item).collect() };
    let mut order: Vec<usize> = (0..set.rows.len()).collect();
    order.shuffle(&mut Pcg64Mcg::seed_from_u64(seed));
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, usize)> = Vec::new();
    for (place, &i) in order.iter().enumerate() {
        let turn = taken.entry(&set.rows[i].group).or_default();
        turns.push((*turn, place));
        *turn += 1;
    }
    turns.sort_unstable();
    let mut chosen: Vec<usize> = turns.iter().take(limit).map(|&(_, place)| order[place]).collect();
    chosen.sort_unstable();
    chosen.into_iter().map(|i| item(&set.rows[i])).collect()
}

/// Does the items that are not in `earlier`, on `jobs` threads, each with a predictor of its own; hands each to `keep` as
/// soon as it is done, in no order. Ends early, after the items at hand, when `stop` is set or `keep` fails.
///
/// # Errors
/// Those of `predictor`, of `keep`, and of the model; what was kept before stays kept.
pub fn run(
    items: &[Item],
    earlier: &BTreeMap<String, Done>,
    questions: &Questions,
    jobs: usize,
    predictor: &(dyn Fn() -> Result<Predictor> + Sync),
    stop: &AtomicBool,
    keep: &mut dyn FnMut(Done) -> Result<()>,
) -> Result<()> {
    let open: Vec<(usize, &Item)> = items.iter().enumerate().filter(|(_, i)| !earlier.contains_key(&i.key())).collect();
    let jobs = jobs.clamp(1, open.len().max(1));
    let next = AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    let (sender, receiver) = bounded::<Result<Done>>(jobs);
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, open, is_over) = (sender.clone(), &next, &open, &is_over);
            scope.spawn(move || {
                let mut predictor = match predictor() {
                    Ok(predictor) => predictor,
                    Err(e) => return drop(sender.send(Err(e))),
                };
                while !stop.load(Ordering::Acquire) && !is_over.load(Ordering::Acquire) {
                    let Some((number, item)) = open.get(next.fetch_add(1, Ordering::AcqRel)) else { return };
                    let done = one(&mut predictor, *number, item, questions);
                    if sender.send(done).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut outcome = Ok(());
        for done in receiver {
            if outcome.is_ok() {
                outcome = done.and_then(&mut *keep);
                is_over.store(outcome.is_err(), Ordering::Release);
            }
        }
        outcome
    })
}

fn one(predictor: &mut Predictor, number: usize, item: &Item, questions: &Questions) -> Result<Done> {
    let row = &item.row;
    let done = |rows, unusable| Done { key: item.key(), rows, unusable };
    let unusable = |reason| Unusable { data: item.data.clone(), row: row.number, file: row.mask_name.clone(), reason };
    let pair = match row.load() {
        Ok(pair) => pair,
        Err(reason) => return Ok(done(Vec::new(), Some(unusable(reason)))),
    };
    let (mut frame, whole) = (pair.image, pair.truth);
    frame.stamp(FrameId(number as u64 + 1), Timestamp::START);
    predictor.forget_view();
    let components = Components::of(&whole);
    let count = match item.objects {
        ObjectChoice::Largest => 1,
        ObjectChoice::Each => components.len(),
    };
    let mut rows = Vec::new();
    for (component, index) in components.by_area().into_iter().take(count).enumerate() {
        let object = components.bitmap(index);
        let subject = Subject {
            frame: &frame,
            object: &object,
            whole: (component == 0).then_some(&whole),
            pixel_mm: row.pixel_mm,
            hc_mm: row.hc_mm.filter(|_| component == 0),
            key: format!("{}\n{}\n{}\n{component}", item.data, row.image_name, row.mask_name),
        };
        let answers = examine(predictor, &subject, questions)?;
        rows.push(Row {
            data: item.data.clone(),
            row: row.number,
            image: row.image_name.clone(),
            mask: row.mask_name.clone(),
            component,
            organ: row.organ.clone(),
            class: row.class.clone(),
            group: row.group.clone(),
            split: row.split.clone(),
            size: (frame.width(), frame.height()),
            area_px: object.area_px(),
            pixel_mm: row.pixel_mm,
            answers,
        });
    }
    Ok(done(rows, None))
}
