//! Detects repeated images and scene cuts.

use super::flow::FlowQuality;
use super::small_grey::{BLOCK_COLUMNS, BLOCK_ROWS, SmallGrey};

/// Correlation of block means below which two pictures differ in structure.
const STRUCTURE_MIN: f32 = 0.75;
/// Share of the difference that motion leaves, above which motion explains hardly anything.
const UNEXPLAINED_MIN: f32 = 0.5;
/// Blocks darker than this in both pictures are display background and are ignored, grey.
const DARK: f32 = 8.0;
/// Standard deviation of block means below which a picture has no structure, grey.
const FLAT: f32 = 2.0;

/// Correlation of the pictures' block means (Pearson), -1..=1, over the blocks that are not black in both.
///
/// 1 when neither has structure; 0 when only one has, or when they are not comparable.
pub fn structure_correlation(a: &SmallGrey, b: &SmallGrey) -> f32 {
    if !a.is_comparable(b) {
        return 0.0;
    }
    let mut count = 0.0f32;
    let [mut sa, mut sb, mut saa, mut sbb, mut sab] = [0.0f32; 5];
    for (&x, &y) in a.blocks().iter().zip(b.blocks()).filter(|(x, y)| x.max(**y) > DARK) {
        count += 1.0;
        (sa, sb) = (sa + x, sb + y);
        (saa, sbb, sab) = (saa + x * x, sbb + y * y, sab + x * y);
    }
    if count < (BLOCK_COLUMNS * BLOCK_ROWS / 16) as f32 {
        return 1.0;
    }
    let (ma, mb) = (sa / count, sb / count);
    let (va, vb) = ((saa / count - ma * ma).max(0.0), (sbb / count - mb * mb).max(0.0));
    match (va < FLAT * FLAT, vb < FLAT * FLAT) {
        (true, true) => 1.0,
        (false, false) => ((sab / count - ma * mb) / (va * vb).sqrt()).clamp(-1.0, 1.0),
        _ => 0.0,
    }
}

/// Whether there is a scene cut: the coarse structure differs, and motion explains hardly any of the difference.
///
/// `quality` is of the flow between the two.
pub fn is_scene_cut(earlier: &SmallGrey, later: &SmallGrey, quality: &FlowQuality) -> bool {
    !earlier.is_comparable(later)
        || (structure_correlation(earlier, later) < STRUCTURE_MIN && quality.unexplained() > UNEXPLAINED_MIN)
}

/// Whether the image is repeated: all pixels of the small pictures are equal.
pub fn is_repeat(a: &SmallGrey, b: &SmallGrey) -> bool {
    a.is_comparable(b) && a.pixels() == b.pixels()
}
