//! Tablets that show the screen: how they come to be paired on this device, beside `sonotap-remote`, which shows it.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sonotap::display::{Arrival, Display, Presence, Presentation, Presented};
use sonotap::durable;
use sonotap::error::Result as SonotapResult;
use sonotap::input::Contact;
use sonotap::overlay::{Canvas, Control};
use sonotap::profile::RemoteProfile;
use sonotap::scene::Scene;
use sonotap::text_file;
use sonotap::units::{FrameId, Timestamp};
use sonotap_remote::{Authority, PairingCard, Remote, RemoteConfig, RemoteReport};

use crate::displays::DPI;
use crate::tablet_card::picture_of;

/// Largest file of an authority, bytes.
const AUTHORITY_BYTES_MAX: usize = 1 << 16;

/// The tablets, the button that opens pairing, and what the device's own screen shows meanwhile.
pub struct Tablets {
    remote: Remote,
    button: Option<Button>,
    card: Option<PairingCard>,
    /// The card as it is on a screen of that size.
    picture: Option<(Canvas, (u32, u32))>,
    /// The picture with the card on it.
    composed: Canvas,
    /// Of pictures beside the device's own screen nobody waits to hear.
    unheard: Vec<Arrival>,
    is_alone: bool,
}

impl Tablets {
    /// As the profile says; nobody can see anything yet. `size` is that of the pictures, until a tablet says its own where it
    /// `is_alone`.
    pub fn open(profile: &RemoteProfile, size: (u32, u32), is_alone: bool) -> Result<Self> {
        let config = RemoteConfig {
            address: profile.address,
            names: profile.names.clone(),
            authority: profile.authority.as_deref().map(|path| authority(path, &profile.names)).transpose()?,
            viewers_max: profile.tablets,
            pairing: Duration::from_secs_f64(profile.pairing_s),
            age_max: Duration::from_secs_f64(profile.age_ms_max / 1e3),
            size,
            dpi: DPI,
            is_fitted: is_alone,
        };
        Ok(Self {
            remote: Remote::new(config)?,
            button: profile.button.as_deref().map(Button::open).transpose()?,
            card: None,
            picture: None,
            composed: Canvas::default(),
            unheard: Vec::new(),
            is_alone,
        })
    }

    /// Whether something can open pairing later.
    pub fn has_button(&self) -> bool {
        self.button.is_some()
    }

    /// Whether exams are saved.
    pub fn set_exam(&mut self, has_exam: bool) {
        self.remote.set_exam(has_exam);
    }

    /// Opens pairing and shows how, on standard error and on the device's own screen.
    ///
    /// # Errors
    /// When the address cannot be listened to.
    pub fn open_pairing(&mut self) -> Result<PairingCard> {
        let card = self.remote.open_pairing()?;
        // Where nobody reads it, the screen or the button still does.
        let _ = write!(std::io::stderr(), "{}", card.to_text());
        (self.card, self.picture) = (Some(card.clone()), None);
        Ok(card)
    }

    /// The same while it runs: an error ends nothing.
    pub fn pair(&mut self) {
        if let Err(e) = self.open_pairing() {
            log::error!("{e}");
        }
    }

    /// The picture for the device's own screen: with the card on it while pairing is open.
    pub fn with_card<'c>(&'c mut self, canvas: &'c Canvas) -> &'c Canvas {
        if self.card.is_some() && !self.remote.is_pairing() {
            self.card = None;
        }
        let Some(card) = &self.card else { return canvas };
        let screen = (canvas.width(), canvas.height());
        if self.picture.as_ref().is_none_or(|(_, size)| *size != screen) {
            self.picture = Some((picture_of(card, screen), screen));
        }
        let Some((card, _)) = &self.picture else { return canvas };
        self.composed.copy_from(canvas);
        let middle = |whole: u32, part: u32| whole.saturating_sub(part) / 2;
        let (x, y) = (middle(canvas.width(), card.width()), middle(canvas.height(), card.height()));
        self.composed.paste(card, x, y);
        &self.composed
    }

    /// What was done.
    pub fn report(&self) -> RemoteReport {
        self.remote.report()
    }

    fn answer_button(&mut self) {
        let Some(pressed) = self.button.as_ref().and_then(Button::pressed) else { return };
        match self.open_pairing() {
            Ok(card) => tell(pressed, &card.to_text()),
            Err(e) => tell(pressed, &format!("sonotap: {e}\n")),
        }
    }
}

/// Reads the device's authority, or makes it.
fn authority(path: &Path, names: &[String]) -> Result<Arc<Authority>> {
    let what = || format!("remote.authority: {}", path.display());
    if path.exists() {
        let mode = std::fs::metadata(path).with_context(what)?.permissions().mode();
        if mode & 0o077 != 0 {
            bail!("{}: expected a file that its owner alone can read, got mode {:o}", what(), mode & 0o777);
        }
        let text = text_file::read(path, "an authority", AUTHORITY_BYTES_MAX).with_context(what)?;
        return Ok(Arc::new(Authority::from_pem(&text).with_context(what)?));
    }
    let authority = Authority::new(names).with_context(what)?;
    let part = durable::part_of(path);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part).with_context(what)?;
    file.write_all(authority.to_pem().as_bytes()).and_then(|()| file.sync_all()).with_context(what)?;
    durable::publish(&part, path).with_context(what)?;
    log::info!("remote screen: a new authority, SHA-256 {}", authority.fingerprint());
    Ok(Arc::new(authority))
}

impl Display for Tablets {
    fn size(&self) -> (u32, u32) {
        self.remote.size()
    }

    fn dpi(&self) -> f32 {
        self.remote.dpi()
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> SonotapResult<Presentation> {
        self.remote.present(canvas, shown, is_in_time)
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> SonotapResult<Presence> {
        self.answer_button();
        if !self.is_alone {
            self.remote.arrivals(&mut self.unheard);
            self.unheard.clear();
        }
        self.remote.contacts(now, shown, out)
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        self.remote.arrivals(out);
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        self.remote.controls(out);
    }

    fn tell(&mut self, scene: &Scene) {
        self.remote.tell(scene);
    }

    fn finish(&mut self) -> SonotapResult<()> {
        self.remote.finish()
    }
}

/// A socket at which `sonotap pair` asks for a pairing. Removed when it is dropped.
struct Button {
    listener: UnixListener,
    path: PathBuf,
}

impl Button {
    fn open(path: &Path) -> Result<Self> {
        let what = || format!("remote.button: {}", path.display());
        // What a killed run left is taken over; what somebody listens at is not, nor is any other file.
        if UnixStream::connect(path).is_err_and(|e| e.kind() == ErrorKind::ConnectionRefused) {
            std::fs::remove_file(path).with_context(what)?;
        }
        let listener = UnixListener::bind(path).with_context(what)?;
        // Whoever opens a pairing sees the patient: the owner only, and the group that the folder's keeper gives it.
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)).with_context(what)?;
        listener.set_nonblocking(true).with_context(what)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Who has pressed it since.
    fn pressed(&self) -> Option<UnixStream> {
        self.listener.accept().ok().map(|(stream, _)| stream)
    }
}

impl Drop for Button {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.path));
    }
}

/// A text that fits the socket's buffer; the display thread waits for nobody.
fn tell(mut stream: UnixStream, text: &str) {
    if stream.set_nonblocking(true).is_ok() {
        drop(stream.write_all(text.as_bytes()));
    }
}

/// Presses the button of a running device, and gives what it shows.
pub fn press_button(path: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(path)
        .with_context(|| format!("{}: no sonotap with this [remote] button runs", path.display()))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut text = String::new();
    stream.read_to_string(&mut text).context("the device does not answer")?;
    match text.is_empty() || text.starts_with("sonotap: ") {
        true => bail!("{}", text.trim_start_matches("sonotap: ").trim_end()),
        false => Ok(text),
    }
}
