//! An animated GIF, written one picture at a time.

use std::borrow::Cow;
use std::path::Path;

use gif::{DisposalMethod, Encoder, Frame, Repeat};

use super::Presented;
use super::palette::{Palette, UNCHANGED};
use super::sink::{Fate, Sink};
use crate::durable::{PartFile, cannot_write};
use crate::error::{Error, ErrorKind, Result};
use crate::units::{Span, Timestamp};

/// Shortest delay, 1/100 s; viewers replace shorter ones by a long delay.
const DELAY_MIN_CS: u64 = 2;
/// Delay of a single picture, 1/100 s.
const DELAY_ALONE_CS: u16 = 4;

pub(super) struct GifFile {
    encoder: Encoder<PartFile>,
    palette: Palette,
    width: usize,
    /// Indices of the picture as a viewer has it; empty before the first.
    on_view: Vec<u8>,
    /// The same before the waiting picture.
    before: Vec<u8>,
    /// The changed part of the waiting picture.
    changed: Vec<u8>,
    waiting: Option<Waiting>,
    /// When the first picture was shown; `None` before it.
    begun: Option<Timestamp>,
    delay_before: u16,
}

/// A picture whose delay is known once the next one arrives.
struct Waiting {
    left: u16,
    top: u16,
    width: u16,
    height: u16,
    at_cs: u64,
}

impl GifFile {
    pub(super) fn create(path: &Path, width: u32, height: u32, theme: &[u32]) -> Result<Self> {
        let (Ok(w), Ok(h)) = (u16::try_from(width), u16::try_from(height)) else {
            let context = format!("expected a GIF of at most 65535 x 65535 px, got {width} x {height}");
            return Err(Error::new(ErrorKind::Argument, context));
        };
        let palette = Palette::new(theme);
        let mut encoder = Encoder::new(PartFile::create(path)?, w, h, &palette.table()).map_err(cannot_write)?;
        encoder.set_repeat(Repeat::Infinite).map_err(cannot_write)?;
        let pixels = usize::from(w) * usize::from(h);
        Ok(Self {
            encoder,
            palette,
            width: usize::from(w),
            on_view: Vec::with_capacity(pixels),
            before: Vec::with_capacity(pixels),
            changed: Vec::with_capacity(pixels),
            waiting: None,
            begun: None,
            delay_before: DELAY_ALONE_CS,
        })
    }

    /// Writes the waiting picture, shown for `delay` 1/100 s.
    fn flush_waiting(&mut self, delay: u16) -> Result<()> {
        let Some(waiting) = self.waiting.take() else { return Ok(()) };
        let frame = Frame {
            delay,
            dispose: DisposalMethod::Keep,
            transparent: Some(UNCHANGED),
            left: waiting.left,
            top: waiting.top,
            width: waiting.width,
            height: waiting.height,
            buffer: Cow::Borrowed(&self.changed),
            ..Frame::default()
        };
        self.encoder.write_frame(&frame).map_err(cannot_write)
    }

    /// Puts the smallest rectangle that differs from the viewer's picture into `changed`; 1 x 1 when nothing differs.
    fn find_changes(&mut self, pixels: &[u32], at_cs: u64) -> Waiting {
        let width = self.width;
        let height = pixels.len() / width;
        self.before.clone_from(&self.on_view);
        let is_first = self.on_view.is_empty();
        if is_first {
            self.on_view.resize(pixels.len(), UNCHANGED);
        }
        let (mut x0, mut x1, mut y0, mut y1) = (width - 1, 1, height - 1, 1);
        self.changed.clear();
        self.changed.extend(self.on_view.iter_mut().zip(pixels).map(|(old, &colour)| {
            let new = self.palette.index(colour);
            if *old == new {
                return UNCHANGED;
            }
            *old = new;
            new
        }));
        for (y, row) in self.changed.chunks_exact(width).enumerate() {
            if let Some(first) = row.iter().position(|&i| i != UNCHANGED) {
                let last = row.iter().rposition(|&i| i != UNCHANGED).unwrap_or(first);
                (x0, x1) = (x0.min(first), x1.max(last + 1));
                (y0, y1) = (y0.min(y), y1.max(y + 1));
            }
        }
        if is_first {
            (x0, x1, y0, y1) = (0, width, 0, height);
        }
        (x0, y0) = (x0.min(x1 - 1), y0.min(y1 - 1));
        let mut kept = 0;
        for y in y0..y1 {
            self.changed.copy_within(y * width + x0..y * width + x1, kept);
            kept += x1 - x0;
        }
        self.changed.truncate(kept);
        Waiting { left: x0 as u16, top: y0 as u16, width: (x1 - x0) as u16, height: (y1 - y0) as u16, at_cs }
    }
}

impl Sink for GifFile {
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate> {
        let begun = *self.begun.get_or_insert(shown.presented);
        // Rounded from the start each time, so that rounding errors do not add up.
        let at_cs = (shown.presented.since(begun).as_ns() + 5_000_000) / 10_000_000;
        if let Some(waiting) = &self.waiting {
            let delay = at_cs.saturating_sub(waiting.at_cs);
            if delay < DELAY_MIN_CS {
                let at_cs = waiting.at_cs;
                self.on_view.clone_from(&self.before);
                self.waiting = Some(self.find_changes(pixels, at_cs));
                return Ok(Fate::Replaced);
            }
            self.delay_before = u16::try_from(delay).unwrap_or(u16::MAX);
            self.flush_waiting(self.delay_before)?;
        }
        self.waiting = Some(self.find_changes(pixels, at_cs));
        Ok(Fate::Written)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.flush_waiting(self.delay_before)?;
        self.encoder.into_inner().map_err(cannot_write)?.publish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::FrameId;
    use image::AnimationDecoder;
    use image::codecs::gif::GifDecoder;

    const WIDTH: u32 = 40;
    const HEIGHT: u32 = 30;
    const THEME: [u32; 2] = [0x00e5ff, 0xffb000];

    fn picture(n: u32) -> Vec<u32> {
        let pixel = |x: u32, y: u32| match (x, y) {
            (5..8, 5..8) => THEME[n as usize % 2],
            (10..20, 10..20) => ((x * 13 + y * 7 + n * 31) % 256) * 0x01_0101,
            (30.., 20..) => ((x - 30) * 25) << 16 | (y * 8) << 8 | 40,
            _ => 0x20_2020,
        };
        (0..HEIGHT).flat_map(|y| (0..WIDTH).map(move |x| pixel(x, y))).collect()
    }

    fn record(times: &[Timestamp], picture: impl Fn(u32) -> Vec<u32>) -> (Vec<Fate>, Vec<image::Frame>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        let mut gif = Box::new(GifFile::create(&path, WIDTH, HEIGHT, &THEME).unwrap());
        let write = |(n, &presented): (usize, &Timestamp)| {
            gif.write(
                &picture(n as u32),
                &Presented { frame: Some(FrameId(n as u64)), captured: Timestamp::START, presented },
            )
            .unwrap()
        };
        let fates = times.iter().enumerate().map(write).collect();
        gif.finish().unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(&path).unwrap());
        let frames = GifDecoder::new(file).unwrap().into_frames().collect_frames().unwrap();
        (fates, frames, path.metadata().unwrap().len())
    }

    fn delays_ms(frames: &[image::Frame]) -> Vec<u32> {
        frames.iter().map(|f| f.delay().numer_denom_ms()).map(|(n, d)| n / d).collect()
    }

    #[test]
    fn a_recording_reads_back_as_it_was_shown() {
        let times: Vec<Timestamp> = (0..8).map(|i| Timestamp::from_ns(1_000_000_007 + i * 33_333_333)).collect();
        let (_, frames, _) = record(&times, picture);
        assert_eq!(frames.len(), 8);
        for (n, frame) in frames.iter().enumerate() {
            let image = frame.buffer();
            assert_eq!(image.dimensions(), (WIDTH, HEIGHT));
            for (at, (pixel, &want)) in image.pixels().zip(&picture(n as u32)).enumerate() {
                let [_, r, g, b] = want.to_be_bytes();
                let is_grey = r == g && g == b;
                // Half a step of the 4 x 5 x 3 cube, and half a cell of the look-up.
                let allowed = if THEME.contains(&want) {
                    [0; 3]
                } else if is_grey {
                    [1; 3]
                } else {
                    [47, 36, 68]
                };
                let off = [0, 1, 2].map(|i| pixel[i].abs_diff([r, g, b][i]));
                assert!((0..3).all(|i| off[i] <= allowed[i]), "frame {n} pixel {at}: {pixel:?} is not {want:06x}");
                assert_eq!(pixel[3], 255);
            }
        }
    }

    #[test]
    fn delays_follow_the_real_times_without_drift() {
        let times: Vec<Timestamp> = (0..31).map(|i| Timestamp::from_ns(i * 33_333_333)).collect();
        let delays = delays_ms(&record(&times, picture).1);
        assert_eq!(delays[..6], [30, 40, 30, 30, 40, 30]);
        assert_eq!(delays[..30].iter().sum::<u32>(), 1000);
        let uneven = [0, 100, 140, 640].map(Timestamp::from_ms);
        assert_eq!(delays_ms(&record(&uneven, picture).1), [100, 40, 500, 500]);
    }

    #[test]
    fn of_pictures_nearer_than_a_viewer_can_show_the_last_is_kept() {
        let times: Vec<Timestamp> = (0..5).map(|i| Timestamp::from_ms(8 * i)).collect();
        let (fates, frames, _) = record(&times, picture);
        use Fate::{Replaced, Written};
        assert_eq!(fates, [Written, Replaced, Written, Replaced, Replaced]);
        assert_eq!(delays_ms(&frames), [20, 20]);
        for (frame, n) in frames.iter().zip([1, 4]) {
            let (shown, want) = (frame.buffer().get_pixel(12, 12)[0], picture(n)[(12 * WIDTH + 12) as usize] as u8);
            assert!(shown.abs_diff(want) <= 1, "{shown} is not {want}, of picture {n}");
        }
    }

    #[test]
    fn a_still_picture_costs_next_to_nothing_and_keeps_its_time() {
        let times: Vec<Timestamp> = (0..100).map(|i| Timestamp::from_ms(40 * i)).collect();
        let (_, frames, bytes) = record(&times, |_| picture(0));
        let (_, _, one) = record(&times[..1], picture);
        assert_eq!(delays_ms(&frames), [40; 100]);
        assert!(bytes - one < 100 * 40, "{bytes} bytes, the first picture {one}");
        assert_eq!(frames[0].buffer(), frames[99].buffer());
    }
}
