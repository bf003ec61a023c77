//! The pixels that go to the screen: packed, of a size known at run time.

use std::convert::Infallible;

use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{Dimensions, OriginDimensions, Point as EgPoint, Size};
use embedded_graphics::pixelcolor::{IntoStorage, Rgb888};
use embedded_graphics::primitives::Rectangle;

/// Packed pixels, row-major, each `0x00RRGGBB`. Drawing outside is clipped, never an error.
///
/// It is an embedded-graphics `DrawTarget`.
///
/// ```
/// use sonotap::overlay::Canvas;
/// let mut canvas = Canvas::new(4, 3);
/// canvas.pixels_mut()[5] = 0x00FF8000;
/// assert_eq!(canvas.get(1, 1), Some(0x00FF8000));
/// assert_eq!(canvas.get(4, 0), None);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Canvas {
    width: u32,
    height: u32,
    pixels: Vec<u32>,
}

impl Canvas {
    /// A black canvas of `width` x `height` px.
    pub fn new(width: u32, height: u32) -> Self {
        Self { width, height, pixels: vec![0; width as usize * height as usize] }
    }

    /// px.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// px.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Row-major, `0x00RRGGBB`.
    pub fn pixels(&self) -> &[u32] {
        &self.pixels
    }

    /// Row-major, `0x00RRGGBB`.
    pub fn pixels_mut(&mut self) -> &mut [u32] {
        &mut self.pixels
    }

    /// A pixel; `None` outside.
    pub fn get(&self, x: u32, y: u32) -> Option<u32> {
        (x < self.width && y < self.height).then(|| self.pixels[y as usize * self.width as usize + x as usize])
    }

    /// Resizes the canvas; its pixels are undefined afterwards unless the size is unchanged. Reuses the buffer.
    pub fn resize(&mut self, width: u32, height: u32) {
        self.width = width;
        self.height = height;
        self.pixels.resize(width as usize * height as usize, 0);
    }

    /// Becomes a copy of `other`, reusing the buffer.
    pub fn copy_from(&mut self, other: &Self) {
        self.width = other.width;
        self.height = other.height;
        self.pixels.clone_from(&other.pixels);
    }

    /// Copies `tile` with its top left corner at (x, y); what does not fit is cut off.
    pub fn paste(&mut self, tile: &Self, x: u32, y: u32) {
        let columns = tile.width.min(self.width.saturating_sub(x)) as usize;
        let rows = tile.height.min(self.height.saturating_sub(y)) as usize;
        if columns == 0 {
            return;
        }
        let (pitch, tile_pitch) = (self.width as usize, tile.width as usize);
        for row in 0..rows {
            let to = (y as usize + row) * pitch + x as usize;
            let from = row * tile_pitch;
            self.pixels[to..to + columns].copy_from_slice(&tile.pixels[from..from + columns]);
        }
    }

    /// Bytes red, green, blue, row-major, for an encoder. Allocates.
    pub fn to_rgb(&self) -> Vec<u8> {
        self.pixels.iter().flat_map(|p| [(p >> 16) as u8, (p >> 8) as u8, *p as u8]).collect()
    }

    fn rows_of(&self, area: &Rectangle) -> Option<(usize, usize, usize, usize)> {
        let area = area.intersection(&self.bounding_box());
        let corner = area.bottom_right()?;
        Some((area.top_left.x as usize, area.top_left.y as usize, corner.x as usize + 1, corner.y as usize + 1))
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.width, self.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, pixels: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        for Pixel(EgPoint { x, y }, colour) in pixels {
            if x >= 0 && y >= 0 && (x as u32) < self.width && (y as u32) < self.height {
                self.pixels[y as usize * self.width as usize + x as usize] = colour.into_storage();
            }
        }
        Ok(())
    }

    fn fill_contiguous<I>(&mut self, area: &Rectangle, colours: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Rgb888>,
    {
        let Some((x0, y0, x1, y1)) = self.rows_of(area) else { return Ok(()) };
        let pitch = self.width as usize;
        let mut colours = colours.into_iter();
        for row in 0..area.size.height as i32 {
            for column in 0..area.size.width as i32 {
                let Some(colour) = colours.next() else { return Ok(()) };
                let (x, y) = (area.top_left.x + column, area.top_left.y + row);
                if x >= x0 as i32 && x < x1 as i32 && y >= y0 as i32 && y < y1 as i32 {
                    self.pixels[y as usize * pitch + x as usize] = colour.into_storage();
                }
            }
        }
        Ok(())
    }

    fn fill_solid(&mut self, area: &Rectangle, colour: Rgb888) -> Result<(), Infallible> {
        let Some((x0, y0, x1, y1)) = self.rows_of(area) else { return Ok(()) };
        let (pitch, value) = (self.width as usize, colour.into_storage());
        for y in y0..y1 {
            self.pixels[y * pitch + x0..y * pitch + x1].fill(value);
        }
        Ok(())
    }

    fn clear(&mut self, colour: Rgb888) -> Result<(), Infallible> {
        self.pixels.fill(colour.into_storage());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_graphics::mock_display::MockDisplay;
    use embedded_graphics::mono_font::MonoTextStyle;
    use embedded_graphics::mono_font::ascii::FONT_6X10;
    use embedded_graphics::prelude::*;
    use embedded_graphics::primitives::{Circle, PrimitiveStyle};
    use embedded_graphics::text::Text;
    use proptest::prelude::*;

    #[test]
    fn draws_the_same_as_the_reference_display() {
        let mut mock = MockDisplay::<Rgb888>::new();
        mock.set_allow_overdraw(true);
        let mut canvas = Canvas::new(64, 64);
        let style = MonoTextStyle::new(&FONT_6X10, Rgb888::WHITE);
        let circle =
            Circle::new(EgPoint::new(20, 20), 30).into_styled(PrimitiveStyle::with_fill(Rgb888::new(9, 80, 200)));
        circle.draw(&mut mock).unwrap();
        Text::new("sonotap", EgPoint::new(3, 12), style).draw(&mut mock).unwrap();
        circle.draw(&mut canvas).unwrap();
        Text::new("sonotap", EgPoint::new(3, 12), style).draw(&mut canvas).unwrap();
        for y in 0..64 {
            for x in 0..64 {
                let expected = mock.get_pixel(EgPoint::new(x, y)).map_or(0, |c| c.into_storage());
                assert_eq!(canvas.get(x as u32, y as u32), Some(expected), "at {x}, {y}");
            }
        }
    }

    #[test]
    fn paste_is_cut_at_the_edges() {
        let mut tile = Canvas::new(3, 3);
        tile.pixels_mut().fill(7);
        let mut canvas = Canvas::new(4, 4);
        canvas.paste(&tile, 2, 3);
        canvas.paste(&tile, 9, 9);
        assert_eq!(canvas.pixels().iter().filter(|&&p| p == 7).count(), 2);
        assert_eq!((canvas.get(2, 3), canvas.get(3, 3)), (Some(7), Some(7)));
    }

    proptest! {
        #[test]
        fn fast_paths_paint_the_same_pixels_as_single_pixels(
            x in -20i32..20, y in -20i32..20, w in 0u32..30, h in 0u32..30,
        ) {
            let area = Rectangle::new(EgPoint::new(x, y), Size::new(w, h));
            let colour = Rgb888::new(1, 2, 3);
            let mut single = Canvas::new(11, 9);
            single.draw_iter(area.points().map(|p| Pixel(p, colour))).unwrap();
            let mut solid = Canvas::new(11, 9);
            solid.fill_solid(&area, colour).unwrap();
            prop_assert_eq!(&single, &solid);
            let mut contiguous = Canvas::new(11, 9);
            contiguous.fill_contiguous(&area, std::iter::repeat_n(colour, (w * h) as usize)).unwrap();
            prop_assert_eq!(&single, &contiguous);
        }
    }
}
