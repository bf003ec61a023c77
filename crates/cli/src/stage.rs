//! The loop of the display thread: operator and script in, pictures out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sonotap::display::{Key, Presence, Presentation, Presented};
use sonotap::heat::HeatWatch;
use sonotap::input::Contact;
use sonotap::input::script::{Script, ScriptAction};
use sonotap::pipeline::live::{Live, View};
use sonotap::scene::Mode;
use sonotap::screen::Screen;
use sonotap::session::Command;
use sonotap::units::{FrameId, Nanos};

use crate::displays::{Displays, key_command};
use crate::feed::Feed;
use crate::service::Service;
use crate::sheet::Sheet;

/// Longest sleep: how late a contact or a script step may be noticed.
const NAP: Duration = Duration::from_millis(4);
/// A display may lose its picture, as a covered window does; after so long without a new one it gets the old one again.
const PRESENT_AGAIN: Nanos = Nanos::from_ms(250);

/// A taps file being played, and how far.
pub struct Playing {
    /// The file.
    pub script: Script,
    /// Steps done.
    pub done: usize,
}

/// Everything that the display thread turns to in its loop.
pub struct Stage<'a> {
    /// The live path.
    pub live: Live,
    /// What is drawn and touched.
    pub screen: Screen,
    /// Scripted steps.
    pub playing: Option<Playing>,
    /// Where pictures go and contacts come from.
    pub displays: &'a mut Displays,
    /// Whether the source is one picture, to be kept frozen.
    pub is_still: bool,
    /// How much of the run the recordings and the sheet hold; all of it when `None`.
    pub kept: Option<Nanos>,
    /// Takes pictures at even times.
    pub sheet: Option<&'a mut Sheet>,
    /// When the program started.
    pub began: Instant,
    /// First frame and first outline on the screen, ms after `began`.
    pub first_ms: [Option<f64>; 2],
    /// When something was presented last.
    pub presented: Nanos,
    /// Whether the screen has another size than its picture.
    pub is_resized: bool,
    /// Who wants to know that pictures go on.
    pub service: Service,
    /// Whether it is hot.
    pub heat: HeatWatch,
}

/// Buffers of the loop.
#[derive(Default)]
struct Heard {
    contacts: Vec<Contact>,
    keys: Vec<Key>,
    commands: Vec<Command>,
    due: Vec<ScriptAction>,
}

impl Stage<'_> {
    /// Plays until the time is over, the source has ended, the display is closed or a signal comes; gives the time played.
    pub fn run(&mut self, feed: &Feed, length: Option<Nanos>, is_stopped: &AtomicBool) -> Result<Nanos> {
        let start = self.live.clock().now();
        let mut heard = Heard::default();
        let mut is_to_freeze = self.is_still;
        loop {
            let now = self.live.clock().now();
            let elapsed = now.since(start);
            let is_over = length.is_some_and(|l| elapsed >= l) || self.displays.is_in_vain();
            let has_ended = feed.has_ended() && elapsed > Nanos::from_ms(100) && self.live.is_idle();
            if is_over || has_ended || is_stopped.load(Ordering::Acquire) {
                self.service.stopping();
                return Ok(elapsed);
            }
            let shown = self.live.on_screen();
            if self.displays.main().contacts(now, shown, &mut heard.contacts)? == Presence::Closed {
                return Ok(elapsed);
            }
            self.obey_operator(now, &mut heard);
            self.obey_script(now, elapsed, &mut heard.due);
            if is_to_freeze && shown.0 > 0 {
                self.live.command(Command::Freeze, now);
                is_to_freeze = false;
            }
            self.live.ease(self.heat.is_hot());
            self.show(elapsed)?;
            let is_live = self.live.engine().session().mode() == Mode::Live;
            let expects_frames = is_live && feed.is_streaming();
            self.service.turn(now, feed.beats(), expects_frames);
            self.live.wait(NAP);
        }
    }

    fn obey_operator(&mut self, now: Nanos, heard: &mut Heard) {
        self.displays.main().keys(&mut heard.keys);
        heard.commands.extend(heard.keys.drain(..).filter_map(key_command));
        for contact in heard.contacts.drain(..) {
            self.screen.touch(contact, &mut heard.commands);
        }
        self.screen.tick(now, &mut heard.commands);
        for command in heard.commands.drain(..) {
            self.live.command(command, now);
        }
    }

    fn obey_script(&mut self, now: Nanos, elapsed: Nanos, due: &mut Vec<ScriptAction>) {
        let (Some(playing), shown) = (&mut self.playing, self.live.on_screen()) else { return };
        if shown.0 > 0 {
            playing.script.due(elapsed, shown.0, due);
            playing.done += due.len();
            for action in due.drain(..) {
                self.live.command(action.command(shown), now);
            }
        }
    }

    fn show(&mut self, elapsed: Nanos) -> Result<()> {
        self.is_resized |= self.screen.resize(self.displays.main().size());
        if let Some(radius) = self.screen.marker_radius_px() {
            self.live.set_marker_radius_px(radius);
        }
        let Some(View { frame, scene, ticket }) = self.live.poll() else { return self.show_again() };
        let is_drawn = scene.objects.iter().any(|o| o.overlay.is_drawn());
        let canvas = self.screen.draw(frame, scene);
        let presented = self.live.clock().now();
        let is_kept = self.kept.is_none_or(|k| elapsed < k);
        let shown = Presented { frame: ticket.frame(), captured: ticket.captured(), presented };
        let live = &mut self.live;
        let presentation = self.displays.present(canvas, &shown, is_kept, &mut || live.hand_over(&ticket))?;
        let is_new_frame = ticket.frame() != self.live.on_screen();
        match presentation {
            Presentation::Lit(light) => self.live.presented(ticket, light),
            Presentation::Withheld | Presentation::Away => {
                self.live.withheld(ticket);
                return Ok(());
            }
        }
        self.service.presented(is_new_frame);
        (self.presented, self.is_resized) = (presented, false);
        let since_start = self.began.elapsed().as_secs_f64() * 1e3;
        self.first_ms[0].get_or_insert(since_start);
        if is_drawn {
            self.first_ms[1].get_or_insert(since_start);
        }
        if let Some(sheet) = self.sheet.as_deref_mut() {
            sheet.offer(elapsed, self.screen.canvas());
        }
        Ok(())
    }

    /// Where nothing is new: a screen of another size is drawn anew, and a display that may have lost its picture gets it
    /// again.
    fn show_again(&mut self) -> Result<()> {
        let now = self.live.clock().now();
        let engine = self.live.engine();
        let on_screen = engine.shown().filter(|f| engine.scene().belongs_to(f));
        match on_screen {
            Some(frame) if self.is_resized => {
                self.screen.draw(frame, engine.scene());
                self.is_resized = false;
            }
            _ if now.since(self.presented) >= PRESENT_AGAIN => {}
            _ => return Ok(()),
        }
        self.presented = now;
        let (frame, captured) = on_screen.map_or((FrameId(0), now), |f| (f.id(), f.captured()));
        let shown = Presented { frame, captured, presented: now };
        self.displays.main().present(self.screen.canvas(), &shown, &mut || true)?;
        self.service.presented(false);
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
