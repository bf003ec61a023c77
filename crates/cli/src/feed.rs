//! Who puts frames into the live path's slot: a player of a source, a camera's capture, or OpenIGTLink.

use std::sync::Arc;

use sonotap::error::Result;
use sonotap::pipeline::capture::{Capture, CaptureConfig, CaptureReport};
use sonotap::pipeline::live::Live;
use sonotap::pipeline::player::{PlayConfig, Played, Player};
use sonotap_igtl::server::Server;

use crate::source::Origin;

/// Something that feeds the live path.
pub enum Feed {
    /// A source that is played.
    Player(Player),
    /// A camera.
    Capture(Capture),
    /// OpenIGTLink images; `None` when the server that they come through is gone.
    Igtl(Option<Arc<Server>>),
}

impl Feed {
    /// Starts it.
    pub fn start(
        origin: Origin,
        play: PlayConfig,
        capture: CaptureConfig,
        live: &Live,
        server: Option<&Arc<Server>>,
    ) -> Result<Self> {
        let input = live.input();
        Ok(match origin {
            Origin::Played(source) => Self::Player(Player::start(source, play, input)?),
            Origin::Camera(camera) => Self::Capture(Capture::start(camera, capture, input)?),
            Origin::Igtl(_) => Self::Igtl(server.cloned()),
        })
    }

    /// Whether there will be no more frames.
    pub fn has_ended(&self) -> bool {
        match self {
            Self::Player(player) => player.played().has_ended,
            Self::Capture(capture) => capture.has_ended(),
            Self::Igtl(server) => server.is_none(),
        }
    }

    /// Whether frames are to be expected now.
    pub fn is_streaming(&self) -> bool {
        match self {
            Self::Player(player) => !player.played().has_ended,
            Self::Capture(capture) => capture.report().is_streaming,
            Self::Igtl(server) => server.as_ref().is_some_and(|s| s.is_streaming()),
        }
    }

    /// A number that stands still when whoever feeds hangs.
    pub fn beats(&self) -> u64 {
        match self {
            Self::Player(player) => player.played().played,
            Self::Capture(capture) => capture.beats(),
            Self::Igtl(server) => server.as_ref().map_or(0, |s| s.beats()),
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
            Self::Igtl(server) => {
                let r = server.as_ref().and_then(|s| s.report().source).unwrap_or_default();
                let (played, no_buffer, displaced) = (r.images, r.no_buffer, r.displaced);
                Played { played, no_buffer, late: 0, displaced, has_ended: server.is_none() }
            }
        }
    }

    /// What a camera did.
    pub fn camera(&self) -> Option<CaptureReport> {
        match self {
            Self::Player(_) | Self::Igtl(_) => None,
            Self::Capture(capture) => Some(capture.report()),
        }
    }

    /// Stops it and gives the source's error, if it had one.
    pub fn stop(self) -> Result<()> {
        match self {
            Self::Player(player) => player.stop(),
            Self::Capture(capture) => capture.stop(),
            Self::Igtl(_) => Ok(()),
        }
    }
}
