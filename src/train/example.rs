//! One training example: a picture and two or more targets in it, so that only the prompt tells which is meant.

use rand::Rng;
use serde::{Deserialize, Serialize};

use super::picture::{Picture, chance};
use super::sources::Sources;
use super::tasks::{part, region, scene, with_structure};
use super::views::{random_view, tone};
use crate::error::{Error, ErrorKind, Result};
use crate::mask::Bitmap;

/// How often each kind of target is seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskShares {
    /// Targets a picture.
    pub targets: usize,
    /// Pictures that are synthetic scenes.
    pub scene: f32,
    /// Real pictures with an object's part and the whole as targets, from one first click.
    pub part: f32,
    /// Of the others, those that get one more structure drawn into them as a target.
    pub structure: f32,
    /// Of the others with several real objects, those whose second target is real.
    pub second_object: f32,
    /// Real objects that are replaced by a region that follows edges; all missing targets are such regions.
    pub region: f32,
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
        let found = if chance(rng, shares.scene) {
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

fn synthetic(real: &Picture, count: usize, rng: &mut impl Rng) -> Option<Example> {
    let (picture, mut masks) = scene(Some(real), rng);
    (masks.len() >= count).then(|| {
        let targets = (0..count).map(|_| masks.swap_remove(rng.random_range(0..masks.len()))).collect();
        Example { picture, targets, is_nested: false }
    })
}

fn nested(picture: &Picture, whole: &Bitmap, rng: &mut impl Rng) -> Option<Example> {
    let part = part(picture, whole, rng)?;
    Some(Example { picture: part.picture, targets: vec![part.mask, whole.clone()], is_nested: true })
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
    while targets.len() < shares.targets {
        let found = (0..3).find_map(|_| region(&picture, rng));
        targets.push(found.unwrap_or_else(|| targets[0].clone()));
    }
    if chance(rng, shares.region)
        && let Some(other) = region(&picture, rng)
    {
        targets[0] = other;
    }
    targets.truncate(shares.targets);
    Example { picture, targets, is_nested: false }
}
