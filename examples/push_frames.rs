//! A program of your own: push frames, send a tap, poll scenes. Needs no display; runs for two seconds.
//!
//! ```text
//! cargo run --release --example push_frames
//! ```

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sonotap::frame::Frame;
use sonotap::model::look::{LookOptions, Looker};
use sonotap::model::sam;
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::scene::Overlay;
use sonotap::session::Command;
use sonotap::source::FrameSource;
use sonotap::source::phantom::{Phantom, PhantomConfig, Preset};
use sonotap::units::{FrameId, Nanos};

fn main() -> sonotap::error::Result<()> {
    let model = sam::load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("models/student"))?;
    let mut live = Live::start(Looker::new(model, LookOptions::default()), LiveConfig::default())?;
    let input = live.input();
    let mut probe = Phantom::new(Preset::Cyst, PhantomConfig { width: 320, height: 240, ..PhantomConfig::default() })?;
    for number in 1..=60 {
        // A device fills the frames of a `FramePool`, so that nothing is allocated.
        let mut frame = Frame::default();
        probe.next_into(&mut frame)?;
        (frame.id, frame.captured) = (FrameId(number), live.clock().now());
        let next = frame.captured + Nanos::from_ms(33);
        input.put(Arc::new(frame));
        if let (10, Some(at)) = (number, probe.tap_point(number)) {
            // The tap belongs to the frame that the operator saw at touch-down.
            let tap = Command::Click { at, polarity: None, shown: live.on_screen() };
            live.command(tap, live.clock().now());
        }
        while live.clock().now() < next {
            if let Some(view) = live.poll() {
                for object in &view.scene.objects {
                    let area_px = object.measurements.map_or(0.0, |m| m.area_px);
                    println!("frame {}: {}, {area_px:.0} px² inside", view.frame.id, state(object.overlay));
                }
                // Here the frame and its outlines would be drawn.
                live.presented();
            }
            live.wait(Duration::from(next.since(live.clock().now())));
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
