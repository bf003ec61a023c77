//! A program of your own: push frames, send a tap, poll scenes. Needs no display; runs for two seconds.
//!
//! ```text
//! cargo run --release --example push_frames
//! ```

use std::path::Path;
use std::time::Duration;

use sonotap::frame::{Frame, Picture};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::live::{Light, Live, LiveConfig, LiveView};
use sonotap::scene::Overlay;
use sonotap::session::Command;
use sonotap::source::FrameSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, PhantomPreset};
use sonotap::units::Span;

fn main() -> sonotap::error::Result<()> {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student");
    let mut live = Live::open(model, LiveConfig::default())?;
    let input = live.input();
    let mut probe =
        Phantom::new(PhantomPreset::Cyst, PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() })?;
    let mut shown_by_scanner = Frame::default();
    for number in 1..=60 {
        probe.next_into(&mut shown_by_scanner)?;
        let (width, height) = (shown_by_scanner.width(), shown_by_scanner.height());
        let picture = Picture::dense(width, height, shown_by_scanner.format(), shown_by_scanner.pixels());
        // A number of your own is carried beside ours. A time of your own clock is `CaptureTime::Host`.
        input.push(&picture, CaptureTime::Now, Some(number))?;
        let next = live.clock().now() + Duration::from_millis(33);
        if let (10, Some(at)) = (number, probe.tap_point(number)) {
            // The tap belongs to the frame that the operator saw at touch-down.
            let tap = Command::Click { at, polarity: None, shown: live.on_screen() };
            live.command(tap, live.clock().now());
        }
        while live.clock().now() < next {
            if let Some(LiveView { scene, ticket, .. }) = live.poll() {
                for object in &scene.objects {
                    let area_px = object.measurements.map_or(0.0, |m| m.area_px);
                    println!("frame {}: {}, {area_px:.0} px² inside", ticket.frame(), state(object.overlay));
                }
                // Here the frame and its outlines would be drawn.
                if live.hand_over(&ticket) {
                    // Here they would be shown.
                    live.presented(ticket, Light::Now);
                } else {
                    live.withheld(ticket);
                }
            }
            live.wait(next.since(live.clock().now()));
        }
    }
    Ok(())
}

fn state(overlay: Overlay) -> String {
    match overlay {
        Overlay::Exact => "exact".into(),
        Overlay::Carried { age } => format!("carried for {:.0} ms", age.as_ms()),
        Overlay::Stale { age } => format!("stale for {:.0} ms, to be dimmed", age.as_ms()),
        Overlay::Hidden(why) => format!("not drawn ({why:?})"),
        Overlay::Lost(why) => format!("given up ({}): tap again", why.label()),
    }
}
