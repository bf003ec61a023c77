//! The taps file: an operator's actions as text, so that a run can be repeated.
//!
//! A TOML file of `[[step]]` sections, executed in the order of the file. Each has one time and one action.
//!
//! ```toml
//! [[step]]
//! at_ms = 500            # since the start; or:
//! frame = 15             # the 15th frame shown, counted from 1
//!
//! tap = [212.0, 140.0]   # x to the right, y down, image px; or:
//! box = [180.0, 100.0, 260.0, 190.0]   # left, top, right, bottom, image px; or:
//! press = "freeze"       # a control; or:
//! scrub = 0.25           # a place in the cine ring, 0 the oldest, 1 the newest frame; or:
//! select = 2             # an object, counted from 1
//!
//! label = "include"      # beside tap only: "include" or "exclude"; without it "include"
//! ```
//!
//! Controls: `freeze`, `unfreeze`, `undo`, `redo`, `clear`, `new-object`, `step-back`, `step-forward`, `fill`, `include`,
//! `exclude`, `next-candidate`, `hide`, `show`, `save`, `save-cine`; while frozen `measure`, which opens and leaves measuring by
//! hand, and on its pages `more`, `distance`, `ellipse`, `trace`, `delete`, `keep`, `forget`, `plane-1`, `plane-2`, `view`,
//! `longer`, `shorter`, `set-scale`, `drop-scale`: taps then are for them.
//!
//! A step is due when its time has come and all steps before it are done, so times of one kind must not decrease. The
//! file is strict: an unknown key is an error with its line and the nearest valid key, and so is an impossible value. A
//! file has at most [`Script::BYTES_MAX`] bytes.
//!
//! ```
//! use sonotap::input::script::{Script, ScriptAction};
//! use std::time::Duration;
//!
//! let mut script = Script::parse("[[step]]\nat_ms = 500\npress = \"freeze\"\n", "taps.toml")?;
//! let mut due = Vec::new();
//! script.due(Duration::from_millis(499), 15, &mut due);
//! assert!(due.is_empty());
//! script.due(Duration::from_millis(500), 16, &mut due);
//! assert!(matches!(due[..], [ScriptAction::Press(_)]) && script.is_finished());
//! # Ok::<(), sonotap::error::Error>(())
//! ```

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::calipers::kept::Which;
use crate::calipers::{CaliperCommand, CaliperTool};
use crate::error::{Error, ErrorKind, Result};
use crate::geometry::{ImageSpace, Point, Rect};
use crate::prompt::Polarity;
use crate::scene::Tool;
use crate::session::Command;
use crate::text_file::{self, nearest};
use crate::units::{FrameId, ObjectId};

/// Name of the format, for errors.
const WHAT: &str = "a taps file";
const WHEN_KEYS: [&str; 2] = ["at_ms", "frame"];
const ACTION_KEYS: [&str; 5] = ["tap", "box", "press", "scrub", "select"];
const STEP_KEYS: [&str; 8] = ["at_ms", "frame", "tap", "label", "box", "press", "scrub", "select"];
const LABELS: [&str; 2] = ["include", "exclude"];
const CONTROLS: [(&str, Command); 31] = [
    ("freeze", Command::Freeze),
    ("unfreeze", Command::Unfreeze),
    ("undo", Command::Undo),
    ("redo", Command::Redo),
    ("clear", Command::Clear),
    ("new-object", Command::NewObject),
    ("step-back", Command::StepBack),
    ("step-forward", Command::StepForward),
    ("fill", Command::CycleFill),
    ("include", Command::ChooseTool(Tool::Include)),
    ("exclude", Command::ChooseTool(Tool::Exclude)),
    ("next-candidate", Command::NextCandidate),
    ("hide", Command::HideOverlay(true)),
    ("show", Command::HideOverlay(false)),
    ("save", Command::SaveStill),
    ("save-cine", Command::SaveCine),
    ("measure", Command::Calipers(CaliperCommand::Toggle)),
    ("more", Command::Calipers(CaliperCommand::NextPage)),
    ("distance", Command::Calipers(CaliperCommand::Choose(CaliperTool::Distance))),
    ("ellipse", Command::Calipers(CaliperCommand::Choose(CaliperTool::Ellipse))),
    ("trace", Command::Calipers(CaliperCommand::Trace)),
    ("delete", Command::Calipers(CaliperCommand::Delete)),
    ("keep", Command::Calipers(CaliperCommand::Keep)),
    ("forget", Command::Calipers(CaliperCommand::Forget)),
    ("plane-1", Command::Calipers(CaliperCommand::Plane(Which::First))),
    ("plane-2", Command::Calipers(CaliperCommand::Plane(Which::Second))),
    ("view", Command::Calipers(CaliperCommand::NextView)),
    ("longer", Command::Calipers(CaliperCommand::Longer)),
    ("shorter", Command::Calipers(CaliperCommand::Shorter)),
    ("set-scale", Command::Calipers(CaliperCommand::SetScale)),
    ("drop-scale", Command::Calipers(CaliperCommand::DropScale)),
];

/// A day.
const AT_MS_MAX: f64 = 86_400_000.0;
/// Largest frame number, 2^53: f64 holds every whole number up to it exactly.
const FRAME_MAX: f64 = 9_007_199_254_740_992.0;

/// The action of a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum ScriptAction {
    /// A tap on the image.
    Tap {
        /// Where, image px of the frame shown.
        at: Point<ImageSpace>,
        /// Included or excluded.
        polarity: Polarity,
    },
    /// A box on the image, image px of the frame shown.
    Box(Rect<ImageSpace>),
    /// A control: a command without a place.
    Press(Command),
}

impl ScriptAction {
    /// The command for the session; `shown` is the frame on the screen when the step was due.
    pub fn command(self, shown: Option<FrameId>) -> Command {
        match self {
            Self::Tap { at, polarity } => Command::Click { at, polarity: Some(polarity), shown },
            Self::Box(rect) => Command::BoxPrompt { rect, shown },
            Self::Press(command) => command,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
enum When {
    At(Duration),
    Frame(u64),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Step {
    line: usize,
    when: When,
    action: ScriptAction,
}

/// A parsed taps file and its progress.
#[derive(Clone, Debug, PartialEq)]
pub struct Script {
    place: String,
    steps: Vec<Step>,
    done: usize,
}

impl Script {
    /// Largest file, bytes: some ten thousand steps.
    pub const BYTES_MAX: usize = 1 << 20;

    /// Reads a taps file.
    ///
    /// # Errors
    /// `Io` if it cannot be read, `Format` if it is not UTF-8, and those of [`Self::parse`].
    pub fn load(path: &Path) -> Result<Self> {
        let text = text_file::read(path, WHAT, Self::BYTES_MAX)?;
        Self::parse(&text, &path.display().to_string())
    }

    /// Parses the text of a taps file; errors begin with `place`.
    ///
    /// # Errors
    /// `Config`, with the line, for anything that the format does not allow.
    pub fn parse(text: &str, place: &str) -> Result<Self> {
        text_file::check_size(text.len(), place, WHAT, Self::BYTES_MAX)?;
        let reader = Reader { text, place };
        let table = DeTable::parse(text)
            .map_err(|e| reader.error(e.span().map_or(0, |span| span.start), e.message().to_owned()))?;
        Ok(Self { place: place.to_owned(), steps: reader.steps(table.get_ref())?, done: 0 })
    }

    /// Checks that all taps and boxes are on an image of that size, image px.
    ///
    /// # Errors
    /// `Config`, naming the first step that is not.
    pub fn check_against(&self, width: u32, height: u32) -> Result<()> {
        let (w, h) = (width as f32, height as f32);
        for (i, step) in self.steps.iter().enumerate() {
            let got = match step.action {
                ScriptAction::Tap { at, .. } if !Rect::new(0.0, 0.0, w, h).contains(at) => {
                    format!("tap at 0 <= x < {width}, 0 <= y < {height}, got [{}, {}]", at.x, at.y)
                }
                ScriptAction::Box(r) if !(r.x0 >= 0.0 && r.y0 >= 0.0 && r.x1 <= w && r.y1 <= h) => {
                    let corners = format!("[{}, {}, {}, {}]", r.x0, r.y0, r.x1, r.y1);
                    format!("box within [0, 0, {width}, {height}], got {corners}")
                }
                _ => continue,
            };
            let message = format!("{}: line {}, step {}: expected a {got}", self.place, step.line, i + 1);
            return Err(Error::new(ErrorKind::Config, message));
        }
        Ok(())
    }

    /// Appends the due actions, each once, in the order of the file: `elapsed` is the time since the start, `frame_no`
    /// the number of the source's frame on the screen, from 1.
    pub fn due(&mut self, elapsed: Duration, frame_no: u64, out: &mut Vec<ScriptAction>) {
        while let Some(step) = self.steps.get(self.done) {
            let is_due = match step.when {
                When::At(time) => time <= elapsed,
                When::Frame(number) => number <= frame_no,
            };
            if !is_due {
                return;
            }
            out.push(step.action);
            self.done += 1;
        }
    }

    /// Starts over with the first step.
    pub fn rewind(&mut self) {
        self.done = 0;
    }

    /// Whether all steps are done.
    pub fn is_finished(&self) -> bool {
        self.done == self.steps.len()
    }

    /// Number of steps; at least one.
    #[allow(clippy::len_without_is_empty, reason = "a script without steps cannot be made")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }
}

/// The text, and its name for errors.
struct Reader<'a> {
    text: &'a str,
    place: &'a str,
}

type Value<'a> = Spanned<DeValue<'a>>;

impl Reader<'_> {
    fn steps(&self, file: &DeTable<'_>) -> Result<Vec<Step>> {
        self.check_keys(file, &["step"], "key")?;
        let Some((key, value)) = file.iter().next() else {
            return Err(self.error(0, "expected at least one [[step]], got none".into()));
        };
        let Some(sections) = value.get_ref().as_array() else {
            let message = format!("expected [[step]] sections, got one {}", value.get_ref().type_str());
            return Err(self.error(key.span().start, message));
        };
        let mut steps: Vec<Step> = Vec::with_capacity(sections.len());
        for (i, section) in sections.iter().enumerate() {
            let line = self.line(section.span().start);
            let in_step = |e: StepError| self.error_in(i, e);
            let step = self.step(section, line).map_err(in_step)?;
            let same_kind = |s: &&Step| std::mem::discriminant(&s.when) == std::mem::discriminant(&step.when);
            if let Some(before) = steps.iter().rev().find(same_kind).filter(|before| step.when < before.when) {
                let message = format!("expected a time not before that of line {}, got an earlier one", before.line);
                return Err(in_step((section.span().start, message)));
            }
            steps.push(step);
        }
        if steps.is_empty() {
            return Err(self.error(key.span().start, "expected at least one [[step]], got none".into()));
        }
        Ok(steps)
    }

    fn step(&self, section: &Value<'_>, line: usize) -> Result<Step, StepError> {
        let start = section.span().start;
        let Some(table) = section.get_ref().as_table() else {
            return Err((start, format!("expected a section, got {}", section.get_ref().type_str())));
        };
        unknown_key(table, &STEP_KEYS).map_or(Ok(()), |(at, key)| Err((at, unknown("key", key, &STEP_KEYS))))?;
        let when = match one_of(table, &WHEN_KEYS, start)? {
            ("at_ms", value) => When::At(Duration::from_nanos((number(value, "at_ms", 0.0, AT_MS_MAX)? * 1e6) as u64)),
            (_, value) => When::Frame(whole(value, "frame", FRAME_MAX)?),
        };
        let action = one_of(table, &ACTION_KEYS, start)?;
        let label = find(table, "label");
        if let Some((at, _)) = label.filter(|_| action.0 != "tap") {
            return Err((at, format!("expected label beside tap only, got it beside {}", action.0)));
        }
        Ok(Step { line, when, action: action_of(action, label.map(|(_, value)| value))? })
    }

    fn check_keys(&self, table: &DeTable<'_>, valid: &[&str], what: &str) -> Result<()> {
        unknown_key(table, valid).map_or(Ok(()), |(at, key)| Err(self.error(at, unknown(what, key, valid))))
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text.as_bytes()[..at.min(self.text.len())].iter().filter(|&&b| b == b'\n').count()
    }

    fn error(&self, at: usize, message: String) -> Error {
        Error::new(ErrorKind::Config, format!("{}: line {}: {message}", self.place, self.line(at)))
    }

    fn error_in(&self, step: usize, (at, message): StepError) -> Error {
        let line = self.line(at);
        Error::new(ErrorKind::Config, format!("{}: line {line}, step {}: {message}", self.place, step + 1))
    }
}

/// Byte offset in the text, and the message.
type StepError = (usize, String);

fn action_of((key, value): (&str, &Value<'_>), label: Option<&Value<'_>>) -> Result<ScriptAction, StepError> {
    Ok(match key {
        "tap" => {
            let [x, y] = numbers(value, "tap", "[x, y]")?;
            let is_excluded = label.map(|l| word(l, "label", &LABELS)).transpose()? == Some(1);
            let polarity = if is_excluded { Polarity::Negative } else { Polarity::Positive };
            ScriptAction::Tap { at: Point::new(x, y), polarity }
        }
        "box" => {
            let [x0, y0, x1, y1] = numbers(value, "box", "[left, top, right, bottom]")?;
            if !(x0 < x1 && y0 < y1) {
                let got = format!("[{x0}, {y0}, {x1}, {y1}]");
                return Err((
                    value.span().start,
                    format!("expected box with left < right and top < bottom, got {got}"),
                ));
            }
            ScriptAction::Box(Rect::new(x0, y0, x1, y1))
        }
        "press" => ScriptAction::Press(CONTROLS[word(value, "press", &CONTROLS.map(|(name, _)| name))?].1),
        "scrub" => ScriptAction::Press(Command::ScrubTo(number(value, "scrub", 0.0, 1.0)? as f32)),
        _ => {
            let counted = whole(value, "select", ObjectId::MAX as f64)?;
            ScriptAction::Press(Command::Select(ObjectId(counted as u8 - 1)))
        }
    })
}

fn find<'t, 'a>(table: &'t DeTable<'a>, key: &str) -> Option<(usize, &'t Value<'a>)> {
    table.iter().find(|(k, _)| k.get_ref() == key).map(|(k, value)| (k.span().start, value))
}

/// The only one of these keys that the section has.
fn one_of<'t, 'a, 'k>(
    table: &'t DeTable<'a>,
    keys: &[&'k str],
    start: usize,
) -> Result<(&'k str, &'t Value<'a>), StepError> {
    let mut present = keys.iter().filter_map(|&key| Some((key, find(table, key)?)));
    match (present.next(), present.next()) {
        (Some((key, (_, value))), None) => Ok((key, value)),
        (Some((a, _)), Some((b, (at, _)))) => {
            Err((at, format!("expected exactly one of {}, got {a} and {b}", keys.join(", "))))
        }
        (None, _) => Err((start, format!("expected exactly one of {}, got none", keys.join(", ")))),
    }
}

fn number(value: &Value<'_>, key: &str, least: f64, most: f64) -> Result<f64, StepError> {
    let got = match value.get_ref() {
        DeValue::Integer(i) => i64::from_str_radix(i.as_str(), i.radix()).ok().map(|i| i as f64),
        DeValue::Float(f) => f.as_str().parse::<f64>().ok(),
        other => return Err((value.span().start, format!("expected {key} to be a number, got {}", other.type_str()))),
    };
    let written = || match value.get_ref() {
        DeValue::Integer(i) => shortened(&i.to_string()),
        DeValue::Float(f) => shortened(f.as_str()),
        _ => String::new(),
    };
    got.filter(|v| (least..=most).contains(v))
        .ok_or_else(|| (value.span().start, format!("expected {key} between {least} and {most}, got {}", written())))
}

fn whole(value: &Value<'_>, key: &str, most: f64) -> Result<u64, StepError> {
    let got = number(value, key, 1.0, most)?;
    if got.fract() != 0.0 {
        return Err((value.span().start, format!("expected {key} to be a whole number, got {got}")));
    }
    Ok(got as u64)
}

/// Coordinates, image px; values beyond any image are refused like infinite ones.
fn numbers<const N: usize>(value: &Value<'_>, key: &str, shape: &str) -> Result<[f32; N], StepError> {
    let wrong = |got: String| (value.span().start, format!("expected {key} = {shape}, got {got}"));
    let array = value.get_ref().as_array().ok_or_else(|| wrong(value.get_ref().type_str().to_owned()))?;
    if array.len() != N {
        return Err(wrong(format!("{} values", array.len())));
    }
    let mut out = [0.0; N];
    for (to, from) in out.iter_mut().zip(array.iter()) {
        *to = number(from, &format!("{key}'s coordinates"), -1e6, 1e6)? as f32;
    }
    Ok(out)
}

/// Index of the word among the valid ones.
fn word(value: &Value<'_>, key: &str, valid: &[&str]) -> Result<usize, StepError> {
    let at = value.span().start;
    let Some(got) = value.get_ref().as_str() else {
        return Err((at, format!("expected {key} to be a word in quotes, got {}", value.get_ref().type_str())));
    };
    valid.iter().position(|&v| v == got).ok_or_else(|| (at, unknown(key, got, valid)))
}

/// The first key, in the order of the text, that is not valid.
fn unknown_key<'t>(table: &'t DeTable<'_>, valid: &[&str]) -> Option<(usize, &'t str)> {
    let keys = table.keys().map(|k| (k.span().start, k.get_ref().as_ref()));
    keys.filter(|(_, key)| !valid.contains(key)).min_by_key(|(at, _)| *at)
}

fn unknown(what: &str, got: &str, valid: &[&str]) -> String {
    let mut message = format!("unknown {what} \"{}\"", shortened(got));
    if let Some(near) = nearest(got, valid) {
        let _ = write!(message, ", the nearest is \"{near}\"");
    }
    let _ = write!(message, "; expected one of {}", valid.join(", "));
    message
}

/// A text of the file for an error message: one line, shortened.
fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = r#"
        [[step]]
        at_ms = 500
        tap = [212.0, 140]
        [[step]]
        frame = 15
        label = "exclude"
        tap = [10.5, 20.25]
        [[step]]
        at_ms = 900.5
        box = [1, 2, 30, 40]
        [[step]]
        at_ms = 900.5
        press = "freeze"
        [[step]]
        frame = 15
        scrub = 0.25
        [[step]]
        frame = 16
        select = 2
    "#;

    fn due(script: &mut Script, ms: u64, frame: u64) -> Vec<ScriptAction> {
        let mut out = Vec::new();
        script.due(Duration::from_millis(ms), frame, &mut out);
        out
    }

    #[test]
    fn steps_come_once_in_their_order_when_all_before_are_done() {
        let mut script = Script::parse(ALL, "taps.toml").unwrap();
        assert_eq!(script.len(), 6);
        for round in 0..2 {
            assert_eq!(due(&mut script, 499, 20), [], "round {round}: a frame's step overtook a time's");
            let tap = ScriptAction::Tap { at: Point::new(212.0, 140.0), polarity: Polarity::Positive };
            assert_eq!(due(&mut script, 500, 1), [tap]);
            assert_eq!(due(&mut script, 2000, 14), []);
            assert!(!script.is_finished());
            assert_eq!(
                due(&mut script, 2000, 99),
                [
                    ScriptAction::Tap { at: Point::new(10.5, 20.25), polarity: Polarity::Negative },
                    ScriptAction::Box(Rect::new(1.0, 2.0, 30.0, 40.0)),
                    ScriptAction::Press(Command::Freeze),
                    ScriptAction::Press(Command::ScrubTo(0.25)),
                    ScriptAction::Press(Command::Select(ObjectId(1))),
                ]
            );
            assert!(script.is_finished());
            assert_eq!(due(&mut script, 9000, 999), []);
            script.rewind();
        }
    }

    #[test]
    fn actions_become_commands_about_the_frame_shown() {
        let (at, rect, shown) = (Point::new(1.0, 2.0), Rect::new(1.0, 2.0, 3.0, 4.0), Some(FrameId(7)));
        let polarity = Polarity::Negative;
        for (action, command) in [
            (ScriptAction::Tap { at, polarity }, Command::Click { at, polarity: Some(polarity), shown }),
            (ScriptAction::Box(rect), Command::BoxPrompt { rect, shown }),
            (ScriptAction::Press(Command::Undo), Command::Undo),
        ] {
            assert_eq!(action.command(shown), command);
        }
    }

    #[test]
    fn every_control_can_be_pressed() {
        for (name, command) in CONTROLS {
            let text = format!("[[step]]\nframe = 1\npress = \"{name}\"\n");
            let mut script = Script::parse(&text, "taps.toml").unwrap();
            assert_eq!(due(&mut script, 0, 1), [ScriptAction::Press(command)], "{name}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_line_and_step() {
        let step = |lines: &str| format!("# taps\n[[step]]\nat_ms = 5\n{lines}\n");
        let cases = [
            (
                step("tapp = [1, 2]"),
                "line 4, step 1: unknown key \"tapp\", the nearest is \"tap\"; expected one of at_ms,",
            ),
            (step("tap = [1, 2]\nframes = 3"), "line 5, step 1: unknown key \"frames\", the nearest is \"frame\""),
            (step("zap = [1, 2]\nabc = 3"), "line 4, step 1: unknown key \"zap\", the nearest is \"tap\""),
            (
                step("qqqqqqqqqqqqqq = 1"),
                "line 4, step 1: unknown key \"qqqqqqqqqqqqqq\"; expected one of at_ms, frame",
            ),
            (
                "[[steps]]\nframe = 1".into(),
                "line 1: unknown key \"steps\", the nearest is \"step\"; expected one of step",
            ),
            (String::new(), "line 1: expected at least one [[step]], got none"),
            ("step = []".into(), "line 1: expected at least one [[step]], got none"),
            ("[step]\nframe = 1".into(), "line 1: expected [[step]] sections, got one table"),
            ("step = [1]".into(), "line 1, step 1: expected a section, got integer"),
            (step("tap = [1, 2"), "line 4: "),
            (step("tap = [1, 2]\ntap = [1, 2]"), "line 5: duplicate key"),
            (step(""), "line 2, step 1: expected exactly one of tap, box, press, scrub, select, got none"),
            (
                step("tap = [1, 2]\npress = \"undo\""),
                "line 5, step 1: expected exactly one of tap, box, press, scrub, select, got tap and press",
            ),
            (
                step("frame = 2\ntap = [1, 2]"),
                "line 4, step 1: expected exactly one of at_ms, frame, got at_ms and frame",
            ),
            ("[[step]]\ntap = [1, 2]".into(), "line 1, step 1: expected exactly one of at_ms, frame, got none"),
            (step("tap = [1]"), "line 4, step 1: expected tap = [x, y], got 1 values"),
            (step("tap = 1"), "line 4, step 1: expected tap = [x, y], got integer"),
            (step("tap = [1, \"a\"]"), "line 4, step 1: expected tap's coordinates to be a number, got string"),
            (
                step("tap = [nan, 1]"),
                "line 4, step 1: expected tap's coordinates between -1000000 and 1000000, got nan",
            ),
            (step("tap = [1, -inf]"), "got -inf"),
            (step("tap = [1, 1e300]"), "got 1e300"),
            (step("tap = [1, 99999999999999999999]"), "got 99999999999999999999"),
            (
                step("tap = [1, 2]\nlabel = \"exlude\""),
                "line 5, step 1: unknown label \"exlude\", the nearest is \"exclude\"; expected one of include, exclude",
            ),
            (step("tap = [1, 2]\nlabel = 1"), "line 5, step 1: expected label to be a word in quotes, got integer"),
            (
                step("press = \"undo\"\nlabel = \"include\""),
                "line 5, step 1: expected label beside tap only, got it beside press",
            ),
            (step("box = [1, 2, 3]"), "expected box = [left, top, right, bottom], got 3 values"),
            (
                step("box = [9, 2, 3, 4]"),
                "line 4, step 1: expected box with left < right and top < bottom, got [9, 2, 3, 4]",
            ),
            (step("press = \"frezze\""), "line 4, step 1: unknown press \"frezze\", the nearest is \"freeze\""),
            (step("scrub = 1.01"), "line 4, step 1: expected scrub between 0 and 1, got 1.01"),
            (step("select = 0"), "line 4, step 1: expected select between 1 and 4, got 0"),
            (step("select = 1.5"), "line 4, step 1: expected select to be a whole number, got 1.5"),
            ("[[step]]\nframe = 0\npress = \"undo\"".into(), "line 2, step 1: expected frame between 1 and"),
            (
                "[[step]]\nat_ms = -1\npress = \"undo\"".into(),
                "line 2, step 1: expected at_ms between 0 and 86400000, got -1",
            ),
            ("[[step]]\nat_ms = nan\npress = \"undo\"".into(), "got nan"),
            (
                step("press = \"undo\"\n[[step]]\nframe = 9\npress = \"undo\"\n[[step]]\nat_ms = 4\npress = \"redo\""),
                "line 8, step 3: expected a time not before that of line 2, got an earlier one",
            ),
        ];
        for (text, expected) in &cases {
            let e = Script::parse(text, "taps.toml").expect_err(text);
            assert_eq!(e.kind(), ErrorKind::Config, "{text}");
            assert!(e.to_string().starts_with("taps.toml: line "), "{text}\n{e}");
            assert!(e.to_string().contains(expected), "{text}\n{e}\n{expected}");
        }
    }

    #[test]
    fn taps_and_boxes_off_the_image_are_named_with_their_step() {
        let script = |action: &str| {
            Script::parse(&format!("[[step]]\nframe = 1\npress = \"undo\"\n[[step]]\nframe = 2\n{action}\n"), "t.toml")
                .unwrap()
        };
        for good in ["tap = [0, 0]", "tap = [639.9, 479.9]", "box = [0, 0, 640, 480]"] {
            script(good).check_against(640, 480).unwrap();
        }
        for (bad, expected) in [
            ("tap = [640, 1]", "t.toml: line 4, step 2: expected a tap at 0 <= x < 640, 0 <= y < 480, got [640, 1]"),
            ("tap = [1, -0.5]", "t.toml: line 4, step 2: expected a tap at 0 <= x < 640, 0 <= y < 480, got [1, -0.5]"),
            (
                "box = [0, 0, 641, 9]",
                "t.toml: line 4, step 2: expected a box within [0, 0, 640, 480], got [0, 0, 641, 9]",
            ),
        ] {
            let e = script(bad).check_against(640, 480).unwrap_err();
            assert_eq!((e.to_string().as_str(), e.kind()), (expected, ErrorKind::Config));
        }
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        assert_eq!(Script::load(&write("good.toml", ALL.as_bytes())).unwrap().len(), 6);
        for (path, kind) in [
            (dir.path().join("missing.toml"), ErrorKind::Io),
            (dir.path().to_owned(), ErrorKind::Io),
            (write("latin1.toml", b"# \xe9\n"), ErrorKind::Format),
            (write("large.toml", &vec![b'\n'; Script::BYTES_MAX + 1]), ErrorKind::Config),
            (write("deep.toml", format!("step = {}", "[".repeat(100_000)).as_bytes()), ErrorKind::Config),
            (write("long.toml", format!("{} = 1", "k".repeat(1_000_000)).as_bytes()), ErrorKind::Config),
        ] {
            let e = Script::load(&path).unwrap_err();
            assert_eq!(e.kind(), kind, "{e}");
            assert!(e.to_string().starts_with(&path.display().to_string()), "{e}");
            assert!(e.to_string().len() < path.display().to_string().len() + 200, "{e}");
        }
    }
}
