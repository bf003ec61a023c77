//! What a run leaves: a table for people, JSON for programs.

use serde::Serialize;
use sonotap::pipeline::live::LiveReport;
use sonotap::pipeline::player::Played;
use sonotap::pipeline::stats::Summary;

/// Everything that is known after a run.
#[derive(Serialize)]
pub struct RunReport {
    /// Of the program.
    pub version: &'static str,
    /// What was played.
    pub source: String,
    /// Name of the model.
    pub model: String,
    /// Time played, s.
    pub seconds: f64,
    /// From the start of the program to the first frame on the screen, ms.
    pub first_frame_ms: Option<f64>,
    /// From the start of the program to the first outline on the screen, ms.
    pub first_mask_ms: Option<f64>,
    /// Of the capture side.
    pub capture: CaptureReport,
    /// Of the live path.
    pub live: LiveReport,
    /// Frames that the recording left out because its writer was busy.
    pub recording_dropped: u64,
    /// Where the objects ended.
    pub objects: Vec<ObjectReport>,
    /// Why no millimetres are shown, where a scale was offered and refused.
    pub scale_refused: Option<String>,
}

/// Of the capture side.
#[derive(Serialize)]
pub struct CaptureReport {
    /// Frames played.
    pub played: u64,
    /// Not taken before the next came.
    pub displaced: u64,
    /// Left out because all frames were held.
    pub pool_empty: u64,
    /// Left out because the source was late.
    pub late: u64,
}

impl From<Played> for CaptureReport {
    fn from(p: Played) -> Self {
        Self { played: p.played, displaced: p.displaced, pool_empty: p.pool_empty, late: p.late }
    }
}

/// One object at the end of a run.
#[derive(Serialize)]
pub struct ObjectReport {
    /// Counted from 1.
    pub object: u8,
    /// How it was shown last.
    pub overlay: String,
    /// The model's estimate of the outline's IoU.
    pub score: Option<f32>,
    /// Area inside the outline, image px².
    pub area_px: Option<f64>,
}

impl RunReport {
    /// The table.
    pub fn print(&self) {
        let live = &self.live;
        println!("{} · model {} · {:.1} s", self.source, self.model, self.seconds);
        println!("\nframes   {} shown of {} captured, {} redraws", live.frames, self.capture.played, live.redraws);
        println!(
            "dropped  {} display busy, {} past deadline, {} no buffer, {} source late; {} recording, {} looks skipped",
            self.capture.displaced + live.drops.display_busy,
            live.drops.past_deadline,
            self.capture.pool_empty,
            self.capture.late,
            self.recording_dropped,
            live.drops.model_busy
        );
        let s = live.shown;
        println!(
            "outlines {} exact, {} carried, {} stale, {} hidden, {} lost\n",
            s.exact, s.carried, s.stale, s.hidden, s.lost
        );
        println!("{:<26}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}", "ms", "n", "p50", "p95", "p99", "p99.9", "max");
        let deadline = format!("frame age (limit {:.1})", live.deadline_ms);
        row(&deadline, &live.frame_age);
        row("tap to marker", &live.tap_to_marker);
        row("tap to outline", &live.tap_to_mask);
        row("look: encoder", &live.encode);
        row("look: decoder", &live.decode);
        row("look: all", &live.look);
        row("motion and carrying", &live.motion);
        row("draw and present", &live.draw);
        let since = |t: Option<f64>| t.map_or("none".into(), |t| format!("{t:.0} ms"));
        println!(
            "\nfrom start: first frame {}, first outline {}",
            since(self.first_frame_ms),
            since(self.first_mask_ms)
        );
        for o in &self.objects {
            let score = o.score.map_or("-".into(), |s| format!("{s:.2}"));
            let area = o.area_px.map_or("-".into(), |a| format!("{a:.0} px²"));
            println!("object {}: {}, score {score}, area {area}", o.object, o.overlay);
        }
        if let Some(why) = &self.scale_refused {
            println!("no millimetres: {why}");
        }
    }
}

fn row(name: &str, s: &Summary) {
    if s.count > 0 {
        println!(
            "{name:<26}{:>7}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
            s.count, s.p50_ms, s.p95_ms, s.p99_ms, s.p999_ms, s.max_ms
        );
    }
}
