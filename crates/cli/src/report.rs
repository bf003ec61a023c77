//! What a run leaves: a table for people, JSON for programs.

use std::fmt;

use serde::Serialize;
use sonotap::pipeline::capture;
use sonotap::pipeline::live::{DeadlineReport, LiveReport};
use sonotap::pipeline::player::Played;
use sonotap::pipeline::stats::Summary;
use sonotap_igtl::server::ServerReport;
use sonotap_remote::RemoteReport;

use crate::saving::{self, ExamReport};

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
    /// Of the camera, where there is one.
    pub camera: Option<capture::CaptureReport>,
    /// What became of the deadline.
    pub deadline: DeadlineReport,
    /// Of the live path.
    pub live: LiveReport,
    /// Frames that the recording left out because its writer was busy.
    pub recording_dropped: u64,
    /// Why a recording is incomplete.
    pub recording_failed: Option<String>,
    /// Steps of the taps file whose time did not come.
    pub steps_missed: usize,
    /// Where the objects ended.
    pub objects: Vec<ObjectReport>,
    /// Of tablets, where they may show the screen.
    pub remote: Option<RemoteReport>,
    /// Why no millimetres are shown, where a scale was offered and refused.
    pub scale_refused: Option<String>,
    /// Frames that are missing or damaged, and were passed over.
    pub frames_damaged: usize,
    /// Of OpenIGTLink, where it listened.
    pub igtl: Option<ServerReport>,
    /// What was saved, with --save-exam.
    pub exam: Option<ExamReport>,
}

/// Of the capture side.
#[derive(Serialize)]
pub struct CaptureReport {
    /// Frames played.
    pub played: u64,
    /// Not taken before the next came.
    pub displaced: u64,
    /// Left out because all memory for frames was in use.
    pub no_buffer: u64,
    /// Left out because the source was late.
    pub late: u64,
}

impl From<Played> for CaptureReport {
    fn from(p: Played) -> Self {
        Self { played: p.played, displaced: p.displaced, no_buffer: p.no_buffer, late: p.late }
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

impl fmt::Display for RunReport {
    /// The table.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let live = &self.live;
        writeln!(f, "{} · model {} · {:.1} s", self.source, self.model, self.seconds)?;
        writeln!(f, "\nframes   {} shown of {} captured, {} redraws", live.frames, self.capture.played, live.redraws)?;
        writeln!(
            f,
            "dropped  {} display busy, {} past deadline, {} no buffer, {} source late; {} recording, {} looks skipped",
            self.capture.displaced + live.drops.display_busy,
            live.drops.past_deadline,
            self.capture.no_buffer,
            self.capture.late,
            self.recording_dropped,
            live.drops.model_busy
        )?;
        if let Some(c) = &self.camera {
            write!(f, "camera   opened {}, stalled {}, failed {}, gone {}; ", c.opened, c.stalled, c.failed, c.gone)?;
            write!(f, "{} pictures skipped, {} damaged; ", c.skipped, c.damaged)?;
            writeln!(f, "longest time without {:.0} ms, last {:.0} ms", c.outage_max_ms, c.outage_last_ms)?;
        }
        if let Some(g) = &self.igtl {
            write!(f, "igtl     {} clients, {} messages, {:.1} MB; ", g.clients, g.messages, g.bytes as f64 / 1e6)?;
            writeln!(f, "{} states skipped, {} clients stuck, {} turned away", g.skipped, g.stuck, g.turned_away)?;
            if let Some(s) = &g.source {
                write!(f, "         {} images, {} refused, {} of wrong CRC, ", s.images, s.refused, s.checksum)?;
                writeln!(f, "{} of other senders", s.busy)?;
            }
        }
        if let Some(r) = &self.remote {
            write!(
                f,
                "tablets  {} pictures encoded, {:.1} ms and {:.0} bytes each; ",
                r.encoded, r.encode_ms_mean, r.bytes_mean
            )?;
            writeln!(
                f,
                "{} sent, {} drawn, {} displaced; {} requests refused",
                r.sent, r.seen, r.displaced, r.refused
            )?;
        }
        let d = &self.deadline;
        writeln!(
            f,
            "deadline {} late under LIVE, {} late and said so, {} of which nobody said when they were shown",
            d.late_under_live, d.late_said, d.unconfirmed
        )?;
        if let Some(w) = d.worst {
            writeln!(
                f,
                "oldest   {:.1} ms at the glass: {:.1} to the display thread, {:.1} prepare, {:.1} draw, {:.1} to the glass",
                w.age, w.to_display_thread, w.prepare, w.draw, w.to_glass
            )?;
        }
        let s = live.shown;
        writeln!(
            f,
            "outlines {} exact, {} carried, {} stale, {} hidden, {} lost\n",
            s.exact, s.carried, s.stale, s.hidden, s.lost
        )?;
        writeln!(f, "{:<26}{:>7}{:>9}{:>9}{:>9}{:>9}{:>9}", "ms", "n", "p50", "p95", "p99", "p99.9", "max")?;
        let (deadline, age) = (&self.deadline, &self.deadline.age_at_glass_ms);
        if age.count > 0 {
            writeln!(
                f,
                "{:<26}{:>7}{:>9.2}{:>9}{:>9.2}{:>9.2}{:>9.2}",
                format!("age at the glass ({:.1})", deadline.limit_ms),
                age.count,
                age.p50,
                "",
                age.p99,
                age.p999,
                age.max
            )?;
        }
        row(f, "  to the display thread", &live.to_display_thread)?;
        row(f, "  prepare", &live.prepare)?;
        row(f, "  draw", &live.draw)?;
        row(f, "  hand-over to glass", &live.to_glass)?;
        row(f, "tap to marker", &live.tap_to_marker)?;
        row(f, "tap to outline", &live.tap_to_mask)?;
        row(f, "look: encoder", &live.encode)?;
        row(f, "look: decoder", &live.decode)?;
        row(f, "look: all", &live.look)?;
        row(f, "motion and carrying", &live.motion)?;
        let since = |t: Option<f64>| t.map_or("none".into(), |t| format!("{t:.0} ms"));
        let (frame, mask) = (since(self.first_frame_ms), since(self.first_mask_ms));
        write!(f, "\nfrom start: first frame {frame}, first outline {mask}")?;
        for o in &self.objects {
            let score = o.score.map_or("-".into(), |s| format!("{s:.2}"));
            let area = o.area_px.map_or("-".into(), |a| format!("{a:.0} px²"));
            write!(f, "\nobject {}: {}, score {score}, area {area}", o.object, o.overlay)?;
        }
        if self.frames_damaged > 0 {
            write!(f, "\ndamaged frames: {} are missing or damaged and were passed over", self.frames_damaged)?;
        }
        if let Some(exam) = &self.exam {
            write!(f, "\n{}", saving::told(exam))?;
        }
        if let Some(why) = &self.scale_refused {
            write!(f, "\nno millimetres: {why}")?;
        }
        self.hints().try_for_each(|hint| write!(f, "\n{hint}"))
    }
}

impl RunReport {
    /// What to do about a run that went otherwise than it was meant to.
    fn hints(&self) -> impl Iterator<Item = String> {
        let past = self.live.drops.past_deadline;
        let is_late = past > self.live.frames;
        let late = is_late.then(|| {
            let limit = self.deadline.limit_ms;
            format!("most frames were older than {limit:.1} ms before they could be shown: give a longer --deadline-ms")
        });
        let missed = self.steps_missed;
        let missed = (missed > 0)
            .then(|| format!("steps of the taps file whose time or frame did not come before the end: {missed}"));
        late.into_iter().chain(missed)
    }
}

fn row(f: &mut fmt::Formatter<'_>, name: &str, s: &Summary) -> fmt::Result {
    if s.count == 0 {
        return Ok(());
    }
    writeln!(
        f,
        "{name:<26}{:>7}{:>9.2}{:>9.2}{:>9.2}{:>9.2}{:>9.2}",
        s.count, s.p50_ms, s.p95_ms, s.p99_ms, s.p999_ms, s.max_ms
    )
}
