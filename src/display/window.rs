//! A window under X11 or Wayland, driven by the caller's loop: nothing runs in the background.
//!
//! The left mouse button is finger 0; fingers of a touch screen are numbered from 0 in the order in which they go down.
//! The close button means [`Presence::Closed`]; Escape is a key, since it may only leave a page. The canvas follows the window's size in physical px. A
//! process can open one window.
//!
//! ```no_run
//! use sonotap::display::{Display, Presence, Window};
//! use sonotap::units::{FrameId, Timestamp};
//! let mut window = Window::open("sonotap", 800, 480)?;
//! let mut contacts = Vec::new();
//! while window.contacts(Timestamp::START, Some(FrameId(1)), &mut contacts)? == Presence::Open {
//!     contacts.clear();
//! }
//! # Ok::<(), sonotap::error::Error>(())
//! ```

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use winit::application::ApplicationHandler;
use winit::dpi::{PhysicalPosition, PhysicalSize};
use winit::event::{ElementState, KeyEvent, MouseButton, Touch, TouchPhase, WindowEvent};
use winit::event_loop::{ActiveEventLoop, EventLoop};
use winit::keyboard::{Key as WinitKey, NamedKey};
use winit::platform::pump_events::{EventLoopExtPumpEvents, PumpStatus};
use winit::window::{Window as WinitWindow, WindowId};

use super::{Display, Key, Presence, Presentation, Presented, copy_fitting};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::Point;
use crate::glass::Light;
use crate::input::{Contact, Phase};
use crate::overlay::Canvas;
use crate::units::{FrameId, Timestamp};

/// Fingers tracked at a time; more are ignored.
const FINGERS: usize = 10;
/// Keys kept until they are read; more are ignored.
const KEYS: usize = 32;

/// Whether the environment names a display server. Cheap; [`Window::open`] may still fail.
pub fn is_available() -> bool {
    let is_set = |name: &str| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    !cfg!(target_os = "linux") || ["WAYLAND_DISPLAY", "WAYLAND_SOCKET", "DISPLAY"].into_iter().any(is_set)
}

/// A window on the screen.
pub struct Window {
    // Declared before the loop, so that it is dropped while the connection is open.
    app: App,
    events: EventLoop<()>,
}

impl Window {
    /// Opens the window of this process, with a client area of `width` x `height` physical px if the desktop allows it.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there is no display server, its libraries are missing, it refuses, or this
    /// process had a window before.
    pub fn open(title: &str, width: u32, height: u32) -> Result<Self> {
        if !is_available() {
            let context = "a window needs a display server, got neither WAYLAND_DISPLAY nor DISPLAY";
            return Err(Error::new(ErrorKind::Unavailable, context));
        }
        // winit panics when a library that it loads at run time is missing.
        catch_unwind(AssertUnwindSafe(|| Self::open_or_panic(title, width, height))).unwrap_or_else(|_| {
            let context =
                "a window needs the display server's libraries (libX11 or libwayland, libxkbcommon), one is missing";
            Err(Error::new(ErrorKind::Unavailable, context))
        })
    }

    fn open_or_panic(title: &str, width: u32, height: u32) -> Result<Self> {
        let mut builder = EventLoop::builder();
        #[cfg(target_os = "linux")]
        {
            use winit::platform::{wayland::EventLoopBuilderExtWayland, x11::EventLoopBuilderExtX11};
            EventLoopBuilderExtX11::with_any_thread(&mut builder, true);
            EventLoopBuilderExtWayland::with_any_thread(&mut builder, true);
        }
        let mut events = builder.build().map_err(|e| unavailable("the display server cannot be reached", e))?;
        let mut app = App::new(title, PhysicalSize::new(width.max(1), height.max(1)));
        events.pump_app_events(Some(Duration::ZERO), &mut app);
        match app.shown.take() {
            Some(Ok(shown)) => app.shown = Some(Ok(shown)),
            Some(Err(e)) => return Err(e),
            None => return Err(Error::new(ErrorKind::Unavailable, "the display server did not open the window")),
        }
        Ok(Self { app, events })
    }
}

impl Display for Window {
    fn size(&self) -> (u32, u32) {
        (self.app.size.width, self.app.size.height)
    }

    fn dpi(&self) -> f32 {
        96.0 * self.app.scale_factor as f32
    }

    fn present(
        &mut self,
        canvas: &Canvas,
        _shown: &Presented,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        let Some(Ok(shown)) = &mut self.app.shown else { return Ok(Presentation::Away) };
        shown.paint(canvas, self.app.size, is_in_time)
    }

    fn contacts(&mut self, now: Timestamp, shown: Option<FrameId>, out: &mut Vec<Contact>) -> Result<Presence> {
        if let PumpStatus::Exit(_) = self.events.pump_app_events(Some(Duration::ZERO), &mut self.app) {
            self.app.presence = Presence::Closed;
        }
        out.extend(self.app.moves.drain(..).map(|m| Contact {
            finger: m.finger,
            phase: m.phase,
            at: Point::new(m.at.x as f32, m.at.y as f32),
            size_mm: None,
            time: now,
            shown,
        }));
        Ok(self.app.presence)
    }

    fn keys(&mut self, out: &mut Vec<Key>) {
        out.append(&mut self.app.keys);
    }

    fn finish(&mut self) -> Result<()> {
        self.app.shown = None;
        self.app.presence = Presence::Closed;
        self.events.pump_app_events(Some(Duration::ZERO), &mut self.app);
        Ok(())
    }
}

/// The window and its surface.
struct Shown {
    surface: softbuffer::Surface<Rc<WinitWindow>, Rc<WinitWindow>>,
    size: PhysicalSize<u32>,
}

impl Shown {
    fn open(events: &ActiveEventLoop, title: &str, size: PhysicalSize<u32>) -> Result<(Self, Rc<WinitWindow>)> {
        let attributes = WinitWindow::default_attributes().with_title(title).with_inner_size(size);
        let window = events.create_window(attributes).map_err(|e| unavailable("no window could be opened", e))?;
        let window = Rc::new(window);
        let context = softbuffer::Context::new(window.clone()).map_err(|e| unavailable("no memory to paint on", e))?;
        let surface = softbuffer::Surface::new(&context, window.clone());
        let surface = surface.map_err(|e| unavailable("no memory to paint on", e))?;
        Ok((Self { surface, size: PhysicalSize::new(0, 0) }, window))
    }

    fn paint(
        &mut self,
        canvas: &Canvas,
        size: PhysicalSize<u32>,
        is_in_time: &mut dyn FnMut() -> bool,
    ) -> Result<Presentation> {
        let (Some(width), Some(height)) = (NonZeroU32::new(size.width), NonZeroU32::new(size.height)) else {
            return Ok(Presentation::Away);
        };
        let failed = |e: softbuffer::SoftBufferError| unavailable("the window cannot be painted", e);
        if self.size != size {
            self.surface.resize(width, height).map_err(failed)?;
            self.size = size;
        }
        let mut buffer = self.surface.buffer_mut().map_err(failed)?;
        copy_fitting(canvas.pixels(), (canvas.width(), canvas.height()), &mut buffer, (size.width, size.height));
        if !is_in_time() {
            return Ok(Presentation::Withheld);
        }
        buffer.present().map_err(failed)?;
        Ok(Presentation::Lit(Light::Now))
    }
}

/// The error as text, because some of these are not `Send` and an [`Error`] is; of "os error at file:line: reason" only
/// the reason.
fn unavailable(what: &str, e: impl std::error::Error) -> Error {
    let said = e.to_string();
    let reason = said.rsplit(": ").next().unwrap_or(&said);
    Error::new(ErrorKind::Unavailable, format!("{what}: {reason}"))
}

/// A contact without its time.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Movement {
    finger: u8,
    phase: Phase,
    at: PhysicalPosition<f64>,
}

/// Receives the window's events and keeps them until they are read.
struct App {
    title: String,
    size: PhysicalSize<u32>,
    scale_factor: f64,
    shown: Option<Result<Shown>>,
    presence: Presence,
    pointer: PhysicalPosition<f64>,
    is_pressed: bool,
    fingers: [Option<u64>; FINGERS],
    moves: Vec<Movement>,
    keys: Vec<Key>,
}

impl App {
    fn new(title: &str, size: PhysicalSize<u32>) -> Self {
        Self {
            title: title.into(),
            size,
            scale_factor: 1.0,
            shown: None,
            presence: Presence::Open,
            pointer: PhysicalPosition::default(),
            is_pressed: false,
            fingers: [None; FINGERS],
            moves: Vec::with_capacity(64),
            keys: Vec::with_capacity(KEYS),
        }
    }

    /// Records a movement; of several consecutive moves of a finger the last is kept.
    fn note(&mut self, finger: u8, phase: Phase, at: PhysicalPosition<f64>) {
        let next = Movement { finger, phase, at };
        match self.moves.last_mut() {
            Some(last) if phase == Phase::Move && (last.finger, last.phase) == (finger, Phase::Move) => *last = next,
            _ => self.moves.push(next),
        }
    }

    fn press(&mut self, state: ElementState) {
        let is_pressed = state == ElementState::Pressed;
        if is_pressed != self.is_pressed {
            self.is_pressed = is_pressed;
            self.note(0, if is_pressed { Phase::Down } else { Phase::Up }, self.pointer);
        }
    }

    fn release_all(&mut self) {
        if std::mem::take(&mut self.is_pressed) {
            self.note(0, Phase::Cancel, self.pointer);
        }
    }

    fn touch(&mut self, id: u64, phase: TouchPhase, at: PhysicalPosition<f64>) {
        let wanted = if phase == TouchPhase::Started { None } else { Some(id) };
        let Some(slot) = self.fingers.iter().position(|&finger| finger == wanted) else { return };
        self.fingers[slot] = matches!(phase, TouchPhase::Started | TouchPhase::Moved).then_some(id);
        let phase = match phase {
            TouchPhase::Started => Phase::Down,
            TouchPhase::Moved => Phase::Move,
            TouchPhase::Ended => Phase::Up,
            TouchPhase::Cancelled => Phase::Cancel,
        };
        self.note(slot as u8, phase, at);
    }

    fn key(&mut self, key: &WinitKey) {
        let key = match key {
            WinitKey::Named(NamedKey::Escape) => Key::Escape,
            WinitKey::Named(NamedKey::Space) => Key::Space,
            WinitKey::Named(NamedKey::ArrowLeft) => Key::Left,
            WinitKey::Named(NamedKey::ArrowRight) => Key::Right,
            WinitKey::Named(NamedKey::Backspace | NamedKey::Delete) => Key::Backspace,
            WinitKey::Named(NamedKey::Enter) => Key::Enter,
            WinitKey::Character(text) => match text.chars().next() {
                Some(' ') => Key::Space,
                Some(c) if c.is_ascii_graphic() => Key::Character(c),
                _ => return,
            },
            _ => return,
        };
        if self.keys.len() < KEYS {
            self.keys.push(key);
        }
    }
}

impl ApplicationHandler for App {
    fn resumed(&mut self, events: &ActiveEventLoop) {
        if self.shown.is_none() && self.presence == Presence::Open {
            self.shown = Some(Shown::open(events, &self.title, self.size).map(|(shown, window)| {
                self.size = window.inner_size();
                self.scale_factor = window.scale_factor();
                shown
            }));
        }
    }

    fn window_event(&mut self, _events: &ActiveEventLoop, _window: WindowId, event: WindowEvent) {
        match event {
            WindowEvent::CloseRequested | WindowEvent::Destroyed => self.presence = Presence::Closed,
            WindowEvent::Resized(size) if size.width > 0 && size.height > 0 => self.size = size,
            WindowEvent::ScaleFactorChanged { scale_factor, .. } => self.scale_factor = scale_factor,
            WindowEvent::CursorMoved { position, .. } => {
                self.pointer = position;
                if self.is_pressed {
                    self.note(0, Phase::Move, position);
                }
            }
            WindowEvent::MouseInput { state, button: MouseButton::Left, .. } => self.press(state),
            WindowEvent::Focused(false) => self.release_all(),
            WindowEvent::Touch(Touch { id, phase, location, .. }) => self.touch(id, phase, location),
            WindowEvent::KeyboardInput {
                event: KeyEvent { logical_key, state: ElementState::Pressed, repeat: false, .. },
                ..
            } => self.key(&logical_key),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn at(x: f64, y: f64) -> PhysicalPosition<f64> {
        PhysicalPosition::new(x, y)
    }

    fn app() -> App {
        App::new("test", PhysicalSize::new(8, 8))
    }

    fn seen(app: &App) -> Vec<(u8, Phase)> {
        app.moves.iter().map(|m| (m.finger, m.phase)).collect()
    }

    #[test]
    fn fingers_are_numbered_from_zero_and_numbers_are_free_again() {
        let mut app = app();
        app.touch(700, TouchPhase::Started, at(1.0, 1.0));
        app.touch(701, TouchPhase::Started, at(2.0, 2.0));
        app.touch(700, TouchPhase::Ended, at(1.0, 1.0));
        app.touch(702, TouchPhase::Started, at(3.0, 3.0));
        app.touch(999, TouchPhase::Moved, at(3.0, 3.0));
        app.touch(701, TouchPhase::Cancelled, at(2.0, 2.0));
        use Phase::{Cancel, Down, Up};
        assert_eq!(seen(&app), [(0, Down), (1, Down), (0, Up), (0, Down), (1, Cancel)]);
        (0..20).for_each(|id| app.touch(id, TouchPhase::Started, at(0.0, 0.0)));
        assert_eq!(seen(&app).len(), 5 + FINGERS - 1, "more fingers than are told apart");
    }

    #[test]
    fn of_many_moves_the_last_is_kept_and_a_lost_focus_cancels() {
        let mut app = app();
        app.pointer = at(4.0, 4.0);
        app.press(ElementState::Pressed);
        (0..50).for_each(|i| app.note(0, Phase::Move, at(f64::from(i), 4.0)));
        app.release_all();
        app.press(ElementState::Released);
        assert_eq!(seen(&app), [(0, Phase::Down), (0, Phase::Move), (0, Phase::Cancel)]);
        assert_eq!(app.moves[1].at, at(49.0, 4.0));
    }

    #[test]
    fn keys_are_named() {
        let mut app = app();
        for key in [WinitKey::Named(NamedKey::Space), WinitKey::Character("U".into()), WinitKey::Character("é".into())]
        {
            app.key(&key);
        }
        assert_eq!((app.keys.clone(), app.presence), (vec![Key::Space, Key::Character('U')], Presence::Open));
        app.key(&WinitKey::Named(NamedKey::Escape));
        assert_eq!((app.keys.last(), app.presence), (Some(&Key::Escape), Presence::Open));
    }

    /// The environment cannot be changed within a test, so the test runs itself again in a changed one.
    #[test]
    fn without_a_display_there_is_an_error_and_no_panic() {
        const INNER: &str = "SONOTAP_TEST_WITHOUT_DISPLAY";
        if std::env::var_os(INNER).is_some() {
            let e = Window::open("test", 64, 64).err().expect("a window without a display");
            assert_eq!(e.kind(), ErrorKind::Unavailable, "{e}");
            return;
        }
        let name =
            format!("{}::without_a_display_there_is_an_error_and_no_panic", module_path!().split_once("::").unwrap().1);
        for (variable, value) in [("DISPLAY", ""), ("DISPLAY", ":9876"), ("WAYLAND_DISPLAY", "no-such-socket")] {
            let mut inner = Command::new(std::env::current_exe().unwrap());
            for unset in ["DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"] {
                inner.env_remove(unset);
            }
            let output =
                inner.args(["--exact", &name, "--nocapture"]).env(INNER, "1").env(variable, value).output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && said.contains("1 passed"), "{variable}={value}: {said}");
        }
    }
}
