//! Who puts frames into the live path's slot: a player of a source, or a camera's capture.

use sonotap::error::Result;
use sonotap::pipeline::capture::{Capture, CaptureConfig, CaptureReport};
use sonotap::pipeline::live::Live;
use sonotap::pipeline::player::{PlayConfig, Played, Player};

use crate::source::Origin;

/// Something that feeds the live path.
pub enum Feed {
    /// A source that is played.
    Player(Player),
    /// A camera.
    Capture(Capture),
}

impl Feed {
    /// Starts it.
    pub fn start(origin: Origin, play: PlayConfig, capture: CaptureConfig, live: &Live) -> Result<Self> {
        let input = live.input();
        Ok(match origin {
            Origin::Played(source) => Self::Player(Player::start(source, play, input)?),
            Origin::Camera(camera) => Self::Capture(Capture::start(camera, capture, input)?),
        })
    }

    /// Whether there will be no more frames.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Player(player) => player.played().has_ended,
            Self::Capture(capture) => capture.has_ended(),
        }
    }

    /// Whether frames are to be expected now.
    pub fn is_streaming(&self) -> bool {
        match self {
            Self::Player(player) => !player.played().has_ended,
            Self::Capture(capture) => capture.report().is_streaming,
        }
    }

    /// A number that stands still when whoever feeds hangs.
    pub fn beats(&self) -> u64 {
        match self {
            Self::Player(player) => player.played().played,
            Self::Capture(capture) => capture.beats(),
        }
    }

    /// What it did.
    pub fn played(&self) -> Played {
        match self {
            Self::Player(player) => player.played(),
            Self::Capture(capture) => {
                let r = capture.report();
                Played {
                    played: r.delivered,
                    no_buffer: r.no_buffer,
                    late: 0,
                    displaced: r.displaced,
                    has_ended: capture.has_ended(),
                }
            }
        }
    }

    /// What a camera did.
    pub fn camera(&self) -> Option<CaptureReport> {
        match self {
            Self::Player(_) => None,
            Self::Capture(capture) => Some(capture.report()),
        }
    }

    /// Stops it and gives the source's error, if it had one.
    pub fn stop(self) -> Result<()> {
        match self {
            Self::Player(player) => player.stop(),
            Self::Capture(capture) => capture.stop(),
        }
    }
}
