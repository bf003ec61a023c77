//! From the arguments and a profile to one effective profile, and from that to a screen with a touch panel.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use sonotap::display::Display;
use sonotap::profile::{DisplayKind, IgtlProfile, Profile, ProposeProfile};

use crate::arguments::RunArguments;
use crate::displays::Wanted;

/// The profile of `--config`, with what the arguments say instead.
pub fn effective(arguments: &RunArguments, wanted: &Wanted) -> Result<Profile> {
    let mut profile = arguments.config.as_deref().map(Profile::load).transpose()?.unwrap_or_default();
    look_at(&mut profile, wanted);
    if let Some(size) = &arguments.size {
        let (width, height) = parse_size(size)?;
        profile.display.size = [width, height];
    }
    profile.display.dpi = arguments.dpi.or(profile.display.dpi);
    profile.image.mirror |= arguments.mirror;
    profile.live.deadline_ms = arguments.deadline_ms.or(profile.live.deadline_ms);
    if let Some(model) = &arguments.model {
        profile.model.folder = Some(model.clone());
    }
    if let Some(score_min) = arguments.propose {
        if !(0.5..=0.99).contains(&score_min) {
            bail!("--propose: expected 0.5 to 0.99, got {score_min}");
        }
        profile.propose = Some(ProposeProfile { score_min });
    }
    if let Some(preset) = &arguments.preset {
        profile.model.preset = Some(preset.clone());
    }
    if let (Some(camera), Some(fps)) = (&mut profile.camera, arguments.fps) {
        camera.fps = fps;
    }
    listen(&mut profile, arguments)?;
    Ok(profile)
}

/// What the arguments say of OpenIGTLink.
fn listen(profile: &mut Profile, arguments: &RunArguments) -> Result<()> {
    let source = arguments.source.as_deref();
    if let Some(igtl) = profile.igtl.as_mut().filter(|_| source.is_some()) {
        igtl.source = None;
    }
    let images_of = source.and_then(|s| s.strip_prefix("igtl:"));
    if let Some(place) = &arguments.igtl {
        let numbers = "a port or ADDRESS:PORT in numbers, as in 18944 or 192.168.0.7:18944";
        IgtlProfile::address(place).with_context(|| format!("--igtl: expected {numbers}, got {place:?}"))?;
        profile.igtl.get_or_insert_default().listen.clone_from(place);
    }
    if let Some(what) = images_of {
        if what != IgtlProfile::LISTEN && IgtlProfile::address(what).is_none() {
            bail!("--source: expected igtl:listen, igtl:PORT or igtl:ADDRESS:PORT in numbers, got \"igtl:{what}\"");
        }
        profile.igtl.get_or_insert_default().source = Some(what.into());
    }
    if let Some(device) = &arguments.igtl_device {
        match &mut profile.igtl {
            Some(igtl) if igtl.source.is_some() => igtl.device = Some(device.clone()),
            _ => bail!("--igtl-device: expected --source igtl:.. beside it"),
        }
        if device.is_empty() || device.len() > 20 {
            bail!("--igtl-device: expected 1 to 20 bytes, got {device:?}");
        }
    }
    if let (Some(igtl), Some(fps)) = (&mut profile.igtl, arguments.fps) {
        igtl.fps = fps;
    }
    Ok(())
}

/// Another screen than the profile's, if the arguments say.
pub fn look_at(profile: &mut Profile, wanted: &Wanted) {
    if let Some((kind, path)) = wanted.main() {
        profile.display.kind = kind;
        profile.display.path = path.map(Path::to_owned);
    }
    if let Some(address) = wanted.remote() {
        let remote = profile.remote.get_or_insert_default();
        remote.address = address.unwrap_or(remote.address);
        if wanted.main().is_none_or(|(kind, _)| kind == DisplayKind::None) {
            profile.display.kind = DisplayKind::Remote;
        }
    }
}

/// Takes what a killed run left off the screen: black, or `text` for `seconds`, and then the text console where there is one.
#[cfg(feature = "kms")]
pub fn blank(config: &Path, display: &[String], text: &str, seconds: f64) -> Result<()> {
    use sonotap::display::Presented;
    use sonotap::overlay::sign;

    let is_stopped = crate::stage::stop_flag()?;
    let mut profile = Profile::load(config)?;
    look_at(&mut profile, &Wanted::parse(display)?);
    let mut screen = open_bare(&profile)?;
    let nothing = Presented::default();
    screen.present(&sign(screen.size(), text), &nothing, &mut || true)?;
    let end = std::time::Instant::now() + std::time::Duration::from_secs_f64(seconds);
    while std::time::Instant::now() < end && !is_stopped.load(std::sync::atomic::Ordering::Acquire) {
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Ok(screen.finish()?)
}

/// Reads a size, as in 800x480.
pub fn parse_size(text: &str) -> Result<(u32, u32)> {
    text.split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .with_context(|| format!("--size: expected WIDTHxHEIGHT, as in 800x480, got {text:?}"))
}

/// Opens the screen of a profile that is neither a window nor none, with its touch panel.
pub fn open_screen(profile: &Profile) -> Result<Box<dyn Display>> {
    let screen = open_bare(profile)?;
    #[cfg(feature = "touch")]
    if let Some(touch) = &profile.touch {
        use sonotap::input::touch::evdev::TouchPanel;
        let panel = TouchPanel::new(touch, turn(profile));
        return Ok(Box::new(sonotap::display::Touched::new(screen, panel)));
    }
    #[cfg(not(feature = "touch"))]
    if profile.touch.is_some() {
        bail!("this build has no touch panel (feature `touch`)");
    }
    Ok(screen)
}

#[cfg(feature = "kms")]
fn turn(profile: &Profile) -> sonotap::input::touch::Turn {
    sonotap::input::touch::Turn::from_degrees(profile.display.rotate).unwrap_or_default()
}

#[cfg(all(feature = "touch", not(feature = "kms")))]
fn turn(_profile: &Profile) -> sonotap::input::touch::Turn {
    sonotap::input::touch::Turn::None
}

#[cfg(feature = "kms")]
fn open_bare(profile: &Profile) -> Result<Box<dyn Display>> {
    use sonotap::display::framebuffer::Framebuffer;
    use sonotap::display::kms::Kms;
    let (turn, dpi) = (turn(profile), profile.display.dpi);
    let path: Option<&PathBuf> = profile.display.path.as_ref();
    let drm = || Kms::open(path.map(PathBuf::as_path), turn, dpi);
    let fbdev =
        |path: Option<&PathBuf>| Framebuffer::open(path.map_or(Path::new("/dev/fb0"), PathBuf::as_path), turn, dpi);
    Ok(match profile.display.kind {
        DisplayKind::Drm => Box::new(drm()?),
        DisplayKind::Fbdev => Box::new(fbdev(path)?),
        DisplayKind::Auto => match drm() {
            Ok(screen) => Box::new(screen),
            Err(why_not) => {
                log::warn!("{why_not}; trying the framebuffer");
                Box::new(fbdev(None).with_context(|| format!("no screen can be used: {why_not}"))?)
            }
        },
        DisplayKind::Window | DisplayKind::Remote | DisplayKind::None => bail!("expected a screen of its own"),
    })
}

#[cfg(not(feature = "kms"))]
fn open_bare(profile: &Profile) -> Result<Box<dyn Display>> {
    let _: Option<&PathBuf> = profile.display.path.as_ref();
    let kind = match profile.display.kind {
        DisplayKind::Fbdev => "framebuffer",
        _ => "DRM screen",
    };
    bail!("this build has no {kind} (feature `kms`)")
}
