//! What the display thread, the encoder and the connections share. One lock, held for moments: no pixel is encoded and no byte is
//! sent under it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use sonotap::{Control, Phase, Scene};

use crate::access::{Access, ViewerId};
use crate::pace::Pace;
use crate::pictures::{Encoded, Picture};
use crate::touches::{LATE, Sent, SentPicture, TabletClock};
use crate::wire::{ASKS, CONTROLS, IS_ASKED, Words};

/// Beats to a viewer come this often, unless pictures come.
const BEAT: Duration = Duration::from_millis(100);
/// The display thread is alive when it went a round within this time.
const ROUND: Duration = Duration::from_millis(150);
/// Contacts, or controls, that wait for the display thread.
const WAITING_MAX: usize = 256;
/// Pictures of which the live path waits to hear.
const TRACKED_MAX: usize = 6;
/// Fingers of a viewer.
pub(crate) const FINGERS: usize = 10;

/// A contact as it came from a viewer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Touch {
    /// Finger.
    pub finger: u8,
    /// Phase.
    pub phase: Phase,
    /// Place in the picture, px.
    pub at: (f32, f32),
    /// Longest side of the patch, mm.
    pub size_mm: Option<f32>,
    /// When it happened, on our clock.
    pub time: Instant,
    /// The frame of the picture that it names.
    pub frame: u64,
}

/// A contact as the page reports it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TabletTouch {
    /// Finger.
    pub finger: u8,
    /// Phase.
    pub phase: Phase,
    /// Place in the picture, px.
    pub at: (f32, f32),
    /// Longest side of the patch, mm.
    pub size_mm: Option<f32>,
    /// When, ms of the tablet's clock.
    pub time_ms: f64,
    /// The picture that was on the glass at touch-down.
    pub picture: u64,
    /// Its frame.
    pub frame: u64,
}

/// Why contacts or a control are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dead {
    /// Another viewer controls.
    NotYours,
    /// The picture was not sent, or another frame's, or it is too long ago.
    Stale,
    /// More wait than may.
    Busy,
}

/// Figures of a remote screen.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    /// Pictures encoded, and their bytes.
    pub encoded: u64,
    pub encoded_bytes: u64,
    /// Time spent encoding.
    pub encoding: Duration,
    /// Pictures displaced by newer ones before they were encoded.
    pub displaced: u64,
    /// Pictures sent to all viewers, their bytes, and how many of them were drawn.
    pub sent: u64,
    pub sent_bytes: u64,
    pub seen: u64,
    /// Requests refused.
    pub refused: u64,
}

/// The stream to one viewer.
struct Viewer {
    id: ViewerId,
    stream: u64,
    pace: Pace,
    sent: Sent,
    last_sent: u64,
    beat_due: Instant,
    clock: TabletClock,
    fingers: [bool; FINGERS],
}

/// What became of a tracked picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fate {
    /// The picture.
    pub picture: u64,
    /// When the lead said that it was drawn; `None` when it never will.
    pub seen: Option<Instant>,
}

/// What a viewer's stream sends next.
pub(crate) enum Next {
    /// A picture.
    Picture(Arc<Encoded>, u8),
    /// A beat with the newest picture's number.
    Beat(u64, u8),
    /// Nothing any more.
    End,
}

struct State {
    access: Access,
    viewers: Vec<Viewer>,
    streams: u64,
    waiting: Option<Picture>,
    spare: Vec<Picture>,
    encoded: Option<Arc<Encoded>>,
    newest: u64,
    words: Words,
    tracked: VecDeque<u64>,
    fates: Vec<Fate>,
    touches: Vec<Touch>,
    controls: Vec<Control>,
    wanted: Option<((u32, u32), f32)>,
    round: Instant,
    counts: Counts,
    is_closed: bool,
}

/// What is shared.
pub(crate) struct Hub {
    state: Mutex<State>,
    changed: Condvar,
    began: Instant,
    age_max: Duration,
    has_exam: AtomicBool,
}

impl Hub {
    /// Nobody is paired, nothing is shown. Live frames may be so old at the glass.
    pub(crate) fn new(viewers_max: usize, age_max: Duration) -> Self {
        let began = Instant::now();
        let state = State {
            access: Access::new(viewers_max),
            viewers: Vec::new(),
            streams: 0,
            waiting: None,
            spare: Vec::new(),
            encoded: None,
            newest: 0,
            words: Words::default(),
            tracked: VecDeque::with_capacity(TRACKED_MAX + 1),
            fates: Vec::new(),
            touches: Vec::new(),
            controls: Vec::new(),
            wanted: None,
            round: began,
            counts: Counts::default(),
            is_closed: false,
        };
        Self { state: Mutex::new(state), changed: Condvar::new(), began, age_max, has_exam: AtomicBool::new(false) }
    }

    /// A connection that panicked leaves nothing half done: every change here is whole when the lock is given back.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the hub was made.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Our time of the messages, us.
    pub(crate) fn now_us(&self) -> u64 {
        u64::try_from(self.now().as_micros()).unwrap_or(u64::MAX)
    }

    /// Pairing, sessions and control, under the lock.
    pub(crate) fn access<T>(&self, ask: impl FnOnce(&mut Access, Duration) -> T) -> T {
        let now = self.now();
        let answer = ask(&mut self.lock().access, now);
        self.changed.notify_all();
        answer
    }

    /// Changes who controls, and takes back the fingers of one who no longer does.
    pub(crate) fn change_control(&self, ask: impl FnOnce(&mut Access, Duration)) {
        let now = self.now();
        let mut state = self.lock();
        ask(&mut state.access, now);
        let controller = state.access.controller();
        state.lift_fingers(|viewer| Some(viewer.id) != controller);
        drop(state);
        self.changed.notify_all();
    }

    /// Ends every stream and the encoder.
    pub(crate) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// Counts a refused request.
    pub(crate) fn refused(&self) {
        self.lock().counts.refused += 1;
    }

    /// The figures so far.
    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    // For the display thread.

    /// The display thread goes a round: gives the contacts, and whether anybody may be listened to.
    pub(crate) fn round(&self, touches: &mut Vec<Touch>) -> bool {
        let now = self.now();
        let mut state = self.lock();
        state.round = Instant::now();
        touches.append(&mut state.touches);
        state.access.has_sessions() || state.access.is_open(now)
    }

    /// Controls that were pressed.
    pub(crate) fn take_controls(&self, out: &mut Vec<Control>) {
        out.append(&mut self.lock().controls);
    }

    /// What became of tracked pictures.
    pub(crate) fn take_fates(&self, out: &mut Vec<Fate>) {
        out.append(&mut self.lock().fates);
    }

    /// Size and px per inch that the controller's tablet wants.
    pub(crate) fn wanted(&self) -> Option<((u32, u32), f32)> {
        self.lock().wanted
    }

    /// Whether exams are saved.
    pub(crate) fn set_exam(&self, has_exam: bool) {
        self.has_exam.store(has_exam, Ordering::Release);
    }

    /// What is said of the next picture.
    pub(crate) fn tell(&self, scene: &Scene) {
        let words = Words::of(scene, self.age_max, self.has_exam.load(Ordering::Acquire));
        self.lock().words = words;
    }

    /// A picture to be filled, of those that are done with.
    pub(crate) fn spare(&self) -> Picture {
        self.lock().spare.pop().unwrap_or_default()
    }

    /// Returns a picture that is not shown.
    pub(crate) fn keep(&self, picture: Picture) {
        self.lock().keep(picture);
    }

    /// A picture to be shown, in place of one that waits. Returns its number where the lead will say when it was drawn, and
    /// `None` where nobody looks.
    pub(crate) fn offer(&self, mut picture: Picture) -> Option<u64> {
        let mut state = self.lock();
        state.newest += 1;
        let number = state.newest;
        (picture.number, picture.words) = (number, state.words.clone());
        if let Some(displaced) = state.waiting.take() {
            state.counts.displaced += 1;
            state.lost(displaced.number);
            state.keep(displaced);
        }
        if state.viewers.is_empty() {
            // The newest is kept for whoever comes.
            state.waiting = Some(picture);
            return None;
        }
        state.waiting = Some(picture);
        state.tracked.push_back(number);
        if state.tracked.len() > TRACKED_MAX {
            let oldest = state.tracked.pop_front();
            state.fates.extend(oldest.map(|picture| Fate { picture, seen: None }));
        }
        drop(state);
        self.changed.notify_all();
        Some(number)
    }

    // For the encoder.

    /// Waits for a picture that a viewer has room for; `None` when the hub is closed.
    pub(crate) fn take_picture(&self) -> Option<(Picture, u8)> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            let done = state.encoded.as_ref().map_or(0, |e| e.number);
            let has_room = state.viewers.iter().any(|v| v.last_sent >= done && v.pace.has_room());
            if has_room && let Some(picture) = state.waiting.take() {
                let quality = state.lead().map_or(75, |v| v.pace.quality());
                return Some((picture, quality));
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns a picture, and what it was encoded to.
    pub(crate) fn give_back(&self, picture: Picture, encoded: Option<Arc<Encoded>>, took: Duration) {
        let mut state = self.lock();
        match &encoded {
            Some(e) => {
                state.counts.encoded += 1;
                state.counts.encoded_bytes += e.jpeg.len() as u64;
                state.counts.encoding += took;
            }
            None => state.lost(picture.number),
        }
        state.keep(picture);
        state.encoded = encoded.or(state.encoded.take());
        drop(state);
        self.changed.notify_all();
    }

    // For the connections.

    /// Begins a viewer's stream, in place of an older one of the same viewer. Returns its number.
    pub(crate) fn begin_stream(&self, viewer: ViewerId) -> u64 {
        let now = self.now();
        let mut state = self.lock();
        state.lift_fingers(|v| v.id == viewer);
        state.viewers.retain(|v| v.id != viewer);
        state.streams += 1;
        let stream = state.streams;
        state.viewers.push(Viewer {
            id: viewer,
            stream,
            pace: Pace::default(),
            sent: Sent::default(),
            last_sent: 0,
            beat_due: Instant::now(),
            clock: TabletClock::default(),
            fingers: [false; FINGERS],
        });
        state.access.stream(viewer, true, now);
        drop(state);
        self.changed.notify_all();
        stream
    }

    /// Ends a viewer's stream, unless a newer one has taken its place.
    pub(crate) fn end_stream(&self, viewer: ViewerId, stream: u64) {
        let now = self.now();
        let mut state = self.lock();
        let Some(at) = state.viewers.iter().position(|v| v.stream == stream) else { return };
        let was_lead = state.lead().is_some_and(|v| v.stream == stream);
        state.lift_fingers(|v| v.stream == stream);
        state.viewers.remove(at);
        state.access.stream(viewer, false, now);
        if was_lead {
            let tracked: Vec<u64> = state.tracked.drain(..).collect();
            state.fates.extend(tracked.into_iter().map(|picture| Fate { picture, seen: None }));
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Waits for what a stream sends next.
    pub(crate) fn next(&self, stream: u64) -> Next {
        let mut guard = self.lock();
        loop {
            let state = &mut *guard;
            let now = Instant::now();
            let flags = state.flags(stream);
            let Some(viewer) = state.viewers.iter_mut().find(|v| v.stream == stream) else { return Next::End };
            if state.is_closed {
                return Next::End;
            }
            if let Some(encoded) = state.encoded.as_ref().filter(|e| e.number > viewer.last_sent)
                && viewer.pace.has_room()
            {
                viewer.pace.sent(encoded.number, now - self.began);
                viewer.sent.push(SentPicture { picture: encoded.number, frame: encoded.frame, size: encoded.size });
                viewer.last_sent = encoded.number;
                viewer.beat_due = now + BEAT;
                state.counts.sent += 1;
                state.counts.sent_bytes += encoded.jpeg.len() as u64;
                let encoded = encoded.clone();
                drop(guard);
                self.changed.notify_all();
                return Next::Picture(encoded, flags);
            }
            let is_alive = now.saturating_duration_since(state.round) < ROUND;
            if now >= viewer.beat_due && is_alive {
                viewer.beat_due = now + BEAT;
                return Next::Beat(state.newest, flags);
            }
            let wait = viewer.beat_due.saturating_duration_since(now).clamp(Duration::from_millis(5), BEAT);
            guard = self.changed.wait_timeout(guard, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// A viewer has drawn a picture; its request was sent at `sent_ms` of its clock. Returns whether it was under way.
    pub(crate) fn seen(&self, viewer: ViewerId, picture: u64, sent_ms: f64) -> bool {
        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        let is_lead = state.lead().is_some_and(|v| v.id == viewer);
        let Some(viewer) = state.viewers.iter_mut().find(|v| v.id == viewer) else { return false };
        viewer.clock.heard(sent_ms, now - self.began);
        if viewer.pace.seen(picture, now - self.began).is_none() {
            return false;
        }
        state.counts.seen += 1;
        while is_lead && state.tracked.front().is_some_and(|t| *t <= picture) {
            let tracked = state.tracked.pop_front();
            let seen = tracked.filter(|t| *t == picture).map(|_| now);
            state.fates.extend(tracked.map(|picture| Fate { picture, seen }));
        }
        drop(guard);
        self.changed.notify_all();
        true
    }

    /// Contacts of a viewer. All are taken, or those before the first that is refused.
    pub(crate) fn touch(&self, viewer: ViewerId, sent_ms: f64, touches: &[TabletTouch]) -> Result<(), Dead> {
        let now = Instant::now();
        let mut guard = self.lock();
        let state = &mut *guard;
        if state.access.controller() != Some(viewer) {
            return Err(Dead::NotYours);
        }
        let Some(viewer) = state.viewers.iter_mut().find(|v| v.id == viewer) else { return Err(Dead::Stale) };
        viewer.clock.heard(sent_ms, now - self.began);
        let newest_size = state.encoded.as_ref().map(|e| e.size);
        for touch in touches {
            let finger = usize::from(touch.finger) % FINGERS;
            let age = viewer.clock.age(touch.time_ms, now - self.began);
            let named = viewer.sent.find(touch.picture).filter(|s| s.frame == touch.frame);
            match touch.phase {
                Phase::Down => {
                    let is_shown = named.is_some_and(|s| Some(s.size) == newest_size);
                    if !is_shown || age > LATE {
                        return Err(Dead::Stale);
                    }
                    if state.touches.len() >= WAITING_MAX {
                        return Err(Dead::Busy);
                    }
                }
                // Of a touch that did not begin here.
                _ if !viewer.fingers[finger] => continue,
                Phase::Move if state.touches.len() >= WAITING_MAX => continue,
                _ => {}
            }
            viewer.fingers[finger] = matches!(touch.phase, Phase::Down | Phase::Move);
            state.touches.push(Touch {
                finger: finger as u8,
                phase: touch.phase,
                at: touch.at,
                size_mm: touch.size_mm,
                time: now.checked_sub(age).unwrap_or(now),
                frame: touch.frame,
            });
        }
        Ok(())
    }

    /// A viewer presses a control of the page, at `time_ms` of its clock.
    pub(crate) fn press(&self, viewer: ViewerId, control: Control, sent_ms: f64, time_ms: f64) -> Result<(), Dead> {
        let now = self.now();
        let mut state = self.lock();
        if state.access.controller() != Some(viewer) {
            return Err(Dead::NotYours);
        }
        let Some(viewer) = state.viewers.iter_mut().find(|v| v.id == viewer) else { return Err(Dead::Stale) };
        viewer.clock.heard(sent_ms, now);
        if viewer.clock.age(time_ms, now) > LATE {
            return Err(Dead::Stale);
        }
        if state.controls.len() >= WAITING_MAX {
            return Err(Dead::Busy);
        }
        state.controls.push(control);
        Ok(())
    }

    /// The controller's tablet says how large its picture is.
    pub(crate) fn want(&self, viewer: ViewerId, size: (u32, u32), dpi: f32) -> Result<(), Dead> {
        let mut state = self.lock();
        if state.access.controller() != Some(viewer) {
            return Err(Dead::NotYours);
        }
        state.wanted = Some((size, dpi));
        Ok(())
    }
}

impl State {
    /// The viewer whose glass counts: the one who controls, else the first.
    fn lead(&self) -> Option<&Viewer> {
        let controller = self.access.controller();
        self.viewers.iter().find(|v| Some(v.id) == controller).or(self.viewers.first())
    }

    fn flags(&self, stream: u64) -> u8 {
        let Some(viewer) = self.viewers.iter().find(|v| v.stream == stream) else { return 0 };
        let is_controller = self.access.controller() == Some(viewer.id);
        let asks = self.access.asking();
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        flag(is_controller, CONTROLS)
            | flag(is_controller && asks.is_some(), IS_ASKED)
            | flag(asks == Some(viewer.id), ASKS)
    }

    fn keep(&mut self, picture: Picture) {
        if self.spare.len() < 2 {
            self.spare.push(picture);
        }
    }

    /// A picture that nobody will draw.
    fn lost(&mut self, picture: u64) {
        if let Some(at) = self.tracked.iter().position(|t| *t == picture) {
            self.tracked.remove(at);
            self.fates.push(Fate { picture, seen: None });
        }
    }

    /// Takes back the fingers of some viewers.
    fn lift_fingers(&mut self, whose: impl Fn(&Viewer) -> bool) {
        for viewer in self.viewers.iter_mut().filter(|v| whose(v)) {
            for (finger, is_down) in viewer.fingers.iter_mut().enumerate().filter(|(_, d)| **d) {
                *is_down = false;
                let time = Instant::now();
                let finger = finger as u8;
                self.touches.push(Touch {
                    finger,
                    phase: Phase::Cancel,
                    at: (0.0, 0.0),
                    size_mm: None,
                    time,
                    frame: 0,
                });
            }
        }
    }
}
