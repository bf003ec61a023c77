//! The only places that read or write through a host's pointer. A structure begins with its size as the host's header has it: fields
//! beyond a smaller size get their defaults, and a larger one is taken if what is beyond ours is 0.

use std::ffi::{CStr, c_char};

use crate::boundary::{Failure, Outcome};
use crate::types::*;

/// No structure of any header will be larger.
const STRUCT_BYTES_MAX: usize = 4096;
/// Most bytes of one plane or picture.
const PLANE_BYTES_MAX: usize = 1 << 30;

/// A structure of plain numbers and pointers, for which all zeros are the defaults.
///
/// # Safety
/// The type is `repr(C)`, begins with `struct_size: u32`, and all zeros are a value of it.
// SAFETY: what an implementation promises is in the text above.
pub(crate) unsafe trait Sized32: Copy {
    /// Its name in the header.
    const NAME: &'static str;
}

macro_rules! sized {
    ($($name:ident),*) => {
        $(
            // SAFETY: `repr(C)`, the first field is `struct_size: u32`, every field is a number, a raw pointer, an array of such or an
            // `Option` of a function pointer.
            unsafe impl Sized32 for $name {
                const NAME: &'static str = stringify!($name);
            }
        )*
    };
}

sized!(sonotap_config, sonotap_frame, sonotap_scene, sonotap_object, sonotap_marker, sonotap_picture);

fn size_of_host<T: Sized32>(size: u32) -> Outcome<usize> {
    let size = size as usize;
    if !(8..=STRUCT_BYTES_MAX).contains(&size) {
        let (name, ours) = (T::NAME, size_of::<T>());
        return Err(Failure::argument(format!("{name}: expected struct_size {ours}, got {size}")));
    }
    Ok(size)
}

pub(crate) fn zeroed<T: Sized32>() -> T {
    // SAFETY: all zeros are a value of T.
    unsafe { std::mem::zeroed() }
}

/// A copy of a structure.
///
/// # Safety
/// `from` is NULL, or `struct_size` bytes can be read from it.
pub(crate) unsafe fn read<T: Sized32>(from: *const T) -> Outcome<T> {
    if from.is_null() {
        return Err(Failure::argument(format!("{}: expected a structure, got NULL", T::NAME)));
    }
    // SAFETY: the caller's; a structure begins with its size.
    let size = size_of_host::<T>(unsafe { from.cast::<u32>().read_unaligned() })?;
    let mut value = zeroed::<T>();
    let known = size.min(size_of::<T>());
    // SAFETY: both sides have `known` bytes; the value is plain and lies elsewhere.
    unsafe { std::ptr::copy_nonoverlapping(from.cast::<u8>(), (&raw mut value).cast::<u8>(), known) };
    // SAFETY: the host's structure has `size` bytes.
    let beyond = (known..size).find(|&at| unsafe { from.cast::<u8>().add(at).read() } != 0);
    if let Some(at) = beyond {
        return Err(Failure::argument(format!(
            "{}: expected 0 beyond the {} bytes that this version knows, got another value at {at}: the header is newer",
            T::NAME,
            size_of::<T>()
        )));
    }
    Ok(value)
}

/// Checks where a structure will be written; how many bytes the host has there.
///
/// # Safety
/// `to` is NULL, or four bytes can be read from it.
pub(crate) unsafe fn room<T: Sized32>(to: *const T) -> Outcome<usize> {
    if to.is_null() {
        return Err(Failure::argument(format!("{}: expected a structure, got NULL", T::NAME)));
    }
    // SAFETY: the caller's.
    size_of_host::<T>(unsafe { to.cast::<u32>().read_unaligned() })
}

/// Writes as much of a structure as the host's header knows, and zeros beyond what this library knows. Its size stays.
///
/// # Safety
/// `room` bytes can be written at `to`.
pub(crate) unsafe fn write<T: Sized32>(to: *mut T, room: usize, value: &T) {
    let known = room.min(size_of::<T>());
    let size = size_of::<u32>();
    let (to, from) = (to.cast::<u8>(), (&raw const *value).cast::<u8>());
    // SAFETY: both sides have `known` bytes, of which the first four are left as they are; the value lies elsewhere.
    unsafe { std::ptr::copy_nonoverlapping(from.add(size), to.add(size), known - size) };
    // SAFETY: there are `room` bytes.
    unsafe { std::ptr::write_bytes(to.add(known), 0, room - known) };
}

/// Bytes of a host.
///
/// # Safety
/// `len` bytes can be read from `from` for the lifetime, if it is not NULL.
pub(crate) unsafe fn bytes<'a>(what: &str, from: *const u8, len: usize) -> Outcome<&'a [u8]> {
    if from.is_null() || len > PLANE_BYTES_MAX {
        let got = if from.is_null() { "NULL".into() } else { format!("{len}") };
        return Err(Failure::argument(format!("{what}: expected at most {PLANE_BYTES_MAX} bytes, got {got}")));
    }
    // SAFETY: the caller's; not NULL.
    Ok(unsafe { std::slice::from_raw_parts(from, len) })
}

/// Bytes of a host to be written.
///
/// # Safety
/// `len` bytes can be read and written at `to` for the lifetime, by nobody else, if it is not NULL.
pub(crate) unsafe fn bytes_mut<'a>(what: &str, to: *mut u8, len: usize) -> Outcome<&'a mut [u8]> {
    if to.is_null() || len > PLANE_BYTES_MAX {
        let got = if to.is_null() { "NULL".into() } else { format!("{len}") };
        return Err(Failure::argument(format!("{what}: expected at most {PLANE_BYTES_MAX} bytes, got {got}")));
    }
    // SAFETY: the caller's; not NULL.
    Ok(unsafe { std::slice::from_raw_parts_mut(to, len) })
}

/// A list of a host; an empty one may be NULL.
///
/// # Safety
/// `len` values can be read from `from` for the lifetime, if it is not NULL.
pub(crate) unsafe fn list<'a, T>(what: &str, from: *const T, len: usize, most: usize) -> Outcome<&'a [T]> {
    if len == 0 {
        return Ok(&[]);
    }
    if from.is_null() || !from.is_aligned() || len > most {
        return Err(Failure::argument(format!("{what}: expected at most {most}, aligned, got {len} at {from:?}")));
    }
    // SAFETY: the caller's; not NULL and aligned.
    Ok(unsafe { std::slice::from_raw_parts(from, len) })
}

/// Writes a list where the host has room for `cap`; otherwise nothing.
///
/// # Safety
/// `cap` values can be written at `to`, if it is not NULL.
pub(crate) unsafe fn write_list<T: Copy>(to: *mut T, cap: usize, values: impl ExactSizeIterator<Item = T>) -> Outcome {
    if values.len() > cap {
        return Ok(SONOTAP_MORE);
    }
    if values.len() > 0 && to.is_null() {
        return Err(Failure::argument("expected a place for the list, got NULL"));
    }
    for (i, value) in values.enumerate() {
        // SAFETY: there are at least as many places as values.
        unsafe { to.add(i).write_unaligned(value) };
    }
    Ok(SONOTAP_OK)
}

/// A text of a host; `None` for NULL.
///
/// # Safety
/// `from` is NULL, or a text that ends in NUL and stays for the lifetime.
pub(crate) unsafe fn text<'a>(what: &str, from: *const c_char) -> Outcome<Option<&'a str>> {
    if from.is_null() {
        return Ok(None);
    }
    // SAFETY: the caller's.
    let text = unsafe { CStr::from_ptr(from) };
    let text = text.to_str().map_err(|e| Failure::argument(format!("{what}: expected UTF-8, got {e}")))?;
    Ok(Some(text))
}

/// Writes a text with its NUL where the host has room for `cap` bytes, and the bytes needed to `needed` in any case.
///
/// # Safety
/// `cap` bytes can be written at `to` and one value at `needed`, where they are not NULL.
pub(crate) unsafe fn write_text(text: &str, to: *mut c_char, cap: usize, needed: *mut usize) -> Outcome {
    let size = text.len() + 1;
    if !needed.is_null() {
        // SAFETY: the caller's.
        unsafe { needed.write_unaligned(size) };
    }
    if size > cap {
        return Ok(SONOTAP_MORE);
    }
    if to.is_null() {
        return Err(Failure::argument("expected a place for the text, got NULL"));
    }
    // SAFETY: there is room for the text and its NUL.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), to.cast::<u8>(), text.len());
        to.add(text.len()).write(0);
    }
    Ok(SONOTAP_OK)
}

/// Writes one value; nothing where the host passes NULL.
///
/// # Safety
/// `to` is NULL, or a value can be written there.
pub(crate) unsafe fn put<T: Copy>(to: *mut T, value: T) {
    if !to.is_null() {
        // SAFETY: the caller's.
        unsafe { to.write_unaligned(value) };
    }
}
