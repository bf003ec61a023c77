//! One training example: a picture and two or more targets in it, so that only the prompt tells which is meant.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::picture::{Grey, Picture, chance, warped_mask};
use super::sources::Sources;
use super::tasks::{AREA_MIN, part, region, scene, with_structure};
use super::views::{random_placement, random_view, tone};
use crate::error::{Error, ErrorKind, Result};
use crate::eval::clicks::boxes::bounds_of;
use crate::frame::Frame;
use crate::mask::Bitmap;
use crate::source::phantom::{Phantom, PhantomConfig, Preset};

/// How often each kind of target is seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskShares {
    /// Targets a picture.
    pub targets: usize,
    /// Pictures that are synthetic scenes.
    pub scene: f32,
    /// Pictures of the B-mode phantom, with the structure's true mask of some frames before for prompts that are carried.
    #[serde(default, skip_serializing_if = "is_none")]
    pub phantom: f32,
    /// Real pictures with an object's part and the whole as targets, from one first click.
    pub part: f32,
    /// Of the others, those that get one more structure drawn into them as a target.
    pub structure: f32,
    /// Of the others with several real objects, those whose second target is real.
    pub second_object: f32,
    /// Real objects that are replaced by a region that follows edges; all missing targets are such regions.
    pub region: f32,
}

fn is_none(share: &f32) -> bool {
    *share == 0.0
}

/// A picture and its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What the network sees.
    pub picture: Picture,
    /// What is meant, one mask each.
    pub targets: Vec<Bitmap>,
    /// The first target lies in the second, and both begin with the same click.
    pub is_nested: bool,
    /// The first target some frames before, where that is known.
    pub before: Option<Bitmap>,
}

/// Draws made before an example is given up.
const DRAWS: usize = 50;

/// A random example.
///
/// # Errors
/// Those of [`Sources::draw`]; `Format` when many draws in a row gave nothing to see.
pub fn example(sources: &mut Sources, shares: &TaskShares, rng: &mut impl Rng) -> Result<Example> {
    for _ in 0..DRAWS {
        let subject = sources.draw(rng)?;
        let Some(view) = random_view(&subject.grey, &subject.objects, rng) else { continue };
        let found = if shares.phantom > 0.0 && chance(rng, shares.phantom) {
            phantom(shares.targets, rng)?
        } else if chance(rng, shares.scene) {
            synthetic(&view.picture, shares.targets, rng)
        } else if chance(rng, shares.part) {
            nested(&view.picture, &view.objects[0], rng)
        } else {
            Some(real(view.picture, view.objects, shares, rng))
        };
        if let Some(example) = found {
            return Ok(Example { picture: tone(example.picture, rng), ..example });
        }
    }
    Err(Error::new(ErrorKind::Format, format!("data: expected a usable view in {DRAWS} draws, got none")))
}

/// Most frames between a phantom's picture and the mask before.
const FRAMES_BEFORE: u64 = 8;

/// A frame of a random phantom: its structure, and regions beside it.
fn phantom(count: usize, rng: &mut impl Rng) -> Result<Option<Example>> {
    let preset = Preset::ALL[rng.random_range(0..Preset::ALL.len())];
    let config = PhantomConfig { seed: rng.random(), ..PhantomConfig::default() };
    let mut phantom = Phantom::new(preset, config)?;
    let index = rng.random_range(FRAMES_BEFORE..FRAMES_BEFORE + phantom.loop_frames().max(1));
    let mut frame = Frame::default();
    phantom.render_at(index, &mut frame);
    let truth_at = |index| {
        let mut mask = Bitmap::new(frame.width, frame.height);
        phantom.truth_at(index, &mut mask);
        mask
    };
    let (now, before) = (truth_at(index), truth_at(index - rng.random_range(1..=FRAMES_BEFORE)));
    let Some(bounds) = bounds_of(&now) else { return Ok(None) };
    let grey = Grey::of_frame(&frame);
    let Some(back) = random_placement(&grey, &bounds, rng) else { return Ok(None) };
    let (picture, target, before) = (grey.warped(&back), warped_mask(&now, &back), warped_mask(&before, &back));
    if target.area_px() < AREA_MIN || before.area_px() < AREA_MIN {
        return Ok(None);
    }
    let mut targets = vec![target];
    add_regions(&mut targets, count, &picture, rng);
    Ok(Some(Example { picture, targets, is_nested: false, before: Some(before) }))
}

/// Adds regions that follow edges until there are `count` targets; where there is none, the first target again.
fn add_regions(targets: &mut Vec<Bitmap>, count: usize, picture: &Picture, rng: &mut impl Rng) {
    while targets.len() < count {
        let found = (0..3).find_map(|_| region(picture, rng));
        targets.push(found.unwrap_or_else(|| targets[0].clone()));
    }
}

fn synthetic(real: &Picture, count: usize, rng: &mut impl Rng) -> Option<Example> {
    let (picture, mut masks) = scene(Some(real), rng);
    (masks.len() >= count).then(|| {
        let targets = (0..count).map(|_| masks.swap_remove(rng.random_range(0..masks.len()))).collect();
        Example { picture, targets, is_nested: false, before: None }
    })
}

fn nested(picture: &Picture, whole: &Bitmap, rng: &mut impl Rng) -> Option<Example> {
    let part = part(picture, whole, rng)?;
    Some(Example { picture: part.picture, targets: vec![part.mask, whole.clone()], is_nested: true, before: None })
}

fn real(mut picture: Picture, mut objects: Vec<Bitmap>, shares: &TaskShares, rng: &mut impl Rng) -> Example {
    let first = objects.remove(0);
    let mut targets = vec![first];
    if !objects.is_empty() && chance(rng, shares.second_object) {
        targets.push(objects.remove(0));
    }
    if targets.len() < shares.targets
        && chance(rng, shares.structure)
        && let Some(drawn) = with_structure(&picture, &targets[0], rng)
    {
        picture = drawn.picture;
        targets[0] = drawn.target;
        targets.push(drawn.structure);
    }
    add_regions(&mut targets, shares.targets, &picture, rng);
    if chance(rng, shares.region)
        && let Some(other) = region(&picture, rng)
    {
        targets[0] = other;
    }
    targets.truncate(shares.targets);
    Example { picture, targets, is_nested: false, before: None }
}
