//! One training example: a picture and two or more targets in it, so that only the prompt tells which is meant.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::picture::{Grey, Picture, SIDE, chance, warped_mask};
use super::sources::Sources;
use super::tasks::{AREA_MIN, part, region, scene, with_structure};
use super::views::{Object, View, random_placement, random_view, tone, zoomed};
use crate::eval::clicks::PixelClick;
use crate::eval::clicks::boxes::bounds_of;
use sonotap::error::{Error, ErrorKind, Result};
use sonotap::frame::Frame;
use sonotap::mask::Bitmap;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};

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
    /// Views that are squares of any scale around the first click, also such as cut the object.
    #[serde(default, skip_serializing_if = "is_none")]
    pub near: f32,
}

fn is_none(share: &f32) -> bool {
    *share == 0.0
}

/// What is meant.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// What is seen of it.
    pub mask: Bitmap,
    /// How much of it lies beyond the view, px of the view; `None` where that is not known.
    pub beyond_px: Option<f32>,
    /// The target some frames before, where that is known.
    pub before: Option<Bitmap>,
    /// The first click, where the view was chosen around it.
    pub click: Option<PixelClick>,
}

impl Target {
    /// All of it is seen.
    pub fn whole(mask: Bitmap) -> Self {
        Self { mask, beyond_px: Some(0.0), before: None, click: None }
    }

    /// Something found in, or drawn into, a view: in a view around a click nobody knows how it goes on beyond the edge.
    fn of_view(mask: Bitmap, is_near: bool) -> Self {
        let last = SIDE as u32 - 1;
        let is_cut =
            is_near && (0..=last).any(|i| mask.get(i, 0) || mask.get(0, i) || mask.get(i, last) || mask.get(last, i));
        Self { beyond_px: (!is_cut).then_some(0.0), ..Self::whole(mask) }
    }
}

/// A picture and its targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// What the network sees.
    pub picture: Picture,
    /// What may be meant.
    pub targets: Vec<Target>,
    /// The first target lies in the second, and both begin with the same click.
    pub is_nested: bool,
}

/// Draws made before an example is given up.
const DRAWS: usize = 50;

/// A random example.
///
/// # Errors
/// Those of [`Sources::draw`]; `Format` when many draws in a row gave nothing to see.
pub fn example(sources: &mut Sources, shares: &TaskShares, rng: &mut impl Rng) -> Result<Example> {
    for _ in 0..DRAWS {
        let (subject, before) = sources.draw(rng)?;
        let before = before.as_ref().and_then(|b| b.only());
        let Some(view) = random_view(&subject.grey, &subject.objects, before, shares.near, rng) else { continue };
        let found = if shares.phantom > 0.0 && chance(rng, shares.phantom) {
            phantom(shares, rng)?
        } else if chance(rng, shares.scene) {
            synthetic(&view.picture, shares, rng)
        } else if chance(rng, shares.part) {
            nested(&view, rng)
        } else {
            Some(real(view, shares, rng))
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
fn phantom(shares: &TaskShares, rng: &mut impl Rng) -> Result<Option<Example>> {
    let preset = PhantomPreset::ALL[rng.random_range(0..PhantomPreset::ALL.len())];
    let config = PhantomConfig { seed: rng.random(), ..PhantomConfig::default() };
    let mut phantom = Phantom::new(preset, config)?;
    let index = rng.random_range(FRAMES_BEFORE..FRAMES_BEFORE + phantom.loop_frames().max(1));
    let mut frame = Frame::default();
    phantom.render_at(index, &mut frame);
    let truth_at = |index| {
        let mut mask = Bitmap::new(frame.width(), frame.height());
        phantom.truth_at(index, &mut mask);
        mask
    };
    let (now, before) = (truth_at(index), truth_at(index - rng.random_range(1..=FRAMES_BEFORE)));
    let Some(bounds) = bounds_of(&now) else { return Ok(None) };
    let grey = Grey::of_frame(&frame);
    let object = Object { bounds: &bounds, mask: &now };
    let Some((placement, target)) = random_placement(&grey, object, shares.near, rng) else { return Ok(None) };
    let (picture, before) = (grey.warped(&placement.back), warped_mask(&before, &placement.back));
    if target.mask.area_px() < AREA_MIN || before.area_px() < AREA_MIN {
        return Ok(None);
    }
    let mut targets = vec![Target { before: Some(before), ..target }];
    add_regions(&mut targets, shares.targets, &picture, placement.click.is_some(), rng);
    Ok(Some(Example { picture, targets, is_nested: false }))
}

/// Adds regions that follow edges until there are `count` targets; where there is none, the first target again.
fn add_regions(targets: &mut Vec<Target>, count: usize, picture: &Picture, is_near: bool, rng: &mut impl Rng) {
    while targets.len() < count {
        let found = (0..3).find_map(|_| region(picture, rng));
        targets.push(found.map_or_else(|| targets[0].clone(), |mask| Target::of_view(mask, is_near)));
    }
}

fn synthetic(real: &Picture, shares: &TaskShares, rng: &mut impl Rng) -> Option<Example> {
    let (mut picture, masks) = scene(Some(real), rng);
    let mut targets: Vec<Target> = masks.iter().cloned().map(Target::whole).collect();
    if chance(rng, shares.near)
        && let Some(view) = zoomed(&picture, &masks, rng)
        && view.objects.len() >= shares.targets
    {
        (picture, targets) = (view.picture, view.objects);
    }
    (targets.len() >= shares.targets).then(|| {
        let targets = (0..shares.targets).map(|_| targets.swap_remove(rng.random_range(0..targets.len()))).collect();
        Example { picture, targets, is_nested: false }
    })
}

fn nested(view: &View, rng: &mut impl Rng) -> Option<Example> {
    let whole = &view.objects[0];
    let part = part(&view.picture, &whole.mask, rng)?;
    // How much of the part lies beyond is known when nothing of the whole does.
    let beyond_px = whole.beyond_px.filter(|px| *px == 0.0);
    let targets = vec![Target { beyond_px, ..Target::whole(part.mask) }, Target { click: None, ..whole.clone() }];
    Some(Example { picture: part.picture, targets, is_nested: true })
}

fn real(view: View, shares: &TaskShares, rng: &mut impl Rng) -> Example {
    let View { mut picture, mut objects, is_near } = view;
    let first = objects.remove(0);
    let mut targets = vec![first];
    if !objects.is_empty() && chance(rng, shares.second_object) {
        targets.push(objects.remove(0));
    }
    if targets.len() < shares.targets
        && chance(rng, shares.structure)
        && let Some(drawn) = with_structure(&picture, &targets[0].mask, rng)
    {
        picture = drawn.picture;
        let click = targets[0].click.filter(|c| drawn.target.get(c.x, c.y));
        targets[0] = Target { mask: drawn.target, click, ..targets[0].clone() };
        targets.push(Target::of_view(drawn.structure, is_near));
    }
    add_regions(&mut targets, shares.targets, &picture, is_near, rng);
    if chance(rng, shares.region)
        && let Some(other) = region(&picture, rng)
    {
        targets[0] = Target::of_view(other, is_near);
    }
    targets.truncate(shares.targets);
    Example { picture, targets, is_nested: false }
}
