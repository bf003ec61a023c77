//! Memory of an image with a halo: rows and columns of the zero point around it, written once.

use super::network::{Pads, Shape};
#[cfg(not(test))]
use crate::aligned::Aligned;
use crate::aligned::LINE;

/// Bytes after the last row that vector loads may read.
const BEYOND: usize = 4 * LINE;

#[cfg(not(test))]
type Bytes = Aligned<u8>;
#[cfg(test)]
type Bytes = super::guarded::Bytes;

/// Layout of an image in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Bytes from pixel to pixel: the number of channels, rounded up to a multiple of 8 if it is 8 or more.
    pub pixel: usize,
    /// Bytes from row to row.
    pub row: usize,
    /// Bytes before the first pixel.
    pub start: usize,
    pub height: usize,
    pub width: usize,
    pub pads: Pads,
}

impl Layout {
    /// The layout of an image with this padding; one more row can be read below it.
    pub(super) fn new(shape: Shape, pads: Pads) -> Self {
        let c = shape.channels;
        let pixel = if c < 8 { c } else { c.next_multiple_of(8) };
        let left = (pads.left * pixel).next_multiple_of(LINE);
        let mut row = (left + (shape.width + pads.right) * pixel).next_multiple_of(LINE);
        // Rows a multiple of 4 KiB apart would share the same sets of the L1 cache.
        if row % 4096 < 256 || row % 4096 > 3840 {
            row += 5 * LINE;
        }
        Self { pixel, row, start: pads.top * row + left, height: shape.height, width: shape.width, pads }
    }

    /// Offset of a pixel from the first one, bytes.
    pub(super) fn offset(&self, y: usize, x: usize) -> usize {
        y * self.row + x * self.pixel
    }

    /// Bytes of the whole layout.
    fn bytes(&self) -> usize {
        (self.pads.top + self.height + self.pads.bottom + 1) * self.row + BEYOND
    }
}

/// Bytes aligned to a cache line.
pub(super) struct Memory(Bytes);

impl Memory {
    /// Memory for one image at a time, of any of these layouts.
    pub(super) fn new(layouts: impl IntoIterator<Item = Layout>, fill: u8) -> Self {
        let mut bytes = Bytes::default();
        bytes.sized(layouts.into_iter().map(|l| l.bytes()).max().unwrap_or(0)).fill(fill);
        Self(bytes)
    }

    /// Pointer to the first pixel of an image of this layout.
    pub(super) fn start(&self, layout: &Layout) -> *const u8 {
        self.0.as_ptr().wrapping_add(layout.start)
    }

    /// Pointer to the first pixel of an image of this layout.
    pub(super) fn start_mut(&mut self, layout: &Layout) -> *mut u8 {
        self.0.as_mut_ptr().wrapping_add(layout.start)
    }

    /// All bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// All bytes.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }

    /// Number of bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A tensor that is kept whole.
pub(super) struct Buffer {
    pub memory: Memory,
    pub layout: Layout,
}

impl Buffer {
    /// Filled with `zero`.
    pub(super) fn new(layout: Layout, zero: u8) -> Self {
        Self { memory: Memory::new([layout], zero), layout }
    }

    /// The pixels of a row.
    pub(super) fn row(&self, y: usize) -> &[u8] {
        let l = &self.layout;
        &self.memory.bytes()[l.start + y * l.row..][..l.width * l.pixel]
    }

    /// The pixels of a row.
    pub(super) fn row_mut(&mut self, y: usize) -> &mut [u8] {
        let l = self.layout;
        &mut self.memory.bytes_mut()[l.start + y * l.row..][..l.width * l.pixel]
    }
}
