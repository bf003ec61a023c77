//! Memory of tests: what is read or written beyond its end ends the test, and what is written before it is found out.
#![allow(unsafe_code, reason = "pages of memory")]

use std::ops::{Deref, DerefMut};

use super::buffer::Line;

/// What lies before the first line.
const CANARY: u8 = 0xa5;

/// Lines that end where a page begins that nobody may touch.
pub(super) struct Lines {
    pages: *mut u8,
    /// Bytes of all pages, the last of which is the guard.
    len: usize,
    /// Bytes before the first line.
    start: usize,
    count: usize,
}

impl Lines {
    pub fn new(line: Line, count: usize) -> Self {
        // SAFETY: asks for a number; new private pages, which nobody else has.
        let (page, bytes) = (unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize, count * size_of::<Line>());
        let usable = bytes.next_multiple_of(page).max(page);
        let len = usable + page;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new private pages at a place that the kernel chooses.
        let pages =
            unsafe { libc::mmap(std::ptr::null_mut(), len, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(pages, libc::MAP_FAILED, "no pages");
        let pages = pages.cast::<u8>();
        // SAFETY: the last of these pages; the bytes before it.
        unsafe {
            assert_eq!(libc::mprotect(pages.add(usable).cast(), page, libc::PROT_NONE), 0, "no guard");
            pages.write_bytes(CANARY, usable - bytes);
        }
        let mut lines = Self { pages, len, start: usable - bytes, count };
        lines.fill(line);
        lines
    }
}

impl Deref for Lines {
    type Target = [Line];

    fn deref(&self) -> &[Line] {
        // SAFETY: written in `new`, as many as there is room for, aligned as pages are a multiple of lines.
        unsafe { std::slice::from_raw_parts(self.pages.add(self.start).cast(), self.count) }
    }
}

impl DerefMut for Lines {
    fn deref_mut(&mut self) -> &mut [Line] {
        // SAFETY: as above, borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.pages.add(self.start).cast(), self.count) }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // SAFETY: bytes of our own pages; nobody has them any more after that.
        let is_whole = unsafe {
            let before = std::slice::from_raw_parts(self.pages, self.start);
            let is_whole = before.iter().all(|b| *b == CANARY);
            libc::munmap(self.pages.cast(), self.len);
            is_whole
        };
        assert!(is_whole || std::thread::panicking(), "something was written before a buffer");
    }
}

// SAFETY: pages are the owner's alone, like those of a vector.
unsafe impl Send for Lines {}
// SAFETY: see above.
unsafe impl Sync for Lines {}
