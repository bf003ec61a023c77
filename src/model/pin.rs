//! Pins a model folder in a profile, so that a different model with a valid manifest is not accepted in its place.
//!
//! The pin is the SHA-256 of `manifest.toml`, which contains those of all other files. `sonotap model verify` prints it.

use std::path::Path;

use super::manifest::hex_digest;
use crate::error::{Error, ErrorKind, Result};
use crate::text_file;

/// Most bytes of a manifest.
const MANIFEST_BYTES_MAX: usize = 1 << 20;

/// The pin of a model folder, 64 hexadecimal digits.
///
/// # Errors
/// `Io` when its manifest cannot be read.
pub fn pin_of(folder: &Path) -> Result<String> {
    let text = text_file::read(&folder.join("manifest.toml"), "a manifest", MANIFEST_BYTES_MAX)?;
    Ok(hex_digest(text.as_bytes()))
}

/// Refuses a model folder that is not the pinned one.
///
/// # Errors
/// `Model` when the pin differs; those of [`pin_of`].
pub fn check_pin(folder: &Path, pin: &str) -> Result<()> {
    let got = pin_of(folder)?;
    if got.eq_ignore_ascii_case(pin) {
        return Ok(());
    }
    let place = folder.display();
    Err(Error::new(ErrorKind::Model, format!("{place}: expected the model pinned as {pin:.16}.., got {got:.16}..")))
}

/// Whether a text can be a pin.
pub fn is_pin(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}
