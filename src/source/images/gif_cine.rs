//! The frames of a GIF: their sizes and delays without decoding, and the pictures, painted one over the other.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use gif::{ColorOutput, DecodeOptions, Decoder, DecodingError, DisposalMethod, MemoryLimit};

use super::{DECODED_BYTES_MAX, FRAMES_MAX, Picture, check_size};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::PixelFormat;

/// Delays that differ by less are even.
const EVEN: Duration = Duration::from_millis(1);

/// A GIF in memory.
pub(super) struct GifCine {
    file: Arc<[u8]>,
    player: Option<Box<GifPlayer>>,
}

impl GifCine {
    pub(super) fn new(file: Arc<[u8]>) -> Self {
        Self { file, player: None }
    }

    /// A frame, composited. Frames are had in order; an earlier one begins again.
    pub(super) fn frame(&mut self, index: usize) -> Result<Picture> {
        if self.player.as_ref().is_none_or(|p| p.at > index) {
            self.player = Some(Box::new(GifPlayer::new(&self.file)?));
        }
        let none = || Error::new(ErrorKind::Format, "expected another frame, got none");
        let player = self.player.as_mut().ok_or_else(none)?;
        while player.at <= index {
            player.step()?;
        }
        let size = (player.size.0 as u32, player.size.1 as u32);
        Ok(Picture { size, format: PixelFormat::Rgb8, pixels: player.canvas.clone() })
    }

    /// The first frame, grey where no palette has a colour.
    pub(super) fn first(file: Arc<[u8]>) -> Result<Picture> {
        let format = GifOutline::read(&file)?.format;
        let picture = Self::new(file).frame(0)?;
        Ok(Picture { size: picture.size, format, pixels: picture.into_format(format)? })
    }
}

/// What a GIF holds, without decoding it.
pub(super) struct GifOutline {
    pub(super) size: (u32, u32),
    /// Grey when no palette has a colour.
    pub(super) format: PixelFormat,
    delays: Vec<Duration>,
}

impl GifOutline {
    pub(super) fn read(file: &[u8]) -> Result<Self> {
        let mut options = DecodeOptions::new();
        options.skip_frame_decoding(true);
        let mut decoder = options.read_info(Cursor::new(file)).map_err(corrupt_gif)?;
        let size = (u32::from(decoder.width()), u32::from(decoder.height()));
        check_size(size)?;
        let is_grey = |palette: &[u8]| palette.chunks_exact(3).all(|p| p[0] == p[1] && p[1] == p[2]);
        let global = decoder.global_palette().is_none_or(is_grey);
        let (mut delays, mut has_colour) = (Vec::new(), false);
        while let Some(frame) = decoder.next_frame_info().map_err(corrupt_gif)? {
            has_colour |= !frame.palette.as_ref().map_or(global, |p| is_grey(p));
            delays.push(Duration::from_millis(10 * u64::from(frame.delay)));
            if delays.len() > FRAMES_MAX {
                let message = format!("expected at most {FRAMES_MAX} frames, got more");
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
        }
        if delays.is_empty() {
            return Err(Error::new(ErrorKind::Format, "expected a GIF with frames, got none"));
        }
        Ok(Self { size, format: if has_colour { PixelFormat::Rgb8 } else { PixelFormat::Grey8 }, delays })
    }

    /// Number of frames.
    pub(super) fn len(&self) -> usize {
        self.delays.len()
    }

    /// The mean of the delays; `None` where they say nothing.
    pub(super) fn period(&self) -> Option<Duration> {
        Some(self.mean()).filter(|mean| *mean >= Duration::from_millis(1))
    }

    /// The delay behind each frame, where they vary.
    pub(super) fn uneven_delays(self) -> Vec<Duration> {
        let mean = self.mean();
        let is_even = self.delays.iter().all(|d| d.abs_diff(mean) <= EVEN);
        if is_even || self.period().is_none() { Vec::new() } else { self.delays }
    }

    fn mean(&self) -> Duration {
        self.delays.iter().sum::<Duration>() / self.delays.len() as u32
    }
}

/// A GIF being played: its frames can only be had one after the other, each painted over what the one before left.
struct GifPlayer {
    decoder: Decoder<Cursor<Arc<[u8]>>>,
    /// RGB over black.
    canvas: Vec<u8>,
    size: (usize, usize),
    /// What is to be done before the next frame: with which rectangle, and what was there before.
    dispose: Option<(DisposalMethod, [usize; 4], Vec<u8>)>,
    at: usize,
}

impl GifPlayer {
    fn new(file: &Arc<[u8]>) -> Result<Self> {
        let mut options = DecodeOptions::new();
        options.set_color_output(ColorOutput::RGBA);
        if let Some(most) = std::num::NonZeroU64::new(DECODED_BYTES_MAX) {
            options.set_memory_limit(MemoryLimit::Bytes(most));
        }
        let decoder = options.read_info(Cursor::new(file.clone())).map_err(corrupt_gif)?;
        let size = (usize::from(decoder.width()), usize::from(decoder.height()));
        check_size((size.0 as u32, size.1 as u32))?;
        Ok(Self { decoder, canvas: vec![0; 3 * size.0 * size.1], size, dispose: None, at: 0 })
    }

    /// Paints the next frame.
    fn step(&mut self) -> Result<()> {
        let (width, height) = self.size;
        if let Some((method, [x0, y0, x1, y1], before)) = self.dispose.take() {
            for (row, kept) in (y0..y1).zip(before.chunks_exact((3 * (x1 - x0)).max(1))) {
                let line = &mut self.canvas[3 * (row * width + x0)..3 * (row * width + x1)];
                match method {
                    DisposalMethod::Previous => line.copy_from_slice(kept),
                    _ => line.fill(0),
                }
            }
        }
        let none = || Error::new(ErrorKind::Format, "expected another frame, got none");
        let frame = self.decoder.read_next_frame().map_err(corrupt_gif)?.ok_or_else(none)?;
        let [left, top, w, h] = [frame.left, frame.top, frame.width, frame.height].map(usize::from);
        let rect = [left.min(width), top.min(height), (left + w).min(width), (top + h).min(height)];
        let [x0, y0, x1, y1] = rect;
        let lines = |canvas: &[u8]| {
            (y0..y1).flat_map(|y| &canvas[3 * (y * width + x0)..3 * (y * width + x1)]).copied().collect()
        };
        if matches!(frame.dispose, DisposalMethod::Background | DisposalMethod::Previous) {
            self.dispose = Some((frame.dispose, rect, lines(&self.canvas)));
        }
        for (y, row) in (y0..y1).zip(frame.buffer.chunks_exact((4 * w).max(1))) {
            let line = &mut self.canvas[3 * (y * width + x0)..3 * (y * width + x1)];
            for (to, from) in line.chunks_exact_mut(3).zip(row.chunks_exact(4)).filter(|(_, from)| from[3] > 0) {
                to.copy_from_slice(&from[..3]);
            }
        }
        self.at += 1;
        Ok(())
    }
}

fn corrupt_gif(e: DecodingError) -> Error {
    Error::caused(ErrorKind::Format, "the picture is corrupt or truncated", e)
}
