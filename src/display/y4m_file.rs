//! A Y4M video: uncompressed YUV 4:4:4 at a constant rate, which every video encoder reads.

use std::io::Write;
use std::path::Path;

use super::Presented;
use super::sink::{Fate, Sink};
use crate::durable::{PartFile, cannot_write};
use crate::error::Result;
use crate::units::Timestamp;

/// Pictures per second.
const RATE: u64 = 30;
/// A picture is repeated at most this often: a longer pause is shortened, so that it cannot fill the disk.
const REPEATS_MAX: u64 = 2 * RATE;

pub(super) struct Y4mFile {
    file: PartFile,
    /// Planes Y, Cb, Cr of the picture whose duration is not known yet.
    held: Vec<u8>,
    /// When the first picture was shown; `None` before it.
    begun: Option<Timestamp>,
    /// Ticks of 1/[`RATE`] s that were written or skipped.
    ticks: u64,
}

impl Y4mFile {
    pub(super) fn create(path: &Path, width: u32, height: u32) -> Result<Self> {
        let mut file = PartFile::create(path)?;
        writeln!(file, "YUV4MPEG2 W{width} H{height} F{RATE}:1 Ip A1:1 C444").map_err(cannot_write)?;
        let held = vec![0; 3 * width as usize * height as usize];
        Ok(Self { file, held, begun: None, ticks: 0 })
    }

    fn write_held(&mut self, times: u64) -> Result<()> {
        for _ in 0..times {
            self.file.write_all(b"FRAME\n").and_then(|()| self.file.write_all(&self.held)).map_err(cannot_write)?;
        }
        Ok(())
    }
}

impl Sink for Y4mFile {
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate> {
        let mut fate = Fate::Written;
        if let Some(begun) = self.begun {
            let tick = (shown.presented.since(begun).as_nanos() * u128::from(RATE) + 500_000_000) / 1_000_000_000;
            let due = (tick as u64).saturating_sub(self.ticks);
            self.write_held(due.min(REPEATS_MAX))?;
            self.ticks += due;
            fate = if due == 0 { Fate::Replaced } else { Fate::Written };
        } else {
            self.begun = Some(shown.presented);
        }
        let (y, chroma) = self.held.split_at_mut(pixels.len());
        let (cb, cr) = chroma.split_at_mut(pixels.len());
        for (((&pixel, y), cb), cr) in pixels.iter().zip(y).zip(cb).zip(cr) {
            (*y, *cb, *cr) = yuv(pixel);
        }
        Ok(fate)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.write_held(u64::from(self.begun.is_some()))?;
        self.file.publish()
    }
}

/// Studio range YCbCr of ITU-R BT.601, in integers.
fn yuv(colour: u32) -> (u8, u8, u8) {
    let [_, r, g, b] = colour.to_be_bytes().map(i32::from);
    let y = ((66 * r + 129 * g + 25 * b + 128) >> 8) + 16;
    let cb = ((-38 * r - 74 * g + 112 * b + 128) >> 8) + 128;
    let cr = ((112 * r - 94 * g - 18 * b + 128) >> 8) + 128;
    (y as u8, cb as u8, cr as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::FrameId;

    #[test]
    fn black_white_and_primaries_have_their_studio_values() {
        for (colour, want) in
            [(0, (16, 128, 128)), (0xff_ffff, (235, 128, 128)), (0xff_0000, (82, 90, 240)), (0x00_00ff, (41, 240, 110))]
        {
            assert_eq!(yuv(colour), want, "{colour:06x}");
        }
    }

    #[test]
    fn pictures_are_repeated_and_left_out_to_follow_the_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.y4m");
        let mut video = Box::new(Y4mFile::create(&path, 2, 1).unwrap());
        let whites = [(0, 0), (33, 1), (40, 2), (100, 3), (60_000, 4), (60_034, 5)];
        let fates = whites.map(|(ms, level)| {
            let shown = Presented {
                frame: Some(FrameId(level)),
                captured: Timestamp::START,
                presented: Timestamp::from_ms(500 + ms),
            };
            video.write(&[level as u32 * 0x14_1414; 2], &shown).unwrap()
        });
        video.finish().unwrap();
        use Fate::{Replaced, Written};
        assert_eq!(fates, [Written, Written, Replaced, Written, Written, Written]);
        let bytes = std::fs::read(&path).unwrap();
        let header = b"YUV4MPEG2 W2 H1 F30:1 Ip A1:1 C444\n";
        assert_eq!(&bytes[..header.len()], header);
        let frames: Vec<&[u8]> = bytes[header.len()..].chunks(6 + 6).collect();
        assert!(frames.iter().all(|f| f.len() == 12 && f.starts_with(b"FRAME\n")));
        let luma: Vec<u8> = frames.iter().map(|f| f[6]).collect();
        let level = |n: u32| yuv(n * 0x14_1414).0;
        let mut want = vec![level(0), level(2), level(2)];
        want.extend([level(3); REPEATS_MAX as usize]);
        want.extend([level(4), level(5)]);
        assert_eq!(luma, want);
    }
}
