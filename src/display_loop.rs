//! A live path on a display: contacts and keys in, frames with their outlines out.
//!
//! ```no_run
//! use sonotap::{DisplayLoop, Live, LiveConfig, NullDisplay, Presence, Screen, ScreenConfig};
//!
//! let live = Live::open("models/student", LiveConfig::default())?;
//! let screen = Screen::new(ScreenConfig::default())?;
//! let mut display_loop = DisplayLoop::new(live, screen, NullDisplay::new(800, 480));
//! let input = display_loop.live().input(); // frames are pushed here, from any thread
//! while display_loop.turn()?.presence == Presence::Open {
//!     display_loop.wait();
//! }
//! # Ok::<(), sonotap::Error>(())
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use crate::calipers::CaliperCommand;
use crate::desk::Desk;
use crate::display::{Arrival, Display, Key, Presence, Presentation, Presented};
use crate::error::Result;
use crate::input::{Contact, Phase};
use crate::overlay::Control;
use crate::pipeline::live::{Live, LiveView, PENDING_MAX, Ticket};
use crate::pipeline::worker::{InferenceWorker, Worker};
use crate::scene::{Scene, Tool};
use crate::screen::{Screen, TypedKey, pressed};
use crate::session::Command;
use crate::units::Timestamp;

/// Longest sleep between two turns: how late a contact may be noticed.
const POLL_INTERVAL: Duration = Duration::from_millis(4);
/// A display may lose its picture, as a covered window does. After this time without a new one it gets the old one again.
const PRESENT_AGAIN: Duration = Duration::from_millis(250);

/// What happened in one turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Turn {
    /// Whether the operator still looks.
    pub presence: Presence,
    /// What came to the display, if anything did.
    pub presented: Option<TurnPresented>,
}

/// A picture that came to the display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TurnPresented {
    /// Whether it is a frame that was not shown before.
    pub is_new_frame: bool,
    /// Whether it was drawn for this turn; `false` when the display got its last picture again.
    pub is_drawn: bool,
    /// Whether an outline is drawn on it.
    pub has_outline: bool,
}

/// A live path, the screen that draws it, and the display that shows it. Owned by the display thread.
///
/// Guarantees: nothing is shown that [`Live::hand_over`] refuses; the live path is told when each picture was at the glass;
/// a tap belongs to the frame that was on the screen at touch-down. After warm-up a turn allocates nothing.
pub struct DisplayLoop<D, W = Worker> {
    live: Live<W>,
    screen: Screen,
    display: D,
    contacts: Vec<Contact>,
    keys: Vec<Key>,
    commands: Vec<Command>,
    controls: Vec<Control>,
    /// Pictures whose display has not said yet when they were at the glass, oldest first.
    underway: VecDeque<(u64, Ticket)>,
    arrivals: Vec<Arrival>,
    /// What the display said last; the screen may have been made for another resolution.
    dpi: f32,
    presented: Timestamp,
    /// The screen has another size than its last picture.
    is_resized: bool,
    /// The last picture is of another exam and still on the screen.
    is_emptied: bool,
    /// When the last finger came down.
    touched: Timestamp,
    /// The pictures are a list of the host's; how far the operator wants to go in it since the host asked.
    steps: Option<i32>,
}

impl<D: Display, W: InferenceWorker> DisplayLoop<D, W> {
    /// Puts the parts together.
    pub fn new(live: Live<W>, screen: Screen, display: D) -> Self {
        Self {
            presented: live.clock().now(),
            dpi: display.dpi(),
            live,
            screen,
            display,
            controls: Vec::new(),
            underway: VecDeque::with_capacity(PENDING_MAX),
            arrivals: Vec::new(),
            contacts: Vec::new(),
            keys: Vec::new(),
            commands: Vec::new(),
            is_resized: false,
            is_emptied: false,
            touched: Timestamp::START,
            steps: None,
        }
    }

    /// The live path.
    pub fn live(&self) -> &Live<W> {
        &self.live
    }

    /// The live path, for commands of the host.
    pub fn live_mut(&mut self) -> &mut Live<W> {
        &mut self.live
    }

    /// The screen, with the last picture on it.
    pub fn screen(&self) -> &Screen {
        &self.screen
    }

    /// The screen, for the host of its exam.
    pub fn screen_mut(&mut self) -> &mut Screen {
        &mut self.screen
    }

    /// Another patient: prompts, objects, frames and open pages are forgotten, and the picture leaves the screen with the next
    /// turn.
    pub fn new_exam(&mut self) {
        self.live.new_exam();
        self.screen.desk_mut().into_iter().for_each(Desk::new_exam);
        self.is_emptied = true;
    }

    /// Obeys a command of the host, as one of the operator.
    pub fn command(&mut self, command: Command) {
        let now = self.live.clock().now();
        self.screen.note_presence(now);
        if !self.is_for_host(command) && !self.screen.obey(command) {
            self.live.command(command, now);
        }
    }

    /// Whether a command is about the host's list; notes the steps.
    fn is_for_host(&mut self, command: Command) -> bool {
        let Some(steps) = &mut self.steps else { return false };
        match command {
            Command::StepForward => *steps += 1,
            Command::StepBack => *steps -= 1,
            Command::ToggleFreeze | Command::Unfreeze | Command::ScrubTo(_) | Command::ShowExam => {}
            _ => return false,
        }
        true
    }

    /// The pictures are a list of stills of the host's: what steps, scrubs, goes live or opens the exam's page does nothing any more, and
    /// steps are for the host: [`Self::take_steps`].
    pub fn show_list(&mut self) {
        self.steps = Some(0);
    }

    /// How far the operator wants to go in the host's list since the last call: forward, or back below 0.
    pub fn take_steps(&mut self) -> i32 {
        self.steps.as_mut().map_or(0, std::mem::take)
    }

    /// An identifier was scanned: the page of the exam offers it.
    pub fn scanned(&mut self, text: &str) {
        let now = self.live.clock().now();
        self.screen.note_presence(now);
        self.screen.desk_mut().into_iter().for_each(|desk| desk.scanned(text));
    }

    /// The display.
    pub fn display_mut(&mut self) -> &mut D {
        &mut self.display
    }

    /// The parts again.
    pub fn into_parts(self) -> (Live<W>, Screen, D) {
        (self.live, self.screen, self.display)
    }

    /// Obeys the operator, then shows the next frame if one is due. Waits for nothing but the display.
    ///
    /// # Errors
    /// Those of the display.
    pub fn turn(&mut self) -> Result<Turn> {
        let presence = self.obey_operator()?;
        let presented = if presence == Presence::Open { self.show()? } else { None };
        Ok(Turn { presence, presented })
    }

    /// Obeys the operator only; [`Self::turn`] does this first. For hosts with commands of their own in between.
    ///
    /// # Errors
    /// Those of the display.
    pub fn obey_operator(&mut self) -> Result<Presence> {
        let now = self.live.clock().now();
        self.take_arrivals();
        let presence = self.display.contacts(now, self.live.on_screen(), &mut self.contacts)?;
        if presence == Presence::Closed {
            return Ok(presence);
        }
        self.display.keys(&mut self.keys);
        // Escape leaves what is open on the screen, and where nothing is, the program.
        let escapes = self.keys.iter().filter(|key| **key == Key::Escape).count();
        if (0..escapes).any(|_| !self.screen.escape(now)) {
            self.keys.clear();
            return Ok(Presence::Closed);
        }
        let screen = &mut self.screen;
        let commands = self.keys.drain(..).filter(|key| !typed_key(*key).is_some_and(|key| screen.type_in(key, now)));
        self.commands.extend(commands.filter_map(key_command));
        self.display.controls(&mut self.controls);
        self.commands.extend(self.controls.drain(..).map(pressed));
        if !self.commands.is_empty() {
            self.screen.note_presence(now);
        }
        for contact in self.contacts.drain(..) {
            if contact.phase == Phase::Down {
                self.touched = contact.time.min(now);
            }
            self.screen.touch(contact, &mut self.commands);
        }
        self.screen.tick(now, &mut self.commands);
        let mut commands = std::mem::take(&mut self.commands);
        for command in commands.drain(..) {
            let at = if matches!(command, Command::Click { .. }) { self.touched } else { now };
            if !self.is_for_host(command) && !self.screen.obey(command) {
                self.live.command(command, at);
            }
        }
        self.commands = commands;
        Ok(presence)
    }

    /// Shows the next frame if one is due; [`Self::turn`] does this last.
    ///
    /// # Errors
    /// Those of the display.
    pub fn show(&mut self) -> Result<Option<TurnPresented>> {
        self.is_resized |= self.fit_screen();
        if let Some(radius) = self.screen.marker_radius_px() {
            self.live.set_marker_radius_px(radius);
        }
        let Some(LiveView { frame, scene, ticket }) = self.live.poll() else { return self.show_again() };
        let has_outline = scene.objects.iter().any(|o| o.overlay.is_drawn());
        let canvas = self.screen.draw(frame, scene);
        self.display.tell(scene);
        let presented = self.live.clock().now();
        let shown = Presented { frame: Some(ticket.frame()), captured: ticket.captured(), presented };
        let live = &mut self.live;
        let presentation = self.display.present(canvas, &shown, &mut || live.hand_over(&ticket))?;
        let last = self.underway.back().map_or(self.live.on_screen(), |(_, ticket)| Some(ticket.frame()));
        let is_new_frame = Some(ticket.frame()) != last;
        match presentation {
            Presentation::Lit(light) => self.live.presented(ticket, light),
            Presentation::Underway(picture) => self.wait_for(picture, ticket),
            Presentation::Withheld | Presentation::Away => {
                self.live.withheld(ticket);
                return Ok(None);
            }
        }
        (self.presented, self.is_resized, self.is_emptied) = (presented, false, false);
        Ok(Some(TurnPresented { is_new_frame, is_drawn: true, has_outline }))
    }

    /// The screen gets the size and resolution of a display that has changed them. Returns whether anything changed.
    fn fit_screen(&mut self) -> bool {
        let (size, dpi) = (self.display.size(), self.display.dpi());
        if dpi == self.dpi {
            return self.screen.resize(size);
        }
        self.dpi = dpi;
        self.screen.refit(size, dpi)
    }

    /// Keeps a ticket until its picture arrives. One that has not arrived when eight newer ones are under way counts as late.
    fn wait_for(&mut self, picture: u64, ticket: Ticket) {
        if self.underway.len() == PENDING_MAX {
            self.underway.pop_front();
        }
        self.underway.push_back((picture, ticket));
    }

    fn take_arrivals(&mut self) {
        self.display.arrivals(&mut self.arrivals);
        for Arrival { picture, light } in self.arrivals.drain(..) {
            let Some(at) = self.underway.iter().position(|(p, _)| *p == picture) else { continue };
            let Some((_, ticket)) = self.underway.remove(at) else { continue };
            match light {
                Some(light) => self.live.presented(ticket, light),
                None => self.live.withheld(ticket),
            }
        }
    }

    /// Sleeps until there may be something to do, at most 4 ms.
    pub fn wait(&self) {
        self.live.wait(POLL_INTERVAL);
    }

    /// Where nothing is new: a screen of another size is drawn anew, and a display that may have lost its picture gets it
    /// again.
    fn show_again(&mut self) -> Result<Option<TurnPresented>> {
        let now = self.live.clock().now();
        let engine = self.live.engine();
        let on_screen = engine.shown().filter(|f| engine.scene().belongs_to(f));
        match on_screen {
            Some(frame) if self.is_resized || self.screen.is_stale() => {
                self.screen.draw(frame, engine.scene());
                self.display.tell(engine.scene());
                self.is_resized = false;
            }
            // Of the last patient nothing stays on the screen, whether a picture of the next comes or not.
            None if self.is_emptied || engine.shown().is_none() && self.screen.is_stale() => {
                self.screen.draw_empty();
                self.display.tell(&Scene::default());
                (self.is_resized, self.is_emptied) = (false, false);
            }
            _ if now.since(self.presented) >= PRESENT_AGAIN => {}
            _ => return Ok(None),
        }
        self.presented = now;
        let (frame, captured) = on_screen.map_or((None, now), |f| (f.id(), f.captured()));
        let shown = Presented { frame, captured, presented: now };
        self.display.present_again(self.screen.canvas(), &shown)?;
        Ok(Some(TurnPresented { is_new_frame: false, is_drawn: false, has_outline: false }))
    }
}

/// What a key is while an identity is typed.
fn typed_key(key: Key) -> Option<TypedKey> {
    Some(match key {
        Key::Space => TypedKey::Character(' '),
        Key::Character(c) => TypedKey::Character(c),
        Key::Backspace => TypedKey::Backspace,
        Key::Enter => TypedKey::Enter,
        Key::Left | Key::Right | Key::Escape => return None,
    })
}

/// The command of a key, in upper or lower case: space freezes, the arrows step, u undoes, r redoes, n begins an object, c clears, f fills,
/// i includes, e excludes, m measures by hand, s saves a still, v the cine, x opens the page of the exam.
pub fn key_command(key: Key) -> Option<Command> {
    let key = match key {
        Key::Character(c) => Key::Character(c.to_ascii_lowercase()),
        key => key,
    };
    Some(match key {
        Key::Space => Command::ToggleFreeze,
        Key::Left => Command::StepBack,
        Key::Right => Command::StepForward,
        Key::Backspace | Key::Character('u') => Command::Undo,
        Key::Character('r') => Command::Redo,
        Key::Character('n') => Command::NewObject,
        Key::Character('c') => Command::Clear,
        Key::Character('f') => Command::CycleFill,
        Key::Character('i') => Command::ChooseTool(Tool::Include),
        Key::Character('s') => Command::SaveStill,
        Key::Character('v') => Command::SaveCine,
        Key::Character('e') => Command::ChooseTool(Tool::Exclude),
        Key::Character('m') => Command::Calipers(CaliperCommand::Toggle),
        Key::Character('x') => Command::ShowExam,
        Key::Character(_) | Key::Enter | Key::Escape => return None,
    })
}
