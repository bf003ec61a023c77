//! The `--display` arguments: one display that is looked at and touched, and recordings beside it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sonotap::display::{Arrival, Display, FlipDisplay, Key, NullDisplay, Presence, Presentation, Presented, Recorder};
use sonotap::error::{Error, Result as SonotapResult};
use sonotap::glass::DisplayTiming;
use sonotap::input::Contact;
use sonotap::overlay::theme::Theme;
use sonotap::overlay::{Canvas, Control};
use sonotap::profile::{DisplayKind, Profile, RemoteProfile};
use sonotap::scene::Scene;
use sonotap::units::{FrameId, Timestamp};

use crate::device;
use crate::tablets::Tablets;

/// Dots per inch of a screen that nobody described: the 7 inch panel with 800x480 px.
pub const DPI: f32 = 133.0;

/// What the arguments ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    main: Option<(DisplayKind, Option<PathBuf>)>,
    /// Tablets, and where they are listened to.
    remote: Option<Option<SocketAddr>>,
    recordings: Vec<PathBuf>,
}

impl Wanted {
    /// Reads the arguments; opens nothing.
    pub fn parse(arguments: &[String]) -> Result<Self> {
        let mut wanted = Self::default();
        for what in arguments {
            match (what.as_str(), what.split_once(':')) {
                ("none", _) => {}
                ("window", _) => wanted.look_at(DisplayKind::Window, None)?,
                ("remote", _) => wanted.show_on_tablets(None)?,
                (_, Some(("remote", address))) => wanted.show_on_tablets(Some(address))?,
                ("auto", _) => wanted.look_at(DisplayKind::Auto, None)?,
                ("drm", _) => wanted.look_at(DisplayKind::Drm, None)?,
                ("fbdev", _) => wanted.look_at(DisplayKind::Fbdev, None)?,
                (_, Some(("drm", path))) if !path.is_empty() => wanted.look_at(DisplayKind::Drm, Some(path))?,
                (_, Some(("fbdev", path))) if !path.is_empty() => wanted.look_at(DisplayKind::Fbdev, Some(path))?,
                (_, Some(("record", path))) if !path.is_empty() => wanted.record(Path::new(path))?,
                _ => bail!(
                    "--display: expected window, drm, fbdev, auto, remote[:ADDRESS:PORT], record:PATH or none, got {what:?}"
                ),
            }
        }
        if wanted.main.is_none() && arguments.iter().any(|a| a == "none") {
            wanted.main = Some((DisplayKind::None, None));
        }
        Ok(wanted)
    }

    /// The display that is looked at, if the arguments say.
    pub fn main(&self) -> Option<(DisplayKind, Option<&Path>)> {
        self.main.as_ref().map(|(kind, path)| (*kind, path.as_deref()))
    }

    /// Whether tablets may show the screen, and where they are listened to if the arguments say.
    pub fn remote(&self) -> Option<Option<SocketAddr>> {
        self.remote
    }

    fn show_on_tablets(&mut self, address: Option<&str>) -> Result<()> {
        let parse = |text: &str| {
            text.parse().with_context(|| {
                format!("--display remote: expected ADDRESS:PORT, as in 192.168.7.1:8080, got {text:?}")
            })
        };
        match self.remote.replace(address.map(parse).transpose()?) {
            None => Ok(()),
            Some(_) => bail!("--display: expected remote once, got it twice"),
        }
    }

    fn look_at(&mut self, kind: DisplayKind, path: Option<&str>) -> Result<()> {
        match self.main.replace((kind, path.map(PathBuf::from))) {
            None => Ok(()),
            Some(_) => bail!("--display: expected one of window, drm, fbdev and auto, got two"),
        }
    }

    fn record(&mut self, path: &Path) -> Result<()> {
        let place = std::path::absolute(path).with_context(|| path.display().to_string())?;
        let is_same = |other: &PathBuf| std::path::absolute(other).is_ok_and(|p| p == place);
        if self.recordings.iter().any(is_same) {
            bail!("--display: expected one recording at {}, got two", path.display());
        }
        self.recordings.push(path.to_owned());
        Ok(())
    }
}

/// The display that is looked at and touched, and the recordings beside it.
///
/// A failed recording keeps its partial file; the run continues while a display is open.
pub struct Displays {
    /// None where tablets alone show the screen.
    main: Option<Box<dyn Display>>,
    tablets: Option<Tablets>,
    dpi: Option<f32>,
    kind: DisplayKind,
    is_recording: bool,
    /// Keys are text.
    is_typing: bool,
    recorders: Vec<Recorder>,
    dropped: u64,
    failure: Option<Error>,
}

impl Displays {
    /// Opens the display that is looked at, without recordings yet; `flip_hz` is the beat of a simulated screen.
    pub fn open(profile: &Profile, flip_hz: Option<f64>) -> Result<Self> {
        let [width, height] = profile.display.size;
        let kind = profile.display.kind;
        let main: Option<Box<dyn Display>> = match kind {
            DisplayKind::Window => Some(open_window((width, height)).context("--display window")?),
            DisplayKind::Remote if flip_hz.is_none() => None,
            DisplayKind::None => {
                let dpi = profile.display.dpi.unwrap_or(DPI);
                let null = NullDisplay::new(width, height).with_dpi(dpi);
                Some(match flip_hz {
                    Some(hz) => Box::new(FlipDisplay::new(null, hz).context("--flip-hz")?),
                    None => Box::new(null),
                })
            }
            _ if flip_hz.is_some() => bail!("--flip-hz: expected --display none, got a display of its own"),
            _ => Some(device::open_screen(profile)?),
        };
        let size = main.as_ref().map_or((width, height), |m| m.size());
        let tablets = profile.remote.clone().or((kind == DisplayKind::Remote).then(RemoteProfile::default));
        let tablets = tablets.map(|remote| Tablets::open(&remote, size, main.is_none())).transpose()?;
        let dpi = profile.display.dpi;
        Ok(Self {
            main,
            tablets,
            dpi,
            kind,
            is_recording: true,
            is_typing: false,
            recorders: Vec::new(),
            dropped: 0,
            failure: None,
        })
    }

    /// Begins the recordings.
    pub fn begin_recordings(&mut self, wanted: &Wanted, size: (u32, u32)) -> Result<()> {
        for path in &wanted.recordings {
            self.recorders.push(Recorder::create(path, size.0, size.1, &theme_colours())?);
        }
        Ok(())
    }

    /// The tablets, where they may show the screen.
    pub fn tablets(&mut self) -> Option<&mut Tablets> {
        self.tablets.as_mut()
    }

    /// Whether keys are text at present: then none of them pairs.
    pub fn set_typing(&mut self, is_typing: bool) {
        self.is_typing = is_typing;
    }

    /// Whether exams are saved: then the tablets' page has the controls for it.
    pub fn set_exam(&mut self, has_exam: bool) {
        self.tablets.iter_mut().for_each(|tablets| tablets.set_exam(has_exam));
    }

    /// What is looked at first: the screen of the device, or the tablets where it has none.
    fn front(&self) -> Option<&dyn Display> {
        let tablets = || self.tablets.as_ref().map(|t| t as &dyn Display);
        self.main.as_deref().or_else(tablets)
    }

    /// Whether it is a window.
    pub fn is_window(&self) -> bool {
        self.kind == DisplayKind::Window
    }

    /// Whether somebody may look.
    pub fn is_looked_at(&self) -> bool {
        self.kind != DisplayKind::None
    }

    /// Whether nothing is left to present to that was asked for.
    pub fn is_in_vain(&self) -> bool {
        !self.is_looked_at() && self.failure.is_some() && self.recorders.is_empty()
    }

    /// Whether pictures go to the recordings, too.
    pub fn set_recording(&mut self, is_recording: bool) {
        self.is_recording = is_recording;
    }

    fn record(&mut self, canvas: &Canvas, shown: &Presented) {
        let is_looked_at = self.is_looked_at();
        let (dropped, failure) = (&mut self.dropped, &mut self.failure);
        self.recorders.retain_mut(|recorder| match recorder.present(canvas, shown) {
            Ok(()) => true,
            Err(e) => {
                if is_looked_at {
                    log::error!("{e}");
                }
                *dropped += recorder.counts().dropped;
                failure.get_or_insert(e);
                false
            }
        });
    }

    /// The number of pictures that recordings left out because their writer was busy, and the first error of a recording.
    /// Everything is closed before: [`Display::finish`].
    pub fn recorded(self) -> (u64, Option<Error>) {
        (self.dropped, self.failure)
    }
}

impl Display for Displays {
    fn size(&self) -> (u32, u32) {
        self.front().map_or((0, 0), Display::size)
    }

    fn dpi(&self) -> f32 {
        self.dpi.or(self.front().map(Display::dpi)).unwrap_or(DPI)
    }

    fn timing(&self) -> DisplayTiming {
        self.front().map_or(DisplayTiming::OnReturn, Display::timing)
    }

    /// Presents to who looks and, if it came to be shown and is wanted, to tablets beside and to the recordings.
    fn present(
        &mut self,
        canvas: &Canvas,
        shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> SonotapResult<Presentation> {
        let presentation = match (&mut self.main, &mut self.tablets) {
            (Some(main), None) => main.present(canvas, shown, is_in_time)?,
            (Some(main), Some(tablets)) => {
                let presentation = main.present(tablets.with_card(canvas), shown, is_in_time)?;
                if presentation != Presentation::Withheld {
                    tablets.present(canvas, shown, &mut || true)?;
                }
                presentation
            }
            (None, Some(tablets)) => tablets.present(canvas, shown, is_in_time)?,
            (None, None) => Presentation::Away,
        };
        if self.is_recording && presentation != Presentation::Withheld {
            self.record(canvas, shown);
        }
        Ok(presentation)
    }

    fn present_again(&mut self, canvas: &Canvas, shown: &Presented) -> SonotapResult<()> {
        if let Some(tablets) = &mut self.tablets {
            tablets.present_again(canvas, shown)?;
        }
        match (&mut self.main, &mut self.tablets) {
            (Some(main), Some(tablets)) => main.present_again(tablets.with_card(canvas), shown),
            (Some(main), None) => main.present_again(canvas, shown),
            (None, _) => Ok(()),
        }
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> SonotapResult<Presence> {
        if let Some(tablets) = &mut self.tablets {
            tablets.contacts(now, shown, out)?;
        }
        self.main.as_mut().map_or(Ok(Presence::Open), |main| main.contacts(now, shown, out))
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        if let Some(main) = &mut self.main {
            main.keys(out);
        }
        if let Some(tablets) = &mut self.tablets
            && !self.is_typing
            && out.iter().any(|key| matches!(key, Key::Character('p' | 'P')))
        {
            tablets.pair();
        }
    }

    fn arrivals(&mut self, out: &mut Vec<Arrival>) {
        match (&mut self.main, &mut self.tablets) {
            (Some(main), _) => main.arrivals(out),
            (None, Some(tablets)) => tablets.arrivals(out),
            (None, None) => {}
        }
    }

    fn controls(&mut self, out: &mut Vec<Control>) {
        if let Some(tablets) = &mut self.tablets {
            tablets.controls(out);
        }
    }

    fn tell(&mut self, scene: &Scene) {
        if let Some(tablets) = &mut self.tablets {
            tablets.tell(scene);
        }
    }

    fn finish(&mut self) -> SonotapResult<()> {
        if let Some(main) = &mut self.main {
            main.finish()?;
        }
        if let Some(tablets) = &mut self.tablets {
            tablets.finish()?;
        }
        for recorder in &mut self.recorders {
            if let Err(e) = recorder.finish() {
                self.failure.get_or_insert(e);
            }
            self.dropped += recorder.counts().dropped;
        }
        Ok(())
    }
}

/// Colours that a recording keeps exactly; those of the objects first.
fn theme_colours() -> Vec<u32> {
    let t = Theme::DARK;
    let mut colours = t.objects.to_vec();
    colours.extend([t.background, t.panel, t.button, t.button_edge, t.freeze, t.live, t.frozen, t.alarm, t.cue]);
    colours
}

/// The keys, for people: [`sonotap::display_loop::key_command`].
pub const KEYS: &str = "space freeze, arrows step, u undo, r redo, n new object, c clear, f fill, i include, e exclude, s save, v save cine, x exam, p pair a tablet, Esc close";

/// Whether a window can probably be opened.
#[cfg(feature = "window")]
pub fn is_window_available() -> bool {
    sonotap::display::window::is_available()
}

/// Whether a window can probably be opened.
#[cfg(not(feature = "window"))]
pub fn is_window_available() -> bool {
    false
}

#[cfg(feature = "window")]
fn open_window(size: (u32, u32)) -> Result<Box<dyn Display>> {
    Ok(Box::new(sonotap::display::Window::open("sonotap (not for diagnostic use)", size.0, size.1)?))
}

#[cfg(not(feature = "window"))]
fn open_window(_size: (u32, u32)) -> Result<Box<dyn Display>> {
    bail!("this build has no window (feature `window`)")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Wanted> {
        Wanted::parse(&arguments.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn displays_are_told_apart_and_what_cannot_be_is_refused() {
        assert_eq!(parse(&[]).unwrap().main(), None);
        assert_eq!(parse(&["none"]).unwrap().main(), Some((DisplayKind::None, None)));
        assert_eq!(parse(&["drm"]).unwrap().main(), Some((DisplayKind::Drm, None)));
        assert_eq!(parse(&["fbdev:/dev/fb1"]).unwrap().main(), Some((DisplayKind::Fbdev, Some(Path::new("/dev/fb1")))));
        let wanted = parse(&["window", "record:a.gif", "record:b:c", "none"]).unwrap();
        assert_eq!(wanted.main(), Some((DisplayKind::Window, None)));
        assert_eq!(wanted.recordings, ["a.gif", "b:c"].map(PathBuf::from));
        let wanted = parse(&["window", "remote:127.0.0.1:80"]).unwrap();
        assert_eq!((wanted.main().is_some(), wanted.remote()), (true, Some("127.0.0.1:80".parse().ok())));
        assert_eq!((parse(&["remote"]).unwrap().remote(), parse(&["none"]).unwrap().remote()), (Some(None), None));
        for bad in [
            &["windows"][..],
            &["remote:"],
            &["remote:8080"],
            &["remote", "remote"],
            &["record"],
            &["record:"],
            &["window:1"],
            &["drm:"],
            &["window", "window"],
            &["drm", "auto"],
        ] {
            assert!(parse(bad).unwrap_err().to_string().starts_with("--display"), "{bad:?}");
        }
        assert!(parse(&["record:a.gif", "record:./a.gif"]).unwrap_err().to_string().ends_with("got two"));
    }
}
