//! What `--check-config` runs: all that the first frame and the first taps run, without opening a device.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use sonotap::engine::{Engine, EngineConfig};
use sonotap::frame::{Frame, PixelFormat};
use sonotap::geometry::{ImageSpace, Point};
use sonotap::input::{Contact, Phase};
use sonotap::model::Segmenter as _;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::profile::Profile;
use sonotap::screen::Screen;
use sonotap::session::Command;
use sonotap::units::{FrameId, Timestamp};

use crate::assets;

/// From touch-down to lifting, and from one tap to the next.
const TOUCH: Duration = Duration::from_millis(120);
const PAUSE: Duration = Duration::from_millis(900);

/// Shows a frame as the profile's camera would deliver it, taps its middle and its corners, and has each tap answered.
///
/// # Errors
/// What is wrong with the profile, its model, or what they come to together.
pub fn rehearse(profile: &Profile, mut screen: Screen) -> Result<()> {
    let loaded = assets::load_model(&profile.model)?;
    if let Some(camera) = &profile.camera {
        profile.known_scales(camera.size.into())?;
    }
    if profile.propose.is_some() && !loaded.segmenter.spec().proposes {
        bail!("propose: {}", assets::no_proposal(&loaded.manifest.name));
    }
    let mut predictor = Predictor::new(Box::new(loaded.segmenter), PredictOptions::default());
    let frame = Arc::new(picture(profile)?);
    let mut engine = Engine::new(EngineConfig::default());
    let mut now = Timestamp::START;
    engine.advance(frame.clone(), now)?;
    draw(&mut engine, &mut screen, now)?;
    for place in places(&frame) {
        now = now + PAUSE;
        engine.command(Command::Clear, now);
        for command in tap(&mut screen, place, now)? {
            engine.command(command, now);
        }
        // The first answer, and the closer look after it.
        for _ in 0..2 {
            let Some(mut job) = engine.ask(now) else { break };
            job.answer(&mut predictor);
            if job.report().is_none() {
                bail!("model.folder: a tap at {:.0}, {:.0} was not answered", place.x, place.y);
            }
            engine.answered(job);
        }
        draw(&mut engine, &mut screen, now)?;
    }
    Ok(())
}

/// Grey speckle of the camera's size, with region and scale as the profile has them.
fn picture(profile: &Profile) -> Result<Frame> {
    let [width, height] = profile.camera.as_ref().map_or([640, 480], |c| c.size);
    let mut frame = Frame::default();
    frame.reshape(width, height, PixelFormat::Grey8)?;
    let mut random = 1_u32;
    for p in frame.pixels_mut() {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *p = (random >> 25) as u8;
    }
    profile.annotation().apply(&mut frame).context("image.region")?;
    frame.stamp(FrameId(1), Timestamp::START);
    Ok(frame)
}

/// Middle and corners of the image region, image px.
fn places(frame: &Frame) -> [Point<ImageSpace>; 5] {
    let rect = frame.region().rect;
    let (left, top, right, bottom) = (rect.x0 + 0.5, rect.y0 + 0.5, rect.x1 - 0.5, rect.y1 - 0.5);
    let corners = [(left, top), (right, top), (left, bottom), (right, bottom)];
    let [a, b, c, d] = corners.map(|(x, y)| Point::new(x, y));
    [rect.centre(), a, b, c, d]
}

/// The commands of a finger at that place.
fn tap(screen: &mut Screen, place: Point<ImageSpace>, now: Timestamp) -> Result<Vec<Command>> {
    let at = screen.to_display().context("display: nothing was drawn")?.apply(place);
    let mut commands = Vec::new();
    let contact = Contact { finger: 0, phase: Phase::Down, at, size_mm: None, time: now, shown: Some(FrameId(1)) };
    screen.touch(contact, &mut commands);
    screen.touch(Contact { phase: Phase::Up, time: now + TOUCH, ..contact }, &mut commands);
    screen.tick(now + PAUSE, &mut commands);
    Ok(commands)
}

fn draw(engine: &mut Engine, screen: &mut Screen, now: Timestamp) -> Result<()> {
    let (frame, scene) = engine.compose(now).context("display: there is no scene")?;
    screen.draw(frame, scene);
    Ok(())
}
