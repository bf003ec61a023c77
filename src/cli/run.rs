//! `sonotap run`, and the demonstration when no command is given.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sonotap::display::{Display, Key, NullDisplay, Presence, Presented, Recorder};
use sonotap::engine::EngineConfig;
use sonotap::input::Contact;
use sonotap::input::script::{Script, ScriptAction};
use sonotap::model::look::{LookOptions, Looker};
use sonotap::model::sam::{self, LoadOptions};
use sonotap::overlay::theme::Theme;
use sonotap::overlay::{Canvas, contact_sheet};
use sonotap::pipeline::cine::CineRing;
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::pipeline::player::{PlayConfig, Player};
use sonotap::scene::Overlay;
use sonotap::screen::{Pointer, Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::units::Nanos;

use super::report::{ObjectReport, RunReport};
use super::{RunArguments, assets, source};

/// Frames beyond the cine ring: one being filled, in the slot, on the screen, at the model, and on the ways between.
const FRAMES_ON_THE_WAY: usize = 6;
/// Longest sleep of the display thread: how late a contact or a script step may be noticed.
const NAP: Duration = Duration::from_millis(4);
/// Length of a phantom run when none is given.
const PHANTOM_SECONDS: f64 = 10.0;
/// Length of the demonstration without a window.
const DEMO_SECONDS: f64 = 8.0;
/// Where the demonstration leaves its files.
const DEMO_FOLDER: &str = "sonotap-out";
/// Pictures of the contact sheet, and how many to a row.
const SHEET: (usize, usize) = (8, 2);

/// Plays the bundled cine with the bundled gesture; leaves a GIF, a contact sheet and the figures.
pub fn demo() -> Result<()> {
    let folder = PathBuf::from(DEMO_FOLDER);
    std::fs::create_dir_all(&folder).with_context(|| format!("{DEMO_FOLDER}: cannot be made here"))?;
    let has_window = is_window_available();
    let mut display = vec![format!("record:{}", folder.join("demo.gif").display())];
    if has_window {
        display.insert(0, "window".into());
    }
    let arguments = RunArguments {
        source: format!("dicom:{}", assets::find(assets::CINE)?.display()),
        model: None,
        taps: Some(assets::find(assets::CINE_TAPS)?),
        display,
        fps: None,
        deadline_ms: None,
        seconds: Some(DEMO_SECONDS),
        is_looped: true,
        size: "800x480".into(),
        dpi: 133.0,
        mirror: false,
        seed: 1,
        json: false,
    };
    let mut sheet = Sheet::new(Nanos::from_secs_f64(DEMO_SECONDS));
    let report = play(&arguments, Some(&mut sheet))?;
    report.print();
    let sheet_path = folder.join("contact-sheet.png");
    save_png(&sheet.finish(), &sheet_path)?;
    let json = serde_json::to_string_pretty(&report)?;
    let json_path = folder.join("latency.json");
    std::fs::write(&json_path, json).with_context(|| json_path.display().to_string())?;
    println!("\nleft in {DEMO_FOLDER}/: demo.gif, contact-sheet.png, latency.json");
    println!(
        "The bundled model was not trained on hearts: believe its score, not its outline. Not for diagnostic use."
    );
    Ok(())
}

/// Plays a source as the arguments say.
pub fn run(arguments: &RunArguments) -> Result<()> {
    let report = play(arguments, None)?;
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        report.print();
    }
    Ok(())
}

fn play(arguments: &RunArguments, sheet: Option<&mut Sheet>) -> Result<RunReport> {
    let began = Instant::now();
    let size = parse_size(&arguments.size)?;
    positive("--fps", arguments.fps)?;
    positive("--deadline-ms", arguments.deadline_ms)?;
    positive("--seconds", arguments.seconds)?;
    let opened = source::open(&arguments.source, arguments.fps, arguments.seed, (640, 480))?;
    let description = opened.source.description().clone();
    let recorded = description.frame_period.unwrap_or(Nanos::from_secs_f64(1.0 / 30.0));
    let period = arguments.fps.map_or(recorded, |fps| Nanos::from_secs_f64(1.0 / fps));
    let script = arguments.taps.as_deref().map(Script::load).transpose()?;
    if let Some(script) = &script {
        script.check_against(description.width, description.height)?;
    }
    let mut displays = Displays::open(&arguments.display, size, arguments.dpi)?;
    let model_folder = match &arguments.model {
        Some(folder) => folder.clone(),
        None => assets::find(assets::MODEL)?,
    };
    let loaded = sam::load_with(&model_folder, LoadOptions::default())?;
    let engine = EngineConfig { period, ..EngineConfig::default() };
    let frame_bytes = description.width as usize * description.height as usize * description.format.bytes();
    let pool_frames = CineRing::capacity_for(engine.cine_bytes, frame_bytes) + FRAMES_ON_THE_WAY;
    let deadline = arguments.deadline_ms.map(|ms| Nanos::from_secs_f64(ms / 1e3));
    let looker = Looker::new(Box::new(loaded.segmenter), LookOptions::default());
    let live = Live::start(looker, LiveConfig { engine, deadline })?;
    let screen = Screen::new(ScreenConfig {
        size: displays.main.size(),
        dpi: displays.main.dpi(),
        is_mirrored: arguments.mirror,
        pointer: if displays.is_window { Pointer::Mouse } else { Pointer::Gloves },
        ..ScreenConfig::default()
    })?;
    let is_still = description.frames == Some(1);
    let is_looped = arguments.is_looped || is_still || (displays.is_window && arguments.seconds.is_none());
    let play = PlayConfig { period, is_looped, pool_frames };
    let seconds = arguments.seconds.or((opened.is_endless && !displays.is_window).then_some(PHANTOM_SECONDS));
    let player = Player::start(opened.source, play, live.clock().clone(), live.input())?;
    let mut stage = Stage { live, screen, script, displays: &mut displays, sheet, is_still, began, first: [None; 2] };
    let played_for = stage.run(&player, seconds.map(Nanos::from_secs_f64))?;
    let Stage { live, first, .. } = stage;
    let capture = player.played();
    player.stop()?;
    let recording_dropped = displays.finish()?;
    Ok(RunReport {
        version: env!("CARGO_PKG_VERSION"),
        source: description.name,
        model: loaded.manifest.name,
        seconds: played_for.as_secs(),
        first_frame_ms: first[0],
        first_mask_ms: first[1],
        capture: capture.into(),
        live: live.report(),
        recording_dropped,
        objects: objects(&live),
        scale_refused: opened.scale_refused,
    })
}

/// Everything that the display thread turns to in its loop.
struct Stage<'a> {
    live: Live,
    screen: Screen,
    script: Option<Script>,
    displays: &'a mut Displays,
    sheet: Option<&'a mut Sheet>,
    is_still: bool,
    began: Instant,
    first: [Option<f64>; 2],
}

impl Stage<'_> {
    /// Plays until the time is over, the source has ended, the window is closed or a signal comes; gives the time played.
    fn run(&mut self, player: &Player, length: Option<Nanos>) -> Result<Nanos> {
        let is_stopped = stop_flag()?;
        let start = self.live.clock().now();
        let (mut contacts, mut keys, mut commands, mut due) =
            (Vec::with_capacity(16), Vec::new(), Vec::with_capacity(16), Vec::new());
        let mut frozen_still = !self.is_still;
        loop {
            let now = self.live.clock().now();
            let elapsed = now.since(start);
            let is_over = length.is_some_and(|l| elapsed >= l);
            let has_ended = player.played().has_ended && elapsed > Nanos::from_ms(100) && self.live.is_idle();
            if is_over || has_ended || is_stopped.load(Ordering::Acquire) {
                return Ok(elapsed);
            }
            if self.displays.main.contacts(now, self.live.on_screen(), &mut contacts)? == Presence::Closed {
                return Ok(elapsed);
            }
            self.obey_operator(now, &mut contacts, &mut keys, &mut commands);
            self.obey_script(now, elapsed, &mut due);
            if !frozen_still && self.live.on_screen().0 > 0 {
                self.live.command(Command::Freeze, now);
                frozen_still = true;
            }
            self.show(elapsed)?;
            self.live.wait(NAP);
        }
    }

    fn obey_operator(
        &mut self,
        now: Nanos,
        contacts: &mut Vec<Contact>,
        keys: &mut Vec<Key>,
        commands: &mut Vec<Command>,
    ) {
        self.displays.main.keys(keys);
        commands.extend(keys.drain(..).filter_map(key_command));
        for contact in contacts.drain(..) {
            self.screen.touch(contact, commands);
        }
        self.screen.tick(now, commands);
        for command in commands.drain(..) {
            self.live.command(command, now);
        }
    }

    fn obey_script(&mut self, now: Nanos, elapsed: Nanos, due: &mut Vec<ScriptAction>) {
        let (Some(script), shown) = (&mut self.script, self.live.on_screen()) else { return };
        if shown.0 > 0 {
            script.due(elapsed, shown.0, due);
            for action in due.drain(..) {
                self.live.command(action.command(shown), now);
            }
        }
    }

    fn show(&mut self, elapsed: Nanos) -> Result<()> {
        self.screen.resize(self.displays.main.size());
        if let Some(radius) = self.screen.marker_radius_px() {
            self.live.set_marker_radius_px(radius);
        }
        let Some(view) = self.live.poll() else { return Ok(()) };
        let (frame, captured) = (view.frame.id, view.frame.captured);
        let is_drawn = view.scene.objects.iter().any(|o| o.overlay.is_drawn());
        let canvas = self.screen.draw(view.frame, view.scene);
        let presented = self.live.clock().now();
        self.displays.present(canvas, &Presented { frame, captured, presented })?;
        self.live.presented();
        let since_start = self.began.elapsed().as_secs_f64() * 1e3;
        self.first[0].get_or_insert(since_start);
        if is_drawn {
            self.first[1].get_or_insert(since_start);
        }
        if let Some(sheet) = self.sheet.as_deref_mut() {
            sheet.offer(elapsed, self.screen.canvas());
        }
        Ok(())
    }
}

/// The display that is looked at and touched, and the recordings beside it.
struct Displays {
    main: Box<dyn Display>,
    is_window: bool,
    recorders: Vec<Recorder>,
}

impl Displays {
    fn open(wanted: &[String], size: (u32, u32), dpi: f32) -> Result<Self> {
        let mut main: Option<Box<dyn Display>> = None;
        let mut recorders = Vec::new();
        for what in wanted {
            match what.split_once(':').unwrap_or((what, "")) {
                ("window", "") => main = Some(open_window(size)?),
                ("none", "") => {}
                ("record", path) if !path.is_empty() => {
                    recorders.push(Recorder::create(Path::new(path), size.0, size.1, &theme_colours())?);
                }
                _ => bail!("--display: expected window, record:PATH or none, got {what:?}"),
            }
        }
        let is_window = main.is_some();
        let main = main.unwrap_or_else(|| Box::new(Headless { null: NullDisplay::new(size.0, size.1), dpi }));
        Ok(Self { main, is_window, recorders })
    }

    fn present(&mut self, canvas: &Canvas, shown: &Presented) -> Result<()> {
        self.main.present(canvas, shown)?;
        for recorder in &mut self.recorders {
            recorder.present(canvas, shown)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<u64> {
        self.main.finish()?;
        let mut dropped = 0;
        for recorder in &mut self.recorders {
            recorder.finish()?;
            dropped += recorder.counts().dropped;
        }
        Ok(dropped)
    }
}

/// Nobody looks, but sizes are as if on a screen of this resolution.
struct Headless {
    null: NullDisplay,
    dpi: f32,
}

impl Display for Headless {
    fn size(&self) -> (u32, u32) {
        self.null.size()
    }
    fn dpi(&self) -> f32 {
        self.dpi
    }
    fn present(&mut self, canvas: &Canvas, shown: &Presented) -> sonotap::error::Result<()> {
        self.null.present(canvas, shown)
    }
    fn contacts(
        &mut self,
        now: Nanos,
        shown: sonotap::units::FrameId,
        out: &mut Vec<Contact>,
    ) -> sonotap::error::Result<Presence> {
        self.null.contacts(now, shown, out)
    }
    fn finish(&mut self) -> sonotap::error::Result<()> {
        self.null.finish()
    }
}

/// Pictures of a run at even times, side by side.
struct Sheet {
    every: Nanos,
    tiles: Vec<Canvas>,
}

impl Sheet {
    fn new(length: Nanos) -> Self {
        Self { every: Nanos(length.0 / SHEET.0 as u64), tiles: Vec::with_capacity(SHEET.0) }
    }

    fn offer(&mut self, elapsed: Nanos, canvas: &Canvas) {
        let due = Nanos(self.every.0 * self.tiles.len() as u64 + self.every.0 / 2);
        if self.tiles.len() < SHEET.0 && elapsed >= due {
            self.tiles.push(canvas.clone());
        }
    }

    fn finish(&self) -> Canvas {
        contact_sheet(&self.tiles.iter().collect::<Vec<_>>(), SHEET.1)
    }
}

fn theme_colours() -> Vec<u32> {
    let t = Theme::DARK;
    let mut colours = t.objects.to_vec();
    colours.extend([t.background, t.panel, t.button, t.button_edge, t.freeze, t.live, t.frozen, t.alarm, t.cue]);
    colours
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

fn key_command(key: Key) -> Option<Command> {
    Some(match key {
        Key::Space => Command::ToggleFreeze,
        Key::Left => Command::StepBack,
        Key::Right => Command::StepForward,
        Key::Backspace => Command::Undo,
        Key::Character('n') => Command::NewObject,
        Key::Character('c') => Command::Clear,
        Key::Character('f') => Command::CycleFill,
        Key::Character('+') => Command::ChooseTool(sonotap::scene::Tool::Include),
        Key::Character('-') => Command::ChooseTool(sonotap::scene::Tool::Exclude),
        Key::Character(_) => return None,
    })
}

#[cfg(feature = "window")]
fn is_window_available() -> bool {
    sonotap::display::window::is_available()
}

#[cfg(not(feature = "window"))]
fn is_window_available() -> bool {
    false
}

#[cfg(feature = "window")]
fn open_window(size: (u32, u32)) -> Result<Box<dyn Display>> {
    Ok(Box::new(sonotap::display::Window::open("sonotap (not for diagnostic use)", size.0, size.1)?))
}

#[cfg(not(feature = "window"))]
fn open_window(_size: (u32, u32)) -> Result<Box<dyn Display>> {
    bail!("--display window: this build has no window (feature `window`)")
}

/// Set when a signal asks the program to stop.
fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = flag.clone();
    ctrlc::set_handler(move || shared.store(true, Ordering::Release)).context("signals cannot be caught")?;
    Ok(flag)
}

fn parse_size(text: &str) -> Result<(u32, u32)> {
    text.split_once('x')
        .and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)))
        .with_context(|| format!("--size: expected WIDTHxHEIGHT, as in 800x480, got {text:?}"))
}

fn positive(name: &str, value: Option<f64>) -> Result<()> {
    match value {
        Some(v) if !(v.is_finite() && v > 0.0) => bail!("{name}: expected a number above 0, got {v}"),
        _ => Ok(()),
    }
}

/// Writes a picture as PNG.
pub fn save_png(canvas: &Canvas, path: &Path) -> Result<()> {
    image::save_buffer(path, &canvas.to_rgb(), canvas.width(), canvas.height(), image::ExtendedColorType::Rgb8)
        .with_context(|| path.display().to_string())
}
