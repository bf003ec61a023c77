//! A simulated scanner: seeded, endless B-mode cines whose outline, motion and scale are known exactly.
//!
//! | file | what |
//! |---|---|
//! | `presets.rs` | the scenes: probe, anatomy, motion |
//! | `scene.rs` | shapes, tissues, layers: what a point of the body does to sound |
//! | `motion.rs` | where tissue is now and which tissue is here, in closed form |
//! | `speckle.rs` | the random scatterer field, fixed to the tissue |
//! | `probe.rs` | beam grid, image plane, scan conversion |
//! | `render.rs` | attenuation, gain, point spread, noise, envelope, log compression |
//!
//! Frames are numbered from 0 and can be rendered in any order: the same preset, configuration and index give the same
//! bytes on one machine. Motion repeats every 12 s; speckle moves with the tissue and decorrelates over seconds, noise
//! is new in every frame. Truth is taken from the analytic shape, never from the picture.
//!
//! ```
//! use sonotap::frame::Frame;
//! use sonotap::mask::Bitmap;
//! use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
//!
//! let preset: PhantomPreset = "vessel".parse()?;
//! let mut phantom = Phantom::new(preset, PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() })?;
//! let mut frame = Frame::default();
//! phantom.render_at(40, &mut frame);
//! let mut truth = Bitmap::new(320, 240);
//! phantom.truth_into(&mut truth);
//! let tap = phantom.tap_point(40).unwrap();
//! assert!(truth.get(tap.x as u32, tap.y as u32));
//! # Ok::<(), sonotap::error::Error>(())
//! ```

mod motion;
mod presets;
mod probe;
mod render;
mod scene;
mod speckle;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, ImageRegion, PixelFormat, PixelScale, RegionContent};
use crate::geometry::{ImageSpace, Point};
use crate::mask::Bitmap;
use crate::source::{FrameSource, Next, SourceDescription};

use motion::Pose;
use probe::{ImagePlane, ScanConverter};
use render::{Compression, Moment, Renderer};
use scene::Scene;
use speckle::Atlas;

/// Longest side of a frame, px.
pub const SIDE_MAX_PX: u32 = 4096;
/// Most events of a configuration.
pub const EVENTS_MAX: usize = 8;
/// Largest motion scale.
pub const MOTION_MAX: f32 = 2.0;

/// The scenes that can be simulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PhantomPreset {
    /// Anechoic ellipse with enhancement behind, in a breast; linear probe.
    Cyst,
    /// Hypoechoic irregular mass with a shadow, in a breast; linear probe.
    Lesion,
    /// Pulsating artery in cross-section, in a neck; linear probe.
    Vessel,
    /// Wall of that artery: a ring.
    VesselWall,
    /// Beating left ventricle, apical view; sector probe.
    Chamber,
    /// Its wall: a ring.
    Myocardium,
    /// Skull of a fetus that turns slowly; convex probe.
    FetalHead,
    /// Needle along its shaft, in muscle; linear probe.
    Needle,
}

impl PhantomPreset {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Cyst,
        Self::Lesion,
        Self::Vessel,
        Self::VesselWall,
        Self::Chamber,
        Self::Myocardium,
        Self::FetalHead,
        Self::Needle,
    ];

    /// The name by which it is chosen.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cyst => "cyst",
            Self::Lesion => "lesion",
            Self::Vessel => "vessel",
            Self::VesselWall => "vessel-wall",
            Self::Chamber => "chamber",
            Self::Myocardium => "myocardium",
            Self::FetalHead => "fetal-head",
            Self::Needle => "needle",
        }
    }
}

impl fmt::Display for PhantomPreset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for PhantomPreset {
    type Err = Error;

    fn from_str(s: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|p| p.name() == s).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::Argument, format!("phantom: expected one of {names}, got {s:?}"))
        })
    }
}

/// Something that happens to the picture from a frame on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Another patient, drawn with this seed; same preset.
    Cut {
        /// Seed of the new anatomy.
        seed: u64,
    },
    /// The probe leaves the skin: echoes of its own face and noise, no tissue, no truth.
    Lift,
    /// The probe is back where it was before [`Event::Lift`].
    Touch,
}

/// How a phantom is simulated.
#[derive(Clone, Debug, PartialEq)]
pub struct PhantomConfig {
    /// image px, 1..=4096.
    pub width: u32,
    /// image px, 1..=4096.
    pub height: u32,
    /// Chooses anatomy, speckle and noise.
    pub seed: u64,
    /// Time from frame to frame, not zero.
    pub frame_period: Duration,
    /// Multiplies every amplitude of motion, 0..=2; 0 holds tissue still.
    pub motion: f32,
    /// Between black and white, 20..=120 dB.
    pub dynamic_range_db: f32,
    /// Multiplies the thermal noise, 0..=100.
    pub noise: f32,
    /// Frame index from which each event holds; in any order, no two at one frame, at most 8.
    pub events: Vec<(u64, Event)>,
}

impl Default for PhantomConfig {
    /// 640x480 at 30 fps, seed 1, natural motion, 60 dB, natural noise, no events.
    fn default() -> Self {
        Self {
            width: 640,
            height: 480,
            seed: 1,
            frame_period: Duration::from_nanos(33_333_333),
            motion: 1.0,
            dynamic_range_db: 60.0,
            noise: 1.0,
            events: Vec::new(),
        }
    }
}

impl PhantomConfig {
    fn checked(&self) -> Result<()> {
        let fail = |what: String| Err(Error::new(ErrorKind::Config, format!("phantom: {what}")));
        for (name, side) in [("width", self.width), ("height", self.height)] {
            if !(1..=SIDE_MAX_PX).contains(&side) {
                return fail(format!("expected {name} 1..={SIDE_MAX_PX} px, got {side}"));
            }
        }
        if self.frame_period.is_zero() {
            return fail("expected a frame period above 0, got 0".into());
        }
        let ranges = [
            ("motion", self.motion, 0.0..=MOTION_MAX),
            ("dynamic_range_db", self.dynamic_range_db, 20.0..=120.0),
            ("noise", self.noise, 0.0..=100.0),
        ];
        for (name, value, range) in ranges {
            if !range.contains(&value) {
                return fail(format!("expected {name} {range:?}, got {value}"));
            }
        }
        if self.events.len() > EVENTS_MAX {
            return fail(format!("expected at most {EVENTS_MAX} events, got {}", self.events.len()));
        }
        for (i, (at, _)) in self.events.iter().enumerate() {
            if self.events[..i].iter().any(|(other, _)| other == at) {
                return fail(format!("expected one event a frame, got two at frame {at}"));
            }
        }
        Ok(())
    }
}

/// One patient: a scene and its tissue.
#[derive(Clone, Debug)]
struct Take {
    scene: Scene,
    atlas: Atlas,
}

impl Take {
    fn new(preset: PhantomPreset, seed: u64) -> Self {
        let scene = presets::scene(preset, seed);
        let atlas = Atlas::new(&scene.probe, &scene.anatomy, seed);
        Self { scene, atlas }
    }
}

/// What the probe sees from a frame on.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: u64,
    take: usize,
    is_lifted: bool,
}

/// A simulated scanner.
///
/// Guarantees: frames depend on preset, configuration and index alone; truth, displacement, tap point and picture are
/// of one and the same motion; after the first frame nothing is allocated.
#[derive(Clone, Debug)]
pub struct Phantom {
    config: PhantomConfig,
    description: SourceDescription,
    plane: ImagePlane,
    takes: Vec<Take>,
    timeline: Vec<Span>,
    renderer: Renderer,
    converter: ScanConverter,
    loop_frames: u64,
    next: u64,
    shown: u64,
}

impl Phantom {
    /// Sets up a scanner and its patients.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a configuration outside its limits, naming the field.
    pub fn new(preset: PhantomPreset, config: PhantomConfig) -> Result<Self> {
        config.checked()?;
        let (takes, timeline) = timeline(preset, &config);
        let probe = takes[0].scene.probe;
        let plane = ImagePlane::new(&probe, config.width, config.height)?;
        let compression = Compression { white_db: 22.0, range_db: config.dynamic_range_db };
        Ok(Self {
            description: SourceDescription {
                name: format!("phantom:{preset}"),
                width: config.width,
                height: config.height,
                format: PixelFormat::Grey8,
                frame_period: Some(config.frame_period),
                frames: None,
            },
            renderer: Renderer::new(probe, compression, config.noise, config.seed),
            converter: ScanConverter::new(&probe, &plane, config.width, config.height),
            loop_frames: ((presets::LOOP_SECS / config.frame_period.as_secs_f64()).round() as u64).max(1),
            config,
            plane,
            takes,
            timeline,
            next: 0,
            shown: 0,
        })
    }

    /// Millimetres per image px, the same on both axes.
    pub fn scale(&self) -> PixelScale {
        self.plane.scale()
    }

    /// Index of the frame rendered last; 0 before the first.
    pub fn frame_index(&self) -> u64 {
        self.shown
    }

    /// Frames after which the motion repeats.
    pub fn loop_frames(&self) -> u64 {
        self.loop_frames
    }

    /// Renders any frame; its number and time are left alone.
    pub fn render_at(&mut self, index: u64, frame: &mut Frame) {
        let shaped = frame.reshape(self.config.width, self.config.height, PixelFormat::Grey8);
        shaped.expect("the size was checked when the phantom was made");
        let content = RegionContent::BMode;
        // On a picture of a few pixels the sector is narrower than a region may be.
        let is_seen = frame.set_region(ImageRegion { rect: self.plane.region(), content }).is_ok();
        frame.region.rect = if is_seen { frame.region.rect } else { frame.bounds() };
        frame.region.content = content;
        frame.set_scale(Some(self.plane.scale()));
        let span = self.span(index);
        let grid = if span.is_lifted {
            self.renderer.air(index)
        } else {
            let drift = (std::f64::consts::TAU * self.phase(index)) as f32;
            let moment = Moment { pose: self.pose(span, index), drift, noise_key: index };
            self.renderer.tissue(&self.takes[span.take].atlas, &moment)
        };
        self.converter.convert(grid, &mut frame.pixels);
        self.shown = index;
    }

    /// The true mask of the structure on the frame rendered last; `out` takes the size of the frame.
    pub fn truth_into(&self, out: &mut Bitmap) {
        self.truth_at(self.shown, out);
    }

    /// The true mask of the structure on any frame: pixels whose centre lies inside the analytic shape and in the field
    /// of view; empty while the probe is lifted. `out` takes the size of the frame.
    pub fn truth_at(&self, index: u64, out: &mut Bitmap) {
        if (out.width(), out.height()) != (self.config.width, self.config.height) {
            *out = Bitmap::new(self.config.width, self.config.height);
        }
        out.clear();
        let span = self.span(index);
        if span.is_lifted {
            return;
        }
        let pose = self.pose(span, index);
        let scene = &self.takes[span.take].scene;
        for y in 0..self.config.height {
            for x in 0..self.config.width {
                let p = self.plane.mm_of(Point::new(x as f32 + 0.5, y as f32 + 0.5));
                if scene.shows(&pose, p) {
                    out.set(x, y, true);
                }
            }
        }
    }

    /// The true outline on any frame, of a wall the outer one, as a closed polygon of `points` points, image px; empty while the probe is lifted.
    pub fn truth_outline(&self, index: u64, points: usize) -> Vec<Point<ImageSpace>> {
        let span = self.span(index);
        if span.is_lifted {
            return Vec::new();
        }
        let pose = self.pose(span, index);
        let shape = &self.takes[span.take].scene.structure;
        scene::around(points).map(|a| self.plane.px_of(pose.now_of(shape.boundary(a)))).collect()
    }

    /// A point certainly inside the structure, its centre or the middle of a wall, image px; `None` while the probe is lifted.
    pub fn tap_point(&self, index: u64) -> Option<Point<ImageSpace>> {
        let span = self.span(index);
        let place = self.takes[span.take].scene.inner_place();
        (!span.is_lifted).then(|| self.plane.px_of(self.pose(span, index).now_of(place)))
    }

    /// Where the tissue that is at `p` on frame `from` is on frame `to`, image px, perhaps outside the image.
    /// `None` when one of the two shows another patient or no tissue.
    pub fn displacement(&self, p: Point<ImageSpace>, from: u64, to: u64) -> Option<Point<ImageSpace>> {
        let (a, b) = (self.span(from), self.span(to));
        if a.is_lifted || b.is_lifted || a.take != b.take {
            return None;
        }
        let tissue = self.pose(a, from).rest_of(self.plane.mm_of(p));
        Some(self.plane.px_of(self.pose(b, to).now_of(tissue)))
    }

    fn span(&self, index: u64) -> Span {
        self.timeline[self.timeline.partition_point(|s| s.from <= index) - 1]
    }

    fn phase(&self, index: u64) -> f64 {
        (index % self.loop_frames) as f64 / self.loop_frames as f64
    }

    fn pose(&self, span: Span, index: u64) -> Pose {
        Pose::new(self.takes[span.take].scene.motion, self.phase(index), self.config.motion)
    }
}

/// The patients, and what is seen from which frame on; the first span starts at frame 0.
fn timeline(preset: PhantomPreset, config: &PhantomConfig) -> (Vec<Take>, Vec<Span>) {
    let mut takes = vec![Take::new(preset, config.seed)];
    let mut spans = vec![Span { from: 0, take: 0, is_lifted: false }];
    let mut events = config.events.clone();
    events.sort_by_key(|(at, _)| *at);
    for (from, event) in events {
        let take = takes.len() - 1;
        spans.push(match event {
            Event::Cut { seed } => {
                takes.push(Take::new(preset, seed));
                Span { from, take: take + 1, is_lifted: false }
            }
            Event::Lift => Span { from, take, is_lifted: true },
            Event::Touch => Span { from, take, is_lifted: false },
        });
    }
    (takes, spans)
}

impl FrameSource for Phantom {
    fn description(&self) -> &SourceDescription {
        &self.description
    }

    fn next_into(&mut self, frame: &mut Frame) -> Result<Next> {
        self.render_at(self.next, frame);
        self.next = self.next.wrapping_add(1);
        Ok(Next::Filled)
    }

    fn rewind(&mut self) {
        self.next = 0;
    }
}

#[cfg(test)]
mod tests;
