//! Who may look, and who controls: pairing by a PIN or a token, sessions by a cookie, one controller.

use std::time::Duration;

use subtle::ConstantTimeEq;

/// Wrong answers until pairing closes.
pub(crate) const TRIES_MAX: u32 = 5;
/// A viewer without a stream for so long does not keep the control from one who asks.
const AWAY: Duration = Duration::from_secs(5);

/// Number of a paired viewer, from 1.
pub(crate) type ViewerId = u32;

/// A secret of 128 bits, as 32 hexadecimal digits.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// A new one.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes.iter().map(|b| format!("{b:02x}")).collect()))
    }

    /// Its digits.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// In a time that does not depend on where they differ.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

/// Pairing that is open.
struct Offer {
    pin: Secret,
    token: Secret,
    until: Duration,
    tries: u32,
}

/// A paired viewer.
struct Session {
    viewer: ViewerId,
    cookie: Secret,
    /// Whether its stream is open, and since when it is as it is.
    is_streaming: bool,
    since: Duration,
}

/// What a tablet says to be paired.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Claim<'a> {
    /// The token of the QR code.
    Token(&'a str),
    /// The digits on the device.
    Pin(&'a str),
}

/// Why a tablet is not paired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Pairing is not open, or its time is over.
    Closed,
    /// Another PIN or token; so many tries are left.
    Wrong(u32),
    /// As many viewers as may be.
    Full,
    /// The system has no randomness.
    NoRandomness,
}

/// Pairing, sessions and control. Times are spans since any fixed moment.
pub(crate) struct Access {
    offer: Option<Offer>,
    sessions: Vec<Session>,
    viewers_max: usize,
    viewers: ViewerId,
    controller: Option<ViewerId>,
    asking: Option<ViewerId>,
}

impl Access {
    /// Nobody is paired, pairing is closed.
    pub(crate) fn new(viewers_max: usize) -> Self {
        Self { offer: None, sessions: Vec::new(), viewers_max, viewers: 0, controller: None, asking: None }
    }

    /// Opens pairing for a while, with a new PIN and a new token.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub(crate) fn open(&mut self, now: Duration, length: Duration) -> Result<(String, String), getrandom::Error> {
        let token = Secret::new()?;
        let digits = u32::from_str_radix(&Secret::new()?.as_str()[..8], 16).unwrap_or(0) % 1_000_000;
        let pin = Secret(format!("{digits:06}"));
        let both = (pin.0.clone(), token.0.clone());
        self.offer = Some(Offer { pin, token, until: now + length, tries: TRIES_MAX });
        Ok(both)
    }

    /// Closes pairing.
    pub(crate) fn close(&mut self) {
        self.offer = None;
    }

    /// Whether a tablet can be paired now.
    pub(crate) fn is_open(&self, now: Duration) -> bool {
        self.offer.as_ref().is_some_and(|o| now < o.until)
    }

    /// Pairs a tablet and gives its cookie. The offer is used up by it, and by too many wrong answers.
    pub(crate) fn pair(&mut self, claim: Claim, now: Duration) -> Result<(ViewerId, String), Refusal> {
        if !self.is_open(now) {
            self.offer = None;
            return Err(Refusal::Closed);
        }
        let Some(offer) = self.offer.as_mut() else { return Err(Refusal::Closed) };
        let is_right = match claim {
            Claim::Token(token) => offer.token.is(token),
            Claim::Pin(pin) => offer.pin.is(pin),
        };
        if !is_right {
            offer.tries -= 1;
            let left = offer.tries;
            if left == 0 {
                self.offer = None;
            }
            return Err(Refusal::Wrong(left));
        }
        self.make_room();
        if self.sessions.len() >= self.viewers_max {
            return Err(Refusal::Full);
        }
        let cookie = Secret::new().map_err(|_| Refusal::NoRandomness)?;
        self.offer = None;
        self.viewers += 1;
        let text = cookie.0.clone();
        self.sessions.push(Session { viewer: self.viewers, cookie, is_streaming: false, since: now });
        self.controller.get_or_insert(self.viewers);
        Ok((self.viewers, text))
    }

    /// The session that has been without a stream for the longest goes, where all places are taken.
    fn make_room(&mut self) {
        if self.sessions.len() < self.viewers_max {
            return;
        }
        let idle = self.sessions.iter().enumerate().filter(|(_, s)| !s.is_streaming).min_by_key(|(_, s)| s.since);
        if let Some((at, _)) = idle {
            let gone = self.sessions.remove(at).viewer;
            self.controller = self.controller.filter(|c| *c != gone);
            self.asking = self.asking.filter(|a| *a != gone);
        }
    }

    /// The viewer of a cookie. Every session is compared, each in constant time.
    pub(crate) fn viewer(&self, cookie: &str) -> Option<ViewerId> {
        self.sessions.iter().fold(None, |found, s| if s.cookie.is(cookie) { Some(s.viewer) } else { found })
    }

    /// Whether anybody is paired.
    pub(crate) fn has_sessions(&self) -> bool {
        !self.sessions.is_empty()
    }

    /// A viewer's stream opens or ends.
    pub(crate) fn stream(&mut self, viewer: ViewerId, is_streaming: bool, now: Duration) {
        if let Some(session) = self.sessions.iter_mut().find(|s| s.viewer == viewer) {
            (session.is_streaming, session.since) = (is_streaming, now);
        }
        if self.controller.is_none() {
            self.controller = Some(viewer).filter(|_| is_streaming);
        }
    }

    /// Who controls.
    pub(crate) fn controller(&self) -> Option<ViewerId> {
        self.controller
    }

    /// Who has asked for the control.
    pub(crate) fn asking(&self) -> Option<ViewerId> {
        self.asking
    }

    /// A viewer asks for the control, and gets it where nobody has it or the one who has it is away.
    pub(crate) fn ask(&mut self, viewer: ViewerId, now: Duration) {
        let has = self.sessions.iter().find(|s| Some(s.viewer) == self.controller);
        let is_away = has.is_none_or(|s| !s.is_streaming && now.saturating_sub(s.since) > AWAY);
        match is_away {
            true => (self.controller, self.asking) = (Some(viewer), None),
            false if self.controller != Some(viewer) => self.asking = Some(viewer),
            false => {}
        }
    }

    /// The controller answers who asked. Returns whether the control went over.
    pub(crate) fn answer(&mut self, viewer: ViewerId, gives: bool) -> bool {
        if self.controller != Some(viewer) {
            return false;
        }
        match self.asking.take().filter(|_| gives) {
            Some(next) => {
                self.controller = Some(next);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn s(v: u64) -> Duration {
        Duration::from_secs(v)
    }

    fn paired(access: &mut Access, now: Duration) -> (ViewerId, String) {
        let (_, token) = access.open(now, s(120)).unwrap();
        access.pair(Claim::Token(&token), now).unwrap()
    }

    #[test]
    fn five_wrong_pins_close_pairing_even_for_the_right_one() {
        let mut access = Access::new(4);
        let (pin, token) = access.open(s(0), s(120)).unwrap();
        assert!(pin.len() == 6 && pin.bytes().all(|b| b.is_ascii_digit()) && token.len() == 32);
        let wrong = if pin == "000000" { "000001" } else { "000000" };
        for left in (0..TRIES_MAX).rev() {
            assert_eq!(access.pair(Claim::Pin(wrong), s(1)), Err(Refusal::Wrong(left)));
        }
        assert_eq!(access.pair(Claim::Pin(&pin), s(1)), Err(Refusal::Closed));
        assert_eq!(access.pair(Claim::Token(&token), s(1)), Err(Refusal::Closed));
    }

    #[test]
    fn a_token_or_pin_pairs_once_and_only_in_its_time() {
        let mut access = Access::new(4);
        let (pin, token) = access.open(s(0), s(120)).unwrap();
        let (viewer, cookie) = access.pair(Claim::Token(&token), s(2)).unwrap();
        assert_eq!(access.viewer(&cookie), Some(viewer));
        for claim in [Claim::Token(&token), Claim::Pin(&pin)] {
            assert_eq!(access.pair(claim, s(3)), Err(Refusal::Closed), "replayed");
        }
        let (pin, _) = access.open(s(10), s(120)).unwrap();
        assert_eq!(access.pair(Claim::Pin(&pin), s(130)), Err(Refusal::Closed), "too late");
        for other in ["", "x", &cookie[1..], &format!("{cookie}0")] {
            assert_eq!(access.viewer(other), None);
        }
    }

    #[test]
    fn one_controls_and_gives_the_control_away_or_is_gone() {
        let mut access = Access::new(4);
        let ((first, _), (second, _)) = (paired(&mut access, s(0)), paired(&mut access, s(1)));
        access.stream(first, true, s(2));
        access.stream(second, true, s(2));
        assert_eq!(access.controller(), Some(first));
        assert!(!access.answer(second, true), "an onlooker gave the control away");
        access.ask(second, s(3));
        assert_eq!((access.controller(), access.asking()), (Some(first), Some(second)));
        assert!(!access.answer(first, false));
        assert_eq!((access.controller(), access.asking()), (Some(first), None));
        access.ask(second, s(4));
        assert!(access.answer(first, true));
        assert_eq!(access.controller(), Some(second));
        access.stream(second, false, s(10));
        access.ask(first, s(12));
        assert_eq!(access.controller(), Some(second), "a moment without a link is no absence");
        access.ask(first, s(16));
        assert_eq!(access.controller(), Some(first));
    }

    #[test]
    fn places_are_bounded_and_who_does_not_look_makes_room() {
        let mut access = Access::new(2);
        let ((a, _), (b, cookie)) = (paired(&mut access, s(0)), paired(&mut access, s(1)));
        access.stream(a, true, s(1));
        access.stream(b, true, s(1));
        let (_, token) = access.open(s(2), s(120)).unwrap();
        assert_eq!(access.pair(Claim::Token(&token), s(2)), Err(Refusal::Full));
        access.stream(b, false, s(3));
        assert!(access.pair(Claim::Token(&token), s(4)).is_ok());
        assert_eq!((access.viewer(&cookie), access.controller()), (None, Some(a)));
    }
}
