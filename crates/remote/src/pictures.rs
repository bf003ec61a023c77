//! Pictures on their way from the display thread to the viewers, and their JPEG encoding.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jpeg_encoder::{Encoder, ImageBuffer, JpegColorType, SamplingFactor, rgb_to_ycbcr};
use sonotap::Canvas;

use crate::hub::Hub;
use crate::wire::Words;

/// A canvas to be encoded.
#[derive(Default)]
pub(crate) struct Picture {
    /// Its number.
    pub number: u64,
    /// Its frame.
    pub frame: u64,
    /// Age of the frame at `at`.
    pub age: Duration,
    /// When it was presented.
    pub at: Option<Instant>,
    /// Its pixels.
    pub canvas: Canvas,
    /// What is said of it.
    pub words: Words,
}

/// A picture as it is sent.
pub(crate) struct Encoded {
    /// Its number.
    pub number: u64,
    /// Its frame.
    pub frame: u64,
    /// Width and height, px.
    pub size: (u32, u32),
    /// When its frame was captured, as far as an age says; `None` when the clock does not reach back so far.
    pub captured: Option<Instant>,
    /// What is said of it, as JSON.
    pub words: String,
    /// The JPEG.
    pub jpeg: Vec<u8>,
}

impl Encoded {
    /// Age of its frame at `now`.
    pub(crate) fn age(&self, now: Instant) -> Duration {
        self.captured.map_or(Duration::MAX, |c| now.saturating_duration_since(c))
    }
}

/// Encodes the newest picture, again and again, until the hub is closed.
pub(crate) fn encode_until_closed(hub: &Hub) {
    let mut last_len = 64 * 1024;
    while let Some((picture, quality)) = hub.take_picture() {
        let began = Instant::now();
        let mut jpeg = Vec::with_capacity(last_len + last_len / 4);
        if let Err(e) = encode(&picture.canvas, quality, &mut jpeg) {
            log::error!(
                "a picture of {}x{} px cannot be encoded: {e}",
                picture.canvas.width(),
                picture.canvas.height()
            );
            hub.give_back(picture, None, began.elapsed());
            continue;
        }
        last_len = jpeg.len();
        let encoded = Encoded {
            number: picture.number,
            frame: picture.frame,
            size: (picture.canvas.width(), picture.canvas.height()),
            captured: picture.at.and_then(|at| at.checked_sub(picture.age)),
            words: picture.words.to_json(),
            jpeg,
        };
        hub.give_back(picture, Some(Arc::new(encoded)), began.elapsed());
    }
}

/// A canvas as JPEG, appended to `out`. Colours are not subsampled: outlines are thin and tell by their colour.
pub(crate) fn encode(canvas: &Canvas, quality: u8, out: &mut Vec<u8>) -> Result<(), jpeg_encoder::EncodingError> {
    let mut encoder = Encoder::new(out, quality);
    encoder.set_sampling_factor(SamplingFactor::F_1_1);
    encoder.encode_image(Pixels(canvas))
}

struct Pixels<'a>(&'a Canvas);

impl ImageBuffer for Pixels<'_> {
    fn get_jpeg_color_type(&self) -> JpegColorType {
        JpegColorType::Ycbcr
    }

    fn width(&self) -> u16 {
        u16::try_from(self.0.width()).unwrap_or(u16::MAX)
    }

    fn height(&self) -> u16 {
        u16::try_from(self.0.height()).unwrap_or(u16::MAX)
    }

    fn fill_buffers(&self, y: u16, buffers: &mut [Vec<u8>; 4]) {
        let width = self.0.width() as usize;
        let row = &self.0.pixels()[usize::from(y) * width..][..width];
        let converted = |&p: &u32| rgb_to_ycbcr((p >> 16) as u8, (p >> 8) as u8, p as u8);
        // One pass for each colour: the compiler makes each of them vectors.
        buffers[0].extend(row.iter().map(|p| converted(p).0));
        buffers[1].extend(row.iter().map(|p| converted(p).1));
        buffers[2].extend(row.iter().map(|p| converted(p).2));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_are_where_and_as_they_were() {
        let mut canvas = Canvas::new(48, 32);
        for (i, pixel) in canvas.pixels_mut().iter_mut().enumerate() {
            let (x, y) = (i % 48, i / 48);
            *pixel = [0x00FF_D000, 0x0020_2020, 0x0000_80FF, 0x00FF_FFFF][(x / 24) + 2 * (y / 16)];
        }
        let mut jpeg = Vec::new();
        encode(&canvas, 85, &mut jpeg).unwrap();
        let back = image::load_from_memory(&jpeg).unwrap().to_rgb8();
        for (x, y, pixel) in back.enumerate_pixels() {
            let expected = canvas.get(x, y).unwrap();
            for (got, shift) in pixel.0.iter().zip([16, 8, 0]) {
                assert!((i32::from(*got) - (expected >> shift & 255) as i32).abs() < 12, "{x}, {y}: {pixel:?}");
            }
        }
    }
}
