//! Where a finished *picture* (a canvas: one frame with its overlay) is shown or recorded, and where contacts come
//! from.
//!
//! | file | what |
//! |---|---|
//! | `window.rs` | a window under X11 or Wayland (feature `window`) |
//! | `record.rs` | a recorder: passes pictures to a writing thread and never waits for it |
//! | `gif_file.rs`, `y4m_file.rs`, `png_folder.rs` | the recorder's formats |
//! | `palette.rs` | the fixed 256 colours of a GIF |
//! | `kms.rs`, `framebuffer.rs` | a screen without a window system: DRM/KMS, or `/dev/fb0` (feature `kms`) |
//! | `surface.rs`, `console.rs` | pixels of such a screen; the text console beneath it |
//! | `touched.rs` | a screen with a touch panel on it (feature `touch`) |
//! | `flip.rs` | a simulated screen: shows nothing, at a given refresh rate |
//!
//! A display belongs to the thread that presents. It shows a picture unchanged: what may be drawn, and in which style,
//! was decided before.
//!
//! ```
//! use sonotap::display::{Display, NullDisplay, Presented};
//! use sonotap::overlay::Canvas;
//! use sonotap::units::{FrameId, Timestamp};
//! let mut display = NullDisplay::new(320, 240);
//! let shown = Presented { frame: Some(FrameId(1)), captured: Timestamp::from_ms(0), presented: Timestamp::from_ms(33) };
//! display.present(&Canvas::new(320, 240), &shown, &mut || true).unwrap();
//! assert_eq!(display.last(), Some(shown));
//! ```

#[cfg(feature = "kms")]
mod console;
mod flip;
#[cfg(feature = "kms")]
pub mod framebuffer;
#[cfg(feature = "gif")]
mod gif_file;
#[cfg(feature = "kms")]
pub mod kms;
#[cfg(feature = "gif")]
mod palette;
mod png_folder;
pub mod record;
mod sink;
pub mod surface;
#[cfg(feature = "touch")]
mod touched;
#[cfg(feature = "window")]
pub mod window;
mod y4m_file;

pub use flip::FlipDisplay;
pub use record::Recorder;
#[cfg(feature = "touch")]
pub use touched::Touched;
#[cfg(feature = "window")]
pub use window::Window;

use crate::error::Result;
use crate::glass::{DisplayTiming, Light};
use crate::input::Contact;
use crate::overlay::{Canvas, Control};
use crate::scene::Scene;
use crate::units::{FrameId, Timestamp};

/// The frame of a picture, and its times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presented {
    /// The frame.
    pub frame: Option<FrameId>,
    /// When the frame was captured, monotonic.
    pub captured: Timestamp,
    /// When the picture is presented, monotonic.
    pub presented: Timestamp,
}

/// The outcome of a presentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presentation {
    /// It is at the glass, since the given time.
    Lit(Light),
    /// It would have been too late and was not shown.
    Withheld,
    /// Another program has the screen at present.
    Away,
    /// It is on its way under this number; [`Display::arrivals`] says what became of it.
    Underway(u64),
}

/// What became of a picture that was [`Presentation::Underway`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its number.
    pub picture: u64,
    /// When it was at the glass; `None` if it never was.
    pub light: Option<Light>,
}

/// Whether the display is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It is open.
    Open,
    /// The operator closed the display.
    Closed,
}

/// A key pressed on a display with a keyboard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Key {
    /// Space bar.
    Space,
    /// Left arrow.
    Left,
    /// Right arrow.
    Right,
    /// Backspace or delete.
    Backspace,
    /// Enter.
    Enter,
    /// Escape: leaves what is open, or the program.
    Escape,
    /// A printable character of ASCII, as it was typed.
    Character(char),
}

/// Something that shows pictures.
pub trait Display {
    /// Width and height of the canvas that it expects next, display px.
    fn size(&self) -> (u32, u32);

    /// Display px per inch, for sizes in millimetres on the screen; 96 where the device does not report it.
    fn dpi(&self) -> f32;

    /// When pictures reach the glass.
    fn timing(&self) -> DisplayTiming {
        DisplayTiming::OnReturn
    }

    /// Shows a picture. A canvas of a different size is cropped, or padded with black, at the right and the bottom.
    ///
    /// When the picture is ready, as late as possible before it is shown, `is_in_time` is called; if it returns false,
    /// the previous picture stays.
    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation>;

    /// Shows the last picture again, where the display may have lost it.
    ///
    /// # Errors
    /// Those of [`Self::present`].
    fn present_again(&mut self, canvas: &Canvas, shown: &Presented) -> Result<()> {
        self.present(canvas, shown, &mut || true).map(drop)
    }

    /// Appends the contacts since the last call to `out`; `now` is their time and `shown` the frame on the screen.
    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence>;

    /// Appends the keys pressed up to the last call of [`Self::contacts`] to `out`.
    fn keys(&mut self, _out: &mut Vec<Key>) {}

    /// Appends what became of pictures under way since the last call to `out`, oldest first.
    fn arrivals(&mut self, _out: &mut Vec<Arrival>) {}

    /// Appends the controls pressed up to the last call of [`Self::contacts`] to `out`, for a display with controls of its own.
    fn controls(&mut self, _out: &mut Vec<Control>) {}

    /// Told before a picture is presented: what is on it, for a display with controls or words of its own.
    fn tell(&mut self, _scene: &Scene) {}

    /// Flushes and closes the display. Nothing may be presented afterwards.
    fn finish(&mut self) -> Result<()>;
}

impl<D: Display + ?Sized> Display for Box<D> {
    fn size(&self) -> (u32, u32) {
        (**self).size()
    }

    fn dpi(&self) -> f32 {
        (**self).dpi()
    }

    fn timing(&self) -> DisplayTiming {
        (**self).timing()
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        (**self).present(canvas, shown, is_in_time)
    }

    fn present_again(&mut self, canvas: &Canvas, shown: &Presented) -> Result<()> {
        (**self).present_again(canvas, shown)
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        (**self).contacts(now, shown, out)
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        (**self).keys(out);
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        (**self).arrivals(out);
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        (**self).controls(out);
    }

    fn tell(&mut self, scene: &Scene) {
        (**self).tell(scene);
    }

    fn finish(&mut self) -> Result<()> {
        (**self).finish()
    }
}

/// A display that shows nothing, for runs without a screen.
#[derive(Clone, Debug)]
pub struct NullDisplay {
    size: (u32, u32),
    dpi: f32,
    presented: u64,
    last: Option<Presented>,
}

impl NullDisplay {
    /// A display of that size, display px.
    pub fn new(width: u32, height: u32) -> Self {
        Self { size: (width, height), dpi: 96.0, presented: 0, last: None }
    }

    /// Sets the display px per inch.
    pub fn with_dpi(self, dpi: f32) -> Self {
        Self { dpi, ..self }
    }

    /// Number of pictures presented.
    pub fn presented(&self) -> u64 {
        self.presented
    }

    /// The last presentation.
    pub fn last(&self) -> Option<Presented> {
        self.last
    }
}

impl Display for NullDisplay {
    fn size(&self) -> (u32, u32) {
        self.size
    }

    fn dpi(&self) -> f32 {
        self.dpi
    }

    fn present(
        &mut self,
        _canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        if !is_in_time() {
            return Ok(Presentation::Withheld);
        }
        self.presented += 1;
        self.last = Some(*shown);
        Ok(Presentation::Lit(Light::Now))
    }

    fn contacts(&mut self, _now: Timestamp, _shown: Option<FrameId>, _out: &mut Vec<Contact>) -> Result<Presence> {
        Ok(Presence::Open)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Copies rows of 0x00RRGGBB pixels: what does not fit is cropped, the rest is black.
fn copy_fitting(from: &[u32], from_size: (u32, u32), to: &mut [u32], to_size: (u32, u32)) {
    if from_size == to_size {
        to.copy_from_slice(from);
        return;
    }
    let (from_width, to_width) = (from_size.0.max(1) as usize, to_size.0.max(1) as usize);
    let common = from_width.min(to_width);
    let mut rows = from.chunks_exact(from_width);
    for line in to.chunks_exact_mut(to_width) {
        match rows.next() {
            Some(row) => {
                line[..common].copy_from_slice(&row[..common]);
                line[common..].fill(0);
            }
            None => line.fill(0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_of_another_size_is_cut_and_padded() {
        let from: Vec<u32> = (1..=6).collect();
        let mut narrow = [9; 6];
        copy_fitting(&from, (3, 2), &mut narrow, (2, 3));
        assert_eq!(narrow, [1, 2, 4, 5, 0, 0]);
        let mut wide = [9; 4];
        copy_fitting(&from, (3, 2), &mut wide, (4, 1));
        assert_eq!(wide, [1, 2, 3, 0]);
    }

    #[test]
    fn null_display_counts() {
        let mut display = NullDisplay::new(8, 8);
        let canvas = Canvas::new(8, 8);
        for id in 1..=3 {
            let shown = Presented {
                frame: Some(FrameId(id)),
                captured: Timestamp::from_ns(id),
                presented: Timestamp::from_ns(id + 5),
            };
            display.present(&canvas, &shown, &mut || true).unwrap();
        }
        assert_eq!((display.presented(), display.last().and_then(|l| l.frame)), (3, Some(FrameId(3))));
    }
}
