//! Measuring by hand with fingers on the screen: calipers, medians, volumes and a scale by the ruler, by the engine, the bundled
//! model and the screen itself on a fake clock. `BLESS=1 cargo test --release --test by_hand` writes the pictures to
//! docs/screens/.

#[path = "common/slow_predictor.rs"]
mod slow_predictor;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use slow_predictor::SlowPredictor;
use sonotap::calipers::kept::Which;
use sonotap::calipers::{CaliperCommand, CaliperNotice, CaliperTool, Page};
use sonotap::engine::reopened::{SavedFrames, SavedObject};
use sonotap::frame::{Frame, Picture, PixelFormat, ScaleSource};
use sonotap::geometry::{DisplaySpace, ImageSpace, Point, Rect};
use sonotap::input::{Contact, Phase};
use sonotap::mask::Bitmap;
use sonotap::model::predictor::{PredictOptions, Predictor};
use sonotap::overlay::Control;
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::latest::Wake;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::preset::Preset;
use sonotap::scene::{Mode, Notice, Overlay, Scene, Signal};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::{ObjectId, Timestamp};

const SIZE: (u32, u32) = (640, 480);
const PERIOD: Duration = Duration::from_nanos(33_333_333);

/// A device on a fake clock: a phantom for a probe, the bundled model, a screen under fingers.
struct Device {
    hand: Arc<AtomicU64>,
    live: Live<SlowPredictor>,
    phantom: Phantom,
    screen: Screen,
    scene: Scene,
    next_due: Timestamp,
    /// Index of the phantom's next picture.
    next: u64,
    /// The video has no scale, but a ruler with a tick every so many px.
    ruler_px: Option<f64>,
}

impl Device {
    fn new(phantom: PhantomPreset, preset: Option<&str>) -> Self {
        Self::with_model(phantom, preset, 20)
    }

    fn with_model(phantom: PhantomPreset, preset: Option<&str>, look_ms: u64) -> Self {
        let model = sonotap::model::sam::load(&root().join("models/student")).unwrap();
        let hand = Arc::new(AtomicU64::new(0));
        let clock = Clock::set_by(hand.clone());
        let predictor = Predictor::new(model, PredictOptions::default());
        let worker = SlowPredictor::new(predictor, clock.clone(), Duration::from_millis(look_ms));
        let preset = preset.map(|p| Arc::new(Preset::find(p).unwrap()));
        let limits = LiveConfig { period: PERIOD, preset, ..LiveConfig::default() };
        let config = PhantomConfig { width: SIZE.0, height: SIZE.1, ..PhantomConfig::default() };
        Self {
            hand,
            live: Live::with(worker, Wake::default(), limits, clock),
            phantom: Phantom::new(phantom, config).unwrap(),
            screen: Screen::new(ScreenConfig::default()).unwrap(),
            scene: Scene::default(),
            next_due: Timestamp::START,
            next: 1,
            ruler_px: None,
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_ns(self.hand.load(Ordering::Acquire))
    }

    fn run(&mut self, ms: u64) {
        let end = self.now() + Duration::from_millis(ms);
        while self.now() < end {
            if self.now() >= self.next_due {
                self.next_due = self.next_due + PERIOD;
                let mut frame = self.live.input().lease().expect("there is memory for frames");
                self.phantom.render_at(self.next, &mut frame);
                if let Some(spacing) = self.ruler_px {
                    draw_ruler(&mut frame, spacing);
                }
                frame.enter(CaptureTime::Now, None).unwrap();
                self.next += 1;
            }
            if let Some(radius) = self.screen.marker_radius_px() {
                self.live.set_marker_radius_px(radius);
            }
            if let Some(LiveView { frame, scene, ticket }) = self.live.poll() {
                self.screen.draw(frame, scene);
                self.scene = scene.clone();
                self.live.presented(ticket, Light::Now);
            }
            self.hand.fetch_add(1_000_000, Ordering::AcqRel);
        }
    }

    /// A finger goes down at one place of the glass and up at another.
    fn touch(&mut self, from: Point<DisplaySpace>, to: Point<DisplaySpace>) {
        let mut commands = Vec::new();
        let phases = [(Phase::Down, from, 0), (Phase::Move, to, 40), (Phase::Up, to, 80)];
        for (phase, at, ms) in phases.into_iter().filter(|(phase, ..)| from != to || *phase != Phase::Move) {
            let (time, shown) = (self.now() + Duration::from_millis(ms), self.live.on_screen());
            let contact = Contact { finger: 0, phase, at, size_mm: None, time, shown };
            self.screen.touch(contact, &mut commands);
        }
        self.hand.fetch_add(80_000_000, Ordering::AcqRel);
        for command in commands {
            self.live.command(command, self.now());
        }
        self.run(120);
    }

    fn press(&mut self, control: Control) {
        let place = self.screen.place(control).unwrap_or_else(|| panic!("{control:?} is not on the screen"));
        let (width, height) = control.min_size_mm();
        let mm = self.screen.layout().mm(1.0);
        assert!(place.width() >= width * mm && place.height() >= height * mm, "{control:?} at {place:?}");
        self.touch(place.centre(), place.centre());
    }

    fn command(&mut self, command: Command) {
        self.live.command(command, self.now());
        self.run(120);
    }

    fn by_hand(&mut self, command: CaliperCommand) {
        self.press(Control::ByHand(command));
    }

    fn on_glass(&self, p: Point<ImageSpace>) -> Point<DisplaySpace> {
        self.screen.to_display().unwrap().apply(p)
    }

    fn tap(&mut self, x: f32, y: f32) {
        let at = self.on_glass(Point::new(x, y));
        self.touch(at, at);
    }

    fn drag(&mut self, from: (f32, f32), to: (f32, f32)) {
        let (from, to) = (Point::new(from.0, from.1), Point::new(to.0, to.1));
        self.touch(self.on_glass(from), self.on_glass(to));
    }

    /// Freezes, and outlines by a box around the truth of the frame that is shown.
    fn freeze_and_outline(&mut self) {
        self.press(Control::Freeze);
        let bounds = self.truth();
        let shown = self.live.on_screen();
        let rect = bounds.grown(3.0);
        self.live.command(Command::BoxPrompt { rect, shown }, self.now());
        self.run(300);
        assert_eq!(self.overlay(), Some(Overlay::Exact));
    }

    /// Bounds of the structure on the frame that is shown.
    fn truth(&self) -> Rect<ImageSpace> {
        self.truth_at(self.live.on_screen().unwrap().0)
    }

    fn truth_at(&self, index: u64) -> Rect<ImageSpace> {
        let mut truth = Bitmap::new(SIZE.0, SIZE.1);
        self.phantom.truth_at(index, &mut truth);
        let inside = (0..SIZE.0 * SIZE.1).filter(|i| truth.get(i % SIZE.0, i / SIZE.0));
        let corners = inside.map(|i| ((i % SIZE.0) as f32, (i / SIZE.0) as f32));
        let bounds = corners.map(|(x, y)| Rect::new(x, y, x + 1.0, y + 1.0)).reduce(|a, b| a.union(&b));
        bounds.unwrap()
    }

    fn overlay(&self) -> Option<Overlay> {
        self.scene.objects.first().map(|o| o.overlay)
    }

    fn words(&self) -> String {
        let view = self.scene.calipers.as_ref().map(|v| v.lines.iter().map(|(_, t)| t.as_str()).collect::<Vec<_>>());
        view.unwrap_or_default().join(" | ")
    }

    fn show_page(&mut self, page: Page) {
        if self.scene.calipers.as_ref().and_then(|v| v.page).is_none() {
            self.by_hand(CaliperCommand::Toggle);
        }
        while self.scene.calipers.as_ref().and_then(|v| v.page) != Some(page) {
            self.by_hand(CaliperCommand::NextPage);
        }
    }

    fn keep(&self, name: &str) {
        let (path, canvas) = (root().join("docs/screens").join(format!("{name}.png")), self.screen.canvas());
        if std::env::var_os("BLESS").is_some() {
            write(&path, canvas.to_rgb(), (canvas.width(), canvas.height()));
        }
        let kept =
            image::image_dimensions(&path).unwrap_or_else(|e| panic!("{}: {e}; BLESS=1 writes it", path.display()));
        assert_eq!(kept, (canvas.width(), canvas.height()), "{name}");
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn write(path: &Path, pixels: Vec<u8>, (width, height): (u32, u32)) {
    use image::codecs::png::{CompressionType, FilterType, PngEncoder};
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::Adaptive);
    let colour = image::ExtendedColorType::Rgb8;
    image::ImageEncoder::write_image(encoder, &pixels, width, height, colour).unwrap();
}

/// A ruler in the dark beside the sector, from row 20 on; nobody says the scale.
fn draw_ruler(frame: &mut Frame, spacing: f64) {
    frame.set_scale(None);
    let width = SIZE.0 as usize;
    for k in 0.. {
        let y = (20.0 + spacing * f64::from(k)).round() as usize;
        if y + 1 >= SIZE.1 as usize {
            return;
        }
        let long = if k % 5 == 0 { 12 } else { 7 };
        (y..y + 2).for_each(|row| frame.pixels_mut()[row * width + 8..row * width + 8 + long].fill(210));
    }
}

#[test]
fn calipers_are_placed_dragged_and_taken_back_with_fingers() {
    let mut device = Device::new(PhantomPreset::Cyst, None);
    device.run(300);
    device.freeze_and_outline();
    device.by_hand(CaliperCommand::Toggle);
    let b = device.truth();
    let middle = b.centre();
    // Both taps are some px off the edge and snap to it.
    device.tap(b.x0 - 4.0, middle.y);
    device.tap(b.x1 + 4.0, middle.y);
    let marks = |device: &Device| device.scene.calipers.as_ref().map_or(0, |v| v.marks.len());
    assert_eq!(marks(&device), 1, "{}", device.words());
    let outline = device.scene.objects[0].outline.clone();
    for end in device.scene.calipers.as_ref().unwrap().marks[0].shape.ends() {
        let nearest = outline.points().iter().map(|p| p.distance(end)).fold(f32::INFINITY, f32::min);
        assert!(nearest < 3.0, "{end:?} is {nearest} px from the outline");
    }
    device.by_hand(CaliperCommand::Trace);
    device.by_hand(CaliperCommand::Choose(CaliperTool::Ellipse));
    device.tap(430.0, 330.0);
    device.tap(560.0, 350.0);
    device.tap(495.0, 390.0);
    assert_eq!(marks(&device), 3, "{}", device.words());
    let before = device.words();
    device.drag((560.0, 350.0), (600.0, 340.0));
    assert_ne!(device.words(), before, "an end was dragged");
    assert!(device.words().contains("Scale: phantom"), "{}", device.words());
    device.keep("calipers");
    device.press(Control::Undo);
    assert_eq!(device.words(), before, "the drag is taken back");
    device.by_hand(CaliperCommand::Delete);
    assert_eq!(marks(&device), 2);
    // The prompts are as they were: no tap of a page reached them.
    assert_eq!((device.scene.objects.len(), device.overlay()), (1, Some(Overlay::Exact)));
    assert_eq!(device.live.engine().caliper_readings().len(), 2);
    device.press(Control::StepBack);
    assert_eq!(marks(&device), 0, "they are on their own frame");
    device.press(Control::Freeze);
    assert!(device.scene.mode == Mode::Live && device.scene.calipers.is_none());
    device.press(Control::Freeze);
    assert_eq!(marks(&device), 0, "going live forgets them");
}

#[test]
fn nothing_is_measured_by_hand_or_kept_of_a_carried_outline() {
    let mut device = Device::new(PhantomPreset::Cyst, None);
    device.run(300);
    device.live.command(Command::Calipers(CaliperCommand::Toggle), device.now());
    device.run(100);
    assert_eq!(device.scene.notice, Some(Notice::Calipers(CaliperNotice::FreezeFirst)));
    device.freeze_and_outline();
    device.show_page(Page::Calipers);
    // A step back the outline is not of that frame until the model has looked.
    let place = device.screen.place(Control::StepBack).unwrap().centre();
    let mut commands = Vec::new();
    for (phase, ms) in [(Phase::Down, 0), (Phase::Up, 80)] {
        let (time, shown) = (device.now() + Duration::from_millis(ms), device.live.on_screen());
        let contact = Contact { finger: 0, phase, at: place, size_mm: None, time, shown };
        device.screen.touch(contact, &mut commands);
    }
    let now = device.now() + Duration::from_millis(80);
    commands.push(Command::Calipers(CaliperCommand::Trace));
    commands.into_iter().for_each(|command| device.live.command(command, now));
    device.run(5);
    assert_eq!(device.scene.notice, Some(Notice::Calipers(CaliperNotice::NoExactOutline)));
    assert!(device.live.engine().caliper_readings().is_empty());
    device.run(400);
    device.by_hand(CaliperCommand::Trace);
    assert_eq!(device.live.engine().caliper_readings().len(), 1, "now it is");
}

#[test]
fn live_figures_are_those_of_an_exact_outline() {
    let mut device = Device::with_model(PhantomPreset::Cyst, None, 50);
    device.run(300);
    let at = device.phantom.tap_point(device.live.on_screen().unwrap().0).unwrap();
    device.tap(at.x, at.y);
    let (mut exact, mut carried) = (0, 0);
    let mut looked = 0;
    for _ in 0..90 {
        device.run(10);
        looked += 1;
        if looked == 60 {
            // A still frame is looked at.
            device.live.command(Command::Freeze, device.now());
        }
        for object in &device.scene.objects {
            match object.overlay {
                Overlay::Exact => exact += usize::from(object.measurements.is_some()),
                _ => {
                    assert_eq!(object.measurements, None, "{:?}", object.overlay);
                    carried += 1;
                }
            }
        }
    }
    assert!(exact > 0 && carried > 0, "{exact} exact, {carried} others");
}

#[test]
fn three_kept_frames_give_a_median() {
    let mut device = Device::new(PhantomPreset::FetalHead, Some("fetal-head"));
    device.run(600);
    device.freeze_and_outline();
    device.show_page(Page::Median);
    for _ in 0..3 {
        device.by_hand(CaliperCommand::Keep);
        device.press(Control::StepBack);
        device.run(500);
    }
    assert!(device.words().contains("of 3, spread"), "{}", device.words());
    assert!(device.words().contains("Published: HC ±3.0 % (Sarris 2012)"), "{}", device.words());
    device.keep("median");
}

#[test]
fn two_planes_give_a_volume() {
    let mut device = Device::new(PhantomPreset::Cyst, Some("bladder"));
    device.run(300);
    device.freeze_and_outline();
    device.show_page(Page::Volume);
    device.by_hand(CaliperCommand::Plane(Which::First));
    device.press(Control::StepBack);
    device.run(400);
    device.by_hand(CaliperCommand::Plane(Which::Second));
    assert!(device.words().starts_with("Volume ") && device.words().contains("0.52 L×W×H"), "{}", device.words());
    device.keep("volume");
}

#[test]
fn a_beating_chamber_has_its_ejection_fraction_from_confirmed_frames() {
    let mut device = Device::new(PhantomPreset::Chamber, Some("left-ventricle"));
    let area = |device: &Device, index: u64| polygon_area(&device.phantom.truth_outline(index, 180));
    let within = |from: u64| (from..from + 40).map(|i| (i, area(&device, i)));
    let (largest, of_largest) = within(20).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    // Of a later beat: the frozen screen needs its time.
    let (smallest, of_smallest) = within(200).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
    let truth = 1.0 - (of_smallest / of_largest).powf(1.5);
    for (index, which) in [(largest, Which::First), (smallest, Which::Second)] {
        while device.live.on_screen().is_none_or(|f| f.0 < index) {
            device.run(1);
        }
        device.live.command(Command::Freeze, device.now());
        device.run(60);
        assert_eq!(device.live.on_screen().unwrap().0, index);
        device.live.command(Command::Clear, device.now());
        let shown = device.live.on_screen();
        let rect = device.truth().grown(3.0);
        device.live.command(Command::BoxPrompt { rect, shown }, device.now());
        device.run(300);
        device.show_page(Page::Volume);
        let rim = device.phantom.truth_outline(index, 360);
        // The annulus: the same tissue in both frames, towards the atrium.
        for at in [rim[210], rim[330]] {
            device.tap(at.x, at.y);
        }
        device.by_hand(CaliperCommand::Plane(which));
        if which == Which::First {
            device.press(Control::Freeze);
        }
    }
    let words = device.words();
    let ef: f64 = words.split("EF ").nth(1).and_then(|w| w.split(' ').next()).unwrap_or("nan").parse().unwrap();
    println!("EF {ef} %, true {:.1} %: {words}", 100.0 * truth);
    assert!((ef - 100.0 * truth).abs() < 15.0, "{words}: true {:.1} %", 100.0 * truth);
    device.keep("ejection");
}

fn polygon_area(ring: &[Point<ImageSpace>]) -> f64 {
    let edges = ring.iter().zip(ring.iter().cycle().skip(1));
    edges.map(|(a, b)| f64::from(a.x * b.y - b.x * a.y)).sum::<f64>().abs() / 2.0
}

#[test]
fn video_without_a_scale_gets_one_by_its_ruler_and_loses_it_with_the_ruler() {
    let mut device = Device::new(PhantomPreset::FetalHead, Some("fetal-head"));
    device.ruler_px = Some(32.0);
    device.run(600);
    device.freeze_and_outline();
    assert!(device.scene.objects[0].measurements.unwrap().metric.is_none(), "nobody said the scale");
    device.show_page(Page::Scale);
    // Gloves hit some px beside the ticks.
    device.tap(13.0, 20.0 + 3.0);
    device.tap(10.0, 20.0 + 320.0 - 4.0);
    (0..2).for_each(|_| device.by_hand(CaliperCommand::Longer));
    device.by_hand(CaliperCommand::SetScale);
    let odd =
        Some(Notice::Calipers(CaliperNotice::Ruler(sonotap::calipers::ruler::NoScale::TicksDisagree { steps: 10 })));
    assert_eq!(device.scene.notice, odd, "7 cm on 10 ticks");
    device.run(3_200);
    device.keep("scale-setting");
    (0..3).for_each(|_| device.by_hand(CaliperCommand::Longer));
    device.by_hand(CaliperCommand::SetScale);
    let scale = device.scene.ruler_scale.expect("a scale by hand");
    assert_eq!(scale.source(), ScaleSource::TwoPointSquare);
    assert!((scale.mm_per_px().1 - 10.0 / 32.0).abs() < 0.002, "{scale:?}");
    assert!(
        device.words().contains("10 ticks of 10 mm: 0.312 mm/px | Scale: by hand, if px square"),
        "{}",
        device.words()
    );
    device.keep("scale-set");
    let metric = device.scene.objects[0].measurements.unwrap().metric.expect("mm");
    assert!(metric.source == ScaleSource::TwoPointSquare && metric.scale_error.is_some());
    device.by_hand(CaliperCommand::Toggle);
    device.press(Control::Freeze);
    device.run(300);
    assert_eq!(device.scene.ruler_scale, Some(scale), "it holds on live frames");
    // The operator changes the depth.
    device.ruler_px = Some(25.0);
    device.run(60);
    assert_eq!(device.scene.ruler_scale, None, "not on one frame of another ruler");
    device.run(200);
    assert_eq!(device.scene.notice, Some(Notice::Calipers(CaliperNotice::ScaleDropped)));
    device.ruler_px = Some(32.0);
    device.run(300);
    assert_eq!(device.scene.ruler_scale, None, "back at the first depth somebody has to measure again");
}

/// The frame that is shown as an exam reads it back: without a number.
fn saved_still(device: &Device) -> SavedFrames {
    let shown = device.live.engine().shown().unwrap();
    let picture =
        Picture { regions: &[shown.parts()[0]], ..Picture::dense(SIZE.0, SIZE.1, shown.format(), shown.pixels()) };
    let objects = vec![SavedObject { object: ObjectId(0), boxed: Some(device.truth().grown(3.0)), clicks: Vec::new() }];
    SavedFrames { item: 1, frames: vec![(Frame::new(&picture).unwrap(), Duration::ZERO)], outlined: 0, objects }
}

#[test]
fn a_saved_picture_is_outlined_anew_and_the_live_one_comes_back_without_its_prompts() {
    let mut device = Device::new(PhantomPreset::Cyst, None);
    let nothing = || SavedFrames { item: 1, frames: vec![Default::default()], outlined: 0, objects: Vec::new() };
    let one = Frame::from_pixels(32, 32, PixelFormat::Grey8, vec![9; 1024]).unwrap();
    let plain = SavedFrames { frames: vec![(one, Duration::ZERO)], ..nothing() };
    assert!(!device.live.reopen(plain.clone()), "before a picture");
    device.run(300);
    for odd in [nothing(), SavedFrames { frames: Vec::new(), ..nothing() }, SavedFrames { outlined: 1, ..plain }] {
        assert!(!device.live.reopen(odd) && !device.live.engine().is_reopened());
    }
    device.freeze_and_outline();
    let still = saved_still(&device);
    device.press(Control::Freeze);
    device.run(600);
    let live: Vec<_> = device.live.engine().cine().filter_map(|f| f.id()).collect();
    assert!(live.len() > 10);
    assert!(device.live.reopen(still.clone()));
    device.run(400);
    let shown = device.live.on_screen().unwrap();
    assert!(device.live.engine().is_reopened() && device.overlay() == Some(Overlay::Exact));
    assert_eq!((device.scene.mode, device.scene.frame), (Mode::Frozen, Some(shown)));
    assert!(!live.contains(&shown), "it has the number of a live frame");
    let area = |device: &Device| device.scene.objects[0].measurements.unwrap().metric.unwrap().area.0;
    let before = area(&device);
    // What was restored cannot be undone; what is corrected can.
    let edits = device.live.engine().revision();
    device.press(Control::Undo);
    assert_eq!(device.live.engine().revision(), edits);
    let corner = still.objects[0].boxed.unwrap();
    device.tap(corner.x0 + 0.3 * corner.width(), corner.y0 + 0.3 * corner.height());
    device.run(300);
    assert!(device.live.engine().revision() > edits && device.overlay() == Some(Overlay::Exact));
    device.press(Control::Undo);
    device.run(300);
    assert!((area(&device) - before).abs() < 1e-6, "{} after undo, {before} before", area(&device));
    // Another one in its place, and then live again: the ring is whole, and nothing is outlined.
    assert!(device.live.reopen(SavedFrames { item: 2, ..still }));
    device.run(100);
    assert_ne!(device.live.on_screen(), Some(shown), "a tap on the one before would count");
    device.press(Control::Freeze);
    let engine = device.live.engine();
    assert!(!engine.is_reopened() && engine.is_live());
    let back: Vec<_> = engine.cine().filter_map(|f| f.id()).collect();
    assert!(live.iter().skip(5).all(|id| back.contains(id)), "frames of the ring are gone");
    assert!(device.scene.objects.is_empty(), "{:?}", device.scene.objects);
    device.run(200);
    assert_eq!(device.scene.signal, Signal::Good);
}

#[test]
fn a_new_exam_forgets_a_saved_picture_that_is_shown_and_the_ring_behind_it() {
    let mut device = Device::new(PhantomPreset::Cyst, None);
    device.run(300);
    let still = saved_still(&device);
    assert!(device.live.reopen(still));
    device.run(200);
    device.live.new_exam();
    let engine = device.live.engine();
    assert!(!engine.is_reopened() && engine.shown().is_none() && engine.cine().count() == 0);
    device.run(300);
    assert!(device.live.engine().cine().all(|f| f.id().is_some_and(|id| id.0 < 1 << 40)));
}

/// The ring as an exam reads it back.
fn saved_cine(device: &Device, outlined: usize) -> SavedFrames {
    let copy = |frame: &std::sync::Arc<Frame>| {
        let picture = Picture::dense(frame.width(), frame.height(), frame.format(), frame.pixels());
        Frame::new(&Picture { region: Some(frame.region()), ..picture }).unwrap()
    };
    let all: Vec<_> = device.live.engine().cine().collect();
    let frames = all.iter().map(|f| (copy(f), f.captured().since(all[0].captured()))).collect();
    SavedFrames { item: 7, frames, outlined, objects: Vec::new() }
}

#[test]
fn each_frame_of_a_saved_cine_is_outlined_calibrated_and_measured_by_itself() {
    let mut device = Device::new(PhantomPreset::FetalHead, Some("fetal-head"));
    device.ruler_px = Some(32.0);
    device.run(900);
    let count = device.live.engine().cine().count();
    assert!(count > 12);
    let saved = saved_cine(&device, 5);
    let boxed = device.truth_at(device.live.engine().cine().nth(6).unwrap().id().unwrap().0).grown(3.0);
    device.run(300);
    assert!(device.live.reopen(saved.clone()));
    device.run(100);
    let here = |device: &Device| device.live.engine().reopened_frame();
    assert_eq!((here(&device), device.scene.mode), (Some((7, 5)), Mode::Frozen));
    assert_eq!(device.scene.cine.map(|c| (c.index, c.len)), Some((5, count)));
    // A scale by the ruler of this frame counts on all that show the same ruler.
    assert_eq!(device.scene.notice, Some(Notice::TapToStart));
    device.show_page(Page::Scale);
    assert_eq!(device.scene.notice, None, "a tap outlines nothing here");
    device.tap(12.0, 20.0);
    device.tap(12.0, 20.0 + 320.0);
    (0..5).for_each(|_| device.by_hand(CaliperCommand::Longer));
    device.by_hand(CaliperCommand::SetScale);
    let scale = device.scene.ruler_scale.expect("a scale by hand");
    device.by_hand(CaliperCommand::Toggle);
    device.command(Command::StepForward);
    assert_eq!((here(&device), device.scene.mode), (Some((7, 6)), Mode::Review));
    assert_eq!(device.scene.ruler_scale, Some(scale));
    // Another frame is outlined, and only there.
    let shown = device.live.on_screen();
    device.command(Command::BoxPrompt { rect: boxed, shown });
    device.run(500);
    assert_eq!(device.overlay(), Some(Overlay::Exact));
    assert!(device.scene.objects[0].measurements.unwrap().metric.is_some());
    // Kept for a median once, however often the cine is shown.
    device.show_page(Page::Median);
    device.by_hand(CaliperCommand::Keep);
    assert_eq!(device.scene.notice, None);
    assert!(device.live.reopen(SavedFrames { outlined: 6, ..saved }));
    let shown = device.live.on_screen();
    device.command(Command::BoxPrompt { rect: boxed, shown });
    device.run(500);
    device.show_page(Page::Median);
    device.by_hand(CaliperCommand::Keep);
    let again = Notice::Calipers(CaliperNotice::NotKept(sonotap::calipers::kept::NotKept::SameFrame));
    assert_eq!((here(&device), device.scene.notice), (Some((7, 6)), Some(again)));
    device.press(Control::Freeze);
    assert_eq!(here(&device), None);
}

#[test]
fn of_a_cine_larger_than_the_ring_the_newest_frames_are_shown_without_prompts_of_a_lost_one() {
    let mut device = Device::new(PhantomPreset::Cyst, None);
    device.run(200);
    let plain = |grey: u8| Frame::from_pixels(1_000, 1_000, PixelFormat::Grey8, vec![grey; 1_000_000]).unwrap();
    let frames: Vec<_> = (0..40).map(|i| (plain(i), PERIOD * u32::from(i))).collect();
    let boxed = Some(Rect::new(100.0, 100.0, 300.0, 300.0));
    let objects = vec![SavedObject { object: ObjectId(0), boxed, clicks: Vec::new() }];
    let saved = SavedFrames { item: 1, frames, outlined: 2, objects };
    assert!(device.live.reopen(SavedFrames { outlined: 39, ..saved.clone() }));
    assert!(!device.live.engine().session().prompts().is_empty(ObjectId(0)));
    assert!(device.live.reopen(saved));
    let engine = device.live.engine();
    let (item, shown) = engine.reopened_frame().unwrap();
    assert!(item == 1 && shown > 2 && engine.cine().count() == 40 - shown, "{shown}");
    assert!(engine.session().prompts().is_empty(ObjectId(0)), "prompts of another frame");
}
