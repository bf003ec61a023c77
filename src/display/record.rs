//! Records what is presented: an animated GIF, a Y4M video or a folder of PNGs, by the path's extension.
//!
//! | path | what | time |
//! |---|---|---|
//! | `*.gif` (feature `gif`) | 256 fixed colours, greys within one level | real delays in 1/100 s; of pictures less than 2/100 s apart
//! the last is kept |
//! | `*.y4m` | YUV 4:4:4, ITU-R BT.601 studio range, uncompressed | 30 pictures per second, repeated or left out to
//! follow real time; the last of each 1/30 s is kept |
//! | else | a folder of PNGs, lossless, and `frames.csv` | one file per picture, times in the table |
//!
//! Until [`Recorder::finish`] the recording is called `*.part`; it gets its own name when it is complete. Dropping a
//! recorder finishes it.
//!
//! ```
//! use sonotap::display::{Presented, Recorder};
//! use sonotap::overlay::Canvas;
//! use sonotap::units::{FrameId, Timestamp};
//! let folder = tempfile::tempdir().unwrap();
//! let path = folder.path().join("exam.gif");
//! let mut recorder = Recorder::create(&path, 64, 48, &[0x00e5ff]).unwrap();
//! let shown = Presented { frame: Some(FrameId(1)), captured: Timestamp::START, presented: Timestamp::START };
//! recorder.present(&Canvas::new(64, 48), &shown).unwrap();
//! recorder.finish().unwrap();
//! assert_eq!(recorder.counts().written, 1);
//! assert!(path.exists());
//! ```

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

#[cfg(feature = "gif")]
use super::gif_file::GifFile;
use super::png_folder::PngFolder;
use super::sink::{Fate, Sink};
use super::y4m_file::Y4mFile;
use super::{Presented, copy_fitting};
use crate::error::{Error, ErrorKind, Result};
use crate::overlay::Canvas;

/// Pictures that may wait for the writing thread; any more are dropped.
pub const QUEUE: usize = 8;

/// Counts of the pictures given to a recorder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// In the recording.
    pub written: u64,
    /// Left out because they came faster than the format's time step.
    pub left_out: u64,
    /// Lost because the writing thread was behind.
    pub dropped: u64,
}

/// Writes pictures to a file or folder.
///
/// Guarantees: [`Recorder::present`] copies the picture and returns without waiting for the disk; memory is bounded by
/// [`QUEUE`] pictures. Threads: one, from [`Self::create`] to [`Recorder::finish`].
pub struct Recorder {
    size: (u32, u32),
    place: String,
    free: Receiver<Slot>,
    filled: Option<Sender<Slot>>,
    writer: Option<JoinHandle<Result<()>>>,
    written: Arc<AtomicU64>,
    left_out: Arc<AtomicU64>,
    dropped: u64,
}

impl Recorder {
    /// Starts a recording at `path` of pictures of `width` x `height` display px. `theme` (0x00RRGGBB) are colours that
    /// a GIF keeps exactly, at most 20; the first 4 also tint tissue.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for a GIF without the feature `gif`, [`ErrorKind::Argument`] for a size that the format cannot hold, [`ErrorKind::Io`] when the path cannot be
    /// written or is a folder that is not empty.
    pub fn create(path: &Path, width: u32, height: u32, theme: &[u32]) -> Result<Self> {
        let ending = path.extension().map(|e| e.to_ascii_lowercase());
        let place = format!("recording {}", path.display());
        if width == 0 || height == 0 {
            return Err(Error::new(ErrorKind::Argument, format!("{place}: expected a size, got {width} x {height}")));
        }
        // Only a GIF has a palette.
        #[cfg(not(feature = "gif"))]
        let _ = theme;
        let sink: Result<Box<dyn Sink>> = match ending.as_ref().and_then(|e| e.to_str()) {
            #[cfg(feature = "gif")]
            Some("gif") => GifFile::create(path, width, height, theme).map(|s| Box::new(s) as _),
            #[cfg(not(feature = "gif"))]
            Some("gif") => Err(Error::new(
                ErrorKind::Unsupported,
                "expected .y4m or a folder, got a GIF: this build has no feature `gif`",
            )),
            Some("y4m") => Y4mFile::create(path, width, height).map(|s| Box::new(s) as _),
            _ => PngFolder::create(path, width, height).map(|s| Box::new(s) as _),
        };
        Self::with_sink(sink.map_err(|e| e.within(&place))?, place, (width, height))
    }

    fn with_sink(sink: Box<dyn Sink>, place: String, size: (u32, u32)) -> Result<Self> {
        let (give_back, free) = bounded(QUEUE);
        let (filled, to_write) = bounded(QUEUE);
        for _ in 0..QUEUE {
            let slot = Slot { pixels: vec![0; size.0 as usize * size.1 as usize], shown: None };
            // The channel has room for all of them, and its other end is alive.
            let _ = give_back.send(slot);
        }
        let (written, left_out) = (Arc::<AtomicU64>::default(), Arc::<AtomicU64>::default());
        let counts = (written.clone(), left_out.clone());
        let writer = std::thread::Builder::new()
            .name("recorder".into())
            .spawn(move || write_all(sink, &to_write, &give_back, &counts.0, &counts.1))
            .map_err(|e| Error::caused(ErrorKind::Unavailable, format!("{place}: no thread to write with"), e))?;
        Ok(Self { size, place, free, filled: Some(filled), writer: Some(writer), written, left_out, dropped: 0 })
    }

    /// The counts so far; final after [`Recorder::finish`].
    pub fn counts(&self) -> Recorded {
        Recorded {
            written: self.written.load(Ordering::Relaxed),
            left_out: self.left_out.load(Ordering::Relaxed),
            dropped: self.dropped,
        }
    }

    /// Joins the writing thread and returns its result; `Ok` when it was joined before.
    fn join(&mut self) -> Result<()> {
        self.filled = None;
        let Some(writer) = self.writer.take() else { return Ok(()) };
        let ended = writer.join().unwrap_or_else(|_| Err(Error::new(ErrorKind::Io, "the writing thread panicked")));
        ended.map_err(|e| e.within(&self.place))
    }

    fn stopped(&mut self) -> Error {
        let again = || Error::new(ErrorKind::Io, format!("{}: it has ended, nothing more is recorded", self.place));
        let again = again();
        self.join().err().unwrap_or(again)
    }
}

impl Recorder {
    /// Passes a copy to the writing thread, or counts a drop when [`QUEUE`] pictures are waiting.
    ///
    /// # Errors
    /// When writing failed since the last call, or the recording has ended.
    pub fn present(&mut self, canvas: &Canvas, shown: &Presented) -> Result<()> {
        let mut slot = match self.free.try_recv() {
            Ok(slot) => slot,
            Err(e) if e.is_disconnected() => return Err(self.stopped()),
            Err(_) => {
                self.dropped += 1;
                return Ok(());
            }
        };
        copy_fitting(canvas.pixels(), (canvas.width(), canvas.height()), &mut slot.pixels, self.size);
        slot.shown = Some(*shown);
        match self.filled.as_ref().map(|filled| filled.try_send(slot)) {
            Some(Ok(())) => Ok(()),
            _ => Err(self.stopped()),
        }
    }

    /// Writes waiting pictures, closes the recording and renames it to its path. Nothing may be presented afterwards.
    ///
    /// # Errors
    /// When writing failed.
    pub fn finish(&mut self) -> Result<()> {
        let is_open = self.writer.is_some();
        let ended = self.join();
        if is_open && self.dropped > 0 {
            log::warn!("{}: {} pictures dropped, the disk was behind", self.place, self.dropped);
        }
        ended
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Err(e) = self.finish() {
            log::error!("{e}");
        }
    }
}

/// A picture on its way to the writing thread, or an empty one on its way back.
struct Slot {
    pixels: Vec<u32>,
    shown: Option<Presented>,
}

fn write_all(
    mut sink: Box<dyn Sink>,
    to_write: &Receiver<Slot>,
    give_back: &Sender<Slot>,
    written: &AtomicU64,
    left_out: &AtomicU64,
) -> Result<()> {
    for mut slot in to_write {
        if let Some(shown) = slot.shown.take() {
            let count = match sink.write(&slot.pixels, &shown)? {
                Fate::Written => written,
                Fate::Replaced => left_out,
            };
            count.fetch_add(1, Ordering::Relaxed);
        }
        // If the recorder is gone, the slot is not needed.
        let _ = give_back.try_send(slot);
    }
    sink.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::part_of;
    use crate::units::{FrameId, Timestamp};

    fn shown(id: u64) -> Presented {
        Presented {
            frame: Some(FrameId(id)),
            captured: Timestamp::from_ms(33 * id),
            presented: Timestamp::from_ms(33 * id + 20),
        }
    }

    /// Writes one picture for each message received through `go`; fails from the `room`-th picture on.
    struct Gated {
        go: Receiver<()>,
        seen: Sender<(FrameId, u32)>,
        room: usize,
    }

    impl Sink for Gated {
        fn write(&mut self, pixels: &[u32], shown: &Presented) -> Result<Fate> {
            let _ = self.go.recv();
            if self.room == 0 {
                return Err(Error::new(ErrorKind::Io, "no space left on device"));
            }
            self.room -= 1;
            self.seen.send((shown.frame.unwrap(), pixels[0])).unwrap();
            Ok(Fate::Written)
        }

        fn finish(self: Box<Self>) -> Result<()> {
            Ok(())
        }
    }

    fn gated(room: usize) -> (Recorder, Sender<()>, Receiver<(FrameId, u32)>) {
        let (open, go) = bounded(100);
        let (seen, heard) = bounded(100);
        let sink = Box::new(Gated { go, seen, room });
        (Recorder::with_sink(sink, "recording test".into(), (4, 2)).unwrap(), open, heard)
    }

    #[test]
    fn a_slow_writer_costs_pictures_and_never_waiting() {
        let (mut recorder, open, heard) = gated(usize::MAX);
        let mut canvas = Canvas::new(4, 2);
        for id in 1..=30 {
            canvas.pixels_mut().fill(id as u32);
            recorder.present(&canvas, &shown(id)).unwrap();
        }
        assert_eq!(recorder.counts(), Recorded { written: 0, left_out: 0, dropped: 30 - QUEUE as u64 });
        drop(open);
        recorder.finish().unwrap();
        assert_eq!(recorder.counts().written, QUEUE as u64);
        let got: Vec<_> = heard.try_iter().collect();
        assert_eq!(got, (1..=QUEUE as u64).map(|id| (FrameId(id), id as u32)).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_disk_is_reported_once_with_its_cause_and_then_as_ended() {
        let (mut recorder, open, heard) = gated(2);
        let canvas = Canvas::new(4, 2);
        for id in 1..=3 {
            recorder.present(&canvas, &shown(id)).unwrap();
        }
        drop(open);
        assert_eq!(heard.iter().count(), 2, "the writer has ended when nobody can be heard any more");
        let e = (4..).find_map(|id| recorder.present(&canvas, &shown(id)).err()).unwrap();
        assert_eq!(e.to_string(), "recording test: no space left on device");
        assert!(recorder.present(&canvas, &shown(9)).unwrap_err().to_string().contains("has ended"));
        recorder.finish().unwrap();
    }

    #[test]
    fn a_full_disk_is_reported_by_finish_at_the_latest() {
        let (mut recorder, open, _heard) = gated(0);
        recorder.present(&Canvas::new(4, 2), &shown(1)).unwrap();
        drop(open);
        assert_eq!(recorder.finish().unwrap_err().kind(), ErrorKind::Io);
    }

    #[test]
    fn what_cannot_be_written_is_refused_at_the_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("missing");
        let occupied = folder.path().join("occupied");
        std::fs::create_dir(&occupied).unwrap();
        std::fs::write(occupied.join("note.txt"), "here").unwrap();
        let a_folder = folder.path().join("folder.gif");
        std::fs::create_dir(&a_folder).unwrap();
        for path in [missing.join("a.gif"), missing.join("a.y4m"), missing.join("a"), occupied, a_folder] {
            let e = Recorder::create(&path, 8, 8, &[]).err().unwrap_or_else(|| panic!("{path:?} was accepted"));
            assert_eq!(e.kind(), ErrorKind::Io, "{e}");
            assert!(e.to_string().starts_with("recording "), "{e}");
        }
        for (width, height) in [(0, 8), (8, 0), (70_000, 8)] {
            let e = Recorder::create(&folder.path().join("b.gif"), width, height, &[]).err().unwrap();
            assert_eq!(e.kind(), ErrorKind::Argument, "{e}");
        }
    }

    #[test]
    fn a_recording_has_its_name_only_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.gif", "a.y4m", "a"] {
            let path = folder.path().join(name);
            let mut recorder = Recorder::create(&path, 8, 6, &[]).unwrap();
            recorder.present(&Canvas::new(8, 6), &shown(1)).unwrap();
            assert!(!path.exists() && part_of(&path).exists(), "{name}");
            drop(recorder);
            assert!(path.exists() && !part_of(&path).exists(), "{name}");
        }
    }
}
