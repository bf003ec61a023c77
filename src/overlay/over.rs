//! A scene drawn over a picture of the host's own, by the rules of our screen.

use super::{Canvas, Hud, HudView, KeepOut, Layout};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::geometry::{Converter, DisplaySpace, Rect};
use crate::scene::{SCORE_LOW, Scene};
use crate::units::Score;

/// Where a host shows the frame in its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Placed {
    /// The frame fills this part of the picture, or as much of it as keeps its proportions, centred; display px.
    pub rect: Rect<DisplaySpace>,
    /// Display px per inch.
    pub dpi: f32,
    /// Whether left and right are swapped.
    pub is_mirrored: bool,
}

/// Draws outlines, prompts, chips, the fault of the signal, and a label with the mode, "AI" and "Not for diagnostic use"; everything
/// else of the picture stays as it is. After the first picture of a size nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct HostOverlay {
    hud: Hud,
    layout: Option<Layout>,
}

impl HostOverlay {
    /// Draws `scene`, which belongs to `frame`, over the frame as the host has drawn it.
    ///
    /// # Errors
    /// `Argument` when the place is not within the picture or keep-outs leave no corner for the label. Nothing is painted then.
    pub fn draw(
        &mut self,
        canvas: &mut Canvas,
        frame: &Frame,
        scene: &Scene,
        place: &Placed,
        keep_outs: &[KeepOut],
    ) -> Result<()> {
        let size = (canvas.width(), canvas.height());
        let is_known = |l: &&Layout| (l.size(), l.dpi(), l.image_area()) == (size, place.dpi, place.rect);
        if self.layout.as_ref().filter(is_known).is_none() {
            self.layout = Some(Layout::bare(size, place.dpi, place.rect)?);
        }
        let Some(layout) = &self.layout else { return Ok(()) };
        let view = HudView {
            to_display: Converter::fit(&frame.bounds(), &place.rect, place.is_mirrored),
            layout,
            keep_outs,
            pressed: None,
            low_score: Score::new(SCORE_LOW),
        };
        if self.hud.draw_over(canvas, frame, scene, &view) {
            return Ok(());
        }
        let Rect { x0, y0, x1, y1, .. } = place.rect;
        Err(Error::new(
            ErrorKind::Argument,
            format!(
                "overlay: expected a corner for \"Not for diagnostic use\" that no keep-out touches, got none in an image of {}x{} px",
                x1 - x0,
                y1 - y0
            ),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::PixelFormat;

    fn frame() -> Frame {
        Frame::from_pixels(320, 240, PixelFormat::Grey8, vec![60; 320 * 240]).unwrap()
    }

    fn place() -> Placed {
        Placed { rect: Rect::new(20.0, 10.0, 340.0, 250.0), dpi: 96.0, is_mirrored: false }
    }

    #[test]
    fn nothing_is_painted_beside_the_image_or_on_a_keep_out() {
        let mut canvas = Canvas::new(360, 260);
        canvas.pixels_mut().fill(0x112233);
        let keep_out = KeepOut { rect: Rect::new(0.0, 0.0, 160.0, 120.0) };
        HostOverlay::default().draw(&mut canvas, &frame(), &Scene::default(), &place(), &[keep_out]).unwrap();
        let mut painted = 0;
        for y in 0..260 {
            for x in 0..360 {
                let is_kept = !(20..340).contains(&x) || !(10..250).contains(&y) || (x < 180 && y < 130);
                let is_changed = canvas.get(x, y) != Some(0x112233);
                assert!(!(is_kept && is_changed), "{x}, {y}");
                painted += u32::from(is_changed);
            }
        }
        assert!(painted > 1_000, "the label and NO SIGNAL are painted: {painted} px");
    }

    #[test]
    fn without_room_for_the_label_nothing_is_painted_and_an_error_says_so() {
        let mut canvas = Canvas::new(360, 260);
        let all = KeepOut { rect: Rect::new(0.0, 0.0, 320.0, 240.0) };
        let e = HostOverlay::default().draw(&mut canvas, &frame(), &Scene::default(), &place(), &[all]).unwrap_err();
        assert!(e.to_string().contains("Not for diagnostic use"), "{e}");
        assert!(canvas.pixels().iter().all(|&p| p == 0));
        let outside = Placed { rect: Rect::new(100.0, 0.0, 400.0, 200.0), ..place() };
        assert!(HostOverlay::default().draw(&mut canvas, &frame(), &Scene::default(), &outside, &[]).is_err());
    }
}
