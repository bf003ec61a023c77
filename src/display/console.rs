//! The text console under a screen: kept from writing over the picture, and given back at the end.
#![allow(unsafe_code, reason = "one ioctl with a number as its argument")]

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;

use crate::error::{Error, ErrorKind, Result};

const KDGETMODE: libc::c_ulong = 0x4B3B;
const KDSETMODE: libc::c_ulong = 0x4B3A;
const KD_GRAPHICS: libc::c_int = 1;

/// A console in graphics mode; dropping it, also while a panic unwinds, restores the mode it had.
pub struct Console {
    tty: File,
    mode: libc::c_int,
}

impl Console {
    /// Takes the console that is in front.
    ///
    /// # Errors
    /// `Unavailable` when there is none, or it may not be used.
    pub fn take() -> Result<Self> {
        let path = "/dev/tty0";
        let failed = |e| Error::caused(ErrorKind::Unavailable, format!("console {path}: cannot be used"), e);
        // Its group may write to it and not read.
        let tty = OpenOptions::new().write(true).open(path).map_err(failed)?;
        let mut mode: libc::c_int = 0;
        // SAFETY: KDGETMODE writes one int, to `mode`.
        if unsafe { libc::ioctl(tty.as_raw_fd(), KDGETMODE as _, std::ptr::from_mut(&mut mode)) } < 0 {
            return Err(failed(std::io::Error::last_os_error()));
        }
        let console = Self { tty, mode };
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

impl Drop for Console {
    fn drop(&mut self) {
        if let Err(e) = self.set(self.mode) {
            log::error!("console: its mode cannot be restored: {e}");
        }
    }
}
