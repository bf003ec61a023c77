//! The text console beneath a screen: kept from drawing over the picture, and restored at the end.
//!
//! A killed program cannot restore it, and nothing else does. The next program to take it finds graphics mode without
//! an owner, and restores text mode.
#![allow(unsafe_code, reason = "ioctls on a number or a small structure")]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::error::{Error, ErrorKind, Result};

const KDGETMODE: libc::c_ulong = 0x4B3B;
const KDSETMODE: libc::c_ulong = 0x4B3A;
const KD_TEXT: libc::c_int = 0;
const KD_GRAPHICS: libc::c_int = 1;
const VT_GETMODE: libc::c_ulong = 0x5601;
/// The kernel switches consoles, not a program that draws there.
const VT_AUTO: u8 = 0;

/// `struct vt_mode` of linux/vt.h.
#[repr(C)]
#[derive(Default)]
struct VtMode {
    mode: u8,
    waits: u8,
    signals: [libc::c_short; 3],
}

/// A console in graphics mode. Dropping it, also during a panic, restores its former mode, or text mode where the
/// former owner was killed.
pub(super) struct Console {
    tty: File,
    mode: libc::c_int,
}

impl Console {
    /// Takes the active console.
    ///
    /// # Errors
    /// `Unavailable` when there is none, or access is denied.
    pub(super) fn take() -> Result<Self> {
        let path = "/dev/tty0";
        let failed = |e| Error::caused(ErrorKind::Unavailable, format!("console {path}: cannot be used"), e);
        // Its group may write and not read.
        let tty = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let mut mode: libc::c_int = 0;
        // SAFETY: KDGETMODE writes one int, to `mode`.
        if unsafe { libc::ioctl(tty.as_raw_fd(), KDGETMODE as _, std::ptr::from_mut(&mut mode)) } < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let mut vt = VtMode::default();
        // SAFETY: VT_GETMODE writes one `vt_mode`, whose layout `VtMode` has (a test holds its size).
        let told = unsafe { libc::ioctl(tty.as_raw_fd(), VT_GETMODE as _, std::ptr::from_mut(&mut vt)) };
        let console = Self { tty, mode: mode_after(mode, (told >= 0).then_some(vt.mode)) };
        console.set(KD_GRAPHICS).map_err(failed)?;
        Ok(console)
    }

    fn set(&self, mode: libc::c_int) -> std::io::Result<()> {
        // SAFETY: KDSETMODE takes its argument as a number and touches no memory of ours.
        match unsafe { libc::ioctl(self.tty.as_raw_fd(), KDSETMODE as _, libc::c_long::from(mode)) } {
            0.. => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        }
    }
}

/// The mode to restore, from the mode that was found; `switching` is the console's switching mode, where it is known.
fn mode_after(found: libc::c_int, switching: Option<u8>) -> libc::c_int {
    // A display server takes part in switching; graphics mode without one was left by a killed program.
    if found == KD_GRAPHICS && switching == Some(VT_AUTO) { KD_TEXT } else { found }
}

impl Drop for Console {
    fn drop(&mut self) {
        if let Err(e) = self.set(self.mode) {
            log::error!("console: its mode cannot be restored: {e}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VT_PROCESS: u8 = 1;

    #[test]
    fn the_structure_is_that_of_the_kernel() {
        assert_eq!(size_of::<VtMode>(), 8);
    }

    #[test]
    fn graphics_that_a_killed_program_left_becomes_text_and_those_of_a_display_server_stay() {
        assert_eq!(mode_after(KD_TEXT, Some(VT_AUTO)), KD_TEXT);
        assert_eq!(mode_after(KD_GRAPHICS, Some(VT_AUTO)), KD_TEXT);
        assert_eq!(mode_after(KD_GRAPHICS, Some(VT_PROCESS)), KD_GRAPHICS);
        assert_eq!(mode_after(KD_GRAPHICS, None), KD_GRAPHICS);
    }
}
