//! From a scene to messages.
//!
//! The display thread copies what it has on the screen into a snapshot ([`Publisher`]) and goes on; a thread of its own makes
//! messages of the newest snapshot ([`Encoder`]). A bundle is the whole state as seven parts, each with a revision, so whoever
//! missed a bundle loses nothing: a part is sent again only when its revision is another one than that sent last.
//!
//! | part | type, device | what |
//! |---|---|---|
//! | 0 | STATUS `Sonotap` | the words of the screen; every second at least |
//! | 1 | IMAGE `SonotapLabels` | the label map: 0, or the number of the object |
//! | 2 to 5 | POLYDATA `SonotapOutline1` to `4` | the outline of an object, mm, RAS |
//! | 6 | STRING `Sonotap` | state and measurements as JSON |
//!
//! Invariant: an outline is in parts 1 to 5 only on the frame that it was computed from. When the frame on the screen has none,
//! the parts become empty, so that a client does not keep an old outline over a new image.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use sonotap::pipeline::latest::{Latest, Wake};
use sonotap::{
    Frame, HiddenReason, Measurements, Mode, ObjectId, Outline, Overlay, PixelScale, Scene, Signal, Timestamp,
};

use crate::image::Plane;
use crate::message::{Code, PolyData, Stamp, Status, append, append_string};
use crate::raster::Filler;
use crate::source::ImageSource;

/// Device of STATUS and STRING.
pub const DEVICE: &str = "Sonotap";
/// Device of the label map.
pub const LABELS_DEVICE: &str = "SonotapLabels";
/// Devices of the outlines.
pub const OUTLINE_DEVICES: [&str; ObjectId::MAX] =
    ["SonotapOutline1", "SonotapOutline2", "SonotapOutline3", "SonotapOutline4"];
/// Parts of a bundle.
pub const PARTS: usize = 3 + ObjectId::MAX;
/// The STATUS is sent again after so long without anything new.
const BEAT: Duration = Duration::from_secs(1);

const STATUS: usize = 0;
const LABELS: usize = 1;
const OUTLINES: usize = 2;
const STRING: usize = PARTS - 1;

/// The type of a part.
pub fn kind_of(part: usize) -> &'static str {
    match part {
        STATUS => "STATUS",
        LABELS => "IMAGE",
        STRING => "STRING",
        _ => "POLYDATA",
    }
}

/// Messages of one part, ready to be written.
#[derive(Debug, Default)]
pub struct Part {
    /// 0 for a part that never had anything in it.
    pub revision: u64,
    /// Whole messages.
    pub bytes: Vec<u8>,
}

/// The whole state.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// See the module.
    pub parts: [Arc<Part>; PARTS],
}

/// An object of a snapshot.
#[derive(Debug)]
struct ObjectShot {
    object: ObjectId,
    overlay: Overlay,
    score: Option<f32>,
    /// Only an exact one.
    outline: Outline,
    measurements: Option<Measurements>,
}

/// What was on the screen.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Nothing is new; only the STATUS is to be said again.
    is_beat: bool,
    frame: u64,
    host_number: Option<u64>,
    captured: Stamp,
    size: (u32, u32),
    scale: Option<PixelScale>,
    frame_age: Duration,
    mode: Mode,
    signal: Signal,
    is_hot: bool,
    label: Option<String>,
    objects: Vec<ObjectShot>,
    /// Buffers of objects that are gone.
    spare: Vec<Outline>,
}

impl Snapshot {
    fn fill(&mut self, frame: &Frame, scene: &Scene, now: Timestamp) {
        self.is_beat = false;
        (self.frame, self.host_number) = (frame.id().map_or(0, |id| id.0), frame.host_number());
        let age = now.since(frame.captured());
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.captured = Stamp::from_unix(wall.saturating_sub(age));
        (self.size, self.scale) = ((frame.width(), frame.height()), frame.scale());
        (self.frame_age, self.mode, self.signal, self.is_hot) = (age, scene.mode, scene.signal, scene.is_hot);
        let label = scene.preset.as_ref().map(|preset| preset.label.as_str());
        if self.label.as_deref() != label {
            self.label = label.map(str::to_owned);
        }
        self.spare.extend(self.objects.drain(..).map(|o| o.outline));
        for object in &scene.objects {
            let mut outline = self.spare.pop().unwrap_or_default();
            let is_exact = object.overlay == Overlay::Exact;
            if is_exact {
                outline.copy_from(&object.outline);
            } else {
                outline.clear();
            }
            self.objects.push(ObjectShot {
                object: object.object,
                overlay: object.overlay,
                score: object.score.map(|score| score.get()),
                outline,
                measurements: object.measurements.filter(|_| is_exact),
            });
        }
    }
}

/// The way from the display thread to the encoder: the newest snapshot, and emptied ones back.
#[derive(Clone)]
pub struct Post {
    pub(crate) newest: Latest<Box<Snapshot>>,
    spare: Latest<Box<Snapshot>>,
}

impl Default for Post {
    fn default() -> Self {
        Self { newest: Latest::new(Wake::default()), spare: Latest::new(Wake::default()) }
    }
}

/// The display thread's side. After warm-up nothing here allocates, and nothing waits for a client.
pub struct Publisher {
    post: Post,
    last: Timestamp,
    displaced: u64,
}

impl Publisher {
    pub(crate) fn new(post: Post) -> Self {
        Self { post, last: Timestamp::START, displaced: 0 }
    }

    /// What is on the screen now; `scene` belongs to `frame`.
    pub fn publish(&mut self, frame: &Frame, scene: &Scene, now: Timestamp) {
        if !scene.belongs_to(frame) {
            return;
        }
        let mut snapshot = self.post.spare.take().unwrap_or_default();
        snapshot.fill(frame, scene, now);
        self.put(snapshot);
        self.last = now;
    }

    /// To be called in every round of the display loop: says that it is alive when nothing was published for a second.
    pub fn turn(&mut self, now: Timestamp) {
        if now.since(self.last) < BEAT || !self.post.newest.is_empty() {
            return;
        }
        let mut snapshot = self.post.spare.take().unwrap_or_default();
        snapshot.is_beat = true;
        self.put(snapshot);
        self.last = now;
    }

    /// Scenes of which no message was made because a newer one came.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    fn put(&mut self, snapshot: Box<Snapshot>) {
        if let Some(old) = self.post.newest.put(snapshot) {
            self.displaced += 1;
            self.post.spare.put(old);
        }
    }
}

/// Makes bundles of snapshots.
pub struct Encoder {
    post: Post,
    source: Option<Arc<ImageSource>>,
    bundle: Bundle,
    revisions: u64,
    pools: [Vec<Arc<Part>>; PARTS],
    filler: Filler,
    ring_lens: Vec<usize>,
    words: &'static str,
    labels_size: Option<(u32, u32)>,
    has_labels: bool,
    has_outline: [bool; ObjectId::MAX],
}

/// Buffers of a part that are kept: those of the clients' bundles, and the last one.
const POOL_MAX: usize = 2 * crate::server::CLIENTS_MAX + 2;

impl Encoder {
    /// An encoder before the first frame; `source` knows where its images lie.
    pub fn new(post: Post, source: Option<Arc<ImageSource>>) -> Self {
        let mut encoder = Self {
            post,
            source,
            bundle: Bundle::default(),
            revisions: 0,
            pools: std::array::from_fn(|_| Vec::new()),
            filler: Filler::default(),
            ring_lens: Vec::new(),
            words: "NO SIGNAL",
            labels_size: None,
            has_labels: false,
            has_outline: [false; ObjectId::MAX],
        };
        encoder.status();
        let report = Report { sonotap: SCHEMA, signal: "missing", says: encoder.words, ..Report::default() };
        encoder.string(&report, now_stamp());
        encoder
    }

    /// The state of the newest snapshot; `None` when there is no new one.
    pub fn encode_newest(&mut self) -> Option<&Bundle> {
        let snapshot = self.post.newest.take()?;
        self.encode(&snapshot);
        self.post.spare.put(snapshot);
        Some(&self.bundle)
    }

    pub(crate) fn post(&self) -> &Post {
        &self.post
    }

    /// The state.
    pub fn bundle(&self) -> &Bundle {
        &self.bundle
    }

    fn encode(&mut self, shot: &Snapshot) {
        if shot.is_beat {
            self.status();
            return;
        }
        let words = words(shot.mode, shot.signal);
        if words != self.words {
            self.words = words;
            self.status();
        }
        let place = self.place(shot);
        let stamp = place.stamp;
        self.labels(shot, &place);
        for index in 0..ObjectId::MAX {
            let object = shot.objects.iter().find(|o| o.object.index() == index);
            self.outline(index, object.filter(|o| o.not_sent_in_mm(&place).is_none()), &place);
        }
        self.string(&report(shot, &place), stamp);
    }

    fn place(&self, shot: &Snapshot) -> Place {
        match (shot.host_number, &self.source) {
            (Some(number), Some(source)) => match source.arrival(number) {
                Some(arrival) => {
                    let no_scale = arrival.plane.scale().err();
                    let stamp = if arrival.stamp == Stamp(0) { shot.captured } else { arrival.stamp };
                    Place { plane: Some(arrival.plane), stamp, no_scale }
                }
                None => Place { plane: None, stamp: shot.captured, no_scale: Some(FORGOTTEN) },
            },
            _ => {
                let mm_per_px = shot.scale.map(|s| s.mm_per_px());
                let plane = Plane::unplaced(shot.size.0, shot.size.1, mm_per_px);
                let no_scale = mm_per_px.is_none().then_some("nobody says how large a pixel is");
                Place { plane: Some(plane), stamp: shot.captured, no_scale }
            }
        }
    }

    fn status(&mut self) {
        let words = self.words;
        let code = match words {
            "LIVE" | "FROZEN" | "REVIEW" => Code::Ok,
            "NO SIGNAL" => Code::NotReady,
            _ => Code::TimeOut,
        };
        self.replace(STATUS, |out| {
            append(out, "STATUS", DEVICE, now_stamp(), |out| Status::append(out, code, words, words));
        });
    }

    fn string(&mut self, report: &Report<'_>, stamp: Stamp) {
        self.replace(STRING, |out| {
            append(out, "STRING", DEVICE, stamp, |out| {
                // Numbers that are none are written as null, so nothing here can fail.
                append_string(out, &serde_json::to_string(report).unwrap_or_default());
            });
        });
    }

    fn labels(&mut self, shot: &Snapshot, place: &Place) {
        let plane = place.plane.filter(Plane::is_placed);
        let has_labels = plane.is_some() && shot.objects.iter().any(|o| o.overlay == Overlay::Exact);
        let is_known_empty = !self.has_labels && !has_labels && self.labels_size == Some(shot.size);
        if is_known_empty {
            return;
        }
        let (width, height) = shot.size;
        let plane = plane.unwrap_or_else(|| Plane::unplaced(width, height, None));
        let mut filler = std::mem::take(&mut self.filler);
        self.replace(LABELS, |out| {
            append(out, "IMAGE", LABELS_DEVICE, place.stamp, |out| {
                plane.labels().append(out);
                let start = out.len();
                out.resize(start + width as usize * height as usize, 0);
                for object in shot.objects.iter().filter(|_| has_labels) {
                    filler.fill(&mut out[start..], width, &object.outline, object.object.0 + 1);
                }
            });
        });
        (self.filler, self.has_labels, self.labels_size) = (filler, has_labels, Some(shot.size));
    }

    fn outline(&mut self, index: usize, object: Option<&ObjectShot>, place: &Place) {
        let plane = place.plane.filter(Plane::is_placed);
        let shown = object.zip(plane);
        if shown.is_none() && !self.has_outline[index] {
            return;
        }
        self.has_outline[index] = shown.is_some();
        let mut ring_lens = std::mem::take(&mut self.ring_lens);
        ring_lens.clear();
        if let Some((object, _)) = shown {
            ring_lens.extend(object.outline.rings().map(<[_]>::len));
        }
        self.replace(OUTLINES + index, |out| {
            append(out, "POLYDATA", OUTLINE_DEVICES[index], place.stamp, |out| match shown {
                Some((object, plane)) => {
                    let points = object.outline.points().iter().map(|p| plane.to_ras(*p));
                    PolyData::append_rings(out, points, &ring_lens);
                }
                None => PolyData::append_rings(out, std::iter::empty(), &[]),
            });
        });
        self.ring_lens = ring_lens;
    }

    /// Makes a part anew, in a buffer that no client holds any more where there is one.
    fn replace(&mut self, part: usize, write: impl FnOnce(&mut Vec<u8>)) {
        self.revisions += 1;
        self.bundle.parts[part] = Arc::default();
        let pool = &mut self.pools[part];
        let free = pool.iter_mut().position(|p| Arc::get_mut(p).is_some());
        let mut made = free.map_or_else(Arc::default, |at| pool.swap_remove(at));
        if let Some(fresh) = Arc::get_mut(&mut made) {
            fresh.revision = self.revisions;
            fresh.bytes.clear();
            write(&mut fresh.bytes);
        }
        if pool.len() < POOL_MAX {
            pool.push(made.clone());
        }
        self.bundle.parts[part] = made;
    }
}

/// Where and when a frame is.
struct Place {
    plane: Option<Plane>,
    stamp: Stamp,
    no_scale: Option<&'static str>,
}

const FORGOTTEN: &str = "the place of this image is forgotten: too many came since";

impl ObjectShot {
    /// Why there is no outline of it in millimetres.
    fn not_sent_in_mm(&self, place: &Place) -> Option<&'static str> {
        if self.overlay != Overlay::Exact {
            return Some("not computed from this frame");
        }
        let has_metric = self.measurements.is_some_and(|m| m.metric.is_some());
        let unmeasured = "the outline is not measured in millimetres here";
        place.no_scale.or((!has_metric).then_some(unmeasured))
    }
}

fn now_stamp() -> Stamp {
    Stamp::from_unix(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// The words of the screen.
fn words(mode: Mode, signal: Signal) -> &'static str {
    match (mode, signal) {
        (Mode::Frozen, _) => "FROZEN",
        (Mode::Review, _) => "REVIEW",
        (Mode::Live, signal) => signal.label(),
    }
}

/// Version of the STRING's form.
const SCHEMA: u32 = 1;

/// The STRING.
#[derive(Debug, Default, Serialize)]
struct Report<'a> {
    sonotap: u32,
    frame: u64,
    frame_age_ms: f64,
    mode: &'static str,
    signal: &'static str,
    says: &'static str,
    is_hot: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    preset: Option<&'a str>,
    scale: Option<ScaleReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    no_millimetres: Option<&'static str>,
    objects: Vec<ObjectReport>,
}

#[derive(Debug, Serialize)]
struct ScaleReport {
    x_mm_per_px: f32,
    y_mm_per_px: f32,
    source: &'static str,
}

#[derive(Debug, Serialize)]
struct ObjectReport {
    object: u8,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<f64>,
    score: Option<f32>,
    in_label_map: bool,
    in_polydata: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_in_polydata: Option<&'static str>,
    measurements: Option<MeasurementsReport>,
}

#[derive(Debug, Serialize)]
struct MeasurementsReport {
    area_px2: f64,
    perimeter_px: f64,
    ellipse_axes_px: (f64, f64),
    longest_px: f64,
    perpendicular_px: f64,
    #[serde(flatten)]
    metric: Option<MetricReport>,
}

#[derive(Debug, Serialize)]
struct MetricReport {
    area_mm2: f64,
    perimeter_mm: f64,
    ellipse_axes_mm: (f64, f64),
    longest_mm: f64,
    perpendicular_mm: f64,
    scale_source: &'static str,
}

fn report<'a>(shot: &'a Snapshot, place: &Place) -> Report<'a> {
    let scale = shot.scale.map(|s| {
        let (x_mm_per_px, y_mm_per_px) = s.mm_per_px();
        ScaleReport { x_mm_per_px, y_mm_per_px, source: s.source().label() }
    });
    Report {
        sonotap: SCHEMA,
        frame: shot.frame,
        frame_age_ms: shot.frame_age.as_secs_f64() * 1e3,
        mode: match shot.mode {
            Mode::Live => "live",
            Mode::Frozen => "frozen",
            Mode::Review => "review",
        },
        signal: match shot.signal {
            Signal::Good => "good",
            Signal::Missing => "missing",
            Signal::Repeating => "repeating",
            Signal::Delayed => "delayed",
            Signal::Late => "late",
        },
        says: words(shot.mode, shot.signal),
        is_hot: shot.is_hot,
        preset: shot.label.as_deref(),
        scale,
        no_millimetres: place.no_scale,
        objects: shot.objects.iter().map(|o| object_report(o, place)).collect(),
    }
}

fn object_report(shot: &ObjectShot, place: &Place) -> ObjectReport {
    let (state, reason, age) = match shot.overlay {
        Overlay::Exact => ("exact", None, None),
        Overlay::Carried { age } => ("carried", None, Some(age)),
        Overlay::Stale { age } => ("stale", None, Some(age)),
        Overlay::Hidden(why) => ("hidden", Some(hidden_words(why)), None),
        Overlay::Lost(why) => ("lost", Some(why.label()), None),
    };
    let (not_in_polydata, is_exact) = (shot.not_sent_in_mm(place), state == "exact");
    ObjectReport {
        object: shot.object.0 + 1,
        state,
        reason,
        age_ms: age.map(|age| age.as_secs_f64() * 1e3),
        score: shot.score,
        in_label_map: is_exact && place.plane.is_some_and(|p| p.is_placed()),
        in_polydata: not_in_polydata.is_none() && place.plane.is_some_and(|p| p.is_placed()),
        not_in_polydata: not_in_polydata.filter(|_| is_exact),
        measurements: shot.measurements.map(|m| MeasurementsReport {
            area_px2: m.area_px,
            perimeter_px: m.perimeter_px,
            ellipse_axes_px: m.ellipse_axes_px,
            longest_px: m.longest_px,
            perpendicular_px: m.perpendicular_px,
            metric: m.metric.map(|mm| MetricReport {
                area_mm2: mm.area.0,
                perimeter_mm: mm.perimeter.0,
                ellipse_axes_mm: (mm.ellipse_axes.0.0, mm.ellipse_axes.1.0),
                longest_mm: mm.longest.0,
                perpendicular_mm: mm.perpendicular.0,
                scale_source: mm.source.label(),
            }),
        }),
    }
}

fn hidden_words(why: HiddenReason) -> &'static str {
    match why {
        HiddenReason::Computing => "computing",
        HiddenReason::TooOld => "too old",
        HiddenReason::ImplausibleMask => "no mask",
        HiddenReason::ModelFailed => "model failed",
        HiddenReason::NotBMode => "not B-mode",
        HiddenReason::NoSignal => "no signal",
        HiddenReason::ByOperator => "hidden by the operator",
        _ => "hidden",
    }
}
