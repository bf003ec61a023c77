//! The service manager: ready after the first picture, alive while pictures go on.
//!
//! The watchdog is fed by the display loop, and only when there is something new to be alive for: a new frame on the
//! screen; or, while the camera is away or the operator looks at a still picture, a picture on the screen and a capture
//! that still goes its rounds. A display, driver or capture that hangs lets the dog bite.

use std::time::Duration;
#[cfg(feature = "device")]
use std::{
    io::ErrorKind,
    os::linux::net::SocketAddrExt as _,
    os::unix::ffi::OsStrExt as _,
    os::unix::net::{SocketAddr, UnixDatagram},
};

use sonotap::units::Timestamp;

/// Shortest time from one feeding to the next.
const EVERY: Duration = Duration::from_millis(100);

/// Decides when the watchdog is fed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feeder {
    has_frame: bool,
    has_picture: bool,
    beats: u64,
    fed: Option<Timestamp>,
}

impl Feeder {
    /// Something was presented; `is_new_frame` unless it was shown before.
    pub fn presented(&mut self, is_new_frame: bool) {
        self.has_picture = true;
        self.has_frame |= is_new_frame;
    }

    /// Whether it is to be fed at `now`. `beats` counts the rounds of the capture, `expects_frames` says whether new frames
    /// should be on the screen: the camera delivers, and the screen is live.
    pub fn is_due(&mut self, now: Timestamp, beats: u64, expects_frames: bool) -> bool {
        let is_alive = if expects_frames { self.has_frame } else { self.has_picture && beats != self.beats };
        if !is_alive || self.fed.is_some_and(|fed| now.since(fed) < EVERY) {
            return false;
        }
        *self = Self { beats, fed: Some(now), ..Self::default() };
        true
    }
}

/// Tells the service manager.
#[derive(Debug, Default)]
pub struct Service {
    feeder: Feeder,
    is_ready: bool,
}

impl Service {
    /// Something was presented.
    pub fn presented(&mut self, is_new_frame: bool) {
        self.feeder.presented(is_new_frame);
        if !self.is_ready {
            self.is_ready = true;
            tell(Word::Ready);
        }
    }

    /// Once a round of the display loop.
    pub fn turn(&mut self, now: Timestamp, beats: u64, expects_frames: bool) {
        if self.feeder.is_due(now, beats, expects_frames) {
            tell(Word::Alive);
        }
    }

    /// The loop is over.
    pub fn stopping(&self) {
        tell(Word::Stopping);
    }
}

#[derive(Clone, Copy)]
enum Word {
    Ready,
    Alive,
    Stopping,
}

/// Says a word, if a service manager listens. One that does not come to hear it misses it: the display loop waits for nobody.
#[cfg(feature = "device")]
fn tell(word: Word) {
    let Some(place) = std::env::var_os("NOTIFY_SOCKET") else { return };
    let text: &[u8] = match word {
        Word::Ready => b"READY=1",
        Word::Alive => b"WATCHDOG=1",
        Word::Stopping => b"STOPPING=1",
    };
    match send(place.as_bytes(), text) {
        Err(e) if e.kind() != ErrorKind::WouldBlock => log::warn!("the service manager cannot be told: {e}"),
        _ => {}
    }
}

/// `place` is a path, or "@" and an abstract name.
#[cfg(feature = "device")]
fn send(place: &[u8], text: &[u8]) -> std::io::Result<()> {
    let address = match place.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(place))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.send_to_addr(text, &address).map(drop)
}

#[cfg(not(feature = "device"))]
fn tell(_word: Word) {}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(v: u64) -> Timestamp {
        Timestamp::from_ms(v)
    }

    #[test]
    fn while_frames_are_expected_only_new_ones_feed() {
        let mut feeder = Feeder::default();
        feeder.presented(false);
        assert!(!feeder.is_due(ms(0), 9, true), "an old picture shown again fed the watchdog");
        feeder.presented(true);
        assert!(feeder.is_due(ms(1), 10, true));
        assert!(!feeder.is_due(ms(200), 11, true), "fed twice for one frame");
        feeder.presented(true);
        assert!(feeder.is_due(ms(201), 12, true));
    }

    #[test]
    fn without_a_camera_a_capture_that_goes_its_rounds_feeds() {
        let mut feeder = Feeder::default();
        feeder.presented(false);
        assert!(feeder.is_due(ms(0), 1, false));
        assert!(!feeder.is_due(ms(200), 2, false), "nothing was presented since");
        feeder.presented(false);
        assert!(!feeder.is_due(ms(400), 1, false), "a capture that hangs fed the watchdog");
        assert!(feeder.is_due(ms(600), 3, false));
    }

    #[cfg(feature = "device")]
    #[test]
    fn a_manager_that_does_not_listen_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let deaf = UnixDatagram::bind(&path).unwrap();
        let outcomes: Vec<_> = (0..2_000).map(|_| send(path.as_os_str().as_bytes(), b"WATCHDOG=1")).collect();
        assert!(outcomes[0].is_ok() && outcomes.iter().any(|o| o.is_err()), "all were taken");
        drop(deaf);
        assert!(send(b"@sonotap-no-such-manager", b"READY=1").is_err());
    }

    #[test]
    fn it_is_not_fed_at_every_frame() {
        let mut feeder = Feeder::default();
        let fed = (0..1_000)
            .step_by(16)
            .filter(|&t| {
                feeder.presented(true);
                feeder.is_due(ms(t), t, true)
            })
            .count();
        assert!((8..=10).contains(&fed), "{fed} times in a second");
    }
}
