//! The thread between a camera and the live path's slot: newest picture only, stamped with the driver's capture time, and
//! opened again whatever fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use serde::Serialize;

use super::capture_time::{AGE_MAX, CaptureTime};
use super::clock::Clock;
use super::entry::{Entered, FrameInput};
use crate::error::{Error, ErrorKind, Result};
use crate::frame::Frame;
use crate::source::camera::{Annotation, Camera, Fault, Grabbed, Patience, Recovery, Step};
use crate::units::{Span, Timestamp};

/// Longest wait in the driver: how late a request to stop may be heard.
const READ_MAX: Duration = Duration::from_millis(50);

/// How to capture.
#[derive(Clone, Copy, Debug, Default)]
pub struct CaptureConfig {
    /// Times of the recovery.
    pub patience: Patience,
    /// What is known of the pictures beforehand.
    pub annotation: Annotation,
}

#[derive(Default)]
struct Counters {
    delivered: AtomicU64,
    skipped: AtomicU64,
    damaged: AtomicU64,
    displaced: AtomicU64,
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
    /// Pictures left out because all memory for frames was in use.
    pub no_buffer: u64,
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
    input: FrameInput,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Capture {
    /// Starts to capture into `input`. A camera that is not there is waited for.
    ///
    /// # Errors
    /// `Unavailable` when no thread can be had.
    pub fn start(camera: Box<dyn Camera>, config: CaptureConfig, input: FrameInput) -> Result<Self> {
        let counters = Arc::new(Counters::default());
        let (stop, stopped) = bounded(0);
        let (shared, door) = (counters.clone(), input.clone());
        let thread = std::thread::Builder::new()
            .name("capture".into())
            .spawn(move || Capturing::new(camera, config, door, &shared, stopped).run())
            .map_err(|e| Error::caused(ErrorKind::Unavailable, "no thread for the camera", e))?;
        Ok(Self { counters, input, stop: Some(stop), thread: Some(thread) })
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
            no_buffer: self.input.report().no_buffer,
            opened: count(&c.opened),
            stalled: count(&c.stalled),
            failed: count(&c.failed),
            gone: count(&c.gone),
            outage_last_ms: count(&c.outage_last_ns) as f64 / 1e6,
            outage_max_ms: count(&c.outage_max_ns) as f64 / 1e6,
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
    input: FrameInput,
    clock: Clock,
    counters: &'a Counters,
    stopped: Receiver<()>,
    recovery: Recovery,
    /// For pictures that no frame is free for, so that the driver's buffers come back.
    spill: Frame,
    last_refusal: String,
}

impl<'a> Capturing<'a> {
    fn new(
        camera: Box<dyn Camera>,
        config: CaptureConfig,
        input: FrameInput,
        counters: &'a Counters,
        stopped: Receiver<()>,
    ) -> Self {
        let clock = input.clock().clone();
        Self {
            camera,
            config,
            input,
            counters,
            stopped,
            recovery: Recovery::new(config.patience, clock.now()),
            clock,
            spill: Frame::default(),
            last_refusal: String::new(),
        }
    }

    fn run(mut self) {
        loop {
            self.counters.beats.fetch_add(1, Ordering::Relaxed);
            let pause = match self.recovery.step(self.clock.now()) {
                Step::Open => {
                    self.open();
                    Duration::ZERO
                }
                Step::Read(patience) => {
                    self.read(patience.min(READ_MAX));
                    Duration::ZERO
                }
                Step::Wait(span) => span,
            };
            if !matches!(self.stopped.recv_timeout(pause), Err(RecvTimeoutError::Timeout)) {
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
                self.tell(e.to_string());
                self.recovery.open_failed(self.clock.now());
            }
        }
    }

    fn read(&mut self, patience: Duration) {
        let grabbed = match self.input.lease() {
            None => self.camera.newest(&mut self.spill, patience),
            Some(mut frame) => {
                let grabbed = self.camera.newest(&mut frame, patience);
                if let Grabbed::Picture { age, .. } = grabbed {
                    let annotated = self.config.annotation.apply(&mut frame);
                    self.count(annotated.and_then(|()| frame.enter(CaptureTime::Ago(age.min(AGE_MAX)), None)));
                }
                grabbed
            }
        };
        self.note(grabbed);
    }

    fn count(&mut self, entered: Result<Entered>) {
        let counter = match entered {
            Ok(Entered::Taken { .. }) => &self.counters.delivered,
            Ok(Entered::Displaced { .. }) => {
                self.counters.displaced.fetch_add(1, Ordering::Relaxed);
                &self.counters.delivered
            }
            Ok(Entered::NoBuffer) => return,
            Err(e) => {
                self.tell(e.to_string());
                &self.counters.damaged
            }
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    fn note(&mut self, grabbed: Grabbed) {
        let (now, counters) = (self.clock.now(), self.counters);
        let add = |counter: &AtomicU64, n: u64| counter.fetch_add(n, Ordering::Relaxed);
        match grabbed {
            Grabbed::Picture { skipped, .. } => {
                add(&counters.skipped, skipped.into());
                if let Some(outage) = self.recovery.delivered(now) {
                    counters.outage_last_ns.store(outage.as_ns(), Ordering::Relaxed);
                    counters.outage_max_ns.fetch_max(outage.as_ns(), Ordering::Relaxed);
                    log::info!("camera: pictures come, after {:.0} ms without", outage.as_ms());
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

    /// Warns, once for the same reason: several times a second would fill the log.
    fn tell(&mut self, why: String) {
        if why != self.last_refusal {
            log::warn!("{why}");
            self.last_refusal = why;
        }
    }

    fn give_up_when_silent(&mut self, now: Timestamp) {
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
    use crate::pipeline::latest::{Latest, Wake};
    use crate::source::camera::{CameraFormat, Colours, PictureLayout};
    use crate::units::{FrameId, Millimetres};
    use std::sync::Mutex;

    /// What a scripted device does, one act a call; after the last it hears the end through its channel.
    #[derive(Clone, Copy, Debug)]
    enum Act {
        Picture {
            size: (u32, u32),
            age: Duration,
            skipped: u32,
        },
        Nothing,
        Damaged(u32),
        Fail(Fault),
        /// Time passes.
        Later(u64),
    }

    const PICTURE: Act = Act::Picture { size: (8, 4), age: Duration::from_millis(5), skipped: 0 };

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
                        self.hand.fetch_add(ms * 1_000_000, Ordering::AcqRel);
                        continue;
                    }
                    Some(Act::Picture { size, age, skipped }) => {
                        frame.reshape(size.0, size.1, PixelFormat::Grey8).unwrap();
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
        let hand = Arc::new(AtomicU64::new(1_000_000_000));
        play_on(Clock::set_by(hand.clone()), hand, acts, 0, CaptureConfig { annotation, ..CaptureConfig::default() })
    }

    fn play_on(clock: Clock, hand: Arc<AtomicU64>, acts: &[Act], refusals: u32, config: CaptureConfig) -> Played {
        let (over, heard) = bounded(1);
        let log = Arc::<Mutex<Vec<_>>>::default();
        let acts = Vec::from(acts).into_iter();
        let camera = Scripted { acts, refusals, hand, log: log.clone(), over };
        let slot = Latest::new(Wake::default());
        let input = FrameInput::new(slot.clone(), clock, 1 << 20);
        let capture = Capture::start(Box::new(camera), config, input).unwrap();
        heard.recv().unwrap();
        let report = capture.report();
        assert!(!capture.has_ended());
        capture.stop().unwrap();
        let log = log.lock().unwrap().clone();
        Played { report, log, last: slot.take() }
    }

    #[test]
    fn frames_have_numbers_and_the_drivers_capture_time() {
        let acts = [PICTURE, Act::Later(33), Act::Picture { size: (8, 4), age: Duration::from_millis(7), skipped: 2 }];
        let played = play(&acts, Annotation::default());
        let last = played.last.unwrap();
        assert_eq!((last.id, last.captured), (Some(FrameId(2)), Timestamp::from_ms(1_026)));
        assert_eq!((played.report.delivered, played.report.skipped, played.report.displaced), (2, 2, 1));
        assert_eq!(played.log, ["open", "close"]);
    }

    #[test]
    fn a_driver_whose_time_runs_backwards_makes_no_older_frame() {
        let old = Act::Picture { size: (8, 4), age: Duration::from_millis(400), skipped: 0 };
        let played = play(&[PICTURE, Act::Later(10), old], Annotation::default());
        assert_eq!(played.last.unwrap().captured, Timestamp::from_ms(995), "older than the frame before it");
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
        let patience = Patience { retry: Duration::from_nanos(1), ..Patience::default() };
        let config = CaptureConfig { patience, ..CaptureConfig::default() };
        let played = play_on(Clock::monotonic(), Arc::default(), &[PICTURE], 5, config);
        assert_eq!(played.report.delivered, 1);
        assert_eq!(played.log.iter().filter(|l| **l == "refused").count(), 5);
    }

    #[test]
    fn scale_and_region_are_only_for_the_size_they_were_written_for() {
        let region = ImageRegion { rect: Rect::new(4.0, 0.0, 20.0, 16.0), content: RegionContent::BMode };
        let scale = PixelScale::new(Millimetres(0.1), Millimetres(0.1), ScaleSource::Profile);
        let annotation = Annotation { size: (24, 16), region: Some(region), scale, pixel_aspect: Some(0.9) };
        let picture = Act::Picture { size: (24, 16), age: Duration::ZERO, skipped: 0 };
        let right = play(&[picture], annotation).last.unwrap();
        assert_eq!((right.region, right.scale), (region, scale));
        let other = Act::Picture { size: (8, 6), age: Duration::ZERO, skipped: 0 };
        let wrong = play(&[PICTURE, other], annotation).last.unwrap();
        assert_eq!((wrong.region.rect, wrong.scale), (wrong.bounds(), None));
    }

    #[test]
    fn when_all_frames_are_held_the_driver_is_still_drained() {
        let hand = Arc::new(AtomicU64::new(1_000_000_000));
        let counters = Counters::default();
        let (over, _heard) = bounded(1);
        let log = Arc::<Mutex<Vec<_>>>::default();
        let acts = vec![PICTURE; 40].into_iter();
        let camera = Scripted { acts, refusals: 0, hand: hand.clone(), log, over };
        let slot: Latest<Arc<Frame>> = Latest::new(Wake::default());
        let (_stop, stopped) = bounded(0);
        let input = FrameInput::new(slot.clone(), Clock::set_by(hand), 0);
        let mut capturing =
            Capturing::new(Box::new(camera), CaptureConfig::default(), input.clone(), &counters, stopped);
        capturing.open();
        let held: Vec<_> = (0..40)
            .filter_map(|_| {
                capturing.read(Duration::ZERO);
                slot.take()
            })
            .collect();
        let left_out = input.report().no_buffer;
        assert!(left_out > 0 && held.len() as u64 + left_out == 40, "{} held, {left_out} left out", held.len());
    }
}
