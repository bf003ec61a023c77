//! Fills a device's screen and panics when it is told to: a screen without a window system must give the console back all the same.
//!
//! ```text
//! cargo run --release --features kms --example screen_panics -- fbdev
//! ```
//!
//! Says `drawn`, then waits for a line or the end of its input. `tests/vm/guest/console.sh` holds what comes of it.

use std::path::Path;

use anyhow::{Result, bail};
use sonotap::display::framebuffer::Framebuffer;
use sonotap::display::kms::Kms;
use sonotap::display::{Display, Presented};
use sonotap::input::touch::Turn;
use sonotap::overlay::Canvas;
use sonotap::units::{FrameId, Timestamp};

/// That of LIVE, which the test looks for.
const COLOUR: u32 = 0x74_E08C;

fn main() -> Result<()> {
    let mut display: Box<dyn Display> = match std::env::args().nth(1).as_deref() {
        Some("fbdev") => Box::new(Framebuffer::open(Path::new("/dev/fb0"), Turn::None, None)?),
        Some("drm") => Box::new(Kms::open(None, Turn::None, None)?),
        other => bail!("expected fbdev or drm, got {other:?}"),
    };
    let (width, height) = display.size();
    let mut canvas = Canvas::new(width, height);
    canvas.pixels_mut().fill(COLOUR);
    let shown =
        Presented { frame: Some(FrameId(1)), captured: Timestamp::from_ms(0), presented: Timestamp::from_ms(0) };
    display.present(&canvas, &shown, &mut || true)?;
    println!("drawn");
    std::io::stdin().read_line(&mut String::new())?;
    panic!("the panic that was asked for, with the screen taken");
}
