//! Memory that begins at a line of the caches: a vector across two lines is read and written as two.

use std::ops::{Deref, DerefMut, Range};

/// A line of the caches, in values.
pub(super) const LINE: usize = 16;

/// Values that begin at a line of the caches, in memory that is used again.
#[derive(Default)]
pub(super) struct Memory {
    values: Vec<f32>,
    range: Range<usize>,
}

impl Memory {
    /// So many values; what is in them is left from before.
    pub fn sized(&mut self, len: usize) -> &mut [f32] {
        if self.values.len() < len + LINE {
            self.values = vec![0.0; len + LINE];
        }
        let from = self.values.as_ptr().align_offset(LINE * size_of::<f32>()).min(LINE);
        self.range = from..from + len;
        self
    }

    /// So many values, as slices that each begin at a line; what is in them is left from before.
    pub fn carved<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [f32]; N] {
        let whole = |n: usize| n.next_multiple_of(LINE);
        let mut rest = self.sized(lengths.map(whole).into_iter().sum());
        lengths.map(|n| {
            let lines = rest.split_off_mut(..whole(n)).unwrap_or_default();
            &mut lines[..n]
        })
    }
}

impl Deref for Memory {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.range.clone()]
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.range.clone()]
    }
}
