//! `sonotap label`: outlines for a folder of images, one after the other, on the screen of `sonotap run`.
//!
//! Each image is a frozen frame. What the model proposes, or the mask that the image has, is boxed; taps and drags correct it. Save
//! accepts it and goes on, a step forward skips, a step back reopens the image before.

mod scan;
mod set;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sonotap::desk::{DeskConfig, ExamTold, Identity, SaveTold, Trouble};
use sonotap::display::{Display as _, Presence};
use sonotap::display_loop::DisplayLoop;
use sonotap::frame::Picture as Pixels;
use sonotap::input::script::Script;
use sonotap::mask::Bitmap;
use sonotap::model::Segmenter as _;
use sonotap::model::predictor::{PredictOptions, Predictor, Prompts};
use sonotap::model::suggestion::prompt_box;
use sonotap::overlay::{Handedness, LayoutConfig};
use sonotap::pipeline::capture_time::CaptureTime;
use sonotap::pipeline::live::{Live, LiveConfig};
use sonotap::profile::{DisplayKind, Profile, ProposeProfile};
use sonotap::scene::{Mode, Overlay};
use sonotap::screen::{Pointer, Screen, ScreenConfig};
use sonotap::session::Command;
use sonotap::units::{ObjectId, Revision, Score, Timestamp};

use crate::arguments::LabelArguments;
use crate::displays::{self, Displays, Wanted};
use crate::output::{say, say_json};
use crate::stage::stop_flag;
use crate::{assets, device, run};
use set::{Effort, LabelSet, Labelled};

/// A proposal is waited for so long; from its answer on only until it is in the scene.
const PROPOSED_WITHIN: Duration = Duration::from_millis(10_000);
const IN_SCENE_WITHIN: Duration = Duration::from_millis(500);
/// Stills are not live: they may be at the glass later.
const DEADLINE: Duration = Duration::from_millis(2_000);
/// The last outline is waited for so long when it is to be accepted.
const SETTLED_WITHIN: Duration = Duration::from_millis(3_000);
/// A frame that has not been shown by then is handed over again.
const SHOWN_WITHIN: Duration = Duration::from_millis(2_500);
/// The screen says so long that a mask was saved.
const SAID_FOR: Duration = Duration::from_millis(1_500);

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
struct LabelReport {
    images: usize,
    accepted: usize,
    kept: usize,
    proposed: usize,
    skipped: usize,
    unreadable: usize,
    /// Images of the set that still have no mask.
    left: usize,
    /// Of accepted images: taps, boxes and undo.
    edits_median: Option<f64>,
    edits_mean: Option<f64>,
    /// Of accepted images.
    seconds_median: Option<f64>,
    seconds_mean: Option<f64>,
    /// Accepted images in a minute that was spent on them.
    images_per_minute: Option<f64>,
}

/// Labels a folder as the arguments say.
pub fn label(a: &LabelArguments) -> Result<()> {
    let profile = profile_of(a)?;
    let set = LabelSet::open(&a.dir, a.out.as_deref(), a.frame)?;
    let loaded = assets::load_model(&profile.model)?;
    let proposes = loaded.segmenter.spec().proposes;
    if (a.propose_only || a.propose.is_some()) && !proposes {
        bail!("{}", assets::no_proposal(&loaded.manifest.name));
    }
    let score_min = a.propose.unwrap_or(ProposeProfile::SCORE_MIN);
    let suggest = Score::new(score_min).filter(|_| proposes);
    let order: Vec<usize> = (0..set.pictures.len()).filter(|&i| a.again || !set.is_labelled(i)).collect();
    let report = if a.propose_only {
        propose_all(set, &order, Predictor::new(Box::new(loaded.segmenter), PredictOptions::default()), score_min)?
    } else {
        let live = LiveConfig { suggest, deadline: Some(DEADLINE), ..LiveConfig::default() };
        let live = Live::start(run::supply(loaded.segmenter, profile.model.clone()), live)?;
        Labelling::open(a, set, order, live, &profile, proposes)?.run()?
    };
    match a.json {
        true => say_json(&report),
        false => say(lines(&report, a)),
    }
}

fn profile_of(a: &LabelArguments) -> Result<Profile> {
    let mut profile = Profile::default();
    if a.display.is_empty() && a.taps.is_none() && !a.propose_only {
        profile.display.kind = DisplayKind::Window;
    }
    profile.model.folder = a.model.clone();
    device::look_at(&mut profile, &Wanted::parse(&a.display)?);
    if let Some(size) = &a.size {
        let (width, height) = device::parse_size(size)?;
        profile.display.size = [width, height];
    }
    profile.display.dpi = a.dpi;
    if a.frame == Some(0) {
        bail!("--frame: expected a frame from 1 on, got 0");
    }
    if let Some(score) = a.propose.filter(|s| !(0.5..=0.99).contains(s)) {
        bail!("--propose: expected 0.5 to 0.99, got {score}");
    }
    Ok(profile)
}

fn lines(report: &LabelReport, a: &LabelArguments) -> String {
    let out = a.out.as_ref().unwrap_or(&a.dir).display();
    let LabelReport { images, accepted, kept, proposed, skipped, unreadable, left, .. } = report;
    let mut text = format!(
        "{images} images: {accepted} accepted, {kept} kept, {proposed} proposed, {skipped} skipped, {unreadable} unreadable; {left} without a mask"
    );
    let LabelReport { edits_median, edits_mean, seconds_median, seconds_mean, images_per_minute, .. } = report;
    if let (Some(edits), Some(edits_mean)) = (edits_median, edits_mean)
        && let (Some(seconds), Some(mean), Some(each)) = (seconds_median, seconds_mean, images_per_minute)
    {
        text += &format!(
            "\nan accepted image took {edits_mean:.1} taps (median {edits}) and {mean:.1} s (median {seconds:.1}): {each:.1} a minute"
        );
    }
    match (accepted + kept + proposed, skipped + unreadable) {
        (0, 0) => text,
        (0, _) => text + &format!("\nin {out}: labels.csv"),
        _ => text + &format!("\nin {out}: manifest.csv, masks, labels.csv"),
    }
}

/// Efforts, and how often which end.
#[derive(Default)]
struct Tally {
    report: LabelReport,
    edits: Vec<f64>,
    seconds: Vec<f64>,
}

impl Tally {
    fn count(&mut self, labelled: Labelled, effort: &Effort) {
        let report = &mut self.report;
        match labelled {
            Labelled::Accepted => {
                report.accepted += 1;
                self.edits.push(effort.edits as f64);
                self.seconds.push(effort.seconds);
            }
            Labelled::Kept => report.kept += 1,
            Labelled::Proposed => report.proposed += 1,
            Labelled::Skipped => report.skipped += 1,
            Labelled::Unreadable => report.unreadable += 1,
        }
    }

    fn finish(mut self, set: &LabelSet) -> LabelReport {
        self.report.images = set.pictures.len();
        self.report.left = (0..set.pictures.len()).filter(|&i| !set.is_labelled(i)).count();
        let mean = |of: &[f64]| (!of.is_empty()).then(|| of.iter().sum::<f64>() / of.len() as f64);
        self.report.edits_mean = mean(&self.edits);
        self.report.seconds_mean = mean(&self.seconds);
        self.report.images_per_minute = self.report.seconds_mean.filter(|s| *s > 0.0).map(|s| 60.0 / s);
        self.report.edits_median = median(&mut self.edits);
        self.report.seconds_median = median(&mut self.seconds);
        self.report
    }
}

fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

/// Writes what the model proposes for each image, without anybody looking.
fn propose_all(mut set: LabelSet, order: &[usize], mut predictor: Predictor, score_min: f32) -> Result<LabelReport> {
    let is_stopped = stop_flag()?;
    let (mut tally, mut grid, began) = (Tally::default(), None, Instant::now());
    for (done, &at) in order.iter().enumerate() {
        if is_stopped.load(Ordering::Acquire) {
            eprintln!("stopped; the next call goes on");
            break;
        }
        let begin = Instant::now();
        let mut effort = Effort { edits: 0, seconds: 0.0, score: None };
        let (labelled, mask) = match set.pictures[at].load() {
            Err(e) => {
                log::warn!("{e:#}");
                (Labelled::Unreadable, None)
            }
            Ok(frame) => {
                let region = frame.region().rect;
                effort.score = predictor.suggest(&frame, region, &mut grid)?.map(Score::get);
                let is_sure = effort.score.is_some_and(|s| s >= score_min);
                let bounds = grid.as_ref().filter(|_| is_sure).and_then(|grid| grid.inside_bounds());
                let mask = match bounds.and_then(|bounds| prompt_box(&bounds, &region)) {
                    Some(boxed) => predictor.predict_one(&frame, &Prompts::around(boxed))?.mask().cloned(),
                    None => None,
                };
                let mask = mask.map(|mask| mask.to_bitmap(frame.width(), frame.height())).filter(|m| m.area_px() > 0);
                (if mask.is_some() { Labelled::Proposed } else { Labelled::Skipped }, mask)
            }
        };
        effort.seconds = begin.elapsed().as_secs_f64();
        match mask {
            Some(mask) => set.keep(at, &mask, labelled, effort)?,
            None => set.note(at, labelled, effort)?,
        }
        tally.count(labelled, &effort);
        if (done + 1) % 20 == 0 {
            let left = began.elapsed().as_secs_f64() / (done + 1) as f64 * (order.len() - done - 1) as f64;
            eprintln!("{} of {} images, {left:.0} s left", done + 1, order.len());
        }
    }
    Ok(tally.finish(&set))
}

/// The image on the screen.
struct Shown {
    handed: Timestamp,
    /// When it was frozen on the screen; the operator's time counts from then.
    begun: Option<Timestamp>,
    /// What the model or its old mask proposes has been taken, or is not awaited any more.
    is_proposed: bool,
    /// Suggestions of the model before this image, and when the one for it was answered.
    suggestions_before: u64,
    answered: Option<Timestamp>,
    score: Option<f32>,
    /// The last edit that was not the operator's.
    base: Revision,
    /// The last edit, and when it was seen.
    edited: (Revision, Timestamp),
    /// When it was accepted; the last outline is awaited.
    accepted: Option<Timestamp>,
}

/// Labelling on a screen.
struct Labelling {
    set: LabelSet,
    order: Vec<usize>,
    at: usize,
    display_loop: DisplayLoop<Displays>,
    script: Option<Script>,
    begun: Timestamp,
    /// Images that were shown so far: the script's frames.
    visits: u64,
    shown: Option<Shown>,
    suggests: bool,
    said: (SaveTold, Timestamp),
    tally: Tally,
}

impl Labelling {
    fn open(
        a: &LabelArguments,
        set: LabelSet,
        order: Vec<usize>,
        live: Live,
        profile: &Profile,
        suggests: bool,
    ) -> Result<Self> {
        let script = a.taps.as_deref().map(Script::load).transpose()?;
        if profile.display.kind == DisplayKind::None && script.is_none() {
            bail!("--display: expected window or remote, or a script as --taps, got neither");
        }
        let mut displays = Displays::open(profile, None)?;
        let layout = LayoutConfig {
            has_exam: true,
            is_list: true,
            handedness: match profile.display.kind {
                DisplayKind::Remote => Handedness::Elsewhere,
                _ => profile.handedness(),
            },
            ..LayoutConfig::default()
        };
        let screen = Screen::new(ScreenConfig {
            size: displays.size(),
            dpi: a.dpi.unwrap_or(displays.dpi()),
            layout,
            pointer: if displays.is_window() { Pointer::Mouse } else { Pointer::Gloves },
            desk: DeskConfig { ask_after: None, presets: Vec::new() },
            ..ScreenConfig::default()
        })
        .context("--size, --dpi")?;
        displays.set_exam(true);
        let wanted = Wanted::parse(&a.display)?;
        let size = displays.size();
        displays.begin_recordings(&wanted, size)?;
        let is_window = displays.is_window();
        match displays.tablets() {
            Some(tablets) => tablets.open_pairing().map(drop).context("--display remote")?,
            None if is_window => say(format!(
                "Key s or Save accepts, the right arrow skips, the left one goes back. {}.",
                displays::KEYS
            ))?,
            None => {}
        }
        let mut display_loop = DisplayLoop::new(live, screen, displays);
        display_loop.show_list();
        let begun = display_loop.live().clock().now();
        Ok(Self {
            set,
            order,
            at: 0,
            display_loop,
            script,
            begun,
            visits: 0,
            shown: None,
            suggests,
            said: (SaveTold::Idle, begun),
            tally: Tally::default(),
        })
    }

    fn run(mut self) -> Result<LabelReport> {
        let is_stopped = stop_flag()?;
        self.run_until(&is_stopped)?;
        let Self { set, tally, display_loop, .. } = self;
        let (_, _, mut displays) = display_loop.into_parts();
        displays.finish()?;
        Ok(tally.finish(&set))
    }

    /// Shows images until all were, the display is closed, the script is at its end, or a signal comes.
    fn run_until(&mut self, is_stopped: &AtomicBool) -> Result<()> {
        while self.at < self.order.len() && !is_stopped.load(Ordering::Acquire) {
            let now = self.display_loop.live().clock().now();
            if self.display_loop.obey_operator()? == Presence::Closed {
                return Ok(());
            }
            self.obey_script(now);
            self.turn(now)?;
            self.tell(now);
            self.display_loop.show()?;
            let is_script_over = self.script.as_ref().is_some_and(Script::is_finished);
            let is_watched = self.display_loop.display_mut().is_looked_at();
            if is_script_over && !is_watched && self.shown.as_ref().is_some_and(|s| s.accepted.is_none()) {
                return Ok(());
            }
            self.display_loop.wait();
        }
        Ok(())
    }

    /// Steps of a script wait until the image is shown and its outline is there: a script does not depend on the machine's speed.
    fn obey_script(&mut self, now: Timestamp) {
        let is_open = self.shown.as_ref().is_some_and(|s| s.is_proposed && s.accepted.is_none());
        let is_ready = is_open && self.is_settled(now);
        let Some(script) = self.script.as_mut().filter(|_| is_ready) else { return };
        let mut due = Vec::new();
        script.due(now.since(self.begun), self.visits, &mut due);
        for action in due {
            let shown = self.display_loop.live().on_screen();
            self.display_loop.command(action.command(shown));
        }
    }

    /// Whether every object has its last outline, or has been waited for long enough since the last edit.
    fn is_settled(&mut self, now: Timestamp) -> bool {
        let engine = self.display_loop.live().engine();
        let (revision, is_settled) = (engine.revision(), engine.is_settled());
        let Some(shown) = &mut self.shown else { return false };
        if shown.edited.0 != revision {
            shown.edited = (revision, now);
        }
        is_settled || now.since(shown.edited.1) > SETTLED_WITHIN
    }

    fn turn(&mut self, now: Timestamp) -> Result<()> {
        let steps = self.display_loop.take_steps();
        let is_accepted = self.display_loop.live_mut().take_save_request().still;
        let Some(shown) = &mut self.shown else { return self.open_image(now) };
        let Some(begun) = shown.begun else { return self.freeze(now) };
        if steps > 0 {
            let effort = self.effort(now, begun);
            let at = self.order[self.at];
            if !self.set.is_labelled(at) {
                self.set.note(at, Labelled::Skipped, effort)?;
                self.tally.count(Labelled::Skipped, &effort);
            }
            self.go(1);
            return Ok(());
        }
        if steps < 0 {
            self.go(-1);
            return Ok(());
        }
        if is_accepted {
            shown.accepted.get_or_insert(now);
            shown.is_proposed = true;
        }
        if !shown.is_proposed {
            self.take_proposal(now);
        }
        match self.shown.as_ref().and_then(|s| s.accepted) {
            Some(since) if self.is_settled(now) || now.since(since) > SETTLED_WITHIN => self.accept(now, begun),
            _ => Ok(()),
        }
    }

    /// Hands the image to the live path, as the first of an exam: nothing of the one before stays.
    fn open_image(&mut self, now: Timestamp) -> Result<()> {
        let at = self.order[self.at];
        let frame = match self.set.pictures[at].load() {
            Ok(frame) => frame,
            Err(e) => {
                log::warn!("{e:#}");
                let effort = Effort { edits: 0, seconds: 0.0, score: None };
                self.set.note(at, Labelled::Unreadable, effort)?;
                self.tally.count(Labelled::Unreadable, &effort);
                self.order.remove(self.at);
                return Ok(());
            }
        };
        self.display_loop.new_exam();
        let live = self.display_loop.live_mut();
        let pixels = Pixels::dense(frame.width(), frame.height(), frame.format(), frame.pixels());
        live.input().push(&pixels, CaptureTime::Now, None)?;
        self.visits += 1;
        self.shown = Some(Shown {
            handed: now,
            begun: None,
            is_proposed: false,
            suggestions_before: live.report().suggest.count,
            answered: None,
            score: None,
            base: live.engine().revision(),
            edited: (live.engine().revision(), now),
            accepted: None,
        });
        Ok(())
    }

    /// Freezes the image once it is shown.
    fn freeze(&mut self, now: Timestamp) -> Result<()> {
        let Some(shown) = &mut self.shown else { return Ok(()) };
        let live = self.display_loop.live_mut();
        if live.engine().shown().is_some() && live.is_idle() {
            live.command(Command::Freeze, now);
        }
        if live.engine().session().mode() != Mode::Live {
            shown.begun = Some(now);
        } else if now.since(shown.handed) > SHOWN_WITHIN {
            // It was too late to be shown.
            self.visits -= 1;
            self.shown = None;
        }
        Ok(())
    }

    /// Boxes the mask that the image has, or what the model suggests; what the operator does first comes first.
    fn take_proposal(&mut self, now: Timestamp) {
        let Some(shown) = &mut self.shown else { return };
        let live = self.display_loop.live_mut();
        let begun = shown.begun.unwrap_or(now);
        let engine = live.engine();
        let region = engine.shown().map(|f| f.region().rect).unwrap_or_default();
        let known = self.set.mask_bounds(self.order[self.at]);
        let suggestion = engine.scene().suggestion.as_ref();
        let suggested = suggestion.filter(|s| known.is_none() && s.overlay == Overlay::Exact);
        shown.score = suggested.map(|s| s.score.get());
        let bounds = known.or_else(|| suggested.and_then(|s| s.outline.bounds()));
        let is_operator_first = engine.revision() != shown.base;
        if live.report().suggest.count > shown.suggestions_before {
            shown.answered.get_or_insert(now);
        }
        let is_in_vain = !self.suggests
            || now.since(begun) > PROPOSED_WITHIN
            || shown.answered.is_some_and(|answered| now.since(answered) > IN_SCENE_WITHIN);
        match bounds.and_then(|bounds| prompt_box(&bounds, &region)).filter(|_| !is_operator_first) {
            Some(rect) => {
                let frame = live.engine().shown().and_then(|f| f.id());
                live.command(Command::BoxPrompt { rect, shown: frame }, now);
                shown.base = live.engine().revision();
                shown.is_proposed = true;
            }
            None => shown.is_proposed = is_operator_first || is_in_vain,
        }
    }

    fn effort(&self, now: Timestamp, begun: Timestamp) -> Effort {
        let revision = self.display_loop.live().engine().revision();
        let shown = self.shown.as_ref();
        Effort {
            edits: revision.0 - shown.map_or(revision.0, |s| s.base.0),
            seconds: now.since(begun).as_secs_f64(),
            score: shown.and_then(|s| s.score),
        }
    }

    /// Keeps the outline and goes on, or says why not.
    fn accept(&mut self, now: Timestamp, begun: Timestamp) -> Result<()> {
        let at = self.order[self.at];
        let effort = self.effort(now, begun);
        if effort.edits == 0 && self.set.is_labelled(at) {
            self.set.note(at, Labelled::Kept, effort)?;
            return self.done(now, Labelled::Kept, &effort);
        }
        let Some(mask) = self.mask() else {
            self.shown.iter_mut().for_each(|s| s.accepted = None);
            log::warn!("{}: nothing is outlined; a step forward skips it", self.set.pictures[at].name);
            self.said = (SaveTold::Failed(Trouble::Other), now);
            return Ok(());
        };
        match self.set.keep(at, &mask, Labelled::Accepted, effort) {
            Ok(()) => self.done(now, Labelled::Accepted, &effort),
            // What is on the screen stays there: the operator may make room and accept it again.
            Err(e) => {
                log::error!("{e:#}");
                self.shown.iter_mut().for_each(|s| s.accepted = None);
                self.said = (SaveTold::Failed(Trouble::Disk), now);
                Ok(())
            }
        }
    }

    fn done(&mut self, now: Timestamp, labelled: Labelled, effort: &Effort) -> Result<()> {
        self.tally.count(labelled, effort);
        self.said = (SaveTold::Saved(u32::try_from(self.set.len()).unwrap_or(u32::MAX)), now);
        self.go(1);
        Ok(())
    }

    /// All outlines of the frozen image together; `None` without one that was computed from it.
    fn mask(&self) -> Option<Bitmap> {
        let engine = self.display_loop.live().engine();
        let frame = engine.shown()?;
        let mut all = Bitmap::new(frame.width(), frame.height());
        for id in (0..ObjectId::MAX as u8).map(ObjectId) {
            let object = engine.object(id)?;
            let overlay = object.overlay_still(frame.id(), engine.session().prompts().object_revision(id));
            let Some(grid) = object.carried().filter(|_| overlay == Overlay::Exact) else { continue };
            let mask = grid.to_bitmap(frame.width(), frame.height());
            let inside = |(x, y): &(u32, u32)| mask.get(*x, *y);
            let pixels = (0..frame.height()).flat_map(|y| (0..frame.width()).map(move |x| (x, y)));
            pixels.filter(inside).for_each(|(x, y)| all.set(x, y, true));
        }
        (all.area_px() > 0).then_some(all)
    }

    fn go(&mut self, by: isize) {
        self.at = self.at.saturating_add_signed(by);
        self.shown = None;
    }

    /// Which image it is stands where an exam's patient would; what became of the mask on the control that saves.
    fn tell(&mut self, now: Timestamp) {
        let saving = if now.since(self.said.1) < SAID_FOR { self.said.0 } else { SaveTold::Idle };
        let name = self.order.get(self.at).map_or("", |&at| self.set.pictures[at].short_name());
        let words: String = format!("{}/{} {name}", self.at + 1, self.order.len()).chars().take(64).collect();
        let told = ExamTold { patient: Identity::new(&words), saving, ..ExamTold::default() };
        if let Some(desk) = self.display_loop.screen_mut().desk_mut() {
            while desk.take_request().is_some() {}
            desk.tell(told);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_between_the_middle_two() {
        assert_eq!(median(&mut []), None);
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 9.0]), Some(3.0));
    }
}
