//! What the display thread owns: the live path, the screen, and the tickets of the pictures on their way to the glass.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sonotap::engine::job::InferenceJob;
use sonotap::frame::Frame;
use sonotap::geometry::Rect;
use sonotap::overlay::{Canvas, HostOverlay, Placed};
use sonotap::pipeline::live::{Light, Live, LiveView, Ticket};
use sonotap::pipeline::step::Stepped;
use sonotap::pipeline::worker::{Health, InferenceWorker, Worker};
use sonotap::scene::{Mode, ObjectScene, Scene};
use sonotap::screen::{Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::units::Timestamp;

use crate::boundary::{Failure, Outcome};
use crate::pixels::Pixels;
use crate::session::{Letter, Session};
use crate::types::*;
use crate::{faults, numbers};

/// Pictures that may be on their way to the glass.
const TICKETS_MAX: usize = 8;
/// Frame periods without a poll after which the last scene may not be shown as live any more.
const PERIODS_UNPOLLED: u32 = 3;

/// Who computes predictions.
pub(crate) enum Thinker {
    Thread(Worker),
    Host(Stepped),
}

impl InferenceWorker for Thinker {
    fn ask(&mut self, job: Box<InferenceJob>) -> Option<Box<InferenceJob>> {
        match self {
            Self::Thread(worker) => worker.ask(job),
            Self::Host(stepped) => stepped.ask(job),
        }
    }

    fn answer(&mut self) -> Option<Box<InferenceJob>> {
        match self {
            Self::Thread(worker) => worker.answer(),
            Self::Host(stepped) => stepped.answer(),
        }
    }

    fn surveys(&self) -> bool {
        match self {
            Self::Thread(worker) => worker.surveys(),
            Self::Host(stepped) => stepped.surveys(),
        }
    }

    fn health(&mut self, now: Timestamp) -> Health {
        match self {
            Self::Thread(worker) => worker.health(now),
            Self::Host(stepped) => stepped.health(now),
        }
    }
}

/// What draws, made when it is first needed.
pub(crate) struct Drawing {
    config: ScreenConfig,
    px_max: usize,
    screen: Option<Screen>,
    overlay: HostOverlay,
    canvas: Canvas,
    crossings: Vec<f32>,
}

impl Drawing {
    pub(crate) fn new(config: ScreenConfig, px_max: usize) -> Self {
        Self {
            config,
            px_max,
            screen: None,
            overlay: HostOverlay::default(),
            canvas: Canvas::default(),
            crossings: Vec::new(),
        }
    }

    fn check(&self, width: u32, height: u32) -> Outcome<()> {
        let px = width as usize * height as usize;
        if px > self.px_max {
            let text = format!("picture: expected at most {} px, as opened, got {px}", self.px_max);
            return Err(Failure::new(SONOTAP_E_MEMORY, text));
        }
        Ok(())
    }

    fn screen(&mut self, frame: &Frame, scene: &Scene, into: &mut Pixels<'_>) -> Outcome<()> {
        self.check(into.width, into.height)?;
        let size = (into.width, into.height);
        if self.screen.is_none() {
            self.screen = Some(Screen::new(ScreenConfig { size, ..self.config.clone() })?);
        }
        let Some(screen) = &mut self.screen else { return Ok(()) };
        screen.resize(size);
        if screen.layout().size() != size {
            let text = format!("picture: expected room for the controls, got {}x{} px", size.0, size.1);
            return Err(Failure::argument(text));
        }
        into.put(screen.draw(frame, scene), 0, 0);
        Ok(())
    }

    fn overlay(
        &mut self,
        frame: &Frame,
        scene: &Scene,
        picture: &sonotap_picture,
        into: &mut Pixels<'_>,
    ) -> Outcome<()> {
        let sonotap_rect { x, y, w, h } = match picture.place {
            sonotap_rect { w: 0.0, h: 0.0, .. } => {
                sonotap_rect { x: 0.0, y: 0.0, w: into.width as f32, h: into.height as f32 }
            }
            place => place,
        };
        let is_within = x >= 0.0 && y >= 0.0 && w > 0.0 && h > 0.0;
        if !(is_within && x + w <= into.width as f32 && y + h <= into.height as f32) {
            let text = format!("place: expected a part of {}x{} px, got {x}, {y}, {w}x{h}", into.width, into.height);
            return Err(Failure::argument(text));
        }
        let (left, top) = (x.floor(), y.floor());
        let (width, height) = ((x + w).ceil() - left, (y + h).ceil() - top);
        self.check(width as u32, height as u32)?;
        let placed = Placed {
            rect: Rect::new(x - left, y - top, x - left + w, y - top + h),
            dpi: if picture.dpi == 0.0 { 96.0 } else { picture.dpi },
            is_mirrored: self.config.is_mirrored,
        };
        self.canvas.resize(width as u32, height as u32);
        into.take(&mut self.canvas, left as usize, top as usize);
        self.overlay.draw(&mut self.canvas, frame, scene, &placed, &self.config.keep_outs)?;
        into.put(&self.canvas, left as usize, top as usize);
        Ok(())
    }
}

/// A ticket that was given out and has not come back.
struct Given {
    number: u64,
    ticket: Ticket,
    /// Nobody takes it for a live picture.
    says_late: bool,
}

/// The scene of the last poll that had one.
struct Current {
    ticket: u64,
    frame: Arc<Frame>,
    is_live: bool,
    /// Its picture was not shown: it is not drawn again as if it were on the screen.
    is_withheld: bool,
}

/// What the display thread owns.
pub(crate) struct Owner {
    live: Live<Thinker>,
    period: Duration,
    drawing: Drawing,
    letters: VecDeque<Letter>,
    commands: Vec<Command>,
    tickets: VecDeque<Given>,
    last_ticket: u64,
    current: Option<Current>,
    polled: Timestamp,
    exam: u64,
}

impl Owner {
    pub(crate) fn new(live: Live<Thinker>, period: Duration, drawing: Drawing) -> Self {
        Self {
            live,
            period,
            drawing,
            letters: VecDeque::new(),
            commands: Vec::new(),
            tickets: VecDeque::with_capacity(TICKETS_MAX),
            last_ticket: 0,
            current: None,
            polled: Timestamp::START,
            exam: 0,
        }
    }

    pub(crate) fn live(&self) -> &Live<Thinker> {
        &self.live
    }

    /// Obeys what has been posted, and gives out what is to be drawn now.
    pub(crate) fn poll(&mut self, session: &Session) -> Option<sonotap_scene> {
        faults::point("poll");
        self.obey(session);
        self.polled = self.live.clock().now();
        let LiveView { frame, scene, ticket } = self.live.poll()?;
        self.last_ticket += 1;
        let number = self.last_ticket;
        let told = numbers::scene(frame, scene, &ticket, number);
        let says_late = !scene.signal.allows_outlines();
        self.current = Some(Current {
            ticket: number,
            frame: frame.clone(),
            is_live: scene.mode == Mode::Live,
            is_withheld: false,
        });
        if self.tickets.len() == TICKETS_MAX {
            self.tickets.pop_front();
        }
        self.tickets.push_back(Given { number, ticket, says_late });
        Some(told)
    }

    fn obey(&mut self, session: &Session) {
        let mut mailbox = session.mailbox();
        std::mem::swap(&mut self.letters, &mut mailbox.letters);
        let is_new_exam = std::mem::take(&mut mailbox.is_new_exam);
        let is_signal_lost = std::mem::take(&mut mailbox.is_signal_lost);
        self.exam = session.exams.load(Ordering::Acquire);
        drop(mailbox);
        if is_new_exam {
            self.live.new_exam();
            self.current = None;
            for Given { ticket, .. } in self.tickets.drain(..) {
                self.live.withheld(ticket);
            }
        }
        if is_signal_lost {
            self.live.signal_lost();
        }
        let now = self.live.clock().now();
        while let Some(letter) = self.letters.pop_front() {
            match letter {
                Letter::Command(command, at) => self.live.command(command, at),
                Letter::Ease(is_eased) => self.live.ease(is_eased),
                Letter::Contact(contact) => {
                    if let Some(screen) = &mut self.drawing.screen {
                        screen.touch(contact, &mut self.commands);
                    }
                    self.commands.drain(..).for_each(|c| self.live.command(c, contact.time));
                }
            }
        }
        if let Some(screen) = &mut self.drawing.screen {
            screen.tick(now, &mut self.commands);
            self.commands.drain(..).for_each(|c| self.live.command(c, now));
        }
    }

    /// The frame and scene of the last poll, if they may still be shown; `None` when it is too late.
    fn shown(&self, session: &Session) -> Outcome<Option<(&Frame, &Scene)>> {
        let current = self.current.as_ref().ok_or_else(|| {
            Failure::new(SONOTAP_E_CONFIG, "expected a poll that had something to draw before this call, got none")
        })?;
        let is_polled = self.live.clock().now().since(self.polled) <= PERIODS_UNPOLLED * self.period;
        let given = self.tickets.iter().find(|g| g.number == current.ticket);
        // A still picture is no younger than it says.
        let is_on_screen = given.is_none() && !current.is_withheld;
        let is_fair = !current.is_live || is_polled && (is_on_screen || given.is_some_and(|g| self.may_show(g)));
        let is_shown = is_fair && self.is_this_exam(session);
        Ok(is_shown.then(|| (&*current.frame, self.live.engine().scene())))
    }

    fn is_this_exam(&self, session: &Session) -> bool {
        session.exams.load(Ordering::Acquire) == self.exam
    }

    /// Whether a picture handed over now is in time, or says itself that it is late.
    fn may_show(&self, given: &Given) -> bool {
        let is_due = given.ticket.due().is_some_and(|due| self.live.clock().now() > due);
        self.live.is_in_time(&given.ticket) && (given.says_late || !is_due)
    }

    /// Reads an object of the last poll.
    pub(crate) fn object(
        &self,
        session: &Session,
        index: u32,
        read: impl FnOnce(&Frame, &ObjectScene) -> Outcome,
    ) -> Outcome {
        let Some((frame, scene)) = self.shown(session)? else { return Ok(SONOTAP_LATE) };
        let object = scene
            .objects
            .get(index as usize)
            .ok_or_else(|| Failure::argument(format!("index: expected below {}, got {index}", scene.objects.len())))?;
        read(frame, object)
    }

    pub(crate) fn frame(&self, session: &Session, read: impl FnOnce(&Frame) -> Outcome) -> Outcome {
        let Some((frame, _)) = self.shown(session)? else { return Ok(SONOTAP_LATE) };
        read(frame)
    }

    pub(crate) fn mask(&mut self, session: &Session, index: u32, into: &mut Pixels<'_>) -> Outcome {
        let mut crossings = std::mem::take(&mut self.drawing.crossings);
        let outcome = self.object(session, index, |frame, object| {
            if !object.overlay.is_drawn() {
                let text = "mask: expected an outline that is drawn, got one that is hidden or lost";
                return Err(Failure::argument(text));
            }
            into.put_mask(frame, &object.outline, &mut crossings)?;
            Ok(SONOTAP_OK)
        });
        self.drawing.crossings = crossings;
        outcome
    }

    /// Draws, and asks at the end whether the picture is still in time.
    pub(crate) fn draw(
        &mut self,
        session: &Session,
        what: u32,
        picture: &sonotap_picture,
        into: &mut Pixels<'_>,
    ) -> Outcome {
        faults::point("draw");
        if self.shown(session)?.is_none() {
            return Ok(self.too_late());
        }
        let Some(frame) = self.current.as_ref().map(|c| c.frame.clone()) else { return Ok(SONOTAP_LATE) };
        let scene = self.live.engine().scene();
        match what {
            SONOTAP_DRAW_SCREEN => self.drawing.screen(&frame, scene, into)?,
            SONOTAP_DRAW_OVERLAY => self.drawing.overlay(&frame, scene, picture, into)?,
            got => return Err(Failure::argument(format!("what: expected 1 or 2, got {got}"))),
        }
        if let Some(radius) = self.drawing.screen.as_ref().and_then(Screen::marker_radius_px) {
            self.live.set_marker_radius_px(radius);
        }
        if self.shown(session)?.is_none() {
            return Ok(self.too_late());
        }
        let number = self.current.as_ref().map_or(0, |c| c.ticket);
        self.note_hand_over(number);
        Ok(SONOTAP_OK)
    }

    /// The picture of the last poll is not to be shown.
    fn too_late(&mut self) -> sonotap_status {
        let number = self.current.as_ref().map_or(0, |c| c.ticket);
        self.withhold(number);
        SONOTAP_LATE
    }

    fn withhold(&mut self, number: u64) {
        if let Some(given) = self.take(number) {
            self.live.withheld(given.ticket);
            if let Some(current) = self.current.as_mut().filter(|c| c.ticket == number) {
                current.is_withheld = true;
            }
        }
    }

    fn take(&mut self, number: u64) -> Option<Given> {
        let at = self.tickets.iter().position(|g| g.number == number)?;
        self.tickets.remove(at)
    }

    /// A ticket that is out; `None` for one that came back, or whose time is long over.
    fn given(&self, number: u64) -> Outcome<Option<&Given>> {
        if number == 0 || number > self.last_ticket {
            let text = format!("ticket: expected 1 to {}, got {number}", self.last_ticket);
            return Err(Failure::argument(text));
        }
        Ok(self.tickets.iter().find(|g| g.number == number))
    }

    pub(crate) fn hand_over(&mut self, session: &Session, number: u64) -> Outcome {
        let Some(given) = self.given(number)? else { return Ok(SONOTAP_LATE) };
        if self.is_this_exam(session) && self.may_show(given) && self.note_hand_over(number) {
            return Ok(SONOTAP_OK);
        }
        self.withhold(number);
        Ok(SONOTAP_LATE)
    }

    fn note_hand_over(&mut self, number: u64) -> bool {
        let given = self.tickets.iter().find(|g| g.number == number);
        given.is_some_and(|g| self.live.hand_over(&g.ticket))
    }

    pub(crate) fn presented(&mut self, session: &Session, number: u64, lit_ns: u64) -> Outcome {
        if self.given(number)?.is_none() {
            return Ok(SONOTAP_LATE);
        }
        if let Some(given) = self.take(number) {
            let light = if lit_ns == 0 { Light::Now } else { Light::At(Timestamp::from_ns(lit_ns)) };
            self.live.presented(given.ticket, light);
            session.on_screen.store(self.live.on_screen().map_or(0, |id| id.0), Ordering::Release);
        }
        Ok(SONOTAP_OK)
    }

    pub(crate) fn withheld(&mut self, number: u64) -> Outcome {
        self.given(number)?;
        self.withhold(number);
        Ok(SONOTAP_OK)
    }
}
