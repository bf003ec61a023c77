//! The display: pictures in, contacts, controls and arrivals out.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::Serialize;
use sonotap::{
    Arrival, Canvas, Contact, Control, Display, Error, ErrorKind, FrameId, Light, Point, Presence, Presentation,
    Presented, Result, Scene, Timestamp,
};

use crate::authority::Authority;
use crate::card::PairingCard;
use crate::hub::{Fate, Hub, Touch};
use crate::pictures::encode_until_closed;
use crate::server::Server;

/// Fingers on tablets are none of those on a panel of the device.
const FIRST_FINGER: u8 = 100;

/// Settings of a remote screen.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Where it listens, once pairing is opened.
    pub address: SocketAddr,
    /// Names under which a browser may reach it, beside its addresses.
    pub names: Vec<String>,
    /// With one, browsers are answered by TLS alone.
    pub authority: Option<Arc<Authority>>,
    /// Tablets at a time.
    pub viewers_max: usize,
    /// How long a pairing stays open.
    pub pairing: Duration,
    /// Greatest age of a live frame at a tablet's glass; an older one is covered there, with its age.
    pub age_max: Duration,
    /// Size before a tablet has said its own, px, and px per inch.
    pub size: (u32, u32),
    /// See `size`.
    pub dpi: f32,
    /// Whether the screen is composed for the tablet that controls. Otherwise the canvas has the size above: a mirror.
    pub is_fitted: bool,
}

impl Default for RemoteConfig {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 8080)),
            names: Vec::new(),
            authority: None,
            viewers_max: 4,
            pairing: Duration::from_secs(120),
            age_max: crate::AGE_MAX,
            size: (800, 480),
            dpi: 133.0,
            is_fitted: true,
        }
    }
}

/// What a remote screen has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RemoteReport {
    /// Pictures encoded.
    pub encoded: u64,
    /// Their mean size, bytes.
    pub bytes_mean: f64,
    /// Their mean time to encode, ms.
    pub encode_ms_mean: f64,
    /// Pictures displaced by newer ones before they were encoded.
    pub displaced: u64,
    /// Pictures sent, to all viewers together.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Pictures that viewers said they had drawn.
    pub seen: u64,
    /// Requests and connections refused.
    pub refused: u64,
}

/// A screen in a browser.
///
/// [`Display::present`] gives a picture to the encoder and returns: [`Presentation::Underway`], and its arrival is when the
/// lead's word came that it was drawn, which is not before it was. Where nobody looks, it is `Lit` at once, as for a display that
/// shows nothing.
pub struct Remote {
    hub: Arc<Hub>,
    config: RemoteConfig,
    server: Mutex<Option<Server>>,
    encoder: Option<JoinHandle<()>>,
    touches: Vec<Touch>,
    fates: Vec<Fate>,
}

impl Remote {
    /// Whether exams are saved: then the page has the controls for it. At first it has not.
    pub fn set_exam(&mut self, has_exam: bool) {
        self.hub.set_exam(has_exam);
    }

    /// A screen that nobody can see yet: [`Self::open_pairing`].
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn new(config: RemoteConfig) -> Result<Self> {
        let hub = Arc::new(Hub::new(config.viewers_max.max(1), config.age_max));
        let of_thread = hub.clone();
        let encoder = std::thread::Builder::new()
            .name("remote-encode".into())
            .spawn(move || encode_until_closed(&of_thread))
            .map_err(|e| Error::new(ErrorKind::Unavailable, format!("remote screen: no thread to encode: {e}")))?;
        Ok(Self {
            hub,
            config,
            server: Mutex::new(None),
            encoder: Some(encoder),
            touches: Vec::new(),
            fates: Vec::new(),
        })
    }

    /// Opens pairing for one tablet, with a new PIN and QR code, and listens if it did not yet. The PIN and the code of an
    /// earlier opening no longer count.
    ///
    /// # Errors
    /// `Unavailable` when the address cannot be listened to, or the system has no randomness.
    pub fn open_pairing(&self) -> Result<PairingCard> {
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        let own = match &*server {
            Some(server) => server.address(),
            None => {
                let names = self.config.names.clone();
                let authority = self.config.authority.clone();
                server.insert(Server::start(self.hub.clone(), self.config.address, names, authority)?).address()
            }
        };
        let opened = self.hub.access(|access, now| access.open(now, self.config.pairing));
        let (pin, token) = opened
            .map_err(|e| Error::new(ErrorKind::Unavailable, format!("remote screen: no randomness for a PIN: {e}")))?;
        Ok(PairingCard::new(own, pin, &token, self.config.authority.as_deref()))
    }

    /// Whether a tablet can be paired now.
    pub fn is_pairing(&self) -> bool {
        self.hub.access(|access, now| access.is_open(now))
    }

    /// Closes pairing.
    pub fn close_pairing(&self) {
        self.hub.access(|access, _| access.close());
    }

    /// What was done so far.
    pub fn report(&self) -> RemoteReport {
        let c = self.hub.counts();
        let mean = |sum: f64| if c.encoded == 0 { 0.0 } else { sum / c.encoded as f64 };
        RemoteReport {
            encoded: c.encoded,
            bytes_mean: mean(c.encoded_bytes as f64),
            encode_ms_mean: mean(c.encoding.as_secs_f64() * 1e3),
            displaced: c.displaced,
            sent: c.sent,
            sent_bytes: c.sent_bytes,
            seen: c.seen,
            refused: c.refused,
        }
    }

    fn give(&mut self, canvas: &Canvas, shown: &Presented, is_in_time: &mut dyn FnMut() -> bool) -> Presentation {
        let mut picture = self.hub.spare();
        picture.canvas.copy_from(canvas);
        picture.frame = shown.frame.map_or(0, |id| id.0);
        if !is_in_time() {
            self.hub.keep(picture);
            return Presentation::Withheld;
        }
        picture.age = shown.presented.since(shown.captured);
        picture.at = Some(Instant::now());
        match self.hub.offer(picture) {
            Some(number) => Presentation::Underway(number),
            None => Presentation::Lit(Light::Now),
        }
    }

    fn close(&mut self) {
        self.hub.close();
        drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
        if let Some(encoder) = self.encoder.take() {
            drop(encoder.join());
        }
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        self.close();
    }
}

impl Display for Remote {
    fn size(&self) -> (u32, u32) {
        let wanted = self.hub.wanted().filter(|_| self.config.is_fitted);
        wanted.map_or(self.config.size, |(size, _)| size)
    }

    fn dpi(&self) -> f32 {
        let wanted = self.hub.wanted().filter(|_| self.config.is_fitted);
        wanted.map_or(self.config.dpi, |(_, dpi)| dpi)
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        Ok(self.give(canvas, shown, is_in_time))
    }

    fn contacts(&mut self, now: Timestamp, _shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        let may_listen = self.hub.round(&mut self.touches);
        if !may_listen {
            drop(self.server.lock().unwrap_or_else(PoisonError::into_inner).take());
        }
        let instant = Instant::now();
        out.extend(self.touches.drain(..).map(|touch| Contact {
            finger: FIRST_FINGER + touch.finger,
            phase: touch.phase,
            at: Point::new(touch.at.0, touch.at.1),
            size_mm: touch.size_mm,
            time: now - instant.saturating_duration_since(touch.time),
            shown: (touch.frame != 0).then_some(FrameId(touch.frame)),
        }));
        Ok(Presence::Open)
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        self.hub.take_fates(&mut self.fates);
        let now = Instant::now();
        out.extend(self.fates.drain(..).map(|fate| Arrival {
            picture: fate.picture,
            light: fate.seen.map(|at| Light::Ago(now.saturating_duration_since(at))),
        }));
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        self.hub.take_controls(out);
    }

    fn tell(&mut self, scene: &Scene) {
        self.hub.tell(scene);
    }

    fn finish(&mut self) -> Result<()> {
        self.close();
        Ok(())
    }
}
