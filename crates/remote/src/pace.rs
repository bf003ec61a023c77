//! How many pictures may be under way to one viewer, and in which quality: what a slow link gets.
//!
//! The time from sending a picture to hearing that it was drawn is compared with the shortest of the last seconds. A browser that
//! draws unevenly makes some pictures late, and never all of them; a queue on the way does. So of each spell only the fastest
//! picture counts (Nichols and Jacobson, "Controlling Queue Delay", 2012). Where even that was slow, fewer may be under way, and
//! they get smaller; where it was not, both come back, later each time that it was too much.

use std::collections::VecDeque;
use std::time::Duration;

/// Pictures under way to one viewer, at most.
pub const UNDERWAY_MAX: usize = 4;

/// JPEG qualities, best first.
const QUALITIES: [u8; 6] = [85, 75, 60, 45, 30, 20];
/// Where the fastest picture of a spell takes so much longer than the fastest ever, pictures wait one behind the other.
const QUEUED: Duration = Duration::from_millis(35);
/// Where it takes at most so much longer, none waits.
const DIRECT: Duration = Duration::from_millis(15);
/// A spell is at least so long, and has so many pictures.
const SPELL: Duration = Duration::from_millis(400);
const SPELL_PICTURES: usize = 3;
/// Spells without a queue until one more may be under way, or the quality rises; twice as many after a rise that was too much.
const CALM_SPELLS: u32 = 3;
const CALM_SPELLS_MAX: u32 = 48;
/// After so many in a row it is as at first.
const FORGOTTEN: u32 = 12;
/// The fastest of so long counts, twice that at most.
const FASTEST_OF: Duration = Duration::from_secs(6);

/// A picture on its way.
#[derive(Clone, Copy, Debug)]
struct Underway {
    picture: u64,
    sent: Duration,
}

/// The pace of one viewer. Times are spans since any fixed moment.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    underway: VecDeque<Underway>,
    window: usize,
    quality: usize,
    /// Shortest times of the present and the last `FASTEST_OF`, and when the present one began.
    fastest: [Option<Duration>; 2],
    fastest_began: Duration,
    spell: Spell,
    /// Spells without a queue since the last change, and how many are waited for.
    calm: u32,
    patience: u32,
    /// The last change, and whether it was a rise of which nothing is known yet.
    changed: Duration,
    is_trying: bool,
}

/// Some pictures of which the fastest counts.
#[derive(Clone, Copy, Debug)]
struct Spell {
    began: Duration,
    pictures: usize,
    fastest: Duration,
}

impl Spell {
    fn begin(now: Duration) -> Self {
        Self { began: now, pictures: 0, fastest: Duration::MAX }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            underway: VecDeque::with_capacity(UNDERWAY_MAX),
            window: 2,
            quality: 1,
            fastest: [None; 2],
            fastest_began: Duration::ZERO,
            spell: Spell::begin(Duration::ZERO),
            calm: 0,
            patience: CALM_SPELLS,
            changed: Duration::ZERO,
            is_trying: false,
        }
    }
}

impl Pace {
    /// Whether another picture may be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.underway.len() < self.window
    }

    /// JPEG quality of the next picture.
    pub(crate) fn quality(&self) -> u8 {
        QUALITIES[self.quality]
    }

    /// A picture is sent.
    pub(crate) fn sent(&mut self, picture: u64, now: Duration) {
        self.underway.push_back(Underway { picture, sent: now });
    }

    /// The viewer says that it has drawn a picture; those before it were drawn or left out. Returns how long it took, or `None`
    /// for a picture that was not under way.
    pub(crate) fn seen(&mut self, picture: u64, now: Duration) -> Option<Duration> {
        let at = self.underway.iter().position(|u| u.picture == picture)?;
        let sent = self.underway[at].sent;
        let took = now.saturating_sub(sent);
        self.underway.drain(..=at);
        self.adapt(took, sent, now);
        Some(took)
    }

    fn adapt(&mut self, took: Duration, sent: Duration, now: Duration) {
        if now.saturating_sub(self.fastest_began) > FASTEST_OF {
            self.fastest = [None, self.fastest[0]];
            self.fastest_began = now;
        }
        let present = self.fastest[0].map_or(took, |f| f.min(took));
        self.fastest[0] = Some(present);
        let fastest = self.fastest[1].map_or(present, |f| f.min(present));
        // What was sent before the last change says nothing about it.
        if sent < self.changed {
            return;
        }
        let spell = &mut self.spell;
        (spell.pictures, spell.fastest) = (spell.pictures + 1, spell.fastest.min(took));
        if spell.pictures < SPELL_PICTURES || now.saturating_sub(spell.began) < SPELL {
            return;
        }
        let more = spell.fastest.saturating_sub(fastest);
        *spell = Spell::begin(now);
        match more {
            _ if more > QUEUED => {
                // With two under way at most, a rise that was too much shows that pictures are too large.
                let is_smallest = self.quality + 1 == QUALITIES.len();
                if self.is_trying && (self.window > 2 || is_smallest) {
                    self.patience = (2 * self.patience).min(CALM_SPELLS_MAX);
                }
                self.window = self.window.saturating_sub(1).max(1);
                self.quality = (self.quality + 1).min(QUALITIES.len() - 1);
                self.change(now, false);
            }
            _ if more > DIRECT => self.calm = 0,
            _ => self.rest(now),
        }
    }

    /// A spell without a queue.
    fn rest(&mut self, now: Duration) {
        self.calm += 1;
        if self.calm > 1 {
            self.is_trying = false;
        }
        if self.calm >= FORGOTTEN {
            self.patience = CALM_SPELLS;
        }
        if self.calm >= self.patience {
            match self.window < UNDERWAY_MAX {
                true => self.window += 1,
                false => self.quality = self.quality.saturating_sub(1),
            }
            self.change(now, true);
        }
    }

    fn change(&mut self, now: Duration, is_trying: bool) {
        (self.changed, self.is_trying, self.calm) = (now, is_trying, 0);
        self.spell = Spell::begin(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link with a delay one way, a rate, and stalls (a lost packet sent again); pictures wait in it one behind the other.
    struct Link {
        delay: Duration,
        bytes_per_s: f64,
        free: Duration,
        /// Every so many pictures one waits for so long.
        stall: (u64, Duration),
        /// A browser draws after between nothing and so long; a seed.
        unevenly: (f64, u64),
    }

    impl Link {
        fn new(delay_ms: u64, bytes_per_s: f64) -> Self {
            Self {
                delay: Duration::from_millis(delay_ms),
                bytes_per_s,
                free: Duration::ZERO,
                stall: (u64::MAX, Duration::ZERO),
                unevenly: (0.0, 1),
            }
        }

        /// How long the browser takes: mostly little, at times four times as long as usual.
        fn drawing(&mut self) -> Duration {
            let (usual_s, seed) = &mut self.unevenly;
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let part = (*seed >> 40) as f64 / f64::from(1 << 24);
            Duration::from_secs_f64(*usual_s * (-(1.0 - part).ln()).min(4.0))
        }

        /// When a picture is drawn.
        fn carry(&mut self, picture: u64, bytes: f64, now: Duration) -> Duration {
            let stall = if picture.is_multiple_of(self.stall.0) { self.stall.1 } else { Duration::ZERO };
            self.free = self.free.max(now) + Duration::from_secs_f64(bytes / self.bytes_per_s) + stall;
            self.free + self.delay
        }
    }

    /// Bytes of an 800x480 picture of speckle, about.
    fn bytes(quality: u8) -> f64 {
        4_000.0 + 900.0 * f64::from(quality)
    }

    /// Plays 30 pictures a second over a link; gives the times from sending to drawn, and the pictures not sent.
    fn play(link: &mut Link, seconds: u64) -> (Vec<Duration>, usize, Pace) {
        let (mut pace, mut told, mut took, mut unsent) = (Pace::default(), VecDeque::new(), Vec::new(), 0);
        for tick in 0..seconds * 1000 {
            let now = Duration::from_millis(tick);
            while told.front().is_some_and(|&(_, heard, _)| heard <= now) {
                let (picture, heard, sent): (u64, Duration, Duration) = told.pop_front().unwrap();
                assert!(pace.seen(picture, heard).is_some());
                took.push(heard - link.delay - sent);
            }
            if tick % 33 == 0 {
                if !pace.has_room() {
                    unsent += 1;
                    continue;
                }
                pace.sent(tick, now);
                assert!(pace.underway.len() <= UNDERWAY_MAX);
                let drawn = link.carry(tick / 33, bytes(pace.quality()), now) + link.drawing();
                // A browser draws one after the other.
                let drawn = told
                    .back()
                    .map_or(drawn, |(_, heard, _): &(u64, Duration, Duration)| drawn.max(*heard - link.delay));
                told.push_back((tick, drawn + link.delay, now));
            }
        }
        (took, unsent, pace)
    }

    #[test]
    fn a_fast_link_gets_every_picture_in_the_best_quality() {
        let (took, unsent, pace) = play(&mut Link::new(3, 10e6), 20);
        assert!(took.iter().all(|t| *t < Duration::from_millis(15)));
        assert_eq!((unsent, pace.quality()), (0, 85));
    }

    #[test]
    fn a_slow_link_drops_pictures_and_quality_and_its_lag_does_not_grow() {
        // At 1 MB/s pictures are left out, and what comes need not be coarse. The worst is while more is tried.
        let cases = [(5, 250e3, 280, 60), (100, 250e3, 420, 60), (20, 1e6, 200, 75), (5, 100e3, 640, 60)];
        for (delay_ms, rate, worst_ms, quality_max) in cases {
            let mut link = Link::new(delay_ms, rate);
            let (took, unsent, pace) = play(&mut link, 60);
            let settled = &took[took.len() / 4..];
            let worst = settled.iter().max().unwrap();
            assert!(*worst < Duration::from_millis(worst_ms), "{delay_ms} ms, {rate}: {worst:?}");
            assert!(unsent > 0 && pace.quality() <= quality_max, "{delay_ms} ms, {rate}: {unsent}, {}", pace.quality());
            let mean = |t: &[Duration]| t.iter().sum::<Duration>() / t.len() as u32;
            let (early, late) = settled.split_at(settled.len() / 2);
            assert!(mean(late) < mean(early) + Duration::from_millis(20), "{delay_ms} ms, {rate}: the lag grows");
        }
    }

    #[test]
    fn a_browser_that_draws_unevenly_is_not_taken_for_a_slow_link() {
        // Delay one way, ms, and bytes a second: loopback, good Wi-Fi, a long and fast link, a busy one.
        for (delay_ms, rate, pictures_s_min, quality_min) in
            [(1, 100e6, 24, 75), (3, 6e6, 24, 75), (20, 12e6, 24, 75), (15, 2.5e6, 15, 60)]
        {
            let mut link = Link { unevenly: (0.02, 7), ..Link::new(delay_ms, rate) };
            let (took, _, pace) = play(&mut link, 60);
            let what = format!("{delay_ms} ms, {rate}: {} pictures, quality {}", took.len(), pace.quality());
            assert!(took.len() >= 60 * pictures_s_min && pace.quality() >= quality_min, "{what}");
        }
    }

    #[test]
    fn after_stalls_of_a_lossy_link_the_lag_is_what_it_was() {
        let mut link = Link { stall: (40, Duration::from_millis(250)), ..Link::new(20, 2e6) };
        let (mut took, ..) = play(&mut link, 60);
        took.sort();
        assert!(took[took.len() / 2] < Duration::from_millis(80), "{:?}", took[took.len() / 2]);
        assert!(*took.last().unwrap() < Duration::from_millis(900));
    }

    #[test]
    fn what_was_not_under_way_is_not_seen() {
        let mut pace = Pace::default();
        pace.sent(7, Duration::ZERO);
        assert_eq!(pace.seen(6, Duration::from_millis(1)), None);
        assert_eq!(pace.seen(8, Duration::from_millis(1)), None);
        assert_eq!(pace.underway.len(), 1);
        pace.sent(8, Duration::from_millis(2));
        assert_eq!(pace.seen(8, Duration::from_millis(5)), Some(Duration::from_millis(3)), "7 was left out");
        assert_eq!((pace.underway.len(), pace.seen(8, Duration::from_millis(9))), (0, None));
    }
}
