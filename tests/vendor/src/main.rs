//! Pushes the frames of a simulated probe as arrays, taps, and draws outlines itself; then a still frame through the model
//! alone, and the same again on sonotap's own screen. `vendor MODEL`; fails when there is no outline.

use std::path::Path;
use std::time::{Duration, Instant};

use sonotap::ndarray::ArrayView3;
use sonotap::{
    CaptureTime, Command, Display, DisplayLoop, Entered, Error, ErrorKind, Frame, FrameSource, Light, Live, LiveConfig,
    LiveView, NullDisplay, Overlay, Phantom, PhantomConfig, PhantomPreset, Polarity, Predictor, Prompts, Result, Screen,
    ScreenConfig, Signal,
};

const FRAMES: u64 = 40;
const PERIOD: Duration = Duration::from_millis(33);

fn main() -> Result<()> {
    let model = std::env::args().nth(1).unwrap_or_else(|| "models/student".into());
    let drawn = own_drawing(&model)?;
    let shown = own_screen(&model)?;
    let area_px = still(Path::new(&model))?;
    println!(
        "{drawn} frames with an outline drawn by the host, {shown} on our screen, {area_px} px inside on a still frame"
    );
    if drawn == 0 || shown == 0 || area_px == 0 {
        return Err(Error::new(ErrorKind::Model, "expected outlines of a cyst that was tapped, got none"));
    }
    Ok(())
}

fn probe() -> Result<Phantom> {
    let config = PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() };
    Phantom::new(PhantomPreset::Cyst, config)
}

/// The host draws: frames in, scenes out.
fn own_drawing(model: &str) -> Result<u32> {
    let config = LiveConfig { period: PERIOD, cine_bytes: 16 << 20, ..LiveConfig::default() };
    let mut live = Live::open(model, config)?;
    let (input, mut probe, mut frame) = (live.input(), probe()?, Frame::default());
    let mut drawn = 0;
    for number in 0..FRAMES {
        probe.next_into(&mut frame)?;
        let pixels: ArrayView3<'_, u8> = frame.array();
        let entered = input.push_array(pixels, CaptureTime::Now, Some(number))?;
        assert!(matches!(entered, Entered::Taken { .. } | Entered::Displaced { .. }));
        if let (5, Some(at)) = (number, probe.tap_point(number)) {
            let tap = Command::Click { at, polarity: Some(Polarity::Positive), shown: live.on_screen() };
            live.command(tap, live.clock().now());
        }
        let next = Instant::now() + PERIOD;
        while Instant::now() < next {
            if let Some(LiveView { frame, scene, ticket }) = live.poll() {
                assert!(scene.belongs_to(frame));
                let is_drawn = |o: Overlay| matches!(o, Overlay::Exact | Overlay::Carried { .. });
                let rings = scene.objects.iter().filter(|o| is_drawn(o.overlay)).map(|o| o.outline.rings().count());
                let has_outline = rings.sum::<usize>() > 0 && scene.signal == Signal::Good;
                if live.hand_over(&ticket) {
                    live.presented(ticket, Light::Now);
                    drawn += u32::from(has_outline);
                } else {
                    live.withheld(ticket);
                }
            }
            live.wait(next.saturating_duration_since(Instant::now()));
        }
    }
    Ok(drawn)
}

/// Sonotap draws.
fn own_screen(model: &str) -> Result<u32> {
    let live = Live::open(model, LiveConfig::default())?;
    // As a host does that finds out at run time which display there is.
    let display: Box<dyn Display> = Box::new(NullDisplay::new(800, 480));
    let mut display_loop = DisplayLoop::new(live, Screen::new(ScreenConfig::default())?, display);
    let (input, mut probe, mut frame) = (display_loop.live().input(), probe()?, Frame::default());
    let mut shown = 0;
    for number in 0..FRAMES {
        probe.next_into(&mut frame)?;
        input.push_array(frame.array(), CaptureTime::Now, None)?;
        if let (5, Some(at)) = (number, probe.tap_point(number)) {
            let live = display_loop.live_mut();
            let tap = Command::Click { at, polarity: None, shown: live.on_screen() };
            live.command(tap, live.clock().now());
        }
        let next = Instant::now() + PERIOD;
        while Instant::now() < next {
            let turn = display_loop.turn()?;
            shown += u32::from(turn.presented.is_some_and(|p| p.has_outline));
            display_loop.wait();
        }
    }
    Ok(shown)
}

/// A still frame, without the live path.
fn still(model: &Path) -> Result<usize> {
    let mut predictor = Predictor::open(model)?;
    let (mut probe, mut frame) = (probe()?, Frame::default());
    probe.next_into(&mut frame)?;
    let at = probe.tap_point(0).expect("a cyst can be tapped");
    let cyst = predictor.predict_one(&frame, &Prompts::click(at))?;
    let mask = cyst.mask().map(|m| m.to_bitmap(frame.width(), frame.height()));
    Ok(mask.map_or(0, |m| m.array().iter().map(|&v| usize::from(v)).sum()))
}
