//! The cine ring: the most recent frames, within a bound in bytes.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::frame::Frame;
use crate::units::FrameId;

/// Fewest frames that a ring holds, whatever they weigh: what is shown, and one step back.
pub const FRAMES_MIN: usize = 2;
/// Most frames that a ring holds, however light.
pub const FRAMES_MAX: usize = 512;

/// A ring of shared frames, oldest first. Its oldest frames go when it is full.
///
/// Guarantees: never more than [`FRAMES_MAX`] frames; never more than `bytes_max`, also when frames grow, but for its newest
/// [`FRAMES_MIN`]; adding a frame allocates nothing.
#[derive(Debug)]
pub struct CineRing {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    bytes_max: usize,
}

impl CineRing {
    /// An empty ring.
    pub fn new(bytes_max: usize) -> Self {
        Self { frames: VecDeque::with_capacity(FRAMES_MAX), bytes: 0, bytes_max }
    }

    /// Frames in it.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Bytes of the pixels of its frames.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the newest frame.
    pub fn push(&mut self, frame: Arc<Frame>) {
        self.bytes += frame.pixels().len();
        while self.frames.len() >= FRAMES_MIN && (self.bytes > self.bytes_max || self.frames.len() == FRAMES_MAX) {
            self.bytes -= self.frames.pop_front().map_or(0, |f| f.pixels().len());
        }
        self.frames.push_back(frame);
    }

    /// The frame at an index, 0 being the oldest.
    pub fn get(&self, index: usize) -> Option<&Arc<Frame>> {
        self.frames.get(index)
    }

    /// The frame `back` steps before the newest.
    pub fn nth_newest(&self, back: usize) -> Option<&Arc<Frame>> {
        self.len().checked_sub(back + 1).and_then(|i| self.get(i))
    }

    /// Where a frame is.
    pub fn index_of(&self, id: FrameId) -> Option<usize> {
        self.frames.binary_search_by_key(&Some(id), |f| f.id()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;
    use crate::units::Timestamp;

    fn frame(id: u64, edge: u32) -> Arc<Frame> {
        let mut frame = Frame::default();
        frame.reshape(edge, edge, PixelFormat::Grey8).unwrap();
        frame.stamp(FrameId(id), Timestamp::from_ns(id));
        Arc::new(frame)
    }

    #[test]
    fn a_full_ring_lets_its_oldest_go_and_never_grows() {
        let mut ring = CineRing::new(3 * 64);
        let weak: Vec<_> = (1..=5)
            .map(|id| {
                let f = frame(id, 8);
                ring.push(f.clone());
                Arc::downgrade(&f)
            })
            .collect();
        let ids: Vec<u64> = (0..ring.len()).map(|i| ring.get(i).unwrap().id().unwrap().0).collect();
        assert_eq!(ids, [3, 4, 5]);
        assert!(weak[0].upgrade().is_none() && weak[1].upgrade().is_none(), "a frame outlived the ring");
        assert_eq!(ring.nth_newest(0).unwrap().id(), Some(FrameId(5)));
        assert!(ring.nth_newest(3).is_none());
        assert_eq!(ring.index_of(FrameId(4)), Some(1));
        assert_eq!(ring.index_of(FrameId(2)), None);
    }

    #[test]
    fn a_ring_keeps_its_bytes_when_frames_grow() {
        let mut ring = CineRing::new(100_000);
        for id in 1..=1_000 {
            ring.push(frame(id, 10));
            assert!(ring.bytes() <= 100_000 && ring.len() <= FRAMES_MAX);
        }
        assert_eq!(ring.len(), FRAMES_MAX);
        for id in 1_001..=1_020 {
            ring.push(frame(id, 200));
            assert!(ring.bytes() <= 100_000, "{} bytes with frames of 40,000", ring.bytes());
        }
        assert_eq!(ring.len(), 2);
        ring.push(frame(1_021, 1_000));
        assert_eq!((ring.len(), ring.bytes()), (FRAMES_MIN, 1_040_000), "the newest two are kept whatever they weigh");
    }
}
