//! The thread between a camera and the live path's slot: newest picture only, stamped with the driver's capture time, and
//! opened again whatever fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::clock::Clock;
use super::latest::Latest;
use crate::engine::cine::CineRing;
use crate::error::{Error, ErrorKind, Result};
use crate::frame::{Frame, FramePool};
use crate::source::camera::{Annotation, Camera, Fault, Grabbed, Patience, Recovery, Step};
use crate::units::{FrameId, Nanos};

/// Longest wait in the driver: how late a request to stop may be heard.
const READ_MAX: Nanos = Nanos::from_ms(50);
/// Frames beyond the cine ring: one being filled, in the slot, on the screen, at the model, and on the ways between.
const FRAMES_ON_THE_WAY: usize = 6;

/// How to capture.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaptureConfig {
    /// Times of the recovery.
    pub patience: Patience,
    /// What is known of the pictures beforehand.
    pub annotation: Annotation,
    /// Memory of the engine's cine ring, whose frames stay in use.
    pub cine_bytes: usize,
}

#[derive(Default)]
struct Counters {
    delivered: AtomicU64,
    skipped: AtomicU64,
    damaged: AtomicU64,
    displaced: AtomicU64,
    pool_empty: AtomicU64,
    opened: AtomicU64,
    stalled: AtomicU64,
    failed: AtomicU64,
    gone: AtomicU64,
    outage_last_ns: AtomicU64,
    outage_max_ns: AtomicU64,
    beats: AtomicU64,
    is_streaming: AtomicBool,
}

/// What a capture has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct CaptureReport {
    /// Frames put into the slot.
    pub delivered: u64,
    /// Pictures left out because a newer one waited.
    pub skipped: u64,
    /// Pictures that were damaged or too short.
    pub damaged: u64,
    /// Frames that nobody took before the next one came.
    pub displaced: u64,
    /// Pictures left out because all frames of the pool were held.
    pub pool_empty: u64,
    /// Times that the device was opened.
    pub opened: u64,
    /// Streams given up for silence.
    pub stalled: u64,
    /// Streams given up for an error of the driver.
    pub failed: u64,
    /// Streams given up because the device went away.
    pub gone: u64,
    /// The last time without pictures, from the last before it to the first after it, ms.
    pub outage_last_ms: f64,
    /// The longest of them, ms; the time before the first picture counts.
    pub outage_max_ms: f64,
    /// Whether pictures come.
    pub is_streaming: bool,
}

/// A camera being captured on a thread of its own; dropping it stops it.
pub struct Capture {
    counters: Arc<Counters>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture into `slot`. A camera that is not there is waited for.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn start(
        camera: Box<dyn Camera>,
        config: CaptureConfig,
        clock: Clock,
        slot: Latest<Arc<Frame>>,
    ) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = bounded(0);
        let shared = counters.clone();
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || Capturing::new(camera, config, clock, slot, &shared, stopped).run())
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the camera", e))?;
        Ok(Self { counters, stop: Some(stop), thread: Some(thread) })
    }

    /// What was done so far.
    pub fn report(&self) -> CaptureReport {
        let c = &self.counters;
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CaptureReport {
            delivered: count(&c.delivered),
            skipped: count(&c.skipped),
            damaged: count(&c.damaged),
            displaced: count(&c.displaced),
            pool_empty: count(&c.pool_empty),
            opened: count(&c.opened),
            stalled: count(&c.stalled),
            failed: count(&c.failed),
            gone: count(&c.gone),
            outage_last_ms: Nanos(count(&c.outage_last_ns)).as_ms(),
            outage_max_ms: Nanos(count(&c.outage_max_ns)).as_ms(),
            is_streaming: c.is_streaming.load(Ordering::Relaxed),
        }
    }

    /// Counts the rounds of the thread's loop: it stands still when the driver hangs.
    pub fn beats(&self) -> u64 {
        self.counters.beats.load(Ordering::Relaxed)
    }

    /// Whether the thread has ended, which it does only when it is asked to or panicked.
    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Stops.
    ///
    /// # Errors
    /// `Io` when the thread panicked.
    pub fn stop(mut self) -> Result<()> {
        self.join()
    }

    fn join(&mut self) -> Result<()> {
        self.stop.take();
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(Error::new(ErrorKind::Io, "the camera's thread panicked")),
            _ => Ok(()),
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if let Err(e) = self.join() {
            log::error!("{e}");
        }
    }
}

struct Capturing<'a> {
    camera: Box<dyn Camera>,
    config: CaptureConfig,
    clock: Clock,
    slot: Latest<Arc<Frame>>,
    counters: &'a Counters,
    stopped: Receiver<()>,
    recovery: Recovery,
    pool: Option<FramePool>,
    /// For pictures that no frame of the pool is free for, so that the driver's buffers come back.
    spill: Frame,
    id: FrameId,
    last_captured: Nanos,
    last_refusal: String,
}

impl<'a> Capturing<'a> {
    fn new(
        camera: Box<dyn Camera>,
        config: CaptureConfig,
        clock: Clock,
        slot: Latest<Arc<Frame>>,
        counters: &'a Counters,
        stopped: Receiver<()>,
    ) -> Self {
        let recovery = Recovery::new(config.patience, clock.now());
        Self {
            camera,
            config,
            clock,
            slot,
            counters,
            stopped,
            recovery,
            pool: None,
            spill: Frame::default(),
            id: FrameId(0),
            last_captured: Nanos(0),
            last_refusal: String::new(),
        }
    }

    fn run(mut self) {
        loop {
            self.counters.beats.fetch_add(1, Ordering::Relaxed);
            let pause = match self.recovery.step(self.clock.now()) {
                Step::Open => {
                    self.open();
                    Nanos(0)
                }
                Step::Read(patience) => {
                    self.read(Nanos(patience.0.min(READ_MAX.0)));
                    Nanos(0)
                }
                Step::Wait(span) => span,
            };
            if !matches!(self.stopped.recv_timeout(Duration::from(pause)), Err(RecvTimeoutError::Timeout)) {
                return self.camera.close();
            }
        }
    }

    fn open(&mut self) {
        match self.camera.open() {
            Ok(layout) => {
                self.counters.opened.fetch_add(1, Ordering::Relaxed);
                self.last_refusal.clear();
                let fourcc = layout.format.fourcc();
                let format = String::from_utf8_lossy(&fourcc);
                log::info!("camera: {} {}x{}", format.trim_end(), layout.width, layout.height);
                self.recovery.opened(self.clock.now());
            }
            Err(e) => {
                self.camera.close();
                // The same reason several times a second would fill the log.
                let why = e.to_string();
                if why != self.last_refusal {
                    log::warn!("{why}");
                    self.last_refusal = why;
                }
                self.recovery.open_failed(self.clock.now());
            }
        }
    }

    fn read(&mut self, patience: Nanos) {
        let (camera, patience) = (&mut self.camera, Duration::from(patience));
        let id = FrameId(self.id.0 + 1);
        let mut grabbed = Grabbed::Nothing;
        let mut stamp = |frame: &mut Frame, clock: &Clock, annotation: &Annotation, after: Nanos| {
            grabbed = camera.newest(frame, patience);
            let Grabbed::Picture { age, .. } = grabbed else { return Err(()) };
            annotation.apply(frame);
            frame.id = id;
            // A driver whose time stands still or runs backwards must not make a new frame older than the last.
            frame.captured = clock.now().since(age).max(after);
            Ok(())
        };
        let (clock, annotation, after) = (&self.clock, &self.config.annotation, self.last_captured);
        let frame = match &mut self.pool {
            Some(pool) => pool.fill(|frame| stamp(frame, clock, annotation, after)),
            None => {
                let mut first = Frame::default();
                let filled = stamp(&mut first, clock, annotation, after);
                let frames = CineRing::capacity_for(self.config.cine_bytes, first.pixels.len()) + FRAMES_ON_THE_WAY;
                filled.ok().map(|()| {
                    self.pool = Some(FramePool::new(frames));
                    Ok(Arc::new(first))
                })
            }
        };
        let frame = match frame {
            None if self.pool.is_some() => {
                // Nothing is shown of it: whoever holds all frames has enough to do.
                let _ = stamp(&mut self.spill, clock, annotation, after);
                None
            }
            frame => frame.and_then(Result::ok),
        };
        self.note(grabbed, frame);
    }

    fn note(&mut self, grabbed: Grabbed, frame: Option<Arc<Frame>>) {
        let (now, counters) = (self.clock.now(), self.counters);
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        match grabbed {
            Grabbed::Picture { skipped, .. } => {
                add(&counters.skipped, skipped.into());
                if let Some(outage) = self.recovery.delivered(now) {
                    counters.outage_last_ns.store(outage.0, Ordering::Relaxed);
                    counters.outage_max_ns.fetch_max(outage.0, Ordering::Relaxed);
                    log::info!("camera: pictures come, after {:.0} ms without", outage.as_ms());
                }
                match frame {
                    Some(frame) => self.put(frame),
                    None => drop(add(&counters.pool_empty, 1)),
                }
            }
            Grabbed::Damaged { pictures } => {
                add(&counters.damaged, pictures.into());
                self.give_up_when_silent(now);
            }
            Grabbed::Nothing => self.give_up_when_silent(now),
            Grabbed::Failed(fault) => {
                self.recovery.failed(now, fault);
                self.close_for(fault);
            }
        }
        counters.is_streaming.store(self.recovery.is_streaming(), Ordering::Relaxed);
    }

    fn put(&mut self, frame: Arc<Frame>) {
        (self.id, self.last_captured) = (frame.id, frame.captured);
        self.counters.delivered.fetch_add(1, Ordering::Relaxed);
        if self.slot.put(frame).is_some() {
            self.counters.displaced.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn give_up_when_silent(&mut self, now: Nanos) {
        if let Some(fault) = self.recovery.nothing(now) {
            self.close_for(fault);
        }
    }

    fn close_for(&mut self, fault: Fault) {
        let counter = match fault {
            Fault::Stalled => &self.counters.stalled,
            Fault::Failed => &self.counters.failed,
            Fault::Gone => &self.counters.gone,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        log::warn!("camera: {}, opening it again", fault.label());
        self.camera.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ImageRegion, PixelFormat, PixelScale, RegionContent, ScaleSource};
    use crate::geometry::Rect;
    use crate::pipeline::latest::Wake;
    use crate::source::camera::{CameraFormat, Colours, PictureLayout};
    use crate::units::Millimetres;
    use std::sync::Mutex;

    /// What a scripted device does, one act a call; after the last it hears the end through its channel.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Picture {
            size: (u32, u32),
            age: Nanos,
            skipped: u32,
        },
        Nothing,
        Damaged(u32),
        Fail(Fault),
        /// Time passes.
        Later(u64),
    }

    const PICTURE: Act = Act::Picture { size: (8, 4), age: Nanos::from_ms(5), skipped: 0 };

    struct Scripted {
        acts: std::vec::IntoIter<Act>,
        refusals: u32,
        hand: Arc<AtomicU64>,
        log: Arc<Mutex<Vec<&'static str>>>,
        over: Sender<()>,
    }

    impl Camera for Scripted {
        fn open(&mut self) -> Result<PictureLayout> {
            if self.refusals > 0 {
                self.refusals -= 1;
                self.log.lock().unwrap().push("refused");
                return Err(Error::new(ErrorKind::Unavailable, "camera: none"));
            }
            self.log.lock().unwrap().push("open");
            Ok(PictureLayout::new(CameraFormat::Grey, 8, 4, 8, Colours::default()))
        }

        fn newest(&mut self, frame: &mut Frame, _patience: Duration) -> Grabbed {
            loop {
                return match self.acts.next() {
                    Some(Act::Later(ms)) => {
                        self.hand.fetch_add(Nanos::from_ms(ms).0, Ordering::AcqRel);
                        continue;
                    }
                    Some(Act::Picture { size, age, skipped }) => {
                        frame.reshape(size.0, size.1, PixelFormat::Grey8);
                        Grabbed::Picture { age, skipped }
                    }
                    Some(Act::Damaged(pictures)) => Grabbed::Damaged { pictures },
                    Some(Act::Fail(fault)) => Grabbed::Failed(fault),
                    Some(Act::Nothing) => Grabbed::Nothing,
                    None => {
                        let _ = self.over.try_send(());
                        Grabbed::Nothing
                    }
                };
            }
        }

        fn close(&mut self) {
            self.log.lock().unwrap().push("close");
        }
    }

    struct Played {
        report: CaptureReport,
        log: Vec<&'static str>,
        last: Option<Arc<Frame>>,
    }

    fn play(acts: &[Act], annotation: Annotation) -> Played {
        let hand = Arc::new(AtomicU64::new(Nanos::from_ms(1_000).0));
        play_on(Clock::set_by(hand.clone()), hand, acts, 0, CaptureConfig { annotation, ..CaptureConfig::default() })
    }

    fn play_on(clock: Clock, hand: Arc<AtomicU64>, acts: &[Act], refusals: u32, config: CaptureConfig) -> Played {
        let (over, heard) = bounded(1);
        let log = Arc::<Mutex<Vec<_>>>::default();
        let acts = Vec::from(acts).into_iter();
        let camera = Scripted { acts, refusals, hand, log: log.clone(), over };
        let slot = Latest::new(Wake::default());
        let capture = Capture::start(Box::new(camera), config, clock, slot.clone()).unwrap();
        heard.recv().unwrap();
        let report = capture.report();
        assert!(!capture.has_ended());
        capture.stop().unwrap();
        let log = log.lock().unwrap().clone();
        Played { report, log, last: slot.take() }
    }

    #[test]
    fn frames_have_numbers_and_the_drivers_capture_time() {
        let acts = [PICTURE, Act::Later(33), Act::Picture { size: (8, 4), age: Nanos::from_ms(7), skipped: 2 }];
        let played = play(&acts, Annotation::default());
        let last = played.last.unwrap();
        assert_eq!((last.id, last.captured), (FrameId(2), Nanos::from_ms(1_026)));
        assert_eq!((played.report.delivered, played.report.skipped, played.report.displaced), (2, 2, 1));
        assert_eq!(played.log, ["open", "close"]);
    }

    #[test]
    fn a_driver_whose_time_runs_backwards_makes_no_older_frame() {
        let old = Act::Picture { size: (8, 4), age: Nanos::from_ms(400), skipped: 0 };
        let played = play(&[PICTURE, Act::Later(10), old], Annotation::default());
        assert_eq!(played.last.unwrap().captured, Nanos::from_ms(995), "older than the frame before it");
    }

    #[test]
    fn every_fault_closes_and_opens_and_pictures_come_again() {
        let damaged = [Act::Later(150), Act::Damaged(3), Act::Later(150), Act::Damaged(1)];
        let silent = [Act::Later(150), Act::Nothing, Act::Later(150), Act::Nothing];
        type Counted = fn(&CaptureReport) -> u64;
        let cases: [(&[Act], Counted); 4] = [
            (&[Act::Fail(Fault::Gone)], |r| r.gone),
            (&[Act::Fail(Fault::Failed)], |r| r.failed),
            (&damaged, |r| r.stalled),
            (&silent, |r| r.stalled),
        ];
        for (fault, count) in cases {
            let acts = [&[PICTURE], fault, &[Act::Later(20), PICTURE]].concat();
            let played = play(&acts, Annotation::default());
            assert_eq!(played.log, ["open", "close", "open", "close"], "{fault:?}");
            assert_eq!((count(&played.report), played.report.delivered), (1, 2), "{fault:?}: {:?}", played.report);
            assert!(played.report.is_streaming && played.report.outage_last_ms >= 20.0, "{:?}", played.report);
        }
    }

    #[test]
    fn a_damaged_picture_now_and_then_is_left_out_and_the_stream_goes_on() {
        let played = play(&[PICTURE, Act::Damaged(1), PICTURE, Act::Damaged(2), PICTURE], Annotation::default());
        assert_eq!((played.report.delivered, played.report.damaged, played.report.opened), (3, 3, 1));
    }

    #[test]
    fn an_absent_camera_is_waited_for() {
        let patience = Patience { retry: Nanos(1), ..Patience::default() };
        let config = CaptureConfig { patience, ..CaptureConfig::default() };
        let played = play_on(Clock::monotonic(), Arc::default(), &[PICTURE], 5, config);
        assert_eq!(played.report.delivered, 1);
        assert_eq!(played.log.iter().filter(|l| **l == "refused").count(), 5);
    }

    #[test]
    fn scale_and_region_are_only_for_the_size_they_were_written_for() {
        let region = ImageRegion { rect: Rect::new(1.0, 0.0, 7.0, 4.0), content: RegionContent::BMode };
        let scale = PixelScale::new(Millimetres(0.1), Millimetres(0.1), ScaleSource::Profile);
        let annotation = Annotation { size: (8, 4), region: Some(region), scale };
        let right = play(&[PICTURE], annotation).last.unwrap();
        assert_eq!((right.region, right.scale), (region, scale));
        let other = Act::Picture { size: (8, 6), age: Nanos(0), skipped: 0 };
        let wrong = play(&[PICTURE, other], annotation).last.unwrap();
        assert_eq!((wrong.region.rect, wrong.scale), (wrong.bounds(), None));
    }

    #[test]
    fn when_all_frames_are_held_the_driver_is_still_drained() {
        let hand = Arc::new(AtomicU64::new(Nanos::from_ms(1_000).0));
        let counters = Counters::default();
        let (over, _heard) = bounded(1);
        let log = Arc::<Mutex<Vec<_>>>::default();
        let acts = vec![PICTURE; 40].into_iter();
        let camera = Scripted { acts, refusals: 0, hand: hand.clone(), log, over };
        let slot: Latest<Arc<Frame>> = Latest::new(Wake::default());
        let (_stop, stopped) = bounded(0);
        let clock = Clock::set_by(hand);
        let mut capturing =
            Capturing::new(Box::new(camera), CaptureConfig::default(), clock, slot.clone(), &counters, stopped);
        capturing.open();
        let held: Vec<_> = (0..40)
            .filter_map(|_| {
                capturing.read(Nanos(0));
                slot.take()
            })
            .collect();
        let left_out = counters.pool_empty.load(Ordering::Relaxed);
        assert!(left_out > 0 && held.len() as u64 + left_out == 40, "{} held, {left_out} left out", held.len());
    }
}
