//! `sonotap run`, and the demonstration when no command is given.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sonotap::desk::DeskConfig;
use sonotap::display::{Display as _, Presented};
use sonotap::display_loop::DisplayLoop;
use sonotap::error::{Error, ErrorKind, Result as SonotapResult};
use sonotap::heat::HeatWatch;
use sonotap::input::script::Script;
use sonotap::model::Segmenter as _;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::model::sam::TractSam;
use sonotap::overlay::{Handedness, LayoutConfig};
use sonotap::pipeline::capture::CaptureConfig;
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::pipeline::player::PlayConfig;
use sonotap::preset::Preset;
use sonotap::profile::{DisplayKind, ModelProfile, Profile};
use sonotap::scene::Overlay;
use sonotap::screen::{Pointer, Screen, ScreenConfig};
use sonotap::source::SourceDescription;
use sonotap::source::camera::Patience;
use sonotap::units::{Score, Span};
use sonotap_exam::{NewExam, Origin as ExamOrigin};

use crate::arguments::RunArguments;
use crate::device;
use crate::displays::{self, Displays, Wanted};
use crate::feed::Feed;
use crate::keyboards::Keyboards;
use crate::orders::Orders;
use crate::output::{Files, message, png_of, say, say_json};
use crate::rehearse::rehearse;
use crate::report::{ObjectReport, RunReport};
use crate::saving::Saving;
use crate::sending::Sending;
use crate::service::Service;
use crate::sheet::Sheet;
use crate::source::{Opened, Origin};
use crate::stage::{Playing, Stage, stop_flag};
use crate::{assets, igtl, source};

/// Length of a run whose source has no end of its own, where nobody can close it and nobody said how long.
const ENDLESS_SECONDS: f64 = 10.0;
/// Length of the demonstration without a window, and of its recording with one.
const DEMO_SECONDS: f64 = 8.6;
/// Where the demonstration leaves its files.
const DEMO_FOLDER: &str = "sonotap-out";

const FPS: RangeInclusive<f64> = 0.1..=1000.0;
const DEADLINE_MS: RangeInclusive<f64> = 0.1..=60_000.0;
const SECONDS: RangeInclusive<f64> = 0.01..=86_400.0;
const FLIP_HZ: RangeInclusive<f64> = 1.0..=1000.0;

/// Plays the bundled cine with the bundled gesture; leaves a GIF, a contact sheet and the figures.
pub fn demo() -> Result<()> {
    let cine = assets::find(assets::CINE)?;
    let taps = assets::find(assets::CINE_TAPS)?;
    let folder = PathBuf::from(DEMO_FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{DEMO_FOLDER}: cannot be made here"))?;
    let mut display = vec![format!("record:{}", folder.join("demo.gif").display())];
    let has_window = displays::is_window_available();
    if has_window {
        display.push("window".into());
        say(format!("Tap or drag on the picture, press and hold to look beneath the outline. {}.", displays::KEYS))?;
    } else {
        say(format!("No display server: a scripted drag is played for {DEMO_SECONDS} s and recorded."))?;
    }
    let arguments = RunArguments {
        source: Some(format!("dicom:{}", cine.display())),
        config: None,
        check_config: false,
        print_config: false,
        model: None,
        preset: None,
        propose: None,
        taps: Some(taps),
        display,
        pair: false,
        fps: None,
        deadline_ms: None,
        seconds: (!has_window).then_some(DEMO_SECONDS),
        is_looped: true,
        size: None,
        dpi: None,
        mirror: false,
        flip_hz: None,
        save_exam: None,
        seed: 1,
        igtl: None,
        igtl_device: None,
        json: false,
    };
    let length = Duration::of_secs(DEMO_SECONDS);
    let mut sheet = Sheet::new(length);
    let plan = Plan::new(&arguments)?;
    let report = play(&arguments, plan, Some(length), Some(&mut sheet))?;
    say(&report)?;
    let mut files = Files::default();
    files.add(&folder.join("latency.json"), serde_json::to_vec_pretty(&report)?);
    if let Some(picture) = sheet.finish() {
        files.add(&folder.join("contact-sheet.png"), png_of(&picture)?);
    }
    files.write()?;
    whole(&report)?;
    say(format!("\nleft in {DEMO_FOLDER}/: demo.gif, contact-sheet.png, latency.json"))?;
    say(
        "The bundled model was not trained on ultrasound of hearts: believe its score, not its outline. Not for diagnostic use.",
    )
}

/// Plays a source as the arguments say.
pub fn run(arguments: &RunArguments) -> Result<()> {
    let plan = Plan::new(arguments)?;
    if arguments.print_config {
        return say(plan.profile.to_toml().trim_end());
    }
    if arguments.check_config {
        let [width, height] = plan.profile.display.size;
        rehearse(&plan.profile, plan.screen_of((width, height), displays::DPI, false)?)?;
        let path = arguments.config.as_deref().unwrap_or(Path::new(""));
        return say(format!("{}: good", path.display()));
    }
    let report = play(arguments, plan, None, None)?;
    match arguments.json {
        true => say_json(&report)?,
        false => say(&report)?,
    }
    whole(&report)
}

/// Fails when a recording or a saving did.
fn whole(report: &RunReport) -> Result<()> {
    report.recording_failed.as_ref().map_or(Ok(()), |why| bail!("{why}"))?;
    let failed = report.exam.as_ref().and_then(|exam| exam.failed.first());
    failed.map_or(Ok(()), |why| bail!("{why}"))
}

/// What the arguments say, checked as far as they can be without opening anything.
struct Plan {
    profile: Profile,
    preset: Option<Arc<Preset>>,
    deadline: Option<Duration>,
    period: Option<Duration>,
    seconds: Option<f64>,
    flip_hz: Option<f64>,
    wanted: Wanted,
    script: Option<Script>,
    /// Where exams are saved.
    store: Option<PathBuf>,
    presets: Vec<(String, Arc<Preset>)>,
}

impl Plan {
    fn new(arguments: &RunArguments) -> Result<Self> {
        let fps = within("--fps", arguments.fps, FPS)?;
        within("--deadline-ms", arguments.deadline_ms, DEADLINE_MS)?;
        let wanted = Wanted::parse(&arguments.display)?;
        let profile = device::effective(arguments, &wanted)?;
        Ok(Self {
            preset: profile.model.preset.as_deref().map(Preset::find).transpose()?.map(Arc::new),
            store: arguments.save_exam.clone().or_else(|| profile.exams.folder.clone()),
            presets: presets(&profile)?,
            deadline: deadline_ms(&profile).map(|ms| Duration::of_secs(ms / 1e3)),
            profile,
            period: fps.map(|fps| Duration::of_secs(1.0 / fps)),
            seconds: within("--seconds", arguments.seconds, SECONDS)?,
            flip_hz: within("--flip-hz", arguments.flip_hz, FLIP_HZ)?,
            wanted,
            script: arguments.taps.as_deref().map(Script::load).transpose()?,
        })
    }

    /// The exam's part of the screen.
    fn desk(&self) -> DeskConfig {
        let minutes = self.profile.exams.ask_after_min;
        DeskConfig {
            ask_after: (minutes > 0.0).then(|| Duration::of_secs(minutes * 60.0)),
            presets: self.presets.iter().map(|(_, preset)| preset.label.clone()).collect(),
        }
    }

    /// How a camera is captured.
    fn capture(&self) -> CaptureConfig {
        let mut patience = Patience::default();
        if let Some(camera) = &self.profile.camera {
            patience.stall = Duration::of_secs(camera.stall_ms / 1e3);
            patience.retry = Duration::of_secs(camera.retry_ms / 1e3);
        }
        CaptureConfig { patience, annotation: self.profile.annotation() }
    }

    /// The screen of a display, with nothing on it yet.
    fn screen(&self, displays: &mut Displays, pictures: &SourceDescription) -> Result<Screen> {
        let is_window = displays.is_window();
        let (size, dpi) = (displays.size(), displays.dpi());
        let mut screen = self.screen_of(size, dpi, is_window)?;
        screen.warm_up(pictures.width, pictures.height, pictures.format);
        Ok(screen)
    }

    /// A screen of that size, display px, whose display says `dpi`.
    fn screen_of(&self, size: (u32, u32), dpi: f32, is_window: bool) -> Result<Screen> {
        let profile = &self.profile;
        let handedness = match profile.display.kind {
            DisplayKind::Remote => Handedness::Elsewhere,
            _ => profile.handedness(),
        };
        let layout = LayoutConfig { handedness, has_exam: self.store.is_some(), ..LayoutConfig::default() };
        let dpi = profile.display.dpi.unwrap_or(dpi);
        let config = ScreenConfig {
            size,
            dpi,
            layout,
            is_mirrored: profile.image.mirror,
            keep_outs: profile.keep_outs(),
            pointer: match &profile.touch {
                _ if is_window => Pointer::Mouse,
                Some(touch) => Pointer::Tuned(touch.recognizer(dpi)),
                None => Pointer::Gloves,
            },
            desk: self.desk(),
        };
        Screen::new(config).context("--size, --dpi")
    }
}

fn play(arguments: &RunArguments, plan: Plan, kept: Option<Duration>, sheet: Option<&mut Sheet>) -> Result<RunReport> {
    let began = Instant::now();
    let is_stopped = stop_flag()?;
    let igtl_profile = plan.profile.igtl.clone();
    let listener = igtl::bind(igtl_profile.as_ref())?;
    let opened = open_source(arguments, &plan, &is_stopped)?;
    let pictures = opened.pictures.clone();
    // The size of OpenIGTLink images is known when they come.
    if let Some(script) = plan.script.as_ref().filter(|_| !matches!(opened.origin, Origin::Igtl(_))) {
        script.check_against(pictures.width, pictures.height)?;
    }
    let mut displays = Displays::open(&plan.profile, plan.flip_hz)?;
    let screen = plan.screen(&mut displays, &pictures)?;
    displays.present_again(screen.canvas(), &Presented::default())?;
    let model = plan.profile.model.clone();
    let loaded = unless_stopped("loader", &is_stopped, move || assets::load_model(&model))?;
    let saving = open_saving(arguments, &plan, &loaded.manifest.name)?;
    displays.set_exam(plan.store.is_some());
    let size = displays.size();
    displays.begin_recordings(&plan.wanted, size)?;
    open_pairing(arguments, &mut displays)?;

    let is_still = pictures.frames == Some(1);
    let period = plan.period.or(pictures.frame_period).unwrap_or(LiveConfig::default().period);
    let (preset, display) = (plan.preset.clone(), displays.timing());
    let known_scales = plan.profile.known_scales((pictures.width, pictures.height))?.into();
    let cine_bytes = (plan.profile.exams.cine_mib as usize) << 20;
    let deadline = plan.deadline;
    let suggest = plan.profile.propose.as_ref().and_then(|p| Score::new(p.score_min));
    if suggest.is_some() && !loaded.segmenter.spec().proposes {
        bail!("{}", assets::no_proposal(&loaded.manifest.name));
    }
    let known = LiveConfig { known_scales, cine_bytes, suggest, ..LiveConfig::default() };
    let config = LiveConfig { period, deadline, display, preset, ..known };
    let live = Live::start(supply(loaded.segmenter, plan.profile.model.clone()), config)?;
    let is_closable = displays.is_looked_at() && plan.seconds.is_none();
    let is_looped = arguments.is_looped || is_still || is_closable;
    let has_no_end = opened.is_endless || is_still && !arguments.is_looped;
    // A device runs until it is told to stop, whether somebody looks or not.
    let is_device = arguments.config.is_some();
    let seconds = plan.seconds.or((has_no_end && !is_closable && !is_device).then_some(ENDLESS_SECONDS));
    let play = PlayConfig { period, is_looped };
    let mut server = igtl::start(listener, igtl_profile.as_ref(), &opened.origin, &live)?;
    let publisher = server.as_mut().and_then(|s| s.publisher());
    let server = server.map(Arc::new);
    let feed = Feed::start(opened.origin, play, plan.capture(), &live, server.as_ref())?;
    let mut stage = Stage {
        display_loop: DisplayLoop::new(live, screen, displays),
        playing: plan.script.map(|script| Playing { script, done: 0 }),
        is_still,
        kept,
        sheet,
        began,
        first_ms: [None; 2],
        service: Service::default(),
        heat: HeatWatch::start(&plan.profile.heat)?,
        saving,
        keyboards: Keyboards::open(&plan.profile)?,
        publisher,
    };
    let played_for = stage.run(&feed, seconds.map(Duration::of_secs), &is_stopped)?;
    let Stage { display_loop, first_ms, playing, saving, .. } = stage;
    let (live, _, mut displays) = display_loop.into_parts();
    let (capture, camera) = (feed.played(), feed.camera());
    feed.stop()?;
    // What was asked for is written to its end.
    let exam = saving.map(Saving::finish);
    displays.finish()?;
    let remote = displays.tablets().map(|t| t.report());
    let (recording_dropped, failure) = displays.recorded();
    Ok(RunReport {
        version: env!("CARGO_PKG_VERSION"),
        source: pictures.name,
        model: loaded.manifest.name,
        seconds: played_for.as_secs_f64(),
        first_frame_ms: first_ms[0],
        first_mask_ms: first_ms[1],
        capture: capture.into(),
        camera,
        deadline: live.report().deadline,
        live: live.report(),
        recording_dropped,
        recording_failed: failure.map(|e| e.to_string()),
        steps_missed: playing.map_or(0, |p| p.script.len() - p.done),
        objects: objects(&live),
        remote,
        scale_refused: opened.scale_refused,
        frames_damaged: opened.damaged.load(Ordering::Relaxed),
        igtl: server.map(|s| s.report()),
        exam,
    })
}

/// The store of exams, repaired, and who writes into it.
fn open_saving(arguments: &RunArguments, plan: &Plan, model: &str) -> Result<Option<Saving>> {
    let Some(root) = &plan.store else { return Ok(None) };
    let origin = match arguments.source.as_deref().and_then(|s| s.split_once(':')) {
        Some(("phantom", _)) => ExamOrigin::Simulated,
        Some(("dicom" | "images", _)) => ExamOrigin::File,
        _ => ExamOrigin::Captured,
    };
    let model_sha256 = assets::pin_of_model(&plan.profile.model)?;
    let new = NewExam { origin, model: model.to_owned(), model_sha256 };
    let preset = plan.profile.model.preset.as_deref();
    let orders = || plan.profile.dicom.as_ref().map_or(Ok(None), Orders::of);
    let opened = Saving::open(root, new, &plan.profile.exams, plan.presets.clone(), preset)
        .and_then(|saving| Ok(saving.with_orders(orders()?)))
        .and_then(|saving| {
            let sending = Sending::of(root, &plan.profile.exams, plan.profile.dicom.as_ref())?;
            Ok(saving.with_sending(sending))
        });
    match opened {
        // A device shows its picture whatever its disk says; the screen says that nothing can be saved.
        Err(e) if arguments.save_exam.is_none() => {
            log::error!("exams: {e:#}");
            Ok(None)
        }
        opened => opened.map(Some),
    }
}

/// The presets that can be chosen at the screen: all of the box, and the profile's own.
fn presets(profile: &Profile) -> Result<Vec<(String, Arc<Preset>)>> {
    let own = profile.model.preset.clone().filter(|own| !Preset::names().any(|name| name == own));
    let names = own.into_iter().chain(Preset::names().map(str::to_owned));
    names
        .map(|name| Preset::find(&name).map(|preset| (name, Arc::new(preset))))
        .collect::<SonotapResult<_>>()
        .context("presets")
}

/// Greatest age of a frame at the glass, ms. A tablet alone is further away than a screen: it has its own.
fn deadline_ms(profile: &Profile) -> Option<f64> {
    let is_remote = profile.display.kind == DisplayKind::Remote;
    profile.live.deadline_ms.or(is_remote.then(|| profile.remote.clone().unwrap_or_default().age_ms_max))
}

/// Opens pairing where the arguments ask for it; where nothing else could later, they have to.
fn open_pairing(arguments: &RunArguments, displays: &mut Displays) -> Result<()> {
    let is_only_way = !displays.is_window();
    match displays.tablets() {
        Some(tablets) if arguments.pair => tablets.open_pairing().map(drop).context("--pair"),
        Some(tablets) if is_only_way && !tablets.has_button() => {
            bail!("--display remote: expected --pair, or a [remote] button in --config, got no way to pair a tablet")
        }
        None if arguments.pair => bail!("--pair: expected --display remote or [remote] in --config, got neither"),
        _ => Ok(()),
    }
}

/// Opens the source where a request to stop is heard: a large file, a slow disk or a pipe may take as long as they like.
fn open_source(arguments: &RunArguments, plan: &Plan, is_stopped: &AtomicBool) -> Result<Opened> {
    let (spec, profile, period, seed) = (arguments.source.clone(), plan.profile.clone(), plan.period, arguments.seed);
    unless_stopped("opener", is_stopped, move || source::open(spec.as_deref(), &profile, period, seed))
}

/// Does something on a thread of its own, and hears a request to stop meanwhile.
fn unless_stopped<T: Send + 'static>(
    name: &str,
    is_stopped: &AtomicBool,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let (give, take) = mpsc::channel();
    std::thread::Builder::new()
        .name(name.into())
        // Nobody hears it when the run was stopped.
        .spawn(move || drop(give.send(work())))
        .with_context(|| format!("no thread for the {name}"))?;
    loop {
        match take.recv_timeout(Duration::from_millis(20)) {
            Ok(done) if !is_stopped.load(Ordering::Acquire) => return done,
            Err(RecvTimeoutError::Timeout) if !is_stopped.load(Ordering::Acquire) => {}
            Err(RecvTimeoutError::Disconnected) => bail!("the {name} panicked"),
            Ok(_) | Err(RecvTimeoutError::Timeout) => bail!("stopped before the first frame"),
        }
    }
}

/// What looks: the model that is loaded, and the same loaded again whenever its thread has died.
pub fn supply(first: TractSam, model: ModelProfile) -> impl FnMut() -> SonotapResult<Predictor> + Send {
    let mut first = Some(first);
    move || {
        let segmenter = match first.take() {
            Some(segmenter) => segmenter,
            None => {
                let loaded = assets::load_model(&model);
                loaded.map_err(|e| Error::new(ErrorKind::Model, message(&e)))?.segmenter
            }
        };
        Ok(Predictor::new(Box::new(segmenter), PredictOptions::default()))
    }
}

fn objects(live: &Live) -> Vec<ObjectReport> {
    let of = |o: &sonotap::scene::ObjectScene| ObjectReport {
        object: o.object.0 + 1,
        overlay: match o.overlay {
            Overlay::Exact => "exact".into(),
            Overlay::Carried { age } => format!("carried for {:.0} ms", age.as_ms()),
            Overlay::Stale { age } => format!("stale for {:.0} ms", age.as_ms()),
            Overlay::Hidden(why) => format!("hidden ({why:?})"),
            Overlay::Lost(why) => format!("lost ({})", why.label()),
        },
        score: o.score.map(|s| s.get()),
        area_px: o.measurements.map(|m| m.area_px),
    };
    live.engine().scene().objects.iter().map(of).collect()
}

/// Refuses a time that is none.
#[cfg(feature = "kms")]
pub fn check_seconds(seconds: f64) -> Result<()> {
    within("--seconds", Some(seconds), 0.0..=*SECONDS.end()).map(drop)
}

fn within(name: &str, value: Option<f64>, range: RangeInclusive<f64>) -> Result<Option<f64>> {
    match value {
        Some(v) if !range.contains(&v) => bail!("{name}: expected {} to {}, got {v:?}", range.start(), range.end()),
        _ => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_heard_while_a_source_opens() {
        let is_stopped = AtomicBool::new(false);
        let (begun, begins) = mpsc::channel();
        let (_never, waited_for) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            let flag = &is_stopped;
            scope.spawn(move || {
                begins.recv().unwrap();
                flag.store(true, Ordering::Release);
            });
            let opened = unless_stopped("opener", &is_stopped, move || {
                begun.send(())?;
                // As a slow disk: it never comes to an end.
                Ok(waited_for.recv()?)
            });
            assert_eq!(opened.unwrap_err().to_string(), "stopped before the first frame");
        });
        let opened = unless_stopped("opener", &AtomicBool::new(false), || Ok(7));
        assert_eq!(opened.unwrap(), 7);
        let failed = unless_stopped::<()>("opener", &AtomicBool::new(false), || bail!("no such file"));
        assert_eq!(failed.unwrap_err().to_string(), "no such file");
    }
}
