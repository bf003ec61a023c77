//! A screen driven by DRM/KMS: two dumb buffers, flipped at the screen's refresh.
//!
//! [`Display::present`] returns when the picture is scanned out, at most one refresh after it was drawn, so that the
//! reported age of a frame is that at the glass. No system library is needed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drm::Device as DrmDevice;
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::dumbbuffer::{DumbBuffer, DumbMapping};
use drm::control::{Device as ControlDevice, Event, Mode, PageFlipFlags, connector, crtc, framebuffer};

use super::console::Console;
use super::framebuffer::dpi_of;
use super::surface::{PixelLayout, Surface};
use super::{Display, Presence, Presentation, Presented};
use crate::error::{Error, ErrorKind, Result};
use crate::glass::{DisplayTiming, Light};
use crate::input::Contact;
use crate::input::touch::Turn;
use crate::overlay::Canvas;
use crate::units::{FrameId, Timestamp};

/// Dots per inch of a screen that does not report its size.
const DPI: f32 = 133.0;
/// Longest wait for a flip; an unplugged screen never reports one.
const FLIP_MAX: Duration = Duration::from_millis(100);
const FLIP_LOOK: Duration = Duration::from_micros(500);
/// A flip may be stamped this long before it was requested: the stamp is the start of the blanking.
const STAMP_SLACK: Duration = Duration::from_millis(2);
/// Number of cards that are tried when none is named.
const CARDS: u32 = 8;

struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl DrmDevice for Card {}
impl ControlDevice for Card {}

/// A mapped buffer of the card, and its handle for scan-out.
///
/// The mapping lives as long as the screen, because a new one for each frame costs a page fault for every 4 KiB. Its
/// small handle is leaked for that; the kernel frees the buffer when the card is closed.
struct Scanout {
    mapping: DumbMapping<'static>,
    handle: framebuffer::Handle,
}

impl Scanout {
    /// Returns the buffer and its stride in bytes.
    fn new(card: &Card, size: (u32, u32)) -> io::Result<(Self, usize)> {
        let buffer: &'static mut DumbBuffer =
            Box::leak(Box::new(card.create_dumb_buffer(size, DrmFourcc::Xrgb8888, 32)?));
        let stride = buffer.pitch() as usize;
        let handle = card.add_framebuffer(buffer, 24, 32)?;
        Ok((Self { mapping: card.map_dumb_buffer(buffer)?, handle }, stride))
    }
}

/// A screen on a card. Dropping it restores what was shown before.
pub struct Kms {
    card: Card,
    place: String,
    connector: connector::Handle,
    crtc: crtc::Handle,
    mode: Mode,
    before: Option<crtc::Info>,
    scanouts: Vec<Scanout>,
    back: usize,
    surface: Surface,
    dpi: f32,
    is_flipping: bool,
    is_refused_told: bool,
    _console: Option<Console>,
}

impl Kms {
    /// Opens a card, or the first one with a screen; `turn` rotates the picture on its way, `dpi` overrides the
    /// screen's.
    ///
    /// # Errors
    /// `Unavailable` when there is no card, no screen on it, or another program has it.
    pub fn open(path: Option<&Path>, turn: Turn, dpi: Option<f32>) -> Result<Self> {
        let Some(path) = path else {
            let tried: Vec<_> = (0..CARDS).map(|n| PathBuf::from(format!("/dev/dri/card{n}"))).collect();
            let there: Vec<_> = tried.iter().filter(|p| p.exists()).collect();
            let mut refusals = Vec::new();
            for path in &there {
                match Self::open_card(path, turn, dpi) {
                    Ok(screen) => return Ok(screen),
                    Err(e) => refusals.push(e.to_string()),
                }
            }
            let got = if refusals.is_empty() { "no /dev/dri/card*".into() } else { refusals.join("; ") };
            return Err(Error::new(ErrorKind::Unavailable, format!("drm: expected a card with a screen, got {got}")));
        };
        Self::open_card(path, turn, dpi)
    }

    fn open_card(path: &Path, turn: Turn, dpi: Option<f32>) -> Result<Self> {
        let place = format!("drm {}", path.display());
        let unavailable =
            |what: &str, e: io::Error| Error::caused(ErrorKind::Unavailable, format!("{place}: {what}: {e}"), e);
        let file = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(path);
        let card = Card(file.map_err(|e| unavailable("cannot be opened", e))?);
        let (connector, crtc) = screen_of(&card).map_err(|e| e.within(&place))?;
        let mode = *connector.modes().first().ok_or_else(|| nothing(&place, "a screen with a mode"))?;
        let (width, height) = (u32::from(mode.size().0), u32::from(mode.size().1));
        let (mut scanouts, mut stride) = (Vec::new(), 0);
        for _ in 0..2 {
            let (scanout, bytes) =
                Scanout::new(&card, (width, height)).map_err(|e| unavailable("no memory to draw on", e))?;
            scanouts.push(scanout);
            stride = bytes;
        }
        let surface = Surface { width, height, stride, layout: PixelLayout::XRGB8888, turn };
        let said = connector.size().and_then(|(width_mm, _)| dpi_of(width, width_mm));
        let mut screen = Self {
            before: card.get_crtc(crtc).ok(),
            card,
            connector: connector.handle(),
            crtc,
            mode,
            scanouts,
            back: 0,
            surface,
            dpi: dpi.or(said).unwrap_or(DPI),
            is_flipping: false,
            is_refused_told: false,
            _console: Console::take().map_err(|e| log::info!("{e}")).ok(),
            place,
        };
        let black = Canvas::new(screen.size().0, screen.size().1);
        screen.draw(&black);
        screen.set_mode().map_err(|e| {
            let what = "cannot be shown on; is another program showing there?";
            Error::caused(ErrorKind::Unavailable, format!("{}: {what}: {e}", screen.place), e)
        })?;
        screen.back = 1;
        Ok(screen)
    }

    /// Draws on the back buffer.
    fn draw(&mut self, canvas: &Canvas) {
        self.surface.write(canvas, self.scanouts[self.back].mapping.as_mut());
    }

    fn set_mode(&self) -> io::Result<()> {
        let shown = self.scanouts[self.back].handle;
        self.card.set_crtc(self.crtc, Some(shown), (0, 0), &[self.connector], Some(self.mode))
    }

    /// Flips to the back buffer and waits until it is scanned out. Returns the time since then.
    fn show(&mut self) -> io::Result<Duration> {
        let next = self.scanouts[self.back].handle;
        match self.card.page_flip(self.crtc, next, PageFlipFlags::EVENT, None) {
            Ok(()) => self.is_flipping = true,
            // A driver without flips, or a lost mode.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EINVAL | libc::ENOSYS | libc::EOPNOTSUPP)) => {
                self.set_mode()?;
            }
            Err(e) => return Err(e),
        }
        let lit_ago = self.await_flip();
        self.back = 1 - self.back;
        Ok(lit_ago)
    }

    /// Time since the flip, by the kernel's stamp where it is credible.
    fn await_flip(&mut self) -> Duration {
        let begin = Instant::now();
        let mut lit_ago = Duration::ZERO;
        while self.is_flipping && begin.elapsed() < FLIP_MAX {
            match self.card.receive_events() {
                Ok(events) => {
                    for event in events {
                        if let Event::PageFlip(flip) = event {
                            lit_ago = age_of(flip.duration, begin.elapsed());
                            self.is_flipping = false;
                        }
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::sleep(FLIP_LOOK),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    log::warn!("{}: {e}", self.place);
                    break;
                }
            }
        }
        lit_ago
    }
}

/// A connected screen, and a CRTC for it.
fn screen_of(card: &Card) -> Result<(connector::Info, crtc::Handle)> {
    let io = |e: io::Error| Error::caused(ErrorKind::Unavailable, format!("expected a card with screens, got {e}"), e);
    let resources = card.resource_handles().map_err(io)?;
    let connectors = resources.connectors().iter().filter_map(|&c| card.get_connector(c, true).ok());
    let connected = connectors.filter(|c| c.state() == connector::State::Connected && !c.modes().is_empty());
    for connector in connected {
        let present = connector.current_encoder();
        for &encoder in present.iter().chain(connector.encoders()) {
            let Ok(encoder) = card.get_encoder(encoder) else { continue };
            let possible = resources.filter_crtcs(encoder.possible_crtcs());
            let crtc = encoder.crtc().filter(|c| possible.contains(c)).or(possible.first().copied());
            if let Some(crtc) = crtc {
                return Ok((connector, crtc));
            }
        }
    }
    Err(Error::new(ErrorKind::Unavailable, "expected a screen that is connected, got none"))
}

/// Age of an event by the kernel's monotonic stamp. A stamp ahead of now, or from before this flip was requested
/// `waited` ago, is of a different clock or flip; then the age is that of the event's arrival, 0.
fn age_of(stamp: Duration, waited: Duration) -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let now = Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0));
    credible(now, stamp, waited)
}

fn credible(now: Duration, stamp: Duration, waited: Duration) -> Duration {
    now.checked_sub(stamp).filter(|age| *age <= waited + STAMP_SLACK).unwrap_or_default()
}

/// Refresh period: the pixels of one scan, blanking included, divided by the pixel clock (kHz).
fn refresh_of(mode: &Mode) -> Option<Duration> {
    let (clock_khz, total) = (u64::from(mode.clock()), mode.hsync().2 as u64 * mode.vsync().2 as u64);
    match (clock_khz * 1_000, mode.vrefresh()) {
        (0, 0) => None,
        (hz, _) if hz > 0 && total > 0 => Some(Duration::from_nanos(total * 1_000_000_000 / hz)),
        (_, 0) => None,
        (_, refresh) => Some(Duration::from_nanos(1_000_000_000 / u64::from(refresh))),
    }
}

fn nothing(place: &str, what: &str) -> Error {
    Error::new(ErrorKind::Unavailable, format!("{place}: expected {what}, got none"))
}

impl Display for Kms {
    fn size(&self) -> (u32, u32) {
        self.surface.canvas_size()
    }

    fn dpi(&self) -> f32 {
        self.dpi
    }

    fn timing(&self) -> DisplayTiming {
        refresh_of(&self.mode).map_or(DisplayTiming::OnReturn, |period| DisplayTiming::AtRefresh { period })
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        _shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        self.await_flip();
        self.draw(canvas);
        if !is_in_time() {
            return Ok(Presentation::Withheld);
        }
        match self.show() {
            Ok(lit_ago) => {
                self.is_refused_told = false;
                Ok(Presentation::Lit(Light::Ago(lit_ago)))
            }
            // Another console is active; the picture comes back with ours.
            Err(e) if matches!(e.raw_os_error(), Some(libc::EACCES | libc::EPERM | libc::EBUSY)) => {
                if !std::mem::replace(&mut self.is_refused_told, true) {
                    log::warn!("{}: the screen is not ours at present: {e}", self.place);
                }
                Ok(Presentation::Away)
            }
            Err(e) => Err(Error::caused(ErrorKind::Io, format!("{}: the picture cannot be shown: {e}", self.place), e)),
        }
    }

    fn contacts(&mut self, _now: Timestamp, _shown: Option<FrameId>, _out: &mut Vec<Contact>) -> Result<Presence> {
        Ok(Presence::Open)
    }

    fn finish(&mut self) -> Result<()> {
        Ok(())
    }
}

impl Drop for Kms {
    fn drop(&mut self) {
        self.await_flip();
        if let Some(before) = self.before.take() {
            let (shown, mode) = (before.framebuffer(), before.mode());
            let connectors: &[_] = if shown.is_some() { &[self.connector] } else { &[] };
            if let Err(e) = self.card.set_crtc(self.crtc, shown, before.position(), connectors, mode) {
                log::info!("{}: what was shown before cannot be shown again: {e}", self.place);
            }
        }
        for scanout in self.scanouts.drain(..) {
            // Otherwise the kernel does it when the file is closed.
            let _ = self.card.destroy_framebuffer(scanout.handle);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_of_another_clock_or_flip_is_not_believed() {
        let ms = Duration::from_millis;
        for (stamp, waited, expected_ms) in [(995, 20, 5), (1_001, 20, 0), (500, 20, 0), (980, 20, 20), (0, 20, 0)] {
            let age = credible(ms(1_000), ms(stamp), ms(waited));
            assert_eq!(age, Duration::from_millis(expected_ms), "stamped at {stamp} ms");
        }
    }

    #[test]
    fn what_is_no_card_is_refused_with_its_name() {
        for path in ["/dev/null", "/dev/dri/no-such-card"] {
            let e = Kms::open(Some(Path::new(path)), Turn::None, None).err().unwrap();
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
            assert!(e.to_string().starts_with(&format!("drm {path}: ")), "{e}");
        }
    }
}
