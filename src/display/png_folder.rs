//! A folder of PNGs with a table of times.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

use super::Presented;
use super::sink::{Fate, Sink};
use crate::durable::{cannot_write, part_of, publish, sync_folder};
use crate::error::{Error, ErrorKind, Result};

pub(super) struct PngFolder {
    part: PathBuf,
    path: PathBuf,
    size: (u32, u32),
    table: BufWriter<File>,
    rgb: Vec<u8>,
    count: u64,
}

impl PngFolder {
    pub(super) fn create(path: &Path, width: u32, height: u32) -> Result<Self> {
        let is_free = match path.read_dir() {
            Ok(mut entries) => entries.next().is_none(),
            Err(_) => !path.exists(),
        };
        if !is_free {
            return Err(Error::new(ErrorKind::Io, "expected a new or empty folder, got one that is in use"));
        }
        let part = part_of(path);
        std::fs::create_dir(&part).map_err(|e| cannot_write(e).within(part.display()))?;
        let mut table = BufWriter::new(File::create(part.join("frames.csv")).map_err(cannot_write)?);
        writeln!(table, "file,frame,captured_ns,presented_ns").map_err(cannot_write)?;
        let rgb = Vec::with_capacity(3 * width as usize * height as usize);
        Ok(Self { part, path: path.to_path_buf(), size: (width, height), table, rgb, count: 0 })
    }
}

fn name_of(number: u64) -> String {
    format!("{number:06}.png")
}

impl Sink for PngFolder {
    fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate> {
        self.count += 1;
        let name = name_of(self.count);
        self.rgb.clear();
        self.rgb.extend(pixels.iter().flat_map(|pixel| {
            let [_, r, g, b] = pixel.to_be_bytes();
            [r, g, b]
        }));
        let mut file = BufWriter::new(File::create(self.part.join(&name)).map_err(cannot_write)?);
        PngEncoder::new_with_quality(&mut file, CompressionType::Fast, FilterType::Up)
            .write_image(&self.rgb, self.size.0, self.size.1, ExtendedColorType::Rgb8)
            .map_err(cannot_write)?;
        file.flush().map_err(cannot_write)?;
        let frame = shown.frame.map_or(0, |id| id.0);
        let (captured_ns, presented_ns) = (shown.captured.as_ns(), shown.presented.as_ns());
        writeln!(self.table, "{name},{frame},{captured_ns},{presented_ns}").map_err(cannot_write)?;
        Ok(Fate::Written)
    }

    fn finish(mut self: Box<Self>) -> Result<()> {
        self.table.flush().map_err(cannot_write)?;
        self.table.get_ref().sync_all().map_err(cannot_write)?;
        // Not after each picture: the disk would fall behind, and pictures would be dropped.
        for n in 1..=self.count {
            File::open(self.part.join(name_of(n))).and_then(|file| file.sync_all()).map_err(cannot_write)?;
        }
        sync_folder(&self.part)?;
        publish(&self.part, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{FrameId, Timestamp};

    #[test]
    fn every_picture_is_kept_exactly_with_its_times() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cine");
        let mut pngs = Box::new(PngFolder::create(&path, 3, 2).unwrap());
        let picture = |n: u32| -> Vec<u32> { (0..6).map(|i| (n * 0x31_0507 + i * 0x01_0203) & 0xff_ffff).collect() };
        for n in 1..=3 {
            let shown = Presented {
                frame: Some(FrameId(n.into())),
                captured: Timestamp::from_ns(5),
                presented: Timestamp::from_ns(n.into()),
            };
            assert_eq!(pngs.write(&picture(n), &shown).unwrap(), Fate::Written);
        }
        pngs.finish().unwrap();
        for n in 1..=3 {
            let image = image::open(path.join(format!("{n:06}.png"))).unwrap().to_rgb8();
            let read: Vec<u32> = image.pixels().map(|p| u32::from_be_bytes([0, p[0], p[1], p[2]])).collect();
            assert_eq!((image.dimensions(), read), ((3, 2), picture(n)));
        }
        let table = std::fs::read_to_string(path.join("frames.csv")).unwrap();
        assert_eq!(table.lines().nth(2), Some("000002.png,2,5,2"));
    }
}
