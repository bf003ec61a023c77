//! The overlay: what the screen shows, composed once per frame from the frame and its [`Scene`](crate::scene::Scene).
//!
//! | file | what |
//! |---|---|
//! | `canvas.rs` | the pixels that go to the screen |
//! | `blend.rs` | painting that cannot leave its clip: keep-outs hold here |
//! | `blit.rs` | the frame, scaled to the image area |
//! | `outline.rs` | which style an outline gets, and how it is drawn |
//! | `layout.rs` | where everything is, in millimetres of glass |
//! | `hud.rs` | composes the screen; `chrome.rs` draws controls, `marks.rs` prompts and labels on the frame, `panel.rs`
//! text around it |
//! | `pages.rs`, `by_hand.rs` | controls, marks and text of measuring by hand |
//! | `over.rs` | the same over a picture of the host's own |
//! | `still.rs` | an outlined still image for a file |
//! | `theme.rs`, `text.rs` | colours and typefaces |
//!
//! Invariants: only `Overlay::Exact` gets the fresh style ([`outline::style_of`]); no pixel of a keep-out is painted
//! over; "AI" and "Not for diagnostic use" cannot be switched off; after the first frame of a size nothing is
//! allocated.

pub mod blend;
pub mod blit;
mod by_hand;
mod canvas;
mod chrome;
mod hud;
pub mod layout;
mod marks;
pub mod outline;
mod over;
pub mod pages;
mod panel;
mod sign;
pub mod still;
pub mod text;
pub mod theme;

pub use blend::KeepOut;
pub use canvas::Canvas;
pub use hud::{Hud, HudView};
pub use layout::{Control, Handedness, Layout, LayoutConfig};
pub use over::{HostOverlay, Placed};
pub use sign::sign;

/// Tiles canvases, `columns` to a row; each row is as high as its highest tile, each column as wide as its widest.
///
/// ```
/// use sonotap::overlay::{Canvas, contact_sheet};
/// let (a, b, c) = (Canvas::new(10, 5), Canvas::new(4, 6), Canvas::new(3, 3));
/// let sheet = contact_sheet(&[&a, &b, &c], 2);
/// assert_eq!((sheet.width(), sheet.height()), (10 + 4 + 4, 6 + 4 + 3));
/// ```
pub fn contact_sheet(tiles: &[&Canvas], columns: usize) -> Canvas {
    const GAP: u32 = 4;
    let columns = columns.clamp(1, tiles.len().max(1));
    let rows = tiles.len().div_ceil(columns);
    let mut widths = vec![0; columns];
    let mut heights = vec![0; rows];
    for (i, tile) in tiles.iter().enumerate() {
        widths[i % columns] = widths[i % columns].max(tile.width());
        heights[i / columns] = heights[i / columns].max(tile.height());
    }
    let span = |sizes: &[u32]| sizes.iter().sum::<u32>() + GAP * (sizes.len() as u32).saturating_sub(1);
    let mut sheet = Canvas::new(span(&widths), span(&heights));
    sheet.pixels_mut().fill(theme::Theme::DARK.button_edge);
    for (i, tile) in tiles.iter().enumerate() {
        let start = |sizes: &[u32]| sizes.iter().map(|s| s + GAP).sum::<u32>();
        sheet.paste(tile, start(&widths[..i % columns]), start(&heights[..i / columns]));
    }
    sheet
}
