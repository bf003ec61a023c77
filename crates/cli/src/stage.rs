//! The loop of `sonotap run`: script, heat and service manager beside the display loop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sonotap::desk::Desk;
use sonotap::display::Presence;
use sonotap::display_loop::DisplayLoop;
use sonotap::heat::HeatWatch;
use sonotap::input::script::{Script, ScriptAction};
use sonotap::scene::Mode;
use sonotap::session::Command;
use sonotap::units::Timestamp;
use sonotap_igtl::publish::Publisher;

use crate::displays::Displays;
use crate::feed::Feed;
use crate::keyboards::Keyboards;
use crate::saving::{self, Saving};
use crate::service::Service;
use crate::sheet::Sheet;

/// A taps file being played, and how far.
pub struct Playing {
    /// The file.
    pub script: Script,
    /// Steps done.
    pub done: usize,
}

/// A run: the display loop, and what the command line adds to it.
pub struct Stage<'a> {
    /// Live path, screen and displays.
    pub display_loop: DisplayLoop<Displays>,
    /// Scripted steps.
    pub playing: Option<Playing>,
    /// Whether the source is one picture, to be kept frozen.
    pub is_still: bool,
    /// How much of the run the recordings and the sheet hold; all of it when `None`.
    pub kept: Option<Duration>,
    /// Takes pictures at even times.
    pub sheet: Option<&'a mut Sheet>,
    /// When the program started.
    pub began: Instant,
    /// First frame and first outline on the screen, ms after `began`.
    pub first_ms: [Option<f64>; 2],
    /// Who wants to know that pictures go on.
    pub service: Service,
    /// Whether it is hot.
    pub heat: HeatWatch,
    /// Who tells OpenIGTLink clients what is on the screen.
    pub publisher: Option<Publisher>,
    /// Who saves, with --save-exam.
    pub saving: Option<Saving>,
    /// Pedals, buttons and scanners.
    pub keyboards: Keyboards,
}

impl Stage<'_> {
    /// Plays until the time is over, the source has ended, the display is closed or a signal comes; gives the time played.
    pub fn run(&mut self, feed: &Feed, length: Option<Duration>, is_stopped: &AtomicBool) -> Result<Duration> {
        let start = self.display_loop.live().clock().now();
        let mut due = Vec::new();
        let mut is_to_freeze = self.is_still;
        loop {
            let live = self.display_loop.live();
            let (now, is_idle) = (live.clock().now(), live.is_idle());
            let elapsed = now.since(start);
            let is_over = length.is_some_and(|l| elapsed >= l) || self.display_loop.display_mut().is_in_vain();
            let has_ended = feed.has_ended() && elapsed > Duration::from_millis(100) && is_idle;
            if is_over || has_ended || is_stopped.load(Ordering::Acquire) {
                self.service.stopping();
                return Ok(elapsed);
            }
            let is_typing = self.display_loop.screen().desk().is_some_and(Desk::is_typing);
            self.display_loop.display_mut().set_typing(is_typing);
            if self.display_loop.obey_operator()? == Presence::Closed {
                return Ok(elapsed);
            }
            self.keyboards.obey(&mut self.display_loop, now);
            self.obey_script(now, elapsed, &mut due);
            let live = self.display_loop.live_mut();
            if is_to_freeze && live.on_screen().is_some() {
                live.command(Command::Freeze, now);
                is_to_freeze = false;
            }
            live.ease(self.heat.is_hot());
            self.show(elapsed)?;
            if let Some(publisher) = &mut self.publisher {
                publisher.turn(now);
            }
            match &mut self.saving {
                Some(saving) => saving.turn(&mut self.display_loop, now),
                None => saving::refuse(&mut self.display_loop),
            }
            let is_live = self.display_loop.live().engine().session().mode() == Mode::Live;
            let expects_frames = is_live && feed.is_streaming();
            self.service.turn(now, feed.beats(), expects_frames);
            self.display_loop.wait();
        }
    }

    fn obey_script(&mut self, now: Timestamp, elapsed: Duration, due: &mut Vec<ScriptAction>) {
        let live = self.display_loop.live_mut();
        let (Some(playing), shown) = (&mut self.playing, live.on_screen()) else { return };
        if let Some(number) = shown.map(|id| id.0) {
            playing.script.due(elapsed, number, due);
            playing.done += due.len();
            for action in due.drain(..) {
                live.command(action.command(shown), now);
            }
        }
    }

    fn show(&mut self, elapsed: Duration) -> Result<()> {
        let is_kept = self.kept.is_none_or(|k| elapsed < k);
        self.display_loop.display_mut().set_recording(is_kept);
        let Some(presented) = self.display_loop.show()? else { return Ok(()) };
        self.service.presented(presented.is_new_frame);
        if !presented.is_drawn {
            return Ok(());
        }
        if let Some(publisher) = &mut self.publisher {
            let live = self.display_loop.live();
            if let Some(frame) = live.engine().shown() {
                publisher.publish(frame, live.engine().scene(), live.clock().now());
            }
        }
        let since_start = self.began.elapsed().as_secs_f64() * 1e3;
        self.first_ms[0].get_or_insert(since_start);
        if presented.has_outline {
            self.first_ms[1].get_or_insert(since_start);
        }
        if let Some(sheet) = self.sheet.as_deref_mut() {
            sheet.offer(elapsed, self.display_loop.screen().canvas());
        }
        Ok(())
    }
}

/// A flag that is set when a signal asks the program to stop.
pub fn stop_flag() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let shared = flag.clone();
    ctrlc::set_handler(move || shared.store(true, Ordering::Release)).context("signals cannot be caught")?;
    Ok(flag)
}
