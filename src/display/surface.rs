//! From a canvas to the memory of a screen: pixel layout, stride, rotation. Pure.

use crate::input::touch::Turn;
use crate::overlay::Canvas;

/// How a screen stores a pixel: bits of red, green and blue in a little-endian word of `bytes` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelLayout {
    bytes: usize,
    red: Bits,
    green: Bits,
    blue: Bits,
    /// Bits that are set in every pixel, such as alpha.
    rest: u32,
}

/// Position of a colour within a pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// Lowest bit.
    pub offset: u32,
    /// Number of bits, 1 to 8.
    pub length: u32,
}

impl PixelLayout {
    /// Four bytes: blue, green, red, unused.
    pub const XRGB8888: Self = Self {
        bytes: 4,
        red: Bits { offset: 16, length: 8 },
        green: Bits { offset: 8, length: 8 },
        blue: Bits { offset: 0, length: 8 },
        rest: 0,
    };
    /// Two bytes: 5 bits of red, 6 of green, 5 of blue.
    pub const RGB565: Self = Self {
        bytes: 2,
        red: Bits { offset: 11, length: 5 },
        green: Bits { offset: 5, length: 6 },
        blue: Bits { offset: 0, length: 5 },
        rest: 0,
    };

    /// A layout of 16, 24 or 32 bits per pixel; `None` for others, and where colours overlap or exceed the pixel.
    pub fn new(bits_per_pixel: u32, red: Bits, green: Bits, blue: Bits, alpha: Option<Bits>) -> Option<Self> {
        let bytes = match bits_per_pixel {
            16 | 24 | 32 => bits_per_pixel as usize / 8,
            _ => return None,
        };
        let mask = |b: Bits| {
            let fits = (1..=8).contains(&b.length) && b.offset + b.length <= bits_per_pixel;
            fits.then(|| ((1u32 << b.length) - 1) << b.offset)
        };
        let (r, g, b) = (mask(red)?, mask(green)?, mask(blue)?);
        let is_apart = r & g == 0 && g & b == 0 && r & b == 0;
        let rest = alpha.and_then(mask).unwrap_or(0) & !(r | g | b);
        is_apart.then_some(Self { bytes, red, green, blue, rest })
    }

    /// Bytes per pixel.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Converts 0x00RRGGBB to this layout.
    fn word(&self, rgb: u32) -> u32 {
        let part = |shift: u32, b: Bits| (((rgb >> shift) & 0xFF) >> (8 - b.length)) << b.offset;
        part(16, self.red) | part(8, self.green) | part(0, self.blue) | self.rest
    }
}

/// The memory of a screen, in scan-out orientation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surface {
    /// px.
    pub width: u32,
    /// px.
    pub height: u32,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Layout of a pixel.
    pub layout: PixelLayout,
    /// Clockwise rotation of the picture on its way to the screen.
    pub turn: Turn,
}

impl Surface {
    /// Size of the memory, bytes.
    pub fn bytes(&self) -> usize {
        self.stride * self.height as usize
    }

    /// Size of the canvas that fills it, px, in viewing orientation.
    pub fn canvas_size(&self) -> (u32, u32) {
        self.turn.size((self.width, self.height))
    }

    /// Writes a canvas into `memory`. What does not fit is cropped, the rest is black. Bytes past the pixels of a row
    /// are unchanged. Allocates nothing.
    ///
    /// # Panics
    /// If a row of pixels is longer than the stride.
    pub fn write(&self, canvas: &Canvas, memory: &mut [u8]) {
        let row_bytes = self.width as usize * self.layout.bytes;
        assert!(row_bytes <= self.stride, "a row of {row_bytes} bytes in a stride of {}", self.stride);
        let is_plain = self.layout == PixelLayout::XRGB8888 && self.turn == Turn::None;
        for (y, row) in memory.chunks_mut(self.stride.max(1)).take(self.height as usize).enumerate() {
            let Some(row) = row.get_mut(..row_bytes) else { return };
            if is_plain && canvas.width() == self.width && y < canvas.height() as usize {
                let from = &canvas.pixels()[y * self.width as usize..][..self.width as usize];
                row.chunks_exact_mut(4).zip(from).for_each(|(to, p)| to.copy_from_slice(&p.to_le_bytes()));
                continue;
            }
            for (x, to) in row.chunks_exact_mut(self.layout.bytes).enumerate() {
                let (cx, cy) = self.canvas_place(x as u32, y as u32);
                let word = self.layout.word(canvas.get(cx, cy).unwrap_or(0)).to_le_bytes();
                to.copy_from_slice(&word[..self.layout.bytes]);
            }
        }
    }

    /// The canvas pixel of a screen pixel.
    fn canvas_place(&self, x: u32, y: u32) -> (u32, u32) {
        let (right, bottom) = (self.width.saturating_sub(1), self.height.saturating_sub(1));
        match self.turn {
            Turn::None => (x, y),
            Turn::Quarter => (y, right - x),
            Turn::Half => (right - x, bottom - y),
            Turn::ThreeQuarters => (bottom - y, x),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 3 x 2 px, all of different colours.
    fn canvas() -> Canvas {
        let mut canvas = Canvas::new(3, 2);
        canvas.pixels_mut().copy_from_slice(&[0xFF0000, 0x00FF00, 0x0000FF, 0x000000, 0x808080, 0xFFFFFF]);
        canvas
    }

    fn surface(width: u32, height: u32, turn: Turn) -> Surface {
        Surface { width, height, stride: width as usize * 4 + 8, layout: PixelLayout::XRGB8888, turn }
    }

    fn written(surface: Surface, canvas: &Canvas) -> Vec<u8> {
        let mut memory = vec![0xA5; surface.bytes()];
        surface.write(canvas, &mut memory);
        memory
    }

    fn pixels(surface: Surface, memory: &[u8]) -> Vec<u32> {
        let rows = memory.chunks(surface.stride);
        rows.flat_map(|row| row[..surface.width as usize * 4].chunks(4))
            .map(|p| u32::from_le_bytes(p.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn every_turn_shows_the_picture_upright_to_who_looks() {
        const R: u32 = 0xFF0000;
        const G: u32 = 0x00FF00;
        const B: u32 = 0x0000FF;
        const K: u32 = 0;
        const M: u32 = 0x808080;
        const W: u32 = 0xFFFFFF;
        let cases = [
            (Turn::None, (3, 2), [R, G, B, K, M, W]),
            (Turn::Quarter, (2, 3), [K, R, M, G, W, B]),
            (Turn::Half, (3, 2), [W, M, K, B, G, R]),
            (Turn::ThreeQuarters, (2, 3), [B, W, G, M, R, K]),
        ];
        for (turn, (width, height), expected) in cases {
            let surface = surface(width, height, turn);
            assert_eq!(surface.canvas_size(), (3, 2), "{turn:?}");
            assert_eq!(pixels(surface, &written(surface, &canvas())), expected, "{turn:?}");
        }
    }

    #[test]
    fn a_touch_and_the_picture_are_turned_the_same_way() {
        for turn in [Turn::None, Turn::Quarter, Turn::Half, Turn::ThreeQuarters] {
            let surface = surface(8, 6, turn);
            let (width, height) = surface.canvas_size();
            let mut canvas = Canvas::new(width, height);
            canvas.pixels_mut()[(width + 2) as usize] = 0xFFFFFF;
            let memory = pixels(surface, &written(surface, &canvas));
            let at = memory.iter().position(|p| *p == 0xFFFFFF).unwrap() as u32;
            let on_panel = ((at % 8) as f32 / 8.0 + 0.0625, (at / 8) as f32 / 6.0 + 1.0 / 12.0);
            // The panel is mounted on the screen, so a touch undoes the picture's rotation.
            let (u, v) = turn.inverse().apply(on_panel.0, on_panel.1);
            assert_eq!(((u * width as f32) as u32, (v * height as f32) as u32), (2, 1), "{turn:?}");
        }
    }

    #[test]
    fn colours_go_to_their_bits_in_every_layout() {
        let bits = |offset, length| Bits { offset, length };
        let bgr = PixelLayout::new(32, bits(0, 8), bits(8, 8), bits(16, 8), Some(bits(24, 8))).unwrap();
        let rgb24 = PixelLayout::new(24, bits(16, 8), bits(8, 8), bits(0, 8), None).unwrap();
        let deep = PixelLayout::new(16, bits(10, 5), bits(5, 5), bits(0, 5), Some(bits(15, 1))).unwrap();
        assert_eq!(PixelLayout::new(16, bits(11, 5), bits(5, 6), bits(0, 5), None), Some(PixelLayout::RGB565));
        for (layout, word) in [
            (PixelLayout::XRGB8888, 0x12_34_56),
            (bgr, 0xFF_56_34_12),
            (rgb24, 0x12_34_56),
            (PixelLayout::RGB565, 0x11AA),
            (deep, 0x88CA),
        ] {
            assert_eq!(layout.word(0x123456), word, "{layout:?}");
        }
        for (bpp, r, g, b) in [(8, 5, 2, 0), (16, 11, 5, 5), (16, 12, 5, 0), (64, 16, 8, 0)] {
            assert_eq!(PixelLayout::new(bpp, bits(r, 5), bits(g, 3), bits(b, 3), None), None, "{bpp} {r} {g} {b}");
        }
    }

    #[test]
    fn padding_is_left_alone_and_a_smaller_canvas_is_padded_with_black() {
        let mut small = Canvas::new(2, 1);
        small.pixels_mut().fill(0xFFFFFF);
        for layout in [PixelLayout::XRGB8888, PixelLayout::RGB565] {
            let surface = Surface { width: 4, height: 3, stride: 20, layout, turn: Turn::None };
            let memory = written(surface, &small);
            for (y, row) in memory.chunks(20).enumerate() {
                let (pixels, padding) = row.split_at(4 * layout.bytes());
                assert!(padding.iter().all(|b| *b == 0xA5), "row {y}: padding was written");
                let lit = pixels.iter().filter(|b| **b == 0xFF).count();
                assert_eq!(lit > 0, y == 0, "row {y}");
            }
        }
    }

    #[test]
    fn memory_that_is_too_short_is_filled_as_far_as_it_goes() {
        let surface = surface(3, 2, Turn::None);
        let mut memory = vec![0; surface.stride + 5];
        surface.write(&canvas(), &mut memory);
        assert_eq!(memory[2], 0xFF);
    }
}
