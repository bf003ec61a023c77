//! Sessions: what all threads share, opening and closing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use sonotap::geometry::Rect;
use sonotap::input::Contact;
use sonotap::overlay::{Handedness, KeepOut, LayoutConfig};
use sonotap::pipeline::clock::Clock;
use sonotap::pipeline::entry::FrameInput;
use sonotap::pipeline::latest::{Bell, Wake};
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::pipeline::step::{self, Stepper};
use sonotap::pipeline::worker::Worker;
use sonotap::preset::Preset;
use sonotap::screen::ScreenConfig;
use sonotap::session::Command;
use sonotap::source::camera::Ink;
use sonotap::units::Timestamp;

use crate::boundary::{Failure, Outcome, call, contained};
use crate::handles::Registry;
use crate::log::Alarm;
use crate::memory::Budget;
use crate::model::Model;
use crate::owner::{Drawing, Owner, Thinker};
use crate::raw;
use crate::types::*;

/// Most commands that wait to be polled.
const LETTERS_MAX: usize = 64;
const KEEP_OUTS_MAX: usize = 16;
const FLAGS: u32 = SONOTAP_STEPPED | SONOTAP_HOST_CLOCK | SONOTAP_GREY | SONOTAP_MIRRORED | SONOTAP_LEFT_HANDED;

static SESSIONS: Registry<Session> = Registry::new("session", 0);

/// What a host wants done, when the display thread comes to it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Letter {
    /// A command given at that time.
    Command(Command, Timestamp),
    /// A finger on our screen.
    Contact(Contact),
    /// It is hot, or not any more.
    Ease(bool),
}

/// Letters in their order, and what must never be lost.
#[derive(Default)]
pub(crate) struct Mailbox {
    pub letters: VecDeque<Letter>,
    pub is_new_exam: bool,
    pub is_signal_lost: bool,
}

/// What all threads share.
pub(crate) struct Session {
    pub input: FrameInput,
    pub clock: Clock,
    /// The hand of a host's clock.
    pub hand: Option<Arc<AtomicU64>>,
    pub ink: Ink,
    pub frame_bytes_max: usize,
    /// The frame that the operator sees, for taps that do not name one.
    pub on_screen: AtomicU64,
    /// Counts new exams: pictures of an earlier one are not handed over.
    pub exams: AtomicU64,
    mailbox: Mutex<Mailbox>,
    wake: Wake,
    alarm: Arc<Alarm>,
    owner: Mutex<Option<Owner>>,
    stepper: Mutex<Option<Stepper>>,
    is_stepped: bool,
    is_dead: AtomicBool,
    is_closing: AtomicBool,
}

impl Session {
    /// Puts a letter into the mailbox.
    pub(crate) fn post(&self, letter: Letter) -> Outcome {
        let mut mailbox = self.mailbox();
        if mailbox.letters.len() == LETTERS_MAX {
            let text = format!("expected at most {LETTERS_MAX} commands between two polls, got one more");
            return Err(Failure::new(SONOTAP_E_FULL, text));
        }
        mailbox.letters.push_back(letter);
        drop(mailbox);
        self.tell();
        Ok(SONOTAP_OK)
    }

    pub(crate) fn mailbox(&self) -> MutexGuard<'_, Mailbox> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes who waits, and the host.
    pub(crate) fn tell(&self) {
        self.wake.wake();
        self.alarm.ring();
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }
}

/// Runs the body of an [any] function.
pub(crate) fn with_session(handle: *const sonotap_session, body: impl FnOnce(&Session) -> Outcome) -> sonotap_status {
    call(|| {
        let session = SESSIONS.get(handle)?;
        within(&session, || body(&session))
    })
}

/// Runs the body of an [owner] function.
pub(crate) fn with_owner(
    handle: *const sonotap_session,
    body: impl FnOnce(&Session, &mut Owner) -> Outcome,
) -> sonotap_status {
    call(|| {
        let session = SESSIONS.get(handle)?;
        within(&session, || {
            let mut owner = one_at_a_time(&session.owner)?;
            match owner.as_mut() {
                Some(owner) => body(&session, owner),
                None => Err(Failure::new(SONOTAP_E_HANDLE, "expected a session that is open, got one that closes")),
            }
        })
    })
}

/// Runs the body of `sonotap_step`, which has a thread of its own.
pub(crate) fn with_stepper(
    handle: *const sonotap_session,
    body: impl FnOnce(&mut Stepper) -> Outcome,
) -> sonotap_status {
    call(|| {
        let session = SESSIONS.get(handle)?;
        within(&session, || {
            if !session.is_stepped {
                let text = "step: expected a session opened with SONOTAP_STEPPED, got one with a thread";
                return Err(Failure::new(SONOTAP_E_CONFIG, text));
            }
            let mut stepper = one_at_a_time(&session.stepper)?;
            match stepper.as_mut() {
                Some(stepper) => body(stepper),
                None => Err(Failure::new(SONOTAP_E_HANDLE, "expected a session that is open, got one that closes")),
            }
        })
    })
}

/// After a panic a session answers nothing else.
fn within(session: &Session, body: impl FnOnce() -> Outcome) -> Outcome {
    if session.is_dead.load(Ordering::Acquire) {
        return Err(Failure::panicked("an earlier call met it"));
    }
    contained(body).unwrap_or_else(|text| {
        session.is_dead.store(true, Ordering::Release);
        Err(Failure::panicked(&text))
    })
}

fn one_at_a_time<T>(mutex: &Mutex<T>) -> Outcome<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Ok(guard),
        Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => Err(Failure::thread()),
    }
}

/// Opens a session; NULL for the default settings. Starts one thread, or none with SONOTAP_STEPPED. [any]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sonotap_open(
    model: *const sonotap_model,
    config: *const sonotap_config,
    out: *mut *mut sonotap_session,
) -> sonotap_status {
    call(|| {
        if out.is_null() {
            return Err(Failure::argument("out: expected a place for the session, got NULL"));
        }
        let config = match config.is_null() {
            true => raw::zeroed(),
            // SAFETY: the host has a structure of its size there.
            false => unsafe { raw::read(config) }?,
        };
        let model = Model::of(model)?;
        // SAFETY: the pointers within the configuration are those of the host, for this call.
        let session = unsafe { opened(&model, &config) }?;
        // SAFETY: the host's place for one handle.
        unsafe { raw::put(out, SESSIONS.add(session)?) };
        Ok(SONOTAP_OK)
    })
}

/// # Safety
/// The texts and lists of the configuration are those of a host.
unsafe fn opened(model: &Arc<Model>, config: &sonotap_config) -> Outcome<Session> {
    let budget = Budget::of(config, model.bytes())?;
    // SAFETY: the caller's.
    let live_config = unsafe { live_config(config, &budget) }?;
    let period = live_config.period;
    // SAFETY: the caller's.
    let drawing = unsafe { drawing(config, &budget) }?;
    let hand = (config.flags & SONOTAP_HOST_CLOCK != 0).then(Arc::<AtomicU64>::default);
    let clock = hand.clone().map_or_else(Clock::monotonic, Clock::set_by);
    let alarm = Arc::new(Alarm::new(config.wake, config.wake_user));
    let wake = Wake::default();
    let bell: Bell = {
        let alarm = alarm.clone();
        Arc::new(move || alarm.ring())
    };
    let belled = wake.with_bell(bell);
    let is_stepped = config.flags & SONOTAP_STEPPED != 0;
    let (thinker, stepper) = if is_stepped {
        let (stepped, stepper) = step::pair(model.predictor()?, clock.clone(), belled);
        (Thinker::Host(stepped), Some(stepper))
    } else {
        let model = model.clone();
        let supply = Box::new(move || model.predictor());
        (Thinker::Thread(Worker::start(supply, clock.clone(), belled)?), None)
    };
    let live = Live::with(thinker, wake.clone(), live_config, clock.clone());
    Ok(Session {
        input: live.input(),
        clock,
        hand,
        ink: if config.flags & SONOTAP_GREY == 0 { Ink::Colour } else { Ink::Grey },
        frame_bytes_max: budget.frame_bytes_max,
        on_screen: AtomicU64::new(0),
        exams: AtomicU64::new(0),
        mailbox: Mutex::default(),
        wake,
        alarm,
        owner: Mutex::new(Some(Owner::new(live, period, drawing))),
        stepper: Mutex::new(stepper),
        is_stepped,
        is_dead: AtomicBool::new(false),
        is_closing: AtomicBool::new(false),
    })
}

/// # Safety
/// `config.preset` is NULL or a text that ends in NUL.
unsafe fn live_config(config: &sonotap_config, budget: &Budget) -> Outcome<LiveConfig> {
    let refuse = |name: &str, expected: &str, got: u32| {
        Err(Failure::new(SONOTAP_E_CONFIG, format!("{name}: expected {expected}, got {got}")))
    };
    if config.flags & !FLAGS != 0 {
        return refuse("flags", "known ones", config.flags);
    }
    if config.reserved != 0 {
        return refuse("reserved", "0", config.reserved);
    }
    let us = |v: u32| Duration::from_micros(v.into());
    let mut live = LiveConfig::default();
    match config.period_us {
        0 => {}
        1_000..=10_000_000 => live.period = us(config.period_us),
        got => return refuse("period_us", "1,000 to 10,000,000", got),
    }
    match config.deadline_us {
        0 => {}
        1_000..=10_000_000 => live.deadline = Some(us(config.deadline_us)),
        got => return refuse("deadline_us", "1,000 to 10,000,000", got),
    }
    match config.refresh_us {
        0 => {}
        1_000..=1_000_000 => {
            live.display = sonotap::glass::DisplayTiming::AtRefresh { period: us(config.refresh_us) };
        }
        got => return refuse("refresh_us", "1,000 to 1,000,000", got),
    }
    live.cine_bytes = budget.cine_bytes;
    // SAFETY: the caller's.
    let preset = unsafe { raw::text("preset", config.preset) }?;
    live.preset = preset.map(Preset::find).transpose()?.map(Arc::new);
    Ok(live)
}

/// # Safety
/// `config.keep_outs` has `keep_out_count` rectangles.
unsafe fn drawing(config: &sonotap_config, budget: &Budget) -> Outcome<Drawing> {
    // SAFETY: the caller's.
    let rects = unsafe { raw::list("keep_outs", config.keep_outs, config.keep_out_count as usize, KEEP_OUTS_MAX) }?;
    let or = |v: u32, other: u32| if v == 0 { other } else { v };
    let defaults = ScreenConfig::default();
    let dpi = if config.screen_dpi == 0.0 { defaults.dpi } else { config.screen_dpi };
    if !(40.0..=800.0).contains(&dpi) {
        return Err(Failure::new(SONOTAP_E_CONFIG, format!("screen_dpi: expected 40 to 800, got {dpi}")));
    }
    let handedness = match config.flags & SONOTAP_LEFT_HANDED {
        0 => Handedness::Right,
        _ => Handedness::Left,
    };
    let keep_outs = rects.iter().map(|r| KeepOut { rect: Rect::new(r.x, r.y, r.x + r.w, r.y + r.h) }).collect();
    let screen = ScreenConfig {
        size: (or(config.screen_width, defaults.size.0), or(config.screen_height, defaults.size.1)),
        dpi,
        layout: LayoutConfig { handedness, ..defaults.layout },
        is_mirrored: config.flags & SONOTAP_MIRRORED != 0,
        keep_outs,
        pointer: defaults.pointer,
        desk: defaults.desk,
    };
    Ok(Drawing::new(screen, budget.screen_px_max))
}

/// Closes a session: waits for calls under way on other threads and, at most 0.3 s, for the prediction in hand. From its return on no
/// callback comes, and every function refuses the handle. [last]
#[unsafe(no_mangle)]
pub extern "C" fn sonotap_close(session: *mut sonotap_session) -> sonotap_status {
    call(|| {
        let session = SESSIONS.remove(session)?;
        session.is_closing.store(true, Ordering::Release);
        session.wake.wake();
        let owner = session.owner.lock().unwrap_or_else(PoisonError::into_inner).take();
        let stepper = session.stepper.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = contained(|| drop((owner, stepper)));
        session.alarm.silence();
        ended.map_err(|text| Failure::panicked(&text)).map(|()| SONOTAP_OK)
    })
}
