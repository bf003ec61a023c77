//! Test memory: an access beyond its end aborts the test; a write before its start is detected on drop.
#![allow(unsafe_code, reason = "pages of memory")]

use std::ops::{Deref, DerefMut};

/// Filler before the first line.
const CANARY: u8 = 0xa5;

/// Bytes that end at an inaccessible guard page.
pub(super) struct Bytes {
    pages: *mut u8,
    /// Bytes of all pages, the last of which is the guard.
    whole: usize,
    /// Bytes before the first.
    start: usize,
    len: usize,
}

impl Default for Bytes {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Bytes {
    fn new(len: usize) -> Self {
        // SAFETY: asks for a number.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let usable = len.next_multiple_of(page).max(page);
        let whole = usable + page;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new private pages at a place that the kernel chooses.
        let pages =
            unsafe { libc::mmap(std::ptr::null_mut(), whole, access, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1, 0) };
        assert_ne!(pages, libc::MAP_FAILED, "no pages");
        let pages = pages.cast::<u8>();
        // SAFETY: the last of these pages; the bytes before it.
        unsafe {
            assert_eq!(libc::mprotect(pages.add(usable).cast(), page, libc::PROT_NONE), 0, "no guard");
            pages.write_bytes(CANARY, usable - len);
        }
        Self { pages, whole, start: usable - len, len }
    }

    /// So many new bytes; a whole number of cache lines begins at one.
    pub(super) fn sized(&mut self, len: usize) -> &mut [u8] {
        *self = Self::new(len);
        self
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: pages come filled with zeros, and hold that many bytes.
        unsafe { std::slice::from_raw_parts(self.pages.add(self.start), self.len) }
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, borrowed alone.
        unsafe { std::slice::from_raw_parts_mut(self.pages.add(self.start), self.len) }
    }
}

impl Drop for Bytes {
    fn drop(&mut self) {
        // SAFETY: bytes of our own pages; nothing refers to them afterwards.
        let is_whole = unsafe {
            let before = std::slice::from_raw_parts(self.pages, self.start);
            let is_whole = before.iter().all(|b| *b == CANARY);
            libc::munmap(self.pages.cast(), self.whole);
            is_whole
        };
        assert!(is_whole || std::thread::panicking(), "something was written before a buffer");
    }
}

// SAFETY: pages are the owner's alone, like those of a vector.
unsafe impl Send for Bytes {}
// SAFETY: see above.
unsafe impl Sync for Bytes {}
