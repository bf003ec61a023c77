//! The cine ring: the most recent frames, in fixed memory.

use std::sync::Arc;

use crate::frame::Frame;
use crate::units::FrameId;

/// Fewest frames that a ring holds, whatever they weigh.
const FRAMES_MIN: usize = 8;
/// Most frames that a ring holds, however light.
const FRAMES_MAX: usize = 512;

/// A ring of shared frames, oldest first. A full ring lets its oldest frame go.
#[derive(Debug)]
pub struct CineRing {
    frames: Vec<Option<Arc<Frame>>>,
    oldest: usize,
    len: usize,
}

impl CineRing {
    /// How many frames of `frame_bytes` fit into `bytes`; at least 8, at most 512.
    pub fn capacity_for(bytes: usize, frame_bytes: usize) -> usize {
        (bytes / frame_bytes.max(1)).clamp(FRAMES_MIN, FRAMES_MAX)
    }

    /// An empty ring for `capacity` frames (at least one).
    pub fn new(capacity: usize) -> Self {
        Self { frames: vec![None; capacity.max(1)], oldest: 0, len: 0 }
    }

    /// Frames that fit.
    pub fn capacity(&self) -> usize {
        self.frames.len()
    }

    /// Frames in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the newest frame.
    pub fn push(&mut self, frame: Arc<Frame>) {
        let at = (self.oldest + self.len) % self.frames.len();
        self.frames[at] = Some(frame);
        if self.len < self.frames.len() {
            self.len += 1;
        } else {
            self.oldest = (self.oldest + 1) % self.frames.len();
        }
    }

    /// The frame at an index, 0 being the oldest.
    pub fn get(&self, index: usize) -> Option<&Arc<Frame>> {
        if index >= self.len {
            return None;
        }
        self.frames[(self.oldest + index) % self.frames.len()].as_ref()
    }

    /// The frame `back` steps before the newest.
    pub fn from_newest(&self, back: usize) -> Option<&Arc<Frame>> {
        self.len.checked_sub(back + 1).and_then(|i| self.get(i))
    }

    /// Where a frame is.
    pub fn index_of(&self, id: FrameId) -> Option<usize> {
        (0..self.len).find(|&i| self.get(i).is_some_and(|f| f.id == id))
    }

    /// Lets all frames go.
    pub fn clear(&mut self) {
        self.frames.fill(None);
        (self.oldest, self.len) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(id: u64) -> Arc<Frame> {
        Arc::new(Frame { id: FrameId(id), ..Frame::default() })
    }

    #[test]
    fn a_full_ring_lets_its_oldest_go_and_never_grows() {
        let mut ring = CineRing::new(3);
        let weak: Vec<_> = (1..=5)
            .map(|id| {
                let f = frame(id);
                ring.push(f.clone());
                Arc::downgrade(&f)
            })
            .collect();
        let ids: Vec<u64> = (0..ring.len()).map(|i| ring.get(i).unwrap().id.0).collect();
        assert_eq!(ids, [3, 4, 5]);
        assert!(weak[0].upgrade().is_none() && weak[1].upgrade().is_none(), "a frame outlived the ring");
        assert_eq!(ring.from_newest(0).unwrap().id, FrameId(5));
        assert!(ring.from_newest(3).is_none());
        assert_eq!(ring.index_of(FrameId(4)), Some(1));
        assert_eq!(ring.index_of(FrameId(2)), None);
        assert_eq!(ring.capacity(), 3);
    }

    #[test]
    fn capacity_follows_the_bytes_within_its_bounds() {
        assert_eq!(CineRing::capacity_for(32 << 20, 640 * 480), 109);
        assert_eq!(CineRing::capacity_for(1, 640 * 480), 8);
        assert_eq!(CineRing::capacity_for(usize::MAX, 1), 512);
    }
}
