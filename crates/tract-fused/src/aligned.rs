//! Memory aligned to cache lines: a vector that crosses a line boundary costs two accesses.

use std::ops::{Deref, DerefMut, Range};

/// Size of a cache line, bytes.
pub const LINE: usize = 64;

/// Values aligned to a cache line, in memory that is reused.
#[derive(Default)]
pub struct Aligned<T> {
    values: Vec<T>,
    range: Range<usize>,
}

impl<T: Copy + Default> Aligned<T> {
    /// Values per cache line.
    pub const LINE: usize = LINE / size_of::<T>();

    /// `len` values; their content is left over from earlier uses.
    pub fn sized(&mut self, len: usize) -> &mut [T] {
        if self.values.len() < len + Self::LINE {
            self.values = vec![T::default(); len + Self::LINE];
        }
        let from = self.values.as_ptr().align_offset(LINE).min(Self::LINE);
        self.range = from..from + len;
        self
    }

    /// Pointer to the first value. Kernels read it for every tile, without a bounds check of the slice.
    pub fn as_ptr(&self) -> *const T {
        self.values.as_ptr().wrapping_add(self.range.start)
    }

    /// Slices of these lengths, each aligned to a cache line; their content is left over from earlier uses.
    pub fn carved<const N: usize>(&mut self, lengths: [usize; N]) -> [&mut [T]; N] {
        let whole = |n: usize| n.next_multiple_of(Self::LINE);
        let mut rest = self.sized(lengths.map(whole).into_iter().sum());
        lengths.map(|n| {
            let lines = rest.split_off_mut(..whole(n)).unwrap_or_default();
            &mut lines[..n]
        })
    }
}

impl<T: Copy + Default> From<Vec<T>> for Aligned<T> {
    fn from(values: Vec<T>) -> Self {
        let mut aligned = Self::default();
        aligned.sized(values.len()).copy_from_slice(&values);
        aligned
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values[self.range.clone()]
    }
}

impl<T> DerefMut for Aligned<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values[self.range.clone()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn carved_memory_begins_at_lines_and_parts_do_not_touch(lengths: [u8; 3], again: [u8; 3]) {
            let mut memory = Aligned::<f32>::default();
            for lengths in [lengths, again] {
                let parts = memory.carved(lengths.map(usize::from));
                for (i, (part, length)) in parts.into_iter().zip(lengths).enumerate() {
                    assert_eq!((part.len(), part.as_ptr().align_offset(LINE)), (usize::from(length), 0));
                    part.fill(i as f32);
                }
                for (i, part) in memory.carved(lengths.map(usize::from)).into_iter().enumerate() {
                    assert!(part.iter().all(|v| *v == i as f32));
                }
            }
        }
    }
}
