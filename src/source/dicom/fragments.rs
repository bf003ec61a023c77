//! Which fragments of encapsulated pixel data are which frame (PS3.5 A.4).

use std::ops::Range;

use super::coded;
use super::layout::FileLayout;
use crate::error::Result;

/// Ranges of fragments, one for each frame that is there, up to `frames`: one each, or by the offset table, or by where
/// a picture begins. `is_rle`: a frame of run lengths is always one fragment.
///
/// # Errors
/// `Io` when the file cannot be read.
pub(super) fn of_frames(
    layout: &FileLayout,
    offsets: &[u32],
    fragments: &[Range<usize>],
    frames: usize,
    is_rle: bool,
) -> Result<Vec<Range<usize>>> {
    let n = fragments.len();
    let each = |count: usize| (0..count.min(n)).map(|i| i..i + 1).collect::<Vec<_>>();
    if n == frames || is_rle {
        return Ok(each(frames));
    }
    let first = fragments.first().map_or(0, |f| f.start);
    let place = |offset: &u32| fragments.binary_search_by_key(&(first + *offset as usize), |f| f.start).ok();
    let by_table: Option<Vec<usize>> = offsets.iter().map(place).collect();
    let starts = match by_table {
        Some(starts) if starts.len() > 1 && starts.windows(2).all(|s| s[0] < s[1]) => starts,
        _ => {
            let mut starts = Vec::new();
            let mut head = Vec::new();
            for (i, fragment) in fragments.iter().enumerate() {
                head.clear();
                layout.store.read(fragment.start..fragment.end.min(fragment.start + 12), &mut head)?;
                if coded::is_start(&head) {
                    starts.push(i);
                }
            }
            starts
        }
    };
    let mut parts: Vec<Range<usize>> = starts.windows(2).map(|s| s[0]..s[1]).collect();
    parts.extend(starts.last().map(|&last| last..n));
    match parts.len() {
        // No picture begins as it should: the first fragments are what there is.
        0 if frames == 1 => Ok(std::iter::once(0..n).collect()),
        0 => Ok(each(frames)),
        _ => Ok(parts.into_iter().take(frames).collect()),
    }
}
