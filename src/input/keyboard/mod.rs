//! Keys that are no part of the screen: pedals, buttons, and scanners that type what they read.
//!
//! A device of the profile's `[[keyboard]]` sections either presses controls or is a scanner: what a scanner types up to Enter is
//! an identifier, and presses nothing.
//!
//! | file | what |
//! |---|---|
//! | `decoder.rs` | key events to commands and scans |
//! | `keymap.rs` | the kernel's numbers of keys |
//! | `evdev.rs` | the devices, found again after they were unplugged (feature `touch`) |

pub mod decoder;
#[cfg(feature = "touch")]
pub mod evdev;
mod keymap;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use decoder::{Decoder, KeyPress, Scan};
pub use keymap::code_of;

/// What a key of a pedal or a button does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyAction {
    /// As the control: pressed a still, held the cine.
    Save,
    /// A still.
    SaveStill,
    /// The cine.
    SaveCine,
    /// Freeze, or go live.
    Freeze,
    /// Undo.
    Undo,
    /// Redo.
    Redo,
    /// Clear.
    Clear,
    /// A new object.
    NewObject,
    /// Taps include.
    Include,
    /// Taps exclude.
    Exclude,
    /// Next fill.
    Fill,
    /// One frame back.
    StepBack,
    /// One frame forward.
    StepForward,
    /// The page of the exam.
    Exam,
}

/// A pedal, a button or a scanner: section `[[keyboard]]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct KeyboardProfile {
    /// A device file, as udev names it.
    pub path: Option<PathBuf>,
    /// A part of the device's name.
    pub name: Option<String>,
    /// It types identifiers that it reads, each ended by Enter.
    pub scanner: bool,
    /// What its keys do: names as `F1`, `SPACE`, `PAGEDOWN`, or the kernel's numbers.
    pub keys: BTreeMap<String, KeyAction>,
}
