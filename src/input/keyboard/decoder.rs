//! Key events of one device to commands and scans.

use std::fmt;
use std::time::Duration;

use super::keymap::{ENDS, SHIFT, character_of, code_of};
use super::{KeyAction, KeyboardProfile};
use crate::scene::Tool;
use crate::session::Command;
use crate::units::Timestamp;

/// A key that is held so long is held.
pub const HOLD: Duration = Duration::from_millis(600);
/// A scanner types faster: what came before is of another scan.
const SCAN_PAUSE: Duration = Duration::from_millis(1_000);
/// After Enter a scan is over when nothing follows for so long: a code may have several lines.
const LINE_PAUSE: Duration = Duration::from_millis(150);
/// Characters of a scan at most; a longer one is none.
const SCAN_MAX: usize = 512;

/// What was scanned, its lines separated by `\n`. `Debug` shows nothing of it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Scan(String);

impl Scan {
    /// Its characters.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Scan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scan(not shown)")
    }
}

/// What a device says.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyPress {
    /// A control was pressed.
    Command(Command),
    /// Something was scanned.
    Scanned(Scan),
}

/// Turns key events of one device into what they mean.
#[derive(Clone, Debug)]
pub struct Decoder {
    actions: Vec<(u16, KeyAction)>,
    is_scanner: bool,
    text: Scan,
    is_too_long: bool,
    last: Timestamp,
    is_shifted: [bool; 2],
    /// Save is down since then, and the cine was not asked for yet.
    save_down: Option<Timestamp>,
}

impl Decoder {
    /// Of a device of the profile.
    pub fn new(profile: &KeyboardProfile) -> Self {
        let actions = profile.keys.iter().filter_map(|(name, action)| Some((code_of(name)?, *action)));
        Self {
            actions: actions.collect(),
            is_scanner: profile.scanner,
            text: Scan(String::with_capacity(SCAN_MAX)),
            is_too_long: false,
            last: Timestamp::START,
            is_shifted: [false; 2],
            save_down: None,
        }
    }

    /// Takes a key event: the key went down, or up.
    pub fn push(&mut self, code: u16, is_down: bool, now: Timestamp, out: &mut Vec<KeyPress>) {
        self.tick(now, out);
        if let Some(side) = SHIFT.iter().position(|shift| *shift == code) {
            self.is_shifted[side] = is_down;
        }
        if self.is_scanner {
            if is_down {
                self.scan(code, now);
            }
            return;
        }
        let Some(action) = self.actions.iter().find(|(key, _)| *key == code).map(|(_, action)| *action) else { return };
        match (action, is_down) {
            (KeyAction::Save, true) => self.save_down = Some(now),
            (KeyAction::Save, false) => {
                let pressed = self.save_down.take().map(|_| KeyPress::Command(Command::SaveStill));
                out.extend(pressed);
            }
            (action, true) => out.push(KeyPress::Command(command_of(action))),
            (_, false) => {}
        }
    }

    /// Advances time: a key that stays down is held.
    pub fn tick(&mut self, now: Timestamp, out: &mut Vec<KeyPress>) {
        if self.save_down.is_some_and(|since| now.since(since) >= HOLD) {
            self.save_down = None;
            out.push(KeyPress::Command(Command::SaveCine));
        }
        if self.text.0.ends_with('\n') && now.since(self.last) >= LINE_PAUSE {
            self.end_scan(out);
        }
    }

    fn end_scan(&mut self, out: &mut Vec<KeyPress>) {
        let mut text = std::mem::replace(&mut self.text, Scan(String::with_capacity(SCAN_MAX)));
        text.0.truncate(text.0.trim_end().len());
        if !self.is_too_long && !text.0.is_empty() {
            out.push(KeyPress::Scanned(text));
        }
        self.is_too_long = false;
    }

    /// The device went away: what was begun with it is not done.
    pub fn reset(&mut self) {
        self.text.0.clear();
        (self.is_too_long, self.is_shifted, self.save_down) = (false, [false; 2], None);
    }

    fn scan(&mut self, code: u16, now: Timestamp) {
        if now.since(self.last) > SCAN_PAUSE {
            self.text.0.clear();
            self.is_too_long = false;
        }
        self.last = now;
        let typed = if ENDS.contains(&code) { Some('\n') } else { character_of(code, self.is_shifted.contains(&true)) };
        if let Some(c) = typed {
            self.is_too_long |= self.text.0.len() >= SCAN_MAX;
            match (self.is_too_long, c) {
                (false, c) => self.text.0.push(c),
                // Kept as its end, so that it is known to be over.
                (true, '\n') if !self.text.0.ends_with('\n') => self.text.0.push('\n'),
                (true, _) => {}
            }
        }
    }
}

fn command_of(action: KeyAction) -> Command {
    match action {
        KeyAction::Save | KeyAction::SaveStill => Command::SaveStill,
        KeyAction::SaveCine => Command::SaveCine,
        KeyAction::Freeze => Command::ToggleFreeze,
        KeyAction::Undo => Command::Undo,
        KeyAction::Redo => Command::Redo,
        KeyAction::Clear => Command::Clear,
        KeyAction::NewObject => Command::NewObject,
        KeyAction::Include => Command::ChooseTool(Tool::Include),
        KeyAction::Exclude => Command::ChooseTool(Tool::Exclude),
        KeyAction::Fill => Command::CycleFill,
        KeyAction::StepBack => Command::StepBack,
        KeyAction::StepForward => Command::StepForward,
        KeyAction::Exam => Command::ShowExam,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_ms(10_000 + ms)
    }

    fn decoder(keys: &[(&str, KeyAction)], scanner: bool) -> Decoder {
        let keys = keys.iter().map(|(name, action)| (name.to_string(), *action)).collect();
        Decoder::new(&KeyboardProfile { keys, scanner, ..KeyboardProfile::default() })
    }

    #[test]
    fn a_pedal_that_is_pressed_saves_a_still_and_held_the_cine_once() {
        let mut pedal = decoder(&[("F1", KeyAction::Save), ("F2", KeyAction::Freeze)], false);
        let mut out = Vec::new();
        for (code, is_down, ms) in
            [(59, true, 0), (59, false, 200), (60, true, 300), (60, false, 1_500), (33, true, 1_600)]
        {
            pedal.push(code, is_down, at(ms), &mut out);
        }
        assert_eq!(out, [Command::SaveStill, Command::ToggleFreeze].map(KeyPress::Command));
        out.clear();
        pedal.push(59, true, at(2_000), &mut out);
        pedal.tick(at(2_599), &mut out);
        assert!(out.is_empty());
        pedal.tick(at(2_600), &mut out);
        pedal.tick(at(9_000), &mut out);
        pedal.push(59, false, at(9_001), &mut out);
        assert_eq!(out, [KeyPress::Command(Command::SaveCine)]);
        // What was begun with a pedal that is unplugged is not done.
        pedal.push(59, true, at(9_100), &mut out);
        pedal.reset();
        pedal.tick(at(20_000), &mut out);
        assert_eq!(out.len(), 1);
    }

    fn type_in(scanner: &mut Decoder, text: &str, from_ms: u64) -> Vec<String> {
        let mut out = Vec::new();
        for (i, c) in text.chars().enumerate() {
            let now = at(from_ms + i as u64 * 5);
            let code = if c == '\n' { 28 } else { code_of(&c.to_string()).unwrap() };
            scanner.push(42, c.is_uppercase(), now, &mut out);
            scanner.push(code, true, now, &mut out);
            scanner.push(code, false, now, &mut out);
        }
        scanner.tick(at(from_ms + text.len() as u64 * 5 + 150), &mut out);
        let text = |press: KeyPress| match press {
            KeyPress::Scanned(scan) => scan.reveal().to_owned(),
            other => panic!("{other:?}"),
        };
        out.into_iter().map(text).collect()
    }

    #[test]
    fn a_scan_is_what_was_typed_up_to_a_pause_after_enter_and_presses_nothing() {
        let mut scanner = decoder(&[("s", KeyAction::Save)], true);
        assert_eq!(type_in(&mut scanner, "Id-4711s\n", 0), ["Id-4711s"]);
        assert_eq!(type_in(&mut scanner, "\n\n", 1_000), [""; 0]);
        // A code of two lines is one scan.
        assert_eq!(type_in(&mut scanner, "Doe\n4711\n", 2_000), ["Doe\n4711"]);
        // Half a scan, and seconds later another.
        assert_eq!(type_in(&mut scanner, "47", 4_000), [""; 0]);
        assert_eq!(type_in(&mut scanner, "0815\n", 8_000), ["0815"]);
        // What is too long is none, and the next one is whole.
        assert_eq!(type_in(&mut scanner, &format!("{}\n", "4".repeat(SCAN_MAX + 1)), 20_000), [""; 0]);
        assert_eq!(type_in(&mut scanner, "0815\n", 40_000), ["0815"]);
        assert!(!format!("{:?}", KeyPress::Scanned(Scan("4711".into()))).contains("4711"));
    }
}
