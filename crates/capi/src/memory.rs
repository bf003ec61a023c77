//! The library's heap, counted; and what a session will need of it, before it is opened.
//!
//! The count is of what this library asked the allocator for. The host's own allocations are not in it, nor are code and thread stacks.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

use sonotap::engine::cine;
use sonotap::frame::POOL_FRAMES_MIN;
use sonotap::pipeline::entry::FRAMES_ON_THE_WAY;

use crate::boundary::{Failure, Outcome};
use crate::types::{SONOTAP_E_MEMORY, SONOTAP_GREY, sonotap_config};

static HELD: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static HERE: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(change: isize) {
    HELD.fetch_add(change as usize, Ordering::Relaxed);
    // A thread that is ending frees what it had.
    let _ = HERE.try_with(|here| here.set(here.get() + change));
}

// SAFETY: every call is passed on to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the system allocator's.
        let block = unsafe { System.alloc(layout) };
        if !block.is_null() {
            count(layout.size() as isize);
        }
        block
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { System.alloc_zeroed(layout) };
        if !block.is_null() {
            count(layout.size() as isize);
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above; the block is from the system's allocator, as all are.
        unsafe { System.dealloc(block, layout) };
        count(-(layout.size() as isize));
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { System.realloc(block, layout, size) };
        if !moved.is_null() {
            count(size as isize - layout.size() as isize);
        }
        moved
    }
}

/// Bytes that the library holds now.
pub(crate) fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// Bytes that `work` left held on this thread.
pub(crate) fn held_by<T>(work: impl FnOnce() -> T) -> (T, usize) {
    let before = HERE.with(Cell::get);
    let value = work();
    (value, usize::try_from(HERE.with(Cell::get) - before).unwrap_or(0))
}

/// Heap of a session beside its model, frames and screens: motion, masks, outlines, prompts, channels. Measured with four objects;
/// `tests/memory.rs` holds it.
pub(crate) const SESSION_BYTES: usize = 12 << 20;
/// Copies of a drawn screen: the canvas, and the controls that are kept drawn.
const SCREENS: usize = 3;
const CINE_BYTES: usize = 32 << 20;

/// What a session may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Budget {
    /// Of the cine ring.
    pub cine_bytes: usize,
    /// Of one frame.
    pub frame_bytes_max: usize,
    /// Of one drawn picture, px.
    pub screen_px_max: usize,
}

impl Budget {
    /// Divides `memory_max_bytes`; the cine ring gets what is left, and no less than two frames.
    pub(crate) fn of(config: &sonotap_config, model_bytes: usize) -> Outcome<Self> {
        let wanted = match config.cine_bytes {
            0 => CINE_BYTES,
            bytes => usize::try_from(bytes).unwrap_or(usize::MAX),
        };
        if config.memory_max_bytes == 0 {
            return Ok(Self { cine_bytes: wanted, frame_bytes_max: usize::MAX, screen_px_max: usize::MAX });
        }
        let or = |v: u32, other: u32| if v == 0 { other as usize } else { v as usize };
        let colours = if config.flags & SONOTAP_GREY == 0 { 3 } else { 1 };
        let px = or(config.frame_width_max, 1280).saturating_mul(or(config.frame_height_max, 960));
        let frame = px.saturating_mul(colours);
        let screen = or(config.screen_width, 800).saturating_mul(or(config.screen_height, 480));
        // One more than are on their way: the one that is being filled.
        let on_the_way = frame.saturating_mul(FRAMES_ON_THE_WAY + 1);
        let least = on_the_way
            .saturating_add(frame.saturating_mul(cine::FRAMES_MIN))
            .max(frame.saturating_mul(POOL_FRAMES_MIN + 1));
        let fixed = SESSION_BYTES.saturating_add(model_bytes).saturating_add(screen.saturating_mul(4 * SCREENS));
        let needed = fixed.saturating_add(least);
        let max = usize::try_from(config.memory_max_bytes).unwrap_or(usize::MAX);
        if needed > max {
            return Err(Failure::new(
                SONOTAP_E_MEMORY,
                format!(
                    "memory_max_bytes: expected at least {needed} (model {model_bytes}, session {SESSION_BYTES}, frames {least}, \
                     screen {}), got {max}",
                    screen.saturating_mul(4 * SCREENS)
                ),
            ));
        }
        let left = max - fixed - on_the_way;
        Ok(Self { cine_bytes: wanted.min(left), frame_bytes_max: frame, screen_px_max: screen })
    }
}
