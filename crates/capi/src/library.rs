//! Functions of the library itself.

use std::ffi::{c_char, c_void};

use crate::boundary::{call, with_last_error};
use crate::types::*;
use crate::{log, memory, raw};

/// SONOTAP_ABI of the library that is linked. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_abi() -> u32 {
    SONOTAP_ABI
}

/// Version of the library that is linked, such as "0.1.0". It stays. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    VERSION.as_ptr().cast()
}

/// A status as a word: "LATE". It stays. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_status_name(status: sonotap_status) -> *const c_char {
    let name = match status {
        SONOTAP_OK => c"OK",
        SONOTAP_NOTHING_NEW => c"NOTHING_NEW",
        SONOTAP_REPLACED => c"REPLACED",
        SONOTAP_MORE => c"MORE",
        SONOTAP_LATE => c"LATE",
        SONOTAP_NO_ROOM => c"NO_ROOM",
        SONOTAP_E_ARGUMENT => c"E_ARGUMENT",
        SONOTAP_E_IO => c"E_IO",
        SONOTAP_E_FORMAT => c"E_FORMAT",
        SONOTAP_E_UNSUPPORTED => c"E_UNSUPPORTED",
        SONOTAP_E_CONFIG => c"E_CONFIG",
        SONOTAP_E_MODEL => c"E_MODEL",
        SONOTAP_E_UNAVAILABLE => c"E_UNAVAILABLE",
        SONOTAP_E_THREAD => c"E_THREAD",
        SONOTAP_E_PANIC => c"E_PANIC",
        SONOTAP_E_FULL => c"E_FULL",
        SONOTAP_E_HANDLE => c"E_HANDLE",
        SONOTAP_E_MEMORY => c"E_MEMORY",
        _ => c"UNKNOWN",
    };
    name.as_ptr()
}

/// The text of this thread's last error: what was expected, what came, where. Writes at most cap bytes, NUL included, and returns the
/// length without NUL, as snprintf does. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_last_error(text: *mut c_char, cap: usize) -> usize {
    let write = |last: &str| {
        // Cut between characters.
        let mut kept = last.len().min(cap.saturating_sub(1));
        while !last.is_char_boundary(kept) {
            kept -= 1;
        }
        if cap > 0 && !text.is_null() {
            // SAFETY: the host has `cap` bytes there; the text that is kept and its NUL are no more.
            unsafe { raw::write_text(&last[..kept], text, cap, std::ptr::null_mut()) }.ok();
        }
        last.len()
    };
    with_last_error(write).unwrap_or(0)
}

/// Sends log lines up to level_max (1 errors, 2 warnings, 3 information) to log; NULL for none, which is how it begins. It waits for
/// calls of the callback before that are under way; afterwards that is not called again. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_set_log(log: sonotap_log_fn, user: *mut c_void, level_max: i32) -> sonotap_status {
    call(|| {
        log::set(log, user, level_max);
        Ok(SONOTAP_OK)
    })
}

/// Heap that this library holds now, all models and sessions together, bytes. [any]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_memory_bytes() -> u64 {
    memory::held() as u64
}
